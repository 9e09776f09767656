//! An exchange, heard by a queue that is bound to it.

use flotilla_core::Timestamp;
use flotilla_core::event::CloudEvent;
use flotilla_events::amqp::Exchange;
use flotilla_events::{Sink as _, SinkError};
use futures_util::StreamExt as _;
use lapin::options::{BasicConsumeOptions, ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, ExchangeKind};
use tokio::time::timeout;

use crate::{PATIENCE, address, event, unique};

#[tokio::test]
async fn a_bound_queue_gets_what_was_confirmed() {
    let (url, name) = (address("FLOTILLA_TEST_AMQP_URL"), unique("amqp"));
    let exchange = Exchange::new(&url, &name).unwrap();
    let lonely = event("nobody listens yet", 10);
    exchange.send(&lonely, Timestamp::UNIX_EPOCH).await.unwrap();

    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await.unwrap();
    let none = FieldTable::default;
    let (queue, key) = (name.as_str(), "flotilla.job.*");
    channel
        .queue_bind(queue.into(), name.as_str().into(), key.into(), Default::default(), none())
        .await
        .unwrap();
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut heard =
        channel.basic_consume(queue.into(), "test".into(), options, none()).await.unwrap();

    let sent = event("a", 10_000);
    exchange.send(&sent, Timestamp::UNIX_EPOCH).await.unwrap();
    let delivery = timeout(PATIENCE, heard.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(serde_json::from_slice::<CloudEvent>(&delivery.data).unwrap(), sent);
    assert_eq!(delivery.routing_key.as_str(), "flotilla.job.completed");
    let properties = delivery.properties;
    assert_eq!(properties.message_id().as_ref().unwrap().as_str(), "a");
    let content_type = properties.content_type().as_ref().unwrap().as_str();
    assert!(content_type.starts_with("application/cloudevents+json"));
    channel.exchange_delete(name.as_str().into(), Default::default()).await.unwrap();
}

#[tokio::test]
async fn an_exchange_of_another_sort_and_a_server_that_is_away_are_said_so() {
    let (url, name) = (address("FLOTILLA_TEST_AMQP_URL"), unique("fanout"));
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let options = ExchangeDeclareOptions { auto_delete: true, ..ExchangeDeclareOptions::default() };
    let kind = ExchangeKind::Fanout;
    channel
        .exchange_declare(name.as_str().into(), kind, options, Default::default())
        .await
        .unwrap();
    let exchange = Exchange::new(&url, &name).unwrap();
    for exchange in [exchange, Exchange::new("amqp://u:hunter2@127.0.0.1:9/%2f", "x").unwrap()] {
        let error = exchange.send(&event("a", 10), Timestamp::UNIX_EPOCH).await.unwrap_err();
        assert!(matches!(error, SinkError::Later { .. }), "{error}");
        assert!(!error.to_string().contains("hunter2"));
    }
    channel.exchange_delete(name.as_str().into(), Default::default()).await.unwrap();
}
