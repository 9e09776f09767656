//! The pages over the memory backend, filled with hostile text, request by request.

mod pages;
mod writes;

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use flotilla_admin::auth::{AuthSettings, Role, Tenants, TokenEntry, TokenHash};
use flotilla_blobs::LocalBlobs;
use flotilla_core::account::{Account, AccountStatus};
use flotilla_core::blob::{BlobKey, Blobs};
use flotilla_core::fleet::WorkerInfo;
use flotilla_core::queue::{AttemptError, Claimed, LaneDemand, Queue, Settlement, Verdict};
use flotilla_core::records::Pause;
use flotilla_core::{
    Clock, DeadClass, Envelope, Handler, Job, JobContext, JobError, JobId, Kind, Lane, ManualClock,
    Payload, Registry, Rng, SeededRng, Tenant, WorkerId,
};
use flotilla_memory::Memory;
use flotilla_vault::{Listed, Stopped, VaultError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;

/// What must never reach a page as it is.
pub(super) const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

/// Anything.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Any(Value);

impl Job for Any {
    const KIND: Kind = Kind::from_static("any.thing");
    type Output = Value;
}

struct Nobody;

impl Handler<Any> for Nobody {
    async fn run(&self, job: Any, _: &JobContext) -> Result<Value, JobError> {
        Ok(job.0)
    }
}

/// One account whose every text is hostile.
struct Fake;

#[async_trait]
impl Accounts for Fake {
    async fn list(&self, tenant: Option<&Tenant>, _: usize) -> Result<Vec<Listed>, VaultError> {
        let day = std::time::Duration::from_secs(86_400);
        let now = ManualClock::default().now();
        let account = Account {
            tenant: tenant.cloned().unwrap_or_default(),
            id: HOSTILE.to_owned(),
            platform: HOSTILE.to_owned(),
            external_id: HOSTILE.to_owned(),
            name: HOSTILE.to_owned(),
            status: AccountStatus::Active,
            scopes: vec![HOSTILE.to_owned()],
            expires_at: None,
            refresh_expires_at: None,
            base_url: Some(HOSTILE.to_owned()),
            extra: Default::default(),
            created_at: now,
            renewed_at: None,
        };
        Ok(vec![Listed {
            account,
            version: 1,
            obtained_at: now,
            refreshable: true,
            due_at: Some(flotilla_core::clock::after(now, day)),
            overdue: false,
            ends_at: Some(flotilla_core::clock::after(now, day * 3)),
            failures: 2,
            lost: 0,
            last_error: Some(HOSTILE.to_owned()),
        }])
    }

    async fn stops(&self) -> Result<Vec<Stopped>, VaultError> {
        let now = ManualClock::default().now();
        let (platform, reason) = (HOSTILE.to_owned(), HOSTILE.to_owned());
        Ok(vec![Stopped { platform, since: now, until: now, reason }])
    }

    async fn refresh(&self, _: &Tenant, _: &str) -> Result<(), String> {
        Ok(())
    }
}

/// A console with everything it stands on.
pub(super) struct World {
    pub(super) memory: Arc<Memory>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) blobs: Arc<dyn Blobs>,
    pub(super) console: Console,
    pub(super) routes: Router,
}

/// An answer as a test looks at it.
pub(super) struct Seen {
    pub(super) status: StatusCode,
    pub(super) headers: axum::http::HeaderMap,
    pub(super) text: String,
}

impl Seen {
    pub(super) fn to(&self) -> &str {
        self.headers.get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default()
    }
}

fn token(name: &str, role: Role, tenants: Tenants) -> TokenEntry {
    TokenEntry {
        name: name.into(),
        role,
        tenants,
        hash: TokenHash::of(&format!("token of {name}")),
    }
}

impl World {
    /// With these people, each with the token `token of NAME`.
    pub(super) fn new() -> Self {
        let memory = Arc::new(Memory::new(flotilla_memory::Settings::default()));
        let clock = Arc::new(ManualClock::default());
        let mut registry = Registry::default();
        registry.register::<Any, _>(Nobody).expect("one kind");
        let rng: Arc<dyn Rng> = Arc::new(SeededRng::new(1));
        let now = Arc::clone(&clock) as Arc<dyn Clock>;
        let cells = Arc::clone(&memory) as Arc<dyn Cells>;
        let queue = Arc::clone(&memory) as Arc<dyn Queue>;
        let tokens = vec![
            token("vera", Role::Viewer, Tenants::All),
            token("otto", Role::Operator, Tenants::All),
            token("ada", Role::Admin, Tenants::All),
            token("paul", Role::Producer, Tenants::All),
            token("shop", Role::Operator, Tenants::of([Tenant::from_static("shop")])),
        ];
        let settings = AuthSettings::default();
        let blobs: Arc<dyn Blobs> = Arc::new(LocalBlobs::in_memory(1 << 20));
        let console = Console {
            auth: Auth::new(tokens, Arc::clone(&cells), Arc::clone(&now), settings),
            audit: Audit::new(
                Arc::clone(&cells),
                Arc::clone(&now),
                std::time::Duration::from_secs(86_400),
            ),
            ops: Ops { registry: Arc::new(registry), queue, clock: now, rng },
            records: Arc::clone(&memory) as Arc<dyn Records>,
            fleet: Arc::clone(&memory) as Arc<dyn Fleet>,
            cells,
            blobs: Arc::clone(&blobs),
            accounts: Arc::new(Fake),
            platforms: Arc::new(Platforms::built_in().expect("the registry of this build")),
            rules: vec![Rule::new("web/*", &["6/min"]).expect("a rule")],
            depth: 1,
            schedules: vec![ScheduleEntry::new(
                HOSTILE,
                "0 6 * * *",
                Kind::from_static("any.thing"),
                Payload::of(&json!({"text": HOSTILE})).expect("JSON"),
            )],
            max_blob: 1 << 20,
        };
        // Without the background look: time stands still here.
        let routes = routes(console.clone(), CancellationToken::new()).1;
        Self { memory, clock, blobs, console, routes }
    }

    /// Jobs of every sort, workers, a paused lane; answers the dead one and the completed one.
    pub(super) async fn filled() -> (Self, JobId, JobId) {
        let world = Self::new();
        let now = world.clock.now();
        let dead = world.job("shop", json!({"text": HOSTILE, "token": "s3cret", "n": 1})).await;
        let verdict = Verdict::Dead {
            class: DeadClass::Exhausted,
            error: world.error(),
            keep_until: far(now),
        };
        world.settle(verdict).await;
        let unknown = world.job("default", json!({"n": 2})).await;
        let class = DeadClass::OutcomeUnknown;
        world.settle(Verdict::Dead { class, error: world.error(), keep_until: far(now) }).await;
        assert_ne!(dead, unknown);
        let done = world.job("shop", json!(HOSTILE)).await;
        let made =
            json!({"image": "content/shop/a.png", "page": "content/shop/b.html", "text": HOSTILE});
        let result = serde_json::to_vec(&made).expect("JSON").into();
        world.settle(Verdict::Completed { result, keep_until: far(now) }).await;
        for name in ["a.png", "b.html"] {
            let key = BlobKey::new(format!("content/shop/{name}")).expect("a key");
            world.blobs.put(&key, HOSTILE.into(), "x/y").await.expect("a blob");
        }
        let parked = world.job("default", json!({"n": 3})).await;
        assert_ne!(parked, done);
        world.settle(Verdict::Park { key: HOSTILE.to_owned(), reason: HOSTILE.to_owned() }).await;
        world.job("default", json!({"n": 4})).await;
        let pause = Pause { by: HOSTILE.to_owned(), reason: HOSTILE.to_owned(), since: now };
        world.memory.pause(&Lane::from_static("default"), pause).await.expect("paused");
        let worker = WorkerInfo {
            id: WorkerId::new(HOSTILE),
            version: HOSTILE.to_owned(),
            lanes: vec![Lane::from_static("default")],
            concurrency: 4,
            running: 1,
            started_at: now,
            seen_at: now,
            draining: false,
        };
        world.memory.heartbeat(&worker, now).await.expect("a heartbeat");
        (world, dead, done)
    }

    pub(super) async fn job(&self, tenant: &str, payload: Value) -> JobId {
        self.clock.advance(std::time::Duration::from_millis(5));
        let payload = Payload::of(&payload).expect("JSON");
        let envelope = Envelope {
            tenant: Some(tenant.parse().expect("a tenant")),
            ..Envelope::new(Kind::from_static("any.thing"), payload)
        };
        let accepted = self.console.ops.enqueue(vec![envelope]).await.expect("taken");
        accepted[0].id
    }

    fn error(&self) -> AttemptError {
        let worker = WorkerId::new(HOSTILE);
        AttemptError {
            attempt: 1,
            at: self.clock.now(),
            worker,
            error: format!("it broke: {HOSTILE}"),
        }
    }

    /// Claims the one job that waits and settles it so.
    async fn settle(&self, verdict: Verdict) {
        let (lane, kinds) = (Lane::from_static("default"), vec![Kind::from_static("any.thing")]);
        let demand = LaneDemand { lane, slots: 1, kinds };
        let (worker, lease) = (WorkerId::new("w"), std::time::Duration::from_secs(60));
        let claims = self.memory.claim(&[demand], &worker, lease, self.clock.now()).await;
        let Some(Claimed { held, .. }) = claims.expect("claimed").jobs.pop() else {
            panic!("a job waits");
        };
        self.memory
            .settle(&[Settlement { held, verdict }], self.clock.now())
            .await
            .expect("settled");
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Seen {
        let response = self.routes.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 4 << 20).await.expect("a body");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Seen { status: parts.status, headers: parts.headers, text }
    }

    /// A page as somebody with a token sees it.
    pub(super) async fn get(&self, who: &str, path: &str) -> Seen {
        let request = Request::get(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer token of {who}"));
        self.send(request.body(Body::empty()).expect("a request")).await
    }

    /// The session cookie and the value of its forms.
    pub(super) async fn session(&self, who: &str) -> (String, String) {
        let request = Request::post("/login").header(header::HOST, "localhost");
        let body = format!("token=token+of+{who}&to=/");
        let seen = self.send(request.body(body.into()).expect("a request")).await;
        assert_eq!(seen.status, StatusCode::SEE_OTHER, "{}", seen.text);
        let cookie = seen.headers[header::SET_COOKIE].to_str().expect("text").to_owned();
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let page =
            Request::get("/jobs").header(header::HOST, "localhost").header(header::COOKIE, &cookie);
        let page = self.send(page.body(Body::empty()).expect("a request")).await;
        let csrf = page
            .text
            .split("name=\"csrf\" value=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        (cookie, csrf.expect("a form").to_owned())
    }

    /// A form of a session; `csrf` is put first.
    pub(super) async fn post(&self, session: &(String, String), path: &str, fields: &str) -> Seen {
        let request = Request::post(path)
            .header(header::HOST, "localhost")
            .header(header::COOKIE, &session.0)
            .header("sec-fetch-site", "same-origin");
        let body = format!("csrf={}&{fields}", session.1);
        self.send(request.body(body.into()).expect("a request")).await
    }
}

pub(super) fn far(now: flotilla_core::Timestamp) -> flotilla_core::Timestamp {
    flotilla_core::clock::after(now, std::time::Duration::from_secs(86_400))
}
