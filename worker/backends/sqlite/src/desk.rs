//! Handling jobs by hand: cancel, pause, wake, replay, discard, purge. Runs on the writer.

use flotilla_core::clock::Timestamp;
use flotilla_core::ids::{JobId, Lane};
use flotilla_core::records::{Cancel, Filter, Pause, Replay, RunNow};
use flotilla_core::state::{DeadClass, Event, State};
use rusqlite::types::Value;
use rusqlite::{params, params_from_iter};

use crate::code::{self, micros};
use crate::enqueue::key_holder;
use crate::error::Done;
use crate::filter::Condition;
use crate::rows::{Head, ORDERED, Place, STAYS, delete, finish, make_available, numbers};
use crate::tx::Tx;
use crate::{line, outbox};

/// Rows looked at in one go.
const CHUNK: usize = 500;

pub(crate) fn cancel(
    tx: &mut Tx<'_>,
    ids: &[JobId],
    reason: &str,
    now: Timestamp,
) -> Done<Vec<Cancel>> {
    ids.iter().map(|id| cancel_one(tx, *id, reason, now)).collect()
}

fn cancel_one(tx: &mut Tx<'_>, id: JobId, reason: &str, now: Timestamp) -> Done<Cancel> {
    let Some(head) = Head::by_id(tx, id)? else { return Ok(Cancel::Unknown) };
    if head.state.is_finished() {
        return Ok(Cancel::Finished);
    }
    cancel_row(tx, &head, reason, now)
}

/// Cancels an unfinished job that waits, asks one that runs.
pub(crate) fn cancel_row(
    tx: &mut Tx<'_>,
    head: &Head,
    reason: &str,
    now: Timestamp,
) -> Done<Cancel> {
    tx.db
        .prepare_cached("UPDATE job SET flags = flags | 1, reason = ?2 WHERE seq = ?1")?
        .execute(params![head.seq, reason])?;
    tx.news.changed = true;
    if head.state == State::Running {
        return Ok(Cancel::Asked);
    }
    let to = head.after(Event::Cancelled)?;
    finish(tx, head, to, Some(reason), None, now)?;
    Ok(Cancel::Cancelled)
}

pub(crate) fn run_now(tx: &mut Tx<'_>, ids: &[JobId], now: Timestamp) -> Done<Vec<RunNow>> {
    ids.iter().map(|id| run_one_now(tx, *id, now)).collect()
}

/// The next claim of its lane promotes it, as if its moment had come by itself.
fn run_one_now(tx: &mut Tx<'_>, id: JobId, now: Timestamp) -> Done<RunNow> {
    let Some(head) = Head::by_id(tx, id)? else { return Ok(RunNow::Unknown) };
    if !matches!(head.state, State::Scheduled | State::Retryable) {
        return Ok(RunNow::NotWaiting);
    }
    tx.db
        .prepare_cached("UPDATE job SET at = min(at, ?2), run_at = min(run_at, ?2) WHERE seq = ?1")?
        .execute(params![head.seq, micros(now)])?;
    tx.news.changed = true;
    tx.news.claimable = true;
    Ok(RunNow::Due)
}

pub(crate) fn pause(tx: &mut Tx<'_>, lane: &Lane, pause: &Pause) -> Done<()> {
    tx.db
        .prepare_cached(
            "INSERT OR REPLACE INTO pause (lane, by, reason, since) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![lane.as_str(), pause.by, pause.reason, micros(pause.since)])?;
    tx.news.changed = true;
    Ok(())
}

pub(crate) fn resume(tx: &mut Tx<'_>, lane: &Lane) -> Done<bool> {
    let was =
        tx.db.prepare_cached("DELETE FROM pause WHERE lane = ?1")?.execute([lane.as_str()])? > 0;
    tx.news.changed |= was;
    tx.news.claimable |= was;
    Ok(was)
}

pub(crate) fn wake(tx: &mut Tx<'_>, key: &str, limit: usize, now: Timestamp) -> Done<u64> {
    let parked = numbers(
        tx,
        "SELECT seq FROM job INDEXED BY job_parked
         WHERE parked_under IS NOT NULL AND parked_under = ?1 AND state = 4
         ORDER BY seq LIMIT ?2",
        params![key, code::number(limit)],
    )?;
    for seq in &parked {
        if let Some(head) = Head::by_seq(tx, *seq)? {
            let to = head.after(Event::Woken)?;
            make_available(tx, &head, to, micros(now), Place::New)?;
        }
    }
    Ok(parked.len() as u64)
}

pub(crate) fn replay(
    tx: &mut Tx<'_>,
    filter: &Filter,
    limit: usize,
    now: Timestamp,
) -> Done<Replay> {
    let mut done = Replay::default();
    each(tx, filter, "state = 7", &mut |tx, seq| {
        if done.replayed >= limit as u64 {
            return Ok(false);
        }
        if let Some(head) = Head::by_seq(tx, seq)? {
            match refusal(tx, &head, now)? {
                Some(why) => done.refused.push((head.id, why)),
                None => {
                    put_back(tx, &head, now)?;
                    done.replayed += 1;
                }
            }
        }
        Ok(done.replayed < limit as u64)
    })?;
    Ok(done)
}

/// Why a dead letter must not run again by a mere replay.
pub(crate) fn refusal(tx: &Tx<'_>, head: &Head, now: Timestamp) -> Done<Option<String>> {
    let (class, kind, tenant, key) = tx
        .db
        .prepare_cached("SELECT class, kind, tenant, unique_key FROM job WHERE seq = ?1")?
        .query_row([head.seq], |row| {
            Ok((
                row.get::<_, Option<i64>>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, Option<String>>(3)?,
            ))
        })?;
    if class.map(code::to_class).transpose()? == Some(DeadClass::OutcomeUnknown) {
        return Ok(Some(
            "outcome_unknown: what it does cannot be undone and may have been done; look there first, \
             then enqueue it anew or discard it"
                .into(),
        ));
    }
    let Some(key) = key else { return Ok(None) };
    let holder = key_holder(tx, &kind, &tenant, &key, now)?.filter(|id| *id != head.id);
    Ok(holder.map(|id| format!("its unique key \"{key}\" is held by job {id}")))
}

/// Under the next fence: when it ends again, that is another end.
pub(crate) fn put_back(tx: &mut Tx<'_>, head: &Head, now: Timestamp) -> Done<()> {
    let to = head.after(Event::Replayed)?;
    let passed = head.deadline.is_some_and(|deadline| deadline <= micros(now));
    tx.db
        .prepare_cached(
            "UPDATE job SET crashes = 0, flags = flags & ~1, class = NULL, finished_at = NULL, run_at = ?2,
                            fence = fence + 1,
                            deadline = iif(?3, NULL, deadline) WHERE seq = ?1",
        )?
        .execute(params![head.seq, micros(now), passed])?;
    outbox::unmark(tx, head.seq)?;
    if head.flags & ORDERED != 0
        && let Some(order) = line::order_of(tx, head.seq)?
    {
        let place = line::last_place(tx, &order)?;
        if place != line::HOLDS {
            tx.news.changed = true;
            line::stand(tx, head.seq, Some(place))?;
            return line::park(tx, head.seq, &order, now);
        }
    }
    make_available(tx, head, to, micros(now), Place::New)
}

pub(crate) fn discard(tx: &mut Tx<'_>, filter: &Filter, reason: &str, limit: usize) -> Done<u64> {
    let mut done = 0;
    each(tx, filter, "state = 7", &mut |tx, seq| {
        if done >= limit as u64 {
            return Ok(false);
        }
        if let Some(head) = Head::by_seq(tx, seq)? {
            let to = head.after(Event::Discarded)?;
            let (keep_until, finished): (i64, Option<i64>) = tx
                .db
                .prepare_cached("SELECT at, finished_at FROM job WHERE seq = ?1")?
                .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let finished = code::to_instant(finished.unwrap_or(keep_until));
            finish(tx, &head, to, Some(reason), Some(code::to_instant(keep_until)), finished)?;
            done += 1;
        }
        Ok(done < limit as u64)
    })?;
    Ok(done)
}

pub(crate) fn purge(tx: &mut Tx<'_>, filter: &Filter, limit: usize) -> Done<u64> {
    let mut done = 0;
    each(tx, filter, &format!("state >= 5 AND NOT {STAYS}"), &mut |tx, seq| {
        if done >= limit as u64 {
            return Ok(false);
        }
        delete(tx, seq)?;
        done += 1;
        Ok(done < limit as u64)
    })?;
    Ok(done)
}

type Visit<'v> = &'v mut dyn FnMut(&mut Tx<'_>, i64) -> Done<bool>;

/// Shows `visit` the rows that match, oldest first, until it has enough.
fn each(tx: &mut Tx<'_>, filter: &Filter, held_to: &str, visit: Visit<'_>) -> Done<()> {
    let mut last = i64::MIN;
    loop {
        let mut condition = Condition::of(filter)?;
        condition.literally(held_to);
        condition.and("seq > ?", Value::Integer(last));
        let statement =
            format!("SELECT seq FROM job{} ORDER BY seq LIMIT {CHUNK}", condition.sql());
        let rows = numbers(tx, &statement, params_from_iter(&condition.values))?;
        for seq in &rows {
            if !visit(tx, *seq)? {
                return Ok(());
            }
            last = *seq;
        }
        if rows.len() < CHUNK {
            return Ok(());
        }
    }
}
