//! What people and programs read: tables for the one, JSON for the other, both on stdout.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{Table, presets};
use flotilla_core::Timestamp;
use flotilla_core::clock::between;
use serde::Serialize;

/// Writes one line. A closed pipe is an error, not a panic.
pub(crate) fn line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes one value as pretty JSON.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}

/// Writes a table: a heading and rows of the same length. Nothing but a sentence when empty.
pub(crate) fn table(heading: &[&str], rows: Vec<Vec<String>>, empty: &str) -> io::Result<()> {
    if rows.is_empty() {
        return line(empty);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(heading.to_vec());
    for row in rows {
        table.add_row(row);
    }
    line(table.trim_fmt())
}

/// `3s`, `12m`, `4h`, `9d`: one unit is enough for a table.
pub(crate) fn short(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{}ms", duration.as_millis()),
        s @ 1..120 => format!("{s}s"),
        s @ 120..7200 => format!("{}m", s / 60),
        s @ 7200..172_800 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}

/// `3s ago`, `in 12m`.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        format!("in {}", short(between(now, at)))
    } else {
        format!("{} ago", short(between(at, now)))
    }
}

/// Cuts text to `max` characters on one line.
pub(crate) fn clip(text: &str, max: usize) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= max {
        return flat;
    }
    flat.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let said = [0, 999, 1_000, 119_000, 120_000, 7_200_000, 864_000_000]
            .map(|ms| short(Duration::from_millis(ms)));
        assert_eq!(said, ["0ms", "999ms", "1s", "119s", "2m", "2h", "10d"]);
    }

    #[test]
    fn clipping_counts_characters_and_flattens_lines() {
        assert_eq!(clip("a\nb  c", 9), "a b c");
        assert_eq!(clip("ééééé", 3), "éé…");
    }
}
