//! `event.deliver`: events to one subscriber, retried until they have arrived. The relay of the
//! engine enqueues these; by their ordering key the subscriber hears of one thing after the other.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_core::event::{CloudEvent, DELIVER, Delivery};
use flotilla_core::job::{Job, Policy};
use flotilla_core::retry::Backoff;
use flotilla_core::{Handler, JobContext, JobError, Kind, Lane, Timestamp};
use flotilla_events::{Post, PostError, Sinks};
use flotilla_platforms::{FetchError, Fetcher};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::services::Services;
use crate::source::LONGEST_HINT;

/// The payload: what to tell whom, in this order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventDeliver(pub Delivery);

impl JsonSchema for EventDeliver {
    fn schema_name() -> Cow<'static, str> {
        "EventDeliver".into()
    }

    /// The fields themselves, not a reference to another type's.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Delivery::json_schema(generator)
    }
}

impl Job for EventDeliver {
    const KIND: Kind = DELIVER;
    type Output = Delivered;

    /// Ten attempts within about five hours.
    fn policy() -> Policy {
        Policy {
            lane: Lane::from_static("events"),
            max_attempts: 10,
            timeout: Duration::from_secs(60),
            backoff: Backoff {
                base: Duration::from_secs(5),
                factor: 3.0,
                max: Duration::from_secs(3600),
            },
            ..Policy::default()
        }
    }
}

/// The result.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Delivered {
    /// The id of the last event that has arrived.
    pub event: String,
    /// How many have.
    pub events: usize,
}

/// Finds the subscriber's sink and hands the events over.
#[derive(Debug)]
pub struct EventHandler {
    sinks: Arc<Sinks>,
}

impl EventHandler {
    /// Takes the sinks.
    pub fn new(services: &Services) -> Self {
        Self::with(Arc::clone(&services.sinks))
    }

    /// Over sinks of one's own.
    pub fn with(sinks: Arc<Sinks>) -> Self {
        Self { sinks }
    }
}

impl Handler<EventDeliver> for EventHandler {
    async fn run(&self, job: EventDeliver, cx: &JobContext) -> Result<Delivered, JobError> {
        let events: Vec<&CloudEvent> = job.0.events().collect();
        let name = &job.0.subscriber;
        let sink = self.sinks.get(name).ok_or_else(|| {
            JobError::invalid(format!(
                "no subscriber \"{name}\" in this worker's configuration: add it and replay, \
                 or discard this"
            ))
        })?;
        flotilla_events::send_all(sink, &events, cx).await?;
        let last = events.last().map(|event| event.id.clone());
        Ok(Delivered { event: last.unwrap_or_default(), events: events.len() })
    }
}

/// The guarded client as the way out of webhooks.
pub struct GuardedPost(pub Arc<Fetcher>);

#[async_trait]
impl Post for GuardedPost {
    async fn post(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: Bytes,
        now: Timestamp,
    ) -> Result<(), PostError> {
        self.0.post(url, headers, body).await.map_err(|error| {
            let reason = error.to_string();
            match error {
                FetchError::Status { code, retry_after, .. } => {
                    let after = retry_after.map(|hint| hint.wait(now).min(LONGEST_HINT));
                    PostError::Status { code, after, reason }
                }
                FetchError::BadUrl { .. } | FetchError::Blocked { .. } => {
                    PostError::Forbidden(reason)
                }
                FetchError::Timeout { .. }
                | FetchError::Connect { .. }
                | FetchError::TooLarge { .. } => PostError::Unreachable(reason),
            }
        })
    }
}
