//! The weights of a Lanczos-3 resampling along one axis, as 14-bit integers that sum to one exactly,
//! so that flat areas stay flat and every implementation gives the same bytes.

use std::f64::consts::PI;

/// Bits after the point of a weight.
pub(crate) const WEIGHT_BITS: u32 = 14;
const ONE: i32 = 1 << WEIGHT_BITS;
const LOBES: f64 = 3.0;

/// For each output sample: where its source samples start and their weights.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// First source sample used by any output.
    pub(crate) base: usize,
    /// Source samples from `base` that are used.
    pub(crate) reach: usize,
    /// Weights held for each output: a multiple of 8, the rest zero.
    pub(crate) taps: usize,
    /// Samples from `base` that may be loaded when all `taps` of every output are.
    pub(crate) padded_reach: usize,
    starts: Vec<u32>,
    counts: Vec<u16>,
    weights: Vec<i16>,
}

impl Kernel {
    /// Resamples `span` samples from `start` on (fractions allowed, a little outside too) of an
    /// axis with `len` samples to `outputs` samples. Beyond the ends there is nothing: what lies
    /// outside is taken from the end, and weights are normalised over what exists.
    pub(crate) fn new(len: usize, start: f64, span: f64, outputs: usize) -> Self {
        assert!(len > 0 && outputs > 0 && span > 0.0);
        let step = span / outputs as f64;
        let stretch = step.max(1.0);
        let support = LOBES * stretch;
        let taps = ((support * 2.0).ceil() as usize + 1).next_multiple_of(8);
        let mut kernel = Self {
            base: usize::MAX,
            reach: 0,
            taps,
            padded_reach: 0,
            starts: Vec::with_capacity(outputs),
            counts: Vec::with_capacity(outputs),
            weights: vec![0; taps * outputs],
        };
        let turn = Turn::of(PI / LOBES / stretch);
        let mut exact = Vec::with_capacity(taps);
        let mut end = 0;
        for (index, weights) in kernel.weights.chunks_exact_mut(taps).enumerate() {
            let centre = (start + (index as f64 + 0.5) * step).clamp(0.0, len as f64);
            let first = ((centre - support).ceil().max(0.0) as usize).min(len - 1);
            let last = (centre + support).floor().max(0.0) as usize;
            let last = last.max(first + 1).min(first + taps).min(len);
            lanczos((first as f64 + 0.5 - centre) / stretch, &turn, last - first, &mut exact);
            quantise(&exact, weights);
            kernel.base = kernel.base.min(first);
            end = end.max(last);
            kernel.starts.push(first as u32);
            kernel.counts.push((last - first) as u16);
        }
        kernel.reach = end - kernel.base;
        for start in &mut kernel.starts {
            *start -= kernel.base as u32;
            kernel.padded_reach = kernel.padded_reach.max(*start as usize + taps);
        }
        kernel
    }

    pub(crate) fn outputs(&self) -> usize {
        self.starts.len()
    }

    /// Start (from `base`) and weights of one output, the padding included.
    pub(crate) fn padded(&self, output: usize) -> (usize, &[i16]) {
        let start = self.starts[output] as usize;
        (start, &self.weights[output * self.taps..][..self.taps])
    }

    /// Start (from `base`) and weights of one output, without padding.
    pub(crate) fn exact(&self, output: usize) -> (usize, &[i16]) {
        let (start, weights) = self.padded(output);
        (start, &weights[..usize::from(self.counts[output])])
    }
}

/// Sine and cosine of an angle.
struct Turn {
    angle: f64,
    sine: f64,
    cosine: f64,
}

impl Turn {
    fn of(angle: f64) -> Self {
        let (sine, cosine) = angle.sin_cos();
        Self { angle, sine, cosine }
    }

    fn add(&self, other: &Self) -> Self {
        Self {
            angle: self.angle + other.angle,
            sine: self.sine * other.cosine + self.cosine * other.sine,
            cosine: self.cosine * other.cosine - self.sine * other.sine,
        }
    }
}

/// sinc(x) · sinc(x/3) at `count` points from `x` on, πx/3 growing by `step` each; sines cost most of
/// making a kernel, so there is one for each output and sin 3a = 3 sin a − 4 sin³ a.
fn lanczos(x: f64, step: &Turn, count: usize, values: &mut Vec<f64>) {
    values.clear();
    let mut at = Turn::of(PI * x / LOBES);
    for _ in 0..count {
        values.push(if at.angle.abs() < 1e-8 {
            1.0
        } else if at.angle.abs() >= PI {
            0.0
        } else {
            let sine = at.sine;
            sine * sine * (3.0 - 4.0 * sine * sine) / (LOBES * at.angle * at.angle)
        });
        at = at.add(step);
    }
}

/// Scales to a sum of [`ONE`]; what rounding leaves over goes to the largest weight.
fn quantise(exact: &[f64], weights: &mut [i16]) {
    let sum: f64 = exact.iter().sum();
    let mut total = 0;
    let mut largest = 0;
    for (index, (weight, value)) in weights.iter_mut().zip(exact).enumerate() {
        // rounded: the shift keeps the conversion, which cuts, on one side of zero
        let shifted = value / sum * f64::from(ONE) + f64::from(2 * ONE) + 0.5;
        *weight = (shifted as i32 - 2 * ONE) as i16;
        total += i32::from(*weight);
        if value > &exact[largest] {
            largest = index;
        }
    }
    weights[largest] += (ONE - total) as i16;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_stay_inside() {
        for (len, start, span, outputs) in [
            (4000, 0.0, 4000.0, 1080),
            (100, 0.0, 100.0, 100),
            (10, 2.5, 5.0, 40),
            (1, 0.0, 1.0, 7),
            (33, -0.4, 33.9, 9),
            (7, 0.0, 7.0, 1),
            (5, 4.9, 1.5, 3),
        ] {
            let kernel = Kernel::new(len, start, span, outputs);
            assert_eq!(kernel.outputs(), outputs);
            for output in 0..outputs {
                let (first, weights) = kernel.exact(output);
                let sum: i32 = weights.iter().map(|&w| i32::from(w)).sum();
                assert_eq!(sum, ONE, "{len} {start} {span} {outputs}");
                assert!(kernel.base + first + weights.len() <= len);
            }
        }
    }

    #[test]
    fn same_size_is_the_identity() {
        let kernel = Kernel::new(50, 0.0, 50.0, 50);
        for output in 0..50 {
            let (start, weights) = kernel.exact(output);
            let at = weights.iter().position(|&w| i32::from(w) == ONE).unwrap();
            assert_eq!(start + at, output);
        }
    }

    #[test]
    fn the_short_formula_is_lanczos() {
        let mut values = Vec::new();
        lanczos(-2.89, &Turn::of(PI / 30.0), 59, &mut values);
        for step in -29..=29 {
            let x = f64::from(step) / 10.0 + 0.01;
            let sinc = |v: f64| (PI * v).sin() / (PI * v);
            assert!((values[(step + 29) as usize] - sinc(x) * sinc(x / 3.0)).abs() < 1e-9);
        }
    }
}
