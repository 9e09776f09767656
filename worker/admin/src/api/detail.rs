//! `GET /v1/jobs/{id}/detail`: everything about one job on one page.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use flotilla_core::effect::Entry;
use flotilla_core::records::JobRecord;
use flotilla_core::{JobId, State as Stand, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use super::enqueue::json as answer;
use super::job::{known, read_id};
use super::problem::Problem;
use super::{Shared, search};
use crate::auth::Principal;
use crate::redact;

/// Effects that are shown.
const EFFECTS: usize = 100;
/// Artefacts that are named.
const ARTEFACTS: usize = 100;

/// Something that happened to the job.
#[derive(Debug, Serialize)]
struct Moment {
    at: Timestamp,
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    says: Option<String>,
}

/// The version of a record: changes whenever anything of it does.
pub(crate) fn etag(job: &JobRecord) -> String {
    format!("\"{}\"", crate::acts::Acts::version(job))
}

pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    id: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Result<Response, Problem> {
    let job = known(&shared, &who, read_id(id)?).await?;
    let tag = etag(&job);
    let why = shared.api.insight.why(&job).await?;
    let effects = effects(&shared, job.id).await?;
    let trace = job.trace.traceparent.as_deref().and_then(|parent| parent.split('-').nth(1));
    let document = json!({
        "timeline": timeline(&job),
        "trace_id": trace,
        "platform": search::named(&job, "platform"),
        "account": search::named(&job, "account"),
        "artefacts": job.result.as_ref().map(artefacts).unwrap_or_default(),
        "effects": effects,
        "why": why,
        "replay_of": job.extra.get("replay_of"),
        "job": redact::job(job),
    });
    let mut response = answer(StatusCode::OK, &document);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// What is known of its course, oldest first.
fn timeline(job: &JobRecord) -> Vec<Moment> {
    let moment = |at, what| Moment { at, what, attempt: None, worker: None, says: None };
    let mut all = vec![moment(job.enqueued_at, "enqueued")];
    all.extend(job.errors.iter().map(|error| Moment {
        attempt: Some(error.attempt),
        worker: Some(error.worker.to_string()),
        says: Some(error.error.clone()),
        ..moment(error.at, "failed")
    }));
    let worker = job.worker.as_ref().map(ToString::to_string);
    if let Some(at) = job.started_at {
        let attempt = Some(job.attempt);
        all.push(Moment { attempt, worker, ..moment(at, "started") });
    }
    if let Some(at) = job.finished_at {
        all.push(Moment { says: job.reason.clone(), ..moment(at, job.state.name()) });
    } else if matches!(job.state, Stand::Scheduled | Stand::Retryable) {
        all.push(Moment { says: job.reason.clone(), ..moment(job.run_at, "due") });
    }
    all.sort_by_key(|moment| moment.at);
    all
}

/// The ledger of its irreversible calls, without what they gave.
async fn effects(shared: &Shared, id: JobId) -> Result<Vec<Value>, Problem> {
    let (prefix, now) = (format!("effect/{id}/"), shared.api.ops.clock.now());
    let cells = shared.api.cells.list(&prefix, None, EFFECTS, now).await?;
    let one = |(key, cell): (String, flotilla_core::cells::Cell)| {
        let name = key.strip_prefix(&prefix).unwrap_or_default().to_owned();
        match serde_json::from_slice::<Entry>(&cell.value) {
            Ok(Entry::Intended { at, sends, unsure }) => {
                json!({"name": name, "state": "intended", "at": at, "sends": sends, "unsure": unsure})
            }
            Ok(Entry::Done { at, .. }) => json!({"name": name, "state": "done", "at": at}),
            Err(_) => json!({"name": name, "state": "unreadable"}),
        }
    };
    Ok(cells.into_iter().map(one).collect())
}

/// What a result names of blobs and addresses: objects with a `key` or a `url`, and a media type or
/// a size beside it.
fn artefacts(result: &Value) -> Vec<Value> {
    fn walk(value: &Value, path: &str, into: &mut Vec<Value>) {
        if into.len() >= ARTEFACTS {
            return;
        }
        match value {
            Value::Object(fields) => {
                let text = |name: &str| fields.get(name).and_then(Value::as_str);
                let place = text("key").or_else(|| text("blob")).or_else(|| text("url"));
                if let Some(place) = place.filter(|place| place.contains('/')) {
                    let media = text("media_type").or_else(|| text("content_type"));
                    let bytes = fields.get("bytes").or_else(|| fields.get("size"));
                    into.push(json!({"path": path, "at": place, "media_type": media,
                        "bytes": bytes.and_then(Value::as_u64)}));
                }
                for (name, inner) in fields {
                    walk(inner, &format!("{path}/{name}"), into);
                }
            }
            Value::Array(items) => {
                for (index, inner) in items.iter().enumerate() {
                    walk(inner, &format!("{path}/{index}"), into);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    let mut shown = result.clone();
    redact::value(&mut shown);
    walk(&shown, "", &mut found);
    found
}
