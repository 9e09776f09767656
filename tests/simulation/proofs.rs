//! What a fleet does at a size no test of one part has: tens of thousands of parked jobs woken, a
//! thousand keys with quotas, estimates held against what then happens. On virtual time.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::breaker::{self, Breaker, Stand, ramp_at};
use flotilla_core::cells::CellWrite;
use flotilla_core::clock::{Clock, after, between};
use flotilla_core::limit::Rule;
use flotilla_core::ops::Ops;
use flotilla_core::queue::{LaneDemand, Settlement, Verdict};
use flotilla_core::records::{Filter, Page, Records};
use flotilla_core::{Envelope, Job, JobId, Lane, Payload, State, Timestamp, WorkerId};
use flotilla_engine::why::{self, Sources};
use flotilla_engine::{Breakers, Limits, Settings};

use crate::fleet::{Sea, Worker};
use crate::kinds::{Ask, Hands, Heard, Work};
use crate::line::{Bells, Lines};
use crate::platform::{Platform, densest};
use crate::store::{Over, at_once, open};
use crate::time::{Dice, Truth};
use crate::witness::Witness;

const SECOND: Duration = Duration::from_secs(1);
/// Jobs of one call to a backend.
const BATCH: usize = 500;

/// A fleet without faults.
struct Yard {
    sea: Sea,
    platform: Arc<Platform>,
    ops: Ops,
    dice: Dice,
    workers: Vec<Worker>,
    _folder: Option<tempfile::TempDir>,
}

impl Yard {
    fn new(over: Over) -> Self {
        let (dice, truth, (store, folder)) = (Dice::new(1), Truth::begin(), open(over));
        let witness = Witness::new(truth.clone(), false);
        let platform = Platform::new(Arc::clone(&witness), truth.clone(), Dice::new(dice.seed()));
        let lines = Lines::default();
        let hands = Hands {
            witness: Arc::clone(&witness),
            platform: Arc::clone(&platform),
            heard: Heard::default(),
            snoozed: Arc::default(),
            store: Arc::clone(&store),
            lines: Arc::clone(&lines),
            kills: 1,
        };
        let (registry, bells) = (Arc::new(hands.registry()), Bells::default());
        let sea = Sea { store, witness, truth, bells, registry, lines, fragile: None };
        let ops = sea.ops(&dice);
        Self { sea, platform, ops, dice, workers: Vec::new(), _folder: folder }
    }

    fn now(&self) -> Timestamp {
        self.sea.truth.now()
    }

    fn start(&mut self, workers: usize, settings: &Settings) {
        for n in self.workers.len()..self.workers.len() + workers {
            let name = format!("w{n}");
            let settings = Settings { worker: WorkerId::new(&name), ..settings.clone() };
            self.workers.push(self.sea.launch(&name, settings, false, &self.dice));
        }
    }

    async fn enqueue<J: Job>(&self, jobs: &[J]) -> Vec<JobId> {
        let now = self.now();
        let prepared: Vec<_> = jobs
            .iter()
            .map(|job| Envelope::new(J::KIND, Payload::of(job).unwrap()))
            .map(|envelope| self.ops.prepare(envelope, now).unwrap())
            .collect();
        for part in prepared.chunks(BATCH) {
            self.ops.enqueue_prepared(part).await.unwrap();
        }
        prepared.iter().map(|job| job.id).collect()
    }

    fn count(&self, state: State) -> usize {
        let filter = Filter { states: vec![state], ..Filter::default() };
        at_once(self.sea.store.count(&filter)).unwrap() as usize
    }

    /// Waits until so many are completed.
    async fn completed(&self, jobs: usize, within: Duration) {
        let until = after(self.now(), within);
        while self.count(State::Completed) < jobs {
            assert_eq!(self.sea.witness.fault(), None);
            assert!(self.now() < until, "{} completed", self.count(State::Completed));
            tokio::time::sleep(SECOND).await;
        }
    }

    /// Every job is completed, by its first attempt.
    fn free_of_charge(&self, jobs: usize) {
        let (mut seen, all) = (0, Filter::default());
        let mut page = Page { limit: 1000, before: None };
        loop {
            let listed = at_once(Records::list(&*self.sea.store, &all, page)).unwrap();
            for record in listed.jobs.iter().filter(|record| record.kind == Ask::KIND) {
                assert_eq!((record.state, record.attempt), (State::Completed, 1), "{record:#?}");
                assert!(record.errors.is_empty());
                seen += 1;
            }
            page.before = listed.next;
            if page.before.is_none() {
                break;
            }
        }
        assert_eq!(seen, jobs);
    }
}

fn ask(account: &str) -> Ask {
    Ask { account: account.into(), ms: 50 }
}

/// Runs it on virtual time.
fn live<T>(life: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(life)
}

/// Jobs set aside behind a breaker while their platform was down.
async fn set_aside(yard: &Yard, jobs: usize, policy: &breaker::Policy) -> Vec<JobId> {
    let asks: Vec<Ask> = (0..BATCH).map(|_| ask("a")).collect();
    let mut ids = Vec::new();
    while ids.len() < jobs {
        ids.extend(yard.enqueue(&asks[..BATCH.min(jobs - ids.len())]).await);
        tokio::time::sleep(Duration::from_millis(1)).await; // one moment for each batch
    }
    let demand =
        LaneDemand { lane: Lane::from_static("default"), slots: BATCH, kinds: vec![Ask::KIND] };
    let (store, worker) = (&yard.sea.store, WorkerId::new("before"));
    loop {
        let now = yard.now();
        let claims = store.claim(std::slice::from_ref(&demand), &worker, SECOND * 15, now);
        let claims = at_once(claims).unwrap().jobs;
        if claims.is_empty() {
            break;
        }
        let park = || Verdict::Park { key: "breaker:api/a".into(), reason: "down".into() };
        let parked: Vec<Settlement> =
            claims.into_iter().map(|job| Settlement { held: job.held, verdict: park() }).collect();
        at_once(store.settle(&parked, now)).unwrap();
    }
    let (mut breaker, now) = (Breaker::default(), yard.now());
    breaker.open("fleet", "it was down", Some(after(now, policy.pause)), now);
    let value = Some(serde_json::to_vec(&breaker).unwrap().into());
    let change = CellWrite { key: "breaker/api/a".into(), expect: 0, value, expires_at: None };
    assert_eq!(at_once(store.write(std::slice::from_ref(&change), now)).unwrap(), [true]);
    yard.sea.witness.written(&[change], &[true]);
    ids
}

/// A platform is back: few probe, then jobs are woken along the curve, in order, free of charge.
fn a_flood_is_woken(over: Over) {
    const JOBS: usize = 50_000;
    const WORKERS: usize = 4;
    live(async {
        let mut yard = Yard::new(over);
        let policy = breaker::Policy::default();
        let ids = set_aside(&yard, JOBS, &policy).await;
        assert_eq!(yard.count(State::Parked), JOBS);
        let breakers = Breakers { policy, depth: 2 };
        let settings = Settings { breakers, housekeep_every: SECOND * 5, ..Settings::default() };
        yard.start(WORKERS, &settings);

        let probes = policy.probes as usize;
        let (mut closed, mut steps) = (None, Vec::new());
        while yard.count(State::Parked) > 0 {
            tokio::time::sleep(SECOND).await;
            assert_eq!(yard.sea.witness.fault(), None);
            let calls = yard.platform.calls("a").len();
            match yard.sea.witness.stand("api/a") {
                Stand::Open { .. } | Stand::HalfOpen { .. } => {
                    assert!(calls <= probes, "{calls} calls before it is closed");
                }
                Stand::Ramping { since, .. } => closed = Some(since),
                Stand::Closed => {}
            }
            let Some(since) = closed else { continue };
            let gone = between(since, yard.now());
            if gone < policy.ramp {
                // Somebody wakes every 0.9 s at the soonest.
                let looks = (gone.as_secs_f64() / 0.9) as u32 + 1;
                let each = (0..=looks).map(|n| ramp_at(probes, SECOND * n * 9 / 10, policy.ramp));
                let most = probes + each.sum::<usize>();
                let woken = JOBS - yard.count(State::Parked);
                assert!(woken <= most, "{woken} woken {gone:?} after it closed; at most {most}");
                steps.push(woken);
            }
        }
        let ramped = steps.last().copied().unwrap_or_default();
        assert!(ramped > JOBS / 10, "the ramp does nothing: {steps:?}");
        assert!(steps[..10].iter().all(|woken| *woken < JOBS / 100), "it begins low: {steps:?}");
        yard.completed(JOBS, SECOND * 600).await;
        yard.free_of_charge(JOBS);

        // Those of one moment have no order among themselves.
        let place: BTreeMap<JobId, usize> = ids.iter().copied().zip(0..).collect();
        let began = yard.sea.witness.began();
        let late = began.iter().enumerate().map(|(n, id)| n.abs_diff(place[id])).max();
        let held = WORKERS * (settings.batch + settings.concurrency);
        let late = late.unwrap_or_default();
        assert!(late <= BATCH + held, "a job began {late} places from its own");
        println!("{over:?}: {ramped} of {JOBS} woken along the ramp, at most {late} out of place");
    });
}

#[test]
fn fifty_thousand_parked_jobs_are_woken_in_order_and_ramped_in_memory() {
    a_flood_is_woken(Over::Memory);
}

#[test]
fn fifty_thousand_parked_jobs_are_woken_in_order_and_ramped_on_sqlite() {
    a_flood_is_woken(Over::Sqlite);
}

/// Twenty workers keep the quotas of a thousand keys, and use them.
#[test]
fn a_thousand_keys_of_twenty_workers_keep_their_quotas_and_use_them() {
    const MINUTES: usize = 2;
    let quotas = |n: usize| match n % 20 {
        0 => 15,
        1..4 => 10,
        _ => 6,
    };
    live(async {
        let mut yard = Yard::new(Over::Memory);
        let keys: Vec<(String, usize)> = (0..1000).map(|n| (format!("k{n}"), quotas(n))).collect();
        for round in 0..=15 * MINUTES {
            let wants = keys.iter().filter(|(_, quota)| round <= quota * MINUTES);
            yard.enqueue(&wants.map(|(key, _)| ask(key)).collect::<Vec<_>>()).await;
        }
        let rule = |(key, quota): &(String, usize)| {
            Rule::new(&format!("api/{key}"), &[format!("{quota}/min"), "500/day@UTC".to_owned()])
        };
        let rules = keys.iter().map(|key| rule(key).unwrap()).collect();
        let limits = Limits { rules, ..Limits::default() };
        // What is due is promoted by claims too.
        let housekeep_every = SECOND * 20;
        yard.start(20, &Settings { limits, housekeep_every, ..Settings::default() });
        let begun = yard.now();
        tokio::time::sleep(SECOND * 60 * MINUTES as u32).await;
        assert_eq!(yard.sea.witness.fault(), None);

        let (mut used, mut there) = (0, 0);
        let end = after(begun, SECOND * 60 * MINUTES as u32);
        for (key, quota) in &keys {
            let calls = yard.platform.calls(key);
            let most = densest(&calls);
            assert!(most <= *quota, "{key}: {most} calls in a minute of {quota}");
            used += calls.iter().filter(|at| **at < end).count();
            there += quota * MINUTES;
        }
        let part = used as f64 / there as f64;
        println!("1000 keys, 20 workers: {used} calls of {there}, {:.1} %", part * 100.0);
        assert!(part >= 0.95, "only {part} of the quotas was used");
    });
}

/// The time from enqueue to completion that 95 of 100 jobs of these accounts keep.
async fn p95(told: Option<&str>) -> Duration {
    let mut yard = Yard::new(Over::Memory);
    if let Some(account) = told {
        yard.platform.storm(account, 600);
    }
    let limits =
        Limits { rules: vec![Rule::new("api/*", &["60/min"]).unwrap()], ..Limits::default() };
    yard.start(4, &Settings { limits, ..Settings::default() });
    let accounts: Vec<String> = (0..40).map(|n| format!("k{n}")).collect();
    let mut others = Vec::new();
    for _ in 0..30 {
        for account in &accounts {
            let ids = yard.enqueue(&[ask(account)]).await;
            if account != "k0" {
                others.extend(ids);
            }
        }
        tokio::time::sleep(SECOND / 2).await;
    }
    let open = |id: &JobId| {
        let record = at_once(yard.sea.store.get(*id)).unwrap().unwrap();
        record.finished_at.is_none()
    };
    while others.iter().any(open) {
        tokio::time::sleep(SECOND).await;
    }
    let mut took: Vec<Duration> = others
        .iter()
        .map(|id| at_once(yard.sea.store.get(*id)).unwrap().unwrap())
        .map(|record| between(record.enqueued_at, record.finished_at.unwrap()))
        .collect();
    took.sort();
    took[took.len() * 95 / 100]
}

#[test]
fn a_key_that_is_told_too_fast_leaves_the_others_alone() {
    let (calm, storm) = (live(p95(None)), live(p95(Some("k0"))));
    let change = storm.as_secs_f64() / calm.as_secs_f64() - 1.0;
    println!(
        "p95 of the others: {calm:?}, with one key told 429 {storm:?}, {:+.1} %",
        change * 100.0
    );
    assert!(change <= 0.05, "{calm:?} became {storm:?}");
}

/// Estimates of one fleet: how far each was from what then happened, as a part of the wait.
async fn errors(workers: usize, most_ms: u64, together: usize) -> Vec<f64> {
    let mut yard = Yard::new(Over::Memory);
    let settings = Settings { concurrency: 4, ..Settings::default() };
    yard.start(workers, &settings);
    let mut ids = Vec::new();
    for _ in 0..600 / together {
        let work = |_| Work {
            act: "ok".into(),
            ms: 20 + yard.dice.below(most_ms as usize) as u64,
            order: None,
        };
        ids.extend(yard.enqueue(&(0..together).map(work).collect::<Vec<_>>()).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    while yard.count(State::Completed) < 100 {
        tokio::time::sleep(SECOND / 10).await;
    }
    let sources = Sources {
        records: &*yard.sea.store,
        fleet: &*yard.sea.store,
        cells: &*yard.sea.store,
        registry: &yard.sea.registry,
        rules: &[],
        depth: 2,
    };
    let (asked, mut said) = (yard.now(), Vec::new());
    for id in ids.iter().step_by(7) {
        let record = at_once(yard.sea.store.get(*id)).unwrap().unwrap();
        let facts = at_once(why::gather(&sources, &record, asked)).unwrap();
        if let Some(start) = why::why(&record, &facts, asked).start {
            said.push((*id, start));
        }
    }
    yard.completed(ids.len(), SECOND * 3600).await;
    let error = |(id, start): &(JobId, Timestamp)| {
        let record = at_once(yard.sea.store.get(*id)).unwrap().unwrap();
        let waited = between(asked, record.started_at.unwrap()).as_secs_f64();
        (between(asked, *start).as_secs_f64() - waited).abs() / waited.max(0.1)
    };
    said.iter().map(error).collect()
}

#[test]
fn the_start_that_why_names_comes_true() {
    let mut all = Vec::new();
    for (workers, most_ms, together) in
        [(1, 200, 1), (1, 4000, 1), (3, 1000, 1), (3, 4000, 10), (6, 2000, 1), (2, 500, 50)]
    {
        let mut errors = live(errors(workers, most_ms, together));
        assert!(errors.len() > 20, "{} estimates", errors.len());
        errors.sort_by(f64::total_cmp);
        let at = |part: usize| errors[(errors.len() - 1) * part / 100] * 100.0;
        println!(
            "{workers} workers, jobs up to {most_ms} ms, {together} enqueued together: {} estimates, off by \
             {:.0} % (10), {:.0} % (50), {:.0} % (90), {:.0} % (all)",
            errors.len(),
            at(10),
            at(50),
            at(90),
            at(100)
        );
        all.extend(errors);
    }
    all.sort_by(f64::total_cmp);
    let median = all[all.len() / 2];
    println!("all {} estimates: half are off by less than {:.0} %", all.len(), median * 100.0);
    assert!(median <= 0.2, "half of the estimates are off by more than {median}");
}
