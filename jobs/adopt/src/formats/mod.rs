//! Which format a body is in. Told by its attributes and its outermost fields, which are looked
//! at without reading the rest.

mod celery;
mod cloudevents;
mod eventbridge;
mod own;
mod plain;
mod s3;
mod sns;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flotilla_core::broker::Unreadable;
use serde::Deserialize;
use serde_json::value::RawValue;

use serde_json::Value;

use crate::message::{Read, Reading, unreadable};

/// The outermost fields that tell formats apart. The texts are not copied.
#[derive(Debug, Default, Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    envelope: Option<&'a RawValue>,
    #[serde(borrow, default)]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    specversion: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "Records")]
    records: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "Event")]
    s3_event: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "detail-type")]
    detail_type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    detail: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "TopicArn")]
    topic: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "Type")]
    sns_type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    task: Option<&'a RawValue>,
    #[serde(borrow, default)]
    kwargs: Option<&'a RawValue>,
    #[serde(borrow, default)]
    headers: Option<&'a RawValue>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

/// Reads a body, unwrapping as often as needed.
pub(crate) fn read(reading: Reading<'_>, body: &[u8]) -> Result<Read, Unreadable> {
    let (size, max) = (body.len(), reading.limits.max_body);
    if size > max {
        return Err(unreadable(format!(
            "it has {size} bytes; at most {max} are read: put large data in a blob"
        )));
    }
    // Attributes belong to the outermost body only.
    if reading.depth == 0 {
        if celery::is_in(reading.attributes) {
            return celery::from_attributes(reading, body);
        }
        if cloudevents::is_binary(reading.attributes) {
            return cloudevents::binary(reading, body);
        }
    }
    match body.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{') => object(reading, body),
        Some(b'[') if cloudevents::is_batch(reading, body) => cloudevents::batch(reading, body),
        Some(_) if plain::is_wanted(reading) => plain::read(reading, body),
        Some(_) => encoded(reading, body),
        None => {
            Err(unreadable("it is empty: send an envelope, as in {\"kind\":\"caption.parse\"}"))
        }
    }
}

fn object(reading: Reading<'_>, body: &[u8]) -> Result<Read, Unreadable> {
    let head: Head<'_> = serde_json::from_slice(body)
        .map_err(|e| unreadable(format!("it begins like a JSON object but is none: {e}")))?;
    if head.envelope.is_some() {
        own::read(reading, body)
    } else if head.specversion.is_some() {
        cloudevents::structured(reading, body)
    } else if head.sns_type.is_some() && head.topic.is_some() {
        sns::read(reading, body)
    } else if head.records.is_some_and(|r| s3::are_records(r.get())) {
        s3::read(reading, body)
    } else if head.s3_event.is_some_and(|event| event.get() == "\"s3:TestEvent\"") {
        Ok(Read::Foreign(Vec::new()))
    } else if head.detail_type.is_some() && head.detail.is_some() {
        eventbridge::read(reading, body)
    } else if head.headers.is_some_and(|h| celery::is_named_in(h.get())) && head.body.is_some() {
        celery::from_kombu(reading, body)
    } else if head.task.is_some() && head.kwargs.is_some() {
        Err(celery::old())
    } else if plain::is_wanted(reading) {
        plain::read(reading, body)
    } else if head.kind.is_some() {
        own::read(reading, body)
    } else {
        Err(plain::unknown(reading, "its JSON object has no \"kind\""))
    }
}

/// Kombu sends JSON as base64 over SQS unless told not to.
fn encoded(reading: Reading<'_>, body: &[u8]) -> Result<Read, Unreadable> {
    let decoded = STANDARD.decode(body.trim_ascii()).ok();
    match decoded.filter(|bytes| bytes.trim_ascii_start().starts_with(b"{")) {
        Some(bytes) => read(reading.inside(&reading.name(body))?, &bytes),
        None => Err(plain::unknown(reading, "it is not a JSON object")),
    }
}

/// The content of an event for which no route was found, where that is a job or another event.
/// `None` where it is neither: then the event itself is what has no route.
fn unwrapped(
    reading: Reading<'_>,
    content: &Value,
    name: &str,
) -> Option<Result<Read, Unreadable>> {
    const TELLING: [&str; 5] = ["envelope", "kind", "specversion", "Records", "detail-type"];
    let fields = content.as_object()?;
    if !TELLING.iter().any(|field| fields.contains_key(*field)) {
        return None;
    }
    let body = serde_json::to_vec(content).ok()?;
    Some(reading.inside(name).and_then(|inside| read(inside, &body)))
}
