//! SQS as a broker, on an emulator. What that cannot show is listed in `flotilla_aws::sqs`.

#[expect(dead_code, reason = "each test binary uses its part of the module")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::MessageAttributeValue;
use bytes::Bytes;
use flotilla_aws::sqs::{Settings, Sqs};
use flotilla_blobs::LocalBlobs;
use flotilla_core::blob::Blobs;
use flotilla_core::broker::{Broker, Delivery, Notice};
use flotilla_core::ids::{JobId, Kind, Lane, Priority, Receipt, Tenant};
use flotilla_core::queue::{LaneDemand, QueueErrorKind};
use flotilla_core::rng::SeededRng;

const LANE: Lane = Lane::from_static("main");
const POSTS: Lane = Lane::from_static("posts");
const LEASE: Duration = Duration::from_secs(30);

struct Scene {
    sqs: Sqs,
    blobs: Arc<dyn Blobs>,
    client: aws_sdk_sqs::Client,
}

async fn scene(change: impl FnOnce(&mut Settings)) -> Scene {
    let config = support::config(support::region()).await;
    let blobs: Arc<dyn Blobs> = Arc::new(LocalBlobs::in_memory(1 << 24));
    let mut settings = Settings { fifo: BTreeSet::from([POSTS]), ..Settings::default() };
    change(&mut settings);
    let rng = Arc::new(SeededRng::new(1));
    let sqs = Sqs::new(&config, settings, Some(Arc::clone(&blobs)), rng);
    sqs.provision(&[LANE, POSTS]).await.expect("queues are made");
    Scene { sqs, blobs, client: aws_sdk_sqs::Client::new(&config) }
}

fn notice(n: usize, lane: &Lane) -> Notice {
    Notice {
        id: JobId::derived(&n.to_string()),
        kind: Kind::from_static("test.run"),
        lane: lane.clone(),
        priority: Priority::default(),
        tenant: Tenant::default(),
        order: None,
        body: Bytes::from(format!("{{\"n\":{n}}}")),
        delay: Duration::ZERO,
    }
}

impl Scene {
    async fn publish(&self, notices: &[Notice]) {
        let taken = self.sqs.publish(notices).await.expect("publish works");
        assert_eq!(taken, vec![true; notices.len()]);
    }

    async fn receive(&self, lane: &Lane, slots: usize, wait: Duration) -> Vec<Delivery> {
        let demand = LaneDemand { lane: lane.clone(), slots, kinds: Vec::new() };
        self.sqs.receive(&[demand], LEASE, wait).await.expect("receive works")
    }

    /// Receives until `n` have come.
    async fn receive_all(&self, lane: &Lane, n: usize) -> Vec<Delivery> {
        let mut all = Vec::new();
        for _ in 0..50 {
            all.extend(self.receive(lane, n, Duration::ZERO).await);
            if all.len() >= n {
                break;
            }
        }
        assert_eq!(all.len(), n);
        all
    }
}

fn bodies(deliveries: &[Delivery]) -> BTreeSet<String> {
    deliveries.iter().map(|d| String::from_utf8_lossy(&d.body).into_owned()).collect()
}

fn receipts(deliveries: &[Delivery]) -> Vec<Receipt> {
    deliveries.iter().map(|d| d.receipt.clone()).collect()
}

#[tokio::test]
async fn what_is_published_arrives_once_and_is_gone_when_acked() {
    let s = scene(|_| ()).await;
    let notices: Vec<Notice> = (0..25).map(|n| notice(n, &LANE)).collect();
    s.publish(&notices).await;
    assert_eq!(s.sqs.depth(&LANE).await.unwrap(), 25);
    let arrived = s.receive_all(&LANE, 25).await;
    assert_eq!(bodies(&arrived).len(), 25);
    assert!(arrived.iter().all(|d| d.lane == LANE));
    assert!(arrived.iter().all(|d| d.attributes.contains_key("sqs.message_id")));
    assert!(s.receive(&LANE, 10, Duration::ZERO).await.is_empty());
    s.sqs.ack(&receipts(&arrived)).await.unwrap();
    s.sqs.ack(&receipts(&arrived)).await.unwrap();
    assert_eq!(s.sqs.depth(&LANE).await.unwrap(), 0);
}

#[tokio::test]
async fn a_delivery_is_kept_given_back_and_lost() {
    let s = scene(|_| ()).await;
    s.publish(&[notice(1, &LANE)]).await;
    let first = s.receive_all(&LANE, 1).await;
    assert_eq!(s.sqs.extend(&receipts(&first), LEASE).await.unwrap(), [true]);
    s.sqs.nack(&receipts(&first)).await.unwrap();
    let second = s.receive_all(&LANE, 1).await;
    assert!(second[0].redelivered >= 1);
    s.sqs.ack(&receipts(&second)).await.unwrap();
    let held = [receipts(&second), vec![Receipt::Number(1)]].concat();
    assert_eq!(s.sqs.extend(&held, LEASE).await.unwrap(), [false, false]);
}

#[tokio::test]
async fn one_wrong_receipt_in_a_batch_spoils_no_other() {
    let s = scene(|_| ()).await;
    s.publish(&(0..12).map(|n| notice(n, &LANE)).collect::<Vec<_>>()).await;
    let arrived = s.receive_all(&LANE, 12).await;
    s.sqs.ack(&receipts(&arrived[..1])).await.unwrap();
    let kept = s.sqs.extend(&receipts(&arrived), LEASE).await.unwrap();
    assert_eq!(kept.iter().filter(|kept| !**kept).count(), 1);
    assert!(!kept[0]);
}

#[tokio::test]
async fn a_body_over_the_limit_lies_among_the_blobs_until_it_is_acked() {
    let s = scene(|settings| settings.max_message = 2000).await;
    let large = Notice { body: Bytes::from(vec![b'x'; 5000]), ..notice(1, &LANE) };
    let bytes = Notice { body: Bytes::from_static(b"\xff\x00"), ..notice(2, &LANE) };
    s.publish(&[large.clone(), bytes.clone(), notice(3, &LANE)]).await;
    assert_eq!(s.blobs.list("queue", 10).await.unwrap().len(), 2);
    let arrived = s.receive_all(&LANE, 3).await;
    for wanted in [&large.body, &bytes.body, &notice(3, &LANE).body] {
        assert!(arrived.iter().any(|d| d.body == *wanted));
    }
    s.sqs.ack(&receipts(&arrived)).await.unwrap();
    assert!(s.blobs.list("queue", 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_body_over_every_bound_is_not_taken_and_spoils_no_other() {
    let s = scene(|settings| {
        settings.max_message = 2000;
        settings.max_body = 3000;
    })
    .await;
    let large = Notice { body: Bytes::from(vec![b'x'; 5000]), ..notice(1, &LANE) };
    let taken = s.sqs.publish(&[large, notice(2, &LANE)]).await.unwrap();
    assert_eq!(taken, [false, true]);
}

#[tokio::test]
async fn a_message_may_not_name_a_blob_elsewhere() {
    let s = scene(|_| ()).await;
    let key = "content/acme/secret".parse().unwrap();
    s.blobs.put(&key, "secret".into(), "text/plain").await.unwrap();
    let url = s.client.get_queue_url().queue_name("flotilla-main").send().await.unwrap();
    let claim = MessageAttributeValue::builder().data_type("String").string_value(key.as_str());
    let request = s.client.send_message().set_queue_url(url.queue_url).message_body("{}");
    let request = request.message_attributes("flotilla.blob", claim.build().unwrap());
    request.send().await.unwrap();
    let arrived = s.receive_all(&LANE, 1).await;
    assert_eq!(arrived[0].body, "{}", "its own bytes, not those of the blob");
    s.sqs.ack(&receipts(&arrived)).await.unwrap();
    assert!(s.blobs.size(&key).await.unwrap().is_some());
}

#[tokio::test]
async fn a_fifo_lane_hands_out_one_of_a_group_after_the_other() {
    let s = scene(|_| ()).await;
    let ordered = |n, key: &str| Notice { order: Some(key.into()), ..notice(n, &POSTS) };
    s.publish(&[ordered(1, "acme"), ordered(2, "two words"), ordered(3, "acme")]).await;
    let first = s.receive(&POSTS, 1, Duration::ZERO).await;
    assert_eq!(bodies(&first), BTreeSet::from(["{\"n\":1}".to_owned()]));
    let second = s.receive(&POSTS, 10, Duration::ZERO).await;
    assert_eq!(bodies(&second), BTreeSet::from(["{\"n\":2}".to_owned()]), "its group is held");
    s.sqs.ack(&receipts(&first)).await.unwrap();
    let third = s.receive_all(&POSTS, 1).await;
    assert_eq!(bodies(&third), BTreeSet::from(["{\"n\":3}".to_owned()]));
    assert_eq!(third[0].attributes["sqs.group"], "acme");
    // The same job again, as a retry is: not a duplicate.
    s.sqs.ack(&receipts(&third)).await.unwrap();
    s.publish(&[ordered(3, "acme")]).await;
    assert_eq!(s.receive_all(&POSTS, 1).await.len(), 1);
    let late = Notice { delay: Duration::from_secs(5), ..notice(4, &POSTS) };
    assert_eq!(s.sqs.publish(&[late]).await.unwrap(), [false], "the record keeps it");
}

#[tokio::test]
async fn a_long_poll_brings_what_comes_meanwhile_and_wakes() {
    let s = Arc::new(scene(|_| ()).await);
    let mut wakes = s.sqs.wakes();
    let waiting = {
        let s = Arc::clone(&s);
        tokio::spawn(async move { s.receive(&LANE, 10, Duration::from_secs(20)).await })
    };
    tokio::task::yield_now().await;
    s.publish(&[notice(1, &LANE)]).await;
    assert_eq!(waiting.await.unwrap().len(), 1);
    assert!(wakes.has_changed().unwrap());
    wakes.mark_unchanged();
}

#[tokio::test]
async fn what_strangers_send_comes_with_its_attributes() {
    let s = scene(|settings| {
        settings.names = BTreeMap::from([(Lane::from_static("fed"), "events-of-others".into())]);
    })
    .await;
    let fed = Lane::from_static("fed");
    s.sqs.provision(std::slice::from_ref(&fed)).await.unwrap();
    let url = s.client.get_queue_url().queue_name("events-of-others").send().await.unwrap();
    let value = MessageAttributeValue::builder().data_type("String").string_value("app.created");
    let request = s.client.send_message().set_queue_url(url.queue_url).message_body("not json");
    request.message_attributes("ce_type", value.build().unwrap()).send().await.unwrap();
    let arrived = s.receive_all(&fed, 1).await;
    assert_eq!(arrived[0].body, "not json");
    assert_eq!(arrived[0].attributes["ce_type"], "app.created");
}

#[tokio::test]
async fn a_missing_queue_is_named_with_the_command_that_makes_it() {
    let s = scene(|_| ()).await;
    let nowhere = Lane::from_static("nowhere");
    let error = s.sqs.publish(&[notice(1, &nowhere)]).await.unwrap_err();
    assert_eq!(error.kind, QueueErrorKind::Invalid);
    assert!(
        error.message.contains("flotilla-nowhere") && error.message.contains("flotilla migrate")
    );
    let demand = LaneDemand { lane: nowhere, slots: 1, kinds: Vec::new() };
    let error = s.sqs.receive(&[demand], LEASE, Duration::ZERO).await.unwrap_err();
    assert!(error.message.contains("flotilla migrate"), "{error}");
}

#[tokio::test]
async fn queues_are_made_once_and_looked_over() {
    let s = scene(|_| ()).await;
    s.sqs.provision(&[LANE, POSTS]).await.unwrap();
    assert_eq!(s.sqs.problems(&[LANE, POSTS]).await.unwrap(), Vec::<String>::new());
    let request = s.client.create_queue().queue_name("flotilla-small");
    let size = aws_sdk_sqs::types::QueueAttributeName::MaximumMessageSize;
    request.attributes(size, "2048").send().await.unwrap();
    let small = Lane::from_static("small");
    s.sqs.provision(std::slice::from_ref(&small)).await.unwrap();
    let problems = s.sqs.problems(&[small]).await.unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("2048"), "{problems:?}");
}
