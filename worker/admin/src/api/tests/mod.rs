//! The API over the memory backend, request by request.

mod desk;
mod documents;
mod hook;
mod jobs;
mod keys;
mod known;
mod roles;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use flotilla_core::queue::{Claimed, LaneDemand, Settlement, Verdict};
use flotilla_core::{
    Clock, Handler, Job, JobContext, JobError, Kind, Lane, ManualClock, Queue, Registry, Rng,
    SeededRng, WorkerId,
};
use flotilla_memory::Memory;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::auth::{AuthSettings, Role, Tenants, TokenEntry, TokenHash};

/// A text to be read.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    text: String,
    #[serde(default)]
    style: Style,
}

/// How.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub(super) struct Style {
    loud: bool,
}

impl Job for Read {
    const KIND: Kind = Kind::from_static("text.read");
    type Output = String;
}

struct Nobody;

impl Handler<Read> for Nobody {
    async fn run(&self, job: Read, _: &JobContext) -> Result<String, JobError> {
        Ok(job.text)
    }
}

/// One API with everything it stands on.
pub(super) struct World {
    pub(super) memory: Arc<Memory>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) api: Api,
}

impl World {
    pub(super) fn new() -> Self {
        let memory = Arc::new(Memory::new(flotilla_memory::Settings::default()));
        let clock = Arc::new(ManualClock::default());
        let mut registry = Registry::default();
        registry.register::<Read, _>(Nobody).expect("one kind");
        let rng: Arc<dyn Rng> = Arc::new(SeededRng::new(1));
        let ops = Ops {
            registry: Arc::new(registry),
            queue: Arc::clone(&memory) as Arc<dyn Queue>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            rng,
        };
        let cells = Arc::clone(&memory) as Arc<dyn Cells>;
        let records = Arc::clone(&memory) as Arc<dyn Records>;
        let now = Arc::clone(&clock) as Arc<dyn Clock>;
        let api = Api {
            auth: Auth::new(
                tokens(),
                Arc::clone(&cells),
                Arc::clone(&now),
                AuthSettings::default(),
            ),
            audit: Audit::new(cells, Arc::clone(&now), Duration::from_secs(86_400)),
            fleet: Arc::clone(&memory) as Arc<dyn Fleet>,
            insight: Arc::new(known::Known::default()),
            dead_groups: DeadGroups::new(records, now),
            stopping: watch::channel(false).1,
            ops,
            records: Arc::clone(&memory) as Arc<dyn Records>,
            cells: Arc::clone(&memory) as Arc<dyn Cells>,
            settings: ApiSettings { rate: 0, ..ApiSettings::default() },
            sns: None,
            webhooks: None,
        };
        Self { memory, clock, api }
    }

    /// As on loopback without a token.
    pub(super) fn open(&mut self) {
        self.admit(Vec::new());
    }

    /// Lets these in, and nobody else.
    pub(super) fn admit(&mut self, tokens: Vec<TokenEntry>) {
        let cells = Arc::clone(&self.memory) as Arc<dyn Cells>;
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        self.api.auth = Auth::new(tokens, cells, clock, AuthSettings::default());
    }

    pub(super) async fn call(&self, request: Request<Body>) -> Answer {
        Answer::of(router(self.api.clone()).oneshot(request).await.expect("routers answer")).await
    }

    /// With the token of `web`.
    pub(super) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.call(request(method, path, body, &[])).await
    }

    pub(super) async fn post(&self, body: &str, headers: &[(&str, &str)]) -> Answer {
        self.call(request("POST", "/v1/jobs", body, headers)).await
    }

    pub(super) async fn claim(&self) -> Vec<Claimed> {
        let lane = Lane::from_static("default");
        let demand = LaneDemand { lane, slots: 100, kinds: vec![Read::KIND] };
        let (worker, lease) = (WorkerId::new("w"), Duration::from_secs(60));
        let now = self.clock.now();
        self.memory.claim(&[demand], &worker, lease, now).await.expect("memory claims").jobs
    }

    pub(super) async fn complete(&self) {
        let now = self.clock.now();
        for job in self.claim().await {
            let verdict =
                Verdict::Completed { result: "\"done\"".into(), keep_until: after_day(now) };
            let settlement = Settlement { held: job.held, verdict };
            self.memory.settle(&[settlement], now).await.expect("memory settles");
        }
    }
}

/// A token that sees all tenants.
pub(super) fn token(name: &str, role: Role, secret: &str) -> TokenEntry {
    let (hash, tenants) = (TokenHash::of(secret), Tenants::All);
    TokenEntry { name: name.into(), role, tenants, hash }
}

fn tokens() -> Vec<TokenEntry> {
    vec![token("web", Role::Admin, "sesame"), token("batch", Role::Producer, "open up")]
}

fn after_day(now: flotilla_core::Timestamp) -> flotilla_core::Timestamp {
    flotilla_core::clock::after(now, Duration::from_secs(86_400))
}

pub(super) fn request(
    method: &str,
    path: &str,
    body: &str,
    headers: &[(&str, &str)],
) -> Request<Body> {
    let mut builder = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "authorization") {
        builder = builder.header("authorization", "Bearer sesame");
    }
    if method == "POST" && !headers.iter().any(|(name, _)| *name == "content-type") {
        builder = builder.header("content-type", "application/json");
    }
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Body::from(body.to_owned())).expect("a request")
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: axum::http::HeaderMap,
    pub(super) json: Value,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 24).await.expect("a body");
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Self { status: parts.status, headers: parts.headers, json }
    }

    pub(super) fn code(&self) -> u16 {
        self.status.as_u16()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(super) fn field(&self) -> &str {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.json);
        self.json["field"].as_str().unwrap_or_default()
    }

    pub(super) fn id(&self) -> &str {
        self.json["id"].as_str().unwrap_or_default()
    }
}
