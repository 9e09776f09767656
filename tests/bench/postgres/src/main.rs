//! Our engine over our PostgreSQL backend on the server at $DATABASE_URL; prints one line of JSON.
//!
//!   bench-postgres enqueue N | single N | drain N | share N | churn N | pickup N
//!
//! `single` enqueues one by one from 50 callers; `share` drains beside others until nothing is left;
//! `churn` enqueues, drains, and prunes all that it kept but the last N. The handler does nothing.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use flotilla_core::clock::{Clock, SystemClock};
use flotilla_core::handler::{Handler, JobContext};
use flotilla_core::ops::Ops;
use flotilla_core::queue::HousekeepPolicy;
use flotilla_core::{Envelope, Job, JobError, Kind, Payload, Policy, Queue, Registry, SeededRng};
use flotilla_engine::{Engine, Ports, Running, Settings};
use flotilla_postgres::Postgres;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const BATCH: usize = 1000;
const CALLERS: usize = 50;
const PER_SECOND: u32 = 500;
const SCHEMA: &str = "flotilla_bench";

#[derive(Serialize, Deserialize, JsonSchema)]
struct Noop {
    n: usize,
    text: String,
}

impl Job for Noop {
    const KIND: Kind = Kind::from_static("bench.noop");
    type Output = ();

    fn policy() -> Policy {
        Policy { max_attempts: 3, retention: Some(Duration::from_secs(3600)), ..Policy::default() }
    }
}

/// When each job was answered and started, in nanoseconds since the program began.
struct Moments {
    zero: Instant,
    first: OnceLock<Instant>,
    answered: Vec<AtomicU64>,
    started: Vec<AtomicU64>,
}

impl Moments {
    fn new(jobs: usize) -> Self {
        let none = || (0..jobs).map(|_| AtomicU64::new(0)).collect();
        Self { zero: Instant::now(), first: OnceLock::new(), answered: none(), started: none() }
    }

    fn mark(&self, which: &[AtomicU64], n: usize) {
        if let Some(slot) = which.get(n) {
            slot.store(self.zero.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
    }
}

struct DoNothing(Arc<Moments>);

impl Handler<Noop> for DoNothing {
    async fn run(&self, job: Noop, _: &JobContext) -> Result<(), JobError> {
        self.0.first.get_or_init(Instant::now);
        self.0.mark(&self.0.started, job.n);
        Ok(())
    }
}

struct Bench {
    postgres: Arc<Postgres>,
    registry: Arc<Registry>,
    ops: Ops,
    moments: Arc<Moments>,
}

fn envelope(n: usize) -> Outcome<Envelope> {
    Ok(Envelope::new(Noop::KIND, Payload::of(&Noop { n, text: "x".repeat(170) })?))
}

impl Bench {
    async fn new(watched: usize) -> Outcome<Self> {
        let url = std::env::var("DATABASE_URL")?;
        let settings = flotilla_postgres::Settings {
            schema: SCHEMA.into(),
            ..flotilla_postgres::Settings::new(url)
        };
        Postgres::migrate(&settings).await?;
        let postgres = Postgres::connect(settings).await?;
        let moments = Arc::new(Moments::new(watched));
        let mut registry = Registry::default();
        registry.register::<Noop, _>(DoNothing(Arc::clone(&moments)))?;
        let registry = Arc::new(registry);
        let ops = Ops {
            registry: Arc::clone(&registry),
            queue: Arc::clone(&postgres) as Arc<dyn Queue>,
            clock: Arc::new(SystemClock),
            rng: Arc::new(SeededRng::from_os()),
        };
        Ok(Self { postgres, registry, ops, moments })
    }

    fn start(&self, until_idle: bool) -> Outcome<Running> {
        let ports = Ports {
            queue: Arc::clone(&self.postgres) as _,
            records: Arc::clone(&self.postgres) as _,
            fleet: Arc::clone(&self.postgres) as _,
            cells: Arc::clone(&self.postgres) as _,
            outbox: None,
            metrics: prometheus::Registry::new(),
        };
        let settings = Settings { concurrency: 256, until_idle, ..Settings::default() };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let rng = Arc::new(SeededRng::from_os());
        Ok(Engine::start(ports, Arc::clone(&self.registry), settings, clock, rng)?)
    }

    async fn enqueue(&self, jobs: usize) -> Outcome<Value> {
        let begin = Instant::now();
        for from in (0..jobs).step_by(BATCH) {
            let batch = (from..(from + BATCH).min(jobs)).map(envelope).collect::<Outcome<_>>()?;
            self.ops.enqueue(batch).await?;
        }
        Ok(json!({ "enqueue_per_s": jobs as f64 / begin.elapsed().as_secs_f64() }))
    }

    async fn single(&self, jobs: usize) -> Outcome<Value> {
        let begin = Instant::now();
        let callers = (0..CALLERS).map(|caller| {
            let ops = self.ops.clone();
            tokio::spawn(async move {
                for n in (caller..jobs).step_by(CALLERS) {
                    ops.enqueue(vec![envelope(n)?]).await?;
                }
                Outcome::Ok(())
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await??;
        }
        Ok(json!({ "single_per_s": jobs as f64 / begin.elapsed().as_secs_f64() }))
    }

    async fn drain(&self, jobs: usize) -> Outcome<Value> {
        let report = self.start(true)?.finished().await;
        let begin = self.moments.first.get().ok_or("no job was started")?;
        let rate = jobs as f64 / begin.elapsed().as_secs_f64();
        if report.completed != jobs as u64 {
            return Err(format!("{} of {jobs} jobs were completed", report.completed).into());
        }
        Ok(json!({ "drain_per_s": rate, "rss_mb": peak_mb() }))
    }

    /// What this worker got done, and from when to when on the machine's clock.
    async fn share(&self) -> Outcome<Value> {
        let from = SystemClock.now();
        let report = self.start(true)?.finished().await;
        let until = SystemClock.now();
        let at = |t: flotilla_core::Timestamp| t.as_microsecond() as f64 / 1e6;
        Ok(json!({ "completed": report.completed, "from": at(from), "until": at(until) }))
    }

    /// Enqueue and drain, then prune what earlier rounds kept.
    async fn churn(&self, jobs: usize) -> Outcome<Value> {
        let kept_until = SystemClock.now();
        self.enqueue(jobs).await?;
        let begin = Instant::now();
        let report = self.start(true)?.finished().await;
        let rate = report.completed as f64 / begin.elapsed().as_secs_f64();
        let policy = HousekeepPolicy { poison_after: 2, keep_dead: Duration::ZERO, batch: 5000 };
        let now =
            flotilla_core::clock::after(kept_until, Noop::policy().retention.unwrap_or_default());
        let mut pruned = 0;
        loop {
            let done = self.postgres.housekeep(&policy, now).await?.pruned;
            pruned += done;
            if done == 0 {
                return Ok(json!({ "drain_per_s": rate, "pruned": pruned }));
            }
        }
    }

    async fn pickup(&self, jobs: usize) -> Outcome<Value> {
        let running = self.start(false)?;
        let mut tick = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
        let mut calls = Vec::with_capacity(jobs);
        for n in 0..jobs {
            tick.tick().await;
            let (ops, moments) = (self.ops.clone(), Arc::clone(&self.moments));
            calls.push(tokio::spawn(async move {
                ops.enqueue(vec![envelope(n)?]).await?;
                moments.mark(&moments.answered, n);
                Outcome::Ok(())
            }));
        }
        for call in calls {
            call.await??;
        }
        while self.moments.started.iter().any(|at| at.load(Ordering::Relaxed) == 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        running.drain();
        running.finished().await;
        let of = |slot: &AtomicU64| slot.load(Ordering::Relaxed);
        let mut waits: Vec<f64> = (self.moments.answered.iter().zip(&self.moments.started))
            .map(|(answered, started)| of(started).saturating_sub(of(answered)) as f64 / 1e6)
            .collect();
        waits.sort_by(f64::total_cmp);
        let at = |share: usize| waits[(jobs * share / 100).min(jobs - 1)];
        Ok(json!({ "pickup_ms": { "p50": at(50), "p99": at(99) } }))
    }
}

/// The most memory this process had, in MiB.
fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let mode = words.next().unwrap_or_default();
    let jobs: usize = words.next().ok_or("say how many jobs")?.parse()?;
    let bench = Bench::new(if mode == "pickup" { jobs } else { 0 }).await?;
    let figures = match mode.as_str() {
        "enqueue" => bench.enqueue(jobs).await?,
        "single" => bench.single(jobs).await?,
        "drain" => bench.drain(jobs).await?,
        "share" => bench.share().await?,
        "churn" => bench.churn(jobs).await?,
        "pickup" => bench.pickup(jobs).await?,
        other => {
            return Err(
                format!("{other}: expected enqueue, single, drain, share, churn or pickup").into()
            );
        }
    };
    println!("{figures}");
    Ok(())
}
