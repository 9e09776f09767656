//! The vault: its parts, and the port that handlers see.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use flotilla_core::account::{Account, AccountStatus, Accounts, Credential, park_key};
use flotilla_core::clock::after;
use flotilla_core::{Cells, Clock, DeadClass, JobError, Rng, Secret, Tenant, Timestamp};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::cells::{Kept, Loaded};
use crate::error::VaultError;
use crate::keys::KeyProvider;
use crate::ports::{Exchange, Outlet, Renewal, Rule};
use crate::record::{Record, shorten};
use crate::renew::Need;
use crate::settings::Settings;

/// What a vault is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where everything is kept.
    pub cells: Arc<dyn Cells>,
    /// Who wraps the data keys.
    pub keys: Arc<dyn KeyProvider>,
    /// The platforms' token endpoints.
    pub exchange: Arc<dyn Exchange>,
    /// The rest of the fleet.
    pub outlet: Arc<dyn Outlet>,
    /// Now.
    pub clock: Arc<dyn Clock>,
    /// For jitter.
    pub rng: Arc<dyn Rng>,
}

/// Credentials of accounts. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

struct Inner {
    parts: Parts,
    settings: Settings,
    kept: Kept,
    /// Room for exchanges, by platform.
    room: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// Exchanges whose caller may be gone: an answer that is on its way must be stored.
    underway: TaskTracker,
}

impl Vault {
    /// Over these parts; nothing is read yet.
    #[must_use]
    pub fn new(parts: Parts, settings: Settings) -> Self {
        let (kept, room, underway) = (Kept::default(), Mutex::default(), TaskTracker::new());
        Self(Arc::new(Inner { parts, settings, kept, room, underway }))
    }

    /// The rest of the fleet, as the vault reaches it.
    #[must_use]
    pub fn outlet(&self) -> &dyn Outlet {
        &*self.0.parts.outlet
    }

    /// Waits until every renewal that was begun has been stored; call it before the process ends.
    pub async fn drained(&self) {
        self.0.underway.close();
        self.0.underway.wait().await;
        self.0.underway.reopen();
    }

    pub(crate) fn cells(&self) -> &dyn Cells {
        &*self.0.parts.cells
    }

    pub(crate) fn keys(&self) -> &dyn KeyProvider {
        &*self.0.parts.keys
    }

    pub(crate) fn exchange(&self) -> &dyn Exchange {
        &*self.0.parts.exchange
    }

    pub(crate) fn rng(&self) -> &dyn Rng {
        &*self.0.parts.rng
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.parts.clock.now()
    }

    pub(crate) fn kept(&self) -> &Kept {
        &self.0.kept
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn underway(&self) -> &TaskTracker {
        &self.0.underway
    }

    /// Room for an exchange with that platform.
    pub(crate) fn room(&self, platform: &str) -> Arc<Semaphore> {
        let mut room = self.0.room.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || Arc::new(Semaphore::new(self.0.settings.concurrency.max(1)));
        Arc::clone(room.entry(platform.to_owned()).or_insert_with(made))
    }

    pub(crate) fn rule(&self, account: &Account) -> Result<Rule, VaultError> {
        self.exchange().rule(account).ok_or_else(|| {
            let platform = shorten(&account.platform);
            VaultError::Invalid(format!(
                "no platform \"{platform}\": `flotilla platforms list` names them"
            ))
        })
    }
}

#[async_trait]
impl Accounts for Vault {
    async fn account(&self, tenant: &Tenant, id: &str) -> Result<Account, JobError> {
        Ok(self.known(tenant, id).await?.record.account)
    }

    async fn credential(&self, tenant: &Tenant, id: &str) -> Result<Credential, JobError> {
        self.fresh(tenant, id, Need::Lasting).await.map(|got| got.credential)
    }

    async fn renew(&self, tenant: &Tenant, id: &str, used: u64) -> Result<Credential, JobError> {
        self.fresh(tenant, id, Need::After(used)).await.map(|got| got.credential)
    }

    async fn refused(&self, tenant: &Tenant, id: &str, used: u64, reason: &str) -> JobError {
        match self.judge(tenant, id, used, reason).await {
            Ok(error) | Err(error) => error,
        }
    }

    async fn seal(&self, tenant: &Tenant, place: &str, plain: &Secret) -> Result<String, JobError> {
        let key = self.key_for(tenant).await?;
        Ok(key.seal(&of_job(tenant, place), plain.expose().as_bytes())?)
    }

    async fn open(&self, tenant: &Tenant, place: &str, sealed: &str) -> Result<Secret, JobError> {
        let opened = self.key_of(tenant).await?.open(&of_job(tenant, place), sealed);
        let text = opened.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        let text = text.ok_or_else(|| VaultError::Sealed {
            what: format!("\"{place}\""),
            why: "it was changed, or sealed with another key",
        })?;
        Ok(Secret::new(text))
    }
}

/// What jobs seal has places of its own, apart from those of accounts.
fn of_job(tenant: &Tenant, place: &str) -> String {
    format!("job/{tenant}/{place}")
}

impl Vault {
    /// What becomes of a job whose token the platform calls dead.
    async fn judge(
        &self,
        tenant: &Tenant,
        id: &str,
        used: u64,
        reason: &str,
    ) -> Result<JobError, JobError> {
        let Loaded { record, .. } = self.known(tenant, id).await?;
        usable(&record)?;
        if record.version > used {
            return Ok(JobError::retry(format!("{}: a newer token is there", shorten(reason))));
        }
        let (rule, now) = (self.rule(&record.account)?, self.now());
        let known_everywhere = after(record.obtained_at, rule.young);
        if now < known_everywhere {
            let reason = format!(
                "{}: the token is younger than {} s, which its platform may not have heard of yet",
                shorten(reason),
                rule.young.as_secs()
            );
            let until = known_everywhere.min(after(now, rule.young / 6));
            return Ok(JobError::Snooze { until, reason });
        }
        // A refresh token of its own may outlive the access token: one renewal is tried first.
        if rule.renewal == Renewal::RefreshToken && record.can_renew(&rule, now).is_ok() {
            self.fresh(tenant, id, Need::After(used)).await?;
            return Ok(JobError::retry(format!("{}: renewed since", shorten(reason))));
        }
        self.disconnect(tenant, id, record.version, reason).await
    }
}

/// Whether the account can be used at all.
pub(crate) fn usable(record: &Record) -> Result<(), JobError> {
    let account = &record.account;
    match &account.status {
        AccountStatus::Active => Ok(()),
        AccountStatus::ReauthRequired { reason, .. } => Err(parked(account, reason)),
        AccountStatus::Revoked { since } => Err(JobError::Fail {
            class: DeadClass::Unauthorised,
            source: format!(
                "account \"{}\" was taken out of use at {since}: connect it again with `flotilla \
                 accounts add`, then replay",
                account.id
            )
            .into(),
        }),
    }
}

/// Until its owner has connected it again.
pub(crate) fn parked(account: &Account, reason: &str) -> JobError {
    let reason =
        format!("account \"{}\" has to be connected again: {}", account.id, shorten(reason));
    JobError::Park { key: park_key(&account.tenant, &account.id), reason }
}
