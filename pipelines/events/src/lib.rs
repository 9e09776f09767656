//! flotilla-events: the ways by which events reach those who subscribed.
//!
//! Events are delivered by jobs, so they are retried as every job is; here are only the calls that
//! an attempt makes. Each way says of its failures whether another attempt makes sense.
//!
//! | way | feature |
//! | --- | --- |
//! | HTTP webhook, signed as Standard Webhooks says | always |
//! | SNS topic | `sns` |
//! | exchange of RabbitMQ | `amqp` |
//! | NOTIFY of PostgreSQL | `postgres` |
//!
//! All carry the JSON format of CloudEvents 1.0.

#[cfg(feature = "amqp")]
pub mod amqp;
mod batch;
#[cfg(feature = "postgres")]
pub mod notify;
pub mod sign;
#[cfg(feature = "sns")]
pub mod sns;
pub mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_core::event::CloudEvent;
use flotilla_core::{Classify, FailureClass, Timestamp};

pub use batch::send_all;
pub use sign::{BadSecret, Signer};
pub use webhook::{Post, PostError, Webhook};

/// The content type of an event in the JSON format.
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// Why an event did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// May arrive with another attempt.
    #[error("{reason}")]
    Later {
        /// What went wrong, without secrets.
        reason: String,
        /// The receiver's own wish.
        after: Option<Duration>,
    },
    /// Refused for good.
    #[error("{0}")]
    Refused(String),
}

impl SinkError {
    /// Worth another attempt.
    pub fn later(reason: impl Into<String>) -> Self {
        Self::Later { reason: reason.into(), after: None }
    }
}

impl Classify for SinkError {
    fn class(&self) -> FailureClass {
        match self {
            Self::Later { after: None, .. } => FailureClass::Transient,
            Self::Later { after, .. } => FailureClass::Throttled { retry_after: *after },
            Self::Refused(_) => FailureClass::Rejected,
        }
    }
}

/// A way out for events.
#[async_trait]
pub trait Sink: Send + Sync + std::fmt::Debug {
    /// Hands one event over; answers once the receiver has it. May be called again with the same
    /// event: receivers tell repeated ones by their id.
    async fn send(&self, event: &CloudEvent, now: Timestamp) -> Result<(), SinkError>;
}

/// The sinks by the names of their subscribers.
#[derive(Clone, Debug, Default)]
pub struct Sinks(pub BTreeMap<String, Arc<dyn Sink>>);

impl Sinks {
    /// The sink of that subscriber.
    pub fn get(&self, subscriber: &str) -> Option<&dyn Sink> {
        self.0.get(subscriber).map(|sink| &**sink)
    }
}

/// The event as it travels.
pub(crate) fn encoded(event: &CloudEvent) -> Result<Bytes, SinkError> {
    serde_json::to_vec(event)
        .map(Bytes::from)
        .map_err(|e| SinkError::Refused(format!("the event cannot be written as JSON: {e}")))
}
