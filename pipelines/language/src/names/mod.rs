//! Names of people, places, groups, companies, products and works in English posts: a linear chain
//! model over words, shapes and neighbours. `train/names.py` makes its weights,
//! `data/names_model.md` says of what and how good they are.

mod features;
mod model;
mod tokens;

use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

use model::{Model, OUTSIDE};
use tokens::{Kind as Sort, Token};

/// What a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A company or brand.
    Corporation,
    /// A film, song, book, game, show.
    CreativeWork,
    /// A team, band, party, institution.
    Group,
    /// A place.
    Location,
    /// Somebody, real or not.
    Person,
    /// A thing one can have.
    Product,
}

impl Kind {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Corporation => "company",
            Self::CreativeWork => "work",
            Self::Group => "group",
            Self::Location => "place",
            Self::Person => "person",
            Self::Product => "product",
        }
    }
}

/// In the order of the model's tags.
const KINDS: [Kind; 6] = [
    Kind::Corporation,
    Kind::CreativeWork,
    Kind::Group,
    Kind::Location,
    Kind::Person,
    Kind::Product,
];

/// A name in a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Name {
    /// What it belongs to.
    pub kind: Kind,
    /// Where it is, in bytes.
    pub range: Range<usize>,
    /// How sure the model is, 0 to 1.
    pub confidence: f32,
}

/// The names of an English text, in order. Only the first two thousand words are read.
#[must_use]
pub fn find(text: &str) -> Vec<Name> {
    let tokens = tokens::tokens(text);
    let all = 0..tokens.len();
    named(text, &tokens, if tokens.is_empty() { &[] } else { std::slice::from_ref(&all) })
}

/// Those written with capitals: most of them, in a fraction of the time.
#[must_use]
pub fn find_capitals(text: &str) -> Vec<Name> {
    let tokens = tokens::tokens(text);
    named(text, &tokens, &tokens::runs(text, &tokens))
}

fn named(text: &str, tokens: &[Token], runs: &[Range<usize>]) -> Vec<Name> {
    let Some(model) = Model::get().filter(|_| !runs.is_empty()) else { return Vec::new() };
    let mut names: Vec<Name> = Vec::new();
    let (mut before, mut next) = (OUTSIDE, 0);
    for (at, tag, sure) in model.read(text, tokens, runs) {
        let token = &tokens[at];
        if std::mem::replace(&mut next, at + 1) != at {
            before = OUTSIDE;
        }
        if let Some((kind, inside)) = split(tag) {
            let open = names.last_mut().filter(|_| inside && before != OUTSIDE);
            match open {
                Some(name) => {
                    name.range.end = token.range.end;
                    name.confidence = name.confidence.min(sure);
                }
                None => names.push(Name { kind, range: token.range.clone(), confidence: sure }),
            }
        }
        before = tag;
    }
    names
}

/// The kind of a tag, and whether it goes on with a name; nothing outside of names.
fn split(tag: usize) -> Option<(Kind, bool)> {
    let at = tag.checked_sub(1)?;
    Some((*KINDS.get(at / 2)?, at % 2 == 1))
}

/// Byte ranges of the tokens with their hashes: what training reads.
#[must_use]
pub fn features(text: &str) -> Vec<(Range<usize>, Vec<u32>)> {
    let tokens = tokens::tokens(text);
    let mut out: Vec<_> = tokens.iter().map(|t| (t.range.clone(), Vec::new())).collect();
    let all = 0..tokens.len();
    features::walk(text, &tokens, std::slice::from_ref(&all), |at, hash| out[at].1.push(hash));
    out
}

/// Handles, links and signs are no names by themselves, whatever the model makes of them.
fn may_be_named(token: &Token) -> bool {
    !matches!(token.kind, Sort::Handle | Sort::Link)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&str, Kind)> {
        find(text).into_iter().map(|n| (&text[n.range], n.kind)).collect()
    }

    #[test]
    fn people_and_places_of_a_post_are_named() {
        let names = found("Just met Taylor Swift in New York with my mum");
        assert!(names.contains(&("Taylor Swift", Kind::Person)), "{names:?}");
        assert!(names.contains(&("New York", Kind::Location)), "{names:?}");
    }

    #[test]
    fn small_talk_names_nothing() {
        for text in ["", "good morning everyone, have a lovely day", "so happy 😂😂", "@jo thanks!"]
        {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn names_lie_in_order_and_on_letters() {
        let text = "😂London 🇬🇧 Paris\0 İstanbul’da K\u{301}raków @Rome";
        let mut end = 0;
        for name in find(text) {
            assert!(name.range.start >= end && text.get(name.range.clone()).is_some());
            end = name.range.end;
        }
    }
}
