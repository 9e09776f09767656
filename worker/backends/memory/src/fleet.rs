//! Who is there, who shall drain, and which cron entry fired when.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use async_trait::async_trait;
use flotilla_core::clock::Timestamp;
use flotilla_core::fleet::{Fleet, Orders, WorkerInfo};
use flotilla_core::ids::WorkerId;
use flotilla_core::queue::QueueError;

use crate::Memory;

/// What the workers know of each other.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    seen: BTreeMap<WorkerId, (WorkerInfo, Orders)>,
    fired: BTreeMap<String, Timestamp>,
}

impl Memory {
    fn fleet<T>(&self, change: impl FnOnce(&mut Workers) -> T) -> T {
        change(&mut self.workers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Fleet for Memory {
    async fn heartbeat(&self, me: &WorkerInfo, now: Timestamp) -> Result<Orders, QueueError> {
        let info = WorkerInfo { seen_at: now, ..me.clone() };
        Ok(self.fleet(|workers| {
            let orders = workers.seen.get(&me.id).map(|(_, orders)| *orders).unwrap_or_default();
            workers.seen.insert(me.id.clone(), (info, orders));
            orders
        }))
    }

    async fn leave(&self, id: &WorkerId) -> Result<(), QueueError> {
        self.fleet(|workers| workers.seen.remove(id));
        Ok(())
    }

    async fn workers(&self, since: Timestamp) -> Result<Vec<WorkerInfo>, QueueError> {
        let seen = |workers: &mut Workers| {
            let all = workers.seen.values().map(|(info, _)| info);
            all.filter(|info| info.seen_at >= since).cloned().collect()
        };
        Ok(self.fleet(seen))
    }

    async fn ask_drain(&self, id: &WorkerId) -> Result<bool, QueueError> {
        let asked = |workers: &mut Workers| {
            workers.seen.get_mut(id).map(|(_, orders)| orders.drain = true).is_some()
        };
        Ok(self.fleet(asked))
    }

    async fn last_fire(&self, name: &str) -> Result<Option<Timestamp>, QueueError> {
        Ok(self.fleet(|workers| workers.fired.get(name).copied()))
    }

    async fn set_last_fire(&self, name: &str, at: Timestamp) -> Result<(), QueueError> {
        self.fleet(|workers| {
            let last = workers.fired.entry(name.to_owned()).or_insert(at);
            *last = (*last).max(at);
        });
        Ok(())
    }
}
