//! What people do to a single job: cancel it, retry it now, run it again. Each is in the audit log,
//! and each heeds `If-Match`, so that nobody acts on what they no longer see.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use flotilla_core::queue::Enqueued;
use flotilla_core::records::{Cancel, Filter, JobRecord};
use flotilla_core::{DeadClass, Envelope, JobId, Payload, State as Stand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::asked::{self, MAX_ACTION};
use super::detail::etag;
use super::enqueue::{json as answer, whole};
use super::job::{known, read_id};
use super::once::OnceKey;
use super::problem::Problem;
use crate::audit::Change;
use crate::auth::Principal;

/// Jobs of a key that are woken at once.
const WOKEN: usize = 1000;

/// Why somebody does it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Reason {
    reason: Option<String>,
}

type Id = Result<Path<String>, PathRejection>;
type Sent = Result<Bytes, axum::extract::rejection::BytesRejection>;

/// The reason of an action, where one is given.
fn reason(headers: &HeaderMap, sent: Sent) -> Result<Option<String>, Problem> {
    let bytes = whole(sent, MAX_ACTION)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let given: Reason = asked::body(headers, &bytes)?;
    given.reason.as_deref().map(asked::reason).transpose()
}

/// The job as the caller has seen it.
async fn seen(
    shared: &Shared,
    who: &Principal,
    id: JobId,
    headers: &HeaderMap,
) -> Result<JobRecord, Problem> {
    let job = known(shared, who, id).await?;
    matches(headers, &etag(&job))?;
    Ok(job)
}

/// Whether `If-Match` names the present version, where it is given.
pub(crate) fn matches(headers: &HeaderMap, tag: &str) -> Result<(), Problem> {
    let Some(wanted) = headers.get(header::IF_MATCH) else { return Ok(()) };
    let wanted = wanted.to_str().unwrap_or_default();
    let fits = wanted.split(',').map(str::trim).any(|one| one == "*" || one == tag);
    if fits { Ok(()) } else { Err(Problem::changed()) }
}

fn change(what: &'static str, job: &JobRecord, reason: Option<String>) -> Change {
    let before = json!({"state": job.state, "attempt": job.attempt, "class": job.class});
    let (target, tenant) = (job.id.to_string(), Some(job.tenant.clone()));
    Change { what, target, tenant, before: Some(before), reason }
}

pub(crate) async fn cancel(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    id: Id,
    sent: Sent,
) -> Result<Response, Problem> {
    let reason = reason(&headers, sent)?;
    let job = seen(&shared, &who, read_id(id)?, &headers).await?;
    let mut words = format!("cancelled over HTTP by {}", who.name);
    if let Some(reason) = &reason {
        words = format!("{words}: {reason}");
    }
    let done = shared.audited(&who, change("job.cancel", &job, reason), async {
        let now = shared.api.ops.clock.now();
        let answers = shared.api.records.cancel(&[job.id], &words, now).await?;
        match answers.first() {
            Some(Cancel::Cancelled) => Ok(json!({"id": job.id, "outcome": "cancelled"})),
            Some(Cancel::Asked) => Ok(json!({"id": job.id, "outcome": "asked"})),
            Some(Cancel::Finished) => {
                let detail = format!("{} has finished: there is nothing left to cancel", job.id);
                Err(Problem::conflict("finished", "it has finished", detail))
            }
            Some(Cancel::Unknown) | None => Err(super::job::unknown(job.id)),
        }
    });
    Ok(answer(StatusCode::ACCEPTED, &done.await?))
}

/// A dead letter goes back among the available, a parked job's key is woken.
pub(crate) async fn retry(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    id: Id,
    sent: Sent,
) -> Result<Response, Problem> {
    let reason = reason(&headers, sent)?;
    let job = seen(&shared, &who, read_id(id)?, &headers).await?;
    let done = shared.audited(&who, change("job.retry", &job, reason), async {
        let now = shared.api.ops.clock.now();
        match (job.state, &job.parked_under) {
            (Stand::Dead, _) => {
                let filter = Filter::id(job.id).dead();
                let replay = shared.api.records.replay(&filter, 1, now).await?;
                match replay.refused.into_iter().next() {
                    Some((_, why)) => Err(Problem::conflict("refused", "it stays dead", why)),
                    None if replay.replayed == 0 => Err(Problem::changed()),
                    None => Ok(json!({"id": job.id, "outcome": "available"})),
                }
            }
            (Stand::Parked, Some(key)) => {
                // Others of the key wait for the same thing; it cannot be there for one alone.
                who.need_fleet(crate::auth::Act::Operate)?;
                let woken = shared.api.records.wake(key, WOKEN, now).await?;
                Ok(json!({"id": job.id, "outcome": "woken", "key": key, "woken": woken}))
            }
            (state, _) => {
                let detail = format!(
                    "{} is {state}: only dead letters and parked jobs are put back by hand; \
                     a finished one can be run again",
                    job.id
                );
                Err(Problem::conflict("wrong-state", "not in this state", detail))
            }
        }
    });
    Ok(answer(StatusCode::OK, &done.await?))
}

/// A job that waits for its moment is due now.
pub(crate) async fn run_now(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    id: Id,
    sent: Sent,
) -> Result<Response, Problem> {
    let reason = reason(&headers, sent)?;
    let job = seen(&shared, &who, read_id(id)?, &headers).await?;
    Ok(answer(StatusCode::OK, &shared.api.acts().run_now(&who, &job, reason).await?))
}

/// A finished job is enqueued anew, with a trace back to the old one.
pub(crate) async fn again(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    once: OnceKey,
    headers: HeaderMap,
    id: Id,
    sent: Sent,
) -> Result<Response, Problem> {
    let reason = reason(&headers, sent)?;
    let job = seen(&shared, &who, read_id(id)?, &headers).await?;
    if !job.state.is_finished() || job.class == Some(DeadClass::OutcomeUnknown) {
        let detail = if job.state.is_finished() {
            "an irreversible call of it may have happened: look at the platform, then say what was \
             found with `flotilla dead replay ID --found did` (or did-not)"
                .to_owned()
        } else {
            format!("{} is {}: wait for its end, or cancel it", job.id, job.state)
        };
        return Err(Problem::conflict("wrong-state", "it cannot be run again", detail));
    }
    let done = shared.audited(&who, change("job.again", &job, reason), async {
        let mut envelope = copy(&job, &who)?;
        envelope.id = once.0.as_deref().map(JobId::derived);
        let made = shared.api.ops.enqueue(vec![envelope]).await?.into_iter().next();
        match made.map(|made| (made.id, made.outcome)) {
            Some((id, Enqueued::Created)) => Ok(json!({"id": id, "outcome": "created"})),
            Some((id, Enqueued::Duplicate(_))) => Ok(json!({"id": id, "outcome": "duplicate"})),
            Some((_, Enqueued::Rejected(why))) => {
                Err(Problem::conflict("refused", "the queue refused it", why))
            }
            None => Err(Problem::conflict("refused", "the queue refused it", "no answer")),
        }
    });
    Ok(answer(StatusCode::OK, &done.await?))
}

fn copy(job: &JobRecord, who: &Principal) -> Result<Envelope, Problem> {
    let payload = Payload::of(&job.payload).map_err(|e| {
        Problem::conflict("refused", "its payload cannot be sent again", e.to_string())
    })?;
    let lineage = json!({"job": job.id, "by": &*who.name});
    let mut extra: BTreeMap<String, Value> = job.extra.clone();
    extra.insert("again_of".to_owned(), lineage);
    Ok(Envelope {
        kind_version: Some(job.version),
        lane: Some(job.lane.clone()),
        tenant: Some(job.tenant.clone()),
        priority: Some(job.priority),
        order: job.order_key.clone(),
        trace: job.trace.clone(),
        extra,
        ..Envelope::new(job.kind.clone(), payload)
    })
}
