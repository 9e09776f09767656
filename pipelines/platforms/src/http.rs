//! The one guarded HTTP client, and the fetch of a source URL with it.
//!
//! Redirects are followed here, not by the client, so that every hop is judged by the guard before
//! a byte is sent to it. Bodies are read chunk by chunk and dropped at the bound, whatever the
//! headers promised and however well they were compressed.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::dns::Resolve;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use tokio::sync::OnceCell;
use url::Url;

use crate::guard::{BadException, Guard, GuardSettings, Passage, Refusal};
use crate::resolve::{GuardedLookup, SystemLookup};
use crate::retry_after::RetryAfter;

const USER_AGENT: &str = concat!("flotilla/", env!("CARGO_PKG_VERSION"));

/// Room taken for a body before its first byte arrives, at most: a header may promise anything.
const FIRST_CAPACITY: u64 = 1 << 20;

/// Makes ring the process's TLS provider. Later calls, and a provider installed by others, change
/// nothing.
pub fn install_crypto() {
    // An error means that a provider is installed already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A body that was fetched within the bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The decompressed body.
    pub bytes: Bytes,
    /// The `Content-Type` header, as sent: a claim, not a fact.
    pub content_type: Option<String>,
    /// Where the body came from after redirects, without query and fragment.
    pub final_url_without_query: String,
}

/// Why a fetch failed. Each variant stands for one class; the URLs shown have no query, fragment
/// or user name, because those carry signatures and passwords.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Not a URL. For good.
    #[error("not a URL: {reason}")]
    BadUrl {
        /// What the parser missed.
        reason: String,
    },
    /// The guard refused the URL, an address behind it, or a redirect. For good.
    #[error("{url} is not fetched: {refusal}")]
    Blocked {
        /// The hop that was refused.
        url: String,
        /// The rule it breaks.
        refusal: Refusal,
    },
    /// The body is larger than the bound. For good.
    #[error("{url} is larger than {limit} bytes; give a smaller source or raise the limit")]
    TooLarge {
        /// The hop that answered.
        url: String,
        /// The bound in bytes.
        limit: u64,
    },
    /// The bound in time passed. Worth a retry.
    #[error("{url} did not answer in time")]
    Timeout {
        /// The URL that was asked for.
        url: String,
    },
    /// The server answered, but not with a body. Worth a retry for 408, 425, 429 and 5xx.
    #[error("{url} answered {code}")]
    Status {
        /// The hop that answered.
        url: String,
        /// The HTTP status.
        code: u16,
        /// The server's own wish, when it had one.
        retry_after: Option<RetryAfter>,
    },
    /// No connection, no TLS, or a body that broke off. Worth a retry.
    #[error("{url} could not be fetched: {reason}")]
    Connect {
        /// The hop that failed.
        url: String,
        /// What the network said.
        reason: String,
    },
}

/// Fetches source URLs through the guard. Cheap to share by reference; holds a connection pool.
pub struct Fetcher {
    guard: Guard,
    settings: GuardSettings,
    lookup: Arc<dyn Resolve>,
    guarded: OnceCell<Client>,
    excepted: OnceCell<Client>,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// Makes the rules ready. Clients, and with them the system's root certificates, are loaded by
    /// the first fetch that needs them.
    ///
    /// # Errors
    /// An exception in the settings that is not `host:port`.
    pub fn new(settings: GuardSettings) -> Result<Self, BadException> {
        Self::with_lookup(settings, Arc::new(SystemLookup))
    }

    fn with_lookup(
        settings: GuardSettings,
        lookup: Arc<dyn Resolve>,
    ) -> Result<Self, BadException> {
        let guard = Guard::new(&settings)?;
        let (guarded, excepted) = (OnceCell::new(), OnceCell::new());
        Ok(Self { guard, settings, lookup, guarded, excepted })
    }

    /// Fetches `url` with GET, follows redirects, and holds every bound of the settings.
    ///
    /// # Errors
    /// See [`FetchError`]; the first failure ends the fetch, nothing is retried here.
    pub async fn fetch(&self, url: &str) -> Result<Fetched, FetchError> {
        let url = parse(url)?;
        let asked = shown(&url);
        match tokio::time::timeout(self.settings.timeout, self.follow(url)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(FetchError::Timeout { url: asked }),
        }
    }

    async fn follow(&self, mut url: Url) -> Result<Fetched, FetchError> {
        for _ in 0..=self.settings.redirects {
            let response = self.ask(&url).await?;
            match next_hop(&url, &response)? {
                Some(next) => url = next,
                None => return self.read(&url, response).await,
            }
        }
        let refusal = Refusal::Redirects { limit: self.settings.redirects };
        Err(FetchError::Blocked { url: shown(&url), refusal })
    }

    async fn ask(&self, url: &Url) -> Result<Response, FetchError> {
        let client = self.admitted(url).await?;
        client.get(url.clone()).send().await.map_err(|error| failed(url, &error))
    }

    /// The client for a URL that the guard lets through.
    async fn admitted(&self, url: &Url) -> Result<&Client, FetchError> {
        let passage = self
            .guard
            .check(url)
            .map_err(|refusal| FetchError::Blocked { url: shown(url), refusal })?;
        self.client(passage).await.map_err(|error| failed(url, &error))
    }

    async fn client(&self, passage: Passage) -> Result<&Client, reqwest::Error> {
        let build = |lookup| async move { client(lookup, self.settings.connect_timeout) };
        match passage {
            Passage::Guarded => {
                let inner = Arc::clone(&self.lookup);
                self.guarded
                    .get_or_try_init(
                        || build(Arc::new(GuardedLookup { inner }) as Arc<dyn Resolve>),
                    )
                    .await
            }
            Passage::Excepted => {
                self.excepted.get_or_try_init(|| build(Arc::clone(&self.lookup))).await
            }
        }
    }

    async fn read(&self, url: &Url, mut response: Response) -> Result<Fetched, FetchError> {
        if !response.status().is_success() {
            return Err(FetchError::Status {
                url: shown(url),
                code: response.status().as_u16(),
                retry_after: header(response.headers(), &RETRY_AFTER).and_then(RetryAfter::parse),
            });
        }
        let limit = self.settings.max_bytes;
        let too_large = || FetchError::TooLarge { url: shown(url), limit };
        let promised = response.content_length().unwrap_or(0);
        if promised > limit {
            return Err(too_large());
        }
        let content_type = header(response.headers(), &CONTENT_TYPE).map(str::to_owned);
        let capacity = usize::try_from(promised.min(FIRST_CAPACITY)).unwrap_or(0);
        let mut body = BytesMut::with_capacity(capacity);
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(url, &error))? {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched { bytes: body.freeze(), content_type, final_url_without_query: shown(url) })
    }
}

/// The only place where a client is built: no proxy from the environment (it would resolve names
/// unguarded), no redirects and no `Referer` by itself.
fn client(lookup: Arc<dyn Resolve>, connect_timeout: Duration) -> Result<Client, reqwest::Error> {
    install_crypto();
    Client::builder()
        .user_agent(USER_AGENT)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(connect_timeout)
        .dns_resolver(lookup)
        .build()
}

fn parse(url: &str) -> Result<Url, FetchError> {
    Url::parse(url).map_err(|error| FetchError::BadUrl { reason: error.to_string() })
}

fn next_hop(url: &Url, response: &Response) -> Result<Option<Url>, FetchError> {
    let redirects = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let Some(target) = header(response.headers(), &LOCATION).filter(|_| redirects) else {
        return Ok(None);
    };
    let bad = |error: url::ParseError| FetchError::BadUrl { reason: format!("redirect: {error}") };
    url.join(target).map(Some).map_err(bad)
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Finds out what a client's error means: a refused address hides deep in its chain of causes.
fn failed(url: &Url, error: &reqwest::Error) -> FetchError {
    let url = shown(url);
    if error.is_timeout() {
        return FetchError::Timeout { url };
    }
    let mut cause = error.source();
    let mut reason = None;
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return FetchError::Blocked { url, refusal: refusal.clone() };
        }
        reason = Some(error.to_string());
        cause = error.source();
    }
    let mut reason = reason.unwrap_or_else(|| "the request failed".to_owned());
    if error.is_builder() {
        // No root certificates on the system, the one way in which building a client fails.
        reason.push_str("; install the package ca-certificates");
    }
    FetchError::Connect { url, reason }
}

/// The URL as it may be logged: scheme, host, port and path.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

mod call;
mod part;
mod post;

pub use call::{Answer, Content, NoAnswer, Outgoing};
pub use part::Part;

#[cfg(test)]
mod tests;
