//! What a price is for: before or now, least or most, per piece, shipping, an instalment.

use super::lex::{Body, Gap};
use super::lexicon::{Cue, Tag};
use super::money::{Money, Scan, has_cue};
use super::{Role, number};

/// Words that read as "for" in "2 for 30 €".
const FOR: [&str; 14] =
    ["for", "por", "pour", "für", "per", "voor", "för", "za", "за", "x", "untuk", "chỉ", "w", "/"];

impl Scan<'_, '_> {
    /// The role of each amount, in the order of `money`.
    pub(super) fn roles(&self, money: &[Money]) -> Vec<Option<Role>> {
        let mut roles: Vec<Option<Role>> = (0..money.len()).map(|i| self.role(money, i)).collect();
        self.pair_up(money, &mut roles);
        roles
    }

    fn role(&self, money: &[Money], index: usize) -> Option<Role> {
        let price = &money[index];
        let floor = index.checked_sub(1).map_or(0, |i| money[i].to);
        let ceiling = money.get(index + 1).map_or(self.tokens.len(), |m| m.from);
        self.instalment(price, floor, ceiling)
            .or_else(|| self.bundle(price, floor))
            .or_else(|| self.shipping(price, floor, ceiling))
            .or_else(|| self.threshold(price, floor, ceiling))
            .or_else(|| self.per_unit(price, floor, ceiling))
            .or_else(|| self.bound(price, floor))
            .or_else(|| self.time(price, floor, ceiling))
    }

    /// Tokens before the price in its clause, nearest first, with their distance.
    fn before(
        &self,
        price: &Money,
        floor: usize,
        reach: usize,
    ) -> impl Iterator<Item = usize> + '_ {
        let from = price.from;
        let low = floor.max(from.saturating_sub(reach));
        (low..from).rev().take_while(move |at| {
            let ends = self.mark(*at, &['.', '!', '?', ';', '|']) && self.gap(at + 1) != Gap::None;
            !ends && self.gap(at + 1) != Gap::Line
        })
    }

    /// Tokens after the price in its clause.
    fn after(
        &self,
        price: &Money,
        ceiling: usize,
        reach: usize,
    ) -> impl Iterator<Item = usize> + '_ {
        let high = ceiling.min(price.to + reach);
        (price.to..high).take_while(|at| {
            self.gap(*at) != Gap::Line && !self.mark(*at, &['.', '!', '?', ';', '|', ','])
        })
    }

    fn cue_before(&self, price: &Money, floor: usize, reach: usize, cue: Cue) -> bool {
        self.before(price, floor, reach).any(|at| has_cue(&self.tokens[at], cue))
    }

    fn cue_after(&self, price: &Money, ceiling: usize, reach: usize, cue: Cue) -> bool {
        self.after(price, ceiling, reach).any(|at| has_cue(&self.tokens[at], cue))
    }

    fn instalment(&self, price: &Money, floor: usize, ceiling: usize) -> Option<Role> {
        // "12x de R$ 99", "4 x $25", "3 payments of $20".
        let mut at = price.from;
        let link = at > floor
            && (self.has(at - 1, Tag::Link)
                || matches!(self.text(at - 1), "de" | "di" | "of" | "à"));
        at -= usize::from(link);
        let times = at >= floor + 2
            && matches!(self.text(at - 1), "x" | "×" | "fois" | "vezes" | "*")
            && self.tokens[at - 2].figure().is_some_and(|f| f.whole <= 2 && f.fraction == 0);
        let bundle_like = times && !link && self.gap(at) == Gap::None && self.text(at - 1) == "*";
        // "12x de R$ 29 sem juros ou R$ 269": what follows "or" is another way to pay.
        let or = |at: &usize| !matches!(self.text(*at), "ou" | "or" | "oder" | "o");
        let named = self
            .before(price, floor, 4)
            .take_while(or)
            .any(|at| has_cue(&self.tokens[at], Cue::Instalment))
            || self.cue_after(price, ceiling, 3, Cue::Instalment);
        (times && !bundle_like || named).then_some(Role::Instalment)
    }

    fn bundle(&self, price: &Money, floor: usize) -> Option<Role> {
        let at = price.from.checked_sub(1).filter(|at| *at >= floor)?;
        let count = |at: usize| {
            self.tokens
                .get(at)
                .and_then(|t| t.figure())
                .is_some_and(|f| f.whole <= 2 && f.fraction == 0 && !f.glued)
        };
        let word_count = |at: usize| {
            number::read(self.tokens, at, number::Open::Thousands)
                .is_some_and(|n| n.to == at + 1 && !n.article)
                && self.tokens[at].tags().iter().any(|t| matches!(t, Tag::Number(2..=12)))
        };
        let one = at >= 1 && self.text(at - 1) == "1" && self.text(at) == "x";
        let for_word =
            FOR.contains(&self.text(at)) && self.text(at) != "x" || self.mark(at, &['/', '=']);
        let direct = at >= 1
            && for_word
            && !one
            && (count(at - 1) || word_count(at - 1))
            && self.gap(price.from) != Gap::Line;
        // "any 3 items for $10", "3 pcs for $10".
        let spaced = at >= 2
            && for_word
            && self.text(at) != "/"
            && self.gap(at) != Gap::Line
            && (count(at - 2) && self.text(at - 2) != "1" || word_count(at - 2))
            && !matches!(self.tokens[at - 1].body, Body::Mark(_))
            && !self.has(at - 1, Tag::Percent);
        let named = self.cue_before(price, floor, 4, Cue::Bundle);
        (direct || spaced || named).then_some(Role::Bundle)
    }

    fn shipping(&self, price: &Money, floor: usize, ceiling: usize) -> Option<Role> {
        let before = self
            .before(price, floor, 3)
            .find(|at| !self.filler(*at))
            .is_some_and(|at| has_cue(&self.tokens[at], Cue::Shipping));
        let after = self.cue_after(price, ceiling, 2, Cue::Shipping)
            && !self.mark(price.to, &['+', '&'])
            && !matches!(self.text(price.to), "plus" | "and" | "free" | "with" | "+");
        (before || after).then_some(Role::Shipping)
    }

    fn filler(&self, at: usize) -> bool {
        let small = [
            "is", "only", "just", "fee", "cost", "from", "for", "de", "por", "à", "ab", "flat",
            "rate", "of",
        ];
        self.mark(at, &[':', '-', '=', '(', '+', '~', '≈']) || small.contains(&self.text(at))
    }

    fn threshold(&self, price: &Money, floor: usize, ceiling: usize) -> Option<Role> {
        let deal = |at: &usize| {
            let token = &self.tokens[*at];
            [Cue::FreeShipping, Cue::Off, Cue::Free, Cue::Code].iter().any(|c| has_cue(token, *c))
                || self.has(*at, Tag::Percent)
                || self.text(*at) == "free"
        };
        let sentence_before = self.before(price, floor.saturating_sub(6), 14).any(|at| deal(&at));
        let sentence_after = self.after(price, self.tokens.len(), 10).any(|at| deal(&at));
        let strong = [
            "spend",
            "orders of",
            "orders over",
            "orders above",
            "on orders",
            "minimum spend",
            "min spend",
        ];
        let free_shipping =
            self.before(price, floor, 8).any(|at| has_cue(&self.tokens[at], Cue::FreeShipping));
        let cue = self.before(price, floor, 4).find(|at| {
            has_cue(&self.tokens[*at], Cue::Threshold)
                || free_shipping && has_cue(&self.tokens[*at], Cue::Min)
        });
        // "save over $30", but not "$20 off orders over $100".
        let saved = |at: usize| {
            at > 0 && has_cue(&self.tokens[at - 1], Cue::Off) && !self.text(at).contains("order")
        };
        if cue.is_some_and(saved) {
            return None;
        }
        let plus = self.mark(price.to, &['+']) && self.gap(price.to) == Gap::None;
        // "save $30 when you spend $100": the words lead to the next amount.
        let after = self
            .after(price, ceiling, 2)
            .find(|at| has_cue(&self.tokens[*at], Cue::Threshold))
            .is_some_and(|at| at + 1 < ceiling || ceiling == self.tokens.len());
        let explicit = cue.is_some_and(|at| {
            strong.contains(&self.text(at))
                || self.text(at) != "more than" && self.text(at).contains(' ')
                || !self.text(at).is_ascii() && self.text(at).chars().count() > 3
        });
        let tied = (cue.is_some() || plus || after) && (sentence_before || sentence_after);
        (tied || explicit && !has_min(self, cue)).then_some(Role::Threshold)
    }

    fn per_unit(&self, price: &Money, floor: usize, ceiling: usize) -> Option<Role> {
        let slash = self.mark(price.to, &['/'])
            && self.tokens.get(price.to + 1).is_some_and(|t| {
                t.gap == Gap::None
                    && !matches!(t.body, Body::Mark(_))
                    && (t.figure().is_none()
                        || self.tokens.get(price.to + 2).is_some_and(|n| {
                            n.gap == Gap::None && matches!(n.body, Body::Word | Body::Known(_))
                        }))
            })
            && !self
                .tokens
                .get(price.to + 1)
                .is_some_and(|t| t.tags().iter().any(|t| matches!(t, Tag::Currency { .. })));
        let after = self.after(price, ceiling, 2).any(|at| has_cue(&self.tokens[at], Cue::Per));
        let before = price.from > floor
            && has_cue(&self.tokens[price.from - 1], Cue::Per)
            && self.gap(price.from) != Gap::Line;
        (slash || after || before).then_some(Role::PerUnit)
    }

    /// "from $20", "up to $50".
    fn bound(&self, price: &Money, floor: usize) -> Option<Role> {
        if self.mark(price.to, &['+']) && self.gap(price.to) == Gap::None {
            return Some(Role::Min);
        }
        for at in self.before(price, floor, 3) {
            let token = &self.tokens[at];
            let named = self.text(at) == "max" && !self.max_of(at, price);
            if !named && (has_cue(token, Cue::Max) || has_cue(token, Cue::Until)) {
                return Some(Role::Max);
            }
            if has_cue(token, Cue::Min)
                || has_cue(token, Cue::Threshold)
                    && matches!(self.text(at), "over" | "above" | "more than")
            {
                return Some(Role::Min);
            }
            if has_cue(token, Cue::Was) || has_cue(token, Cue::Now) {
                break;
            }
        }
        if (price.to..price.to + 4)
            .any(|at| matches!(self.text(at), "başlayan" | "başlayan fiyatlarla"))
        {
            return Some(Role::Min);
        }
        let next = self.tokens.get(price.to).filter(|t| t.gap != Gap::Line)?;
        if has_cue(next, Cue::Min)
            && !next.tags().contains(&Tag::Cue(Cue::Was))
            && matches!(
                self.text(price.to),
                "起" | "から"
                    | "부터"
                    | "and up"
                    | "or more"
                    | "başlayan"
                    | "başlayan fiyatlarla"
                    | "से शुरू"
            )
        {
            return Some(Role::Min);
        }
        (has_cue(next, Cue::Max)
            && matches!(
                self.text(price.to),
                "or less" | "max" | "以下" | "以内" | "이하" | "미만" | "まで"
            ))
        .then_some(Role::Max)
    }

    /// "max $50" is a bound; "Pro Max 256 GB $999" and "Air Max $120" are names.
    fn max_of(&self, at: usize, price: &Money) -> bool {
        let named = at > 0 && matches!(self.text(at - 1), "pro" | "air" | "ultra" | "alpha");
        at + 1 == price.from && !named
    }

    fn time(&self, price: &Money, floor: usize, ceiling: usize) -> Option<Role> {
        for at in self.before(price, floor, 5) {
            let token = &self.tokens[at];
            if has_cue(token, Cue::Now) {
                return Some(Role::Now);
            }
            if has_cue(token, Cue::Was) {
                return Some(Role::Was);
            }
        }
        // "only £15 rrp £60": what leads to the next price says nothing of this one.
        let leads = |at: usize| at + 1 == ceiling && ceiling < self.tokens.len();
        for at in self.after(price, ceiling, 2).filter(|at| !leads(*at)) {
            let text = self.text(at);
            if matches!(
                text,
                "rrp" | "retail" | "msrp" | "value" | "originally" | "orig" | "uvp" | "srp" | "mrp"
            ) {
                return Some(Role::Was);
            }
            if text == "now" && self.gap(at + 1) == Gap::Line {
                return Some(Role::Now);
            }
        }
        None
    }

    /// Two prices that only make sense together: struck out and new, before and after an arrow.
    fn pair_up(&self, money: &[Money], roles: &mut [Option<Role>]) {
        for i in 1..money.len() {
            let (a, b) = (&money[i - 1], &money[i]);
            let falling = b.value < a.value
                && (a.target == b.target || a.target.is_none() || b.target.is_none());
            let between = a.to..b.from;
            let arrow = between.len() <= 4 && between.clone().any(|at| self.is_arrow(at));
            // "~$60~ $30", as chats strike out.
            let struck = between.len() == 1
                && self.mark(a.to, &['~'])
                && a.from > 0
                && self.mark(a.from - 1, &['~']);
            let soft = between.len() <= 6
                && between.clone().any(|at| {
                    has_cue(&self.tokens[at], Cue::Soft) || has_cue(&self.tokens[at], Cue::Now)
                });
            let discounted = between.len() <= 8
                && between.clone().any(|at| {
                    self.has(at, Tag::Percent) && self.mark(at.saturating_sub(2), &['-'])
                });
            let adjacent = between.is_empty() && self.gap(b.from) != Gap::Line;
            let from_to = between.len() == 1
                && matches!(self.text(a.to), "to" | "a" | "por" | "auf" | "à" | "på")
                && a.from > 0
                && matches!(self.text(a.from - 1), "from" | "de" | "von" | "da");
            if falling
                && (arrow
                    || struck
                    || soft
                    || from_to
                    || discounted
                    || adjacent && roles[i].is_none_or(|r| r == Role::Now))
            {
                let free = |r: Option<Role>| {
                    r.is_none_or(|r| matches!(r, Role::Min | Role::Was | Role::Now))
                };
                if free(roles[i - 1]) && free(roles[i]) {
                    roles[i - 1] = Some(Role::Was);
                    roles[i] = Some(Role::Now);
                }
            }
            // Greek "από" is "from" and also "instead of": a dearer price behind it was before.
            let dearer = a.value < b.value && a.target == b.target && between.len() == 1;
            if dearer
                && roles[i] == Some(Role::Min)
                && roles[i - 1].is_none()
                && false_friend(self, b)
            {
                roles[i - 1] = Some(Role::Now);
                roles[i] = Some(Role::Was);
            }
            if roles[i - 1] == Some(Role::Now) && roles[i].is_none() && false_friend(self, b) {
                roles[i] = Some(Role::Was);
            }
        }
        // "only $20" beside "was $50", in either order.
        if roles.contains(&Some(Role::Was)) && !roles.contains(&Some(Role::Now)) {
            let open = |i: &usize| roles[*i].is_none();
            let soft = (0..money.len())
                .filter(open)
                .find(|i| self.cue_before(&money[*i], 0, 3, Cue::Soft));
            let lone = (0..money.len()).filter(open).count() == 1;
            let next = (0..money.len()).find(open).filter(|_| lone && money.len() == 2);
            if let Some(i) = soft.or(next) {
                roles[i] = Some(Role::Now);
            }
        }
    }

    pub(super) fn is_arrow(&self, at: usize) -> bool {
        self.mark(at, &['→', '➡', '⇒', '👉', '➜', '➔', '»', '⟶', '➝', '>', '▶', '⏩'])
    }
}

/// "now $20 (was $50)": the second price names itself.
fn false_friend(scan: &Scan<'_, '_>, price: &Money) -> bool {
    price.from > 0 && has_cue(&scan.tokens[price.from - 1], Cue::Was)
}

fn has_min(scan: &Scan<'_, '_>, at: Option<usize>) -> bool {
    at.is_some_and(|at| has_cue(&scan.tokens[at], Cue::Min))
}
