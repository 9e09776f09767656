//! Celery messages, protocol 2 (<https://docs.celeryq.dev/en/stable/internals/protocol.html>):
//! over AMQP the headers name the task, over SQS kombu wraps headers and body into JSON.
//!
//! JSON only: reading pickle would run the sender's code. What a Celery worker would do after the
//! task (chains, chords, callbacks) nobody would do here, so such messages are refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flotilla_core::Timestamp;
use flotilla_core::broker::Unreadable;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::message::{Attributes, Found, Read, Reading, quoted, unreadable};
use crate::routes::Format;

/// Told by the headers `task` and `id`.
pub(super) fn is_in(attributes: Attributes<'_>) -> bool {
    attributes.get("task").is_some() && attributes.get("id").is_some()
}

/// Whether raw headers of kombu's JSON are of Celery.
pub(super) fn is_named_in(raw: &str) -> bool {
    raw.contains("\"task\"")
}

/// Protocol 1 has everything in the body.
pub(super) fn old() -> Unreadable {
    unreadable("a Celery message of protocol 1: set task_protocol = 2 in the sender")
}

/// What the headers say, from wherever they came.
#[derive(Deserialize)]
struct Headers {
    task: String,
    id: String,
    #[serde(default)]
    eta: Option<String>,
    #[serde(default)]
    expires: Option<String>,
    #[serde(default)]
    retries: Option<u32>,
    #[serde(default)]
    origin: Option<String>,
    #[serde(default)]
    traceparent: Option<String>,
    #[serde(default)]
    tracestate: Option<String>,
}

pub(super) fn from_attributes(reading: Reading<'_>, body: &[u8]) -> Result<Read, Unreadable> {
    let attributes = reading.attributes;
    // An absent header may come as the text of a null.
    let given = |name: &str| {
        let text = attributes.get(name).filter(|text| !matches!(*text, "" | "null" | "None"));
        text.map(str::to_owned)
    };
    let headers = Headers {
        task: given("task").unwrap_or_default(),
        id: given("id").unwrap_or_default(),
        eta: given("eta"),
        expires: given("expires"),
        retries: given("retries").and_then(|text| text.parse().ok()),
        origin: given("origin"),
        traceparent: given("traceparent"),
        tracestate: given("tracestate"),
    };
    let content_type = given("content-type").unwrap_or_default();
    let encoding = given("content-encoding").unwrap_or_default();
    found(&headers, &content_type, &encoding, body)
}

#[derive(Deserialize)]
struct Kombu {
    body: String,
    headers: Headers,
    #[serde(default, rename = "content-type")]
    content_type: String,
    #[serde(default, rename = "content-encoding")]
    content_encoding: String,
    #[serde(default)]
    properties: Properties,
}

#[derive(Default, Deserialize)]
struct Properties {
    #[serde(default)]
    body_encoding: Option<String>,
}

pub(super) fn from_kombu(reading: Reading<'_>, body: &[u8]) -> Result<Read, Unreadable> {
    let message: Kombu = serde_json::from_slice(body)
        .map_err(|e| unreadable(format!("it looks like a Celery message but is none: {e}")))?;
    let inner = match message.properties.body_encoding.as_deref() {
        Some("base64") => STANDARD
            .decode(&message.body)
            .map_err(|e| unreadable(format!("a Celery message whose body is no base64: {e}")))?,
        _ => message.body.into_bytes(),
    };
    let mut read =
        found(&message.headers, &message.content_type, &message.content_encoding, &inner)?;
    if let Read::Foreign(found) = &mut read {
        for one in found.iter_mut().filter(|one| one.trace.traceparent.is_none()) {
            one.trace = reading.attributes.trace();
        }
    }
    Ok(read)
}

fn found(
    headers: &Headers,
    content_type: &str,
    encoding: &str,
    body: &[u8],
) -> Result<Read, Unreadable> {
    let refused = |why: &str| {
        unreadable(format!("the Celery message {} is refused: {why}", quoted(&headers.task)))
    };
    if headers.task.is_empty() || headers.id.is_empty() {
        return Err(unreadable("a Celery message without task or id in its headers"));
    }
    if !matches!(content_type, "application/json" | "") {
        return Err(refused(&format!(
            "it is {}, only JSON is read: set task_serializer = \"json\" in the sender",
            quoted(content_type)
        )));
    }
    if !matches!(encoding.to_ascii_lowercase().as_str(), "utf-8" | "utf8" | "") {
        return Err(refused(&format!(
            "its content encoding is {}: send plain UTF-8, without compression",
            quoted(encoding)
        )));
    }
    let (args, kwargs, embed): (Vec<Value>, Map<String, Value>, Value) =
        serde_json::from_slice(body).map_err(|e| {
            refused(&format!("its body is not [args, kwargs, embed] of protocol 2: {e}"))
        })?;
    for (field, what) in [
        ("chain", "it is part of a chain"),
        ("chord", "it is part of a chord"),
        ("callbacks", "it has callbacks (link)"),
        ("errbacks", "it has callbacks for errors (link_error)"),
    ] {
        if !is_empty(&embed[field]) {
            return Err(refused(&format!(
                "{what}, which nobody would carry on here: enqueue a flow, or listen for the \
                 completion event"
            )));
        }
    }
    let origin = headers.origin.as_deref().unwrap_or_default();
    let mut found = Found::new(Format::Celery, &headers.task, origin, headers.id.clone());
    found.run_at = headers.eta.as_deref().map(instant).transpose().map_err(|e| refused(&e))?;
    found.deadline =
        headers.expires.as_deref().map(instant).transpose().map_err(|e| refused(&e))?;
    found.attempts = headers.retries.unwrap_or(0);
    found.trace.traceparent = headers.traceparent.clone();
    found.trace.tracestate = headers.tracestate.clone();
    found.carries = match (args.as_slice(), kwargs.is_empty()) {
        ([], _) => Ok("/kwargs"),
        ([Value::Object(_)], true) => Ok("/args/0"),
        _ => Err("it has positional arguments: name them by map, as in \"/text\" = \"/args/0\""),
    };
    found.doc = json!({"task": headers.task, "id": headers.id, "args": args, "kwargs": kwargs});
    Ok(Read::Foreign(vec![found]))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Python's `isoformat`: without an offset it is UTC, as Celery reads it.
fn instant(text: &str) -> Result<Timestamp, String> {
    let with_zone = || format!("{text}Z").parse();
    text.parse::<Timestamp>()
        .or_else(|_| with_zone())
        .map_err(|_| format!("{} is no ISO 8601 instant", quoted(text)))
}
