//! Measures a queue at its port, without the engine: what the `drain` examples of the backends print.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_core::clock::{Clock, SystemClock, after};
use flotilla_core::envelope::Payload;
use flotilla_core::ids::{JobId, Kind, Lane, WorkerId};
use flotilla_core::queue::{Claimed, LaneDemand, NewJob, Queue, Settlement, Verdict};
use flotilla_core::rng::SeededRng;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What a measurement answers.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const KIND: Kind = Kind::from_static("bench.noop");
const LEASE: Duration = Duration::from_secs(15);
/// Jobs of one claim and of one settle.
const GROUP: usize = 256;

/// One lane of one queue, and ids for its jobs.
#[derive(Clone, Debug)]
pub struct Gauge {
    /// What is measured.
    pub queue: Arc<dyn Queue>,
    /// The lane of its jobs.
    pub lane: Lane,
    /// How many settles are under way at once.
    pub settles: usize,
    rng: Arc<SeededRng>,
}

impl Gauge {
    /// On `lane` of `queue`.
    pub fn new(queue: Arc<dyn Queue>, lane: Lane, settles: usize) -> Self {
        Self { queue, lane, settles, rng: Arc::new(SeededRng::from_os()) }
    }

    fn job(&self) -> NewJob {
        let now = SystemClock.now();
        let bare = NewJob::new(JobId::new(now, &*self.rng), KIND, self.lane.clone(), now);
        NewJob { payload: Payload::from_bytes(payload()), ..bare }
    }

    /// Puts `jobs` jobs in, `batch` to a call, from `callers` callers at once.
    pub async fn enqueue(&self, jobs: usize, batch: usize, callers: usize) -> Outcome<()> {
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

    /// Claims and settles side by side: until `count` jobs were claimed, as a broker needs that may
    /// have more on its way; without a count until nothing is left.
    pub async fn drain(&self, count: Option<usize>) -> Outcome<()> {
        let mut settles = JoinSet::new();
        let mut left = count.unwrap_or(usize::MAX);
        let mut wakes = self.queue.wakes();
        while left > 0 {
            wakes.mark_unchanged();
            let jobs = self.claim().await?;
            if jobs.is_empty() && count.is_none() {
                break;
            }
            if jobs.is_empty() {
                let _patience = tokio::time::timeout(Duration::from_secs(1), wakes.changed()).await;
                continue;
            }
            left = left.saturating_sub(jobs.len());
            let this = self.clone();
            settles.spawn(async move { this.settle(jobs).await });
            if settles.len() >= self.settles
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

    /// Prints how long jobs wait for a worker that has nothing else to do: from the answered enqueue
    /// to the moment it holds the job; 0 where that was sooner.
    pub async fn latency(&self, per_second: u32, span: Duration) -> Outcome<()> {
        let (started, mut starts) = mpsc::unbounded_channel();
        let this = self.clone();
        let worker = tokio::spawn(async move {
            let mut wakes = this.queue.wakes();
            loop {
                wakes.mark_unchanged();
                let Ok(jobs) = this.claim().await else { return };
                if jobs.is_empty() {
                    let _patience = tokio::time::timeout(LEASE / 10, wakes.changed()).await;
                    continue;
                }
                for job in &jobs {
                    let _heard = started.send((job.held.id, Instant::now()));
                }
                let this = this.clone();
                tokio::spawn(async move { this.settle(jobs).await });
            }
        });
        let mut answered = JoinSet::new();
        let mut tick = tokio::time::interval(Duration::from_secs(1) / per_second);
        for _ in 0..span.as_secs() * u64::from(per_second) {
            tick.tick().await;
            let (this, job) = (self.clone(), self.job());
            answered.spawn(async move {
                let (id, asked) = (job.id, Instant::now());
                this.queue.enqueue(&[job], SystemClock.now()).await?;
                Outcome::Ok((id, asked, Instant::now()))
            });
        }
        let answers = answered.join_all().await.into_iter().collect::<Outcome<Vec<_>>>()?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        worker.abort();
        let mut at = BTreeMap::new();
        while let Ok((id, start)) = starts.try_recv() {
            at.insert(id, start);
        }
        let since = |from: fn(&(JobId, Instant, Instant)) -> Instant| {
            let picked = answers
                .iter()
                .filter_map(|a| at.get(&a.0).map(|start| start.saturating_duration_since(from(a))));
            picked.collect::<Vec<Duration>>()
        };
        show("pickup after the answer", since(|a| a.2));
        show("pickup after the call", since(|a| a.1));
        show("answer of the enqueue", answers.iter().map(|a| a.2 - a.1).collect());
        Ok(())
    }

    async fn claim(&self) -> Outcome<Vec<Claimed>> {
        let demand = [LaneDemand { lane: self.lane.clone(), slots: GROUP, kinds: vec![KIND] }];
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
}

/// The payload of a measured job: 201 bytes of JSON.
pub fn payload() -> String {
    format!("{{\"text\":\"{}\"}}", "x".repeat(190))
}

/// Prints how many of `n` a second `work` got done.
pub async fn rate(what: &str, n: usize, work: impl Future<Output = Outcome<()>>) -> Outcome<()> {
    let start = Instant::now();
    work.await?;
    println!("{what}: {:.0}/s", n as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

fn show(what: &str, mut all: Vec<Duration>) {
    all.sort_unstable();
    let at = |share: f64| all.get((all.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!(
        "{what} ({}): p50 {:?} p90 {:?} p99 {:?} max {:?}",
        all.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        all.last().copied().unwrap_or_default()
    );
}
