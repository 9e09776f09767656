//! What people do with accounts: add, look, take out of use, remove; and with keys: rewrap, shred.

use std::collections::BTreeMap;

use flotilla_core::account::{Account, AccountStatus};
use flotilla_core::{Secret, Tenant, Timestamp};
use tracing::warn;

use crate::cells::{KEYS, TenantKey, decode, encode, place_of_key, shown};
use crate::error::VaultError;
use crate::ports::{Happened, Tokens};
use crate::record::{Record, cell_of};
use crate::vault::Vault;

/// Longest token, in bytes: Amazon's have 2,048, Google's may have as many.
const MAX_TOKEN: usize = 8 * 1024;
/// Longest other text of an account, in bytes.
const MAX_TEXT: usize = 512;
/// Most scopes, extra facts and extra secrets, each.
const MAX_ITEMS: usize = 50;
/// Longest name of an account.
const MAX_ID: usize = 64;
/// Cells in one look.
const PAGE: usize = 500;

/// An account to be connected.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name here.
    pub id: String,
    /// Its platform.
    pub platform: String,
    /// Its id there.
    pub external_id: String,
    /// Its name there.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Its secrets.
    pub tokens: Tokens,
    /// When its access token ends.
    pub expires_at: Option<Timestamp>,
    /// When its refresh token ends.
    pub refresh_expires_at: Option<Timestamp>,
    /// A sandbox instead of the real platform.
    pub base_url: Option<String>,
    /// What else its platform needs to know; not secret.
    pub extra: BTreeMap<String, String>,
}

/// An account that was connected.
#[derive(Clone, Debug, PartialEq)]
pub struct Added {
    /// As it is now.
    pub account: Account,
    /// It was there before: its parked jobs were woken.
    pub again: bool,
    /// No refresh token was given; the one from before was kept.
    pub kept_refresh: bool,
    /// Nothing but its owner can extend it, and this is when it ends.
    pub ends_at: Option<Timestamp>,
}

/// What a rewrap did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// The name of the key that wraps now.
    pub by: String,
    /// Tenants whose key was under another one.
    pub moved: usize,
    /// Tenants in all.
    pub tenants: usize,
}

/// What a shredding did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shredded {
    /// Whether the tenant had a key.
    pub key: bool,
    /// Accounts that were removed.
    pub accounts: usize,
}

impl Vault {
    /// Connects an account, or connects it again: its version grows, its parked jobs are woken,
    /// and a refresh token that was there is kept when none is given.
    ///
    /// # Errors
    /// What does not hold; an account of that name on another platform or of another id there.
    pub async fn add(&self, new: NewAccount) -> Result<Added, VaultError> {
        check(&new)?;
        let key = self.key_for(&new.tenant).await?;
        let rule = self.rule(&account_of(&new, self.now()))?;
        for _ in 0..20 {
            let now = self.now();
            let mut account = account_of(&new, now);
            let old = self.load(&new.tenant, &new.id).await?;
            let cell = old.as_ref().map_or(0, |old| old.cell);
            let mut tokens = new.tokens.clone();
            let mut kept_refresh = false;
            if let Some(old) = &old {
                same(&old.record.account, &account)?;
                account.created_at = old.record.account.created_at;
                // Some platforms give a refresh token at the first consent only. One that was
                // refused is not worth keeping.
                let alive =
                    old.record.account.status == AccountStatus::Active && old.record.last.is_none();
                if tokens.refresh.is_none() && old.record.refreshable && alive {
                    tokens.refresh = old.record.open(&key).ok().and_then(|tokens| tokens.refresh);
                    kept_refresh = tokens.refresh.is_some();
                    let end = old.record.account.refresh_expires_at;
                    account.refresh_expires_at = account.refresh_expires_at.or(end);
                }
            }
            let again = old.is_some();
            let mut record = Record {
                version: old.as_ref().map_or(0, |old| old.record.version) + 1,
                fence: old.as_ref().map_or(0, |old| old.record.fence) + 1,
                news: old.map(|old| old.record.news).unwrap_or_default(),
                reconnected_at: again.then_some(now),
                ..Record::new(account, now)
            };
            record.seal(&key, &tokens)?;
            if again {
                record.note(Happened::Reconnected, "connected again", None, now);
            }
            if self.save(&record, cell).await? {
                self.flush(&new.tenant, &new.id).await;
                let ends_at = record.final_end(&rule, now);
                return Ok(Added { account: record.account, again, kept_refresh, ends_at });
            }
        }
        Err(VaultError::Busy(new.id))
    }

    /// Takes an account out of use: its platform is told to forget the tokens, which are deleted
    /// here whatever it says. Gives the account and what the platform said when it was not well.
    ///
    /// # Errors
    /// No such account; the store.
    pub async fn revoke(
        &self,
        tenant: &Tenant,
        id: &str,
    ) -> Result<(Account, Option<String>), VaultError> {
        let loaded = self.known(tenant, id).await?;
        let opened = match self.opened(tenant, loaded.key.as_ref()).await {
            Ok(key) => loaded.record.open(&key),
            Err(error) => Err(error),
        };
        let now = self.now();
        let account = self
            .change(tenant, id, |record| {
                if !matches!(record.account.status, AccountStatus::Revoked { .. }) {
                    record.account.status = AccountStatus::Revoked { since: now };
                    record.note(Happened::Revoked, "taken out of use by hand", None, now);
                }
                record.version += 1;
                (record.sealed, record.refreshable, record.lease) = (None, false, None);
                Ok(Some(record.account.clone()))
            })
            .await?
            .ok_or_else(|| VaultError::Busy(shown(id)))?;
        // Jobs that wait for it are woken to find out.
        if let Err(error) = self.outlet().wake(&account.park_key()).await {
            warn!(account = id, "its parked jobs were not woken: {error}");
        }
        self.flush(tenant, id).await;
        let said = match opened {
            Ok(tokens) => self.exchange().revoke(&account, &tokens).await.err(),
            Err(_) => None,
        };
        Ok((account, said.map(|error| error.to_string())))
    }

    /// Deletes all that is known of an account; `false`: there was none.
    ///
    /// # Errors
    /// The store.
    pub async fn remove(&self, tenant: &Tenant, id: &str) -> Result<bool, VaultError> {
        for _ in 0..20 {
            let Some(loaded) = self.load(tenant, id).await? else { return Ok(false) };
            if self.write(cell_of(tenant, id), loaded.cell, None, None).await? {
                return Ok(true);
            }
        }
        Err(VaultError::Busy(shown(id)))
    }

    /// Deletes a tenant's data key, then its accounts: what was sealed under it cannot be opened
    /// any more, in no copy of the cells.
    ///
    /// # Errors
    /// The store; calling it again goes on.
    pub async fn shred(&self, tenant: &Tenant) -> Result<Shredded, VaultError> {
        let cell = format!("{KEYS}{tenant}");
        let key = self.delete(&cell).await?;
        let (prefix, mut accounts) = (format!("account/{tenant}/"), 0);
        loop {
            let found = self.cells().list(&prefix, None, PAGE, self.now()).await?;
            if found.is_empty() {
                return Ok(Shredded { key, accounts });
            }
            for (cell, _) in found {
                accounts += usize::from(self.delete(&cell).await?);
            }
        }
    }

    /// Deletes a cell whoever else writes it; `false`: there was none.
    async fn delete(&self, cell: &str) -> Result<bool, VaultError> {
        let key = cell.to_owned();
        for _ in 0..20 {
            let found = self.cells().read(std::slice::from_ref(&key), self.now()).await?;
            let Some(found) = found.into_iter().next().flatten() else { return Ok(false) };
            if self.write(key.clone(), found.version, None, None).await? {
                return Ok(true);
            }
        }
        Err(VaultError::Busy(key))
    }

    /// Wraps every tenant's data key with the present wrapping key. Secrets are not touched, and
    /// workers that know both keys read throughout.
    ///
    /// # Errors
    /// A wrapping key that is missing; the store. Calling it again goes on.
    pub async fn rewrap(&self) -> Result<Rewrapped, VaultError> {
        let mut done = Rewrapped { by: self.keys().current().await?, ..Rewrapped::default() };
        let mut after: Option<String> = None;
        loop {
            let found = self.cells().list(KEYS, after.as_deref(), PAGE, self.now()).await?;
            let Some((last, _)) = found.last() else { return Ok(done) };
            after = Some(last.clone());
            for (cell, _) in &found {
                let Some(Ok(tenant)) = cell.strip_prefix(KEYS).map(str::parse::<Tenant>) else {
                    continue;
                };
                done.tenants += 1;
                done.moved += usize::from(self.rewrap_one(&tenant, cell, &done.by).await?);
            }
        }
    }

    async fn rewrap_one(&self, tenant: &Tenant, cell: &str, by: &str) -> Result<bool, VaultError> {
        let key = cell.to_owned();
        for _ in 0..20 {
            let found = self.cells().read(std::slice::from_ref(&key), self.now()).await?;
            let Some(found) = found.into_iter().next().flatten() else { return Ok(false) };
            let kept: TenantKey = decode(cell, &found)?;
            if kept.wrapped.by == by {
                return Ok(false);
            }
            let data = self.opened(tenant, Some(&kept)).await?;
            let wrapped = self.keys().wrap(&place_of_key(tenant), &data).await?;
            let made = TenantKey { wrapped, ..kept };
            if self.write(key.clone(), found.version, Some(encode(&made)?), None).await? {
                return Ok(true);
            }
        }
        Err(VaultError::Busy(key))
    }
}

fn account_of(new: &NewAccount, now: Timestamp) -> Account {
    Account {
        tenant: new.tenant.clone(),
        id: new.id.clone(),
        platform: new.platform.clone(),
        external_id: new.external_id.clone(),
        name: new.name.clone(),
        status: AccountStatus::Active,
        scopes: new.scopes.clone(),
        expires_at: new.expires_at,
        refresh_expires_at: new.refresh_expires_at,
        base_url: new.base_url.clone(),
        extra: new.extra.clone(),
        created_at: now,
        renewed_at: None,
    }
}

/// A name stands for one account there; posts of the one must not go out on the other.
fn same(old: &Account, new: &Account) -> Result<(), VaultError> {
    let told = |what: &str, was: &str, is: &str| {
        VaultError::Invalid(format!(
            "\"{}\" is the account with {what} \"{}\", not \"{}\": choose another name, or remove \
             it first",
            old.id,
            shown(was),
            shown(is)
        ))
    };
    if old.platform != new.platform {
        return Err(told("platform", &old.platform, &new.platform));
    }
    if old.external_id != new.external_id {
        return Err(told("id", &old.external_id, &new.external_id));
    }
    Ok(())
}

fn check(new: &NewAccount) -> Result<(), VaultError> {
    let wrong = |what: &str| Err(VaultError::Invalid(what.to_owned()));
    let held = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if !(1..=MAX_ID).contains(&new.id.len()) || !new.id.bytes().all(held) {
        return wrong("the name of an account has 1 to 64 letters, digits, '.', '-' or '_'");
    }
    let texts = [&new.platform, &new.external_id, &new.name];
    let base = new.base_url.iter();
    let extra = new.extra.iter().flat_map(|(name, text)| [name, text]);
    if texts.into_iter().chain(base).chain(&new.scopes).chain(extra).any(|it| it.len() > MAX_TEXT) {
        return wrong("platform, id, name, scopes and facts have at most 512 bytes each");
    }
    if new.external_id.trim().is_empty() {
        return wrong("the account's id on its platform is missing");
    }
    let counts = [new.scopes.len(), new.extra.len(), new.tokens.extra.len()];
    if counts.into_iter().any(|count| count > MAX_ITEMS) {
        return wrong("at most 50 scopes, 50 facts and 50 extra secrets are kept");
    }
    let secrets = [Some(&new.tokens.access), new.tokens.refresh.as_ref()];
    let secrets = secrets.into_iter().flatten().chain(new.tokens.extra.values());
    let fits = |it: &Secret| {
        let text = it.expose();
        (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    };
    if !secrets.into_iter().all(fits) {
        return wrong("a token has 1 to 8,192 visible ASCII characters: was it cut or wrapped?");
    }
    Ok(())
}
