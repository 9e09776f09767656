//! Watches how those that went back fare.

use std::time::Duration;

use flotilla_core::clock::between;
use flotilla_core::queue::QueueError;
use flotilla_core::records::{Filter, Page};
use flotilla_core::replay::{Desk, Stand};
use flotilla_core::{State, Timestamp};

use super::lead::{Lead, Open};
use crate::shared::Shared;

/// Chunks looked at in one go.
const CHUNKS: usize = 6;
/// Between two looks at one chunk.
const EVERY: Duration = Duration::from_secs(1);

impl Lead {
    /// Looks at some of the chunks in which jobs have not ended, those longest not looked at first;
    /// `false`: somebody else leads.
    pub(super) async fn follow(
        &mut self,
        shared: &Shared,
        chunks: u32,
        now: Timestamp,
    ) -> Result<bool, QueueError> {
        let mut due: Vec<(Option<Timestamp>, u32)> = self
            .open
            .iter()
            .filter(|(_, open)| open.looked.is_none_or(|last| between(last, now) >= EVERY))
            .map(|(order, open)| (open.looked, *order))
            .collect();
        due.sort();
        for (_, order) in due.into_iter().take(CHUNKS) {
            let Some(open) = self.open.get_mut(&order) else { continue };
            open.looked = Some(now);
            let mut kept = open.kept.clone();
            open.failing = look(shared, open, &mut kept.chunk).await?;
            if kept == open.kept {
                continue;
            }
            let desk = Desk::new(&*shared.ports.cells);
            let at = chunks.saturating_sub(order + 1);
            match desk.save_chunk(self.id, at, &kept, now).await? {
                Some(version) => {
                    kept.version = version;
                    open.kept = kept;
                }
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Says in the chunk how its jobs ended; answers how many wait after a failed attempt.
async fn look(
    shared: &Shared,
    open: &Open,
    chunk: &mut flotilla_core::replay::Chunk,
) -> Result<u64, QueueError> {
    let ids = open.kept.chunk.standing(Stand::Replayed);
    if ids.is_empty() {
        return Ok(0);
    }
    let records = &shared.ports.records;
    let some = |ids: Vec<_>, states: &[State]| Filter {
        ids,
        states: states.to_vec(),
        ..Filter::default()
    };
    let page = Page { limit: 1000, before: None };
    let over = [State::Completed, State::Dead, State::Cancelled];
    let ended = records.list(&some(ids, &over), page).await?.jobs;
    for record in &ended {
        let stand = match record.state {
            State::Completed => Stand::Succeeded,
            State::Dead => Stand::Failed,
            _ => Stand::Cancelled,
        };
        chunk.set(record.id, stand);
    }
    let ids = chunk.standing(Stand::Replayed);
    if ids.is_empty() {
        return Ok(0);
    }
    let there = records.count(&some(ids.clone(), &[])).await?;
    if there < ids.len() as u64 {
        let found = records.list(&some(ids.clone(), &[]), page).await?.jobs;
        let gone = ids.iter().filter(|id| !found.iter().any(|record| record.id == **id));
        gone.for_each(|id| chunk.set(*id, Stand::Gone));
    }
    records.count(&some(ids, &[State::Retryable])).await
}
