//! What a worker and the process of a suspect say to each other: one JSON value a line.

use std::time::Duration;

use bytes::Bytes;
use flotilla_core::flow::{Child, ChildEnd, Until};
use flotilla_core::retry::RetryClass;
use flotilla_core::{
    Call, DeadClass, Envelope, JobContext, JobError, JobId, Kind, Lane, Payload, Progress, State,
    Tenant, Timestamp, TraceContext,
};
use serde::{Deserialize, Serialize};

/// Longest result and longest error, in bytes; the worker has a bound of its own.
const MAX_RESULT: usize = 8 << 20;
const MAX_ERROR: usize = 4096;

/// The job, as it is handed over.
#[derive(Serialize, Deserialize)]
pub(super) struct Suspect {
    pub(super) id: JobId,
    pub(super) kind: Kind,
    pub(super) version: u16,
    pub(super) payload: String,
    pub(super) lane: Lane,
    pub(super) tenant: Tenant,
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    pub(super) deadline: Timestamp,
    pub(super) trace: TraceContext,
    pub(super) children: Vec<Ended>,
    /// Bytes of data it may have; 0: no bound.
    pub(super) memory: u64,
}

/// A child the job has started before.
#[derive(Serialize, Deserialize)]
pub(super) struct Ended {
    name: String,
    id: JobId,
    state: State,
    class: Option<DeadClass>,
    result: Option<String>,
    error: Option<String>,
}

/// What the process says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    /// The handler begins.
    Begun,
    Progress(Progress),
    Called(Call),
    End(End),
}

/// How the handler ended.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Done { result: String },
    Retry { error: String, after: Option<Duration>, class: RetryClass },
    Snooze { until: Timestamp, reason: String },
    Park { key: String, reason: String },
    Await { children: Vec<(String, String)>, until: Until },
    Fail { class: DeadClass, error: String },
    Cancel { reason: String },
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Suspect {
    pub(super) fn new(version: u16, payload: &Payload, cx: &JobContext, memory: u64) -> Self {
        Self {
            id: cx.id,
            kind: cx.kind.clone(),
            version,
            payload: text(payload.bytes()),
            lane: cx.lane.clone(),
            tenant: cx.tenant.clone(),
            attempt: cx.attempt,
            max_attempts: cx.max_attempts,
            deadline: cx.deadline,
            trace: cx.trace.clone(),
            children: cx.children.iter().map(Ended::of).collect(),
            memory,
        }
    }
}

impl Ended {
    fn of(end: &ChildEnd) -> Self {
        let ChildEnd { name, id, state, class, result, error } = end.clone();
        Self { name, id, state, class, result: result.map(|bytes| text(&bytes)), error }
    }

    pub(super) fn into_end(self) -> ChildEnd {
        let Self { name, id, state, class, result, error } = self;
        ChildEnd { name, id, state, class, result: result.map(Bytes::from), error }
    }
}

impl End {
    pub(super) fn of(result: Result<Bytes, JobError>) -> Self {
        let error = match result {
            Ok(result) if result.len() <= MAX_RESULT => {
                return Self::Done { result: text(&result) };
            }
            Ok(result) => {
                let said = format!("the result has {} bytes, more than any backend", result.len());
                JobError::invalid(said)
            }
            Err(error) => error,
        };
        let said = error.text(MAX_ERROR);
        match error {
            JobError::Retry { after, class, .. } => Self::Retry { error: said, after, class },
            JobError::Snooze { until, reason } => Self::Snooze { until, reason },
            JobError::Park { key, reason } => Self::Park { key, reason },
            JobError::Await { children, until } => {
                let wire = |child: Child| (child.name, text(&child.envelope.to_json()));
                Self::Await { children: children.into_iter().map(wire).collect(), until }
            }
            JobError::Fail { class, .. } => Self::Fail { class, error: said },
            JobError::Cancel { reason } => Self::Cancel { reason },
        }
    }

    pub(super) fn into_result(self) -> Result<Bytes, JobError> {
        Err(match self {
            Self::Done { result } => return Ok(result.into()),
            Self::Retry { error, after, class } => {
                JobError::Retry { source: error.into(), after, class }
            }
            Self::Snooze { until, reason } => JobError::Snooze { until, reason },
            Self::Park { key, reason } => JobError::Park { key, reason },
            Self::Await { children, until } => {
                let read = |(name, wire): (String, String)| {
                    let envelope = Envelope::from_json(wire.as_bytes())?;
                    Ok::<_, flotilla_core::envelope::EnvelopeError>(Child { name, envelope })
                };
                match children.into_iter().map(read).collect() {
                    Ok(children) => JobError::Await { children, until },
                    Err(error) => JobError::invalid(error),
                }
            }
            Self::Fail { class, error } => JobError::Fail { class, source: error.into() },
            Self::Cancel { reason } => JobError::Cancel { reason },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(result: Result<Bytes, JobError>) -> Result<Bytes, JobError> {
        let line = serde_json::to_string(&Word::End(End::of(result))).unwrap();
        assert!(!line.contains('\n'));
        let Ok(Word::End(end)) = serde_json::from_str(&line) else { panic!("{line}") };
        end.into_result()
    }

    #[test]
    fn every_end_comes_through() {
        assert_eq!(there_and_back(Ok(Bytes::from("{\"a\":\n1}"))).unwrap(), "{\"a\":\n1}");
        let until = Timestamp::UNIX_EPOCH;
        let envelope = Envelope::new(Kind::from_static("a.b"), Payload::from_bytes("{\"x\":1}"));
        let child = Child { name: "one".into(), envelope };
        let reason = || "why".to_owned();
        for error in [
            JobError::throttled("slow down", Some(Duration::from_millis(1500))),
            JobError::Snooze { until, reason: reason() },
            JobError::Park { key: "account:1".into(), reason: reason() },
            JobError::Await { children: vec![child], until: Until::all() },
            JobError::rejected("no"),
            JobError::Cancel { reason: reason() },
        ] {
            let before = format!("{error:?}");
            let back = there_and_back(Err(error)).unwrap_err();
            assert_eq!(format!("{back:?}"), before);
        }
        let large = Bytes::from(vec![b'1'; MAX_RESULT + 1]);
        assert!(matches!(there_and_back(Ok(large)), Err(JobError::Fail { .. })));
    }
}
