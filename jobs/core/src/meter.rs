//! What a key still has: the arithmetic of quotas. Pure; the engine keeps the state of each key in
//! one cell of the fleet and takes from it in small slices.
//!
//! A rate is kept by GCRA (ITU-T I.371; the "virtual scheduling" form): jobs start `per / count`
//! apart, with a fiftieth added so that a late start does not push one more into the window.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::clock::{Timestamp, after, before};
use crate::ids::JobId;
use crate::limit::Quota;

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
    Rate {
        /// Of those that may start or have reserved a moment.
        given: Timestamp,
        /// Of those that may start: what was reserved starts late sometimes, and spreads too.
        begun: Timestamp,
    },
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
    /// Not before; nothing was counted.
    Far(Timestamp),
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

    /// The present day where the quota counts days; else in UTC.
    fn today(&self, now: Timestamp) -> Date {
        let zone = match self {
            Self::Daily { zone, .. } => TimeZone::get(zone).ok(),
            Self::Rate { .. } | Self::AtOnce(_) => None,
        };
        now.to_zoned(zone.unwrap_or(TimeZone::UTC)).date()
    }
}

impl KeyState {
    /// Takes permission for up to `jobs` jobs from all quotas, if they may start by `near`.
    /// `holder`: who will run, and until when at the latest; where that is counted, for one job
    /// only.
    pub fn take(
        &mut self,
        quotas: &[Quota],
        jobs: u32,
        holder: (JobId, Timestamp),
        near: Timestamp,
        now: Timestamp,
    ) -> Grant {
        let (mut jobs, mut from) = (jobs.max(1), now);
        for quota in quotas {
            match quota {
                Quota::AtOnce(_) => jobs = 1,
                Quota::Rate { .. } => {
                    from = from
                        .max(self.free_at(quota, Self::given))
                        .max(self.free_at(quota, Self::begun));
                }
                Quota::Daily { count, .. } => {
                    from = from.max(self.day_from(quota, now));
                    let left = u64::from(*count) - self.used(quota, now) % u64::from(*count);
                    jobs = jobs.min(u32::try_from(left).unwrap_or(u32::MAX));
                }
            }
        }
        if self.is_full(quotas, holder.0, now) {
            return Grant::Full;
        }
        if from > near {
            return Grant::Far(from);
        }
        self.count(quotas, jobs, from, now);
        Grant::Slice(self.begin(quotas, jobs, holder, from))
    }

    /// Gives the next free moment of all quotas away, however far off it is.
    pub fn reserve(&mut self, quotas: &[Quota], now: Timestamp) -> Timestamp {
        let mut from = now;
        for quota in quotas {
            from = from.max(self.free_at(quota, Self::given)).max(self.day_from(quota, now));
        }
        self.count(quotas, 1, from, now);
        from
    }

    /// A job whose reserved moment has come starts: at once, or a little later if others were
    /// late before it.
    pub fn start(
        &mut self,
        quotas: &[Quota],
        holder: (JobId, Timestamp),
        near: Timestamp,
        now: Timestamp,
    ) -> Grant {
        let free = quotas.iter().map(|quota| self.free_at(quota, Self::begun)).max();
        let from = free.unwrap_or(now).max(now);
        if self.is_full(quotas, holder.0, now) {
            return Grant::Full;
        }
        if from > near {
            Grant::Far(from)
        } else {
            Grant::Slice(self.begin(quotas, 1, holder, from))
        }
    }

    fn is_full(&mut self, quotas: &[Quota], job: JobId, now: Timestamp) -> bool {
        self.holders.retain(|id, until| *until > now && *id != job);
        let held = self.holders.len();
        quotas.iter().any(|quota| matches!(quota, Quota::AtOnce(most) if held >= *most as usize))
    }

    /// Counts what is given away.
    fn count(&mut self, quotas: &[Quota], jobs: u32, from: Timestamp, now: Timestamp) {
        for quota in quotas {
            let meter = match quota {
                Quota::Rate { .. } => Meter::Rate {
                    given: after(self.given(quota).max(from), quota.apart() * jobs),
                    begun: self.begun(quota),
                },
                Quota::Daily { .. } => {
                    Meter::Day(quota.today(now), self.used(quota, now) + u64::from(jobs))
                }
                Quota::AtOnce(_) => continue,
            };
            self.meters.insert(quota.to_string(), meter);
        }
    }

    /// Counts what starts.
    fn begin(
        &mut self,
        quotas: &[Quota],
        jobs: u32,
        holder: (JobId, Timestamp),
        from: Timestamp,
    ) -> Slice {
        let (mut apart, mut together) = (Duration::ZERO, jobs);
        for quota in quotas {
            apart = apart.max(quota.apart());
            match quota {
                Quota::Rate { burst, .. } => {
                    together = together.min(*burst);
                    let begun = after(self.begun(quota).max(from), quota.apart() * jobs);
                    let meter = Meter::Rate { given: self.given(quota), begun };
                    self.meters.insert(quota.to_string(), meter);
                }
                Quota::AtOnce(_) => {
                    self.holders.insert(holder.0, holder.1);
                }
                Quota::Daily { .. } => {}
            }
        }
        Slice { from, jobs, apart, burst: together.max(1) }
    }

    /// The job runs no more.
    pub fn release(&mut self, job: JobId) -> bool {
        self.holders.remove(&job).is_some()
    }

    /// When the next job could start under these quotas, for people; `None`: when one ends.
    pub fn next_start(&self, quotas: &[Quota], now: Timestamp) -> Option<Timestamp> {
        let nobody = (JobId::derived("nobody"), now);
        match self.clone().take(quotas, 1, nobody, Timestamp::MAX, now) {
            Grant::Slice(slice) => Some(slice.from),
            Grant::Far(_) | Grant::Full => None,
        }
    }

    /// Who runs under the key.
    pub fn holders(&self) -> impl Iterator<Item = (&JobId, &Timestamp)> {
        self.holders.iter()
    }

    fn given(&self, quota: &Quota) -> Timestamp {
        match self.meters.get(&quota.to_string()) {
            Some(Meter::Rate { given, .. }) => *given,
            _ => Timestamp::MIN,
        }
    }

    fn begun(&self, quota: &Quota) -> Timestamp {
        match self.meters.get(&quota.to_string()) {
            Some(Meter::Rate { begun, .. }) => *begun,
            _ => Timestamp::MIN,
        }
    }

    /// When one more job of a rate may start, by that meter.
    fn free_at(&self, quota: &Quota, meter: impl Fn(&Self, &Quota) -> Timestamp) -> Timestamp {
        let Quota::Rate { burst, .. } = quota else { return Timestamp::MIN };
        before(meter(self, quota), quota.apart() * (burst.max(&1) - 1))
    }

    /// Used of today and of days to come. What was given away of those stays given away.
    fn used(&self, quota: &Quota, now: Timestamp) -> u64 {
        let (Quota::Daily { count, .. }, Some(Meter::Day(day, used))) =
            (quota, self.meters.get(&quota.to_string()))
        else {
            return 0;
        };
        let passed = u64::try_from((quota.today(now) - *day).get_days()).unwrap_or(0);
        used.saturating_sub(passed.saturating_mul(u64::from(*count)))
    }

    /// The first instant of the first day of which something is left.
    fn day_from(&self, quota: &Quota, now: Timestamp) -> Timestamp {
        let Quota::Daily { count, zone } = quota else { return Timestamp::MIN };
        match self.used(quota, now) / u64::from((*count).max(1)) {
            0 => now,
            ahead => begin(quota.today(now), ahead, zone, now),
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

    /// Reserves for one job at a time, always at `now`; when each may start.
    fn starts(texts: &[&str], jobs: usize, now: Timestamp) -> Vec<Duration> {
        let (mut state, quotas) = (KeyState::default(), quotas(texts));
        (0..jobs).map(|_| between(now, state.reserve(&quotas, now))).collect()
    }

    fn slice(grant: Grant) -> Slice {
        let Grant::Slice(slice) = grant else { panic!("{grant:?}") };
        slice
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
        for _ in 0..3 {
            state.reserve(&quotas, now);
        }
        let tomorrow = after(now, Duration::from_secs(4 * 3600));
        assert_eq!(state.next_start(&quotas, tomorrow), Some(tomorrow), "one was given away");
        state.reserve(&quotas, tomorrow);
        assert!(state.next_start(&quotas, tomorrow).unwrap() > tomorrow);
    }

    #[test]
    fn a_slice_is_counted_whole_and_never_crosses_a_day() {
        let (now, mut state) = (start(), KeyState::default());
        let (job, near) = ((JobId::derived("j"), now), after(now, Duration::from_secs(1)));
        let fast = quotas(&["100/s", "30/day@UTC"]);
        let first = slice(state.take(&fast, 20, job, near, now));
        assert_eq!((first.jobs, first.apart), (20, Duration::from_micros(10_200)));
        let second = slice(state.take(&fast, 20, job, near, now));
        assert_eq!((second.jobs, between(now, second.from)), (10, Duration::from_millis(204)));
        let before_it = state.clone();
        let Grant::Far(tomorrow) = state.take(&fast, 20, job, near, now) else { panic!() };
        assert!(between(now, tomorrow) > Duration::from_secs(3600));
        assert_eq!(state, before_it);
    }

    #[test]
    fn reserved_moments_that_start_late_spread_again() {
        let (now, mut state) = (start(), KeyState::default());
        let rate = quotas(&["6/min"]);
        let job = (JobId::derived("j"), now);
        for n in 0..4 {
            assert_eq!(between(now, state.reserve(&rate, now)), Duration::from_millis(10_200) * n);
        }
        let late = after(now, Duration::from_secs(100));
        let near = after(late, Duration::from_secs(1));
        assert_eq!(slice(state.start(&rate, job, near, late)).from, late);
        let Grant::Far(next) = state.start(&rate, job, near, late) else { panic!() };
        assert_eq!(between(late, next), Duration::from_millis(10_200));
        assert!(matches!(state.take(&rate, 1, job, near, late), Grant::Far(at) if at == next));
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
