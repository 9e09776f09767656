//! Sessions of browsers. The cookie holds 32 random bytes; the fleet holds their hash.

use axum::http::{HeaderMap, HeaderValue, header};
use flotilla_core::Timestamp;
use flotilla_core::cells::CellWrite;
use flotilla_core::clock::after;
use flotilla_core::queue::QueueError;
use serde::{Deserialize, Serialize};

use super::{Auth, Principal, Refused, Role, Tenants, Via, token};

/// Where cookies go over HTTPS only; the prefix binds it to the very host.
const SECURE: &str = "__Host-flotilla";
/// Elsewhere.
const PLAIN: &str = "flotilla";
/// A cookie is this long: longer ones are not looked at.
const LENGTH: usize = 64;

/// Somebody who has logged in.
#[derive(Debug)]
pub struct Login {
    /// Who it is.
    pub principal: Principal,
    /// `Set-Cookie`.
    pub cookie: HeaderValue,
}

/// A session as its cell holds it.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The hash of the token that opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Whom the provider named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    person: Option<Person>,
    until: Timestamp,
}

/// Somebody as the provider of logins names them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Person {
    /// The provider.
    pub(super) issuer: String,
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) tenants: Tenants,
}

impl Person {
    fn principal(self, via: Via) -> Principal {
        Principal { name: self.name.into(), role: self.role, tenants: self.tenants, via }
    }
}

impl Auth {
    /// Opens a session for whoever shows this token.
    ///
    /// # Errors
    /// `Unknown`: it is none of the tokens, or the address is open and knows none.
    pub async fn login(&self, shown: &str) -> Result<Login, Refused> {
        let entry = token::find(&self.0.tokens, shown.trim()).ok_or(Refused::Unknown)?;
        let (cookie, via) = self.keep(Some(entry.hash.to_string()), None).await?;
        tracing::info!(target: "audit", who = %entry.name, what = "session.open", "logged in");
        Ok(Login { principal: Principal::of(entry, via), cookie })
    }

    /// Opens a session for somebody whom the provider named.
    pub(super) async fn open(&self, person: Person) -> Result<Login, Refused> {
        let (cookie, via) = self.keep(None, Some(person.clone())).await?;
        tracing::info!(target: "audit", who = %person.name, what = "session.open", "logged in");
        Ok(Login { principal: person.principal(via), cookie })
    }

    async fn keep(
        &self,
        token: Option<String>,
        person: Option<Person>,
    ) -> Result<(HeaderValue, Via), Refused> {
        let (secret, now) = (token::random()?, self.0.clock.now());
        let until = after(now, self.0.settings.session);
        let kept = Kept { token, person, until };
        let value = serde_json::to_vec(&kept).unwrap_or_default();
        let change = CellWrite {
            key: cell(&secret),
            expect: 0,
            value: Some(value.into()),
            expires_at: Some(until),
        };
        self.0.cells.write(&[change], now).await.map_err(Refused::Unavailable)?;
        let via = Via::Session { csrf: csrf(&secret).into(), until };
        Ok((self.cookie(&secret, self.0.settings.session.as_secs()), via))
    }

    /// Ends the session of this request; gives the cookie that forgets it.
    ///
    /// # Errors
    /// When the cell cannot be written: the session goes on.
    pub async fn logout(&self, headers: &HeaderMap) -> Result<HeaderValue, QueueError> {
        let now = self.0.clock.now();
        if let Some(secret) = self.shown(headers) {
            let key = cell(secret);
            let found = self.0.cells.read(std::slice::from_ref(&key), now).await?;
            if let Some(there) = found.into_iter().next().flatten() {
                let change =
                    CellWrite { key, expect: there.version, value: None, expires_at: None };
                self.0.cells.write(&[change], now).await?;
            }
        }
        Ok(self.cookie("", 0))
    }

    /// Who a cookie belongs to.
    pub(super) async fn session(&self, headers: &HeaderMap) -> Result<Principal, Refused> {
        let secret = self.shown(headers).ok_or(Refused::Unknown)?;
        let (key, now) = (cell(secret), self.0.clock.now());
        let found = self.0.cells.read(&[key], now).await.map_err(Refused::Unavailable)?;
        let there = found.into_iter().next().flatten().ok_or(Refused::Unknown)?;
        let kept: Kept = serde_json::from_slice(&there.value).map_err(|_| Refused::Unknown)?;
        if kept.until <= now {
            return Err(Refused::Unknown);
        }
        let via = Via::Session { csrf: csrf(secret).into(), until: kept.until };
        let here = |issuer: &str| self.oidc().is_some_and(|oidc| oidc.is_issuer(issuer));
        match (kept.token, kept.person) {
            (Some(hash), _) => {
                let entry = token::by_hash(&self.0.tokens, &hash).ok_or(Refused::Unknown)?;
                Ok(Principal::of(entry, via))
            }
            (None, Some(person)) if here(&person.issuer) => Ok(person.principal(via)),
            (None, _) => Err(Refused::Unknown),
        }
    }

    fn shown<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let name = self.cookie_name();
        let all = headers.get_all(header::COOKIE).into_iter();
        let pairs = all.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
        let mut ours = pairs.filter_map(|pair| pair.trim().split_once('='));
        let (_, secret) = ours.find(|(key, _)| *key == name)?;
        (secret.len() == LENGTH && secret.bytes().all(|b| b.is_ascii_hexdigit())).then_some(secret)
    }

    fn cookie_name(&self) -> &'static str {
        if self.0.settings.secure_cookies { SECURE } else { PLAIN }
    }

    fn cookie(&self, secret: &str, seconds: u64) -> HeaderValue {
        let secure = if self.0.settings.secure_cookies { "; Secure" } else { "" };
        let name = self.cookie_name();
        let text = format!(
            "{name}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
        );
        let mut value =
            HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("flotilla="));
        value.set_sensitive(true);
        value
    }
}

fn cell(secret: &str) -> String {
    format!("session/{}", blake3::hash(secret.as_bytes()).to_hex())
}

/// Follows from the cookie, so that it needs no place of its own; says nothing of it.
fn csrf(secret: &str) -> String {
    let key = blake3::derive_key("flotilla 2026 csrf of a session", secret.as_bytes());
    blake3::Hash::from_bytes(key).to_hex()[..32].to_owned()
}
