//! The wire form of a job, the same on every broker, in JSONL files and over HTTP.
//!
//! Version 1. Fields it does not know are kept and travel on, so an old worker passes a newer
//! producer's fields through. Only `kind` is required.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::ids::{JobId, Kind, Lane, Priority, Tenant};
use crate::job::Job;
use crate::suggest;

/// The envelope version this build writes; it reads all up to this one.
pub const VERSION: u16 = 1;

/// A job's arguments as they came: JSON text, not yet decoded, never re-encoded on the way.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Payload(Bytes);

impl Payload {
    /// Takes bytes as they are; whether they are JSON shows when they are decoded.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// Encodes a value.
    pub fn of(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_vec(value).map(Self::from_bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// As JSON, where it is JSON; else as a JSON string of its text.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_slice(&self.0)
            .unwrap_or_else(|_| String::from_utf8_lossy(&self.0).into_owned().into())
    }
}

impl fmt::Debug for Payload {
    /// Length only: payloads may hold personal data and do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// How long a unique key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UniqueScope {
    /// Until the job is completed, cancelled or dead.
    Unfinished,
    /// This many seconds from the enqueue, whatever becomes of the job.
    Seconds(u64),
}

/// Same key, same kind, same tenant within the scope: the same job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unique {
    /// Free text, at most 512 bytes.
    pub key: String,
    /// How long it holds.
    #[serde(default = "unfinished")]
    pub scope: UniqueScope,
}

fn unfinished() -> UniqueScope {
    UniqueScope::Unfinished
}

/// W3C trace context (<https://www.w3.org/TR/trace-context/>): links an attempt to the trace that
/// enqueued it. Kept as text; what does not look like a `traceparent` is dropped by the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// `00-<trace id>-<span id>-<flags>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Vendors' additions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

/// A job on the wire. What is absent is filled from the policy of its kind.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Envelope {
    /// Given by a producer that may send twice; else made at the enqueue.
    pub id: Option<JobId>,
    /// What to run.
    pub kind: Option<Kind>,
    /// The version of the payload; the present one of the kind when absent.
    pub kind_version: Option<u16>,
    /// The arguments.
    pub payload: Payload,
    /// Where it waits.
    pub lane: Option<Lane>,
    /// On whose behalf.
    pub tenant: Option<Tenant>,
    /// How urgent.
    pub priority: Option<Priority>,
    /// Not before this instant.
    pub run_at: Option<Timestamp>,
    /// Dead (`expired`) if not begun by this instant.
    pub deadline: Option<Timestamp>,
    /// Same key, same job.
    pub unique: Option<Unique>,
    /// Same key: one at a time, in order.
    pub order: Option<String>,
    /// The trace it belongs to.
    pub trace: TraceContext,
    /// Fields of later versions, kept.
    pub extra: BTreeMap<String, serde_json::Value>,
}

/// Why bytes are not an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("envelope field \"{field}\": {message}")]
pub struct EnvelopeError {
    /// The offending field; `.` for the whole.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

const FIELDS: [&str; 14] = [
    "envelope",
    "id",
    "kind",
    "kind_version",
    "payload",
    "lane",
    "tenant",
    "priority",
    "run_at",
    "deadline",
    "unique",
    "order",
    "traceparent",
    "tracestate",
];

impl Envelope {
    /// A job of this payload; everything else as its kind's policy says.
    ///
    /// # Errors
    /// The payload cannot be written as JSON.
    pub fn of<J: Job>(job: &J) -> Result<Self, serde_json::Error> {
        let payload = Payload::of(job)?;
        let (kind, kind_version) = (Some(J::KIND), Some(J::VERSION));
        Ok(Self { kind, kind_version, payload, ..Self::default() })
    }

    /// An envelope of `kind` with `payload`, everything else by policy.
    pub fn new(kind: Kind, payload: Payload) -> Self {
        Self { kind: Some(kind), payload, ..Self::default() }
    }

    /// Reads the wire form. Unknown fields are kept, except near misses of known ones
    /// (`priorty`), which are refused: they are typing errors, not later versions.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let mut fields: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(bytes).map_err(|e| EnvelopeError {
                field: ".".into(),
                message: format!("not a JSON object: {e}"),
            })?;
        let version = take::<u16>(&mut fields, "envelope")?.unwrap_or(VERSION);
        if version > VERSION {
            return Err(EnvelopeError {
                field: "envelope".into(),
                message: format!("version {version} is newer than {VERSION}: upgrade this worker"),
            });
        }
        let payload = fields.remove("payload");
        let envelope = Self {
            id: take(&mut fields, "id")?,
            kind: Some(take(&mut fields, "kind")?.ok_or_else(|| EnvelopeError {
                field: "kind".into(),
                message: "missing: name what to run, as in \"caption.parse\"".into(),
            })?),
            kind_version: take(&mut fields, "kind_version")?,
            payload: payload
                .map(|raw| Payload::from_bytes(String::from(Box::<str>::from(raw))))
                .unwrap_or_else(|| Payload::from_bytes(&b"{}"[..])),
            lane: take(&mut fields, "lane")?,
            tenant: take(&mut fields, "tenant")?,
            priority: take(&mut fields, "priority")?,
            run_at: take(&mut fields, "run_at")?,
            deadline: take(&mut fields, "deadline")?,
            unique: take(&mut fields, "unique")?,
            order: take(&mut fields, "order")?,
            trace: TraceContext {
                traceparent: take(&mut fields, "traceparent")?,
                tracestate: take(&mut fields, "tracestate")?,
            },
            extra: BTreeMap::new(),
        };
        let mut extra = BTreeMap::new();
        for (name, raw) in fields {
            if let Some(meant) = suggest::nearest(&name, FIELDS) {
                return Err(EnvelopeError {
                    message: format!("unknown: did you mean \"{meant}\"?"),
                    field: name,
                });
            }
            let value = serde_json::from_str(raw.get())
                .map_err(|e| EnvelopeError { field: name.clone(), message: e.to_string() })?;
            extra.insert(name, value);
        }
        Ok(Self { extra, ..envelope })
    }

    /// Writes the wire form: present fields only, payload as it came.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
        let mut put = |name, value: Option<Result<Box<RawValue>, serde_json::Error>>| {
            if let Some(Ok(raw)) = value {
                out.insert(name, raw);
            }
        };
        put("envelope", Some(raw(&VERSION)));
        put("id", self.id.as_ref().map(raw));
        put("kind", self.kind.as_ref().map(raw));
        put("kind_version", self.kind_version.as_ref().map(raw));
        put("payload", Some(self.raw_payload()));
        put("lane", self.lane.as_ref().map(raw));
        put("tenant", self.tenant.as_ref().map(raw));
        put("priority", self.priority.as_ref().map(raw));
        put("run_at", self.run_at.as_ref().map(raw));
        put("deadline", self.deadline.as_ref().map(raw));
        put("unique", self.unique.as_ref().map(raw));
        put("order", self.order.as_ref().map(raw));
        put("traceparent", self.trace.traceparent.as_ref().map(raw));
        put("tracestate", self.trace.tracestate.as_ref().map(raw));
        for (name, value) in &self.extra {
            put(name, Some(raw(value)));
        }
        serde_json::to_vec(&out).unwrap_or_default()
    }

    fn raw_payload(&self) -> Result<Box<RawValue>, serde_json::Error> {
        std::str::from_utf8(self.payload.bytes())
            .ok()
            .and_then(|text| RawValue::from_string(text.to_owned()).ok())
            .map_or_else(|| raw(&self.payload.to_value()), Ok)
    }
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>, serde_json::Error> {
    serde_json::value::to_raw_value(value)
}

fn take<T: for<'de> Deserialize<'de>>(
    fields: &mut BTreeMap<String, Box<RawValue>>,
    name: &str,
) -> Result<Option<T>, EnvelopeError> {
    let Some(raw) = fields.remove(name) else { return Ok(None) };
    serde_json::from_str::<Option<T>>(raw.get())
        .map_err(|e| EnvelopeError { field: name.to_owned(), message: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"{"envelope":1,"id":"019a9c1e-7d52-7c3b-9f65-2b1c6a0d4e11","kind":"caption.parse",
        "kind_version":1,"payload":{"text":"hi","n":12345678901234567890123},"lane":"language",
        "tenant":"acme","priority":9,"run_at":"2026-01-01T00:00:00Z","deadline":"2026-01-02T00:00:00Z",
        "unique":{"key":"k","scope":{"seconds":60}},"order":"account:1",
        "traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","later":{"a":1}}"#;

    #[test]
    fn a_full_envelope_comes_back_with_its_unknown_fields_and_its_payload_untouched() {
        let envelope = Envelope::from_json(FULL.as_bytes()).unwrap();
        assert_eq!(envelope.payload.bytes(), r#"{"text":"hi","n":12345678901234567890123}"#);
        assert_eq!(envelope.extra["later"]["a"], 1);
        assert_eq!(Envelope::from_json(&envelope.to_json()).unwrap(), envelope);
    }

    #[test]
    fn only_the_kind_is_required() {
        let envelope = Envelope::from_json(br#"{"kind":"caption.parse"}"#).unwrap();
        assert_eq!(envelope.payload.bytes(), "{}");
        assert_eq!(Envelope::from_json(b"{}").unwrap_err().field, "kind");
    }

    #[test]
    fn faults_name_their_field() {
        let field = |json: &str| Envelope::from_json(json.as_bytes()).unwrap_err().field;
        assert_eq!(field(r#"{"kind":"a","priority":11}"#), "priority");
        assert_eq!(field(r#"{"kind":"a","run_at":"tomorrow"}"#), "run_at");
        assert_eq!(field(r#"{"kind":"a","priorty":1}"#), "priorty");
        assert_eq!(field(r#"{"kind":"a","envelope":2}"#), "envelope");
        assert_eq!(field("[1]"), ".");
    }
}
