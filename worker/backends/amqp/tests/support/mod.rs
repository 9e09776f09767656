//! Real servers for the tests, and queues and a schema of its own for each.
//!
//! `FLOTILLA_TEST_AMQP_URL` and `FLOTILLA_TEST_POSTGRES_URL` name servers that are there;
//! `worker/scripts/test.sh` starts both. They take too long to be started for each test.

pub(crate) mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flotilla_amqp::{Amqp, Settings};
use flotilla_core::broker::{Adopt, Delivery, Unreadable};
use flotilla_core::clock::Timestamp;
use flotilla_core::ids::{JobId, Kind, Lane, WorkerId};
use flotilla_core::queue::{Claimed, LaneDemand, NewJob, Queue, Settled, Settlement, Verdict};
use flotilla_postgres::Postgres;

pub(crate) const LANE: Lane = Lane::from_static("main");
pub(crate) const KIND: Kind = Kind::from_static("test.run");
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// The address a variable names.
pub(crate) fn address(variable: &str) -> String {
    std::env::var(variable).ok().filter(|url| !url.is_empty()).unwrap_or_else(|| {
        panic!("{variable} is not set: start the servers with worker/scripts/rabbitmq.sh and postgres.sh, or run worker/scripts/test.sh")
    })
}

/// A name nobody else uses.
pub(crate) fn unique_name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{n}", std::process::id())
}

/// Settings with a prefix of their own.
pub(crate) fn settings() -> Settings {
    let url = address("FLOTILLA_TEST_AMQP_URL");
    Settings { prefix: unique_name(), ..Settings::new(url) }
}

/// A schema of its own with its tables.
pub(crate) async fn schema(events: bool) -> flotilla_postgres::Settings {
    let schema = unique_name().replace('-', "_");
    let url = address("FLOTILLA_TEST_POSTGRES_URL");
    let settings = flotilla_postgres::Settings {
        schema,
        pool_size: 4,
        events,
        brokered: true,
        ..flotilla_postgres::Settings::new(url)
    };
    Postgres::migrate(&settings).await.expect("the schema is made");
    settings
}

/// Reads nothing: these tests send envelopes of ours, and strangers' that are to be dead letters.
#[derive(Debug)]
pub(crate) struct Nothing;

impl Adopt for Nothing {
    fn adopt(&self, _: &Delivery, _: Timestamp) -> Result<Vec<NewJob>, Unreadable> {
        Err(Unreadable { reason: "nothing is adopted here".into() })
    }
}

/// What a test made on the servers, removed at its end however it ends.
pub(crate) struct Leftovers {
    pub(crate) queues: Vec<String>,
    pub(crate) schemas: Vec<String>,
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        let (queues, schemas) =
            (std::mem::take(&mut self.queues), std::mem::take(&mut self.schemas));
        // A thread, since this may run inside a runtime that must not block.
        let cleaned = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(clean(queues, schemas)).map_err(std::io::Error::other)
        });
        let _best_effort = cleaned.join();
    }
}

async fn clean(
    prefixes: Vec<String>,
    schemas: Vec<String>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if !prefixes.is_empty() {
        let connection = raw().await?;
        for prefix in prefixes {
            for lane in ["main", "other", "light"] {
                for band in ["", ":high", ":low"] {
                    delete(&connection, &format!("{prefix}.{lane}{band}")).await?;
                }
            }
            delete(&connection, &format!("{prefix}:dead")).await?;
        }
    }
    for schema in schemas {
        let url = address("FLOTILLA_TEST_POSTGRES_URL");
        let (client, driver) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
        let driver = tokio::spawn(driver);
        client.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE")).await?;
        drop(client);
        driver.await??;
    }
    Ok(())
}

/// A plain connection, as another program would have one.
pub(crate) async fn raw() -> lapin::Result<lapin::Connection> {
    let url = address("FLOTILLA_TEST_AMQP_URL");
    lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await
}

pub(crate) async fn delete(connection: &lapin::Connection, queue: &str) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    channel.queue_delete(queue.into(), Default::default()).await?;
    channel.close(200, "done".into()).await
}

/// A job that may run at once.
pub(crate) fn job(name: &str, now: Timestamp) -> NewJob {
    NewJob::new(JobId::derived(name), KIND, LANE, now)
}

pub(crate) fn demand(lane: &Lane, slots: usize) -> [LaneDemand; 1] {
    [LaneDemand { lane: lane.clone(), slots, kinds: vec![KIND] }]
}

/// One claim; what failed gave nothing.
pub(crate) async fn claim(
    queue: &dyn Queue,
    lane: &Lane,
    slots: usize,
    now: Timestamp,
) -> Vec<Claimed> {
    let worker = WorkerId::new("test");
    let claims = queue.claim(&demand(lane, slots), &worker, LEASE, now).await;
    claims.map(|claims| claims.jobs).unwrap_or_default()
}

/// Claims until `wanted` jobs came, or a minute passed.
pub(crate) async fn claim_until(
    queue: &dyn Queue,
    lane: &Lane,
    wanted: usize,
    now: Timestamp,
) -> Vec<Claimed> {
    let mut jobs = Vec::new();
    let all = async {
        while jobs.len() < wanted {
            let mut wakes = queue.wakes();
            jobs.extend(claim(queue, lane, wanted - jobs.len(), now).await);
            if jobs.len() < wanted {
                let _hint = tokio::time::timeout(Duration::from_millis(50), wakes.changed()).await;
            }
        }
    };
    let _what_came = tokio::time::timeout(Duration::from_secs(60), all).await;
    jobs
}

pub(crate) async fn complete(queue: &dyn Queue, job: &Claimed, now: Timestamp) -> Settled {
    let keep_until = flotilla_core::clock::after(now, Duration::from_secs(3600));
    let verdict = Verdict::Completed { result: (&b"1"[..]).into(), keep_until };
    let done = Settlement { held: job.held.clone(), verdict };
    queue.settle(&[done], now).await.expect("settle works")[0]
}

/// A broker of these settings, and its prefix to be cleaned.
pub(crate) async fn broker(settings: &Settings) -> Arc<Amqp> {
    Amqp::connect(settings.clone()).await.expect("RabbitMQ is there")
}
