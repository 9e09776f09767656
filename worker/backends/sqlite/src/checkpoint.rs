//! Moves the log into the database beside the writer, and keeps the log bounded.
//!
//! A passive checkpoint takes no lock that a writer needs, but under steady writing it never
//! catches up, so the log is never begun again. Past `RESTART` pages the checkpoint takes the
//! write lock for its last few pages, and the next commit begins the log anew.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;

use crate::bell::Bell;

/// How often the length of the log is looked at while there are commits.
const TICK: Duration = Duration::from_millis(100);

/// From this many pages not yet copied on, copy them: 8 MiB.
const PASSIVE: i64 = 2048;

/// From this many pages on, begin the log anew: 128 MiB.
const RESTART: i64 = 32_768;

/// As many pages may be left to a checkpoint under the write lock; fewer after each of this many
/// passive ones, or what is left by then.
const LAST: i64 = 256;
const CATCH_UP: usize = 4;

const PASSIVELY: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// The checkpoint thread. Ends when the sender of `stop` is dropped.
pub(crate) struct Checkpointer {
    pub(crate) db: Connection,
    pub(crate) bell: Arc<Bell>,
    pub(crate) stop: Receiver<()>,
}

/// What a checkpoint says of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Length {
    pages: i64,
    copied: i64,
}

impl Checkpointer {
    pub(crate) fn run(self) {
        let mut seen = self.bell.commits();
        while self.stop.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            let commits = self.bell.commits();
            if commits != seen
                && let Err(error) = self.tick()
            {
                tracing::warn!(%error, "a checkpoint failed: the log grows until one succeeds");
            }
            seen = commits;
        }
    }

    fn tick(&self) -> rusqlite::Result<()> {
        let length = self.checkpoint("PRAGMA wal_checkpoint(NOOP)")?;
        if length.pages - length.copied < PASSIVE && length.pages < RESTART {
            return Ok(());
        }
        let mut length = self.checkpoint(PASSIVELY)?;
        if length.pages < RESTART {
            return Ok(());
        }
        for _ in 0..CATCH_UP {
            if length.pages - length.copied <= LAST {
                break;
            }
            length = self.checkpoint(PASSIVELY)?;
        }
        self.checkpoint("PRAGMA wal_checkpoint(RESTART)")?;
        Ok(())
    }

    fn checkpoint(&self, statement: &str) -> rusqlite::Result<Length> {
        self.db
            .prepare_cached(statement)?
            .query_row([], |row| Ok(Length { pages: row.get(1)?, copied: row.get(2)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::{Role, connect, prepare};

    #[test]
    fn a_long_log_is_copied_and_a_longer_one_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jobs.db");
        let busy = Duration::from_secs(5);
        prepare(&path, busy).unwrap();
        let writer = connect(&path, Role::Writer, busy).unwrap();
        let (_stop, receiver) = std::sync::mpsc::channel();
        let checkpointer = Checkpointer {
            db: connect(&path, Role::Other, busy).unwrap(),
            bell: Arc::new(Bell::new()),
            stop: receiver,
        };
        let write = |pages: i64| {
            writer
                .execute("INSERT INTO body (payload) VALUES (zeroblob(4096 * ?1))", [pages])
                .unwrap();
            writer.execute("DELETE FROM body", []).unwrap();
        };
        let length = || checkpointer.checkpoint("PRAGMA wal_checkpoint(NOOP)").unwrap();
        write(PASSIVE + 10);
        checkpointer.tick().unwrap();
        assert_eq!(length().copied, length().pages);
        for _ in 0..RESTART / PASSIVE + 1 {
            write(PASSIVE);
            write(1); // a restart shows with the next commit
            checkpointer.tick().unwrap();
            assert!(length().pages < RESTART + PASSIVE * 2, "{:?}", length());
        }
    }
}
