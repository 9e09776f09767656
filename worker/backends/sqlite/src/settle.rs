//! Recording what became of a running job.

use flotilla_core::clock::Timestamp;
use flotilla_core::queue::{Settled, Settlement, Verdict};
use flotilla_core::state::{DeadClass, Event};
use rusqlite::{OptionalExtension, params};

use crate::code::{self, micros};
use crate::error::Done;
use crate::extend::held;
use crate::flow;
use crate::rows::{Head, Place, ended, finish, leave, make_available, push_error};
use crate::tx::Tx;

/// Records the outcomes, one answer each, in order.
pub(crate) fn settle(tx: &mut Tx<'_>, done: &[Settlement], now: Timestamp) -> Done<Vec<Settled>> {
    done.iter().map(|settlement| one(tx, settlement, now)).collect()
}

/// About how many rows an outcome writes.
pub(crate) fn weight(settlement: &Settlement) -> usize {
    match &settlement.verdict {
        Verdict::Await { children, .. } => 1 + children.len(),
        _ => 1,
    }
}

fn one(tx: &mut Tx<'_>, settlement: &Settlement, now: Timestamp) -> Done<Settled> {
    let Some(head) = held(tx, &settlement.held)? else { return Ok(Settled::Lost) };
    tx.news.changed = true;
    match &settlement.verdict {
        Verdict::Completed { result, keep_until } => {
            completed(tx, &head, result, *keep_until, now)?;
        }
        Verdict::Cancelled { reason, keep_until } => {
            let to = head.after(Event::Cancelled)?;
            finish(tx, &head, to, Some(reason), Some(*keep_until), now)?;
        }
        Verdict::Dead { class, error, keep_until } => {
            push_error(tx, head.seq, error)?;
            let event = match class {
                DeadClass::Exhausted => Event::Failed(false),
                class => Event::Refused(*class),
            };
            let to = head.after(event)?;
            finish(tx, &head, to, None, Some(*keep_until), now)?;
        }
        Verdict::Retry { error, .. } if head.cancel => {
            push_error(tx, head.seq, error)?;
            yielded(tx, &head, now)?;
        }
        _ if head.cancel => yielded(tx, &head, now)?,
        Verdict::Retry { at, error } => {
            push_error(tx, head.seq, error)?;
            later(tx, &head, Event::Failed(true), *at, None)?;
        }
        Verdict::Snooze { at, reason } => later(tx, &head, Event::Snoozed, *at, Some(reason))?,
        Verdict::Park { key, reason } => park(tx, &head, key, reason, now)?,
        Verdict::Await { children, until } => {
            flow::await_children(tx, &head, children, *until, now)?;
        }
        Verdict::Interrupted => {
            let to = head.after(Event::Interrupted)?;
            make_available(tx, &head, to, micros(now), Place::Kept)?;
        }
    }
    Ok(Settled::Applied)
}

fn completed(
    tx: &mut Tx<'_>,
    head: &Head,
    result: &[u8],
    keep_until: Timestamp,
    now: Timestamp,
) -> Done<()> {
    let to = head.after(Event::Succeeded)?;
    tx.db
        .prepare_cached(
            "UPDATE job SET state = ?2, at = ?3, finished_at = ?4, reason = NULL WHERE seq = ?1",
        )?
        .execute(params![head.seq, code::state(to.to), micros(keep_until), micros(now)])?;
    if result != b"null" {
        tx.db
            .prepare_cached("INSERT OR REPLACE INTO result (seq, value) VALUES (?1, ?2)")?
            .execute(params![head.seq, result])?;
    }
    leave(tx, head, now)?;
    ended(tx, head, true, now)
}

/// It was asked to stop and did not finish: cancelled, for the reason that was given then.
fn yielded(tx: &mut Tx<'_>, head: &Head, now: Timestamp) -> Done<()> {
    let reason = given_reason(tx, head.seq)?;
    let to = head.after(Event::Cancelled)?;
    finish(tx, head, to, reason.as_deref(), None, now)
}

/// Why a job was asked to stop.
pub(crate) fn given_reason(tx: &Tx<'_>, seq: i64) -> Done<Option<String>> {
    let reason = tx
        .db
        .prepare_cached("SELECT reason FROM job WHERE seq = ?1")?
        .query_row([seq], |row| row.get::<_, Option<String>>(0))
        .optional()?;
    Ok(reason.flatten())
}

fn later(
    tx: &mut Tx<'_>,
    head: &Head,
    event: Event,
    at: Timestamp,
    reason: Option<&str>,
) -> Done<()> {
    let to = head.after(event)?;
    tx.db
        .prepare_cached(
            "UPDATE job SET state = ?2, at = ?3, run_at = ?3, attempt = ?4, reason = ?5
             WHERE seq = ?1",
        )?
        .execute(params![head.seq, code::state(to.to), micros(at), head.charged(to), reason])?;
    tx.news.claimable = true; // what is due next may have changed
    Ok(())
}

/// The job waits for this key.
pub(crate) fn park(tx: &Tx<'_>, head: &Head, key: &str, reason: &str, now: Timestamp) -> Done<()> {
    let to = head.after(Event::Parked)?;
    tx.db
        .prepare_cached(
            "UPDATE job SET state = ?2, at = ?3, attempt = ?4, reason = ?5, parked_under = ?6
             WHERE seq = ?1",
        )?
        .execute(params![
            head.seq,
            code::state(to.to),
            micros(now),
            head.charged(to),
            reason,
            key
        ])?;
    Ok(())
}
