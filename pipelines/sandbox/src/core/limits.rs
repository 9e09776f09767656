//! Quotas: how often somebody may do something within a window, and how often it was tried beyond.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::clock::{after, from_micros};
use jiff::tz::TimeZone;
use serde::Serialize;

/// How a quota fills up again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Window {
    /// What was used leaves after so long.
    Sliding(Duration),
    /// All of it is back at midnight there.
    Day(&'static str),
}

pub(crate) const MINUTE: Window = Window::Sliding(Duration::from_secs(60));
pub(crate) const HOUR: Window = Window::Sliding(Duration::from_secs(3600));
pub(crate) const DAY: Window = Window::Sliding(Duration::from_secs(86_400));

/// What is left of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) limit: u64,
    pub(crate) used: u64,
    /// When at least one more is free.
    pub(crate) reset: Timestamp,
}

/// Calls beyond a quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overshoot {
    /// The quota, as in `tiktok.init`.
    pub quota: String,
    /// Whose.
    pub scope: String,
    /// How many calls came although nothing was left.
    pub calls: u64,
}

/// All quotas of a world.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    used: HashMap<(&'static str, String), VecDeque<(i64, u64)>>,
    overrides: HashMap<String, u64>,
    overshoots: BTreeMap<(String, String), u64>,
}

/// From how many on neighbouring entries are merged, so that a quota needs little memory.
const EXACT: u64 = 1000;

impl Limits {
    /// Another limit than the documented one.
    pub(crate) fn set(&mut self, quota: &str, limit: u64) {
        self.overrides.insert(quota.to_owned(), limit);
    }

    pub(crate) fn overshoots(&self) -> Vec<Overshoot> {
        let all = self.overshoots.iter();
        all.map(|((quota, scope), calls)| Overshoot {
            quota: quota.clone(),
            scope: scope.clone(),
            calls: *calls,
        })
        .collect()
    }

    /// How much of a quota is used, without using it.
    pub(crate) fn room(
        &mut self,
        quota: &'static str,
        scope: &str,
        limit: u64,
        window: Window,
        now: Timestamp,
    ) -> Room {
        let limit = self.overrides.get(quota).copied().unwrap_or(limit);
        let (from, end) = span(window, now);
        let Some(log) = self.used.get_mut(&(quota, scope.to_owned())) else {
            return Room { limit, used: 0, reset: end };
        };
        while log.front().is_some_and(|(at, _)| *at <= from) {
            log.pop_front();
        }
        let reset = match (window, log.front()) {
            (Window::Sliding(length), Some((at, _))) => after(from_micros(*at), length),
            _ => end,
        };
        Room { limit, used: log.iter().map(|(_, n)| n).sum(), reset }
    }

    /// Uses `cost` of a quota; `Err` when there is not so much left, which is counted.
    pub(crate) fn take(
        &mut self,
        quota: &'static str,
        scope: &str,
        (limit, cost): (u64, u64),
        window: Window,
        now: Timestamp,
    ) -> Result<Room, Room> {
        let mut room = self.room(quota, scope, limit, window, now);
        if room.used + cost > room.limit {
            *self.overshoots.entry((quota.to_owned(), scope.to_owned())).or_default() += 1;
            return Err(room);
        }
        let at = now.as_microsecond();
        let log = self.used.entry((quota, scope.to_owned())).or_default();
        let (from, _) = span(window, now);
        let near = (at - from) / 120;
        match log.back_mut() {
            Some((last, n)) if room.limit > EXACT && at - *last < near => *n += cost,
            _ => log.push_back((at, cost)),
        }
        room.used += cost;
        Ok(room)
    }
}

/// When the window began, in microseconds, and when all of it is surely free again.
fn span(window: Window, now: Timestamp) -> (i64, Timestamp) {
    match window {
        Window::Sliding(length) => {
            let micros = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
            (now.as_microsecond().saturating_sub(micros), after(now, length))
        }
        Window::Day(zone) => {
            let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
            let local = now.to_zoned(zone);
            let start = local.start_of_day().ok();
            let end = start.as_ref().and_then(|day| day.tomorrow().ok());
            let start = start.map_or(now, |day| day.timestamp());
            // `take` drops entries at or before the beginning: midnight itself belongs to the day.
            (start.as_microsecond() - 1, end.map_or(now, |day| day.timestamp()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_sliding_window_frees_what_has_left_it_and_counts_what_was_too_much() {
        let mut limits = Limits::default();
        let start = at("2026-01-01T00:00:00Z");
        for n in 0..6 {
            let now = after(start, Duration::from_secs(n));
            assert!(limits.take("t", "a", (6, 1), MINUTE, now).is_ok());
        }
        let full = limits.take("t", "a", (6, 1), MINUTE, after(start, Duration::from_secs(59)));
        assert_eq!(full.unwrap_err().reset, at("2026-01-01T00:01:00Z"));
        assert!(limits.take("t", "a", (6, 1), MINUTE, at("2026-01-01T00:01:00Z")).is_ok());
        assert_eq!(limits.overshoots()[0].calls, 1);
    }

    #[test]
    fn a_day_begins_at_midnight_of_its_zone() {
        let mut limits = Limits::default();
        let day = Window::Day("America/Los_Angeles");
        assert!(limits.take("y", "p", (1, 1), day, at("2026-07-01T06:59:00Z")).is_ok());
        let full = limits.take("y", "p", (1, 1), day, at("2026-07-01T06:59:30Z"));
        assert_eq!(full.unwrap_err().reset, at("2026-07-01T07:00:00Z"));
        assert!(limits.take("y", "p", (1, 1), day, at("2026-07-01T07:00:00Z")).is_ok());
    }
}
