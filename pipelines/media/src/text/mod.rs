//! From what is to be said to utterances: sentences, words with how they are read, pauses.

mod numbers;
mod plain;
mod ssml;

use serde::{Deserialize, Serialize};

use crate::error::MediaError;

pub use numbers::spoken_form;

/// One word as it is shown, and as it is read out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// As written, with its punctuation.
    pub shown: String,
    /// As read: `3 dollars 50 cents` for `$3.50`.
    pub spoken: String,
    /// No space stands before it, as between the words of Chinese.
    pub glued: bool,
}

/// How a stretch is spoken, relative to the voice's own way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prosody {
    /// 1 is the voice's own speed.
    pub rate: f32,
    /// 1 is the voice's own pitch.
    pub pitch: f32,
    /// Louder or softer, in dB.
    pub gain: f32,
}

impl Default for Prosody {
    fn default() -> Self {
        Self { rate: 1.0, pitch: 1.0, gain: 0.0 }
    }
}

/// Words that are spoken in one go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Utterance {
    /// Its words, at least one.
    pub words: Vec<Word>,
    /// How they are spoken.
    pub prosody: Prosody,
    /// The silence after it, in milliseconds.
    pub pause_ms: u32,
}

impl Utterance {
    /// What the voice reads.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for word in &self.words {
            if !text.is_empty() && !word.glued {
                text.push(' ');
            }
            text.push_str(&word.spoken);
        }
        text
    }

    /// Where each word stands in [`text`](Self::text), in characters.
    pub(crate) fn ranges(&self) -> Vec<std::ops::Range<usize>> {
        let mut at = 0;
        let mut ranges = Vec::with_capacity(self.words.len());
        for word in &self.words {
            at += usize::from(at > 0 && !word.glued);
            let end = at + word.spoken.chars().count();
            ranges.push(at..end);
            at = end;
        }
        ranges
    }
}

/// Silence between sentences, in milliseconds; a paragraph has more.
pub(crate) const SENTENCE_PAUSE: u32 = 180;
const PARAGRAPH_PAUSE: u32 = 450;
/// The longest pause that may be asked for.
const MAX_PAUSE: u32 = 10_000;

/// Reads plain text or SSML into utterances of at most `max_chars` characters, cut at sentences,
/// then clauses, then words. `language` is a tag such as `en-us`: numbers are read in it.
///
/// # Errors
/// [`MediaError::Invalid`]: SSML that is not well-formed, or nothing to say.
pub fn utterances(
    text: &str,
    markup: bool,
    language: &str,
    max_chars: usize,
) -> Result<Vec<Utterance>, MediaError> {
    let sentences =
        if markup { ssml::read(text, language)? } else { plain::sentences(text, language) };
    let merged = merge(sentences, max_chars.max(50));
    if merged.is_empty() {
        return Err(MediaError::invalid("text", "there is nothing to say in it"));
    }
    Ok(merged)
}

/// Joins sentences that are spoken alike while they fit, and cuts those that are too long.
fn merge(sentences: Vec<Utterance>, max_chars: usize) -> Vec<Utterance> {
    let mut merged: Vec<Utterance> = Vec::new();
    for sentence in sentences.into_iter().flat_map(|s| cut(s, max_chars)) {
        let room = |last: &Utterance| {
            last.prosody == sentence.prosody
                && last.pause_ms == SENTENCE_PAUSE
                && length(&last.words) + length(&sentence.words) <= max_chars
        };
        match merged.last_mut().filter(|last| room(last)) {
            Some(last) => {
                last.words.extend(sentence.words);
                last.pause_ms = sentence.pause_ms;
            }
            None => merged.push(sentence),
        }
    }
    merged
}

fn length(words: &[Word]) -> usize {
    words.iter().map(|word| word.spoken.chars().count() + 1).sum()
}

fn cut(mut sentence: Utterance, max_chars: usize) -> Vec<Utterance> {
    let mut parts = Vec::new();
    while length(&sentence.words) > max_chars && sentence.words.len() > 1 {
        let mut fits = 1;
        let mut clause = None;
        while fits < sentence.words.len() && length(&sentence.words[..=fits]) <= max_chars {
            if sentence.words[fits - 1].spoken.ends_with([',', ';', ':', '、', '，', '；']) {
                clause = Some(fits);
            }
            fits += 1;
        }
        let rest = sentence.words.split_off(clause.unwrap_or(fits));
        let words = std::mem::replace(&mut sentence.words, rest);
        parts.push(Utterance { words, prosody: sentence.prosody, pause_ms: 0 });
    }
    if !sentence.words.is_empty() {
        parts.push(sentence);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(parts: &[Utterance]) -> Vec<String> {
        parts.iter().map(Utterance::text).collect()
    }

    #[test]
    fn sentences_fill_utterances_and_long_ones_are_cut_at_clauses() {
        let text = "One two three. Four five six, seven eight nine ten eleven twelve thirteen!";
        let parts = utterances(text, false, "en", 50).unwrap();
        assert_eq!(
            shown(&parts),
            ["One two three. Four five six,", "seven eight nine ten eleven twelve thirteen!"]
        );
        assert_eq!(utterances(text, false, "en", 500).unwrap().len(), 1);
        assert!(utterances(" \n ", false, "en", 500).is_err());
    }

    #[test]
    fn ranges_are_those_of_the_text() {
        let parts = utterances("It costs $3.50 today.", false, "en", 500).unwrap();
        let text: Vec<char> = parts[0].text().chars().collect();
        let third: String = text[parts[0].ranges()[2].clone()].iter().collect();
        assert_eq!(third, "3 dollars 50 cents");
    }
}
