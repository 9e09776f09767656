//! Each format by itself: what it carries, how it is routed and mapped, what is refused and how.

use flotilla_adopt::{Adopter, Limits, Routes};
use flotilla_core::{JobId, Registry};
use serde_json::{Value, json};

use crate::support::*;

#[test]
fn our_own_envelope_needs_no_route() {
    let adopter = adopter(json!([]));
    let id = JobId::derived("x");
    let own = json!({"envelope": 1, "id": id, "kind": "text.read", "payload": {"text": "a"}});
    let job = one(&adopter, &own, &[("traceparent", "00-a-b-01")]);
    assert_eq!((job.id, job.lane.as_str()), (id, "inbox"));
    assert_eq!(job.trace.traceparent.as_deref(), Some("00-a-b-01"));

    let unnamed = json!({"kind": "text.read", "payload": {"text": "a"}});
    let first = one(&adopter, &unnamed, &[("MessageId", "1")]);
    assert_eq!(first.id, one(&adopter, &unnamed, &[("message_id", "1")]).id);
    assert_ne!(first.id, one(&adopter, &unnamed, &[("message-id", "2")]).id);
    assert!(reason(&adopter, &json!({"kind": "text.raed"}), &[]).contains("did you mean"));
}

#[test]
fn our_own_envelope_with_a_bad_payload_or_a_past_deadline_is_still_a_job() {
    let adopter = adopter(json!([]));
    let bad = json!({"kind": "text.read", "payload": {"text": 1}});
    assert_eq!(payload(&one(&adopter, &bad, &[])), bad["payload"]);
    let late = json!({"kind": "text.read", "payload": {"text": "a"},
        "deadline": "2020-01-01T00:00:00Z"});
    assert!(one(&adopter, &late, &[]).deadline.is_some());
}

#[test]
fn each_s3_record_is_a_job_and_a_repeated_one_the_same() {
    let adopter = adopter(json!([
        {"from": "s3", "type": "ObjectCreated:*", "source": "photos", "kind": "text.read",
         "lane": "pictures", "tenant": "{/bucket}", "order": "{/bucket}/{/key}", "priority": 7,
         "map": {"/source": "https://{/bucket}.example/{/url_key}", "/text": "/key"}},
        {"from": "s3", "type": "ObjectRemoved:*", "ignore": true},
    ]));
    let put = |key| s3_record("ObjectCreated:Put", key, "0055AED6DCD90281E5");
    let body = json!({"Records": [
        put("my+file%2B%C3%BC.jpg"), put("other"), s3_record("ObjectRemoved:Delete", "x", "1")]});
    let jobs = read(&adopter, &body, &[]).unwrap();
    assert_eq!(jobs.len(), 2);
    assert_eq!(
        payload(&jobs[0]),
        json!({"text": "my file+ü.jpg", "source": "https://photos.example/my%20file%2B%C3%BC.jpg"})
    );
    assert_eq!((jobs[0].lane.as_str(), jobs[0].tenant.as_str()), ("pictures", "photos"));
    assert_eq!(jobs[0].order.as_deref(), Some("photos/my file+ü.jpg"));
    assert_eq!(jobs[0].priority.level(), 7);

    let again = read(&adopter, &json!({"Records": [put("other")]}), &[("message-id", "9")]);
    assert_eq!(again.unwrap()[0].id, jobs[1].id);
    let later = json!({"Records": [s3_record("ObjectCreated:Put", "other", "0055AED6DCD90281E6")]});
    assert_ne!(one(&adopter, &later, &[]).id, jobs[1].id);

    let restored = json!({"Records": [s3_record("ObjectRestore:Post", "x", "1")]});
    let said = reason(&adopter, &restored, &[]);
    assert!(said.contains("no route") && said.contains("ObjectRestore:Post"), "{said}");
    let many = json!({"Records": vec![put("a"); 101]});
    assert!(reason(&adopter, &many, &[]).contains("at most 100"));
}

#[test]
fn the_test_event_of_s3_is_no_job() {
    let body = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos"});
    assert!(read(&open(), &body, &[]).unwrap().is_empty());
    assert!(read(&open(), &sns(&body.to_string()), &[]).unwrap().is_empty());
}

#[test]
fn eventbridge_carries_its_detail() {
    let body = json!({"version": "0", "id": "e-1", "detail-type": "Post Created",
        "source": "app.posts", "time": "2026-01-01T00:00:00Z", "region": "eu-west-1",
        "resources": [], "detail": {"text": "hi"}});
    let adopter = adopter(json!([
        {"from": "eventbridge", "type": "Post *", "source": "app.posts", "kind": "text.read"}]));
    let job = one(&adopter, &body, &[]);
    assert_eq!(payload(&job), body["detail"]);
    assert_eq!(job.id, one(&adopter, &sns(&body.to_string()), &[("x", "y")]).id);
    let mut other = body.clone();
    other["source"] = "else".into();
    let said = reason(&adopter, &other, &[]);
    assert!(said.contains("detail-type \"Post Created\" from \"else\""), "{said}");
    other["source"] = "app.posts".into();
    other["detail"] = json!({"txet": "hi"});
    let said = reason(&adopter, &other, &[]);
    assert!(said.contains("route 1 to text.read") && said.contains("txet"), "{said}");
}

#[test]
fn cloudevents_structured_binary_and_batched_are_the_same_job() {
    let event = json!({"specversion": "1.0", "id": "1", "source": "/app", "type": "post.made",
        "datacontenttype": "application/json", "traceparent": "00-a-b-01",
        "expirytime": "2030-01-01T00:00:00Z", "data": {"text": "hi"}});
    let adopter = open();
    let structured = one(&adopter, &event, &[("content-type", "application/cloudevents+json")]);
    assert_eq!(payload(&structured), json!({"text": "hi"}));
    assert_eq!(structured.trace.traceparent.as_deref(), Some("00-a-b-01"));
    assert_eq!(structured.deadline.unwrap().to_string(), "2030-01-01T00:00:00Z");
    for prefix in ["ce-", "cloudEvents_", "cloudEvents:"] {
        let names = ["specversion", "id", "source", "type", "traceparent"];
        let keys: Vec<_> = names.iter().map(|name| format!("{prefix}{name}")).collect();
        let mut attributes: Vec<_> = keys
            .iter()
            .zip(names)
            .map(|(k, name)| (k.as_str(), event[name].as_str().unwrap()))
            .collect();
        attributes.push(("content_type", "application/json; charset=utf-8"));
        let binary = one(&adopter, &event["data"], &attributes);
        assert_eq!((binary.id, payload(&binary)), (structured.id, payload(&structured)));
        assert_eq!(binary.trace, structured.trace);
    }
    let mut second = event.clone();
    second["id"] = "2".into();
    let batch = read(&adopter, &json!([event, second]), &[]).unwrap();
    assert_eq!((batch.len(), batch[0].id), (2, structured.id));
    assert_ne!(batch[1].id, structured.id);
}

#[test]
fn cloudevents_data_in_base64_text_and_none() {
    let event = |extra: Value| {
        let mut event = json!({"specversion": "1.0", "id": "1", "source": "/a", "type": "t"});
        event.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        event
    };
    let base64 = event(json!({"data_base64": "eyJ0ZXh0IjoiaGkifQ=="}));
    assert_eq!(payload(&one(&open(), &base64, &[])), json!({"text": "hi"}));
    let text = event(json!({"datacontenttype": "text/plain", "data": "hi"}));
    assert_eq!(payload(&one(&open(), &text, &[])), json!("hi"));
    assert!(reason(&open(), &event(json!({"dataref": "x"})), &[]).contains("no data"));
    assert!(reason(&open(), &event(json!({"data_base64": "%"})), &[]).contains("base64"));
    assert!(reason(&open(), &event(json!({"id": ""})), &[]).contains("\"id\""));
    assert!(reason(&open(), &event(json!({"specversion": "0.3"})), &[]).contains("\"1.0\""));
    assert!(reason(&open(), &event(json!({"expirytime": "soon"})), &[]).contains("soon"));
}

fn celery(embed: Value, headers: &[(&str, &str)]) -> (Value, Vec<(String, String)>) {
    let mut all = vec![("task", "app.read"), ("id", "c-1"), ("content_type", "application/json")];
    all.retain(|(name, _)| !headers.iter().any(|(other, _)| other == name));
    all.extend(headers);
    let all = all.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    (json!([[], {"text": "hi"}, embed]), all)
}

fn take_celery(
    embed: Value,
    headers: &[(&str, &str)],
) -> Result<flotilla_core::queue::NewJob, String> {
    let (body, headers) = celery(embed, headers);
    let headers: Vec<_> = headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    read(&open(), &body, &headers).map(|mut jobs| jobs.remove(0)).map_err(|e| e.reason)
}

#[test]
fn celery_tasks_are_jobs_and_what_they_would_start_after_is_refused() {
    let plain = json!({"callbacks": null, "errbacks": null, "chain": null, "chord": null});
    let job = take_celery(
        plain.clone(),
        &[
            ("eta", "2026-02-01T00:00:00.5"),
            ("expires", "2026-03-01T00:00:00+01:00"),
            ("retries", "3"),
        ],
    );
    let job = job.unwrap();
    assert_eq!(payload(&job), json!({"text": "hi"}));
    assert_eq!(job.run_at.to_string(), "2026-02-01T00:00:00.5Z");
    assert_eq!(job.deadline.unwrap().to_string(), "2026-02-28T23:00:00Z");
    assert_eq!(job.max_attempts, 2, "of five, three are used up");
    assert_eq!(
        take_celery(plain.clone(), &[("retries", "9"), ("eta", "None")]).unwrap().id,
        job.id
    );
    assert_eq!(take_celery(plain.clone(), &[("retries", "9")]).unwrap().max_attempts, 1);

    for (field, word) in
        [("chain", "chain"), ("chord", "chord"), ("callbacks", "link"), ("errbacks", "link_error")]
    {
        let said = take_celery(json!({field: [{"task": "next"}]}), &[]).unwrap_err();
        assert!(said.contains(word) && said.contains("app.read"), "{said}");
    }
    let pickled = [("content_type", "application/x-python-serialize")];
    assert!(take_celery(plain.clone(), &pickled).unwrap_err().contains("task_serializer"));
    assert!(
        take_celery(plain.clone(), &[("content-encoding", "zlib")]).unwrap_err().contains("UTF-8")
    );
    assert!(take_celery(plain, &[("eta", "soon")]).unwrap_err().contains("soon"));
    let old = json!({"task": "app.read", "id": "1", "args": [], "kwargs": {}});
    assert!(reason(&open(), &old, &[]).contains("task_protocol = 2"));
}

#[test]
fn celery_arguments_are_named_by_the_route() {
    let headers = [("task", "app.read"), ("id", "c-1")];
    let body = json!([["hi", 2], {}, {}]);
    assert!(reason(&open(), &body, &headers).contains("positional"));
    let mapped = adopter(json!([{"from": "celery", "type": "app.*", "kind": "text.read",
        "map": {"/text": "/args/0", "/source": "/kwargs/source?"}}]));
    assert_eq!(payload(&one(&mapped, &body, &headers)), json!({"text": "hi"}));
    assert!(reason(&mapped, &json!([[], {}, {}]), &headers).contains("no field /args/0"));
}

#[test]
fn celery_over_sqs_is_the_same_job() {
    let inner = json!([[], {"text": "hi"}, {"chain": null}]);
    let kombu = json!({"body": inner.to_string(), "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "app.read", "id": "c-1", "eta": null, "retries": 0},
        "properties": {"correlation_id": "c-1", "delivery_info": {}}});
    let expected = take_celery(Value::Null, &[]).unwrap().id;
    assert_eq!(one(&open(), &kombu, &[]).id, expected);
    let encode = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    let mut coded = kombu.clone();
    coded["body"] = encode(&inner.to_string()).into();
    coded["properties"]["body_encoding"] = "base64".into();
    assert_eq!(one(&open(), &coded, &[]).id, expected);
    let whole = delivery(encode(&coded.to_string()), &[]);
    let jobs = flotilla_core::broker::Adopt::adopt(&open(), &whole, now()).unwrap();
    assert_eq!(jobs[0].id, expected);
}

#[test]
fn messages_that_celery_itself_has_written() {
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/celery.json")).unwrap();
    let adopter = adopter(json!([{"from": "celery", "type": "shop.*", "source": "*@shop",
        "kind": "text.read", "map": {"/text": "/kwargs/text?"}, "set": {"/source": "shop"}}]));
    let job = one(&adopter, &fixture["kwargs"], &[]);
    assert_eq!(payload(&job), json!({"text": "hi", "source": "shop"}));
    assert_eq!(job.run_at.to_string(), "2030-01-01T00:00:00Z");
    assert_eq!(
        (job.deadline.unwrap().to_string(), job.max_attempts),
        ("2030-01-02T00:00:00Z".into(), 4)
    );
    assert!(reason(&adopter, &fixture["args"], &[]).contains("text"), "its map names no argument");
    assert!(reason(&adopter, &fixture["chain"], &[]).contains("part of a chain"));
    assert!(reason(&adopter, &fixture["link"], &[]).contains("callbacks"));
}

#[test]
fn plain_json_needs_a_lane_that_says_its_kind() {
    let adopter = adopter(json!([{"from": "plain", "on": "inbox", "kind": "text.read",
        "payload": "/post", "set": {"/source": "app"}}]));
    let body = json!({"kind": "status", "post": {"text": "hi"}});
    let job = one(&adopter, &body, &[("message-id", "1")]);
    assert_eq!(payload(&job), json!({"text": "hi", "source": "app"}));
    assert_ne!(job.id, one(&adopter, &body, &[("message-id", "2")]).id);
    let said = reason(&open(), &json!({"post": 1}), &[]);
    assert!(said.contains("lane inbox") && said.contains("from = \"plain\""), "{said}");
}

#[test]
fn routes_are_checked_against_the_kinds() {
    let make = |route: Value| {
        let routes: Routes = serde_json::from_value(json!([route])).unwrap();
        Adopter::new(std::sync::Arc::new(Registry::default()), routes, Limits::default())
    };
    let said = make(json!({"from": "s3", "kind": "text.read"})).unwrap_err().to_string();
    assert!(said.starts_with("route 1 (from s3): unknown kind"), "{said}");
    assert!(make(json!({"from": "s3"})).is_err());
    assert!(make(json!({"from": "s3", "kind": "text.read", "ignore": true})).is_err());
    assert!(make(json!({"from": "s3", "ignore": true})).is_ok());
}
