//! The operations in their cells: made, read, paused, resumed, cancelled; and what their leader
//! writes.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::chunk::Chunk;
use super::operation::{Operation, ReplayId, ReplayState, Word};
use super::request::{Request, RequestError};
use crate::cells::{Cell, CellWrite, Cells};
use crate::clock::{Timestamp, after};
use crate::queue::{QueueError, QueueErrorKind};

/// How long an operation is kept after its last change.
const KEEP: Duration = Duration::from_secs(30 * 86_400);
/// Operations listed and led at most.
const MOST: usize = 1000;
/// How often a change is tried against others.
const TRIES: usize = 50;

const OPERATION: &str = "replay/op/";
const ACTIVE: &str = "replay/active/";

/// Why an operation was not changed.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The request does not hold.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// There is no such operation.
    #[error("there is no replay {0}: `flotilla dead replays list` shows them")]
    Unknown(ReplayId),
    /// It is in a state in which that cannot be.
    #[error("replay {id} is {state}: {rule}")]
    State {
        /// Which.
        id: ReplayId,
        /// Its state.
        state: ReplayState,
        /// What would be right.
        rule: &'static str,
    },
    /// The cells failed. Doing it again is safe.
    #[error(transparent)]
    Port(#[from] QueueError),
}

/// An operation as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// It.
    pub operation: Operation,
    /// Of its cell: changes with each write.
    pub version: u64,
}

/// A chunk as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptChunk {
    /// It.
    pub chunk: Chunk,
    /// Of its cell.
    pub version: u64,
}

/// Where the operations lie.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'c> {
    cells: &'c dyn Cells,
}

impl<'c> Desk<'c> {
    /// Over these cells.
    pub fn new(cells: &'c dyn Cells) -> Self {
        Self { cells }
    }

    /// Makes an operation; a worker takes it up. The same id twice is the same operation.
    ///
    /// # Errors
    /// `Request` when a bound is not kept.
    pub async fn create(
        &self,
        request: &Request,
        id: ReplayId,
        now: Timestamp,
    ) -> Result<Operation, DeskError> {
        request.check()?;
        let operation = Operation::new(id, request.clone(), now);
        // First the pointer: an operation that nobody finds would never be led.
        self.point(id, now).await?;
        if self.save(&operation, 0, now).await? {
            return Ok(operation);
        }
        self.get(id, now).await?.map(|kept| kept.operation).ok_or(DeskError::Unknown(id))
    }

    /// An operation.
    ///
    /// # Errors
    /// When the cells cannot be read.
    pub async fn get(&self, id: ReplayId, now: Timestamp) -> Result<Option<Kept>, QueueError> {
        let found = self.cells.read(&[key(id)], now).await?;
        found.into_iter().next().flatten().as_ref().map(kept).transpose()
    }

    /// The operations of the last thirty days, newest first, a thousand at most.
    ///
    /// # Errors
    /// When the cells cannot be read.
    pub async fn list(&self, now: Timestamp) -> Result<Vec<Operation>, QueueError> {
        let found = self.cells.list(OPERATION, None, MOST, now).await?;
        let all = found.iter().map(|(_, cell)| kept(cell).map(|kept| kept.operation));
        let mut all = all.collect::<Result<Vec<_>, _>>()?;
        all.sort_by_key(|operation| std::cmp::Reverse((operation.created_at, operation.id)));
        Ok(all)
    }

    /// Stops putting back until it is resumed; a batch that is on its way still goes.
    ///
    /// # Errors
    /// `State` when it is over or does not move.
    pub async fn pause(
        &self,
        id: ReplayId,
        word: &Word,
        now: Timestamp,
    ) -> Result<Operation, DeskError> {
        let rule = "only one that is planned, in its canary or running can be paused";
        self.alter(id, rule, now, |operation| {
            operation.state.moves().then(|| operation.go(ReplayState::Paused, word, now))
        })
        .await
    }

    /// Goes on: after a pause, after it stopped by itself, or without waiting for its canary.
    ///
    /// # Errors
    /// `State` when it is over or runs already.
    pub async fn resume(
        &self,
        id: ReplayId,
        word: &Word,
        now: Timestamp,
    ) -> Result<Operation, DeskError> {
        let rule = "only one that is paused, stopped or waits for its canary can be resumed";
        let resumed = self.alter(id, rule, now, |operation| {
            use ReplayState::{Canary, Paused, Stopped};
            let may = matches!(operation.state, Paused | Stopped | Canary);
            may.then(|| operation.resume(word, now))
        });
        let resumed = resumed.await?;
        self.point(id, now).await?;
        Ok(resumed)
    }

    /// Ends it: what has not gone back stays dead, what has gone back goes on.
    ///
    /// # Errors
    /// `State` when it is over.
    pub async fn cancel(
        &self,
        id: ReplayId,
        word: &Word,
        now: Timestamp,
    ) -> Result<Operation, DeskError> {
        let rule = "it is over";
        self.alter(id, rule, now, |operation| {
            (!operation.state.is_over()).then(|| operation.go(ReplayState::Cancelled, word, now))
        })
        .await
    }

    async fn alter(
        &self,
        id: ReplayId,
        rule: &'static str,
        now: Timestamp,
        change: impl Fn(&mut Operation) -> Option<()> + Send,
    ) -> Result<Operation, DeskError> {
        for _ in 0..TRIES {
            let kept = self.get(id, now).await?.ok_or(DeskError::Unknown(id))?;
            let mut operation = kept.operation;
            let state = operation.state;
            if change(&mut operation).is_none() {
                return Err(DeskError::State { id, state, rule });
            }
            if self.save(&operation, kept.version, now).await? {
                return Ok(operation);
            }
        }
        let message = "the replay changes all the time; try again";
        Err(QueueError::plain(QueueErrorKind::Unavailable, message).into())
    }

    /// Writes an operation unless it has changed since `version`; `false`: it has.
    ///
    /// # Errors
    /// When the cells fail: then nobody knows whether it was written.
    pub async fn save(
        &self,
        operation: &Operation,
        version: u64,
        now: Timestamp,
    ) -> Result<bool, QueueError> {
        self.put(key(operation.id), written(operation)?, version, now).await
    }

    /// The operations that are to be led or watched.
    ///
    /// # Errors
    /// When the cells cannot be read.
    pub async fn active(&self, now: Timestamp) -> Result<Vec<ReplayId>, QueueError> {
        let found = self.cells.list(ACTIVE, None, MOST, now).await?;
        let id = |key: &str| key.strip_prefix(ACTIVE)?.parse().ok();
        Ok(found.iter().filter_map(|(key, _)| id(key)).collect())
    }

    /// Nothing is to be done for it any more.
    ///
    /// # Errors
    /// When the cells fail.
    pub async fn forget(&self, id: ReplayId, now: Timestamp) -> Result<(), QueueError> {
        self.remove(format!("{ACTIVE}{id}"), now).await
    }

    async fn point(&self, id: ReplayId, now: Timestamp) -> Result<(), QueueError> {
        // When it is there already, that is as well.
        self.put(format!("{ACTIVE}{id}"), written(&now)?, 0, now).await.map(|_| ())
    }

    /// A chunk, by its place in the plan.
    ///
    /// # Errors
    /// When the cells cannot be read.
    pub async fn chunk(
        &self,
        id: ReplayId,
        at: u32,
        now: Timestamp,
    ) -> Result<Option<KeptChunk>, QueueError> {
        let found = self.cells.read(&[chunk_key(id, at)], now).await?;
        let Some(cell) = found.into_iter().next().flatten() else { return Ok(None) };
        Ok(Some(KeptChunk { chunk: read(&cell)?, version: cell.version }))
    }

    /// Writes a chunk unless it has changed since it was read (version 0: there was none); the
    /// version it has then. `None`: somebody else leads.
    ///
    /// # Errors
    /// When the cells fail.
    pub async fn save_chunk(
        &self,
        id: ReplayId,
        at: u32,
        kept: &KeptChunk,
        now: Timestamp,
    ) -> Result<Option<u64>, QueueError> {
        let value = written(&kept.chunk)?;
        if !self.put(chunk_key(id, at), value.clone(), kept.version, now).await? {
            return Ok(None);
        }
        let there = self.cells.read(&[chunk_key(id, at)], now).await?.into_iter().next().flatten();
        Ok(there.filter(|cell| cell.value == value).map(|cell| cell.version))
    }

    /// Drops a chunk that the operation has counted.
    ///
    /// # Errors
    /// When the cells fail.
    pub async fn drop_chunk(
        &self,
        id: ReplayId,
        at: u32,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.remove(chunk_key(id, at), now).await
    }

    async fn put(
        &self,
        key: String,
        value: Bytes,
        expect: u64,
        now: Timestamp,
    ) -> Result<bool, QueueError> {
        let expires_at = Some(after(now, KEEP));
        let write = CellWrite { key, expect, value: Some(value), expires_at };
        Ok(self.cells.write(&[write], now).await?.first() == Some(&true))
    }

    async fn remove(&self, key: String, now: Timestamp) -> Result<(), QueueError> {
        let there = self.cells.read(std::slice::from_ref(&key), now).await?;
        let Some(cell) = there.into_iter().next().flatten() else { return Ok(()) };
        let write = CellWrite { key, expect: cell.version, value: None, expires_at: None };
        self.cells.write(&[write], now).await.map(|_| ())
    }
}

fn key(id: ReplayId) -> String {
    format!("{OPERATION}{id}")
}

fn chunk_key(id: ReplayId, at: u32) -> String {
    format!("replay/chunk/{id}/{at:06}")
}

fn kept(cell: &Cell) -> Result<Kept, QueueError> {
    Ok(Kept { operation: read(cell)?, version: cell.version })
}

fn written(value: &impl Serialize) -> Result<Bytes, QueueError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| {
        QueueError::new(QueueErrorKind::Invalid, "a replay cannot be written", error)
    })
}

fn read<T: DeserializeOwned>(cell: &Cell) -> Result<T, QueueError> {
    serde_json::from_slice(&cell.value).map_err(|error| {
        QueueError::new(QueueErrorKind::Corrupt, "a replay in the cells cannot be read", error)
    })
}
