//! Events of Amazon EventBridge
//! (<https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>).

use flotilla_core::broker::Unreadable;
use serde_json::Value;

use crate::formats::unwrapped;
use crate::message::{Found, Read, Reading, unreadable};
use crate::routes::Format;

pub(super) fn read(reading: Reading<'_>, body: &[u8]) -> Result<Read, Unreadable> {
    let doc: Value = serde_json::from_slice(body).map_err(|e| unreadable(e.to_string()))?;
    let text = |name: &str| doc.get(name).and_then(Value::as_str).unwrap_or_default();
    let (what, source, id) = (text("detail-type"), text("source"), text("id"));
    if id.is_empty() || what.is_empty() {
        return Err(unreadable("it looks like an EventBridge event but has no id or detail-type"));
    }
    let identity = format!("{source}/{id}");
    if !reading.has_route(Format::EventBridge, what, source)
        && let Some(inner) = unwrapped(reading, &doc["detail"], &identity)
    {
        return inner;
    }
    let mut found = Found::new(Format::EventBridge, what, source, identity);
    found.carries = Ok("/detail");
    found.trace = reading.attributes.trace();
    found.doc = doc;
    Ok(Read::Foreign(vec![found]))
}
