//! The fleet that a command speaks to: the one of this machine's configuration, or one behind its
//! API. Commands know only [`Site`], so that they do and say the same for both.

mod answers;
mod http;
mod local;
mod local_dead;
mod profile;
mod server;
mod server_dead;
mod server_enqueue;

use std::time::Duration;

use async_trait::async_trait;
use flotilla_config::Config;
use flotilla_console::Glance;
use flotilla_core::fleet::WorkerInfo;
use flotilla_core::limit::{LimitKey, Rule};
use flotilla_core::ops::{Accepted, EnqueueError};
use flotilla_core::queue::Enqueued;
use flotilla_core::records::{Cancel, Filter, JobRecord, LaneInfo, Listed, Page, Replay, RunNow};
use flotilla_core::replay::{DryRun, Groups, Operation, ReplayId, Request, Selection};
use flotilla_core::{Envelope, JobId, Kind, Lane, Tenant, Timestamp, WorkerId};
use flotilla_engine::traffic::{BreakerInfo, LimitInfo, RuleInfo};
use flotilla_engine::why::Why;
use flotilla_vault::{Listed as Account, Stopped};
use serde_json::Value;
use tokio::sync::watch;

use crate::cli::Reach;
use crate::exit::Failure;
use profile::Profile;

/// Which fleet the command line names.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// That of the configuration.
    Here,
    /// One behind its API.
    There(Box<Profile>),
}

impl Target {
    /// As the options say; files of tokens and profiles are read now.
    pub(crate) fn of(reach: &Reach) -> Result<Self, Failure> {
        Ok(profile::read(reach)?.map_or(Self::Here, |profile| Self::There(Box::new(profile))))
    }

    /// A way to it.
    pub(crate) async fn open(&self, config: &Config) -> Result<Box<dyn Site>, Failure> {
        Ok(match self {
            Self::Here => Box::new(local::Here::open(config).await?),
            Self::There(profile) => Box::new(server::There::new(profile)?),
        })
    }
}

/// Why one envelope was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The field that is wrong, where it is one.
    pub(crate) field: Option<String>,
    /// What is wrong, and what would be right.
    pub(crate) says: String,
}

impl From<&EnqueueError> for Refusal {
    fn from(error: &EnqueueError) -> Self {
        Self { field: error.field().map(str::to_owned), says: error.to_string() }
    }
}

/// What becomes of dead letters that nobody wants back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// They end as cancelled.
    Discard,
    /// They are deleted.
    Purge,
}

/// What is done to a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Put nothing back.
    Pause,
    /// Go on.
    Resume,
    /// End it.
    Cancel,
}

/// Another payload for a dead letter, as somebody asks for it.
#[derive(Clone, Debug)]
pub(crate) struct NewPayload {
    /// All of it.
    pub(crate) payload: Value,
    /// Why.
    pub(crate) reason: String,
    /// Back among the available at once.
    pub(crate) replay: bool,
    /// Only tell what would change.
    pub(crate) dry_run: bool,
}

/// What became of it.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct Edited {
    /// What is different, as RFC 6902.
    pub(crate) changes: Value,
    /// The same for people.
    pub(crate) lines: Vec<String>,
    /// What was done; absent: nothing.
    pub(crate) answer: Option<flotilla_core::replay::Amended>,
}

/// What a person found about a job of unknown outcome.
#[derive(Clone, Debug)]
pub(crate) struct FoundWord {
    /// Its effect happened.
    pub(crate) did: bool,
    /// What the effect gave.
    pub(crate) result: Option<Value>,
}

/// A fleet, as the commands use it. Every write is durable before it is answered.
#[async_trait]
pub(crate) trait Site: Send + Sync {
    /// Now, by the clock of the fleet as far as it is known.
    fn now(&self) -> Timestamp;
    /// Changes whenever a job may have: a hint; a fleet far away gives none.
    fn changes(&self) -> watch::Receiver<u64>;
    /// Lets go of it.
    async fn close(self: Box<Self>);

    /// Whether there is such a kind, where that is known without asking.
    fn knows(&self, kind: &Kind) -> Result<(), Failure>;
    /// Enqueues, one answer per envelope in the order given; what is refused costs the others
    /// nothing.
    async fn enqueue(
        &self,
        envelopes: Vec<Envelope>,
    ) -> Result<Vec<Result<Accepted, Refusal>>, Failure>;

    /// One job.
    async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Failure>;
    /// Jobs, newest first.
    async fn jobs(&self, filter: &Filter, page: Page) -> Result<Listed, Failure>;
    /// Cancels, one answer per id.
    async fn cancel(&self, ids: &[JobId], reason: &str) -> Result<Vec<Cancel>, Failure>;
    /// Jobs that wait for a moment are due now, one answer per id.
    async fn run_now(&self, ids: &[JobId]) -> Result<Vec<RunNow>, Failure>;
    /// Why it is where it is.
    async fn why(&self, job: &JobRecord) -> Result<Why, Failure>;

    /// Every lane.
    async fn lanes(&self) -> Result<Vec<LaneInfo>, Failure>;
    /// No claims from it until it is resumed.
    async fn pause(&self, lane: &Lane, reason: &str) -> Result<(), Failure>;
    /// Claims again. `false`: it was not paused.
    async fn resume(&self, lane: &Lane) -> Result<bool, Failure>;
    /// Workers seen lately.
    async fn workers(&self) -> Result<Vec<WorkerInfo>, Failure>;
    /// Asks one to drain. `false`: there is none of that name.
    async fn drain(&self, id: &WorkerId) -> Result<bool, Failure>;

    /// The overview.
    async fn glance(&self) -> Result<Glance, Failure>;
    /// Rules, and keys that were used lately.
    async fn limits(&self) -> Result<(Vec<RuleInfo>, Vec<LimitInfo>), Failure>;
    /// Sets a rule.
    async fn set_rule(&self, rule: &Rule) -> Result<(), Failure>;
    /// Lets the configuration decide again. `false`: nothing was set.
    async fn unset_rule(&self, pattern: &str) -> Result<bool, Failure>;
    /// Breakers that had trouble lately.
    async fn breakers(&self) -> Result<Vec<BreakerInfo>, Failure>;
    /// Opens one; refuses a key without a breaker of its own.
    async fn open_breaker(
        &self,
        key: &LimitKey,
        reason: &str,
        pause: Option<Duration>,
    ) -> Result<(), Failure>;
    /// Closes one. `false`: it was not open.
    async fn close_breaker(&self, key: &LimitKey, reason: &str) -> Result<bool, Failure>;
    /// Accounts, and platforms that are left alone.
    async fn accounts(
        &self,
        tenant: Option<&Tenant>,
    ) -> Result<(Vec<Account>, Vec<Stopped>), Failure>;
    /// One account.
    async fn account(&self, tenant: &Tenant, name: &str) -> Result<Account, Failure>;

    /// Dead letters, newest first.
    async fn dead(&self, selection: &Selection, page: Page) -> Result<Listed, Failure>;
    /// The same in groups.
    async fn groups(&self, selection: &Selection) -> Result<Groups, Failure>;
    /// How many are meant.
    async fn matching(&self, selection: &Selection) -> Result<u64, Failure>;
    /// Ends the newest `n` of them; how many that were.
    async fn end(
        &self,
        selection: &Selection,
        n: u64,
        reason: &str,
        how: End,
    ) -> Result<u64, Failure>;
    /// Gives one another payload.
    async fn edit(&self, job: &JobRecord, new: &NewPayload) -> Result<Edited, Failure>;
    /// Puts the oldest back at once, at most `limit`.
    async fn replay(&self, selection: &Selection, limit: usize) -> Result<Replay, Failure>;
    /// What a replay would do.
    async fn dry_run(&self, request: &Request) -> Result<DryRun, Failure>;
    /// Makes a replay that workers lead.
    async fn plan(&self, request: &Request) -> Result<Operation, Failure>;
    /// The replays of the last thirty days.
    async fn replays(&self) -> Result<Vec<Operation>, Failure>;
    /// One of them.
    async fn operation(&self, id: ReplayId) -> Result<Operation, Failure>;
    /// Pauses, resumes or cancels it.
    async fn turn(&self, id: ReplayId, turn: Turn, reason: &str) -> Result<Operation, Failure>;
    /// Effects of a job whose outcome nobody knows.
    async fn open_effects(&self, id: JobId) -> Result<Vec<String>, Failure>;
    /// Puts one of unknown outcome back with a person's word; the job that goes on.
    async fn found(&self, job: &JobRecord, word: &FoundWord) -> Result<JobId, Failure>;
}

/// The job of that id, or a failure that says what to do.
pub(crate) async fn known(site: &dyn Site, id: JobId) -> Result<JobRecord, Failure> {
    site.job(id).await?.ok_or_else(|| {
        Failure::usage(format!(
            "no job {id} here: `flotilla jobs list` shows those there are; is --data, --config or \
             --server the right one?"
        ))
    })
}

/// An answer of the queue, for whoever keeps a list.
fn accepted(id: JobId, outcome: Enqueued) -> Accepted {
    let id = if let Enqueued::Duplicate(there) = outcome { there } else { id };
    Accepted { id, outcome }
}
