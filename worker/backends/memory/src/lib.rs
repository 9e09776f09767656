//! The reference model: jobs in ordered maps behind one lock.
//!
//! It is what the other backends are compared with, so it is written to be read, not to be fast:
//! every question is a walk over all jobs, every change of state goes through
//! `state::transition`, the order of claims through `fair::bands` and `fair::tag`. Nothing
//! survives the process; use it in tests and for trying things out.
//!
//! An instant has come when `now` reaches it: a job due at 12:00 is claimable at 12:00, a lease
//! until 12:00 has run out at 12:00, and so for deadlines, retention and windows of unique keys.

mod broker;
mod cells;
mod claim;
mod enqueue;
mod fleet;
mod flow;
mod housekeep;
mod line;
mod outbox;
mod records;
mod settle;
mod store;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::clock::Timestamp;
use flotilla_core::ids::WorkerId;
use flotilla_core::queue::{
    Capabilities, Claims, Enqueued, Extension, HousekeepPolicy, Housekeeping, LaneDemand, Lease,
    NewJob, Queue, QueueError, QueueErrorKind, Settled, Settlement,
};
use tokio::sync::watch;

use crate::fleet::Workers;
use crate::store::Store;

/// The bounds a [`Memory`] declares and keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Largest payload, in bytes; a larger one is answered `Rejected`.
    pub max_payload: usize,
    /// Largest batch of one call; a larger one is an error of kind `Invalid`.
    pub max_batch: usize,
    /// Every end is marked as not yet told, for `Outbox`.
    pub events: bool,
}

impl Default for Settings {
    /// One mebibyte, a thousand jobs, no events.
    fn default() -> Self {
        Self { max_payload: 1 << 20, max_batch: 1000, events: false }
    }
}

/// Jobs, pauses, workers and cells in memory: every port of one process, also the store behind a
/// broker.
#[derive(Debug)]
pub struct Memory {
    capabilities: Capabilities,
    store: Mutex<Store>,
    workers: Mutex<Workers>,
    wakes: watch::Sender<u64>,
    changes: watch::Sender<u64>,
}

impl Memory {
    /// An empty one.
    pub fn new(settings: Settings) -> Self {
        let Settings { max_payload, max_batch, .. } = settings;
        Self {
            capabilities: Capabilities {
                name: "memory",
                durable: false,
                processes: false,
                max_payload,
                max_batch,
                fair: true,
                ordering: true,
            },
            store: Mutex::new(Store::new(settings)),
            workers: Mutex::default(),
            wakes: watch::Sender::new(0),
            changes: watch::Sender::new(0),
        }
    }

    /// Reads. A panic elsewhere does not make the jobs unreadable.
    fn look<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        look(&self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes, then tells who watches.
    fn alter<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let answer = change(&mut self.store.lock().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_modify(|n| *n += 1);
        answer
    }

    /// Writes what may make jobs claimable, then tells claimers too.
    fn alter_and_wake<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let answer = self.alter(change);
        self.wakes.send_modify(|n| *n += 1);
        answer
    }

    fn bounded(&self, given: usize) -> Result<(), QueueError> {
        let most = self.capabilities.max_batch;
        if given <= most {
            return Ok(());
        }
        let message = format!("a batch of {given} was given; split it, at most {most} are allowed");
        Err(QueueError::plain(QueueErrorKind::Invalid, message))
    }
}

#[async_trait]
impl Queue for Memory {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn enqueue(&self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Enqueued>, QueueError> {
        self.bounded(jobs.len())?;
        Ok(self.alter_and_wake(|store| jobs.iter().map(|job| store.enqueue(job, now)).collect()))
    }

    async fn claim(
        &self,
        lanes: &[LaneDemand],
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Claims, QueueError> {
        Ok(self.alter(|store| store.claim(lanes, worker, lease, now)))
    }

    async fn extend(
        &self,
        leases: &[Extension],
        until: Timestamp,
        _now: Timestamp,
    ) -> Result<Vec<Lease>, QueueError> {
        self.bounded(leases.len())?;
        Ok(self.alter(|store| leases.iter().map(|lease| store.extend(lease, until)).collect()))
    }

    async fn settle(
        &self,
        done: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>, QueueError> {
        self.bounded(done.len())?;
        Ok(self.alter_and_wake(|store| done.iter().map(|one| store.settle(one, now)).collect()))
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }

    async fn housekeep(
        &self,
        policy: &HousekeepPolicy,
        now: Timestamp,
    ) -> Result<Housekeeping, QueueError> {
        let done = self.alter(|store| store.housekeep(policy, now));
        // An end may move the line of an ordering key or complete a flow.
        if done != Housekeeping::default() {
            self.wakes.send_modify(|n| *n += 1);
        }
        Ok(done)
    }
}
