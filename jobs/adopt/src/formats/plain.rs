//! Plain JSON on a lane whose route names the kind, and what to say of the rest.

use flotilla_core::broker::Unreadable;

use crate::message::{Found, Read, Reading, unreadable};
use crate::routes::Format;

pub(super) fn is_wanted(reading: Reading<'_>) -> bool {
    reading.has_route(Format::Plain, reading.lane.as_str(), "")
}

pub(super) fn read(reading: Reading<'_>, body: &[u8]) -> Result<Read, Unreadable> {
    let doc = serde_json::from_slice(body).map_err(|e| {
        unreadable(format!("lane {} takes JSON, and it is none: {e}", reading.lane))
    })?;
    let lane = reading.lane.as_str();
    let mut found = Found::new(Format::Plain, lane, "", reading.name(body));
    found.doc = doc;
    found.trace = reading.attributes.trace();
    Ok(Read::Foreign(vec![found]))
}

pub(super) fn unknown(reading: Reading<'_>, what: &str) -> Unreadable {
    unreadable(format!(
        "{what}: send an envelope, as in {{\"kind\":\"caption.parse\",\"payload\":{{…}}}}, one of s3, \
         sns, eventbridge, cloudevents, celery, or give lane {} an [[adopt.route]] with \
         from = \"plain\" that names the kind",
        reading.lane
    ))
}
