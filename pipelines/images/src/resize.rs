//! Separable resampling of one plane: four output rows at a time, first down the columns into a
//! small strip, then along the rows, so that the strip stays in the nearest cache.
//!
//! The same integer sums are done by AVX2 where the processor has it and by portable code elsewhere;
//! a test holds both to the same bytes.

use std::ops::Range;

use crate::avx2::Avx2;
use crate::kernel::{Kernel, WEIGHT_BITS};
use crate::plane::{Plane, SLACK};

/// Columns that the pass down the columns does together; no more than [`SLACK`].
pub(crate) const BLOCK: usize = 64;
const _: () = assert!(BLOCK <= SLACK);
/// Rows resampled together.
pub(crate) const STRIP: usize = 4;
/// Half a weight, so that shifting rounds.
pub(crate) const ROUND: i32 = 1 << (WEIGHT_BITS - 1);

/// Which implementation does the sums.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Simd(Option<Avx2>);

impl Simd {
    /// The one every processor has.
    #[cfg(test)]
    pub(crate) const PORTABLE: Self = Self(None);

    /// The fastest this processor has.
    pub(crate) fn detect() -> Self {
        Self(Avx2::detect())
    }

    /// `half[i]` = mean of samples 2i and 2i+1 of both rows; an odd last column counts twice.
    pub(crate) fn halve(self, above: &[u8], below: &[u8], half: &mut [u8]) {
        let done = self.0.map_or(0, |simd| simd.halve(above, below, half));
        halve(above, below, half, done);
    }

    fn down(self, source: &Plane, kernel: &Kernel, outputs: Range<usize>, strip: &mut Strip) {
        match self.0 {
            Some(simd) => simd.down(source, kernel, outputs, strip),
            None => down(source, kernel, outputs, strip),
        }
    }

    fn along(self, strip: &Strip, kernel: &Kernel, target: &mut [&mut [u8]]) {
        match self.0 {
            Some(simd) => simd.along(strip, kernel, target),
            None => along(strip, kernel, target),
        }
    }
}

/// A few rows that have been resampled down the columns but not yet along the rows.
#[derive(Debug)]
pub(crate) struct Strip<'a> {
    /// [`STRIP`] rows of `stride` bytes.
    pub(crate) data: &'a mut [u8],
    pub(crate) stride: usize,
    /// First column of the source that is needed.
    pub(crate) left: usize,
    /// Columns to fill, rounded up to whole blocks.
    pub(crate) used: usize,
}

/// Fills `target` from `source` with the kernels of its columns and rows.
pub(crate) fn resize(
    source: &Plane,
    across: &Kernel,
    down: &Kernel,
    target: &mut Plane,
    buffer: &mut Vec<u8>,
    simd: Simd,
) {
    assert_eq!((across.outputs(), down.outputs()), (target.width, target.height));
    assert!(across.base + across.reach <= source.width && down.base + down.reach <= source.height);
    assert!(source.data.len() >= source.stride * source.height + SLACK);
    let used = across.reach.next_multiple_of(BLOCK);
    let stride = across.padded_reach.max(used);
    buffer.resize(stride * STRIP, 0);
    let mut strip = Strip { data: buffer, stride, left: across.base, used };
    let width = target.width;
    let mut rows = target.data.chunks_exact_mut(target.stride);
    for top in (0..target.height).step_by(STRIP) {
        let bottom = (top + STRIP).min(target.height);
        simd.down(source, down, top..bottom, &mut strip);
        let mut lines: [&mut [u8]; STRIP] = Default::default();
        for line in lines.iter_mut().take(bottom - top) {
            let row = rows.next().expect("a plane has all its rows");
            *line = &mut row[..width];
        }
        simd.along(&strip, across, &mut lines[..bottom - top]);
    }
}

fn halve(above: &[u8], below: &[u8], half: &mut [u8], from: usize) {
    let sum = |row: &[u8], left: usize| {
        let right = (left + 1).min(row.len() - 1);
        u16::from(row[left]) + u16::from(row[right])
    };
    for (x, value) in half.iter_mut().enumerate().skip(from) {
        *value = ((sum(above, 2 * x) + sum(below, 2 * x) + 2) >> 2) as u8;
    }
}

fn down(source: &Plane, kernel: &Kernel, outputs: Range<usize>, strip: &mut Strip) {
    for (output, row) in outputs.zip(strip.data.chunks_exact_mut(strip.stride)) {
        let (start, weights) = kernel.exact(output);
        let top = (kernel.base + start) * source.stride + strip.left;
        for (block, values) in row[..strip.used].chunks_exact_mut(BLOCK).enumerate() {
            let mut sums = [ROUND; BLOCK];
            for (tap, &weight) in weights.iter().enumerate() {
                let samples = &source.data[top + tap * source.stride + block * BLOCK..][..BLOCK];
                for (sum, &sample) in sums.iter_mut().zip(samples) {
                    *sum += i32::from(sample) * i32::from(weight);
                }
            }
            for (value, sum) in values.iter_mut().zip(sums) {
                *value = (sum >> WEIGHT_BITS).clamp(0, 255) as u8;
            }
        }
    }
}

fn along(strip: &Strip, kernel: &Kernel, target: &mut [&mut [u8]]) {
    for (line, samples) in target.iter_mut().zip(strip.data.chunks_exact(strip.stride)) {
        for (x, value) in line.iter_mut().enumerate() {
            let (start, weights) = kernel.exact(x);
            let sum: i32 = samples[start..]
                .iter()
                .zip(weights)
                .map(|(&sample, &weight)| i32::from(sample) * i32::from(weight))
                .sum();
            *value = ((sum + ROUND) >> WEIGHT_BITS).clamp(0, 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Pool;

    fn noise(width: usize, height: usize) -> Plane {
        let mut plane = Plane::take(&mut Pool::default(), width, height);
        let mut state = 0x2545_f491_u32;
        for value in &mut plane.data {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            *value = (state >> 24) as u8;
        }
        plane
    }

    fn run(source: &Plane, window: [f64; 4], to: (usize, usize), simd: Simd) -> Plane {
        let across = Kernel::new(source.width, window[0], window[2], to.0);
        let down = Kernel::new(source.height, window[1], window[3], to.1);
        let mut target = Plane::take(&mut Pool::default(), to.0, to.1);
        resize(source, &across, &down, &mut target, &mut Vec::new(), simd);
        target
    }

    #[test]
    fn avx2_and_portable_give_the_same_bytes() {
        if Avx2::detect().is_none() {
            println!("skipped: this processor has no AVX2");
            return;
        }
        for ((w, h), window, to) in [
            ((301, 203), [0.0, 0.0, 301.0, 203.0], (150, 101)),
            ((301, 203), [10.3, 7.7, 111.1, 99.9], (37, 41)),
            ((64, 64), [0.0, 0.0, 64.0, 64.0], (64, 64)),
            ((17, 5), [0.0, 0.0, 17.0, 5.0], (33, 19)),
            ((1, 1), [0.0, 0.0, 1.0, 1.0], (3, 2)),
            ((1000, 40), [-0.5, 0.0, 1001.0, 40.0], (90, 3)),
        ] {
            let source = noise(w, h);
            let portable = run(&source, window, to, Simd::PORTABLE);
            let fast = run(&source, window, to, Simd::detect());
            assert!(portable.rows().eq(fast.rows()), "{w}x{h} {window:?} {to:?}");
        }
        for width in [1, 2, 31, 32, 33, 95, 128, 200] {
            let rows = noise(width, 2);
            let mut slow = vec![0; width.div_ceil(2)];
            let mut fast = slow.clone();
            Simd::PORTABLE.halve(rows.row(0), rows.row(1), &mut slow);
            Simd::detect().halve(rows.row(0), rows.row(1), &mut fast);
            assert_eq!(slow, fast, "{width}");
        }
    }

    #[test]
    fn flat_stays_flat_and_a_ramp_stays_a_ramp() {
        let mut source = noise(256, 9);
        source.data.fill(201);
        let flat = run(&source, [3.3, 1.0, 100.0, 7.0], (31, 5), Simd::detect());
        assert!(flat.rows().flatten().all(|&v| v == 201));
        for (index, value) in source.data.iter_mut().enumerate() {
            *value = (index % 256) as u8;
        }
        let ramp = run(&source, [0.0, 0.0, 256.0, 9.0], (64, 9), Simd::detect());
        for (x, &value) in ramp.row(4).iter().enumerate().skip(4).take(56) {
            assert!((i32::from(value) - (4 * x as i32 + 2)).abs() <= 1, "{x} {value}");
        }
    }
}
