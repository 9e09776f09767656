//! The phrases of every kind and language in one automaton.

use std::ops::Range;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};

use super::Kind;
use crate::sentiment::fold::is_unspaced;

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

/// The automaton and what its patterns mean.
#[derive(Debug)]
pub(super) struct Phrases {
    /// Nothing only if the lists could not be built into one, which the tests rule out.
    automaton: Option<AhoCorasick>,
    means: Vec<How>,
}

impl Phrases {
    /// Built on first use.
    pub(super) fn get() -> &'static Self {
        static PHRASES: OnceLock<Phrases> = OnceLock::new();
        PHRASES.get_or_init(Self::load)
    }

    fn load() -> Self {
        let mut patterns: Vec<&str> = Vec::new();
        let mut means = Vec::new();
        let mut known = std::collections::HashSet::new();
        let mut add = |phrase: &'static str, how| {
            // The first row of a phrase holds.
            if known.insert(phrase) {
                patterns.push(phrase);
                means.push(how);
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
        let automaton = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .match_kind(MatchKind::Standard)
            .build(&patterns)
            .ok();
        Self { automaton, means }
    }

    /// The phrases that are no parts of longer words, from left to right, the longest where
    /// several begin.
    pub(super) fn all_in(&self, text: &str) -> Vec<(Range<usize>, How)> {
        let mut found: Vec<(Range<usize>, How)> = Vec::new();
        let Some(automaton) = &self.automaton else { return found };
        for one in automaton.find_overlapping_iter(text) {
            if whole(text, &one.range()) {
                found.push((one.range(), self.means[one.pattern().as_usize()]));
            }
        }
        found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut end = 0;
        found.retain(|(range, _)| {
            let free = range.start >= end;
            if free {
                end = range.end;
            }
            free
        });
        for (range, _) in &mut found {
            // `follow @` and the like end in a space that is no part of the call.
            range.end = range.start + text[range.clone()].trim_end().len();
        }
        found
    }
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

    #[test]
    fn the_lists_are_read_and_every_kind_has_phrases() {
        let phrases = Phrases::get();
        assert!(phrases.automaton.is_some());
        assert!(phrases.means.len() > 1_500);
        for line in PHRASES.lines().filter(|line| !line.starts_with('#')) {
            let kind = line.split('\t').next().unwrap();
            assert!(kind_of(kind).is_some(), "{kind}");
            assert_eq!(line.split('\t').count(), 3, "{line}");
        }
    }

    #[test]
    fn phrases_are_whole_words() {
        let found = |text: &str| Phrases::get().all_in(text).len();
        assert_eq!(found("SHOP NOW!"), 1);
        assert_eq!(found("workshop nowhere"), 0);
        assert_eq!(found("ดีมากกดตะกร้าเลย"), 1);
    }
}
