//! Cuts a text the way the names model learned it: words, handles, tags and links whole, every
//! other sign alone.

use std::ops::Range;

use crate::entities::chars::{is_alphanumeric, is_letter_or_mark};
use crate::props::props;

/// No more of a text is read: a post names what it is about early.
const MOST: usize = 2_048;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Number,
    Handle,
    Tag,
    Link,
    Sign,
}

/// A word or sign of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) range: Range<usize>,
    pub(super) kind: Kind,
}

/// Where names may be: runs of tokens with capitals, and one token before and after each.
pub(super) fn runs(text: &str, tokens: &[Token]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let first = text[token.range.clone()].chars().next();
        if token.kind != Kind::Word || !first.is_some_and(|c| props(c).upper()) {
            continue;
        }
        let end = tokens.len().min(i + 2);
        match runs.last_mut() {
            Some(run) if run.end + 1 >= i => run.end = end,
            _ => runs.push(i.saturating_sub(1)..end),
        }
    }
    runs
}

/// The tokens of a text, in order.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::with_capacity(text.len() / 5 + 1);
    let mut at = 0;
    while at < text.len() && out.len() < MOST {
        let rest = &text[at..];
        let Some(c) = rest.chars().next() else { break };
        let length = c.len_utf8();
        if c.is_whitespace() || is_joiner(c) {
            at += length;
            continue;
        }
        let (kind, end) = token(rest, c, length);
        out.push(Token { range: at..at + end, kind });
        at += end;
    }
    out
}

/// Kind and length of the token a text begins with.
fn token(rest: &str, first: char, length: usize) -> (Kind, usize) {
    if first == 'h' && (rest.starts_with("http://") || rest.starts_with("https://")) {
        return (Kind::Link, rest.find(char::is_whitespace).unwrap_or(rest.len()));
    }
    if matches!(first, '@' | '#') {
        let name = |c: char| is_alphanumeric(c) || c == '_';
        let end = rest[length..].find(|c| !name(c)).map_or(rest.len(), |n| n + length);
        let kind = if first == '@' { Kind::Handle } else { Kind::Tag };
        return if end > length { (kind, end) } else { (Kind::Sign, length) };
    }
    if !is_alphanumeric(first) {
        return (Kind::Sign, length);
    }
    let end = word(rest);
    let digits =
        rest.as_bytes()[..end].iter().all(|b| b.is_ascii_digit() || b.is_ascii_punctuation());
    (if digits { Kind::Number } else { Kind::Word }, end)
}

/// How long the word at the begin is; dots, hyphens and the like join letters.
fn word(rest: &str) -> usize {
    let mut end = 0;
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let joins = matches!(c, '.' | '-' | '&' | '_')
            && chars.peek().is_some_and(|(_, next)| is_alphanumeric(*next));
        if !joins && !is_alphanumeric(c) && !is_letter_or_mark(c) {
            break;
        }
        end = at + c.len_utf8();
    }
    end
}

/// Invisible signs between parts of an emoji.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe0e}' | '\u{fe0f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_what_joins_them_and_signs_stand_alone() {
        let text = "Met @jo at Coca-Cola, U.S. (2019) https://x.co/a, isn't it? #NYC 👩🏽‍🚒!";
        let cut: Vec<&str> = tokens(text).into_iter().map(|t| &text[t.range]).collect();
        assert_eq!(cut[..6], ["Met", "@jo", "at", "Coca-Cola", ",", "U.S"]);
        assert!(cut.contains(&"https://x.co/a,") && cut.contains(&"#NYC") && cut.contains(&"2019"));
        assert!(cut.contains(&"isn") && cut.contains(&"t"));
    }

    #[test]
    fn names_are_looked_for_around_capitals() {
        let of = |text: &str| runs(text, &tokens(text));
        assert_eq!(of("we saw Rome and then a b c Kate"), [1..4, 7..9]);
        assert_eq!(of("Hi").len(), 1);
        assert!(of("all small").is_empty());
    }

    #[test]
    fn long_texts_are_read_in_part() {
        assert_eq!(tokens(&"a ".repeat(10_000)).len(), MOST);
        assert!(tokens(" \u{fe0f} ").is_empty());
    }
}
