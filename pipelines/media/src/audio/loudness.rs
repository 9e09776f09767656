//! Loudness (EBU R 128): measured, then brought to a target by a gain and a limiter that knows the
//! peaks between the samples. No automatic gain: what was ducked stays ducked.

use std::collections::VecDeque;

use ebur128::{EbuR128, Mode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pcm::gain;

/// What a sound measures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Loudness {
    /// Integrated loudness in LUFS; -70 stands for silence.
    pub lufs: f64,
    /// The highest peak, also between samples, in dBTP.
    pub true_peak: f64,
}

/// Half the window in which the limiter moves, in seconds.
const REACH: f64 = 0.008;
/// No more than this is amplified, in dB: what is nearly silent stays so.
const MOST_GAIN: f64 = 40.0;

/// Measures interleaved samples.
pub(crate) fn measure(samples: &[f32], channels: u32, rate: u32) -> Loudness {
    let silent = Loudness { lufs: -70.0, true_peak: -120.0 };
    let Ok(mut meter) = EbuR128::new(channels, rate, Mode::I | Mode::TRUE_PEAK) else {
        return silent;
    };
    if meter.add_frames_f32(samples).is_err() {
        return silent;
    }
    let lufs = match meter.loudness_global() {
        Ok(lufs) if lufs.is_finite() => lufs,
        _ => brief(samples, channels), // shorter than a window of the meter
    };
    let peaks = (0..channels).filter_map(|channel| meter.true_peak(channel).ok());
    let peak = peaks.fold(1e-6, f64::max);
    Loudness { lufs: lufs.max(-70.0), true_peak: 20.0 * peak.log10() }
}

/// An estimate for what is too short for the meter: its power.
fn brief(samples: &[f32], channels: u32) -> f64 {
    let power: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    let frames = samples.len() as f64 / f64::from(channels.max(1));
    if power <= 0.0 { -70.0 } else { -0.691 + 10.0 * (power / frames).log10() }
}

/// Brings interleaved samples to `target` LUFS with no peak above `ceiling` dBTP.
pub(crate) fn master(
    samples: &mut [f32],
    channels: u32,
    rate: u32,
    target: f64,
    ceiling: f64,
) -> Loudness {
    let mut measured = measure(samples, channels, rate);
    // What the limiter takes away is given back by a little more gain; three rounds settle it.
    for _ in 0..4 {
        let off = target - measured.lufs;
        if measured.lufs <= -69.0 || (off.abs() < 0.1 && measured.true_peak <= ceiling + 0.05) {
            break;
        }
        let factor = gain(off.clamp(-MOST_GAIN, MOST_GAIN));
        samples.iter_mut().for_each(|s| *s *= factor);
        limit(samples, channels as usize, rate, gain(ceiling));
        measured = measure(samples, channels, rate);
    }
    measured
}

/// Holds every peak below `ceiling`: the gain is lowered ahead of each peak and rises after it.
pub(crate) fn limit(samples: &mut [f32], channels: usize, rate: u32, ceiling: f32) {
    let needed: Vec<f32> = peaks(samples, channels)
        .into_iter()
        .map(|peak| if peak > ceiling { ceiling / peak } else { 1.0 })
        .collect();
    if needed.iter().all(|gain| *gain >= 1.0) {
        return;
    }
    let reach = (REACH * f64::from(rate)) as usize;
    let lowest = lowest_within(&needed, reach);
    let mut sum =
        lowest.iter().take(reach).map(|g| f64::from(*g)).sum::<f64>() + reach as f64 + 1.0;
    let at = |n: usize| f64::from(lowest.get(n).copied().unwrap_or(1.0));
    let width = (2 * reach + 1) as f64;
    for (n, frame) in samples.chunks_exact_mut(channels).enumerate() {
        sum += at(n + reach) - if n > reach { at(n - reach - 1) } else { 1.0 };
        let gain = (sum / width).min(1.0) as f32;
        frame.iter_mut().for_each(|s| *s *= gain);
    }
}

/// The lowest value within `reach` on either side of each.
fn lowest_within(values: &[f32], reach: usize) -> Vec<f32> {
    let mut window: VecDeque<usize> = VecDeque::new();
    let mut lowest = Vec::with_capacity(values.len());
    for end in 0..values.len() + reach {
        if let Some(value) = values.get(end) {
            while window.back().is_some_and(|last| values[*last] >= *value) {
                window.pop_back();
            }
            window.push_back(end);
        }
        if end >= reach {
            let n = end - reach;
            while window.front().is_some_and(|first| first + reach < n) {
                window.pop_front();
            }
            lowest.push(window.front().map_or(1.0, |first| values[*first]));
        }
    }
    lowest
}

/// The peak around each frame over all channels, at four times the rate.
fn peaks(samples: &[f32], channels: usize) -> Vec<f32> {
    const TAPS: usize = 12;
    let phases: [[f32; TAPS]; 3] = std::array::from_fn(|phase| {
        let part = (phase + 1) as f64 / 4.0;
        let taps: [f64; TAPS] = std::array::from_fn(|tap| {
            let x = tap as f64 - 5.0 - part;
            let window = 0.5 + 0.5 * (std::f64::consts::PI * x / 6.5).cos();
            (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) * window
        });
        let sum: f64 = taps.iter().sum();
        taps.map(|tap| (tap / sum) as f32)
    });
    let frames = samples.len() / channels.max(1);
    let mut peaks = vec![0.0f32; frames];
    for channel in 0..channels {
        let mut line = vec![0.0; 5];
        line.extend(samples.iter().skip(channel).step_by(channels));
        line.resize(frames + TAPS, 0.0);
        for (n, peak) in peaks.iter_mut().enumerate() {
            let window = &line[n..n + TAPS];
            let own = window[5].abs();
            // Between quiet samples no loud peak hides: the filters gain 2.1 at most.
            if window.iter().fold(0.0f32, |m, s| m.max(s.abs())) * 2.2 > *peak {
                let between = phases
                    .iter()
                    .map(|taps| taps.iter().zip(window).map(|(t, s)| t * s).sum::<f32>().abs());
                *peak = between.fold(peak.max(own), f32::max);
            }
        }
    }
    peaks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seconds: usize) -> Vec<f32> {
        let mut state = 1u32;
        (0..48_000 * seconds * 2)
            .map(|n| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let swell = 0.05 + 0.4 * ((n / 9600) % 7) as f32 / 7.0;
                (state >> 8) as f32 / (1 << 23) as f32 * swell - swell
            })
            .collect()
    }

    #[test]
    fn reaches_the_target_below_the_ceiling() {
        let mut samples = noise(6);
        let made = master(&mut samples, 2, 48_000, -14.0, -1.5);
        assert!((made.lufs + 14.0).abs() < 0.3, "{made:?}");
        assert!(made.true_peak < -1.0, "{made:?}");
    }

    #[test]
    fn a_peak_between_samples_is_limited() {
        // A tone at a quarter of the rate, sampled off its crests: 3 dB hide between the samples.
        let mut samples: Vec<f32> = (0..48_000)
            .map(|n| {
                1.2 * (std::f32::consts::FRAC_PI_2 * n as f32 + std::f32::consts::FRAC_PI_4).sin()
            })
            .collect();
        limit(&mut samples, 1, 48_000, gain(-1.0));
        let peak = measure(&samples[4800..43_200], 1, 48_000).true_peak;
        assert!((-1.6..-0.8).contains(&peak), "{peak}");
    }

    #[test]
    fn silence_stays_silence() {
        let mut samples = vec![0.0; 96_000];
        assert_eq!(master(&mut samples, 2, 48_000, -14.0, -1.0).lufs, -70.0);
        assert!(samples.iter().all(|s| *s == 0.0));
    }
}
