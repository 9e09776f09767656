//! Ordering keys: of the unfinished jobs with one key one holds it, the others are parked in line.
//! One look at the index `ordered_line` finds the holder, or who is next.

use flotilla_core::clock::Timestamp;
use flotilla_core::flow::{WAITS_IN_LINE, line_of};
use flotilla_core::state::{Event, State};
use rusqlite::{OptionalExtension, params};

use crate::code::{self, micros};
use crate::error::Done;
use crate::rows::{Head, Place, make_available};
use crate::tx::Tx;

/// The place of the one that holds its key.
pub(crate) const HOLDS: i64 = 0;

/// The place a job of this key gets now: it holds the key, or stands at the end of the line.
pub(crate) fn last_place(tx: &Tx<'_>, order: &str) -> Done<i64> {
    let last: Option<i64> = tx
        .db
        .prepare_cached(
            "SELECT place FROM ordered INDEXED BY ordered_line
             WHERE order_key = ?1 AND place IS NOT NULL ORDER BY place DESC LIMIT 1",
        )?
        .query_row([order], |row| row.get(0))
        .optional()?;
    Ok(last.map_or(HOLDS, |place| place + 1))
}

/// Parks a job that has just come or come back in line.
pub(crate) fn park(tx: &Tx<'_>, seq: i64, order: &str, now: Timestamp) -> Done<()> {
    tx.db
        .prepare_cached(
            "UPDATE job SET state = ?2, at = ?3, parked_under = ?4, reason = ?5, attempt = 0
             WHERE seq = ?1",
        )?
        .execute(params![
            seq,
            code::state(State::Parked),
            micros(now),
            line_of(order),
            WAITS_IN_LINE,
        ])?;
    Ok(())
}

/// The ordering key of a job that has one.
pub(crate) fn order_of(tx: &Tx<'_>, seq: i64) -> Done<Option<String>> {
    Ok(tx
        .db
        .prepare_cached("SELECT order_key FROM ordered WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))
        .optional()?)
}

/// It stands there now; nowhere when it is finished.
pub(crate) fn stand(tx: &Tx<'_>, seq: i64, place: Option<i64>) -> Done<()> {
    tx.db
        .prepare_cached("UPDATE ordered SET place = ?2 WHERE seq = ?1")?
        .execute(params![seq, place])?;
    Ok(())
}

/// A job has ended: if nobody holds its key now, the next in line does.
pub(crate) fn move_on(tx: &mut Tx<'_>, ended: i64, now: Timestamp) -> Done<()> {
    let Some(order) = order_of(tx, ended)? else { return Ok(()) };
    let first: Option<(i64, i64)> = tx
        .db
        .prepare_cached(
            "SELECT seq, place FROM ordered INDEXED BY ordered_line
             WHERE order_key = ?1 AND place IS NOT NULL ORDER BY place LIMIT 1",
        )?
        .query_row([order], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((seq, _)) = first.filter(|(_, place)| *place != HOLDS) else { return Ok(()) };
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
    stand(tx, seq, Some(HOLDS))
}
