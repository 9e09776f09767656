//! Answers of the API as the commands know them.

use flotilla_core::account::Account;
use flotilla_core::fleet::WorkerInfo;
use flotilla_core::records::{JobRecord, LaneInfo, Listed};
use flotilla_core::replay::Operation;
use flotilla_core::{JobId, Timestamp};
use flotilla_engine::traffic::{BreakerInfo, LimitInfo, RuleInfo};
use flotilla_engine::why::Why;
use flotilla_vault::{Listed as Kept, Stopped};
use serde::Deserialize;

/// A page of whole jobs.
#[derive(Debug, Deserialize)]
pub(super) struct Jobs {
    pub(super) jobs: Vec<JobRecord>,
    pub(super) next: Option<JobId>,
}

impl From<Jobs> for Listed {
    fn from(page: Jobs) -> Self {
        Self { jobs: page.jobs, next: page.next }
    }
}

/// Why a job is where it is, and its effects.
#[derive(Debug, Deserialize)]
pub(super) struct Detail {
    pub(super) why: Why,
    #[serde(default)]
    pub(super) effects: Vec<Effect>,
}

/// An irreversible call of a job.
#[derive(Debug, Deserialize)]
pub(super) struct Effect {
    pub(super) name: String,
    pub(super) state: String,
}

/// Jobs that were enqueued.
#[derive(Debug, Deserialize)]
pub(super) struct Many {
    pub(super) jobs: Vec<Taken>,
}

/// One of them.
#[derive(Debug, Deserialize)]
pub(super) struct Taken {
    pub(super) id: JobId,
    pub(super) outcome: String,
    #[serde(default)]
    pub(super) detail: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Lanes {
    pub(super) lanes: Vec<LaneInfo>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Workers {
    pub(super) workers: Vec<WorkerInfo>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Limits {
    pub(super) rules: Vec<RuleInfo>,
    pub(super) keys: Vec<LimitInfo>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Breakers {
    pub(super) breakers: Vec<BreakerInfo>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Replays {
    pub(super) replays: Vec<Operation>,
}

/// A page of accounts.
#[derive(Debug, Deserialize)]
pub(super) struct Accounts {
    pub(super) accounts: Vec<AccountDoc>,
    pub(super) next: Option<String>,
    #[serde(default)]
    pub(super) stopped: Vec<Stopped>,
}

/// One account, as the API writes it: what is known of it and of its tokens side by side.
#[derive(Debug, Deserialize)]
pub(super) struct AccountDoc {
    #[serde(flatten)]
    pub(super) account: Account,
    version: u64,
    obtained_at: Timestamp,
    refreshable: bool,
    due_at: Option<Timestamp>,
    overdue: bool,
    ends_at: Option<Timestamp>,
    failures: u32,
    lost: u32,
    last_error: Option<String>,
}

impl From<AccountDoc> for Kept {
    fn from(it: AccountDoc) -> Self {
        Self {
            account: it.account,
            version: it.version,
            obtained_at: it.obtained_at,
            refreshable: it.refreshable,
            due_at: it.due_at,
            overdue: it.overdue,
            ends_at: it.ends_at,
            failures: it.failures,
            lost: it.lost,
            last_error: it.last_error,
        }
    }
}

/// What was done, in numbers and flags.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Done {
    pub(super) outcome: Option<String>,
    pub(super) was_paused: bool,
    pub(super) was_set: bool,
    pub(super) was_open: bool,
    pub(super) matching: u64,
    pub(super) touched: u64,
    pub(super) goes_on_as: Option<JobId>,
}
