//! How long a text is, as each platform counts.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use crate::rules::Unit;

/// What X counts a link as, however long it is.
const LINK_ON_X: usize = 23;

/// The length of `text` in `unit`.
#[must_use]
pub fn length(text: &str, unit: Unit) -> usize {
    match unit {
        Unit::Chars => text.chars().count(),
        Unit::Bytes => text.len(),
        Unit::Utf16 => text.encode_utf16().count(),
        Unit::Weighted => weighted(text),
        Unit::EmojiBytes => text
            .graphemes(true)
            .map(|one| if is_emoji(one) { one.len() } else { one.chars().count() })
            .sum(),
    }
}

/// X (<https://docs.x.com/fundamentals/counting-characters>): NFC, links 23, emoji 2, Latin and
/// punctuation 1, everything else 2.
fn weighted(text: &str) -> usize {
    let text: String = text.nfc().collect();
    let mut total = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        if is_link(bare) {
            total += LINK_ON_X + (word.chars().count() - bare.chars().count());
            continue;
        }
        total += word
            .graphemes(true)
            .map(|one| if is_emoji(one) { 2 } else { one.chars().map(weight).sum() })
            .sum::<usize>();
    }
    total
}

fn weight(c: char) -> usize {
    let light =
        matches!(u32::from(c), 0..=0x10ff | 0x2000..=0x200d | 0x2010..=0x201f | 0x2032..=0x2037);
    if light { 1 } else { 2 }
}

fn is_emoji(grapheme: &str) -> bool {
    !grapheme.is_ascii() && emojis::get(grapheme).is_some()
}

fn is_link(word: &str) -> bool {
    ["https://", "http://"]
        .iter()
        .any(|scheme| word.len() > scheme.len() && word.starts_with(scheme))
}

/// How many links a text holds.
#[must_use]
pub fn links(text: &str) -> usize {
    text.split_whitespace().filter(|word| is_link(word)).count()
}

/// How many words begin with `sign` (`#`, `@`) and go on with a letter, digit or `_`.
#[must_use]
pub fn marked(text: &str, sign: char) -> usize {
    let mut before = ' ';
    let mut found = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let goes_on = chars.peek().is_some_and(|next| next.is_alphanumeric() || *next == '_');
        if c == sign && goes_on && !(before.is_alphanumeric() || before == '_') {
            found += 1;
        }
        before = c;
    }
    found
}

/// Whether two texts are the same to a reader: composed alike, without blanks around them.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    one.trim().nfc().eq(other.trim().nfc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_platform_counts_in_its_own_way() {
        for (text, chars, bytes, utf16, weighted, emoji_bytes) in [
            ("abc", 3, 3, 3, 3, 3),
            ("é", 1, 2, 1, 1, 1),
            ("e\u{301}", 2, 3, 2, 1, 2),
            ("日本", 2, 6, 2, 4, 2),
            ("👍", 1, 4, 2, 2, 4),
            ("a https://example.com/a/very/long/path/indeed b", 47, 47, 47, 27, 47),
        ] {
            let of = |unit| length(text, unit);
            let counted = [
                of(Unit::Chars),
                of(Unit::Bytes),
                of(Unit::Utf16),
                of(Unit::Weighted),
                of(Unit::EmojiBytes),
            ];
            assert_eq!(counted, [chars, bytes, utf16, weighted, emoji_bytes], "{text}");
        }
    }

    #[test]
    fn marks_count_at_the_beginning_of_a_word_only() {
        assert_eq!(marked("#a #b_1 c#d # e ##f", '#'), 3);
        assert_eq!(marked("@ann, mail@example.com @ (@bob)", '@'), 2);
        assert_eq!(links("see https://a.example and http://b.example, https://"), 2);
        assert!(same(" e\u{301} ", "é"));
    }
}
