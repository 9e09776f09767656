//! The desk's view of the same jobs: look up, list, count, cancel, pause, replay, purge.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::envelope::TraceContext;
use crate::flow::{Flow, Parent};
use crate::handler::Progress;
use crate::ids::{JobId, Kind, Lane, Priority, Tenant, WorkerId};
use crate::queue::{AttemptError, QueueError};
use crate::replay::{Amend, Amended};
use crate::state::{DeadClass, State};

/// Everything known of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its name for ever.
    pub id: JobId,
    /// What it runs.
    pub kind: Kind,
    /// The version of its payload.
    pub version: u16,
    /// Where it waits.
    pub lane: Lane,
    /// On whose behalf.
    pub tenant: Tenant,
    /// How urgent.
    pub priority: Priority,
    /// Where it stands.
    pub state: State,
    /// Attempts charged so far.
    pub attempt: u32,
    /// Attempts there are.
    pub max_attempts: u32,
    /// How often its lease ran out.
    pub crashes: u32,
    /// When it was enqueued.
    pub enqueued_at: Timestamp,
    /// When it is or was due.
    pub run_at: Timestamp,
    /// When the present or last attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it was finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Dead as `expired` if not claimed by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// End of the lease while running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// Who runs it, or ran it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
    /// Someone asked for it to stop.
    pub cancel_requested: bool,
    /// Why it is snoozed, parked or cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The key it is parked under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked_under: Option<String>,
    /// Why it is dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<DeadClass>,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The latest failed attempts, oldest first.
    pub errors: Vec<AttemptError>,
    /// Its unique key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_key: Option<String>,
    /// Its ordering key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_key: Option<String>,
    /// Whose child it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// How its children stand, once it has started some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
    /// The trace it belongs to.
    pub trace: TraceContext,
    /// Its arguments; a string where they are not JSON.
    pub payload: Value,
    /// Its result, once completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Envelope fields of later versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Value>,
}

/// Which jobs. Empty means all; fields are joined by "and", values of one field by "or".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// By id.
    pub ids: Vec<JobId>,
    /// By lane.
    pub lanes: Vec<Lane>,
    /// By kind.
    pub kinds: Vec<Kind>,
    /// By state.
    pub states: Vec<State>,
    /// By tenant.
    pub tenants: Vec<Tenant>,
    /// Dead letters by class.
    pub classes: Vec<DeadClass>,
    /// Enqueued at or after.
    pub since: Option<Timestamp>,
    /// Enqueued before.
    pub until: Option<Timestamp>,
    /// A part of the last error's text.
    pub error: Option<String>,
    /// Children of these jobs.
    pub parents: Vec<JobId>,
}

impl Filter {
    /// Exactly this job.
    pub fn id(id: JobId) -> Self {
        Self { ids: vec![id], ..Self::default() }
    }

    /// The same filter held to dead letters.
    pub fn dead(mut self) -> Self {
        self.states = vec![State::Dead];
        self
    }
}

/// A part of a long list, newest first.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// At most this many; backends hold it at 1,000.
    pub limit: usize,
    /// Continue below this id.
    pub before: Option<JobId>,
}

/// What a list gave.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// Newest first.
    pub jobs: Vec<JobRecord>,
    /// Ask again with this as `before` for more.
    pub next: Option<JobId>,
}

/// Who paused a lane, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// A lane at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneInfo {
    /// Its name.
    pub lane: Lane,
    /// Jobs by state; absent means none.
    pub counts: BTreeMap<State, u64>,
    /// When the job that waits longest became available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_available: Option<Timestamp>,
    /// Set while it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
}

/// What became of a request to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cancel {
    /// It was waiting and is cancelled.
    Cancelled,
    /// It is running; its worker was told.
    Asked,
    /// It was finished already.
    Finished,
    /// There is no such job.
    Unknown,
}

/// What became of a request to run a job now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunNow {
    /// It waited for its moment, which has come.
    Due,
    /// It runs, may run, waits for something else than a moment, or is finished.
    NotWaiting,
    /// There is no such job.
    Unknown,
}

/// What a replay did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Back among the available.
    pub replayed: u64,
    /// Left dead, and why.
    pub refused: Vec<(JobId, String)>,
}

/// Looking at jobs and handling them by hand. Every write is durable before it is answered.
#[async_trait]
pub trait Records: Send + Sync + std::fmt::Debug {
    /// The job of that id, durable as shown.
    async fn get(&self, id: JobId) -> Result<Option<JobRecord>, QueueError>;

    /// Jobs that match, newest first.
    async fn list(&self, filter: &Filter, page: Page) -> Result<Listed, QueueError>;

    /// How many match.
    async fn count(&self, filter: &Filter) -> Result<u64, QueueError>;

    /// Every lane that has jobs or is paused.
    async fn lanes(&self) -> Result<Vec<LaneInfo>, QueueError>;

    /// Cancels waiting jobs, asks running ones to stop; one answer per id.
    async fn cancel(
        &self,
        ids: &[JobId],
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<Cancel>, QueueError>;

    /// Jobs that wait for a moment (scheduled, retryable) are due now: the next claim may take
    /// them. One answer per id.
    async fn run_now(&self, ids: &[JobId], now: Timestamp) -> Result<Vec<RunNow>, QueueError>;

    /// No claims from this lane until it is resumed.
    async fn pause(&self, lane: &Lane, pause: Pause) -> Result<(), QueueError>;

    /// Claims again. `false`: it was not paused.
    async fn resume(&self, lane: &Lane) -> Result<bool, QueueError>;

    /// Parked jobs under `key` become available, oldest first, at most `limit`.
    async fn wake(&self, key: &str, limit: usize, now: Timestamp) -> Result<u64, QueueError>;

    /// Matching dead letters become available with attempts reset, oldest first, at most `limit`.
    /// Refused: `outcome_unknown`, and one whose unique key another job holds by now.
    async fn replay(
        &self,
        filter: &Filter,
        limit: usize,
        now: Timestamp,
    ) -> Result<Replay, QueueError>;

    /// Changes dead letters one by one, each in one transaction with its mark: another payload,
    /// back among the available (as [`replay`](Self::replay) would), or both. Decides by
    /// [`Amend::decide`]; refuses to put back one whose unique key another job holds. One answer
    /// per change, in the order given. Repeating it is safe.
    async fn amend(&self, changes: &[Amend], now: Timestamp) -> Result<Vec<Amended>, QueueError>;

    /// Matching dead letters become cancelled with `reason`; the record stays for its retention.
    async fn discard(
        &self,
        filter: &Filter,
        reason: &str,
        limit: usize,
        now: Timestamp,
    ) -> Result<u64, QueueError>;

    /// Deletes matching finished jobs, at most `limit`; jobs that are not finished are never touched.
    async fn purge(&self, filter: &Filter, limit: usize) -> Result<u64, QueueError>;

    /// Changes whenever a job may have changed: wait on it instead of polling. A hint.
    fn changes(&self) -> watch::Receiver<u64>;
}
