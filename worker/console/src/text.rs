//! Numbers, times and long text as people read them.

use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::clock::between;
use maud::{Markup, html};

/// `3s`, `12m`, `4h`, `9d`: one unit is enough for a table.
pub(crate) fn short(span: Duration) -> String {
    match span.as_secs() {
        0 => format!("{} ms", span.as_millis()),
        s @ 1..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

/// `3 s ago`, `in 12 min`.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        format!("in {}", short(between(now, at)))
    } else {
        format!("{} ago", short(between(at, now)))
    }
}

/// An instant: how far away to read, exactly on hover and for programs.
pub(crate) fn when(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(at) title=(at) { (relative(at, now)) } }
}

/// The same, or a word where there is none.
pub(crate) fn maybe_when(at: Option<Timestamp>, never: &str, now: Timestamp) -> Markup {
    match at {
        Some(at) => when(at, now),
        None => html! { span.faint { (never) } },
    }
}

/// `2026-11-21 17:42:07`, in UTC.
pub(crate) fn clock(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `12,345`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 job`, `12,345 jobs`.
pub(crate) fn many(n: u64, one: &str, more: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {more}", count(n)) }
}

/// A rate with as many digits as say something: `0.04`, `3.2`, `118`.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        r if r >= 100.0 => format!("{r:.0}"),
        r if r >= 1.0 => format!("{r:.1}"),
        r if r > 0.0 => format!("{r:.2}"),
        _ => "0".to_owned(),
    }
}

/// Cuts text to `max` characters on one line.
pub(crate) fn clip(text: &str, max: usize) -> String {
    let mut flat = String::new();
    for (n, c) in text.split_whitespace().flat_map(|w| w.chars().chain([' '])).enumerate() {
        if n >= max {
            flat.push('…');
            return flat;
        }
        flat.push(c);
    }
    flat.truncate(flat.trim_end().len());
    flat
}

/// The first and last parts of an id, which tell it from its neighbours.
pub(crate) fn brief(id: &str) -> String {
    match (id.get(..8), id.get(id.len().saturating_sub(6)..)) {
        (Some(head), Some(tail)) if id.len() > 16 => format!("{head}…{tail}"),
        _ => id.to_owned(),
    }
}

/// `1.2 MB`.
pub(crate) fn bytes(n: u64) -> String {
    match n as f64 {
        b if b >= 1e9 => format!("{:.1} GB", b / 1e9),
        b if b >= 1e6 => format!("{:.1} MB", b / 1e6),
        b if b >= 1e3 => format!("{:.0} kB", b / 1e3),
        _ => format!("{n} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.044, 3.24, 118.4].map(rate), ["0", "0.04", "3.2", "118"]);
        assert_eq!(many(1, "job", "jobs"), "1 job");
        assert_eq!(bytes(1_250_000), "1.2 MB");
        let said =
            [0, 1_000, 120_000, 7_200_000, 864_000_000].map(|ms| short(Duration::from_millis(ms)));
        assert_eq!(said, ["0 ms", "1 s", "2 min", "2 h", "10 d"]);
    }

    #[test]
    fn long_text_is_cut_at_characters() {
        assert_eq!(clip("a\nb  c", 9), "a b c");
        assert_eq!(clip("ééééé", 3), "ééé…");
        assert_eq!(brief("019a9c1e-7d52-7c3b-9f65-2b1c6a0d4e11"), "019a9c1e…0d4e11");
        assert_eq!(brief("short"), "short");
    }
}
