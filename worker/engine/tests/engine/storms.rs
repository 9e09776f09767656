//! Limits, breakers, effects and flows together, under faults drawn from a seed: a platform that
//! browns out, says "too fast" and drops answers; cells that fail before and after the write;
//! workers that crash. Whatever happens, no quota is overshot, nothing is published twice, an
//! attempt is charged for a failure or a crash only, and once the storm is over everything ends.
//!
//! A storm over cells that are broken on purpose must be noticed: the last tests show that it is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flotilla_core::breaker;
use flotilla_core::limit::Rule;
use flotilla_core::{JobId, Rng, SeededRng, State};
use flotilla_engine::{Breakers, Limits, Running, Settings};

use crate::effects::{self, Platform, Publish};
use crate::limits::{Api, Ask, Asker, ask, densest};
use crate::world::{Fault, Faulty, SECOND, World};

/// Storms of one run; `FLOTILLA_TEST_SEEDS` asks for more, `FLOTILLA_TEST_SEED` begins elsewhere.
const SEEDS: u64 = 8;
/// Storms over broken cells; the first that notices is enough.
const CHANCES: u64 = 12;
const STEPS: usize = 40;
const ACCOUNTS: [&str; 3] = ["a", "b", "c"];

fn settings(n: usize) -> Settings {
    let rules = [("api", "90/min"), ("api/*", "40/min"), ("api/c", "2 at once")];
    let rules = rules.map(|(key, quota)| Rule::new(key, &[quota]).unwrap()).to_vec();
    let policy = breaker::Policy {
        least: 6,
        pause: SECOND * 5,
        ramp: SECOND * 10,
        ..breaker::Policy::default()
    };
    Settings {
        limits: Limits { rules, ..Limits::default() },
        breakers: Breakers { policy, depth: 2 },
        poison_after: 10_000,
        concurrency: 6,
        ..World::settings(&format!("w{n}"))
    }
}

struct Storm {
    world: World,
    api: Arc<Api>,
    platform: Arc<Platform>,
    dice: SeededRng,
    fleet: Vec<(Running, Arc<Faulty>)>,
    started: usize,
    asks: Vec<JobId>,
    posts: Vec<JobId>,
    sabotage: Option<(&'static str, Fault)>,
}

impl Storm {
    fn new(seed: u64, sabotage: Option<(&'static str, Fault)>) -> Self {
        let (api, platform) = (Arc::new(Api::default()), Platform::new(seed));
        let (asker, publisher) =
            (Asker(Arc::clone(&api)), effects::Publisher(Arc::clone(&platform)));
        let world = World::with(|registry, _| {
            registry.register::<Ask, _>(asker).unwrap();
            registry.register::<Publish, _>(publisher).unwrap();
        });
        let (dice, fleet, asks, posts) = (SeededRng::new(seed), vec![], vec![], vec![]);
        Self { world, api, platform, dice, fleet, started: 0, asks, posts, sabotage }
    }

    fn below(&self, n: usize) -> usize {
        usize::try_from(self.dice.next_u64() % n as u64).unwrap()
    }

    fn start(&mut self) {
        let line = Faulty::over(&self.world.memory);
        if let Some((call, fault)) = self.sabotage {
            line.set(call, Some(fault));
        }
        let engine = self.world.start_over(&line, settings(self.started)).unwrap();
        self.fleet.push((engine, line));
        self.started += 1;
    }

    async fn step(&mut self) {
        let account = ACCOUNTS[self.below(3)];
        match self.below(13) {
            0..=3 => self.asks.extend(ask(&self.world, account, 40, 1 + self.below(6)).await),
            4 => self.posts.push(effects::enqueue(&self.world, true).await),
            5 | 6 if self.fleet.len() < 4 => self.start(),
            7 if !self.fleet.is_empty() => {
                drop(self.fleet.swap_remove(self.below(self.fleet.len())));
            }
            8 => self.api.down.store(self.below(2) == 0, Ordering::SeqCst),
            9 => {
                let wait = (1 + self.below(30)).to_string();
                self.api.answers.lock().unwrap().insert(account.into(), (429, wait));
            }
            10 => self.api.answers.lock().unwrap().clear(),
            11 if !self.fleet.is_empty() && self.sabotage.is_none() => {
                let line = &self.fleet[self.below(self.fleet.len())].1;
                let call = ["cells.read", "cells.write"][self.below(2)];
                let fault = [None, Some(Fault::Down), Some(Fault::Deaf)][self.below(3)];
                line.set(call, fault);
            }
            _ => {
                let pause = Duration::from_millis(self.below(15_000) as u64);
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Runs to the end; what does not hold, if anything.
    async fn run(mut self) -> Result<(), String> {
        for _ in 0..STEPS {
            self.step().await;
        }
        self.api.down.store(false, Ordering::SeqCst);
        self.api.answers.lock().unwrap().clear();
        if self.sabotage.is_none() {
            self.fleet.iter().for_each(|(_, line)| {
                line.set("cells.read", None);
                line.set("cells.write", None);
            });
        }
        self.start();
        for id in self.asks.iter().chain(&self.posts) {
            self.world.until_record(*id, |record| record.state.is_finished()).await;
        }
        for id in &self.posts {
            let (record, posts) = (self.world.record(*id).await, self.platform.posts(*id));
            if (record.state, posts) != (State::Completed, 1) {
                return Err(format!("published {posts} times: {record:#?}"));
            }
        }
        for id in &self.asks {
            let record = self.world.record(*id).await;
            let failures = record.errors.iter().filter(|e| e.error.starts_with("status 5")).count();
            let crashes = record.crashes as usize;
            let done = usize::from(record.state == State::Completed);
            if record.attempt as usize != failures + crashes + done {
                return Err(format!("attempts without a failure: {record:#?}"));
            }
        }
        for account in ACCOUNTS {
            self.sparse(account, &self.api.of(account), 40)?;
        }
        let all = self.api.calls.lock().unwrap().iter().map(|(at, ..)| *at).collect::<Vec<_>>();
        self.sparse("all", &all, 90)?;
        let peak = self.api.peak("c");
        if peak > 2 { Err(format!("{peak} at once")) } else { Ok(()) }
    }

    /// At most one in a hundred more than the quota in any minute.
    fn sparse(
        &self,
        what: &str,
        calls: &[flotilla_core::Timestamp],
        quota: usize,
    ) -> Result<(), String> {
        let densest = densest(calls, SECOND * 60);
        if densest > quota + quota / 100 {
            return Err(format!("{what}: {densest} in a minute of {quota}"));
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn seeds() {
    let asked = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = asked("FLOTILLA_TEST_SEED").unwrap_or(0);
    for seed in first..first + asked("FLOTILLA_TEST_SEEDS").unwrap_or(SEEDS) {
        match tokio::spawn(Storm::new(seed, None).run()).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => panic!("seed {seed}: {fault}"),
            Err(stuck) => panic!("seed {seed}: {stuck}"),
        }
    }
}

/// Some seed of a few must notice: something does not hold, or something never ends.
async fn noticed(call: &'static str, fault: Fault) -> bool {
    for seed in 0..CHANCES {
        let storm = Storm::new(seed, Some((call, fault)));
        if !matches!(tokio::spawn(storm.run()).await, Ok(Ok(()))) {
            return true;
        }
    }
    false
}

#[tokio::test(start_paused = true)]
async fn cells_that_do_not_compare_grant_twice_and_that_is_noticed() {
    assert!(noticed("cells.write", Fault::Blind).await);
}

#[tokio::test(start_paused = true)]
async fn cells_that_forget_their_writes_are_noticed() {
    assert!(noticed("cells.write", Fault::Forgets).await);
}
