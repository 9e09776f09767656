//! Cashtags: `$TSLA`, `$BRK.A`.

use std::ops::Range;

use memchr::memchr_iter;

use super::chars::is_space;
use super::{Found, Kind, char_at, char_before};

/// Appends every cashtag of the text: one to six letters, perhaps a dot or underscore and one or
/// two letters more, with space or nothing before and no letter after.
pub fn find(text: &str, out: &mut Vec<Found>) {
    for at in memchr_iter(b'$', text.as_bytes()) {
        if char_before(text, at).is_none_or(is_space)
            && let Some(value) = symbol(text, at + 1)
        {
            // Mixed case is rather a name written for effect than a ticker.
            let ticker = text[value.clone()].bytes().all(|b| !b.is_ascii_lowercase());
            let confidence = if ticker { 0.95 } else { 0.7 };
            out.push(Found::new(Kind::Cashtag, at..value.end, value, "cashtag", confidence));
        }
    }
}

fn symbol(text: &str, start: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let letters = |at: usize, max: usize| {
        bytes[at..].iter().take(max).take_while(|b| b.is_ascii_alphabetic()).count()
    };
    let end = start + letters(start, 6);
    if end == start {
        return None;
    }
    if matches!(bytes.get(end), Some(b'.' | b'_')) {
        let more = letters(end + 1, 2);
        if more > 0 && ends(text, end + 1 + more) {
            return Some(start..end + 1 + more);
        }
    }
    ends(text, end).then_some(start..end)
}

fn ends(text: &str, at: usize) -> bool {
    char_at(text, at).is_none_or(|c| {
        c.is_whitespace() || is_space(c) || "!'#%&'()*+,\\-./:;<=>?@[]^_{|}~$".contains(c)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickers_are_found_and_prices_are_not() {
        let text = "$TSLA up, $BRK.A, $brk_ab. $5 $TOOLONGX a$NO $日本 $X9";
        let mut out = Vec::new();
        find(text, &mut out);
        let values: Vec<_> = out.into_iter().map(|f| &text[f.value]).collect();
        assert_eq!(values, ["TSLA", "BRK.A", "brk_ab"]);
    }
}
