//! The HTTP API: enqueue jobs, look at the fleet, handle it. Version 1 lives below `/v1`.
//!
//! | path | does |
//! | --- | --- |
//! | `POST /v1/jobs` | enqueues one envelope, an array of them, or lines of them (NDJSON) |
//! | `GET /v1/jobs/{id}?wait=30s` | the job; with `wait`, as soon as it has finished |
//! | `/v1/jobs`, `/v1/lanes`, `/v1/dead`, … | what operators look at and handle: `routes.rs` has them all |
//! | `GET /v1/events` | the overview as server-sent events |
//! | `GET /v1/openapi.json` | this API as OpenAPI 3.1, with the payloads of all kinds |
//! | `POST /v1/hooks/sns` | notifications of SNS, where that is on |
//! | `/webhooks/{platform}` | what social platforms tell by themselves, where that is on |
//!
//! Callers show a bearer token or a session, unless no token is set; each sees and handles what its
//! role and its tenants allow (`auth`), and every change by hand is in the audit log. Errors are problems (RFC 9457) that name the
//! field. Everything from outside is bounded: bodies, jobs per call, calls per second, waiters.

mod acts;
mod asked;
mod body;
mod dead;
mod detail;
mod edit;
mod enqueue;
mod entry;
mod fleet;
mod flows;
mod groups;
mod idempotency;
mod insight;
mod job;
mod lanes;
mod live;
mod once;
mod openapi;
mod operations;
mod problem;
mod rate;
mod replays;
mod routes;
mod schemas;
mod search;
mod sns;
mod traffic;
mod webhooks;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post};
use axum::{Router, middleware};
use flotilla_core::fleet::Fleet;
use flotilla_core::ops::Ops;
use flotilla_core::{Cells, Records};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use crate::acts::Acts;
use crate::audit::{Audit, Change};
use crate::auth::{Auth, Principal};

pub use problem::Problem;
use rate::Buckets;

pub use groups::{Counted, DeadGroups};
pub use insight::{
    AccountView, BreakerView, FoundOut, Insight, LimitView, RuleView, ScheduleView, StopView,
    Unfound, Why,
};
pub use sns::{Fetch, SnsHook};
pub use webhooks::{Header, HookError, Hooks};

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
    /// Who may call.
    pub auth: Auth,
    /// Where changes by hand are written down.
    pub audit: Audit,
    /// The one enqueue path.
    pub ops: Ops,
    /// Where jobs are looked up and handled.
    pub records: Arc<dyn Records>,
    /// Idempotency keys, effects.
    pub cells: Arc<dyn Cells>,
    /// The workers.
    pub fleet: Arc<dyn Fleet>,
    /// What the binary knows.
    pub insight: Arc<dyn Insight>,
    /// Dead letters by what they died of.
    pub dead_groups: DeadGroups,
    /// Bounds.
    pub settings: ApiSettings,
    /// Notifications of SNS; `None`: off.
    pub sns: Option<SnsHook>,
    /// What social platforms tell by themselves; `None`: off.
    pub webhooks: Option<Arc<dyn Hooks>>,
    /// Says `true` once the server ends, so that streams do.
    pub stopping: watch::Receiver<bool>,
}

/// What all requests share.
pub(crate) struct Shared {
    api: Api,
    waiters: Semaphore,
    listeners: Arc<Semaphore>,
    buckets: Buckets,
    openapi: String,
    certificates: sns::Certificates,
}

impl Shared {
    /// Does what somebody asks for, between the two halves of its entry in the audit log.
    async fn audited(
        &self,
        who: &Principal,
        change: Change,
        act: impl Future<Output = Result<Value, Problem>>,
    ) -> Result<Value, Problem> {
        self.api.acts().audited(who, change, act).await
    }
}

impl Api {
    /// What is done to jobs by hand.
    fn acts(&self) -> Acts {
        Acts {
            audit: self.audit.clone(),
            ops: self.ops.clone(),
            records: Arc::clone(&self.records),
            cells: Arc::clone(&self.cells),
            fleet: Arc::clone(&self.fleet),
        }
    }
}

/// The routes below `/v1`.
pub(crate) fn router(mut api: Api) -> Router {
    api.settings.max_jobs = api.settings.max_jobs.clamp(1, idempotency::MAX_JOBS);
    let shared = Arc::new(Shared {
        waiters: Semaphore::new(api.settings.max_waiters),
        listeners: Arc::new(Semaphore::new(api.settings.max_waiters)),
        buckets: Buckets::new(api.settings.rate, api.settings.burst),
        openapi: openapi::document(&api).to_string(),
        certificates: sns::Certificates::default(),
        api,
    });
    let limit = DefaultBodyLimit::max(shared.api.settings.max_body);
    let hooks = Router::new()
        .route("/v1/hooks/sns", post(sns::receive))
        .route("/webhooks/{platform}", get(webhooks::challenge).post(webhooks::receive));
    routed(&shared)
        .route_layer(middleware::from_fn_with_state(Arc::clone(&shared), entry::known))
        .merge(hooks)
        .route("/v1", any(|| async { Problem::unknown_path() }))
        .route("/v1/{*rest}", any(|| async { Problem::unknown_path() }))
        .method_not_allowed_fallback(|| async { Problem::wrong_method() })
        .layer(limit)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), entry::framed))
        .with_state(shared)
}

/// The routes of the table, each behind the act it takes.
fn routed(shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    routes::ROUTES.iter().fold(Router::new(), |router, route| {
        let mut handler = (route.handler)();
        if route.writes() && route.id != "enqueueJobs" {
            handler =
                handler.route_layer(middleware::from_fn_with_state(Arc::clone(shared), once::once));
        }
        let needs = (route.act, route.fleet);
        let allowed = middleware::from_fn_with_state(needs, entry::allowed);
        router.route(route.path, handler.route_layer(allowed))
    })
}

#[cfg(test)]
mod tests;
