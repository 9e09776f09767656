//! Enqueues jobs by the clock.
//!
//! The id of a job follows from its schedule and the moment it stands for, so several workers
//! that fire the same moment make one job; the fleet remembers the last moment, so that a moment
//! missed while no worker ran is known. The job is enqueued before the moment is recorded: a crash
//! in between enqueues it again, and the queue answers that it has it.

use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use flotilla_core::clock::{before, between};
use flotilla_core::ops::{EnqueueError, Ops};
use flotilla_core::queue::{Enqueued, QueueError};
use flotilla_core::retry::Backoff;
use flotilla_core::{Envelope, JobId, Timestamp};
use jiff::tz::TimeZone;

use crate::StartError;
use crate::names::Call;
use crate::settings::{Missed, ScheduleEntry};
use crate::shared::Shared;

/// Under [`Missed::Skip`] a moment older than this is missed.
const LATE: Duration = Duration::from_secs(60);

/// Between two looks at the clock: timers may sleep through a suspended machine.
const LOOK: Duration = Duration::from_secs(30);

/// Between tries while a port fails.
const AFTER_ERROR: Backoff =
    Backoff { base: Duration::from_millis(500), factor: 2.0, max: Duration::from_secs(30) };

/// A schedule that was understood.
#[derive(Debug)]
pub(crate) struct Schedule {
    entry: ScheduleEntry,
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    pub(crate) fn new(entry: &ScheduleEntry) -> Result<Self, StartError> {
        let fault = |message: String| StartError::Schedule { name: entry.name.clone(), message };
        let cron: Cron = entry
            .cron
            .parse()
            .map_err(|e| fault(format!("cannot read the pattern \"{}\": {e}", entry.cron)))?;
        let zone = TimeZone::get(&entry.zone).map_err(|_| {
            fault(format!(
                "unknown time zone \"{}\": give an IANA name, as in Europe/Berlin",
                entry.zone
            ))
        })?;
        Ok(Self { entry: entry.clone(), cron, zone })
    }

    /// The first moment after `at`; none when the pattern names no further one.
    fn next(&self, at: Timestamp) -> Option<Timestamp> {
        let from = at.to_zoned(self.zone.clone());
        let next = self.cron.find_next_occurrence(&from, false).ok()?.timestamp();
        (next > at).then_some(next)
    }

    /// The moments after `last` up to `now`, the latest `most` of them. Looks back in growing
    /// steps, so that a long absence costs no more than what is wanted of it.
    fn past(&self, last: Timestamp, now: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut window = LATE * 2;
        loop {
            let from = last.max(before(now, window));
            let moments: Vec<Timestamp> =
                std::iter::successors(self.next(from), |at| self.next(*at))
                    .take_while(|at| *at <= now)
                    .collect();
            if from == last || moments.len() >= most {
                return moments[moments.len().saturating_sub(most)..].to_vec();
            }
            window = window.saturating_mul(8);
        }
    }

    /// The moments to fire for now.
    fn due(&self, last: Timestamp, now: Timestamp) -> Vec<Timestamp> {
        match self.entry.missed {
            Missed::Skip => self.past(last.max(before(now, LATE)), now, 1),
            Missed::Once => self.past(last, now, 1),
            Missed::All { at_most } => self.past(last, now, at_most.max(1)),
        }
    }

    /// The job of one moment.
    fn envelope(&self, moment: Timestamp) -> Envelope {
        let entry = &self.entry;
        Envelope {
            id: Some(JobId::derived(&format!("cron:{}@{moment}", entry.name))),
            kind: Some(entry.kind.clone()),
            payload: entry.payload.clone(),
            lane: entry.lane.clone(),
            tenant: entry.tenant.clone(),
            priority: entry.priority,
            ..Envelope::default()
        }
    }
}

/// The first moment after `at` for which an entry enqueues a job; `None`: its pattern names none.
///
/// # Errors
/// [`StartError::Schedule`] when its pattern or its zone cannot be read.
pub fn next(entry: &ScheduleEntry, at: Timestamp) -> Result<Option<Timestamp>, StartError> {
    Ok(Schedule::new(entry)?.next(at))
}

/// The schedules of an engine, understood and checked as an enqueue would.
pub(crate) fn check(entries: &[ScheduleEntry], ops: &Ops) -> Result<Vec<Schedule>, StartError> {
    let mut schedules: Vec<Schedule> = Vec::new();
    for entry in entries {
        let fault = |message| StartError::Schedule { name: entry.name.clone(), message };
        if schedules.iter().any(|s| s.entry.name == entry.name) {
            return Err(fault("another schedule has this name".into()));
        }
        let schedule = Schedule::new(entry)?;
        let now = ops.clock.now();
        ops.prepare(schedule.envelope(now), now).map_err(|e| fault(e.to_string()))?;
        schedules.push(schedule);
    }
    Ok(schedules)
}

/// Fires one schedule until the engine drains.
pub(crate) async fn keep(shared: Arc<Shared>, schedule: Schedule) {
    let mut failures = 0;
    while !shared.stops.soft.is_cancelled() {
        let result = fire(&shared, &schedule).await;
        shared.observer.port(Call::Schedule, &result);
        let pause = match result {
            Ok(None) => return, // the pattern names no further moment
            Ok(Some(next)) => {
                failures = 0;
                between(shared.clock.now(), next).clamp(Duration::from_millis(1), LOOK)
            }
            Err(_) => {
                failures += 1;
                AFTER_ERROR.delay(failures, None, &*shared.rng)
            }
        };
        let _ = tokio::time::timeout(pause, shared.stops.soft.cancelled()).await;
    }
}

/// Enqueues what is due; answers the next moment.
async fn fire(shared: &Shared, schedule: &Schedule) -> Result<Option<Timestamp>, QueueError> {
    let (name, fleet) = (schedule.entry.name.as_str(), &shared.ports.fleet);
    let now = shared.clock.now();
    let Some(last) = fleet.last_fire(name).await? else {
        fleet.set_last_fire(name, now).await?; // new: it begins now
        return Ok(schedule.next(now));
    };
    let due = schedule.due(last, now);
    let jobs: Vec<Envelope> = due.iter().map(|moment| schedule.envelope(*moment)).collect();
    match shared.ops.enqueue(jobs).await {
        Ok(accepted) => {
            for job in accepted {
                let answer = match job.outcome {
                    Enqueued::Created => "created",
                    Enqueued::Duplicate(_) => "duplicate",
                    Enqueued::Rejected(_) => "rejected",
                };
                shared.observer.fired(name, answer);
            }
        }
        Err(EnqueueError::Queue(error)) => return Err(error),
        Err(error) => shared.observer.schedule_fault(name, &error.to_string()),
    }
    if let Some(reached) = due.last() {
        fleet.set_last_fire(name, *reached).await?;
    }
    Ok(schedule.next(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_core::{Kind, Payload};

    fn schedule(cron: &str, zone: &str) -> Schedule {
        let kind = Kind::from_static("test.kind");
        let entry = ScheduleEntry {
            zone: zone.into(),
            ..ScheduleEntry::new("test", cron, kind, Payload::default())
        };
        Schedule::new(&entry).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn moments(cron: &str, zone: &str, from: &str, to: &str) -> Vec<String> {
        let all = schedule(cron, zone).past(at(from), at(to), usize::MAX);
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_time_in_the_gap_of_spring_fires_at_its_end() {
        // Berlin, 2026-03-29: 02:00 to 03:00 does not happen.
        let fired =
            moments("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
        assert_eq!(fired, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    }

    #[test]
    fn a_time_that_happens_twice_in_autumn_fires_once() {
        // Berlin, 2026-10-25: 02:00 to 03:00 happens twice.
        let fired =
            moments("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z");
        assert_eq!(fired, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn steps_follow_the_clock_through_both_changes() {
        let hours = |from, to| moments("0 * * * *", "Europe/Berlin", from, to).len();
        assert_eq!(hours("2026-03-28T22:59:00Z", "2026-03-29T03:01:00Z"), 5);
        assert_eq!(hours("2026-10-24T21:59:00Z", "2026-10-25T03:01:00Z"), 6);
    }

    #[test]
    fn the_latest_moments_are_found_however_long_the_absence() {
        let past = schedule("* * * * * *", "UTC");
        let now = at("2026-06-01T00:00:00Z");
        assert_eq!(past.past(at("2001-01-01T00:00:00Z"), now, 1), [now]);
        let many = past.past(at("2001-01-01T00:00:00Z"), now, 500);
        assert_eq!((many.len(), many[0]), (500, before(now, Duration::from_secs(499))));
        let yearly = schedule("0 0 1 1 *", "UTC");
        let found = yearly.past(at("2001-06-01T00:00:00Z"), now, 3);
        assert_eq!(
            found,
            [at("2024-01-01T00:00:00Z"), at("2025-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")]
        );
        assert!(yearly.past(at("2026-02-01T00:00:00Z"), now, 3).is_empty());
    }
}
