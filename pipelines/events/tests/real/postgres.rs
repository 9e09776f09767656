//! NOTIFY, heard by a session that listens.

use std::future::poll_fn;

use flotilla_core::Timestamp;
use flotilla_core::event::CloudEvent;
use flotilla_events::Sink as _;
use flotilla_events::notify::Channel;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::{PATIENCE, address, event, unique};

/// A session that listens on `channel` and hands on what it hears.
async fn listen(url: &str, channel: &str) -> (Client, mpsc::UnboundedReceiver<String>) {
    let (client, mut driver) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let (heard, hears) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| driver.poll_message(cx)).await {
            if let AsyncMessage::Notification(said) = message {
                let _ = heard.send(said.payload().to_owned());
            }
        }
    });
    client.batch_execute(&format!("LISTEN \"{channel}\"")).await.unwrap();
    (client, hears)
}

async fn next(hears: &mut mpsc::UnboundedReceiver<String>) -> CloudEvent {
    let said = timeout(PATIENCE, hears.recv()).await.unwrap().unwrap();
    assert!(said.len() < 8000);
    serde_json::from_str(&said).unwrap()
}

#[tokio::test]
async fn a_listener_hears_events_and_references_to_large_ones() {
    let (url, name) = (address("FLOTILLA_TEST_POSTGRES_URL"), unique("notify"));
    let (client, mut hears) = listen(&url, &name).await;
    let separator = if url.contains('?') { '&' } else { '?' };
    let named = format!("{url}{separator}application_name={name}");
    let channel = Channel::new(&named, &name).unwrap();

    let small = event("a", 100);
    channel.send(&small, Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(next(&mut hears).await, small);

    let large = event("b", 9000);
    channel.send(&large, Timestamp::UNIX_EPOCH).await.unwrap();
    let heard = next(&mut hears).await;
    assert_eq!((heard.id.as_str(), heard.data.is_null()), ("b", true));
    assert_eq!(heard.dataref.unwrap(), format!("/v1/jobs/{}", large.subject.unwrap()));

    // Its session ends, as with a restart of the server: at most one attempt fails.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
    client.execute(end, &[&name]).await.unwrap();
    if channel.send(&small, Timestamp::UNIX_EPOCH).await.is_err() {
        channel.send(&small, Timestamp::UNIX_EPOCH).await.unwrap();
    }
    assert_eq!(next(&mut hears).await, small);
}
