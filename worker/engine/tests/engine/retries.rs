//! When a failed attempt is made again: by class of failure, within a budget of time, and how both
//! are told.

use std::time::Duration;

use flotilla_core::clock::between;
use flotilla_core::records::{Filter, Records};
use flotilla_core::retry::{Backoff, ClassRetry, RetryClass};
use flotilla_core::{DeadClass, Job, Policy, State};

use crate::why::says;
use crate::world::{Free, SECOND, World, act};

/// A world in which the kind `test.free` is run so.
fn world(change: impl FnOnce(&mut Policy)) -> World {
    World::with(|registry, _| registry.adjust(Free::KIND.as_str(), change).unwrap())
}

/// Every delay has the same ceiling.
fn steady(ceiling: Duration) -> Backoff {
    Backoff { base: ceiling, factor: 1.0, max: ceiling }
}

#[tokio::test(start_paused = true)]
async fn a_class_of_failures_has_its_own_attempts_and_backoff() {
    let world = world(|policy| {
        policy.max_attempts = 9;
        policy.backoff = steady(SECOND);
        let own = ClassRetry {
            attempts: Some(2),
            base: Some(SECOND * 100),
            factor: Some(1.0),
            max: Some(SECOND * 100),
            ..ClassRetry::default()
        };
        policy.retries.classes.insert(RetryClass::Timeout, own);
    });
    let hang = world.enqueue("hang").await;
    let retry = world.enqueue("retry").await;
    let _engine = world.start(World::settings("a"));
    let record = world.until(hang, State::Retryable).await;
    let waits = between(record.errors[0].at, record.run_at);
    assert!(waits >= SECOND * 10 && waits <= SECOND * 100, "{waits:?}");
    says(&world, hang, "failures of class timeout: 1 of 2").await;
    let record = world.until(hang, State::Dead).await;
    assert_eq!((record.class, record.attempt), (Some(DeadClass::Exhausted), 2));
    assert_eq!(
        record.errors[1].error,
        "timed out after 60s (given up: 2 failures of class timeout, 2 are allowed)"
    );
    assert_eq!(world.until(retry, State::Dead).await.attempt, 9, "others have all attempts");

    // Who is replayed begins anew.
    world.memory.replay(&Filter::id(hang).dead(), 1, world.clock.now()).await.unwrap();
    world.until(hang, State::Retryable).await;
    assert_eq!(world.until(hang, State::Dead).await.attempt, 2);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_after_the_total_deadline() {
    let world = world(|policy| {
        policy.max_attempts = 1000;
        policy.backoff = steady(SECOND * 10);
        policy.retries.within = Some(SECOND * 120);
    });
    let id = world.enqueue_as(&Free::KIND, act("retry", 1000), |_| {}).await;
    let patient = world.enqueue("patient").await;
    let _engine = world.start(World::settings("a"));
    world.until(id, State::Retryable).await;
    says(&world, id, "no attempt begins later than 120 s after the first").await;
    let record = world.until(id, State::Dead).await;
    assert_eq!(record.class, Some(DeadClass::Exhausted));
    let last = record.errors.last().unwrap();
    assert!(last.error.contains("of the 120 s for all attempts 0 are left"), "{}", last.error);
    let starts = world.seen.starts(id);
    let (first, last) = (starts[0], starts[starts.len() - 1]);
    // A moment more each time until a worker takes it up: that does not count.
    let slack = SECOND * u32::try_from(starts.len()).unwrap() * 2;
    assert!(between(first, last) <= SECOND * 120 + slack, "{starts:?}");
    assert!(between(first, last) >= SECOND * 110, "the time is used: {starts:?}");

    let record = world.until(patient, State::Dead).await;
    assert_eq!(record.attempt, 1);
    assert!(record.errors[0].error.contains("the server asks for 1800 s"), "{record:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_server_asked_for_is_told_as_such() {
    let world = world(|policy| policy.retries.within = Some(SECOND * 2000));
    let patient = world.enqueue("patient").await;
    let plain = world.enqueue("retry").await;
    let _engine = world.start(World::settings("a"));
    world.until(patient, State::Retryable).await;
    says(&world, patient, "it was asked to wait so long").await;
    world.until(plain, State::Retryable).await;
    says(&world, plain, "drawn from up to 2 s (backoff)").await;
    tokio::time::sleep(SECOND * 1900).await;
    let record = world.until(patient, State::Dead).await;
    assert_eq!(record.attempt, 2, "the second wait does not fit any more");
}
