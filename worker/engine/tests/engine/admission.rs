//! Who may run: slots, kinds with a cap of their own, lanes, pauses.

use flotilla_core::clock::between;
use flotilla_core::records::{Filter, Pause, Records};
use flotilla_core::{Job, Lane, State};
use flotilla_engine::{Ended, Settings};

use crate::world::{Aside, Free, SECOND, Tight, World, act};

#[tokio::test(start_paused = true)]
async fn neither_the_slots_nor_the_cap_of_a_kind_are_ever_exceeded() {
    let world = World::new();
    for n in 0..60 {
        world.enqueue_as(&Free::KIND, act("ok", 5 + n % 7), |_| {}).await;
        world.enqueue_as(&Tight::KIND, act("ok", 3 + n % 5), |_| {}).await;
    }
    let settings = Settings { concurrency: 6, until_idle: true, ..World::settings("a") };
    let report = world.start(settings).finished().await;
    assert_eq!((report.ended, report.completed), (Ended::Idle, 120));
    assert_eq!(world.seen.peak(&Tight::KIND), 2);
    assert!(world.seen.peak(&Free::KIND) <= 6);
    assert!(world.seen.peak(&Free::KIND) >= 4, "the other slots are used");
}

#[tokio::test(start_paused = true)]
async fn a_kind_at_its_cap_does_not_stall_the_others_of_its_lane() {
    let world = World::new();
    for _ in 0..50 {
        world.enqueue_as(&Tight::KIND, act("ok", 30_000), |_| {}).await;
    }
    let free = world.enqueue("ok").await;
    let engine = world.start(Settings { concurrency: 4, ..World::settings("a") });
    let record = world.until(free, State::Completed).await;
    let waited = between(record.enqueued_at, world.seen.starts(free)[0]);
    assert!(waited < SECOND, "{waited:?}");
    let filter = Filter { states: vec![State::Running], ..Filter::default() };
    assert_eq!(world.memory.count(&filter).await.unwrap(), 2, "no more are held than may run");
    engine.stop_now();
}

#[tokio::test(start_paused = true)]
async fn one_slot_serves_all_lanes_and_all_kinds() {
    let world = World::new();
    for _ in 0..20 {
        world.enqueue_as(&Free::KIND, act("ok", 0), |_| {}).await;
        world.enqueue_as(&Tight::KIND, act("ok", 1), |_| {}).await;
        world.enqueue_as(&Aside::KIND, act("ok", 2), |_| {}).await;
    }
    let settings = Settings {
        concurrency: 1,
        batch: 1,
        cpu_slots: 1,
        until_idle: true,
        ..World::settings("a")
    };
    let report = world.start(settings).finished().await;
    assert_eq!(report.completed, 60);
}

#[tokio::test(start_paused = true)]
async fn a_busy_slot_does_not_keep_another_lane_waiting() {
    let world = World::new();
    world.enqueue("hang").await;
    let engine = world.start(Settings { concurrency: 2, ..World::settings("a") });
    world.until_record(world.enqueue("ok").await, |r| r.state == State::Completed).await;
    for _ in 0..5 {
        let begin = world.clock.now();
        let id = world.enqueue_as(&Aside::KIND, act("ok", 0), |_| {}).await;
        world.until(id, State::Completed).await;
        assert!(world.since(begin) < 0.1, "a wake leads to the lane that has the job");
    }
    engine.stop_now();
}

#[tokio::test(start_paused = true)]
async fn lanes_are_served_when_named_and_left_alone_when_paused() {
    let world = World::new();
    let custom = Lane::from_static("custom");
    let elsewhere =
        world.enqueue_as(&Free::KIND, act("ok", 0), |e| e.lane = Some(custom.clone())).await;
    let own = world.enqueue("ok").await;
    let default = world.start(Settings { until_idle: true, ..World::settings("a") });
    assert_eq!(default.finished().await.completed, 1);
    assert_eq!(world.record(own).await.state, State::Completed);
    assert_eq!(world.record(elsewhere).await.state, State::Available);

    let since = world.clock.now();
    let pause = Pause { by: "test".into(), reason: "quiet".into(), since };
    world.memory.pause(&custom, pause).await.unwrap();
    let settings = Settings { lanes: vec![custom.clone()], ..World::settings("b") };
    let engine = world.start(settings);
    tokio::time::sleep(SECOND * 60).await;
    assert_eq!(world.record(elsewhere).await.state, State::Available);
    world.memory.resume(&custom).await.unwrap();
    world.until(elsewhere, State::Completed).await;
    engine.stop_now();
}

#[tokio::test(start_paused = true)]
async fn jobs_held_ahead_are_given_back_when_the_slots_fill_with_long_ones() {
    let world = World::new();
    for _ in 0..400 {
        world.enqueue("ok").await;
    }
    let engine = world.start(Settings { concurrency: 2, batch: 32, ..World::settings("a") });
    let last = world.enqueue("ok").await;
    world.until(last, State::Completed).await;
    // Short so far: now two long jobs come with many others behind them.
    for _ in 0..2 {
        world.enqueue_as(&Free::KIND, act("ok", 50_000), |_| {}).await;
    }
    let mut behind = Vec::new();
    for _ in 0..20 {
        behind.push(world.enqueue("ok").await);
    }
    tokio::time::sleep(SECOND * 3).await;
    let filter = Filter { states: vec![State::Running], ..Filter::default() };
    assert_eq!(world.memory.count(&filter).await.unwrap(), 2);
    let other = world.start(World::settings("b"));
    for id in behind {
        let record = world.until(id, State::Completed).await;
        assert_eq!(record.attempt, 1, "giving back is free");
    }
    engine.stop_now();
    other.stop_now();
}
