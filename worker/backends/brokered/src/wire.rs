//! The body of a message: the job's envelope with every gap filled, and two fields more.
//!
//! `max_attempts` would otherwise be known to the producer only, and `recorded` says that a record
//! was made first: a message whose record is gone since must not make the job again.

use std::collections::BTreeMap;

use bytes::Bytes;
use flotilla_core::clock::Timestamp;
use flotilla_core::envelope::{Envelope, Payload, TraceContext, Unique, VERSION};
use flotilla_core::ids::{JobId, Kind, Lane, Priority, Tenant};
use flotilla_core::queue::NewJob;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// What a message of ours says.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) job: NewJob,
    pub(crate) recorded: bool,
}

#[derive(Serialize)]
struct Out<'a> {
    envelope: u16,
    id: JobId,
    kind: &'a Kind,
    kind_version: u16,
    payload: &'a RawValue,
    lane: &'a Lane,
    tenant: &'a Tenant,
    priority: Priority,
    run_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique: Option<&'a Unique>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<&'a str>,
    max_attempts: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recorded: bool,
    #[serde(flatten)]
    extra: &'a BTreeMap<String, Value>,
}

/// All that [`Out`] writes except fields of later versions, so the usual message is read in one go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct In<'a> {
    envelope: u16,
    id: JobId,
    kind: Kind,
    kind_version: u16,
    #[serde(borrow)]
    payload: &'a RawValue,
    lane: Lane,
    tenant: Tenant,
    priority: Priority,
    run_at: Timestamp,
    deadline: Option<Timestamp>,
    unique: Option<Unique>,
    order: Option<String>,
    traceparent: Option<String>,
    tracestate: Option<String>,
    max_attempts: u32,
    #[serde(default)]
    recorded: bool,
}

/// Writes a message of at most `max` bytes. A recorded job that is larger goes without its payload,
/// which the record has; one without a record has none then.
pub(crate) fn write(job: &NewJob, recorded: bool, max: usize) -> Option<Bytes> {
    let text;
    let payload: &RawValue = match serde_json::from_slice(job.payload.bytes()) {
        Ok(json) => json,
        Err(_) => {
            text = serde_json::value::to_raw_value(&job.payload.to_value()).ok()?;
            &text
        }
    };
    let body = body(job, payload, recorded, &job.extra)?;
    if body.len() <= max {
        return Some(body);
    }
    let nothing = BTreeMap::new();
    recorded.then(|| self::body(job, RawValue::NULL, true, &nothing)).flatten()
}

fn body(
    job: &NewJob,
    payload: &RawValue,
    recorded: bool,
    extra: &BTreeMap<String, Value>,
) -> Option<Bytes> {
    let out = Out {
        envelope: VERSION,
        id: job.id,
        kind: &job.kind,
        kind_version: job.version,
        payload,
        lane: &job.lane,
        tenant: &job.tenant,
        priority: job.priority,
        run_at: job.run_at,
        deadline: job.deadline,
        unique: job.unique.as_ref(),
        order: job.order.as_deref(),
        traceparent: job.trace.traceparent.as_deref(),
        tracestate: job.trace.tracestate.as_deref(),
        max_attempts: job.max_attempts,
        recorded,
        extra,
    };
    serde_json::to_vec(&out).ok().map(Bytes::from)
}

/// Reads a message of ours; none where it is not, or leaves something to the policy of its kind.
pub(crate) fn read(body: &[u8]) -> Option<Said> {
    match serde_json::from_slice::<In<'_>>(body) {
        Ok(said) if said.envelope <= VERSION => Some(said.into()),
        Ok(_) => None,
        Err(_) => read_later(body),
    }
}

/// With fields of later versions, which are kept.
fn read_later(body: &[u8]) -> Option<Said> {
    let mut envelope = Envelope::from_json(body).ok()?;
    let max_attempts = envelope.extra.remove("max_attempts")?.as_u64()?;
    let recorded = envelope.extra.remove("recorded").is_some_and(|said| said == true);
    let job = NewJob {
        id: envelope.id?,
        kind: envelope.kind?,
        version: envelope.kind_version?,
        lane: envelope.lane?,
        tenant: envelope.tenant?,
        priority: envelope.priority?,
        payload: envelope.payload,
        run_at: envelope.run_at?,
        deadline: envelope.deadline,
        unique: envelope.unique,
        order: envelope.order,
        parent: None,
        max_attempts: attempts(u32::try_from(max_attempts).unwrap_or(u32::MAX)),
        trace: envelope.trace,
        extra: envelope.extra,
    };
    Some(Said { job, recorded })
}

/// A column holds it.
fn attempts(said: u32) -> u32 {
    said.clamp(1, i32::MAX as u32)
}

impl From<In<'_>> for Said {
    fn from(said: In<'_>) -> Self {
        let job = NewJob {
            id: said.id,
            kind: said.kind,
            version: said.kind_version,
            lane: said.lane,
            tenant: said.tenant,
            priority: said.priority,
            payload: Payload::from_bytes(Bytes::copy_from_slice(said.payload.get().as_bytes())),
            run_at: said.run_at,
            deadline: said.deadline,
            unique: said.unique,
            order: said.order,
            parent: None,
            max_attempts: attempts(said.max_attempts),
            trace: TraceContext { traceparent: said.traceparent, tracestate: said.tracestate },
            extra: BTreeMap::new(),
        };
        Self { job, recorded: said.recorded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(payload: &str) -> NewJob {
        NewJob {
            version: 2,
            payload: Payload::from_bytes(payload.to_owned()),
            deadline: Some(Timestamp::UNIX_EPOCH),
            order: Some("k".into()),
            max_attempts: 7,
            ..NewJob::new(
                JobId::derived("j"),
                Kind::from_static("test.run"),
                Lane::from_static("main"),
                Timestamp::UNIX_EPOCH,
            )
        }
    }

    #[test]
    fn a_message_comes_back_with_fields_of_later_versions() {
        for extra in [BTreeMap::new(), BTreeMap::from([("later".to_owned(), Value::from(1))])] {
            let job = NewJob { extra, ..job(r#"{"n":12345678901234567890123}"#) };
            let body = write(&job, true, 10_000).unwrap();
            let said = read(&body).unwrap();
            assert!(said.recorded);
            assert_eq!(said.job.payload, job.payload);
            assert_eq!((said.job.id, said.job.max_attempts), (job.id, 7));
            assert_eq!((said.job.extra, said.job.order), (job.extra, job.order));
            assert_eq!((said.job.deadline, said.job.version), (job.deadline, 2));
        }
    }

    #[test]
    fn only_a_recorded_job_goes_without_its_payload() {
        let large = job(&format!("\"{}\"", "x".repeat(5000)));
        let body = write(&large, true, 1000).unwrap();
        assert!(body.len() < 1000 && read(&body).unwrap().recorded);
        assert!(write(&large, false, 1000).is_none());
    }

    #[test]
    fn what_leaves_gaps_or_is_newer_is_left_to_others() {
        assert!(read(br#"{"kind":"test.run"}"#).is_none());
        assert!(read(b"hello").is_none());
        let text = String::from_utf8(write(&job("1"), false, 1000).unwrap().to_vec()).unwrap();
        assert!(read(text.replace("\"envelope\":1", "\"envelope\":2").as_bytes()).is_none());
    }
}
