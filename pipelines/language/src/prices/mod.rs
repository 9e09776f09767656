//! Money in text: prices, discounts and promo codes with the bytes they stand on.
//!
//! [`find`] reads running text and errs on the side of silence. [`single`] reads a price field,
//! [`expression`] a text that is one amount. All are pure, linear in the text and never panic.

mod codes;
mod context;
mod currency;
mod deals;
mod decimal;
mod expression;
mod fold;
mod gate;
mod index;
mod lex;
mod lexicon;
mod minor;
mod money;
mod number;
mod percent;
mod roles;
mod single;
#[cfg(test)]
mod suites;
mod tables;
mod tags;
#[cfg(test)]
mod tests;

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use decimal::Decimal;
pub use expression::{Bound, Expression, currency_of, expression};
pub use single::{SinglePrice, single};

use currency::{Place, resolve};
use fold::Folded;
use lex::{Token, lex};
use lexicon::{Languages, SETS, Tag, Target, language_bit, lexicon};
use money::{Money, Scan, Strictness};

use crate::words::{Word, outside, words};

/// What the caller knows about a text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints<'a> {
    /// Language code such as `en` or `pt-BR`.
    pub language: Option<&'a str>,
    /// ISO 3166 country code such as `AU`; settles shared signs before the language does.
    pub country: Option<&'a str>,
    /// Bytes that are something else: URLs, hashtags, mentions, e-mail addresses, phones.
    pub excluded: &'a [Range<usize>],
}

/// What a price is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The price before.
    Was,
    /// The price that replaces an earlier one.
    Now,
    /// "from", "at least".
    Min,
    /// "up to", "under".
    Max,
    /// Either end of a range.
    Range,
    /// For several pieces together.
    Bundle,
    /// What an order must reach.
    Threshold,
    /// Per piece, kilo, person or month.
    PerUnit,
    /// The cost of delivery.
    Shipping,
    /// One of several payments.
    Instalment,
}

/// A price in running text.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    /// The price as written.
    pub text: String,
    /// The amount in the main unit: "50 cents" is 0.5.
    pub amount: Decimal,
    /// ISO 4217 code; nothing where the text does not say and the hints do not settle it.
    pub currency: Option<&'static str>,
    /// How a shared sign or a missing one was read.
    pub note: Option<String>,
    /// What the price is for, where the text says so.
    pub role: Option<Role>,
    /// Bytes of the text.
    pub range: Range<usize>,
    /// The rule that found it.
    pub rule: &'static str,
    /// From 0 to 1.
    pub confidence: f32,
}

/// Kinds of discount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiscountKind {
    /// A share of the price.
    Percent,
    /// An amount of money.
    Amount,
    /// Buy some, get some; `value` is the percentage off the extra one when it is not free.
    Bogo,
    /// No cost of delivery.
    FreeShipping,
    /// A free gift, sample or entry.
    Free,
}

/// A discount in running text.
#[derive(Debug, Clone, PartialEq)]
pub struct Discount {
    /// What kind of discount.
    pub kind: DiscountKind,
    /// Percent or amount of money; nothing where the kind has no size.
    pub value: Option<Decimal>,
    /// Bytes of the text.
    pub range: Range<usize>,
    /// The rule that found it.
    pub rule: &'static str,
    /// From 0 to 1.
    pub confidence: f32,
}

/// A promo code in running text.
#[derive(Debug, Clone, PartialEq)]
pub struct Code {
    /// The code as written.
    pub code: String,
    /// Bytes of the text.
    pub range: Range<usize>,
    /// The rule that found it.
    pub rule: &'static str,
    /// From 0 to 1.
    pub confidence: f32,
}

/// Everything about money in a text, each list in the order of the text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Findings {
    /// Prices; amounts taken off are discounts instead.
    pub prices: Vec<Price>,
    /// Discounts of every kind.
    pub discounts: Vec<Discount>,
    /// Promo codes.
    pub codes: Vec<Code>,
}

/// A percentage in a text that speaks of percentages.
#[derive(Debug, Clone, PartialEq)]
pub struct Percent {
    /// Bytes of the text.
    pub range: Range<usize>,
    /// The value; nothing where only the word stands there.
    pub value: Option<Decimal>,
}

/// An amount of money in a text known to speak of money; see [`amounts`].
#[derive(Debug, Clone, PartialEq)]
pub struct Amount {
    /// Bytes of the text.
    pub range: Range<usize>,
    /// The amount in the unit that is named; nothing for a currency without a number.
    pub value: Option<Decimal>,
    /// ISO 4217 code.
    pub currency: Option<&'static str>,
    /// The amount counts minor units: "50 cents".
    pub minor: bool,
}

/// Longer texts are cut here: a caption holds a few thousand characters at most.
const MAX_BYTES: usize = 1 << 20;

/// Prices, discounts and promo codes of a caption.
#[must_use]
pub fn find(text: &str, hints: &Hints<'_>) -> Findings {
    find_in(text, &outside(&words(text), hints.excluded), hints)
}

/// The same where the words outside of what is excluded are known.
pub(crate) fn find_in(text: &str, words: &[Word], hints: &Hints<'_>) -> Findings {
    let language = hints.language.map_or(0, language_bit);
    if !gate::Gate::get().opens(text, words, languages_of(language)) {
        return Findings::default();
    }
    let text = cut(text);
    let folded = Folded::new(text);
    let languages = languages_of(language) | told_by_signs(text);
    let tokens = lex(&folded, languages, &positions(&folded, hints.excluded));
    let scan = Scan { folded: &folded, tokens: &tokens, strictness: Strictness::Caption, language };
    if !tokens.iter().any(may_matter) {
        return Findings::default();
    }
    let percents = scan.percentages();
    let signed: Vec<Money> =
        scan.money().into_iter().filter(|m| !overlaps_percent(m, &percents)).collect();
    let (mut money, _) = scan.with_ranges(signed);
    let unsigned = scan.unsigned(&money);
    money.extend(unsigned.into_iter().filter(|m| !overlaps_percent(m, &percents)));
    money.sort_by_key(|m| m.from);
    let (money, ranged) = scan.with_ranges(dedup(money));
    let (money, ranged) = without_overlaps(money, ranged);
    let mut roles = scan.roles(&money);
    let (deals, used) = scan.deals(&money, &roles, &percents);
    for (role, ranged) in roles.iter_mut().zip(&ranged) {
        if *ranged && matches!(role, None | Some(Role::Min | Role::Max | Role::PerUnit)) {
            *role = Some(Role::Range);
        }
    }
    let place = Place { language: hints.language, country: hints.country };
    let common = scan.common_currency(&money);
    let prices = (0..money.len())
        .filter(|i| used.binary_search(i).is_err())
        .map(|i| price_of(&scan, &money[i], common, roles[i], place))
        .collect();
    let discounts = deals.iter().map(|d| Discount {
        kind: d.kind,
        value: d.value,
        range: token_range(&scan, d.from, d.to),
        rule: d.rule,
        confidence: d.confidence,
    });
    let codes = scan.promo_codes().into_iter().map(|found| Code {
        code: folded.source(found.range.clone()).to_owned(),
        range: folded.range(found.range),
        rule: "code_word",
        confidence: found.confidence,
    });
    Findings { prices, discounts: discounts.collect(), codes: codes.collect() }
}

/// Every amount of money in a text that is known to speak of money, also where [`find`] doubts.
#[must_use]
pub fn amounts(text: &str, language: Option<&str>) -> Vec<Amount> {
    let text = cut(text);
    let folded = Folded::new(text);
    let bit = language.map_or(0, language_bit);
    let languages = if bit == 0 { languages_of(0) } else { bit };
    let tokens = lex(&folded, languages, &[]);
    let scan =
        Scan { folded: &folded, tokens: &tokens, strictness: Strictness::Recognise, language: bit };
    let money = scan.money();
    let place = Place { language, country: None };
    let mut out: Vec<Amount> = money
        .iter()
        .map(|m| Amount {
            range: token_range(&scan, m.from, m.to),
            value: Some(
                m.minor
                    .and_then(|d| m.value.times(Decimal::whole(10i64.pow(u32::from(d)))))
                    .unwrap_or(m.value),
            ),
            currency: m.target.map(|t| resolve(t, "", place).0),
            minor: m.minor.is_some(),
        })
        .collect();
    out.extend(scan.bare(&money).into_iter().map(|(at, target, minor)| Amount {
        range: token_range(&scan, at, at + 1),
        value: None,
        currency: Some(lexicon().code(target)),
        minor: minor.is_some(),
    }));
    out.sort_by_key(|a| a.range.start);
    out
}

/// Every percentage of a text; bytes in `excluded` are skipped.
#[must_use]
pub fn percents(text: &str, language: Option<&str>, excluded: &[Range<usize>]) -> Vec<Percent> {
    let text = cut(text);
    let folded = Folded::new(text);
    let bit = language.map_or(0, language_bit);
    let languages = if bit == 0 { languages_of(0) } else { bit | language_bit("en") };
    let tokens = lex(&folded, languages, &positions(&folded, excluded));
    let scan =
        Scan { folded: &folded, tokens: &tokens, strictness: Strictness::Recognise, language: bit };
    let found = scan.percentages().into_iter();
    found.map(|p| Percent { range: token_range(&scan, p.from, p.to), value: p.value }).collect()
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Languages that a currency sign tells where the words are too few.
fn told_by_signs(text: &str) -> Languages {
    const SIGNS: [(&str, &str); 5] =
        [("R$", "pt"), ("z\u{142}", "pl"), ("\u{20ba}", "tr"), ("\u{20ab}", "vi"), ("Rp", "id")];
    let stands = |sign: &str| memchr::memmem::find(text.as_bytes(), sign.as_bytes()).is_some();
    SIGNS.iter().filter(|(sign, _)| stands(sign)).fold(0, |all, (_, code)| all | language_bit(code))
}

/// The languages whose words are known: the text's own, English, and those with their own script.
fn languages_of(language: Languages) -> Languages {
    language | SETS.english | SETS.own_script
}

/// Whether a token can be part of any finding; most captions have none.
fn may_matter(token: &Token) -> bool {
    token.figure().is_some() || token.tags().iter().any(matters)
}

/// Whether a word of this meaning can be part of a finding without a number in digits.
fn matters(tag: &Tag) -> bool {
    use lexicon::Cue;
    match tag {
        Tag::Currency { .. } | Tag::Minor { .. } | Tag::Percent => true,
        Tag::Cue(cue) => {
            matches!(cue, Cue::Code | Cue::FreeShipping | Cue::Bogo | Cue::Half | Cue::Free)
        }
        // Number words before "for", "折", "送".
        Tag::Digit(_) | Tag::HalfOfUnit => true,
        _ => false,
    }
}

/// Excluded ranges as ranges of the folded text, in order: nothing is read in or across them.
fn positions(folded: &Folded<'_>, excluded: &[Range<usize>]) -> Vec<Range<usize>> {
    let place = |r: &Range<usize>| folded.position(r.start)..folded.position(r.end);
    let mut places: Vec<_> = excluded.iter().map(place).collect();
    places.sort_by_key(|r| (r.start, r.end));
    places
}

fn overlaps_percent(money: &Money, percents: &[percent::Percentage]) -> bool {
    // They are in order and apart: the last that begins before the end of the amount decides.
    let before = percents.partition_point(|p| p.from < money.to);
    percents[..before].last().is_some_and(|p| money.from < p.to)
}

fn dedup(mut money: Vec<Money>) -> Vec<Money> {
    money.dedup_by(|b, a| b.from < a.to);
    money
}

fn without_overlaps(money: Vec<Money>, ranged: Vec<bool>) -> (Vec<Money>, Vec<bool>) {
    let mut end = 0;
    let mut kept: Vec<(Money, bool)> = money.into_iter().zip(ranged).collect();
    kept.sort_by_key(|(m, _)| m.from);
    kept.retain(|(m, _)| {
        let free = m.from >= end;
        end = end.max(m.to);
        free
    });
    kept.into_iter().unzip()
}

fn token_range(scan: &Scan<'_, '_>, from: usize, to: usize) -> Range<usize> {
    let start = scan.tokens.get(from).map_or(0, |t| t.range.start);
    let end = scan.tokens.get(to - 1).map_or(start, |t| t.range.end);
    scan.folded.range(start..end)
}

fn price_of(
    scan: &Scan<'_, '_>,
    found: &Money,
    common: Option<Target>,
    role: Option<Role>,
    place: Place<'_>,
) -> Price {
    let range = token_range(scan, found.from, found.to);
    let target = found.target.or(common);
    let (currency, note) = match target {
        Some(target) => {
            let sign = found.sign.map_or("", |s| scan.folded.source(scan.tokens[s].range.clone()));
            let (code, note) = resolve(target, sign, place);
            if found.target.is_some() {
                (Some(code), note)
            } else {
                (
                    Some(code),
                    Some(format!("no currency here: read as {code} like the other prices")),
                )
            }
        }
        None => unsigned_currency(scan, place),
    };
    Price {
        text: scan.folded.original[range.clone()].to_owned(),
        amount: found.value,
        currency,
        note,
        role,
        range,
        rule: found.rule,
        confidence: found.confidence,
    }
}

/// The currency of a price without any sign in the whole text.
fn unsigned_currency(
    scan: &Scan<'_, '_>,
    place: Place<'_>,
) -> (Option<&'static str>, Option<String>) {
    let local = if place.country.is_none() && scan.speaks_cantonese() {
        Some("HKD")
    } else {
        currency::local(place)
    };
    let note =
        local.map(|code| format!("no currency in the text: read as {code} by country or language"));
    (local, note)
}
