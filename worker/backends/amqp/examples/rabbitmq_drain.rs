//! Measures RabbitMQ with records in PostgreSQL at the port itself, and a bare consumer beside it.
//!
//! `cargo run --release -p flotilla-amqp --example rabbitmq_drain -- AMQP_URL POSTGRES_URL [jobs] [mode]`.
//! Modes: `records` (a record for each job), `failures` (records for failures only), `raw` (lapin
//! with confirms, 1,000 prefetched, 100 acks to a frame), `latency` (pickup at 500 jobs/s, with
//! records); `all` (default). Makes the schema `flotilla_drain` and queues beginning with
//! `flotilla-drain`, and leaves them.

use std::sync::Arc;
use std::time::Duration;

use flotilla_amqp::Amqp;
use flotilla_brokered::{Brokered, Settings};
use flotilla_conformance::gauge::{Gauge, Outcome, payload, rate};
use flotilla_core::broker::{Adopt, Delivery, Unreadable};
use flotilla_core::clock::Timestamp;
use flotilla_core::ids::Lane;
use flotilla_core::queue::NewJob;
use flotilla_postgres::Postgres;
use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};

const RECORDS: Lane = Lane::from_static("records");
const FAILURES: Lane = Lane::from_static("failures");
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
    let queue = Arc::new(open(&amqp, &postgres).await?);
    let on = |lane| Gauge::new(queue.clone(), lane, 4);
    for (mode, what, lane) in
        [("failures", "failures only", FAILURES), ("records", "records", RECORDS)]
    {
        if is(mode) {
            let gauge = on(lane);
            let enqueue = gauge.enqueue(jobs, BATCH, 2);
            rate(&format!("{what}: enqueue, batches of 1000"), jobs, enqueue).await?;
            rate(&format!("{what}: drain"), jobs, gauge.drain(Some(jobs))).await?;
        }
    }
    if is("latency") {
        for lane in [RECORDS, FAILURES] {
            println!("lane {lane}:");
            on(lane).latency(500, Duration::from_secs(10)).await?;
        }
    }
    queue.broker().close().await;
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
