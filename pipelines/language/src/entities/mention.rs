//! Mentions, and on X lists. X stops a name at the dot; elsewhere names hold dots.

use std::ops::Range;

use memchr::memchr2;

use super::chars::is_latin_accent;
use super::{Found, Kind, char_at, char_before};
use crate::platform::Rules;

const LIST_MAX: usize = 25;

/// Appends every mention of the text, and every list when the rules are those of X.
pub fn find(text: &str, rules: &Rules, out: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    let mut used = 0;
    while let Some(step) = memchr2(b'@', 0xEF, &bytes[from..]) {
        let at = from + step;
        let Some(sign) = sign_len(bytes, at) else {
            from = at + 1;
            continue;
        };
        let name = at + sign..name_end(text, at + sign, rules);
        from = name.start;
        if name.is_empty() || !preceded_well(text, at, used, &text[name.clone()], rules) {
            continue;
        }
        let list = if rules.twitter { list_end(bytes, name.end) } else { name.end };
        (from, used) = (list, list);
        if followed_badly(&text[list..]) {
            continue;
        }
        let kind = if list > name.end { Kind::List } else { Kind::Mention };
        let rule = if rules.twitter { "mention:x" } else { "mention" };
        out.push(Found::new(kind, at..list, name.start..list, rule, 0.99));
    }
}

/// The name a text replies to: a mention that nothing but space comes before.
#[must_use]
pub fn reply(text: &str, rules: &Rules) -> Option<Range<usize>> {
    let start = text.find(|c| !super::chars::is_space(c))?;
    let sign = sign_len(text.as_bytes(), start)?;
    let name = start + sign..name_end(text, start + sign, rules);
    (!name.is_empty() && !followed_badly(&text[name.end..])).then_some(name)
}

/// Bytes of the sign at `at`: `@` or the full-width `＠`.
fn sign_len(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes[at] {
        b'@' => Some(1),
        _ if bytes[at..].starts_with("＠".as_bytes()) => Some(3),
        _ => None,
    }
}

fn name_end(text: &str, start: usize, rules: &Rules) -> usize {
    let bytes = text.as_bytes();
    let word = |i: usize| bytes.get(i).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let mut end = start;
    while end - start < rules.name_max {
        let inner = match bytes.get(end) {
            Some(b'.') => rules.dots_in_names,
            Some(b'-') => rules.hyphens_in_names,
            _ => false,
        };
        // A dot belongs to the name only when the name goes on after it.
        if word(end) || (inner && end > start && word(end + 1)) {
            end += 1;
        } else {
            break;
        }
    }
    // The limit may have cut behind an inner dot.
    while end > start && matches!(bytes[end - 1], b'.' | b'-') {
        end -= 1;
    }
    end
}

fn list_end(bytes: &[u8], at: usize) -> usize {
    let starts = bytes.get(at) == Some(&b'/');
    if !starts || !bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic) {
        return at;
    }
    let slug = bytes[at + 1..].iter().take(LIST_MAX);
    at + 1 + slug.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count()
}

fn preceded_well(text: &str, at: usize, used: usize, name: &str, rules: &Rules) -> bool {
    let Some(before) = char_before(text, at) else { return true };
    if !rules.twitter {
        // After a letter it may be an e-mail address or a gender-neutral ending (tod@s).
        let word = before.is_ascii_alphanumeric();
        return before != '@' && (!word || (name.len() >= 3 && !name.contains(['.', '-'])));
    }
    if at <= used {
        return false;
    }
    let barred = |c: char| c.is_ascii_alphanumeric() || "_!#$%&*@＠".contains(c);
    !barred(before) || after_retweet(&text[..at])
}

/// "RT" directly before the sign, itself at the start of a word.
fn after_retweet(before: &str) -> bool {
    let bytes = before.as_bytes();
    let n = bytes.len();
    n >= 2
        && bytes[n - 2..].eq_ignore_ascii_case(b"rt")
        && char_before(before, n - 2)
            .is_none_or(|c| !c.is_ascii_alphanumeric() && !"_+~.-".contains(c))
}

fn followed_badly(rest: &str) -> bool {
    rest.starts_with("://")
        || char_at(rest, 0).is_some_and(|c| c == '@' || c == '＠' || is_latin_accent(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Platform;

    fn names(text: &str, platform: Platform) -> Vec<&str> {
        let mut out = Vec::new();
        find(text, &Rules::of(Some(platform)), &mut out);
        out.into_iter().map(|found| &text[found.value]).collect()
    }

    #[test]
    fn dots_belong_to_names_except_on_x_and_a_final_dot_is_punctuation() {
        let text = "by @phoebe.mulyana. and @i.2.n.8, @a..b";
        assert_eq!(names(text, Platform::TikTok), ["phoebe.mulyana", "i.2.n.8", "a"]);
        assert_eq!(names(text, Platform::X), ["phoebe", "i", "a"]);
    }

    #[test]
    fn a_name_may_follow_emoji_and_letters_but_no_address_is_a_name() {
        assert_eq!(names("🎉@shop cc@friend", Platform::TikTok), ["shop", "friend"]);
        assert!(names("tod@s me@mail.com @Thương", Platform::Instagram).is_empty());
    }

    #[test]
    fn names_are_cut_at_the_limit_of_the_platform_without_a_final_dot() {
        let long = format!("@{}.bc", "a".repeat(23));
        assert_eq!(names(&long, Platform::TikTok), ["a".repeat(23)]);
        assert_eq!(names("@one/list-a", Platform::X), ["one/list-a"]);
        assert!(names("@ @", Platform::X).is_empty());
    }

    #[test]
    fn a_reply_starts_the_text() {
        let rules = Rules::of(Some(Platform::X));
        assert_eq!(reply(" @jo hi", &rules), Some(2..4));
        assert_eq!(reply("hi @jo", &rules), None);
        assert_eq!(reply("", &rules), None);
    }
}
