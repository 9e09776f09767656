//! `Idempotency-Key` on actions: the same request sent twice is done once and answered alike. Enqueueing
//! has its own way (`idempotency.rs`), since its jobs get ids that follow from the key.
//!
//! The key is claimed before the action and holds its answer afterwards. An action that ended in a
//! fault of the server is not remembered: sending it again tries again.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flotilla_core::cells::{CellWrite, MAX_CELL_VALUE};
use flotilla_core::clock::after;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::asked::MAX_ACTION;
use super::problem::Problem;
use crate::auth::Principal;

/// Longest key, in bytes.
const MAX_KEY: usize = 255;
/// Largest answer that is remembered.
const MAX_ANSWER: usize = MAX_CELL_VALUE - 1024;
/// A claim that is older was made by a process that ended.
const CLAIM: Duration = Duration::from_secs(120);

/// The name of a request that may come twice; `None`: it has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnceKey(pub(crate) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for OnceKey {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    request: String,
    /// Absent: under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<(u16, String, String)>,
}

/// Middleware of the routes that change something.
pub(crate) async fn once(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    request: Request,
    next: Next,
) -> Response {
    match keyed(&shared, &who, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn keyed(
    shared: &Shared,
    who: &Principal,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else {
        return Ok(next.run(request).await);
    };
    let key = value.to_str().unwrap_or_default().trim();
    if key.is_empty() || key.len() > MAX_KEY {
        let detail = format!("the key must have 1 to {MAX_KEY} plain ASCII characters");
        return Err(Problem::bad_request("Idempotency-Key", detail));
    }
    let name = blake3::hash(format!("action\n{}\n{key}", who.name).as_bytes()).to_hex();
    let cell = format!("idempotency/{name}");
    let (mut parts, body) = request.into_parts();
    let bytes = to_bytes(body, MAX_ACTION).await.map_err(|_| Problem::too_large(MAX_ACTION))?;
    let mut digest = blake3::Hasher::new();
    digest.update(format!("{} {}\n", parts.method, parts.uri).as_bytes()).update(&bytes);
    let digest = digest.finalize().to_hex().to_string();

    let (now, cells) = (shared.api.ops.clock.now(), &shared.api.cells);
    let found = cells.read(std::slice::from_ref(&cell), now).await?.pop().flatten();
    if let Some(there) = found {
        return replayed(&there.value, &digest);
    }
    let claim = write(&cell, 0, &Kept { request: digest.clone(), answer: None }, after(now, CLAIM));
    if !cells.write(&[claim], now).await?.first().copied().unwrap_or(false) {
        return Err(busy());
    }
    parts.extensions.insert(OnceKey(Some(format!("{cell}/{digest}"))));
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;

    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let version = cells.read(std::slice::from_ref(&cell), now).await?.pop().flatten();
    let version = version.map_or(0, |there| there.version);
    let small = bytes.len() <= MAX_ANSWER && !parts.status.is_server_error();
    let change = match (small, std::str::from_utf8(&bytes)) {
        (true, Ok(text)) => {
            let media = parts.headers.get(header::CONTENT_TYPE);
            let media = media.and_then(|value| value.to_str().ok()).unwrap_or_default();
            let answer = Some((parts.status.as_u16(), media.to_owned(), text.to_owned()));
            let until = after(shared.api.ops.clock.now(), shared.api.settings.idempotency);
            write(&cell, version, &Kept { request: digest, answer }, until)
        }
        _ => CellWrite { key: cell.clone(), expect: version, value: None, expires_at: None },
    };
    if let Err(error) = cells.write(&[change], shared.api.ops.clock.now()).await {
        tracing::warn!(%error, "the answer of an action is not remembered under its key");
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn write(cell: &str, expect: u64, kept: &Kept, until: flotilla_core::Timestamp) -> CellWrite {
    let value = serde_json::to_vec(kept).unwrap_or_default();
    CellWrite { key: cell.to_owned(), expect, value: Some(value.into()), expires_at: Some(until) }
}

fn replayed(value: &Bytes, digest: &str) -> Result<Response, Problem> {
    let kept: Kept = serde_json::from_slice(value).map_err(|_| busy())?;
    if kept.request != digest {
        let detail = "this Idempotency-Key came before with another request: use a new key for it";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Problem::new(
            status,
            "idempotency-key",
            "the key stands for another request",
            detail,
        ));
    }
    let (status, media, text) = kept.answer.ok_or_else(busy)?;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = (status, text).into_response();
    let media = HeaderValue::from_str(&media);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        media.unwrap_or(HeaderValue::from_static("application/json")),
    );
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    Ok(response)
}

fn busy() -> Problem {
    let detail = "another request with this Idempotency-Key is under way: send it again";
    Problem::conflict("idempotency-busy", "the key is in use", detail)
}
