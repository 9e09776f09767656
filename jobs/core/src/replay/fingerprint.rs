//! Which errors are the same one: the text of an error with everything that changes from job to
//! job taken out, and a short name for kind, class and text together.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{InvalidName, Kind};
use crate::records::JobRecord;
use crate::state::DeadClass;

/// How much of an error's text is looked at, in characters.
const READ: usize = 2_000;
/// How long a normalised text is at most, in characters.
const LONGEST: usize = 240;
/// A word with so many digits, or so long with two of them, is an id.
const DIGITS_OF_AN_ID: usize = 6;
const LENGTH_OF_AN_ID: usize = 16;

/// Twelve hexadecimal digits that stand for a kind, a class and a normalised text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// That of an error.
    pub fn new(kind: &Kind, class: Option<DeadClass>, message: &str) -> Self {
        let class = class.map_or("", DeadClass::name);
        let hash = blake3::hash(format!("{kind}\n{class}\n{}", normalise(message)).as_bytes());
        Self(hash.to_hex()[..12].to_owned())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let text = text.trim();
        let ok = text.len() == 12 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if ok {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidName {
            what: "group of dead letters",
            given: text.chars().take(80).collect(),
            rule: "12 hexadecimal digits, as `flotilla dead groups` shows them",
        })
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The fingerprint of a dead letter: of its last error, or of its class alone.
pub fn of_record(record: &JobRecord) -> Fingerprint {
    let message = record.errors.last().map_or("", |last| last.error.as_str());
    Fingerprint::new(&record.kind, record.class, message)
}

/// An error's text without what changes from job to job: numbers, ids, times, URLs, paths and
/// quoted text become `<n>`, `<id>`, `<time>`, `<url>`, `<path>`, `<text>`. Bounded to 240
/// characters; doing it twice changes nothing.
pub fn normalise(message: &str) -> String {
    let mut text: String = message.chars().take(READ).collect();
    // Each round that changes anything takes out a digit, a quote, a URL, a path or white space,
    // and puts none in: it ends.
    loop {
        let next = round(&text);
        if next == text {
            break;
        }
        text = next;
    }
    let cut: String = text.chars().take(LONGEST).collect();
    cut.trim_end().to_owned()
}

fn round(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (taken, put) = piece(first, rest, out.chars().next_back());
        if !(put == " " && (out.is_empty() || out.ends_with(' '))) {
            out.push_str(&put);
        }
        rest = &rest[taken..];
    }
    out.truncate(out.trim_end().len());
    out
}

/// The next piece of a text: its length in bytes, and what stands for it.
fn piece(first: char, rest: &str, before: Option<char>) -> (usize, String) {
    if first.is_whitespace() {
        return (first.len_utf8(), " ".to_owned());
    }
    if let Some(length) = quoted(first, rest, before) {
        return (length, "<text>".to_owned());
    }
    if first == '/' && opens(before) {
        let length = end(rest, |c| {
            c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | ')' | '<' | '>')
        });
        if rest[1..length].contains('/') {
            return (length, "<path>".to_owned());
        }
    }
    if is_word(first) {
        let length = end(rest, |c| !is_word(c));
        if let Some(url) = url(rest, length) {
            return (url, "<url>".to_owned());
        }
        if let Some(time) = time(rest) {
            return (time, "<time>".to_owned());
        }
        if let Some(number) = number(rest) {
            return (number, "<n>".to_owned());
        }
        return (length, word(&rest[..length]));
    }
    (first.len_utf8(), first.to_string())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// What may stand before a quote or a path that opens.
fn opens(before: Option<char>) -> bool {
    before.is_none_or(|c| c.is_whitespace() || matches!(c, '(' | '[' | '{' | '=' | ':' | ','))
}

fn end(text: &str, stops: impl Fn(char) -> bool) -> usize {
    text.char_indices().skip(1).find(|(_, c)| stops(*c)).map_or(text.len(), |(at, _)| at)
}

fn quoted(first: char, rest: &str, before: Option<char>) -> Option<usize> {
    let closes = match first {
        '"' | '`' => first,
        '\'' if opens(before) => first,
        '“' => '”',
        _ => return None,
    };
    let from = first.len_utf8();
    rest[from..].find(closes).map(|at| from + at + closes.len_utf8())
}

fn url(rest: &str, scheme: usize) -> Option<usize> {
    let letters = rest[..scheme].chars().all(|c| c.is_ascii_alphabetic());
    if !letters || !rest[scheme..].starts_with("://") {
        return None;
    }
    let stops = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | ')');
    Some(end(rest, stops))
}

/// `2026-01-02`, with or without a time of day.
fn time(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let shape = b"dddd-dd-dd";
    let fits = bytes.len() >= shape.len()
        && shape.iter().zip(bytes).all(|(want, is)| match want {
            b'd' => is.is_ascii_digit(),
            _ => is == want,
        });
    let more =
        |c: char| c.is_ascii_digit() || matches!(c, 'T' | 't' | ':' | '.' | 'Z' | 'z' | '+' | '-');
    fits.then(|| end(rest, |c| !more(c)))
}

/// Digits with points and commas between them, or digits alone that no letter follows: `30ms` is a
/// word, in which the number counts as one too.
fn number(rest: &str) -> Option<usize> {
    let is_digit = |c: char| c.is_ascii_digit();
    let mut length = end(rest, |c| !(is_digit(c) || matches!(c, '.' | ',')));
    length = rest[..length].trim_end_matches(['.', ',']).len();
    let follows = rest[length..].chars().next();
    let parted = rest[..length].contains(['.', ',']);
    (rest.starts_with(is_digit) && (parted || !follows.is_some_and(is_word))).then_some(length)
}

fn word(text: &str) -> String {
    let digits = text.chars().filter(|c| c.is_numeric()).count();
    if digits >= DIGITS_OF_AN_ID || (digits >= 2 && text.chars().count() >= LENGTH_OF_AN_ID) {
        return "<id>".to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut within = false;
    for c in text.chars() {
        if !c.is_numeric() {
            out.push(c);
        } else if !within {
            out.push_str("<n>");
        }
        within = c.is_numeric();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_changes_from_job_to_job_is_taken_out() {
        for (message, expected) in [
            ("timed out after 30 s", "timed out after <n> s"),
            ("timed out after 1,200.5ms", "timed out after <n>ms"),
            ("timed out after 900ms", "timed out after <n>ms"),
            ("job 019a9c1e-7d52-7c3b-9f65-2b1c6a0d4e11 is gone", "job <id> is gone"),
            (
                "HTTP 503 from https://example.com/a/1?x=2: try later",
                "HTTP <n> from <url> try later",
            ),
            ("cannot read /data/photos/kitten-7.jpg: not found", "cannot read <path> not found"),
            (
                "payload field \"outputs[3].width\": 0 is too small",
                "payload field <text>: <n> is too small",
            ),
            ("at 2026-01-02T03:04:05.678Z: late", "at <time> late"),
            ("can't open 'file 9': isn't there", "can't open <text>: isn't there"),
            ("connect 10.0.0.7:5432  refused\n\n by utf8", "connect <n>:<n> refused by utf<n>"),
            ("digest deadbeef0123456789", "digest <id>"),
            ("", ""),
        ] {
            assert_eq!(normalise(message), expected, "{message}");
        }
    }

    #[test]
    fn kind_and_class_are_part_of_it() {
        let of = |kind: &str, class, text: &str| {
            Fingerprint::new(&Kind::new(kind).unwrap(), class, text)
        };
        let one = of("a.b", Some(DeadClass::Invalid), "width 7");
        assert_eq!(one, of("a.b", Some(DeadClass::Invalid), "width 123"));
        assert_ne!(one, of("a.c", Some(DeadClass::Invalid), "width 7"));
        assert_ne!(one, of("a.b", Some(DeadClass::Rejected), "width 7"));
        assert_eq!(one.to_string().parse(), Ok(one));
        assert!("XYZ".parse::<Fingerprint>().is_err());
    }

    proptest! {
        #[test]
        fn it_never_panics_is_bounded_and_doing_it_twice_changes_nothing(
            text in prop_oneof![".{0,400}", "[ a-f0-9\"'`/:.,<>T=(-]{0,400}", "(https?://|/a/|\"|'|[0-9]{1,9}| ){0,60}"]
        ) {
            let once = normalise(&text);
            prop_assert!(once.chars().count() <= LONGEST);
            prop_assert_eq!(normalise(&once), once);
        }
    }
}
