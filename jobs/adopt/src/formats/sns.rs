//! Notifications of SNS that came over a queue. With raw delivery there is no wrapper, and the
//! body is read as what it is. Permission to send to the queue stands in for the signature here;
//! over HTTP see [`crate::sns`].

use flotilla_core::broker::Unreadable;
use serde_json::{Value, json};

use crate::formats::read as read_any;
use crate::message::{Found, Read, Reading, quoted, unreadable};
use crate::routes::Format;
use crate::sns::Notice;

pub(super) fn read(reading: Reading<'_>, body: &[u8]) -> Result<Read, Unreadable> {
    let notice: Notice = serde_json::from_slice(body)
        .map_err(|e| unreadable(format!("it looks like an SNS notification but is none: {e}")))?;
    if notice.kind != "Notification" {
        return Err(unreadable(format!(
            "an SNS message of Type {}: only \"Notification\" is a job; confirm subscriptions in SNS",
            quoted(&notice.kind)
        )));
    }
    let identity = notice.message_id.as_str();
    if reading.has_route(Format::Sns, &notice.topic_arn, &notice.topic_arn) {
        return Ok(Read::Foreign(vec![found(reading, &notice, identity)]));
    }
    read_any(reading.inside(identity)?, notice.message.as_bytes()).map_err(|e| {
        let topic = quoted(&notice.topic_arn);
        unreadable(format!("inside the SNS notification of topic {topic}: {}", e.reason))
    })
}

fn found(reading: Reading<'_>, notice: &Notice, identity: &str) -> Found {
    let topic = &notice.topic_arn;
    let mut found = Found::new(Format::Sns, topic, topic, identity.to_owned());
    let message = serde_json::from_str(&notice.message)
        .unwrap_or_else(|_| Value::String(notice.message.clone()));
    let attributes = notice.attributes.as_ref().and_then(Value::as_object);
    let attributes: serde_json::Map<String, Value> = attributes
        .into_iter()
        .flatten()
        .map(|(name, given)| (name.clone(), given.get("Value").cloned().unwrap_or_default()))
        .collect();
    found.carries = Ok("/message");
    found.doc = json!({
        "topic": topic,
        "subject": notice.subject,
        "time": notice.timestamp,
        "message": message,
        "attributes": attributes,
    });
    found.trace = reading.attributes.trace();
    found
}
