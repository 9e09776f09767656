//! The one thread of this process that writes. What arrives together shares one transaction.
//!
//! Each round takes everything that waits: first the light pieces (claims, leases) in one
//! transaction, answered at its commit; then durable ones up to [`ROWS`] rows in another, handed
//! to the sync thread, which answers them once they are on the disk. The writer does not wait for
//! that. Upkeep goes when no durable piece waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use flotilla_core::queue::{QueueError, QueueErrorKind};
use rusqlite::{Connection, ErrorCode};

use crate::bell::Bell;
use crate::error::{Done, Fault, again};
use crate::piece::{Piece, Sort};
use crate::sync::ToSync;
use crate::tx::{Holders, News, Tx};
use crate::{Settings, Synchronous};

/// Rows of one durable transaction: some 10 ms, so that claims behind it do not wait long.
const ROWS: usize = 1024;

/// The longest sleep between two looks at a lock that another process holds.
const NAP: Duration = Duration::from_millis(1);

/// What the writer is sent.
pub(crate) enum Order {
    /// Do this.
    Do(Box<dyn Piece>),
    /// Look whether another process has committed.
    Peek,
    /// Finish what was sent before this, then end.
    Stop,
}

/// The writer's thread. Ends by `Stop` or when nobody can send any more.
pub(crate) struct Writer {
    pub(crate) db: Connection,
    pub(crate) settings: Settings,
    pub(crate) orders: Receiver<Order>,
    /// Committed pieces that are to be answered when they are on the disk.
    pub(crate) to_sync: Sender<ToSync>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) holders: Holders,
    /// `PRAGMA data_version`: changes when another connection commits.
    pub(crate) version: i64,
}

#[derive(Default)]
struct Waiting {
    light: Vec<Box<dyn Piece>>,
    durable: VecDeque<Box<dyn Piece>>,
    upkeep: VecDeque<Box<dyn Piece>>,
    peek: bool,
    stop: bool,
}

impl Waiting {
    fn put(&mut self, order: Order) {
        match order {
            Order::Do(piece) => match piece.sort() {
                Sort::Light => self.light.push(piece),
                Sort::Durable => self.durable.push_back(piece),
                Sort::Upkeep => self.upkeep.push_back(piece),
            },
            Order::Peek => self.peek = true,
            Order::Stop => self.stop = true,
        }
    }

    fn is_empty(&self) -> bool {
        self.light.is_empty() && self.durable.is_empty() && self.upkeep.is_empty() && !self.peek
    }

    fn next_durable(&mut self) -> Vec<Box<dyn Piece>> {
        let mut taken = Vec::new();
        let mut rows = 0;
        while let Some(next) = self.durable.front() {
            if rows > 0 && rows + next.weight() > ROWS {
                break;
            }
            rows += next.weight();
            taken.extend(self.durable.pop_front());
        }
        taken
    }
}

impl Writer {
    pub(crate) fn run(mut self) {
        let mut waiting = Waiting::default();
        loop {
            if waiting.is_empty() {
                if waiting.stop {
                    return;
                }
                match self.orders.recv() {
                    Ok(order) => waiting.put(order),
                    Err(_) => return,
                }
            }
            while let Ok(order) = self.orders.try_recv() {
                waiting.put(order);
            }
            self.round(&mut waiting);
        }
    }

    fn round(&mut self, waiting: &mut Waiting) {
        if std::mem::take(&mut waiting.peek)
            && waiting.light.is_empty()
            && waiting.durable.is_empty()
        {
            self.look_for_others();
        }
        for piece in self.transact(std::mem::take(&mut waiting.light)) {
            piece.answer(Ok(()));
        }
        let durable = waiting.next_durable();
        if durable.is_empty() {
            let upkeep = waiting.upkeep.pop_front().into_iter().collect();
            for piece in self.transact(upkeep) {
                piece.answer(Ok(()));
            }
        } else {
            let committed = self.transact(durable);
            self.promise(committed);
        }
    }

    /// Answers what is committed, once it is as durable as the settings ask for.
    fn promise(&self, committed: Vec<Box<dyn Piece>>) {
        if committed.is_empty() {
            return;
        }
        match self.settings.synchronous {
            // Fails only when the sync thread is gone; the callers then hear `closed`.
            Synchronous::Full => drop(self.to_sync.send(ToSync::Committed(committed))),
            Synchronous::Normal => committed.into_iter().for_each(|piece| piece.answer(Ok(()))),
        }
    }

    /// Runs and commits the pieces together; answers those that failed, gives back the others.
    fn transact(&mut self, mut pieces: Vec<Box<dyn Piece>>) -> Vec<Box<dyn Piece>> {
        if pieces.is_empty() {
            return pieces;
        }
        let error = match self.attempt(&mut pieces) {
            Ok(news) => {
                self.bell.committed(news);
                return pieces;
            }
            Err(error) => error,
        };
        let by_one = matches!(error.kind, QueueErrorKind::Invalid | QueueErrorKind::Corrupt);
        if by_one && pieces.len() > 1 {
            // One of them is at fault; the others must not suffer.
            return pieces.into_iter().flat_map(|piece| self.transact(vec![piece])).collect();
        }
        for piece in pieces {
            piece.answer(Err(again(&error)));
        }
        Vec::new()
    }

    fn attempt(&mut self, pieces: &mut [Box<dyn Piece>]) -> Result<News, QueueError> {
        self.begin()?;
        self.look_for_others();
        let mut tx = Tx::new(&self.db, &self.settings, &mut self.holders);
        let done = pieces
            .iter_mut()
            .try_for_each(|piece| piece.run(&mut tx))
            .and_then(|()| tx.finish())
            .and_then(|news| run(&self.db, "COMMIT").map(|()| news));
        done.map_err(|fault| {
            self.holders.clear();
            // Some errors have rolled back already.
            if !self.db.is_autocommit()
                && let Err(error) = run(&self.db, "ROLLBACK")
            {
                tracing::error!(%error, "the rollback of a failed transaction failed");
            }
            fault.into()
        })
    }

    /// Takes the write lock, waiting for other processes in short sleeps.
    fn begin(&self) -> Result<(), QueueError> {
        let mut since = None;
        let mut nap = Duration::from_micros(50);
        loop {
            let error = match run(&self.db, "BEGIN IMMEDIATE") {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let waited = since.get_or_insert_with(Instant::now).elapsed();
            if !is_busy(&error) || waited >= self.settings.busy_timeout {
                return Err(error.into());
            }
            thread::sleep(nap);
            nap = (nap * 2).min(NAP);
        }
    }

    /// Rings when another process has committed since the last look.
    fn look_for_others(&mut self) {
        let version = data_version(&self.db).unwrap_or(self.version);
        if version != self.version {
            self.version = version;
            self.bell.ring(News { changed: true, claimable: true });
        }
    }
}

/// Changes when a connection other than `db` has committed.
pub(crate) fn data_version(db: &Connection) -> Done<i64> {
    Ok(db.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
}

fn run(db: &Connection, statement: &str) -> Done<()> {
    Ok(db.prepare_cached(statement)?.execute([]).map(drop)?)
}

fn is_busy(fault: &Fault) -> bool {
    matches!(fault, Fault::Sql(e) if matches!(
        e.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    ))
}
