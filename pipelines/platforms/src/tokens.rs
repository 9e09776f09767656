//! How tokens are renewed, platform by platform: what is sent, and what the answer means. Pure
//! but for [`TokenClient`], which sends. The facts are `[platform.NAME.oauth]` in the registry;
//! sources and how sure they are: the fact sheet's sections on OAuth (RFC 6749 for the rest).

mod facts;
mod meta;
mod send;
mod standard;

use std::time::Duration;

use bytes::Bytes;
use flotilla_core::{Account, Secret};

pub use facts::{ClientAuth, Grant, OAuth, Rotates};
pub use send::TokenClient;

use crate::registry::{Endpoint, Spec};

/// Longest text of an answer that is passed on, in characters.
const MAX_SAID: usize = 200;
/// A longer word of an answer may be a token: Meta's errors repeat the one they were sent.
const MAX_WORD: usize = 24;

/// Our app at a platform.
#[derive(Clone, Debug)]
pub struct App {
    /// Its public name.
    pub client_id: String,
    /// Its secret; a public client has none.
    pub client_secret: Option<Secret>,
}

impl App {
    /// The app of every sandbox. An account with an address of its own is never sent the real one.
    #[must_use]
    pub fn sandbox() -> Self {
        let client_secret = Some(Secret::new("sandbox-secret"));
        Self { client_id: "sandbox-client".to_owned(), client_secret }
    }
}

/// A request that is ready to be sent. Shows no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// `true`: POST with a form; `false`: GET.
    pub post: bool,
    /// The address, without the query.
    pub url: String,
    /// The query.
    pub query: Vec<(String, Secret)>,
    /// The form.
    pub form: Vec<(String, Secret)>,
    /// User name and password.
    pub basic: Option<(String, Secret)>,
    /// The bearer token.
    pub bearer: Option<Secret>,
}

/// What came back, at most 64 KiB of it. Shows no body.
#[derive(Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// When they want to be asked again.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Bytes,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

/// Tokens that were granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The access token.
    pub access: Secret,
    /// The refresh token, if one came.
    pub refresh: Option<Secret>,
    /// How long the access token holds; `None`: for ever.
    pub expires_in: Option<Duration>,
    /// How long the refresh token holds, if that is known.
    pub refresh_expires_in: Option<Duration>,
    /// What was granted, if they said.
    pub scopes: Option<Vec<String>>,
}

/// Why there is no token. No text holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing was sent.
    #[error("{0}")]
    NotSent(String),
    /// It was sent; what came back, if anything, does not say whether it was done.
    #[error("{0}")]
    Lost(String),
    /// They are unwell, or we are too fast.
    #[error("{said}")]
    Unwell {
        /// What they said.
        said: String,
        /// When to come back.
        after: Option<Duration>,
    },
    /// The grant does not hold: `invalid_grant` and its kin.
    #[error("{0}")]
    Grant(String),
    /// Our app is refused: `invalid_client` and its kin.
    #[error("{0}")]
    Client(String),
    /// Another clear no.
    #[error("{0}")]
    Refused(String),
}

/// The request that renews an account's tokens.
///
/// # Errors
/// A sentence: a host that is not in the registry, a token that is missing.
pub fn refresh(
    facts: &OAuth,
    spec: &Spec,
    account: &Account,
    app: &App,
    access: &Secret,
    refresh: Option<&Secret>,
) -> Result<TokenRequest, String> {
    let base = account.base_url.as_deref();
    let url = Endpoint::url(base, spec, &facts.token_host, &facts.token_path)?;
    match facts.grant {
        Grant::RefreshToken => {
            let refresh = refresh.ok_or("there is no refresh token")?;
            Ok(standard::refresh(facts, url, app, refresh))
        }
        Grant::FbExchangeToken => Ok(meta::exchange(facts, url, app, refresh.unwrap_or(access))),
        Grant::IgRefreshToken | Grant::ThRefreshToken => Ok(meta::extend(facts, url, access)),
    }
}

/// What the answer to [`refresh`] means.
///
/// # Errors
/// See [`TokenError`].
pub fn read_refresh(facts: &OAuth, answer: &Answer) -> Result<Granted, TokenError> {
    let mut granted = match facts.grant {
        Grant::RefreshToken => standard::read(facts, answer)?,
        Grant::FbExchangeToken | Grant::IgRefreshToken | Grant::ThRefreshToken => {
            meta::read(answer)?
        }
    };
    if granted.refresh_expires_in.is_none() && facts.extends() {
        granted.refresh_expires_in = facts.refresh_ttl;
    }
    Ok(granted)
}

/// The request for the token of a page, which hangs on its user's; `None`: the platform has no
/// such thing.
#[must_use]
pub fn derive(
    facts: &OAuth,
    spec: &Spec,
    account: &Account,
    user: &Secret,
) -> Option<TokenRequest> {
    let path = facts.derive_path.as_ref()?.replace("{id}", &path_part(&account.external_id));
    let url = Endpoint::url(account.base_url.as_deref(), spec, "api", &path).ok()?;
    Some(meta::derive(url, user))
}

/// What the answer to [`derive`] means: the page's token.
///
/// # Errors
/// See [`TokenError`].
pub fn read_derived(answer: &Answer) -> Result<Secret, TokenError> {
    meta::read(answer).map(|granted| granted.access)
}

/// A cheap look with an access token, which changes nothing; `None`: no such call is known.
#[must_use]
pub fn probe(
    facts: &OAuth,
    spec: &Spec,
    account: &Account,
    access: &Secret,
) -> Option<TokenRequest> {
    let path = facts.probe_path.as_ref()?.replace("{id}", &path_part(&account.external_id));
    let host = facts.probe_host.as_deref().unwrap_or("api");
    let url = Endpoint::url(account.base_url.as_deref(), spec, host, &path).ok()?;
    Some(TokenRequest { bearer: Some(access.clone()), ..get(url) })
}

/// Whether the access token holds, by the answer to [`probe`]; `None`: that is not to be told.
#[must_use]
pub fn read_probe(answer: &Answer) -> Option<bool> {
    match meta::read_error(answer) {
        Some(TokenError::Grant(_)) => return Some(false),
        Some(_) => return None,
        None => {}
    }
    match answer.status {
        200..300 | 403 => Some(true),
        401 => Some(false),
        _ => None,
    }
}

/// The request that makes the platform forget the tokens; `None`: it has none.
#[must_use]
pub fn revoke(
    facts: &OAuth,
    spec: &Spec,
    account: &Account,
    app: &App,
    access: &Secret,
    refresh: Option<&Secret>,
) -> Option<TokenRequest> {
    let path = facts.revoke_path.as_ref()?;
    let url = Endpoint::url(account.base_url.as_deref(), spec, &facts.token_host, path).ok()?;
    Some(standard::revoke(facts, url, app, refresh.unwrap_or(access)))
}

/// What the answer to [`revoke`] means. A token that is dead already counts as revoked.
///
/// # Errors
/// See [`TokenError`].
pub fn read_revoked(answer: &Answer) -> Result<(), TokenError> {
    match answer.status {
        200..300 => Ok(()),
        _ => match standard::read_error(answer) {
            TokenError::Grant(_) => Ok(()),
            error => Err(error),
        },
    }
}

fn get(url: String) -> TokenRequest {
    let (query, form) = (Vec::new(), Vec::new());
    TokenRequest { post: false, url, query, form, basic: None, bearer: None }
}

/// One part of a path, whatever an account's id holds.
fn path_part(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// What they said, fit for a log: short, on one line, without words that may be tokens.
fn said(text: &str) -> String {
    let words = text
        .split_whitespace()
        .map(|word| if word.chars().count() > MAX_WORD { "…" } else { word });
    let line = words.collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(MAX_SAID).collect()
}

/// By the status alone, for bodies that say nothing.
fn by_status(answer: &Answer, what: &str) -> TokenError {
    let said = format!("HTTP {}{what}", answer.status);
    match answer.status {
        200..300 => TokenError::Lost(said),
        408 | 425 | 429 | 500.. => TokenError::Unwell { said, after: answer.retry_after },
        _ => TokenError::Refused(said),
    }
}

#[cfg(test)]
mod tests;
