//! A line as the engine's ports: every call goes through it, and the witness sees what took effect.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::cells::{Cell, CellWrite, Cells};
use flotilla_core::clock::{Timestamp, after};
use flotilla_core::fleet::{Fleet, Orders, WorkerInfo};
use flotilla_core::outbox::{Outbox, Untold};
use flotilla_core::queue::{
    Capabilities, Claims, Enqueued, Extension, HousekeepPolicy, Housekeeping, LaneDemand, Lease,
    NewJob, Queue, QueueError, Settled, Settlement,
};
use flotilla_core::records::{
    Cancel, Filter, JobRecord, LaneInfo, Listed, Page, Pause, Records, Replay, RunNow,
};
use flotilla_core::replay::{Amend, Amended};
use flotilla_core::sabotage::{self, Bug};
use flotilla_core::{Fence, JobId, Lane, WorkerId};
use tokio::sync::watch;

use crate::line::{Line, Sort};
use crate::store::at_once;

/// A line that is held by everything that may use it.
#[derive(Clone, Debug)]
pub(crate) struct Ports(pub(crate) Arc<Line>);

#[async_trait]
impl Queue for Ports {
    fn capabilities(&self) -> &Capabilities {
        self.0.store.capabilities()
    }

    async fn enqueue(&self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Enqueued>, QueueError> {
        let line = &self.0;
        let mut jobs = jobs.to_vec();
        if sabotage::committed(Bug::ForgetOrder) {
            jobs.iter_mut().for_each(|job| job.order = None);
        }
        let effect = || {
            let answers = at_once(line.store.enqueue(&jobs, now))?;
            line.ring();
            Ok(answers)
        };
        line.through("enqueue", Sort::Jobs, effect).await
    }

    async fn claim(
        &self,
        lanes: &[LaneDemand],
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Claims, QueueError> {
        let line = &self.0;
        let effect = || {
            let claims = at_once(line.store.claim(lanes, worker, lease, now))?;
            line.witness.claimed(&line.worker, &claims, after(now, lease));
            Ok(claims)
        };
        line.through("claim", Sort::Jobs, effect).await
    }

    async fn extend(
        &self,
        leases: &[Extension],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Lease>, QueueError> {
        let line = &self.0;
        let effect = || {
            let answers = at_once(line.store.extend(leases, until, now))?;
            line.witness.extended(leases, &answers, until);
            Ok(answers)
        };
        line.through("extend", Sort::Jobs, effect).await
    }

    async fn settle(
        &self,
        done: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>, QueueError> {
        let line = &self.0;
        line.late(done.to_vec(), now);
        line.through("settle", Sort::Jobs, || line.settle(done, now)).await
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.0.bells.hear()
    }

    async fn housekeep(
        &self,
        policy: &HousekeepPolicy,
        now: Timestamp,
    ) -> Result<Housekeeping, QueueError> {
        let line = &self.0;
        let policy = HousekeepPolicy { poison_after: line.poison_after, ..policy.clone() };
        let effect = || {
            let done = at_once(line.store.housekeep(&policy, now))?;
            if done.promoted + done.rescued > 0 {
                line.ring();
            }
            Ok(done)
        };
        line.through("housekeep", Sort::Jobs, effect).await
    }
}

#[async_trait]
impl Cells for Ports {
    async fn read(&self, keys: &[String], now: Timestamp) -> Result<Vec<Option<Cell>>, QueueError> {
        let line = &self.0;
        line.through("read", Sort::Cells, || at_once(line.store.read(keys, now))).await
    }

    async fn write(&self, changes: &[CellWrite], now: Timestamp) -> Result<Vec<bool>, QueueError> {
        let line = &self.0;
        let effect = || {
            let answers = at_once(line.store.write(changes, now))?;
            line.witness.written(changes, &answers);
            Ok(answers)
        };
        line.through("write", Sort::Cells, effect).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(String, Cell)>, QueueError> {
        let line = &self.0;
        let effect = || at_once(Cells::list(&*line.store, prefix, after, limit, now));
        line.through("list", Sort::Cells, effect).await
    }
}

#[async_trait]
impl Outbox for Ports {
    async fn untold(&self, limit: usize) -> Result<Vec<Untold>, QueueError> {
        let line = &self.0;
        line.through("untold", Sort::Jobs, || at_once(line.store.untold(limit))).await
    }

    async fn told(&self, ends: &[(JobId, Fence)]) -> Result<(), QueueError> {
        let line = &self.0;
        line.through("told", Sort::Jobs, || at_once(line.store.told(ends))).await
    }
}

#[async_trait]
impl Fleet for Ports {
    async fn heartbeat(&self, me: &WorkerInfo, now: Timestamp) -> Result<Orders, QueueError> {
        let line = &self.0;
        line.through("heartbeat", Sort::Jobs, || at_once(line.store.heartbeat(me, now))).await
    }

    async fn leave(&self, id: &WorkerId) -> Result<(), QueueError> {
        let line = &self.0;
        line.through("leave", Sort::Jobs, || at_once(line.store.leave(id))).await
    }

    async fn workers(&self, since: Timestamp) -> Result<Vec<WorkerInfo>, QueueError> {
        at_once(self.0.store.workers(since))
    }

    async fn ask_drain(&self, id: &WorkerId) -> Result<bool, QueueError> {
        at_once(self.0.store.ask_drain(id))
    }

    async fn last_fire(&self, name: &str) -> Result<Option<Timestamp>, QueueError> {
        at_once(self.0.store.last_fire(name))
    }

    async fn set_last_fire(&self, name: &str, at: Timestamp) -> Result<(), QueueError> {
        at_once(self.0.store.set_last_fire(name, at))
    }
}

#[async_trait]
impl Records for Ports {
    async fn get(&self, id: JobId) -> Result<Option<JobRecord>, QueueError> {
        let line = &self.0;
        line.through("get", Sort::Jobs, || at_once(line.store.get(id))).await
    }

    async fn list(&self, filter: &Filter, page: Page) -> Result<Listed, QueueError> {
        at_once(Records::list(&*self.0.store, filter, page))
    }

    async fn count(&self, filter: &Filter) -> Result<u64, QueueError> {
        at_once(self.0.store.count(filter))
    }

    async fn lanes(&self) -> Result<Vec<LaneInfo>, QueueError> {
        at_once(self.0.store.lanes())
    }

    async fn cancel(
        &self,
        ids: &[JobId],
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<Cancel>, QueueError> {
        at_once(self.0.store.cancel(ids, reason, now))
    }

    async fn run_now(&self, ids: &[JobId], now: Timestamp) -> Result<Vec<RunNow>, QueueError> {
        at_once(self.0.store.run_now(ids, now))
    }

    async fn pause(&self, lane: &Lane, pause: Pause) -> Result<(), QueueError> {
        at_once(self.0.store.pause(lane, pause))
    }

    async fn resume(&self, lane: &Lane) -> Result<bool, QueueError> {
        at_once(self.0.store.resume(lane))
    }

    async fn wake(&self, key: &str, limit: usize, now: Timestamp) -> Result<u64, QueueError> {
        let line = &self.0;
        let effect = || {
            let woken = at_once(line.store.wake(key, limit, now))?;
            line.ring();
            Ok(woken)
        };
        line.through("wake", Sort::Jobs, effect).await
    }

    async fn replay(
        &self,
        filter: &Filter,
        limit: usize,
        now: Timestamp,
    ) -> Result<Replay, QueueError> {
        at_once(self.0.store.replay(filter, limit, now))
    }

    async fn amend(&self, changes: &[Amend], now: Timestamp) -> Result<Vec<Amended>, QueueError> {
        at_once(self.0.store.amend(changes, now))
    }

    async fn discard(
        &self,
        filter: &Filter,
        reason: &str,
        limit: usize,
        now: Timestamp,
    ) -> Result<u64, QueueError> {
        at_once(self.0.store.discard(filter, reason, limit, now))
    }

    async fn purge(&self, filter: &Filter, limit: usize) -> Result<u64, QueueError> {
        at_once(self.0.store.purge(filter, limit))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.bells.hear()
    }
}
