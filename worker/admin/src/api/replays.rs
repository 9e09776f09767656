//! Replay operations: many dead letters put back, at a pace, with a canary, and stopped by itself.
//! Workers lead them; here they are asked for, looked at, paused, resumed, cancelled.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use flotilla_core::ids::InvalidName;
use flotilla_core::replay::{Desk, DeskError, Operation, ReplayId, Request, RequestError, dry_run};
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::asked::{self, MAX_ACTION, Query};
use super::dead::own;
use super::enqueue::{json as answer, whole};
use super::once::OnceKey;
use super::problem::Problem;
use crate::acts::Turn;
use crate::auth::{Principal, Tenants};

/// Operations of one answer.
const LISTED: usize = 200;

type Sent = Result<Bytes, BytesRejection>;
type Id = Result<Path<String>, PathRejection>;

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        Self::bad_request(error.field, error.message)
    }
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::Request(error) => error.into(),
            DeskError::Port(error) => error.into(),
            DeskError::Unknown(_) => {
                let detail = "no such replay: GET /v1/replays lists them";
                Self::new(StatusCode::NOT_FOUND, "unknown-replay", "no such replay", detail)
            }
            DeskError::State { id, state, rule } => {
                let detail = format!("replay {id} is {state}: {rule}");
                Self::conflict("wrong-state", "not in this state", detail)
            }
        }
    }
}

fn desk(shared: &Shared) -> Desk<'_> {
    Desk::new(&*shared.api.cells)
}

/// An operation is for who sees every tenant it is about.
fn sees(who: &Principal, operation: &Operation) -> bool {
    let tenants = &operation.request.selection.tenants;
    who.tenants == Tenants::All
        || (!tenants.is_empty() && tenants.iter().all(|tenant| who.sees(tenant)))
}

async fn known(shared: &Shared, who: &Principal, id: Id) -> Result<Operation, Problem> {
    let Path(text) = id.map_err(|e| Problem::bad_request("id", e.body_text()))?;
    let id: ReplayId =
        text.parse().map_err(|e: InvalidName| Problem::bad_request("id", e.to_string()))?;
    let found = desk(shared).get(id, shared.api.ops.clock.now()).await?;
    let operation = found.map(|kept| kept.operation).filter(|operation| sees(who, operation));
    operation.ok_or_else(|| DeskError::Unknown(id).into())
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    who: Principal,
) -> Result<Response, Problem> {
    let mut all = desk(&shared).list(shared.api.ops.clock.now()).await?;
    all.retain(|operation| sees(&who, operation));
    all.truncate(LISTED);
    Ok(answer(StatusCode::OK, &json!({"replays": all})))
}

pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    id: Id,
) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &known(&shared, &who, id).await?))
}

/// Makes an operation; with `?dry_run=true` it only tells what one would do.
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    once: OnceKey,
    uri: Uri,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, Problem> {
    let dry = Query::read(&uri, &["dry_run"])?.one::<bool>("dry_run")?.unwrap_or_default();
    let mut request: Request = asked::body(&headers, &whole(sent, MAX_ACTION)?)?;
    asked::text("reason", &request.reason)?;
    request.by = who.name.to_string();
    let Some(selection) = own(&who, std::mem::take(&mut request.selection))? else {
        return Err(Problem::bad_request("tenants", "none of these tenants is yours"));
    };
    request.selection = selection;
    request.check()?;
    let (ops, now) = (&shared.api.ops, shared.api.ops.clock.now());
    if dry {
        let seen = dry_run(&*shared.api.records, &ops.registry, &request, now).await?;
        return Ok(answer(StatusCode::OK, &seen));
    }
    request.reason = asked::reason(&request.reason)?;
    let id = match &once.0 {
        Some(key) => ReplayId::derived(key),
        None => ReplayId::new(now, &*ops.rng),
    };
    Ok(answer(StatusCode::CREATED, &shared.api.acts().plan(&who, &request, id).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: String,
}

async fn turn(
    shared: &Shared,
    who: &Principal,
    id: Id,
    headers: &HeaderMap,
    sent: Sent,
    turn: Turn,
) -> Result<Response, Problem> {
    let operation = known(shared, who, id).await?;
    let given: Why = asked::body(headers, &whole(sent, MAX_ACTION)?)?;
    let why = asked::reason(&given.reason)?;
    Ok(answer(StatusCode::OK, &shared.api.acts().turn(who, &operation, turn, why).await?))
}

pub(crate) async fn pause(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    id: Id,
    sent: Sent,
) -> Result<Response, Problem> {
    turn(&shared, &who, id, &headers, sent, Turn::Pause).await
}

pub(crate) async fn resume(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    id: Id,
    sent: Sent,
) -> Result<Response, Problem> {
    turn(&shared, &who, id, &headers, sent, Turn::Resume).await
}

pub(crate) async fn cancel(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    id: Id,
    sent: Sent,
) -> Result<Response, Problem> {
    turn(&shared, &who, id, &headers, sent, Turn::Cancel).await
}
