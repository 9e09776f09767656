//! The ports: the queue is the pair's, the rest is the store's.

use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::broker::{Broker, Store};
use flotilla_core::cells::{Cell, CellWrite, Cells};
use flotilla_core::clock::{SharedTime, Timestamp};
use flotilla_core::fleet::{Fleet, Orders, WorkerInfo};
use flotilla_core::ids::{Fence, JobId, Lane, WorkerId};
use flotilla_core::outbox::{Outbox, Untold};
use flotilla_core::queue::{
    Capabilities, Claims, Enqueued, Extension, HousekeepPolicy, Housekeeping, LaneDemand, Lease,
    NewJob, Queue, QueueError, Settled, Settlement,
};
use flotilla_core::records::{
    Cancel, Filter, JobRecord, LaneInfo, Listed, Page, Pause, Records, Replay, RunNow,
};
use flotilla_core::replay::{Amend, Amended};
use tokio::sync::watch;

use crate::Brokered;
use crate::claim::Term;

#[async_trait]
impl<B: Broker, S: Store> Queue for Brokered<B, S> {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn enqueue(&self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Enqueued>, QueueError> {
        self.make(jobs, now).await
    }

    async fn claim(
        &self,
        lanes: &[LaneDemand],
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Claims, QueueError> {
        self.take(lanes, Term { worker, lease, now }).await
    }

    async fn extend(
        &self,
        leases: &[Extension],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Lease>, QueueError> {
        self.keep(leases, until, now).await
    }

    async fn settle(
        &self,
        done: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>, QueueError> {
        self.record_outcomes(done, now).await
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }

    async fn housekeep(
        &self,
        policy: &HousekeepPolicy,
        now: Timestamp,
    ) -> Result<Housekeeping, QueueError> {
        self.keep_house(policy, now).await
    }
}

/// What the desk does may make jobs available: the next claim looks for them.
#[async_trait]
impl<B: Broker, S: Store + Records> Records for Brokered<B, S> {
    async fn get(&self, id: JobId) -> Result<Option<JobRecord>, QueueError> {
        self.store.get(id).await
    }

    async fn list(&self, filter: &Filter, page: Page) -> Result<Listed, QueueError> {
        self.store.list(filter, page).await
    }

    async fn count(&self, filter: &Filter) -> Result<u64, QueueError> {
        self.store.count(filter).await
    }

    async fn lanes(&self) -> Result<Vec<LaneInfo>, QueueError> {
        self.store.lanes().await
    }

    async fn cancel(
        &self,
        ids: &[JobId],
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<Cancel>, QueueError> {
        let answers = self.store.cancel(ids, reason, now).await;
        self.sweep_soon();
        answers
    }

    async fn run_now(&self, ids: &[JobId], now: Timestamp) -> Result<Vec<RunNow>, QueueError> {
        let answers = self.store.run_now(ids, now).await;
        self.sweep_soon();
        answers
    }

    async fn pause(&self, lane: &Lane, pause: Pause) -> Result<(), QueueError> {
        let answer = self.store.pause(lane, pause).await;
        self.sweep_soon();
        answer
    }

    async fn resume(&self, lane: &Lane) -> Result<bool, QueueError> {
        let answer = self.store.resume(lane).await;
        self.sweep_soon();
        answer
    }

    async fn wake(&self, key: &str, limit: usize, now: Timestamp) -> Result<u64, QueueError> {
        let answer = self.store.wake(key, limit, now).await;
        self.sweep_soon();
        answer
    }

    async fn replay(
        &self,
        filter: &Filter,
        limit: usize,
        now: Timestamp,
    ) -> Result<Replay, QueueError> {
        let answer = self.store.replay(filter, limit, now).await;
        self.sweep_soon();
        answer
    }

    async fn amend(&self, changes: &[Amend], now: Timestamp) -> Result<Vec<Amended>, QueueError> {
        let answers = self.store.amend(changes, now).await;
        self.sweep_soon();
        answers
    }

    async fn discard(
        &self,
        filter: &Filter,
        reason: &str,
        limit: usize,
        now: Timestamp,
    ) -> Result<u64, QueueError> {
        self.store.discard(filter, reason, limit, now).await
    }

    async fn purge(&self, filter: &Filter, limit: usize) -> Result<u64, QueueError> {
        self.store.purge(filter, limit).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.store.changes()
    }
}

#[async_trait]
impl<B: Broker, S: Store + Fleet> Fleet for Brokered<B, S> {
    async fn heartbeat(&self, me: &WorkerInfo, now: Timestamp) -> Result<Orders, QueueError> {
        self.store.heartbeat(me, now).await
    }

    async fn time(&self) -> Result<Option<SharedTime>, QueueError> {
        self.store.time().await
    }

    async fn leave(&self, id: &WorkerId) -> Result<(), QueueError> {
        self.store.leave(id).await
    }

    async fn workers(&self, since: Timestamp) -> Result<Vec<WorkerInfo>, QueueError> {
        self.store.workers(since).await
    }

    async fn ask_drain(&self, id: &WorkerId) -> Result<bool, QueueError> {
        self.store.ask_drain(id).await
    }

    async fn last_fire(&self, name: &str) -> Result<Option<Timestamp>, QueueError> {
        self.store.last_fire(name).await
    }

    async fn set_last_fire(&self, name: &str, at: Timestamp) -> Result<(), QueueError> {
        self.store.set_last_fire(name, at).await
    }
}

#[async_trait]
impl<B: Broker, S: Store + Cells> Cells for Brokered<B, S> {
    async fn read(&self, keys: &[String], now: Timestamp) -> Result<Vec<Option<Cell>>, QueueError> {
        self.store.read(keys, now).await
    }

    async fn write(&self, changes: &[CellWrite], now: Timestamp) -> Result<Vec<bool>, QueueError> {
        self.store.write(changes, now).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(String, Cell)>, QueueError> {
        Cells::list(&*self.store, prefix, after, limit, now).await
    }
}

#[async_trait]
impl<B: Broker, S: Store + Outbox> Outbox for Brokered<B, S> {
    async fn untold(&self, limit: usize) -> Result<Vec<Untold>, QueueError> {
        self.store.untold(limit).await
    }

    async fn told(&self, ends: &[(JobId, Fence)]) -> Result<(), QueueError> {
        self.store.told(ends).await
    }
}
