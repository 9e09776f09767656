//! Calls of the API of a remote fleet: bounded in time and size, with errors that say what to do.

use std::time::Duration;

use bytes::BytesMut;
use flotilla_core::outcome::chain;
use flotilla_core::{Clock as _, JobId, Secret, SeededRng, SystemClock};
use reqwest::{Method, Response, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::profile::Profile;
use crate::exit::Failure;

/// To be connected.
const CONNECT: Duration = Duration::from_secs(10);
/// Calls of one request that the server sends away for now.
const TRIES: u32 = 4;
/// The longest pause that is taken for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A way to the API.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    server: Url,
    token: Option<Secret>,
    max_answer: u64,
    rng: SeededRng,
}

/// One call.
#[derive(Debug)]
pub(super) struct Call<'c> {
    pub(super) method: Method,
    /// Parts of the path below `/v1`.
    pub(super) path: &'c [&'c str],
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Vec<u8>>,
}

impl<'c> Call<'c> {
    pub(super) fn get(path: &'c [&'c str]) -> Self {
        Self { method: Method::GET, path, query: Vec::new(), body: None }
    }

    pub(super) fn send(method: Method, path: &'c [&'c str], body: &Value) -> Self {
        Self { method, path, query: Vec::new(), body: Some(body.to_string().into_bytes()) }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }
}

/// What the server found wrong.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Problem {
    #[serde(default)]
    pub(super) status: u16,
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) detail: String,
    #[serde(default)]
    pub(super) errors: Vec<Fault>,
}

/// One wrong field.
#[derive(Debug, Deserialize)]
pub(super) struct Fault {
    pub(super) field: String,
    pub(super) detail: String,
}

impl Problem {
    /// As in `unknown-job`.
    pub(super) fn slug(&self) -> &str {
        self.kind.rsplit(':').next().unwrap_or_default()
    }
}

/// A good answer, or what the server found wrong with the request.
pub(super) type Answer<T> = Result<T, Problem>;

impl Client {
    pub(super) fn new(profile: &Profile) -> Result<Self, Failure> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("flotilla/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none()) // a token goes to this server only
            .connect_timeout(CONNECT.min(profile.timeout))
            .timeout(profile.timeout);
        if profile.server.scheme() == "http" {
            builder = builder.no_proxy();
        }
        if let Some(pem) = &profile.authorities {
            let found = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|e| Failure::config(format!("the file of certificates: {e}")))?;
            builder = builder.tls_certs_merge(found);
        }
        let http = builder.build().map_err(|e| Failure::config(chain(&e, 1000)))?;
        let (server, token) = (profile.server.clone(), profile.token.clone());
        let (max_answer, rng) = (profile.max_answer, SeededRng::from_os());
        Ok(Self { http, server, token, max_answer, rng })
    }

    /// A new id, for a job or for a request.
    pub(super) fn id(&self) -> JobId {
        JobId::new(SystemClock.now(), &self.rng)
    }

    /// The answer, or a failure that says what to do.
    pub(super) async fn ask<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Failure> {
        self.answer(call).await?.map_err(refused)
    }

    /// The answer; `None`: there is no such thing.
    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
    ) -> Result<Option<T>, Failure> {
        match self.answer(call).await? {
            Ok(found) => Ok(Some(found)),
            Err(problem) if problem.status == 404 => Ok(None),
            Err(problem) => Err(refused(problem)),
        }
    }

    /// The answer, or what is wrong with the request.
    pub(super) async fn answer<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
    ) -> Result<Answer<T>, Failure> {
        let mut url = self.server.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().push("v1").extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        // What is sent twice under one key is done once.
        let key = self.id().to_string();
        let mut tries = 0;
        loop {
            tries += 1;
            let response = match self.send(&call, url.clone(), &key).await {
                Ok(response) => response,
                Err(error) if broken_off(&error) && tries < TRIES => continue,
                Err(error) => return Err(self.unreachable(&error)),
            };
            if response.status() == StatusCode::TOO_MANY_REQUESTS && tries < TRIES {
                tokio::time::sleep(pause(&response)).await;
                continue;
            }
            return self.read(response).await;
        }
    }

    async fn send(&self, call: &Call<'_>, url: Url, key: &str) -> reqwest::Result<Response> {
        let mut request = self.http.request(call.method.clone(), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if call.method != Method::GET {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &call.body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        request.send().await
    }

    async fn read<T: DeserializeOwned>(
        &self,
        mut response: Response,
    ) -> Result<Answer<T>, Failure> {
        let status = response.status();
        let version = response.headers().get("flotilla-version");
        let version = version.and_then(|text| text.to_str().ok()).map(str::to_owned);
        let mut body = BytesMut::new();
        while let Some(part) = response.chunk().await.map_err(|e| self.unreachable(&e))? {
            if (body.len() + part.len()) as u64 > self.max_answer {
                return Err(Failure::unavailable(format!(
                    "the answer of {} has more than {} bytes: ask for less, or raise max_answer in \
                     a profile",
                    self.server, self.max_answer
                )));
            }
            body.extend_from_slice(&part);
        }
        if status.is_success() {
            return match serde_json::from_slice(&body) {
                Ok(answer) => Ok(Ok(answer)),
                Err(error) => Err(self.foreign(status, version.as_deref(), &error.to_string())),
            };
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) if problem.slug() == "unknown-path" || problem.slug() == "wrong-method" => {
                Err(self.foreign(status, version.as_deref(), "it does not know this operation"))
            }
            Ok(problem) if problem.status == status.as_u16() => Ok(Err(problem)),
            _ => {
                Err(self.foreign(status, version.as_deref(), "what it says is no problem of ours"))
            }
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let says = chain(error, 1000);
        let hint = if says.contains("certificate") {
            ": is it the right server? a certificate of your own authority needs --ca-file"
        } else if error.is_timeout() {
            ": it took too long"
        } else {
            ": does a worker with --admin answer there?"
        };
        Failure::unavailable(format!("{} cannot be reached{hint} ({says})", self.server))
    }

    /// An answer that this build does not understand.
    fn foreign(&self, status: StatusCode, version: Option<&str>, why: &str) -> Failure {
        let (server, own) = (&self.server, env!("CARGO_PKG_VERSION"));
        Failure::unavailable(match version {
            Some(theirs) if theirs != own => format!(
                "{server} is flotilla {theirs} and this is {own}, and they do not understand each \
                 other: use the same version ({why})"
            ),
            Some(_) => {
                format!("{server} answered {status} in a way this build does not know: {why}")
            }
            None => format!(
                "{server} answered {status}, and not as the API of Flotilla does: is the address \
                 right?"
            ),
        })
    }
}

/// Nobody knows whether the server heard it; under its key it may be sent again.
fn broken_off(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_connect() && !error.is_timeout()
}

/// What the server asks to wait.
fn pause(response: &Response) -> Duration {
    let after = response.headers().get(header::RETRY_AFTER).and_then(|text| text.to_str().ok());
    let seconds = after.and_then(|text| text.parse().ok()).unwrap_or(1);
    Duration::from_secs(seconds).min(LONGEST_PAUSE)
}

/// What a problem means to a command.
pub(super) fn refused(problem: Problem) -> Failure {
    let Problem { status, detail, .. } = problem;
    match status {
        401 => Failure::config(format!("the server knows no such token: {detail}")),
        403 | 421 => Failure::config(format!("the server does not allow it: {detail}")),
        408 | 429 | 500.. => Failure::unavailable(format!("the server cannot do it now: {detail}")),
        _ => Failure::usage(detail),
    }
}
