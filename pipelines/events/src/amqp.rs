//! An exchange of RabbitMQ. The type of the event is the routing key, so that queues bind to what
//! they want (`flotilla.job.*`). An event counts as delivered once the broker has confirmed it;
//! that no queue is bound is nobody's fault.

use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::Timestamp;
use flotilla_core::event::CloudEvent;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::{CONTENT_TYPE, Sink, SinkError, encoded};

/// Longest wait for a connection and for a confirmation.
const PATIENCE: Duration = Duration::from_secs(10);

/// On disk before it is confirmed.
const PERSISTENT: u8 = 2;

/// The address cannot be read. It is not shown, since it holds a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address is not amqp://user:password@host:port/vhost")]
pub struct BadAddress;

/// One exchange.
pub struct Exchange {
    uri: AMQPUri,
    tls: OwnedTLSConfig,
    exchange: String,
    open: Mutex<Option<Open>>,
}

struct Open {
    connection: Connection,
    channel: Channel,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Exchange({})", self.exchange)
    }
}

impl Exchange {
    /// The topic exchange of that name on the server at `url`; it is declared, durable, unless it
    /// is there. Connects with the first event.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn new(url: &str, exchange: impl Into<String>) -> Result<Self, BadAddress> {
        let uri = url.parse().map_err(|_| BadAddress)?;
        let tls = OwnedTLSConfig { identity: None, cert_chain: None };
        Ok(Self { uri, tls, exchange: exchange.into(), open: Mutex::default() })
    }

    async fn connect(&self) -> Result<Open, lapin::Error> {
        let properties =
            ConnectionProperties::default().with_connection_name("flotilla events".into());
        let runtime = lapin::runtime::default_runtime()?;
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.tls.cert_chain.clone() };
        let connection =
            Connection::connect_uri_with_config(self.uri.clone(), properties, tls, runtime).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let (name, kind) = (self.exchange.as_str().into(), ExchangeKind::Topic);
        channel.exchange_declare(name, kind, options, FieldTable::default()).await?;
        Ok(Open { connection, channel })
    }

    async fn publish(&self, event: &CloudEvent, body: &[u8]) -> Result<bool, lapin::Error> {
        let mut open = self.open.lock().await;
        if !open.as_ref().is_some_and(|open| open.channel.status().connected()) {
            *open = Some(self.connect().await?);
        }
        let Some(Open { connection, channel }) = open.as_ref() else { return Ok(false) };
        if connection.status().blocked() {
            return Ok(false);
        }
        let properties = BasicProperties::default()
            .with_content_type(CONTENT_TYPE.into())
            .with_delivery_mode(PERSISTENT)
            .with_message_id(event.id.as_str().into())
            .with_type(event.kind.as_str().into())
            .with_app_id("flotilla-events".into());
        let (exchange, key) = (self.exchange.as_str().into(), event.kind.as_str().into());
        let options = BasicPublishOptions::default();
        let confirm = channel.basic_publish(exchange, key, options, body, properties).await?;
        let confirmation = confirm.await?;
        Ok(matches!(confirmation, Confirmation::Ack(_)))
    }
}

#[async_trait]
impl Sink for Exchange {
    async fn send(&self, event: &CloudEvent, _: Timestamp) -> Result<(), SinkError> {
        let body = encoded(event)?;
        match timeout(PATIENCE, self.publish(event, &body)).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(SinkError::later(
                "RabbitMQ did not take the event: it may be out of memory or disk",
            )),
            Ok(Err(error)) => {
                self.open.lock().await.take();
                Err(SinkError::later(format!("RabbitMQ: {error}")))
            }
            Err(_) => {
                self.open.lock().await.take();
                let seconds = PATIENCE.as_secs();
                Err(SinkError::later(format!("RabbitMQ did not confirm within {seconds} s")))
            }
        }
    }
}
