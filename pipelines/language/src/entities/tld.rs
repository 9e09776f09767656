//! Top-level domains: the compiled list and the question "does one start here?".

use std::sync::LazyLock;

/// Names and whether they are retired, sorted by bytes. Source and licence: `data/README.md`.
static TLDS: LazyLock<Vec<(&'static str, bool)>> = LazyLock::new(|| {
    include_str!("../../data/tlds.txt")
        .lines()
        .map(|line| match line.split_once(' ') {
            Some((name, _)) => (name, true),
            None => (line, false),
        })
        .collect()
});

/// Longest name in characters, with room.
const LONGEST: usize = 26;

/// The length in bytes of the top-level domain that starts at `at`, if one does. It must not be
/// followed by an ASCII letter or digit, `@`, `+` or `-`. Letters compare without case.
#[must_use]
pub fn tld_at(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at..];
    let first = rest.chars().next()?;
    let ascii = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric()).len();
    // A name of ASCII letters may still go on in others: vermögensberatung.
    let mixed = first.is_ascii_alphabetic() && rest[ascii..].starts_with('ö');
    if mixed && let Some(n) = wide_tld(rest, first) {
        return Some(n);
    }
    if first.is_ascii() { ascii_tld(rest) } else { wide_tld(rest, first) }
}

/// Whether a name is on the list but no longer delegated.
#[must_use]
pub fn is_retired(name: &str) -> bool {
    let name = name.to_lowercase();
    find(&name).is_some_and(|i| TLDS[i].1)
}

fn find(name: &str) -> Option<usize> {
    TLDS.binary_search_by(|(known, _)| (*known).cmp(name)).ok()
}

fn may_follow(rest: &str) -> bool {
    rest.bytes()
        .next()
        .is_none_or(|b| !b.is_ascii_alphanumeric() && !matches!(b, b'@' | b'+' | b'-'))
}

fn ascii_tld(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    if bytes.len() > 4 && bytes[..4].eq_ignore_ascii_case(b"xn--") {
        let tail = bytes[4..].iter();
        let n = tail.take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
        return (n > 0).then_some(4 + n);
    }
    let mut name = [0; LONGEST];
    let mut n = 0;
    while n < bytes.len() && bytes[n].is_ascii_alphanumeric() {
        *name.get_mut(n)? = bytes[n].to_ascii_lowercase();
        n += 1;
    }
    if n < 2 || !may_follow(&rest[n..]) {
        return None;
    }
    let name = std::str::from_utf8(&name[..n]).ok()?;
    find(name).map(|_| n)
}

/// Names in other scripts may be followed by letters of that script: the longest that fits wins.
fn wide_tld(rest: &str, first: char) -> Option<usize> {
    let first: String = first.to_lowercase().collect();
    let from = TLDS.partition_point(|(name, _)| *name < first.as_str());
    TLDS[from..]
        .iter()
        .take_while(|(name, _)| name.starts_with(&first))
        .filter_map(|(name, _)| prefix_len(rest, name))
        .filter(|n| may_follow(&rest[*n..]))
        .max()
}

/// Bytes of `rest` that spell `name` without regard to case.
fn prefix_len(rest: &str, name: &str) -> Option<usize> {
    let mut used = 0;
    let mut chars = rest.chars();
    for want in name.chars() {
        let have = chars.next()?;
        if have != want && !have.to_lowercase().eq(std::iter::once(want)) {
            return None;
        }
        used += have.len_utf8();
    }
    Some(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_needs_an_end_that_is_no_letter() {
        assert_eq!(tld_at("a.com", 2), Some(3));
        assert_eq!(tld_at("a.COM/x", 2), Some(3));
        assert_eq!(tld_at("a.comm", 2), None);
        assert_eq!(tld_at("a.comだ", 2), Some(3));
        assert_eq!(tld_at("a.com-x", 2), None);
        assert_eq!(tld_at("a.", 2), None);
        assert_eq!(tld_at("a.xn--p1ai/", 2), Some(8));
    }

    #[test]
    fn names_in_other_scripts_may_run_into_text() {
        assert_eq!(tld_at("みんなです", 0), Some("みんな".len()));
        assert_eq!(tld_at("भारतम्", 0), Some("भारतम्".len()));
        assert_eq!(tld_at("РФ", 0), Some("рф".len()));
        assert_eq!(tld_at("日本語", 0), None);
    }

    #[test]
    fn the_list_is_sorted_and_knows_what_is_retired() {
        assert!(TLDS.is_sorted());
        assert!(TLDS.iter().all(|(name, _)| name.chars().count() < LONGEST));
        assert!(is_retired("off") && !is_retired("com") && !is_retired("nothing"));
    }
}
