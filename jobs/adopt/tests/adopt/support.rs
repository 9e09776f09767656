//! A registry with two small kinds, routes from JSON, and deliveries.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_adopt::{Adopter, Limits, Routes};
use flotilla_core::broker::{Adopt, Delivery, Unreadable};
use flotilla_core::queue::NewJob;
use flotilla_core::{
    Clock, Handler, Job, JobContext, JobError, Kind, Lane, ManualClock, Receipt, Registry,
    Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A text to be read.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Read {
    text: String,
    #[serde(default)]
    source: Option<String>,
}

impl Job for Read {
    const KIND: Kind = Kind::from_static("text.read");
    type Output = ();
}

/// Anything.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Take(Value);

impl Job for Take {
    const KIND: Kind = Kind::from_static("thing.take");
    type Output = ();
}

struct Nobody;

impl<J: Job<Output = ()>> Handler<J> for Nobody {
    async fn run(&self, _: J, _: &JobContext) -> Result<(), JobError> {
        Ok(())
    }
}

pub(crate) fn adopter(routes: Value) -> Adopter {
    let mut registry = Registry::default();
    registry.register::<Read, _>(Nobody).unwrap();
    registry.register::<Take, _>(Nobody).unwrap();
    let routes: Routes = serde_json::from_value(routes).unwrap();
    Adopter::new(Arc::new(registry), routes, Limits::default()).unwrap()
}

/// Every format goes to `thing.take` with what it carries.
pub(crate) fn open() -> Adopter {
    let route = |from: &str| json!({"from": from, "kind": "thing.take"});
    adopter(json!([
        route("s3"), route("eventbridge"), route("cloudevents"), route("celery"),
        {"from": "plain", "on": "plain-*", "kind": "thing.take"},
    ]))
}

pub(crate) fn now() -> Timestamp {
    ManualClock::default().now()
}

pub(crate) fn delivery(body: impl Into<Vec<u8>>, attributes: &[(&str, &str)]) -> Delivery {
    let attributes: BTreeMap<_, _> =
        attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Delivery {
        receipt: Receipt::None,
        lane: Lane::from_static("inbox"),
        body: body.into().into(),
        attributes,
        redelivered: 0,
    }
}

pub(crate) fn read(
    adopter: &Adopter,
    body: &Value,
    attributes: &[(&str, &str)],
) -> Result<Vec<NewJob>, Unreadable> {
    adopter.adopt(&delivery(body.to_string(), attributes), now())
}

/// The one job of a body.
pub(crate) fn one(adopter: &Adopter, body: &Value, attributes: &[(&str, &str)]) -> NewJob {
    let mut jobs = read(adopter, body, attributes).unwrap();
    assert_eq!(jobs.len(), 1, "{body}");
    jobs.remove(0)
}

pub(crate) fn reason(adopter: &Adopter, body: &Value, attributes: &[(&str, &str)]) -> String {
    read(adopter, body, attributes).unwrap_err().reason
}

pub(crate) fn payload(job: &NewJob) -> Value {
    job.payload.to_value()
}

pub(crate) fn sns(message: &str) -> Value {
    json!({"Type": "Notification", "MessageId": "m-1", "TopicArn": "arn:aws:sns:eu-west-1:1:t",
        "Message": message, "Timestamp": "2026-01-01T00:00:00.000Z"})
}

pub(crate) fn s3_record(name: &str, key: &str, sequencer: &str) -> Value {
    json!({"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
        "eventTime": "2026-01-01T00:00:00.000Z", "eventName": name,
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": "photos", "arn": "arn:aws:s3:::photos"},
            "object": {"key": key, "size": 12, "eTag": "e", "sequencer": sequencer}}})
}
