//! Who calls, and what they may: tokens, sessions of people's browsers, roles, tenants.
//!
//! For everything that serves pages or answers beside the API (the console does):
//!
//! | call | gives |
//! | --- | --- |
//! | [`Auth::who`] | the [`Principal`] of a request, after the rules on `Host` and `Origin`; else [`Refused`] |
//! | [`identify`] | the same as axum middleware (`from_fn_with_state(auth, identify)`): handlers take `Principal` as an argument |
//! | [`Principal::need`], [`Principal::need_fleet`] | whether the role may do it; whether it may for all tenants |
//! | [`Principal::sees`], [`Principal::within`] | whether it may see a tenant's things; a filter held to its tenants |
//! | [`Principal::csrf`], [`Principal::check_csrf`] | the value that every form carries in a hidden field `csrf` (empty where there is no session), and its check; the API takes it as the header `x-csrf-token` |
//! | [`Auth::login`], [`Auth::logout`] | a session for a token: `Login { principal, cookie }`; the cookie that ends it. Set both as `Set-Cookie` |
//! | [`Auth::oidc`] | the provider people may log in by, with the `label` of its link to `/oidc/start` |
//! | [`Auth::is_open`] | no token is configured: everybody on this machine is the admin `local`, and a login page has no use |
//! | [`Auth::check_listen`] | whether it may listen on an address: not beyond loopback while it is open |
//!
//! [`Refused`] answers as problem+json by itself; `Refused::status()` says 401 (log in), 403 or 503.
//!
//! Tokens are kept as hashes. A session is 32 random bytes in a cookie (`HttpOnly`, `SameSite=Strict`);
//! the fleet keeps their hash in a cell with the hash of the token that opened it, so that a token that
//! was taken out of the configuration, or given another role, counts so at once in all its sessions.
//!
//! A web page of somebody else in the operator's browser must not write: requests that the browser
//! authorises by itself (a cookie, or nothing at all on an open address) are refused on writes when
//! `Sec-Fetch-Site` or `Origin` name another site, and an open address answers only to names of this
//! machine, so that a name that is made to point here (DNS rebinding) gets nothing.

pub mod oidc;
mod origin;
mod role;
mod session;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flotilla_core::queue::QueueError;
use flotilla_core::{Cells, Clock};

pub use role::{Act, Principal, Role, Tenants, Via};
pub use session::Login;
pub use token::{InvalidHash, NewToken, TokenEntry, TokenHash};

use crate::api::Problem;

/// Rules of logins.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthSettings {
    /// How long a session lasts.
    pub session: Duration,
    /// Cookies go over HTTPS only, and are bound to the very host.
    pub secure_cookies: bool,
    /// Names by which it may be called, beside those of this machine. With tokens, empty means any.
    pub hosts: Vec<String>,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self { session: Duration::from_secs(12 * 3600), secure_cookies: false, hosts: Vec::new() }
    }
}

/// Who may call.
#[derive(Clone, Debug)]
pub struct Auth(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tokens: Vec<TokenEntry>,
    cells: Arc<dyn Cells>,
    clock: Arc<dyn Clock>,
    settings: AuthSettings,
    oidc: Option<oidc::Oidc>,
}

/// Why a request goes no further.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Nothing valid was shown.
    #[error("show a token (Authorization: Bearer …) or log in")]
    Unknown,
    /// Called by a name that is not this machine's.
    #[error(
        "\"{0}\" is not a name of this machine: call it by 127.0.0.1 or localhost, or add the name \
         to admin.hosts and configure a token"
    )]
    Host(String),
    /// A page of another site wants to write.
    #[error("the request comes from a page of another site: {0}")]
    Origin(String),
    /// The form does not carry the value of this session.
    #[error("the form is of another session: load the page again")]
    Csrf,
    /// The role does not reach that far.
    #[error("{0}")]
    Forbidden(String),
    /// Sessions cannot be read now.
    #[error("sessions cannot be read now: try again")]
    Unavailable(#[source] QueueError),
    /// The provider of logins says no, or nothing that can be understood.
    #[error("the login did not work: {0}")]
    Provider(String),
    /// The machine gives no random bytes.
    #[error("the machine gives no random bytes: no session can be made")]
    NoRandom,
}

impl Refused {
    /// 401, 403, 421 or 503.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::UNAUTHORIZED,
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin(_) | Self::Csrf | Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Provider(_) => StatusCode::BAD_GATEWAY,
            Self::Unavailable(_) | Self::NoRandom => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = refused.status();
        let (slug, title) = match refused {
            Refused::Unknown => ("unauthorised", "no valid token"),
            Refused::Host(_) => ("wrong-host", "not a name of this server"),
            Refused::Origin(_) | Refused::Csrf => ("cross-site", "not from a page of this server"),
            Refused::Forbidden(_) => ("forbidden", "not allowed"),
            Refused::Unavailable(error) => return error.into(),
            Refused::Provider(_) => ("login", "not logged in"),
            Refused::NoRandom => ("unavailable", "not possible now"),
        };
        Self::new(status, slug, title, refused.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

impl Auth {
    /// With these tokens; none: open to everybody on this machine.
    pub fn new(
        tokens: Vec<TokenEntry>,
        cells: Arc<dyn Cells>,
        clock: Arc<dyn Clock>,
        settings: AuthSettings,
    ) -> Self {
        Self(Arc::new(Inner { tokens, cells, clock, settings, oidc: None }))
    }

    /// The same, also open to who comes from this provider.
    pub fn with_oidc(self, oidc: oidc::Oidc) -> Self {
        let Inner { tokens, cells, clock, settings, .. } = &*self.0;
        let (cells, clock) = (Arc::clone(cells), Arc::clone(clock));
        let (tokens, settings) = (tokens.clone(), settings.clone());
        Self(Arc::new(Inner { tokens, cells, clock, settings, oidc: Some(oidc) }))
    }

    /// The provider people may log in by at `/oidc/start`, if there is one.
    pub fn oidc(&self) -> Option<&oidc::Oidc> {
        self.0.oidc.as_ref()
    }

    /// Whether everybody who reaches it is admin.
    pub fn is_open(&self) -> bool {
        self.0.tokens.is_empty() && self.0.oidc.is_none()
    }

    /// Whether it may listen there.
    ///
    /// # Errors
    /// What is missing and how to mend it: beyond loopback there must be a token.
    pub fn check_listen(&self, address: SocketAddr) -> Result<(), String> {
        if address.ip().is_loopback() || !self.is_open() {
            return Ok(());
        }
        Err(format!(
            "admin address {address} is reachable from outside and no token is configured, so that \
             everybody could change everything: `flotilla tokens new NAME --role admin` makes one \
             and says which lines to add, or set admin.token_file, or listen on 127.0.0.1"
        ))
    }

    /// Who calls, after the rules on `Host` and `Origin`.
    ///
    /// # Errors
    /// Why the request goes no further.
    pub async fn who(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Principal, Refused> {
        let host = origin::host(uri, headers);
        origin::check_host(host, &self.0.settings.hosts, self.is_open())?;
        if let Some(shown) = bearer(headers).filter(|_| !self.is_open()) {
            let entry = token::find(&self.0.tokens, shown?).ok_or(Refused::Unknown)?;
            return Ok(Principal::of(entry, Via::Token));
        }
        let principal =
            if self.is_open() { Principal::local() } else { self.session(headers).await? };
        if !method.is_safe() {
            origin::check(host, headers)?;
        }
        Ok(principal)
    }
}

/// What an `Authorization` header shows; `None`: there is none.
fn bearer(headers: &HeaderMap) -> Option<Result<&str, Refused>> {
    let value = headers.get(header::AUTHORIZATION)?;
    let shown = value.to_str().ok().and_then(|value| value.split_once(' '));
    let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    Some(shown.map(|(_, token)| token.trim()).ok_or(Refused::Unknown))
}

/// Middleware: finds out who calls and hands it on as an extension; else refuses.
pub async fn identify(State(auth): State<Auth>, mut request: Request, next: Next) -> Response {
    match auth.who(request.method(), request.uri(), request.headers()).await {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    }
}

/// Behind [`identify`] only.
impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        parts.extensions.get::<Self>().cloned().ok_or(Refused::Unknown)
    }
}

#[cfg(test)]
mod tests;
