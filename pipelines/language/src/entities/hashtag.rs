//! Hashtags. X wants a boundary before the sign and a letter in the tag; elsewhere tags run
//! together, and TikTok's hold emoji or digits alone.

use memchr::memchr2;

use super::chars::{is_emoji_part, is_letter_or_mark, is_tag_char};
use super::{Found, Kind, char_at, char_before};
use crate::platform::Rules;

/// Appends every hashtag of the text.
pub fn find(text: &str, rules: &Rules, out: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    // Where the last tag ended, accepted or not: its characters are no boundary for the next.
    let mut used = 0;
    while let Some(step) = memchr2(b'#', 0xEF, &bytes[from..]) {
        let at = from + step;
        let Some(sign) = sign_len(bytes, at) else {
            from = at + 1;
            continue;
        };
        let body = at + sign;
        from = body;
        if !boundary(text, at, used, rules) {
            continue;
        }
        let end = body + body_len(&text[body..], rules);
        if !is_tag(&text[body..end], rules) {
            continue;
        }
        (from, used) = (end, end);
        let rest = &text[end..];
        let glued = rules.twitter && rest.starts_with(['#', '＃']);
        let entity = text[..at].ends_with('&') && rest.starts_with(';');
        if !glued && !entity && !rest.starts_with("://") {
            let rule = if rules.twitter { "hashtag:x" } else { "hashtag" };
            out.push(Found::new(Kind::Hashtag, at..end, body..end, rule, 0.99));
        }
    }
}

/// Bytes of the sign at `at`: `#` or the full-width `＃`.
fn sign_len(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes[at] {
        b'#' => Some(1),
        _ if bytes[at..].starts_with("＃".as_bytes()) => Some(3),
        _ => None,
    }
}

fn boundary(text: &str, at: usize, used: usize, rules: &Rules) -> bool {
    if !rules.twitter {
        return true;
    }
    match char_before(text, at) {
        None => true,
        Some(_) if at <= used => false,
        Some('\u{FE0E}' | '\u{FE0F}') => true,
        Some(c) => c != '&' && !is_tag_char(c),
    }
}

fn body_len(rest: &str, rules: &Rules) -> usize {
    // A keycap emoji starts with the same sign.
    if matches!(char_at(rest, 0), Some('\u{FE0F}' | '\u{20E3}')) {
        return 0;
    }
    let inside = |c: char| is_tag_char(c) || (rules.emoji_in_tags && is_emoji_part(c));
    rest.find(|c| !inside(c)).unwrap_or(rest.len())
}

fn is_tag(body: &str, rules: &Rules) -> bool {
    let alive = |c: char| {
        is_letter_or_mark(c)
            || (rules.numeric_tags && c.is_numeric())
            || (rules.emoji_in_tags && is_emoji_part(c))
    };
    body.chars().any(alive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Platform;

    fn tags(text: &str, platform: Platform) -> Vec<&str> {
        let mut out = Vec::new();
        find(text, &Rules::of(Some(platform)), &mut out);
        out.into_iter().map(|found| &text[found.value]).collect()
    }

    #[test]
    fn x_rejects_tags_that_run_together_and_the_others_take_them() {
        assert!(tags("#foryou#fyp", Platform::X).is_empty());
        assert_eq!(tags("#foryou#fyp|#three", Platform::TikTok), ["foryou", "fyp", "three"]);
        assert_eq!(tags("wow#one •#two", Platform::Instagram), ["one", "two"]);
    }

    #[test]
    fn emoji_belong_to_a_tiktok_tag_and_end_the_others() {
        let text = "#bag👜🔥 #سوريا🇸🇾 #😂";
        assert_eq!(tags(text, Platform::TikTok), ["bag👜🔥", "سوريا🇸🇾", "😂"]);
        assert_eq!(tags(text, Platform::Instagram), ["bag", "سوريا"]);
    }

    #[test]
    fn digits_alone_are_a_tag_on_tiktok_only_and_keycaps_never_are() {
        assert_eq!(tags("#2020 #1", Platform::TikTok), ["2020", "1"]);
        assert!(tags("we are #1", Platform::Instagram).is_empty());
        assert!(tags("#️⃣one #⃣two &#39; # x #_", Platform::TikTok).is_empty());
    }
}
