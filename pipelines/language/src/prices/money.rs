//! Finds amounts with a currency among the tokens of a text.

use super::decimal::Decimal;
use super::fold::Folded;
use super::lex::{Body, Gap, Token};
use super::lexicon::{Cue, Form, Languages, SETS, Tag, Target, is_wordy, lexicon};
use super::number::{self, Number, Open};

/// How much a reading may assume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Running text of any kind: doubtful words need support.
    Caption,
    /// Text known to speak of money.
    Recognise,
    /// The whole text is one amount.
    Expression,
}

/// An amount of money and the tokens it is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Money {
    pub(super) value: Decimal,
    pub(super) target: Option<Target>,
    /// First token and the one after the last.
    pub(super) from: usize,
    pub(super) to: usize,
    /// The token that names the currency.
    pub(super) sign: Option<usize>,
    /// Only a minor unit was named: "50 cents".
    pub(super) minor: Option<u8>,
    pub(super) rule: &'static str,
    pub(super) confidence: f32,
}

/// What the scan needs to know.
#[derive(Debug)]
pub(super) struct Scan<'s, 't> {
    pub(super) folded: &'s Folded<'t>,
    pub(super) tokens: &'s [Token],
    pub(super) strictness: Strictness,
    /// The language of the text, as a set of one; empty when unknown.
    pub(super) language: Languages,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Currency {
    target: Target,
    form: Form,
    weak: bool,
}

impl Scan<'_, '_> {
    /// Every amount with a currency, in order, none overlapping.
    pub(super) fn money(&self) -> Vec<Money> {
        let mut out: Vec<Money> = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            match self.money_at(at) {
                Some(money) => {
                    at = money.to.max(at + 1);
                    out.push(money);
                }
                None => at += 1,
            }
        }
        out
    }

    fn money_at(&self, at: usize) -> Option<Money> {
        let token = &self.tokens[at];
        match &token.body {
            Body::Word | Body::Junk => None,
            Body::Known(tags) if !tags.iter().any(is_money_start) => None,
            _ => self.prefixed(at).or_else(|| self.suffixed(at)),
        }
    }

    /// "$ 20", "EUR 5", "₹ 1,83,000".
    fn prefixed(&self, at: usize) -> Option<Money> {
        let currency = self.currency(at).or_else(|| self.prefix_sign(at))?;
        let mut next = at + 1;
        let mut negative = false;
        if self.mark(next, &[':', '.', '=']) && self.figure_follows(next) {
            next += 1;
        }
        if self.mark(next, &['-', '–']) && self.gap(next + 1) == Gap::None {
            negative = self.strictness != Strictness::Caption;
            next += 1;
        }
        if self.gap(next) == Gap::Line {
            return None;
        }
        let number = self.number(next, Some(currency.target))?;
        if number.article
            || number.lone_scale
            || !self.prefix_allowed(at, currency, &number)
            || self.masked(number.to)
        {
            return None;
        }
        let value = if negative { number.value.negated() } else { number.value };
        // "MXN $350": the code before tells which dollar.
        let told = at.checked_sub(1).filter(|_| self.gap(at) != Gap::Line).and_then(|before| {
            let code = self.currency(before)?;
            let shared = lexicon().members(currency.target).len() > 1;
            let one = lexicon().members(currency.target).contains(&lexicon().code(code.target));
            (shared && one && code.form == Form::Code).then_some((code.target, before))
        });
        let (target, from) = told.unwrap_or((currency.target, at));
        let money = Money {
            value,
            target: Some(target),
            from,
            to: number.to,
            sign: Some(at),
            minor: None,
            rule: "currency_before",
            confidence: if currency.form == Form::Word { 0.8 } else { 0.97 },
        };
        Some(self.completed(money, &number))
    }

    fn prefix_allowed(&self, at: usize, currency: Currency, number: &Number) -> bool {
        let sign_text = self.text(at);
        let touching = self.gap(at + 1) == Gap::None;
        let code = self.folded.source(self.tokens[at].range.clone());
        let long = number.figure.is_none_or(|f| f.whole >= 3 || f.fraction == 2) || number.scaled;
        if self.strictness != Strictness::Expression
            && currency.form == Form::Code
            && is_wordy(code)
            && !long
        {
            return false;
        }
        let symbol = sign_text.contains(|c: char| !c.is_alphabetic() && c != '.');
        // A letter before "$" is no price: "A$AP", "I$real".
        let inside = self.gap(at) == Gap::None
            && at > 0
            && !symbol
            && matches!(self.tokens[at - 1].body, Body::Figure(_));
        if inside {
            return false;
        }
        // "4 € 20": the sign belongs to the number before it unless it touches this one.
        if symbol {
            return true;
        }
        let later = self.currency(number.to).filter(|c| c.target != currency.target);
        if later.is_some() && !self.number_at(number.to + 1) && self.gap(number.to) != Gap::Line {
            return false;
        }
        if self.strictness == Strictness::Caption {
            if sign_text == "rm" && self.near_room(at, code) {
                return false;
            }
            if currency.form == Form::Word && sign_text.is_ascii() && !touching {
                return self.supported(at, number.to) && currency.form != Form::Word;
            }
            if currency.weak && !(long && self.supported(at, number.to)) {
                return false;
            }
            if number.figure.is_some_and(|f| f.padded) && self.mark(number.to, &['-', ' ']) {
                return false;
            }
        }
        number.figure.is_some() || self.strictness != Strictness::Caption || number.scaled
    }

    /// "Rm 2325", "20th floor, RM 2001": a room, not ringgit.
    fn near_room(&self, at: usize, written: &str) -> bool {
        let lower = written.starts_with(char::is_uppercase) && written.contains(char::is_lowercase);
        let around = at.saturating_sub(7)..(at + 7).min(self.tokens.len());
        lower && self.gap(at + 1) != Gap::None
            || self.tokens[around].iter().any(|t| has_cue(t, Cue::Room))
    }

    /// "20 €", "ten dollars", "48.000 millones de dólares", "12-cent".
    fn suffixed(&self, at: usize) -> Option<Money> {
        let number = self.number(at, None)?;
        let glued = self.tokens[at].figure().is_some_and(|f| f.glued);
        if glued || self.clock_before(at) || self.ranked(at) {
            return None;
        }
        let mut next = number.to;
        if self.mark(next, &[',', '.']) && self.mark(next + 1, &['-', '–', '—']) {
            next += 2;
        } else if self.mark(next, &['-'])
            && (self.strictness == Strictness::Recognise || number.figure.is_none())
            || self.has(next, Tag::Link) && (number.scaled || self.language != 0)
        {
            next += 1;
        }
        if self.gap(next) == Gap::Line || next >= self.tokens.len() {
            return None;
        }
        if let Some(currency) = self.currency(next) {
            return self.with_currency_after(number, next, currency);
        }
        self.with_minor_after(&number, next)
    }

    fn with_currency_after(
        &self,
        number: Number,
        sign: usize,
        currency: Currency,
    ) -> Option<Money> {
        // "3 USD50 Cards": the code belongs to what it touches.
        let joined = self.gap(sign + 1) == Gap::None && self.gap(sign) != Gap::None;
        if joined && self.tokens.get(sign + 1).is_some_and(|t| t.figure().is_some()) {
            return None;
        }
        let text = self.text(sign);
        let symbol = text.contains(|c: char| !c.is_alphabetic() && c != '.' && c != ' ');
        if symbol
            && self.gap(sign) != Gap::None
            && self.gap(sign + 1) == Gap::None
            && self.number_at(sign + 1)
        {
            return None;
        }
        // The backslash is a yen sign on Japanese keyboards, but only before its number.
        if text == "\\" {
            return None;
        }
        let asian = self.text(number.from).starts_with(super::fold::is_unspaced);
        if number.article && (symbol || self.number_at(sign + 1))
            || number.lone_scale && !asian && self.strictness != Strictness::Expression
        {
            return None;
        }
        if self.strictness == Strictness::Caption && !self.suffix_allowed(&number, sign, currency) {
            return None;
        }
        let number = self.number(number.from, Some(currency.target)).unwrap_or(number);
        let value = number.value;
        let money = Money {
            value,
            target: Some(currency.target),
            from: number.from,
            to: sign + 1,
            sign: Some(sign),
            minor: None,
            rule: "currency_after",
            confidence: if currency.weak {
                0.7
            } else if number.figure.is_some() {
                0.95
            } else {
                0.85
            },
        };
        Some(self.completed(money, &number))
    }

    fn suffix_allowed(&self, number: &Number, sign: usize, currency: Currency) -> bool {
        let context = self.supported(number.from, sign + 1);
        if number.article {
            return false;
        }
        if currency.weak && !context && !number.scaled {
            return false;
        }
        let written = self.folded.source(self.tokens[sign].range.clone());
        if currency.form == Form::Code && is_wordy(written) && written.to_uppercase() != written {
            return false;
        }
        if self.text(sign) == "rm" && self.near_room(sign, written) {
            return false;
        }
        // Hangul digits without a multiplier are syllables of other words.
        let hangul = self.text(number.from).starts_with(|c| matches!(c, '\u{ac00}'..='\u{d7a3}'));
        if hangul && (number.value < Decimal::whole(100) || self.gap(number.from) == Gap::None) {
            return false;
        }
        number.figure.is_some_and(|f| !f.padded || f.whole < 3) || number.figure.is_none()
    }

    /// Adds what belongs to an amount after its currency: millions, the sign once more, cents.
    fn completed(&self, mut money: Money, number: &Number) -> Money {
        let brazilian = money.target == lexicon().target("BRL") && money.rule == "currency_before";
        let short = match self.text(money.to) {
            "mil" => 1000,
            "mi" => 1_000_000,
            "bi" => 1_000_000_000,
            _ => 0,
        };
        if brazilian
            && short > 0
            && !number.scaled
            && let Some(value) = money.value.times(Decimal::whole(short))
        {
            money.value = value;
            money.to += 1;
        } else if !number.scaled
            && self.gap(money.to) != Gap::Line
            && let Some(scale) = self.tokens.get(money.to).and_then(large_scale)
            && money.to == money.sign.map_or(0, |s| s + 1)
            && let Some(value) = money.value.times(Decimal::whole(scale))
        {
            money.value = value;
            money.to += 1;
        }
        // "₹999/-": how amounts close in India.
        if self.mark(money.to, &['/'])
            && self.mark(money.to + 1, &['-', '='])
            && self.gap(money.to + 1) == Gap::None
        {
            money.to += 2;
        }
        self.sign_again(&mut money);
        if money.rule == "currency_after"
            || self.strictness != Strictness::Caption
            || number.figure.is_none()
        {
            self.cents(&mut money, number);
        } else if self.minor(money.to).is_none() {
            self.named_cents(&mut money);
        }
        money
    }

    /// "$30 USD", "8亿元人民币": the currency said twice, the second time more exactly.
    fn sign_again(&self, money: &mut Money) {
        let (Some(target), Some(second)) = (money.target, self.currency(money.to)) else { return };
        let members = lexicon().members(target);
        let same = second.target == target || members.contains(&lexicon().code(second.target));
        let touches_next = self.gap(money.to + 1) == Gap::None && self.number_at(money.to + 1);
        let near = self.gap(money.to) != Gap::Line;
        // "$10 $30", "10 $ 30 $": the second sign has its own number.
        let symbol = !self.text(money.to).contains(char::is_alphabetic);
        if !same
            || touches_next
            || !near
            || symbol && second.target == target && self.number_at(money.to + 1)
        {
            return;
        }
        if self.number_at(money.to + 1)
            && self.gap(money.to + 1) != Gap::Line
            && money.rule == "currency_after"
            && second.form != Form::Word
        {
            return;
        }
        if money.rule == "currency_after"
            && second.form == Form::Word
            && self.strictness == Strictness::Recognise
            && self.text(money.to).is_ascii()
        {
            return;
        }
        if members.len() > 1 {
            money.target = Some(second.target);
        }
        money.to += 1;
    }

    /// Amounts named without a number: "dollars", "人民币".
    pub(super) fn bare(&self, taken: &[Money]) -> Vec<(usize, Target, Option<u8>)> {
        let mut used = vec![false; self.tokens.len()];
        for money in taken {
            used[money.from..money.to].fill(true);
        }
        (0..self.tokens.len())
            .filter(|at| !used[*at])
            .filter_map(|at| {
                let text = self.text(at);
                let syllable =
                    text.starts_with(super::fold::is_unspaced) && text.chars().count() < 2;
                if syllable {
                    return None;
                }
                if let Some((Some(target), digits, false)) = self.minor(at) {
                    return Some((at, target, Some(digits)));
                }
                let currency = self.currency(at)?;
                let solid = currency.form == Form::Word || !text.is_ascii() || text == "rmb";
                (!currency.weak && solid).then_some((at, currency.target, None))
            })
            .collect()
    }

    /// Whether words of buying and selling are near, and none of weighing.
    pub(super) fn supported(&self, from: usize, to: usize) -> bool {
        let around = from.saturating_sub(4)..(to + 3).min(self.tokens.len());
        let wide = from.saturating_sub(7)..(to + 5).min(self.tokens.len());
        let buys = self.tokens[around].iter().any(|t| {
            let cues = [
                Cue::Buy,
                Cue::Price,
                Cue::Now,
                Cue::Was,
                Cue::Off,
                Cue::Per,
                Cue::Shipping,
                Cue::Min,
                Cue::FreeShipping,
            ];
            cues.iter().any(|c| has_cue(t, *c))
        });
        buys && !self.tokens[wide].iter().any(|t| has_cue(t, Cue::Weight))
    }

    /// The number that begins at a token; an open separator is read as the currency has it.
    pub(super) fn number(&self, at: usize, target: Option<Target>) -> Option<Number> {
        let point =
            target.map(|t| lexicon().code(t)).is_some_and(|code| lexicon().digits(code) == 3);
        let english = self.language == 0 || self.language & SETS.point != 0;
        let figure = self.tokens.get(at).and_then(Token::figure);
        let open = match figure {
            Some(figure) if point && (figure.comma != english) => Open::Point,
            _ => Open::Thousands,
        };
        number::read(self.tokens, at, open)
    }

    fn number_at(&self, at: usize) -> bool {
        self.number(at, None).is_some_and(|n| !n.article)
    }

    fn figure_follows(&self, at: usize) -> bool {
        self.tokens.get(at + 1).is_some_and(|t| t.figure().is_some())
    }

    /// "10:30 $": the number is the end of a time.
    fn clock_before(&self, at: usize) -> bool {
        at >= 2
            && self.mark(at - 1, &[':', '/'])
            && self.gap(at) == Gap::None
            && self.gap(at - 1) == Gap::None
            && self.tokens[at - 2].figure().is_some()
    }

    /// "#1": a rank or a tag.
    pub(super) fn ranked(&self, at: usize) -> bool {
        at > 0 && self.mark(at - 1, &['#', '@']) && self.gap(at) == Gap::None
    }

    /// "20xxx": digits hidden on purpose.
    pub(super) fn masked(&self, at: usize) -> bool {
        let token = self.tokens.get(at);
        token.is_some_and(|t| t.gap == Gap::None)
            && self.text(at).bytes().all(|b| b == b'x')
            && !self.text(at).is_empty()
            && self.text(at).len() > 1
    }

    pub(super) fn currency(&self, at: usize) -> Option<Currency> {
        self.tokens.get(at)?.tags().iter().find_map(|t| match *t {
            Tag::Currency { target, form, weak } => Some(Currency { target, form, weak }),
            _ => None,
        })
    }

    /// "R 150": a letter that only stands before its number.
    fn prefix_sign(&self, at: usize) -> Option<Currency> {
        let target = self.tokens[at].tags().iter().find_map(|t| match t {
            Tag::Prefix(target) => Some(*target),
            _ => None,
        })?;
        let figure = self.tokens.get(at + 1)?.figure()?;
        let glued = self.gap(at) == Gap::None
            && at > 0
            && matches!(self.tokens[at - 1].body, Body::Figure(_) | Body::Word);
        let clear = figure.grouped
            || figure.fraction == 2
            || self.supported(at, at + 2) && figure.whole >= 2;
        (clear && !glued && !figure.padded).then_some(Currency {
            target,
            form: Form::Sign,
            weak: false,
        })
    }

    pub(super) fn has(&self, at: usize, tag: Tag) -> bool {
        self.tokens.get(at).is_some_and(|t| t.tags().contains(&tag))
    }

    pub(super) fn mark(&self, at: usize, marks: &[char]) -> bool {
        self.tokens.get(at).is_some_and(|t| t.is_mark(marks))
    }

    /// The gap before a token; the end of the text counts as a line end.
    pub(super) fn gap(&self, at: usize) -> Gap {
        self.tokens.get(at).map_or(Gap::Line, |t| t.gap)
    }

    /// The folded text of a token.
    pub(super) fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |t| &self.folded.text[t.range.clone()])
    }
}

/// Whether a token has this cue among its meanings.
pub(super) fn has_cue(token: &Token, cue: Cue) -> bool {
    token.tags().contains(&Tag::Cue(cue))
}

fn is_money_start(tag: &Tag) -> bool {
    !matches!(
        tag,
        Tag::Cue(_) | Tag::Percent | Tag::And | Tag::Link | Tag::Point | Tag::Minor { .. }
    )
}

fn large_scale(token: &Token) -> Option<i64> {
    token
        .tags()
        .iter()
        .find_map(|t| if let Tag::Scale(s) = t { Some(*s) } else { None })
        .filter(|s| *s >= 1000)
}
