//! What others are told of a job, as CloudEvents 1.0 (<https://github.com/cloudevents/spec>), and
//! who is told what. Pure: a relay reads ends from the [`Outbox`](crate::Outbox), asks
//! [`Events::ended`] for the deliveries they call for, and enqueues those as jobs.
//!
//! An event's id follows from the job, its fence and the type, and a delivery's id from the event
//! and the subscriber. Deliveries themselves are never told of.

mod subscribe;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::handler::Progress;
use crate::ids::{Fence, JobId, Kind, Lane, Tenant};
use crate::records::JobRecord;
use crate::state::{DeadClass, State};

pub use subscribe::{Delivery, Events, Order, Subscriber};

/// The kind that carries events to one subscriber.
pub const DELIVER: Kind = Kind::from_static("event.deliver");

/// Largest result that travels in an event unless a configuration says otherwise, in bytes: with
/// it an event stays below the 64 KiB that every CloudEvents intermediary has to forward.
pub const MAX_RESULT: usize = 48 * 1024;

/// What can be told of a job.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    /// It is done.
    Completed,
    /// An attempt failed; it will run again.
    Failed,
    /// It is a dead letter.
    Dead,
    /// It is no longer wanted.
    Cancelled,
    /// It says how far it is.
    Progress,
}

impl EventType {
    /// All types.
    pub const ALL: [Self; 5] =
        [Self::Completed, Self::Failed, Self::Dead, Self::Cancelled, Self::Progress];

    /// The `type` attribute.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "flotilla.job.completed",
            Self::Failed => "flotilla.job.failed",
            Self::Dead => "flotilla.job.dead",
            Self::Cancelled => "flotilla.job.cancelled",
            Self::Progress => "flotilla.job.progress",
        }
    }

    /// What there is to tell of a job that has come to this state, if anything.
    pub fn of(state: State) -> Option<Self> {
        match state {
            State::Completed => Some(Self::Completed),
            State::Retryable => Some(Self::Failed),
            State::Dead => Some(Self::Dead),
            State::Cancelled => Some(Self::Cancelled),
            State::Scheduled | State::Available | State::Running | State::Parked => None,
        }
    }

    /// Whether the job has ended with it: what a subscriber hears of that names no types.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Dead | Self::Cancelled)
    }
}

/// One event in the JSON format of CloudEvents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CloudEvent {
    /// `1.0`.
    pub specversion: Cow<'static, str>,
    /// With `source`, names the event for ever: a repeated one is the same.
    pub id: String,
    /// Which fleet says it.
    pub source: String,
    /// `flotilla.job.completed` and its siblings.
    #[serde(rename = "type")]
    pub kind: String,
    /// The id of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// `application/json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// The trace the job belongs to (extension of distributed tracing).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Vendors' additions to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// Where the data is, when it is not here (extension dataref).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataref: Option<String>,
    /// The job: see [`EventData`].
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// The `data` of an event: the job without its payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventData {
    /// The job.
    pub id: JobId,
    /// What it runs.
    pub kind: Kind,
    /// Where it waited.
    pub lane: Lane,
    /// On whose behalf.
    pub tenant: Tenant,
    /// Where it stands.
    pub state: State,
    /// Attempts charged.
    pub attempt: u32,
    /// Attempts there are.
    pub max_attempts: u32,
    /// When it was enqueued.
    pub enqueued_at: Timestamp,
    /// When its last attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Why it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<DeadClass>,
    /// Its last error, unless it is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How far it is, unless it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The job that awaits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<JobId>,
    /// Its result, where it is small enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why the result is not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_omitted: Option<String>,
}

impl CloudEvent {
    /// The event of type `what` that `record` calls for under `fence`.
    pub fn of(
        what: EventType,
        record: &JobRecord,
        fence: Fence,
        source: &str,
        max_result: usize,
    ) -> Self {
        let data = EventData::of(what, record, max_result);
        Self {
            specversion: Cow::Borrowed("1.0"),
            id: event_id(what, record, fence),
            source: source.to_owned(),
            kind: what.name().to_owned(),
            subject: Some(record.id.to_string()),
            time: time(what, record),
            datacontenttype: Some("application/json".to_owned()),
            traceparent: record.trace.traceparent.clone(),
            tracestate: record.trace.tracestate.clone(),
            dataref: None,
            data: serde_json::to_value(data).unwrap_or_default(),
        }
    }
}

impl CloudEvent {
    /// The event without its data, for a way that is too narrow for it: whoever hears it looks
    /// the job up.
    pub fn reference(&self) -> Self {
        let dataref = self.subject.as_ref().map(|id| format!("/v1/jobs/{id}"));
        Self { data: Value::Null, datacontenttype: None, dataref, ..self.clone() }
    }
}

impl EventData {
    fn of(what: EventType, record: &JobRecord, max_result: usize) -> Self {
        let (result, result_omitted) = bounded(record, max_result);
        let failed = !matches!(what, EventType::Completed | EventType::Progress);
        Self {
            id: record.id,
            kind: record.kind.clone(),
            lane: record.lane.clone(),
            tenant: record.tenant.clone(),
            state: record.state,
            attempt: record.attempt,
            max_attempts: record.max_attempts,
            enqueued_at: record.enqueued_at,
            started_at: record.started_at,
            finished_at: record.finished_at,
            class: record.class,
            error: record.errors.last().filter(|_| failed).map(|e| e.error.clone()),
            reason: record.reason.clone().filter(|_| what == EventType::Cancelled),
            progress: record.progress.clone().filter(|_| !what.is_end()),
            parent: record.parent.as_ref().map(|parent| parent.id),
            result,
            result_omitted,
        }
    }
}

fn bounded(record: &JobRecord, max: usize) -> (Option<Value>, Option<String>) {
    let Some(result) = &record.result else { return (None, None) };
    let size = serde_json::to_vec(result).map_or(usize::MAX, |json| json.len());
    if size <= max {
        return (Some(result.clone()), None);
    }
    let note = format!("the result has {size} bytes, an event carries at most {max}: read the job");
    (None, Some(note))
}

/// Without a full stop: webhooks are signed over id, time and body joined by it.
fn event_id(what: EventType, record: &JobRecord, fence: Fence) -> String {
    let word = what.name().rsplit('.').next().unwrap_or_default();
    let id = format!("{}-{}-{word}", record.id, fence.0);
    match (&record.progress, what) {
        (Some(progress), EventType::Progress) => {
            format!("{id}-{:04}", (progress.fraction.clamp(0.0, 1.0) * 1000.0) as u16)
        }
        _ => id,
    }
}

fn time(what: EventType, record: &JobRecord) -> Option<Timestamp> {
    match what {
        EventType::Progress => None, // a record does not say when
        EventType::Failed => record.errors.last().map(|error| error.at),
        _ => record.finished_at,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::envelope::TraceContext;
    use crate::ids::{Priority, WorkerId};
    use crate::queue::AttemptError;

    pub(crate) fn record(state: State) -> JobRecord {
        let now = ManualClock::default().now();
        let worker = WorkerId::new("w");
        let error = AttemptError { attempt: 1, at: now, worker, error: "refused".into() };
        JobRecord {
            id: JobId::derived("job"),
            kind: Kind::from_static("caption.parse"),
            version: 1,
            lane: Lane::from_static("language"),
            tenant: Tenant::from_static("acme"),
            priority: Priority::default(),
            state,
            attempt: 1,
            max_attempts: 3,
            crashes: 0,
            enqueued_at: now,
            run_at: now,
            started_at: Some(now),
            finished_at: Some(now),
            deadline: None,
            lease_until: None,
            worker: None,
            cancel_requested: false,
            reason: None,
            parked_under: None,
            class: (state == State::Dead).then_some(DeadClass::Rejected),
            progress: None,
            errors: vec![error],
            unique_key: None,
            order_key: None,
            parent: None,
            flow: None,
            trace: TraceContext { traceparent: Some("00-a-b-01".into()), tracestate: None },
            payload: Value::Null,
            result: (state == State::Completed).then(|| serde_json::json!({"text": "0123456789"})),
            extra: BTreeMap::new(),
        }
    }

    #[test]
    fn a_large_result_stays_at_home_and_a_dead_letter_says_why() {
        let event =
            CloudEvent::of(EventType::Completed, &record(State::Completed), Fence(1), "/f", 9);
        assert_eq!(event.data.get("result"), None);
        assert!(event.data["result_omitted"].as_str().unwrap().contains("at most 9"));
        let event = CloudEvent::of(EventType::Dead, &record(State::Dead), Fence(1), "/f", 9);
        assert_eq!(event.data["error"], "refused");
        assert_eq!(event.data["class"], "rejected");
    }
}
