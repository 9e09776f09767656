//! The ports. A call that was undone because it and another one were in each other's way
//! is made again.

use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::broker::{Burial, Store, Taken};
use flotilla_core::cells::{Cell, CellWrite, Cells};
use flotilla_core::clock::{SharedTime, Timestamp};
use flotilla_core::fleet::{Fleet, Orders, WorkerInfo};
use flotilla_core::ids::{Fence, JobId, Lane, WorkerId};
use flotilla_core::outbox::{Outbox, Untold};
use flotilla_core::queue::{
    Capabilities, Claims, Enqueued, Extension, HousekeepPolicy, Housekeeping, LaneDemand, Lease,
    NewJob, Queue, QueueError, QueueErrorKind, Settled, Settlement,
};
use flotilla_core::records::{
    Cancel, Filter, JobRecord, LaneInfo, Listed, Page, Pause, Records, Replay, RunNow,
};
use flotilla_core::replay::{Amend, Amended};
use tokio::sync::watch;

use crate::Postgres;
use crate::gather;

type Answer<T> = Result<T, QueueError>;

/// How often a call is made again after a conflict.
pub(crate) const AGAIN: usize = 5;

macro_rules! until_alone {
    ($call:expr) => {{
        let mut tries = 0;
        loop {
            match $call.await {
                Err(fault) if fault.is_conflict() && tries < $crate::ports::AGAIN => tries += 1,
                done => break Ok(done?),
            }
        }
    }};
}

impl Postgres {
    fn bounded(&self, jobs: usize) -> Answer<()> {
        let most = self.capabilities.max_batch;
        if jobs <= most {
            return Ok(());
        }
        let message = format!("{jobs} jobs in one call; at most {most} are allowed");
        Err(QueueError::plain(QueueErrorKind::Invalid, message))
    }
}

pub(crate) use until_alone;

#[async_trait]
impl Queue for Postgres {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn enqueue(&self, jobs: &[NewJob], now: Timestamp) -> Answer<Vec<Enqueued>> {
        self.bounded(jobs.len())?;
        if gather::is_small(jobs) {
            return self.make_with_others(jobs, now).await;
        }
        until_alone!(self.make(jobs, false, now))
    }

    async fn claim(
        &self,
        lanes: &[LaneDemand],
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Answer<Claims> {
        until_alone!(self.take(lanes, worker, lease, now))
    }

    async fn extend(
        &self,
        leases: &[Extension],
        until: Timestamp,
        _now: Timestamp,
    ) -> Answer<Vec<Lease>> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        until_alone!(self.keep(leases, until))
    }

    async fn settle(&self, done: &[Settlement], now: Timestamp) -> Answer<Vec<Settled>> {
        if done.is_empty() {
            return Ok(Vec::new());
        }
        until_alone!(self.record(done, now))
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.bell.wakes()
    }

    async fn housekeep(&self, policy: &HousekeepPolicy, now: Timestamp) -> Answer<Housekeeping> {
        until_alone!(self.keep_house(policy, now))
    }
}

#[async_trait]
impl Records for Postgres {
    async fn get(&self, id: JobId) -> Answer<Option<JobRecord>> {
        Ok(self.find(id).await?)
    }

    async fn list(&self, filter: &Filter, page: Page) -> Answer<Listed> {
        Ok(self.page(filter, page).await?)
    }

    async fn count(&self, filter: &Filter) -> Answer<u64> {
        Ok(self.number_of(filter).await?)
    }

    async fn lanes(&self) -> Answer<Vec<LaneInfo>> {
        Ok(self.all_lanes().await?)
    }

    async fn cancel(&self, ids: &[JobId], reason: &str, now: Timestamp) -> Answer<Vec<Cancel>> {
        until_alone!(self.cancel_all(ids, reason, now))
    }

    async fn run_now(&self, ids: &[JobId], now: Timestamp) -> Answer<Vec<RunNow>> {
        until_alone!(self.make_due(ids, now))
    }

    async fn pause(&self, lane: &Lane, pause: Pause) -> Answer<()> {
        until_alone!(self.set_pause(lane, &pause))
    }

    async fn resume(&self, lane: &Lane) -> Answer<bool> {
        until_alone!(self.end_pause(lane))
    }

    async fn wake(&self, key: &str, limit: usize, now: Timestamp) -> Answer<u64> {
        until_alone!(self.wake_parked(key, limit, now))
    }

    async fn replay(&self, filter: &Filter, limit: usize, now: Timestamp) -> Answer<Replay> {
        until_alone!(self.put_back(filter, limit, now))
    }

    async fn amend(&self, changes: &[Amend], now: Timestamp) -> Answer<Vec<Amended>> {
        until_alone!(self.change(changes, now))
    }

    async fn discard(
        &self,
        filter: &Filter,
        reason: &str,
        limit: usize,
        _now: Timestamp,
    ) -> Answer<u64> {
        until_alone!(self.put_aside(filter, reason, limit))
    }

    async fn purge(&self, filter: &Filter, limit: usize) -> Answer<u64> {
        until_alone!(self.delete(filter, limit))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.bell.changes()
    }
}

#[async_trait]
impl Fleet for Postgres {
    async fn heartbeat(&self, me: &WorkerInfo, now: Timestamp) -> Answer<Orders> {
        until_alone!(self.beat(me, now))
    }

    async fn time(&self) -> Answer<Option<SharedTime>> {
        Ok(Some(SharedTime { at: self.clock().await?, within: Duration::ZERO }))
    }

    async fn leave(&self, id: &WorkerId) -> Answer<()> {
        until_alone!(self.forget(id))
    }

    async fn workers(&self, since: Timestamp) -> Answer<Vec<WorkerInfo>> {
        Ok(self.seen_since(since).await?)
    }

    async fn ask_drain(&self, id: &WorkerId) -> Answer<bool> {
        until_alone!(self.want_drain(id))
    }

    async fn last_fire(&self, name: &str) -> Answer<Option<Timestamp>> {
        Ok(self.fired(name).await?)
    }

    async fn set_last_fire(&self, name: &str, at: Timestamp) -> Answer<()> {
        until_alone!(self.set_fired(name, at))
    }
}

#[async_trait]
impl Cells for Postgres {
    async fn read(&self, keys: &[String], now: Timestamp) -> Answer<Vec<Option<Cell>>> {
        Ok(self.read_cells(keys, now).await?)
    }

    async fn write(&self, changes: &[CellWrite], now: Timestamp) -> Answer<Vec<bool>> {
        changes.iter().try_for_each(CellWrite::check)?;
        until_alone!(self.write_cells(changes, now))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Answer<Vec<(String, Cell)>> {
        Ok(self.list_cells(prefix, after, limit, now).await?)
    }
}

#[async_trait]
impl Outbox for Postgres {
    async fn untold(&self, limit: usize) -> Answer<Vec<Untold>> {
        Ok(self.ends_untold(limit).await?)
    }

    async fn told(&self, ends: &[(JobId, Fence)]) -> Answer<()> {
        until_alone!(self.mark_told(ends))
    }
}

#[async_trait]
impl Store for Postgres {
    async fn insert(&self, jobs: &[NewJob], now: Timestamp) -> Answer<Vec<Enqueued>> {
        self.bounded(jobs.len())?;
        until_alone!(self.make(jobs, true, now))
    }

    async fn take(
        &self,
        jobs: &[NewJob],
        make: bool,
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Answer<Vec<Taken>> {
        self.bounded(jobs.len())?;
        until_alone!(self.take_named(jobs, make, worker, lease, now))
    }

    async fn unpublished(
        &self,
        lanes: &[Lane],
        stale: Timestamp,
        limit: usize,
        now: Timestamp,
    ) -> Answer<Vec<NewJob>> {
        until_alone!(self.to_publish(lanes, stale, limit, now))
    }

    async fn republish(&self, ids: &[JobId]) -> Answer<()> {
        until_alone!(self.mark_unpublished(ids))
    }

    async fn paused(&self, lanes: &[Lane]) -> Answer<Vec<Lane>> {
        Ok(self.paused_of(lanes).await?)
    }

    async fn bury(&self, burials: &[Burial], now: Timestamp) -> Answer<()> {
        until_alone!(self.bury_all(burials, now))
    }
}
