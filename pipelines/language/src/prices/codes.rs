//! Promo codes: what stands behind "code", "mã", "промокод" and looks like one.

use super::lex::{Body, Gap};
use super::lexicon::Cue;
use super::money::{Scan, has_cue};

/// A promo code as a range of folded bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) range: std::ops::Range<usize>,
    pub(super) confidence: f32,
}

const MARKS_BEFORE: [char; 16] =
    [':', '"', '\'', '“', '”', '«', '»', '「', '『', '【', '[', '(', '-', '👉', '➡', '*'];
/// Codes joined by "or" behind one word; a code word among them begins anew.
const MOST_JOINED: usize = 32;
/// Words that stand between "code" and the code.
const FILLERS: [&str; 12] =
    ["is", "use", "enter", "called", "adalah", "es", "é", "là", "ist", "la", "le", "word"];
/// Words that offer a code without the word.
const OFFERS: [&str; 12] = [
    "use", "enter", "apply", "using", "usa", "usen", "utiliza", "nutze", "nutzt", "utilise",
    "insira", "pakai",
];
/// Words in capitals that follow "code" and are none.
const NOT_CODES: &str = "for at to and or in on with below now here get off the your link bio this that checkout \
    is of qr sale free only today ends shop discount save valid apply applied used from dm comment you we i it \
    below above when until use my our as by please";

impl Scan<'_, '_> {
    /// Every promo code, in order.
    pub(super) fn promo_codes(&self) -> Vec<Found> {
        let mut out: Vec<Found> = Vec::new();
        for at in 0..self.tokens.len() {
            if has_cue(&self.tokens[at], Cue::Code)
                && !has_cue(&self.tokens[at], Cue::NoCode)
                && !self.compound(at)
            {
                self.codes_after(at, &mut out);
            } else if OFFERS.contains(&self.text(at)) && self.gap(at + 1) == Gap::Space {
                out.extend(self.offered(at + 1));
            }
        }
        out.dedup_by(|a, b| a.range == b.range);
        out
    }

    /// "use FLASH30", "enter SAVE at checkout": capitals that cannot be a word.
    fn offered(&self, at: usize) -> Option<Found> {
        let (found, next) = self.code_at(at, at - 1, false)?;
        let source = self.folded.source(found.range.clone());
        let letters = source.chars().filter(char::is_ascii_uppercase).count();
        let digits = source.chars().filter(char::is_ascii_digit).count();
        let plain = letters + digits == source.chars().count();
        let checkout = (next..next + 3).any(|at| self.text(at) == "checkout");
        let sure = letters >= 3 && (digits > 0 && source.len() >= 5 || checkout);
        (plain && sure).then_some(Found { confidence: 0.75, ..found })
    }

    /// "low-code", "code-free".
    fn compound(&self, at: usize) -> bool {
        at > 0
            && self.mark(at - 1, &['-', '_', '.'])
            && self.gap(at) == Gap::None
            && self.gap(at - 1) == Gap::None
    }

    fn codes_after(&self, cue: usize, out: &mut Vec<Found>) {
        let mut at = cue + 1;
        let mut marked = false;
        let mut steps = 0;
        while steps < 5 && self.gap(at) != Gap::Line {
            let emphasis = self.mark(at, &MARKS_BEFORE) || self.is_emoji(at);
            let known = has_cue_of_code(self, at) || FILLERS.contains(&self.text(at));
            if emphasis
                && !(self.mark(at, &['-'])
                    && self.gap(at) == Gap::None
                    && self.gap(at + 1) == Gap::None)
            {
                marked |= self.mark(at, &[':', '"', '“', '«', '「', '『', '【', '\'']);
            } else if !known {
                break;
            }
            at += 1;
            steps += 1;
        }
        // "promo code:\nSAVE20" goes on in the next line.
        if marked && self.gap(at) == Gap::Line && at < self.tokens.len() {
            marked = false;
        } else if self.gap(at) == Gap::Line {
            return;
        }
        for _ in 0..MOST_JOINED {
            let Some((found, next)) = self.code_at(at, cue, marked) else { return };
            if out.last().is_none_or(|last| last.range.end <= found.range.start) {
                out.push(found);
            }
            let joins = ["or", "and", "&", "/", "ou", "o", "oder", "und", "+", ",", "y", "e", "et"];
            let mut after = next;
            while self.mark(after, &['"', '\'', '”', '»', '」', '』', '】', '*']) {
                after += 1;
            }
            if !joins.contains(&self.text(after)) || self.gap(after + 1) == Gap::Line {
                return;
            }
            at = after + 1;
            marked = false;
            if self.mark(at, &['"', '\'', '“', '«']) {
                at += 1;
            }
        }
    }

    /// The code that begins at a token: letters, digits, `-` and `_` without a gap.
    fn code_at(&self, at: usize, cue: usize, marked: bool) -> Option<(Found, usize)> {
        let first = self.tokens.get(at)?;
        let mut to = at;
        while let Some(token) = self.tokens.get(to) {
            let part = match token.body {
                Body::Mark(c) => {
                    matches!(c, '-' | '_')
                        && self.gap(to + 1) == Gap::None
                        && to > at
                        && self.alphanumeric(to + 1)
                }
                _ => self.alphanumeric(to),
            };
            if !part || to > at && token.gap != Gap::None {
                break;
            }
            to += 1;
        }
        let end = self.tokens.get(to.checked_sub(1)?)?.range.end;
        let range = first.range.start..end;
        if range.is_empty() {
            return None;
        }
        let source = self.folded.source(range.clone());
        let confidence = self.code_likeness(source, to, cue, marked)?;
        Some((Found { range, confidence }, to))
    }

    fn alphanumeric(&self, at: usize) -> bool {
        let text = self.text(at);
        !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '%')
    }

    fn code_likeness(&self, source: &str, next: usize, cue: usize, marked: bool) -> Option<f32> {
        let letters = source.chars().filter(|c| c.is_alphabetic()).count();
        let digits = source.chars().filter(char::is_ascii_digit).count();
        let length = source.chars().count();
        let plain = source.to_lowercase();
        if !(2..=24).contains(&length)
            || source.contains('%')
            || NOT_CODES.split_whitespace().any(|w| w == plain)
        {
            return None;
        }
        let lower = source.contains(char::is_lowercase);
        let whole =
            self.text(cue) == "coupon" || self.text(cue) == "voucher" || self.text(cue) == "promo";
        if letters > 0 && digits > 0 {
            return (length >= 3 || marked).then_some(0.95);
        }
        if letters > 0 && !lower && source.is_ascii() {
            return (length >= 3).then_some(if whole { 0.8 } else { 0.95 });
        }
        let unspaced = source.starts_with(super::fold::is_unspaced);
        if letters > 0 && !unspaced && (source.is_ascii() || marked) {
            let ends = self.gap(next) == Gap::Line
                || self.tokens.get(next).is_some_and(|t| matches!(t.body, Body::Mark(_)));
            let goes_on =
                ["for", "at", "to", "and", "para", "pour", "für", "per"].contains(&self.text(next));
            let asked = cue > 0 && self.asks(cue);
            let proper = source.chars().filter(|c| c.is_uppercase()).count() >= 2;
            return (proper || asked && (ends || goes_on) && !whole || marked && (ends || goes_on))
                .then_some(0.7);
        }
        // Digits alone are a code only behind a colon or quotes.
        (letters == 0 && marked && (3..=10).contains(&digits) && !whole).then_some(0.6)
    }

    /// "use my code", "with code", "promo code".
    fn asks(&self, cue: usize) -> bool {
        let asking = [
            "use", "with", "using", "enter", "apply", "my", "usa", "con", "com", "avec", "mit",
            "code", "using",
        ];
        let compound = self.text(cue).contains(' ');
        compound || (cue.saturating_sub(2)..cue).any(|at| asking.contains(&self.text(at)))
    }

    fn is_emoji(&self, at: usize) -> bool {
        self.text(at).chars().next().is_some_and(|c| (c as u32) >= 0x2190 && !c.is_alphanumeric())
    }
}

fn has_cue_of_code(scan: &Scan<'_, '_>, at: usize) -> bool {
    scan.tokens.get(at).is_some_and(|t| has_cue(t, Cue::Code)) && {
        let source = scan.folded.source(scan.tokens[at].range.clone());
        source.contains(char::is_lowercase) || !source.is_ascii()
    }
}
