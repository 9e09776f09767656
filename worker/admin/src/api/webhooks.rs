//! `/webhooks/{platform}`: what social platforms tell by themselves. Callers show no token, since
//! platforms have none; the signature with our app's secret stands in for it. What is said becomes
//! jobs, so that it is durable before it is answered, and saying it again makes none.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use flotilla_core::Envelope;

use super::Shared;
use super::enqueue::whole;
use super::problem::Problem;

/// Why a call is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookError {
    /// There is nothing of that name here.
    Unknown,
    /// The caller did not show that it is the platform.
    Unproven,
    /// It is not what the platform's documents show.
    Unreadable(String),
    /// It cannot be looked up now.
    Unavailable(String),
}

/// Finds a header by its lower-case name.
pub type Header<'a> = dyn Fn(&str) -> Option<String> + Send + Sync + 'a;

/// Reads what platforms tell.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// The answer to the call by which a platform makes sure that the address is ours.
    ///
    /// # Errors
    /// See [`HookError`].
    fn challenge(&self, platform: &str, query: &[(String, String)]) -> Result<String, HookError>;

    /// The jobs that a call makes.
    ///
    /// # Errors
    /// See [`HookError`].
    async fn receive(
        &self,
        platform: &str,
        header: &Header<'_>,
        body: &[u8],
    ) -> Result<Vec<Envelope>, HookError>;
}

/// GET: the platform makes sure of the address.
pub(crate) async fn challenge(
    State(shared): State<Arc<Shared>>,
    Path(platform): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<String, Problem> {
    let hooks = hooks(&shared)?;
    hooks.challenge(&platform, &query).map_err(refused)
}

/// POST: the platform tells something.
pub(crate) async fn receive(
    State(shared): State<Arc<Shared>>,
    Path(platform): Path<String>,
    headers: HeaderMap,
    sent: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let hooks = hooks(&shared)?;
    let body = whole(sent, shared.api.settings.max_body)?;
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    let jobs = hooks.receive(&platform, &header, &body).await.map_err(refused)?;
    if !jobs.is_empty() {
        shared.api.ops.enqueue(jobs).await?;
    }
    Ok(StatusCode::OK.into_response())
}

/// The hooks, as often as they may be called.
fn hooks(shared: &Shared) -> Result<&dyn Hooks, Problem> {
    let Some(hooks) = &shared.api.webhooks else { return Err(Problem::unknown_path()) };
    let now = shared.api.ops.clock.now();
    shared.buckets.take(&"webhooks".into(), now).map_err(Problem::too_many)?;
    Ok(&**hooks)
}

fn refused(error: HookError) -> Problem {
    let problem = |status, slug, title, detail: String| Problem::new(status, slug, title, detail);
    match error {
        HookError::Unknown => Problem::unknown_path(),
        HookError::Unproven => problem(
            StatusCode::FORBIDDEN,
            "not-believed",
            "the call is not believed",
            "it is not signed with the app's secret ([[app]]), or does not show \
             platforms.webhook_token"
                .to_owned(),
        ),
        HookError::Unreadable(detail) => {
            problem(StatusCode::BAD_REQUEST, "unreadable", "the call cannot be read", detail)
        }
        HookError::Unavailable(detail) => problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "not now",
            format!("{detail}: send it again"),
        ),
    }
}
