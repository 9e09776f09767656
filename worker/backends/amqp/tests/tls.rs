//! `amqps`: certificates are checked, always.

#[expect(dead_code, reason = "each test binary uses its part of the module")]
mod support;

use std::path::PathBuf;

use flotilla_amqp::{Amqp, Settings};
use flotilla_conformance::tls::{NAME, Starts, TlsFront};
use flotilla_core::queue::QueueErrorKind;

async fn front() -> TlsFront {
    let url = support::address("FLOTILLA_TEST_AMQP_URL");
    let uri: lapin::uri::AMQPUri = url.parse().expect("an address of a broker");
    let server = format!("{}:{}", uri.authority.host, uri.authority.port);
    TlsFront::before(server.parse().expect("a loopback address"), Starts::AtOnce).await
}

fn settings(host: &str, port: u16, ca_file: Option<PathBuf>) -> Settings {
    let url = format!("amqps://guest:guest@{host}:{port}/%2f");
    Settings { ca_file, ..Settings::new(url) }
}

#[tokio::test]
async fn a_broker_of_a_known_authority_is_used() {
    let front = front().await;
    let settings = settings(NAME, front.port(), Some(front.authority()));
    let broker = Amqp::connect(settings).await.unwrap();
    assert!(broker.check(&[support::LANE]).await.is_ok(), "it answers");
}

#[tokio::test]
async fn a_broker_of_an_unknown_authority_or_another_name_is_refused() {
    let (front, other) = (front().await, front().await);
    for settings in [
        settings(NAME, front.port(), None),
        settings(NAME, front.port(), Some(other.authority())),
        settings("127.0.0.1", front.port(), Some(front.authority())),
    ] {
        let error = Amqp::connect(settings).await.unwrap_err();
        assert_eq!(error.kind, QueueErrorKind::Unavailable, "{error}");
        let text = format!("{error:?}").to_lowercase();
        assert!(text.contains("certificate") && !text.contains("guest:guest"), "{text}");
    }
}
