//! One spelling for many: full-width and mathematical digits, digits of other scripts, capitals
//! and no-break spaces become their plain forms, and every byte remembers where it came from.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::compose;

/// A folded text with the way back to the original.
#[derive(Debug)]
pub(super) struct Folded<'t> {
    /// The text as its author wrote it.
    pub(super) original: &'t str,
    /// Lower case, plain digits, plain spaces.
    pub(super) text: String,
    /// For each folded byte the original bytes it stands for; empty when both texts align.
    origin: Vec<(u32, u32)>,
}

impl<'t> Folded<'t> {
    /// Folds a text; ASCII takes the short way.
    pub(super) fn new(original: &'t str) -> Self {
        if original.is_ascii() {
            return Self { original, text: original.to_ascii_lowercase(), origin: Vec::new() };
        }
        let mut text = String::with_capacity(original.len() + 16);
        let mut origin = Vec::with_capacity(original.len() + 16);
        for (at, c) in original.char_indices() {
            let span = (at as u32, (at + c.len_utf8()) as u32);
            push_folded(c, span, &mut text, &mut origin);
        }
        Self { original, text, origin }
    }

    /// The original bytes behind a folded range.
    pub(super) fn range(&self, folded: Range<usize>) -> Range<usize> {
        if self.origin.is_empty() || folded.is_empty() {
            return folded;
        }
        let start = self.origin.get(folded.start).map_or(self.original.len(), |o| o.0 as usize);
        let end = self.origin.get(folded.end - 1).map_or(self.original.len(), |o| o.1 as usize);
        start..end.max(start)
    }

    /// Where an original byte offset lies in the folded text.
    pub(super) fn position(&self, original: usize) -> usize {
        if self.origin.is_empty() {
            return original.min(self.text.len());
        }
        self.origin.partition_point(|o| (o.0 as usize) < original)
    }

    /// The original text behind a folded range.
    pub(super) fn source(&self, folded: Range<usize>) -> &'t str {
        self.original.get(self.range(folded)).unwrap_or("")
    }
}

fn push_folded(c: char, span: (u32, u32), text: &mut String, origin: &mut Vec<(u32, u32)>) {
    let before = text.len();
    match c {
        'A'..='Z' => text.push(c.to_ascii_lowercase()),
        '\0'..='\u{7f}' => text.push(c),
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
        '\u{300}'..='\u{36f}' => match text.chars().next_back().and_then(|b| compose(b, c)) {
            Some(joined) => return replace_last(joined, span, text, origin),
            None => text.push(c),
        },
        _ => match digit_value(c) {
            Some(digit) => text.push(char::from(b'0' + digit)),
            None => text.extend(c.to_lowercase().filter(|c| *c != '\u{307}')),
        },
    }
    origin.resize(origin.len() + text.len() - before, span);
}

/// A letter and its combining mark become one character that stands for both.
fn replace_last(joined: char, span: (u32, u32), text: &mut String, origin: &mut Vec<(u32, u32)>) {
    let removed = text.pop().map_or(0, char::len_utf8);
    let start = origin.get(origin.len() - removed).map_or(span.0, |o| o.0);
    origin.truncate(origin.len() - removed);
    text.push(joined);
    origin.resize(origin.len() + joined.len_utf8(), (start, span.1));
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
    // Most text is ASCII or a script that runs together; both are settled without the tables.
    if c.is_ascii() {
        return c.is_ascii_alphabetic();
    }
    if matches!(c, '\u{e01}'..='\u{e30}' | '\u{e40}'..='\u{e44}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
    {
        return true;
    }
    if matches!(c, '\u{2000}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}') {
        return false;
    }

    c.is_alphabetic()
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
}
