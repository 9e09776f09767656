//! Many engines, many jobs, ports that fail and workers that crash at moments drawn from a seed.
//! Whatever happens, no job is lost, none runs twice at the same time, no limit is exceeded, and
//! once the faults stop everything comes to an end.

use std::sync::Arc;
use std::time::Duration;

use flotilla_core::records::{Cancel, Records};
use flotilla_core::{DeadClass, Job, JobId, Lane, Rng, SeededRng, State};
use flotilla_engine::{Running, Settings};

use crate::world::{Act, Aside, Fault, Faulty, Free, SECOND, Tight, World};

const SEEDS: u64 = 40;
const STEPS: usize = 60;

struct Dice(SeededRng);

impl Dice {
    fn below(&self, n: usize) -> usize {
        usize::try_from(self.0.next_u64() % n as u64).unwrap()
    }

    fn one_of<T: Copy>(&self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

fn settings(dice: &Dice, n: usize) -> Settings {
    Settings {
        concurrency: 1 + dice.below(6),
        batch: 1 + dice.below(8),
        cpu_slots: 1 + dice.below(2),
        lanes: ["default", "aside", "extra"].map(Lane::from_static).to_vec(),
        poison_after: 1000,
        ..World::settings(&format!("worker-{n}"))
    }
}

async fn enqueue(world: &World, dice: &Dice) -> JobId {
    let what = dice.one_of(&["ok", "ok", "ok", "flaky", "snooze", "fail", "panic", "heed", "cpu"]);
    let act = Act { act: what.into(), ms: 100 * dice.below(300) as u64, from: 2 };
    let lane = dice.one_of(&[None, None, Some("extra")]).map(Lane::from_static);
    let kind = dice.one_of(&[0, 1, 2]);
    let kind = [Free::KIND, Tight::KIND, Aside::KIND][kind].clone();
    world.enqueue_as(&kind, act, |envelope| envelope.lane = lane).await
}

async fn run(seed: u64) {
    let (world, dice) = (World::new(), Dice(SeededRng::new(seed)));
    let mut engines: Vec<(Running, Arc<Faulty>)> = Vec::new();
    let start = |n| {
        let line = Faulty::over(&world.memory);
        (world.start_over(&line, settings(&dice, n)).unwrap(), line)
    };
    let mut jobs = Vec::new();
    let mut started = 0;
    for _ in 0..STEPS {
        match dice.below(12) {
            0..=3 => jobs.push(enqueue(&world, &dice).await),
            4 | 5 if engines.len() < 3 => {
                engines.push(start(started));
                started += 1;
            }
            6 if !engines.is_empty() => drop(engines.swap_remove(dice.below(engines.len()))),
            7 if !engines.is_empty() => {
                let (engine, _) = engines.swap_remove(dice.below(engines.len()));
                engine.drain();
                if dice.below(2) == 0 {
                    engine.finished().await;
                } // else: dropped while it drains
            }
            8 if !engines.is_empty() => {
                let line = &engines[dice.below(engines.len())].1;
                let call = dice.one_of(&["claim", "extend", "extend", "settle", "housekeep"]);
                let all = [Fault::Down, Fault::Deaf, Fault::Slow, Fault::Hangs];
                // The engine relies on ports to answer in the end, except for an extension.
                let fault = dice.one_of(if call == "extend" { &all[..] } else { &all[..3] });
                line.set(call, Some(fault));
            }
            9 if dice.below(3) == 0 => engines.iter().for_each(|(_, line)| line.set_all(None)),
            10 if !jobs.is_empty() => {
                let id = dice.one_of(&jobs);
                let answers = world.memory.cancel(&[id], "by dice", world.clock.now()).await;
                assert_ne!(answers.unwrap(), [Cancel::Unknown]);
            }
            _ => tokio::time::sleep(Duration::from_millis(dice.below(20_000) as u64)).await,
        }
    }
    engines.iter().for_each(|(_, line)| line.set_all(None));
    engines.push(start(started));
    for id in &jobs {
        // Only what was told to stop ends by itself.
        if world.record(*id).await.payload["act"] == "heed" {
            world.memory.cancel(&[*id], "at the end", world.clock.now()).await.unwrap();
        }
    }
    for id in &jobs {
        let record = world.until_record(*id, |r| r.state.is_finished()).await;
        let what = record.payload["act"].as_str().unwrap();
        let excused = record.crashes > 0 || record.cancel_requested;
        match record.state {
            State::Completed => assert!(matches!(what, "ok" | "flaky" | "snooze" | "cpu")),
            State::Cancelled => assert!(what == "heed" || record.reason.is_some() || excused),
            State::Dead => match record.class {
                Some(DeadClass::Rejected) => assert_eq!(what, "fail"),
                Some(DeadClass::Exhausted) => {
                    assert!(what == "panic" || what == "heed" || excused, "{record:#?}");
                }
                class => panic!("seed {seed}: dead as {class:?}: {record:#?}"),
            },
            state => panic!("seed {seed}: {state} is not finished"),
        }
        assert!(record.attempt <= record.max_attempts, "seed {seed}: {record:#?}");
    }
    assert!(world.seen.overlaps.lock().unwrap().is_empty(), "seed {seed}: ran twice at once");
    assert!(world.seen.peak(&Tight::KIND) <= 2 * 4, "seed {seed}: at most two in each worker");
    for (engine, _) in engines {
        let asked = world.clock.now();
        engine.drain();
        engine.finished().await;
        assert!(world.since(asked) < 27.0 + SECOND.as_secs_f64(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn seeds() {
    for seed in 0..SEEDS {
        run(seed).await;
    }
}

/// The same on real threads and a real clock: what single-threaded runs cannot show.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads() {
    let world = World::new();
    let mut jobs = Vec::new();
    for n in 0..600 {
        let kind = [Free::KIND, Tight::KIND, Aside::KIND][n % 3].clone();
        let act = Act { act: "ok".into(), ms: (n % 4 / 3) as u64, from: 0 };
        jobs.push(world.enqueue_as(&kind, act, |_| {}).await);
    }
    let engines = [0, 1].map(|n| {
        let settings = Settings {
            concurrency: 8,
            batch: 16,
            cpu_slots: 3,
            until_idle: true,
            ..World::settings(&format!("w{n}"))
        };
        world.start(settings)
    });
    let mut completed = 0;
    for engine in engines {
        completed += engine.finished().await.completed;
    }
    assert_eq!(completed, 600);
    for id in jobs {
        let record = world.record(id).await;
        assert_eq!((record.state, world.seen.starts(id).len()), (State::Completed, 1));
    }
    assert!(world.seen.overlaps.lock().unwrap().is_empty());
}
