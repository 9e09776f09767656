//! One dead letter in hand. `PUT /v1/dead/{id}/payload`: another payload, checked as at an enqueue;
//! what is masked in the answers of this API may come back masked: the secret that is there stays.
//! `POST /v1/dead/{id}/found`: a person's word on what happened to one of unknown outcome.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::acts::matches;
use super::asked::{self, MAX_ACTION};
use super::detail::etag;
use super::enqueue::{json as answer, whole};
use super::insight::{FoundOut, Unfound};
use super::job::{known, read_id};
use super::problem::Problem;
use crate::acts::Edit;
use crate::audit::Change;
use crate::auth::Principal;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    payload: Value,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    replay: bool,
    #[serde(default)]
    dry_run: bool,
}

pub(crate) async fn edit(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
    sent: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let given: Given = asked::body(&headers, &whole(sent, MAX_ACTION)?)?;
    let reason = given.reason.as_deref().map(asked::reason).transpose()?;
    let job = known(&shared, &who, read_id(id)?).await?;
    matches(&headers, &etag(&job))?;
    let (acts, replay) = (shared.api.acts(), given.replay);
    let revision = acts.revise(&job, given.payload)?;
    let edit = Edit { revision, reason, replay };
    let told =
        if given.dry_run { edit.told(&job, None) } else { acts.edit(&who, &job, &edit).await? };
    Ok(answer(StatusCode::OK, &told))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    /// Whether the effect happened.
    did: bool,
    /// What it gave.
    #[serde(default)]
    result: Option<Value>,
    reason: String,
}

impl From<Unfound> for Problem {
    fn from(error: Unfound) -> Self {
        match error {
            Unfound::Refused(why) => Self::conflict("refused", "it stays as it is", why),
            Unfound::Port(error) => error.into(),
        }
    }
}

pub(crate) async fn found(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
    sent: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let Word { did, result, reason } = asked::body(&headers, &whole(sent, MAX_ACTION)?)?;
    let reason = asked::reason(&reason)?;
    if !did && result.is_some() {
        let detail = "what did not happen gave nothing: leave the result out";
        return Err(Problem::bad_request("result", detail));
    }
    let job = known(&shared, &who, read_id(id)?).await?;
    matches(&headers, &etag(&job))?;
    let change = Change {
        what: "dead.found",
        target: job.id.to_string(),
        tenant: Some(job.tenant.clone()),
        before: Some(json!({"state": job.state, "class": job.class})),
        reason: Some(reason),
    };
    let word = FoundOut { did, result: result.unwrap_or_default(), by: who.name.to_string() };
    let done = shared.audited(&who, change, async {
        let new = shared.api.insight.found(&job, &word).await?;
        Ok(json!({"job": job.id, "goes_on_as": new}))
    });
    Ok(answer(StatusCode::OK, &done.await?))
}
