//! What is talked of: which tags are big, which are growing, which are new.
//!
//! [`Trends`] takes tags as they come and keeps decaying counts per region in bounded memory: a
//! fast count of hours and a slow one of a week, whose ratio tells growing from big. [`Window`]
//! replays records and counts exactly. Time is an argument everywhere, in seconds of Unix time.

mod window;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};

use schemars::JsonSchema;
use serde::Serialize;

pub use window::{Report, Rising, Window};

/// Half-lives of the two counts, in seconds.
const FAST: f64 = 12.0 * 3_600.0;
const SLOW: f64 = 7.0 * 86_400.0;
/// A tag counts as new for about so many seconds after it was first seen.
const NEW: f64 = 7.0 * 86_400.0;
/// Longest tag and region, in bytes.
const LONGEST: usize = 256;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Tags of one region; the least talked of are forgotten.
    pub tags: usize,
    /// Regions; further ones are counted as one without name.
    pub regions: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { tags: 100_000, regions: 256 }
    }
}

/// How a tag is doing.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Trend {
    /// The tag.
    pub tag: String,
    /// How worth following it is, 0 to 1: growing counts for more than big.
    pub score: f32,
    /// Above 0: more talked of than usual; 1 is about e times the usual.
    pub velocity: f32,
    /// 1 when just first seen, falling to 0 over weeks.
    pub novelty: f32,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    fast: f64,
    slow: f64,
    first: i64,
    last: i64,
}

impl Count {
    /// Both counts as they stand at `now`; time does not run backwards.
    fn at(&self, now: i64) -> (f64, f64) {
        let gone = (now.saturating_sub(self.last)).max(0) as f64;
        (self.fast * (-gone / FAST).exp2(), self.slow * (-gone / SLOW).exp2())
    }
}

type Tags = HashMap<Box<str>, Count, BuildHasherDefault<DefaultHasher>>;

/// Decaying counts of tags by region.
#[derive(Debug, Clone, Default)]
pub struct Trends {
    bounds: Bounds,
    regions: BTreeMap<Box<str>, Tags>,
}

impl Trends {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, regions: BTreeMap::new() }
    }

    /// Counts the tags of one post once each; a tag given twice counts once.
    pub fn record(&mut self, region: &str, tags: &[&str], at: i64) {
        let fits = |s: &str| s.len() <= LONGEST;
        let known = self.regions.contains_key(region);
        let region = if known || (fits(region) && self.regions.len() < self.bounds.regions) {
            region
        } else {
            ""
        };
        if !self.regions.contains_key(region) {
            self.regions.insert(region.into(), Tags::default());
        }
        let Some(counts) = self.regions.get_mut(region) else { return };
        for (i, tag) in tags.iter().enumerate() {
            if tag.is_empty() || !fits(tag) || tags[..i].contains(tag) {
                continue;
            }
            if let Some(count) = counts.get_mut(*tag) {
                let (fast, slow) = count.at(at);
                let last = count.last.max(at);
                *count =
                    Count { fast: fast + 1.0, slow: slow + 1.0, first: count.first.min(at), last };
            } else {
                counts.insert((*tag).into(), Count { fast: 1.0, slow: 1.0, first: at, last: at });
            }
        }
        if counts.len() > self.bounds.tags + self.bounds.tags / 4 {
            forget(counts, self.bounds.tags, at);
        }
    }

    /// How one tag is doing in a region; nothing when it was not seen or is forgotten.
    #[must_use]
    pub fn of(&self, region: &str, tag: &str, now: i64) -> Option<Trend> {
        let count = self.regions.get(region)?.get(tag)?;
        Some(trend(tag, count, now))
    }

    /// The tags most worth following in a region, best first; equal ones by name.
    #[must_use]
    pub fn top(&self, region: &str, now: i64, most: usize) -> Vec<Trend> {
        let Some(counts) = self.regions.get(region) else { return Vec::new() };
        let mut all: Vec<Trend> = counts.iter().map(|(tag, c)| trend(tag, c, now)).collect();
        all.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.tag.cmp(&b.tag)));
        all.truncate(most);
        all
    }

    /// How many tags are kept in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.regions.values().map(HashMap::len).sum()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn trend(tag: &str, count: &Count, now: i64) -> Trend {
    let (fast, slow) = count.at(now);
    // What the fast count would be if the slow one had come evenly.
    let age = (now.saturating_sub(count.first)).max(0) as f64;
    let usual = slow * (FAST / SLOW).max((1.0 - (-age / FAST).exp2()).min(FAST / SLOW));
    let velocity = ((fast + 0.5) / (usual + 0.5)).ln();
    let novelty = (-age / NEW).exp();
    let big = slow.ln_1p() / (slow.ln_1p() + 4.0);
    let growing = velocity.max(0.0) / (velocity.max(0.0) + 1.0);
    let score = big * (0.4 + 0.45 * growing + 0.15 * novelty);
    Trend {
        tag: tag.to_owned(),
        score: score as f32,
        velocity: velocity as f32,
        novelty: novelty as f32,
    }
}

/// Keeps the `most` tags most talked of.
fn forget(counts: &mut Tags, most: usize, now: i64) {
    let mut all: Vec<(f64, Box<str>)> =
        counts.iter().map(|(tag, c)| (c.at(now).1, tag.clone())).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    for (_, tag) in all.drain(most.min(all.len())..) {
        counts.remove(&tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    #[test]
    fn growing_is_told_from_big() {
        let mut trends = Trends::default();
        for hour in 0..14 * 24 {
            for _ in 0..10 {
                trends.record("us", &["big"], hour * 3_600);
            }
        }
        for minute in 0..120 {
            trends.record("us", &["growing", "growing"], 14 * DAY - 7_200 + minute * 60);
        }
        let (big, growing) = (
            trends.of("us", "big", 14 * DAY).unwrap(),
            trends.of("us", "growing", 14 * DAY).unwrap(),
        );
        assert!(growing.velocity > 1.0 && big.velocity < 0.5, "{growing:?} {big:?}");
        assert!(growing.novelty > 0.9 && big.novelty < 0.2);
        assert_eq!(trends.top("us", 14 * DAY, 1)[0].tag, "growing");
        assert!(trends.top("de", 0, 9).is_empty() && trends.of("us", "none", 0).is_none());
    }

    #[test]
    fn memory_is_bounded_and_what_is_big_stays() {
        let mut trends = Trends::new(Bounds { tags: 100, regions: 2 });
        for i in 0..10_000i64 {
            let rare = format!("rare{i}");
            trends.record(&format!("r{}", i % 50), &["big", &rare], i);
        }
        assert!(trends.len() <= 3 * 125, "{}", trends.len());
        assert!(trends.of("r0", "big", 10_000).is_some());
    }

    #[test]
    fn hostile_times_do_not_panic() {
        let mut trends = Trends::default();
        for at in [i64::MIN, i64::MAX, 0, -1] {
            trends.record("", &["a", ""], at);
        }
        assert!(trends.of("", "a", i64::MIN).is_some_and(|t| t.score.is_finite()));
    }
}
