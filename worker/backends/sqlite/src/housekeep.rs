//! Upkeep: due jobs, ended leases, passed deadlines, ended retentions, idle tenants.

use std::time::Duration;

use flotilla_core::clock::{Timestamp, after, before};
use flotilla_core::ids::WorkerId;
use flotilla_core::queue::{AttemptError, HousekeepPolicy, Housekeeping};
use flotilla_core::state::{Event, State};
use rusqlite::{OptionalExtension, params};

use crate::code::{self, micros, to_count};
use crate::error::Done;
use crate::fair::forget_idle;
use crate::promote::{lanes_with, promote};
use crate::rows::{
    Head, Place, STAYS, delete, ended, finish_alone, make_available, numbers, push_error,
};
use crate::settle::given_reason;
use crate::tx::Tx;

/// Workers not seen for this long are forgotten.
const FORGET_WORKER: Duration = Duration::from_secs(24 * 60 * 60);

/// One round of upkeep.
pub(crate) fn housekeep(
    tx: &mut Tx<'_>,
    policy: &HousekeepPolicy,
    now: Timestamp,
) -> Done<Housekeeping> {
    let limit = code::number(policy.batch);
    let mut done = Housekeeping::default();
    for state in [State::Scheduled, State::Retryable] {
        for lane in lanes_with(tx, state)? {
            let left = limit - i64::try_from(done.promoted).unwrap_or(limit);
            done.promoted += promote(tx, &lane, left.max(0), now)?;
        }
    }
    rescue(tx, policy, now, &mut done)?;
    done.expired = expire(tx, policy, limit, now)?;
    done.pruned = prune(tx, policy, limit, now)?;
    forget_idle(tx.db, limit)?;
    for (statement, until) in [
        ("DELETE FROM key_window WHERE until <= ?1", now),
        ("DELETE FROM cell WHERE expires_at <= ?1", now),
        ("DELETE FROM worker WHERE seen_at < ?1", before(now, FORGET_WORKER)),
    ] {
        tx.db.prepare_cached(statement)?.execute([micros(until)])?;
    }
    Ok(done)
}

/// Running jobs whose lease has run out.
const ABANDONED: &str = "SELECT seq FROM job INDEXED BY job_place
     WHERE state = ?1 AND state <> 1 AND lane = ?2 AND at <= ?3 ORDER BY at LIMIT ?4";

/// Finished jobs whose record may go, but for those that `STAYS`.
fn over() -> String {
    format!(
        "SELECT seq FROM job INDEXED BY job_place
         WHERE state = ?1 AND state <> 1 AND lane = ?2 AND at <= ?3 AND NOT {STAYS}
         ORDER BY at LIMIT ?4"
    )
}

/// Rows of a state, in all lanes, whose instant has come, as the statement chooses them.
fn due(tx: &Tx<'_>, statement: &str, state: State, limit: i64, now: Timestamp) -> Done<Vec<i64>> {
    let mut due = Vec::new();
    for lane in lanes_with(tx, state)? {
        let left = limit - code::number(due.len());
        if left <= 0 {
            break;
        }
        due.extend(numbers(tx, statement, params![code::state(state), lane, micros(now), left])?);
    }
    Ok(due)
}

/// After all of a round have moved, so that their order does not show.
fn all_ended(tx: &mut Tx<'_>, over: &[Head], now: Timestamp) -> Done<()> {
    over.iter().try_for_each(|head| ended(tx, head, false, now))
}

fn expire(tx: &mut Tx<'_>, policy: &HousekeepPolicy, limit: i64, now: Timestamp) -> Done<u64> {
    let passed = numbers(
        tx,
        "SELECT seq FROM job INDEXED BY job_deadline
         WHERE deadline IS NOT NULL AND state IN (0, 1, 3, 4) AND deadline <= ?1
         ORDER BY deadline LIMIT ?2",
        params![micros(now), limit],
    )?;
    let keep_until = Some(after(now, policy.keep_dead));
    let mut dead = Vec::new();
    for seq in &passed {
        if let Some(head) = Head::by_seq(tx, *seq)? {
            let to = head.after(Event::Expired)?;
            finish_alone(tx, &head, to, None, keep_until, now)?;
            dead.push(head);
        }
    }
    all_ended(tx, &dead, now)?;
    Ok(passed.len() as u64)
}

fn rescue(
    tx: &mut Tx<'_>,
    policy: &HousekeepPolicy,
    now: Timestamp,
    done: &mut Housekeeping,
) -> Done<()> {
    let mut over = Vec::new();
    for seq in due(tx, ABANDONED, State::Running, code::number(policy.batch), now)? {
        let Some(head) = Head::by_seq(tx, seq)? else { continue };
        let crashes = head.crashes.saturating_add(1);
        tx.db
            .prepare_cached("UPDATE job SET crashes = ?2 WHERE seq = ?1")?
            .execute(params![seq, crashes])?;
        let error = AttemptError {
            attempt: to_count(head.attempt)?,
            at: now,
            worker: holder_of(tx, seq)?,
            error: "lease ran out: the worker is gone".into(),
        };
        push_error(tx, seq, &error)?;
        if head.cancel {
            // Nobody wants it, and nobody is left to be told.
            let reason = given_reason(tx, seq)?;
            let to = head.after(Event::Cancelled)?;
            finish_alone(tx, &head, to, reason.as_deref(), None, now)?;
            over.push(head);
            continue;
        }
        let to = head.after(Event::LeaseExpired {
            attempts_left: head.attempt < head.max_attempts,
            poison: crashes >= i64::from(policy.poison_after),
        })?;
        if to.to == State::Dead {
            finish_alone(tx, &head, to, None, Some(after(now, policy.keep_dead)), now)?;
            over.push(head);
            done.quarantined += 1;
        } else {
            make_available(tx, &head, to, micros(now), Place::Kept)?;
            done.rescued += 1;
        }
    }
    all_ended(tx, &over, now)
}

fn holder_of(tx: &Tx<'_>, seq: i64) -> Done<WorkerId> {
    let name: Option<String> = tx
        .db
        .prepare_cached(
            "SELECT holder.name FROM job JOIN holder ON holder.no = job.holder WHERE job.seq = ?1",
        )?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    Ok(WorkerId::new(name.as_deref().unwrap_or("unknown")))
}

fn prune(tx: &mut Tx<'_>, policy: &HousekeepPolicy, limit: i64, now: Timestamp) -> Done<u64> {
    let mut pruned = 0;
    let mut left = limit;
    let statement = over();
    for state in [State::Completed, State::Cancelled, State::Dead] {
        let ended = due(tx, &statement, state, left, now)?;
        left -= code::number(ended.len());
        for seq in ended {
            if !kept(tx, seq, policy, now)? {
                delete(tx, seq)?;
                pruned += 1;
            }
        }
    }
    Ok(pruned)
}

/// Where nobody said how long to keep it, the policy says so now.
fn kept(tx: &Tx<'_>, seq: i64, policy: &HousekeepPolicy, now: Timestamp) -> Done<bool> {
    let (at, finished): (i64, Option<i64>) = tx
        .db
        .prepare_cached("SELECT at, finished_at FROM job WHERE seq = ?1")?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(finished) = finished.filter(|_| at == 0) else { return Ok(false) };
    let until = after(code::to_instant(finished), policy.keep_dead);
    if until <= now {
        return Ok(false);
    }
    tx.db
        .prepare_cached("UPDATE job SET at = ?2 WHERE seq = ?1")?
        .execute(params![seq, micros(until)])?;
    Ok(true)
}
