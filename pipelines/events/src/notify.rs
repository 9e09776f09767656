//! NOTIFY of PostgreSQL. It reaches whoever listens at that moment and nobody later, and carries
//! less than 8,000 bytes: a larger event goes without its data and says where that is.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::Timestamp;
use flotilla_core::event::CloudEvent;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{Sink, SinkError, encoded};

/// Bytes a notification can carry; the server's own bound is 8,000.
const MAX_PAYLOAD: usize = 7999;

/// Longest name of a channel, in bytes.
const MAX_NAME: usize = 63;

/// Longest wait for the server.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is wrong with the settings. The address is not shown, since it holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadChannel {
    /// Not an address.
    #[error("the address is not postgres://user:password@host:port/database")]
    Address,
    /// Not a name.
    #[error("the channel must have 1 to 63 bytes")]
    Name,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// One channel of one database.
pub struct Channel {
    config: Config,
    tls: MakeRustlsConnect,
    channel: String,
    client: Mutex<Option<Client>>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Channel({})", self.channel)
    }
}

impl Channel {
    /// The channel of that name in the database at `url`. Connects with the first event.
    ///
    /// # Errors
    /// [`BadChannel`].
    pub fn new(url: &str, channel: impl Into<String>) -> Result<Self, BadChannel> {
        let mut config: Config = url.parse().map_err(|_| BadChannel::Address)?;
        config.connect_timeout(PATIENCE).keepalives_idle(Duration::from_secs(30));
        if config.get_application_name().is_none() {
            config.application_name("flotilla events");
        }
        let channel = channel.into();
        if channel.is_empty() || channel.len() > MAX_NAME {
            return Err(BadChannel::Name);
        }
        let tls = tls().map_err(|e| BadChannel::Tls(e.to_string()))?;
        Ok(Self { config, tls, channel, client: Mutex::default() })
    }

    async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        if self.config.get_ssl_mode() == SslMode::Disable {
            let (client, driver) = self.config.connect(NoTls).await?;
            tokio::spawn(driver); // ends with its client
            return Ok(client);
        }
        let (client, driver) = self.config.connect(self.tls.clone()).await?;
        tokio::spawn(driver);
        Ok(client)
    }

    async fn notify(&self, payload: &str) -> Result<(), tokio_postgres::Error> {
        let mut held = self.client.lock().await;
        let client = match held.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.connect().await?,
        };
        // Put back only when it has worked: a broken connection is not used twice.
        client.execute("SELECT pg_notify($1, $2)", &[&self.channel, &payload]).await?;
        *held = Some(client);
        Ok(())
    }
}

fn tls() -> Result<MakeRustlsConnect, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[async_trait]
impl Sink for Channel {
    async fn send(&self, event: &CloudEvent, _: Timestamp) -> Result<(), SinkError> {
        let mut body = encoded(event)?;
        if body.len() > MAX_PAYLOAD {
            body = encoded(&event.reference())?;
        }
        let text = std::str::from_utf8(&body)
            .map_err(|_| SinkError::Refused("the event is not text".into()))?;
        match timeout(PATIENCE, self.notify(text)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(SinkError::later(said(&error))),
            Err(_) => {
                let seconds = PATIENCE.as_secs();
                Err(SinkError::later(format!("PostgreSQL did not answer within {seconds} s")))
            }
        }
    }
}

/// What the server or the network said, without the address.
fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("PostgreSQL answered {}: {}", db.code().code(), db.message()),
        None => format!("PostgreSQL could not be reached: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_and_the_address_is_not_shown() {
        let error = Channel::new("postgres://u:hunter2@h:port/db", "jobs").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert_eq!(Channel::new("postgres://u@h/db", "").unwrap_err(), BadChannel::Name);
        let channel = Channel::new("postgres://u:hunter2@h/db", "jobs").unwrap();
        assert_eq!(format!("{channel:?}"), "Channel(jobs)");
    }
}
