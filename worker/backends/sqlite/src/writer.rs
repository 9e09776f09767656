//! The one thread of this process that writes. What arrives together shares one transaction.
//!
//! Each round takes everything that waits: first the light pieces (claims, leases) in one
//! transaction, answered at its commit; then durable ones up to `ROWS` rows in another, handed
//! to the sync thread, which answers them once they are on the disk. The writer does not wait for
//! that. One piece of upkeep goes last, so that load cannot keep a rescue waiting.

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
        let committed = self.transact(durable);
        self.promise(committed);
        let upkeep = waiting.upkeep.pop_front().into_iter().collect();
        for piece in self.transact(upkeep) {
            piece.answer(Ok(()));
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::open::{Role, connect, prepare};
    use crate::piece::piece;

    const BUSY: Duration = Duration::from_millis(20);

    fn writer(path: &Path) -> (Writer, Receiver<ToSync>) {
        prepare(path, BUSY).unwrap();
        let (to_sync, synced) = channel();
        let writer = Writer {
            db: connect(path, Role::Writer, BUSY).unwrap(),
            settings: Settings { busy_timeout: BUSY, ..Settings::default() },
            orders: channel().1,
            to_sync,
            bell: Arc::new(Bell::new()),
            holders: Holders::new(),
            version: 0,
        };
        (writer, synced)
    }

    fn store(writer: &mut Writer, pages: i64) -> Result<i64, QueueErrorKind> {
        let (piece, mut answer) = piece(Sort::Durable, 1, move |tx: &mut Tx<'_>| {
            tx.db.execute("INSERT INTO body (payload) VALUES (zeroblob(4096 * ?1))", [pages])?;
            Ok(tx.db.query_row("SELECT count(*) FROM body", [], |row| row.get(0))?)
        });
        for piece in writer.transact(vec![piece]) {
            piece.answer(Ok(()));
        }
        answer.try_recv().unwrap().map_err(|e| e.kind)
    }

    #[test]
    fn a_full_disk_refuses_whole_and_recovers() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, _synced) = writer(&dir.path().join("jobs.db"));
        assert_eq!(store(&mut writer, 1), Ok(1));
        writer.db.query_row("PRAGMA max_page_count = 60", [], |_| Ok(())).unwrap();
        assert_eq!(store(&mut writer, 100), Err(QueueErrorKind::Full));
        assert_eq!(store(&mut writer, 1), Ok(2), "what fits is still taken");
        writer.db.query_row("PRAGMA max_page_count = 6000", [], |_| Ok(())).unwrap();
        assert_eq!(store(&mut writer, 100), Ok(3));
    }

    #[test]
    fn one_faulty_piece_harms_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, _synced) = writer(&dir.path().join("jobs.db"));
        let (first, mut first_answer) = piece(Sort::Durable, 1, move |tx| {
            tx.db.execute("INSERT INTO cron VALUES ('a', 1)", [])?;
            Ok(())
        });
        let (faulty, mut faulty_answer) =
            piece(Sort::Durable, 1, |_| Err::<(), _>(Fault::Invalid("no".into())));
        let (last, mut last_answer) = piece(Sort::Durable, 1, move |tx| {
            tx.db.execute("INSERT INTO cron VALUES ('b', 1)", [])?;
            Ok(())
        });
        for piece in writer.transact(vec![first, faulty, last]) {
            piece.answer(Ok(()));
        }
        assert!(first_answer.try_recv().unwrap().is_ok());
        assert_eq!(faulty_answer.try_recv().unwrap().unwrap_err().kind, QueueErrorKind::Invalid);
        assert!(last_answer.try_recv().unwrap().is_ok());
        let rows = writer.db.query_row("SELECT count(*) FROM cron", [], |r| r.get::<_, i64>(0));
        assert_eq!(rows, Ok(2));
    }

    #[test]
    fn a_lock_held_too_long_is_unavailable_and_nothing_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jobs.db");
        let (mut writer, _synced) = writer(&path);
        let other = connect(&path, Role::Other, BUSY).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(store(&mut writer, 1), Err(QueueErrorKind::Unavailable));
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(store(&mut writer, 1), Ok(1));
    }

    #[test]
    fn durable_pieces_are_taken_in_order_up_to_the_bound() {
        let mut waiting = Waiting::default();
        for weight in [ROWS / 2, ROWS / 2, 1, ROWS * 9] {
            waiting.put(Order::Do(piece(Sort::Durable, weight, |_| Ok(())).0));
        }
        let taken = |waiting: &mut Waiting| waiting.next_durable().len();
        assert_eq!([taken(&mut waiting), taken(&mut waiting), taken(&mut waiting)], [2, 1, 1]);
    }
}
