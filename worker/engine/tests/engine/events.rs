//! Ends are told to whoever subscribed: once each, in order, however often somebody tries.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_core::event::{self, DELIVER, EventType, Events, Subscriber};
use flotilla_core::handler::{Handler, JobContext};
use flotilla_core::records::{Filter, Records};
use flotilla_core::{Job, JobError, Kind, Outbox, State};
use flotilla_engine::{Ended, Running, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::world::{Act, Fault, Free, SECOND, World, act};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Deliver(event::Delivery);

impl Job for Deliver {
    const KIND: Kind = DELIVER;
    type Output = ();
}

/// Subscriber, type and subject of what was delivered.
type Heard = Arc<Mutex<Vec<(String, String, String)>>>;

struct Ear(Heard);

impl Handler<Deliver> for Ear {
    async fn run(&self, job: Deliver, _: &JobContext) -> Result<(), JobError> {
        for event in job.0.events().cloned() {
            let subject = event.subject.unwrap_or_default();
            self.0.lock().unwrap().push((job.0.subscriber.clone(), event.kind, subject));
        }
        Ok(())
    }
}

fn world() -> (World, Heard) {
    let heard = Heard::default();
    let ear = Ear(Arc::clone(&heard));
    let world = World::with(|registry, _| registry.register::<Deliver, _>(ear).unwrap());
    (world, heard)
}

fn subscriber(name: &str, types: &[EventType]) -> Subscriber {
    Subscriber { name: name.into(), types: types.to_vec(), ..Subscriber::default() }
}

fn settings(name: &str, subscribers: Vec<Subscriber>) -> Settings {
    let events = Events { batch: 4, subscribers, ..Events::default() };
    Settings { events, ..World::settings(name) }
}

/// Waits until nothing is untold and no delivery is under way.
async fn all_told(world: &World) {
    let states = State::ALL.into_iter().filter(|state| !state.is_finished()).collect();
    let pending = Filter { kinds: vec![DELIVER], states, ..Filter::default() };
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let untold = world.memory.untold(1).await.unwrap();
        if untold.is_empty() && world.memory.count(&pending).await.unwrap() == 0 {
            return;
        }
    }
    panic!("not all was told");
}

#[tokio::test(start_paused = true)]
async fn every_end_is_told_once_to_each_subscriber_although_two_workers_tell() {
    let (world, heard) = world();
    let mut jobs = Vec::new();
    for what in ["ok", "fail", "cancel", "ok", "retry"].repeat(4) {
        jobs.push(world.enqueue_as(&Free::KIND, act(what, 10), |_| {}).await);
    }
    let subscribers = || vec![subscriber("a", &[]), subscriber("b", &[EventType::Dead])];
    let _engines: Vec<Running> =
        ["w1", "w2"].iter().map(|name| world.start(settings(name, subscribers()))).collect();
    for id in &jobs {
        world.until_record(*id, |record| record.state.is_finished()).await;
    }
    all_told(&world).await;
    let heard = heard.lock().unwrap().clone();
    let of = |name: &str| heard.iter().filter(|(who, ..)| who == name).collect::<Vec<_>>();
    assert_eq!((of("a").len(), of("b").len()), (20, 8), "{heard:#?}");
    for id in &jobs {
        let subject = id.to_string();
        assert_eq!(of("a").iter().filter(|(.., job)| *job == subject).count(), 1);
    }
    assert!(of("b").iter().all(|(_, what, _)| what == "flotilla.job.dead"));
}

#[tokio::test(start_paused = true)]
async fn an_outbox_that_fails_or_forgets_loses_and_repeats_nothing() {
    let (world, heard) = world();
    world.ports.set("told", Some(Fault::Down));
    let _engine = world.start(settings("a", vec![subscriber("a", &[])]));
    let id = world.enqueue("ok").await;
    world.until(id, State::Completed).await;
    tokio::time::sleep(SECOND * 20).await;
    assert_eq!(heard.lock().unwrap().len(), 1, "told again and again, delivered once");
    world.ports.set("told", None);
    world.ports.set("untold", Some(Fault::Down));
    let late = world.enqueue("ok").await;
    world.until(late, State::Completed).await;
    tokio::time::sleep(SECOND * 20).await;
    assert_eq!(heard.lock().unwrap().len(), 1);
    world.ports.set("untold", None);
    all_told(&world).await;
    assert_eq!(heard.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn failures_and_progress_are_told_to_those_who_ask() {
    let (world, heard) = world();
    let types = [EventType::Failed, EventType::Progress];
    let engine = world.start(settings("a", vec![subscriber("a", &types)]));
    let flaky = Act { act: "flaky".into(), ms: 0, from: 2 };
    let flaky = world.enqueue_as(&Free::KIND, flaky, |_| {}).await;
    let heed = world.enqueue("heed").await;
    world.until(flaky, State::Completed).await;
    tokio::time::sleep(SECOND * 10).await;
    world.memory.cancel(&[heed], "enough", world.clock.now()).await.unwrap();
    world.until(heed, State::Cancelled).await;
    all_told(&world).await;
    let heard = heard.lock().unwrap().clone();
    let told: Vec<_> = heard.iter().map(|(_, what, job)| (what.as_str(), job.clone())).collect();
    assert!(told.contains(&("flotilla.job.failed", flaky.to_string())), "{told:?}");
    assert!(told.contains(&("flotilla.job.progress", heed.to_string())), "{told:?}");
    assert_eq!(told.len(), 2, "the ends were not asked for: {told:?}");
    drop(engine);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_runs_until_idle_has_told_everything() {
    let (world, heard) = world();
    for _ in 0..10 {
        world.enqueue("ok").await;
    }
    let settings = Settings { until_idle: true, ..settings("a", vec![subscriber("a", &[])]) };
    let report = world.start(settings).finished().await;
    assert_eq!(report.ended, Ended::Idle);
    assert!((11..=20).contains(&report.completed), "several travel together: {report:?}");
    assert_eq!(heard.lock().unwrap().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn several_ends_are_one_delivery_and_two_workers_do_not_split_them() {
    let (world, heard) = world();
    for _ in 0..40 {
        world.enqueue("ok").await;
    }
    let subscribers = || vec![subscriber("a", &[])];
    let _engines: Vec<Running> =
        ["w1", "w2"].iter().map(|name| world.start(settings(name, subscribers()))).collect();
    tokio::time::sleep(SECOND).await;
    all_told(&world).await;
    assert_eq!(heard.lock().unwrap().len(), 40, "each once");
    let deliveries = Filter { kinds: vec![DELIVER], ..Filter::default() };
    let made = world.memory.count(&deliveries).await.unwrap();
    assert!((10..40).contains(&made), "{made} deliveries of at most 4 events");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_fell_while_it_told_is_followed_by_another() {
    let (world, heard) = world();
    world.ports.set("told", Some(Fault::Down)); // it holds the baton and gets no further
    let first = world.start(settings("a", vec![subscriber("a", &[])]));
    let id = world.enqueue("ok").await;
    world.until(id, State::Completed).await;
    tokio::time::sleep(SECOND * 2).await;
    drop(first);
    world.ports.set("told", None);
    let _second = world.start(settings("b", vec![subscriber("a", &[])]));
    let late = world.enqueue("ok").await;
    world.until(late, State::Completed).await;
    all_told(&world).await;
    let told: Vec<_> = heard.lock().unwrap().iter().map(|(.., job)| job.clone()).collect();
    assert!(told.contains(&id.to_string()) && told.contains(&late.to_string()), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn ends_that_nobody_is_subscribed_to_any_more_are_let_go() {
    let (world, heard) = world();
    let events = Events { unheard: SECOND * 3600, ..Events::default() };
    // The backend still marks ends.
    let engine = world.start(Settings { events, ..World::settings("a") });
    let id = world.enqueue("ok").await;
    world.until(id, State::Completed).await;
    tokio::time::sleep(SECOND * 3500).await;
    assert_eq!(world.memory.untold(10).await.unwrap().len(), 1, "somebody may come yet");
    tokio::time::sleep(SECOND * 1000).await;
    assert!(world.memory.untold(10).await.unwrap().is_empty());
    assert!(heard.lock().unwrap().is_empty());
    drop(engine);
}

#[tokio::test(start_paused = true)]
async fn subscribers_without_a_kind_that_carries_events_are_refused() {
    let world = World::new();
    let error = world.try_start(settings("a", vec![subscriber("a", &[])])).unwrap_err();
    assert!(error.to_string().contains("event.deliver"), "{error}");
}
