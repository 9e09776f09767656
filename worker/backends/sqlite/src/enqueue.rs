//! Making jobs.

use flotilla_core::clock::Timestamp;
use flotilla_core::envelope::{Unique, UniqueScope};
use flotilla_core::ids::JobId;
use flotilla_core::queue::{Enqueued, NewJob};
use flotilla_core::state::State;
use rusqlite::{OptionalExtension, params};

use crate::code::{self, micros};
use crate::error::{Done, Fault};
use crate::line::{self, HOLDS};
use crate::rows::{CHILD, ORDERED};
use crate::tx::Tx;

/// Makes the jobs, one answer each, in order.
pub(crate) fn enqueue(tx: &mut Tx<'_>, jobs: &[NewJob], now: Timestamp) -> Done<Vec<Enqueued>> {
    jobs.iter().map(|job| make(tx, job, false, now)).collect()
}

/// Makes one job, unless it or its like is there. `awaited`: its parent counts on it.
pub(crate) fn make(tx: &mut Tx<'_>, job: &NewJob, awaited: bool, now: Timestamp) -> Done<Enqueued> {
    let size = job.payload.bytes().len();
    let max = tx.settings.max_payload;
    if size > max {
        let why = format!(
            "the payload has {size} bytes; at most {max} are allowed: put large data in a blob"
        );
        return Ok(Enqueued::Rejected(why));
    }
    if let Some(unique) = &job.unique
        && let Some(id) = stands_for(tx, job, unique, now)?
    {
        return Ok(Enqueued::Duplicate(id));
    }
    let place = match &job.order {
        Some(order) => line::last_place(tx, order)?,
        None => HOLDS,
    };
    let available = job.run_at <= now && place == HOLDS;
    let level = i64::from(job.priority.level());
    let (state, at, tag) = if available {
        let tag = tx.fair.next_tag(tx.db, job.lane.as_str(), level, job.tenant.as_str())?;
        (State::Available, now, tag)
    } else {
        (State::Scheduled, job.run_at, 0)
    };
    let made = tx
        .db
        .prepare_cached(
            "INSERT INTO job (id, state, lane, priority, tag, at, kind, tenant, max_attempts,
                              version, enqueued_at, run_at, deadline, unique_key, unique_until)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            &job.id.as_bytes()[..],
            code::state(state),
            job.lane.as_str(),
            level,
            tag,
            micros(at),
            job.kind.as_str(),
            job.tenant.as_str(),
            job.max_attempts.max(1),
            job.version,
            micros(now),
            micros(job.run_at),
            job.deadline.map(micros),
            job.unique.as_ref().map(|u| u.key.as_str()),
            job.unique.as_ref().and_then(|u| held_until(u, now)),
        ])?;
    if made == 0 {
        // The tag that was drawn is lost: a gap in the tenant's order, which costs nobody anything.
        return Ok(Enqueued::Duplicate(job.id));
    }
    let seq = tx.db.last_insert_rowid();
    body(tx, seq, job)?;
    if job.order.is_some() || job.parent.is_some() {
        tie(tx, seq, job, awaited, place)?;
    }
    if let Some(order) = job.order.as_ref().filter(|_| place != HOLDS) {
        line::park(tx, seq, order, now)?;
    }
    if let Some(unique) = &job.unique
        && let Some(until) = held_until(unique, now)
    {
        hold(tx, job, &unique.key, until)?;
    }
    tx.news.changed = true;
    tx.news.claimable = true; // also when scheduled: what is due next may have changed
    Ok(Enqueued::Created)
}

/// What else the job takes part in.
fn tie(tx: &Tx<'_>, seq: i64, job: &NewJob, awaited: bool, place: i64) -> Done<()> {
    let ordered = if job.order.is_some() { ORDERED } else { 0 };
    let child = if job.parent.is_some() { CHILD } else { 0 };
    tx.db
        .prepare_cached("UPDATE job SET flags = ?2 WHERE seq = ?1")?
        .execute(params![seq, ordered | child])?;
    if let Some(order) = &job.order {
        tx.db
            .prepare_cached("INSERT INTO ordered (seq, order_key, place) VALUES (?1, ?2, ?3)")?
            .execute(params![seq, order, place])?;
    }
    if let Some(parent) = &job.parent {
        tx.db
            .prepare_cached(
                "INSERT INTO child (seq, parent, name, depth, awaited)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![seq, &parent.id.as_bytes()[..], parent.name, parent.depth, awaited])?;
    }
    Ok(())
}

fn body(tx: &Tx<'_>, seq: i64, job: &NewJob) -> Done<()> {
    let extra = match job.extra.is_empty() {
        true => None,
        false => Some(serde_json::to_string(&job.extra).map_err(|e| {
            Fault::Invalid(format!("the extra fields of job {} cannot be written: {e}", job.id))
        })?),
    };
    tx.db
        .prepare_cached(
            "INSERT INTO body (seq, payload, traceparent, tracestate, extra)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            seq,
            &job.payload.bytes()[..],
            job.trace.traceparent,
            job.trace.tracestate,
            extra,
        ])?;
    Ok(())
}

/// The key is this job's until then.
fn hold(tx: &Tx<'_>, job: &NewJob, key: &str, until: i64) -> Done<()> {
    tx.db
        .prepare_cached(
            "INSERT OR REPLACE INTO key_window (kind, tenant, key, until, id)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            job.kind.as_str(),
            job.tenant.as_str(),
            key,
            until,
            &job.id.as_bytes()[..]
        ])?;
    Ok(())
}

fn held_until(unique: &Unique, now: Timestamp) -> Option<i64> {
    match unique.scope {
        UniqueScope::Unfinished => None,
        UniqueScope::Seconds(n) => {
            let span = i64::try_from(n).unwrap_or(i64::MAX).saturating_mul(1_000_000);
            Some(micros(now).saturating_add(span))
        }
    }
}

/// The job that stands for this one: the same id, or the holder of its unique key.
fn stands_for(tx: &Tx<'_>, job: &NewJob, unique: &Unique, now: Timestamp) -> Done<Option<JobId>> {
    let same = tx
        .db
        .prepare_cached("SELECT 1 FROM job WHERE id = ?1")?
        .exists([&job.id.as_bytes()[..]])?;
    if same {
        return Ok(Some(job.id));
    }
    key_holder(tx, job.kind.as_str(), job.tenant.as_str(), &unique.key, now)
}

/// Who holds a unique key now.
pub(crate) fn key_holder(
    tx: &Tx<'_>,
    kind: &str,
    tenant: &str,
    key: &str,
    now: Timestamp,
) -> Done<Option<JobId>> {
    let unfinished = "SELECT id FROM job WHERE kind = ?1 AND tenant = ?2 AND unique_key = ?3
         AND unique_key IS NOT NULL AND unique_until IS NULL AND state < 5";
    let window = "SELECT id FROM key_window
         WHERE kind = ?1 AND tenant = ?2 AND key = ?3 AND until > ?4";
    let id =
        |row: &rusqlite::Row<'_>| Ok(row.get_ref(0).map_err(Fault::from).and_then(code::to_id));
    let mut found =
        tx.db.prepare_cached(unfinished)?.query_row(params![kind, tenant, key], id).optional()?;
    if found.is_none() {
        found = tx
            .db
            .prepare_cached(window)?
            .query_row(params![kind, tenant, key, micros(now)], id)
            .optional()?;
    }
    found.transpose()
}
