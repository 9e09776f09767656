//! Ends that nobody was told of yet.

use async_trait::async_trait;
use flotilla_core::ids::{Fence, JobId};
use flotilla_core::outbox::{Outbox, Untold};
use flotilla_core::queue::QueueError;

use crate::Memory;
use crate::store::Store;

/// The longest list.
const MOST: usize = 1000;

impl Store {
    fn untold(&self, limit: usize) -> Vec<Untold> {
        let ids = self.select(|row| row.untold, |row| row.finished_at, limit.min(MOST));
        let of = |id: &JobId| {
            let row = &self.rows[id];
            Untold { record: row.record(), fence: row.fence }
        };
        ids.iter().map(of).collect()
    }

    fn told(&mut self, id: JobId, fence: Fence) {
        if let Some(row) = self.rows.get_mut(&id).filter(|row| row.fence == fence) {
            row.untold = false;
        }
    }
}

#[async_trait]
impl Outbox for Memory {
    async fn untold(&self, limit: usize) -> Result<Vec<Untold>, QueueError> {
        Ok(self.look(|store| store.untold(limit)))
    }

    async fn told(&self, ends: &[(JobId, Fence)]) -> Result<(), QueueError> {
        self.alter(|store| ends.iter().for_each(|(id, fence)| store.told(*id, *fence)));
        Ok(())
    }
}
