//! A text that is one amount of money as a whole: "between ten and 20 dollars", "под 7 €".

use super::currency::{Place, resolve};
use super::decimal::Decimal;
use super::fold::Folded;
use super::lex::lex;
use super::lexicon::{Languages, language_bit, lexicon};
use super::money::{Money, Scan, Strictness};

/// How an expression bounds its amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Just that amount.
    Simple,
    /// Less than it, or at most.
    Under,
    /// More than it, or at least.
    Above,
    /// From the first amount to the second.
    Between,
}

/// The meaning of a whole money expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    /// How the amounts are meant.
    pub bound: Bound,
    /// One amount, or two for [`Bound::Between`].
    pub amounts: Vec<Decimal>,
    /// ISO 4217 code.
    pub currency: Option<&'static str>,
}

/// Reads a text that is one money expression. `language` is a language code such as `en`.
#[must_use]
pub fn expression(text: &str, language: Option<&str>) -> Option<Expression> {
    let folded = Folded::new(text);
    let bit = language.map_or(0, language_bit);
    let languages = bit | language_bit("en");
    let tokens = lex(&folded, languages, &[]);
    let scan = Scan {
        folded: &folded,
        tokens: &tokens,
        strictness: Strictness::Expression,
        language: bit,
    };
    let (money, _) = scan.with_ranges(scan.money());
    let money = if money.is_empty() { bare_unit(&scan) } else { money };
    let first = money.first()?;
    let place = Place { language, country: None };
    let currency = money.iter().find_map(|m| m.target).map(|t| resolve(t, "", place).0);
    let (bound, amounts) = match money.get(1) {
        Some(second) => (Bound::Between, vec![first.value, second.value]),
        None => (bound_of(&folded.text, bit), vec![first.value]),
    };
    Some(Expression { bound, amounts, currency })
}

/// "שקל", "a dollar": a unit without a number is one of it.
fn bare_unit(scan: &Scan<'_, '_>) -> Vec<Money> {
    let mut found = scan.bare(&[]);
    found.truncate(1);
    let one = |(at, target, digits): (usize, _, Option<u8>)| Money {
        value: digits
            .and_then(|d| Decimal::whole(1).shifted_right(u32::from(d)))
            .unwrap_or(Decimal::whole(1)),
        target: Some(target),
        from: at,
        to: at + 1,
        sign: Some(at),
        minor: digits,
        rule: "unit_alone",
        confidence: 0.5,
    };
    found.into_iter().map(one).collect()
}

/// The longest bounding phrase in the text decides.
fn bound_of(text: &str, bit: Languages) -> Bound {
    let mut best = (0, Bound::Simple);
    for line in include_str!("data/bounds.tsv").lines().filter(|l| !l.starts_with("# ")) {
        let mut fields = line.split('\t');
        let (Some(kind), Some(languages), Some(phrases)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if !languages.split_whitespace().any(|l| language_bit(l) & (bit | language_bit("en")) != 0)
        {
            continue;
        }
        for phrase in phrases.split('|').filter(|p| stands_in(text, p)) {
            if phrase.len() > best.0 {
                best = (phrase.len(), if kind == "under" { Bound::Under } else { Bound::Above });
            }
        }
    }
    best.1
}

/// A one-letter phrase must begin the text; others stand anywhere.
fn stands_in(text: &str, phrase: &str) -> bool {
    if phrase.chars().count() < 2 { text.starts_with(phrase) } else { text.contains(phrase) }
}

/// The ISO code a currency name or sign stands for on its own.
#[must_use]
pub fn currency_of(name: &str) -> Option<&'static str> {
    let folded = Folded::new(name.trim());
    let found = lexicon().find(&folded, 0, Languages::MAX)?;
    (found.end == folded.text.len()).then_some(())?;
    found.tags.iter().find_map(|t| match t {
        super::lexicon::Tag::Currency { target, .. } => Some(lexicon().code(*target)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, language: &str) -> Option<(Bound, Vec<String>, Option<&'static str>)> {
        let found = expression(text, Some(language))?;
        Some((found.bound, found.amounts.iter().map(Decimal::to_string).collect(), found.currency))
    }

    #[test]
    fn bounds_and_ranges_are_told_apart() {
        let one = |b, v: &str, c| Some((b, vec![v.to_owned()], Some(c)));
        assert_eq!(read("no more than 12 euros", "en"), one(Bound::Under, "12", "EUR"));
        assert_eq!(
            read("at least three dollars and 5 cents", "en"),
            one(Bound::Above, "3.05", "USD")
        );
        assert_eq!(read("menos de 30 dólares", "es"), one(Bound::Under, "30", "USD"));
        let between = Some((Bound::Between, vec!["15".into(), "25".into()], Some("USD")));
        assert_eq!(read("between 15 and 25 dollars", "en"), between);
        assert_eq!(read("$15-$25", "en"), between);
    }

    #[test]
    fn names_of_currencies_are_known() {
        assert_eq!(currency_of("rmb"), Some("CNY"));
        assert_eq!(currency_of("Złotych"), Some("PLN"));
        assert_eq!(currency_of("apples"), None);
    }
}
