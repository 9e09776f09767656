//! Sentences and words of plain text.

use unicode_segmentation::UnicodeSegmentation as _;

use super::numbers::{is_pictogram, spoken_form};
use super::{PARAGRAPH_PAUSE, Prosody, SENTENCE_PAUSE, Utterance, Word};

/// After these a full stop ends no sentence.
const ABBREVIATIONS: &[&str] = &[
    "mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "e.g.", "i.e.", "no.", "approx.", "z.b.",
    "bzw.", "ca.", "nr.", "m.", "mme.", "sr.", "sra.",
];

/// The sentences of `text`; an empty line ends a paragraph.
pub(super) fn sentences(text: &str, language: &str) -> Vec<Utterance> {
    let mut all = Vec::new();
    for paragraph in text.replace("\r\n", "\n").split("\n\n") {
        let mut open: Vec<Word> = Vec::new();
        for sentence in paragraph.split_sentence_bounds() {
            if let (Some(silent), Some(last)) =
                (words(sentence, language, &mut open), all.last_mut().and_then(last_word))
            {
                attach(last, &Word { shown: silent, spoken: String::new(), glued: false });
            }
            let last = sentence.split_whitespace().next_back().unwrap_or_default().to_lowercase();
            if !ABBREVIATIONS.contains(&last.as_str()) {
                push(&mut all, std::mem::take(&mut open));
            }
        }
        push(&mut all, open);
        if let Some(last) = all.last_mut().filter(|_| text.len() > paragraph.len()) {
            last.pause_ms = PARAGRAPH_PAUSE;
        }
    }
    all
}

fn last_word(utterance: &mut Utterance) -> Option<&mut Word> {
    utterance.words.last_mut()
}

fn push(all: &mut Vec<Utterance>, words: Vec<Word>) {
    if words.iter().any(|word| word.spoken.chars().any(char::is_alphanumeric)) {
        let (prosody, pause_ms) = (Prosody::default(), SENTENCE_PAUSE);
        all.push(Utterance { words, prosody, pause_ms });
    } else if let Some(last) = all.last_mut().and_then(last_word) {
        words.iter().for_each(|word| attach(last, word)); // nothing in it is spoken
    }
}

/// Appends the words of `text`. What is not spoken, such as a pictogram, goes with the word before;
/// the answer is what had none.
pub(super) fn words(text: &str, language: &str, into: &mut Vec<Word>) -> Option<String> {
    let mut waiting: Option<String> = None;
    for token in text.split_whitespace() {
        for (index, part) in parts(token).into_iter().enumerate() {
            let spoken = spoken_form(part, language);
            let glued = index > 0;
            if spoken.chars().any(char::is_alphanumeric) {
                let shown = match waiting.take() {
                    Some(before) => format!("{before} {part}"),
                    None => part.to_owned(),
                };
                into.push(Word { shown, spoken, glued });
            } else if let Some(last) = into.last_mut() {
                attach(last, &Word { shown: part.to_owned(), spoken, glued });
            } else {
                waiting =
                    Some(waiting.map_or(part.to_owned(), |before| format!("{before} {part}")));
            }
        }
    }
    match (waiting, into.last_mut()) {
        (Some(shown), Some(last)) => {
            attach(last, &Word { shown, spoken: String::new(), glued: false });
            None
        }
        (waiting, _) => waiting,
    }
}

/// A dash or comma by itself still makes the voice pause.
fn attach(to: &mut Word, silent: &Word) {
    if !silent.glued {
        to.shown.push(' ');
    }
    to.shown.push_str(&silent.shown);
    if !silent.spoken.is_empty() && !to.spoken.ends_with([',', '.', '!', '?', ';', ':']) {
        to.spoken.push(',');
    }
}

/// A token is one word, except in scripts that write no spaces.
fn parts(token: &str) -> Vec<&str> {
    if !token.chars().any(is_unspaced) {
        return vec![token];
    }
    let mut parts: Vec<&str> = Vec::new();
    let mut start = 0;
    for (at, piece) in token.split_word_bound_indices() {
        let begins = piece.chars().any(char::is_alphanumeric);
        if begins && token[start..at].chars().any(char::is_alphanumeric) {
            parts.push(&token[start..at]);
            start = at;
        }
    }
    parts.push(&token[start..]);
    parts
}

/// Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3134f}' | '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}'
        | '\u{1780}'..='\u{17ff}')
        && !is_pictogram(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let words = sentences(text, "en").into_iter().flat_map(|s| s.words);
        words.map(|w| w.shown).collect()
    }

    #[test]
    fn pictograms_go_with_the_word_before() {
        assert_eq!(shown("🎉 Hello 👋 world!"), ["🎉 Hello 👋", "world!"]);
        assert_eq!(shown("Go! 🚀"), ["Go! 🚀"]);
    }

    #[test]
    fn scripts_without_spaces_are_cut_into_words() {
        assert_eq!(shown("你好，世界。"), ["你", "好，", "世", "界。"]);
    }

    #[test]
    fn an_abbreviation_ends_no_sentence() {
        assert_eq!(sentences("Mr. Smith is here. He waits.", "en").len(), 2);
    }
}
