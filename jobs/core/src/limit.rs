//! How fast calls may be made: keys, quotas, and the arithmetic of what a key still has. Pure; the
//! engine keeps the state of each key in one cell of the fleet and takes from it in small slices.
//!
//! # Keys
//!
//! A key is a path, broadest part first: `instagram/42/publish`. A job that names it also counts
//! against `instagram/42` and `instagram`. A rule names keys by a pattern in which `*` stands for
//! one part: `instagram/*` is every account by itself.
//!
//! # Quotas
//!
//! `6/min`, `10/s burst 5`, `15/day@Europe/Berlin` (a count that begins anew at midnight there),
//! `3 at once`. All quotas of a key hold at the same time.
//!
//! A rate is kept by GCRA (ITU-T I.371; the "virtual scheduling" form): jobs start `per / count`
//! apart, with a fiftieth added so that a late start does not push one more into the window.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::{Timestamp, after, before};
use crate::ids::JobId;

/// Longest key, in bytes.
pub const MAX_KEY: usize = 200;
/// Most parts of a key.
pub const MAX_PARTS: usize = 6;

/// Why a key, quota or rule is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidLimit(String);

/// What is limited: a path, broadest part first.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct LimitKey(String);

impl LimitKey {
    /// Joins parts; what a part may not hold becomes `_`, and empty parts are left out. Keys come
    /// from payloads, so any text gives one.
    pub fn of(parts: &[&str]) -> Self {
        let clean = |part: &&str| -> String {
            let held = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '@');
            part.chars().map(|c| if held(c) { c } else { '_' }).take(MAX_KEY / MAX_PARTS).collect()
        };
        let parts: Vec<String> =
            parts.iter().map(clean).filter(|part| !part.is_empty()).take(MAX_PARTS).collect();
        let mut key = if parts.is_empty() { "_".to_owned() } else { parts.join("/") };
        while key.len() > MAX_KEY {
            key.pop();
        }
        Self(key)
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This key and those above it, broadest first.
    pub fn path(&self) -> impl Iterator<Item = LimitKey> + '_ {
        let ends = self.0.match_indices('/').map(|(i, _)| i).chain([self.0.len()]);
        ends.map(|end| Self(self.0[..end].to_owned()))
    }

    /// Its first parts, at most `depth`.
    pub fn above(&self, depth: usize) -> LimitKey {
        self.path().nth(depth.max(1) - 1).unwrap_or_else(|| self.clone())
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<LimitKey> for String {
    fn from(key: LimitKey) -> Self {
        key.0
    }
}

impl TryFrom<String> for LimitKey {
    type Error = InvalidLimit;

    fn try_from(text: String) -> Result<Self, InvalidLimit> {
        text.parse()
    }
}

impl FromStr for LimitKey {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        let parts: Vec<&str> = text.split('/').collect();
        if Self::of(&parts).0 == text {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidLimit(format!(
            "\"{text}\" is no limit key: give up to {MAX_PARTS} parts of letters, digits and \
             . - _ : @, as in instagram/42/publish"
        )))
    }
}

/// One bound of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Quota {
    /// So many in any window of this length, evenly spread but for the burst.
    Rate {
        /// How many; at least 1.
        count: u32,
        /// The window.
        per: Duration,
        /// How many may start together after a pause; at least 1.
        burst: u32,
    },
    /// So many in each day of a time zone.
    Daily {
        /// How many; at least 1.
        count: u32,
        /// IANA name.
        zone: String,
    },
    /// So many at the same time.
    AtOnce(u32),
}

const UNITS: [(&str, u64); 10] = [
    ("s", 1),
    ("sec", 1),
    ("second", 1),
    ("min", 60),
    ("minute", 60),
    ("h", 3600),
    ("hour", 3600),
    ("d", 86_400),
    ("day", 86_400),
    ("week", 604_800),
];

impl FromStr for Quota {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        let fault = || {
            InvalidLimit(format!(
                "\"{text}\" is no quota: give one as in 6/min, 10/s burst 5, \
                 15/day@Europe/Berlin or 3 at once"
            ))
        };
        let count = |text: &str| text.trim().parse().ok().filter(|n| *n > 0).ok_or_else(fault);
        if let Some(most) = text.trim().strip_suffix("at once") {
            return Ok(Self::AtOnce(count(most)?));
        }
        let (number, rest) = text.split_once('/').ok_or_else(fault)?;
        if let Some((unit, zone)) = rest.split_once('@') {
            let zone = zone.trim();
            if unit.trim() != "day" || TimeZone::get(zone).is_err() {
                return Err(fault());
            }
            return Ok(Self::Daily { count: count(number)?, zone: zone.to_owned() });
        }
        let (unit, burst) = match rest.split_once("burst") {
            Some((unit, burst)) => (unit, count(burst)?),
            None => (rest, 1),
        };
        let unit = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(fault)?;
        Ok(Self::Rate { count: count(number)?, per: Duration::from_secs(unit.1), burst })
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate { count, per, burst } => {
                let unit = UNITS.iter().rfind(|(name, s)| *s == per.as_secs() && name.len() < 5);
                write!(f, "{count}/{}", unit.map_or("s", |(name, _)| name))?;
                if *burst > 1 { write!(f, " burst {burst}") } else { Ok(()) }
            }
            Self::Daily { count, zone } => write!(f, "{count}/day@{zone}"),
            Self::AtOnce(count) => write!(f, "{count} at once"),
        }
    }
}

impl From<Quota> for String {
    fn from(quota: Quota) -> Self {
        quota.to_string()
    }
}

impl TryFrom<String> for Quota {
    type Error = InvalidLimit;

    fn try_from(text: String) -> Result<Self, InvalidLimit> {
        text.parse()
    }
}

/// Which quotas hold for which keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// A key in which a part may be `*`.
    pub pattern: String,
    /// All of them hold.
    pub quotas: Vec<Quota>,
}

impl Rule {
    /// A rule from its texts.
    ///
    /// # Errors
    /// Naming the text that is wrong.
    pub fn new(pattern: &str, quotas: &[impl AsRef<str>]) -> Result<Self, InvalidLimit> {
        pattern.replace('*', "_").parse::<LimitKey>()?;
        let quotas = quotas.iter().map(|quota| quota.as_ref().parse()).collect::<Result<_, _>>()?;
        Ok(Self { pattern: pattern.to_owned(), quotas })
    }

    /// Whether it is about this key.
    pub fn matches(&self, key: &LimitKey) -> bool {
        let (mut pattern, mut parts) = (self.pattern.split('/'), key.0.split('/'));
        loop {
            match (pattern.next(), parts.next()) {
                (None, None) => return true,
                (Some(wanted), Some(part)) if wanted == "*" || wanted == part => {}
                _ => return false,
            }
        }
    }
}

/// What the fleet knows of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyState {
    /// By the text of the quota: a changed quota begins anew, the others go on.
    #[serde(default)]
    meters: BTreeMap<String, Meter>,
    /// Who runs under the key, where that is counted, and until when at the latest.
    #[serde(default)]
    holders: BTreeMap<JobId, Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Meter {
    /// When the next job would start if all were evenly spread ("theoretical arrival time").
    Next(Timestamp),
    /// Used on that day; more than the quota when days to come are given away.
    Day(Date, u64),
}

/// Permission for some jobs of a key to start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slice {
    /// Not before.
    pub from: Timestamp,
    /// How many.
    pub jobs: u32,
    /// How far apart.
    pub apart: Duration,
    /// How many may start together.
    pub burst: u32,
}

/// What a key says to a job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Grant {
    /// These may start; the state has counted them.
    Slice(Slice),
    /// As many run as may; nothing was counted.
    Full,
}

impl Quota {
    /// How far apart jobs start under it; zero where it does not say.
    fn apart(&self) -> Duration {
        match self {
            Self::Rate { count, per, .. } => (*per + *per / 50) / (*count).max(1),
            Self::Daily { .. } | Self::AtOnce(_) => Duration::ZERO,
        }
    }
}

impl KeyState {
    /// Takes permission for up to `jobs` jobs from all quotas; not before `earliest`.
    /// `holder`: who will run, and until when at the latest, where that is counted; then for one
    /// job only.
    pub fn take(
        &mut self,
        quotas: &[Quota],
        jobs: u32,
        holder: (JobId, Timestamp),
        earliest: Timestamp,
        now: Timestamp,
    ) -> Grant {
        let (mut jobs, mut from, mut apart, mut burst) =
            (jobs.max(1), earliest.max(now), Duration::ZERO, u32::MAX);
        self.holders.retain(|id, until| *until > now && *id != holder.0);
        for quota in quotas {
            apart = apart.max(quota.apart());
            match quota {
                Quota::AtOnce(most) if self.holders.len() >= *most as usize => return Grant::Full,
                Quota::AtOnce(_) => jobs = 1,
                Quota::Rate { burst: together, .. } => {
                    burst = burst.min(*together);
                    from = from.max(self.free_at(quota));
                }
                Quota::Daily { count, zone } => {
                    let (day, used) = self.day(quota, zone, now);
                    let ahead = used / u64::from((*count).max(1));
                    if ahead > 0 {
                        from = from.max(begin(day, ahead, zone, now));
                    }
                    let left = u64::from(*count) - used % u64::from((*count).max(1));
                    jobs = jobs.min(u32::try_from(left).unwrap_or(u32::MAX)).max(1);
                }
            }
        }
        for quota in quotas {
            let meter = match quota {
                Quota::Rate { .. } => {
                    let next = self.next(quota).max(from);
                    Meter::Next(after(next, quota.apart() * jobs))
                }
                Quota::Daily { zone, .. } => {
                    let (day, used) = self.day(quota, zone, now);
                    Meter::Day(day, used + u64::from(jobs))
                }
                Quota::AtOnce(_) => {
                    self.holders.insert(holder.0, holder.1);
                    continue;
                }
            };
            self.meters.insert(quota.to_string(), meter);
        }
        Grant::Slice(Slice { from, jobs, apart, burst: burst.clamp(1, jobs) })
    }

    /// The job runs no more.
    pub fn release(&mut self, job: JobId) -> bool {
        self.holders.remove(&job).is_some()
    }

    /// When the next job could start under these quotas, for people; `None`: when one ends.
    pub fn next_start(&self, quotas: &[Quota], now: Timestamp) -> Option<Timestamp> {
        let nobody = (JobId::derived("nobody"), now);
        match self.clone().take(quotas, 1, nobody, now, now) {
            Grant::Slice(slice) => Some(slice.from),
            Grant::Full => None,
        }
    }

    /// Who runs under the key.
    pub fn holders(&self) -> impl Iterator<Item = (&JobId, &Timestamp)> {
        self.holders.iter()
    }

    fn next(&self, quota: &Quota) -> Timestamp {
        match self.meters.get(&quota.to_string()) {
            Some(Meter::Next(at)) => *at,
            _ => Timestamp::MIN,
        }
    }

    /// When one more job of this rate may start.
    fn free_at(&self, quota: &Quota) -> Timestamp {
        let Quota::Rate { burst, .. } = quota else { return Timestamp::MIN };
        before(self.next(quota), quota.apart() * (burst.max(&1) - 1))
    }

    /// Today in that zone, and what is used of it.
    fn day(&self, quota: &Quota, zone: &str, now: Timestamp) -> (Date, u64) {
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        let today = now.to_zoned(zone).date();
        let count = match quota {
            Quota::Daily { count, .. } => u64::from(*count),
            _ => 0,
        };
        match self.meters.get(&quota.to_string()) {
            // What was given away of days to come stays given away.
            Some(Meter::Day(day, used)) => {
                let passed = u64::try_from((today - *day).get_days()).unwrap_or(0);
                (today, used.saturating_sub(passed.saturating_mul(count)))
            }
            _ => (today, 0),
        }
    }
}

/// The first instant of the day `ahead` days after `day` there.
fn begin(day: Date, ahead: u64, zone: &str, now: Timestamp) -> Timestamp {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let days = i64::try_from(ahead).unwrap_or(i64::MAX);
    let day = jiff::Span::new().try_days(days).ok().and_then(|span| day.checked_add(span).ok());
    day.and_then(|day| day.to_zoned(zone).ok())
        .map_or(after(now, Duration::from_secs(86_400)), |at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock, between};

    fn start() -> Timestamp {
        ManualClock::default().now()
    }

    fn quotas(texts: &[&str]) -> Vec<Quota> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Asks for one job at a time, always at `now`; when each may start.
    fn starts(texts: &[&str], jobs: usize, now: Timestamp) -> Vec<Duration> {
        let (mut state, quotas) = (KeyState::default(), quotas(texts));
        let take =
            |state: &mut KeyState| state.take(&quotas, 1, (JobId::derived("j"), now), now, now);
        (0..jobs)
            .map(|_| match take(&mut state) {
                Grant::Slice(slice) => between(now, slice.from),
                Grant::Full => Duration::MAX,
            })
            .collect()
    }

    #[test]
    fn a_key_counts_against_everything_above_it() {
        let key = LimitKey::of(&["instagram", "42", "publish"]);
        let path: Vec<String> = key.path().map(String::from).collect();
        assert_eq!(path, ["instagram", "instagram/42", "instagram/42/publish"]);
        assert_eq!(key.above(2).as_str(), "instagram/42");
        assert_eq!(key.above(9), key);
        assert_eq!(LimitKey::of(&["a b/c", "", "é"]).as_str(), "a_b_c/é");
        assert!("a//b".parse::<LimitKey>().is_err());
        let rule = Rule::new("instagram/*", &["6/min"]).unwrap();
        assert!(rule.matches(&key.above(2)) && !rule.matches(&key) && !rule.matches(&key.above(1)));
    }

    #[test]
    fn quotas_read_as_they_are_written() {
        for text in
            ["6/min", "10/s burst 5", "15/day@Europe/Berlin", "3 at once", "15/day", "9/hour"]
        {
            let quota: Quota = text.parse().unwrap();
            assert_eq!(quota.to_string().parse::<Quota>(), Ok(quota), "{text}");
        }
        for text in ["", "6", "0/min", "6/fortnight", "15/day@Mars", "x at once", "5/h@UTC"] {
            assert!(text.parse::<Quota>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_spreads_its_starts_and_a_burst_comes_together() {
        let seconds = |texts: &[&str]| -> Vec<f64> {
            starts(texts, 4, start()).iter().map(Duration::as_secs_f64).collect()
        };
        assert_eq!(seconds(&["6/min"]), [0.0, 10.2, 20.4, 30.6]);
        assert_eq!(seconds(&["6/min burst 2"]), [0.0, 0.0, 10.2, 20.4]);
        assert_eq!(seconds(&["6/min", "2/min"]), [0.0, 30.6, 61.2, 91.8]);
    }

    #[test]
    fn no_window_holds_more_than_the_quota_even_when_starts_are_late() {
        for (text, count, window) in
            [("6/min", 6, 60.0), ("10/s", 10, 1.0), ("100/hour", 100, 3600.0)]
        {
            let late = window / 60.0; // later than planned by up to this, each by another amount
            let begun: Vec<f64> = starts(&[text], 500, start())
                .iter()
                .enumerate()
                .map(|(n, at)| at.as_secs_f64() + late * ((n * 7919 % 100) as f64 / 100.0))
                .collect();
            for first in &begun {
                let held = begun.iter().filter(|at| *at >= first && **at < first + window).count();
                assert!(held <= count, "{held} of {text}");
            }
        }
    }

    #[test]
    fn a_day_begins_anew_at_midnight_of_its_zone() {
        let now = "2026-03-28T20:00:00Z".parse().unwrap(); // 21:00 in Berlin, the night of a change
        let starts = starts(&["2/day@Europe/Berlin"], 5, now);
        let hours: Vec<u64> = starts.iter().map(|at| at.as_secs() / 3600).collect();
        assert_eq!(hours, [0, 0, 3, 3, 26]);
        let quotas = quotas(&["2/day@Europe/Berlin"]);
        let mut state = KeyState::default();
        let job = (JobId::derived("j"), now);
        for _ in 0..3 {
            state.take(&quotas, 1, job, now, now);
        }
        let tomorrow = after(now, Duration::from_secs(4 * 3600));
        assert_eq!(state.next_start(&quotas, tomorrow), Some(tomorrow), "one was given away");
        state.take(&quotas, 1, job, tomorrow, tomorrow);
        assert!(state.next_start(&quotas, tomorrow).unwrap() > tomorrow);
    }

    #[test]
    fn a_slice_is_counted_whole_and_never_crosses_a_day() {
        let (now, mut state) = (start(), KeyState::default());
        let job = (JobId::derived("j"), now);
        let fast = quotas(&["100/s", "30/day@UTC"]);
        let Grant::Slice(slice) = state.take(&fast, 20, job, now, now) else { panic!() };
        assert_eq!((slice.jobs, slice.apart), (20, Duration::from_micros(10_200)));
        let Grant::Slice(slice) = state.take(&fast, 20, job, now, now) else { panic!() };
        assert_eq!((slice.jobs, between(now, slice.from)), (10, Duration::from_millis(204)));
        assert!(between(now, state.next_start(&fast, now).unwrap()) > Duration::from_secs(3600));
    }

    #[test]
    fn so_many_at_once_until_one_ends_or_is_overdue() {
        let (now, mut state) = (start(), KeyState::default());
        let two = quotas(&["2 at once"]);
        let until = after(now, Duration::from_secs(60));
        let job = |name: &str| (JobId::derived(name), until);
        assert!(matches!(
            state.take(&two, 9, job("a"), now, now),
            Grant::Slice(Slice { jobs: 1, .. })
        ));
        assert!(matches!(state.take(&two, 1, job("b"), now, now), Grant::Slice(_)));
        assert!(matches!(state.take(&two, 1, job("a"), now, now), Grant::Slice(_)), "itself again");
        assert_eq!(state.take(&two, 1, job("c"), now, now), Grant::Full);
        assert!(state.release(JobId::derived("a")));
        assert!(matches!(state.take(&two, 1, job("c"), now, now), Grant::Slice(_)));
        assert!(matches!(state.take(&two, 1, job("d"), until, until), Grant::Slice(_)), "overdue");
    }
}
