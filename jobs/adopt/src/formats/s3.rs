//! Event notifications of S3 (message structure 2.x,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>).
//!
//! One job per record. S3 may send a record twice and out of order; bucket, key, version and
//! sequencer name it, so that a repeated one is the same job.

use flotilla_core::broker::Unreadable;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::message::{Found, Read, Reading, unreadable};
use crate::routes::Format;

/// What may stand in the path of a URL unencoded.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_name: String,
    #[serde(default)]
    event_time: Option<String>,
    #[serde(default)]
    aws_region: Option<String>,
    s3: S3,
}

#[derive(Deserialize)]
struct S3 {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    key: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    e_tag: Option<String>,
    #[serde(default)]
    version_id: Option<String>,
    #[serde(default)]
    sequencer: Option<String>,
}

/// Whether these `Records` are of S3: SES, Kinesis and others use the same word.
pub(super) fn are_records(raw: &str) -> bool {
    raw.contains("\"s3\"")
}

pub(super) fn read(reading: Reading<'_>, body: &[u8]) -> Result<Read, Unreadable> {
    let event: Event = serde_json::from_slice(body)
        .map_err(|e| unreadable(format!("it has Records but is no S3 event of version 2: {e}")))?;
    let found = event.records.into_iter().map(|record| found(reading, record)).collect();
    Ok(Read::Foreign(found))
}

fn found(reading: Reading<'_>, record: Record) -> Found {
    let (bucket, object) = (record.s3.bucket.name, record.s3.object);
    let key = plain_key(&object.key);
    let version = object.version_id.as_deref().unwrap_or_default();
    // Without a sequencer the moment tells two uploads of a key apart.
    let moment = object.sequencer.as_deref().or(record.event_time.as_deref()).unwrap_or_default();
    let identity = format!("{bucket}/{key}/{version}/{moment}");
    let mut found = Found::new(Format::S3, &record.event_name, &bucket, identity);
    let mut doc = json!({
        "event": record.event_name,
        "bucket": bucket,
        "url_key": utf8_percent_encode(&key, PATH).to_string(),
        "key": key,
    });
    let optional = [
        ("time", record.event_time.map(Value::from)),
        ("region", record.aws_region.map(Value::from)),
        ("size", object.size.map(Value::from)),
        ("etag", object.e_tag.map(Value::from)),
        ("version", object.version_id.map(Value::from)),
        ("sequencer", object.sequencer.map(Value::from)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            doc[name] = value;
        }
    }
    found.doc = doc;
    found.trace = reading.attributes.trace();
    found
}

/// Keys come URL-encoded as in a form: `+` is a space.
fn plain_key(encoded: &str) -> String {
    let spaced = encoded.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}
