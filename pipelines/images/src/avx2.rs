//! The resizer's inner loops for processors with AVX2; `resize.rs` holds them to the portable ones.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "SIMD loads and stores through pointers (bounds asserted once for each call), and calls of functions compiled for AVX2 (behind a value that only detection makes)"
    )
)]

use std::ops::Range;

use crate::kernel::Kernel;
use crate::plane::Plane;
use crate::resize::Strip;

/// Proof that the processor has AVX2: only [`Avx2::detect`] makes one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

#[cfg(not(target_arch = "x86_64"))]
impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        None
    }

    pub(crate) fn halve(self, _: &[u8], _: &[u8], _: &mut [u8]) -> usize {
        unreachable!("never detected on this architecture")
    }

    pub(crate) fn down(self, _: &Plane, _: &Kernel, _: Range<usize>, _: &mut Strip) {
        unreachable!("never detected on this architecture")
    }

    pub(crate) fn along(self, _: &Strip, _: &Kernel, _: &mut [&mut [u8]]) {
        unreachable!("never detected on this architecture")
    }
}

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        std::arch::is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// As [`crate::resize::Simd::halve`] for a multiple of 32 results, whose number it returns.
    pub(crate) fn halve(self, above: &[u8], below: &[u8], half: &mut [u8]) -> usize {
        // SAFETY: `self` proves AVX2.
        unsafe { x86::halve(above, below, half) }
    }

    /// The pass down the columns for the rows of one strip.
    pub(crate) fn down(
        self,
        source: &Plane,
        kernel: &Kernel,
        outputs: Range<usize>,
        strip: &mut Strip,
    ) {
        // SAFETY: `self` proves AVX2.
        unsafe { x86::down(source, kernel, outputs, strip) }
    }

    /// The pass along the rows of a strip.
    pub(crate) fn along(self, strip: &Strip, kernel: &Kernel, target: &mut [&mut [u8]]) {
        // SAFETY: `self` proves AVX2.
        unsafe { x86::along(strip, kernel, target) }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::ops::Range;

    use crate::kernel::{Kernel, WEIGHT_BITS};
    use crate::plane::Plane;
    use crate::resize::{BLOCK, ROUND, STRIP, Strip};

    const SHIFT: i32 = WEIGHT_BITS as i32;
    /// Columns done for all rows of a strip before the next: their samples stay in the first cache.
    const COLUMNS: usize = 4 * BLOCK;

    #[target_feature(enable = "avx2")]
    pub(super) fn halve(above: &[u8], below: &[u8], half: &mut [u8]) -> usize {
        let ones = _mm256_set1_epi8(1);
        let two = _mm256_set1_epi16(2);
        let blocks = (above.len().min(below.len()) / 64).min(half.len() / 32);
        let (above, below, half) = (above.as_ptr(), below.as_ptr(), half.as_mut_ptr());
        let mean = |at: usize| {
            // SAFETY: at + 32 ≤ blocks × 64, which both rows have.
            let (upper, lower) = unsafe {
                (_mm256_loadu_si256(above.add(at).cast()), _mm256_loadu_si256(below.add(at).cast()))
            };
            let upper = _mm256_maddubs_epi16(upper, ones);
            let lower = _mm256_maddubs_epi16(lower, ones);
            _mm256_srli_epi16(_mm256_add_epi16(_mm256_add_epi16(upper, lower), two), 2)
        };
        for block in 0..blocks {
            let packed = _mm256_packus_epi16(mean(block * 64), mean(block * 64 + 32));
            let packed = _mm256_permute4x64_epi64(packed, 0b11_01_10_00);
            // SAFETY: (block + 1) × 32 ≤ blocks × 32, which `half` has.
            unsafe { _mm256_storeu_si256(half.add(block * 32).cast(), packed) };
        }
        blocks * 32
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn down(source: &Plane, kernel: &Kernel, outputs: Range<usize>, strip: &mut Strip) {
        assert!(outputs.len() <= STRIP && strip.data.len() >= STRIP * strip.stride);
        assert!(strip.used <= strip.stride && strip.used.is_multiple_of(BLOCK));
        let rows = kernel.base + kernel.reach;
        let last = rows.saturating_sub(1) * source.stride + strip.left + strip.used;
        assert!(rows > 0 && source.data.len() >= last);
        for left in (0..strip.used).step_by(COLUMNS) {
            let right = (left + COLUMNS).min(strip.used);
            for (row, output) in outputs.clone().enumerate() {
                let (start, weights) = kernel.exact(output);
                let top = (kernel.base + start) * source.stride + strip.left;
                for x in (left..right).step_by(BLOCK) {
                    // SAFETY: the kernel's samples end at row base + reach and x + BLOCK at `used`,
                    // both asserted to lie in `source`; the row of the strip has `used` bytes.
                    unsafe {
                        let samples = source.data.as_ptr().add(top + x);
                        let values = strip.data.as_mut_ptr().add(row * strip.stride + x);
                        block_down(samples, source.stride, weights, values);
                    }
                }
            }
        }
    }

    /// Weighted sums of 64 columns.
    ///
    /// # Safety
    /// 64 bytes can be read at `samples` and at every `stride` behind it for as many rows as there
    /// are weights, and written at `values`.
    #[target_feature(enable = "avx2")]
    unsafe fn block_down(samples: *const u8, stride: usize, weights: &[i16], values: *mut u8) {
        let zero = _mm256_setzero_si256();
        let mut sums = [_mm256_set1_epi32(ROUND); 8];
        for (pair, weights) in weights.chunks(2).enumerate() {
            // an odd last row is paired with itself, at no weight
            let (next, second) = match weights {
                [_, second] => (stride, *second),
                _ => (0, 0),
            };
            let both = i32::from(second) << 16 | i32::from(weights[0] as u16);
            let both = _mm256_set1_epi32(both);
            for half in 0..2 {
                // SAFETY: promised by the caller.
                let (above, below) = unsafe {
                    let at = samples.add(pair * 2 * stride + half * 32);
                    (_mm256_loadu_si256(at.cast()), _mm256_loadu_si256(at.add(next).cast()))
                };
                let low = _mm256_unpacklo_epi8(above, below);
                let high = _mm256_unpackhi_epi8(above, below);
                let parts = [
                    _mm256_unpacklo_epi8(low, zero),
                    _mm256_unpackhi_epi8(low, zero),
                    _mm256_unpacklo_epi8(high, zero),
                    _mm256_unpackhi_epi8(high, zero),
                ];
                for part in 0..4 {
                    let product = _mm256_madd_epi16(parts[part], both);
                    sums[half * 4 + part] = _mm256_add_epi32(sums[half * 4 + part], product);
                }
            }
        }
        for half in 0..2 {
            let low = _mm256_packs_epi32(
                _mm256_srai_epi32(sums[half * 4], SHIFT),
                _mm256_srai_epi32(sums[half * 4 + 1], SHIFT),
            );
            let high = _mm256_packs_epi32(
                _mm256_srai_epi32(sums[half * 4 + 2], SHIFT),
                _mm256_srai_epi32(sums[half * 4 + 3], SHIFT),
            );
            // SAFETY: promised by the caller.
            unsafe {
                let at = values.add(half * 32);
                _mm256_storeu_si256(at.cast(), _mm256_packus_epi16(low, high));
            }
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn along(strip: &Strip, kernel: &Kernel, target: &mut [&mut [u8]]) {
        let outputs = kernel.outputs();
        assert!(strip.data.len() >= STRIP * strip.stride && kernel.padded_reach <= strip.stride);
        assert!(target.len() <= STRIP && target.iter().all(|line| line.len() == outputs));
        let samples = strip.data.as_ptr();
        // SAFETY: each output's samples end at `padded_reach`, asserted to lie in the row.
        let sums = |x: usize| unsafe { sums_along(samples, strip.stride, kernel.padded(x)) };
        // from column by column to row by row
        let order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        for x in (0..outputs - outputs % 4).step_by(4) {
            let left = _mm_packs_epi32(sums(x), sums(x + 1));
            let right = _mm_packs_epi32(sums(x + 2), sums(x + 3));
            let bytes = _mm_shuffle_epi8(_mm_packus_epi16(left, right), order);
            let rows = [
                _mm_extract_epi32(bytes, 0),
                _mm_extract_epi32(bytes, 1),
                _mm_extract_epi32(bytes, 2),
                _mm_extract_epi32(bytes, 3),
            ];
            for (line, four) in target.iter_mut().zip(rows) {
                line[x..x + 4].copy_from_slice(&four.to_le_bytes());
            }
        }
        for x in outputs - outputs % 4..outputs {
            let words = _mm_packs_epi32(sums(x), sums(x));
            let bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words)).to_le_bytes();
            for (line, byte) in target.iter_mut().zip(bytes) {
                line[x] = byte;
            }
        }
    }

    /// One output of each of the four rows, as 32-bit numbers.
    ///
    /// # Safety
    /// In each of the four rows of `stride` bytes, as many samples as there are weights can be read
    /// from the start on.
    #[target_feature(enable = "avx2")]
    unsafe fn sums_along(
        samples: *const u8,
        stride: usize,
        (start, weights): (usize, &[i16]),
    ) -> __m128i {
        let mut sums = [_mm256_setzero_si256(); STRIP];
        let (wide, tail) = weights.as_chunks::<16>();
        for (block, weights) in wide.iter().enumerate() {
            // SAFETY: 16 weights; the samples are promised by the caller.
            let weights = unsafe { _mm256_loadu_si256(weights.as_ptr().cast()) };
            for (row, sum) in sums.iter_mut().enumerate() {
                let at = row * stride + start + block * 16;
                let bytes = unsafe { _mm_loadu_si128(samples.add(at).cast()) };
                let product = _mm256_madd_epi16(_mm256_cvtepu8_epi16(bytes), weights);
                *sum = _mm256_add_epi32(*sum, product);
            }
        }
        if tail.len() == 8 {
            // SAFETY: 8 weights; the samples are promised by the caller.
            let weights = unsafe { _mm_loadu_si128(tail.as_ptr().cast()) };
            for (row, sum) in sums.iter_mut().enumerate() {
                let at = row * stride + start + wide.len() * 16;
                let bytes = unsafe { _mm_loadl_epi64(samples.add(at).cast()) };
                let product = _mm_madd_epi16(_mm_cvtepu8_epi16(bytes), weights);
                *sum = _mm256_add_epi32(*sum, _mm256_zextsi128_si256(product));
            }
        }
        let all = _mm256_hadd_epi32(
            _mm256_hadd_epi32(sums[0], sums[1]),
            _mm256_hadd_epi32(sums[2], sums[3]),
        );
        let all = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
        _mm_srai_epi32(_mm_add_epi32(all, _mm_set1_epi32(ROUND)), SHIFT)
    }
}
