//! What worker and handler say to each other, as JSON (`PROTOCOL.md`). Unknown fields are passed
//! over on both sides, so either may be newer.

use flotilla_core::clock::after;
use flotilla_core::{DeadClass, JobContext, JobError, Payload, Timestamp, TraceContext};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::time::Duration;

/// The version this build speaks.
pub const PROTOCOL: u16 = 1;

/// Longest wait a handler may ask for.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// How long a job is put off when the handler does not say.
const LATER: Duration = Duration::from_secs(30);

/// What a worker says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Told<'a> {
    /// First, to a process that was just started.
    Hello { protocol: u16, kind: &'a str },
    /// Run this.
    Job(Assignment<'a>),
    /// It is not wanted any more, or its time is up: end it soon.
    Cancel { id: &'a str },
    /// This step is kept and is handed back to later attempts.
    Kept { id: &'a str, step: &'a str },
}

/// A job as handlers see it.
#[derive(Debug, Serialize)]
pub(crate) struct Assignment<'a> {
    id: &'a str,
    kind: &'a str,
    #[serde(borrow)]
    payload: &'a RawValue,
    attempt: u32,
    max_attempts: u32,
    lane: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    tenant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a TraceContext>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    checkpoints: &'a Map<String, Value>,
}

impl Told<'_> {
    /// The line, with its end.
    pub(crate) fn line(&self) -> Result<Vec<u8>, JobError> {
        let mut line = serde_json::to_vec(self).map_err(JobError::retry)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// The job of this attempt, on one line.
pub(crate) fn assignment(
    id: &str,
    payload: &Payload,
    checkpoints: &Map<String, Value>,
    cx: &JobContext,
) -> Result<Vec<u8>, JobError> {
    let payload: &RawValue = serde_json::from_slice(payload.bytes()).map_err(JobError::invalid)?;
    // A payload may hold line breaks between its parts; the line must not.
    let compact;
    let payload = if payload.get().contains(['\n', '\r']) {
        let value: Value = serde_json::from_str(payload.get()).map_err(JobError::invalid)?;
        compact = serde_json::value::to_raw_value(&value).map_err(JobError::retry)?;
        &*compact
    } else {
        payload
    };
    Told::Job(Assignment {
        id,
        kind: cx.kind.as_str(),
        payload,
        attempt: cx.attempt,
        max_attempts: cx.max_attempts,
        lane: cx.lane.as_str(),
        tenant: cx.tenant.as_str(),
        deadline: Some(cx.deadline).filter(|at| *at != Timestamp::MAX),
        trace: Some(&cx.trace).filter(|trace| trace.traceparent.is_some()),
        checkpoints,
    })
    .line()
}

/// What a handler says. `id` may be left out while the process holds one job, and over HTTP.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Said {
    /// Ready.
    Hello {
        protocol: u16,
        #[serde(default)]
        concurrency: Option<usize>,
    },
    /// How far it is.
    Progress {
        id: Option<String>,
        #[serde(default)]
        fraction: f64,
        #[serde(default)]
        message: String,
    },
    /// A step is done; its outcome is to be kept.
    Checkpoint {
        id: Option<String>,
        step: String,
        #[serde(default)]
        data: Value,
    },
    /// Done.
    Result {
        id: Option<String>,
        #[serde(default)]
        result: Value,
    },
    /// Not done.
    Error {
        id: Option<String>,
        #[serde(flatten)]
        fault: Fault,
    },
    /// For the log.
    Log {
        id: Option<String>,
        #[serde(default)]
        level: Level,
        #[serde(default)]
        message: String,
    },
}

impl Said {
    /// The job it is about.
    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Self::Hello { .. } => None,
            Self::Progress { id, .. }
            | Self::Checkpoint { id, .. }
            | Self::Result { id, .. }
            | Self::Error { id, .. }
            | Self::Log { id, .. } => id.as_deref(),
        }
    }
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

/// Writes a handler's log line into ours.
pub(crate) fn log(level: Level, kind: &str, message: &str) {
    match level {
        Level::Debug => tracing::debug!(kind, "{message}"),
        Level::Info => tracing::info!(kind, "{message}"),
        Level::Warn => tracing::warn!(kind, "{message}"),
        Level::Error => tracing::error!(kind, "{message}"),
    }
}

/// What becomes of a job that was not done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    /// May work next time.
    #[default]
    Transient,
    /// Somebody said "too fast".
    Throttled,
    /// It took too long.
    Timeout,
    /// The handler broke.
    Panic,
    /// The payload asks for the impossible.
    Invalid,
    /// Refused for good.
    Rejected,
    /// A credential does not hold.
    Unauthorised,
    /// Something irreversible may have happened; nobody can tell.
    OutcomeUnknown,
    /// Not now, and not the job's fault: free.
    Later,
    /// Nobody wants it any more.
    Cancelled,
}

/// An error as a handler tells it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Fault {
    #[serde(default)]
    pub(crate) class: Class,
    #[serde(default)]
    pub(crate) message: String,
    /// Seconds.
    #[serde(default)]
    pub(crate) retry_after: Option<f64>,
}

impl Fault {
    /// When to come back, if it says.
    pub(crate) fn after(&self) -> Option<Duration> {
        let seconds = self.retry_after.filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
        Some(Duration::try_from_secs_f64(seconds).map_or(LONGEST, |wait| wait.min(LONGEST)))
    }

    /// The engine's word for it.
    pub(crate) fn into_error(self, now: Timestamp) -> JobError {
        let after_this = self.after();
        let message = match self.message.is_empty() {
            true => "the handler failed and did not say why".to_owned(),
            false => self.message,
        };
        let dead = |class| JobError::Fail { class, source: message.clone().into() };
        match self.class {
            Class::Transient => JobError::later(message, after_this),
            Class::Throttled => JobError::throttled(message, after_this),
            Class::Timeout => JobError::timed_out(message),
            Class::Panic => JobError::panicked(message),
            Class::Invalid => dead(DeadClass::Invalid),
            Class::Rejected => dead(DeadClass::Rejected),
            Class::Unauthorised => dead(DeadClass::Unauthorised),
            Class::OutcomeUnknown => dead(DeadClass::OutcomeUnknown),
            Class::Later => {
                JobError::Snooze { until: after(now, after_this.unwrap_or(LATER)), reason: message }
            }
            Class::Cancelled => JobError::Cancel { reason: message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_core::retry::RetryClass;
    use serde_json::json;

    fn error(fault: Value) -> JobError {
        let mut said = json!({"type": "error"});
        said.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
        match serde_json::from_value(said).unwrap() {
            Said::Error { fault, .. } => fault.into_error(Timestamp::UNIX_EPOCH),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_class_becomes_its_outcome() {
        for (class, retry) in [
            ("transient", RetryClass::Transient),
            ("throttled", RetryClass::Throttled),
            ("timeout", RetryClass::Timeout),
            ("panic", RetryClass::Panic),
        ] {
            let made = error(json!({"class": class, "message": "m", "retry_after": 1.5}));
            assert!(matches!(made, JobError::Retry { class, .. } if class == retry), "{class}");
        }
        for (class, dead) in [
            ("invalid", DeadClass::Invalid),
            ("rejected", DeadClass::Rejected),
            ("unauthorised", DeadClass::Unauthorised),
            ("outcome_unknown", DeadClass::OutcomeUnknown),
        ] {
            let made = error(json!({"class": class}));
            assert!(matches!(made, JobError::Fail { class, .. } if class == dead), "{class}");
        }
        assert!(matches!(error(json!({"class": "later"})), JobError::Snooze { .. }));
        assert!(matches!(error(json!({"class": "cancelled"})), JobError::Cancel { .. }));
        assert!(error(json!({})).text(100).contains("did not say why"));
    }

    #[test]
    fn a_wait_is_bounded_and_nonsense_is_none() {
        let after = |retry_after| Fault { retry_after, ..Fault::default() }.after();
        assert_eq!(after(Some(1.5)), Some(Duration::from_millis(1500)));
        assert_eq!(after(Some(1e300)), Some(LONGEST));
        assert_eq!(after(Some(-1.0)), None);
        assert_eq!(after(Some(f64::NAN)), None);
    }
}
