//! What an autoscaler reads: `/scale` as JSON (KEDA's `metrics-api` with `valueLocation:
//! replicas` on `/scale/<lane>`), and the same as gauges at the end of `/metrics`.
//!
//! `?within=30`: how many seconds a job that may run should wait at most; 60 unless said.

use std::fmt::Write;
use std::time::Duration;

use async_trait::async_trait;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Admin;

/// Longest time the counts may take.
const ANSWER: Duration = Duration::from_secs(5);
/// The longest wait that can be asked for, in seconds.
const LONGEST: u64 = 24 * 3600;

/// One lane, as an autoscaler sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LaneLoad {
    /// Which.
    pub lane: String,
    /// Jobs that run.
    pub running: u64,
    /// Jobs that may run now.
    pub runnable: u64,
    /// Jobs that wait for a moment: of a limit, a retry, a schedule.
    pub scheduled: u64,
    /// Jobs that wait for a key.
    pub parked: u64,
    /// Jobs that wait for the end of a pause.
    pub paused: u64,
    /// Seconds until what may run has run, at the present rate; absent: nothing has ended lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_seconds: Option<f64>,
    /// Workers it asks for.
    pub replicas: u64,
}

/// How much there is to do is the binary's business.
#[async_trait]
pub trait Scale: Send + Sync {
    /// Every lane that has jobs; `Err` with what is missing, in a sentence without secrets.
    async fn lanes(&self, within: Duration) -> Result<Vec<LaneLoad>, String>;
}

/// How long a job may wait.
#[derive(Debug, Deserialize)]
pub(crate) struct Within {
    #[serde(default = "minute")]
    within: u64,
}

fn minute() -> u64 {
    60
}

async fn read(admin: &Admin, within: u64) -> Result<Vec<LaneLoad>, String> {
    let within = Duration::from_secs(within.clamp(1, LONGEST));
    match tokio::time::timeout(ANSWER, admin.scale.lanes(within)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", ANSWER.as_secs())),
    }
}

pub(crate) async fn all(State(admin): State<Admin>, Query(asked): Query<Within>) -> Response {
    match read(&admin, asked.within).await {
        Ok(lanes) => Json(json!({"lanes": lanes})).into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// A lane without jobs asks for nobody.
pub(crate) async fn one(
    State(admin): State<Admin>,
    Path(lane): Path<String>,
    Query(asked): Query<Within>,
) -> Response {
    match read(&admin, asked.within).await {
        Ok(lanes) => {
            let found = lanes.into_iter().find(|load| load.lane == lane);
            Json(found.unwrap_or(LaneLoad { lane, ..LaneLoad::default() })).into_response()
        }
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// The same in Prometheus' text format; nothing when it cannot be read.
pub(crate) async fn gauges(admin: &Admin) -> String {
    let lanes = match read(admin, minute()).await {
        Ok(lanes) => lanes,
        Err(error) => {
            tracing::warn!(error, "the backlog of lanes could not be read for /metrics");
            return String::new();
        }
    };
    let mut text = String::from(
        "# HELP flotilla_lane_jobs Jobs of a lane; only runnable ones ask for workers.\n\
         # TYPE flotilla_lane_jobs gauge\n",
    );
    for load in &lanes {
        let states = [
            ("running", load.running),
            ("runnable", load.runnable),
            ("scheduled", load.scheduled),
            ("parked", load.parked),
            ("paused", load.paused),
        ];
        for (state, n) in states {
            let lane = &load.lane;
            let _ = writeln!(text, "flotilla_lane_jobs{{lane=\"{lane}\",state=\"{state}\"}} {n}");
        }
    }
    text.push_str(
        "# HELP flotilla_lane_drain_seconds Until what may run has run, at the present rate.\n\
         # TYPE flotilla_lane_drain_seconds gauge\n",
    );
    for load in &lanes {
        if let Some(seconds) = load.drain_seconds {
            let _ =
                writeln!(text, "flotilla_lane_drain_seconds{{lane=\"{}\"}} {seconds}", load.lane);
        }
    }
    text.push_str(
        "# HELP flotilla_lane_replicas Workers for what may run to wait no longer than a minute.\n\
         # TYPE flotilla_lane_replicas gauge\n",
    );
    for load in &lanes {
        let _ =
            writeln!(text, "flotilla_lane_replicas{{lane=\"{}\"}} {}", load.lane, load.replicas);
    }
    text
}
