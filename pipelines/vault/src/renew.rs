//! A token that is good enough, renewed by one worker of the fleet if need be.

use std::sync::Arc;

use flotilla_core::account::Credential;
use flotilla_core::clock::{after, between};
use flotilla_core::{JobError, Tenant, Timestamp};
use tracing::{error, warn};

use crate::cells::{Loaded, STOPS, Stop, TenantKey, encode};
use crate::error::VaultError;
use crate::ports::{ExchangeError, Probe, Renewal, Rule, Tokens};
use crate::record::{Lease, MINUTE, Record, shorten};
use crate::seal::{Key, random_name};
use crate::vault::{Vault, parked, usable};

/// Between two looks at what another worker is renewing; grows to ten times that.
const LOOK: std::time::Duration = std::time::Duration::from_millis(100);

/// Which token is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// One that holds for a minute; renewed ahead of its end if that can be done now.
    Lasting,
    /// A newer one than this version.
    After(u64),
    /// As by the clock: renewed if that is due.
    Due,
}

/// A token, and whether it is a new one.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) credential: Credential,
    pub(crate) renewed: bool,
    pub(crate) record: Record,
}

/// What is known after one look.
enum Look {
    /// Good enough.
    Enough,
    /// It would have to be renewed, which is not possible at this moment: for a job that needs
    /// another token, not before then.
    NotNow(Timestamp, String),
    /// Another worker is at it.
    Wait,
    /// To be renewed here and now.
    Renew(Rule),
}

impl Vault {
    /// A token that satisfies `need`.
    pub(crate) async fn fresh(
        &self,
        tenant: &Tenant,
        id: &str,
        need: Need,
    ) -> Result<Got, JobError> {
        let (began, mut looks, mut renewed) = (self.now(), 0u32, false);
        loop {
            let loaded = self.known(tenant, id).await?;
            usable(&loaded.record)?;
            match self.look(&loaded, need).await? {
                Look::Enough => return self.hand_out(loaded, renewed).await,
                Look::NotNow(until, reason) => {
                    if need == Need::Lasting && loaded.record.lasts(MINUTE, self.now()) {
                        return self.hand_out(loaded, renewed).await;
                    }
                    return Err(JobError::Snooze { until, reason });
                }
                // What comes back that short-lived is all there is.
                Look::Renew(_) if renewed => return self.hand_out(loaded, renewed).await,
                Look::Renew(rule) => renewed |= self.renew_once(loaded, rule, need).await?,
                Look::Wait => {
                    let now = self.now();
                    if between(began, now) >= self.settings().wait {
                        let reason = "another worker is renewing the token".to_owned();
                        return Err(JobError::Snooze { until: after(now, MINUTE / 12), reason });
                    }
                    looks += 1;
                    let pause = LOOK * looks.min(10);
                    tokio::time::sleep(pause.mul_f64(0.5 + self.rng().unit())).await;
                }
            }
        }
    }

    /// What to do about a token, from its record alone but for a stopped platform.
    async fn look(&self, loaded: &Loaded, need: Need) -> Result<Look, JobError> {
        let (record, now) = (&loaded.record, self.now());
        let rule = self.rule(&record.account)?;
        let enough = match need {
            Need::Lasting => record.lasts(rule.ahead.max(MINUTE), now),
            Need::After(used) => record.version > used,
            Need::Due => record.due_by_clock(&rule).is_none_or(|due| now < due),
        };
        if enough {
            return Ok(Look::Enough);
        }
        if let Err(why) = record.can_renew(&rule, now) {
            let holds = need != Need::After(record.version) && record.lasts(MINUTE, now);
            if holds {
                return Ok(Look::Enough); // nothing better will come
            }
            let account = &record.account;
            let (tenant, id) = (&account.tenant, &account.id);
            return Err(self.disconnect(tenant, id, record.version, &why).await?);
        }
        let young = after(record.obtained_at, rule.min_age);
        if rule.renewal == Renewal::Itself && now < young {
            return Ok(Look::NotNow(young, "its platform renews no token that young".to_owned()));
        }
        if record.lease.as_ref().is_some_and(|lease| now < lease.until) {
            // Whoever has a minute left need not wait for another's renewal.
            let holds = need == Need::Lasting && record.lasts(MINUTE, now);
            return Ok(if holds { Look::Enough } else { Look::Wait });
        }
        if let Some(at) = record.not_before.filter(|at| now < *at) {
            let said = record.last_error.as_deref().unwrap_or("it failed");
            return Ok(Look::NotNow(at, format!("the token could not be renewed: {said}")));
        }
        let account = &record.account;
        let app = self.exchange().app(account);
        if let Some(stop) = self.stopped(&stop_name(account), &app).await? {
            let spread = (MINUTE / 2).mul_f64(self.rng().unit());
            let reason = format!("{} refuses this app: {}", account.platform, stop.reason);
            return Ok(Look::NotNow(after(stop.until, spread), reason));
        }
        Ok(Look::Renew(rule))
    }

    async fn hand_out(&self, loaded: Loaded, renewed: bool) -> Result<Got, JobError> {
        let Loaded { record, key, .. } = loaded;
        let (_, tokens) = self.unseal(&record, key.as_ref()).await?;
        let credential = Credential {
            access_token: tokens.access,
            version: record.version,
            expires_at: record.account.expires_at,
        };
        Ok(Got { credential, renewed, record })
    }

    /// The account's tokens. What cannot be opened any more only its owner can mend.
    async fn unseal(
        &self,
        record: &Record,
        key: Option<&TenantKey>,
    ) -> Result<(Arc<Key>, Tokens), JobError> {
        let account = &record.account;
        let opened = match self.opened(&account.tenant, key).await {
            Ok(key) => record.open(&key).map(|tokens| (key, tokens)),
            Err(error) => Err(error),
        };
        match opened {
            Ok(opened) => Ok(opened),
            Err(error @ VaultError::Sealed { .. }) => {
                let (tenant, id, why) = (&account.tenant, &account.id, error.to_string());
                Err(self.disconnect(tenant, id, record.version, &why).await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the lease and makes the exchange in a task of its own: whoever waits for it may be
    /// dropped at any moment, the answer may not. `true`: a new token is stored. Whatever else
    /// happened is in the record, for the next look.
    async fn renew_once(&self, loaded: Loaded, rule: Rule, need: Need) -> Result<bool, JobError> {
        let room = self.room(&loaded.record.account.platform);
        let account = &loaded.record.account;
        let permit = match tokio::time::timeout(self.settings().wait, room.acquire_owned()).await {
            Ok(permit) => permit.map_err(JobError::retry)?,
            Err(_) => {
                let spread = (MINUTE / 12).mul_f64(0.5 + self.rng().unit());
                let reason = format!("many tokens of {} are being renewed", account.platform);
                return Err(JobError::Snooze { until: after(self.now(), spread), reason });
            }
        };
        let (tenant, id) = (account.tenant.clone(), account.id.clone());
        // There may have been a queue for room: look again before anything is sent.
        let again = self.known(&tenant, &id).await?;
        if again.cell != loaded.cell {
            return Ok(false);
        }
        let now = self.now();
        let mut record = again.record.clone();
        record.fence += 1;
        let lease = Lease {
            by: random_name(8)?,
            fence: record.fence,
            until: after(now, self.settings().lease),
        };
        record.lease = Some(lease);
        // As if its answer was lost, until it is here.
        record.lost += 1;
        if !self.save(&record, again.cell).await? {
            return Ok(false);
        }
        let (vault, key) = (self.clone(), again.key);
        let used_up = need == Need::After(record.version);
        let task = self.underway().spawn(async move {
            let _room = permit;
            vault.exchange_once(record, key, rule, used_up).await
        });
        task.await.map_err(|e| JobError::retry(format!("the renewal broke: {e}")))?
    }

    /// One exchange, with a second try when its answer was lost; then what it says is kept.
    async fn exchange_once(
        &self,
        record: Record,
        key: Option<TenantKey>,
        rule: Rule,
        used_up: bool,
    ) -> Result<bool, JobError> {
        let account = record.account.clone();
        let before = record.lost - 1;
        let tokens = match self.unseal(&record, key.as_ref()).await {
            Ok((_, tokens)) => tokens,
            Err(error) => {
                self.give_back(&record, before, None, &error.text(300)).await?;
                return Err(error);
            }
        };
        let mut lost = 0;
        let answer = loop {
            let call = self.exchange().refresh(&account, &tokens);
            let answer = match tokio::time::timeout(self.settings().call, call).await {
                Ok(answer) => answer,
                Err(_) => Err(ExchangeError::Lost("no answer in time".to_owned())),
            };
            // Sending the same token again is what the facts allow once: it is answered with the
            // same or a new one, or it tells that the first was spent.
            match answer {
                Err(ExchangeError::Lost(_)) if lost == 0 => lost = 1,
                answer => break answer,
            }
        };
        match answer {
            Ok(fresh) => {
                self.store(&record, &tokens, fresh, &rule).await?;
                Ok(true)
            }
            Err(ExchangeError::Grant(said)) => {
                let doubt = before + lost;
                let said = match doubt {
                    0 => said,
                    n => format!("{said} (the answer of {n} renewals before was lost)"),
                };
                self.grant_refused(&record, &tokens, &rule, &said, used_up).await?;
                Ok(false)
            }
            Err(ExchangeError::Client(said)) => {
                self.stop(&record, &said).await?;
                self.give_back(&record, before + lost, None, &said).await?;
                Ok(false)
            }
            Err(error) => {
                let unseen = matches!(error, ExchangeError::Lost(_));
                let after = match &error {
                    ExchangeError::Unwell { after, .. } => *after,
                    _ => None,
                };
                if let ExchangeError::Refused(said) = &error {
                    error!(
                        platform = account.platform,
                        account = account.id,
                        said,
                        "renewal refused"
                    );
                }
                let lost = before + lost + u32::from(unseen);
                self.give_back(&record, lost, Some(after), &error.to_string()).await?;
                Ok(false)
            }
        }
    }

    /// The refresh token does not hold. The access token still may: then jobs go on with it.
    async fn grant_refused(
        &self,
        record: &Record,
        tokens: &Tokens,
        rule: &Rule,
        said: &str,
        used_up: bool,
    ) -> Result<(), JobError> {
        let account = &record.account;
        let (tenant, id) = (&account.tenant, &account.id);
        if self.known(tenant, id).await?.record.fence != record.fence {
            return Ok(()); // another worker took over and may hold the token this one was spent for
        }
        let holds =
            !used_up && rule.renewal == Renewal::RefreshToken && record.lasts(MINUTE, self.now());
        if holds && self.exchange().probe(account, &tokens.access).await == Probe::Holds {
            warn!(platform = account.platform, account = id, "no more renewals: {said}");
            return self.last_of_its_kind(record, said).await;
        }
        self.disconnect(tenant, id, record.version, said).await.map(|_| ())
    }

    /// Our app is refused: nobody asks that platform for a while.
    async fn stop(&self, record: &Record, said: &str) -> Result<(), JobError> {
        let (account, now) = (&record.account, self.now());
        let platform = stop_name(account);
        let reason = shorten(said);
        error!(
            platform,
            reason,
            "this app is refused: no token of the platform is renewed until its client id and \
             secret are right; accounts stay connected"
        );
        let until = after(now, self.settings().stop);
        let stop = Stop { since: now, until, reason, app: self.exchange().app(account) };
        let cell = format!("{STOPS}{platform}");
        let found =
            self.cells().read(std::slice::from_ref(&cell), now).await.map_err(VaultError::from)?;
        let version = found.into_iter().next().flatten().map_or(0, |cell| cell.version);
        // Whoever was faster says the same.
        self.write(cell, version, Some(encode(&stop)?), Some(until)).await?;
        Ok(())
    }
}

/// The name under which a platform is stopped: a sandbox does not stop the real one.
pub(crate) fn stop_name(account: &flotilla_core::Account) -> String {
    match &account.base_url {
        None => account.platform.clone(),
        Some(base) => {
            format!("{}@{}", account.platform, base.chars().take(100).collect::<String>())
        }
    }
}

/// The error of an account that has been, or was, disconnected.
pub(crate) fn gone(record: &Record, reason: &str) -> JobError {
    match usable(record) {
        Ok(()) => parked(&record.account, reason),
        Err(error) => error,
    }
}
