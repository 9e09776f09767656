//! Positions in a text, in the three units that readers of results count in.
//!
//! Finders work on byte ranges. [`Offsets`] turns a byte range into a [`Span`]; it is built once
//! per text in one pass and answers in any order in constant time.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a finding lies in the text: start and end (exclusive) in bytes of UTF-8, in characters
/// (Unicode scalar values) and in UTF-16 units, which is how JavaScript and TikTok count.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Span {
    /// Bytes of the UTF-8 text.
    pub byte: [usize; 2],
    /// Unicode scalar values.
    pub char: [usize; 2],
    /// UTF-16 code units.
    pub utf16: [usize; 2],
}

impl Span {
    /// The byte range, for slicing the text the span was made from.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.byte[0]..self.byte[1]
    }
}

/// Bytes between two remembered positions. A query counts at most this many bytes.
const STRIDE: usize = 64;

/// Converts byte offsets of one text into characters and UTF-16 units.
#[derive(Debug, Clone)]
pub struct Offsets<'t> {
    text: &'t [u8],
    /// Characters and UTF-16 units before each multiple of [`STRIDE`]; empty for ASCII text,
    /// where the three units agree.
    marks: Vec<(usize, usize)>,
}

impl<'t> Offsets<'t> {
    /// Prepares the conversion: one pass over the text, nothing at all for ASCII.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        if bytes.is_ascii() {
            return Self { text: bytes, marks: Vec::new() };
        }
        let mut marks = Vec::with_capacity(bytes.len() / STRIDE + 1);
        let mut at = (0, 0);
        for chunk in bytes.chunks(STRIDE) {
            marks.push(at);
            at = add(at, chunk);
        }
        // An offset at the very end may be a multiple of the stride.
        marks.push(at);
        Self { text: bytes, marks }
    }

    /// The span of a byte range. Offsets past the end count as the end.
    #[must_use]
    pub fn span(&self, range: Range<usize>) -> Span {
        let (start, end) = (self.at(range.start), self.at(range.end));
        Span { byte: [start.0, end.0], char: [start.1, end.1], utf16: [start.2, end.2] }
    }

    /// Bytes, characters and UTF-16 units before a byte offset.
    fn at(&self, byte: usize) -> (usize, usize, usize) {
        let byte = byte.min(self.text.len());
        if self.marks.is_empty() {
            return (byte, byte, byte);
        }
        let mark = byte / STRIDE;
        let (chars, units) = add(self.marks[mark], &self.text[mark * STRIDE..byte]);
        (byte, chars, units)
    }
}

/// Adds the characters and UTF-16 units that begin in `bytes`. A character begins at each byte
/// that is no continuation byte, and those of four bytes take two units.
fn add((chars, units): (usize, usize), bytes: &[u8]) -> (usize, usize) {
    debug_assert!(bytes.len() <= STRIDE, "counts fit a byte");
    let begun: u8 = bytes.iter().map(|b| u8::from((*b & 0xC0) != 0x80)).sum();
    let long: u8 = bytes.iter().map(|b| u8::from(*b >= 0xF0)).sum();
    let (begun, long) = (usize::from(begun), usize::from(long));
    (chars + begun, units + begun + long)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_units_agree_with_counting_for_every_offset() {
        let text = "héllo 👩🏽‍🚒 ราคา ₹1,83,000 𝟭𝟵 ok. ".repeat(7);
        let offsets = Offsets::new(&text);
        for (i, c) in text.char_indices() {
            let span = offsets.span(i..i + c.len_utf8());
            let before = &text[..i];
            assert_eq!(span.byte[0], i);
            assert_eq!(span.char, [before.chars().count(), before.chars().count() + 1]);
            let units = before.encode_utf16().count();
            assert_eq!(span.utf16, [units, units + c.len_utf16()]);
        }
        assert_eq!(offsets.span(0..text.len()).char[1], text.chars().count());
    }

    #[test]
    fn ascii_counts_the_same_in_every_unit_and_the_end_is_held() {
        let offsets = Offsets::new("plain");
        let span = offsets.span(1..99);
        assert_eq!((span.byte, span.char, span.utf16), ([1, 5], [1, 5], [1, 5]));
        assert_eq!(span.range(), 1..5);
        assert_eq!(Offsets::new("é").span(0..2).char, [0, 1]);
        assert_eq!(Offsets::new("").span(0..0).byte, [0, 0]);
    }
}
