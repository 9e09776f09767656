//! Minor units: "50 cents", "20 dollars and 43", "两角五分".

use super::decimal::Decimal;
use super::lex::{Body, Gap};
use super::lexicon::{Tag, Target};
use super::money::{Money, Scan, Strictness};
use super::number::Number;

impl Scan<'_, '_> {
    /// "50 cents", "两角五分": only a minor unit is named.
    pub(super) fn with_minor_after(&self, number: &Number, at: usize) -> Option<Money> {
        let (target, digits, weak) = self.minor(at)?;
        if self.strictness == Strictness::Caption {
            let text = self.text(at);
            let clear = matches!(
                text,
                "cents" | "cent" | "¢" | "pence" | "céntimos" | "centavos" | "centimes" | "копеек"
            );
            let rapper = text == "cent" && number.value == Decimal::whole(50);
            let opinion = number.from > 0
                && matches!(
                    self.text(number.from - 1),
                    "my" | "your" | "his" | "her" | "our" | "their" | "own"
                );
            let rapper = rapper || opinion;
            let carats = number.value >= Decimal::whole(1000);
            if weak
                || !clear && !self.supported(number.from, at)
                || rapper
                || carats
                || number.article
            {
                return None;
            }
        } else if weak && self.strictness == Strictness::Recognise {
            return None;
        }
        let value = number.value.shifted_right(u32::from(digits))?;
        let mut money = Money {
            value,
            target,
            from: number.from,
            to: at + 1,
            sign: Some(at),
            minor: Some(digits),
            rule: "minor_unit",
            confidence: 0.85,
        };
        // "两角五分", "two mao five fen": smaller units follow.
        if digits == 1
            && let Some((to, part)) = self.minor_part(at + 1, 1)
            && let Some(sum) = money.value.plus(part)
        {
            (money.value, money.to) = (sum, to);
        }
        Some(money)
    }

    /// "20 dollars and 43 cents", "5 euro 50".
    pub(super) fn cents(&self, money: &mut Money, number: &Number) {
        if !number.value.is_whole() || number.scaled {
            return;
        }
        let Some((to, part)) = self.minor_part(money.to, 0) else { return };
        if let Some(sum) = money.value.plus(part) {
            (money.value, money.to) = (sum, to);
        }
    }

    /// "$20 and 43 cents": minor units only with their name.
    pub(super) fn named_cents(&self, money: &mut Money) {
        let start = money.to + usize::from(self.has(money.to, Tag::And));
        let Some(part) = self.number(start, None) else { return };
        if self.minor(part.to).is_some_and(|m| !m.2) && money.value.is_whole() {
            self.cents(money, &part);
        }
    }

    /// Minor units after a main one: with their name, or two digits where nothing else follows.
    fn minor_part(&self, from: usize, depth: u8) -> Option<(usize, Decimal)> {
        let joined = self.has(from, Tag::And) || self.has(from, Tag::Point);
        let start = from + usize::from(joined);
        if self.gap(from) == Gap::Line || self.gap(start) == Gap::Line {
            return None;
        }
        if self.tokens.get(from).is_some_and(|t| t.tags().contains(&Tag::HalfOfUnit)) {
            return Some((from + 1, Decimal::new(5, u32::from(depth) + 1)?));
        }
        let part = self.number(start, None)?;
        if !part.value.is_whole()
            || part.negative
            || part.article
            || part.value >= Decimal::whole(1000)
        {
            return None;
        }
        if let Some((_, digits, weak)) = self.minor(part.to)
            && self.gap(part.to) != Gap::Line
            && !(weak && self.strictness == Strictness::Caption && self.gap(part.to) != Gap::None)
        {
            let value = part.value.shifted_right(u32::from(digits))?;
            if digits == 1
                && let Some((to, rest)) = self.minor_part(part.to + 1, 1)
            {
                return Some((to, value.plus(rest)?));
            }
            return Some((part.to + 1, value));
        }
        self.unnamed_minor(from, &part, depth)
    }

    /// "15 dollars 50", "two fifty": no name after the number, so nothing else may claim it.
    fn unnamed_minor(&self, from: usize, part: &Number, depth: u8) -> Option<(usize, Decimal)> {
        let spaced = self.gap(from) != Gap::None || !self.text(from).is_ascii();
        let glued = self.tokens[part.from].figure().is_some_and(|f| f.glued && f.whole > 2)
            || self.gap(part.to) == Gap::None
                && self.tokens.get(part.to).is_some_and(|t| !matches!(t.body, Body::Mark(_)))
                && !self.text(part.to).starts_with(super::fold::is_unspaced);
        let counting = depth == 1 || self.text(part.from).starts_with(super::fold::is_unspaced);
        let claimed = self.currency(part.to).is_some() && self.gap(part.to) != Gap::Line
            || self.has(part.to, Tag::Percent)
            || self.mark(part.to, &['-', '/', '%', ':']) && self.gap(part.to) == Gap::None;
        let small = part.value < Decimal::whole(100) && !part.scaled;
        if (glued || !spaced) && !counting || claimed || !small {
            return None;
        }
        if self.strictness == Strictness::Caption && !counting {
            let two = part.figure.is_some_and(|f| f.whole == 2);
            let last = self
                .tokens
                .get(part.to)
                .is_none_or(|t| t.gap == Gap::Line || matches!(t.body, Body::Mark(_)));
            if !(two && last) || self.has(from, Tag::And) {
                return None;
            }
        }
        // After "块" or "毛" a lone digit is the next smaller unit: 两块五 is 2.5.
        let single = counting && part.value < Decimal::whole(10) && self.text(part.from) != "零";
        let digits = if single { u32::from(depth) + 1 } else { 2 };
        let digits = if self.text(part.from).starts_with('零') { 2 } else { digits };
        Some((part.to, part.value.shifted_right(digits)?))
    }

    /// The minor unit a token names: of which currency, how many digits, and whether it is doubtful.
    pub(super) fn minor(&self, at: usize) -> Option<(Option<Target>, u8, bool)> {
        self.tokens.get(at)?.tags().iter().find_map(|t| match *t {
            Tag::Minor { target, digits, weak } => Some((target, digits, weak)),
            _ => None,
        })
    }
}
