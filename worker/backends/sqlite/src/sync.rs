//! The thread that puts the log on the disk and only then answers.
//!
//! # Why this equals `synchronous = FULL`
//!
//! With FULL, SQLite appends a transaction to the log (`-wal`), syncs the log while it holds the
//! write lock, and returns. Here the writer's connection has `synchronous = NORMAL`: it appends,
//! releases the lock and goes on; this thread syncs the log and answers the callers afterwards.
//! What a caller is told is the same: after the answer, its transaction is on the disk.
//!
//! - One `fdatasync` covers every byte appended before it began, so it covers all commits that
//!   were handed over before, in one go. It also stores the file's new length.
//! - The log is restarted only after a checkpoint that has copied *all* of it; with NORMAL a
//!   checkpoint syncs the log before it copies and the database after. So frames that vanish from
//!   the log are on the disk in the database: a sync that comes after the restart comes too late to
//!   matter, not too late to be true.
//! - With NORMAL, SQLite syncs the new header when the log begins again (and, the first time, the
//!   folder), as with FULL. Frames of different generations cannot be mixed up: their salts differ.
//! - The log file is deleted only by the last connection of all processes, after such a checkpoint.
//!   Should it be recreated, its inode differs and it is opened anew.
//! - A second descriptor on the log is harmless: closing a file drops this process's POSIX locks on
//!   *that* file, and SQLite locks the database and the `-shm` file, never the log.
//!
//! What differs: commits are visible to others before they are on the disk. A worker may start a
//! job whose enqueue is lost to a power cut: its producer got no answer and sends it again, under
//! the same id. And a reader could be shown a result that is lost afterwards: so reads of records
//! wait for a sync when anything was committed since the last one (`ToSync::Flush`).
//!
//! # When a sync fails
//!
//! After a failed `fsync` the system may have dropped the pages and call the next one a success.
//! So the log is not trusted any more: everybody waiting is told, and the next sync is replaced by
//! a checkpoint of the whole log into the database, with its own syncs, until one succeeds.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use flotilla_core::queue::{QueueError, QueueErrorKind};
use rusqlite::Connection;

use crate::error::{Fault, again, from_io};
use crate::piece::Piece;
use crate::writer::data_version;

/// What the sync thread is handed.
pub(crate) enum ToSync {
    /// Committed: answer when on the disk.
    Committed(Vec<Box<dyn Piece>>),
    /// Answer when everything committed by now, by any process, is on the disk.
    Flush(Box<dyn Piece>),
}

/// The sync thread. Ends when nobody can send any more.
pub(crate) struct Syncer {
    pub(crate) orders: Receiver<ToSync>,
    pub(crate) log: Log,
}

impl Syncer {
    pub(crate) fn run(mut self) {
        while let Ok(first) = self.orders.recv() {
            let mut pieces = Vec::new();
            let mut committed = false;
            for order in std::iter::once(first).chain(self.orders.try_iter()) {
                match order {
                    ToSync::Committed(more) => {
                        committed = true;
                        pieces.extend(more);
                    }
                    ToSync::Flush(piece) => pieces.push(piece),
                }
            }
            let outcome = self.log.sync(committed);
            for piece in pieces {
                piece.answer(outcome.as_ref().copied().map_err(again));
            }
        }
    }
}

/// The log of one database.
pub(crate) struct Log {
    path: PathBuf,
    file: Option<(u64, File)>,
    /// For `data_version` and repairs.
    db: Connection,
    /// The version that is known to be on the disk.
    synced: Option<i64>,
    suspect: bool,
}

impl Log {
    pub(crate) fn new(path: PathBuf, db: Connection) -> Self {
        Self { path, file: None, db, synced: None, suspect: false }
    }

    /// Puts on the disk what was committed before this call. `must`: without looking whether
    /// there is anything.
    pub(crate) fn sync(&mut self, must: bool) -> Result<(), QueueError> {
        let version = data_version(&self.db).ok();
        if !must && !self.suspect && version.is_some() && version == self.synced {
            return Ok(());
        }
        let done = if self.suspect { self.repair() } else { self.sync_file() };
        self.suspect = done.is_err();
        self.synced = version.filter(|_| done.is_ok());
        done
    }

    fn sync_file(&mut self) -> Result<(), QueueError> {
        self.current().and_then(|file| file.sync_data()).map_err(|e| {
            tracing::error!(error = %e, "syncing the log failed: it is not trusted until a checkpoint succeeds");
            self.file = None;
            from_io("syncing the log of the queue file", e)
        })
    }

    fn current(&mut self) -> io::Result<&File> {
        let inode = std::fs::metadata(&self.path)?.ino();
        let kept = self.file.take().filter(|(known, _)| *known == inode);
        let pair = match kept {
            Some(pair) => pair,
            None => {
                let file = File::open(&self.path)?;
                (file.metadata()?.ino(), file)
            }
        };
        Ok(&self.file.insert(pair).1)
    }

    fn repair(&self) -> Result<(), QueueError> {
        let busy: i64 = self
            .db
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(|e| QueueError::from(Fault::from(e)))?;
        if busy == 0 {
            tracing::info!("the whole log was moved into the queue file: it is trusted again");
            return Ok(());
        }
        Err(QueueError::plain(
            QueueErrorKind::Unavailable,
            "the log of the queue file could not be synced before, and is in use: try again",
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::open::{Role, connect, prepare};

    #[test]
    fn a_failed_sync_is_made_good_by_a_checkpoint_of_the_whole_log() {
        let dir = tempfile::tempdir().unwrap();
        let (path, busy) = (dir.path().join("jobs.db"), Duration::from_secs(5));
        prepare(&path, busy).unwrap();
        let writer = connect(&path, Role::Writer, busy).unwrap();
        writer.execute("INSERT INTO cron VALUES ('a', 1)", []).unwrap();
        let log = dir.path().join("jobs.db-wal");
        let mut synced = Log::new(log.clone(), connect(&path, Role::Other, busy).unwrap());
        assert!(synced.sync(true).is_ok());

        synced.path = dir.path().join("gone");
        assert_eq!(synced.sync(true).unwrap_err().kind, QueueErrorKind::Unavailable);
        assert!(std::fs::metadata(&log).unwrap().len() > 0);
        assert!(synced.sync(false).is_ok(), "repaired, though nothing new was committed");
        assert_eq!(std::fs::metadata(&log).unwrap().len(), 0, "all of it is in the file");
        assert!(synced.sync(true).is_err(), "and the log is synced again");
    }

    #[test]
    fn a_flush_syncs_only_after_a_commit_of_anybody() {
        let dir = tempfile::tempdir().unwrap();
        let (path, busy) = (dir.path().join("jobs.db"), Duration::from_secs(5));
        prepare(&path, busy).unwrap();
        let writer = connect(&path, Role::Writer, busy).unwrap();
        let db = connect(&path, Role::Other, busy).unwrap();
        let mut log = Log::new(dir.path().join("jobs.db-wal"), db);
        writer.execute("INSERT INTO cron VALUES ('a', 1)", []).unwrap();
        log.sync(false).unwrap();
        log.path = dir.path().join("gone"); // a sync would fail from here on
        assert!(log.sync(false).is_ok(), "nothing was committed since");
        writer.execute("INSERT INTO cron VALUES ('b', 1)", []).unwrap();
        assert!(log.sync(false).is_err(), "now there is something");
    }
}
