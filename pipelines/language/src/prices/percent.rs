//! Percentages in digits and words, with the tenths of Chinese and Japanese (`8折`, `3割`).

use memchr::memchr2;

use super::decimal::Decimal;
use super::lex::{Body, Gap};
use super::lexicon::{Cue, SETS, Tag};
use super::money::{Scan, Strictness, has_cue};
use super::number::{self, Number, Open};

/// A percentage and the tokens it is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Percentage {
    /// Nothing when only the word stands there.
    pub(super) value: Option<Decimal>,
    pub(super) from: usize,
    pub(super) to: usize,
    /// What is taken off, where the notation itself says so: `8折` takes 20 off.
    pub(super) off: Option<Decimal>,
    /// It has a minus sign: `-20%`.
    pub(super) minus: bool,
}

/// Whether a token lies in one of the percentages, which are in order and apart; but not in the
/// one that begins at `but`.
pub(super) fn holds(percents: &[Percentage], at: usize, but: usize) -> bool {
    let behind = percents.partition_point(|p| p.from <= at);
    percents[..behind].last().is_some_and(|p| at < p.to && p.from != but)
}

impl Scan<'_, '_> {
    /// Every percentage, in order, none overlapping.
    pub(super) fn percentages(&self) -> Vec<Percentage> {
        let mut out: Vec<Percentage> = Vec::new();
        if self.strictness == Strictness::Caption && !self.may_hold_percentages() {
            return out;
        }
        let mut at = 0;
        while at < self.tokens.len() {
            match self.percentage_at(at) {
                Some(found) => {
                    at = found.to.max(at + 1);
                    out.push(found);
                }
                None => at += 1,
            }
        }
        out
    }

    /// Whether a sign or word for percent stands anywhere, or perhaps one of 折, 割, 成 and 分, whose
    /// first bytes are these two.
    fn may_hold_percentages(&self) -> bool {
        memchr2(0xE5, 0xE6, self.folded.text.as_bytes()).is_some()
            || self.tokens.iter().any(|t| {
                let tells = |t: &Tag| matches!(t, Tag::Percent | Tag::Cue(Cue::Half));
                t.tags().iter().any(tells)
            })
    }

    fn percentage_at(&self, at: usize) -> Option<Percentage> {
        let token = self.tokens.get(at)?;
        if token.tags().contains(&Tag::Minus)
            && self.has(at + 1, Tag::Percent)
            && let Some(mut found) = self.percent_first(at + 1)
        {
            found.from = at;
            found.value = found.value.map(Decimal::negated);
            return Some(found);
        }
        match &token.body {
            Body::Mark('-') => self.signed(at),
            Body::Word | Body::Mark(_) => self.worded(at),
            Body::Junk => None,
            Body::Figure(f) if f.glued && !self.after_sign(at) => None,
            _ => self
                .percent_first(at)
                .or_else(|| self.fraction(at))
                .or_else(|| self.tenths(at))
                .or_else(|| self.counted(at))
                .or_else(|| self.part_of(at)),
        }
    }

    fn after_sign(&self, at: usize) -> bool {
        at > 0 && self.tokens[at - 1].tags().iter().any(|t| matches!(t, Tag::Cue(_)))
    }

    fn signed(&self, at: usize) -> Option<Percentage> {
        let spaced = self.gap(at + 1) != Gap::None;
        if spaced && self.strictness == Strictness::Caption {
            return None;
        }
        let before = at
            .checked_sub(1)
            .and_then(|b| self.tokens[b].figure())
            .filter(|_| self.gap(at) == Gap::None);
        let mut found = self.counted(at + 1)?;
        // "5-20%" is a range; "2800-10%" takes 10 % off.
        if before.is_some_and(|b| found.value.is_some_and(|v| b.value <= v)) {
            return None;
        }
        found.from = at;
        found.value = found.value.map(Decimal::negated);
        found.minus = true;
        Some(found)
    }

    /// "25 %", "veinte por ciento".
    fn counted(&self, at: usize) -> Option<Percentage> {
        let number = self.percent_number(at)?;
        let sign = number.to;
        if !self.has(sign, Tag::Percent) || self.gap(sign) == Gap::Line || number.article {
            return None;
        }
        // "5 %100": the sign belongs to what it touches.
        if self.gap(sign) != Gap::None
            && self.text(sign) == "%"
            && self.gap(sign + 1) == Gap::None
            && self.tokens.get(sign + 1).is_some_and(|t| t.figure().is_some())
        {
            return None;
        }
        let minus = number.negative;
        Some(Percentage { value: Some(number.value), from: at, to: sign + 1, off: None, minus })
    }

    /// "3/4 %", "tres quintos por ciento", "1,1^23 %", "2/100": calculated parts, outside captions.
    fn fraction(&self, at: usize) -> Option<Percentage> {
        if self.strictness == Strictness::Caption {
            return None;
        }
        let first = self.percent_number(at)?;
        let mut to = first.to;
        let mut value = None;
        let glued = self.gap(to) == Gap::None && self.gap(to + 1) == Gap::None;
        if glued
            && (self.mark(to, &['^']) || self.text(to) == "e")
            && self.tokens.get(to + 1)?.figure().is_some()
        {
            let power = self.tokens[to + 1]
                .figure()?
                .value
                .to_string()
                .parse::<u32>()
                .ok()
                .filter(|p| *p < 25)?;
            let base = if self.text(to) == "e" { Decimal::whole(10) } else { first.value };
            let start = if self.text(to) == "e" { first.value } else { Decimal::whole(1) };
            value = (0..power).try_fold(start, |product, _| product.times(base));
            to += 2;
        } else if self.mark(to, &['/']) && glued || self.text(to) == "sobre" {
            let hundredths = self.language & SETS.japanese != 0 && self.text(to + 1) == "100";
            let below = self.percent_number(to + 1)?;
            to = below.to;
            if hundredths {
                return Some(Percentage {
                    value: Some(first.value),
                    from: at,
                    to,
                    off: None,
                    minus: false,
                });
            }
        } else {
            let joined = usize::from(self.has(to, Tag::Point) || self.has(to, Tag::And));
            let rest = (joined > 0).then(|| self.percent_number(to + 1)).flatten();
            to = rest.map_or(to, |n| n.to);
            let mut parts = false;
            for _ in 0..5 {
                if is_ordinal_part(self.text(to)) {
                    (to, parts) = (to + 1, true);
                } else if let Some(number) = self.percent_number(to) {
                    to = number.to;
                }
            }
            if !parts {
                return None;
            }
        }
        (self.has(to, Tag::Percent)).then_some(Percentage {
            value,
            from: at,
            to: to + 1,
            off: None,
            minus: false,
        })
    }

    /// "%20", "yüzde yirmi", "percent of ten".
    fn percent_first(&self, at: usize) -> Option<Percentage> {
        if !self.has(at, Tag::Percent) {
            return None;
        }
        let text = self.text(at);
        let mut next = at + 1;
        let joined = ["of", "van", "de", "des", "di", "von"].contains(&self.text(next));
        let leading = text == "yüzde"
            || self.strictness != Strictness::Caption && (joined || text.starts_with('ب'));
        let sign = text == "%"
            && self.gap(next) == Gap::None
            && (at == 0 || self.tokens[at - 1].figure().is_none());
        if joined {
            next += 1;
        }
        let number = (leading || sign).then(|| self.percent_number(next)).flatten();
        if let Some(number) = number.filter(|n| !n.article && self.gap(next) != Gap::Line) {
            return Some(Percentage {
                value: Some(number.value),
                from: at,
                to: number.to,
                off: None,
                minus: false,
            });
        }
        let bare = self.strictness == Strictness::Recognise && self.language & SETS.english != 0;
        bare.then_some(Percentage { value: None, from: at, to: at + 1, off: None, minus: false })
    }

    /// Words that frame a number in single languages.
    fn worded(&self, at: usize) -> Option<Percentage> {
        let framed = self.text(at) == "نسبة" && self.strictness != Strictness::Caption;
        let number = framed.then(|| self.percent_number(at + 1)).flatten()?;
        Some(Percentage {
            value: Some(number.value),
            from: at,
            to: number.to,
            off: None,
            minus: false,
        })
    }

    /// "8折" costs 80 %, "3割引" takes 30 off, "三成" is 30 %.
    fn tenths(&self, at: usize) -> Option<Percentage> {
        if has_cue(&self.tokens[at], Cue::Half)
            && self.text(at).starts_with(super::fold::is_unspaced)
        {
            let half = Some(Decimal::whole(50));
            return Some(Percentage { value: half, from: at, to: at + 1, off: half, minus: false });
        }
        if self.has(at, Tag::HalfOfUnit) && matches!(self.text(at + 1), "成" | "折") {
            let tenth = self.text(at + 1) == "成";
            let value = Decimal::whole(if tenth { 5 } else { 50 });
            return Some(Percentage {
                value: Some(value),
                from: at,
                to: at + 2,
                off: (!tenth).then_some(value),
                minus: false,
            });
        }
        let number = self.percent_number(at)?;
        let unit = self.text(number.to);
        if unit == "折" && number.value == Decimal::whole(10) {
            return None;
        }
        let ten = Decimal::whole(10);
        let share = if number.value < ten
            || number.value == ten && number.figure.is_none_or(|f| f.whole == 2)
        {
            number.value.times(ten)?
        } else {
            number.value
        };
        let complement = Decimal::whole(100).plus(share.negated())?;
        let mut to = number.to + 1;
        let (mut value, mut off) = match unit {
            "折" if self.gap(number.to) != Gap::Line => (share, Some(complement)),
            "割引" | "割引き" => (share, Some(share)),
            "割" | "成" => (share, None),
            _ => return None,
        };
        if unit == "割" && matches!(self.text(to), "引" | "引き") {
            to += 1;
            off = Some(share);
        }
        if off.is_none() {
            if self.has(to, Tag::HalfOfUnit) {
                value = value.plus(Decimal::whole(5))?;
                to += 1;
            } else if let Some(next) =
                self.percent_number(to).filter(|n| n.value < ten && self.gap(to) != Gap::Line)
                && (self.text(next.to) == "分" || unit == "成" && next.figure.is_none())
            {
                value = value.plus(next.value)?;
                to = next.to + usize::from(self.text(next.to) == "分");
            }
        }
        Some(Percentage { value: Some(value), from: at, to, off, minus: false })
    }

    /// "百分之五", "千分之一".
    fn part_of(&self, at: usize) -> Option<Percentage> {
        let whole =
            number::read(self.tokens, at, Open::Thousands).filter(|n| n.figure.is_none())?;
        let counted = at > 0
            && self.gap(at) == Gap::None
            && number::read(self.tokens, at - 1, Open::Thousands).is_some();
        let next = whole.to;
        let of = !counted
            && matches!(self.text(next), "分")
            && matches!(self.text(next + 1), "之" | "の");
        let digits = whole.value.to_string().len() as u32;
        if !of || digits < 3 || !whole.value.to_string()[1..].bytes().all(|b| b == b'0') {
            return None;
        }
        let part = self.percent_number(next + 2)?;
        let value = part.value.shifted_right(digits - 3);
        Some(Percentage { value, from: at, to: part.to, off: None, minus: false })
    }

    /// A number as percentages write it: a lone separator is the decimal point of the language.
    fn percent_number(&self, at: usize) -> Option<Number> {
        let comma = self.tokens.get(at)?.figure().is_some_and(|f| f.comma);
        let english = self.language == 0 || self.language & SETS.point != 0;
        let open = if comma == english { Open::Thousands } else { Open::Point };
        number::read(self.tokens, at, open)
    }
}

/// Spanish and Portuguese words for the lower number of a fraction.
fn is_ordinal_part(word: &str) -> bool {
    const ENDINGS: [&str; 8] =
        ["avo", "avos", "esimo", "esimos", "ésimo", "ésimos", "quinto", "quintos"];
    const WORDS: [&str; 8] =
        ["tercio", "tercios", "terço", "terços", "cuarto", "cuartos", "quarto", "quartos"];
    ENDINGS.iter().any(|e| word.ends_with(e)) || WORDS.contains(&word)
}
