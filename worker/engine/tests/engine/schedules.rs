//! Jobs by the clock: fired once by several workers, and what is missed while none runs.

use flotilla_core::clock::{after, before};
use flotilla_core::fleet::Fleet;
use flotilla_core::records::{Filter, Page, Records};
use flotilla_core::{Job, JobId, Payload, State};
use flotilla_engine::{Missed, ScheduleEntry, Settings, StartError};

use crate::world::{Fault, Free, SECOND, World, act};

fn every(name: &str, cron: &str, missed: Missed) -> ScheduleEntry {
    let payload = Payload::of(&act("ok", 0)).unwrap();
    ScheduleEntry { missed, ..ScheduleEntry::new(name, cron, Free::KIND, payload) }
}

fn settings(worker: &str, entry: &ScheduleEntry) -> Settings {
    Settings { schedules: vec![entry.clone()], ..World::settings(worker) }
}

async fn made(world: &World) -> usize {
    let page = Page { limit: 1000, before: None };
    world.memory.list(&Filter::default(), page).await.unwrap().jobs.len()
}

#[tokio::test(start_paused = true)]
async fn several_workers_make_one_job_of_one_moment() {
    let world = World::new();
    let entry = every("often", "*/5 * * * *", Missed::Once);
    let begin = world.clock.now();
    let engines = ["a", "b", "c"].map(|name| world.start(settings(name, &entry)));
    tokio::time::sleep(SECOND * 1000).await;
    assert_eq!(made(&world).await, 3);
    let moment = after(begin, SECOND * 900);
    let record = world.record(JobId::derived(&format!("cron:often@{moment}"))).await;
    assert_eq!(record.state, State::Completed);
    assert!(record.enqueued_at >= moment && record.enqueued_at <= after(moment, SECOND));
    for engine in engines {
        engine.stop_now();
    }
}

#[tokio::test(start_paused = true)]
async fn missed_moments_follow_the_policy() {
    for (missed, expected) in [
        (Missed::Skip, 0),
        (Missed::Once, 1),
        (Missed::All { at_most: 4 }, 4),
        (Missed::All { at_most: 100 }, 6),
    ] {
        let world = World::new();
        let entry = every("tens", "5-55/10 * * * *", missed);
        // The last worker went away an hour ago.
        let last = before(world.clock.now(), SECOND * 3600);
        world.memory.set_last_fire("tens", last).await.unwrap();
        let engine = world.start(settings("a", &entry));
        tokio::time::sleep(SECOND * 60).await;
        assert_eq!(made(&world).await, expected, "{missed:?}");
        tokio::time::sleep(SECOND * 300).await;
        assert_eq!(made(&world).await, expected + 1, "{missed:?}: and goes on");
        engine.stop_now();
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_schedule_begins_now() {
    let world = World::new();
    let entry = every("new", "0 * * * *", Missed::All { at_most: 100 });
    let _engine = world.start(settings("a", &entry));
    tokio::time::sleep(SECOND * 600).await;
    assert_eq!(made(&world).await, 0);
    assert!(world.memory.last_fire("new").await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_schedule_outlives_a_fleet_that_is_down() {
    let world = World::new();
    let entry = every("often", "*/5 * * * *", Missed::Once);
    let _engine = world.start(settings("a", &entry));
    tokio::time::sleep(SECOND * 10).await;
    world.ports.set("fleet", Some(Fault::Down));
    world.ports.set("enqueue", Some(Fault::Deaf));
    tokio::time::sleep(SECOND * 310).await;
    world.ports.set("fleet", None);
    tokio::time::sleep(SECOND * 35).await;
    world.ports.set("enqueue", None);
    tokio::time::sleep(SECOND * 35).await;
    assert_eq!(made(&world).await, 1, "enqueued although no answer came, and only once");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_at_the_start() {
    let world = World::new();
    let good = every("good", "0 6 * * MON", Missed::Skip);
    let refused = |change: &dyn Fn(&mut ScheduleEntry)| {
        let mut entry = good.clone();
        change(&mut entry);
        let error = world.try_start(settings("a", &entry)).unwrap_err();
        assert!(matches!(error, StartError::Schedule { .. }), "{error:?}");
        error.to_string()
    };
    assert!(refused(&|e| e.cron = "61 * * * *".into()).contains("61 * * * *"));
    assert!(refused(&|e| e.zone = "Mars/Olympus".into()).contains("IANA"));
    assert!(refused(&|e| e.kind = "test.fre".parse().unwrap()).contains("test.free"));
    assert!(refused(&|e| e.payload = Payload::from_bytes("7")).contains("test.free"));
    let twice = Settings { schedules: vec![good.clone(), good.clone()], ..World::settings("a") };
    assert!(world.try_start(twice).unwrap_err().to_string().contains("another schedule"));
}
