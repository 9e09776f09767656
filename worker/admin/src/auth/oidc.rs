//! Logging in by `OpenID` Connect: authorization code with PKCE (S256), state and nonce.
//!
//! The ID token comes straight from the token endpoint over TLS, which stands in for its signature
//! (`OpenID` Connect Core 1.0, section 3.1.3.7, step 6); issuer, audience, expiry and nonce are checked.
//! Who somebody is here follows from a claim: its values are mapped to roles by the configuration, and
//! who has none of them does not get in.
//!
//! What a login waits for lies in a cell for ten minutes, is used once, and is bound to the browser
//! that began it by a cookie of its own.

mod claims;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use flotilla_core::Secret;
use flotilla_core::cells::CellWrite;
use flotilla_core::clock::after;
use serde::{Deserialize, Serialize};

pub use claims::RoleMap;

use super::session::Person;
use super::{Auth, Login, Refused, token};

/// How long somebody may take at the provider.
const PATIENCE: Duration = Duration::from_secs(600);
/// The cookie that binds a login to its browser.
const COOKIE: &str = "flotilla_login";
/// Longest query of a callback, in bytes.
const MAX_QUERY: usize = 8 * 1024;

/// The provider, and what we are to it.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// Its address, as its documents name it.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret; a public client has none.
    pub client_secret: Option<Secret>,
    /// The address by which people reach this server, without a path.
    pub public_url: String,
    /// What the link says, as in "Example Inc".
    pub label: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// From claims to roles and tenants.
    pub roles: RoleMap,
}

/// A request to the provider.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The address.
    pub url: String,
    /// `Some`: POST with this form; `None`: GET.
    pub form: Option<Vec<(String, Secret)>>,
    /// User name and password.
    pub basic: Option<(String, Secret)>,
}

/// The way to the provider.
#[async_trait]
pub trait Exchange: Send + Sync + std::fmt::Debug {
    /// The body of a good answer; `Err` with what went wrong, without secrets.
    async fn ask(&self, asked: Asked) -> Result<Bytes, String>;
}

/// Logins by a provider.
#[derive(Clone, Debug)]
pub struct Oidc(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: OidcSettings,
    exchange: Arc<dyn Exchange>,
    found: tokio::sync::OnceCell<Discovery>,
}

#[derive(Clone, Debug, Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
}

/// What a login waits for.
#[derive(Serialize, Deserialize)]
struct Waiting {
    nonce: String,
    verifier: String,
    /// The hash of the browser's cookie.
    browser: String,
}

#[derive(Deserialize)]
struct Granted {
    id_token: String,
}

impl Oidc {
    /// Over this way to the provider; nothing is asked yet.
    pub fn new(settings: OidcSettings, exchange: Arc<dyn Exchange>) -> Self {
        Self(Arc::new(Inner { settings, exchange, found: tokio::sync::OnceCell::new() }))
    }

    /// What the link says.
    pub fn label(&self) -> &str {
        &self.0.settings.label
    }

    /// Whether a session that was opened by it still counts.
    pub(super) fn is_issuer(&self, issuer: &str) -> bool {
        self.0.settings.issuer == issuer
    }

    async fn discovery(&self) -> Result<&Discovery, String> {
        let Inner { settings, exchange, found } = &*self.0;
        let look = async || {
            let issuer = settings.issuer.trim_end_matches('/');
            let url = format!("{issuer}/.well-known/openid-configuration");
            let body = exchange.ask(Asked { url, form: None, basic: None }).await?;
            let told: Discovery = serde_json::from_slice(&body)
                .map_err(|e| format!("its configuration cannot be read: {e}"))?;
            if told.issuer.trim_end_matches('/') != issuer {
                return Err("its configuration names another issuer".to_owned());
            }
            Ok(told)
        };
        found.get_or_try_init(look).await
    }

    fn callback(&self) -> String {
        format!("{}/oidc/callback", self.0.settings.public_url.trim_end_matches('/'))
    }

    /// Where the browser goes, and the cookie it takes along.
    async fn begin(&self, auth: &Auth) -> Result<(String, HeaderValue), Refused> {
        let there = self.discovery().await.map_err(Refused::Provider)?;
        let (state, browser) = (token::random()?, token::random()?);
        let waiting = Waiting {
            nonce: token::random()?,
            verifier: token::random()?,
            browser: hash(&browser),
        };
        let digest = ring::digest::digest(&ring::digest::SHA256, waiting.verifier.as_bytes());
        let challenge = URL_SAFE_NO_PAD.encode(digest.as_ref());
        let settings = &self.0.settings;
        let scope = [&["openid".to_owned()][..], &settings.scopes].concat().join(" ");
        let mut url = url::Url::parse(&there.authorization_endpoint)
            .map_err(|e| Refused::Provider(format!("its address is none: {e}")))?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", &self.callback())
            .append_pair("scope", &scope)
            .append_pair("state", &state)
            .append_pair("nonce", &waiting.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        let now = auth.0.clock.now();
        let change = CellWrite {
            key: cell(&state),
            expect: 0,
            value: Some(serde_json::to_vec(&waiting).unwrap_or_default().into()),
            expires_at: Some(after(now, PATIENCE)),
        };
        auth.0.cells.write(&[change], now).await.map_err(Refused::Unavailable)?;
        Ok((url.into(), self.cookie(&browser, PATIENCE.as_secs())))
    }

    /// Who came back with these.
    async fn end(&self, auth: &Auth, headers: &HeaderMap, query: &str) -> Result<Login, Refused> {
        let pair = |name: &str| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let state = pair("state").ok_or(Refused::Unknown)?;
        let waiting = self.take(auth, &state).await?;
        let browser = cookie(headers).ok_or(Refused::Unknown)?;
        if hash(browser) != waiting.browser {
            return Err(Refused::Unknown);
        }
        let Some(code) = pair("code") else {
            let why = pair("error").unwrap_or_else(|| "it sent no code".to_owned());
            let why: String = why.chars().filter(|c| !c.is_control()).take(80).collect();
            return Err(Refused::Provider(why));
        };
        let claims = self.granted(&code, &waiting).await.map_err(Refused::Provider)?;
        let settings = &self.0.settings;
        let now = auth.0.clock.now();
        let person = claims::person(&claims, settings, &waiting.nonce, now)?;
        auth.open(Person { issuer: settings.issuer.clone(), ..person }).await
    }

    async fn granted(&self, code: &str, waiting: &Waiting) -> Result<serde_json::Value, String> {
        let (settings, there) = (&self.0.settings, self.discovery().await?);
        let mut form = vec![
            ("grant_type".to_owned(), Secret::new("authorization_code")),
            ("code".to_owned(), Secret::new(code)),
            ("redirect_uri".to_owned(), Secret::new(self.callback())),
            ("code_verifier".to_owned(), Secret::new(waiting.verifier.as_str())),
        ];
        let basic = match &settings.client_secret {
            Some(secret) => Some((settings.client_id.clone(), secret.clone())),
            None => {
                form.push(("client_id".to_owned(), Secret::new(settings.client_id.as_str())));
                None
            }
        };
        let asked = Asked { url: there.token_endpoint.clone(), form: Some(form), basic };
        let body = self.0.exchange.ask(asked).await?;
        let granted: Granted =
            serde_json::from_slice(&body).map_err(|_| "it sent no ID token".to_owned())?;
        let claims = granted.id_token.split('.').nth(1).unwrap_or_default();
        let bytes =
            URL_SAFE_NO_PAD.decode(claims).map_err(|_| "its ID token is none".to_owned())?;
        serde_json::from_slice(&bytes).map_err(|_| "its ID token is none".to_owned())
    }

    /// What the login waits for, once.
    async fn take(&self, auth: &Auth, state: &str) -> Result<Waiting, Refused> {
        let (key, now) = (cell(state), auth.0.clock.now());
        let cells = &auth.0.cells;
        let found =
            cells.read(std::slice::from_ref(&key), now).await.map_err(Refused::Unavailable)?;
        let there = found.into_iter().next().flatten().ok_or(Refused::Unknown)?;
        let gone = CellWrite { key, expect: there.version, value: None, expires_at: None };
        let mine = cells.write(&[gone], now).await.map_err(Refused::Unavailable)?;
        if mine.first() != Some(&true) {
            return Err(Refused::Unknown);
        }
        serde_json::from_slice(&there.value).map_err(|_| Refused::Unknown)
    }

    /// `Lax`: it has to come along from the provider's page.
    fn cookie(&self, value: &str, seconds: u64) -> HeaderValue {
        let secure =
            if self.0.settings.public_url.starts_with("https://") { "; Secure" } else { "" };
        let text = format!(
            "{COOKIE}={value}; Path=/oidc; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
        );
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("flotilla_login="))
    }
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

fn cell(state: &str) -> String {
    format!("oidc/{}", hash(state))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// `/oidc/start` and `/oidc/callback`, where a provider is configured.
pub(crate) fn router(auth: Auth) -> Router {
    Router::new()
        .route("/oidc/start", get(start))
        .route("/oidc/callback", get(back))
        .with_state(auth)
}

async fn start(State(auth): State<Auth>) -> Response {
    let Some(oidc) = auth.oidc() else { return Refused::Unknown.into_response() };
    match oidc.begin(&auth).await {
        Ok((url, cookie)) => {
            let to = HeaderValue::from_str(&url).unwrap_or(HeaderValue::from_static("/"));
            let headers = [(header::LOCATION, to), (header::SET_COOKIE, cookie)];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Err(refused) => refused.into_response(),
    }
}

async fn back(State(auth): State<Auth>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let Some(oidc) = auth.oidc() else { return Refused::Unknown.into_response() };
    let query = query.unwrap_or_default();
    if query.len() > MAX_QUERY {
        return Refused::Unknown.into_response();
    }
    match oidc.end(&auth, &headers, &query).await {
        Ok(login) => {
            // A page, not a redirect: a strict cookie does not travel on a way that another site began.
            let page = Html(
                "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Logged in</title>\
                 <meta http-equiv=\"refresh\" content=\"0; url=/\"><p><a href=\"/\">Go on</a></p>",
            );
            let mut response = page.into_response();
            let out = response.headers_mut();
            out.append(header::SET_COOKIE, login.cookie);
            out.append(header::SET_COOKIE, oidc.cookie("", 0));
            out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(refused) => refused.into_response(),
    }
}

#[cfg(test)]
mod tests;
