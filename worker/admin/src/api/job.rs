//! `GET /v1/jobs/{id}`.
//!
//! A waiting request looks again when the backend says that something changed, with growing
//! pauses, so that a busy queue is not asked for every job of every waiter.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use flotilla_core::JobId;
use flotilla_core::records::JobRecord;
use serde::Deserialize;

use super::Shared;
use super::detail::etag;
use super::enqueue::json as answer;
use super::problem::Problem;
use crate::auth::Principal;
use crate::redact;

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
    who: Principal,
    id: Result<Path<String>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let id = read_id(id)?;
    let asked = asked.map_err(|e| Problem::bad_request("wait", e.body_text()))?.0;
    let wait = asked.wait.as_deref().map(duration).transpose()?.unwrap_or_default();
    let wait = wait.min(shared.api.settings.max_wait);
    let job = known(&shared, &who, id).await?;
    if wait.is_zero() || job.state.is_finished() {
        return Ok(tagged(job));
    }
    let Ok(_seat) = shared.waiters.try_acquire() else {
        let mut response = tagged(job);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return Ok(response);
    };
    let latest = match tokio::time::timeout(wait, finished(&shared, id)).await {
        Ok(found) => found?,
        Err(_) => shared.api.records.get(id).await?,
    };
    latest.map(tagged).ok_or_else(|| unknown(id))
}

/// The job, and its version for `If-Match`.
fn tagged(job: JobRecord) -> Response {
    let tag = HeaderValue::from_str(&etag(&job));
    let mut response = answer(StatusCode::OK, &redact::job(job));
    if let Ok(tag) = tag {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
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

/// The job, where the caller may see it; somebody else's is as good as none.
pub(crate) async fn known(
    shared: &Shared,
    who: &Principal,
    id: JobId,
) -> Result<JobRecord, Problem> {
    let found = shared.api.records.get(id).await?;
    found.filter(|job| who.sees(&job.tenant)).ok_or_else(|| unknown(id))
}

pub(crate) fn read_id(id: Result<Path<String>, PathRejection>) -> Result<JobId, Problem> {
    let Path(text) = id.map_err(|e| Problem::bad_request("id", e.body_text()))?;
    text.parse()
        .map_err(|e: flotilla_core::ids::InvalidName| Problem::bad_request("id", e.to_string()))
}

pub(crate) fn unknown(id: JobId) -> Problem {
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
