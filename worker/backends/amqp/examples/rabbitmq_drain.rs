//! Measures RabbitMQ with records in PostgreSQL at the port itself, and a bare consumer beside it.
//!
//! `cargo run --release -p flotilla-amqp --example rabbitmq_drain -- AMQP_URL POSTGRES_URL [jobs] [mode]`.
//! Modes: `records` (a record for each job), `failures` (records for failures only), `raw` (lapin
//! with confirms, 1,000 prefetched, 100 acks to a frame), `latency` (pickup at 500 jobs/s, with
//! records); `all` (default). Makes the schema `flotilla_drain` and queues beginning with
//! `flotilla-drain`, and leaves them.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_amqp::Amqp;
use flotilla_brokered::{Brokered, Settings};
use flotilla_core::broker::{Adopt, Delivery, Unreadable};
use flotilla_core::clock::{Clock, SystemClock, Timestamp, after};
use flotilla_core::envelope::{Payload, TraceContext};
use flotilla_core::ids::{JobId, Kind, Lane, Priority, Tenant, WorkerId};
use flotilla_core::queue::{Claimed, LaneDemand, NewJob, Queue, Settlement, Verdict};
use flotilla_core::rng::SeededRng;
use flotilla_postgres::Postgres;
use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const RECORDS: Lane = Lane::from_static("records");
const FAILURES: Lane = Lane::from_static("failures");
const KIND: Kind = Kind::from_static("bench.noop");
const LEASE: Duration = Duration::from_secs(15);
/// Jobs of one claim and of one settle.
const GROUP: usize = 256;
/// Jobs of one enqueue.
const BATCH: usize = 1000;
const QUEUE: &str = "flotilla-drain.raw";

/// Nothing comes from outside here.
#[derive(Debug)]
struct Nothing;

impl Adopt for Nothing {
    fn adopt(&self, _: &Delivery, _: Timestamp) -> Result<Vec<NewJob>, Unreadable> {
        Err(Unreadable { reason: "not of this benchmark".into() })
    }
}

#[derive(Clone)]
struct Bench {
    queue: Arc<Brokered<Amqp, Postgres>>,
    rng: Arc<SeededRng>,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [amqp, postgres] = [0, 1].map(|n| words.get(n).cloned());
    let amqp = amqp.ok_or("say the address of RabbitMQ first")?;
    let postgres = postgres.ok_or("say the address of PostgreSQL second")?;
    let jobs: usize = words.get(2).map_or(Ok(100_000), |word| word.parse())?;
    let mode = words.get(3).map_or("all", String::as_str);
    let is = |one: &str| mode == one || mode == "all";

    if is("raw") {
        raw(&amqp, jobs).await?;
    }
    let bench = Bench {
        queue: Arc::new(open(&amqp, &postgres).await?),
        rng: Arc::new(SeededRng::from_os()),
    };
    if is("failures") {
        rate("failures only: enqueue, batches of 1000", jobs, bench.enqueue(&FAILURES, jobs))
            .await?;
        rate("failures only: drain", jobs, bench.drain(&FAILURES, jobs)).await?;
    }
    if is("records") {
        rate("records: enqueue, batches of 1000", jobs, bench.enqueue(&RECORDS, jobs)).await?;
        rate("records: drain", jobs, bench.drain(&RECORDS, jobs)).await?;
    }
    if is("latency") {
        for lane in [RECORDS, FAILURES] {
            println!("lane {lane}:");
            bench.latency(&lane, 500, Duration::from_secs(10)).await?;
        }
    }
    bench.queue.broker().close().await;
    Ok(())
}

async fn open(amqp: &str, postgres: &str) -> Outcome<Brokered<Amqp, Postgres>> {
    let store = flotilla_postgres::Settings {
        schema: "flotilla_drain".into(),
        brokered: true,
        ..flotilla_postgres::Settings::new(postgres)
    };
    Postgres::migrate(&store).await?;
    let broker = flotilla_amqp::Settings {
        prefix: "flotilla-drain".into(),
        ..flotilla_amqp::Settings::new(amqp)
    };
    let settings =
        Settings { records_for_failures: [FAILURES].into(), ..Settings::new("rabbitmq+postgres") };
    let (broker, store) = (Amqp::connect(broker).await?, Postgres::connect(store).await?);
    Ok(Brokered::new(broker, store, Arc::new(Nothing), settings))
}

async fn rate(what: &str, n: usize, work: impl Future<Output = Outcome<()>>) -> Outcome<()> {
    let start = Instant::now();
    work.await?;
    println!("{what}: {:.0}/s", n as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

fn payload() -> String {
    format!("{{\"text\":\"{}\"}}", "x".repeat(190))
}

impl Bench {
    fn job(&self, lane: &Lane) -> NewJob {
        let now = SystemClock.now();
        NewJob {
            id: JobId::new(now, &*self.rng),
            kind: KIND,
            version: 1,
            lane: lane.clone(),
            tenant: Tenant::default(),
            priority: Priority::default(),
            payload: Payload::from_bytes(payload()),
            run_at: now,
            deadline: None,
            unique: None,
            order: None,
            parent: None,
            max_attempts: 3,
            trace: TraceContext::default(),
            extra: BTreeMap::new(),
        }
    }

    async fn enqueue(&self, lane: &Lane, jobs: usize) -> Outcome<()> {
        let mut tasks = JoinSet::new();
        for _ in 0..2 {
            let (this, lane) = (self.clone(), lane.clone());
            tasks.spawn(async move {
                for _ in 0..jobs / 2 / BATCH {
                    let jobs: Vec<NewJob> = (0..BATCH).map(|_| this.job(&lane)).collect();
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

    async fn claim(&self, lane: &Lane, slots: usize) -> Outcome<Vec<Claimed>> {
        let demand = [LaneDemand { lane: lane.clone(), slots, kinds: vec![KIND] }];
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

    /// Claims and settles side by side until all are done; four settles under way.
    async fn drain(&self, lane: &Lane, jobs: usize) -> Outcome<()> {
        let mut settles = JoinSet::new();
        let mut left = jobs;
        let mut wakes = self.queue.wakes();
        while left > 0 {
            wakes.mark_unchanged();
            let jobs = self.claim(lane, GROUP).await?;
            if jobs.is_empty() {
                let _patience = tokio::time::timeout(Duration::from_secs(1), wakes.changed()).await;
                continue;
            }
            left = left.saturating_sub(jobs.len());
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
    async fn latency(&self, lane: &Lane, per_second: u32, span: Duration) -> Outcome<()> {
        let (started, mut starts) = mpsc::unbounded_channel();
        let (this, of) = (self.clone(), lane.clone());
        let worker = tokio::spawn(async move {
            let mut wakes = this.queue.wakes();
            loop {
                wakes.mark_unchanged();
                let Ok(jobs) = this.claim(&of, GROUP).await else { return };
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
            let (this, job) = (self.clone(), self.job(lane));
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
        let of = |from: fn(&(JobId, Instant, Instant)) -> Instant| {
            let picked = answers
                .iter()
                .filter_map(|a| at.get(&a.0).map(|start| start.saturating_duration_since(from(a))));
            picked.collect::<Vec<Duration>>()
        };
        show("pickup after the answer", of(|a| a.2));
        show("pickup after the call", of(|a| a.1));
        show("answer of the enqueue", answers.iter().map(|a| a.2 - a.1).collect());
        Ok(())
    }
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

/// The ceiling: a quorum queue, confirms, 1,000 prefetched, one ack for a hundred.
async fn raw(url: &str, jobs: usize) -> Outcome<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), options, arguments).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let body = payload();
    rate("raw lapin: publish, batches of 1000", jobs, async {
        for _ in 0..jobs / BATCH {
            let mut confirms = Vec::with_capacity(BATCH);
            for _ in 0..BATCH {
                let options = BasicPublishOptions { mandatory: true, ..Default::default() };
                let properties = BasicProperties::default().with_delivery_mode(2);
                let sent = channel
                    .basic_publish("".into(), QUEUE.into(), options, body.as_bytes(), properties)
                    .await?;
                confirms.push(sent);
            }
            for confirm in confirms {
                confirm.await?;
            }
        }
        Ok(())
    })
    .await?;
    rate("raw lapin: drain", jobs, async {
        let channel = connection.create_channel().await?;
        channel.basic_qos(1000, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let mut consumer =
            channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default()).await?;
        for n in 1..=jobs {
            let delivery = consumer.next().await.ok_or("the consumer ended")??;
            if n % 100 == 0 || n == jobs {
                let multiple = BasicAckOptions { multiple: true };
                channel.basic_ack(delivery.delivery_tag, multiple).await?;
            }
        }
        channel.close(200, "done".into()).await?;
        Ok(())
    })
    .await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}
