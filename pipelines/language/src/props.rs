//! What the finders ask of every character, worked out once for each 256 code points that texts
//! come in: the tables of the standard library are searched, these are only looked up.

use std::sync::OnceLock;

use crate::sentiment::fold::{Class, class_of, is_unspaced, plain_of};

/// For each byte that is an ASCII letter or digit the small letter or the digit; 0 for all others.
pub(crate) const ASCII_PLAIN: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            table[byte] = (byte as u8).to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

/// How many bytes of ASCII a text begins with.
pub(crate) fn ascii_len(bytes: &[u8]) -> usize {
    let (chunks, _) = bytes.as_chunks::<16>();
    let whole = 16 * chunks.iter().take_while(|chunk| chunk.is_ascii()).count();
    let rest = &bytes[whole..];
    whole + rest.iter().position(|b| !b.is_ascii()).unwrap_or(rest.len())
}

/// Appends a text in lower case, as [`char::to_lowercase`] has it.
pub(crate) fn push_lower(text: &str, out: &mut String) {
    if text.is_ascii() {
        let from = out.len();
        out.push_str(text);
        out[from..].make_ascii_lowercase();
        return;
    }
    text.chars().for_each(|c| push_small(c, out));
}

/// Appends one character in lower case.
#[inline]
pub(crate) fn push_small(c: char, out: &mut String) {
    if c.is_ascii() {
        out.push(c.to_ascii_lowercase());
    } else if props(c).small() {
        out.push(c);
    } else {
        out.extend(c.to_lowercase());
    }
}

/// The answers about one character, packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Props(u32);

/// The low bits hold the plain character.
const PLAIN: u32 = 0x1F_FFFF;
const EMOJI: u32 = 1 << 21;
const WORD: u32 = 1 << 22;
const UNSPACED: u32 = 1 << 23;
const ALPHABETIC: u32 = 1 << 24;
const NUMERIC: u32 = 1 << 25;
const UPPER: u32 = 1 << 26;
const MARK: u32 = 1 << 27;
/// In lower case it is what it is.
const SMALL: u32 = 1 << 28;

type Block = [Props; 256];
/// Up to U+1FFFF; what lies beyond is rare and worked out each time.
const BLOCKS: usize = 0x200;

static TABLE: [OnceLock<Box<Block>>; BLOCKS] = [const { OnceLock::new() }; BLOCKS];

/// The answers about a character.
#[inline]
pub(crate) fn props(c: char) -> Props {
    let code = c as u32;
    match TABLE.get((code >> 8) as usize) {
        Some(block) => block.get_or_init(|| block_of(code >> 8))[(code & 0xFF) as usize],
        None => Props::of(c),
    }
}

#[cold]
fn block_of(block: u32) -> Box<Block> {
    let of = |low: usize| {
        // Surrogates are no characters and never asked for.
        char::from_u32((block << 8) | low as u32).map_or(Props(PLAIN), Props::of)
    };
    Box::new(std::array::from_fn(of))
}

impl Props {
    #[cold]
    fn of(c: char) -> Self {
        let class = match class_of(c) {
            Class::Word => WORD,
            Class::Emoji => EMOJI,
            Class::Other => 0,
        };
        let bit = |is: bool, bit: u32| if is { bit } else { 0 };
        Self(
            plain_of(c).map_or(PLAIN, u32::from)
                | class
                | bit(is_unspaced(c), UNSPACED)
                | bit(c.is_alphabetic(), ALPHABETIC)
                | bit(c.is_numeric(), NUMERIC)
                | bit(c.is_uppercase(), UPPER)
                | bit(unicode_normalization::char::is_combining_mark(c), MARK)
                | bit(c.to_lowercase().eq([c]), SMALL),
        )
    }

    /// See [`crate::sentiment::fold::plain`].
    #[inline]
    pub(crate) fn plain(self) -> Option<char> {
        // No character has the code that stands for none.
        char::from_u32(self.0 & PLAIN)
    }

    /// See [`crate::sentiment::fold::class`].
    #[inline]
    pub(crate) fn class(self) -> Class {
        match self.0 & (WORD | EMOJI) {
            WORD => Class::Word,
            EMOJI => Class::Emoji,
            _ => Class::Other,
        }
    }

    /// Whether words of this script run together without spaces.
    #[inline]
    pub(crate) fn unspaced(self) -> bool {
        self.0 & UNSPACED != 0
    }

    /// As [`char::is_alphabetic`].
    #[inline]
    pub(crate) fn alphabetic(self) -> bool {
        self.0 & ALPHABETIC != 0
    }

    /// As [`char::is_numeric`].
    #[inline]
    pub(crate) fn numeric(self) -> bool {
        self.0 & NUMERIC != 0
    }

    /// As [`char::is_uppercase`].
    #[inline]
    pub(crate) fn upper(self) -> bool {
        self.0 & UPPER != 0
    }

    /// Whether lower case leaves it as it is.
    #[inline]
    pub(crate) fn small(self) -> bool {
        self.0 & SMALL != 0
    }

    /// Whether it is a combining mark.
    #[inline]
    pub(crate) fn mark(self) -> bool {
        self.0 & MARK != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ascii_a_text_begins_with_is_counted() {
        for (text, want) in [("", 0), ("abc", 3), ("é", 0), ("0123456789abcdefgé", 17)] {
            assert_eq!(ascii_len(text.as_bytes()), want, "{text}");
        }
        assert_eq!(ascii_len("a".repeat(16).as_bytes()), 16);
    }

    #[test]
    fn every_character_is_answered_as_the_slow_way_would() {
        for c in '\0'..=char::MAX {
            let fast = props(c);
            assert_eq!(fast.plain(), plain_of(c), "{:x}", c as u32);
            assert_eq!(fast.class(), class_of(c), "{:x}", c as u32);
            assert_eq!(fast.unspaced(), is_unspaced(c), "{:x}", c as u32);
            assert_eq!(fast.alphabetic(), c.is_alphabetic(), "{:x}", c as u32);
            assert_eq!(fast.numeric(), c.is_numeric(), "{:x}", c as u32);
            assert_eq!(fast.upper(), c.is_uppercase(), "{:x}", c as u32);
            assert_eq!(fast.small(), c.to_lowercase().eq([c]), "{:x}", c as u32);
        }
    }
}
