//! Accounts of tenants on other people's platforms, and the port that hands out their credentials.
//!
//! A handler names an account and gets an access token; where tokens are kept, how they are
//! encrypted and who renews them is the business of who implements [`Accounts`].

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::Tenant;
use crate::outcome::JobError;
use crate::secret::Secret;

/// What is known of an account; nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name here, unique in its tenant: letters, digits, `.`, `-`, `_`, at most 64.
    pub id: String,
    /// The platform, as the registry of platforms names it (`instagram`).
    pub platform: String,
    /// Its id there: a page, a user, a person or organisation URN, a phone number id.
    pub external_id: String,
    /// Its name there, for people.
    #[serde(default)]
    pub name: String,
    /// Whether it can be used.
    pub status: AccountStatus,
    /// What it may do, as the platform names it.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// When its access token ends; `None`: it does not.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// When its refresh token ends; `None`: it does not, or there is none.
    #[serde(default)]
    pub refresh_expires_at: Option<Timestamp>,
    /// Where its platform is, instead of the real one: a sandbox.
    #[serde(default)]
    pub base_url: Option<String>,
    /// What else its platform needs to know, as in `login = "facebook"`.
    #[serde(default)]
    pub extra: BTreeMap<String, String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When its token was last renewed.
    #[serde(default)]
    pub renewed_at: Option<Timestamp>,
}

impl Account {
    /// The key its jobs are parked under while it cannot be used.
    pub fn park_key(&self) -> String {
        park_key(&self.tenant, &self.id)
    }
}

/// The key under which jobs of an account are parked.
pub fn park_key(tenant: &Tenant, id: &str) -> String {
    format!("account/{tenant}/{id}")
}

/// Whether an account can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum AccountStatus {
    /// It can.
    Active,
    /// Its owner has to connect it again.
    ReauthRequired {
        /// Since when.
        since: Timestamp,
        /// What the platform said, without secrets.
        reason: String,
    },
    /// Taken out of use by hand; its secrets are gone.
    Revoked {
        /// Since when.
        since: Timestamp,
    },
}

/// An access token as it was read.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Sent with each call.
    pub access_token: Secret,
    /// Grows with each renewal, so that "the one I used" can be told from a newer one.
    pub version: u64,
    /// When it ends; `None`: it does not.
    pub expires_at: Option<Timestamp>,
}

/// Accounts and their credentials, as handlers see them.
#[async_trait]
pub trait Accounts: Send + Sync + std::fmt::Debug {
    /// The account.
    ///
    /// # Errors
    /// `Fail` (invalid) when there is none of that name; `Retry` when the store cannot be reached.
    async fn account(&self, tenant: &Tenant, id: &str) -> Result<Account, JobError>;

    /// An access token that holds for a minute at least, renewed first if need be.
    ///
    /// # Errors
    /// As [`account`](Self::account); `Park` under [`park_key`] while the account must be
    /// connected again; `Snooze` when a renewal failed for reasons that may pass: an outage of
    /// theirs costs no attempt.
    async fn credential(&self, tenant: &Tenant, id: &str) -> Result<Credential, JobError>;

    /// The platform refused the token of version `used` as expired: a newer one, renewed once
    /// for the whole fleet.
    ///
    /// # Errors
    /// As [`credential`](Self::credential).
    async fn renew(&self, tenant: &Tenant, id: &str, used: u64) -> Result<Credential, JobError>;

    /// The platform says that the token of version `used` is dead for good (revoked, password
    /// changed). Gives the error the job ends with: `Park`, or `Retry` when a newer one is there.
    async fn refused(&self, tenant: &Tenant, id: &str, used: u64, reason: &str) -> JobError;

    /// Seals something that must not lie in a store as it is, with the tenant's key: it can be
    /// opened for the same `place` only.
    ///
    /// # Errors
    /// `Retry` when the store or the keys cannot be reached.
    async fn seal(&self, tenant: &Tenant, place: &str, plain: &Secret) -> Result<String, JobError>;

    /// Opens what was sealed for `place`.
    ///
    /// # Errors
    /// As [`seal`](Self::seal); `Fail` when it was changed since, or the key is gone.
    async fn open(&self, tenant: &Tenant, place: &str, sealed: &str) -> Result<Secret, JobError>;
}
