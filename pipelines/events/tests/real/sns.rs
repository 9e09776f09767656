//! A topic of the emulator, heard by a queue that subscribed.

use aws_credential_types::Credentials;
use aws_sdk_sns::config::{BehaviorVersion, Region};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use flotilla_core::Timestamp;
use flotilla_core::event::CloudEvent;
use flotilla_events::sns::SnsTopic;
use flotilla_events::{Sink as _, SinkError};
use serde_json::Value;

use crate::{address, event, unique};

/// Clients of topics and queues; the region is a store of its own in the emulator.
fn clients() -> (aws_sdk_sns::Client, aws_sdk_sqs::Client) {
    let endpoint = address("FLOTILLA_TEST_AWS_ENDPOINT");
    let endpoint = endpoint.split(',').next().unwrap().to_owned();
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let keys = Credentials::new("test", "test", None, None, "test");
    let topics = aws_sdk_sns::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(&endpoint)
        .credentials_provider(keys.clone())
        .http_client(http.clone())
        .build();
    let queues = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(keys)
        .http_client(http)
        .build();
    (aws_sdk_sns::Client::from_conf(topics), aws_sdk_sqs::Client::from_conf(queues))
}

#[tokio::test]
async fn a_queue_that_subscribed_gets_the_event_and_what_it_filters_by() {
    let (topics, queues) = clients();
    let name = unique("sns");
    let topic = topics.create_topic().name(&name).send().await.unwrap();
    let topic = topic.topic_arn().unwrap();
    let queue = queues.create_queue().queue_name(&name).send().await.unwrap();
    let queue = queue.queue_url().unwrap();
    let arn = format!("arn:aws:sqs:us-east-1:{}:{name}", topic.split(':').nth(4).unwrap());
    topics
        .subscribe()
        .topic_arn(topic)
        .protocol("sqs")
        .endpoint(arn)
        .attributes("FilterPolicy", r#"{"kind":["caption.parse"],"tenant":["acme"]}"#)
        .send()
        .await
        .unwrap();

    let sink = SnsTopic::with_client(topics, topic);
    for (id, size) in [("a", 1000), ("b", 300_000)] {
        let sent = event(id, size);
        sink.send(&sent, Timestamp::UNIX_EPOCH).await.unwrap();
        let got = queues.receive_message().queue_url(queue).wait_time_seconds(10).send().await;
        let got = got.unwrap();
        let message = &got.messages()[0];
        let notice: Value = serde_json::from_str(message.body().unwrap()).unwrap();
        let heard: CloudEvent = serde_json::from_str(notice["Message"].as_str().unwrap()).unwrap();
        let whole = size < 200_000;
        assert_eq!(heard, if whole { sent } else { sent.reference() });
        assert_eq!(notice["MessageAttributes"]["type"]["Value"], "flotilla.job.completed");
        let receipt = message.receipt_handle().unwrap();
        queues.delete_message().queue_url(queue).receipt_handle(receipt).send().await.unwrap();
    }
}

#[tokio::test]
async fn a_fifo_topic_takes_an_event_once_and_a_missing_one_refuses() {
    let (topics, _) = clients();
    let name = format!("{}.fifo", unique("sns"));
    let topic =
        topics.create_topic().name(&name).attributes("FifoTopic", "true").send().await.unwrap();
    let arn = topic.topic_arn().unwrap().to_owned();
    let sink = SnsTopic::with_client(topics.clone(), &arn);
    sink.send(&event("a", 10), Timestamp::UNIX_EPOCH).await.unwrap();
    let missing = SnsTopic::with_client(topics, format!("{arn}x").replace(".fifox", "-none"));
    let error = missing.send(&event("a", 10), Timestamp::UNIX_EPOCH).await.unwrap_err();
    assert!(matches!(error, SinkError::Refused(_)), "{error}");
}
