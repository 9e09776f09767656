//! What every request passes first: an id for it, a bound in time, who calls, how often.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flotilla_core::JobId;
use subtle::ConstantTimeEq;
use tracing::Instrument as _;

use super::problem::Problem;
use super::{Shared, Token};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who everybody is where no token is set.
const ANYBODY: &str = "anybody";

/// Whose request it is.
#[derive(Clone)]
pub(crate) struct Caller(pub(crate) Arc<str>);

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
    let Some(name) = caller(&shared.api.tokens, request.headers()) else {
        return Problem::unauthorised().into_response();
    };
    if let Err(after) = shared.buckets.take(&name, shared.api.ops.clock.now()) {
        return Problem::too_many(after).into_response();
    }
    request.extensions_mut().insert(Caller(name));
    next.run(request).await
}

/// Compares with every token, so that the time says neither which nor how far it fits.
fn caller(tokens: &[Token], headers: &HeaderMap) -> Option<Arc<str>> {
    if tokens.is_empty() {
        return Some(ANYBODY.into());
    }
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok())?;
    let (scheme, shown) = shown.split_once(' ')?;
    let shown = shown.trim().as_bytes();
    let fits = |token: &Token| bool::from(token.secret.as_bytes().ct_eq(shown));
    let found =
        tokens.iter().fold(None, |found, token| if fits(token) { Some(token) } else { found });
    found.filter(|_| scheme.eq_ignore_ascii_case("bearer")).map(|token| Arc::clone(&token.name))
}
