//! PostgreSQL over TLS: `sslmode=require` checks certificates here, unlike in libpq.

#[expect(dead_code, reason = "each test binary uses its part of the module")]
mod support;

use std::path::PathBuf;

use flotilla_conformance::tls::{NAME, Starts, TlsFront};
use flotilla_core::queue::QueueErrorKind;
use flotilla_postgres::{Postgres, Settings};

async fn front() -> TlsFront {
    let config: tokio_postgres::Config = support::url().parse().expect("an address of a server");
    let server = ([127, 0, 0, 1], config.get_ports()[0]);
    TlsFront::before(server.into(), Starts::WhenAsked).await
}

fn settings(host: &str, port: u16, ca_file: Option<PathBuf>) -> Settings {
    let url = format!("postgres://flotilla@{host}:{port}/postgres?sslmode=require");
    let schema = format!("tls_{}", std::process::id());
    Settings { schema, ca_file, ..Settings::new(url) }
}

#[tokio::test]
async fn a_server_of_a_known_authority_is_used() {
    let front = front().await;
    let settings = settings(NAME, front.port(), Some(front.authority()));
    Postgres::migrate(&settings).await.unwrap();
    Postgres::connect(settings.clone()).await.unwrap();
    let config = support::url();
    let (client, driver) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(driver);
    client.batch_execute(&format!("DROP SCHEMA {} CASCADE", settings.schema)).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_or_another_name_is_refused() {
    let (front, other) = (front().await, front().await);
    for settings in [
        settings(NAME, front.port(), None),
        settings(NAME, front.port(), Some(other.authority())),
        settings("127.0.0.1", front.port(), Some(front.authority())),
    ] {
        let error = Postgres::connect(settings).await.unwrap_err();
        assert!(matches!(error.kind, QueueErrorKind::Unavailable | QueueErrorKind::Invalid));
        let text = format!("{error:?}").to_lowercase();
        assert!(text.contains("certificate"), "{text}");
    }
}
