//! Accounts of platforms as the console sees them: never with a secret.

use async_trait::async_trait;
use flotilla_core::Tenant;
use flotilla_vault::{Listed, Stopped, Vault, VaultError};

/// Where accounts are looked up.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Accounts by tenant and name, at most `limit`.
    ///
    /// # Errors
    /// The store.
    async fn list(&self, tenant: Option<&Tenant>, limit: usize) -> Result<Vec<Listed>, VaultError>;

    /// Platforms that are left alone because they refused our app.
    ///
    /// # Errors
    /// The store.
    async fn stops(&self) -> Result<Vec<Stopped>, VaultError>;

    /// Renews a token now.
    ///
    /// # Errors
    /// What kept it, in a sentence without secrets.
    async fn refresh(&self, tenant: &Tenant, id: &str) -> Result<(), String>;
}

#[async_trait]
impl Accounts for Vault {
    async fn list(&self, tenant: Option<&Tenant>, limit: usize) -> Result<Vec<Listed>, VaultError> {
        let mut all: Vec<Listed> = Vec::new();
        while all.len() < limit {
            let last = all.last().map(|last| last.account.clone());
            let page = Self::list(self, tenant, last.as_ref(), limit - all.len()).await?;
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        Ok(all)
    }

    async fn stops(&self) -> Result<Vec<Stopped>, VaultError> {
        Self::stops(self).await
    }

    async fn refresh(&self, tenant: &Tenant, id: &str) -> Result<(), String> {
        let renewed = self.refresh_now(tenant, id).await;
        renewed.map(|_| ()).map_err(|error| error.text(1000))
    }
}
