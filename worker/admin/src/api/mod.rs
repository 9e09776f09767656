//! The HTTP API: enqueue jobs, ask for them, cancel them. Version 1 lives below `/v1`.
//!
//! | path | does |
//! | --- | --- |
//! | `POST /v1/jobs` | enqueues one envelope, an array of them, or lines of them (NDJSON) |
//! | `GET /v1/jobs/{id}?wait=30s` | the job; with `wait`, as soon as it has finished |
//! | `DELETE /v1/jobs/{id}` | cancels it |
//! | `GET /v1/openapi.json` | this API as OpenAPI 3.1, with the payloads of all kinds |
//! | `POST /v1/hooks/sns` | notifications of SNS, where that is on |
//!
//! Callers show a bearer token, unless none is set. Errors are problems (RFC 9457) that name the
//! field. Everything from outside is bounded: bodies, jobs per call, calls per second, waiters.

mod body;
mod enqueue;
mod entry;
mod idempotency;
mod job;
mod openapi;
mod problem;
mod rate;
mod sns;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post};
use axum::{Router, middleware};
use flotilla_core::ops::Ops;
use flotilla_core::{Cells, Records};
use tokio::sync::Semaphore;

use problem::Problem;
use rate::Buckets;

pub use sns::{Fetch, SnsHook};

/// A caller's token.
#[derive(Clone)]
pub struct Token {
    /// Whose it is: in logs, and the owner of its idempotency keys and its rate.
    pub name: Arc<str>,
    /// What the caller shows.
    pub secret: Arc<str>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({})", self.name)
    }
}

/// Bounds of the API.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiSettings {
    /// Largest request body, in bytes.
    pub max_body: usize,
    /// Most jobs in one request; at most 1,000.
    pub max_jobs: usize,
    /// Requests per second of one token in this process, in the long run; 0: no bound.
    pub rate: u32,
    /// Requests of one token at once, before the rate holds it.
    pub burst: u32,
    /// Longest `wait`.
    pub max_wait: Duration,
    /// Requests that may wait at the same time; the others are answered at once.
    pub max_waiters: usize,
    /// How long an idempotency key is remembered.
    pub idempotency: Duration,
    /// How long a request may take to arrive and be answered, beside `wait`.
    pub timeout: Duration,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            max_body: 4 << 20,
            max_jobs: 1000,
            rate: 200,
            burst: 400,
            max_wait: Duration::from_secs(60),
            max_waiters: 256,
            idempotency: Duration::from_secs(86_400),
            timeout: Duration::from_secs(30),
        }
    }
}

/// What the API works on.
#[derive(Clone)]
pub struct Api {
    /// The one enqueue path.
    pub ops: Ops,
    /// Where jobs are looked up and cancelled.
    pub records: Arc<dyn Records>,
    /// Where idempotency keys are kept.
    pub cells: Arc<dyn Cells>,
    /// Who may call. Empty: everybody who reaches the address.
    pub tokens: Vec<Token>,
    /// Bounds.
    pub settings: ApiSettings,
    /// Notifications of SNS; `None`: off.
    pub sns: Option<SnsHook>,
}

/// What all requests share.
pub(crate) struct Shared {
    api: Api,
    waiters: Semaphore,
    buckets: Buckets,
    openapi: String,
    certificates: sns::Certificates,
}

/// The routes below `/v1`.
pub(crate) fn router(mut api: Api) -> Router {
    api.settings.max_jobs = api.settings.max_jobs.clamp(1, idempotency::MAX_JOBS);
    let shared = Arc::new(Shared {
        waiters: Semaphore::new(api.settings.max_waiters),
        buckets: Buckets::new(api.settings.rate, api.settings.burst),
        openapi: openapi::document(&api).to_string(),
        certificates: sns::Certificates::default(),
        api,
    });
    let limit = DefaultBodyLimit::max(shared.api.settings.max_body);
    let hooks = Router::new().route("/v1/hooks/sns", post(sns::receive));
    Router::new()
        .route("/v1/jobs", post(enqueue::enqueue))
        .route("/v1/jobs/{id}", get(job::show).delete(job::cancel))
        .route("/v1/openapi.json", get(openapi::show))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&shared), entry::known))
        .merge(hooks)
        .route("/v1", any(|| async { Problem::unknown_path() }))
        .route("/v1/{*rest}", any(|| async { Problem::unknown_path() }))
        .method_not_allowed_fallback(|| async { Problem::wrong_method() })
        .layer(limit)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), entry::framed))
        .with_state(shared)
}

#[cfg(test)]
mod tests;
