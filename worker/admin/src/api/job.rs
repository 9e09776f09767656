//! `GET` and `DELETE /v1/jobs/{id}`.
//!
//! A waiting request looks again when the backend says that something changed, with growing
//! pauses, so that a busy queue is not asked for every job of every waiter.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use flotilla_core::JobId;
use flotilla_core::records::{Cancel, JobRecord};
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::enqueue::json as answer;
use super::entry::Caller;
use super::problem::Problem;

/// Pauses between two looks of one waiter: the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// A look is due this often, also when no hint arrives.
const POLL: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    wait: Option<String>,
}

pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let id = read_id(id)?;
    let asked = asked.map_err(|e| Problem::bad_request("wait", e.body_text()))?.0;
    let wait = asked.wait.as_deref().map(duration).transpose()?.unwrap_or_default();
    let wait = wait.min(shared.api.settings.max_wait);
    let Some(job) = shared.api.records.get(id).await? else { return Err(unknown(id)) };
    if wait.is_zero() || job.state.is_finished() {
        return Ok(answer(StatusCode::OK, &job));
    }
    let Ok(_seat) = shared.waiters.try_acquire() else {
        let mut response = answer(StatusCode::OK, &job);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return Ok(response);
    };
    let latest = match tokio::time::timeout(wait, finished(&shared, id)).await {
        Ok(found) => found?,
        Err(_) => shared.api.records.get(id).await?,
    };
    latest.map(|job| answer(StatusCode::OK, &job)).ok_or_else(|| unknown(id))
}

/// The job once it has finished; `None` when it is gone.
async fn finished(shared: &Shared, id: JobId) -> Result<Option<JobRecord>, Problem> {
    let mut changes = shared.api.records.changes();
    let (mut pause, longest) = PAUSES;
    loop {
        changes.mark_unchanged();
        match shared.api.records.get(id).await? {
            Some(job) if !job.state.is_finished() => {}
            other => return Ok(other),
        }
        // A closed channel answers at once; the pause below keeps it from spinning.
        let _ = tokio::time::timeout(POLL, changes.changed()).await;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

pub(crate) async fn cancel(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = read_id(id)?;
    let reason = format!("cancelled over HTTP by {}", caller.0);
    let now = shared.api.ops.clock.now();
    let answers = shared.api.records.cancel(&[id], &reason, now).await?;
    let word = match answers.first() {
        Some(Cancel::Cancelled) => "cancelled",
        Some(Cancel::Asked) => "asked",
        Some(Cancel::Finished) => {
            let detail = format!("{id} has finished: there is nothing left to cancel");
            return Err(Problem::new(StatusCode::CONFLICT, "finished", "it has finished", detail));
        }
        Some(Cancel::Unknown) | None => return Err(unknown(id)),
    };
    Ok(answer(StatusCode::ACCEPTED, &json!({"id": id, "outcome": word})))
}

fn read_id(id: Result<Path<String>, PathRejection>) -> Result<JobId, Problem> {
    let Path(text) = id.map_err(|e| Problem::bad_request("id", e.body_text()))?;
    text.parse()
        .map_err(|e: flotilla_core::ids::InvalidName| Problem::bad_request("id", e.to_string()))
}

fn unknown(id: JobId) -> Problem {
    let detail = format!("no job {id}: it was never enqueued here, or its retention has ended");
    Problem::new(StatusCode::NOT_FOUND, "unknown-job", "no such job", detail)
}

/// `30s`, `500ms`, `2m`, or seconds without a unit.
fn duration(text: &str) -> Result<Duration, Problem> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        _ => 0,
    };
    match number.parse::<u64>() {
        Ok(number) if scale > 0 => Ok(Duration::from_millis(number.saturating_mul(scale))),
        _ => {
            Err(Problem::bad_request("wait", "not a duration: write \"30s\", \"500ms\" or \"2m\""))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let read = |text: &str| duration(text).ok();
        assert_eq!(read("30s"), Some(Duration::from_secs(30)));
        assert_eq!(read("30"), Some(Duration::from_secs(30)));
        assert_eq!(read("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(read("2m"), Some(Duration::from_secs(120)));
        for bad in ["", "s", "-1s", "1h", "1 s", "99999999999999999999s", "é"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
