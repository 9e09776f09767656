//! `queue.backend = "sqlite"`: one file, nothing to install.

use std::sync::Arc;

use async_trait::async_trait;
use flotilla_config::{Config, Synchronous};
use flotilla_sqlite::Sqlite;

use super::{Finding, Open, Ports};
use crate::exit::Failure;
use crate::wire::events;

struct File(Arc<Sqlite>);

pub(super) fn open(config: &Config) -> Result<Ports, Failure> {
    let settings = flotilla_sqlite::Settings {
        synchronous: match config.queue.synchronous {
            Synchronous::Full => flotilla_sqlite::Synchronous::Full,
            Synchronous::Normal => flotilla_sqlite::Synchronous::Normal,
        },
        busy_timeout: config.queue.busy_timeout,
        max_payload: config.queue.max_payload,
        max_batch: config.queue.max_batch,
        events: events::wanted(config),
    };
    let sqlite = Sqlite::open(config.queue_path(), settings)?;
    Ok(Ports::of(&sqlite, File(Arc::clone(&sqlite))))
}

#[async_trait]
impl Open for File {
    async fn close(self: Arc<Self>) {
        let _ = tokio::task::spawn_blocking(move || self.0.close()).await;
    }

    async fn check(&self) -> Result<Vec<Finding>, Failure> {
        let found = self.0.check().await?;
        Ok(found.into_iter().map(|f| Finding { what: f.what, ok: f.ok, says: f.says }).collect())
    }
}
