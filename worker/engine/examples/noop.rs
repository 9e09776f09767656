//! What the engine itself costs: jobs that do nothing, over a queue that costs next to nothing.
//!
//! `cargo run --release -p flotilla-engine --example noop -- [jobs] [concurrency]`

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use flotilla_core::clock::{Clock, SystemClock, Timestamp};
use flotilla_core::fleet::{Fleet, Orders, WorkerInfo};
use flotilla_core::handler::{Handler, JobContext};
use flotilla_core::queue::{
    Capabilities, Claimed, Claims, Enqueued, Extension, Held, HousekeepPolicy, Housekeeping,
    LaneDemand, Lease, NewJob, Queue, QueueError, Settled, Settlement,
};
use flotilla_core::{
    Fence, Job, JobError, JobId, Kind, Lane, Payload, Priority, Receipt, Records, Registry,
    SeededRng, Tenant, TraceContext, WorkerId,
};
use flotilla_engine::{Engine, Ports, Settings};
use flotilla_memory::Memory;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// About two hundred bytes.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Noop {
    caption: String,
    number: u64,
}

impl Job for Noop {
    const KIND: Kind = Kind::from_static("bench.noop");
    type Output = u64;
}

struct DoNothing;

impl Handler<Noop> for DoNothing {
    async fn run(&self, job: Noop, _: &JobContext) -> Result<u64, JobError> {
        Ok(job.number)
    }
}

/// Gives the same payload out a number of times and counts what comes back.
#[derive(Debug)]
struct Counter {
    capabilities: Capabilities,
    left: Mutex<u64>,
    settled: AtomicU64,
    payload: Payload,
    wakes: watch::Sender<u64>,
}

#[async_trait]
impl Queue for Counter {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn enqueue(&self, jobs: &[NewJob], _: Timestamp) -> Result<Vec<Enqueued>, QueueError> {
        Ok(vec![Enqueued::Rejected("a fixed number of jobs".into()); jobs.len()])
    }

    async fn claim(
        &self,
        lanes: &[LaneDemand],
        _: &WorkerId,
        _: Duration,
        now: Timestamp,
    ) -> Result<Claims, QueueError> {
        let slots: usize = lanes.iter().map(|lane| lane.slots).sum();
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let n = (*left).min(slots as u64);
        let jobs = (0..n).map(|i| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&(*left - i).to_be_bytes());
            let held = Held { id: JobId::from_bytes(id), fence: Fence(1), receipt: Receipt::None };
            Claimed {
                held,
                kind: Kind::new("bench.noop").expect("a valid name"),
                version: 1,
                lane: Lane::new("default").expect("a valid name"),
                tenant: Tenant::new("default").expect("a valid name"),
                priority: Priority::default(),
                payload: self.payload.clone(),
                attempt: 1,
                max_attempts: 5,
                crashes: 0,
                available_at: now,
                enqueued_at: now,
                trace: TraceContext::default(),
                parent: None,
                children: 0,
            }
        });
        let jobs = jobs.collect();
        *left -= n;
        Ok(Claims { jobs, next_due: None })
    }

    async fn extend(
        &self,
        leases: &[Extension],
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Vec<Lease>, QueueError> {
        Ok(vec![Lease::Kept { cancel: false }; leases.len()])
    }

    async fn settle(&self, done: &[Settlement], _: Timestamp) -> Result<Vec<Settled>, QueueError> {
        self.settled.fetch_add(done.len() as u64, Ordering::Relaxed);
        Ok(vec![Settled::Applied; done.len()])
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }

    async fn housekeep(
        &self,
        _: &HousekeepPolicy,
        _: Timestamp,
    ) -> Result<Housekeeping, QueueError> {
        Ok(Housekeeping::default())
    }
}

#[async_trait]
impl Fleet for Counter {
    async fn heartbeat(&self, _: &WorkerInfo, _: Timestamp) -> Result<Orders, QueueError> {
        Ok(Orders::default())
    }

    async fn leave(&self, _: &WorkerId) -> Result<(), QueueError> {
        Ok(())
    }

    async fn workers(&self, _: Timestamp) -> Result<Vec<WorkerInfo>, QueueError> {
        Ok(Vec::new())
    }

    async fn ask_drain(&self, _: &WorkerId) -> Result<bool, QueueError> {
        Ok(false)
    }

    async fn last_fire(&self, _: &str) -> Result<Option<Timestamp>, QueueError> {
        Ok(None)
    }

    async fn set_last_fire(&self, _: &str, _: Timestamp) -> Result<(), QueueError> {
        Ok(())
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map_while(|a| a.parse::<u64>().ok());
    let jobs = arguments.next().unwrap_or(1_000_000);
    let concurrency = arguments.next().and_then(|n| usize::try_from(n).ok()).unwrap_or(64);
    let payload = Noop { caption: "x".repeat(170), number: 7 };
    let queue = Arc::new(Counter {
        capabilities: Capabilities {
            name: "counter",
            durable: false,
            processes: false,
            max_payload: 1 << 20,
            max_batch: 1000,
            fair: true,
            ordering: false,
        },
        left: Mutex::new(jobs),
        settled: AtomicU64::new(0),
        payload: Payload::of(&payload).expect("a payload is JSON"),
        wakes: watch::Sender::new(0),
    });
    let mut registry = Registry::default();
    registry.register::<Noop, _>(DoNothing).expect("one kind");
    let memory = Arc::new(Memory::new(flotilla_memory::Settings::default())); // nothing asks it
    let ports = Ports {
        queue: Arc::clone(&queue) as Arc<dyn Queue>,
        records: Arc::clone(&memory) as Arc<dyn Records>,
        cells: memory,
        outbox: None,
        fleet: Arc::clone(&queue) as Arc<dyn Fleet>,
        metrics: prometheus::Registry::new(),
    };
    let settings = Settings { concurrency, until_idle: true, ..Settings::default() };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let rng = Arc::new(SeededRng::from_os());
    let begin = Instant::now();
    let engine = Engine::start(ports, Arc::new(registry), settings, clock, rng);
    let report = engine.expect("settings hold").finished().await;
    let seconds = begin.elapsed().as_secs_f64();
    let figures = BTreeMap::from([
        ("jobs", report.completed as f64),
        ("settled", queue.settled.load(Ordering::Relaxed) as f64),
        ("seconds", seconds),
        ("jobs_per_second", report.completed as f64 / seconds),
    ]);
    for (name, value) in figures {
        println!("{name:>16} {value:.1}");
    }
}
