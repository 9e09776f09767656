//! Small pieces of state that the whole fleet agrees on: quotas, breakers, effects, idempotency
//! keys. Each is changed by compare-and-swap, so the policy that reads and writes it stays a pure
//! function and every backend needs one mechanism only.

use async_trait::async_trait;
use bytes::Bytes;

use crate::clock::Timestamp;
use crate::queue::{QueueError, QueueErrorKind};

/// Longest key, in bytes.
pub const MAX_CELL_KEY: usize = 512;
/// Largest value, in bytes.
pub const MAX_CELL_VALUE: usize = 64 * 1024;

/// A piece of shared state as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What is kept, opaque to the backend.
    pub value: Bytes,
    /// Changes with every write and never repeats for a key that stays; at least 1.
    pub version: u64,
    /// When it is gone by itself.
    pub expires_at: Option<Timestamp>,
}

/// One change, made only when nobody changed the cell since it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellWrite {
    /// `purpose/…`, at most [`MAX_CELL_KEY`] bytes.
    pub key: String,
    /// The version that was read; 0: there was none.
    pub expect: u64,
    /// The new value, at most [`MAX_CELL_VALUE`] bytes; `None` deletes.
    pub value: Option<Bytes>,
    /// When it is gone by itself; `None`: never.
    pub expires_at: Option<Timestamp>,
}

impl CellWrite {
    /// Whether key and value keep their bounds.
    ///
    /// # Errors
    /// `Invalid`, naming the bound.
    pub fn check(&self) -> Result<(), QueueError> {
        let (key, value) = (self.key.len(), self.value.as_ref().map_or(0, Bytes::len));
        if (1..=MAX_CELL_KEY).contains(&key) && value <= MAX_CELL_VALUE {
            return Ok(());
        }
        let message = format!(
            "a cell has a key of 1 to {MAX_CELL_KEY} bytes and a value of at most \
             {MAX_CELL_VALUE}; this one has {key} and {value}"
        );
        Err(QueueError::plain(QueueErrorKind::Invalid, message))
    }
}

/// Shared cells. Every write is durable before it is answered, where the backend is durable.
#[async_trait]
pub trait Cells: Send + Sync + std::fmt::Debug {
    /// The cells of these keys, one answer per key in order; an expired one is absent.
    async fn read(&self, keys: &[String], now: Timestamp) -> Result<Vec<Option<Cell>>, QueueError>;

    /// Makes each change alone; `false`: somebody was faster, nothing was changed. Within one
    /// call the changes happen in order. An expired cell counts as absent.
    ///
    /// # Errors
    /// `Invalid` for a key or a value over its bound; then nothing of the call was done.
    async fn write(&self, changes: &[CellWrite], now: Timestamp) -> Result<Vec<bool>, QueueError>;

    /// Cells whose key begins with `prefix`, by key, after `after`, at most `limit` (1,000).
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(String, Cell)>, QueueError>;
}
