//! What the vault asks of others: the platforms' token endpoints, and a way to tell and to wake.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::account::Account;
use flotilla_core::outcome::BoxError;
use flotilla_core::{Envelope, Secret, Tenant, Timestamp};
use serde::{Deserialize, Serialize};

/// The secrets of an account. Shows as `***`.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Sent with each call.
    pub access: Secret,
    /// Renews it, where the platform gave one.
    pub refresh: Option<Secret>,
    /// What else is secret, by name.
    pub extra: BTreeMap<String, Secret>,
}

/// What a renewal gave.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The new access token.
    pub access: Secret,
    /// The new refresh token; `None`: none came back, the old one stays.
    pub refresh: Option<Secret>,
    /// How long the access token holds; `None`: for ever.
    pub expires_in: Option<Duration>,
    /// How long the refresh token holds; `None`: nothing was said, what was known stays.
    pub refresh_expires_in: Option<Duration>,
    /// What it may do; `None`: nothing was said.
    pub scopes: Option<Vec<String>>,
}

/// What an account's token is renewed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// A refresh token of its own.
    RefreshToken,
    /// The access token itself, while it holds.
    Itself,
    /// Nothing: its owner connects the account again.
    Nothing,
}

/// How the tokens of an account are renewed, as the facts about its platform say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// With what.
    pub renewal: Renewal,
    /// Renewed by the clock from so long before its end; `None`: only when it is needed.
    pub lead: Option<Duration>,
    /// Accounts are spread over so long after that; less than `lead`.
    pub jitter: Duration,
    /// What nobody used for so long is renewed all the same, before the platform forgets it.
    pub idle: Option<Duration>,
    /// Whether a renewal puts off the end of what the next one needs.
    pub extends: bool,
    /// A token that is needed is renewed first when it has less than this left.
    pub ahead: Duration,
    /// A younger token is not renewed.
    pub min_age: Duration,
    /// A refused token that is younger than this is believed to be good: the platform has not
    /// heard of it everywhere yet.
    pub young: Duration,
}

/// Why a token endpoint gave no token. The texts hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// Nothing was sent: the name, the connection or TLS failed.
    #[error("the token endpoint cannot be reached: {0}")]
    NotSent(String),
    /// It was sent, and no whole answer came: it may have been done.
    #[error("the answer of the token endpoint was lost: {0}")]
    Lost(String),
    /// They are unwell or want us to be slower.
    #[error("the token endpoint is not well: {reason}")]
    Unwell {
        /// What they said.
        reason: String,
        /// When to come back.
        after: Option<Duration>,
    },
    /// The refresh token does not hold any more (`invalid_grant` and the like): only its owner
    /// can mend that.
    #[error("{0}")]
    Grant(String),
    /// Our own app is refused (`invalid_client` and the like): no account of the platform can be
    /// renewed until its operator mends that.
    #[error("{0}")]
    Client(String),
    /// Another clear no, ours to look into: not the account's fault, not one that passes.
    #[error("the token endpoint refused the request: {0}")]
    Refused(String),
}

/// What a cheap look with an access token said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It holds.
    Holds,
    /// It does not.
    Dead,
    /// Not to be told.
    Unknown,
}

/// The token endpoints of the platforms.
#[async_trait]
pub trait Exchange: Send + Sync + std::fmt::Debug {
    /// How the account's tokens are renewed; `None`: the platform is not known.
    fn rule(&self, account: &Account) -> Option<Rule>;

    /// Changes whenever the app's credentials for that platform do, and does not tell them.
    fn app(&self, account: &Account) -> String;

    /// One renewal, sent once.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    async fn refresh(&self, account: &Account, tokens: &Tokens) -> Result<Fresh, ExchangeError>;

    /// Whether the access token holds, by a call that changes nothing.
    async fn probe(&self, account: &Account, access: &Secret) -> Probe;

    /// Tells the platform to forget the tokens.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    async fn revoke(&self, account: &Account, tokens: &Tokens) -> Result<(), ExchangeError>;
}

/// Something people have to hear of an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Names it for ever: telling twice is telling once. Letters, digits and `-`.
    pub id: String,
    /// What happened.
    pub what: Happened,
    /// Whose account.
    pub tenant: Tenant,
    /// Which account.
    pub account: String,
    /// Its platform.
    pub platform: String,
    /// When.
    pub at: Timestamp,
    /// Why, without secrets.
    pub reason: String,
    /// When it ends, where it is about an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

/// What can happen to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// Its owner has to connect it again; its jobs are parked until then.
    ReauthRequired,
    /// It will end, and nothing but its owner can extend it.
    Expiring,
    /// It was connected again; its jobs go on.
    Reconnected,
    /// It was taken out of use by hand.
    Revoked,
}

impl Happened {
    /// The `type` attribute of its event.
    #[must_use]
    pub fn event_type(self) -> &'static str {
        match self {
            Self::ReauthRequired => "flotilla.account.reauth_required",
            Self::Expiring => "flotilla.account.expiring",
            Self::Reconnected => "flotilla.account.reconnected",
            Self::Revoked => "flotilla.account.revoked",
        }
    }
}

/// How the vault reaches the rest of the fleet. Each may be done twice.
#[async_trait]
pub trait Outlet: Send + Sync + std::fmt::Debug {
    /// Wakes the jobs that are parked under `key`.
    ///
    /// # Errors
    /// They may still be parked.
    async fn wake(&self, key: &str) -> Result<(), BoxError>;

    /// Tells whoever wants to know.
    ///
    /// # Errors
    /// Not everybody was told.
    async fn tell(&self, notice: &Notice) -> Result<(), BoxError>;

    /// Enqueues jobs.
    ///
    /// # Errors
    /// Some may not have been taken.
    async fn enqueue(&self, jobs: Vec<Envelope>) -> Result<(), BoxError>;
}
