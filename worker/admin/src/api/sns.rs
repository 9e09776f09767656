//! `POST /v1/hooks/sns`: notifications of SNS over HTTP. Callers show no token, since SNS has
//! none; the signature of a listed topic stands in for it. Off unless configured.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use flotilla_adopt::sns::{Notice, SnsError};
use flotilla_core::broker::{Adopt, Delivery};
use flotilla_core::queue::Enqueued;
use flotilla_core::{Lane, Receipt};

use super::Shared;
use super::enqueue::whole;
use super::problem::Problem;

/// Certificates that are remembered; there is one per region at a time.
const MAX_CERTIFICATES: usize = 8;

/// Largest notification, in bytes: what SNS sends at most, and its wrapper.
const MAX_NOTICE: usize = 1 << 20;

/// Fetches the signing certificate and visits the address that confirms a subscription: a GET
/// through the guard of the binary.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// The body of a successful answer.
    ///
    /// # Errors
    /// A sentence.
    async fn get(&self, url: &str) -> Result<Bytes, String>;
}

/// What is done with notifications.
#[derive(Clone)]
pub struct SnsHook {
    /// The topics (ARNs) whose notifications are taken. Others are refused.
    pub topics: Vec<String>,
    /// The lane on which they count as having come.
    pub lane: Lane,
    /// Reads them.
    pub adopt: Arc<dyn Adopt>,
    /// The way out.
    pub fetch: Arc<dyn Fetch>,
}

/// Certificates by address.
#[derive(Default)]
pub(crate) struct Certificates(Mutex<BTreeMap<String, Bytes>>);

impl Certificates {
    async fn get(&self, url: &str, fetch: &dyn Fetch) -> Result<Bytes, String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned();
        match known {
            Some(known) => Ok(known),
            None => fetch.get(url).await,
        }
    }

    /// Remembers one that has proved good.
    fn keep(&self, url: &str, pem: Bytes) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_CERTIFICATES {
            kept.clear();
        }
        kept.insert(url.to_owned(), pem);
    }
}

pub(crate) async fn receive(
    State(shared): State<Arc<Shared>>,
    sent: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let Some(hook) = &shared.api.sns else { return Err(Problem::unknown_path()) };
    let now = shared.api.ops.clock.now();
    shared.buckets.take(&"sns".into(), now).map_err(Problem::too_many)?;
    let body = whole(sent, shared.api.settings.max_body)?;
    if body.len() > MAX_NOTICE {
        return Err(Problem::too_large(MAX_NOTICE));
    }
    let notice: Notice = serde_json::from_slice(&body)
        .map_err(|e| Problem::bad_request(".", format!("not a message of SNS: {e}")))?;
    if !hook.topics.contains(&notice.topic_arn) {
        return Err(forbidden("this topic is not listed: add its ARN to api.sns_topics".into()));
    }
    prove(&shared, hook, &notice).await?;
    match notice.kind.as_str() {
        "Notification" => take(&shared, hook, body).await,
        "SubscriptionConfirmation" => confirm(hook, &notice).await,
        _ => Ok(StatusCode::OK.into_response()),
    }
}

async fn prove(shared: &Shared, hook: &SnsHook, notice: &Notice) -> Result<(), Problem> {
    let refused = |error: SnsError| forbidden(error.to_string());
    let url = notice.certificate_url().map_err(refused)?;
    let pem = shared.certificates.get(url.as_str(), &*hook.fetch).await.map_err(|why| {
        tracing::warn!(error = %why, "the signing certificate of SNS could not be fetched");
        let detail = "the signing certificate could not be fetched: send it again";
        Problem::new(StatusCode::BAD_GATEWAY, "certificate", "no certificate", detail)
    })?;
    notice.verify(&pem, shared.api.ops.clock.now()).map_err(refused)?;
    shared.certificates.keep(url.as_str(), pem);
    Ok(())
}

async fn take(shared: &Shared, hook: &SnsHook, body: Bytes) -> Result<Response, Problem> {
    let ops = &shared.api.ops;
    let delivery = Delivery {
        receipt: Receipt::None,
        lane: hook.lane.clone(),
        body,
        attributes: BTreeMap::new(),
        redelivered: 0,
    };
    let unreadable = |detail: String| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Problem::new(status, "unreadable", "the notification is no job", detail)
    };
    let jobs =
        hook.adopt.adopt(&delivery, ops.clock.now()).map_err(|error| unreadable(error.reason))?;
    for accepted in ops.enqueue_prepared(&jobs).await? {
        if let Enqueued::Rejected(why) = accepted.outcome {
            return Err(unreadable(why));
        }
    }
    Ok(StatusCode::OK.into_response())
}

async fn confirm(hook: &SnsHook, notice: &Notice) -> Result<Response, Problem> {
    let url = notice.confirmation_url().map_err(|error| forbidden(error.to_string()))?;
    hook.fetch.get(url.as_str()).await.map_err(|why| {
        tracing::warn!(error = %why, topic = notice.topic_arn, "subscription not confirmed");
        let detail = "the subscription could not be confirmed: ask SNS to send it again";
        Problem::new(StatusCode::BAD_GATEWAY, "confirmation", "not confirmed", detail)
    })?;
    tracing::info!(topic = notice.topic_arn, "subscription confirmed");
    Ok(StatusCode::OK.into_response())
}

fn forbidden(detail: String) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "not-believed", "the message is not believed", detail)
}
