//! `[queue]`: where jobs are kept, and the promises of leases.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use crate::choice::{Choice, choice};
use crate::reader::Section;
use crate::secret::Secret;
use crate::size::ByteSize;

choice! {
    /// Where jobs are kept.
    pub enum Backend ("queue backend") {
        /// One SQLite file.
        Sqlite = "sqlite",
        /// A PostgreSQL server.
        Postgres = "postgres",
        /// The memory of this process.
        Memory = "memory",
    }
    // Backends of the design that this build does not hold.
    elsewhere ["rabbitmq", "aws", "sqs"]
}

choice! {
    /// When SQLite waits for the disk.
    pub enum Synchronous ("mode of synchronous") {
        /// Before each durable answer.
        Full = "full",
        /// A power cut may lose the last moments.
        Normal = "normal",
    }
    elsewhere []
}

/// Where jobs are kept, and the promises of leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The backend.
    pub backend: Backend,
    /// The SQLite file, when it is set; see [`Config::queue_path`](crate::Config::queue_path).
    pub path: Option<PathBuf>,
    /// When SQLite waits for the disk.
    pub synchronous: Synchronous,
    /// Where the PostgreSQL server is; may hold a password.
    pub url: Option<Secret>,
    /// PostgreSQL: connections of one process; at least 1.
    pub pool: usize,
    /// How long a claimed job belongs to its worker.
    pub lease: Duration,
    /// How often leases are renewed; at most a third of the lease.
    pub heartbeat: Duration,
    /// Deaths of its worker after which a job is poison; at least 1.
    pub poison_after: u32,
    /// Largest payload in bytes.
    pub max_payload: usize,
    /// Most jobs in one call; at least 1.
    pub max_batch: usize,
    /// Longest wait for another process that holds the file.
    pub busy_timeout: Duration,
}

impl Queue {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            backend: section.get("backend"),
            path: section.get("path"),
            synchronous: section.get("synchronous"),
            url: section.get("url"),
            pool: section.get::<NonZeroUsize>("pool").get(),
            lease: section.get("lease"),
            heartbeat: section.get("heartbeat"),
            poison_after: section.get::<NonZeroU32>("poison_after").get(),
            max_payload: section.get::<ByteSize>("max_payload").in_memory(),
            max_batch: section.get::<NonZeroUsize>("max_batch").get(),
            busy_timeout: section.get("busy_timeout"),
        }
    }
}
