//! `queue.backend = "postgres"`: a server that many workers share. Also the records of RabbitMQ.

use std::sync::Arc;

use async_trait::async_trait;
use flotilla_config::Config;
use flotilla_core::Registry;
use flotilla_postgres::{KindDefaults, Postgres, Settings};

use super::{Open, Ports};
use crate::exit::Failure;
use crate::wire::events;

struct Server(Arc<Postgres>);

pub(super) async fn open(config: &Config) -> Result<Ports, Failure> {
    let postgres = connect_as(config, false).await?;
    Ok(Ports::of(&postgres, Server(Arc::clone(&postgres))))
}

/// The server as the records of a broker.
#[cfg(feature = "rabbitmq")]
pub(super) async fn connect(config: &Config) -> Result<Arc<Postgres>, Failure> {
    connect_as(config, true).await
}

async fn connect_as(config: &Config, brokered: bool) -> Result<Arc<Postgres>, Failure> {
    let settings = Settings { brokered, ..settings(config) };
    Postgres::connect(settings).await.map_err(Failure::unavailable)
}

pub(super) async fn migrate(config: &Config) -> Result<String, Failure> {
    let done = Postgres::migrate(&settings(config)).await?;
    Ok(format!("schema version {} → {}", done.from, done.to))
}

/// Tells the server how the kinds are run by default, for `flotilla.enqueue`.
pub(super) async fn announce(postgres: &Postgres, registry: &Registry) -> Result<(), Failure> {
    let kinds: Vec<_> = registry
        .kinds()
        .map(|k| KindDefaults {
            kind: k.kind.clone(),
            lane: k.policy.lane.clone(),
            priority: k.policy.priority,
            max_attempts: k.policy.max_attempts,
            version: k.version,
        })
        .collect();
    postgres.upsert_kinds(&kinds).await?;
    Ok(())
}

fn settings(config: &Config) -> Settings {
    let url = config.queue.url.as_ref().map(|url| url.expose().to_owned()).unwrap_or_default();
    Settings {
        pool_size: config.queue.pool,
        max_payload: config.queue.max_payload,
        max_batch: config.queue.max_batch,
        events: events::wanted(config),
        ca_file: config.queue.root_certificate.clone(),
        ..Settings::new(url)
    }
}

#[async_trait]
impl Open for Server {
    async fn announce(&self, registry: &Registry) -> Result<(), Failure> {
        announce(&self.0, registry).await
    }
}
