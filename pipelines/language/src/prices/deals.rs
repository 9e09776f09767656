//! Discounts: percentages and amounts off, multi-buy, free shipping, free extras.

use std::ops::Range;

use super::decimal::Decimal;
use super::lex::{Body, Gap};
use super::lexicon::{Cue, Tag};
use super::money::{Money, Scan, has_cue};
use super::percent::{Percentage, holds};
use super::{DiscountKind, Role};

/// A discount and the tokens it is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Deal {
    pub(super) kind: DiscountKind,
    pub(super) value: Option<Decimal>,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) rule: &'static str,
    pub(super) confidence: f32,
}

const BUY: &str = "buy ซื้อ mua 买 買 beli compre compra lleva leve pague prendi achetez acheté achetés kaufe kauf köp \
    kjøp køb kup купи al koop kupte buying purchase order cómprate llévate take";
const GET: &str = "get แถม tặng 送 赠 贈 gratis free dapat leve lleva lleve paga pague paghi offert offerts erhalte bekomme nimm zahle \
    bezahle få betala betal drugi получи öde krijg take pay + receive gets percuma";
const FREE_WORDS: &str = "free gratis grátis offert offerts gratuit kostenlos gratuito ฟรี bedava percuma 행사 증정 무료 zdarma \
    бесплатно в hediye miễn";

impl Scan<'_, '_> {
    /// Every discount, in order. `used` tells which amounts of money are discounts, not prices.
    pub(super) fn deals(
        &self,
        money: &[Money],
        roles: &[Option<Role>],
        percents: &[Percentage],
    ) -> (Vec<Deal>, Vec<usize>) {
        let mut deals = self.multi_buys(money);
        self.word_deals(&mut deals);
        // Percentages lie apart, so that none of them is inside the deal of another.
        let inside = self.covered(&deals, 0);
        for percent in percents {
            if !inside[percent.from..percent.to].contains(&true)
                && let Some(deal) = self.percent_deal(percent, percents)
            {
                deals.push(deal);
            }
        }
        let mut used = Vec::new();
        for (index, price) in money.iter().enumerate() {
            if self.is_amount_off(price, roles[index], money, index) {
                used.push(index);
                deals.push(Deal {
                    kind: DiscountKind::Amount,
                    value: Some(price.value),
                    from: price.from,
                    to: price.to,
                    rule: "amount_off",
                    confidence: 0.9,
                });
            }
        }
        self.plain_free(&mut deals, money, percents);
        deals.sort_by_key(|d| (d.from, d.to));
        (deals, used)
    }

    /// For each token whether a deal covers it or lies no further than `around` tokens away.
    fn covered(&self, deals: &[Deal], around: usize) -> Vec<bool> {
        let mut covered = vec![false; self.tokens.len()];
        for deal in deals {
            let to = (deal.to + around).min(covered.len());
            covered[deal.from.saturating_sub(around)..to].fill(true);
        }
        covered
    }

    fn clause(&self, from: usize, to: usize) -> (Range<usize>, Range<usize>) {
        let stop = |at: usize| {
            self.mark(at, &['.', '!', '?', ';', '|', '•']) && self.gap(at + 1) != Gap::None
        };
        let mut low = from;
        while low > 0 && from - low < 6 && self.gap(low) != Gap::Line && !stop(low - 1) {
            low -= 1;
        }
        let mut high = to;
        while high < self.tokens.len()
            && high - to < 5
            && self.gap(high) != Gap::Line
            && !stop(high)
        {
            high += 1;
        }
        (low..from, to..high)
    }

    fn percent_deal(&self, percent: &Percentage, all: &[Percentage]) -> Option<Deal> {
        let value =
            percent.off.or(percent.value.map(|v| if percent.minus { v.negated() } else { v }))?;
        let in_bounds = value > Decimal::ZERO && value <= Decimal::whole(100);
        if !in_bounds {
            return None;
        }
        let (before, after) = self.clause(percent.from, percent.to);
        let other = |at: usize| holds(all, at, percent.from);
        let off_after = after
            .clone()
            .take(4)
            .take_while(|at| !other(*at) && !self.other_claim(*at))
            .any(|at| has_cue(&self.tokens[at], Cue::Off) || self.text(at) == "sale");
        let off_before = before
            .clone()
            .rev()
            .take(5)
            .take_while(|at| !other(*at) && self.tokens[*at].figure().is_none())
            .any(|at| {
                has_cue(&self.tokens[at], Cue::Off) && !self.refuses(at) || self.text(at) == "sale"
            });
        let minus = percent.minus && (value >= Decimal::whole(5));
        let notation = percent.off.is_some();
        if !(off_after || off_before || minus || notation)
            || self.contains(
                before.clone().chain(after),
                &[
                    "donate",
                    "donated",
                    "body",
                    "fat",
                    "cotton",
                    "tax",
                    "interest",
                    "juros",
                    "intereses",
                ],
            ) && !minus
                && !off_after
        {
            return None;
        }
        // "second one 50 % off" is multi-buy only when the caption says so; here it is a percentage.
        let rule = if notation {
            "percent_notation"
        } else if minus {
            "minus_percent"
        } else {
            "percent_off"
        };
        Some(Deal {
            kind: DiscountKind::Percent,
            value: Some(value),
            from: percent.from,
            to: percent.to,
            rule,
            confidence: 0.92,
        })
    }

    /// A word between a percentage and "off" that shows the percentage is of something else.
    fn other_claim(&self, at: usize) -> bool {
        matches!(
            self.text(at),
            "of" | "cotton"
                | "authentic"
                | "genuine"
                | "real"
                | "pure"
                | "natural"
                | "organic"
                | "more"
                | "and"
                | "silk"
                | "wool"
        )
    }

    /// "gift card", "cashback" before a percentage do not make it a discount.
    fn refuses(&self, at: usize) -> bool {
        matches!(self.text(at), "gift card" | "giftcard" | "lose" | "lost" | "promo" | "credit")
    }

    fn contains(&self, mut range: impl Iterator<Item = usize>, words: &[&str]) -> bool {
        range.any(|at| words.contains(&self.text(at)))
    }

    fn is_amount_off(
        &self,
        price: &Money,
        role: Option<Role>,
        money: &[Money],
        index: usize,
    ) -> bool {
        if matches!(
            role,
            Some(
                Role::Threshold
                    | Role::Instalment
                    | Role::Shipping
                    | Role::Was
                    | Role::Now
                    | Role::Bundle
            )
        ) {
            return false;
        }
        let ceiling = money.get(index + 1).map_or(self.tokens.len(), |m| m.from);
        let floor = index.checked_sub(1).map_or(0, |i| money[i].to);
        let (before, after) = self.clause(price.from, price.to);
        let cards = [
            "gift card",
            "gift code",
            "giftcard",
            "voucher",
            "coupon",
            "store credit",
            "credit",
            "promo",
        ];
        let off_after = after
            .take_while(|at| *at < ceiling)
            .take(2)
            .find(|at| has_cue(&self.tokens[*at], Cue::Off) || !self.skippable(*at));
        if let Some(at) = off_after
            && has_cue(&self.tokens[at], Cue::Off)
        {
            let verb = [
                "save",
                "saving",
                "saved",
                "spare",
                "ahorra",
                "menos",
                "reduced",
                "cashback",
                "cash back",
                "reduced by",
            ];
            if !verb.contains(&self.text(at)) && !cards.contains(&self.text(at)) {
                return true;
            }
        }
        let off_before =
            before.rev().take_while(|at| *at >= floor).take(4).find(|at| !self.skippable(*at));
        off_before.is_some_and(|at| {
            has_cue(&self.tokens[at], Cue::Off)
                && self.text(at) != "off"
                && !cards.contains(&self.text(at))
                && self.text(at) != "sale"
                && self.text(at) != "reduced"
                && !has_cue(&self.tokens[at], Cue::Price)
        })
    }

    fn skippable(&self, at: usize) -> bool {
        let small = [
            "up",
            "to",
            "up to",
            "an",
            "extra",
            "a",
            "of",
            "de",
            "additional",
            "another",
            "upto",
            "hasta",
            "até",
            "bis zu",
            "over",
            "you",
            "us",
            "on",
            "ngay",
            "thêm",
            "đến",
            "tới",
            "flat",
            "instant",
            "get",
            "worth",
            "fino a",
            "jusqu'à",
            "до",
            "सीधे",
            "की",
            "at",
            "least",
            "everyone",
            "instantly",
            "tot",
            "sebesar",
            "rp",
            "more than",
            "ถึง",
            "สูงสุด",
            "ทันที",
            "about",
            "in",
        ];
        small.contains(&self.text(at)) || self.mark(at, &[':', '(', '~', '≈', '-'])
    }

    /// "buy 2 get 1 free", "2x1", "3 for 2", "1+1".
    fn multi_buys(&self, money: &[Money]) -> Vec<Deal> {
        let mut out: Vec<Deal> = Vec::new();
        let mut paid = vec![false; self.tokens.len()];
        for money in money {
            paid[money.from..money.to].fill(true);
        }
        for at in 0..self.tokens.len() {
            // A count stands here or next, or the word itself says it.
            let tells = |at: usize| {
                self.tokens
                    .get(at)
                    .is_some_and(|t| matches!(t.body, Body::Figure(_) | Body::Known(_)))
            };
            if !tells(at) && !tells(at + 1) || out.last().is_some_and(|d| at < d.to) {
                continue;
            }
            let free = |to: usize| !paid[at..to.min(paid.len())].contains(&true);
            let end = self
                .named_multi_buy(at)
                .or_else(|| self.counted_multi_buy(at))
                .or_else(|| self.short_multi_buy(at));
            if let Some(to) = end.filter(|to| free(*to)) {
                let (to, value) = self.second_share(to);
                out.push(Deal {
                    kind: DiscountKind::Bogo,
                    value,
                    from: at,
                    to,
                    rule: "multi_buy",
                    confidence: 0.93,
                });
            }
        }
        out
    }

    fn named_multi_buy(&self, at: usize) -> Option<usize> {
        has_cue(&self.tokens[at], Cue::Bogo).then_some(at + 1)
    }

    /// "BOGO 50% off": what the second one costs less.
    fn second_share(&self, to: usize) -> (usize, Option<Decimal>) {
        let skip = to + usize::from(self.text(to) == "at");
        let Some(number) =
            self.number(skip, None).filter(|n| !n.article && self.gap(n.from) != Gap::Line)
        else {
            let half =
                self.tokens.get(to).is_some_and(|t| has_cue(t, Cue::Half) && t.gap != Gap::Line);
            return if half { (to + 1, Some(Decimal::whole(50))) } else { (to, None) };
        };
        if !self.has(number.to, Tag::Percent) {
            return (to, None);
        }
        let off = self.tokens.get(number.to + 1).is_some_and(|t| has_cue(t, Cue::Off));
        (number.to + 1 + usize::from(off), Some(number.value))
    }

    fn small_count(&self, at: usize) -> Option<Decimal> {
        let token = self.tokens.get(at)?;
        let word =
            token.tags().iter().any(|t| matches!(t, Tag::Number(1..=10) | Tag::Digit(1..=9)));
        if let Some(figure) = token.figure() {
            return (figure.whole == 1 && figure.fraction == 0).then_some(figure.value);
        }
        word.then(|| self.number(at, None)).flatten().filter(|n| n.to == at + 1).map(|n| n.value)
    }

    fn counted_multi_buy(&self, at: usize) -> Option<usize> {
        self.small_count(at + 1)?;
        let first = self.text(at);
        if !BUY.split_whitespace().any(|w| w == first) {
            return None;
        }
        for gap in 2..6 {
            let middle = at + gap;
            if self.gap(middle) == Gap::Line || self.mark(middle, &['.', '!', '?']) {
                return None;
            }
            if self.mark(middle, &[',']) || !GET.split_whitespace().any(|w| w == self.text(middle))
            {
                continue;
            }
            let count =
                if self.small_count(middle + 1).is_some() { Some(middle + 2) } else { None };
            // "get 1 free", "get the second free", "kup 2, 1 gratis"; a bare "get 3" stays a count.
            let mut to = match count {
                Some(to) => to,
                None if matches!(self.text(middle), "drugi") => middle + 1,
                None => return None,
            };
            // "buy 2 get 10 % off" counts money, not pieces.
            if self.has(to, Tag::Percent) && self.small_count(middle + 1).is_none() {
                return None;
            }
            if FREE_WORDS.split_whitespace().any(|w| w == self.text(to))
                && self.gap(to) != Gap::Line
            {
                to += 1;
            }
            return Some(to);
        }
        None
    }

    fn short_multi_buy(&self, at: usize) -> Option<usize> {
        let first = self.small_count(at)?;
        let second = self.small_count(at + 2)?;
        let glued = self.tokens[at].figure().is_some_and(|f| f.glued)
            || at > 0
                && self.gap(at) == Gap::None
                && self.mark(at - 1, &['.', ',', '-', '/', '+', ':', '*']);
        let touching = self.gap(at + 1) == Gap::None && self.gap(at + 2) == Gap::None;
        let figures = self.tokens[at].figure().is_some() && self.tokens[at + 2].figure().is_some();
        let free_next = FREE_WORDS.split_whitespace().any(|w| w == self.text(at + 3))
            && self.gap(at + 3) != Gap::Line;
        let measured = self.tokens.get(at + 3).is_some_and(|t| {
            t.gap == Gap::None && !matches!(t.body, Body::Mark(_))
                || matches!(t.body, Body::Mark('-' | 'x' | '/' | '.' | ':' | '%' | '+'))
        }) || self.tokens.get(at + 3).is_some_and(|t| {
            matches!(self.text(at + 3), "cm" | "mm" | "m" | "inch" | "ft" | "x")
                && t.gap != Gap::Line
        });
        if glued || self.gap(at + 1) == Gap::Line || self.gap(at + 2) == Gap::Line {
            return None;
        }
        let one_more = first == second.plus(Decimal::whole(1))?;
        let joined = match self.text(at + 1) {
            "x" | "×" => touching && figures && one_more && !measured,
            "for" | "por" | "voor" | "für" => {
                one_more && !self.money_follows(at + 2) && !measured && first <= Decimal::whole(5)
            }
            "แถม" | "送" | "赠" | "贈" => true,
            "+" => {
                figures
                    && (free_next
                        || first == second && first == Decimal::whole(1) && !measured && touching)
            }
            _ => false,
        };
        joined.then_some(at + 3 + usize::from(free_next))
    }

    fn money_follows(&self, at: usize) -> bool {
        let next = self.tokens.get(at + 1);
        next.is_some_and(|t| {
            t.gap != Gap::Line
                && t.tags().iter().any(|t| {
                    matches!(
                        t,
                        Tag::Currency { .. }
                            | Tag::Minor { .. }
                            | Tag::LetterScale(_)
                            | Tag::Scale(_)
                    )
                })
        })
    }

    /// Deals that are words alone: free shipping, half price, free gifts.
    fn word_deals(&self, deals: &mut Vec<Deal>) {
        let known = self.tokens.iter().enumerate().filter(|(_, token)| !token.tags().is_empty());
        let near = self.covered(deals, 0);
        for (at, token) in known {
            let (kind, value, rule) = match token.tags() {
                _ if near[at] => continue,
                tags if tags.contains(&Tag::Cue(Cue::FreeShipping)) => {
                    (DiscountKind::FreeShipping, None, "free_shipping")
                }
                tags if tags.contains(&Tag::Cue(Cue::Half))
                    && !self.text(at).starts_with(super::fold::is_unspaced) =>
                {
                    (DiscountKind::Percent, Some(Decimal::whole(50)), "half_price")
                }
                tags if tags.contains(&Tag::Cue(Cue::Free))
                    && self.text(at).contains(' ')
                    && self.text(at).is_ascii() =>
                {
                    (DiscountKind::Free, None, "free_extra")
                }
                _ => continue,
            };
            deals.push(Deal { kind, value, from: at, to: at + 1, rule, confidence: 0.9 });
        }
    }

    /// A lone "gratis" counts where the text sells something.
    fn plain_free(&self, deals: &mut Vec<Deal>, money: &[Money], percents: &[Percentage]) {
        if money.is_empty() && percents.is_empty() && deals.is_empty() {
            return;
        }
        // From the token before a deal to the second behind it.
        let mut taken = self.covered(deals, 1);
        for deal in deals.iter() {
            if let Some(second) = taken.get_mut(deal.to + 1) {
                *second = true;
            }
        }
        for (at, token) in self.tokens.iter().enumerate() {
            if !taken[at]
                && has_cue(token, Cue::Free)
                && !(self.text(at).contains(' ') && self.text(at).is_ascii())
            {
                deals.push(Deal {
                    kind: DiscountKind::Free,
                    value: None,
                    from: at,
                    to: at + 1,
                    rule: "free_extra",
                    confidence: 0.6,
                });
                let to = (at + 3).min(taken.len());
                taken[at..to].fill(true);
            }
        }
    }
}
