//! The neighbourhood of a phrase: who speaks, where the sentence begins, what follows.

use std::ops::Range;
use std::sync::OnceLock;

use super::phrases::letter;

const WORDS: &str = include_str!("../../data/cta_words.tsv");
/// Verbs that advertise more often than they call.
const PROSE: [&str; 2] = ["discover", "explore"];
/// Where one can go.
const PLACES: [&str; 5] = ["in store", "boutique", "online", "website", "showroom"];
/// No rule looks further than this many bytes around a phrase.
const NEAR: usize = 400;

/// What a word does to the imperative behind it.
#[derive(Debug, Default)]
struct Lists {
    lead: Vec<&'static str>,
    to: Vec<&'static str>,
    subject: Vec<&'static str>,
    no: Vec<&'static str>,
    join: Vec<&'static str>,
    /// What follows a verb that is no call then.
    next: Vec<(&'static str, Vec<&'static str>)>,
}

fn lists() -> &'static Lists {
    static LISTS: OnceLock<Lists> = OnceLock::new();
    LISTS.get_or_init(|| {
        let mut lists = Lists::default();
        for line in WORDS.lines().filter(|line| !line.starts_with('#')) {
            let Some((what, words)) = line.split_once('\t') else { continue };
            let words: Vec<&str> = words.split(' ').collect();
            match what {
                "lead" => lists.lead = words,
                "to" => lists.to = words,
                "subject" => lists.subject = words,
                "no" => lists.no = words,
                "join" => lists.join = words,
                _ => lists.next.push((what.trim_start_matches("next "), words)),
            }
        }
        lists
    })
}

/// A phrase where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'t> {
    pub(super) text: &'t str,
    pub(super) range: &'t Range<usize>,
}

impl Place<'_> {
    /// Whether the phrase asks the reader: nobody else is its subject, and it is not denied.
    pub(super) fn calls(&self) -> bool {
        let lists = lists();
        let (word, before) = last_word(&self.text[..self.range.start]);
        if has(&lists.no, word) {
            return false;
        }
        if word.eq_ignore_ascii_case("to") {
            return has(&lists.to, last_word(before).0);
        }
        !has(&lists.subject, word)
    }

    /// Whether an imperative can stand here: a sentence begins, a polite word leads, or the call
    /// before goes on. What follows must not make another word of it.
    pub(super) fn begins(&self, joined: bool) -> bool {
        let lists = lists();
        if self.is_another_word(lists) {
            return false;
        }
        let before = self.text[..self.range.start].trim_end_matches([' ', '\u{a0}', '\u{fe0f}']);
        let Some(last) = before.chars().next_back() else { return true };
        if !letter(last) && !matches!(last, '\'' | '’' | '&' | '/' | ',' | '$' | '@' | '#') {
            return true;
        }
        let (word, earlier) = last_word(before);
        if word.eq_ignore_ascii_case("to") {
            return has(&lists.to, last_word(earlier).0);
        }
        has(&lists.lead, word) || (joined && has(&lists.join, word))
    }

    /// "Discover" calls where its sentence names a place to do so, else it is prose.
    pub(super) fn leads_somewhere(&self, entities: &[Range<usize>]) -> bool {
        let phrase = &self.text[self.range.clone()];
        if !PROSE.iter().any(|verb| phrase.eq_ignore_ascii_case(verb)) {
            return true;
        }
        // A link holds full stops: the sentence goes to the first link at least.
        let (_, end) = sentence(self.text, self.range);
        let at = entities.partition_point(|entity| entity.end <= self.range.end);
        let linked = entities
            .get(at)
            .is_some_and(|e| e.start <= end && !self.text[e.clone()].starts_with(['#', '@']));
        let rest = self.text.get(self.range.end..end).unwrap_or("").to_lowercase();
        linked || PLACES.iter().any(|place| rest.contains(place))
    }

    fn is_another_word(&self, lists: &Lists) -> bool {
        let phrase = &self.text[self.range.clone()];
        let after = &self.text[self.range.end..];
        let word = next_word(after);
        // `Shop’s`, `follow-up`, `Order: 5`, and a past or a list of nouns.
        if after.starts_with(['\'', '’', '-', '_']) {
            return true;
        }
        let mut next = lists.next.iter().filter(|(verb, _)| phrase.eq_ignore_ascii_case(verb));
        !word.is_empty() && next.any(|(_, words)| has(words, word))
    }

    /// Whether only a joining word or sign stands between the call before and this.
    pub(super) fn joined(&self, end: usize) -> bool {
        let between = self.text.get(end..self.range.start).unwrap_or("");
        between.len() <= 60 && !between.contains(['.', '!', '?', '\n'])
    }
}

/// Whether a list has a word, whatever its capitals.
fn has(list: &[&str], word: &str) -> bool {
    list.iter().any(|one| one.eq_ignore_ascii_case(word))
}

/// The last word of a text, and the text before it; none across the end of a sentence.
fn last_word(text: &str) -> (&str, &str) {
    let text = text.trim_end_matches([' ', '\u{a0}']);
    let sign = |c: char| letter(c) || matches!(c, '\'' | '’');
    let start = text
        .char_indices()
        .rev()
        .take(40)
        .take_while(|(_, c)| sign(*c))
        .last()
        .map_or(text.len(), |(at, _)| at);
    if start == text.len() {
        // A joining sign counts as a word.
        let sign = text.chars().next_back().filter(|c| matches!(c, '&' | '+' | '/' | ','));
        let start = text.len() - sign.map_or(0, char::len_utf8);
        return (&text[start..], &text[..start]);
    }
    (&text[start..], &text[..start])
}

/// The word right behind a space.
fn next_word(text: &str) -> &str {
    let Some(text) = text.strip_prefix(' ') else { return "" };
    let end = text.find(|c: char| !letter(c) && c != '\'' && c != '’').unwrap_or(text.len());
    &text[..end]
}

/// Where the sentence around a range begins and ends.
pub(super) fn sentence(text: &str, range: &Range<usize>) -> (usize, usize) {
    let ends = |c: &u8| matches!(c, b'.' | b'!' | b'?' | b'\n');
    let bytes = text.as_bytes();
    let first = range.start.saturating_sub(NEAR);
    let start = bytes[first..range.start].iter().rposition(ends).map_or(first, |at| first + at);
    let last = (range.end + NEAR).min(text.len());
    let end = bytes[range.end..last].iter().position(ends).map_or(last, |at| range.end + at);
    (start, end)
}
