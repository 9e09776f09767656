//! `event.deliver`: one event to one subscriber, retried until it has arrived. The relay of the
//! engine enqueues these; their ordering key is the subscriber, so it hears of one thing after the
//! other.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_core::event::{DELIVER, Delivery};
use flotilla_core::job::{Job, Policy};
use flotilla_core::retry::Backoff;
use flotilla_core::{Handler, JobContext, JobError, Kind, Lane, Timestamp};
use flotilla_events::{Post, PostError, Sinks};
use flotilla_platforms::{FetchError, Fetcher};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::services::Services;
use crate::source::LONGEST_HINT;

/// The payload: what to tell whom.
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
    /// The id of the event that has arrived.
    pub event: String,
}

/// Finds the subscriber's sink and hands the event over.
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
        let Delivery { subscriber, event } = job.0;
        let sink = self.sinks.get(&subscriber).ok_or_else(|| {
            JobError::invalid(format!(
                "no subscriber \"{subscriber}\" in this worker's configuration: add it and replay, \
                 or discard this"
            ))
        })?;
        sink.send(&event, cx.clock.now()).await?;
        Ok(Delivered { event: event.id })
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
