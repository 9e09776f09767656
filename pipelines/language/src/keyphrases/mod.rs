//! What a text is about, in phrases of its own: one ranking for all languages and lengths.
//!
//! Phrases of up to five words that no sign and no word without matter parts are measured (how
//! often, how early, standing alone, written as names, of what words) and ranked by a small
//! network. `train/keyphrases.py` makes its weights, `data/keyphrase_model.md` says of what.

mod candidates;
mod rank;
mod stopwords;
mod tokens;

use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

use candidates::Candidate;
pub use candidates::MEASURES;
use stopwords::Stopwords;
pub(crate) use tokens::is_word;

use crate::props::push_lower;

/// A phrase the text is about.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Keyphrase {
    /// As it is first written, on one line.
    pub text: String,
    /// 0 to 1: how likely a person would have chosen it.
    pub score: f32,
    /// Where it is first written, in bytes.
    #[serde(skip)]
    pub range: Range<usize>,
}

/// The phrases of a text, best first, at most `most`; plural and singular count as one.
///
/// What lies in `skip` (byte ranges in order, without overlap) is not read: names and links. The
/// language (ISO 639-1) says which words are without matter; one that is not known is taken for
/// English. Only the first few thousand words are read.
#[must_use]
pub fn extract(text: &str, skip: &[Range<usize>], language: &str, most: usize) -> Vec<Keyphrase> {
    best(text, &candidates_of(text, skip, language), most, rank::score)
}

/// The same, and in another order, with a score of its own for each.
pub(crate) fn extract_both(
    text: &str,
    skip: &[Range<usize>],
    language: &str,
    most: usize,
    other: impl Fn(&[f32; MEASURES]) -> f32,
) -> [Vec<Keyphrase>; 2] {
    let candidates = candidates_of(text, skip, language);
    [best(text, &candidates, most, rank::score), best(text, &candidates, most, other)]
}

fn best(
    text: &str,
    candidates: &[Candidate],
    most: usize,
    score: impl Fn(&[f32; MEASURES]) -> f32,
) -> Vec<Keyphrase> {
    let mut scored: Vec<(f32, &Candidate)> =
        candidates.iter().map(|candidate| (score(&candidate.measures), candidate)).collect();
    scored.sort_by(|a, b| {
        b.0.total_cmp(&a.0)
            .then_with(|| a.1.range.start.cmp(&b.1.range.start))
            .then_with(|| a.1.range.end.cmp(&b.1.range.end))
    });
    let mut chosen: Vec<Keyphrase> = Vec::with_capacity(most.min(scored.len()));
    let mut known: Vec<String> = Vec::with_capacity(chosen.capacity());
    for (score, candidate) in scored {
        if chosen.len() >= most {
            break;
        }
        let text = on_one_line(&text[candidate.range.clone()]);
        let mut lower = String::with_capacity(text.len());
        push_lower(&text, &mut lower);
        if !known.contains(&lower) {
            known.push(lower);
            chosen.push(Keyphrase { text, score, range: candidate.range.clone() });
        }
    }
    chosen
}

/// Every phrase with what is measured of it: what the ranking learns from.
#[must_use]
pub fn measures(text: &str, language: &str) -> Vec<(String, [f32; MEASURES])> {
    let told = |c: Candidate| (on_one_line(&text[c.range]), c.measures);
    candidates_of(text, &[], language).into_iter().map(told).collect()
}

fn candidates_of(text: &str, skip: &[Range<usize>], language: &str) -> Vec<Candidate> {
    let tokens = tokens::tokens(text, skip, Stopwords::of(language));
    candidates::candidates(&tokens, matches!(language, "en" | "und"))
}

fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrases(text: &str, language: &str) -> Vec<String> {
        extract(text, &[], language, 5).into_iter().map(|k| k.text).collect()
    }

    #[test]
    fn the_matter_is_found_in_many_languages() {
        for (language, text, want) in [
            (
                "en",
                "How to spot a fake Chanel classic flap. The Chanel classic flap is made of lambskin.",
                "Chanel classic flap",
            ),
            (
                "es",
                "La receta de hoy: tarta de queso con fresas. Una tarta de queso para todos.",
                "tarta de queso",
            ),
            ("pt", "O Banco do Brasil apresenta o Banco do Brasil Digital em São Paulo", "Banco"),
            ("ja", "新しいバッグを買いました。バッグは最高です", "バッグ"),
        ] {
            let found = phrases(text, language);
            assert!(found.iter().any(|f| f == want), "{language}: {found:?}");
        }
    }

    #[test]
    fn nothing_to_say_gives_nothing() {
        for text in ["", "the of and", "💥 !!!", "   "] {
            assert!(phrases(text, "en").is_empty(), "{text}");
        }
    }

    #[test]
    fn plural_and_case_do_not_repeat_a_phrase() {
        let found = phrases("Bags! I love bags. A bag is a BAG.", "en");
        assert_eq!(
            found.iter().filter(|f| f.to_lowercase().starts_with("bag")).count(),
            1,
            "{found:?}"
        );
    }
}
