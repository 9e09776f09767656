//! Reads the tables of the money engine: columns split at tabs, words at bars.

use memchr::memchr_iter;

use super::lexicon::{Languages, languages};

/// The rows of a table with as many columns as asked for; lines of `#` are comments.
pub(super) fn rows<const N: usize>(table: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    let lines = pieces(table, b'\n').filter(|l| !l.is_empty() && !l.starts_with("# ") && *l != "#");
    lines.filter_map(|line| {
        let mut row = [""; N];
        let mut columns = 0;
        for piece in pieces(line, b'\t') {
            *row.get_mut(columns)? = piece;
            columns += 1;
        }
        (columns == N).then_some(row)
    })
}

/// Splits at an ASCII sign; the tables hold many thousands of short pieces.
pub(super) fn pieces(text: &'static str, sign: u8) -> impl Iterator<Item = &'static str> {
    let mut from = 0;
    let ends = memchr_iter(sign, text.as_bytes()).chain(std::iter::once(text.len()));
    ends.map(move |end| {
        let piece = &text[from..end];
        from = end + 1;
        piece
    })
}

pub(super) fn has_space(text: &str) -> bool {
    text.bytes().any(|b| b == b' ')
}

/// Rows of the number table; a series such as `20..` counts on by its own step.
pub(super) fn number_rows() -> impl Iterator<Item = (&'static str, Languages, String, &'static str)>
{
    rows(include_str!("data/numbers.tsv")).flat_map(|[kind, langs, value, words]| {
        let langs = languages(langs);
        let series = if value == "tens" { Some("20") } else { value.strip_suffix("..") };
        let start: i64 = series.and_then(|s| s.parse().ok()).unwrap_or(0);
        let step = start.clamp(1, 100).min(if start == 100 { 100 } else { 10 });
        let separator = if series.is_some() { ' ' } else { '|' };
        words.split(separator).enumerate().map(move |(at, text)| {
            let counted = (start + step * at as i64).to_string();
            (kind, langs, if series.is_some() { counted } else { value.to_owned() }, text)
        })
    })
}

/// Number words by language: the word, its value, and whether it multiplies.
pub(super) fn number_words() -> impl Iterator<Item = (Languages, &'static str, i64, bool)> {
    number_rows().filter(|(kind, ..)| matches!(*kind, "n" | "s" | "art")).map(
        |(kind, langs, value, text)| {
            let value = if kind == "art" { 1 } else { value.parse().unwrap_or(0) };
            (langs, text, value, kind == "s")
        },
    )
}
