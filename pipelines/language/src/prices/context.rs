//! Prices that borrow their currency: the other end of a range, the second of a pair, and
//! numbers that the words around them call a price.

use super::lex::{Body, Gap};
use super::lexicon::{Cue, SETS, Tag, lexicon};
use super::money::{Money, Scan, Strictness, has_cue};
use super::number::Number;

const DASHES: [char; 7] = ['-', '–', '—', '~', '～', '〜', '―'];
const TO: [&str; 21] = [
    "to", "a", "à", "et", "y", "e", "und", "and", "bis", "do", "до", "и", "và", "đến", "tới", "至",
    "到", "から", "al", "hingga", "sampai",
];
const RANGE_OPENERS: [&str; 21] = [
    "from",
    "between",
    "de",
    "entre",
    "von",
    "zwischen",
    "da",
    "tra",
    "fra",
    "от",
    "между",
    "od",
    "từ",
    "giữa",
    "van",
    "tussen",
    "des",
    "dari",
    "antara",
    "intre",
    "între",
];

impl Scan<'_, '_> {
    /// Adds the ends of ranges that share one currency sign; both ends of every range are told.
    pub(super) fn with_ranges(&self, money: Vec<Money>) -> (Vec<Money>, Vec<bool>) {
        let mut out: Vec<Money> = Vec::with_capacity(money.len());
        let mut ranged: Vec<bool> = Vec::new();
        for price in money {
            let floor = out.last().map_or(0, |m| m.to);
            let joined = out.last().is_some_and(|last| self.range_between(last, &price));
            if joined && let Some(flag) = ranged.last_mut() {
                *flag = true;
            }
            let low = if joined { None } else { self.low_end(&price, floor) };
            let high = self.high_end(&price);
            let is_range = joined || low.is_some() || high.is_some();
            if let Some(low) = low {
                out.push(low);
                ranged.push(true);
            }
            out.push(price);
            ranged.push(is_range);
            if let Some(high) = high {
                out.push(high);
                ranged.push(true);
            }
        }
        (out, ranged)
    }

    fn range_between(&self, low: &Money, high: &Money) -> bool {
        let one = high.from == low.to + 1
            && self.gap(high.from) != Gap::Line
            && self.gap(low.to) != Gap::Line;
        let dash = one && self.mark(low.to, &DASHES);
        let word = one
            && TO.contains(&self.text(low.to))
            && (self.text(low.to) == "to" || self.opened(low.from));
        (dash || word) && low.value < high.value && low.target == high.target
    }

    fn opened(&self, at: usize) -> bool {
        at > 0
            && (RANGE_OPENERS.contains(&self.text(at - 1))
                || has_cue(&self.tokens[at - 1], Cue::Min))
    }

    /// The "10" of "10-20 €" and of "between 10 and 20 dollars".
    fn low_end(&self, price: &Money, floor: usize) -> Option<Money> {
        let joiner = price.from.checked_sub(1)?;
        let dash = self.mark(joiner, &DASHES)
            && (self.gap(joiner) == self.gap(price.from) || self.gap(joiner) == Gap::None);
        let word = TO.contains(&self.text(joiner));
        let start = (floor.max(joiner.saturating_sub(4))..joiner)
            .filter_map(|at| self.number(at, price.target))
            .find(|n| n.to == joiner)?;
        let opened = self.opened(start.from) || self.strictness == Strictness::Expression;
        let chained = start.from > 0
            && self.mark(start.from - 1, &['-', '/', '.'])
            && self.gap(start.from) == Gap::None;
        let glued = self.tokens[start.from].figure().is_some_and(|f| f.glued || f.padded);
        let sound = (dash || word && opened)
            && !start.article
            && !chained
            && !glued
            && self.gap(joiner) != Gap::Line;
        (sound && start.value < price.value).then(|| self.end_of_range(&start, price))
    }

    /// The "20" of "$10-20".
    fn high_end(&self, price: &Money) -> Option<Money> {
        let joiner = price.to;
        let dash = self.mark(joiner, &DASHES) && self.gap(joiner) == self.gap(joiner + 1);
        let word = matches!(self.text(joiner), "to" | "до" | "bis" | "至" | "到" | "đến")
            || self.opened(price.from) && TO.contains(&self.text(joiner));
        let number = (dash || word).then(|| self.number(joiner + 1, price.target)).flatten()?;
        let after = number.to;
        let other = self.tokens.get(after).is_some_and(|t| {
            t.gap != Gap::Line
                && (matches!(t.body, Body::Word)
                    && (word || t.gap == Gap::None)
                    && t.range.len() > 1
                    || t.tags().iter().any(|t| {
                        matches!(t, Tag::Currency { .. } | Tag::Percent | Tag::Minor { .. })
                    }))
        });
        let phone = self.mark(after, &['-', '/']) && self.gap(after + 1) == Gap::None;
        let near = self.gap(joiner) != Gap::Line && self.gap(joiner + 1) != Gap::Line;
        let sound = near && !other && !phone && !number.article && number.value > price.value;
        sound.then(|| self.end_of_range(&number, price))
    }

    fn end_of_range(&self, number: &Number, price: &Money) -> Money {
        Money {
            value: number.value,
            target: price.target,
            from: number.from,
            to: number.to,
            sign: price.sign,
            minor: None,
            rule: "range_end",
            confidence: price.confidence * 0.95,
        }
    }

    /// Numbers without a currency that words or signs beside them call a price.
    pub(super) fn unsigned(&self, taken: &[Money]) -> Vec<Money> {
        let mut used = vec![false; self.tokens.len()];
        for money in taken {
            used[money.from..money.to].fill(true);
        }
        let free = |from: usize, to: usize| !used[from..to].contains(&true);
        let mut out: Vec<Money> = Vec::new();
        for at in 0..self.tokens.len() {
            // Only digits make a price without a currency.
            if self.tokens[at].figure().is_none() {
                continue;
            }
            let Some(number) = self.number(at, None) else { continue };
            let overlap = out.last().is_some_and(|m: &Money| m.to > at);
            if overlap || !free(at, number.to) || number.article || !self.price_like(&number) {
                continue;
            }
            let rule = self.unsigned_rule(&number, taken);
            if let Some((rule, confidence)) = rule {
                out.push(Money {
                    value: number.value,
                    target: None,
                    from: at,
                    to: number.to,
                    sign: None,
                    minor: None,
                    rule,
                    confidence,
                });
            }
        }
        out
    }

    fn price_like(&self, number: &Number) -> bool {
        let figure = self.tokens[number.from].figure();
        let ranked = self.ranked(number.from);
        let sound = !ranked
            && figure.is_some_and(|f| !f.glued && (!f.padded || f.fraction > 0) && f.whole <= 12);
        let percent = self.has(number.to, Tag::Percent) && self.gap(number.to) != Gap::Line;
        let measured = self
            .tokens
            .get(number.to)
            .is_some_and(|t| t.gap == Gap::None && matches!(t.body, Body::Word));
        let dated = self.mark(number.to, &['/', ':', '-', '.'])
            && self.gap(number.to) == Gap::None
            && self
                .tokens
                .get(number.to + 1)
                .is_some_and(|t| t.gap == Gap::None && t.figure().is_some())
            && !self.has(number.to + 2, Tag::Percent);
        sound && !percent && !measured && !dated && !self.masked(number.to)
    }

    fn unsigned_rule(&self, number: &Number, taken: &[Money]) -> Option<(&'static str, f32)> {
        if self.named_price(number) {
            return Some(("price_word", 0.7));
        }
        if self.price_dash(number) {
            return Some(("price_dash", 0.75));
        }
        if self.local_thousands(number) {
            return Some(("local_thousands", 0.7));
        }
        if self.struck_before(number, taken) {
            return Some(("was_now_pair", 0.7));
        }
        // In order and apart, so that what ends this near is among the last few.
        let before = taken.partition_point(|m| m.from < number.from);
        let near = taken[before.saturating_sub(8)..before]
            .iter()
            .rev()
            .find(|m| m.to <= number.from && number.from - m.to <= 4)?;
        let before = number.from == near.to + 1 && has_cue(&self.tokens[near.to], Cue::Was);
        if before && number.value > near.value && self.clause_ends(number.to) {
            return Some(("was_now_pair", 0.75));
        }
        let between = near.to..number.from;
        let now =
            between.clone().any(|at| has_cue(&self.tokens[at], Cue::Now) || self.is_arrow(at));
        let line = between.clone().chain([number.from]).any(|at| self.gap(at) == Gap::Line);
        let ends = self.clause_ends(number.to);
        (now && !line && ends && number.value < near.value && near.target.is_some())
            .then_some(("was_now_pair", 0.75))
    }

    /// "2800-10%=2520€", "50 → 30 €": the number before a cheaper price.
    fn struck_before(&self, number: &Number, taken: &[Money]) -> bool {
        let behind = taken.partition_point(|m| m.from < number.to);
        let next = taken.get(behind).filter(|m| m.from - number.to <= 5);
        let Some(next) = next else { return false };
        let between = number.to..next.from;
        let sum = between.clone().any(|at| self.mark(at, &['=']))
            && between.clone().any(|at| self.has(at, Tag::Percent));
        let arrow = between.clone().count() <= 2 && between.clone().any(|at| self.is_arrow(at));
        let line =
            between.clone().any(|at| self.gap(at) == Gap::Line) || self.gap(next.from) == Gap::Line;
        let was = number.from > 0
            && has_cue(&self.tokens[number.from - 1], Cue::Was)
            && between.clone().any(|at| has_cue(&self.tokens[at], Cue::Now));
        // "de 199 por 99 reais"
        let from_to = between.len() == 1
            && matches!(self.text(number.to), "por" | "to" | "auf" | "voor" | "a" | "à")
            && number.from > 0
            && matches!(self.text(number.from - 1), "de" | "from" | "von" | "van" | "da");
        (sum || arrow || was || from_to) && !line && next.value < number.value
    }

    /// "price: 45", "💰41500", "giá 120k".
    fn named_price(&self, number: &Number) -> bool {
        let mut at = number.from;
        let mut marked = false;
        for _ in 0..3 {
            if at == 0 || self.gap(at) == Gap::Line {
                return false;
            }
            at -= 1;
            let token = &self.tokens[at];
            if has_cue(token, Cue::Price) {
                let sign = !self.text(at).starts_with(char::is_alphabetic);
                let asian = self.text(at).starts_with(super::fold::is_unspaced);
                let clear = sign
                    || marked
                    || asian
                    || at + 1 == number.from
                        && !self.text(at).starts_with("cost")
                        && self.text(at) != "prices";
                let year = number.figure.is_some_and(|f| {
                    f.whole == 4
                        && !f.grouped
                        && (self.text(number.from).starts_with("19")
                            || self.text(number.from).starts_with("20"))
                });
                return clear && (sign || marked && !year || !year && self.clause_ends(number.to));
            }
            let soft = [Cue::Now, Cue::Soft, Cue::Min].iter().any(|c| has_cue(token, *c));
            marked |= self.mark(at, &[':', '=']);
            if !(marked && self.mark(at, &[':', '='])
                || soft
                || matches!(self.text(at), "is" | "at" | "là" | "es" | "é" | "est" | "ist"))
            {
                return false;
            }
        }
        false
    }

    /// "299,-" and "1.499,–": how prices end in northern and central Europe; "390.-" in Thailand.
    fn price_dash(&self, number: &Number) -> bool {
        let comma = self.mark(number.to, &[',']) || self.mark(number.to, &['.', ':']);
        let dash = self.mark(number.to + 1, &['-', '–', '—'])
            && self.gap(number.to + 1) == Gap::None
            && self.gap(number.to) == Gap::None;
        let after = self.tokens.get(number.to + 2);
        let closes = after
            .is_none_or(|t| t.gap != Gap::None || !matches!(t.body, Body::Figure(_) | Body::Word));
        comma && dash && closes && number.figure.is_some_and(|f| f.fraction == 0)
    }

    /// "150k", "10tr", "50rb": thousands and millions of a currency of small units.
    fn local_thousands(&self, number: &Number) -> bool {
        let vietnamese = self.language & SETS.vietnamese != 0;
        let malay = self.language & SETS.indonesian != 0;
        let unit = self.text(number.to - 1);
        let letter = number.to - number.from == 2 && unit == "k";
        let word = number.scaled
            && matches!(
                unit,
                "tr" | "triệu" | "nghìn" | "ngàn" | "củ" | "rb" | "ribu" | "jt" | "juta" | "k"
            );
        let counted = [
            "người",
            "view",
            "views",
            "follow",
            "followers",
            "like",
            "likes",
            "sub",
            "km",
            "orang",
            "follower",
            "tim",
            "lượt",
            "năm",
            "sao",
            "mét",
            "m",
            "bạn",
            "phút",
            "share",
            "fps",
            "vnd",
        ];
        let next = self.text(number.to);
        let scaled_only = letter || word;
        (vietnamese || malay)
            && scaled_only
            && !counted.contains(&next)
            && (vietnamese && !matches!(unit, "rb" | "ribu" | "jt" | "juta")
                || malay && !matches!(unit, "tr" | "triệu" | "củ"))
    }

    fn clause_ends(&self, at: usize) -> bool {
        let Some(token) = self.tokens.get(at) else { return true };
        let cue = token.tags().iter().any(|t| {
            matches!(
                t,
                Tag::Cue(
                    Cue::Per
                        | Cue::Now
                        | Cue::Off
                        | Cue::Shipping
                        | Cue::Soft
                        | Cue::Was
                        | Cue::Price
                )
            )
        });
        token.gap == Gap::Line
            || matches!(token.body, Body::Mark(_))
            || cue
            || self.text(at).starts_with(super::fold::is_unspaced)
    }

    /// Cantonese sellers leave the currency out: Hong Kong dollars.
    pub(super) fn speaks_cantonese(&self) -> bool {
        const ONLY_CANTONESE: [char; 10] =
            ['咁', '嘅', '孭', '啲', '冇', '哋', '咗', '嚟', '咭', '嗰'];
        self.folded.text.contains(ONLY_CANTONESE)
    }

    /// The one currency that every signed price of the text is in.
    pub(super) fn common_currency(&self, money: &[Money]) -> Option<super::lexicon::Target> {
        let mut targets = money.iter().filter_map(|m| m.target);
        let first = targets.next()?;
        targets.all(|t| lexicon().code(t) == lexicon().code(first)).then_some(first)
    }
}
