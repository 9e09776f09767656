//! Ports that fail for a while: nothing is lost, nothing is charged for it, nothing hangs.

use flotilla_core::{Job, State};
use flotilla_engine::{Ended, Settings};

use crate::world::{Fault, Free, SECOND, World, act};

/// Starts thirty jobs, lets `call` fail after the first has ended, mends it after `broken`
/// seconds; all must be completed in the end. Answers the most attempts one job needed.
async fn survives(call: &'static str, fault: Fault, broken: u32) -> u32 {
    let world = World::new();
    let mut ids = Vec::new();
    for n in 0..30 {
        ids.push(world.enqueue_as(&Free::KIND, act("ok", 100 * (n % 10)), |_| {}).await);
    }
    let engine = world.start(Settings { concurrency: 4, ..World::settings("a") });
    world.until(ids[0], State::Completed).await;
    world.ports.set(call, Some(fault));
    tokio::time::sleep(SECOND * broken).await;
    world.ports.set(call, None);
    let mut most = 0;
    for id in &ids {
        let record = world.until(*id, State::Completed).await;
        assert!(record.errors.len() <= record.crashes as usize, "{record:?}");
        most = most.max(record.attempt);
    }
    engine.drain();
    assert_eq!(engine.finished().await.ended, Ended::Drained);
    most
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_down_costs_no_attempt() {
    for call in ["claim", "settle", "housekeep", "fleet"] {
        assert_eq!(survives(call, Fault::Down, 10).await, 1, "{call}");
    }
    assert_eq!(survives("extend", Fault::Down, 60).await, 1);
}

#[tokio::test(start_paused = true)]
async fn outcomes_outlive_a_queue_that_is_down_for_longer_than_a_lease() {
    let world = World::new();
    let id = world.enqueue_as(&Free::KIND, act("ok", 1_000), |_| {}).await;
    let _engine = world.start(World::settings("a"));
    world.until(id, State::Running).await;
    world.ports.set_all(Some(Fault::Down));
    tokio::time::sleep(SECOND * 60).await;
    world.ports.set_all(None);
    let record = world.until(id, State::Completed).await;
    assert_eq!(world.seen.starts(id).len(), record.attempt as usize);
}

#[tokio::test(start_paused = true)]
async fn lost_answers_are_repaired() {
    for call in ["settle", "extend", "housekeep", "fleet"] {
        assert_eq!(survives(call, Fault::Deaf, 20).await, 1, "{call}");
    }
    // A claim whose answer is lost looks like a crash of the claimer.
    assert!(survives("claim", Fault::Deaf, 3).await <= 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_is_settled_one_by_one() {
    assert_eq!(survives("settle", Fault::Picky, 10).await, 1);
}

#[tokio::test(start_paused = true)]
async fn everything_failing_at_once_is_survived() {
    let world = World::new();
    let mut ids = Vec::new();
    for n in 0..40 {
        ids.push(world.enqueue_as(&Free::KIND, act("ok", 50 * n), |_| {}).await);
    }
    let engine = world.start(Settings { concurrency: 4, ..World::settings("a") });
    for n in 0..12 {
        world.ports.set_all((n % 2 == 0).then_some(Fault::Down));
        tokio::time::sleep(SECOND / 3).await;
    }
    world.ports.set_all(None);
    for id in ids {
        assert_eq!(world.until(id, State::Completed).await.attempt, 1);
    }
    engine.stop_now();
}
