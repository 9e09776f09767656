//! When words begin in somebody else's reading: dynamic time warping of its spectrum against a
//! local reading of the same text whose word times are known.

use std::f32::consts::PI;

use crate::audio::Mono;
use crate::audio::pcm::{resample, sounding};

/// Both readings are compared at this rate.
const RATE: u32 = 16_000;
/// 10 ms.
const HOP: usize = 160;
/// 25 ms.
const WINDOW: usize = 400;
const FFT: usize = 512;
const BANDS: usize = 26;
const DIMENSIONS: usize = 13;
/// How far the readings may drift apart, as a part of the length.
const DRIFT: f64 = 0.12;
/// Longer readings (10 minutes) would take too much memory; utterances are far shorter.
const MAX_FRAMES: usize = 60_000;

type Frame = [f32; DIMENSIONS];

/// The times in `target` of `starts` in `reference`, both in seconds. `None`: one of them is
/// silent, or too long.
pub(crate) fn align(reference: &Mono, starts: &[f64], target: &Mono) -> Option<Vec<f64>> {
    let (known, known_from) = voiced(reference)?;
    let (asked, asked_from) = voiced(target)?;
    let path = warp(&features(&known), &features(&asked))?;
    let hop = HOP as f64 / f64::from(RATE);
    let mut times: Vec<f64> = Vec::with_capacity(starts.len());
    for start in starts {
        let at = ((start - known_from) / hop).max(0.0);
        let frame = (at as usize).min(path.len() - 1);
        let next = path[(frame + 1).min(path.len() - 1)];
        let part = (at - frame as f64).clamp(0.0, 1.0) as f32;
        let there = path[frame] + (next - path[frame]) * part;
        let time = asked_from + f64::from(there) * hop;
        times.push(times.last().map_or(time, |last| time.max(*last)));
    }
    Some(times)
}

/// The part that sounds, at the common rate, and where it begins in seconds.
fn voiced(sound: &Mono) -> Option<(Vec<f32>, f64)> {
    let range = sounding(&sound.samples, sound.rate, 0.0, 0.0);
    let from = range.start as f64 / f64::from(sound.rate);
    let samples = resample(&sound.samples[range], sound.rate, RATE);
    (samples.len() > WINDOW * 2).then_some((samples, from))
}

/// Mel-frequency cepstra, each dimension with mean 0 and deviation 1.
fn features(samples: &[f32]) -> Vec<Frame> {
    let window: Vec<f32> = (0..WINDOW)
        .map(|n| 0.54 - 0.46 * (2.0 * PI * n as f32 / (WINDOW - 1) as f32).cos())
        .collect();
    let edges = mel_edges();
    let mut padded = vec![0.0; WINDOW / 2];
    padded.extend(samples);
    padded.resize(padded.len() + WINDOW / 2, 0.0);
    let mut frames: Vec<Frame> = (0..padded.len().saturating_sub(WINDOW) / HOP)
        .map(|n| {
            let part = &padded[n * HOP..n * HOP + WINDOW];
            let mut real = [0.0; FFT];
            for (index, value) in real.iter_mut().take(WINDOW).enumerate() {
                let before = if index == 0 { 0.0 } else { part[index - 1] };
                *value = (part[index] - 0.97 * before) * window[index];
            }
            cepstrum(&bands(&spectrum(real), &edges))
        })
        .collect();
    for dimension in 0..DIMENSIONS {
        let count = frames.len().max(1) as f32;
        let mean = frames.iter().map(|f| f[dimension]).sum::<f32>() / count;
        let spread = frames.iter().map(|f| (f[dimension] - mean).powi(2)).sum::<f32>() / count;
        let scale = 1.0 / spread.sqrt().max(1e-3);
        frames.iter_mut().for_each(|f| f[dimension] = (f[dimension] - mean) * scale);
    }
    frames
}

fn mel_edges() -> [usize; BANDS + 2] {
    let mel = |hertz: f32| 2595.0 * (1.0 + hertz / 700.0).log10();
    let (low, high) = (mel(100.0), mel(7600.0));
    std::array::from_fn(|n| {
        let here = low + (high - low) * n as f32 / (BANDS + 1) as f32;
        let hertz = 700.0 * (10f32.powf(here / 2595.0) - 1.0);
        (hertz * FFT as f32 / RATE as f32).round() as usize
    })
}

/// Power of each frequency: a radix-2 transform.
fn spectrum(mut real: [f32; FFT]) -> [f32; FFT / 2 + 1] {
    let mut imaginary = [0.0f32; FFT];
    let bits = FFT.trailing_zeros();
    for n in 0..FFT {
        let other = n.reverse_bits() >> (usize::BITS - bits);
        if other > n {
            real.swap(n, other);
        }
    }
    let mut size = 2;
    while size <= FFT {
        let half = size / 2;
        for k in 0..half {
            let (sin, cos) = (-2.0 * PI * k as f32 / size as f32).sin_cos();
            for start in (0..FFT).step_by(size) {
                let (a, b) = (start + k, start + k + half);
                let (re, im) =
                    (real[b] * cos - imaginary[b] * sin, real[b] * sin + imaginary[b] * cos);
                (real[b], imaginary[b]) = (real[a] - re, imaginary[a] - im);
                (real[a], imaginary[a]) = (real[a] + re, imaginary[a] + im);
            }
        }
        size *= 2;
    }
    std::array::from_fn(|n| real[n].powi(2) + imaginary[n].powi(2))
}

fn bands(power: &[f32], edges: &[usize; BANDS + 2]) -> [f32; BANDS] {
    std::array::from_fn(|band| {
        let (low, middle, high) =
            (edges[band], edges[band + 1], edges[band + 2].max(edges[band] + 2));
        let sum: f32 = (low..high.min(power.len()))
            .map(|n| {
                let weight = if n <= middle {
                    (n - low + 1) as f32 / (middle - low + 1) as f32
                } else {
                    (high - n) as f32 / (high - middle).max(1) as f32
                };
                power[n] * weight
            })
            .sum();
        (sum + 1e-6).ln()
    })
}

fn cepstrum(bands: &[f32; BANDS]) -> Frame {
    std::array::from_fn(|n| {
        let part = |(band, value): (usize, &f32)| {
            value * (PI * n as f32 * (band as f32 + 0.5) / BANDS as f32).cos()
        };
        bands.iter().enumerate().map(part).sum()
    })
}

/// For each frame of `known` its place in `asked`, along the cheapest path within the drift.
fn warp(known: &[Frame], asked: &[Frame]) -> Option<Vec<f32>> {
    let (rows, columns) = (known.len(), asked.len());
    if rows < 2 || columns < 2 || rows > MAX_FRAMES || columns > MAX_FRAMES {
        return None;
    }
    let slope = columns as f64 / rows as f64;
    let band = ((columns as f64 * DRIFT) as usize).max(30);
    let width = 2 * band + 1;
    let first = |row: usize| ((row as f64 * slope) as usize).saturating_sub(band);
    let distance =
        |a: &Frame, b: &Frame| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    let mut steps = vec![0u8; rows * width]; // 0: both moved, 1: known moved, 2: asked moved
    let mut before = vec![f32::INFINITY; width];
    let mut here = vec![f32::INFINITY; width];
    for row in 0..rows {
        let shift = if row == 0 { 0 } else { first(row) - first(row - 1) };
        here.fill(f32::INFINITY);
        for cell in 0..width.min(columns.saturating_sub(first(row))) {
            let cost = distance(&known[row], &asked[first(row) + cell]);
            if row == 0 && cell == 0 {
                here[0] = cost;
                continue;
            }
            let from = |index: Option<usize>| {
                index
                    .and_then(|i| before.get(i))
                    .copied()
                    .filter(|_| row > 0)
                    .unwrap_or(f32::INFINITY)
            };
            let both = from((cell + shift).checked_sub(1));
            let up = from(Some(cell + shift)) + cost * 0.2;
            let left = if cell == 0 { f32::INFINITY } else { here[cell - 1] + cost * 0.2 };
            let (best, step) = if both <= up && both <= left {
                (both, 0)
            } else if up <= left {
                (up, 1)
            } else {
                (left, 2)
            };
            here[cell] = best + cost;
            steps[row * width + cell] = step;
        }
        std::mem::swap(&mut before, &mut here);
    }
    let mut path = vec![0.0; rows];
    let (mut row, mut column, mut met) = (rows - 1, columns - 1, Vec::new());
    loop {
        met.push(column);
        let cell = column.checked_sub(first(row)).filter(|cell| *cell < width)?;
        let step = steps[row * width + cell];
        if step != 2 || (row == 0 && column == 0) {
            // Where a frame of `known` lies on several of `asked`: the first of them it began in.
            path[row] = met.last().copied().unwrap_or(column) as f32;
            met.clear();
        }
        match step {
            _ if row == 0 && column == 0 => return Some(path),
            0 => (row, column) = (row.checked_sub(1)?, column.checked_sub(1)?),
            1 => row = row.checked_sub(1)?,
            _ => column = column.checked_sub(1)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stretches of tones, each with its own pitch.
    fn tones(lengths: &[usize]) -> Mono {
        let mut samples = Vec::new();
        for (index, length) in lengths.iter().enumerate() {
            let step = 0.08 + 0.09 * ((index * 7) % 5) as f32;
            samples
                .extend((0..*length).map(|n| {
                    0.4 * (n as f32 * step).sin() * (1.0 + (n as f32 * step * 2.0).cos())
                }));
        }
        Mono { rate: RATE, samples }
    }

    #[test]
    fn another_pace_is_followed() {
        let reference = tones(&[4000, 6000, 3000, 5000, 4000]);
        let target = tones(&[5000, 5600, 3600, 5500, 4400]);
        let seconds = |samples: usize| samples as f64 / f64::from(RATE);
        let starts = [0, 4000, 10_000, 13_000, 18_000].map(seconds);
        let wanted = [0, 5000, 10_600, 14_200, 19_700].map(seconds);
        let found = align(&reference, &starts, &target).unwrap();
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found - wanted).abs() < 0.025, "{found} {wanted}");
        }
    }

    #[test]
    fn silence_cannot_be_aligned() {
        let silent = Mono { rate: RATE, samples: vec![0.0; 16_000] };
        assert!(align(&tones(&[16_000]), &[0.0], &silent).is_none());
    }
}
