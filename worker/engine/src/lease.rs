//! Leases held by this worker, kept apart from the jobs that run under them.
//!
//! Each heartbeat extends in one call whatever is due, carries progress out and brings requests
//! to cancel back. A job is stopped when its lease is lost, and also when the lease cannot be
//! extended and is about to end by this worker's own clock: the margin is subtracted, so that
//! the handler is gone before a successor may start.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flotilla_core::clock::{after, between};
use flotilla_core::handler::ProgressSink;
use flotilla_core::queue::{Extension, Held, Lease, QueueError, QueueErrorKind};
use flotilla_core::{Progress, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::names::Call;
use crate::shared::Shared;

/// Why a held job is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The queue says that the lease is somebody else's.
    Lost = 1,
    /// The lease could not be extended and is about to end.
    Expired = 2,
    /// Someone asked for it to be cancelled.
    Cancel = 3,
    /// The grace of a drain is over.
    Drain = 4,
}

/// The line between the lease keeper and one held job.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// What the handler sees.
    pub(crate) token: CancellationToken,
    why: AtomicU8,
    ended: AtomicBool,
    progress: Mutex<Option<Progress>>,
}

impl Control {
    /// Fires the token; the first reason stays. Whether this was the first.
    pub(crate) fn stop(&self, why: Stop) -> bool {
        let first = self.why.compare_exchange(0, why as u8, Ordering::SeqCst, Ordering::SeqCst);
        self.token.cancel();
        first.is_ok()
    }

    pub(crate) fn stopped(&self) -> Option<Stop> {
        match self.why.load(Ordering::SeqCst) {
            1 => Some(Stop::Lost),
            2 => Some(Stop::Expired),
            3 => Some(Stop::Cancel),
            4 => Some(Stop::Drain),
            _ => None,
        }
    }

    /// The handler has ended: its lease is kept until the outcome is recorded, and whether it was
    /// lost shows there.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Where the handler's progress goes: the latest waits for the next heartbeat.
    pub(crate) fn sink(self: &Arc<Self>) -> ProgressSink {
        let control = Arc::clone(self);
        Arc::new(move |progress| *lock(&control.progress) = Some(progress))
    }
}

struct Entry {
    held: Held,
    control: Arc<Control>,
    until: Timestamp,
}

/// All leases of this engine, by ticket: a number that is never used twice, since a job whose
/// lease was lost may come back while its former handler still stops.
#[derive(Default)]
pub(crate) struct Leases(Mutex<Book>);

#[derive(Default)]
struct Book {
    next: u64,
    entries: BTreeMap<u64, Entry>,
}

impl Leases {
    /// Takes claimed leases in; answers their tickets and lines, in order.
    pub(crate) fn hold(
        &self,
        held: impl Iterator<Item = Held>,
        until: Timestamp,
    ) -> Vec<(u64, Arc<Control>)> {
        let mut state = lock(&self.0);
        held.map(|held| {
            let (ticket, control) = (state.next, Arc::new(Control::default()));
            state.next += 1;
            state.entries.insert(ticket, Entry { held, control: Arc::clone(&control), until });
            (ticket, control)
        })
        .collect()
    }

    /// These are settled, or nobody's concern any more.
    pub(crate) fn release(&self, tickets: impl Iterator<Item = u64>) {
        let mut state = lock(&self.0);
        for ticket in tickets {
            state.entries.remove(&ticket);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).entries.is_empty()
    }

    pub(crate) fn stop_all(&self, why: Stop) {
        for entry in lock(&self.0).entries.values() {
            entry.control.stop(why);
        }
    }

    /// Leases that end before `before`, and those with progress to send; at most `max`.
    fn due(&self, before: Timestamp, max: usize) -> (Vec<u64>, Vec<Extension>) {
        let state = lock(&self.0);
        let live = state
            .entries
            .iter()
            .filter(|(_, e)| !matches!(e.control.stopped(), Some(Stop::Lost | Stop::Expired)));
        live.filter_map(|(ticket, entry)| {
            let progress = lock(&entry.control.progress).take();
            (entry.until <= before || progress.is_some())
                .then(|| (*ticket, Extension { held: entry.held.clone(), progress }))
        })
        .take(max)
        .unzip()
    }

    fn kept(&self, ticket: u64, until: Timestamp) -> Option<Arc<Control>> {
        let mut state = lock(&self.0);
        let entry = state.entries.get_mut(&ticket)?;
        entry.until = until;
        Some(Arc::clone(&entry.control))
    }

    /// The lease is gone; answers it if its job was still at work.
    fn lost(&self, ticket: u64) -> Option<(Held, Arc<Control>)> {
        let mut state = lock(&self.0);
        state.entries.get(&ticket).filter(|entry| !entry.control.has_ended())?;
        let entry = state.entries.remove(&ticket)?;
        Some((entry.held, entry.control))
    }

    /// Progress that could not be sent, unless newer has come.
    fn put_back(&self, tickets: &[u64], batch: Vec<Extension>) {
        let state = lock(&self.0);
        for (ticket, extension) in tickets.iter().zip(batch) {
            if let Some(entry) = state.entries.get(ticket) {
                let mut progress = lock(&entry.control.progress);
                *progress = progress.take().or(extension.progress);
            }
        }
    }

    /// Stops what ends before `before`; answers those, and when the next one ends.
    fn expire(&self, before: Timestamp) -> (Vec<Held>, Option<Timestamp>) {
        let state = lock(&self.0);
        let mut expired = Vec::new();
        let mut next = None;
        for entry in state.entries.values().filter(|e| !e.control.has_ended()) {
            if entry.until > before {
                next = Some(next.map_or(entry.until, |n: Timestamp| n.min(entry.until)));
            } else if entry.control.stop(Stop::Expired) {
                expired.push(entry.held.clone());
            }
        }
        (expired, next)
    }
}

/// Extends leases each heartbeat, until dropped.
pub(crate) async fn keep(shared: &Shared) {
    let heartbeat = shared.settings.heartbeat;
    loop {
        tokio::time::sleep(heartbeat).await;
        beat(shared).await;
    }
}

/// One heartbeat: everything that ends before the one after the next would save it, and progress.
async fn beat(shared: &Shared) {
    let settings = &shared.settings;
    let max = shared.ports.queue.capabilities().max_batch.clamp(1, 1024);
    loop {
        let now = shared.clock.now();
        let until = after(now, settings.lease);
        // Young leases are left alone: most jobs are over before their first extension.
        let before = after(now, settings.lease.saturating_sub(settings.heartbeat / 2));
        let (tickets, batch) = shared.leases.due(before, max);
        if batch.is_empty() {
            return;
        }
        let call = shared.ports.queue.extend(&batch, until, now);
        let result = match tokio::time::timeout(settings.heartbeat, call).await {
            Ok(result) => result,
            Err(_) => Err(QueueError::plain(
                QueueErrorKind::Unavailable,
                format!("no answer to an extension of leases within {:?}", settings.heartbeat),
            )),
        };
        shared.observer.port(Call::Extend, &result);
        let full = batch.len() == max;
        match result {
            Ok(answers) => {
                heed(shared, &tickets, &answers, until);
                if let Some(bell) = &shared.bell {
                    let news = batch.iter().filter(|extension| extension.progress.is_some());
                    news.for_each(|extension| bell.progressed(&extension.held));
                }
            }
            Err(_) => {
                shared.leases.put_back(&tickets, batch);
                return;
            }
        }
        if !full {
            return;
        }
    }
}

fn heed(shared: &Shared, tickets: &[u64], answers: &[Lease], until: Timestamp) {
    for (ticket, answer) in tickets.iter().zip(answers) {
        match answer {
            Lease::Kept { cancel } => {
                if let Some(control) = shared.leases.kept(*ticket, until).filter(|_| *cancel) {
                    control.stop(Stop::Cancel);
                }
            }
            Lease::Lost => {
                if let Some((held, control)) = shared.leases.lost(*ticket) {
                    control.stop(Stop::Lost);
                    shared.observer.lease_lost(
                        held.id,
                        "the job is finished or held by another worker; its handler is stopped",
                    );
                }
            }
        }
    }
}

/// Stops jobs whose lease is about to end, until dropped. A lease claimed while this sleeps ends
/// later than all it knows of, so nothing needs to wake it.
pub(crate) async fn expire(shared: &Shared) {
    let (lease, margin) = (shared.settings.lease, shared.settings.margin());
    loop {
        let now = shared.clock.now();
        let (expired, next) = shared.leases.expire(after(now, margin));
        for held in expired {
            shared
                .observer
                .lease_lost(held.id, "it could not be extended in time; the handler is stopped");
        }
        let wait = next.map_or(lease, |until| between(now, until)).saturating_sub(margin);
        tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic never leaves these states half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_core::clock::{Clock, ManualClock};
    use flotilla_core::{Fence, JobId, Receipt};

    fn held(n: u64) -> Held {
        Held { id: JobId::derived(&n.to_string()), fence: Fence(1), receipt: Receipt::None }
    }

    #[test]
    fn young_leases_are_left_alone_unless_they_have_progress() {
        let (leases, now) = (Leases::default(), ManualClock::default().now());
        let second = Duration::from_secs(1);
        leases.hold([held(1)].into_iter(), after(now, second * 5));
        let young = leases.hold([held(2), held(3)].into_iter(), after(now, second * 15));
        assert_eq!(leases.due(after(now, second * 10), 100).0, [0]);
        young[0].1.sink()(Progress { fraction: 0.5, message: String::new() });
        let (tickets, batch) = leases.due(after(now, second * 10), 100);
        assert_eq!(tickets, [0, 1]);
        leases.put_back(&tickets, batch);
        assert_eq!(leases.due(now, 100).0, [1], "progress is sent until it was");
        assert!(leases.due(now, 100).0.is_empty(), "and not again");
    }

    #[test]
    fn what_ends_is_stopped_once_and_the_next_end_is_known() {
        let (leases, now) = (Leases::default(), ManualClock::default().now());
        let second = Duration::from_secs(1);
        let lines = leases.hold([held(1)].into_iter(), after(now, second));
        leases.hold([held(2)].into_iter(), after(now, second * 9));
        let (expired, next) = leases.expire(after(now, second));
        assert_eq!((expired, next), (vec![held(1)], Some(after(now, second * 9))));
        assert_eq!(lines[0].1.stopped(), Some(Stop::Expired));
        assert!(!lines[0].1.stop(Stop::Cancel), "the first reason stays");
        assert!(leases.expire(after(now, second)).0.is_empty());
    }
}
