//! Who tells, and of what: one worker at a time, so that an end is in one delivery and the
//! deliveries of a subscriber are in order.
//!
//! Before deliveries are enqueued the holder writes down which ends they tell of. If it vanishes
//! or cannot mark them, the next round tells of just these again, in deliveries of the same ids:
//! they are made once. A hint, not a lock: two that believe they hold it may tell an end twice
//! under one event id, which receivers are prepared for anyway.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::Timestamp;
use flotilla_core::cells::CellWrite;
use flotilla_core::clock::between;
use flotilla_core::ids::{Fence, JobId};
use flotilla_core::outbox::Untold;
use flotilla_core::queue::QueueError;
use serde::{Deserialize, Serialize};

use crate::shared::Shared;

/// The cell that says who has it.
const CELL: &str = "relay/baton";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Word {
    /// Nobody: it lies there for the next one.
    holder: Option<String>,
    /// What the last round tells of, or told of.
    #[serde(default)]
    telling: Vec<End>,
}

/// The end of a job: which, and under which fence.
pub(super) type End = (JobId, Fence);

/// What this worker knows of it.
#[derive(Debug, Default)]
pub(super) struct Baton {
    /// When it was taken or last confirmed here.
    held: Option<Timestamp>,
    /// Another's word, by its version, and since when it has not changed by this worker's clock:
    /// the other's clock does not matter.
    seen: Option<(u64, Timestamp)>,
}

impl Baton {
    /// Whether this worker has it and said so lately.
    pub(super) fn is_held(&self, shared: &Shared) -> bool {
        let fresh = |at: Timestamp| between(at, shared.clock.now()) < lease(shared) / 3;
        self.held.is_some_and(fresh)
    }

    /// Another had it when it was last looked for.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.seen.is_some()
    }

    /// Takes it up; `false`: another has it.
    pub(super) async fn take(&mut self, shared: &Shared) -> Result<bool, QueueError> {
        Ok(self.hold(shared, |telling| telling).await?.is_some())
    }

    /// Writes down what is told next and says that it is still held: what an earlier round has
    /// begun and left among `untold`, else the first `most` of these. `None`: another has it.
    pub(super) async fn begin(
        &mut self,
        shared: &Shared,
        untold: &[Untold],
        most: usize,
    ) -> Result<Option<Vec<End>>, QueueError> {
        let there: BTreeSet<End> = untold.iter().map(end).collect();
        let next = |mut begun: Vec<End>| {
            begun.retain(|end| there.contains(end));
            if begun.is_empty() { untold.iter().take(most).map(end).collect() } else { begun }
        };
        self.hold(shared, next).await
    }

    async fn hold(
        &mut self,
        shared: &Shared,
        next: impl FnOnce(Vec<End>) -> Vec<End>,
    ) -> Result<Option<Vec<End>>, QueueError> {
        let now = shared.clock.now();
        let (version, word) = read(shared, now).await?;
        let me = shared.settings.worker.as_str();
        let other = word.holder.as_deref().filter(|holder| *holder != me);
        if other.is_some() {
            self.held = None;
            let since = match self.seen {
                Some((seen, since)) if seen == version => since,
                _ => now,
            };
            self.seen = Some((version, since));
            if between(since, now) < lease(shared) {
                return Ok(None);
            }
        }
        let telling = next(word.telling);
        let word = Word { holder: Some(me.to_owned()), telling: telling.clone() };
        let won = write(shared, version, &word, now).await?;
        self.held = won.then_some(now);
        self.seen = if won { None } else { Some((version, now)) };
        Ok(won.then_some(telling))
    }

    /// Lays it down for the next one.
    pub(super) async fn release(&mut self, shared: &Shared) -> Result<(), QueueError> {
        if self.held.take().is_some() {
            let now = shared.clock.now();
            let (version, word) = read(shared, now).await?;
            if word.holder.as_deref() == Some(shared.settings.worker.as_str()) {
                write(shared, version, &Word::default(), now).await?;
            }
        }
        Ok(())
    }
}

/// Which end this is.
pub(super) fn end(untold: &Untold) -> End {
    (untold.record.id, untold.fence)
}

/// How long a holder that vanished is waited for.
fn lease(shared: &Shared) -> Duration {
    shared.settings.lease
}

async fn read(shared: &Shared, now: Timestamp) -> Result<(u64, Word), QueueError> {
    let cells = shared.ports.cells.read(&[CELL.to_owned()], now).await?;
    Ok(match cells.into_iter().next().flatten() {
        Some(cell) => (cell.version, serde_json::from_slice(&cell.value).unwrap_or_default()),
        None => (0, Word::default()),
    })
}

async fn write(
    shared: &Shared,
    expect: u64,
    word: &Word,
    now: Timestamp,
) -> Result<bool, QueueError> {
    let value = serde_json::to_vec(word).map(Bytes::from).ok();
    let change = CellWrite { key: CELL.to_owned(), expect, value, expires_at: None };
    let written = shared.ports.cells.write(&[change], now).await?;
    Ok(written.first() == Some(&true))
}
