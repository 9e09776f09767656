//! Messages as they look on the wire of AMQP 0-9-1, and their headers as text.

use std::collections::BTreeMap;

use flotilla_core::broker::Notice;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use serde_json::{Map, Value};

/// Marks our own messages: nobody reads their headers.
const APP: &str = "flotilla";
/// Persistent: on disk before it is confirmed.
const PERSISTENT: u8 = 2;

/// The properties of a notice.
pub(crate) fn properties(notice: &Notice) -> BasicProperties {
    BasicProperties::default()
        .with_app_id(APP.into())
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(notice.id.to_string().into())
        .with_type(notice.kind.as_str().into())
}

/// How the broker counts how often a message was handed over: until RabbitMQ 4 all of it in the
/// first; since then only what it takes for failures there, and all of it in the second
/// (<https://www.rabbitmq.com/docs/4.3/nack>).
const COUNTS: [&str; 2] = ["x-delivery-count", "x-acquired-count"];

/// How often a message was handed over before.
pub(crate) fn redelivered(properties: &BasicProperties, flag: bool) -> u32 {
    let count = |name: &&str| match properties.headers().as_ref()?.inner().get(*name)? {
        AMQPValue::LongLongInt(n) => u32::try_from(*n).ok(),
        AMQPValue::LongInt(n) => u32::try_from(*n).ok(),
        AMQPValue::LongUInt(n) => Some(*n),
        _ => None,
    };
    let counted = COUNTS.iter().filter_map(count).max();
    counted.unwrap_or_default().max(u32::from(flag))
}

/// Headers and properties of a message from outside, as text. Ours need none.
pub(crate) fn attributes(properties: &BasicProperties) -> BTreeMap<String, String> {
    let is =
        |name: &str, said: &Option<ShortString>| said.as_ref().is_some_and(|s| s.as_str() == name);
    if is(APP, properties.app_id()) {
        return BTreeMap::new();
    }
    all_attributes(properties)
}

/// Headers and properties, as text.
pub(crate) fn all_attributes(properties: &BasicProperties) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    if let Some(headers) = properties.headers() {
        for (name, value) in headers.inner() {
            attributes.insert(name.as_str().to_owned(), text(value));
        }
    }
    for (name, value) in [
        ("content-type", properties.content_type()),
        ("content-encoding", properties.content_encoding()),
        ("correlation-id", properties.correlation_id()),
        ("reply-to", properties.reply_to()),
        ("message-id", properties.message_id()),
        ("type", properties.kind()),
        ("app-id", properties.app_id()),
    ] {
        if let Some(value) = value {
            attributes.insert(name.to_owned(), value.as_str().to_owned());
        }
    }
    attributes
}

/// The queue a message was in when it was given up.
pub(crate) fn died_in(properties: &BasicProperties) -> Option<String> {
    let headers = properties.headers().as_ref()?;
    match headers.inner().get("x-first-death-queue") {
        Some(AMQPValue::LongString(queue)) => Some(queue.to_string()),
        _ => None,
    }
}

fn text(value: &AMQPValue) -> String {
    match json(value) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn json(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Boolean(b) => (*b).into(),
        AMQPValue::ShortShortInt(n) => (*n).into(),
        AMQPValue::ShortShortUInt(n) => (*n).into(),
        AMQPValue::ShortInt(n) => (*n).into(),
        AMQPValue::ShortUInt(n) => (*n).into(),
        AMQPValue::LongInt(n) => (*n).into(),
        AMQPValue::LongUInt(n) => (*n).into(),
        AMQPValue::LongLongInt(n) => (*n).into(),
        AMQPValue::Float(n) => f64::from(*n).into(),
        AMQPValue::Double(n) => (*n).into(),
        AMQPValue::DecimalValue(d) => (f64::from(d.value) / 10f64.powi(i32::from(d.scale))).into(),
        AMQPValue::ShortString(text) => text.as_str().into(),
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into(),
        AMQPValue::ByteArray(bytes) => String::from_utf8_lossy(bytes.as_slice()).into(),
        AMQPValue::Timestamp(seconds) => (*seconds).into(),
        AMQPValue::FieldArray(values) => values.as_slice().iter().map(json).collect(),
        AMQPValue::FieldTable(table) => object(table),
        AMQPValue::Void => Value::Null,
    }
}

fn object(table: &FieldTable) -> Value {
    let entries = table.inner().iter().map(|(name, value)| (name.as_str().to_owned(), json(value)));
    Value::Object(entries.collect::<Map<String, Value>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: AMQPValue) -> BasicProperties {
        let mut headers = FieldTable::default();
        headers.insert(name.into(), value);
        BasicProperties::default().with_headers(headers)
    }

    #[test]
    fn headers_of_strangers_are_text() {
        let said = with("task", AMQPValue::LongString("caption.parse".into()))
            .with_content_type("application/json".into());
        let attributes = attributes(&said);
        assert_eq!(attributes["task"], "caption.parse");
        assert_eq!(attributes["content-type"], "application/json");
        let mut inner = FieldTable::default();
        inner.insert("n".into(), AMQPValue::LongInt(1));
        let nested = with("meta", AMQPValue::FieldTable(inner));
        assert_eq!(super::attributes(&nested)["meta"], r#"{"n":1}"#);
        assert_eq!(super::attributes(&with("x", AMQPValue::Void))["x"], "null");
    }

    #[test]
    fn hand_overs_are_counted_where_the_broker_counts_them() {
        assert_eq!(redelivered(&BasicProperties::default(), false), 0);
        assert_eq!(redelivered(&BasicProperties::default(), true), 1);
        let counted = with("x-delivery-count", AMQPValue::LongLongInt(3));
        assert_eq!(redelivered(&counted, true), 3);
        let acquired = with("x-acquired-count", AMQPValue::LongLongInt(2));
        assert_eq!(redelivered(&acquired, true), 2);
    }
}
