//! Irreversible calls happen once, whatever crashes when.
//!
//! The stand-in platform publishes what reaches it, even when whoever sent it is gone, and drops
//! a third of its answers. It takes no idempotency key, like the real ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_core::effect::{ReadBack, SendError};
use flotilla_core::handler::{Handler, JobContext};
use flotilla_core::{
    DeadClass, Envelope, Job, JobError, JobId, Kind, Payload, Policy, Rng, SeededRng, State,
};
use flotilla_engine::Settings;
use flotilla_engine::found::{self, Found, Word};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::world::{Fault, SECOND, World};

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Publish {
    /// Whether the platform can be asked.
    readable: bool,
}

impl Job for Publish {
    const KIND: Kind = Kind::from_static("test.publish");
    type Output = u64;

    fn policy() -> Policy {
        Policy { max_attempts: 1_000_000, timeout: Duration::from_secs(600), ..Policy::default() }
    }
}

#[derive(Debug)]
pub(crate) struct Platform {
    posts: Mutex<BTreeMap<JobId, u64>>,
    prepared: Mutex<BTreeMap<JobId, u64>>,
    rng: SeededRng,
}

impl Platform {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let (posts, prepared) = Default::default();
        Arc::new(Self { posts, prepared, rng: SeededRng::new(seed) })
    }

    pub(crate) fn posts(&self, id: JobId) -> u64 {
        self.posts.lock().unwrap().get(&id).copied().unwrap_or_default()
    }

    async fn pause(&self, most: f64) {
        tokio::time::sleep(Duration::from_secs_f64(most * self.rng.unit())).await;
    }

    /// The call travels, takes effect, and the answer travels back or is dropped.
    async fn publish(self: Arc<Self>, id: JobId) -> Result<u64, SendError> {
        self.pause(2.0).await;
        let there = Arc::clone(&self);
        let arrived = tokio::spawn(async move {
            there.pause(5.0).await;
            *there.posts.lock().unwrap().entry(id).or_default() += 1;
        });
        let _ = arrived.await;
        self.pause(2.0).await;
        if self.rng.unit() < 1.0 / 3.0 {
            return Err(SendError::Unsure("connection reset by peer".into()));
        }
        Ok(1)
    }

    async fn read_back(self: Arc<Self>, id: JobId) -> Result<ReadBack<u64>, JobError> {
        self.pause(1.0).await;
        if self.rng.unit() < 0.1 {
            return Ok(ReadBack::NotYet);
        }
        Ok(if self.posts(id) > 0 { ReadBack::Happened(1) } else { ReadBack::DidNot })
    }
}

pub(crate) struct Publisher(pub(crate) Arc<Platform>);

impl Handler<Publish> for Publisher {
    async fn run(&self, job: Publish, cx: &JobContext) -> Result<u64, JobError> {
        let (platform, id) = (&self.0, cx.id);
        let prepare = || async {
            platform.pause(1.0).await;
            *platform.prepared.lock().unwrap().entry(id).or_default() += 1;
            Ok(7_u64)
        };
        assert_eq!(cx.once("container", prepare).await?, 7);
        let effect = cx.effect("publish", "page:1", || Arc::clone(platform).publish(id));
        let published = if job.readable {
            effect.verify(|| Arc::clone(platform).read_back(id)).await?
        } else {
            effect.await?
        };
        platform.pause(2.0).await;
        Ok(published)
    }
}

fn world(seed: u64) -> (World, Arc<Platform>) {
    let platform = Platform::new(seed);
    let publisher = Publisher(Arc::clone(&platform));
    let world = World::with(|registry, _| registry.register::<Publish, _>(publisher).unwrap());
    (world, platform)
}

pub(crate) async fn enqueue(world: &World, readable: bool) -> JobId {
    let envelope = Envelope {
        kind: Some(Publish::KIND),
        payload: Payload::of(&Publish { readable }).unwrap(),
        ..Envelope::default()
    };
    world.ops.enqueue(vec![envelope]).await.unwrap()[0].id
}

fn settings(n: u64) -> Settings {
    let name = format!("w{n}");
    Settings { concurrency: 8, poison_after: 1_000_000, ..World::settings(&name) }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_kills_around_a_publish_double_and_lose_nothing() {
    let (world, platform) = world(11);
    let dice = SeededRng::new(5);
    let mut jobs = Vec::new();
    for n in 0..1000 {
        if n % 4 == 0 {
            jobs.push((enqueue(&world, n % 5 != 0).await, n % 5 != 0));
        }
        let engine = world.start(settings(n));
        tokio::time::sleep(Duration::from_secs_f64(6.0 * dice.unit())).await;
        drop(engine);
        // Somebody else comes after the lease has run out, or at once.
        if dice.unit() < 0.7 {
            tokio::time::sleep(SECOND * 16).await;
        }
    }
    let _engine = world.start(settings(1000));
    let mut unknown = 0;
    for (id, readable) in jobs {
        let record = world.until_record(id, |record| record.state.is_finished()).await;
        let posts = platform.posts(id);
        if readable {
            assert_eq!((record.state, posts), (State::Completed, 1), "{record:#?}");
        } else if record.state == State::Completed {
            assert_eq!(posts, 1);
        } else {
            assert_eq!(record.class, Some(DeadClass::OutcomeUnknown), "{record:#?}");
            assert!(posts <= 1);
            unknown += 1;
        }
    }
    assert!(unknown > 20, "what cannot be read back surfaces: {unknown}");
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_does_not_answer_costs_no_attempt_and_doubles_nothing() {
    let (world, platform) = world(3);
    world.ports.set("cells.write", Some(Fault::Deaf));
    let id = enqueue(&world, true).await;
    let _engine = world.start(World::settings("a"));
    tokio::time::sleep(SECOND * 120).await;
    assert!(platform.posts(id) <= 1);
    world.ports.set("cells.write", None);
    world.ports.set("cells.read", Some(Fault::Down));
    tokio::time::sleep(SECOND * 60).await;
    assert_eq!(world.record(id).await.errors.len(), 0);
    world.ports.set("cells.read", None);
    let record = world.until(id, State::Completed).await;
    assert_eq!((platform.posts(id), record.attempt), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_step_that_was_kept_is_not_run_again() {
    let (world, platform) = world(2);
    let jobs = [enqueue(&world, true).await, enqueue(&world, true).await];
    let _engine = world.start(World::settings("a"));
    for id in jobs {
        world.until(id, State::Completed).await;
        assert_eq!(platform.prepared.lock().unwrap()[&id], 1);
    }
}

/// A dead letter of unknown outcome, and what its platform holds of it.
async fn unknown(world: &World, platform: &Platform, happened: bool) -> JobId {
    loop {
        let id = enqueue(world, false).await;
        let engine = world.start(World::settings("a"));
        let record = world.until_record(id, |record| record.state.is_finished()).await;
        drop(engine);
        if record.class == Some(DeadClass::OutcomeUnknown) {
            assert_eq!(platform.posts(id), 1, "it arrived, and the answer was dropped");
            if !happened {
                platform.posts.lock().unwrap().remove(&id); // it was taken down
            }
            return id;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_person_found_goes_into_the_ledger_before_the_job_goes_on() {
    let (world, platform) = world(4);
    for (happened, found) in [(true, Found::Did(1.into())), (false, Found::DidNot)] {
        let id = unknown(&world, &platform, happened).await;
        let (memory, word) = (&*world.memory, Word { found, by: "ann".into() });
        let record = world.record(id).await;
        assert_eq!(found::open_effects(memory, id, world.clock.now()).await.unwrap().len(), 1);
        let replay = || found::replay(memory, memory, &world.ops, &record, &word);
        let new = replay().await.unwrap();
        assert_eq!(replay().await.unwrap(), new, "saying it twice changes nothing");
        let engine = world.start(World::settings("a"));
        let ended = world.until_record(new, |record| record.state.is_finished()).await;
        drop(engine);
        if happened {
            assert_eq!((ended.state, platform.posts(new)), (State::Completed, 0), "not again");
        } else {
            assert_eq!(platform.posts(new), 1, "made once");
        }
        assert!(!platform.prepared.lock().unwrap().contains_key(&new), "steps are inherited");
        let old = world.record(id).await;
        assert_eq!(old.state, State::Cancelled);
        assert!(old.reason.unwrap().contains("ann found"), "who and what is on record");
        assert_eq!(ended.extra["replay_of"]["job"], id.to_string());
        let again = found::replay(memory, memory, &world.ops, &world.record(id).await, &word).await;
        assert!(again.is_err(), "it is no dead letter any more");
    }
}
