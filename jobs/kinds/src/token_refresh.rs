//! `token.refresh`: renews the token of one account if that is due, or looks over all accounts
//! and enqueues one such job for each that falls due. Jobs of one account are one job.

use std::time::Duration;

use flotilla_core::envelope::{Unique, UniqueScope};
use flotilla_core::job::{Job, Policy};
use flotilla_core::retry::Backoff;
use flotilla_core::{
    Envelope, Handler, JobContext, JobError, Kind, Lane, LimitKey, Payload, Timestamp,
};
use flotilla_vault::{Due, Vault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::services::Services;

/// Its name.
pub const REFRESH: Kind = Kind::from_static("token.refresh");
/// A sweep enqueues what falls due until the next but one: one that is late loses nothing.
const SWEEPS_AHEAD: u32 = 2;

/// The payload: an account, or a sweep over all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRefresh {
    /// The account of this job's tenant whose token is renewed, if that is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Its platform, which its limits are counted under; not needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Look over all accounts of all tenants instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sweep: bool,
}

impl Job for TokenRefresh {
    const KIND: Kind = REFRESH;
    type Output = RefreshResult;
    const LIMITS: Option<fn(&Self) -> Vec<LimitKey>> = Some(|job| match &job.platform {
        Some(platform) => vec![LimitKey::of(&["token", platform])],
        None => Vec::new(),
    });

    fn policy() -> Policy {
        Policy {
            lane: Lane::from_static("tokens"),
            max_attempts: 10,
            timeout: Duration::from_secs(180),
            backoff: Backoff {
                base: Duration::from_secs(10),
                factor: 3.0,
                max: Duration::from_secs(3600),
            },
            retention: Some(Duration::from_secs(24 * 3600)),
            ..Policy::default()
        }
    }

    fn faults(&self) -> Vec<(String, String)> {
        if self.account.is_some() != self.sweep {
            return Vec::new();
        }
        let right = "name an account, or set \"sweep\": true".to_owned();
        vec![("account".to_owned(), right)]
    }

    fn unique(&self) -> Option<Unique> {
        let key = match &self.account {
            Some(account) => format!("account/{account}"),
            None => "sweep".to_owned(),
        };
        Some(Unique { key, scope: UniqueScope::Unfinished })
    }
}

/// The result.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "was")]
pub enum RefreshResult {
    /// One account.
    Account {
        /// A new token is there.
        renewed: bool,
        /// Which one; grows with each.
        version: u64,
        /// When it ends.
        expires_at: Option<Timestamp>,
        /// When the next renewal is due.
        next: Option<Timestamp>,
    },
    /// All accounts.
    Sweep {
        /// Accounts there are.
        seen: usize,
        /// Jobs that were enqueued, or already stood.
        due: usize,
        /// Accounts that should have been renewed an hour ago: something is in the way.
        overdue: usize,
        /// Owners that were warned of an end that only they can put off.
        warned: usize,
    },
}

/// Renews through the vault.
#[derive(Debug)]
pub struct RefreshHandler {
    vault: Option<Vault>,
    sweep: Duration,
}

impl RefreshHandler {
    /// Takes the vault.
    pub fn new(services: &Services) -> Self {
        Self::with(services.vault.clone(), services.sweep)
    }

    /// Over a vault of one's own, which is swept so often.
    pub fn with(vault: Option<Vault>, sweep: Duration) -> Self {
        Self { vault, sweep }
    }
}

impl Handler<TokenRefresh> for RefreshHandler {
    async fn run(&self, job: TokenRefresh, cx: &JobContext) -> Result<RefreshResult, JobError> {
        let vault = self.vault.as_ref().ok_or_else(|| {
            JobError::retry("this process has no vault: tokens are renewed by `flotilla worker`")
        })?;
        let Some(account) = job.account else { return self.sweep(vault, cx).await };
        let (listed, renewed) = vault.refresh_due(&cx.tenant, &account).await?;
        Ok(RefreshResult::Account {
            renewed,
            version: listed.version,
            expires_at: listed.account.expires_at,
            next: listed.due_at,
        })
    }
}

impl RefreshHandler {
    async fn sweep(&self, vault: &Vault, cx: &JobContext) -> Result<RefreshResult, JobError> {
        let (mut seen, mut due, mut overdue, mut warned) = (0, 0, 0, 0);
        let mut next: Option<String> = None;
        loop {
            let page = vault.sweep(next.as_deref(), self.sweep * SWEEPS_AHEAD).await?;
            seen += page.seen;
            due += page.due.len();
            overdue += page.overdue;
            warned += page.warned;
            let jobs = page.due.iter().map(envelope).collect::<Result<Vec<_>, _>>()?;
            if !jobs.is_empty() {
                vault.outlet().enqueue(jobs).await.map_err(JobError::retry)?;
            }
            match page.next {
                Some(at) if !cx.is_cancelled() => next = Some(at),
                _ => break,
            }
        }
        if overdue > 0 {
            tracing::error!(
                overdue,
                "tokens that should have been renewed an hour ago: `flotilla accounts list` says why"
            );
        }
        Ok(RefreshResult::Sweep { seen, due, overdue, warned })
    }
}

fn envelope(due: &Due) -> Result<Envelope, JobError> {
    let payload = TokenRefresh {
        account: Some(due.id.clone()),
        platform: Some(due.platform.clone()),
        sweep: false,
    };
    Ok(Envelope {
        tenant: Some(due.tenant.clone()),
        run_at: Some(due.at),
        ..Envelope::new(REFRESH, Payload::of(&payload).map_err(JobError::retry)?)
    })
}
