//! What the API cannot find out by itself, since it knows no engine, no vault and no configuration:
//! the binary answers.

use async_trait::async_trait;
use flotilla_core::account::Account;
use flotilla_core::breaker::{Past, Stand};
use flotilla_core::limit::{LimitKey, Rule};
use flotilla_core::queue::QueueError;
use flotilla_core::records::JobRecord;
use flotilla_core::{JobId, Kind, Lane, State, Tenant, Timestamp};
use serde::Serialize;
use serde_json::Value;

/// Why a job is where it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    /// The job.
    pub id: JobId,
    /// Where it stands.
    pub state: State,
    /// What it waits for, or how it ended; the first says most.
    pub because: Vec<String>,
    /// Jobs of its lane that are before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u64>,
    /// When it may start, as far as can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
}

/// A rule of the fleet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleView {
    /// Which keys.
    pub pattern: String,
    /// As in `10/s burst 5`; none: lifted.
    pub quotas: Vec<String>,
    /// Set while the fleet runs, and not by the configuration.
    pub set_by_hand: bool,
}

/// A key that was used lately or is left alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LimitView {
    /// Which.
    pub key: String,
    /// What holds for it.
    pub quotas: Vec<String>,
    /// When the next job may start; absent: when one of those that run has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_start: Option<Timestamp>,
    /// Jobs that run under it, where that is counted.
    pub running: Vec<JobId>,
    /// Until when it is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen_until: Option<Timestamp>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen_because: Option<String>,
}

/// A breaker that had trouble lately.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BreakerView {
    /// Its key.
    pub key: String,
    /// Where it stands.
    pub stand: Stand,
    /// The same in words.
    pub says: String,
    /// How it was turned lately, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Past>,
}

/// An account; nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccountView {
    /// What is known of it.
    #[serde(flatten)]
    pub account: Account,
    /// The version of its tokens.
    pub version: u64,
    /// When its tokens came.
    pub obtained_at: Timestamp,
    /// Whether there is a refresh token.
    pub refreshable: bool,
    /// When it is renewed by the clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// That was more than an hour ago.
    pub overdue: bool,
    /// When nothing but its owner can keep it going.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// Renewals that failed since the last token came.
    pub failures: u32,
    /// Renewals whose answer nobody has seen.
    pub lost: u32,
    /// What the last one of them said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// A platform that refuses this app, and is left alone for now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StopView {
    /// Which.
    pub platform: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// What it said.
    pub reason: String,
}

/// A job that comes by the clock.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScheduleView {
    /// Which.
    pub name: String,
    /// Its pattern.
    pub cron: String,
    /// The time zone of the pattern.
    pub timezone: String,
    /// What it enqueues.
    pub kind: Kind,
    /// Into which lane, where it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<Lane>,
    /// On whose behalf.
    pub tenant: Tenant,
    /// Its payload.
    pub payload: Value,
    /// When it fired last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
    /// When it fires next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
}

/// What a person found about a job of unknown outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundOut {
    /// Its effect happened; else it did not, and will not any more.
    pub did: bool,
    /// What the effect gave.
    pub result: Value,
    /// Who says so.
    pub by: String,
}

/// Why a job of unknown outcome stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum Unfound {
    /// Its word cannot count, and why.
    #[error("{0}")]
    Refused(String),
    /// A port failed.
    #[error(transparent)]
    Port(#[from] QueueError),
}

/// What the binary knows.
#[async_trait]
pub trait Insight: Send + Sync {
    /// Why a job is where it is.
    async fn why(&self, job: &JobRecord) -> Result<Why, QueueError>;

    /// Every rule, and every key that was used lately.
    async fn limits(&self) -> Result<(Vec<RuleView>, Vec<LimitView>), QueueError>;

    /// Sets a rule for the whole fleet.
    async fn set_rule(&self, rule: &Rule) -> Result<(), QueueError>;

    /// What the configuration says holds again. `false`: nothing was set.
    async fn unset_rule(&self, pattern: &str) -> Result<bool, QueueError>;

    /// Every breaker that had trouble lately.
    async fn breakers(&self) -> Result<Vec<BreakerView>, QueueError>;

    /// The key of the breaker that this key counts for.
    fn breaker_of(&self, key: &LimitKey) -> LimitKey;

    /// Opens a breaker by hand; with `pause`, a few jobs try again after that.
    async fn open_breaker(
        &self,
        key: &LimitKey,
        by: &str,
        why: &str,
        pause: Option<std::time::Duration>,
    ) -> Result<(), QueueError>;

    /// Closes it. `false`: it was closed.
    async fn close_breaker(&self, key: &LimitKey, by: &str, why: &str) -> Result<bool, QueueError>;

    /// A page of accounts, by tenant and name, after this one.
    async fn accounts(
        &self,
        tenant: Option<&Tenant>,
        after: Option<(Tenant, String)>,
        limit: usize,
    ) -> Result<Vec<AccountView>, QueueError>;

    /// Puts a job of unknown outcome back with a person's word; the job that goes on.
    async fn found(&self, job: &JobRecord, word: &FoundOut) -> Result<JobId, Unfound>;

    /// What the overview shows, as a document: for the terminal.
    async fn glance(&self) -> Result<Value, QueueError>;

    /// Platforms that are left alone.
    async fn stops(&self) -> Result<Vec<StopView>, QueueError> {
        Ok(Vec::new())
    }

    /// The jobs that come by the clock.
    async fn schedules(&self) -> Result<Vec<ScheduleView>, QueueError>;
}
