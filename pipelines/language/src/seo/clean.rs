//! The prose of a caption: without signs of tags and names, links, emoji and line breaks.

use crate::entities::chars::{is_alphanumeric, is_emoji_part};
use crate::entities::{Found, Kind};

/// A caption taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clean {
    /// Its sentences on one line; a tag or name inside a sentence stays, without its sign.
    pub prose: String,
    /// The words of its hashtags.
    pub tags: Vec<String>,
    /// The accounts it names.
    pub names: Vec<String>,
}

/// Takes a caption apart along its entities (in order, without overlap).
#[must_use]
pub fn clean(text: &str, found: &[Found]) -> Clean {
    let mut clean = Clean::default();
    let mut raw = String::with_capacity(text.len());
    let mut at = 0;
    for (i, one) in found.iter().enumerate() {
        if one.range.start < at {
            continue;
        }
        raw.push_str(&text[at..one.range.start]);
        at = one.range.end;
        let value = &text[one.value.clone()];
        match one.kind {
            Kind::Hashtag => clean.tags.push(plain(value)),
            Kind::Mention | Kind::List => clean.names.push(plain(value)),
            Kind::Cashtag => raw.push_str(value),
            Kind::Url | Kind::Email | Kind::Phone => raw.push(' '),
        }
        if matches!(one.kind, Kind::Hashtag | Kind::Mention) && inside(text, found, i) {
            raw.push_str(value);
        } else {
            raw.push(' ');
        }
    }
    raw.push_str(&text[at..]);
    clean.prose = plain(&raw);
    clean.tags.retain(|t| !t.is_empty());
    clean.names.retain(|n| !n.is_empty());
    if clean.prose.is_empty() && clean.tags.is_empty() {
        clean.prose = clean.names.join(" ");
    }
    if clean.prose.is_empty() && clean.tags.is_empty() {
        let visible = |c: &char| !c.is_control() && !matches!(c, '#' | '＃' | '@');
        clean.prose =
            text.chars().filter(visible).take(super::TITLE).collect::<String>().trim().to_owned();
    }
    clean
}

/// Whether words of the same line stand before and after an entity.
fn inside(text: &str, found: &[Found], i: usize) -> bool {
    let words = |piece: &str| piece.chars().any(is_alphanumeric);
    let after = found.get(i + 1).map_or(text.len(), |f| f.range.start);
    let start = i.checked_sub(1).and_then(|b| found.get(b)).map_or(0, |f| f.range.end);
    let (Some(before), Some(next)) =
        (text.get(start..found[i].range.start), text.get(found[i].range.end..after))
    else {
        return false;
    };
    let line = |s: &str, first: bool| {
        let piece = if first { s.split('\n').next() } else { s.rsplit('\n').next() };
        words(piece.unwrap_or_default())
    };
    line(next, true) && (line(before, false) || start == 0)
}

/// One line without emoji, signs of tags and names, and rows of dots.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in text.split(is_gap).filter(|piece| !piece.is_empty()) {
        let before = out.len();
        if before > 0 {
            out.push(' ');
        }
        let from = out.len();
        show(piece, &mut out);
        let word = &out[from..];
        let link = || word.as_bytes().contains(&b':') && word.contains("://");
        let says_nothing =
            || !word.chars().any(is_alphanumeric) && (from == 0 || word.chars().all(is_rule));
        if word.is_empty() || link() || says_nothing() {
            out.truncate(before);
        }
    }
    out
}

/// White space and control characters.
fn is_gap(c: char) -> bool {
    if c.is_ascii() { c <= ' ' || c == '\u{7f}' } else { c.is_whitespace() || c.is_control() }
}

/// Rows of these are drawn as lines.
fn is_rule(c: char) -> bool {
    matches!(c, '.' | '-' | '_' | '•' | '·' | '*' | '~' | '=')
}

/// Appends a word without emoji, invisible signs and signs of tags and names.
fn show(piece: &str, out: &mut String) {
    if piece.is_ascii() && memchr::memchr2(b'#', b'@', piece.as_bytes()).is_none() {
        return out.push_str(piece);
    }
    let sign =
        |c: char| matches!(c, '#' | '＃' | '@' | '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{fffd}');
    let kept = |c: &char| !sign(*c) && (c.is_ascii() || !is_emoji_part(*c) || is_alphanumeric(*c));
    out.extend(piece.chars().filter(kept));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entities::find_all;
    use crate::platform::Rules;

    #[test]
    fn tags_at_the_end_go_and_tags_in_a_sentence_lose_their_sign() {
        let text = "My #chanel bag is here 👜\n.\n.\n#fyp #bags @jo https://a.co";
        let clean = clean(text, &find_all(text, &Rules::of(None)));
        assert_eq!(clean.prose, "My chanel bag is here");
        assert_eq!(clean.tags, ["chanel", "fyp", "bags"]);
        assert_eq!(clean.names, ["jo"]);
    }
}
