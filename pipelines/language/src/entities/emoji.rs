//! Emoji, with sequences, skin tones, flags and keycaps as one each.
//!
//! A cheap test on the first character finds candidates; the grapheme cluster there is looked up
//! in the Unicode table. A cluster that is not in it as a whole (a new family, a stray mark) gives
//! the longest emoji it starts with.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// One emoji: its bytes and its Unicode name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emoji {
    /// Where it is, in bytes.
    pub range: Range<usize>,
    /// English name, e.g. `grinning face`.
    pub name: &'static str,
}

/// The longest emoji sequence has ten characters and 35 bytes; more are never looked at, so that
/// a cluster of a million marks costs no more than a million steps.
const LONGEST: usize = 12;
const LONGEST_BYTES: usize = 4 * LONGEST;

/// Every emoji of the text, in order.
#[must_use]
pub fn find(text: &str) -> Vec<Emoji> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(ascii) = bytes[at..].iter().position(|b| !b.is_ascii()) {
        let keycap = ascii > 0 && is_keycap(bytes, at + ascii - 1);
        at += ascii - usize::from(keycap);
        let b = bytes[at];
        if !keycap && !may_lead(b) {
            at += width(b);
            continue;
        }
        let step = match text[at..].chars().next() {
            Some(c) if keycap || may_start(c) => match longest(&text[at..]) {
                Some((len, name)) => {
                    found.push(Emoji { range: at..at + len, name });
                    len
                }
                None => c.len_utf8(),
            },
            Some(c) => c.len_utf8(),
            None => break,
        };
        at += step;
    }
    found
}

/// Bytes of the character that starts with this byte.
fn width(lead: u8) -> usize {
    match lead {
        0..0x80 => 1,
        0x80..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    }
}

/// First bytes of the characters [`may_start`] accepts.
fn may_lead(b: u8) -> bool {
    matches!(b, 0xC2 | 0xE2 | 0xE3 | 0xF0)
}

/// A digit, `#` or `*` that a variation selector or the keycap itself follows.
fn is_keycap(bytes: &[u8], at: usize) -> bool {
    matches!(bytes[at], b'0'..=b'9' | b'#' | b'*') && matches!(bytes.get(at + 1), Some(0xE2 | 0xEF))
}

fn may_start(c: char) -> bool {
    matches!(c as u32,
        0xA9 | 0xAE | 0x203C | 0x2049 | 0x2122 | 0x2139 | 0x2194..=0x21AA | 0x231A..=0x23FF
        | 0x24C2 | 0x25AA..=0x27BF | 0x2934 | 0x2935 | 0x2B05..=0x2B55 | 0x3030 | 0x303D
        | 0x3297 | 0x3299 | 0x1F000..=0x1FAFF)
}

/// Length and name of the longest emoji the text starts with.
fn longest(rest: &str) -> Option<(usize, &'static str)> {
    let near = &rest[..rest.floor_char_boundary(LONGEST_BYTES)];
    let cluster = near.graphemes(true).next()?;
    if let Some(emoji) = emojis::get(cluster) {
        return Some((cluster.len(), emoji.name()));
    }
    let mut ends: [usize; LONGEST] = [0; LONGEST];
    let mut n = 0;
    for (i, c) in cluster.char_indices().take(LONGEST) {
        ends[n] = i + c.len_utf8();
        n += 1;
    }
    let known = |end: &usize| emojis::get(&cluster[..*end]).map(|e| (*end, e.name()));
    ends[..n].iter().rev().find_map(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emoji(text: &str) -> Vec<&str> {
        find(text).into_iter().map(|e| &text[e.range]).collect()
    }

    #[test]
    fn sequences_tones_flags_and_keycaps_are_one_each() {
        let text = "👩🏽‍🚒🇩🇪🇫🇷 1️⃣#️⃣ ❤️‍🔥👍🏿©";
        assert_eq!(emoji(text), ["👩🏽‍🚒", "🇩🇪", "🇫🇷", "1️⃣", "#️⃣", "❤️‍🔥", "👍🏿", "©"]);
        assert_eq!(find("🚒")[0].name, "fire engine");
    }

    #[test]
    fn unknown_clusters_give_what_they_start_with() {
        assert_eq!(emoji("👍\u{0301}\u{0301}"), ["👍"]);
        assert_eq!(emoji("🚒\u{200D}🚒"), ["🚒", "🚒"]);
        assert!(emoji("10 #1 *2* • → 🇦🇦").is_empty());
    }
}
