//! What a worker shows over HTTP: is it there, can it work, how is it doing.
//!
//! | path | answers |
//! | --- | --- |
//! | `/livez` | 200 while the process serves |
//! | `/readyz` | 200 while what it depends on answers, else 503 with the reason |
//! | `/metrics` | Prometheus text format |
//! | `/scale`, `/scale/<lane>` | what an autoscaler asks: see [`Scale`] |
//! | `/v1/…` | the API, where it is on: see [`Api`] |
//!
//! | everything else | the pages, where there are some |
//!
//! With tokens set, `/metrics` and `/scale` want one that sees all tenants (`Authorization: Bearer <token>`);
//! the two probes do not, and say nothing that is worth hiding. They read no bodies; those of the API are
//! bounded. `auth` says who is who, `audit` keeps who did what.

pub mod acts;
mod api;
pub mod audit;
pub mod auth;
pub mod redact;
mod scale;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Encoder, TextEncoder};
use tokio::net::TcpListener;

pub use api::{
    AccountView, Api, ApiSettings, BreakerView, Counted, DeadGroups, Fetch, FoundOut, Header,
    HookError, Hooks, Insight, LimitView, Problem, RuleView, ScheduleView, SnsHook, StopView,
    Unfound, Why,
};
pub use scale::{LaneLoad, Scale};

use auth::{Act, Auth};

/// Longest time a readiness check may take.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// Something that work depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// As in `queue`.
    pub name: &'static str,
    /// Set: it does not answer; a sentence without secrets.
    pub trouble: Option<String>,
}

/// What readiness means is the binary's business.
#[async_trait]
pub trait Ready: Send + Sync {
    /// Everything that work depends on; ready when none of it is in trouble.
    async fn ready(&self) -> Vec<Dependency>;
}

/// What is served.
#[derive(Clone)]
pub struct Admin {
    /// What `/metrics` shows.
    pub metrics: prometheus::Registry,
    /// What `/readyz` asks.
    pub ready: Arc<dyn Ready>,
    /// What `/scale` asks.
    pub scale: Arc<dyn Scale>,
    /// Who may read `/metrics` and `/scale`.
    pub auth: Auth,
    /// The API below `/v1`; `None`: off.
    pub api: Option<Api>,
    /// The pages of a console, with their own rules; `None`: off.
    pub pages: Option<Router>,
}

/// The routes, for a server of one's own or a test.
pub fn router(mut admin: Admin) -> Router {
    let api = admin.api.take().map(api::router).unwrap_or_default();
    let pages = admin.pages.take().unwrap_or_default();
    let logins = auth::oidc::router(admin.auth.clone());
    Router::new()
        .route("/metrics", get(metrics))
        .route("/scale", get(scale::all))
        .route("/scale/{lane}", get(scale::one))
        .route_layer(middleware::from_fn_with_state(admin.clone(), guard))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .with_state(admin)
        .merge(api)
        .merge(logins)
        .merge(pages)
}

/// Takes the address, so that a taken port is known before any job is.
///
/// # Errors
/// What the system says.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `stop` is done, then finishes the requests that have begun.
///
/// # Errors
/// What the system says of the listener.
pub async fn serve(
    listener: TcpListener,
    admin: Admin,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(admin)).with_graceful_shutdown(stop).await
}

async fn guard(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let who = admin.auth.who(request.method(), request.uri(), request.headers()).await;
    match who.and_then(|who| who.need_fleet(Act::See)) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&admin.metrics.gather(), &mut text) {
        Ok(()) => {
            text.extend_from_slice(scale::gauges(&admin).await.as_bytes());
            ([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response()
        }
        Err(error) => {
            tracing::error!(error = %error, "metrics could not be encoded");
            (StatusCode::INTERNAL_SERVER_ERROR, "metrics could not be encoded\n").into_response()
        }
    }
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let Ok(parts) = tokio::time::timeout(READY_WITHIN, admin.ready.ready()).await else {
        let why = format!("no answer within {} s\n", READY_WITHIN.as_secs());
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    };
    let well = parts.iter().all(|part| part.trouble.is_none());
    let mut text = String::from(if well { "ready\n" } else { "not ready\n" });
    for part in parts {
        let says = part.trouble.as_deref().unwrap_or("ok");
        text.push_str(&format!("{}: {says}\n", part.name));
    }
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    struct Answer(Result<(), String>);

    #[async_trait]
    impl Ready for Answer {
        async fn ready(&self) -> Vec<Dependency> {
            let trouble = self.0.clone().err();
            let well = Dependency { name: "cells", trouble: None };
            vec![Dependency { name: "queue", trouble }, well]
        }
    }

    struct Few;

    #[async_trait]
    impl Scale for Few {
        async fn lanes(&self, within: Duration) -> Result<Vec<LaneLoad>, String> {
            let (lane, replicas) = ("posts".to_owned(), 120 / within.as_secs());
            Ok(vec![LaneLoad { lane, runnable: 7, replicas, ..LaneLoad::default() }])
        }
    }

    /// One request over a real socket: status code and body.
    async fn ask(ready: Result<(), String>, path: &str, token: Option<&str>) -> (u16, String) {
        let metrics = prometheus::Registry::new();
        let counter = prometheus::IntCounter::new("flotilla_test_total", "a test").unwrap();
        metrics.register(Box::new(counter)).unwrap();
        let entry = auth::TokenEntry {
            name: "ann".into(),
            role: auth::Role::Viewer,
            tenants: auth::Tenants::All,
            hash: auth::TokenHash::of("sesame"),
        };
        let memory = Arc::new(flotilla_memory::Memory::new(flotilla_memory::Settings::default()));
        let clock = Arc::new(flotilla_core::ManualClock::default());
        let auth = Auth::new(vec![entry], memory, clock, auth::AuthSettings::default());
        let (ready, scale) = (Arc::new(Answer(ready)), Arc::new(Few));
        let admin = Admin { metrics, ready, scale, auth, api: None, pages: None };
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, admin, async {
            let _ = stopped.await;
        }));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let auth = token.map(|t| format!("Authorization: Bearer {t}\r\n")).unwrap_or_default();
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{auth}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
        let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (code, answer)
    }

    #[tokio::test]
    async fn probes_need_no_token_and_readiness_says_what_is_missing() {
        assert_eq!(ask(Ok(()), "/livez", None).await.0, 200);
        assert_eq!(ask(Ok(()), "/readyz", None).await.0, 200);
        let (code, said) = ask(Err("the queue does not answer".into()), "/readyz", None).await;
        assert_eq!(code, 503);
        assert!(said.contains("queue: the queue does not answer\ncells: ok"), "{said}");
        assert_eq!(ask(Err("down".into()), "/livez", None).await.0, 200);
    }

    #[tokio::test]
    async fn metrics_want_the_token() {
        assert_eq!(ask(Ok(()), "/metrics", None).await.0, 401);
        assert_eq!(ask(Ok(()), "/metrics", Some("sesam")).await.0, 401);
        let (code, text) = ask(Ok(()), "/metrics", Some("sesame")).await;
        assert_eq!(code, 200);
        assert!(text.contains("flotilla_test_total 0"), "{text}");
        assert_eq!(ask(Ok(()), "/nothing", Some("sesame")).await.0, 404);
    }

    #[tokio::test]
    async fn an_autoscaler_reads_what_a_lane_asks_for() {
        let shown = Some("sesame");
        assert_eq!(ask(Ok(()), "/scale", None).await.0, 401);
        let (code, text) = ask(Ok(()), "/scale/posts", shown).await;
        assert_eq!(code, 200);
        assert!(text.contains("\"runnable\":7") && text.contains("\"replicas\":2"), "{text}");
        let (_, text) = ask(Ok(()), "/scale/posts?within=30", shown).await;
        assert!(text.contains("\"replicas\":4"), "{text}");
        let (_, text) = ask(Ok(()), "/scale/none", shown).await;
        assert!(text.contains("\"replicas\":0"), "a lane without jobs asks for nobody: {text}");
        assert!(ask(Ok(()), "/scale", shown).await.1.contains("\"lanes\":[{\"lane\":\"posts\""));
        let (_, text) = ask(Ok(()), "/metrics", shown).await;
        assert!(text.contains("flotilla_lane_replicas{lane=\"posts\"} 2"), "{text}");
    }
}
