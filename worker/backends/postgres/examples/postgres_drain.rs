//! Measures the port itself, without the engine: enqueue rate, drain rate, pickup latency.
//!
//! `cargo run --release -p flotilla-postgres --example postgres_drain -- URL [jobs] [mode] [workers]`. Modes:
//! `all` (default); `enqueue`, `work` and `latency` do only that part. `workers` claimers share the
//! one lane, each with connections of its own. Makes the schema `flotilla_drain` and leaves it.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_core::clock::{Clock, SystemClock, after};
use flotilla_core::envelope::{Payload, TraceContext};
use flotilla_core::ids::{JobId, Kind, Lane, Priority, Tenant, WorkerId};
use flotilla_core::queue::{Claimed, LaneDemand, NewJob, Queue, Settlement, Verdict};
use flotilla_core::rng::SeededRng;
use flotilla_postgres::{Postgres, Settings};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const LANE: Lane = Lane::from_static("default");
const KIND: Kind = Kind::from_static("bench.noop");
const LEASE: Duration = Duration::from_secs(15);
/// Jobs of one claim and of one settle.
const GROUP: usize = 256;

#[derive(Clone)]
struct Bench {
    queue: Arc<Postgres>,
    rng: Arc<SeededRng>,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let url = words.first().ok_or("say the address of the server first")?;
    let jobs: usize = words.get(1).map_or(Ok(100_000), |word| word.parse())?;
    let mode = words.get(2).map_or("all", String::as_str);
    let workers: usize = words.get(3).map_or(Ok(1), |word| word.parse())?;
    let settings = Settings { schema: "flotilla_drain".into(), ..Settings::new(url) };
    Postgres::migrate(&settings).await?;
    let rng = Arc::new(SeededRng::from_os());
    let mut fleet = Vec::new();
    for _ in 0..workers.max(1) {
        let queue = Postgres::connect(settings.clone()).await?;
        fleet.push(Bench { queue, rng: Arc::clone(&rng) });
    }
    let bench = fleet[0].clone();

    if !matches!(mode, "work" | "latency") {
        rate("enqueue, batches of 1000", jobs, bench.enqueue(jobs, 1000, 2)).await?;
    }
    if !matches!(mode, "enqueue" | "latency") {
        rate("drain", jobs, drain(&fleet)).await?;
    }
    if mode == "all" {
        let few = jobs / 10;
        rate("enqueue one by one, 100 at once", few, bench.enqueue(few, 1, 100)).await?;
        rate("drain", few, drain(&fleet)).await?;
    }
    if matches!(mode, "all" | "latency") {
        bench.latency(500, Duration::from_secs(10)).await?;
    }
    Ok(())
}

async fn drain(fleet: &[Bench]) -> Outcome<()> {
    let mut workers = JoinSet::new();
    for bench in fleet {
        let bench = bench.clone();
        workers.spawn(async move { bench.drain().await });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(())
}

async fn rate(what: &str, n: usize, work: impl Future<Output = Outcome<()>>) -> Outcome<()> {
    let start = Instant::now();
    work.await?;
    println!("{what}: {:.0}/s", n as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

impl Bench {
    fn job(&self) -> NewJob {
        let now = SystemClock.now();
        NewJob {
            id: JobId::new(now, &*self.rng),
            kind: KIND,
            version: 1,
            lane: LANE,
            tenant: Tenant::default(),
            priority: Priority::default(),
            payload: Payload::from_bytes(format!("{{\"text\":\"{}\"}}", "x".repeat(190))),
            run_at: now,
            deadline: None,
            unique: None,
            order: None,
            parent: None,
            max_attempts: 3,
            trace: TraceContext::default(),
            extra: Default::default(),
        }
    }

    async fn enqueue(&self, jobs: usize, batch: usize, callers: usize) -> Outcome<()> {
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            let this = self.clone();
            tasks.spawn(async move {
                for _ in 0..jobs / callers / batch {
                    let jobs: Vec<NewJob> = (0..batch).map(|_| this.job()).collect();
                    this.queue.enqueue(&jobs, SystemClock.now()).await?;
                }
                Outcome::Ok(())
            });
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        Ok(())
    }

    async fn claim(&self, slots: usize) -> Outcome<Vec<Claimed>> {
        let demand = [LaneDemand { lane: LANE, slots, kinds: vec![KIND] }];
        let worker = WorkerId::new("bench");
        Ok(self.queue.claim(&demand, &worker, LEASE, SystemClock.now()).await?.jobs)
    }

    async fn settle(&self, jobs: Vec<Claimed>) -> Outcome<()> {
        let now = SystemClock.now();
        let keep_until = after(now, Duration::from_secs(3600));
        let done: Vec<Settlement> = jobs
            .into_iter()
            .map(|job| {
                let verdict = Verdict::Completed { result: (&b"null"[..]).into(), keep_until };
                Settlement { held: job.held, verdict }
            })
            .collect();
        self.queue.settle(&done, now).await?;
        Ok(())
    }

    /// Claims and settles side by side until nothing is left; four settles under way.
    async fn drain(&self) -> Outcome<()> {
        let mut settles = JoinSet::new();
        loop {
            let jobs = self.claim(GROUP).await?;
            if jobs.is_empty() {
                break;
            }
            let this = self.clone();
            settles.spawn(async move { this.settle(jobs).await });
            if settles.len() >= 4
                && let Some(settle) = settles.join_next().await
            {
                settle??;
            }
        }
        while let Some(settle) = settles.join_next().await {
            settle??;
        }
        Ok(())
    }

    /// From the answered enqueue to the moment a worker holds the job; 0 where it was sooner.
    async fn latency(&self, per_second: u32, span: Duration) -> Outcome<()> {
        let (started, mut starts) = mpsc::unbounded_channel();
        let this = self.clone();
        let worker = tokio::spawn(async move {
            let mut wakes = this.queue.wakes();
            loop {
                wakes.mark_unchanged();
                let jobs = this.claim(GROUP).await?;
                if jobs.is_empty() {
                    let _patience = tokio::time::timeout(LEASE / 10, wakes.changed()).await;
                    continue;
                }
                for job in &jobs {
                    started.send((job.held.id, Instant::now()))?;
                }
                let this = this.clone();
                tokio::spawn(async move { this.settle(jobs).await });
            }
            #[expect(unreachable_code, reason = "names the type of the error")]
            Outcome::Ok(())
        });
        let mut answered = JoinSet::new();
        let mut tick = tokio::time::interval(Duration::from_secs(1) / per_second);
        for _ in 0..span.as_secs() * u64::from(per_second) {
            tick.tick().await;
            let this = self.clone();
            answered.spawn(async move {
                let job = this.job();
                let (id, asked) = (job.id, Instant::now());
                this.queue.enqueue(&[job], SystemClock.now()).await?;
                Outcome::Ok((id, asked, Instant::now()))
            });
        }
        let answers = answered.join_all().await.into_iter().collect::<Outcome<Vec<_>>>()?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        worker.abort();
        let mut at = std::collections::HashMap::new();
        while let Ok((id, start)) = starts.try_recv() {
            at.insert(id, start);
        }
        let of = |from: fn(&(JobId, Instant, Instant)) -> Instant| {
            let mut all: Vec<Duration> = answers
                .iter()
                .filter_map(|a| at.get(&a.0).map(|start| start.saturating_duration_since(from(a))))
                .collect();
            all.sort_unstable();
            all
        };
        show("pickup after the answer", &of(|a| a.2));
        show("pickup after the call", &of(|a| a.1));
        let mut durable: Vec<Duration> = answers.iter().map(|a| a.2 - a.1).collect();
        durable.sort_unstable();
        show("answer of the enqueue", &durable);
        Ok(())
    }
}

fn show(what: &str, sorted: &[Duration]) {
    let at = |share: f64| sorted.get((sorted.len() as f64 * share) as usize).copied();
    println!(
        "{what} ({}): p50 {:?} p90 {:?} p99 {:?} max {:?}",
        sorted.len(),
        at(0.5).unwrap_or_default(),
        at(0.9).unwrap_or_default(),
        at(0.99).unwrap_or_default(),
        sorted.last().copied().unwrap_or_default()
    );
}
