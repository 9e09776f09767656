//! Leases: kept, lost, run out; crashes, rescue and quarantine.

use std::sync::atomic::Ordering;

use flotilla_core::clock::after;
use flotilla_core::queue::{HousekeepPolicy, Queue};
use flotilla_core::{DeadClass, Job, State};
use flotilla_engine::{Ended, Settings};

use crate::world::{Fault, Free, SECOND, World, act};

#[tokio::test(start_paused = true)]
async fn a_job_longer_than_its_lease_runs_once() {
    let world = World::new();
    let id = world.enqueue_as(&Free::KIND, act("ok", 50_000), |_| {}).await;
    let first = world.start(World::settings("a"));
    let second = world.start(World::settings("b"));
    let record = world.until(id, State::Completed).await;
    assert_eq!((record.attempt, record.crashes), (1, 0));
    assert_eq!(world.seen.starts(id).len(), 1);
    first.stop_now();
    second.stop_now();
}

#[tokio::test(start_paused = true)]
async fn the_jobs_of_a_crashed_worker_run_again_soon_after_their_lease() {
    let world = World::new();
    let id = world.enqueue_as(&Free::KIND, act("ok", 5_000), |_| {}).await;
    let first = world.start(World::settings("a"));
    world.until(id, State::Running).await;
    let claimed = world.clock.now();
    drop(first);
    let second = world.start(World::settings("b"));
    let record = world.until(id, State::Completed).await;
    assert_eq!((record.attempt, record.crashes), (2, 1), "a crash is charged");
    assert_eq!(record.worker.unwrap().as_str(), "b");
    let begun = flotilla_core::clock::between(claimed, world.seen.starts(id)[1]);
    assert!(begun >= SECOND * 14 && begun <= SECOND * 20, "{begun:?}");
    second.stop_now();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_its_worker_down_twice_is_quarantined() {
    let world = World::new();
    let id = world.enqueue("hang").await;
    let later = after(world.clock.now(), SECOND * 40);
    let good = world.enqueue_as(&Free::KIND, act("ok", 0), |e| e.run_at = Some(later)).await;
    for n in 0..2 {
        let worker = world.start(World::settings(&format!("victim-{n}")));
        world.until_record(id, |_| world.seen.starts(id).len() == n + 1).await;
        drop(worker);
    }
    let _survivor = world.start(World::settings("survivor"));
    let record = world.until(id, State::Dead).await;
    assert_eq!(record.class, Some(DeadClass::Poison));
    world.until(good, State::Completed).await;
    assert_eq!(world.seen.starts(id).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_lease_is_lost_is_stopped_and_its_result_ignored() {
    let world = World::new();
    let id = world.enqueue_as(&Free::KIND, act("ok", 20_000), |_| {}).await;
    let first = world.start(Settings { concurrency: 1, ..World::settings("a") });
    world.until(id, State::Running).await;
    // Somebody with a clock far ahead rescues the job and takes it.
    let future = after(world.clock.now(), SECOND * 60);
    let policy = HousekeepPolicy { poison_after: 5, keep_dead: SECOND, batch: 10 };
    assert_eq!(world.memory.housekeep(&policy, future).await.unwrap().rescued, 1);
    let second = world.start(World::settings("b"));
    world.until_record(id, |_| world.seen.over.load(Ordering::SeqCst) == 1).await;
    first.drain();
    let report = first.finished().await;
    assert_eq!((report.completed, report.lost), (0, 1));
    let record = world.until(id, State::Completed).await;
    assert_eq!(record.worker.unwrap().as_str(), "b");
    second.stop_now();
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_lease_cannot_be_extended_is_stopped_before_a_successor_starts() {
    for fault in [Fault::Down, Fault::Hangs] {
        let world = World::new();
        let id = world.enqueue("hang").await;
        let first = world.start(World::settings("a"));
        world.until(id, State::Running).await;
        let begun = world.clock.now();
        world.ports.set("extend", Some(fault));
        world.ports.set("settle", Some(Fault::Down));
        let wait = async {
            while world.seen.over.load(Ordering::SeqCst) == 0 {
                tokio::time::sleep(SECOND / 20).await;
            }
        };
        tokio::time::timeout(SECOND * 100, wait).await.unwrap();
        let ended = world.since(begun);
        assert!(ended < 15.0, "{fault:?}: ran for {ended} s on a lease of 15 s");
        assert_eq!(world.record(id).await.state, State::Running, "nobody else has it yet");
        // Given back as soon as the queue answers: the worker was not at fault, nor was the job.
        world.ports.set_all(None);
        let record = world.until_record(id, |r| r.attempt == 1 && r.crashes == 0).await;
        assert_ne!(record.state, State::Dead);
        first.stop_now();
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_at_once_loses_nothing() {
    let world = World::new();
    let mut ids = Vec::new();
    for n in 0..30 {
        ids.push(world.enqueue_as(&Free::KIND, act("ok", n * 200), |_| {}).await);
    }
    let first = world.start(Settings { concurrency: 8, ..World::settings("a") });
    world.until(ids[3], State::Completed).await;
    first.stop_now();
    assert_eq!(first.finished().await.ended, Ended::Stopped);
    let _second = world.start(World::settings("b"));
    for id in ids {
        world.until(id, State::Completed).await;
    }
}
