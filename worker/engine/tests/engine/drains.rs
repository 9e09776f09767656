//! Drains: within their grace, beyond it, by order of the fleet, in the middle of a claim.

use flotilla_core::fleet::Fleet;
use flotilla_core::{Job, State, WorkerId};
use flotilla_engine::{Ended, Settings};

use crate::world::{Fault, Free, SECOND, World, act};

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_what_runs_and_leaves_what_waits() {
    let world = World::new();
    let runs = world.enqueue_as(&Free::KIND, act("ok", 10_000), |_| {}).await;
    let waits = world.enqueue_as(&Free::KIND, act("ok", 10_000), |_| {}).await;
    let engine = world.start(Settings { concurrency: 1, ..World::settings("a") });
    let (runs, waits) = match world.until(runs, State::Running).await.state {
        State::Running => (runs, waits),
        _ => (waits, runs),
    };
    let asked = world.clock.now();
    engine.drain();
    let report = engine.finished().await;
    assert_eq!((report.ended, report.completed), (Ended::Drained, 1));
    assert!(world.since(asked) < 10.5);
    assert_eq!(world.record(runs).await.state, State::Completed);
    let record = world.record(waits).await;
    assert_eq!((record.state, record.attempt), (State::Available, 0));
    assert!(world.memory.workers(asked).await.unwrap().is_empty(), "it said goodbye");
}

#[tokio::test(start_paused = true)]
async fn past_the_grace_jobs_are_given_back_uncharged() {
    let world = World::new();
    let hangs = world.enqueue("hang").await;
    let heeds = world.enqueue("heed").await;
    // Gives up when told to stop: that does not mean that nobody wants the job.
    let yields = world.enqueue("yield").await;
    let engine = world.start(World::settings("a"));
    for id in [hangs, heeds, yields] {
        world.until(id, State::Running).await;
    }
    let asked = world.clock.now();
    engine.drain();
    let report = engine.finished().await;
    assert_eq!((report.ended, report.interrupted), (Ended::Drained, 3));
    let took = world.since(asked);
    assert!((25.0..28.0).contains(&took), "{took}");
    for id in [hangs, heeds, yields] {
        let record = world.record(id).await;
        assert_eq!((record.state, record.attempt, record.crashes), (State::Available, 0, 0));
        assert!(record.errors.is_empty());
    }
    assert!(world.seen.told.lock().unwrap().contains(&heeds));
}

#[tokio::test(start_paused = true)]
async fn the_fleet_may_order_a_drain() {
    let world = World::new();
    let engine = world.start(World::settings("a"));
    let id = WorkerId::new("a");
    tokio::time::sleep(SECOND).await;
    let seen = world.memory.workers(world.clock.now() - SECOND * 10).await.unwrap();
    assert_eq!((seen[0].id.clone(), seen[0].draining), (id.clone(), false));
    assert!(world.memory.ask_drain(&id).await.unwrap());
    let asked = world.clock.now();
    assert_eq!(engine.finished().await.ended, Ended::Drained);
    assert!(world.since(asked) < 7.0);
}

#[tokio::test(start_paused = true)]
async fn a_claim_under_way_is_not_lost_to_a_drain() {
    let world = World::new();
    // The claim is done and its answer held back until after the drain began.
    world.ports.set("claim", Some(Fault::Slow));
    let id = world.enqueue("ok").await;
    let engine = world.start(World::settings("a"));
    world.until(id, State::Running).await;
    engine.drain();
    let report = engine.finished().await;
    assert_eq!((report.completed, report.interrupted), (0, 1));
    let record = world.record(id).await;
    assert_eq!((record.state, record.attempt), (State::Available, 0));
    assert!(world.seen.starts(id).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_although_the_queue_is_gone() {
    let world = World::new();
    let id = world.enqueue_as(&Free::KIND, act("ok", 1_000), |_| {}).await;
    let engine = world.start(World::settings("a"));
    world.until(id, State::Running).await;
    world.ports.set_all(Some(Fault::Hangs));
    let asked = world.clock.now();
    engine.drain();
    assert_eq!(engine.finished().await.ended, Ended::Drained);
    assert!(world.since(asked) < 60.0);
    // Nothing is lost: the job is rescued and runs again.
    world.ports.set_all(None);
    let _other = world.start(World::settings("b"));
    world.until(id, State::Completed).await;
}
