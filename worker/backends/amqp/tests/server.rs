//! What only a real broker can show, apart from restarts: strangers, duplicates, queues that are
//! not ours, messages that cannot be routed or are given up.

#[expect(dead_code, reason = "each test binary uses its part of the module")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_amqp::{Amqp, Settings};
use flotilla_brokered::Brokered;
use flotilla_core::broker::{Broker, Delivery, Notice};
use flotilla_core::clock::{Clock, ManualClock};
use flotilla_core::ids::{JobId, Lane, Priority, Tenant};
use flotilla_core::queue::{HousekeepPolicy, Queue, QueueErrorKind};
use flotilla_core::records::Records;
use flotilla_core::state::DeadClass;
use flotilla_memory::Memory;
use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection};

use support::{KIND, LANE, LEASE, Leftovers, Nothing, claim_until, complete, demand, job};

const WAIT: Duration = Duration::from_secs(10);

struct Scene {
    broker: Arc<Amqp>,
    settings: Settings,
    raw: Connection,
    _leftovers: Leftovers,
}

async fn scene(change: impl FnOnce(&mut Settings)) -> Scene {
    let mut settings = support::settings();
    change(&mut settings);
    let leftovers = Leftovers { queues: vec![settings.prefix.clone()], schemas: Vec::new() };
    let broker = support::broker(&settings).await;
    let raw = support::raw().await.expect("a plain connection");
    Scene { broker, settings, raw, _leftovers: leftovers }
}

impl Scene {
    fn queue_name(&self) -> String {
        format!("{}.main", self.settings.prefix)
    }

    fn pair(&self) -> Arc<Brokered<Amqp, Memory>> {
        let store = Arc::new(Memory::new(flotilla_memory::Settings::default()));
        let settings = flotilla_brokered::Settings {
            sweep_every: Duration::ZERO,
            records_for_failures: [Lane::from_static("light")].into(),
            ..flotilla_brokered::Settings::new("rabbitmq+memory")
        };
        Arc::new(Brokered::new(Arc::clone(&self.broker), store, Arc::new(Nothing), settings))
    }

    async fn publish(&self, names: &[&str]) -> Vec<bool> {
        let notices: Vec<Notice> = names.iter().map(|name| notice(name, 5)).collect();
        self.broker.publish(&notices).await.expect("publish works")
    }

    async fn receive(&self, slots: usize) -> Vec<Delivery> {
        self.broker.receive(&demand(&LANE, slots), LEASE, WAIT).await.expect("receive works")
    }

    async fn send(&self, body: &[u8], properties: BasicProperties) {
        let channel = self.raw.create_channel().await.expect("a channel");
        let queue = self.queue_name();
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish("".into(), queue.into(), options, body, properties).await;
        sent.expect("it is sent");
        channel.close(200, "done".into()).await.expect("it closes");
    }

    async fn declare(&self, arguments: FieldTable) {
        let channel = self.raw.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let queue = self.queue_name();
        channel.queue_declare(queue.into(), options, arguments).await.expect("it is made");
    }
}

fn notice(name: &str, priority: u8) -> Notice {
    Notice {
        id: JobId::derived(name),
        kind: KIND,
        lane: LANE,
        priority: Priority::new(priority).expect("a level"),
        tenant: Tenant::default(),
        order: None,
        body: Bytes::from(name.to_owned()),
        delay: Duration::ZERO,
    }
}

fn bodies(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|d| std::str::from_utf8(&d.body).expect("text")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_band_is_fetched_and_acked() {
    let s = scene(|settings| settings.prefetch_most = 0).await;
    let notices = [notice("low", 0), notice("usual", 5), notice("urgent", 9)];
    assert_eq!(s.broker.publish(&notices).await.unwrap(), [true, true, true]);
    assert_eq!(s.broker.depth(&LANE).await.unwrap(), 3);
    let came = s.receive(10).await;
    assert_eq!(
        bodies(&came),
        ["low", "usual", "urgent"],
        "a turn of each lower band, then the most urgent"
    );
    let receipts: Vec<_> = came.iter().map(|d| d.receipt.clone()).collect();
    assert_eq!(s.broker.extend(&receipts, LEASE).await.unwrap(), [true, true, true]);
    s.broker.ack(&receipts).await.unwrap();
    assert_eq!(s.broker.extend(&receipts, LEASE).await.unwrap(), [false, false, false]);
    s.broker.close().await;
    assert_eq!(support::broker(&s.settings).await.depth(&LANE).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_worker_holds_no_message_that_an_idle_one_could_have() {
    let s = scene(|_| {}).await;
    let other = support::broker(&s.settings).await;
    assert!(s.broker.receive(&demand(&LANE, 2), LEASE, Duration::ZERO).await.unwrap().is_empty());
    s.publish(&["a", "b", "c", "d", "e"]).await;
    let mine = s.receive(2).await;
    assert_eq!(mine.len(), 2);
    let theirs = other.receive(&demand(&LANE, 3), LEASE, WAIT).await.unwrap();
    assert_eq!(theirs.len(), 3, "the first worker's two slots are taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_comes_again_and_says_so() {
    let s = scene(|_| {}).await;
    s.publish(&["a"]).await;
    let first = s.receive(1).await.remove(0);
    assert_eq!(first.redelivered, 0);
    s.broker.nack(std::slice::from_ref(&first.receipt)).await.unwrap();
    let again = s.receive(1).await.remove(0);
    assert_eq!((bodies(std::slice::from_ref(&again))[0], again.redelivered), ("a", 1));
    assert_ne!(again.receipt, first.receipt);
    s.broker.ack(&[first.receipt, again.receipt]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_deleted_under_way_is_made_again() {
    let s = scene(|_| {}).await;
    assert_eq!(s.publish(&["a"]).await, [true]);
    support::delete(&s.raw, &s.queue_name()).await.unwrap();
    assert_eq!(s.publish(&["b", "c"]).await, [false, false], "returned by the broker");
    assert_eq!(s.publish(&["b", "c"]).await, [true, true]);
    let mut came = s.receive(5).await;
    came.extend(s.receive(5).await);
    assert_eq!(bodies(&came), ["b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_other_arguments_is_reported_and_not_used() {
    let s = scene(|_| {}).await;
    assert_eq!(s.broker.check(&[LANE]).await.unwrap(), []);
    s.declare(FieldTable::default()).await;
    let problems = s.broker.check(&[LANE]).await.unwrap();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].queue, s.queue_name());
    assert!(problems[0].what.contains("inequivalent arg"), "{}", problems[0]);
    assert!(problems[0].mend.contains("rabbitmqctl delete_queue"), "{}", problems[0]);
    assert_eq!(s.publish(&["a"]).await, [false]);
    let failed = s.broker.receive(&demand(&LANE, 1), LEASE, Duration::ZERO).await.unwrap_err();
    assert_eq!(failed.kind, QueueErrorKind::Invalid);
    let both = [&demand(&LANE, 1)[..], &demand(&Lane::from_static("other"), 1)[..]].concat();
    assert!(s.broker.receive(&both, LEASE, Duration::ZERO).await.is_ok(), "others are served");
    support::delete(&s.raw, &s.queue_name()).await.unwrap();
    assert_eq!(s.broker.check(&[LANE]).await.unwrap(), []);
    assert!(s.broker.receive(&demand(&LANE, 1), LEASE, Duration::ZERO).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_strangers_arrive_as_attributes() {
    let s = scene(|_| {}).await;
    s.receive_nothing().await;
    let mut headers = FieldTable::default();
    headers.insert("cloudEvents:type".into(), AMQPValue::LongString("made.up".into()));
    headers.insert("retries".into(), AMQPValue::LongInt(3));
    let properties = BasicProperties::default()
        .with_headers(headers)
        .with_content_type("application/json".into())
        .with_correlation_id("c-1".into());
    s.send(b"{\"a\":1}", properties).await;
    let came = s.receive(1).await.remove(0);
    assert_eq!(&came.body[..], b"{\"a\":1}");
    for (name, value) in [
        ("cloudEvents:type", "made.up"),
        ("retries", "3"),
        ("content-type", "application/json"),
        ("correlation-id", "c-1"),
    ] {
        assert_eq!(came.attributes.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_message_is_a_dead_letter_and_no_loop() {
    let s = scene(|_| {}).await;
    let (pair, now) = (s.pair(), ManualClock::default().now());
    s.receive_nothing().await;
    s.send(b"what is this", BasicProperties::default()).await;
    let job = job("after", now);
    pair.enqueue(std::slice::from_ref(&job), now).await.unwrap();
    let got = claim_until(&*pair, &LANE, 1, now).await;
    assert_eq!(got[0].held.id, job.id);
    let filter = flotilla_core::records::Filter::default().dead();
    assert_eq!(pair.count(&filter).await.unwrap(), 1);
    assert_eq!(s.broker.depth(&LANE).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_runs_its_job_once() {
    let s = scene(|_| {}).await;
    let (pair, now) = (s.pair(), ManualClock::default().now());
    let one = job("one", now);
    pair.enqueue(std::slice::from_ref(&one), now).await.unwrap();
    let first = claim_until(&*pair, &LANE, 1, now).await.remove(0);
    // As a producer that was not sure would send it again.
    let body = format!(
        r#"{{"envelope":1,"id":"{}","kind":"test.run","kind_version":1,"payload":{{}},"lane":"main",
        "tenant":"default","priority":5,"run_at":"{now}","max_attempts":3}}"#,
        one.id
    );
    for _ in 0..3 {
        s.send(body.as_bytes(), BasicProperties::default()).await;
    }
    pair.enqueue(&[job("two", now)], now).await.unwrap();
    let second = claim_until(&*pair, &LANE, 1, now).await.remove(0);
    assert_eq!(second.held.id, job("two", now).id, "behind three duplicates");
    complete(&*pair, &first, now).await;
    complete(&*pair, &second, now).await;
    assert_eq!(pair.get(one.id).await.unwrap().unwrap().attempt, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_gave_up_becomes_a_dead_letter() {
    let s = scene(|settings| settings.delivery_limit = 1).await;
    let (pair, now) = (s.pair(), ManualClock::default().now());
    let light = Lane::from_static("light");
    let one = flotilla_core::queue::NewJob { lane: light.clone(), ..job("one", now) };
    pair.enqueue(std::slice::from_ref(&one), now).await.unwrap();
    for _ in 0..2 {
        let came = s.broker.receive(&demand(&light, 1), LEASE, WAIT).await.unwrap();
        assert_eq!(came.len(), 1);
        s.broker.nack(&[came[0].receipt.clone()]).await.unwrap();
    }
    let policy = HousekeepPolicy { poison_after: 2, keep_dead: LEASE, batch: 10 };
    let mut record = None;
    for _ in 0..200 {
        pair.housekeep(&policy, now).await.unwrap();
        record = pair.get(one.id).await.unwrap();
        if record.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // the broker moves it in its own time
    }
    let record = record.expect("it was collected");
    assert_eq!((record.class, record.lane), (Some(DeadClass::Poison), light));
    assert!(record.errors[0].error.contains("delivery_limit"), "{}", record.errors[0].error);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_light_lane_leaves_no_record() {
    let s = scene(|_| {}).await;
    let (pair, now) = (s.pair(), ManualClock::default().now());
    let light = Lane::from_static("light");
    let jobs: Vec<_> = (0..300)
        .map(|n| flotilla_core::queue::NewJob { lane: light.clone(), ..job(&n.to_string(), now) })
        .collect();
    pair.enqueue(&jobs, now).await.unwrap();
    let mut done = std::collections::BTreeSet::new();
    while done.len() < 300 {
        for job in claim_until(&*pair, &light, 20, now).await {
            complete(&*pair, &job, now).await;
            assert!(done.insert(job.held.id), "once");
        }
    }
    assert_eq!(pair.count(&Default::default()).await.unwrap(), 0);
    s.broker.close().await;
    assert_eq!(support::broker(&s.settings).await.depth(&light).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_without_it() {
    let url = support::address("FLOTILLA_TEST_AMQP_URL").replace("guest:guest", "guest:hunter2");
    let failed = Amqp::connect(Settings::new(url)).await.unwrap_err();
    assert_eq!(failed.kind, QueueErrorKind::Unavailable);
    assert!(!format!("{failed:?}").contains("hunter2"), "{failed:?}");
}

impl Scene {
    /// Makes the queues of the lane, as the first claim of a worker does.
    async fn receive_nothing(&self) {
        let nothing = self.broker.receive(&demand(&LANE, 1), LEASE, Duration::ZERO).await;
        assert!(nothing.expect("receive works").is_empty());
    }
}
