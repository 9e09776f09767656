//! `[queue]`: where jobs are kept, and the promises of leases.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use crate::checked::Name;
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
        /// RabbitMQ carries the jobs, a PostgreSQL server keeps their records.
        Rabbitmq = "rabbitmq",
        /// SQS carries the jobs, DynamoDB keeps their records.
        Sqs = "sqs",
        /// The memory of this process.
        Memory = "memory",
    }
}

choice! {
    /// When SQLite waits for the disk.
    pub enum Synchronous ("mode of synchronous") {
        /// Before each durable answer.
        Full = "full",
        /// A power cut may lose the last moments.
        Normal = "normal",
    }
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
    /// The certificate authority of the PostgreSQL server, when it is not one of the machine's.
    pub root_certificate: Option<PathBuf>,
    /// PostgreSQL: connections of one process; at least 1.
    pub pool: usize,
    /// Where RabbitMQ is; may hold a password.
    pub broker_url: Option<Secret>,
    /// The certificate authority of RabbitMQ, when it is not one of the machine's.
    pub broker_root_certificate: Option<PathBuf>,
    /// What the names of queues on a broker and of the DynamoDB table begin with.
    pub prefix: String,
    /// Lanes of a broker whose jobs get a record only when they fail.
    pub records_for_failures: Vec<String>,
    /// SQS: lanes whose queues are first in, first out.
    pub fifo: Vec<String>,
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
            root_certificate: section.get("root_certificate"),
            pool: section.get::<NonZeroUsize>("pool").get(),
            broker_url: section.get("broker_url"),
            broker_root_certificate: section.get("broker_root_certificate"),
            prefix: section.get::<Name>("prefix").0,
            records_for_failures: names(section.get("records_for_failures")),
            fifo: names(section.get("fifo")),
            lease: section.get("lease"),
            heartbeat: section.get("heartbeat"),
            poison_after: section.get::<NonZeroU32>("poison_after").get(),
            max_payload: section.get::<ByteSize>("max_payload").in_memory(),
            max_batch: section.get::<NonZeroUsize>("max_batch").get(),
            busy_timeout: section.get("busy_timeout"),
        }
    }
}

fn names(given: Vec<Name>) -> Vec<String> {
    given.into_iter().map(|name| name.0).collect()
}
