//! What limits cost: jobs that do nothing are drained from a SQLite file, some under three quotas
//! each and some under none, turn about.
//!
//! `cargo run --release -p flotilla-engine --example limits -- FOLDER [jobs] [rounds]`

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use flotilla_core::handler::{Handler, JobContext};
use flotilla_core::limit::{LimitKey, Rule};
use flotilla_core::ops::Ops;
use flotilla_core::{
    Clock, Envelope, Job, JobError, Kind, Payload, Registry, Rng, SeededRng, SystemClock,
};
use flotilla_engine::{Engine, Limits, Ports, Settings};
use flotilla_sqlite::Sqlite;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Accounts whose jobs count against quotas of their own.
const ACCOUNTS: u64 = 50;
const BATCH: u64 = 1000;

/// Nobody is called.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Free {
    number: u64,
}

/// Somebody would be called.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Limited {
    number: u64,
}

impl Job for Free {
    const KIND: Kind = Kind::from_static("bench.free");
    type Output = u64;
}

impl Job for Limited {
    const KIND: Kind = Kind::from_static("bench.limited");
    const LIMITS: Option<fn(&Self) -> Vec<LimitKey>> =
        Some(|job| vec![LimitKey::of(&["api", &(job.number % ACCOUNTS).to_string(), "post"])]);
    type Output = u64;
}

struct DoNothing;

impl Handler<Free> for DoNothing {
    async fn run(&self, job: Free, _: &JobContext) -> Result<u64, JobError> {
        Ok(job.number)
    }
}

impl Handler<Limited> for DoNothing {
    async fn run(&self, job: Limited, _: &JobContext) -> Result<u64, JobError> {
        Ok(job.number)
    }
}

/// Jobs in a second.
async fn drained(file: &Path, jobs: u64, limited: bool) -> f64 {
    let store = Sqlite::open(file, flotilla_sqlite::Settings::default()).expect("a folder");
    let mut registry = Registry::default();
    registry.register::<Free, _>(DoNothing).expect("a kind");
    registry.register::<Limited, _>(DoNothing).expect("another kind");
    let (clock, rng): (Arc<dyn Clock>, Arc<dyn Rng>) =
        (Arc::new(SystemClock), Arc::new(SeededRng::from_os()));
    let registry = Arc::new(registry);
    let ops = Ops {
        registry: Arc::clone(&registry),
        queue: store.clone(),
        clock: Arc::clone(&clock),
        rng: Arc::clone(&rng),
    };
    for first in (0..jobs).step_by(BATCH as usize) {
        let one = |number| {
            let (kind, payload) = if limited {
                (Limited::KIND, Payload::of(&Limited { number }))
            } else {
                (Free::KIND, Payload::of(&Free { number }))
            };
            Envelope::new(kind, payload.expect("a payload is JSON"))
        };
        let batch = (first..jobs.min(first + BATCH)).map(one).collect();
        ops.enqueue(batch).await.expect("room on the disk");
    }
    let ports = Ports {
        queue: store.clone(),
        records: store.clone(),
        cells: store.clone(),
        outbox: None,
        fleet: store.clone(),
        metrics: prometheus::Registry::new(),
    };
    let rules = [
        ("api", vec!["1000000/s burst 1000"]),
        ("api/*", vec!["100000/s burst 1000", "100000000/day@UTC"]),
    ];
    let rules = rules.map(|(key, quotas)| Rule::new(key, &quotas).expect("a rule")).to_vec();
    let settings = Settings {
        concurrency: 64,
        until_idle: true,
        limits: Limits { rules, ..Limits::default() },
        ..Settings::default()
    };
    let begin = Instant::now();
    let report = Engine::start(ports, registry, settings, clock, rng);
    let report = report.expect("settings hold").finished().await;
    assert_eq!(report.completed, jobs, "{report:?}");
    jobs as f64 / begin.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("name an empty folder for the files");
    let mut number = |otherwise| arguments.next().and_then(|n| n.parse().ok()).unwrap_or(otherwise);
    let (jobs, rounds) = (number(20_000), number(5));
    let mut rates = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for limited in [false, true] {
            let file = Path::new(&folder).join(format!("{round}-{limited}.db"));
            rates[usize::from(limited)].push(drained(&file, jobs, limited).await);
        }
    }
    let [free, limited] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    println!("without limits {free:>8.0} jobs/s");
    println!("with limits    {limited:>8.0} jobs/s");
    println!("price          {:>8.1} %", (1.0 - limited / free) * 100.0);
}
