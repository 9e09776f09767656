//! The truth behind a broker: jobs taken by name, and which of them the broker was told of.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use deadpool_postgres::Client;
use flotilla_core::broker::{Burial, Taken};
use flotilla_core::clock::{Timestamp, after};
use flotilla_core::envelope::{Payload, TraceContext, Unique, UniqueScope};
use flotilla_core::ids::{JobId, Lane, WorkerId};
use flotilla_core::queue::{AttemptError, Claimed, Enqueued, NewJob};
use flotilla_core::state::State;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Postgres;
use crate::bell::News;
use crate::claim::{PROMOTE, PROMOTED, claimed, parent};
use crate::code::{self, micros, number, to_count, to_instant, to_name};
use crate::enqueue::Columns;
use crate::error::{Done, Fault};
use crate::settle::stored;

const TAKE: &str = include_str!("sql/take.sql");
const UNPUBLISHED: &str = include_str!("sql/unpublished.sql");
const BURY: &str = include_str!("sql/bury.sql");
const LOOK: &str = "SELECT id, state, lane, at FROM job WHERE id = ANY ($1)";
const REPUBLISH: &str =
    "UPDATE job SET published = 0 WHERE id = ANY ($1) AND state + 0 = 1 AND published IS NOT NULL";

/// A job that could not be taken, as it stands.
struct Missed {
    state: State,
    lane: String,
    at: i64,
}

/// Under which lease.
struct Terms<'t> {
    worker: &'t WorkerId,
    until: Timestamp,
    now: Timestamp,
}

impl Postgres {
    /// Takes jobs by name; unknown ones are made first with `make`.
    pub(crate) async fn take_named(
        &self,
        jobs: &[NewJob],
        make: bool,
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Done<Vec<Taken>> {
        let terms = Terms { worker, until: after(now, lease), now };
        let client = self.hot().await?;
        let mut seen = HashSet::new();
        let mut ids: Vec<Uuid> =
            jobs.iter().map(|job| code::uuid(job.id)).filter(|id| seen.insert(*id)).collect();
        let mut taken = terms.take(&client, &ids).await?;
        ids.retain(|id| !taken.contains_key(id));
        let mut refused: HashMap<Uuid, String> = HashMap::new();
        let mut missed = terms.look(&client, &ids).await?;

        let unknown = |id: &Uuid| make && !missed.contains_key(id);
        let new: Vec<NewJob> = jobs
            .iter()
            .filter(|job| ids.contains(&code::uuid(job.id)) && unknown(&code::uuid(job.id)))
            .cloned()
            .collect();
        if !new.is_empty() {
            for (job, answer) in new.iter().zip(self.make(&new, true, now).await?) {
                let why = match answer {
                    Enqueued::Rejected(why) => why,
                    Enqueued::Duplicate(holder) if holder != job.id => {
                        format!("its unique key is held by {holder}")
                    }
                    Enqueued::Created | Enqueued::Duplicate(_) => continue,
                };
                refused.insert(code::uuid(job.id), why);
            }
        }
        let due: Vec<&str> =
            missed.values().filter(|m| m.is_due(now)).map(|m| m.lane.as_str()).collect();
        if !due.is_empty() {
            let promote = client.prepare_cached(PROMOTE).await?;
            client.query_one(&promote, &[&due, &PROMOTED, &micros(now)]).await?;
        }
        if !new.is_empty() || !due.is_empty() {
            taken.extend(terms.take(&client, &ids).await?);
            ids.retain(|id| !taken.contains_key(id));
            missed = terms.look(&client, &ids).await?;
        }
        // The notice is used up: when it may run, there shall be another one. It may not now, or
        // someone was at it: another taker, and then nothing is marked, or a sweep that passed by.
        let waits: Vec<JobId> = missed
            .iter()
            .filter(|(_, missed)| missed.state == State::Available)
            .map(|(id, _)| code::to_id(*id))
            .collect();
        if !waits.is_empty() {
            self.mark_unpublished(&waits).await?;
        }
        if !taken.is_empty() {
            self.tell(News::Changed);
        }
        let mut mine: HashSet<Uuid> = HashSet::new();
        let answer = |job: &NewJob| {
            let id = code::uuid(job.id);
            if let Some(job) = taken.remove(&id) {
                mine.insert(id);
                return Taken::Claimed(Box::new(job));
            }
            if mine.contains(&id) {
                return Taken::Held; // it came twice
            }
            match (missed.get(&id), refused.get(&id)) {
                (None, Some(why)) => Taken::Refused(why.clone()),
                (None, None) => Taken::Over,
                (Some(missed), _) => missed.answer(),
            }
        };
        Ok(jobs.iter().map(answer).collect())
    }

    pub(crate) async fn to_publish(
        &self,
        lanes: &[Lane],
        stale: Timestamp,
        limit: usize,
        now: Timestamp,
    ) -> Done<Vec<NewJob>> {
        let lanes: Vec<&str> = lanes.iter().map(Lane::as_str).collect();
        let client = self.hot().await?;
        let statement = client.prepare_cached(UNPUBLISHED).await?;
        let rows = client
            .query(&statement, &[&lanes, &micros(stale), &number(limit), &micros(now)])
            .await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            found.push(((row.try_get::<_, i64>(20)?, row.try_get::<_, i64>(21)?), new_job(row)?));
        }
        found.sort_unstable_by_key(|(place, _)| *place);
        Ok(found.into_iter().map(|(_, job)| job).collect())
    }

    pub(crate) async fn mark_unpublished(&self, ids: &[JobId]) -> Done<()> {
        let mut ids: Vec<Uuid> = ids.iter().map(|id| code::uuid(*id)).collect();
        ids.sort_unstable();
        let client = self.hot().await?;
        let statement = client.prepare_cached(REPUBLISH).await?;
        client.execute(&statement, &[&ids]).await?;
        Ok(())
    }

    pub(crate) async fn paused_of(&self, lanes: &[Lane]) -> Done<Vec<Lane>> {
        let names: Vec<&str> = lanes.iter().map(Lane::as_str).collect();
        let client = self.hot().await?;
        let statement =
            client.prepare_cached("SELECT lane FROM pause WHERE lane = ANY ($1)").await?;
        let rows = client.query(&statement, &[&names]).await?;
        rows.iter().map(|row| to_name(row.try_get(0)?)).collect()
    }

    pub(crate) async fn bury_all(&self, burials: &[Burial], now: Timestamp) -> Done<()> {
        let mut columns = Columns::default();
        let (mut keeps, mut classes, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for burial in burials.iter().filter(|burial| seen.insert(burial.job.id)) {
            columns.push(&burial.job, now)?;
            keeps.push(micros(burial.keep_until));
            classes.push(code::class(burial.class));
            errors.push(stored(&AttemptError {
                attempt: 0,
                at: now,
                worker: WorkerId::new("broker"),
                error: burial.error.clone(),
            }));
        }
        let client = self.hot().await?;
        let statement = client.prepare_cached(BURY).await?;
        let done = client
            .execute(
                &statement,
                &[
                    &micros(now),
                    &self.events,
                    &columns.ids,
                    &keeps,
                    &classes,
                    &errors,
                    &columns.lanes,
                    &columns.priorities,
                    &columns.kinds,
                    &columns.tenants,
                    &columns.max_attempts,
                    &columns.versions,
                    &columns.run_ats,
                    &columns.payloads,
                    &columns.traceparents,
                    &columns.tracestates,
                    &columns.extras,
                    &columns.orders,
                    &columns.parents,
                    &columns.parent_names,
                    &columns.depths,
                ],
            )
            .await?;
        if done > 0 {
            self.tell(News::Changed);
        }
        Ok(())
    }
}

impl Terms<'_> {
    async fn take(&self, client: &Client, ids: &[Uuid]) -> Done<HashMap<Uuid, Claimed>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let take = client.prepare_cached(TAKE).await?;
        let (now, until) = (micros(self.now), micros(self.until));
        let worker = code::text(self.worker.as_str());
        let rows = client.query(&take, &[&ids, &now, &until, &worker]).await?;
        rows.iter().map(|row| Ok((row.try_get(1)?, claimed(row)?))).collect()
    }

    async fn look(&self, client: &Client, ids: &[Uuid]) -> Done<HashMap<Uuid, Missed>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let look = client.prepare_cached(LOOK).await?;
        let rows = client.query(&look, &[&ids]).await?;
        let missed = |row: &Row| {
            let missed = Missed {
                state: code::to_state(row.try_get(1)?)?,
                lane: row.try_get(2)?,
                at: row.try_get(3)?,
            };
            Ok((row.try_get(0)?, missed))
        };
        rows.iter().map(missed).collect()
    }
}

impl Missed {
    fn is_due(&self, now: Timestamp) -> bool {
        matches!(self.state, State::Scheduled | State::Retryable) && self.at <= micros(now)
    }

    fn answer(&self) -> Taken {
        match self.state {
            State::Completed | State::Cancelled | State::Dead => Taken::Over,
            State::Running => Taken::Held,
            State::Available | State::Scheduled | State::Retryable | State::Parked => Taken::Waits,
        }
    }
}

/// The job as it was enqueued.
fn new_job(row: &Row) -> Done<NewJob> {
    let text = |n: usize| Ok::<_, Fault>(row.try_get::<_, Option<String>>(n)?.map(code::to_text));
    let enqueued_at: i64 = row.try_get(11)?;
    let scope = match row.try_get::<_, Option<i64>>(10)? {
        None => UniqueScope::Unfinished,
        Some(until) => {
            let span = until.saturating_sub(enqueued_at) / 1_000_000;
            UniqueScope::Seconds(u64::try_from(span).unwrap_or(0))
        }
    };
    Ok(NewJob {
        id: code::to_id(row.try_get(0)?),
        kind: to_name(row.try_get(1)?)?,
        version: to_count(row.try_get::<_, i32>(2)?)?,
        lane: to_name(row.try_get(3)?)?,
        tenant: to_name(row.try_get(4)?)?,
        priority: code::to_priority(row.try_get(5)?)?,
        payload: Payload::from_bytes(row.try_get::<_, Vec<u8>>(6)?),
        run_at: to_instant(row.try_get(7)?),
        deadline: row.try_get::<_, Option<i64>>(8)?.map(to_instant),
        unique: text(9)?.map(|key| Unique { key, scope }),
        order: text(12)?,
        parent: parent(row, 13)?,
        max_attempts: to_count(row.try_get::<_, i32>(16)?)?,
        trace: TraceContext { traceparent: text(17)?, tracestate: text(18)? },
        extra: match row.try_get::<_, Option<&str>>(19)? {
            None => Default::default(),
            Some(text) => serde_json::from_str(text)
                .map_err(|e| Fault::Corrupt(format!("stored extra fields are not JSON: {e}")))?,
        },
    })
}
