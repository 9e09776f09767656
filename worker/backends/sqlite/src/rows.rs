//! One job's row as the moves between states need it, and the moves themselves.

use flotilla_core::clock::Timestamp;
use flotilla_core::ids::JobId;
use flotilla_core::queue::{AttemptError, KEPT_ERRORS};
use flotilla_core::state::{Event, Move, State, transition};
use rusqlite::{OptionalExtension, Row, params};

use crate::code::{self, micros};
use crate::error::{Done, Fault};
use crate::tx::Tx;
use crate::{flow, line, outbox};

/// What a move looks at.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) seq: i64,
    pub(crate) id: JobId,
    pub(crate) state: State,
    pub(crate) fence: i64,
    pub(crate) attempt: i64,
    pub(crate) max_attempts: i64,
    pub(crate) crashes: i64,
    pub(crate) cancel: bool,
    pub(crate) deadline: Option<i64>,
    pub(crate) run_at: i64,
    /// [`CANCEL`], [`CHILD`], [`FLOW`], [`ORDERED`].
    pub(crate) flags: i64,
}

/// Someone asked it to stop.
const CANCEL: i64 = 1;
/// It is a child.
pub(crate) const CHILD: i64 = 2;
/// It has awaited children.
pub(crate) const FLOW: i64 = 4;
/// It has an ordering key.
pub(crate) const ORDERED: i64 = 8;

const HEAD_BY_SEQ: &str =
    "SELECT seq, id, state, fence, attempt, max_attempts, crashes, flags, deadline, run_at
     FROM job WHERE seq = ?1";
const HEAD_BY_ID: &str =
    "SELECT seq, id, state, fence, attempt, max_attempts, crashes, flags, deadline, run_at
     FROM job WHERE id = ?1";

impl Head {
    pub(crate) fn by_seq(tx: &Tx<'_>, seq: i64) -> Done<Option<Self>> {
        tx.db
            .prepare_cached(HEAD_BY_SEQ)?
            .query_row([seq], |row| Ok(Self::of(row)))
            .optional()?
            .transpose()
    }

    pub(crate) fn by_id(tx: &Tx<'_>, id: JobId) -> Done<Option<Self>> {
        tx.db
            .prepare_cached(HEAD_BY_ID)?
            .query_row([&id.as_bytes()[..]], |row| Ok(Self::of(row)))
            .optional()?
            .transpose()
    }

    fn of(row: &Row<'_>) -> Done<Self> {
        Ok(Self {
            seq: row.get(0)?,
            id: code::to_id(row.get_ref(1)?)?,
            state: code::to_state(row.get(2)?)?,
            fence: row.get(3)?,
            attempt: row.get(4)?,
            max_attempts: row.get(5)?,
            crashes: row.get(6)?,
            cancel: row.get::<_, i64>(7)? & CANCEL != 0,
            deadline: row.get(8)?,
            run_at: row.get(9)?,
            flags: row.get(7)?,
        })
    }

    /// Where the event leads this job.
    pub(crate) fn after(&self, event: Event) -> Done<Move> {
        transition(self.state, event).map_err(|e| Fault::Corrupt(format!("job {}: {e}", self.id)))
    }

    /// The attempt counter after a move.
    pub(crate) fn charged(&self, to: Move) -> i64 {
        code::charged(self.attempt, to.charge)
    }
}

/// How a job that becomes available gets its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Behind its tenant's others.
    New,
    /// The one it had: it lost it through no fault of its own.
    Kept,
}

/// The job may be claimed from `since` on.
pub(crate) fn make_available(
    tx: &mut Tx<'_>,
    head: &Head,
    to: Move,
    since: i64,
    place: Place,
) -> Done<()> {
    if place == Place::New {
        let (lane, level, tenant) = tx
            .db
            .prepare_cached("SELECT lane, priority, tenant FROM job WHERE seq = ?1")?
            .query_row([head.seq], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
            })?;
        let tag = tx.fair.next_tag(tx.db, &lane, level, &tenant)?;
        tx.db
            .prepare_cached("UPDATE job SET tag = ?2 WHERE seq = ?1")?
            .execute(params![head.seq, tag])?;
    }
    tx.db
        .prepare_cached(
            "UPDATE job SET state = ?2, at = ?3, attempt = ?4, reason = NULL, parked_under = NULL
             WHERE seq = ?1",
        )?
        .execute(params![head.seq, code::state(to.to), since, head.charged(to)])?;
    if head.flags & ORDERED != 0 {
        line::stand(tx, head.seq, Some(line::HOLDS))?;
    }
    tx.news.changed = true;
    tx.news.claimable = true;
    Ok(())
}

/// The job is finished: kept until `keep_until`, or as long as the policy keeps dead letters
/// where nobody said. `reason` is for cancelled ones.
pub(crate) fn finish(
    tx: &mut Tx<'_>,
    head: &Head,
    to: Move,
    reason: Option<&str>,
    keep_until: Option<Timestamp>,
    now: Timestamp,
) -> Done<()> {
    finish_alone(tx, head, to, reason, keep_until, now)?;
    match head.state.is_finished() {
        true => Ok(()),
        false => ended(tx, head, false, now),
    }
}

/// The same without what it means to others: that is left to the caller.
pub(crate) fn finish_alone(
    tx: &mut Tx<'_>,
    head: &Head,
    to: Move,
    reason: Option<&str>,
    keep_until: Option<Timestamp>,
    now: Timestamp,
) -> Done<()> {
    tx.db
        .prepare_cached(
            "UPDATE job SET state = ?2, at = ?3, attempt = ?4, finished_at = ?5, class = ?6,
                            reason = ?7, parked_under = NULL
             WHERE seq = ?1",
        )?
        .execute(params![
            head.seq,
            code::state(to.to),
            keep_until.map_or(0, micros),
            head.charged(to),
            micros(now),
            to.class.map(code::class),
            reason,
        ])?;
    tx.news.changed = true;
    match head.state.is_finished() {
        true => Ok(()), // a dead letter set aside: it has ended before
        false => leave(tx, head, now),
    }
}

/// A job that is finished now stands in no line, and somebody is to be told.
pub(crate) fn leave(tx: &Tx<'_>, head: &Head, now: Timestamp) -> Done<()> {
    if head.flags & ORDERED != 0 {
        line::stand(tx, head.seq, None)?;
    }
    if tx.settings.events {
        outbox::mark(tx, head.seq, now)?;
    }
    Ok(())
}

/// What the end of a job means to others, whatever ended it.
pub(crate) fn ended(tx: &mut Tx<'_>, head: &Head, succeeded: bool, now: Timestamp) -> Done<()> {
    if head.flags & ORDERED != 0 {
        line::move_on(tx, head.seq, now)?;
    }
    if head.flags & CHILD != 0 {
        flow::count(tx, head.seq, succeeded, now)?;
    }
    if head.flags & FLOW != 0 {
        flow::cancel_below(tx, head, now)?;
    }
    Ok(())
}

/// Keeps an attempt's error, and of all errors the latest.
pub(crate) fn push_error(tx: &Tx<'_>, seq: i64, error: &AttemptError) -> Done<()> {
    tx.db
        .prepare_cached(
            "INSERT INTO attempt_error (seq, n, attempt, at, worker, error)
             SELECT ?1, coalesce(max(n), 0) + 1, ?2, ?3, ?4, ?5 FROM attempt_error WHERE seq = ?1",
        )?
        .execute(params![
            seq,
            error.attempt,
            micros(error.at),
            error.worker.as_str(),
            error.error
        ])?;
    tx.db
        .prepare_cached(
            "DELETE FROM attempt_error WHERE seq = ?1
             AND n <= (SELECT max(n) FROM attempt_error WHERE seq = ?1) - ?2",
        )?
        .execute(params![seq, code::number(KEPT_ERRORS)])?;
    Ok(())
}

/// A condition on finished jobs: their record is still to be told, or read by their parent.
pub(crate) const STAYS: &str =
    "(EXISTS (SELECT 1 FROM untold WHERE untold.seq = job.seq) OR flags & 2 AND EXISTS (
     SELECT 1 FROM child JOIN job AS parent ON parent.id = child.parent
     WHERE child.seq = job.seq AND parent.state < 5))";

/// Deletes a job and all that belongs to it.
pub(crate) fn delete(tx: &mut Tx<'_>, seq: i64) -> Done<()> {
    let flags: Option<i64> = tx
        .db
        .prepare_cached("DELETE FROM job WHERE seq = ?1 RETURNING flags")?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    if flags.is_some_and(|flags| flags & !CANCEL != 0) {
        for statement in [
            "DELETE FROM child WHERE seq = ?1",
            "DELETE FROM flow WHERE seq = ?1",
            "DELETE FROM ordered WHERE seq = ?1",
        ] {
            tx.db.prepare_cached(statement)?.execute([seq])?;
        }
    }
    for statement in [
        "DELETE FROM body WHERE seq = ?1",
        "DELETE FROM result WHERE seq = ?1",
        "DELETE FROM attempt_error WHERE seq = ?1",
    ] {
        tx.db.prepare_cached(statement)?.execute([seq])?;
    }
    tx.news.changed = true;
    Ok(())
}

/// The first column of all rows.
pub(crate) fn numbers(
    tx: &Tx<'_>,
    statement: &str,
    params: impl rusqlite::Params,
) -> Done<Vec<i64>> {
    let mut query = tx.db.prepare_cached(statement)?;
    let rows = query.query_map(params, |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
