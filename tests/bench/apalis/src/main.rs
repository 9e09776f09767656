//! apalis on the SQLite file `$DATABASE`, in WAL mode with `synchronous=FULL`; prints one line of JSON.
//! With `$TUNED` set, an index that misleads SQLite's planner is dropped: tens of times faster.
//! `bench-apalis enqueue N | drain N | pickup N`

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_sqlite::{Config, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteStorage};
use serde::{Deserialize, Serialize};

type Failure = Box<dyn Error + Send + Sync>;

/// About 200 bytes of JSON, as every system here gets.
#[derive(Serialize, Deserialize)]
struct Noop {
    n: usize,
    text: String,
}

impl Noop {
    fn new(n: usize) -> Self {
        Self { n, text: "x".repeat(170) }
    }
}

/// When each job started: microseconds since `start`, 0 while it has not.
struct Started {
    start: Instant,
    at: Vec<AtomicU64>,
    count: AtomicU64,
}

impl Started {
    fn new(jobs: usize) -> Arc<Self> {
        let at = (0..jobs).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { start: Instant::now(), at, count: AtomicU64::new(0) })
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// Whether this was the last one.
    fn mark(&self, n: usize) -> bool {
        self.at[n].store(self.now(), Relaxed);
        self.count.fetch_add(1, Relaxed) + 1 == self.at.len() as u64
    }
}

/// The last job stops the worker, which settles what it holds and ends.
async fn handle(
    job: Noop,
    started: Data<Arc<Started>>,
    worker: WorkerContext,
) -> Result<(), Failure> {
    if started.mark(job.n) {
        worker.stop()?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, jobs] = arguments.as_slice() else {
        return Err("usage: bench-apalis enqueue|drain|pickup N".into());
    };
    let jobs = jobs.parse()?;
    let file = std::env::var("DATABASE")?;
    let line = match mode.as_str() {
        "enqueue" => enqueue(&file, jobs).await?,
        "drain" => drain(&file, jobs).await?,
        "pickup" => pickup(&file, jobs).await?,
        other => return Err(format!("no mode called {other}").into()),
    };
    println!("{line}");
    Ok(())
}

async fn open(file: &str) -> Result<SqlitePool, Failure> {
    let options = SqliteConnectOptions::new().filename(file).pragma("synchronous", "FULL");
    Ok(SqlitePoolOptions::new().connect_with(options).await?)
}

fn config() -> Config {
    Config::default().queue("bench").lock_tasks(false).batch_size(500)
}

/// A new file. Its connection is not used again: `setup` leaves it at `synchronous=OFF`.
async fn create(file: &str) -> Result<(), Failure> {
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{file}{suffix}"));
    }
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let pool = SqlitePoolOptions::new().connect_with(options).await?;
    SqliteStorage::setup(&pool).await?;
    if std::env::var_os("TUNED").is_some() {
        // SQLite settles through this index and so scans all that the worker ever held.
        sqlx::query("DROP INDEX LIdx").execute(&pool).await?;
    }
    pool.close().await;
    Ok(())
}

async fn enqueue(file: &str, jobs: usize) -> Result<String, Failure> {
    create(file).await?;
    let mut storage = SqliteStorage::<Noop>::new(&open(file).await?).with_config(config());
    let start = Instant::now();
    for from in (0..jobs).step_by(1000) {
        storage.push_bulk((from..jobs.min(from + 1000)).map(Noop::new).collect()).await?;
    }
    Ok(format!(r#"{{"enqueue_per_s":{}}}"#, jobs as f64 / start.elapsed().as_secs_f64()))
}

async fn drain(file: &str, jobs: usize) -> Result<String, Failure> {
    let started = Started::new(jobs);
    let storage = SqliteStorage::<Noop>::new(&open(file).await?).with_config(config());
    let worker = WorkerBuilder::new("drain").backend(storage).data(started.clone()).build(handle);
    worker.run().await?;

    let first = started.at.iter().map(|at| at.load(Relaxed)).min().unwrap_or(0);
    let rate = jobs as f64 * 1e6 / (started.now() - first) as f64;
    Ok(format!(r#"{{"drain_per_s":{rate},"rss_mb":{}}}"#, rss_mb()?))
}

/// 500 jobs per second. The worker is woken by SQLite's update hook and polls for what that missed.
async fn pickup(file: &str, jobs: usize) -> Result<String, Failure> {
    create(file).await?;
    let started = Started::new(jobs);
    let (pool, inserts) = SqliteStorage::connect_with_callback(file)?; // SQLite's default: FULL
    let storage = SqliteStorage::<Noop>::new(&pool).with_config(config());
    let strategy = Strategy::new().stream(inserts).interval(Duration::from_millis(20));
    let hooked = storage.clone().poll_with_strategy(strategy);
    let worker = WorkerBuilder::new("pickup").backend(hooked).data(started.clone()).build(handle);
    let running = tokio::spawn(worker.run());
    tokio::time::sleep(Duration::from_secs(1)).await;

    let answered: Arc<Vec<OnceLock<u64>>> = Arc::new((0..jobs).map(|_| OnceLock::new()).collect());
    let (first, mut sends) = (tokio::time::Instant::now(), tokio::task::JoinSet::new());
    for n in 0..jobs {
        tokio::time::sleep_until(first + Duration::from_millis(2) * n as u32).await;
        let (mut storage, started, answered) = (storage.clone(), started.clone(), answered.clone());
        sends.spawn(async move {
            storage.push(Noop::new(n)).await?;
            let _ = answered[n].set(started.now());
            Ok::<_, Failure>(())
        });
    }
    while let Some(sent) = sends.join_next().await {
        sent??;
    }
    running.await??;

    let start_of = |n: usize| started.at[n].load(Relaxed);
    let wait = |(n, at): (usize, &OnceLock<u64>)| {
        start_of(n).saturating_sub(at.get().copied().unwrap_or(0)) as f64 / 1000.0
    };
    let mut waits: Vec<f64> = answered.iter().enumerate().map(wait).collect();
    waits.sort_by(f64::total_cmp);
    Ok(format!(r#"{{"pickup_ms":{{"p50":{},"p99":{}}}}}"#, waits[jobs / 2], waits[jobs * 99 / 100]))
}

/// Largest resident memory of this process, in MB.
fn rss_mb() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(peak.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
