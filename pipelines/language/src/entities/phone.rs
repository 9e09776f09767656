//! Phone numbers. Captions are full of digits, so a number must say that it is one: by its
//! country code, by a word or sign before it, by the grouping of North America, or as a chat link.

use std::ops::Range;

use memchr::memmem;

use super::chars::decimal;
use super::{Found, Kind, char_before};

/// Digits of a complete number (E.164).
const MOST: usize = 15;
/// How many bytes before a number a word about phones may stand.
const CONTEXT: usize = 24;

/// Words and signs that announce a number, in lower case.
const ANNOUNCE: [&str; 22] = [
    "whatsapp",
    "whatapp",
    "whats app",
    "wsp",
    "viber",
    "zalo",
    "hotline",
    "phone",
    "mobile",
    "call",
    "text",
    "sms",
    "tel",
    "telp",
    "telf",
    "telefon",
    "hp",
    "wa",
    "โทร",
    "電話",
    "电话",
    "هاتف",
];
const SIGNS: [char; 7] = ['📲', '📱', '☎', '📞', '✆', '🤙', '📟'];

/// Hosts and prefixes of chat links whose digits are the number.
const CHAT_LINKS: [&str; 4] = ["wa.me/", "api.whatsapp.com/send?phone=", "viber.me/", "zalo.me/"];

/// Appends every phone number that stands in the text.
pub fn find(text: &str, out: &mut Vec<Found>) {
    let mut at = 0;
    // A number announced here announces the one joined to it ("0911222333 - 0911222444").
    let mut joined = usize::MAX;
    while let Some(number) = next_number(text, at) {
        at = number.range.end;
        let after_one = joined != usize::MAX && joined + 3 >= number.range.start;
        if let Some((rule, confidence, range)) = judge(text, &number, after_one) {
            joined = range.end;
            out.push(Found::new(Kind::Phone, range.clone(), range, rule, confidence));
        }
    }
}

/// Appends the numbers that chat links hold, each behind its link.
pub fn in_links(text: &str, found: &mut Vec<Found>) {
    let mut i = 0;
    while i < found.len() {
        if found[i].kind == Kind::Url
            && let Some(range) = in_link(&text[found[i].range.clone()])
        {
            let start = found[i].range.start;
            let range = start + range.start..start + range.end;
            let phone = Found::new(Kind::Phone, range.clone(), range, "phone:chat-link", 0.99);
            found.insert(i + 1, phone);
            i += 1;
        }
        i += 1;
    }
}

fn in_link(url: &str) -> Option<Range<usize>> {
    let host = CHAT_LINKS.iter().find_map(|prefix| {
        memmem::find(url.as_bytes(), prefix.as_bytes()).map(|i| i + prefix.len())
    })?;
    let start = host + usize::from(url.as_bytes().get(host) == Some(&b'+'));
    let digits = url.as_bytes()[start..].iter().take_while(|b| b.is_ascii_digit()).count();
    (7..=MOST).contains(&digits).then_some(start..start + digits)
}

/// Digits with the separators people put between them.
struct Number {
    range: Range<usize>,
    digits: usize,
    /// Digits of each group, as far as there are five.
    groups: Vec<usize>,
    separators: Vec<char>,
}

fn separator(c: char) -> bool {
    matches!(c, ' ' | '\u{A0}' | '\u{202F}' | '-' | '\u{2010}'..='\u{2013}' | '.' | '(' | ')' | '/')
}

/// Where the next digit stands; ASCII is passed over byte by byte.
fn next_digit(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(b) = bytes.get(at) {
        if !b.is_ascii() {
            let c = text[at..].chars().next()?;
            if decimal(c).is_some() {
                return Some(at);
            }
            at += c.len_utf8();
        } else if b.is_ascii_digit() {
            return Some(at);
        } else {
            at += 1;
        }
    }
    None
}

/// The next group of digits that no letter or digit touches, with the groups joined to it.
fn next_number(text: &str, from: usize) -> Option<Number> {
    let start = next_digit(text, from)?;
    let mut number =
        Number { range: start..start, digits: 0, groups: Vec::new(), separators: Vec::new() };
    let (mut group, mut gap) = (0, 0);
    for (i, c) in text[start..].char_indices() {
        if decimal(c).is_some() {
            // A second number behind a dash: together they would be too long for one.
            if group == 0 && number.digits > 0 {
                let next = text[start + i..].chars().take_while(|c| decimal(*c).is_some());
                if number.digits + next.count() > MOST {
                    break;
                }
            }
            group += 1;
            gap = 0;
            number.digits += 1;
            number.range.end = start + i + c.len_utf8();
        } else if separator(c) && gap < 2 {
            if group > 0 {
                number.groups.push(group);
                group = 0;
            }
            number.separators.push(c);
            gap += 1;
        } else {
            break;
        }
    }
    if group > 0 {
        number.groups.push(group);
    }
    number.separators.truncate(number.separators.len().saturating_sub(gap));
    Some(number)
}

fn judge(
    text: &str,
    number: &Number,
    after_one: bool,
) -> Option<(&'static str, f32, Range<usize>)> {
    let Range { start, end } = number.range.clone();
    let next = text[end..].chars().next();
    if next.is_some_and(|c| c.is_alphanumeric() && c.is_ascii() || c == '%') {
        return None;
    }
    let mut before = text[..start].chars();
    let mut last = before.next_back();
    let mut open = start;
    if last == Some('(') {
        open -= 1;
        last = before.next_back();
    }
    if matches!(last, Some('+' | '＋')) {
        let sign = open - last.map_or(0, char::len_utf8);
        let range =
            sign - usize::from(text[..sign].ends_with('(') && text[start..end].contains(')'))..end;
        let first = text[start..].chars().next().and_then(decimal);
        return ((8..=MOST).contains(&number.digits) && first != Some(0)).then_some((
            "phone:international",
            0.95,
            range,
        ));
    }
    if last.is_some_and(|c| c.is_ascii_alphanumeric() || "$€£#@_.,:/".contains(c) && c != ':')
        && !after_one
    {
        return None;
    }
    let range = start..end;
    if (7..=MOST).contains(&number.digits)
        && !is_amount(number)
        && (after_one || announced(&text[..start]))
    {
        return Some(("phone:announced", 0.85, range));
    }
    grouped(number).then_some(("phone:grouped", 0.7, range))
}

/// `1.500.000`: groups of three behind dots or spaces are money or a count.
fn is_amount(number: &Number) -> bool {
    number.groups.len() >= 2
        && number.groups[0] <= 3
        && number.groups[1..].iter().all(|n| *n == 3)
        && number.separators.iter().all(|c| *c == '.')
}

/// `555-123-4567`, `(555) 123-4567`, `1-555-123-4567`.
fn grouped(number: &Number) -> bool {
    let local = number.groups.strip_prefix(&[1]).unwrap_or(&number.groups);
    local == [3, 3, 4]
        && number.separators.iter().all(|c| matches!(c, '-' | '.' | ' ' | '(' | ')'))
        && number.separators.iter().any(|c| matches!(c, '-' | ')'))
}

fn announced(before: &str) -> bool {
    let mut from = before.len().saturating_sub(CONTEXT);
    while !before.is_char_boundary(from) {
        from += 1;
    }
    // A line break ends the announcement unless nothing but it lies between.
    let near = before[from..].trim_end();
    let near = near.rsplit('\n').next().unwrap_or(near);
    if near.contains(SIGNS) {
        return true;
    }
    let near = near.to_lowercase();
    ANNOUNCE.iter().any(|word| {
        near.match_indices(word).any(|(i, _)| {
            let alone = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
            alone(char_before(&near, i)) && alone(near[i + word.len()..].chars().next())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phones(text: &str) -> Vec<&str> {
        let mut out = Vec::new();
        find(text, &mut out);
        out.into_iter().map(|found| &text[found.value]).collect()
    }

    #[test]
    fn numbers_with_a_country_code_are_found_in_any_digits() {
        assert_eq!(phones("WhatsApp on +44 7881 662665."), ["+44 7881 662665"]);
        assert_eq!(phones("me +1 (562) 513-0992 to order"), ["+1 (562) 513-0992"]);
        assert_eq!(phones("(+𝟖𝟒)𝟗𝟔𝟑𝟐𝟏𝟒𝟔𝟑𝟐"), ["(+𝟖𝟒)𝟗𝟔𝟑𝟐𝟏𝟒𝟔𝟑𝟐"]);
    }

    #[test]
    fn local_numbers_need_an_announcement_or_the_grouping_of_america() {
        assert_eq!(phones("WhatsApp :91038328"), ["91038328"]);
        assert_eq!(phones("Hotline: 0826222886-0826628886"), ["0826222886", "0826628886"]);
        assert_eq!(phones("📲 615-968-3048"), ["615-968-3048"]);
        assert_eq!(phones("the line is 1-800-273-8255"), ["1-800-273-8255"]);
        assert!(phones("91038328 views, 12345678").is_empty());
    }

    #[test]
    fn amounts_dates_and_counts_are_no_numbers_to_call() {
        for text in [
            "call now 1.500.000 đồng",
            "2024-05-06 10.30",
            "+50 sold",
            "+100000000000000000",
            "$615-968-3048",
            "size 36-38-40",
            "",
        ] {
            assert!(phones(text).is_empty(), "{text}");
        }
    }
}
