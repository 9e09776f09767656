//! Quotas of the whole fleet: kept by many workers, fed by what a platform answers, free of charge.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::cells::{CellWrite, Cells};
use flotilla_core::clock::between;
use flotilla_core::handler::{Handler, JobContext};
use flotilla_core::limit::{LimitKey, Rule};
use flotilla_core::{
    Call, Envelope, Job, JobError, JobId, Kind, Payload, Policy, State, Timestamp,
};
use flotilla_engine::{Limits, Running, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::world::{Fault, SECOND, World};

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Ask {
    account: String,
    ms: u64,
}

impl Job for Ask {
    const KIND: Kind = Kind::from_static("test.ask");
    const LIMITS: Option<fn(&Self) -> Vec<LimitKey>> = Some(|ask| vec![ask.key()]);
    type Output = ();

    fn policy() -> Policy {
        Policy { max_attempts: 3, timeout: Duration::from_secs(30), ..Policy::default() }
    }
}

impl Ask {
    fn key(&self) -> LimitKey {
        LimitKey::of(&["api", &self.account])
    }
}

/// Whoever is called.
#[derive(Debug, Default)]
pub(crate) struct Api {
    /// Calls it has answered: when, of which account, and with what.
    pub(crate) calls: Mutex<Vec<(Timestamp, String, u16)>>,
    /// Answers of accounts that get no 200, with a `Retry-After`.
    pub(crate) answers: Mutex<BTreeMap<String, (u16, String)>>,
    pub(crate) down: AtomicBool,
    now: Mutex<BTreeMap<String, usize>>,
    peak: Mutex<BTreeMap<String, usize>>,
}

impl Api {
    /// The most of an account that ran at once.
    pub(crate) fn peak(&self, account: &str) -> usize {
        self.peak.lock().unwrap().get(account).copied().unwrap_or_default()
    }

    pub(crate) fn of(&self, account: &str) -> Vec<Timestamp> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(_, of, _)| of == account).map(|(at, ..)| *at).collect()
    }
}

/// Counts a call out, also when its worker crashes.
struct Inside<'a>(&'a Api, &'a str);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        *self.0.now.lock().unwrap().get_mut(self.1).unwrap() -= 1;
    }
}

pub(crate) struct Asker(pub(crate) Arc<Api>);

impl Handler<Ask> for Asker {
    async fn run(&self, job: Ask, cx: &JobContext) -> Result<(), JobError> {
        let (api, now, key) = (&self.0, cx.clock.now(), job.key());
        {
            let mut running = api.now.lock().unwrap();
            let n = running.entry(job.account.clone()).or_default();
            *n += 1;
            let mut peak = api.peak.lock().unwrap();
            let peak = peak.entry(job.account.clone()).or_default();
            *peak = (*n).max(*peak);
        }
        let down = api.down.load(Ordering::SeqCst);
        let told = api.answers.lock().unwrap().get(&job.account).cloned();
        let (status, after) =
            if down { (503, None) } else { told.map_or((200, None), |(s, a)| (s, Some(a))) };
        api.calls.lock().unwrap().push((now, job.account.clone(), status));
        let _inside = Inside(api, &job.account);
        tokio::time::sleep(Duration::from_millis(job.ms)).await;
        let header = |name: &str| after.as_deref().filter(|_| name == "retry-after");
        cx.called(Call::http(key, status, header, Duration::from_millis(job.ms), cx.clock.now()));
        if status == 200 { Ok(()) } else { Err(JobError::retry(format!("status {status}"))) }
    }
}

pub(crate) fn world() -> (World, Arc<Api>) {
    let api = Arc::new(Api::default());
    let asker = Asker(Arc::clone(&api));
    (World::with(|registry, _| registry.register::<Ask, _>(asker).unwrap()), api)
}

pub(crate) async fn ask(world: &World, account: &str, ms: u64, jobs: usize) -> Vec<JobId> {
    let envelope = Envelope {
        kind: Some(Ask::KIND),
        payload: Payload::of(&Ask { account: account.into(), ms }).unwrap(),
        ..Envelope::default()
    };
    let accepted = world.ops.enqueue(vec![envelope; jobs]).await.unwrap();
    accepted.into_iter().map(|job| job.id).collect()
}

fn settings(name: &str, rules: &[(&str, &[&str])]) -> Settings {
    let rules = rules.iter().map(|(key, quotas)| Rule::new(key, quotas).unwrap()).collect();
    Settings { limits: Limits { rules, ..Limits::default() }, ..World::settings(name) }
}

fn fleet(world: &World, workers: usize, rules: &[(&str, &[&str])]) -> Vec<Running> {
    (0..workers).map(|n| world.start(settings(&format!("w{n}"), rules))).collect()
}

/// The most calls in any window of that length.
pub(crate) fn densest(calls: &[Timestamp], window: Duration) -> usize {
    let mut calls = calls.to_vec();
    calls.sort();
    let held = |from: &Timestamp| {
        calls.iter().filter(|at| *at >= from && between(*from, **at) < window).count()
    };
    calls.iter().map(held).max().unwrap_or(0)
}

async fn all_completed(world: &World, jobs: &[JobId]) {
    for id in jobs {
        let record = world.until(*id, State::Completed).await;
        assert_eq!((record.attempt, record.errors.len()), (1, 0), "a limit costs no attempt");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fleet_keeps_mixed_quotas_of_many_keys() {
    let (world, api) = world();
    let accounts = ["a", "b", "c", "d", "e"];
    let mut jobs = Vec::new();
    for account in accounts {
        jobs.extend(ask(&world, account, 20, 30).await);
    }
    let rules: [(&str, &[&str]); 2] =
        [("api", &["120/min"]), ("api/*", &["30/min", "500/hour burst 100"])];
    let _fleet = fleet(&world, 6, &rules);
    let begun = world.clock.now();
    all_completed(&world, &jobs).await;
    for account in accounts {
        assert!(densest(&api.of(account), SECOND * 60) <= 30);
    }
    let all: Vec<_> = api.calls.lock().unwrap().iter().map(|(at, ..)| *at).collect();
    assert!(densest(&all, SECOND * 60) <= 121, "{}", densest(&all, SECOND * 60));
    assert!(world.since(begun) < 100.0, "150 at 120 a minute took {}", world.since(begun));
}

#[tokio::test(start_paused = true)]
async fn a_fast_key_is_paced_within_its_slices() {
    let (world, api) = world();
    let jobs = ask(&world, "a", 1, 300).await;
    let _fleet = fleet(&world, 4, &[("api/a", &["50/s"])]);
    let begun = world.clock.now();
    all_completed(&world, &jobs).await;
    let densest = densest(&api.of("a"), SECOND);
    assert!(densest <= 51, "{densest} in a second");
    assert!((5.5..12.0).contains(&world.since(begun)), "took {}", world.since(begun));
}

#[tokio::test(start_paused = true)]
async fn who_says_too_fast_is_left_alone_and_nobody_else_waits() {
    let (world, api) = world();
    api.answers.lock().unwrap().insert("a".into(), (429, "120".into()));
    let first = ask(&world, "a", 10, 1).await;
    let _fleet = fleet(&world, 3, &[]);
    let begun = world.clock.now();
    let record = world.until(first[0], State::Scheduled).await;
    assert!(record.reason.unwrap().contains("api/a is left alone"));
    api.answers.lock().unwrap().clear();
    tokio::time::sleep(SECOND * 2).await; // by now every worker knows
    let throttled = ask(&world, "a", 10, 20).await;
    let others = ask(&world, "b", 10, 20).await;
    all_completed(&world, &others).await;
    assert!(world.since(begun) < 10.0);
    assert_eq!(api.of("a").len(), 1, "one call, then none");
    all_completed(&world, &throttled).await;
    all_completed(&world, &first).await;
    assert!(api.of("a").iter().skip(1).all(|at| between(begun, *at) >= SECOND * 120));
    assert!(world.since(begun) < 140.0);
}

#[tokio::test(start_paused = true)]
async fn so_many_at_once_in_the_whole_fleet() {
    let (world, api) = world();
    let jobs = ask(&world, "a", 3000, 12).await;
    let _fleet = fleet(&world, 3, &[("api/*", &["2 at once"])]);
    all_completed(&world, &jobs).await;
    assert_eq!(api.peak("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_spent_day_goes_on_at_midnight_in_reserved_moments() {
    let (world, api) = world();
    let jobs = ask(&world, "a", 10, 5).await;
    let _fleet = fleet(&world, 2, &[("api/*", &["3/day@Atlantic/Azores"])]);
    tokio::time::sleep(SECOND * 30).await;
    assert_eq!(api.of("a").len(), 3);
    for id in &jobs {
        let record = world.record(*id).await;
        if record.state == State::Scheduled {
            assert_eq!(record.run_at.to_string(), "2026-01-01T01:00:00Z");
            assert!(record.reason.unwrap().contains("3/day@Atlantic/Azores"));
        }
    }
    tokio::time::sleep(SECOND * 3600).await;
    assert_eq!(api.of("a").len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_quota_can_be_set_while_the_fleet_runs_and_cells_may_fail() {
    let (world, api) = world();
    let _fleet = fleet(&world, 2, &[("api/*", &["1000/s"])]);
    let rule = Rule::new("api/*", &["6/min"]).unwrap();
    let change = CellWrite {
        key: "rule/api/*".into(),
        expect: 0,
        value: Some(Bytes::from(serde_json::to_vec(&rule).unwrap())),
        expires_at: None,
    };
    Cells::write(&*world.memory, &[change], world.clock.now()).await.unwrap();
    tokio::time::sleep(SECOND * 2).await;
    world.ports.set("cells.write", Some(Fault::Down));
    let jobs = ask(&world, "a", 10, 12).await;
    tokio::time::sleep(SECOND * 20).await;
    assert_eq!(api.of("a").len(), 0, "no quota without a count");
    world.ports.set("cells.write", None);
    all_completed(&world, &jobs).await;
    assert!(densest(&api.of("a"), SECOND * 60) <= 6);
}
