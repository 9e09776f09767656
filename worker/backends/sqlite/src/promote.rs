//! Waiting jobs whose moment has come become available.

use flotilla_core::clock::Timestamp;
use flotilla_core::state::{Event, State};
use rusqlite::{OptionalExtension, params};

use crate::code::{self, micros};
use crate::error::Done;
use crate::rows::{Head, Place, make_available};
use crate::tx::Tx;

/// Due jobs of a lane in the two states that wait for an instant. `state <> 1` lets SQLite see
/// that the partial index holds them.
const DUE: [&str; 2] = [
    "SELECT at, seq FROM job INDEXED BY job_place
     WHERE state = 0 AND state <> 1 AND lane = ?1 AND at <= ?2 ORDER BY at, seq LIMIT ?3",
    "SELECT at, seq FROM job INDEXED BY job_place
     WHERE state = 3 AND state <> 1 AND lane = ?1 AND at <= ?2 ORDER BY at, seq LIMIT ?3",
];

/// The first instant of a lane in each of them.
const FIRST: [&str; 2] = [
    "SELECT at FROM job INDEXED BY job_place WHERE state = 0 AND state <> 1 AND lane = ?1 ORDER BY at LIMIT 1",
    "SELECT at FROM job INDEXED BY job_place WHERE state = 3 AND state <> 1 AND lane = ?1 ORDER BY at LIMIT 1",
];

/// Promotes at most `limit` due jobs of a lane, the longest due first.
pub(crate) fn promote(tx: &mut Tx<'_>, lane: &str, limit: i64, now: Timestamp) -> Done<u64> {
    let mut due: Vec<(i64, i64)> = Vec::new();
    for statement in DUE {
        let mut query = tx.db.prepare_cached(statement)?;
        let rows = query
            .query_map(params![lane, micros(now), limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for row in rows {
            due.push(row?);
        }
    }
    due.sort_unstable();
    due.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    for (_, seq) in &due {
        if let Some(head) = Head::by_seq(tx, *seq)? {
            let to = head.after(Event::Due)?;
            make_available(tx, &head, to, head.run_at, Place::New)?;
        }
    }
    Ok(due.len() as u64)
}

/// When the next waiting job of a lane becomes due.
pub(crate) fn next_due(tx: &Tx<'_>, lane: &str) -> Done<Option<Timestamp>> {
    let mut first = None;
    for statement in FIRST {
        let at: Option<i64> =
            tx.db.prepare_cached(statement)?.query_row([lane], |row| row.get(0)).optional()?;
        first = [first, at].into_iter().flatten().min();
    }
    Ok(first.map(code::to_instant))
}

/// The lanes that have jobs in a state (other than available).
pub(crate) fn lanes_with(tx: &Tx<'_>, state: State) -> Done<Vec<String>> {
    let mut lanes = Vec::new();
    let mut last = String::new(); // before every name
    let mut query = tx.db.prepare_cached(
        "SELECT lane FROM job INDEXED BY job_place
         WHERE state = ?1 AND state <> 1 AND lane > ?2 ORDER BY lane LIMIT 1",
    )?;
    while let Some(lane) = query
        .query_row(params![code::state(state), last], |row| row.get::<_, String>(0))
        .optional()?
    {
        last.clone_from(&lane);
        lanes.push(lane);
    }
    Ok(lanes)
}
