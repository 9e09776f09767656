//! A few connections that only read, on blocking threads, beside the writer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flotilla_core::queue::QueueError;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::error::{Done, closed};
use crate::open::{Role, connect};

/// Reads at once.
const READERS: usize = 4;

/// The pool; connections are opened when first needed.
#[derive(Debug, Clone)]
pub(crate) struct Readers {
    path: PathBuf,
    busy: Duration,
    idle: Arc<Mutex<Vec<Connection>>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, busy: Duration) -> Self {
        Self { path, busy, idle: Arc::default(), turns: Arc::new(Semaphore::new(READERS)) }
    }

    /// Runs `work` on one snapshot of the file.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Done<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| closed())?;
        let this = self.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let _turn = turn; // held until the read has ended, also when its caller went away
            this.run(work)
        });
        answer.await.map_err(|_| closed())?
    }

    /// No reads any more; idle connections are closed.
    pub(crate) fn close(&self) {
        self.turns.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> Done<T>) -> Result<T, QueueError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let db = match idle {
            Some(db) => db,
            None => {
                let db = connect(&self.path, Role::Other, self.busy)?;
                db.pragma_update(None, "query_only", true).map_err(crate::error::Fault::from)?;
                db
            }
        };
        let answer = snapshot(&db, work);
        if !self.turns.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
        }
        Ok(answer?)
    }
}

fn snapshot<T>(db: &Connection, work: impl FnOnce(&Connection) -> Done<T>) -> Done<T> {
    let tx = db.unchecked_transaction()?; // ends when dropped
    work(&tx)
}
