//! Looking over all accounts: what is due, what was not told, what will end.

use std::time::Duration;

use flotilla_core::account::Account;
use flotilla_core::clock::after;
use flotilla_core::{JobError, Tenant, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cells::{STOPS, Stop, decode};
use crate::due::{DUE, Entry, is_of, seconds};
use crate::error::VaultError;
use crate::record::{OVERDUE, Record};
use crate::renew::Need;
use crate::vault::Vault;

/// Where accounts are.
const ACCOUNTS: &str = "account/";
/// Accounts in one look.
const PAGE: usize = 500;

/// An account whose token is to be renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Whose.
    pub tenant: Tenant,
    /// Which.
    pub id: String,
    /// Its platform.
    pub platform: String,
    /// Not before.
    pub at: Timestamp,
    /// Of the token that is renewed.
    pub version: u64,
}

/// What one page of a sweep found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Accounts looked at: all of them once a day, otherwise those that were due to be.
    pub seen: usize,
    /// Those that fall due before the horizon.
    pub due: Vec<Due>,
    /// How many of them should have been renewed an hour ago: something is in the way.
    pub overdue: usize,
    /// Warnings that were given.
    pub warned: usize,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<String>,
}

/// An account as lists show it; nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// The account.
    pub account: Account,
    /// The version of its tokens.
    pub version: u64,
    /// When they came.
    pub obtained_at: Timestamp,
    /// Whether there is a refresh token.
    pub refreshable: bool,
    /// When it is renewed by the clock.
    pub due_at: Option<Timestamp>,
    /// That was more than an hour ago.
    pub overdue: bool,
    /// When nothing but its owner can keep it going.
    pub ends_at: Option<Timestamp>,
    /// Renewals that failed since the last token came.
    pub failures: u32,
    /// Renewals whose answer nobody has seen.
    pub lost: u32,
    /// What the last one of them said.
    pub last_error: Option<String>,
}

/// A platform that is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Which.
    pub platform: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// What it said.
    pub reason: String,
}

impl Vault {
    /// One page of accounts after `next` of the page before: tells what is untold, warns, and
    /// names those that fall due within `horizon`. Looks at those alone whose moment it is; at all
    /// of them once a day.
    ///
    /// # Errors
    /// The store.
    pub async fn sweep(&self, next: Option<&str>, horizon: Duration) -> Result<Swept, VaultError> {
        let all = match next {
            Some(next) => next.starts_with(ACCOUNTS),
            None => !self.is_whole().await?,
        };
        if all { self.sweep_all(next, horizon).await } else { self.sweep_due(next, horizon).await }
    }

    async fn sweep_all(&self, next: Option<&str>, horizon: Duration) -> Result<Swept, VaultError> {
        let now = self.now();
        let found = self.cells().list(ACCOUNTS, next, PAGE, now).await?;
        let mut swept = Swept { seen: found.len(), ..Swept::default() };
        if found.len() == PAGE {
            swept.next = found.last().map(|(cell, _)| cell.clone());
        }
        for (cell, value) in found {
            // One cell that cannot be read must not keep the others from being renewed.
            match decode::<Record>(&cell, &value) {
                Ok(record) => self.sweep_one(&record, horizon, now, &mut swept).await?,
                Err(error) => tracing::error!(%error, "an account is passed over"),
            }
        }
        if swept.next.is_none() {
            self.whole().await?;
        }
        Ok(swept)
    }

    async fn sweep_due(&self, next: Option<&str>, horizon: Duration) -> Result<Swept, VaultError> {
        let now = self.now();
        let found = self.cells().list(DUE, next, PAGE, now).await?;
        let last = seconds(after(now, horizon));
        let full = found.len() == PAGE;
        let named = found.into_iter().map(|(key, cell)| (Entry::read(&key), key, cell));
        let due: Vec<_> = named
            .take_while(|(entry, ..)| entry.as_ref().is_none_or(|entry| entry.at <= last))
            .collect();
        let mut swept = Swept { seen: due.len(), ..Swept::default() };
        if full && due.len() == PAGE {
            swept.next = due.last().map(|(_, key, _)| key.clone());
        }
        let accounts: Vec<_> =
            due.iter().filter_map(|(entry, ..)| Some(entry.as_ref()?.account.clone())).collect();
        let mut cells = self.cells().read(&accounts, now).await?.into_iter();
        for (entry, key, cell) in due {
            let found = entry.as_ref().and_then(|_| cells.next().flatten());
            let (Some(entry), Some(found)) = (entry, found) else {
                self.forget(&key, &cell).await?;
                continue;
            };
            match decode::<Record>(&entry.account, &found) {
                Ok(record) if is_of(&entry, &record) => {
                    self.sweep_one(&record, horizon, now, &mut swept).await?;
                }
                Ok(_) => self.forget(&key, &cell).await?,
                Err(error) => tracing::error!(%error, "an account is passed over"),
            }
        }
        Ok(swept)
    }

    async fn sweep_one(
        &self,
        record: &Record,
        horizon: Duration,
        now: Timestamp,
        swept: &mut Swept,
    ) -> Result<(), VaultError> {
        let account = &record.account;
        let Some(rule) = self.exchange().rule(account) else {
            tracing::error!(account = account.id, platform = account.platform, "no such platform");
            return Ok(());
        };
        let mut warned = record.clone();
        let mut news = !record.news.is_empty();
        if warned.warn(&rule, now) {
            let given = self.change(&account.tenant, &account.id, |record| {
                Ok(record.warn(&rule, now).then_some(()))
            });
            news |= given.await?.is_some();
            swept.warned += 1;
        }
        if news || record.woken_again(now) {
            self.flush(&account.tenant, &account.id).await;
        } else if record.indexed != record.look_at(&rule, now) {
            // Written down by an older build, or before something else changed than the record.
            self.change(&account.tenant, &account.id, |_| Ok(Some(()))).await?;
        }
        let Some(at) = record.due_at(&rule).filter(|at| *at <= after(now, horizon)) else {
            return Ok(());
        };
        let due = record.due_by_clock(&rule).unwrap_or(at);
        swept.overdue += usize::from(after(due, OVERDUE) < now);
        swept.due.push(Due {
            tenant: account.tenant.clone(),
            id: account.id.clone(),
            platform: account.platform.clone(),
            at,
            version: record.version,
        });
        Ok(())
    }

    /// Renews the account's token if that is due by the clock; `true`: it was.
    ///
    /// # Errors
    /// As `Accounts::credential`.
    pub async fn refresh_due(&self, tenant: &Tenant, id: &str) -> Result<(Listed, bool), JobError> {
        let got = self.fresh(tenant, id, Need::Due).await?;
        Ok((self.listed(got.record), got.renewed))
    }

    /// Renews the account's token whether it is due or not.
    ///
    /// # Errors
    /// As `Accounts::renew`.
    pub async fn refresh_now(&self, tenant: &Tenant, id: &str) -> Result<Listed, JobError> {
        let version = self.known(tenant, id).await?.record.version;
        self.change(tenant, id, |record| {
            Ok(record.not_before.take().map(|_| ())) // the person who asks has waited
        })
        .await?;
        let got = self.fresh(tenant, id, Need::After(version)).await?;
        Ok(self.listed(got.record))
    }

    /// The account as lists show it.
    ///
    /// # Errors
    /// No such account; the store.
    pub async fn show(&self, tenant: &Tenant, id: &str) -> Result<Listed, VaultError> {
        Ok(self.listed(self.known(tenant, id).await?.record))
    }

    /// Accounts by tenant and name, after the last one of the page before; at most 500.
    ///
    /// # Errors
    /// The store.
    pub async fn list(
        &self,
        tenant: Option<&Tenant>,
        after: Option<&Account>,
        limit: usize,
    ) -> Result<Vec<Listed>, VaultError> {
        let prefix = tenant.map_or("account/".to_owned(), |tenant| format!("account/{tenant}/"));
        let after = after.map(Account::park_key); // an account's cell has the same name
        let limit = limit.min(PAGE);
        let found = self.cells().list(&prefix, after.as_deref(), limit, self.now()).await?;
        found.into_iter().map(|(cell, value)| Ok(self.listed(decode(&cell, &value)?))).collect()
    }

    /// Platforms that are left alone because they refused our app.
    ///
    /// # Errors
    /// The store.
    pub async fn stops(&self) -> Result<Vec<Stopped>, VaultError> {
        let found = self.cells().list(STOPS, None, PAGE, self.now()).await?;
        let named = found.into_iter().map(|(cell, value)| {
            let stop: Stop = decode(&cell, &value)?;
            let platform = cell.strip_prefix(STOPS).unwrap_or(&cell).to_owned();
            Ok(Stopped { platform, since: stop.since, until: stop.until, reason: stop.reason })
        });
        named.collect()
    }

    fn listed(&self, record: Record) -> Listed {
        let now = self.now();
        let rule = self.exchange().rule(&record.account);
        let due_at = rule.as_ref().and_then(|rule| record.due_at(rule));
        let by_clock = rule.as_ref().and_then(|rule| record.due_by_clock(rule));
        Listed {
            version: record.version,
            obtained_at: record.obtained_at,
            refreshable: record.refreshable,
            due_at,
            overdue: by_clock.is_some_and(|due| after(due, OVERDUE) < now),
            ends_at: rule.as_ref().and_then(|rule| record.final_end(rule, now)),
            failures: record.failures,
            lost: record.lost,
            last_error: record.last_error,
            account: record.account,
        }
    }
}
