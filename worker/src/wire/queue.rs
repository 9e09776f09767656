//! Opens the backend that `[queue]` names and hands out its ports.

use std::sync::Arc;

use flotilla_config::{Backend, Config, Synchronous};
use flotilla_core::fleet::Fleet;
use flotilla_core::{Queue, Records};
use flotilla_memory::Memory;
use flotilla_sqlite::{Finding, Sqlite};

use crate::exit::Failure;

/// One backend, seen through its ports.
pub(crate) struct Ports {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) fleet: Arc<dyn Fleet>,
    sqlite: Option<Arc<Sqlite>>,
}

impl Ports {
    /// Writes what is still on its way and lets go of the file.
    pub(crate) async fn close(self) {
        if let Some(sqlite) = self.sqlite {
            let _ = tokio::task::spawn_blocking(move || sqlite.close()).await;
        }
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
pub(super) fn open(config: &Config) -> Result<Ports, Failure> {
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
            })
        }
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
            })
        }
    }
}
