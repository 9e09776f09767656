//! The sound of a video: speech where it belongs, music below it that makes room while it speaks.

use super::loudness::measure;
use super::pcm::gain;

/// Samples per second of everything that is mixed.
pub(crate) const RATE: u32 = 48_000;
/// One step of the envelope: 5 ms.
const STEP: usize = 240;

/// How music lies below speech, in dB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bed {
    /// Its loudness against the speech, where nobody speaks.
    pub(crate) level: f64,
    /// How far it goes down while somebody speaks.
    pub(crate) duck: f64,
    /// Seconds of fade at both ends.
    pub(crate) fade: f64,
}

/// Adds mono speech to stereo `into`, beginning at `second`.
pub(crate) fn place(into: &mut [f32], speech: &[f32], second: f64) {
    let at = (second.max(0.0) * f64::from(RATE)).round() as usize * 2;
    let Some(into) = into.get_mut(at..) else { return };
    for (frame, sample) in into.chunks_exact_mut(2).zip(speech) {
        frame[0] += sample;
        frame[1] += sample;
    }
}

/// Lays stereo `music` below stereo `voice`, repeated where it is shorter.
pub(crate) fn lay(voice: &mut [f32], music: &[f32], bed: Bed) {
    if music.len() < 2 {
        return;
    }
    let speech = measure(voice, 2, RATE).lufs;
    let reference = if speech <= -69.0 { -20.0 } else { speech };
    let level = gain(reference + bed.level - measure(music, 2, RATE).lufs);
    let ducking = if speech <= -69.0 { Vec::new() } else { envelope(voice, bed.duck) };
    let frames = voice.len() / 2;
    let fade = (bed.fade * f64::from(RATE)).max(1.0);
    for (n, frame) in voice.chunks_exact_mut(2).enumerate() {
        let edge = (n.min(frames - n) as f64 / fade).min(1.0) as f32;
        let (step, part) = (n / STEP, (n % STEP) as f32 / STEP as f32);
        let here = ducking.get(step).copied().unwrap_or(1.0);
        let next = ducking.get(step + 1).copied().unwrap_or(here);
        let factor = level * edge * (here + (next - here) * part);
        let at = (n * 2) % (music.len() / 2 * 2);
        frame[0] += music[at] * factor;
        frame[1] += music[at + 1] * factor;
    }
}

/// The gain of the music at each step: down within 60 ms, a little before the voice begins; held
/// for 300 ms, up within 400 ms.
fn envelope(voice: &[f32], duck: f64) -> Vec<f32> {
    const AHEAD: usize = 16;
    const HOLD: usize = 60;
    let power = |step: &[f32]| step.iter().map(|s| s * s).sum::<f32>() / step.len() as f32;
    let powers: Vec<f32> = voice.chunks(STEP * 2).map(power).collect();
    let loud = powers.iter().copied().fold(0.0, f32::max) * 1e-3; // 30 dB below the loudest step
    let low = gain(-duck.abs());
    let (mut gains, mut now, mut held) = (Vec::with_capacity(powers.len()), 1.0f32, 0);
    for step in 0..powers.len() {
        let speaks = powers.get(step + AHEAD).is_some_and(|p| *p > loud) || powers[step] > loud;
        held = if speaks { HOLD } else { held.saturating_sub(1) };
        let (to, steps) = if held > 0 { (low, 12.0) } else { (1.0, 80.0) };
        let pace = (1.0 - low) / steps;
        now = if to < now { (now - pace).max(to) } else { (now + pace).min(to) };
        gains.push(now);
    }
    gains
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn music_goes_down_under_speech_and_comes_back() {
        let tone = |n: usize, step: f32| (n as f32 * step).sin() * 0.3;
        let mut voice = vec![0.0; 48_000 * 2 * 4];
        let speech: Vec<f32> = (0..48_000).map(|n| tone(n, 0.05)).collect();
        place(&mut voice, &speech, 1.0);
        let alone = voice.clone();
        let music: Vec<f32> = (0..48_000).map(|n| tone(n, 0.2)).collect();
        lay(&mut voice, &music, Bed { level: -10.0, duck: 10.0, fade: 0.1 });
        let level = |from: usize, to: usize| {
            let part = (from * 2..to * 2).map(|n| (voice[n] - alone[n]).powi(2));
            10.0 * (part.sum::<f32>() / (to - from) as f32).log10()
        };
        let (under, after) = (level(60_000, 90_000), level(160_000, 180_000));
        assert!((after - under - 10.0).abs() < 1.0, "{under} {after}");
    }
}
