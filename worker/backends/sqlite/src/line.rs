//! Ordering keys: of the unfinished jobs with one key the first holds it, the others are parked in
//! line. One look at the index `job_line` finds the holder, or who is next.

use flotilla_core::clock::Timestamp;
use flotilla_core::flow::{WAITS_IN_LINE, line_of};
use flotilla_core::state::{Event, State};
use rusqlite::{OptionalExtension, params};

use crate::code::{self, micros};
use crate::error::Done;
use crate::rows::{Head, Place, make_available};
use crate::tx::Tx;

/// The place at the end of the line of this key; none where nobody holds it.
pub(crate) fn last_place(tx: &Tx<'_>, order: &str) -> Done<Option<i64>> {
    Ok(tx
        .db
        .prepare_cached(
            "SELECT coalesce(place, 0) + 1 FROM job INDEXED BY job_line
             WHERE order_key = ?1 AND order_key IS NOT NULL AND state < 5
             ORDER BY place DESC LIMIT 1",
        )?
        .query_row([order], |row| row.get(0))
        .optional()?)
}

/// Parks a job there, whatever it was.
pub(crate) fn park_at(tx: &Tx<'_>, seq: i64, order: &str, place: i64, now: Timestamp) -> Done<()> {
    tx.db
        .prepare_cached(
            "UPDATE job SET state = ?2, at = ?3, place = ?4, parked_under = ?5, reason = ?6,
                            attempt = 0
             WHERE seq = ?1",
        )?
        .execute(params![
            seq,
            code::state(State::Parked),
            micros(now),
            place,
            line_of(order),
            WAITS_IN_LINE,
        ])?;
    Ok(())
}

/// The ordering key of a job that has one.
pub(crate) fn order_of(tx: &Tx<'_>, seq: i64) -> Done<Option<String>> {
    Ok(tx
        .db
        .prepare_cached("SELECT order_key FROM job WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))?)
}

/// It stands in no line any more.
pub(crate) fn step_out(tx: &Tx<'_>, seq: i64) -> Done<()> {
    tx.db.prepare_cached("UPDATE job SET place = NULL WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// A job has ended: if nobody holds its key now, the next in line does.
pub(crate) fn move_on(tx: &mut Tx<'_>, ended: i64, now: Timestamp) -> Done<()> {
    let Some(order) = order_of(tx, ended)? else { return Ok(()) };
    let first: Option<(i64, Option<i64>)> = tx
        .db
        .prepare_cached(
            "SELECT seq, place FROM job INDEXED BY job_line
             WHERE order_key = ?1 AND order_key IS NOT NULL AND state < 5
             ORDER BY place LIMIT 1",
        )?
        .query_row([order], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((seq, Some(_))) = first else { return Ok(()) };
    let Some(next) = Head::by_seq(tx, seq)? else { return Ok(()) };
    if next.run_at <= micros(now) {
        let to = next.after(Event::Woken)?;
        return make_available(tx, &next, to, micros(now), Place::New);
    }
    let to = next.after(Event::Postponed)?;
    tx.db
        .prepare_cached(
            "UPDATE job SET state = ?2, at = run_at, reason = NULL, parked_under = NULL
             WHERE seq = ?1",
        )?
        .execute(params![seq, code::state(to.to)])?;
    tx.news.claimable = true; // what is due next may have changed
    step_out(tx, seq)
}
