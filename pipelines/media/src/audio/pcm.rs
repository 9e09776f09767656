//! Samples: resampling, silence, soft edges.

use std::f64::consts::PI;
use std::ops::Range;

/// Zero crossings of the sinc on each side.
const REACH: usize = 16;
/// Below this share of the peak it is silence (-46 dB).
const SILENCE: f32 = 0.005;

/// Changes the sample rate with a windowed sinc.
pub(crate) fn resample(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    if from == to || samples.is_empty() || from == 0 || to == 0 {
        return samples.to_vec();
    }
    let divisor = gcd(from, to);
    let (up, down) = ((to / divisor) as usize, (from / divisor) as usize);
    let cutoff = (f64::from(to) / f64::from(from)).min(1.0) * 0.96;
    let reach = (REACH as f64 / cutoff).ceil() as usize;
    let width = 2 * reach;
    let kernels: Vec<f32> = (0..up)
        .flat_map(|phase| {
            let part = phase as f64 / up as f64;
            (0..width).map(move |tap| kernel(tap as f64 - (reach - 1) as f64 - part, cutoff, reach))
        })
        .collect();
    let mut padded = vec![0.0; reach];
    padded.extend_from_slice(samples);
    padded.resize(padded.len() + width, 0.0);
    let count = (samples.len() * up).div_ceil(down);
    (0..count)
        .map(|n| {
            let at = n * down;
            let (whole, phase) = (at / up, at % up);
            let window = &padded[whole + 1..whole + 1 + width];
            let kernel = &kernels[phase * width..(phase + 1) * width];
            window.iter().zip(kernel).map(|(s, k)| s * k).sum()
        })
        .collect()
}

fn kernel(x: f64, cutoff: f64, reach: usize) -> f32 {
    let along = x / reach as f64;
    if along.abs() >= 1.0 {
        return 0.0;
    }
    let sinc = if x.abs() < 1e-9 { 1.0 } else { (PI * x * cutoff).sin() / (PI * x * cutoff) };
    let window = 0.42 + 0.5 * (PI * along).cos() + 0.08 * (2.0 * PI * along).cos();
    (sinc * window * cutoff) as f32
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The part that is not silence, with `lead` and `tail` seconds around it; empty: all is silence.
pub(crate) fn sounding(samples: &[f32], rate: u32, lead: f64, tail: f64) -> Range<usize> {
    let peak = samples.iter().fold(0.0f32, |peak, s| peak.max(s.abs()));
    let least = (peak * SILENCE).max(1e-4);
    let loud = |s: &f32| s.abs() > least;
    let Some(first) = samples.iter().position(loud) else { return 0..0 };
    let last = samples.iter().rposition(loud).unwrap_or(first);
    let of = |seconds: f64| (seconds * f64::from(rate)) as usize;
    first.saturating_sub(of(lead))..(last + 1 + of(tail)).min(samples.len())
}

/// Fades the first and last `seconds` so that no edge clicks.
pub(crate) fn soften(samples: &mut [f32], rate: u32, seconds: f64) {
    let count = ((seconds * f64::from(rate)) as usize).min(samples.len() / 2);
    let last = samples.len().saturating_sub(1);
    for n in 0..count {
        let gain = 0.5 - 0.5 * (std::f32::consts::PI * n as f32 / count as f32).cos();
        samples[n] *= gain;
        samples[last - n] *= gain;
    }
}

/// A factor for `db`.
pub(crate) fn gain(db: f64) -> f32 {
    10f64.powf(db / 20.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, hertz: f64, count: usize) -> Vec<f32> {
        (0..count).map(|n| (2.0 * PI * hertz * n as f64 / f64::from(rate)).sin() as f32).collect()
    }

    #[test]
    fn a_tone_survives_resampling() {
        for (from, to) in [(22_050, 48_000), (16_000, 48_000), (48_000, 22_050), (44_100, 48_000)] {
            let made = resample(&tone(from, 1000.0, from as usize), from, to);
            let wanted = tone(to, 1000.0, made.len());
            assert!((made.len() as i64 - i64::from(to)).abs() <= 1);
            let middle = 2000..made.len() - 2000;
            let worst = middle.map(|n| (made[n] - wanted[n]).abs()).fold(0.0, f32::max);
            assert!(worst < 0.01, "{from} to {to}: {worst}");
        }
    }

    #[test]
    fn silence_is_found_and_edges_fade() {
        let mut samples = vec![0.0; 3000];
        samples[1000..2000].fill(0.5);
        assert_eq!(sounding(&samples, 1000, 0.1, 0.2), 900..2200);
        assert!(sounding(&[0.0; 10], 1000, 0.1, 0.1).is_empty());
        soften(&mut samples[1000..2000], 1000, 0.01);
        assert!(samples[1000] < 0.01 && samples[1999] < 0.01 && samples[1500] == 0.5);
    }
}
