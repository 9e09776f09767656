//! Starts the threads of one open file and ends them in the right order.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

use flotilla_core::queue::{QueueError, QueueErrorKind};

use crate::Settings;
use crate::bell::Bell;
use crate::checkpoint::Checkpointer;
use crate::open::{Role, connect};
use crate::sync::{Log, Syncer, ToSync};
use crate::tx::Holders;
use crate::watch::Watcher;
use crate::writer::{Order, Writer, data_version};

/// The threads that run while a file is open.
#[derive(Debug)]
pub(crate) struct Threads {
    /// Writer, then sync: each ends when nobody sends to it any more.
    in_order: Vec<JoinHandle<()>>,
    /// End when their stop is dropped.
    beside: Vec<JoinHandle<()>>,
    stops: Vec<Stop>,
}

/// Dropped to end a thread.
#[derive(Debug)]
#[expect(dead_code, reason = "held for the moment they are dropped")]
enum Stop {
    Channel(Sender<()>),
    #[cfg(target_os = "linux")]
    Event(crate::watch::linux::Stop),
}

impl Threads {
    /// Starts them all; answers where to send work and what is to be synced.
    pub(crate) fn start(
        path: &Path,
        settings: &Settings,
        bell: &Arc<Bell>,
    ) -> Result<(Self, Sender<Order>, Sender<ToSync>), QueueError> {
        let busy = settings.busy_timeout;
        let (orders, taken) = channel();
        let (to_sync, synced) = channel();
        let db = connect(path, Role::Writer, busy)?;
        let version = data_version(&db)?;
        let writer = Writer {
            version,
            db,
            settings: settings.clone(),
            orders: taken,
            to_sync: to_sync.clone(),
            bell: Arc::clone(bell),
            holders: Holders::new(),
        };
        let log = log_of(path);
        let syncer = Syncer {
            orders: synced,
            log: Log::new(log.clone(), connect(path, Role::Other, busy)?),
        };
        let (stop, stopped) = channel();
        let db = connect(path, Role::Other, busy)?;
        let checkpointer = Checkpointer { db, bell: Arc::clone(bell), stop: stopped };

        let in_order = vec![spawn("writer", || writer.run())?, spawn("sync", || syncer.run())?];
        let checkpointer = spawn("checkpoint", || checkpointer.run())?;
        let watcher = Watcher { orders: orders.clone(), bell: Arc::clone(bell) };
        let (watcher, stop_watcher) = watch(watcher, &log)?;
        let beside = vec![checkpointer, watcher];
        let stops = vec![Stop::Channel(stop), stop_watcher];
        Ok((Self { in_order, beside, stops }, orders, to_sync))
    }

    /// Waits for all of them to end. The writer must have been told to stop.
    pub(crate) fn join(self) {
        drop(self.stops);
        for thread in self.in_order.into_iter().chain(self.beside) {
            if thread.join().is_err() {
                tracing::error!("a thread of the queue file panicked");
            }
        }
    }
}

/// The write-ahead log beside a database.
fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

#[cfg(target_os = "linux")]
fn watch(watcher: Watcher, log: &Path) -> Result<(JoinHandle<()>, Stop), QueueError> {
    match crate::watch::linux::Events::of(log) {
        Ok((events, stop)) => {
            Ok((spawn("watch", move || watcher.run(&events))?, Stop::Event(stop)))
        }
        Err(error) => {
            tracing::warn!(%error, "no inotify: commits of other processes are looked for ten times a second");
            poll(watcher)
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn watch(watcher: Watcher, _log: &Path) -> Result<(JoinHandle<()>, Stop), QueueError> {
    poll(watcher)
}

fn poll(watcher: Watcher) -> Result<(JoinHandle<()>, Stop), QueueError> {
    let (stop, stopped) = channel();
    Ok((spawn("watch", move || watcher.run_by_polling(&stopped))?, Stop::Channel(stop)))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, QueueError> {
    Builder::new().name(format!("sqlite-{name}")).spawn(work).map_err(|e: io::Error| {
        QueueError::new(QueueErrorKind::Unavailable, "no thread for the queue file", e)
    })
}
