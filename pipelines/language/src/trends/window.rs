//! Exact counts of a window and the one before it, for replays of recorded posts.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

/// Counts tags within one span of time and the span of the same length before it.
#[derive(Debug, Clone)]
pub struct Window {
    end: i64,
    length: i64,
    counts: HashMap<Box<str>, Count, BuildHasherDefault<DefaultHasher>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    now: u64,
    before: u64,
    plays: u64,
}

/// What was counted, best first, equal ones by tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Tags by how many posts have them.
    pub by_count: Vec<(String, u64)>,
    /// Tags by how often their posts were played.
    pub by_plays: Vec<(String, u64)>,
    /// Tags by how much they grew.
    pub rising: Vec<Rising>,
}

/// A tag that grows.
#[derive(Debug, Clone, PartialEq)]
pub struct Rising {
    /// The tag.
    pub tag: String,
    /// Posts in the window.
    pub now: u64,
    /// Posts in the window before.
    pub before: u64,
    /// (now + 1) / (before + 1)
    pub ratio: f64,
}

impl Window {
    /// A window of `length` seconds that ends with `end`, which is part of it.
    #[must_use]
    pub fn ending(end: i64, length: i64) -> Self {
        Self { end, length: length.max(1), counts: HashMap::default() }
    }

    /// Counts a post; each of its tags once.
    pub fn add(&mut self, at: i64, tags: &[&str], plays: u64) {
        let Some(age) = self.end.checked_sub(at).filter(|age| *age >= 0) else { return };
        let (now, before) = (age < self.length, age / self.length == 1);
        if !now && !before {
            return;
        }
        for (i, tag) in tags.iter().enumerate() {
            if tags[..i].contains(tag) {
                continue;
            }
            if !self.counts.contains_key(*tag) {
                self.counts.insert((*tag).into(), Count::default());
            }
            if let Some(count) = self.counts.get_mut(*tag) {
                if now {
                    count.now += 1;
                    count.plays = count.plays.saturating_add(plays);
                } else {
                    count.before += 1;
                }
            }
        }
    }

    /// The `most` first tags of each list; tags of fewer than `fewest` posts are not rising.
    #[must_use]
    pub fn report(&self, most: usize, fewest: u64) -> Report {
        let ranked = |of: fn(&Count) -> u64| {
            let seen = self.counts.iter().filter(|(_, c)| c.now > 0);
            let mut all: Vec<(&str, u64)> = seen.map(|(t, c)| (&**t, of(c))).collect();
            all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
            all.into_iter().take(most).map(|(t, n)| (t.to_owned(), n)).collect()
        };
        let grown = |tag: &str, c: &Count| Rising {
            tag: tag.to_owned(),
            now: c.now,
            before: c.before,
            ratio: (c.now + 1) as f64 / (c.before + 1) as f64,
        };
        let often = self.counts.iter().filter(|(_, c)| c.now >= fewest.max(1));
        let mut rising: Vec<Rising> = often.map(|(tag, c)| grown(tag, c)).collect();
        rising.sort_by(|a, b| b.ratio.total_cmp(&a.ratio).then_with(|| a.tag.cmp(&b.tag)));
        rising.truncate(most);
        Report { by_count: ranked(|c| c.now), by_plays: ranked(|c| c.plays), rising }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_meet_without_gap_or_overlap_and_ties_go_by_tag() {
        let mut window = Window::ending(1_000, 100);
        window.add(1_001, &["late"], 9);
        window.add(1_000, &["b", "a", "a"], 5);
        window.add(901, &["a", "b"], 2);
        window.add(900, &["a"], 1);
        window.add(801, &["a"], 1);
        window.add(800, &["a"], 1);
        window.add(i64::MIN, &["a"], 1);
        let report = window.report(9, 1);
        assert_eq!(report.by_count, [("a".to_owned(), 2), ("b".to_owned(), 2)]);
        assert_eq!(report.by_plays, [("a".to_owned(), 7), ("b".to_owned(), 7)]);
        let told: Vec<_> =
            report.rising.iter().map(|r| (&*r.tag, r.now, r.before, r.ratio)).collect();
        assert_eq!(told, [("b", 2, 0, 3.0), ("a", 2, 2, 1.0)]);
    }
}
