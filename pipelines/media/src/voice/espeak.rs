//! espeak-ng: the local voice with all languages, in a process of its own.

use async_trait::async_trait;

use super::helper::{Answer, Mark, Request};
use super::{Spoken, Timing, Voice, blocking};
use crate::audio::{Mono, read_wav};
use crate::child::{Stop, run};
use crate::error::MediaError;
use crate::text::{Prosody, Utterance};
use crate::tools::Tools;

/// Words per minute at speed 1.
const WORDS_PER_MINUTE: f32 = 165.0;
/// espeak-ng speaks at this rate.
const RATE: f64 = 22_050.0;

/// A voice of espeak-ng.
#[derive(Clone, Debug)]
pub struct Espeak {
    tools: Tools,
    voice: String,
    prosody: Prosody,
}

impl Espeak {
    /// `voice` as in `en-us` or `de+f3`; `prosody` is the voice's own way.
    ///
    /// # Errors
    /// [`MediaError::Invalid`] when `voice` is not such a name.
    pub fn new(tools: &Tools, voice: &str, prosody: Prosody) -> Result<Self, MediaError> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+');
        if voice.is_empty()
            || voice.len() > 40
            || voice.starts_with('-')
            || !voice.chars().all(good)
        {
            let problem = format!("\"{voice}\" is not a voice of espeak-ng, such as \"en-us\"");
            return Err(MediaError::invalid("voice", problem));
        }
        Ok(Self { tools: tools.clone(), voice: voice.to_owned(), prosody })
    }

    fn request(&self, utterance: &Utterance, max_seconds: f64) -> Request {
        let rate = WORDS_PER_MINUTE * self.prosody.rate * utterance.prosody.rate;
        let pitch = 50.0 * self.prosody.pitch * utterance.prosody.pitch;
        Request {
            text: utterance.text(),
            voice: self.voice.clone(),
            rate: rate.round().clamp(80.0, 450.0) as u16,
            pitch: pitch.round().clamp(0.0, 99.0) as u8,
            max_samples: (max_seconds * RATE) as usize,
        }
    }

    /// With word times, by the helper.
    fn with_words(
        &self,
        request: &Request,
        utterance: &Utterance,
        stop: &Stop,
    ) -> Result<Spoken, MediaError> {
        let helper = &self.tools.espeak_words;
        let broken = |what: &str| MediaError::Child {
            program: helper.name.to_string_lossy().into_owned(),
            status: what.to_owned(),
            stderr: String::new(),
        };
        let mut line = serde_json::to_vec(request).map_err(|e| broken(&e.to_string()))?;
        line.push(b'\n');
        let max = request.max_samples as u64 * 2 + (1 << 20);
        let said = run::<&str>(helper, &[], line, max, stop)?;
        let end = said.iter().position(|b| *b == b'\n').ok_or_else(|| broken("no answer"))?;
        let answer: Answer =
            serde_json::from_slice(&said[..end]).map_err(|e| broken(&e.to_string()))?;
        let samples = crate::audio::pcm_of(&said[end + 1..]);
        if samples.len() != answer.samples {
            return Err(broken("its answer was cut short"));
        }
        let sound = Mono { rate: answer.rate, samples };
        let starts = Some(starts(utterance, &answer.marks, sound.seconds()));
        Ok(Spoken { sound, starts, timing: Timing::Events })
    }

    /// Without, by the program itself.
    fn plainly(&self, request: &Request, stop: &Stop) -> Result<Spoken, MediaError> {
        let (rate, pitch) = (request.rate.to_string(), request.pitch.to_string());
        let args =
            ["-v", &request.voice, "-s", &rate, "-p", &pitch, "-b", "1", "--stdin", "--stdout"];
        let max = request.max_samples as u64 * 2 + 4096;
        let text = request.text.clone().into_bytes();
        let wav = run(&self.tools.espeak, &args, text, max, stop)?;
        let sound =
            read_wav(&wav).ok_or_else(|| MediaError::Voice("espeak-ng wrote no WAV".into()))?;
        Ok(Spoken { sound, starts: None, timing: Timing::Proportional })
    }

    pub(crate) fn say(
        &self,
        utterance: &Utterance,
        max_seconds: f64,
        stop: &Stop,
    ) -> Result<Spoken, MediaError> {
        let request = self.request(utterance, max_seconds);
        match self.with_words(&request, utterance, stop) {
            Err(MediaError::Missing { .. }) => self.plainly(&request, stop),
            // The library is not there, or the helper is another's: the program may do all the same.
            Err(first @ MediaError::Child { .. }) => {
                self.plainly(&request, stop).map_err(|_| first)
            }
            other => other,
        }
    }
}

#[async_trait]
impl Voice for Espeak {
    fn identity(&self) -> String {
        format!("espeak-ng/{}/{:?}", self.voice, self.prosody)
    }

    fn max_chars(&self) -> usize {
        600
    }

    async fn speak(
        &self,
        utterance: &Utterance,
        max_seconds: f64,
        stop: &Stop,
    ) -> Result<Spoken, MediaError> {
        let (voice, utterance, stop) = (self.clone(), utterance.clone(), stop.clone());
        blocking(move || voice.say(&utterance, max_seconds, &stop)).await
    }
}

/// When each word begins. Numbers have several marks: the first counts. Words that the voice
/// merges ("for the") have one: the time to the next is shared out by letters.
fn starts(utterance: &Utterance, marks: &[Mark], seconds: f64) -> Vec<f64> {
    let ranges = utterance.ranges();
    let mut found: Vec<Option<f64>> = vec![None; ranges.len()];
    let mut latest = 0.0;
    for mark in marks {
        let (at, time) = (mark.character as usize, f64::from(mark.at_ms) / 1000.0);
        // A position may point behind punctuation: the word that ends after it is meant.
        let word = ranges.partition_point(|range| range.end <= at);
        if let Some(slot) = found.get_mut(word).filter(|slot| slot.is_none())
            && time >= latest
        {
            *slot = Some(time);
            latest = time;
        }
    }
    fill(
        &found,
        &utterance.words.iter().map(|w| w.spoken.chars().count()).collect::<Vec<_>>(),
        seconds,
    )
}

/// Gives every word a time: those without share what lies between their neighbours, by length.
fn fill(found: &[Option<f64>], lengths: &[usize], seconds: f64) -> Vec<f64> {
    let mut starts = Vec::with_capacity(found.len());
    let mut index = 0;
    while index < found.len() {
        let from = found[index].unwrap_or(0.0);
        let next = (index + 1..found.len()).find(|n| found[*n].is_some()).unwrap_or(found.len());
        let until = found.get(next).copied().flatten().unwrap_or(seconds);
        let total: usize = lengths[index..next].iter().sum::<usize>().max(1);
        let mut before = 0;
        for length in &lengths[index..next] {
            starts.push(from + (until - from) * before as f64 / total as f64);
            before += length;
        }
        index = next;
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::utterances;

    #[test]
    fn marks_find_their_words() {
        let said = utterances("It is for the $3.50 box.", false, "en", 500).unwrap();
        // "for the" has one mark, "3 dollars 50 cents" has four.
        let mark = |at_ms, character| Mark { at_ms, character, length: 1 };
        let marks =
            [mark(0, 0), mark(100, 3), mark(200, 6), mark(500, 14), mark(600, 16), mark(900, 33)];
        let times = starts(&said[0], &marks, 1.4);
        let wanted = [0.0, 0.1, 0.2, 0.35, 0.5, 0.9];
        for (time, wanted) in times.iter().zip(wanted) {
            assert!((time - wanted).abs() < 1e-9, "{times:?}");
        }
    }

    #[test]
    fn odd_names_are_refused() {
        let tools = Tools::along("/usr/bin".into());
        assert!(Espeak::new(&tools, "-f /etc/passwd", Prosody::default()).is_err());
        assert!(Espeak::new(&tools, "en-us+f3", Prosody::default()).is_ok());
    }
}
