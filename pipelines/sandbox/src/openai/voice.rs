//! Real audio: spoken by espeak-ng where it is installed, a tone of the right length elsewhere.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::core::http::Reply;

/// Something to be spoken.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(super) text: String,
    pub(super) speed: f64,
    /// Bare samples instead of a WAV file.
    pub(super) pcm: bool,
    pub(super) language: Option<String>,
    /// Headers that were set before.
    pub(super) head: Vec<(String, String)>,
}

/// §3.2 of the facts on media: `pcm` is 24 kHz, 16 bits, mono.
const RATE: u32 = 24_000;

/// The answer to a script; the header `x-sandbox-voice` says who spoke.
pub(crate) async fn speak(script: Script) -> Reply {
    let (voice, samples) = match espeak(&script).await {
        Some(samples) => ("espeak-ng", samples),
        None => ("tone", tone(&script)),
    };
    let (kind, body) = match script.pcm {
        true => ("audio/pcm", samples),
        false => ("audio/wav", wav(&samples)),
    };
    let mut reply = Reply::bytes(200, kind, body).with("x-sandbox-voice", voice);
    for (name, value) in &script.head {
        if name != "content-type" {
            reply = reply.with(name, value);
        }
    }
    reply
}

/// 175 words a minute is its normal speed.
async fn espeak(script: &Script) -> Option<Vec<u8>> {
    let mut command = Command::new("espeak-ng");
    command.args(["--stdin", "--stdout", "-s"]).arg(((175.0 * script.speed) as u32).to_string());
    if let Some(language) = &script.language
        && language.len() <= 16
        && language.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    {
        command.arg("-v").arg(language);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().ok()?;
    let mut input = child.stdin.take()?;
    let text = script.text.clone();
    let told = tokio::spawn(async move { input.write_all(text.as_bytes()).await });
    let output = tokio::time::timeout(Duration::from_secs(20), child.wait_with_output()).await;
    let output = output.ok()?.ok()?;
    told.await.ok()?.ok()?;
    let (rate, samples) = parse(&output.stdout)?;
    (!samples.is_empty()).then(|| resample(samples, rate))
}

/// Sample rate and samples of a 16-bit mono WAV; its lengths may be bogus when it was streamed.
fn parse(wav: &[u8]) -> Option<(u32, &[u8])> {
    if wav.get(..4)? != b"RIFF" || wav.get(8..12)? != b"WAVE" {
        return None;
    }
    let word =
        |at: usize| wav.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let (mut at, mut rate) = (12, None);
    loop {
        let (name, length) = (wav.get(at..at + 4)?, word(at + 4)?);
        match name {
            b"fmt " => rate = word(at + 12),
            b"data" => {
                let rest = wav.get(at + 8..)?;
                let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
                return Some((rate?, &rest[..length - length % 2]));
            }
            _ => {}
        }
        at = at.checked_add(8)?.checked_add(usize::try_from(length).ok()?)?;
    }
}

/// To 24 kHz, in straight lines between samples.
fn resample(samples: &[u8], rate: u32) -> Vec<u8> {
    let source: Vec<f32> =
        samples.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]]))).collect();
    let step = f64::from(rate) / f64::from(RATE);
    let count = (source.len() as f64 / step) as usize;
    let mut out = Vec::with_capacity(count * 2);
    for n in 0..count {
        let at = n as f64 * step;
        let (index, part) = (at as usize, at.fract() as f32);
        let here = source[index];
        let next = source.get(index + 1).copied().unwrap_or(here);
        out.extend_from_slice(&((here + (next - here) * part) as i16).to_le_bytes());
    }
    out
}

/// A quiet tone, a pitch for each word, as long as the words would take.
fn tone(script: &Script) -> Vec<u8> {
    let mut out = Vec::new();
    for word in script.text.split_whitespace() {
        let seconds = (0.08 + 0.06 * word.chars().count() as f64) / script.speed;
        let samples = (seconds * f64::from(RATE)) as u32;
        let pitch = 140.0 + f64::from(word.bytes().fold(0u8, u8::wrapping_add));
        for n in 0..samples {
            let turn = f64::from(n) / f64::from(RATE) * pitch * std::f64::consts::TAU;
            let edge = f64::from(n.min(samples - n)).min(400.0) / 400.0;
            out.extend_from_slice(&((turn.sin() * edge * 6000.0) as i16).to_le_bytes());
        }
        out.extend(std::iter::repeat_n(0u8, 2 * 1200));
    }
    out
}

fn wav(samples: &[u8]) -> Vec<u8> {
    let length = u32::try_from(samples.len()).unwrap_or(u32::MAX - 36);
    let mut out = Vec::with_capacity(samples.len() + 44);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&(length + 36).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt ");
    out.extend_from_slice(&16u32.to_le_bytes());
    out.extend_from_slice(&1u16.to_le_bytes()); // PCM
    out.extend_from_slice(&1u16.to_le_bytes()); // mono
    out.extend_from_slice(&RATE.to_le_bytes());
    out.extend_from_slice(&(RATE * 2).to_le_bytes());
    out.extend_from_slice(&2u16.to_le_bytes());
    out.extend_from_slice(&16u16.to_le_bytes());
    out.extend_from_slice(b"data");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(samples);
    out
}

/// How long a WAV file lasts; of anything else: as if it had 16 kB a second.
pub(super) fn seconds(file: &[u8]) -> f64 {
    match parse(file) {
        Some((rate, samples)) => samples.len() as f64 / 2.0 / f64::from(rate.max(1)),
        None => file.len() as f64 / 16_000.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wav_says_how_long_it_is() {
        let one_second = vec![0; RATE as usize * 2];
        let file = wav(&one_second);
        assert_eq!(seconds(&file), 1.0);
        let (rate, samples) = parse(&file).unwrap();
        assert_eq!(resample(samples, rate).len(), samples.len());
        assert_eq!(resample(samples, 48_000).len(), samples.len() / 2);
        assert!(parse(b"RIFF").is_none() && parse(&file[..30]).is_none());
    }
}
