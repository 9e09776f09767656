//! Looking at jobs: one, a page, a count, the lanes. Runs on the readers' connections.

use std::collections::BTreeMap;

use flotilla_core::envelope::{Payload, TraceContext};
use flotilla_core::handler::Progress;
use flotilla_core::ids::{Fence, JobId, Lane, WorkerId};
use flotilla_core::queue::AttemptError;
use flotilla_core::records::{Filter, JobRecord, LaneInfo, Listed, Page, Pause};
use flotilla_core::state::State;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};

use crate::code::{self, to_count, to_instant, to_name};
use crate::error::{Done, Fault};
use crate::filter::Condition;
use crate::flow::{flow_at, parent_at};

/// The longest page.
const PAGE: usize = 1000;

const RECORD: &str = "SELECT job.seq, id, kind, version, lane, tenant, priority, state, attempt,
        max_attempts, crashes, enqueued_at, run_at, started_at, finished_at, deadline, at,
        (SELECT name FROM holder WHERE no = job.holder), flags & 1, reason, parked_under, class,
        progress, progress_message, unique_key, traceparent, tracestate, payload, extra,
        (SELECT value FROM result WHERE result.seq = job.seq), order_key,
        parent, name, depth, children, succeeded, failed, successes, failures, fence
    FROM job JOIN body ON body.seq = job.seq LEFT JOIN child ON child.seq = job.seq
         LEFT JOIN flow ON flow.seq = job.seq LEFT JOIN ordered ON ordered.seq = job.seq";

/// The job of that id.
pub(crate) fn get(db: &Connection, id: JobId) -> Done<Option<JobRecord>> {
    let condition = Condition::of(&Filter::id(id))?;
    Ok(select(db, &condition, 1)?.pop())
}

/// Jobs that match, newest first: by id, which sorts by time of creation.
pub(crate) fn list(db: &Connection, filter: &Filter, page: Page) -> Done<Listed> {
    let mut condition = Condition::of(filter)?;
    if let Some(before) = page.before {
        condition.and("id < ?", Value::Blob(before.as_bytes().to_vec()));
    }
    let limit = page.limit.min(PAGE);
    let mut found = select(db, &condition, limit.saturating_add(1))?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|job| job.id);
    Ok(Listed { jobs: found, next })
}

/// How many match.
pub(crate) fn count(db: &Connection, filter: &Filter) -> Done<u64> {
    let condition = Condition::of(filter)?;
    let statement = format!("SELECT count(*) FROM job{}", condition.sql());
    let n = db
        .prepare(&statement)?
        .query_row(params_from_iter(&condition.values), |row| row.get::<_, i64>(0))?;
    to_count(n)
}

/// Ends not yet told, earliest first, each with its fence.
pub(crate) fn untold(db: &Connection, limit: usize) -> Done<Vec<(JobRecord, Fence)>> {
    let statement = format!(
        "{RECORD} WHERE job.seq IN (SELECT seq FROM untold ORDER BY finished_at, seq LIMIT {limit})
         ORDER BY (SELECT untold.finished_at FROM untold WHERE untold.seq = job.seq), job.seq"
    );
    let mut query = db.prepare(&statement)?;
    let mut rows = query.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((whole(db, row)?, Fence(to_count(row.get(39)?)?)));
    }
    Ok(found)
}

fn select(db: &Connection, condition: &Condition, limit: usize) -> Done<Vec<JobRecord>> {
    let statement = format!("{RECORD}{} ORDER BY id DESC LIMIT {limit}", condition.sql());
    let mut query = db.prepare(&statement)?;
    let mut rows = query.query(params_from_iter(&condition.values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(whole(db, row)?);
    }
    Ok(found)
}

fn whole(db: &Connection, row: &Row<'_>) -> Done<JobRecord> {
    Ok(JobRecord { errors: errors(db, row.get(0)?)?, ..record(row)? })
}

fn record(row: &Row<'_>) -> Done<JobRecord> {
    let instant = |n: usize| Ok::<_, Fault>(row.get::<_, Option<i64>>(n)?.map(to_instant));
    let state = code::to_state(row.get(7)?)?;
    Ok(JobRecord {
        id: code::to_id(row.get_ref(1)?)?,
        kind: to_name(row.get_ref(2)?)?,
        version: row.get(3)?,
        lane: to_name(row.get_ref(4)?)?,
        tenant: to_name(row.get_ref(5)?)?,
        priority: code::to_priority(row.get(6)?)?,
        state,
        attempt: row.get(8)?,
        max_attempts: row.get(9)?,
        crashes: row.get(10)?,
        enqueued_at: to_instant(row.get(11)?),
        run_at: to_instant(row.get(12)?),
        started_at: instant(13)?,
        finished_at: instant(14)?,
        deadline: instant(15)?,
        lease_until: instant(16)?.filter(|_| state == State::Running),
        worker: row.get::<_, Option<String>>(17)?.map(|name| WorkerId::new(&name)),
        cancel_requested: row.get(18)?,
        reason: row.get(19)?,
        parked_under: row.get(20)?,
        class: row.get::<_, Option<i64>>(21)?.map(code::to_class).transpose()?,
        progress: progress(row.get(22)?, row.get(23)?),
        errors: Vec::new(),
        unique_key: row.get(24)?,
        trace: TraceContext { traceparent: row.get(25)?, tracestate: row.get(26)? },
        order_key: row.get(30)?,
        parent: parent_at(row, 31)?,
        flow: flow_at(row, 34)?,
        payload: Payload::from_bytes(row.get::<_, Vec<u8>>(27)?).to_value(),
        result: result(state, row.get(29)?),
        extra: match row.get_ref(28)?.as_str_or_null()? {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(text)
                .map_err(|e| Fault::Corrupt(format!("stored extra fields are not JSON: {e}")))?,
        },
    })
}

fn progress(fraction: Option<f64>, message: Option<String>) -> Option<Progress> {
    fraction.map(|fraction| Progress { fraction, message: message.unwrap_or_default() })
}

/// `null` has no row of its own.
fn result(state: State, value: Option<Vec<u8>>) -> Option<serde_json::Value> {
    match (state, value) {
        (State::Completed, Some(bytes)) => Some(Payload::from_bytes(bytes).to_value()),
        (State::Completed, None) => Some(serde_json::Value::Null),
        _ => None,
    }
}

fn errors(db: &Connection, seq: i64) -> Done<Vec<AttemptError>> {
    let mut query = db.prepare_cached(
        "SELECT attempt, at, worker, error FROM attempt_error WHERE seq = ?1 ORDER BY n",
    )?;
    let rows = query.query_map([seq], |row| {
        Ok(AttemptError {
            attempt: row.get(0)?,
            at: to_instant(row.get(1)?),
            worker: WorkerId::new(&row.get::<_, String>(2)?),
            error: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Every lane that has jobs or is paused. Reads two indexes and no rows.
pub(crate) fn lanes(db: &Connection) -> Done<Vec<LaneInfo>> {
    let mut lanes: BTreeMap<Lane, LaneInfo> = BTreeMap::new();
    let mut counts = db.prepare_cached(
        "SELECT lane, state, count(*), NULL FROM job INDEXED BY job_place
         WHERE state <> 1 GROUP BY state, lane
         UNION ALL
         SELECT lane, state, count(*), min(at) FROM job INDEXED BY job_ready
         WHERE state = 1 GROUP BY lane",
    )?;
    let mut rows = counts.query([])?;
    while let Some(row) = rows.next()? {
        let info = entry(&mut lanes, to_name(row.get_ref(0)?)?);
        info.counts.insert(code::to_state(row.get(1)?)?, to_count(row.get(2)?)?);
        if let Some(at) = row.get::<_, Option<i64>>(3)? {
            info.oldest_available = Some(to_instant(at));
        }
    }
    let mut pauses = db.prepare_cached("SELECT lane, by, reason, since FROM pause")?;
    let mut rows = pauses.query(params![])?;
    while let Some(row) = rows.next()? {
        let info = entry(&mut lanes, to_name(row.get_ref(0)?)?);
        let (by, reason) = (row.get(1)?, row.get(2)?);
        info.paused = Some(Pause { by, reason, since: to_instant(row.get(3)?) });
    }
    Ok(lanes.into_values().collect())
}

fn entry(lanes: &mut BTreeMap<Lane, LaneInfo>, lane: Lane) -> &mut LaneInfo {
    lanes.entry(lane.clone()).or_insert_with(|| LaneInfo {
        lane,
        counts: BTreeMap::new(),
        oldest_available: None,
        paused: None,
    })
}
