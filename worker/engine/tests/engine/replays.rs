//! Replays as durable operations: the rate, the canary, the stop, hands on and off, and leaders
//! that vanish. Each dead letter goes back once, whatever happens.

use flotilla_core::clock::{after, between};
use flotilla_core::queue::{AttemptError, HousekeepPolicy, LaneDemand, Queue, Settlement, Verdict};
use flotilla_core::records::{Filter, Page, Records};
use flotilla_core::replay::{
    Desk, HISTORY, Operation, ReplayId, ReplayState, Request, Selection, Word,
};
use flotilla_core::{DeadClass, Job, JobId, Lane, Outbox, State, WorkerId};
use flotilla_engine::Running;
use serde_json::json;

use crate::world::{Act, Fault, Free, SECOND, World, act};

const ALL: usize = 100_000;

fn word(why: &str) -> Word {
    Word { by: "ann".into(), why: why.into() }
}

impl World {
    /// So many dead letters of this class, without an engine.
    async fn dead_letters(&self, n: usize, act: Act, class: DeadClass) -> Vec<JobId> {
        let mut ids = Vec::new();
        for _ in 0..n {
            ids.push(self.enqueue_as(&Free::KIND, act.clone(), |_| {}).await);
        }
        let lane = Lane::from_static("default");
        let demand = LaneDemand { lane, slots: n, kinds: vec![Free::KIND] };
        let (me, now) = (WorkerId::new("before"), self.clock.now());
        let claimed = self.memory.claim(&[demand], &me, SECOND * 60, now).await.unwrap().jobs;
        assert_eq!(claimed.len(), n);
        let settle = claimed.iter().map(|job| Settlement {
            held: job.held.clone(),
            verdict: Verdict::Dead {
                class,
                error: AttemptError {
                    attempt: 1,
                    at: now,
                    worker: me.clone(),
                    error: format!("no luck with {}", job.held.id),
                },
                keep_until: after(now, SECOND * 1_000_000),
            },
        });
        for batch in settle.collect::<Vec<_>>().chunks(500) {
            self.memory.settle(batch, now).await.unwrap();
        }
        ids.sort(); // of one millisecond, which is oldest is chance
        ids
    }

    fn desk(&self) -> Desk<'_> {
        Desk::new(&*self.memory)
    }

    async fn replay(&self, request: &Request) -> ReplayId {
        let now = self.clock.now();
        let id = ReplayId::new(now, &*self.ops.rng);
        self.desk().create(request, id, now).await.unwrap().id
    }

    async fn operation(&self, id: ReplayId) -> Operation {
        self.desk().get(id, self.clock.now()).await.unwrap().expect("it is there").operation
    }

    async fn until_replay(&self, id: ReplayId, is: impl Fn(&Operation) -> bool) -> Operation {
        for _ in 0..200_000 {
            let operation = self.operation(id).await;
            if is(&operation) {
                return operation;
            }
            tokio::time::sleep(SECOND / 10).await;
        }
        panic!("never came about: {:#?}", self.operation(id).await);
    }

    async fn until_state(&self, id: ReplayId, state: ReplayState) -> Operation {
        self.until_replay(id, |operation| operation.state == state).await
    }

    async fn in_state(&self, state: State) -> u64 {
        let filter = Filter { states: vec![state], ..Filter::default() };
        self.memory.count(&filter).await.unwrap()
    }

    /// Every job ran once, and bears the mark of the operation once.
    async fn once(&self, id: ReplayId, ids: &[JobId]) {
        for job in ids {
            assert_eq!(self.seen.starts(*job).len(), 1, "{job}");
            let record = self.record(*job).await;
            let marks = record.extra[HISTORY].as_array().unwrap().clone();
            assert_eq!(marks.len(), 1, "{marks:?}");
            assert_eq!(marks[0]["of"], id.mark());
        }
    }

    /// The starts of these jobs, in seconds after the first, in order.
    fn times(&self, ids: &[JobId]) -> Vec<f64> {
        let mut all: Vec<_> = ids.iter().flat_map(|id| self.seen.starts(*id)).collect();
        all.sort();
        all.iter().map(|at| between(all[0], *at).as_secs_f64()).collect()
    }
}

fn at(rate: f64) -> Request {
    Request { rate: Some(rate), by: "ann".into(), reason: "mended".into(), ..Request::default() }
}

fn start(world: &World, name: &str) -> Running {
    world.start(World::settings(name))
}

#[tokio::test(start_paused = true)]
async fn dead_letters_go_back_at_the_rate_that_was_asked_for_the_oldest_first() {
    let world = World::new();
    let ids = world.dead_letters(1200, act("ok", 0), DeadClass::Exhausted).await;
    let _engine = start(&world, "a");
    let id = world.replay(&at(40.0)).await;
    let done = world.until_state(id, ReplayState::Done).await;
    let counts = &done.counts;
    assert_eq!((counts.replayed, counts.succeeded, counts.failed), (1200, 1200, 0));
    assert_eq!((done.plan.letters, done.plan.chunks, counts.open()), (1200, 3, 0));
    world.once(id, &ids).await;
    let times = world.times(&ids);
    let took = times.last().unwrap();
    assert!((28.5..=31.5).contains(took), "1200 at 40 a second took {took} s");
    // In each stretch of five seconds, too.
    for from in 0..5 {
        let (from, to) = (f64::from(from * 5), f64::from(from * 5 + 5));
        let n = times.iter().filter(|t| (from..to).contains(*t)).count();
        assert!((185..=215).contains(&n), "{n} between {from} and {to}");
    }
    let (first, last) = (world.seen.starts(ids[0])[0], world.seen.starts(ids[1199])[0]);
    assert!(first < last);
    let metrics = prometheus::TextEncoder::new();
    let metrics = metrics.encode_to_string(&world.metrics.lock().unwrap().gather()).unwrap();
    assert!(metrics.contains("flotilla_replay_letters_total{what=\"replayed\"} 1200"), "{metrics}");
    // Nothing of it is left but the operation, which keeps the counts.
    let now = world.clock.now();
    assert!(world.desk().active(now).await.unwrap().is_empty());
    assert!(world.desk().chunk(id, 0, now).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn without_a_rate_all_go_at_once_and_a_ramp_begins_slowly() {
    let world = World::new();
    let ids = world.dead_letters(700, act("ok", 0), DeadClass::Exhausted).await;
    let _engine = start(&world, "a");
    let first = Request { limit: Some(300), ..Request::default() };
    let id = world.replay(&first).await;
    let done = world.until_state(id, ReplayState::Done).await;
    assert_eq!((done.counts.replayed, world.in_state(State::Dead).await), (300, 400));
    world.once(id, &ids[400..]).await; // the newest
    let ramp = world.replay(&Request { ramp_seconds: 20, ..at(20.0) }).await;
    world.until_state(ramp, ReplayState::Done).await;
    let times = world.times(&ids[..400]);
    let early = times.iter().filter(|t| **t < 10.0).count();
    assert!((25..=80).contains(&early), "{early} in the first half of the ramp");
    let took = times.last().unwrap();
    assert!((27.0..=31.5).contains(took), "200 on the ramp, 200 at 20 a second: {took} s");
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_fails_stops_it_and_a_person_may_overrule_that() {
    let world = World::new();
    world.dead_letters(60, act("fail", 0), DeadClass::Exhausted).await;
    let _engine = start(&world, "a");
    let id = world.replay(&Request { canary: 5, ..at(100.0) }).await;
    let stopped = world.until_state(id, ReplayState::Stopped).await;
    assert_eq!((stopped.counts.replayed, stopped.counts.failed), (5, 5));
    assert!(stopped.steps.last().unwrap().why.contains("5 of 5 failed"));
    tokio::time::sleep(SECOND * 60).await;
    assert_eq!(world.operation(id).await.counts.replayed, 5, "it stays stopped");
    world.desk().resume(id, &word("known"), world.clock.now()).await.unwrap();
    let done = world.until_state(id, ReplayState::Done).await;
    assert_eq!((done.counts.replayed, done.counts.failed), (60, 60));
    let by: Vec<&str> = done.steps.iter().map(|step| step.by.as_str()).collect();
    assert_eq!(by, ["ann", "flotilla", "flotilla", "ann", "flotilla"]);
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_holds_lets_the_rest_go() {
    let world = World::new();
    let ids = world.dead_letters(60, act("ok", 5000), DeadClass::Exhausted).await;
    let _engine = start(&world, "a");
    let id = world.replay(&Request { canary: 3, ..at(1000.0) }).await;
    let canary = world.until_replay(id, |operation| operation.counts.replayed > 0).await;
    assert_eq!((canary.state, canary.counts.replayed), (ReplayState::Canary, 3));
    tokio::time::sleep(SECOND * 3).await;
    assert_eq!(world.operation(id).await.counts.replayed, 3, "the rest waits for them to end");
    let done = world.until_state(id, ReplayState::Done).await;
    assert_eq!(done.counts.succeeded, 60);
    world.once(id, &ids).await;
    assert!(ids[..3].iter().all(|job| world.seen.starts(*job)[0] < world.seen.starts(ids[3])[0]));
}

#[tokio::test(start_paused = true)]
async fn it_stops_by_itself_when_too_many_fail_or_wait_after_a_failure() {
    for what in ["fail", "patient"] {
        let world = World::new();
        world.dead_letters(100, act("ok", 0), DeadClass::Exhausted).await;
        tokio::time::sleep(SECOND).await;
        world.dead_letters(900, act(what, 0), DeadClass::Exhausted).await;
        let _engine = start(&world, "a");
        let id = world.replay(&Request { stop_at: Some(0.3), stop_after: 10, ..at(20.0) }).await;
        let stopped = world.until_state(id, ReplayState::Stopped).await;
        let Operation { counts, .. } = &stopped;
        assert!((140..=260).contains(&counts.replayed), "{what}: {counts:?}");
        assert!(stopped.steps.last().unwrap().why.contains("the bound is 30.0 %"), "{stopped:#?}");
        tokio::time::sleep(SECOND * 120).await;
        assert_eq!(world.operation(id).await.counts.replayed, counts.replayed);
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_paused_resumed_and_cancelled_at_any_time() {
    let world = World::new();
    let ids = world.dead_letters(1000, act("ok", 0), DeadClass::Exhausted).await;
    let _engines = [start(&world, "a"), start(&world, "b")];
    let id = world.replay(&at(20.0)).await;
    world.until_replay(id, |operation| operation.counts.replayed >= 100).await;
    world.desk().pause(id, &word("look"), world.clock.now()).await.unwrap();
    tokio::time::sleep(SECOND * 30).await;
    let paused = world.operation(id).await;
    assert_eq!(paused.state, ReplayState::Paused);
    assert!((100..=120).contains(&paused.counts.succeeded), "{:?}", paused.counts);
    assert_eq!(paused.counts.replayed, paused.counts.succeeded, "what went back is still seen");
    tokio::time::sleep(SECOND * 300).await;
    let before = world.operation(id).await.counts.replayed;
    assert_eq!(before, paused.counts.replayed);
    let again = world.desk().pause(id, &word("look"), world.clock.now()).await;
    assert!(again.unwrap_err().to_string().contains("is paused"));
    world.desk().resume(id, &word("fine"), world.clock.now()).await.unwrap();
    tokio::time::sleep(SECOND * 10).await;
    let after = world.operation(id).await.counts.replayed;
    assert!(
        (170..=210).contains(&(after - before)),
        "no burst after the pause: {}",
        after - before
    );
    world.desk().cancel(id, &word("enough"), world.clock.now()).await.unwrap();
    tokio::time::sleep(SECOND * 60).await;
    let over = world.operation(id).await;
    assert_eq!(over.state, ReplayState::Cancelled);
    assert_eq!(over.counts.replayed + world.in_state(State::Dead).await, 1000);
    assert_eq!(over.counts.succeeded, over.counts.replayed);
    let ran = ids.iter().filter(|job| world.seen.starts(**job).len() == 1).count();
    assert_eq!(ran as u64, over.counts.replayed);
    assert!(world.desk().resume(id, &word("no"), world.clock.now()).await.is_err());
    assert!(world.desk().active(world.clock.now()).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_vanishes_is_followed_and_each_goes_back_once_at_the_rate() {
    let world = World::new();
    let ids = world.dead_letters(4000, act("ok", 0), DeadClass::Exhausted).await;
    let mut engines = vec![start(&world, "a"), start(&world, "b"), start(&world, "c")];
    let id = world.replay(&at(20.0)).await;
    world.until_replay(id, |operation| operation.counts.replayed >= 1000).await;
    let leader = world.operation(id).await.lease.unwrap().worker;
    let at = ["a", "b", "c"].iter().position(|name| leader.as_str() == *name).unwrap();
    drop(engines.remove(at));
    let done = world.until_state(id, ReplayState::Done).await;
    assert_eq!((done.counts.replayed, done.counts.succeeded), (4000, 4000));
    world.once(id, &ids).await;
    let took = *world.times(&ids).last().unwrap();
    assert!((190.0..=210.0).contains(&took), "4000 at 20 a second took {took} s with the crash");
}

#[tokio::test(start_paused = true)]
async fn leaders_that_vanish_again_and_again_and_answers_that_are_lost_change_nothing() {
    let world = World::new();
    let ids = world.dead_letters(3000, act("ok", 0), DeadClass::Exhausted).await;
    let id = world.replay(&at(100.0)).await;
    for n in 0..12 {
        let engine = start(&world, &format!("w{n}"));
        let reached = world.operation(id).await.counts.replayed + 120;
        world.until_replay(id, |operation| operation.counts.replayed >= reached).await;
        let fault = [Fault::Deaf, Fault::Down, Fault::Slow][n % 3];
        world.ports.set("cells.write", Some(fault));
        tokio::time::sleep(SECOND * 2).await;
        drop(engine); // in the middle of whatever it does
        world.ports.set("cells.write", None);
    }
    let _engine = start(&world, "last");
    let done = world.until_state(id, ReplayState::Done).await;
    assert_eq!((done.counts.replayed, done.counts.succeeded), (3000, 3000), "{done:#?}");
    for job in &ids {
        let record = world.record(*job).await;
        assert_eq!(record.extra[HISTORY].as_array().unwrap().len(), 1, "went back once");
        assert_eq!(record.state, State::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_patch_mends_payloads_and_what_it_breaks_is_refused() {
    let world = World::new();
    let broken = world.dead_letters(10, act("fail", 0), DeadClass::Invalid).await;
    world.dead_letters(3, act("fail", 7), DeadClass::OutcomeUnknown).await;
    tokio::time::sleep(SECOND).await;
    let other = world.dead_letters(4, act("hang", 9), DeadClass::Invalid).await;
    let _engine = start(&world, "a");
    let patch = serde_json::from_value(json!([
        {"op": "test", "path": "/act", "value": "fail"},
        {"op": "replace", "path": "/act", "value": "ok"},
    ]));
    let selection = Selection { kinds: vec![Free::KIND], ..Selection::default() };
    let request = Request { patch: Some(patch.unwrap()), selection, ..Request::default() };
    let id = world.replay(&request).await;
    let done = world.until_state(id, ReplayState::Done).await;
    let counts = &done.counts;
    assert_eq!((counts.replayed, counts.succeeded, counts.refused), (10, 10, 4));
    assert_eq!(done.plan.outcome_unknown, 3);
    assert!(counts.reasons.keys().all(|why| why.contains("the patch does not fit")), "{counts:?}");
    assert_eq!(counts.samples.len(), 4);
    world.once(id, &broken).await;
    assert_eq!(world.record(broken[0]).await.payload["act"], "ok");
    assert_eq!(world.record(other[0]).await.state, State::Dead);
}

#[tokio::test(start_paused = true)]
async fn what_died_later_or_is_not_meant_is_left_alone() {
    let world = World::new();
    world.dead_letters(5, act("ok", 0), DeadClass::Exhausted).await;
    world.dead_letters(7, act("ok", 0), DeadClass::Rejected).await;
    let classes = vec![DeadClass::Rejected];
    let selection = Selection { classes, ..Selection::default() };
    let id = world.replay(&Request { selection, ..Request::default() }).await;
    tokio::time::sleep(SECOND).await;
    world.dead_letters(9, act("ok", 0), DeadClass::Rejected).await;
    let _engine = start(&world, "a");
    let done = world.until_state(id, ReplayState::Done).await;
    assert_eq!(done.counts.replayed, 7);
    assert_eq!(world.in_state(State::Dead).await, 14);
    let page = Page { limit: ALL, before: None };
    let left = world.memory.list(&Filter::default().dead(), page).await.unwrap().jobs;
    assert!(left.iter().all(|record| !record.extra.contains_key(HISTORY)));
}

#[tokio::test(start_paused = true)]
async fn records_that_are_gone_before_they_were_seen_do_not_hold_it_up() {
    let world = World::new();
    world.dead_letters(20, act("hang", 0), DeadClass::Exhausted).await;
    let engine = start(&world, "a");
    let id = world.replay(&Request::default()).await;
    world.until_replay(id, |operation| operation.counts.replayed == 20).await;
    drop(engine);
    let (policy, now) =
        (HousekeepPolicy { poison_after: 1, keep_dead: SECOND, batch: 1000 }, world.clock.now());
    world.memory.housekeep(&policy, after(now, SECOND * 60)).await.unwrap();
    assert_eq!(world.in_state(State::Dead).await, 20);
    let ends = world.memory.untold(100).await.unwrap();
    let told: Vec<_> = ends.iter().map(|end| (end.record.id, end.fence)).collect();
    world.memory.told(&told).await.unwrap();
    assert_eq!(world.memory.purge(&Filter::default(), 100).await.unwrap(), 20);
    let _engine = start(&world, "b");
    let done = world.until_state(id, ReplayState::Done).await;
    assert_eq!((done.counts.gone, done.counts.open()), (20, 0));
}
