//! What every request passes first: an id for it, a bound in time, who calls, how often, whether
//! they may.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flotilla_core::JobId;
use tracing::Instrument as _;

use super::Shared;
use super::problem::Problem;
use crate::auth::{Act, Principal, Refused};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Tells a client which Flotilla answers, so that it can say when the two do not fit.
const VERSION: HeaderName = HeaderName::from_static("flotilla-version");
/// Carries what the forms of a session carry.
const CSRF: &str = "x-csrf-token";

/// Gives the request its id, the answer the same, and both a bound in time.
pub(crate) async fn framed(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let id = given(request.headers()).unwrap_or_else(|| made(&shared));
    let span = tracing::info_span!(
        "request", id = id.to_str().unwrap_or_default(), method = %request.method(),
        path = request.uri().path()
    );
    let settings = &shared.api.settings;
    let within = settings.timeout + settings.max_wait;
    let answer = tokio::time::timeout(within, next.run(request).instrument(span)).await;
    let mut response = answer.unwrap_or_else(|_| Problem::too_slow().into_response());
    response.headers_mut().insert(REQUEST_ID, id);
    let version = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));
    response.headers_mut().insert(VERSION, version);
    response
}

/// The caller's own id, where it is short and plain.
fn given(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(REQUEST_ID)?;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:/".contains(b);
    (!id.is_empty() && id.len() <= 128 && id.as_bytes().iter().all(plain)).then(|| id.clone())
}

fn made(shared: &Shared) -> HeaderValue {
    let ops = &shared.api.ops;
    let id = JobId::new(ops.clock.now(), &*ops.rng).to_string();
    HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

/// Lets known callers through, as often as they may.
pub(crate) async fn known(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    match admitted(&shared, method, uri, headers).await {
        Ok(who) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn admitted(
    shared: &Shared,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Principal, Problem> {
    let who = shared.api.auth.who(method, uri, headers).await?;
    if !method.is_safe() {
        who.check_csrf(headers.get(CSRF).and_then(|value| value.to_str().ok()))?;
    }
    shared.buckets.take(&who.name, shared.api.ops.clock.now()).map_err(Problem::too_many)?;
    Ok(who)
}

/// Lets those through whose role reaches that far.
pub(crate) async fn allowed(
    State((act, fleet)): State<(Act, bool)>,
    who: Principal,
    request: Request,
    next: Next,
) -> Response {
    let allowed: Result<(), Refused> = if fleet { who.need_fleet(act) } else { who.need(act) };
    match allowed {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}
