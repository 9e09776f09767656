//! One connection, made when it is needed and made anew when it broke.
//!
//! The library could recover connections by itself, but then a call that is under way waits for
//! as long as that takes, and nobody can say which deliveries are still ours. Here a broken
//! connection fails its calls at once, and the next call connects.

use std::sync::Arc;
use std::time::Duration;

use flotilla_core::queue::{QueueError, QueueErrorKind};
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::error::{invalid, late, told};
use crate::settings::Settings;

/// After a failed attempt the next one waits this long, doubled each time …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

pub(crate) struct Link {
    uri: AMQPUri,
    name: String,
    ca: Option<String>,
    connect_timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: Option<Arc<Connection>>,
    failures: u32,
    /// No attempt before.
    pause: Option<Instant>,
}

impl Link {
    pub(crate) fn new(settings: &Settings, does: &str) -> Result<Self, QueueError> {
        let uri = uri(settings)?;
        let ca = match &settings.ca_file {
            None => None,
            Some(path) => Some(std::fs::read_to_string(path).map_err(|e| {
                invalid(format!(
                    "cannot read the certificate authorities in {}: {e}",
                    path.display()
                ))
            })?),
        };
        Ok(Self {
            uri,
            name: format!("{} ({does})", settings.connection_name),
            ca,
            connect_timeout: settings.connect_timeout,
            state: Mutex::default(),
        })
    }

    /// The connection; a new one if the last is broken. While attempts fail, most calls fail
    /// without one, so that an enqueue does not wait for a broker that is down.
    pub(crate) async fn connection(&self) -> Result<Arc<Connection>, QueueError> {
        let mut state = self.state.lock().await;
        if let Some(live) = state.live.as_ref().filter(|live| live.status().connected()) {
            return Ok(Arc::clone(live));
        }
        if state.pause.is_some_and(|until| Instant::now() < until) {
            return Err(QueueError::plain(
                QueueErrorKind::Unavailable,
                "RabbitMQ cannot be reached; it is tried again in a moment",
            ));
        }
        match self.connect().await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *state = State { live: Some(Arc::clone(&connection)), ..State::default() };
                Ok(connection)
            }
            Err(error) => {
                let pause = FIRST_PAUSE.saturating_mul(1 << state.failures.min(10));
                state.failures = state.failures.saturating_add(1);
                state.pause = Some(Instant::now() + pause.min(LONGEST_PAUSE));
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<Connection, QueueError> {
        let properties =
            ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.ca.clone() };
        let runtime = lapin::runtime::default_runtime().map_err(told)?;
        let connecting =
            Connection::connect_uri_with_config(self.uri.clone(), properties, tls, runtime);
        match timeout(self.connect_timeout, connecting).await {
            Ok(connected) => connected.map_err(told),
            Err(_) => Err(late("accept a connection", self.connect_timeout)),
        }
    }

    pub(crate) async fn close(&self) {
        let live = self.state.lock().await.live.take();
        if let Some(live) = live {
            let closing = live.close(200, "bye".into());
            let _best_effort = timeout(self.connect_timeout, closing).await;
        }
    }
}

/// The address in its parts.
pub(crate) fn uri(settings: &Settings) -> Result<AMQPUri, QueueError> {
    // The parser's own error may quote the address, password included.
    settings.url.expose().parse().map_err(|_| {
        invalid(
            "the address of RabbitMQ is not one: amqp://user:password@host:5672/vhost, with %2f \
             for the vhost /"
                .into(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_address_is_not_quoted() {
        let settings = Settings::new("amqp//u:hunter2@h");
        let error = uri(&settings).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
