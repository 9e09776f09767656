//! Flows: children are made with the settlement that awaits them; each end is counted on the
//! parent once, in the transaction of that end.

use flotilla_core::clock::Timestamp;
use flotilla_core::flow::{FLOW_ENDED, Flow, Parent, Until, WAITS_FOR_CHILDREN};
use flotilla_core::queue::{Enqueued, NewJob};
use flotilla_core::state::{Event, State};
use rusqlite::{OptionalExtension, Row, params};

use crate::code::{self, micros, to_count};
use crate::desk::cancel_row;
use crate::enqueue::make;
use crate::error::Done;
use crate::rows::{FLOW, Head, Place, make_available, numbers};
use crate::settle::park;
use crate::tx::Tx;

/// Five columns from `first` on; none where the first is null.
pub(crate) fn flow_at(row: &Row<'_>, first: usize) -> Done<Option<Flow>> {
    let Some(children) = row.get(first)? else { return Ok(None) };
    Ok(Some(Flow {
        children,
        succeeded: row.get(first + 1)?,
        failed: row.get(first + 2)?,
        until: Until { successes: row.get(first + 3)?, failures: row.get(first + 4)? },
    }))
}

/// Three columns from `first` on; none where the first is null.
pub(crate) fn parent_at(row: &Row<'_>, first: usize) -> Done<Option<Parent>> {
    if row.get_ref(first)?.as_blob_or_null()?.is_none() {
        return Ok(None);
    }
    Ok(Some(Parent {
        id: code::to_id(row.get_ref(first)?)?,
        name: row.get(first + 1)?,
        depth: to_count(row.get(first + 2)?)?,
    }))
}

/// How the children of a job stand, if it has awaited some.
pub(crate) fn flow_of(tx: &Tx<'_>, seq: i64) -> Done<Option<Flow>> {
    let mut query = tx.db.prepare_cached(
        "SELECT children, succeeded, failed, successes, failures FROM flow WHERE seq = ?1",
    )?;
    let mut rows = query.query([seq])?;
    rows.next()?.map_or(Ok(None), |row| flow_at(row, 0))
}

/// Whose child a job is.
pub(crate) fn parent_of(tx: &Tx<'_>, seq: i64) -> Done<Option<Parent>> {
    let mut query = tx.db.prepare_cached("SELECT parent, name, depth FROM child WHERE seq = ?1")?;
    let mut rows = query.query([seq])?;
    rows.next()?.map_or(Ok(None), |row| parent_at(row, 0))
}

fn keep(tx: &Tx<'_>, seq: i64, flow: &Flow) -> Done<()> {
    tx.db
        .prepare_cached(
            "INSERT OR REPLACE INTO flow (seq, children, succeeded, failed, successes, failures)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            seq,
            flow.children,
            flow.succeeded,
            flow.failed,
            flow.until.successes,
            flow.until.failures,
        ])?;
    Ok(())
}

/// Makes the children that are not there yet and parks their parent until it may go on.
pub(crate) fn await_children(
    tx: &mut Tx<'_>,
    head: &Head,
    children: &[NewJob],
    until: Until,
    now: Timestamp,
) -> Done<()> {
    let none = Flow { children: 0, succeeded: 0, failed: 0, until };
    let mut flow = Flow { until, ..flow_of(tx, head.seq)?.unwrap_or(none) };
    for child in children {
        let child = NewJob { unique: None, ..child.clone() };
        match make(tx, &child, true, now)? {
            Enqueued::Created => flow.children += 1,
            // Nobody can run it: it has failed before it could begin.
            Enqueued::Rejected(_) => {
                flow.children += 1;
                flow.failed += 1;
            }
            Enqueued::Duplicate(_) => {}
        }
    }
    keep(tx, head.seq, &flow)?;
    tx.db
        .prepare_cached("UPDATE job SET flags = flags | ?2 WHERE seq = ?1")?
        .execute([head.seq, FLOW])?;
    park(tx, head, &Flow::key(head.id), WAITS_FOR_CHILDREN, now)?;
    if flow.is_ready() {
        go_on(tx, head.seq, now)?;
    }
    Ok(())
}

/// The parent is parked and need not wait any longer.
fn go_on(tx: &mut Tx<'_>, seq: i64, now: Timestamp) -> Done<()> {
    let Some(head) = Head::by_seq(tx, seq)? else { return Ok(()) };
    let to = head.after(Event::Woken)?;
    make_available(tx, &head, to, micros(now), Place::New)
}

/// A child has ended: its parent hears of it once, and goes on if that is what it waited for.
pub(crate) fn count(tx: &mut Tx<'_>, child: i64, succeeded: bool, now: Timestamp) -> Done<()> {
    let counted = tx
        .db
        .prepare_cached("UPDATE child SET awaited = 0 WHERE seq = ?1 AND awaited = 1")?
        .execute([child])?;
    if counted == 0 {
        return Ok(());
    }
    let Some(parent) = parent_of(tx, child)? else { return Ok(()) };
    let Some(head) = Head::by_id(tx, parent.id)? else { return Ok(()) };
    let Some(mut flow) = flow_of(tx, head.seq)? else { return Ok(()) };
    if succeeded {
        flow.succeeded += 1;
    } else {
        flow.failed += 1;
    }
    keep(tx, head.seq, &flow)?;
    if head.state == State::Parked && flow.is_ready() && waits_for_children(tx, &head)? {
        go_on(tx, head.seq, now)?;
    }
    Ok(())
}

fn waits_for_children(tx: &Tx<'_>, head: &Head) -> Done<bool> {
    let under: Option<String> = tx
        .db
        .prepare_cached("SELECT parked_under FROM job WHERE seq = ?1")?
        .query_row([head.seq], |row| row.get(0))
        .optional()?
        .flatten();
    Ok(under == Some(Flow::key(head.id)))
}

/// A job has ended or shall: nobody wants its unfinished children any more, nor theirs.
pub(crate) fn cancel_below(tx: &mut Tx<'_>, head: &Head, now: Timestamp) -> Done<()> {
    let unwanted = numbers(
        tx,
        "SELECT job.seq FROM child JOIN job ON job.seq = child.seq
         WHERE child.parent = ?1 AND job.state < 5 ORDER BY job.seq",
        [&head.id.as_bytes()[..]],
    )?;
    for seq in unwanted {
        let Some(child) = Head::by_seq(tx, seq)? else { continue };
        if child.state.is_finished() {
            continue; // one before it has ended it
        }
        cancel_row(tx, &child, FLOW_ENDED, now)?;
        if child.state == State::Running && child.flags & FLOW != 0 {
            cancel_below(tx, &child, now)?;
        }
    }
    Ok(())
}
