//! Which characters may stand where: in tags, names, domains, paths and queries.
//!
//! The classes are those of twitter-text's published rules. ASCII is answered from one table.

use crate::props::props;

/// Bits of [`ASCII`].
const DOMAIN: u8 = 1;
const PATH: u8 = 2;
const PATH_END: u8 = 4;
const QUERY: u8 = 8;
const QUERY_END: u8 = 16;

const ASCII: [u8; 128] = {
    let mut table = [0; 128];
    let mut i = 0;
    while i < 128 {
        let b = i as u8;
        let alnum = b.is_ascii_alphanumeric();
        let mut bits = 0;
        // Control characters that are no white space count as domain characters, as upstream.
        if alnum || b == b'"' || b == b'`' || (b < 9) || (b > 13 && b < 32) || b == 127 {
            bits |= DOMAIN;
        }
        if alnum || contains(b"!*';:=+,.$/%#[]-_~@|&", b) {
            bits |= PATH;
        }
        if alnum || contains(b"+-=_#/", b) {
            bits |= PATH_END;
        }
        if alnum || contains(b"!?*'@();:&=+$/%#[]-_.,~|", b) {
            bits |= QUERY;
        }
        if alnum || contains(b"-_&=#/", b) {
            bits |= QUERY_END;
        }
        table[i] = bits;
        i += 1;
    }
    table
};

const fn contains(set: &[u8], b: u8) -> bool {
    let mut i = 0;
    while i < set.len() {
        if set[i] == b {
            return true;
        }
        i += 1;
    }
    false
}

fn ascii(c: char, bits: u8) -> bool {
    ASCII[c as usize] & bits != 0
}

/// The first code point of each run of ten decimal digits (Unicode `Nd`).
const ZEROS: [u32; 66] = [
    0x0030, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6,
    0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80,
    0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0,
    0xFF10, 0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0,
    0x11650, 0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x16A60, 0x16AC0,
    0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0,
];

/// Whether one of 256 code points in a row is a decimal digit, up to U+1FFFF: most are not, and
/// then [`ZEROS`] need not be searched.
const DIGIT_PAGES: [bool; 512] = {
    let mut pages = [false; 512];
    let mut i = 0;
    while i < ZEROS.len() {
        pages[(ZEROS[i] >> 8) as usize] = true;
        pages[((ZEROS[i] + 9) >> 8) as usize] = true;
        i += 1;
    }
    pages
};

/// The value of a decimal digit of any script: `٣`, `３` and `𝟯` are 3.
#[must_use]
#[inline]
pub fn decimal(c: char) -> Option<u8> {
    if c.is_ascii() {
        return c.is_ascii_digit().then(|| c as u8 - b'0');
    }
    let code = c as u32;
    if !DIGIT_PAGES.get((code >> 8) as usize).is_some_and(|page| *page) {
        return None;
    }
    let run = ZEROS.partition_point(|zero| *zero <= code) - 1;
    let value = code - ZEROS[run];
    (value < 10).then_some(value as u8)
}

/// The same as [`char::is_alphabetic`], sooner.
#[must_use]
#[inline]
pub fn is_alphabetic(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphabetic();
    }
    props(c).alphabetic()
}

/// The same as [`char::is_alphanumeric`], sooner.
#[must_use]
#[inline]
pub fn is_alphanumeric(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    let props = props(c);
    props.alphabetic() || props.numeric()
}

/// The same as [`char::is_numeric`], sooner.
#[must_use]
#[inline]
pub fn is_numeric(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_digit();
    }
    props(c).numeric()
}

/// A letter or a combining mark; letter-like symbols (Ⓐ, 🅰) and letter numbers (Ⅷ) are neither.
#[must_use]
#[inline]
pub fn is_letter_or_mark(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphabetic();
    }
    let props = props(c);
    let symbol = || matches!(c as u32, 0x24B6..=0x24E9 | 0x1F130..=0x1F189);
    (props.alphabetic() && !props.numeric() && !symbol()) || props.mark()
}

/// A character of a hashtag: letter, mark, decimal digit, underscore, or one of the joiners and
/// middle dots that words of some scripts need.
#[must_use]
#[inline]
pub fn is_tag_char(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    is_letter_or_mark(c) || is_tag_joiner(c) || decimal(c).is_some()
}

fn is_tag_joiner(c: char) -> bool {
    matches!(
        c,
        '\u{200C}'
            | '\u{200D}'
            | '\u{A67E}'
            | '\u{05BE}'
            | '\u{05F3}'
            | '\u{05F4}'
            | '\u{FF5E}'
            | '\u{301C}'
            | '\u{309B}'
            | '\u{309C}'
            | '\u{30A0}'
            | '\u{30FB}'
            | '\u{3003}'
            | '\u{0F0B}'
            | '\u{0F0C}'
            | '\u{00B7}'
    )
}

/// A character that is drawn as an emoji or joins others into one; text symbols such as ™ are not.
#[must_use]
pub fn is_emoji_part(c: char) -> bool {
    matches!(c as u32,
        0x1F000..=0x1FAFF | 0x2600..=0x27BF | 0x231A..=0x23FF | 0x2B50 | 0x2B55
        | 0x20E3 | 0xFE0F | 0x200D | 0xE0020..=0xE007F)
}

/// A Latin letter with an accent, as twitter-text lists them.
#[must_use]
pub fn is_latin_accent(c: char) -> bool {
    matches!(c as u32,
        0xC0..=0xD6 | 0xD8..=0xF6 | 0xF8..=0x24F | 0x253 | 0x254 | 0x256 | 0x257 | 0x259 | 0x25B
        | 0x263 | 0x268 | 0x26F | 0x272 | 0x289 | 0x28B | 0x2BB | 0x300..=0x36F
        | 0x1E00..=0x1EFF)
}

/// White space, as twitter-text counts it.
#[must_use]
pub fn is_space(c: char) -> bool {
    matches!(c as u32,
        0x09..=0x0D | 0x20 | 0x85 | 0xA0 | 0x1680 | 0x180E | 0x2000..=0x200A | 0x2028 | 0x2029
        | 0x202F | 0x205F | 0x3000)
}

/// An invisible mark that steers the direction of text.
#[must_use]
pub fn is_directional(c: char) -> bool {
    matches!(c as u32, 0x202A..=0x202E | 0x061C | 0x200E | 0x200F | 0x2066..=0x2069)
}

/// A byte order mark or a code point that is no character.
#[must_use]
pub fn is_invalid(c: char) -> bool {
    matches!(c, '\u{FFFE}' | '\u{FEFF}' | '\u{FFFF}')
}

/// A character of a domain label, hyphen and underscore excepted.
#[must_use]
pub fn is_domain_char(c: char) -> bool {
    if c.is_ascii() {
        return ascii(c, DOMAIN);
    }
    !is_space(c) && !is_invalid(c) && !is_directional(c)
}

/// A character of a label that a link without scheme may have.
#[must_use]
pub fn is_plain_label_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || is_latin_accent(c)
}

fn is_path_letter(c: char) -> bool {
    matches!(c, '\u{0400}'..='\u{04FF}') || is_latin_accent(c)
}

/// A character of a URL path outside parentheses.
#[must_use]
pub fn is_path_char(c: char) -> bool {
    if c.is_ascii() { ascii(c, PATH) } else { c == '\u{2013}' || is_path_letter(c) }
}

/// A character a URL path may end with.
#[must_use]
pub fn is_path_end(c: char) -> bool {
    if c.is_ascii() { ascii(c, PATH_END) } else { is_path_letter(c) }
}

/// A character of a URL query.
#[must_use]
pub fn is_query_char(c: char) -> bool {
    c.is_ascii() && ascii(c, QUERY)
}

/// A character a URL query may end with.
#[must_use]
pub fn is_query_end(c: char) -> bool {
    c.is_ascii() && ascii(c, QUERY_END)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_every_script_have_their_value() {
        assert_eq!(decimal('7'), Some(7));
        assert_eq!(decimal('٣'), Some(3));
        assert_eq!(decimal('𝟯'), Some(3));
        assert_eq!(decimal('９'), Some(9));
        for no in ['½', '²', '①', 'Ⅷ', '一', 'a', '·', '\u{10FFFF}'] {
            assert_eq!(decimal(no), None, "{no}");
        }
        assert!(ZEROS.is_sorted());
    }

    #[test]
    fn the_short_ways_agree_with_the_tables() {
        for c in '\0'..=char::MAX {
            assert_eq!(is_alphabetic(c), c.is_alphabetic(), "{:x}", c as u32);
            let run = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&(c as u32)));
            assert_eq!(decimal(c), run.map(|zero| (c as u32 - zero) as u8), "{:x}", c as u32);
        }
    }

    #[test]
    fn tags_take_letters_marks_and_digits_but_no_symbols() {
        for yes in ['a', 'é', 'ก', '็', '々', '_', '٣', '·', '\u{200C}'] {
            assert!(is_tag_char(yes), "{yes}");
        }
        for no in ['Ⓐ', '🅰', '½', '😀', '-', '。', '|', ' ', '🏿'] {
            assert!(!is_tag_char(no), "{no}");
        }
    }

    #[test]
    fn punctuation_is_in_no_domain() {
        for no in "!#%&'()*+,\\-./:;<=>?@[]^_{|}~$ \t\u{3000}\u{FEFF}\u{202A}".chars() {
            assert!(!is_domain_char(no), "{no}");
        }
        assert!(is_domain_char('✪') && is_domain_char('あ') && is_domain_char('a'));
    }
}
