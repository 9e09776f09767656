//! What carries wake-ups and leases for queues whose truth is in a store: RabbitMQ, SQS.
//!
//! A broker may lose order, deliver twice and forget; the store decides. It must not lose what it
//! confirmed, and must not offer one delivery to two receivers before its lease ends.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::ids::{JobId, Kind, Lane, Priority, Receipt, Tenant, WorkerId};
use crate::queue::{Claimed, Enqueued, LaneDemand, NewJob, Queue, QueueError};
use crate::state::DeadClass;

/// What a broker can and cannot do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokerCapabilities {
    /// `rabbitmq`, `sqs`, …
    pub name: &'static str,
    /// Largest body of one notice, in bytes.
    pub max_body: usize,
    /// Longest delay before a notice is delivered; zero: none.
    pub max_delay: Duration,
    /// Whether `extend` moves the end of a delivery's lease.
    pub extends: bool,
    /// After this long a delivery goes back, whatever is done; jobs that run longer are acked
    /// early under the lease of the record.
    pub longest_lease: Option<Duration>,
}

/// One thing to publish: the wire form of a job.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The job.
    pub id: JobId,
    /// What it runs.
    pub kind: Kind,
    /// Where it waits.
    pub lane: Lane,
    /// How urgent.
    pub priority: Priority,
    /// On whose behalf: brokers with fair queues share by it.
    pub tenant: Tenant,
    /// Its ordering key.
    pub order: Option<String>,
    /// The whole envelope, JSON.
    pub body: Bytes,
    /// Delivered no sooner than this; at most `max_delay`.
    pub delay: Duration,
}

/// One hand-over of a message.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Settles this hand-over.
    pub receipt: Receipt,
    /// The lane it came from.
    pub lane: Lane,
    /// The bytes as they came, ours or a stranger's.
    pub body: Bytes,
    /// Headers and attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// How often it was handed over before, as far as the broker knows.
    pub redelivered: u32,
}

/// Carries notices. Every method takes a batch; errors classify themselves.
#[async_trait]
pub trait Broker: Send + Sync + std::fmt::Debug {
    /// What this broker can do.
    fn capabilities(&self) -> &BrokerCapabilities;

    /// Publishes; answers after the broker has confirmed. `false`: this one was not taken.
    async fn publish(&self, notices: &[Notice]) -> Result<Vec<bool>, QueueError>;

    /// Up to `slots` deliveries of each lane, waiting up to `wait` for the first.
    async fn receive(
        &self,
        lanes: &[LaneDemand],
        lease: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError>;

    /// Keeps deliveries hidden for `lease` from now; `false`: no longer ours.
    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<Vec<bool>, QueueError>;

    /// Done with these; one that is no longer ours is passed over.
    async fn ack(&self, receipts: &[Receipt]) -> Result<(), QueueError>;

    /// Offers these again, to anyone.
    async fn nack(&self, receipts: &[Receipt]) -> Result<(), QueueError>;

    /// What the broker itself has given up on, at most `limit`, to be kept as dead letters and
    /// acked. Brokers that do not set deliveries aside by themselves have none.
    async fn given_up(&self, limit: usize) -> Result<Vec<Delivery>, QueueError> {
        let _none_at_most = limit;
        Ok(Vec::new())
    }

    /// About how many messages wait in a lane.
    async fn depth(&self, lane: &Lane) -> Result<u64, QueueError>;

    /// Changes when something may have arrived.
    fn wakes(&self) -> watch::Receiver<u64>;
}

/// What stands behind a message from outside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unreadable {
    /// What is wrong and what would be right; at most 4 KiB.
    pub reason: String,
}

/// Reads messages, ours and strangers', into jobs.
pub trait Adopt: Send + Sync + std::fmt::Debug {
    /// The jobs a delivery stands for: one for our own envelope, any number for a stranger's.
    /// The same message always gives jobs of the same ids, so that a duplicate is one.
    ///
    /// # Errors
    /// [`Unreadable`]: becomes a dead letter with its raw bytes.
    fn adopt(&self, delivery: &Delivery, now: Timestamp) -> Result<Vec<NewJob>, Unreadable>;
}

/// The kind of dead letters that hold a message nobody could read.
pub const UNREADABLE: Kind = Kind::from_static("message.unreadable");

/// A dead letter made without ever having been a job.
#[derive(Clone, Debug)]
pub struct Burial {
    /// The record; its payload holds what came.
    pub job: NewJob,
    /// Which sort of dead letter.
    pub class: DeadClass,
    /// What went wrong.
    pub error: String,
    /// When the record may be pruned.
    pub keep_until: Timestamp,
}

/// The answer to one job taken by name.
#[derive(Clone, Debug)]
pub enum Taken {
    /// Ours under a lease now.
    Claimed(Box<Claimed>),
    /// Finished, or gone: the message is a leftover and can be acked.
    Over,
    /// Somebody holds it.
    Held,
    /// It waits for a later moment, a key, or a lane that is paused: the message can be acked.
    /// The store counts it as not published, so that it is published again in its time.
    Waits,
    /// Not taken in, and why: its unique key, its size.
    Refused(String),
}

/// A store that holds the truth for a broker: a [`Queue`] whose jobs can be taken by name, and that
/// remembers which of them the broker was told about.
///
/// [`Queue::claim`] with no slots for a lane promotes what is due in it and answers `next_due`;
/// what was promoted, rescued, woken, replayed or given back counts as not published.
#[async_trait]
pub trait Store: Queue {
    /// As [`Queue::enqueue`], but the jobs count as published when they are available: the caller
    /// publishes them at once and calls [`republish`](Self::republish) for those it could not.
    async fn insert(&self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Enqueued>, QueueError>;

    /// Takes these jobs under a lease. One answer per job, in order; of a job given twice, the
    /// second is `Held`. An unknown one is made first with `make`; without, it is `Over`: its
    /// record has been pruned since it was published, so it must not run again.
    async fn take(
        &self,
        jobs: &[NewJob],
        make: bool,
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Taken>, QueueError>;

    /// Available jobs of these lanes (all when empty) the broker was not told about since they
    /// became available, or whose telling is older than `stale`; marks them as told `now`.
    async fn unpublished(
        &self,
        lanes: &[Lane],
        stale: Timestamp,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<NewJob>, QueueError>;

    /// These were not told after all.
    async fn republish(&self, ids: &[JobId]) -> Result<(), QueueError>;

    /// Which of these lanes are paused: their messages are left with the broker.
    async fn paused(&self, lanes: &[Lane]) -> Result<Vec<Lane>, QueueError>;

    /// Makes dead letters; one whose id is known is passed over.
    async fn bury(&self, burials: &[Burial], now: Timestamp) -> Result<(), QueueError>;
}
