//! Opens the backend that `[queue]` names and hands out its ports. One file per backend.

#[cfg(any(feature = "rabbitmq", feature = "aws"))]
mod brokered;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod sqlite;
#[cfg(feature = "aws")]
mod sqs;

use std::sync::Arc;

use async_trait::async_trait;
use flotilla_config::{Backend, Config};
use flotilla_core::fleet::Fleet;
use flotilla_core::{Cells, Clock, Outbox, Queue, Records, Registry, SystemClock, Timestamp};

use crate::exit::Failure;
use crate::wire::time::FleetTime;

/// What the binary asks of a backend beyond its ports; most have little to say.
#[async_trait]
trait Open: Send + Sync {
    /// Writes what is still on its way and lets go of files and connections.
    async fn close(self: Arc<Self>) {}

    /// Tells a server that takes enqueues in SQL how the kinds are run by default.
    async fn announce(&self, registry: &Registry) -> Result<(), Failure> {
        let _ = registry;
        Ok(())
    }

    /// What the backend's own check found.
    async fn check(&self) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }
}

/// One thing a backend looked at.
pub(crate) struct Finding {
    /// What: "integrity", "topology", …
    pub(crate) what: &'static str,
    /// Nothing to do.
    pub(crate) ok: bool,
    /// What was found and, if not ok, what to do.
    pub(crate) says: String,
}

/// One backend, seen through its ports.
pub(crate) struct Ports {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) fleet: Arc<dyn Fleet>,
    pub(crate) cells: Arc<dyn Cells>,
    pub(crate) outbox: Arc<dyn Outbox>,
    open: Arc<dyn Open>,
    time: Option<FleetTime>,
}

impl Ports {
    /// The ports of a backend that implements all of them.
    fn of<B: Queue + Records + Fleet + Cells + Outbox + 'static>(
        backend: &Arc<B>,
        open: impl Open + 'static,
    ) -> Self {
        Self {
            queue: Arc::clone(backend) as Arc<dyn Queue>,
            records: Arc::clone(backend) as Arc<dyn Records>,
            fleet: Arc::clone(backend) as Arc<dyn Fleet>,
            cells: Arc::clone(backend) as Arc<dyn Cells>,
            outbox: Arc::clone(backend) as Arc<dyn Outbox>,
            open: Arc::new(open),
            time: None,
        }
    }

    /// The clock this process shares with its fleet.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        match &self.time {
            Some(time) => Arc::clone(&time.clock) as Arc<dyn Clock>,
            None => Arc::new(SystemClock),
        }
    }

    /// Microseconds from this machine's clock to the queue server's; `None`: there is no server.
    pub(crate) fn clock_offset(&self) -> Option<i64> {
        self.time.as_ref().and_then(FleetTime::offset)
    }

    /// Now, by that clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// Writes what is still on its way and lets go of files and connections.
    pub(crate) async fn close(self) {
        self.open.close().await;
    }

    /// Tells a server that takes enqueues in SQL how the kinds are run by default.
    pub(crate) async fn announce(&self, registry: &Registry) -> Result<(), Failure> {
        self.open.announce(registry).await
    }

    /// What the backend's own check found; nothing for one that has nothing to check.
    pub(crate) async fn check(&self) -> Result<Vec<Finding>, Failure> {
        self.open.check().await
    }
}

/// Opens it; the folder of an embedded queue is made when it is missing.
pub(super) async fn open(config: &Config) -> Result<Ports, Failure> {
    let mut ports = backend(config).await?;
    ports.time = Some(FleetTime::of(&ports.fleet).await?);
    Ok(ports)
}

async fn backend(config: &Config) -> Result<Ports, Failure> {
    match config.queue.backend {
        Backend::Sqlite => sqlite::open(config),
        Backend::Memory => Ok(memory::open(config)),
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::open(config).await,
        #[cfg(not(feature = "postgres"))]
        Backend::Postgres => Err(absent("postgres")),
        #[cfg(feature = "rabbitmq")]
        Backend::Rabbitmq => rabbitmq::open(config).await,
        #[cfg(not(feature = "rabbitmq"))]
        Backend::Rabbitmq => Err(absent("rabbitmq")),
        #[cfg(feature = "aws")]
        Backend::Sqs => sqs::open(config).await,
        #[cfg(not(feature = "aws"))]
        Backend::Sqs => Err(absent("sqs")),
    }
}

/// Brings schema and topology of the configured backend up to date; says what was done.
pub(crate) async fn migrate(config: &Config) -> Result<String, Failure> {
    match config.queue.backend {
        Backend::Sqlite => {
            open(config).await?.close().await;
            Ok(format!("{} is up to date", config.queue_path().display()))
        }
        Backend::Memory => Ok("nothing to do in memory".to_owned()),
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::migrate(config).await,
        #[cfg(not(feature = "postgres"))]
        Backend::Postgres => Err(absent("postgres")),
        #[cfg(feature = "rabbitmq")]
        Backend::Rabbitmq => rabbitmq::migrate(config).await,
        #[cfg(not(feature = "rabbitmq"))]
        Backend::Rabbitmq => Err(absent("rabbitmq")),
        #[cfg(feature = "aws")]
        Backend::Sqs => sqs::migrate(config).await,
        #[cfg(not(feature = "aws"))]
        Backend::Sqs => Err(absent("sqs")),
    }
}

#[cfg(not(all(feature = "postgres", feature = "rabbitmq", feature = "aws")))]
fn absent(name: &str) -> Failure {
    Failure::config(format!(
        "queue.backend = \"{name}\" is not in this build: build it with \
         `cargo build --release --features full`"
    ))
}
