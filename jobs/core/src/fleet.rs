//! What the workers of a fleet know of each other.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clock::{SharedTime, Timestamp};
use crate::ids::{Lane, WorkerId};
use crate::queue::QueueError;

/// One worker as it describes itself with each heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Its name.
    pub id: WorkerId,
    /// The build it runs.
    pub version: String,
    /// The lanes it serves.
    pub lanes: Vec<Lane>,
    /// Jobs it may run at once.
    pub concurrency: usize,
    /// Jobs it runs now.
    pub running: usize,
    /// When it started.
    pub started_at: Timestamp,
    /// Its last heartbeat; set by the backend.
    pub seen_at: Timestamp,
    /// It claims no more and ends when its jobs have.
    pub draining: bool,
}

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Someone asked this worker to drain.
    pub drain: bool,
}

/// Shared state of the fleet.
#[async_trait]
pub trait Fleet: Send + Sync + std::fmt::Debug {
    /// Says "I am here" and hears what is wanted.
    async fn heartbeat(&self, me: &WorkerInfo, now: Timestamp) -> Result<Orders, QueueError>;

    /// The clock that all workers share, as exact as the backend can tell; `None`: the machine's
    /// own is shared. Leases of a fleet are measured by it, so that a worker whose clock is wrong
    /// neither takes nor loses a job by that.
    async fn time(&self) -> Result<Option<SharedTime>, QueueError> {
        Ok(None)
    }

    /// Says goodbye.
    async fn leave(&self, id: &WorkerId) -> Result<(), QueueError>;

    /// Workers that were seen at or after `since`, by name.
    async fn workers(&self, since: Timestamp) -> Result<Vec<WorkerInfo>, QueueError>;

    /// Asks a worker to drain with its next heartbeat. `false`: no such worker.
    async fn ask_drain(&self, id: &WorkerId) -> Result<bool, QueueError>;

    /// When the cron entry of that name last fired.
    async fn last_fire(&self, name: &str) -> Result<Option<Timestamp>, QueueError>;

    /// Records that it fired; an earlier instant than the recorded one changes nothing.
    async fn set_last_fire(&self, name: &str, at: Timestamp) -> Result<(), QueueError>;
}
