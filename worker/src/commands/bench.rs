//! `flotilla bench`: what the queue does on this machine, through the same path as real jobs.
//!
//! Three parts, each on an empty queue of its own folder: jobs enqueued in batches by two
//! producers; the backlog drained by one worker; jobs enqueued one by one at 500 a second, and
//! the time until their handlers start. Everything runs in this process, so memory and CPU are
//! those of producer and worker together.

mod measure;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_config::{Config, LoadOptions};
use flotilla_core::ops::Ops;
use flotilla_core::{
    Envelope, Handler, Job, JobContext, JobError, Kind, Payload, Policy, Registry, SeededRng,
};
use flotilla_engine::{Running, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::measure::{Latencies, Usage};
use crate::cli::Bench;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire::{self, Ports};

const BATCH: usize = 1_000;
const PRODUCERS: usize = 2;
/// Jobs a second of the latency part.
const RATE: u32 = 500;
/// Makes a payload about 200 bytes long, as in the peers' programs.
const PADDING: usize = 180;

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct BenchWork {
    n: usize,
    padding: String,
}

impl Job for BenchWork {
    const KIND: Kind = Kind::from_static("bench.work");
    type Output = ();

    fn policy() -> Policy {
        Policy { max_attempts: 1, ..Policy::default() }
    }
}

#[derive(Clone, Copy)]
enum Work {
    None,
    Cpu(Duration),
    Sleep(Duration),
}

impl Work {
    fn parse(text: &str) -> Result<Self, Failure> {
        let (what, how_long) = text.split_once(':').unwrap_or((text, "0s"));
        let duration: Option<Duration> =
            how_long.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
        match (what, duration) {
            ("none", Some(_)) => Ok(Self::None),
            ("cpu", Some(d)) => Ok(Self::Cpu(d)),
            ("sleep", Some(d)) => Ok(Self::Sleep(d)),
            _ => Err(Failure::usage(format!("--work {text}: write none, cpu:1ms or sleep:5ms"))),
        }
    }
}

struct BenchHandler {
    work: Work,
    latencies: Arc<Latencies>,
}

impl Handler<BenchWork> for BenchHandler {
    async fn run(&self, job: BenchWork, cx: &JobContext) -> Result<(), JobError> {
        self.latencies.started(job.n);
        match self.work {
            Work::None => Ok(()),
            Work::Sleep(d) => {
                tokio::time::sleep(d).await;
                Ok(())
            }
            Work::Cpu(d) => {
                cx.cpu(move || {
                    let begin = Instant::now();
                    while begin.elapsed() < d {
                        std::hint::spin_loop();
                    }
                })
                .await
            }
        }
    }
}

pub(super) async fn run(args: &Bench, _: &Config) -> Result<Exit, Failure> {
    let work = Work::parse(&args.work)?;
    let backend = match args.profile.as_str() {
        "embedded" | "sqlite" => "sqlite",
        "memory" => "memory",
        other => {
            return Err(Failure::usage(format!(
                "--profile {other}: this build has embedded and memory"
            )));
        }
    };
    let temporary;
    let dir = match &args.dir {
        Some(dir) => dir.as_path(),
        None => {
            temporary = tempfile::tempdir()?;
            temporary.path()
        }
    };
    let bulk = Bed::new(dir, "bulk", backend, work, 0).await?;
    let enqueue = bulk.enqueue(args.jobs).await?;
    let before = Usage::now();
    let drain = bulk.drain(args).await?;
    let after = Usage::now();
    bulk.ports.close().await;

    let latencies = if args.latency_jobs > 0 {
        let bed = Bed::new(dir, "latency", backend, work, args.latency_jobs).await?;
        bed.trickle(args).await?;
        let latencies = Arc::clone(&bed.latencies);
        bed.ports.close().await;
        Some(latencies.summary())
    } else {
        None
    };

    let per_s = |took: Duration| args.jobs as f64 / took.as_secs_f64().max(f64::EPSILON);
    let figures = json!({
        "profile": args.profile, "jobs": args.jobs, "concurrency": args.concurrency, "work": args.work,
        "enqueue_per_s": per_s(enqueue).round(), "drain_per_s": per_s(drain).round(),
        "pickup_ms": latencies.as_ref().map(|l| json!({"p50": l.pickup.p50, "p99": l.pickup.p99})),
        "from_call_ms": latencies.as_ref().map(|l| json!({"p50": l.from_call.p50, "p99": l.from_call.p99})),
        "rss_mb": after.rss_mb, "peak_rss_mb": after.peak_rss_mb,
        "cpu_s_per_1000": (after.cpu_s - before.cpu_s).max(0.001) * 1000.0 / args.jobs.max(1) as f64,
    });
    if args.json {
        output::json(&figures)?;
        return Ok(Exit::Ok);
    }
    output::line(format!(
        "{} jobs, {} at once, work: {}, queue: {backend}",
        args.jobs, args.concurrency, args.work
    ))?;
    output::line(format!(
        "enqueue   {:>10.0} jobs/s  (batches of {BATCH}, answered once durable)",
        per_s(enqueue)
    ))?;
    output::line(format!("drain     {:>10.0} jobs/s", per_s(drain)))?;
    if let Some(l) = latencies {
        output::line(format!(
            "pickup    p50 {:.2} ms, p99 {:.2} ms  (from the answered enqueue to the handler, {RATE} jobs/s)",
            l.pickup.p50, l.pickup.p99
        ))?;
        output::line(format!(
            "in all    p50 {:.2} ms, p99 {:.2} ms  (from the call of enqueue)",
            l.from_call.p50, l.from_call.p99
        ))?;
    }
    output::line(format!(
        "memory    {:.0} MB now, {:.0} MB at most",
        after.rss_mb, after.peak_rss_mb
    ))?;
    Ok(Exit::Ok)
}

/// An empty queue with a worker's kinds and a producer's path beside it.
struct Bed {
    ports: Ports,
    registry: Arc<Registry>,
    ops: Ops,
    latencies: Arc<Latencies>,
}

impl Bed {
    async fn new(
        dir: &Path,
        part: &str,
        backend: &str,
        work: Work,
        watched: usize,
    ) -> Result<Self, Failure> {
        let folder = dir.join(part);
        let text =
            folder.to_str().ok_or_else(|| Failure::usage("the folder's name is not UTF-8"))?;
        let overrides =
            vec![("data.dir".into(), text.into()), ("queue.backend".into(), backend.into())];
        let options = LoadOptions { overrides, ..LoadOptions::default() };
        let config = Config::load(options).map_err(Failure::config)?;
        let ports = wire::ports(&config).await?;
        let latencies = Arc::new(Latencies::new(watched));
        let mut registry = Registry::default();
        let handler = BenchHandler { work, latencies: Arc::clone(&latencies) };
        registry.register::<BenchWork, _>(handler).map_err(Failure::bug)?;
        let registry = Arc::new(registry);
        let ops = Ops {
            registry: Arc::clone(&registry),
            queue: Arc::clone(&ports.queue),
            clock: ports.clock(),
            rng: Arc::new(SeededRng::from_os()),
        };
        Ok(Self { ports, registry, ops, latencies })
    }

    /// Two producers, each sending its next batch when the last was answered.
    async fn enqueue(&self, jobs: usize) -> Result<Duration, Failure> {
        let begin = Instant::now();
        let share = jobs.div_ceil(PRODUCERS);
        let producers = (0..PRODUCERS).map(|p| {
            let (ops, from, to) = (self.ops.clone(), p * share, ((p + 1) * share).min(jobs));
            tokio::spawn(async move {
                for start in (from..to).step_by(BATCH) {
                    let numbers = start..(start + BATCH).min(to);
                    let now = ops.clock.now();
                    let prepared =
                        numbers.map(|n| ops.prepare(envelope(n)?, now).map_err(Failure::from));
                    ops.enqueue_prepared(&prepared.collect::<Result<Vec<_>, Failure>>()?).await?;
                }
                Ok::<_, Failure>(())
            })
        });
        for producer in producers.collect::<Vec<_>>() {
            producer.await.map_err(Failure::bug)??;
        }
        Ok(begin.elapsed())
    }

    fn start(&self, args: &Bench, until_idle: bool) -> Result<Running, Failure> {
        let settings =
            Settings { concurrency: args.concurrency, until_idle, ..Settings::default() };
        wire::engine::start(
            &self.ports,
            Arc::clone(&self.registry),
            settings,
            prometheus::Registry::new(),
        )
    }

    async fn drain(&self, args: &Bench) -> Result<Duration, Failure> {
        let begin = Instant::now();
        let report = self.start(args, true)?.finished().await;
        let took = begin.elapsed();
        if report.completed != args.jobs as u64 {
            return Err(Failure::bug(format!(
                "{} of {} jobs were completed",
                report.completed, args.jobs
            )));
        }
        Ok(took)
    }

    /// One job every 2 ms, each by a call of its own, so that a slow answer delays no other.
    async fn trickle(&self, args: &Bench) -> Result<(), Failure> {
        let running = self.start(args, false)?;
        let mut tick = tokio::time::interval(Duration::from_secs(1) / RATE);
        let mut calls = Vec::with_capacity(args.latency_jobs);
        for n in 0..args.latency_jobs {
            tick.tick().await;
            let (ops, latencies, envelope) =
                (self.ops.clone(), Arc::clone(&self.latencies), envelope(n)?);
            calls.push(tokio::spawn(async move {
                latencies.called(n);
                ops.enqueue(vec![envelope]).await?;
                latencies.answered(n);
                Ok::<_, Failure>(())
            }));
        }
        for call in calls {
            call.await.map_err(Failure::bug)??;
        }
        self.latencies.all_started(Duration::from_secs(30)).await;
        running.drain();
        running.finished().await;
        Ok(())
    }
}

fn envelope(n: usize) -> Result<Envelope, Failure> {
    let payload = Payload::of(&BenchWork { n, padding: "x".repeat(PADDING) })?;
    Ok(Envelope::new(BenchWork::KIND, payload))
}
