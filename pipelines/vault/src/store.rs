//! What a renewal leaves in the record: a new token, a failure that may pass, or an end.

use std::time::Duration;

use flotilla_core::account::AccountStatus;
use flotilla_core::clock::after;
use flotilla_core::retry::Backoff;
use flotilla_core::{JobError, Tenant};
use tracing::{error, info, warn};

use crate::error::VaultError;
use crate::ports::{Fresh, Happened, Rule, Tokens};
use crate::record::{Record, shorten};
use crate::renew::gone;
use crate::vault::Vault;

/// Tries to change a record that others change too.
const TRIES: usize = 20;

/// Between tries to store a token while the store fails.
const AFTER_ERROR: Backoff =
    Backoff { base: Duration::from_millis(200), factor: 2.0, max: Duration::from_secs(5) };

impl Vault {
    /// Changes the record of an account; `None` from `change` leaves it as it is.
    pub(crate) async fn change<T>(
        &self,
        tenant: &Tenant,
        id: &str,
        mut change: impl FnMut(&mut Record) -> Result<Option<T>, VaultError>,
    ) -> Result<Option<T>, VaultError> {
        for _ in 0..TRIES {
            let loaded = self.known(tenant, id).await?;
            let mut record = loaded.record;
            let Some(answer) = change(&mut record)? else { return Ok(None) };
            if self.save(&record, loaded.cell).await? {
                return Ok(Some(answer));
            }
        }
        Err(VaultError::Busy(id.to_owned()))
    }

    /// Puts the new token into the cell, whoever holds the lease by now, unless a newer one is
    /// there. While the store fails the token exists only here, so it is tried for a while.
    pub(crate) async fn store(
        &self,
        used: &Record,
        old: &Tokens,
        fresh: Fresh,
        rule: &Rule,
    ) -> Result<(), JobError> {
        let account = &used.account;
        let until = after(self.now(), self.settings().keep_trying);
        let mut failures = 0;
        loop {
            match self.store_once(used, old, &fresh, rule).await {
                Ok(()) => return Ok(()),
                Err(VaultError::Store(error)) if self.now() < until => {
                    failures += 1;
                    warn!(account = account.id, %error, "a new token cannot be stored yet");
                    tokio::time::sleep(AFTER_ERROR.delay(failures, None, self.rng())).await;
                }
                Err(error) => {
                    error!(account = account.id, %error, "a new token could not be stored");
                    return Err(error.into());
                }
            }
        }
    }

    async fn store_once(
        &self,
        used: &Record,
        old: &Tokens,
        fresh: &Fresh,
        rule: &Rule,
    ) -> Result<(), VaultError> {
        let account = &used.account;
        let tokens = Tokens {
            access: fresh.access.clone(),
            refresh: fresh.refresh.clone().or_else(|| old.refresh.clone()),
            extra: old.extra.clone(),
        };
        // Its tenant may have been shredded since: then no key is made for what is gone.
        let loaded = self.known(&account.tenant, &account.id).await?;
        let key = self.opened(&account.tenant, loaded.key.as_ref()).await?;
        let now = self.now();
        let stored = self.change(&account.tenant, &account.id, |record| {
            let revoked = matches!(record.account.status, AccountStatus::Revoked { .. });
            if record.version != used.version || revoked {
                return Ok(None);
            }
            let again = record.account.status != AccountStatus::Active;
            record.account.status = AccountStatus::Active;
            record.version += 1;
            record.obtained_at = now;
            record.account.renewed_at = Some(now);
            record.account.expires_at = fresh.expires_in.map(|span| after(now, span));
            if let Some(span) = fresh.refresh_expires_in {
                record.account.refresh_expires_at = Some(after(now, span));
            } else if fresh.refresh.is_some() && rule.extends {
                record.account.refresh_expires_at = None;
            }
            if let Some(scopes) = &fresh.scopes {
                record.account.scopes.clone_from(scopes);
            }
            record.lease = None;
            (record.lost, record.failures, record.not_before) = (0, 0, None);
            (record.last, record.last_error) = (None, None);
            if again {
                record.reconnected_at = Some(now);
                record.note(Happened::Reconnected, "it could be renewed after all", None, now);
            }
            record.seal(&key, &tokens)?;
            Ok(Some(again))
        });
        match stored.await? {
            Some(again) => {
                info!(platform = account.platform, account = account.id, "token renewed");
                if again {
                    self.flush(&account.tenant, &account.id).await;
                }
            }
            None => info!(account = account.id, "a newer token was there already"),
        }
        Ok(())
    }

    /// The lease is given back, the token stays. `failed`: a failure that may pass, with the
    /// platform's word on when to come back; `None`: not the account's failure at all.
    pub(crate) async fn give_back(
        &self,
        used: &Record,
        lost: u32,
        failed: Option<Option<Duration>>,
        said: &str,
    ) -> Result<(), JobError> {
        let account = &used.account;
        let (now, fence) = (self.now(), used.fence);
        warn!(platform = account.platform, account = account.id, "token not renewed: {said}");
        self.change(&account.tenant, &account.id, |record| {
            if record.version != used.version || record.fence != fence {
                return Ok(None);
            }
            record.lease = None;
            record.lost = lost;
            record.last_error = Some(shorten(said));
            if let Some(hint) = failed {
                record.failures += 1;
                let pause = self.settings().backoff.delay(record.failures, hint, self.rng());
                record.not_before = Some(after(now, pause));
            }
            Ok(Some(()))
        })
        .await?;
        Ok(())
    }

    /// The platform renews it no more, but its access token holds: it is used to its end.
    pub(crate) async fn last_of_its_kind(&self, used: &Record, said: &str) -> Result<(), JobError> {
        let account = &used.account;
        let now = self.now();
        self.change(&account.tenant, &account.id, |record| {
            if record.version != used.version {
                return Ok(None);
            }
            record.lease = None;
            record.last = Some(shorten(said));
            let end = record.account.expires_at;
            let reason = format!("it is not renewed any more: {said}");
            record.note(Happened::Expiring, &reason, end, now);
            Ok(Some(()))
        })
        .await?;
        self.flush(&account.tenant, &account.id).await;
        Ok(())
    }

    /// Marks the account for its owner, unless a newer token is there. Gives the error of a job
    /// that needs it: `Park`, or `Retry` when a newer one is there.
    pub(crate) async fn disconnect(
        &self,
        tenant: &Tenant,
        id: &str,
        version: u64,
        reason: &str,
    ) -> Result<JobError, JobError> {
        let now = self.now();
        let marked = self
            .change(tenant, id, |record| {
                if record.version != version || record.account.status != AccountStatus::Active {
                    return Ok(None);
                }
                record.needs_reauth(reason, now);
                Ok(Some(record.clone()))
            })
            .await?;
        if let Some(record) = marked {
            let platform = &record.account.platform;
            warn!(platform, account = id, "has to be connected again: {}", shorten(reason));
            self.flush(tenant, id).await;
            return Ok(gone(&record, reason));
        }
        let record = self.known(tenant, id).await?.record;
        if record.version != version {
            return Ok(JobError::retry("a newer token is there"));
        }
        Ok(gone(&record, reason))
    }

    /// Tells what nobody was told yet, and wakes jobs of an account that was connected again.
    /// What fails is left for the next sweep.
    pub(crate) async fn flush(&self, tenant: &Tenant, id: &str) {
        if let Err(error) = self.try_flush(tenant, id).await {
            warn!(account = id, "cannot tell of the account yet: {error}");
        }
    }

    async fn try_flush(
        &self,
        tenant: &Tenant,
        id: &str,
    ) -> Result<(), flotilla_core::outcome::BoxError> {
        let Some(loaded) = self.load(tenant, id).await? else { return Ok(()) };
        let record = loaded.record;
        if record.reconnected_at.is_some() && record.account.status == AccountStatus::Active {
            self.outlet().wake(&record.account.park_key()).await?;
        }
        for notice in &record.news {
            self.outlet().tell(notice).await?;
        }
        if record.news.is_empty() {
            return Ok(());
        }
        let told = record.news;
        self.change(tenant, id, |record| {
            record.news.retain(|notice| !told.contains(notice));
            Ok(Some(()))
        })
        .await?;
        Ok(())
    }
}
