//! `POST /v1/jobs`. Nothing is taken unless every job of the request is valid; the answer comes
//! after they are durable.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flotilla_core::envelope::Envelope;
use flotilla_core::ops::EnqueueError;
use flotilla_core::queue::{Enqueued, NewJob};
use flotilla_core::{JobId, Tenant};
use serde::{Deserialize, Serialize};

use super::idempotency::{Kept, Key};
use super::problem::{Fault, MAX_FAULTS, Problem};
use super::{Shared, body};
use crate::auth::{Principal, Tenants};

/// What became of one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// Durable under this id.
    Created,
    /// The job of this id already stands for it.
    Duplicate,
    /// Not taken.
    Rejected,
}

/// One job of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) id: JobId,
    pub(crate) outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

#[derive(Serialize)]
struct Many<'a> {
    jobs: &'a [Taken],
}

pub(crate) async fn enqueue(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    sent: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let bytes = whole(sent, shared.api.settings.max_body)?;
    let mut sent = body::read(&headers, &bytes, shared.api.settings.max_jobs)?;
    own(&who, &mut sent)?;
    let key = Key::read(&headers, &who.name, &bytes)?;
    let jobs = prepare(&shared, sent.envelopes, sent.single, key.as_ref())?;
    let Some(key) = key else {
        return Ok(answer(&take(&shared, &jobs, None).await?, sent.single));
    };
    let kept = match key.begin(&shared).await? {
        Kept::Answer(taken) => return Ok(replayed(answer(&taken, sent.single))),
        Kept::Begun(version) => version,
    };
    let taken = take(&shared, &jobs, Some(&key)).await?;
    let taken = key.finish(&shared, kept, taken).await?;
    Ok(answer(&taken, sent.single))
}

/// Holds the envelopes to the tenants of the caller; one that names none is of its only tenant.
fn own(who: &Principal, sent: &mut body::Sent) -> Result<(), Problem> {
    let Tenants::Some(some) = &who.tenants else { return Ok(()) };
    let only = if some.len() == 1 { some.first() } else { None };
    for (index, envelope) in sent.envelopes.iter_mut().enumerate() {
        if envelope.tenant.is_none() {
            envelope.tenant = only.cloned();
        }
        if !envelope.tenant.as_ref().is_some_and(|tenant| some.contains(tenant)) {
            let all = some.iter().map(Tenant::as_str).collect::<Vec<_>>().join(", ");
            let detail = format!("this token enqueues for {all} only: say which");
            return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "not allowed", detail)
                .at(&body::place(sent.single, index, "tenant")));
        }
    }
    Ok(())
}

/// The body, or why it is not here.
pub(crate) fn whole(sent: Result<Bytes, BytesRejection>, max: usize) -> Result<Bytes, Problem> {
    sent.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(max),
        _ => Problem::bad_request(".", "the body broke off: send it again"),
    })
}

fn prepare(
    shared: &Shared,
    envelopes: Vec<Envelope>,
    single: bool,
    key: Option<&Key>,
) -> Result<Vec<NewJob>, Problem> {
    let ops = &shared.api.ops;
    let now = ops.clock.now();
    let mut jobs = Vec::with_capacity(envelopes.len());
    let mut faults = Vec::new();
    for (index, mut envelope) in envelopes.into_iter().enumerate() {
        if let Some(key) = key {
            // Under a key the ids follow from it, so that sending again finds the same jobs.
            envelope.id.get_or_insert_with(|| key.job(index));
        }
        match ops.prepare(envelope, now) {
            Ok(job) => jobs.push(job),
            Err(EnqueueError::Queue(error)) => return Err(error.into()),
            Err(error) => faults.push(fault(&error, single, index)),
        }
        if faults.len() == MAX_FAULTS {
            break;
        }
    }
    if faults.is_empty() { Ok(jobs) } else { Err(Problem::invalid(faults)) }
}

fn fault(error: &EnqueueError, single: bool, index: usize) -> Fault {
    let (field, detail) = match error {
        EnqueueError::Payload(error) if error.field == "." => {
            ("payload".to_owned(), error.message.clone())
        }
        EnqueueError::Payload(error) => (format!("payload.{}", error.field), error.message.clone()),
        EnqueueError::Field { field, message } => ((*field).to_owned(), message.clone()),
        other => (other.field().unwrap_or(".").to_owned(), other.to_string()),
    };
    Fault { field: body::place(single, index, &field), detail }
}

/// Enqueues. A job that is there already under the id that follows from the key was made by an
/// earlier try of this request.
async fn take(shared: &Shared, jobs: &[NewJob], key: Option<&Key>) -> Result<Vec<Taken>, Problem> {
    let accepted = shared.api.ops.enqueue_prepared(jobs).await?;
    let taken = accepted.into_iter().enumerate().map(|(index, accepted)| {
        let ours = |id| key.is_some_and(|key| key.job(index) == id);
        let (outcome, detail) = match accepted.outcome {
            Enqueued::Created => (Outcome::Created, None),
            Enqueued::Duplicate(id) if ours(id) => (Outcome::Created, None),
            Enqueued::Duplicate(_) => (Outcome::Duplicate, None),
            Enqueued::Rejected(why) => (Outcome::Rejected, Some(why)),
        };
        Taken { id: accepted.id, outcome, detail }
    });
    Ok(taken.collect())
}

fn answer(taken: &[Taken], single: bool) -> Response {
    match taken {
        [one] if single => alone(one),
        many => json(StatusCode::OK, &Many { jobs: many }),
    }
}

fn alone(one: &Taken) -> Response {
    let status = match one.outcome {
        Outcome::Created => StatusCode::CREATED,
        Outcome::Duplicate => StatusCode::OK,
        Outcome::Rejected => {
            let detail = one.detail.clone().unwrap_or_else(|| "the queue refused it".to_owned());
            return Problem::invalid(vec![Fault { field: ".".into(), detail }]).into_response();
        }
    };
    let mut response = json(status, one);
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/jobs/{}", one.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn replayed(mut response: Response) -> Response {
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    response
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (status, content_type, serde_json::to_vec(value).unwrap_or_default()).into_response()
}
