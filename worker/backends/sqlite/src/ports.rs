//! The ports, each call handed to the writer or to a reader.

use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::cells::{Cell, CellWrite, Cells};
use flotilla_core::clock::Timestamp;
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

use crate::piece::Sort;
use crate::{
    Sqlite, amend, cells, claim, desk, enqueue, extend, fleet, housekeep, outbox, records, settle,
};

type Answer<T> = Result<T, QueueError>;

#[async_trait]
impl Queue for Sqlite {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn enqueue(&self, jobs: &[NewJob], now: Timestamp) -> Answer<Vec<Enqueued>> {
        if jobs.len() > self.capabilities.max_batch {
            let most = self.capabilities.max_batch;
            let message = format!("{} jobs in one enqueue; at most {most} are allowed", jobs.len());
            return Err(QueueError::plain(QueueErrorKind::Invalid, message));
        }
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let jobs = jobs.to_vec();
        self.write(Sort::Durable, jobs.len(), move |tx| enqueue::enqueue(tx, &jobs, now)).await
    }

    async fn claim(
        &self,
        lanes: &[LaneDemand],
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Answer<Claims> {
        let (lanes, worker) = (lanes.to_vec(), worker.clone());
        let weight = lanes.iter().map(|lane| lane.slots).sum();
        self.write(Sort::Light, weight, move |tx| claim::claim(tx, &lanes, &worker, lease, now))
            .await
    }

    async fn extend(
        &self,
        leases: &[Extension],
        until: Timestamp,
        _now: Timestamp,
    ) -> Answer<Vec<Lease>> {
        let leases = leases.to_vec();
        self.write(Sort::Light, leases.len(), move |tx| extend::extend(tx, &leases, until)).await
    }

    async fn settle(&self, done: &[Settlement], now: Timestamp) -> Answer<Vec<Settled>> {
        if done.is_empty() {
            return Ok(Vec::new());
        }
        let done = done.to_vec();
        let weight = done.iter().map(settle::weight).sum();
        self.write(Sort::Durable, weight, move |tx| settle::settle(tx, &done, now)).await
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.bell.wakes()
    }

    async fn housekeep(&self, policy: &HousekeepPolicy, now: Timestamp) -> Answer<Housekeeping> {
        let policy = policy.clone();
        self.write(Sort::Upkeep, policy.batch, move |tx| housekeep::housekeep(tx, &policy, now))
            .await
    }
}

#[async_trait]
impl Records for Sqlite {
    async fn get(&self, id: JobId) -> Answer<Option<JobRecord>> {
        self.read_durably(move |db| records::get(db, id)).await
    }

    async fn list(&self, filter: &Filter, page: Page) -> Answer<Listed> {
        let filter = filter.clone();
        self.read_durably(move |db| records::list(db, &filter, page)).await
    }

    async fn count(&self, filter: &Filter) -> Answer<u64> {
        let filter = filter.clone();
        self.readers.read(move |db| records::count(db, &filter)).await
    }

    async fn lanes(&self) -> Answer<Vec<LaneInfo>> {
        self.readers.read(records::lanes).await
    }

    async fn cancel(&self, ids: &[JobId], reason: &str, now: Timestamp) -> Answer<Vec<Cancel>> {
        let (ids, reason) = (ids.to_vec(), reason.to_owned());
        self.write(Sort::Durable, ids.len(), move |tx| desk::cancel(tx, &ids, &reason, now)).await
    }

    async fn run_now(&self, ids: &[JobId], now: Timestamp) -> Answer<Vec<RunNow>> {
        let ids = ids.to_vec();
        self.write(Sort::Durable, ids.len(), move |tx| desk::run_now(tx, &ids, now)).await
    }

    async fn pause(&self, lane: &Lane, pause: Pause) -> Answer<()> {
        let lane = lane.clone();
        self.write(Sort::Durable, 1, move |tx| desk::pause(tx, &lane, &pause)).await
    }

    async fn resume(&self, lane: &Lane) -> Answer<bool> {
        let lane = lane.clone();
        self.write(Sort::Durable, 1, move |tx| desk::resume(tx, &lane)).await
    }

    async fn wake(&self, key: &str, limit: usize, now: Timestamp) -> Answer<u64> {
        let key = key.to_owned();
        self.write(Sort::Durable, limit, move |tx| desk::wake(tx, &key, limit, now)).await
    }

    async fn replay(&self, filter: &Filter, limit: usize, now: Timestamp) -> Answer<Replay> {
        let filter = filter.clone();
        self.write(Sort::Durable, limit, move |tx| desk::replay(tx, &filter, limit, now)).await
    }

    async fn amend(&self, changes: &[Amend], now: Timestamp) -> Answer<Vec<Amended>> {
        let changes = changes.to_vec();
        self.write(Sort::Durable, changes.len(), move |tx| amend::amend(tx, &changes, now)).await
    }

    async fn discard(
        &self,
        filter: &Filter,
        reason: &str,
        limit: usize,
        _now: Timestamp,
    ) -> Answer<u64> {
        let (filter, reason) = (filter.clone(), reason.to_owned());
        self.write(Sort::Durable, limit, move |tx| desk::discard(tx, &filter, &reason, limit)).await
    }

    async fn purge(&self, filter: &Filter, limit: usize) -> Answer<u64> {
        let filter = filter.clone();
        self.write(Sort::Durable, limit, move |tx| desk::purge(tx, &filter, limit)).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.bell.changes()
    }
}

#[async_trait]
impl Fleet for Sqlite {
    async fn heartbeat(&self, me: &WorkerInfo, now: Timestamp) -> Answer<Orders> {
        let me = me.clone();
        self.write(Sort::Light, 1, move |tx| fleet::heartbeat(tx, &me, now)).await
    }

    async fn leave(&self, id: &WorkerId) -> Answer<()> {
        let id = id.clone();
        self.write(Sort::Light, 1, move |tx| fleet::leave(tx, &id)).await
    }

    async fn workers(&self, since: Timestamp) -> Answer<Vec<WorkerInfo>> {
        self.readers.read(move |db| fleet::workers(db, since)).await
    }

    async fn ask_drain(&self, id: &WorkerId) -> Answer<bool> {
        let id = id.clone();
        self.write(Sort::Durable, 1, move |tx| fleet::ask_drain(tx, &id)).await
    }

    async fn last_fire(&self, name: &str) -> Answer<Option<Timestamp>> {
        let name = name.to_owned();
        self.readers.read(move |db| fleet::last_fire(db, &name)).await
    }

    async fn set_last_fire(&self, name: &str, at: Timestamp) -> Answer<()> {
        let name = name.to_owned();
        self.write(Sort::Durable, 1, move |tx| fleet::set_last_fire(tx, &name, at)).await
    }
}

#[async_trait]
impl Cells for Sqlite {
    async fn read(&self, keys: &[String], now: Timestamp) -> Answer<Vec<Option<Cell>>> {
        let keys = keys.to_vec();
        self.readers.read(move |db| cells::read(db, &keys, now)).await
    }

    async fn write(&self, changes: &[CellWrite], now: Timestamp) -> Answer<Vec<bool>> {
        changes.iter().try_for_each(CellWrite::check)?;
        let changes = changes.to_vec();
        self.write(Sort::Durable, changes.len(), move |tx| cells::write(tx, &changes, now)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Answer<Vec<(String, Cell)>> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.readers.read(move |db| cells::list(db, &prefix, after.as_deref(), limit, now)).await
    }
}

#[async_trait]
impl Outbox for Sqlite {
    async fn untold(&self, limit: usize) -> Answer<Vec<Untold>> {
        self.read_durably(move |db| outbox::untold(db, limit)).await
    }

    async fn told(&self, ends: &[(JobId, Fence)]) -> Answer<()> {
        let ends = ends.to_vec();
        self.write(Sort::Durable, ends.len(), move |tx| outbox::told(tx, &ends)).await
    }
}
