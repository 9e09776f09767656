//! The inner loops of a moving view: a line between two rows of a still, then pixels between its samples.
//! The same integer sums are done with AVX2 where the processor has it and by portable code elsewhere; a
//! test holds both to the same bytes.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "gathers and stores through pointers (bounds asserted once for each call), and calls of functions compiled for AVX2 (after detection)"
    )
)]

use std::ops::Range;

/// A row's share is of 128, so that a sum of bytes stays below 2^15.
pub(super) const ROW: u32 = 128;
/// A sample's share along the row is of 256.
const COLUMN: i32 = 256;
const SHIFT: u32 = 15;
const HALF: i32 = 1 << (SHIFT - 1);

/// Where the samples of a row come from: for each an index, and the shares of that and of the next sample.
#[derive(Default)]
pub(super) struct Taps {
    left: Vec<i32>,
    /// The share of the left in the lower half, of the right in the upper.
    shares: Vec<i32>,
    /// The samples that any of them uses.
    used: Range<usize>,
}

impl Taps {
    pub(super) fn clear(&mut self) {
        self.left.clear();
        self.shares.clear();
        self.used = 0..0;
    }

    /// `part` (0 to 1) of the way from sample `left` to the next.
    pub(super) fn push(&mut self, left: usize, part: f64) {
        assert!(left < 1 << 30, "the index fits into 31 bits");
        let right = (part * f64::from(COLUMN)).round() as i32;
        let first = if self.left.is_empty() { left } else { self.used.start.min(left) };
        self.used = first..self.used.end.max(left + 2);
        self.left.push(left as i32);
        self.shares.push((COLUMN - right) | right << 16);
    }

    /// From the first to the last sample that is used.
    pub(super) fn used(&self) -> Range<usize> {
        self.used.clone()
    }
}

/// Which implementation does the sums.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampler {
    avx2: bool,
}

impl Sampler {
    /// The fastest this processor has.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        let avx2 = std::arch::is_x86_feature_detected!("avx2");
        #[cfg(not(target_arch = "x86_64"))]
        let avx2 = false;
        Self { avx2 }
    }

    /// `line` = the mean of two rows, `weight` of [`ROW`] of it the lower.
    pub(super) fn down(self, upper: &[u8], lower: &[u8], weight: u32, line: &mut [i16]) {
        #[cfg(target_arch = "x86_64")]
        if self.avx2 {
            // SAFETY: the processor has AVX2.
            unsafe { x86::down(upper, lower, weight, line) };
            return;
        }
        down(upper, lower, weight, line);
    }

    /// `row` = the samples of `line` at the taps.
    pub(super) fn along(self, line: &[i16], taps: &Taps, row: &mut [u8]) {
        assert!(taps.left.len() == row.len() && taps.shares.len() == row.len());
        #[cfg(target_arch = "x86_64")]
        if self.avx2 && row.len() >= x86::BLOCK {
            // SAFETY: the processor has AVX2.
            unsafe { x86::along(line, taps, row) };
            return;
        }
        for ((pixel, left), shares) in row.iter_mut().zip(&taps.left).zip(&taps.shares) {
            let pair = &line[*left as usize..][..2];
            let sum = i32::from(pair[0]) * (shares & 0xffff) + i32::from(pair[1]) * (shares >> 16);
            *pixel = ((sum + HALF) >> SHIFT) as u8;
        }
    }
}

#[inline(always)]
fn down(upper: &[u8], lower: &[u8], weight: u32, line: &mut [i16]) {
    let (keep, weight) = ((ROW - weight) as i16, weight as i16);
    for ((line, upper), lower) in line.iter_mut().zip(upper).zip(lower) {
        // at most 255 × 128; wrapping, so that checks of debug builds do not stand in the way of SIMD
        *line = i16::from(*upper)
            .wrapping_mul(keep)
            .wrapping_add(i16::from(*lower).wrapping_mul(weight));
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{HALF, SHIFT, Taps};

    /// Pixels done together.
    pub(super) const BLOCK: usize = 32;

    #[target_feature(enable = "avx2")]
    pub(super) fn down(upper: &[u8], lower: &[u8], weight: u32, line: &mut [i16]) {
        super::down(upper, lower, weight, line);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn along(line: &[i16], taps: &Taps, row: &mut [u8]) {
        assert!(row.len() >= BLOCK && taps.left.len() == row.len());
        assert!(taps.shares.len() == row.len());
        // no index is over it
        assert!(taps.used.end <= line.len());
        let half = _mm256_set1_epi32(HALF);
        let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        let mut at = 0;
        loop {
            let eight = |from: usize| {
                // SAFETY: eight entries from `from` are within both lists, as at + 32 ≤ their length;
                // each index and the next are within the line.
                let (pairs, shares) = unsafe {
                    let left = _mm256_loadu_si256(taps.left.as_ptr().add(from).cast());
                    let pairs = _mm256_i32gather_epi32::<2>(line.as_ptr().cast(), left);
                    (pairs, _mm256_loadu_si256(taps.shares.as_ptr().add(from).cast()))
                };
                let sums = _mm256_add_epi32(_mm256_madd_epi16(pairs, shares), half);
                _mm256_srai_epi32::<{ SHIFT as i32 }>(sums)
            };
            let low = _mm256_packs_epi32(eight(at), eight(at + 8));
            let high = _mm256_packs_epi32(eight(at + 16), eight(at + 24));
            let packed = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
            // SAFETY: at + 32 ≤ the length of the row.
            unsafe { _mm256_storeu_si256(row.as_mut_ptr().add(at).cast(), packed) };
            if at + BLOCK == row.len() {
                break;
            }
            // the last block may overlap the one before
            at = (at + BLOCK).min(row.len() - BLOCK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_implementations_give_the_same_bytes() {
        let detected = Sampler::detect();
        let portable = Sampler { avx2: false };
        let mut state = 7_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        for width in [2_usize, 31, 32, 33, 64, 90, 540, 1080] {
            let from = width + width / 7 + 2;
            let mut row = || -> Vec<u8> { (0..from).map(|_| random() as u8).collect() };
            let (upper, lower) = (row(), row());
            for weight in [0, 1, 77, ROW] {
                let mut lines = [vec![0; from], vec![0; from]];
                portable.down(&upper, &lower, weight, &mut lines[0]);
                detected.down(&upper, &lower, weight, &mut lines[1]);
                assert_eq!(lines[0], lines[1]);
                let mut taps = Taps::default();
                for n in 0..width {
                    let at = n as f64 * 1.13 + 0.37;
                    taps.push((at.floor() as usize).min(from - 2), at.fract());
                }
                let mut rows = [vec![0; width], vec![1; width]];
                portable.along(&lines[0], &taps, &mut rows[0]);
                detected.along(&lines[1], &taps, &mut rows[1]);
                assert_eq!(rows[0], rows[1], "{width} {weight}");
            }
        }
    }

    #[test]
    fn whole_places_give_the_samples() {
        let (mut line, mut taps) = (vec![0; 40], Taps::default());
        let row: Vec<u8> = (0..40).map(|n| n * 6).collect();
        (0..39).for_each(|n| taps.push(n, 0.0));
        taps.push(38, 1.0);
        Sampler::detect().down(&row, &row, 50, &mut line);
        let mut out = vec![0; 40];
        Sampler::detect().along(&line, &taps, &mut out);
        assert_eq!(out, row);
    }
}
