//! Lanes: what waits in them and why, pausing and resuming.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use flotilla_core::records::{Filter, LaneInfo, Pause};
use flotilla_core::{Lane, State as Stand, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Shared;
use super::acts::matches;
use super::asked::{self, MAX_ACTION};
use super::enqueue::{json as answer, whole};
use super::problem::Problem;
use crate::auth::{Principal, Tenants};

/// A lane at a glance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct LaneView {
    lane: Lane,
    /// Jobs by state.
    counts: BTreeMap<Stand, u64>,
    /// Jobs that could run now, had somebody a slot for them.
    runnable: u64,
    /// Jobs that wait: for a moment, a key, the end of a pause.
    blocked: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_available: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Pause>,
}

impl From<LaneInfo> for LaneView {
    fn from(info: LaneInfo) -> Self {
        let count = |state| info.counts.get(&state).copied().unwrap_or_default();
        let waiting = count(Stand::Available);
        let (runnable, held) = if info.paused.is_some() { (0, waiting) } else { (waiting, 0) };
        let later = [Stand::Scheduled, Stand::Retryable, Stand::Parked].map(count);
        Self {
            runnable,
            blocked: held + later.iter().sum::<u64>(),
            lane: info.lane,
            counts: info.counts,
            oldest_available: info.oldest_available,
            paused: info.paused,
        }
    }
}

/// The lanes, with the jobs that this principal may see.
pub(crate) async fn of(shared: &Shared, who: &Principal) -> Result<Vec<LaneView>, Problem> {
    let records = &shared.api.records;
    let mut lanes = records.lanes().await?;
    if who.tenants != Tenants::All {
        for info in &mut lanes {
            let states: Vec<Stand> = info.counts.keys().copied().collect();
            for state in states {
                let asked = Filter {
                    lanes: vec![info.lane.clone()],
                    states: vec![state],
                    ..Filter::default()
                };
                let n = match who.within(asked) {
                    Some(own) => records.count(&own).await?,
                    None => 0,
                };
                info.counts.insert(state, n);
            }
            info.counts.retain(|_, n| *n > 0);
            info.oldest_available = None;
        }
        lanes.retain(|info| !info.counts.is_empty());
    }
    Ok(lanes.into_iter().map(LaneView::from).collect())
}

type Name = Result<Path<String>, PathRejection>;
type Sent = Result<Bytes, BytesRejection>;

fn lane(name: Name) -> Result<Lane, Problem> {
    let Path(text) = name.map_err(|e| Problem::bad_request("lane", e.body_text()))?;
    text.parse()
        .map_err(|e: flotilla_core::ids::InvalidName| Problem::bad_request("lane", e.to_string()))
}

/// Changes with the pause only: counts change all the time.
fn etag(lane: &Lane, pause: Option<&Pause>) -> String {
    let text = serde_json::to_string(&(lane, pause)).unwrap_or_default();
    format!("\"{}\"", &blake3::hash(text.as_bytes()).to_hex()[..16])
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    who: Principal,
) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &json!({"lanes": of(&shared, &who).await?})))
}

pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    name: Name,
) -> Result<Response, Problem> {
    let lane = lane(name)?;
    let found = of(&shared, &who).await?.into_iter().find(|view| view.lane == lane);
    let Some(view) = found else {
        let detail = format!("no job is or was in lane {lane}");
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown-lane", "no such lane", detail));
    };
    let mut response = answer(StatusCode::OK, &view);
    if let Ok(tag) = HeaderValue::from_str(&etag(&lane, view.paused.as_ref())) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: String,
}

async fn present(shared: &Shared, lane: &Lane) -> Result<Option<Pause>, Problem> {
    let lanes = shared.api.records.lanes().await?;
    Ok(lanes.into_iter().find(|info| info.lane == *lane).and_then(|info| info.paused))
}

pub(crate) async fn pause(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    name: Name,
    sent: Sent,
) -> Result<Response, Problem> {
    let lane = lane(name)?;
    let given: Why = asked::body(&headers, &whole(sent, MAX_ACTION)?)?;
    let reason = asked::reason(&given.reason)?;
    let before = present(&shared, &lane).await?;
    matches(&headers, &etag(&lane, before.as_ref()))?;
    let done = shared.api.acts().pause_lane(&who, &lane, before.as_ref(), reason).await?;
    Ok(answer(StatusCode::OK, &done))
}

pub(crate) async fn resume(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    name: Name,
) -> Result<Response, Problem> {
    let lane = lane(name)?;
    let before = present(&shared, &lane).await?;
    matches(&headers, &etag(&lane, before.as_ref()))?;
    let was = shared.api.acts().resume_lane(&who, &lane, before.as_ref()).await?;
    Ok(answer(StatusCode::OK, &json!({"lane": lane, "was_paused": was})))
}
