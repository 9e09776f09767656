//! `Idempotency-Key`: sent twice, done once, answered alike.

use std::time::Duration;

use flotilla_core::Cells;
use flotilla_core::Clock;
use flotilla_core::cells::CellWrite;

use super::World;

const GOOD: &str = r#"{"kind":"text.read","payload":{"text":"hi"}}"#;
const KEY: [(&str, &str); 1] = [("idempotency-key", "order-7")];

#[tokio::test]
async fn the_same_request_is_done_once_and_answered_alike() {
    let world = World::new();
    let first = world.post(GOOD, &KEY).await;
    world.complete().await;
    let second = world.post(GOOD, &KEY).await;
    assert_eq!((first.code(), second.code()), (201, 201));
    assert_eq!(first.json, second.json);
    assert_eq!(
        (first.header("idempotency-replayed"), second.header("idempotency-replayed")),
        ("", "true")
    );
    assert!(world.claim().await.is_empty(), "nothing was enqueued twice");

    let other = world.post(GOOD, &[("authorization", "Bearer open up"), KEY[0]]).await;
    assert_ne!(other.id(), first.id(), "keys belong to their token");
    world.clock.advance(Duration::from_secs(86_400));
    let later = world.post(GOOD, &KEY).await;
    assert_eq!(later.header("idempotency-replayed"), "", "after a day it is a new key");
}

#[tokio::test]
async fn another_body_under_the_same_key_is_refused() {
    let world = World::new();
    world.post(GOOD, &KEY).await;
    let other = world.post(&GOOD.replace("hi", "ho"), &KEY).await;
    assert_eq!(other.code(), 422);
    assert_eq!(other.json["type"], "urn:flotilla:problem:idempotency-key");
    assert_eq!(world.claim().await.len(), 1);
    let long = "k".repeat(256);
    let odd = world.post(GOOD, &[("idempotency-key", &long)]).await;
    assert_eq!((odd.code(), odd.field()), (400, "Idempotency-Key"));
}

#[tokio::test]
async fn an_invalid_request_does_not_use_its_key_up() {
    let world = World::new();
    assert_eq!(world.post("{}", &KEY).await.code(), 422);
    assert_eq!(world.post(GOOD, &KEY).await.code(), 201);
}

#[tokio::test]
async fn many_at_once_make_one_job_each() {
    let world = World::new();
    let body = format!("[{GOOD},{GOOD}]");
    let (a, b, c) =
        tokio::join!(world.post(&body, &KEY), world.post(&body, &KEY), world.post(&body, &KEY));
    assert_eq!(a.json, b.json);
    assert_eq!(b.json, c.json);
    assert_eq!(world.claim().await.len(), 2);
}

#[tokio::test]
async fn a_try_that_died_half_way_is_carried_on() {
    let world = World::new();
    let first = world.post(GOOD, &KEY).await;
    // The answer was never kept: only the claim of the key is there.
    let now = world.clock.now();
    let (key, cell) = world.memory.list("idempotency/", None, 9, now).await.unwrap().remove(0);
    let mut entry: serde_json::Value = serde_json::from_slice(&cell.value).unwrap();
    entry.as_object_mut().unwrap().remove("taken");
    let value = Some(serde_json::to_vec(&entry).unwrap().into());
    let change = CellWrite { key, expect: cell.version, value, expires_at: cell.expires_at };
    assert_eq!(world.memory.write(&[change], now).await.unwrap(), [true]);
    let second = world.post(GOOD, &KEY).await;
    assert_eq!((second.code(), &second.json), (201, &first.json));
    assert_eq!(world.claim().await.len(), 1);
}

#[tokio::test]
async fn the_answer_of_a_full_batch_fits_its_cell() {
    let world = World::new();
    let body = format!("[{}]", vec![GOOD; 1000].join(","));
    let first = world.post(&body, &KEY).await;
    let second = world.post(&body, &KEY).await;
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!(first.json, second.json);
}
