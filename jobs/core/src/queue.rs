//! The engine's one seam to whatever holds the jobs. Every method takes a batch and `now`.
//!
//! # Contract
//!
//! - At-least-once: a job that was answered `Created` is durable and is offered by `claim` until
//!   it is finished. A crash of any process at any moment loses none.
//! - One holder: between a claim and the end of its lease no other claim returns the job. After
//!   the lease ended, `housekeep` rescues it; the fence of the next claim is higher, and whatever
//!   the former holder still sends is answered `Lost` and changes nothing.
//! - `now` is the caller's. Clocks of workers may differ by less than a lease.
//! - An error means that nothing of the call was done, or that the caller cannot know; repeating
//!   the call is safe: enqueue by id, extend and settle by fence.
//!
//! A backend exists when it passes `tests/conformance`.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::envelope::{Payload, TraceContext, Unique};
use crate::flow::{Parent, Until};
use crate::handler::Progress;
use crate::ids::{Fence, JobId, Kind, Lane, Priority, Receipt, Tenant, WorkerId};
use crate::outcome::{BoxError, Classify, FailureClass};
use crate::state::DeadClass;

/// What a backend can and cannot do; the conformance suite runs what is declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// `sqlite`, `memory`, …
    pub name: &'static str,
    /// An accepted enqueue survives the process.
    pub durable: bool,
    /// Several processes may share it.
    pub processes: bool,
    /// Largest payload, in bytes.
    pub max_payload: usize,
    /// Largest batch of one call; callers split.
    pub max_batch: usize,
    /// Claims follow priority bands and share a lane between tenants; else roughly first in
    /// first out.
    pub fair: bool,
    /// Ordering keys are kept; a job that has one is `Rejected` otherwise.
    pub ordering: bool,
}

/// A job to be made, complete: the policy has filled every gap.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Chosen by the caller: sending it again is answered `Duplicate`.
    pub id: JobId,
    /// What to run.
    pub kind: Kind,
    /// The version of the payload.
    pub version: u16,
    /// Where it waits.
    pub lane: Lane,
    /// On whose behalf.
    pub tenant: Tenant,
    /// How urgent.
    pub priority: Priority,
    /// The arguments.
    pub payload: Payload,
    /// Not before; at or before `now`: available at once.
    pub run_at: Timestamp,
    /// Dead as `expired` if not claimed by then.
    pub deadline: Option<Timestamp>,
    /// Same key, kind and tenant: same job.
    pub unique: Option<Unique>,
    /// Jobs with the same key run one at a time, in the order they were enqueued: a job parks
    /// behind an unfinished one and is woken when that has finished, however. At most 512 bytes.
    pub order: Option<String>,
    /// Whose child it is.
    pub parent: Option<Parent>,
    /// Runs that may fail; at least 1.
    pub max_attempts: u32,
    /// The trace it belongs to.
    pub trace: TraceContext,
    /// Envelope fields of later versions, kept.
    pub extra: BTreeMap<String, serde_json::Value>,
}

impl NewJob {
    /// A job of version 1 with an empty object as payload, three attempts and nothing special, for
    /// callers that then say what differs.
    pub fn new(id: JobId, kind: Kind, lane: Lane, run_at: Timestamp) -> Self {
        Self {
            id,
            kind,
            version: 1,
            lane,
            tenant: Tenant::default(),
            priority: Priority::default(),
            payload: Payload::from_bytes(&b"{}"[..]),
            run_at,
            deadline: None,
            unique: None,
            order: None,
            parent: None,
            max_attempts: 3,
            trace: TraceContext::default(),
            extra: BTreeMap::new(),
        }
    }
}

/// The answer to one enqueued job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "detail")]
pub enum Enqueued {
    /// Durable, under its own id.
    Created,
    /// This job already stands for it: same id, or same unique key within its scope.
    Duplicate(JobId),
    /// Not taken, and why.
    Rejected(String),
}

/// What a claimer wants from one lane.
#[derive(Clone, Debug)]
pub struct LaneDemand {
    /// The lane.
    pub lane: Lane,
    /// At most this many jobs.
    pub slots: usize,
    /// Only of these kinds: what the worker knows and has room for.
    pub kinds: Vec<Kind>,
}

/// What a holder shows to extend or settle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The job.
    pub id: JobId,
    /// The number of the lease.
    pub fence: Fence,
    /// What the backend finds it by.
    pub receipt: Receipt,
}

/// A job in the hands of a worker.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Shown to extend and settle.
    pub held: Held,
    /// What to run, under the name it was enqueued with.
    pub kind: Kind,
    /// The version of the payload.
    pub version: u16,
    /// Where it waited.
    pub lane: Lane,
    /// On whose behalf.
    pub tenant: Tenant,
    /// How urgent.
    pub priority: Priority,
    /// The arguments.
    pub payload: Payload,
    /// This attempt: 1 on the first.
    pub attempt: u32,
    /// The last attempt there is.
    pub max_attempts: u32,
    /// How many workers it took down so far.
    pub crashes: u32,
    /// When it became available: pickup latency is measured from here.
    pub available_at: Timestamp,
    /// When it was enqueued.
    pub enqueued_at: Timestamp,
    /// The trace it belongs to.
    pub trace: TraceContext,
    /// Whose child it is.
    pub parent: Option<Parent>,
    /// How many children it has started in earlier attempts.
    pub children: u32,
}

/// The answer to a claim.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// In the order they should start.
    pub jobs: Vec<Claimed>,
    /// The next moment at which a waiting job of these lanes becomes due, if one waits.
    pub next_due: Option<Timestamp>,
}

/// A lease to be kept, with the latest word of its job.
#[derive(Clone, Debug)]
pub struct Extension {
    /// The lease.
    pub held: Held,
    /// Progress since the last time, if any.
    pub progress: Option<Progress>,
}

/// The answer to one extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Held until the instant asked for.
    Kept {
        /// Someone asked for the job to be cancelled.
        cancel: bool,
    },
    /// Somebody else's by now, or finished: stop.
    Lost,
}

/// One failed attempt, as kept with the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptError {
    /// Which attempt.
    pub attempt: u32,
    /// When it ended.
    pub at: Timestamp,
    /// Who ran it.
    pub worker: WorkerId,
    /// The error and its causes, at most 4 KiB.
    pub error: String,
}

/// How many attempt errors a record keeps: the latest ones.
pub const KEPT_ERRORS: usize = 20;

/// What becomes of a running job.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Done.
    Completed {
        /// Its result, JSON.
        result: Bytes,
        /// When record and result may be pruned.
        keep_until: Timestamp,
    },
    /// Failed; again at `at`.
    Retry {
        /// When.
        at: Timestamp,
        /// What went wrong.
        error: AttemptError,
    },
    /// Again at `at`, the attempt given back.
    Snooze {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// Again when `key` is woken, the attempt given back.
    Park {
        /// The key.
        key: String,
        /// Why.
        reason: String,
    },
    /// Again when enough of its children have ended, the attempt given back. The children are
    /// made with it; one that exists already is not made or counted again.
    Await {
        /// To be made: each names this job as its parent. May be empty, to go on waiting.
        children: Vec<NewJob>,
        /// When to go on. At once, if that holds already.
        until: Until,
    },
    /// Given back by a drain, the attempt given back.
    Interrupted,
    /// No longer wanted.
    Cancelled {
        /// Why.
        reason: String,
        /// When the record may be pruned.
        keep_until: Timestamp,
    },
    /// A dead letter.
    Dead {
        /// Which sort.
        class: DeadClass,
        /// What went wrong.
        error: AttemptError,
        /// When the record may be pruned.
        keep_until: Timestamp,
    },
}

/// An outcome to be recorded.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The lease under which it was reached.
    pub held: Held,
    /// What becomes of the job.
    pub verdict: Verdict,
}

/// The answer to one settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Recorded, durable.
    Applied,
    /// The lease was lost, nothing changed. Also the answer to settling twice.
    Lost,
}

/// What `housekeep` may do in one call.
#[derive(Clone, Debug)]
pub struct HousekeepPolicy {
    /// Dead as `poison` once its lease ran out this often.
    pub poison_after: u32,
    /// How long dead letters made here (rescued, expired) are kept.
    pub keep_dead: Duration,
    /// At most this many rows of each sort in one call.
    pub batch: usize,
}

/// What `housekeep` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Housekeeping {
    /// Waiting jobs whose moment had come.
    pub promoted: u64,
    /// Jobs whose lease had run out and that may run again.
    pub rescued: u64,
    /// Jobs whose lease had run out and that are dead now.
    pub quarantined: u64,
    /// Waiting jobs whose deadline had passed.
    pub expired: u64,
    /// Finished jobs whose retention had ended.
    pub pruned: u64,
}

/// Where jobs wait and from where workers take them. See the module for the contract.
#[async_trait]
pub trait Queue: Send + Sync + std::fmt::Debug {
    /// What this backend can do.
    fn capabilities(&self) -> &Capabilities;

    /// Makes jobs; answers after they are durable, one answer per job in the order given.
    /// Within one call, a later job may be the duplicate of an earlier one.
    async fn enqueue(&self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Enqueued>, QueueError>;

    /// Takes up to `slots` jobs of each lane under a lease until `now + lease`. Due jobs are
    /// promoted first; paused lanes give none. Order: priority bands as `fair::bands` shares
    /// them, tenants within a band fairly, then first in first out.
    async fn claim(
        &self,
        lanes: &[LaneDemand],
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Claims, QueueError>;

    /// Moves the end of leases to `until`, one answer per lease in the order given. A lease that
    /// has run out but was not yet rescued is kept.
    async fn extend(
        &self,
        leases: &[Extension],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Lease>, QueueError>;

    /// Records outcomes, one answer per settlement in the order given.
    async fn settle(&self, done: &[Settlement], now: Timestamp)
    -> Result<Vec<Settled>, QueueError>;

    /// Changes whenever something may have become claimable. A hint: a poll repairs what it
    /// misses. Look at the value before a claim, wait for a change after an empty one.
    fn wakes(&self) -> watch::Receiver<u64>;

    /// Promotes what is due, rescues expired leases, expires deadlines, prunes.
    async fn housekeep(
        &self,
        policy: &HousekeepPolicy,
        now: Timestamp,
    ) -> Result<Housekeeping, QueueError>;
}

/// What sort of failure a backend had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueErrorKind {
    /// Not reachable or too busy; try again.
    Unavailable,
    /// No room left to write.
    Full,
    /// The request itself is wrong.
    Invalid,
    /// What is stored cannot be read.
    Corrupt,
}

/// A failure of a port that holds jobs.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct QueueError {
    /// Branch on this.
    pub kind: QueueErrorKind,
    /// What failed and what to do.
    pub message: String,
    /// The backend's own error.
    #[source]
    pub source: Option<BoxError>,
}

impl QueueError {
    /// An error with its cause.
    pub fn new(
        kind: QueueErrorKind,
        message: impl Into<String>,
        source: impl Into<BoxError>,
    ) -> Self {
        Self { kind, message: message.into(), source: Some(source.into()) }
    }

    /// An error that is its own cause.
    pub fn plain(kind: QueueErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }
}

impl Classify for QueueError {
    fn class(&self) -> FailureClass {
        match self.kind {
            QueueErrorKind::Unavailable | QueueErrorKind::Full => FailureClass::Transient,
            QueueErrorKind::Invalid => FailureClass::Invalid,
            QueueErrorKind::Corrupt => FailureClass::Bug,
        }
    }
}
