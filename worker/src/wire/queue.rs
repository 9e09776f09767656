//! Opens the backend that `[queue]` names and hands out its ports.

use std::sync::Arc;

use flotilla_config::{Backend, Config, Synchronous};
use flotilla_core::fleet::Fleet;
use flotilla_core::{Queue, Records, Registry};
use flotilla_memory::Memory;
use flotilla_sqlite::{Finding, Sqlite};

use crate::exit::Failure;

/// One backend, seen through its ports.
pub(crate) struct Ports {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) fleet: Arc<dyn Fleet>,
    sqlite: Option<Arc<Sqlite>>,
    #[cfg(feature = "postgres")]
    postgres: Option<Arc<flotilla_postgres::Postgres>>,
}

impl Ports {
    /// Writes what is still on its way and lets go of the file.
    pub(crate) async fn close(self) {
        if let Some(sqlite) = self.sqlite {
            let _ = tokio::task::spawn_blocking(move || sqlite.close()).await;
        }
    }

    /// Tells a server that takes enqueues in SQL how the kinds are run by default.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(clippy::unused_async, reason = "one shape for all builds")
    )]
    pub(crate) async fn announce(&self, registry: &Registry) -> Result<(), Failure> {
        #[cfg(feature = "postgres")]
        if let Some(postgres) = &self.postgres {
            let kinds: Vec<_> = registry
                .kinds()
                .map(|k| flotilla_postgres::KindDefaults {
                    kind: k.kind.clone(),
                    lane: k.policy.lane.clone(),
                    priority: k.policy.priority,
                    max_attempts: k.policy.max_attempts,
                    version: k.version,
                })
                .collect();
            postgres.upsert_kinds(&kinds).await?;
        }
        let _ = registry;
        Ok(())
    }

    /// What the backend's own check found; nothing for one that has no file.
    pub(crate) async fn check(&self) -> Result<Vec<Finding>, Failure> {
        match &self.sqlite {
            Some(sqlite) => Ok(sqlite.check().await?),
            None => Ok(Vec::new()),
        }
    }
}

/// Opens it; the folder of an embedded queue is made when it is missing.
pub(super) async fn open(config: &Config) -> Result<Ports, Failure> {
    match config.queue.backend {
        Backend::Sqlite => {
            let settings = flotilla_sqlite::Settings {
                synchronous: match config.queue.synchronous {
                    Synchronous::Full => flotilla_sqlite::Synchronous::Full,
                    Synchronous::Normal => flotilla_sqlite::Synchronous::Normal,
                },
                busy_timeout: config.queue.busy_timeout,
                max_payload: config.queue.max_payload,
                max_batch: config.queue.max_batch,
            };
            let sqlite = Sqlite::open(config.queue_path(), settings)?;
            Ok(Ports {
                queue: Arc::clone(&sqlite) as Arc<dyn Queue>,
                records: Arc::clone(&sqlite) as Arc<dyn Records>,
                fleet: Arc::clone(&sqlite) as Arc<dyn Fleet>,
                sqlite: Some(sqlite),
                #[cfg(feature = "postgres")]
                postgres: None,
            })
        }
        Backend::Postgres => postgres(config).await,
        Backend::Memory => {
            let memory = Arc::new(Memory::new(flotilla_memory::Settings {
                max_payload: config.queue.max_payload,
                max_batch: config.queue.max_batch,
            }));
            Ok(Ports {
                queue: Arc::clone(&memory) as Arc<dyn Queue>,
                records: Arc::clone(&memory) as Arc<dyn Records>,
                fleet: memory,
                sqlite: None,
                #[cfg(feature = "postgres")]
                postgres: None,
            })
        }
    }
}

#[cfg(feature = "postgres")]
async fn postgres(config: &Config) -> Result<Ports, Failure> {
    let postgres = flotilla_postgres::Postgres::connect(postgres_settings(config))
        .await
        .map_err(Failure::unavailable)?;
    Ok(Ports {
        queue: Arc::clone(&postgres) as Arc<dyn Queue>,
        records: Arc::clone(&postgres) as Arc<dyn Records>,
        fleet: Arc::clone(&postgres) as Arc<dyn Fleet>,
        sqlite: None,
        postgres: Some(postgres),
    })
}

#[cfg(not(feature = "postgres"))]
async fn postgres(_: &Config) -> Result<Ports, Failure> {
    Err(Failure::config(ABSENT))
}

#[cfg(not(feature = "postgres"))]
const ABSENT: &str = "queue.backend = \"postgres\" is not in this build: \
                      build it with `cargo build --release --features full`";

#[cfg(feature = "postgres")]
fn postgres_settings(config: &Config) -> flotilla_postgres::Settings {
    let url = config.queue.url.as_ref().map(|url| url.expose().to_owned()).unwrap_or_default();
    flotilla_postgres::Settings {
        pool_size: config.queue.pool,
        max_payload: config.queue.max_payload,
        max_batch: config.queue.max_batch,
        ..flotilla_postgres::Settings::new(url)
    }
}

/// Brings the schema of the configured backend up to date; says what was done.
pub(crate) async fn migrate(config: &Config) -> Result<String, Failure> {
    match config.queue.backend {
        #[cfg(feature = "postgres")]
        Backend::Postgres => {
            let done = flotilla_postgres::Postgres::migrate(&postgres_settings(config)).await?;
            Ok(format!("schema version {} → {}", done.from, done.to))
        }
        #[cfg(not(feature = "postgres"))]
        Backend::Postgres => Err(Failure::config(ABSENT)),
        Backend::Sqlite => {
            open(config).await?.close().await;
            Ok(format!("{} is up to date", config.queue_path().display()))
        }
        Backend::Memory => Ok("nothing to do in memory".to_owned()),
    }
}
