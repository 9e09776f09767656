//! The default backend: queue, records, fleet, cells and outbox in one SQLite file.
//!
//! One thread of this process writes (`writer`); callers that come together share a transaction.
//! What must survive a power cut is answered by a second thread once the log is on the disk
//! (`sync`, which also says why this equals `synchronous = FULL`); claims and leases are answered
//! at their commit. A third thread moves the log into the file (`checkpoint`), a fourth learns of
//! other processes' commits (`watch`). Reads have their own connections (`readers`).
//!
//! Several processes may share the file on one machine. They take turns at its write lock,
//! transaction by transaction; who waits longer than [`Settings::busy_timeout`] gets
//! `Unavailable`.

mod amend;
mod bell;
mod cells;
mod check;
mod checkpoint;
mod claim;
mod code;
mod desk;
mod enqueue;
mod error;
mod extend;
mod fair;
mod filter;
mod fleet;
mod flow;
mod housekeep;
mod line;
mod open;
mod outbox;
mod piece;
mod ports;
mod promote;
mod readers;
mod records;
mod rows;
mod settle;
mod sync;
mod threads;
mod tx;
mod watch;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flotilla_core::queue::{Capabilities, QueueError};

use crate::bell::Bell;
pub use crate::check::Finding;
use crate::error::{Done, closed};
use crate::piece::{Sort, piece};
use crate::readers::Readers;
use crate::sync::ToSync;
use crate::threads::Threads;
use crate::tx::Tx;
use crate::writer::Order;

/// What an answer promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// What was answered survives a power cut.
    #[default]
    Full,
    /// What was answered survives a crash of the process; a power cut may lose the last moments.
    Normal,
}

/// How a file is used. Settings are each process's own.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What an answer promises.
    pub synchronous: Synchronous,
    /// How long to wait for other processes' write locks.
    pub busy_timeout: Duration,
    /// Largest payload, in bytes; larger ones are answered `Rejected`.
    pub max_payload: usize,
    /// Largest number of jobs in one enqueue.
    pub max_batch: usize,
    /// Every end is marked as not yet told, for `Outbox`: on where events are sent. Records wait
    /// for it before they are pruned, so tell all before it is turned off for good.
    pub events: bool,
}

impl Default for Settings {
    /// Full durability, 5 s, 1 MiB, 1000 jobs, no events.
    fn default() -> Self {
        Self {
            synchronous: Synchronous::Full,
            busy_timeout: Duration::from_secs(5),
            max_payload: 1024 * 1024,
            max_batch: 1000,
            events: false,
        }
    }
}

/// All ports of one file. Closed by [`close`](Self::close) or when dropped.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    capabilities: Capabilities,
    synchronous: Synchronous,
    orders: Sender<Order>,
    to_sync: Mutex<Option<Sender<ToSync>>>,
    bell: Arc<Bell>,
    readers: Readers,
    threads: Mutex<Option<Threads>>,
}

impl Sqlite {
    /// Opens the file and starts its threads; makes folder, file and schema where they are
    /// missing, and brings an older schema up to date.
    ///
    /// # Errors
    /// Not writable, not a database, another program's database, a newer schema: the message
    /// says which, and what to do. Blocks for some file operations.
    pub fn open(path: impl AsRef<Path>, settings: Settings) -> Result<Arc<Self>, QueueError> {
        let path = path.as_ref().to_path_buf();
        open::prepare(&path, settings.busy_timeout)?;
        let bell = Arc::new(Bell::new());
        let (threads, orders, to_sync) = Threads::start(&path, &settings, &bell)?;
        Ok(Arc::new(Self {
            capabilities: Capabilities {
                name: "sqlite",
                durable: true,
                processes: true,
                max_payload: settings.max_payload,
                max_batch: settings.max_batch,
                fair: true,
                ordering: true,
            },
            synchronous: settings.synchronous,
            orders,
            to_sync: Mutex::new(Some(to_sync)),
            bell,
            readers: Readers::new(path.clone(), settings.busy_timeout),
            threads: Mutex::new(Some(threads)),
            path,
        }))
    }

    /// Finishes what was asked before, answers it and ends the threads. Later calls are answered
    /// `Unavailable`. Blocks for as long as that takes; closing twice does nothing.
    pub fn close(&self) {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(threads) = threads {
            self.readers.close();
            self.to_sync.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Fails only when the writer has ended already.
            let _ended = self.orders.send(Order::Stop);
            threads.join();
        }
    }

    /// Looks at the file for `doctor`: soundness, journal, space, owner. Reads all of it.
    ///
    /// # Errors
    /// The file cannot be read at all.
    pub async fn check(&self) -> Result<Vec<Finding>, QueueError> {
        let path = self.path.clone();
        self.readers.read(move |db| check::check(db, &path)).await
    }

    /// Has the writer do `work`; answered as durable as its sort asks for.
    async fn write<T: Send + 'static>(
        &self,
        sort: Sort,
        weight: usize,
        work: impl FnMut(&mut Tx<'_>) -> Done<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let (piece, answer) = piece(sort, weight, work);
        self.orders.send(Order::Do(piece)).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Reads; answered when what was read is on the disk.
    async fn read_durably<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Done<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let found = self.readers.read(work).await?;
        if self.synchronous == Synchronous::Full {
            self.flush().await?;
        }
        Ok(found)
    }

    /// Waits until everything committed by now, by any process, is on the disk.
    async fn flush(&self) -> Result<(), QueueError> {
        let (flush, answer) = piece::ready(());
        {
            let to_sync = self.to_sync.lock().unwrap_or_else(PoisonError::into_inner);
            let to_sync = to_sync.as_ref().ok_or_else(closed)?;
            to_sync.send(ToSync::Flush(flush)).map_err(|_| closed())?;
        }
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}
