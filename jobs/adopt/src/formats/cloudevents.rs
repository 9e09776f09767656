//! CloudEvents 1.0 (<https://github.com/cloudevents/spec>): structured JSON, batches of it, and
//! the binary mode, whose attributes are headers: `ce-` over HTTP, `cloudEvents_` or
//! `cloudEvents:` over AMQP. There is no binding for SQS; there the body is structured.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flotilla_core::Timestamp;
use flotilla_core::broker::Unreadable;
use serde_json::{Map, Value};

use crate::formats::unwrapped;
use crate::message::{Attributes, Found, Read, Reading, quoted, unreadable};
use crate::routes::Format;

const PREFIXES: [&str; 3] = ["ce-", "cloudevents-", "cloudevents:"];

/// Longest attribute name that is taken over; the specification advises 20.
const MAX_NAME: usize = 64;

/// Told by the attributes; a structured event may carry them too, and says so by its type.
pub(super) fn is_binary(attributes: Attributes<'_>) -> bool {
    let content_type = attributes.get("content-type").unwrap_or_default();
    if content_type.starts_with("application/cloudevents") {
        return false;
    }
    PREFIXES.iter().any(|prefix| attributes.get(&format!("{prefix}specversion")).is_some())
}

pub(super) fn binary(reading: Reading<'_>, body: &[u8]) -> Result<Read, Unreadable> {
    let mut event = Map::new();
    for (key, value) in reading.attributes.0 {
        let folded = key.to_ascii_lowercase().replace('_', "-");
        let name = PREFIXES.iter().find_map(|prefix| folded.strip_prefix(prefix));
        if let Some(name) = name.filter(|name| name.len() <= MAX_NAME) {
            event.insert(name.to_owned(), Value::String(value.clone()));
        }
    }
    let content_type = reading.attributes.get("content-type").unwrap_or("application/json");
    event.insert("datacontenttype".into(), content_type.into());
    if !body.trim_ascii().is_empty() {
        event.insert("data".into(), data(content_type, body)?);
    }
    one(reading, Value::Object(event))
}

fn data(content_type: &str, body: &[u8]) -> Result<Value, Unreadable> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") || essence.is_empty() {
        return serde_json::from_slice(body).map_err(|e| {
            unreadable(format!("a CloudEvent whose data is not the JSON it says it is: {e}"))
        });
    }
    Ok(std::str::from_utf8(body).map_or_else(|_| STANDARD.encode(body).into(), Value::from))
}

pub(super) fn structured(reading: Reading<'_>, body: &[u8]) -> Result<Read, Unreadable> {
    one(reading, serde_json::from_slice(body).map_err(|e| unreadable(e.to_string()))?)
}

/// Told by the content type, or by the first element.
pub(super) fn is_batch(reading: Reading<'_>, body: &[u8]) -> bool {
    let declared = reading.attributes.get("content-type").filter(|_| reading.depth == 0);
    declared.is_some_and(|it| it.starts_with("application/cloudevents-batch+json"))
        || body.windows(13).take(4096).any(|part| part == b"\"specversion\"")
}

pub(super) fn batch(reading: Reading<'_>, body: &[u8]) -> Result<Read, Unreadable> {
    let events: Vec<Value> = serde_json::from_slice(body).map_err(|e| {
        unreadable(format!("it looks like a batch of CloudEvents but is none: {e}"))
    })?;
    let found = events.into_iter().map(|event| found(reading, event)).collect::<Result<_, _>>()?;
    Ok(Read::Foreign(found))
}

fn one(reading: Reading<'_>, event: Value) -> Result<Read, Unreadable> {
    let mut found = found(reading, event)?;
    if !reading.has_route(Format::CloudEvents, &found.what, &found.source)
        && let Some(inner) = unwrapped(reading, &found.doc["data"], &found.identity)
    {
        return inner;
    }
    if found.trace.traceparent.is_none() {
        found.trace = reading.attributes.trace();
    }
    Ok(Read::Foreign(vec![found]))
}

fn found(reading: Reading<'_>, mut event: Value) -> Result<Found, Unreadable> {
    if event.get("specversion").and_then(Value::as_str) != Some("1.0") {
        return Err(unreadable("a CloudEvent of another version: send specversion \"1.0\""));
    }
    let required = |name: &str| {
        event.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or_else(|| {
            unreadable(format!("a CloudEvent without \"{name}\": it is required, a non-empty text"))
        })
    };
    let (id, source, what) = (required("id")?, required("source")?, required("type")?);
    let mut found = Found::new(Format::CloudEvents, what, source, format!("{source}/{id}"));
    let text = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
    found.trace.traceparent = text("traceparent");
    found.trace.tracestate = text("tracestate");
    found.deadline = match text("expirytime") {
        Some(time) => Some(instant(&time)?),
        None => None,
    };
    if let Some(encoded) = text("data_base64") {
        if encoded.len() > reading.limits.max_body {
            return Err(unreadable("a CloudEvent whose data_base64 is larger than a body may be"));
        }
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|e| unreadable(format!("a CloudEvent whose data_base64 is no base64: {e}")))?;
        let content_type = text("datacontenttype").unwrap_or_default();
        event["data"] = data(&content_type, &bytes)?;
    }
    found.carries = if event.get("data").is_some() {
        Ok("/data")
    } else {
        Err("the CloudEvent has no data: map its attributes, as in map = { \"/source/url\" = \
             \"/dataref\" }")
    };
    found.doc = event;
    Ok(found)
}

fn instant(text: &str) -> Result<Timestamp, Unreadable> {
    text.parse().map_err(|_| {
        unreadable(format!("a CloudEvent whose expirytime {} is no RFC 3339 instant", quoted(text)))
    })
}
