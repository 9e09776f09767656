//! One price per string, as shops print it in a price field: amount, currency as written, text.

use super::decimal::Decimal;
use super::fold::is_letter;

/// The price read from a price field.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SinglePrice {
    /// The amount; nothing when the text holds none.
    pub amount: Option<Decimal>,
    /// The currency as it is written, from the price or else from the hint.
    pub currency: Option<String>,
    /// The part of the text that is the amount.
    pub amount_text: Option<String>,
}

/// Signs and words that mean a currency wherever they stand, in order of preference.
const CLEAR: &str = include_str!("data/single_clear.txt");
/// Codes and short words that count only when nothing clear is there.
const OTHER: &str = include_str!("data/single_other.txt");
/// Units of measure that stand beside a number and are no currency.
const UNITS: &str = "kg g mg l ml cl m cm mm km pcs pc st stk szt ks x h min s kw w v gb mb tb in ft oz lb pt px % °c";

/// Reads a price field. `hint` is more text about the price, such as its label or its currency;
/// `separator` settles the decimal separator where the caller knows it.
#[must_use]
pub fn single(text: &str, hint: Option<&str>, separator: Option<char>) -> SinglePrice {
    let text: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    let hint: String =
        hint.unwrap_or("").chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    let amount_text = amount_text(&text);
    let amount = amount_text.as_deref().and_then(|t| parse(t, separator));
    let currency = whole_token(&text).or_else(|| currency(&text, &hint));
    SinglePrice { amount, currency, amount_text }
}

/// A string that is one number and one short token: the token is the currency, known or not.
fn whole_token(text: &str) -> Option<String> {
    let text = text.trim();
    let number = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | ' ' | '\'');
    let leads = text.starts_with(|c: char| c.is_ascii_digit());
    let (token, rest) = if leads {
        let end = text.find(|c| !number(c))?;
        (&text[end..], &text[..end])
    } else {
        let end = text.find(|c: char| c.is_ascii_digit())?;
        (text[..end].trim_end(), &text[end..])
    };
    let only_number = rest.chars().all(number) && rest.contains(|c: char| c.is_ascii_digit());
    if !only_number || !(1..=6).contains(&token.chars().count()) {
        return None;
    }
    if listed(CLEAR, token) || listed(OTHER, token) {
        return (!token.ends_with('$') || dollar_code(text).is_none()).then(|| token.to_owned());
    }
    let lettered = token
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '\u{400}'..='\u{52f}'));
    let plain =
        token.chars().all(|c| is_letter(c) || is_currency_sign(c) || matches!(c, '.' | '/'));
    let short = token.chars().filter(|c| is_letter(*c)).count() <= if leads { 4 } else { 3 };
    let unit = UNITS.split_whitespace().any(|u| token.eq_ignore_ascii_case(u));
    (lettered && plain && short && !unit && !mixed_scripts(token) && dollar_code(text).is_none())
        .then(|| token.to_owned())
}

/// The code of a dollar that stands in a text with a plain dollar sign: "$1,190 AUD".
fn dollar_code(text: &str) -> Option<String> {
    const DOLLARS: &str =
        "USD CAD AUD NZD SGD HKD TWD MXN ARS CLP COP UYU BZD JMD TTD FJD NAD BND BBD BSD DOP";
    let first = |code: &&str| text.find(*code).is_some_and(|at| bounded(text, at, code));
    text.contains('$').then(|| DOLLARS.split_whitespace().find(first)).flatten().map(str::to_owned)
}

fn is_currency_sign(c: char) -> bool {
    matches!(c, '$' | '¢'..='¥' | '؋' | '৲' | '৳' | '૱' | '௹' | '฿' | '៛' | '₠'..='⃀' | '﷼' | '＄' | '￠' | '￡' | '￥' | '￦' | 'ƒ')
}

/// Look-alike letters of two scripts.
fn mixed_scripts(token: &str) -> bool {
    let latin = token.contains(|c: char| c.is_ascii_alphabetic());
    latin && token.contains(|c: char| matches!(c, '\u{400}'..='\u{52f}'))
}

fn listed(list: &str, token: &str) -> bool {
    list.lines().any(|line| line == token)
}

fn currency(text: &str, hint: &str) -> Option<String> {
    // A code beside a plain dollar sign says which dollar.
    if text.contains('$') || hint.contains('$') {
        let dollar = |t: &str| dollar_code(t).or_else(|| dollar_with_letters(t));
        if let Some(found) = dollar(text).or_else(|| dollar(hint)) {
            return Some(found);
        }
    }
    let places = [(CLEAR, text), (CLEAR, hint), (OTHER, text), (OTHER, hint)];
    places.iter().find_map(|(list, place)| first_listed(list, place)).map(|s| s.trim().to_owned())
}

/// "CA$", "US$", "MX$"; and "NZD" of "NZD $100".
fn dollar_with_letters(text: &str) -> Option<String> {
    let at = text.find('$')?;
    let before = &text[..at];
    let letters = before.trim_end();
    let start = letters
        .rfind(|c: char| !c.is_ascii_alphabetic())
        .map_or(0, |i| i + letters[i..].chars().next().map_or(1, char::len_utf8));
    let word = &letters[start..];
    let code = word.len() == 3 && listed(OTHER, word);
    if code {
        return Some(word.to_owned());
    }
    let spelled = format!("{word}$");
    (letters.len() == before.len() && listed(CLEAR, &spelled)).then_some(spelled)
}

/// The listed currency that stands first in the text, the longest of those that begin there.
fn first_listed(list: &str, text: &str) -> Option<String> {
    let mut best: Option<(usize, &str)> = None;
    for sign in list.lines().filter(|l| !l.is_empty() && !l.starts_with("# ")) {
        for (at, _) in text.match_indices(sign) {
            if !bounded(text, at, sign) {
                continue;
            }
            let better = best.is_none_or(|(b, s)| at < b || at == b && sign.len() > s.len());
            if better {
                best = Some((at, sign));
            }
            break;
        }
    }
    best.map(|(_, sign)| sign.to_owned())
}

/// Letters of a currency must not be part of a longer word.
fn bounded(text: &str, at: usize, sign: &str) -> bool {
    let lettered = |c: Option<char>| c.is_some_and(is_letter);
    let (first, last) = (sign.chars().next(), sign.chars().next_back());
    let before = text[..at].chars().next_back();
    let after = text[at + sign.len()..].chars().next();
    // Russian and Ukrainian endings follow the stem: "рублей".
    let stem = matches!(sign, "руб" | "грн");
    !(lettered(first) && lettered(before)) && (stem || !(lettered(last) && lettered(after)))
}

fn amount_text(text: &str) -> Option<String> {
    if let Some(found) = euro_cents(text) {
        return Some(found);
    }
    let text = text.replace('\'', "");
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let dotted = chars[at] == '.' && chars.get(at + 1).is_some_and(char::is_ascii_digit);
        if !(dotted || chars[at].is_ascii_digit()) {
            at += 1;
            continue;
        }
        let mut end = at + 1;
        while chars.get(end).is_some_and(|c| c.is_ascii_digit() || matches!(c, ' ' | '.' | ',')) {
            end += 1;
        }
        if chars.get(end) == Some(&'%') {
            at = end + 1;
            continue;
        }
        let found: String = chars[at..end].iter().collect();
        let found = found.trim_end_matches([' ', '.', ',']);
        let keep_dot = found.matches('.').count() == 1;
        return Some(
            if keep_dot { found.trim() } else { found.trim_start_matches('.').trim() }.to_owned(),
        );
    }
    text.to_lowercase().contains("free").then(|| "0".to_owned())
}

/// "35€ 99", "35€99": the euro sign as decimal separator.
fn euro_cents(text: &str) -> Option<String> {
    let (before, after) = text.split_once('€').filter(|(_, a)| !a.contains('€'))?;
    let start = before
        .rfind(|c: char| !(c.is_ascii_digit() || matches!(c, ' ' | '.' | ',')))
        .map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
    let whole: String = before[start..].chars().filter(|c| *c != ' ').collect();
    if !whole.ends_with(|c: char| c.is_ascii_digit()) || before.ends_with(' ') {
        return None;
    }
    let spaced = after.starts_with(' ');
    let after = after.trim_start();
    let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    let fits = if spaced { digits == 2 } else { digits > 0 };
    let goes_on = after[digits..].starts_with([',', '.'])
        && after[digits + 1..].starts_with(|c: char| c.is_ascii_digit());
    (fits && !goes_on)
        .then(|| format!("{}€{}", whole.trim_start_matches(['.', ',']), &after[..digits]))
}

/// The number in an amount text; three digits after a lone separator are thousands.
fn parse(text: &str, separator: Option<char>) -> Option<Decimal> {
    let text: String = text.chars().filter(|c| *c != ' ').collect();
    let (whole, fraction) = match separator.or_else(|| decimal_separator(&text)) {
        Some(separator) => match text.rsplit_once(separator) {
            Some((whole, fraction)) => (whole.to_owned(), fraction.to_owned()),
            None => (text, String::new()),
        },
        None => (text, String::new()),
    };
    let digits = |t: &str| -> String { t.chars().filter(char::is_ascii_digit).collect() };
    let (whole, fraction) = (digits(&whole), digits(&fraction));
    // More digits than an amount can have are cut behind the point, where they mean nothing.
    let room = 28usize.checked_sub(whole.len())?;
    Decimal::from_digits(&whole, &fraction[..fraction.len().min(room)])
}

fn decimal_separator(text: &str) -> Option<char> {
    let at = text.rfind(['.', ',', '€'])?;
    let separator = text[at..].chars().next()?;
    let after = text.len() - at - separator.len_utf8();
    // Three digits are a group of thousands, except behind nothing: ".75" has its own rule.
    (after == 1 || after == 2 || after >= 4).then_some(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<String>, Option<String>) {
        let price = single(text, None, None);
        (price.amount.map(|d| d.to_string()), price.currency)
    }

    #[test]
    fn price_fields_of_shops_are_read() {
        for (text, amount, currency) in [
            ("Cena: 1 250,40 Kč", "1250.4", "Kč"),
            ("US$ 12.99", "12.99", "US$"),
            ("18€50", "18.5", "€"),
            ("3.450,- kr", "3450", "kr"),
            ("7 qX", "7", "qX"),
        ] {
            assert_eq!(read(text), (Some(amount.into()), Some(currency.into())), "{text}");
        }
        assert_eq!(read("12 kg").1, None);
        assert_eq!(read("save 20%"), (None, None));
    }

    #[test]
    fn the_hint_gives_the_currency_and_the_separator_settles_the_point() {
        let price = single("12.500", Some("EUR"), Some('.'));
        assert_eq!(price.currency.as_deref(), Some("EUR"));
        assert_eq!(price.amount.map(|d| d.to_string()).as_deref(), Some("12.5"));
        assert_eq!(single("", None, None), SinglePrice::default());
    }
}
