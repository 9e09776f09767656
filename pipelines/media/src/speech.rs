//! Utterances with their sound become one speech: trimmed, joined without clicks, its words timed,
//! at one loudness.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::align::align;
use crate::audio::pcm::{gain, resample, soften, sounding};
use crate::audio::{AudioFormat, Loudness, Mono, codec, loudness};
use crate::child::Stop;
use crate::error::MediaError;
use crate::text::{SENTENCE_PAUSE, Utterance, Word};
use crate::tools::Tools;
use crate::voice::{Espeak, Spoken, Timing};

/// Loudness of speech alone, one channel.
pub const SPEECH_LUFS: f64 = -16.0;
/// No peak is above this: the promise is -1, and meters differ by a little.
const PEAK: f64 = -1.2;
/// What is aimed at first: coding adds a little.
const CEILING: f64 = -1.5;
/// What is kept of the silence before and after an utterance, in seconds.
const LEAD: f64 = 0.02;
const TAIL: f64 = 0.05;

/// One word and when it is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimedWord {
    /// As written.
    pub word: String,
    /// When it begins, in seconds.
    pub start: f64,
    /// When it ends, in seconds.
    pub end: f64,
    /// No space stands before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub glued: bool,
}

/// A text as sound.
#[derive(Clone, Debug)]
pub struct Speech {
    /// The sound.
    pub sound: Mono,
    /// Its words, in order.
    pub words: Vec<TimedWord>,
    /// The least sure of the ways in which they were timed.
    pub timing: Timing,
}

/// Sees to it that every word has a time: the voice's own, else by alignment with `local`, else in
/// proportion to the letters.
#[must_use]
pub fn timed(
    mut spoken: Spoken,
    utterance: &Utterance,
    local: Option<&Espeak>,
    stop: &Stop,
) -> Spoken {
    if spoken.starts.as_ref().is_some_and(|starts| starts.len() == utterance.words.len()) {
        return spoken;
    }
    let most = 2.0 * spoken.sound.seconds() + 5.0;
    let reference = local.and_then(|local| local.say(utterance, most, stop).ok());
    let aligned =
        reference.and_then(|reference| align(&reference.sound, &reference.starts?, &spoken.sound));
    spoken.timing = if aligned.is_some() { Timing::Aligned } else { Timing::Proportional };
    spoken.starts = Some(aligned.unwrap_or_else(|| proportional(&utterance.words, &spoken.sound)));
    spoken
}

/// Letters, and a pause after punctuation, share the time that sounds.
fn proportional(words: &[Word], sound: &Mono) -> Vec<f64> {
    let weight = |word: &Word| {
        let pause = match word.spoken.chars().next_back() {
            Some('.' | '!' | '?' | '。') => 6.0,
            Some(',' | ';' | ':' | '、') => 3.0,
            _ => 0.6,
        };
        word.spoken.chars().count() as f64 + pause
    };
    let range = sounding(&sound.samples, sound.rate, 0.0, 0.0);
    let seconds = |at: usize| at as f64 / f64::from(sound.rate.max(1));
    let last = words.last().map_or(0.0, |w| weight(w) - w.spoken.chars().count() as f64);
    let total = (words.iter().map(weight).sum::<f64>() - last).max(1.0);
    let mut before = 0.0;
    let start = |word| {
        let at = seconds(range.start) + seconds(range.len()) * before / total;
        before += weight(word);
        at
    };
    words.iter().map(start).collect()
}

/// Joins utterances and their sound, in order.
#[must_use]
pub fn assemble(parts: &[(Utterance, Spoken)]) -> Speech {
    let rate = parts.first().map_or(22_050, |(_, spoken)| spoken.sound.rate);
    let mut speech = Speech {
        sound: Mono { rate, samples: Vec::new() },
        words: Vec::new(),
        timing: Timing::Events,
    };
    for (index, (utterance, spoken)) in parts.iter().enumerate() {
        let mut samples = spoken.at_rate(rate);
        let range = sounding(&samples, rate, LEAD, TAIL);
        let offset = speech.sound.seconds() - range.start as f64 / f64::from(rate);
        let samples = &mut samples[range];
        soften(samples, rate, 0.004);
        let factor = gain(f64::from(utterance.prosody.gain));
        speech.sound.samples.extend(samples.iter().map(|s| s * factor));
        let end = speech.sound.seconds();
        push_words(&mut speech.words, utterance, spoken, offset, (end - TAIL).max(0.0));
        speech.timing = speech.timing.max(spoken.timing);
        if index + 1 < parts.len() {
            let pause =
                if utterance.pause_ms == 0 { SENTENCE_PAUSE / 3 } else { utterance.pause_ms };
            let pause = u64::from(pause) * u64::from(rate) / 1000;
            let length = speech.sound.samples.len() + pause as usize;
            speech.sound.samples.resize(length, 0.0);
        }
    }
    speech
}

fn push_words(
    words: &mut Vec<TimedWord>,
    utterance: &Utterance,
    spoken: &Spoken,
    offset: f64,
    end: f64,
) {
    let floor = words.last().map_or(0.0, |last: &TimedWord| last.end);
    let millis = |time: f64| (time * 1000.0).round() / 1000.0;
    let start_of = |n: usize| {
        let start = spoken.starts.as_ref().and_then(|starts| starts.get(n)).copied();
        start.map_or(end, |start| millis((start + offset).clamp(floor, end.max(floor))))
    };
    for (n, word) in utterance.words.iter().enumerate() {
        let until = if n + 1 < utterance.words.len() { start_of(n + 1) } else { millis(end) };
        let start = start_of(n);
        let (word, glued) = (word.shown.clone(), word.glued);
        words.push(TimedWord { word, start, end: until.max(start), glued });
    }
}

impl Speech {
    /// The sound at another rate.
    #[must_use]
    pub fn at_rate(&self, rate: u32) -> Vec<f32> {
        resample(&self.sound.samples, self.sound.rate, rate)
    }

    /// Brings it to [`SPEECH_LUFS`] and encodes it.
    ///
    /// # Errors
    /// When ffmpeg is needed and missing or fails.
    pub fn encode(
        &mut self,
        format: AudioFormat,
        tools: &Tools,
        stop: &Stop,
    ) -> Result<(Vec<u8>, Loudness), MediaError> {
        let (original, rate) = (self.sound.samples.clone(), self.sound.rate);
        let mut ceiling = CEILING;
        loop {
            self.sound.samples.clone_from(&original);
            let samples = &mut self.sound.samples;
            let measured = loudness::master(samples, 1, rate, SPEECH_LUFS, ceiling);
            let bytes = codec::encode(samples, rate, 1, format, tools, stop)?;
            if format == AudioFormat::Wav || ceiling < CEILING - 3.0 {
                return Ok((bytes, measured));
            }
            let coded = codec::decode(&bytes, self.sound.seconds() + 1.0, tools, stop)?;
            // ffmpeg spreads one channel over two at -3 dB.
            let peak = loudness::measure(&coded, 2, codec::RATE).true_peak + 3.01;
            if peak <= PEAK {
                return Ok((bytes, measured));
            }
            ceiling -= peak - PEAK + 0.2; // coding raised a peak above the promise
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::utterances;

    fn spoken(count: usize, starts: Vec<f64>) -> Spoken {
        let mut samples = vec![0.0; count + 2000];
        for n in 0..count {
            samples[1000 + n] = 0.3 * ((n + 1).min(count - n) as f32 / 100.0).min(1.0);
        }
        let (sound, starts) = (Mono { rate: 10_000, samples }, Some(starts));
        Spoken { sound, starts, timing: Timing::Events }
    }

    #[test]
    fn parts_are_joined_and_their_words_move_along() {
        let mut said = utterances("One two.", false, "en", 100).unwrap();
        said.extend(utterances("Three four.", false, "en", 100).unwrap());
        let sounds = [spoken(5000, vec![0.1, 0.4]), spoken(4000, vec![0.1, 0.3])];
        let parts: Vec<_> = said.into_iter().zip(sounds).collect();
        let speech = assemble(&parts);
        let starts: Vec<f64> = speech.words.iter().map(|w| w.start).collect();
        // 20 ms of lead stay, 80 ms go; then 0.5 s, 50 ms of tail, 180 ms of pause, 20 ms of lead.
        assert_eq!(starts, [0.02, 0.32, 0.77, 0.97]);
        assert!(speech.sound.samples.windows(2).all(|w| (w[1] - w[0]).abs() < 0.01), "no click");
        assert_eq!(Spoken::from_bytes(&parts[0].1.to_bytes()).unwrap().starts, parts[0].1.starts);
    }

    #[test]
    fn without_times_letters_share_the_sound() {
        let said = utterances("Go immediately, now.", false, "en", 100).unwrap();
        let sound = spoken(5000, Vec::new()).sound;
        let starts = proportional(&said[0].words, &sound);
        assert!((starts[0] - 0.1).abs() < 1e-6 && starts[1] > starts[0] && starts[2] < 0.6);
    }
}
