//! Looking at jobs: one, a page, a count, the lanes.

use std::collections::BTreeMap;

use flotilla_core::envelope::{Payload, TraceContext};
use flotilla_core::flow::{Flow, Until};
use flotilla_core::handler::Progress;
use flotilla_core::ids::{JobId, Lane, WorkerId};
use flotilla_core::queue::AttemptError;
use flotilla_core::records::{Filter, JobRecord, LaneInfo, Listed, Page, Pause};
use flotilla_core::state::State;
use serde_json::Value;
use tokio_postgres::Row;

use crate::Postgres;
use crate::claim::parent;
use crate::code::{self, to_count, to_instant, to_name, to_text};
use crate::error::{Done, Fault};
use crate::filter::Condition;

const LANES: &str = include_str!("sql/lanes.sql");

/// The longest page.
const PAGE: usize = 1000;

/// One row for each job; [`record`] reads it.
pub(crate) const RECORD: &str = "SELECT id, kind, version, lane, tenant, priority, state, attempt,
        max_attempts, crashes, enqueued_at, run_at, started_at, finished_at, deadline, lease_until,
        worker, cancel, reason, parked_under, class, progress, progress_message, unique_key,
        traceparent, tracestate, payload, extra, result, errors::text,
        order_key, parent, parent_name, depth, children, fence,
        (SELECT ARRAY[f.children, succeeded, failed, successes, failures]
         FROM flow f WHERE f.parent = job.id AND job.children IS NOT NULL)
    FROM job";

impl Postgres {
    /// The job of that id.
    pub(crate) async fn find(&self, id: JobId) -> Done<Option<JobRecord>> {
        Ok(self.select(&Condition::of(&Filter::id(id)), 1).await?.pop())
    }

    /// Jobs that match, newest first: by id, which sorts by time of creation.
    pub(crate) async fn page(&self, filter: &Filter, page: Page) -> Done<Listed> {
        let mut condition = Condition::of(filter);
        if let Some(before) = page.before {
            condition.and("id < ?", code::uuid(before));
        }
        let limit = page.limit.min(PAGE);
        let mut found = self.select(&condition, limit.saturating_add(1)).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|job| job.id);
        Ok(Listed { jobs: found, next })
    }

    /// How many match.
    pub(crate) async fn number_of(&self, filter: &Filter) -> Done<u64> {
        let condition = Condition::of(filter);
        let statement = format!("SELECT count(*) FROM job{}", condition.sql());
        let client = self.desk().await?;
        let row = client.query_one(&statement, &condition.with(&[])).await?;
        to_count(row.try_get::<_, i64>(0)?)
    }

    async fn select(&self, condition: &Condition, limit: usize) -> Done<Vec<JobRecord>> {
        let statement = format!("{RECORD}{} ORDER BY id DESC LIMIT {limit}", condition.sql());
        let client = self.desk().await?;
        let rows = client.query(&statement, &condition.with(&[])).await?;
        rows.iter().map(record).collect()
    }

    /// Every lane that has jobs or is paused.
    pub(crate) async fn all_lanes(&self) -> Done<Vec<LaneInfo>> {
        let client = self.desk().await?;
        let mut lanes: BTreeMap<Lane, LaneInfo> = BTreeMap::new();
        for row in client.query(LANES, &[]).await? {
            let info = entry(&mut lanes, to_name(row.try_get(0)?)?);
            let count = to_count(row.try_get::<_, i64>(2)?)?;
            info.counts.insert(code::to_state(row.try_get(1)?)?, count);
            if let Some(at) = row.try_get::<_, Option<i64>>(3)? {
                info.oldest_available = Some(to_instant(at));
            }
        }
        for row in client.query("SELECT lane, by, reason, since FROM pause", &[]).await? {
            let info = entry(&mut lanes, to_name(row.try_get(0)?)?);
            info.paused = Some(Pause {
                by: to_text(row.try_get(1)?),
                reason: to_text(row.try_get(2)?),
                since: to_instant(row.try_get(3)?),
            });
        }
        Ok(lanes.into_values().collect())
    }
}

fn entry(lanes: &mut BTreeMap<Lane, LaneInfo>, lane: Lane) -> &mut LaneInfo {
    lanes.entry(lane.clone()).or_insert_with(|| LaneInfo {
        lane,
        counts: BTreeMap::new(),
        oldest_available: None,
        paused: None,
    })
}

pub(crate) fn record(row: &Row) -> Done<JobRecord> {
    let instant = |n: usize| Ok::<_, Fault>(row.try_get::<_, Option<i64>>(n)?.map(to_instant));
    let text = |n: usize| Ok::<_, Fault>(row.try_get::<_, Option<String>>(n)?.map(to_text));
    let state = code::to_state(row.try_get(6)?)?;
    Ok(JobRecord {
        id: code::to_id(row.try_get(0)?),
        kind: to_name(row.try_get(1)?)?,
        version: to_count(row.try_get::<_, i32>(2)?)?,
        lane: to_name(row.try_get(3)?)?,
        tenant: to_name(row.try_get(4)?)?,
        priority: code::to_priority(row.try_get(5)?)?,
        state,
        attempt: to_count(row.try_get::<_, i32>(7)?)?,
        max_attempts: to_count(row.try_get::<_, i32>(8)?)?,
        crashes: to_count(row.try_get::<_, i32>(9)?)?,
        enqueued_at: to_instant(row.try_get(10)?),
        run_at: to_instant(row.try_get(11)?),
        started_at: instant(12)?,
        finished_at: instant(13)?,
        deadline: instant(14)?,
        lease_until: instant(15)?,
        worker: text(16)?.map(|name| WorkerId::new(&name)),
        cancel_requested: row.try_get(17)?,
        reason: text(18)?,
        // One that is scheduled under its ordering key has only yet to take its place.
        parked_under: text(19)?.filter(|_| state == State::Parked),
        class: row.try_get::<_, Option<i16>>(20)?.map(code::to_class).transpose()?,
        progress: row
            .try_get::<_, Option<f64>>(21)?
            .map(|fraction| {
                Ok::<_, Fault>(Progress { fraction, message: text(22)?.unwrap_or_default() })
            })
            .transpose()?,
        unique_key: text(23)?,
        trace: TraceContext { traceparent: text(24)?, tracestate: text(25)? },
        order_key: text(30)?,
        parent: parent(row, 31)?,
        flow: flow(row.try_get(36)?)?,
        payload: Payload::from_bytes(row.try_get::<_, Vec<u8>>(26)?).to_value(),
        extra: match row.try_get::<_, Option<&str>>(27)? {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(text)
                .map_err(|e| Fault::Corrupt(format!("stored extra fields are not JSON: {e}")))?,
        },
        result: result(state, row.try_get(28)?),
        errors: errors(row.try_get(29)?)?,
    })
}

fn flow(counts: Option<Vec<i32>>) -> Done<Option<Flow>> {
    let Some(counts) = counts else { return Ok(None) };
    let [children, succeeded, failed, successes, failures] = counts[..] else {
        return Err(Fault::Corrupt("the stored counts of a flow are not five".into()));
    };
    Ok(Some(Flow {
        children: to_count(children)?,
        succeeded: to_count(succeeded)?,
        failed: to_count(failed)?,
        until: Until { successes: to_count(successes)?, failures: to_count(failures)? },
    }))
}

/// `null` is stored as nothing.
fn result(state: State, value: Option<Vec<u8>>) -> Option<Value> {
    match (state, value) {
        (State::Completed, Some(bytes)) => Some(Payload::from_bytes(bytes).to_value()),
        (State::Completed, None) => Some(Value::Null),
        _ => None,
    }
}

fn errors(stored: Option<&str>) -> Done<Vec<AttemptError>> {
    let Some(stored) = stored else { return Ok(Vec::new()) };
    let wrong = |what: &str| Fault::Corrupt(format!("stored attempt errors are wrong: {what}"));
    let all: Vec<Value> = serde_json::from_str(stored).map_err(|e| wrong(&e.to_string()))?;
    let one = |error: &Value| {
        let text = |field: &str| error[field].as_str().map(|text| to_text(text.to_owned()));
        Some(AttemptError {
            attempt: error["attempt"].as_u64().and_then(|n| u32::try_from(n).ok())?,
            at: to_instant(error["at"].as_i64()?),
            worker: WorkerId::new(&text("worker")?),
            error: text("error")?,
        })
    };
    all.iter().map(|error| one(error).ok_or_else(|| wrong("a field is missing"))).collect()
}
