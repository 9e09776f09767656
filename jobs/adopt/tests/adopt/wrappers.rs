//! Wrappers around wrappers.

use serde_json::{Value, json};

use crate::support::*;

fn own() -> Value {
    json!({"kind": "text.read", "payload": {"text": "a"}})
}

#[test]
fn sns_is_unwrapped_and_names_what_it_holds() {
    let adopter = adopter(json!([]));
    let wrapped = sns(&own().to_string());
    let job = one(&adopter, &wrapped, &[("message-id", "q-1")]);
    assert_eq!(job.id, one(&adopter, &wrapped, &[("message-id", "q-2")]).id, "a copy of it");
    let mut other = wrapped;
    other["MessageId"] = "m-2".into();
    assert_ne!(job.id, one(&adopter, &other, &[("message-id", "q-1")]).id);

    let said = reason(&adopter, &sns("hello"), &[]);
    assert!(said.contains("topic \"arn:aws:sns:eu-west-1:1:t\""), "{said}");
    let mut confirm = sns("x");
    confirm["Type"] = "SubscriptionConfirmation".into();
    assert!(reason(&adopter, &confirm, &[]).contains("SubscriptionConfirmation"));
}

#[test]
fn a_topic_may_have_a_route_of_its_own() {
    let adopter = adopter(json!([{"from": "sns", "type": "arn:aws:sns:*:t", "kind": "text.read",
        "map": {"/text": "/message", "/source": "/attributes/app?"}}]));
    let mut notice = sns("hello");
    notice["MessageAttributes"] = json!({"app": {"Type": "String", "Value": "web"}});
    assert_eq!(payload(&one(&adopter, &notice, &[])), json!({"text": "hello", "source": "web"}));
}

#[test]
fn events_that_have_no_route_may_hold_a_job() {
    let adopter = adopter(json!([]));
    let bus =
        json!({"version": "0", "id": "e", "detail-type": "job", "source": "app", "detail": own()});
    assert_eq!(payload(&one(&adopter, &bus, &[])), json!({"text": "a"}));
    let event = json!({"specversion": "1.0", "id": "1", "source": "/a", "type": "t", "data": bus});
    let inner = one(&adopter, &sns(&event.to_string()), &[]);
    assert_eq!(inner.id, one(&adopter, &bus, &[]).id, "named by the innermost wrapper");
}

#[test]
fn s3_in_sns_is_the_same_job_as_s3_alone() {
    let body = json!({"Records": [s3_record("ObjectCreated:Put", "a", "1")]});
    let alone = one(&open(), &body, &[]).id;
    assert_eq!(alone, one(&open(), &sns(&body.to_string()), &[]).id);
    assert_eq!(alone, one(&open(), &sns(&sns(&body.to_string()).to_string()), &[]).id);
}

#[test]
fn four_wrappers_are_the_most() {
    let wrap =
        |times: usize| (0..times).fold(own().to_string(), |inner, _| sns(&inner).to_string());
    let adopter = adopter(json!([]));
    let read = |text: String| read(&adopter, &serde_json::from_str(&text).unwrap(), &[]);
    assert!(read(wrap(4)).is_ok());
    assert!(read(wrap(5)).unwrap_err().reason.contains("more than 4"));
}
