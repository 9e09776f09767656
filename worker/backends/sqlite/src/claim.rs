//! Taking jobs under a lease.

use std::time::Duration;

use flotilla_core::clock::{Timestamp, after};
use flotilla_core::envelope::{Payload, TraceContext};
use flotilla_core::fair;
use flotilla_core::ids::{Fence, Kind, Priority, Receipt, WorkerId};
use flotilla_core::queue::{Claimed, Claims, Held, LaneDemand};
use flotilla_core::state::{Event, State, transition};
use rusqlite::{OptionalExtension, params};

use crate::code::{self, micros, to_count};
use crate::error::{Done, Fault};
use crate::flow::{flow_of, parent_of};
use crate::promote::{next_due, promote};
use crate::rows::{CHILD, FLOW};
use crate::tx::Tx;

/// Due jobs promoted by one claim, per lane: bounds its transaction. If more are due, `next_due`
/// is in the past and the worker comes again at once.
const PROMOTED: i64 = 500;

/// A job that may be taken.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    seq: i64,
    tag: i64,
    /// Its place in the demand's kinds.
    kind: usize,
}

struct Lease {
    until: i64,
    holder: i64,
    now: i64,
}

/// Takes jobs of each lane until `now + lease`.
pub(crate) fn claim(
    tx: &mut Tx<'_>,
    lanes: &[LaneDemand],
    worker: &WorkerId,
    lease: Duration,
    now: Timestamp,
) -> Done<Claims> {
    let mut claims = Claims::default();
    let until = micros(after(now, lease));
    for demand in lanes {
        promote(tx, demand.lane.as_str(), PROMOTED, now)?;
        if let Some(due) = next_due(tx, demand.lane.as_str())? {
            claims.next_due = Some(claims.next_due.map_or(due, |d| d.min(due)));
        }
        if demand.slots > 0 && !demand.kinds.is_empty() && !paused(tx, demand)? {
            from_lane(tx, demand, worker, until, now, &mut claims.jobs)?;
        }
    }
    Ok(claims)
}

fn paused(tx: &Tx<'_>, demand: &LaneDemand) -> Done<bool> {
    Ok(tx
        .db
        .prepare_cached("SELECT 1 FROM pause WHERE lane = ?1")?
        .exists([demand.lane.as_str()])?)
}

fn from_lane(
    tx: &mut Tx<'_>,
    demand: &LaneDemand,
    worker: &WorkerId,
    until: i64,
    now: Timestamp,
    jobs: &mut Vec<Claimed>,
) -> Done<()> {
    let mut backlog = Vec::new();
    let mut candidates = Vec::new();
    let mut below = i64::MAX;
    while let Some(level) = next_band(tx, demand, below)? {
        let found = in_band(tx, demand, level, micros(now))?;
        if !found.is_empty() {
            backlog.push((code::to_priority(level)?, found.len()));
            candidates.push(found);
        }
        below = level;
    }
    if backlog.is_empty() {
        return Ok(());
    }
    let lane = demand.lane.as_str();
    let served = tx.fair.served(tx.db, lane)?;
    let take = fair::bands(&backlog, demand.slots, served);
    let lease = Lease { until, holder: tx.holder(worker)?, now: micros(now) };
    for (((priority, _), found), n) in backlog.iter().zip(&candidates).zip(&take) {
        for candidate in found.iter().take(*n) {
            jobs.push(take_one(tx, demand, *priority, *candidate, &lease)?);
        }
        if let Some(last) = n.checked_sub(1).and_then(|i| found.get(i)) {
            tx.fair.claimed(tx.db, lane, i64::from(priority.level()), last.tag)?;
        }
    }
    tx.fair.serve(tx.db, lane, take.iter().sum())?;
    tx.news.changed = true;
    Ok(())
}

/// The next lower priority that has available jobs.
fn next_band(tx: &Tx<'_>, demand: &LaneDemand, below: i64) -> Done<Option<i64>> {
    Ok(tx
        .db
        .prepare_cached(
            "SELECT priority FROM job INDEXED BY job_ready
             WHERE state = 1 AND lane = ?1 AND priority < ?2 ORDER BY priority DESC LIMIT 1",
        )?
        .query_row(params![demand.lane.as_str(), below], |row| row.get(0))
        .optional()?)
}

/// The first jobs of a band that the demand wants, read from the index alone.
fn in_band(tx: &Tx<'_>, demand: &LaneDemand, level: i64, now: i64) -> Done<Vec<Candidate>> {
    let mut query = tx.db.prepare_cached(
        "SELECT seq, tag, kind FROM job INDEXED BY job_ready
         WHERE state = 1 AND lane = ?1 AND priority = ?2 AND (deadline IS NULL OR deadline > ?3)
         ORDER BY tag, seq",
    )?;
    let mut rows = query.query(params![demand.lane.as_str(), level, now])?;
    let mut found = Vec::new();
    while found.len() < demand.slots
        && let Some(row) = rows.next()?
    {
        let kind = row.get_ref(2)?.as_str()?;
        if let Some(kind) = demand.kinds.iter().position(|k| k.as_str() == kind) {
            found.push(Candidate { seq: row.get(0)?, tag: row.get(1)?, kind });
        }
    }
    Ok(found)
}

fn take_one(
    tx: &Tx<'_>,
    demand: &LaneDemand,
    priority: Priority,
    candidate: Candidate,
    lease: &Lease,
) -> Done<Claimed> {
    let seq = candidate.seq;
    let gone = |what: &str| Fault::Corrupt(format!("the job in row {seq} has no {what}"));
    let mut query = tx.db.prepare_cached(
        "SELECT id, version, tenant, attempt, max_attempts, crashes, fence, at, enqueued_at, flags
         FROM job WHERE seq = ?1",
    )?;
    let mut rows = query.query([seq])?;
    let row = rows.next()?.ok_or_else(|| gone("row"))?;
    let mut bodies =
        tx.db.prepare_cached("SELECT payload, traceparent, tracestate FROM body WHERE seq = ?1")?;
    let mut bodies = bodies.query([seq])?;
    let body = bodies.next()?.ok_or_else(|| gone("payload"))?;
    let to =
        transition(State::Available, Event::Claimed).map_err(|e| Fault::Corrupt(e.to_string()))?;
    let attempt = code::charged(row.get(3)?, to.charge);
    let fence = row.get::<_, i64>(6)?.saturating_add(1);
    let flags: i64 = row.get(9)?;
    let kind: &Kind = &demand.kinds[candidate.kind];
    let claimed = Claimed {
        held: Held {
            id: code::to_id(row.get_ref(0)?)?,
            fence: Fence(to_count(fence)?),
            receipt: Receipt::Number(to_count(seq)?),
        },
        kind: kind.clone(),
        version: row.get(1)?,
        lane: demand.lane.clone(),
        tenant: code::to_name(row.get_ref(2)?)?,
        priority,
        payload: Payload::from_bytes(body.get_ref(0)?.as_blob()?.to_vec()),
        attempt: to_count(attempt)?,
        max_attempts: row.get(4)?,
        crashes: row.get(5)?,
        available_at: code::to_instant(row.get(7)?),
        enqueued_at: code::to_instant(row.get(8)?),
        trace: TraceContext { traceparent: body.get(1)?, tracestate: body.get(2)? },
        parent: if flags & CHILD == 0 { None } else { parent_of(tx, seq)? },
        children: if flags & FLOW == 0 { 0 } else { flow_of(tx, seq)?.map_or(0, |f| f.children) },
    };
    tx.db
        .prepare_cached(
            "UPDATE job SET state = ?2, at = ?3, fence = ?4, attempt = ?5, started_at = ?6,
                            holder = ?7, reason = NULL, progress = NULL, progress_message = NULL
             WHERE seq = ?1",
        )?
        .execute(params![
            seq,
            code::state(to.to),
            lease.until,
            fence,
            attempt,
            lease.now,
            lease.holder,
        ])?;
    Ok(claimed)
}
