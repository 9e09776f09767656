//! Reading and writing the vault's cells: accounts, the data keys of tenants, stopped platforms.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use flotilla_core::cells::{Cell, CellWrite};
use flotilla_core::queue::{QueueError, QueueErrorKind};
use flotilla_core::{Tenant, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::VaultError;
use crate::keys::{KeyProvider, Wrapped};
use crate::record::{Record, cell_of};
use crate::seal::Key;
use crate::vault::Vault;

/// Where the data keys of tenants are.
pub(crate) const KEYS: &str = "vault/key/";
/// Where stopped platforms are.
pub(crate) const STOPS: &str = "vault/stop/";
/// Most unwrapped keys that are kept in memory.
const MAX_KEPT: usize = 4096;

/// The data key of a tenant, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TenantKey {
    pub(crate) wrapped: Wrapped,
    pub(crate) made_at: Timestamp,
}

/// A platform that refused our app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stop {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) reason: String,
    /// The app that was refused: another one may try.
    pub(crate) app: String,
}

/// An account's record with the version of its cell, and its tenant's key.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) record: Record,
    pub(crate) cell: u64,
    pub(crate) key: Option<TenantKey>,
}

/// Keys that were unwrapped lately, by what they are wrapped as: a key that was deleted is not
/// found any more, since its wrapped form is read from its cell each time.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<HashMap<Wrapped, Arc<Key>>>);

impl Kept {
    pub(crate) async fn open(
        &self,
        provider: &dyn KeyProvider,
        tenant: &Tenant,
        wrapped: &Wrapped,
    ) -> Result<Arc<Key>, VaultError> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = lock().get(wrapped) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(provider.unwrap(&place_of_key(tenant), wrapped).await?);
        let mut kept = lock();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(wrapped.clone(), Arc::clone(&key));
        Ok(key)
    }
}

/// Where a tenant's data key is wrapped.
pub(crate) fn place_of_key(tenant: &Tenant) -> String {
    format!("flotilla/data-key/1\n{tenant}")
}

pub(crate) fn decode<T: DeserializeOwned>(key: &str, cell: &Cell) -> Result<T, VaultError> {
    serde_json::from_slice(&cell.value).map_err(|e| {
        let message = format!("the cell {key} is not one of this build's: {e}");
        VaultError::Store(QueueError::plain(QueueErrorKind::Corrupt, message))
    })
}

pub(crate) fn encode(value: &impl Serialize) -> Result<Bytes, VaultError> {
    let bytes = serde_json::to_vec(value);
    bytes.map(Bytes::from).map_err(|e| VaultError::Invalid(format!("cannot be kept: {e}")))
}

impl Vault {
    /// The account, with its tenant's key; one read.
    pub(crate) async fn load(
        &self,
        tenant: &Tenant,
        id: &str,
    ) -> Result<Option<Loaded>, VaultError> {
        let keys = [cell_of(tenant, id), format!("{KEYS}{tenant}")];
        let cells = self.cells().read(&keys, self.now()).await?;
        let mut cells = cells.into_iter();
        let (account, tenant_key) = (cells.next().flatten(), cells.next().flatten());
        let Some(account) = account else { return Ok(None) };
        let key = tenant_key.map(|cell| decode(&keys[1], &cell)).transpose()?;
        Ok(Some(Loaded { record: decode(&keys[0], &account)?, cell: account.version, key }))
    }

    /// As [`load`](Self::load), where there must be one.
    pub(crate) async fn known(&self, tenant: &Tenant, id: &str) -> Result<Loaded, VaultError> {
        let found = self.load(tenant, id).await?;
        found.ok_or_else(|| VaultError::Unknown { tenant: tenant.to_string(), id: shown(id) })
    }

    /// Writes the record if nobody changed the cell since version `expect` (0: there was none).
    /// The entry that says when to look at it is there before.
    pub(crate) async fn save(&self, record: &Record, expect: u64) -> Result<bool, VaultError> {
        let key = cell_of(&record.account.tenant, &record.account.id);
        let record = Record { indexed: self.index(record).await?, ..record.clone() };
        self.write(key, expect, Some(encode(&record)?), None).await
    }

    pub(crate) async fn write(
        &self,
        key: String,
        expect: u64,
        value: Option<Bytes>,
        expires_at: Option<Timestamp>,
    ) -> Result<bool, VaultError> {
        let change = CellWrite { key, expect, value, expires_at };
        let written = self.cells().write(&[change], self.now()).await?;
        Ok(written.first() == Some(&true))
    }

    /// The tenant's data key, opened.
    pub(crate) async fn opened(
        &self,
        tenant: &Tenant,
        key: Option<&TenantKey>,
    ) -> Result<Arc<Key>, VaultError> {
        let key = key.ok_or_else(|| VaultError::Sealed {
            what: format!("tenant \"{tenant}\""),
            why: "its key was deleted",
        })?;
        self.kept().open(self.keys(), tenant, &key.wrapped).await
    }

    /// The tenant's data key, where there is one.
    pub(crate) async fn key_of(&self, tenant: &Tenant) -> Result<Arc<Key>, VaultError> {
        let cell = format!("{KEYS}{tenant}");
        let found = self.cells().read(std::slice::from_ref(&cell), self.now()).await?;
        let found = found.into_iter().next().flatten();
        let key = found.map(|found| decode::<TenantKey>(&cell, &found)).transpose()?;
        self.opened(tenant, key.as_ref()).await
    }

    /// The tenant's data key; made when there is none.
    pub(crate) async fn key_for(&self, tenant: &Tenant) -> Result<Arc<Key>, VaultError> {
        let cell = format!("{KEYS}{tenant}");
        for _ in 0..3 {
            let found = self.cells().read(std::slice::from_ref(&cell), self.now()).await?;
            if let Some(found) = found.into_iter().next().flatten() {
                let key: TenantKey = decode(&cell, &found)?;
                return self.opened(tenant, Some(&key)).await;
            }
            let data = Key::random()?;
            let wrapped = self.keys().wrap(&place_of_key(tenant), &data).await?;
            let made = TenantKey { wrapped, made_at: self.now() };
            if self.write(cell.clone(), 0, Some(encode(&made)?), None).await? {
                return Ok(Arc::new(data));
            }
        }
        Err(VaultError::Busy(format!("key of {tenant}")))
    }

    /// Why the platform is left alone, if it is and the app is still the one it refused.
    pub(crate) async fn stopped(
        &self,
        platform: &str,
        app: &str,
    ) -> Result<Option<Stop>, VaultError> {
        let cell = format!("{STOPS}{platform}");
        let found = self.cells().read(std::slice::from_ref(&cell), self.now()).await?;
        let Some(found) = found.into_iter().next().flatten() else { return Ok(None) };
        let stop: Stop = decode(&cell, &found)?;
        Ok(Some(stop).filter(|stop| stop.app == app))
    }
}

/// A name from outside in an error, cut short.
pub(crate) fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}
