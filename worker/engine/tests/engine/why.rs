//! `why` says for a job in any state what it waits for, and people can change it.

use flotilla_core::limit::{LimitKey, Rule};
use flotilla_core::records::{Pause, Records};
use flotilla_core::{JobId, Lane, State};
use flotilla_engine::why::{self, Sources, Why};
use flotilla_engine::{Settings, traffic};

use crate::limits::{ask, world as calling};
use crate::world::{SECOND, World, act};

async fn ask_why(world: &World, id: JobId) -> Why {
    let sources = Sources {
        records: &*world.memory,
        fleet: &*world.memory,
        cells: &*world.memory,
        registry: &world.registry,
        rules: &[],
        depth: 2,
    };
    let (record, now) = (world.record(id).await, world.clock.now());
    let facts = why::gather(&sources, &record, now).await.unwrap();
    why::why(&record, &facts, now)
}

/// Whether one of the reasons holds that text.
pub(crate) async fn says(world: &World, id: JobId, text: &str) {
    let why = ask_why(world, id).await;
    assert!(why.because.iter().any(|said| said.contains(text)), "{text}: {why:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_may_run_says_who_keeps_it() {
    let world = World::new();
    let id = world.enqueue("ok").await;
    says(&world, id, "no worker runs").await;
    let lanes = vec![Lane::from_static("other")];
    let engine = world.start(Settings { lanes, ..World::settings("a") });
    tokio::time::sleep(SECOND).await;
    says(&world, id, "none of 1 workers serves lane default").await;
    drop(engine);
    let pause = Pause { by: "ada".into(), reason: "upgrade".into(), since: world.clock.now() };
    let lane = Lane::from_static("default");
    world.memory.pause(&lane, pause).await.unwrap();
    let _engine = world.start(World::settings("b"));
    tokio::time::sleep(SECOND).await;
    says(&world, id, "paused by ada").await;
    world.memory.resume(&lane).await.unwrap();
    world.until(id, State::Completed).await;
    says(&world, id, "it is done").await;
}

#[tokio::test(start_paused = true)]
async fn every_other_state_explains_itself() {
    let world = World::new();
    let _engine = world.start(World::settings("a"));
    for (what, state, text) in [
        ("heed", State::Running, "attempt 1 runs on a"),
        ("snooze", State::Scheduled, "limit; it goes on at"),
        ("retry", State::Retryable, "attempt 1 of 3 failed (no luck); the next is at"),
        ("park", State::Parked, "parked under account:1: revoked"),
        ("fail", State::Dead, "dead letter (rejected): never"),
        ("cancel", State::Cancelled, "it was cancelled: moot"),
    ] {
        let id = world.enqueue_as(&"free".parse().unwrap(), act(what, 0), |_| {}).await;
        world.until(id, state).await;
        says(&world, id, text).await;
    }
}

#[tokio::test(start_paused = true)]
async fn limits_and_breakers_explain_themselves_and_can_be_set() {
    let (world, _api) = calling();
    let (cells, clock) = (&*world.memory, &*world.clock);
    let _engine = world.start(World::settings("a"));
    let rule = Rule::new("api/*", &["2/hour"]).unwrap();
    traffic::set_rule(cells, clock, &rule).await.unwrap();
    tokio::time::sleep(SECOND * 2).await;
    let jobs = ask(&world, "a", 10, 3).await;
    tokio::time::sleep(SECOND * 3).await;
    let mut late = jobs.clone();
    for id in jobs {
        if world.record(id).await.state == State::Completed {
            late.retain(|other| *other != id);
        }
    }
    assert_eq!(late.len(), 2);
    says(&world, late[0], "api/a is spent (2/hour)").await;
    says(&world, late[0], "the next free moment is").await;
    assert!(ask_why(&world, late[0]).await.start.is_some());
    let limits = traffic::limits(cells, &[], clock.now()).await.unwrap();
    assert_eq!((limits.len(), limits[0].key.as_str()), (1, "api/a"));
    assert!(traffic::unset_rule(cells, clock, "api/*").await.unwrap());
    assert!(traffic::rules(cells, &[], clock.now()).await.unwrap().is_empty());

    let key = LimitKey::of(&["api", "b"]);
    traffic::open_breaker(cells, clock, &key, "ada", "maintenance", None).await.unwrap();
    tokio::time::sleep(SECOND * 2).await;
    let parked = ask(&world, "b", 10, 2).await;
    world.until(parked[0], State::Parked).await;
    says(&world, parked[0], "by ada: maintenance; until a person closes it").await;
    assert!(traffic::close_breaker(cells, clock, &key, "ada", "it is over").await.unwrap());
    for id in parked {
        world.until(id, State::Completed).await;
    }
    let stands = traffic::breakers(cells, clock.now()).await.unwrap();
    assert!(stands[0].stand.to_string().contains("closed since"));
}
