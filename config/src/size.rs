//! Sizes as people write them: `64KiB`, `1GiB`, `5MB`, `1048576`.

/// Units in bytes; the binary ones from large to small.
const BINARY: &[(&str, u64)] =
    &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const OTHER: &[(&str, u64)] = &[
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
    ("", 1),
];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByteSize(pub(crate) u64);

impl ByteSize {
    /// The bound for something that is held in memory.
    pub(crate) fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Reads a whole number of bytes with or without a unit; the case of the unit does not matter.
///
/// # Errors
/// A sentence that says what is expected.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("\"{text}\" is not a size; write it as \"64KiB\", \"5MB\" or a number of bytes");
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let (_, bytes) = BINARY
        .iter()
        .chain(OTHER)
        .find(|(name, _)| name.eq_ignore_ascii_case(unit.trim_start()))
        .ok_or_else(wrong)?;
    number.checked_mul(*bytes).ok_or_else(|| format!("\"{text}\" is too large"))
}

/// Writes a size in the largest binary unit that fits it exactly, so that [`parse_size`] reads it
/// back.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    match BINARY.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("17B", 17),
            ("64KiB", 65_536),
            ("64 kib", 65_536),
            ("256MiB", 268_435_456),
            ("2GiB", 2_147_483_648),
            ("1TiB", 1 << 40),
            ("5MB", 5_000_000),
            ("5kb", 5000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "MiB", "-1", "1.5MiB", "64K", "64 potatoes", "99999999999TiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes: u64, shift in 0_u32..64) {
            for bytes in [bytes, bytes >> shift << shift] {
                prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
            }
        }
    }
}
