//! Ends that nobody was told of yet.

use async_trait::async_trait;
use flotilla_core::ids::{Fence, JobId};
use flotilla_core::outbox::{Outbox, Untold};
use flotilla_core::queue::QueueError;

use super::Dynamo;
use super::lanes::Lanes;
use super::queue::gather;
use super::table::Index;
use super::tx::commit;
use super::walk::Walk;

/// The longest list.
const MOST: usize = 1000;

impl Dynamo {
    async fn untold_one(&self, mut row: super::row::Row) -> Result<Untold, QueueError> {
        self.db.fill(&mut row, true).await?;
        Ok(Untold { fence: row.fence, record: row.record() })
    }

    async fn told_one(
        &self,
        at: usize,
        id: JobId,
        fence: Fence,
    ) -> Result<Vec<(usize, ())>, QueueError> {
        let never = flotilla_core::clock::from_micros(0); // no instant is written
        commit!(self, never, tx => {
            if tx.row(id).await?.is_some_and(|row| row.fence == fence && row.untold) {
                tx.change(id)?.untold = false;
            }
        });
        Ok(vec![(at, ())])
    }
}

#[async_trait]
impl Outbox for Dynamo {
    async fn untold(&self, limit: usize) -> Result<Vec<Untold>, QueueError> {
        let limit = limit.min(MOST);
        let lanes = Lanes::read(&self.db).await?;
        let ranges = lanes.ranges(Index::Timer, |lane| format!("untold#{lane}"));
        let found = Walk::new(&self.db, ranges, limit).next(limit).await?;
        let ids: Vec<JobId> = found.into_iter().map(|(_, id)| id).collect();
        let mut rows = self.db.rows(&ids).await?;
        let rows = ids.iter().filter_map(|id| rows.remove(id)).map(|(_, row)| row);
        let calls: Vec<_> = rows.filter(|row| row.untold).map(|row| self.untold_one(row)).collect();
        futures_util::future::try_join_all(calls).await
    }

    async fn told(&self, ends: &[(JobId, Fence)]) -> Result<(), QueueError> {
        let mut calls = Vec::with_capacity(ends.len());
        for (at, (id, fence)) in ends.iter().enumerate() {
            calls.push(self.told_one(at, *id, *fence));
        }
        gather(self.db.parallel, calls).await.map(|_| ())
    }
}
