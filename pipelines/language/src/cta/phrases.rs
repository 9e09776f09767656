//! The phrases of every kind and language by their first words.

use std::ops::Range;
use std::sync::OnceLock;

use super::Kind;
use crate::sentiment::fold::is_unspaced;
use crate::words::{FirstWords, Word};

const PHRASES: &str = include_str!("../../data/cta_phrases.tsv");
const URGENCY: &str = include_str!("../../data/cta_urgency.tsv");

/// What finding a phrase means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum How {
    /// A call wherever it stands.
    Phrase(Kind),
    /// A call unless somebody else is the subject.
    Verb(Kind),
    /// A call where a sentence begins.
    Start(Kind),
    /// No call, but it hurries the calls beside it.
    Urgency(f32),
}

/// The phrases by their first word.
#[derive(Debug)]
pub(super) struct Phrases {
    all: Vec<(&'static str, How)>,
    first: FirstWords,
}

impl Phrases {
    /// Built on first use.
    pub(super) fn get() -> &'static Self {
        static PHRASES: OnceLock<Phrases> = OnceLock::new();
        PHRASES.get_or_init(Self::load)
    }

    fn load() -> Self {
        let mut all: Vec<(&'static str, How)> = Vec::new();
        let mut known = std::collections::HashSet::new();
        let mut add = |phrase: &'static str, how| {
            // The first row of a phrase holds.
            if known.insert(phrase) {
                all.push((phrase, how));
            }
        };
        for line in PHRASES.lines().filter(|line| !line.starts_with('#')) {
            let Some((kind, rest)) = line.split_once('\t') else { continue };
            let Some((how, phrases)) = rest.split_once('\t') else { continue };
            let Some(kind) = kind_of(kind) else { continue };
            let how = match how {
                "phrase" => How::Phrase(kind),
                "verb" => How::Verb(kind),
                _ => How::Start(kind),
            };
            phrases.split('|').for_each(|phrase| add(phrase, how));
        }
        for line in URGENCY.lines().filter(|line| !line.starts_with('#')) {
            let Some((urgency, phrases)) = line.split_once('\t') else { continue };
            let how = How::Urgency(urgency.parse().unwrap_or(0.5));
            phrases.split('|').for_each(|phrase| add(phrase, how));
        }
        // Of the phrases that begin alike the longest is tried first.
        all.sort_by_key(|(phrase, _)| std::cmp::Reverse(phrase.len()));
        let first = FirstWords::of(all.iter().map(|(phrase, _)| *phrase));
        Self { all, first }
    }

    /// The phrases that are no parts of longer words, from left to right, the longest where
    /// several begin.
    pub(super) fn all_in(&self, text: &str, words: &[Word]) -> Vec<(Range<usize>, How)> {
        let mut found: Vec<(Range<usize>, How)> = Vec::new();
        let mut end = 0;
        for word in words {
            if word.start < end {
                continue;
            }
            let mut begun = self.first.with(word.hash).map(|at| self.all[at]);
            let longest = begun.find_map(|(phrase, how)| {
                let range = word.start..word.start + phrase.len();
                // Most phrases that begin alike differ where they end.
                let last = text.as_bytes().get(range.end - 1)?;
                if last.is_ascii() && !last.eq_ignore_ascii_case(phrase.as_bytes().last()?) {
                    return None;
                }
                let here = text.get(range.clone())?;
                let same = alike(here, phrase) && whole(text, &range);
                same.then_some((range, how))
            });
            let Some((mut range, how)) = longest else { continue };
            end = range.end;
            // `follow @` and the like end in a space that is no part of the call.
            range.end = range.start + text[range.clone()].trim_end().len();
            found.push((range, how));
        }
        found
    }
}

/// Whether a text is the phrase, in capitals or not, in every script that has them.
fn alike(here: &str, phrase: &str) -> bool {
    here.eq_ignore_ascii_case(phrase)
        || (!phrase.is_ascii() && here.chars().flat_map(char::to_lowercase).eq(phrase.chars()))
}

/// Whether no word goes on before or after the range.
fn whole(text: &str, range: &Range<usize>) -> bool {
    let joined = |a: Option<char>, b: Option<char>| match (a, b) {
        (Some(a), Some(b)) => letter(a) && letter(b) && !is_unspaced(a) && !is_unspaced(b),
        _ => false,
    };
    let (before, inside, after) = (&text[..range.start], &text[range.clone()], &text[range.end..]);
    !joined(before.chars().next_back(), inside.chars().next())
        && !joined(inside.chars().next_back(), after.chars().next())
}

pub(super) fn letter(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() || c == '_' } else { c.is_alphanumeric() }
}

fn kind_of(name: &str) -> Option<Kind> {
    Some(match name {
        "shop" => Kind::Shop,
        "link_bio" => Kind::LinkBio,
        "follow" => Kind::Follow,
        "like" => Kind::Like,
        "comment" => Kind::Comment,
        "tag" => Kind::Tag,
        "save" => Kind::Save,
        "share" => Kind::Share,
        "dm" => Kind::Dm,
        "visit" => Kind::Visit,
        "signup" => Kind::Signup,
        "code" => Kind::Code,
        "watch" => Kind::Watch,
        "other" => Kind::Other,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::words;

    #[test]
    fn the_lists_are_read_and_every_kind_has_phrases() {
        let phrases = Phrases::get();
        assert!(phrases.all.len() > 1_500);
        for line in PHRASES.lines().filter(|line| !line.starts_with('#')) {
            let kind = line.split('\t').next().unwrap();
            assert!(kind_of(kind).is_some(), "{kind}");
            assert_eq!(line.split('\t').count(), 3, "{line}");
        }
    }

    #[test]
    fn phrases_are_whole_words() {
        let found = |text: &str| Phrases::get().all_in(text, &words(text)).len();
        assert_eq!(found("SHOP NOW!"), 1);
        assert_eq!(found("workshop nowhere"), 0);
        assert_eq!(found("ดีมากกดตะกร้าเลย"), 1);
    }
}
