//! `GET /v1/overview`, and the same as a stream of events (SSE) that says what has changed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use flotilla_core::State as Stand;
use flotilla_core::breaker::Stand as BreakerStand;
use flotilla_core::clock::before;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::Shared;
use super::enqueue::json as answer;
use super::lanes;
use super::problem::Problem;
use crate::auth::{Act, Principal};

/// Between two looks of a stream, at least.
const PAUSE: Duration = Duration::from_secs(1);
/// A look is due this often, also when no hint arrives.
const POLL: Duration = Duration::from_secs(5);
/// A comment keeps a quiet stream open.
const QUIET: Duration = Duration::from_secs(15);
/// A stream is not longer: who it belongs to is asked again then.
const LONGEST: Duration = Duration::from_secs(3600);
/// A worker that was not seen for longer is gone.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// What the fleet looks like to this principal. Who is held to tenants sees its lanes only.
async fn look(shared: &Shared, who: &Principal) -> Result<Value, Problem> {
    let lanes = lanes::of(shared, who).await?;
    let mut document = json!({"lanes": lanes});
    let total = |state: Stand| -> u64 {
        let count = |lane: &Value| lane["counts"][state.name()].as_u64().unwrap_or_default();
        document["lanes"].as_array().into_iter().flatten().map(count).sum()
    };
    let totals: serde_json::Map<String, Value> = Stand::ALL
        .into_iter()
        .map(|state| (state.name().to_owned(), total(state).into()))
        .collect();
    document["totals"] = totals.into();
    if who.need_fleet(Act::See).is_ok() {
        let now = shared.api.ops.clock.now();
        let workers = shared.api.fleet.workers(before(now, SEEN_WITHIN)).await?;
        let draining = workers.iter().filter(|worker| worker.draining).count();
        let running: usize = workers.iter().map(|worker| worker.running).sum();
        let slots: usize = workers.iter().map(|worker| worker.concurrency).sum();
        document["workers"] = json!({
            "seen": workers.len(), "draining": draining, "running": running, "slots": slots,
        });
        let breakers = shared.api.insight.breakers().await?;
        let open = |stand: &BreakerStand| {
            matches!(stand, BreakerStand::Open { .. } | BreakerStand::HalfOpen { .. })
        };
        let open: Vec<String> =
            breakers.into_iter().filter(|one| open(&one.stand)).map(|one| one.key).collect();
        document["breakers_open"] = json!(open);
    }
    Ok(document)
}

pub(crate) async fn overview(
    State(shared): State<Arc<Shared>>,
    who: Principal,
) -> Result<Response, Problem> {
    let mut document = look(&shared, &who).await?;
    document["at"] = json!(shared.api.ops.clock.now());
    Ok(answer(StatusCode::OK, &document))
}

pub(crate) async fn glance(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &shared.api.insight.glance().await?))
}

/// One listener.
struct Listener {
    shared: Arc<Shared>,
    who: Principal,
    changes: watch::Receiver<u64>,
    last: Option<Value>,
    until: tokio::time::Instant,
    _seat: OwnedSemaphorePermit,
}

/// Events `overview`: at first, and whenever it looks different.
pub(crate) async fn events(
    State(shared): State<Arc<Shared>>,
    who: Principal,
) -> Result<Response, Problem> {
    let Ok(seat) = Arc::clone(&shared.listeners).try_acquire_owned() else {
        return Err(Problem::too_many(Duration::from_secs(5)));
    };
    let listener = Listener {
        changes: shared.api.records.changes(),
        who,
        last: None,
        until: tokio::time::Instant::now() + LONGEST,
        _seat: seat,
        shared,
    };
    let events = stream::unfold(listener, |mut listener| async move {
        let event = next(&mut listener).await?;
        Some((Ok::<Event, Infallible>(event), listener))
    });
    let alive = KeepAlive::new().interval(QUIET);
    Ok(Sse::new(events).keep_alive(alive).into_response())
}

/// The next event; `None`: the stream is over, and the browser comes back by itself.
async fn next(listener: &mut Listener) -> Option<Event> {
    let mut stopping = listener.shared.api.stopping.clone();
    loop {
        if listener.last.is_some() {
            let changed = async {
                tokio::time::sleep(PAUSE).await;
                // A closed channel answers at once; the pause keeps it from spinning.
                let _ = tokio::time::timeout(POLL, listener.changes.changed()).await;
            };
            tokio::select! {
                () = changed => {}
                _ = stopping.wait_for(|stop| *stop) => return None,
            }
        }
        if *stopping.borrow() || tokio::time::Instant::now() >= listener.until {
            return None;
        }
        let seen = match look(&listener.shared, &listener.who).await {
            Ok(seen) => seen,
            Err(_) => json!({"unavailable": true}),
        };
        if listener.last.as_ref() != Some(&seen) {
            let at = listener.shared.api.ops.clock.now();
            let mut document = seen.clone();
            document["at"] = json!(at);
            listener.last = Some(seen);
            return Some(Event::default().event("overview").data(document.to_string()));
        }
    }
}
