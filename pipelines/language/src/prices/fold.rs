//! One spelling for many: full-width and mathematical digits, digits of other scripts, capitals
//! and no-break spaces become their plain forms, and every byte remembers where it came from.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::compose;

use crate::entities::chars::is_alphabetic;

/// A folded text with the way back to the original.
#[derive(Debug)]
pub(super) struct Folded<'t> {
    /// The text as its author wrote it.
    pub(super) original: &'t str,
    /// Lower case, plain digits, plain spaces.
    pub(super) text: String,
    /// Where the two texts do not go on byte by byte, in order; between these places they do.
    shifts: Vec<Shift>,
}

/// Folded bytes (none, where a character was dropped) and the original bytes they stand for.
#[derive(Debug)]
struct Shift {
    folded: Range<u32>,
    original: Range<u32>,
}

impl<'t> Folded<'t> {
    /// Folds a text; ASCII takes the short way.
    pub(super) fn new(original: &'t str) -> Self {
        if original.is_ascii() {
            return Self { original, text: original.to_ascii_lowercase(), shifts: Vec::new() };
        }
        let mut folded =
            Self { original, text: String::with_capacity(original.len() + 16), shifts: Vec::new() };
        let mut at = 0;
        while at < original.len() {
            at = folded.push_ascii(at);
            let Some(c) = original[at..].chars().next() else { break };
            folded.push(c, at);
            at += c.len_utf8();
        }
        folded
    }

    /// Takes the ASCII from `at` on in one piece and returns where it ends.
    fn push_ascii(&mut self, at: usize) -> usize {
        let len = self.original.as_bytes()[at..].iter().take_while(|b| b.is_ascii()).count();
        let from = self.text.len();
        self.text.push_str(&self.original[at..at + len]);
        self.text[from..].make_ascii_lowercase();
        at + len
    }

    /// Takes one other character, which lies at `at`.
    fn push(&mut self, c: char, at: usize) {
        let before = self.text.len();
        let end = at + c.len_utf8();
        if !push_folded(c, &mut self.text) {
            return self.join_last(c, at);
        }
        let mut added = self.text[before..].chars();
        let aligned = added.next().is_some_and(|one| one.len_utf8() == c.len_utf8());
        if !aligned || added.next().is_some() {
            let folded = before as u32..self.text.len() as u32;
            self.shifts.push(Shift { folded, original: at as u32..end as u32 });
        }
    }

    /// A combining mark becomes one with the character before, where that is possible.
    fn join_last(&mut self, mark: char, at: usize) {
        let end = (at + mark.len_utf8()) as u32;
        let last = self.text.chars().next_back();
        let Some((last, joined)) = last.and_then(|l| Some((l, compose(l, mark)?))) else {
            return self.text.push(mark);
        };
        let from = self.text.len() - last.len_utf8();
        let start = self.original_start(from) as u32;
        while self.shifts.pop_if(|s| s.folded.end as usize > from).is_some() {}
        self.text.truncate(from);
        self.text.push(joined);
        let folded = from as u32..self.text.len() as u32;
        self.shifts.push(Shift { folded, original: start..end });
    }

    /// The original bytes behind a folded range.
    pub(super) fn range(&self, folded: Range<usize>) -> Range<usize> {
        if self.shifts.is_empty() || folded.is_empty() {
            return folded;
        }
        let start = self.original_start(folded.start);
        start..self.original_end(folded.end).max(start)
    }

    /// The last shift that begins at a folded byte or before it.
    fn shift_at(&self, byte: usize) -> Option<&Shift> {
        let behind = self.shifts.partition_point(|s| s.folded.start as usize <= byte);
        behind.checked_sub(1).map(|at| &self.shifts[at])
    }

    fn original_start(&self, folded: usize) -> usize {
        match self.shift_at(folded) {
            None => folded,
            Some(s) if folded < s.folded.end as usize => s.original.start as usize,
            Some(s) => s.original.end as usize + folded - s.folded.end as usize,
        }
    }

    fn original_end(&self, folded: usize) -> usize {
        match self.shift_at(folded - 1) {
            None => folded,
            Some(s) if folded <= s.folded.end as usize => s.original.end as usize,
            Some(s) => s.original.end as usize + folded - s.folded.end as usize,
        }
    }

    /// Where an original byte offset lies in the folded text.
    pub(super) fn position(&self, original: usize) -> usize {
        let behind = self.shifts.partition_point(|s| (s.original.start as usize) < original);
        let position = match behind.checked_sub(1).map(|at| &self.shifts[at]) {
            None => original,
            Some(s) => s.folded.end as usize + original.saturating_sub(s.original.end as usize),
        };
        position.min(self.text.len())
    }

    /// The original text behind a folded range.
    pub(super) fn source(&self, folded: Range<usize>) -> &'t str {
        self.original.get(self.range(folded)).unwrap_or("")
    }
}

/// Appends the folded form of a character beyond ASCII. Says no to a combining mark, which belongs
/// to the character before it.
fn push_folded(c: char, text: &mut String) -> bool {
    match c {
        // Emoji, signs and letters without case, which most of these are.
        '\u{2190}'..='\u{2211}'
        | '\u{2213}'..='\u{245f}'
        | '\u{2500}'..='\u{2bff}'
        | '\u{1f000}'..='\u{1faff}'
        | '\u{e01}'..='\u{e4e}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}' => text.push(c),
        // Invisible: joiners, direction marks, soft hyphen, variation selectors.
        '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{ad}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{61c}' => {}
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}' => text.push(' '),
        '\u{2028}' | '\u{2029}' | '\u{85}' => text.push('\n'),
        '‘' | '’' | '´' | 'ʼ' | '′' => text.push('\''),
        '٪' | '﹪' => text.push('%'),
        '٫' => text.push('.'),
        '٬' => text.push(','),
        '−' | '‐' | '‑' | '‒' => text.push('-'),
        '﹩' => text.push('$'),
        // Full-width forms and mathematical letters and digits.
        '\u{ff01}'..='\u{ff5e}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1d400}'..='\u{1d7ff}' => {
            text.extend(std::iter::once(c).nfkc().flat_map(char::to_lowercase));
        }
        '\u{300}'..='\u{36f}' => return false,
        _ => match digit_value(c) {
            Some(digit) => text.push(char::from(b'0' + digit)),
            None => text.extend(c.to_lowercase().filter(|c| *c != '\u{307}')),
        },
    }
    true
}

/// Code points of the digit nought in the scripts that write positional decimals.
const NOUGHTS: [u32; 21] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50,
    0xed0, 0xf20, 0x1040, 0x17e0, 0x1810, 0x1946, 0x19d0, 0xa620,
];

fn digit_value(c: char) -> Option<u8> {
    let code = c as u32;
    if !(0x660..0x1_0000).contains(&code) {
        return None;
    }
    let nought = NOUGHTS.iter().find(|n| (**n..**n + 10).contains(&code))?;
    Some((code - nought) as u8)
}

/// A letter, or a mark that belongs to one.
pub(super) fn is_letter(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphabetic();
    }
    // Letter-like signs are signs here.
    if matches!(c, '\u{2000}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}') {
        return false;
    }
    is_alphabetic(c)
        || matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{64b}'..='\u{65f}'
            | '\u{93c}' | '\u{94d}' | '\u{9cd}' | '\u{bcd}' | '\u{e47}'..='\u{e4e}' | '\u{d4d}' | '\u{ccd}')
}

/// Whether words of this script run together without spaces.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}'
        | '\u{1780}'..='\u{17ff}' | '\u{3005}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2fa1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_digits_lead_back_to_the_signs_they_were() {
        let text = "now 𝟭𝟵.𝟵𝟵 or ４５０ or ٣٫٥ or É";
        let folded = Folded::new(text);
        assert_eq!(folded.text, "now 19.99 or 450 or 3.5 or é");
        let at = folded.text.find("19.99").expect("number");
        assert_eq!(folded.source(at..at + 5), "𝟭𝟵.𝟵𝟵");
        let at = folded.text.find("3.5").expect("number");
        assert_eq!(&text[folded.range(at..at + 3)], "٣٫٥");
    }

    #[test]
    fn marks_join_their_letter_and_invisible_signs_go() {
        let folded = Folded::new("Cafe\u{301} 5\u{200b}0\u{a0}€");
        assert_eq!(folded.text, "café 50 €");
        assert_eq!(folded.source(6..8), "5\u{200b}0");
        assert_eq!(folded.source(3..5), "e\u{301}");
        assert_eq!(Folded::new("").range(0..0), 0..0);
    }

    #[test]
    fn every_original_offset_has_its_place() {
        // e, mark, dropped joiner, one character of four bytes for one, one of three for two.
        let text = "\u{200d}e\u{301}x\u{200d}𝟭\u{ffe3}ß";
        let folded = Folded::new(text);
        let places: Vec<_> = text.char_indices().map(|(i, _)| folded.position(i)).collect();
        assert_eq!(places, [0, 0, 2, 2, 3, 3, 4, 7]);
        assert_eq!(folded.position(text.len()), folded.text.len());
        assert_eq!(folded.source(0..2), "e\u{301}");
        assert_eq!(folded.source(4..7), "\u{ffe3}");
        assert_eq!(folded.source(7..9), "ß");
    }
}
