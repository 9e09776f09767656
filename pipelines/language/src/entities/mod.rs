//! Entities of a caption: tags, names, links, addresses, numbers and emoji, as byte ranges.
//!
//! Each finder walks the text once and jumps between the few bytes its entity can start at.
//! [`find_all`] runs them and lets the entity that starts first keep contested text.

pub mod cashtag;
pub mod chars;
pub mod domain;
pub mod email;
pub mod emoji;
pub mod hashtag;
pub mod mention;
pub mod phone;
pub mod tld;
pub mod url;
pub mod valid;

use std::ops::Range;

use crate::platform::Rules;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `#tag`
    Hashtag,
    /// `@name`
    Mention,
    /// `@name/list`, X only
    List,
    /// A link with or without scheme.
    Url,
    /// `$TICKER`
    Cashtag,
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
}

/// One entity: where it is, which part of it is its value, and why it was taken for one.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// The whole entity, sign included, in bytes.
    pub range: Range<usize>,
    /// Its value: the tag or name without sign, the link or address itself.
    pub value: Range<usize>,
    /// Which rule found it.
    pub rule: &'static str,
    /// How sure that rule is, 0 to 1.
    pub confidence: f32,
}

impl Found {
    pub(crate) fn new(
        kind: Kind,
        range: Range<usize>,
        value: Range<usize>,
        rule: &'static str,
        confidence: f32,
    ) -> Self {
        Self { kind, range, value, rule, confidence }
    }
}

/// Every entity except emoji, in text order and without overlap; numbers inside chat links
/// (`wa.me/…`) come as well.
#[must_use]
pub fn find_all(text: &str, rules: &Rules) -> Vec<Found> {
    let mut found = Vec::new();
    url::find(text, url::Bare::of(rules), &mut found);
    mention::find(text, rules, &mut found);
    hashtag::find(text, rules, &mut found);
    cashtag::find(text, &mut found);
    email::find(text, &mut found);
    phone::find(text, &mut found);
    without_overlap(&mut found);
    phone::in_links(text, &mut found);
    found
}

/// Sorts by start and drops what starts inside an entity that started before.
pub fn without_overlap(found: &mut Vec<Found>) {
    found.sort_by_key(|f| (f.range.start, std::cmp::Reverse(f.range.end)));
    let mut end = 0;
    found.retain(|f| {
        let free = f.range.start >= end;
        if free {
            end = f.range.end;
        }
        free
    });
}

/// The character that starts at a byte offset.
pub(crate) fn char_at(text: &str, at: usize) -> Option<char> {
    text[at..].chars().next()
}

/// The character that ends at a byte offset.
pub(crate) fn char_before(text: &str, at: usize) -> Option<char> {
    text[..at].chars().next_back()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Platform;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        let found = find_all(text, &Rules::of(Some(Platform::Instagram)));
        found.into_iter().map(|f| (f.kind, &text[f.value])).collect()
    }

    #[test]
    fn what_starts_first_keeps_contested_text() {
        let text = "jo@shop.com https://x.com/#a/@b see shop.com/#new";
        assert_eq!(
            kinds(text),
            [
                (Kind::Email, "jo@shop.com"),
                (Kind::Url, "https://x.com/#a/@b"),
                (Kind::Url, "shop.com/#new"),
            ]
        );
    }

    #[test]
    fn a_chat_link_gives_its_number_too() {
        assert_eq!(
            kinds("order: wa.me/85291038328"),
            [(Kind::Url, "wa.me/85291038328"), (Kind::Phone, "85291038328")]
        );
    }
}
