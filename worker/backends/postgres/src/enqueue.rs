//! Making jobs.
//!
//! First the tags are drawn, in a transaction of its own: the row of a tenant's last tag is held for a
//! moment only, not until the jobs are on the disk. Tags of jobs that turn out to be there already
//! are lost, which leaves gaps and nothing else.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use deadpool_postgres::{Client, GenericClient};
use flotilla_core::clock::Timestamp;
use flotilla_core::envelope::UniqueScope;
use flotilla_core::ids::JobId;
use flotilla_core::queue::{Enqueued, NewJob};
use flotilla_core::state::State;
use uuid::Uuid;

use crate::Postgres;
use crate::bell::News;
use crate::code::{self, micros};
use crate::error::{Done, Fault};

const DRAW: &str = include_str!("sql/draw.sql");
const INSERT: &str = include_str!("sql/insert.sql");
const INSERT_LINKED: &str = "SELECT place, stands FROM enqueue_linked($1, $2, $3, $4, $5, $6, $7, $8, \
     $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)";

/// Longest ordering key, in bytes.
const MAX_ORDER: usize = 512;

/// The jobs of one call as columns.
#[derive(Default)]
pub(crate) struct Columns<'j> {
    pub(crate) ids: Vec<Uuid>,
    states: Vec<i16>,
    pub(crate) lanes: Vec<&'j str>,
    pub(crate) priorities: Vec<i16>,
    tags: Vec<i64>,
    ats: Vec<i64>,
    pub(crate) kinds: Vec<&'j str>,
    pub(crate) tenants: Vec<&'j str>,
    pub(crate) max_attempts: Vec<i32>,
    pub(crate) versions: Vec<i32>,
    pub(crate) run_ats: Vec<i64>,
    deadlines: Vec<Option<i64>>,
    pub(crate) payloads: Vec<&'j [u8]>,
    pub(crate) traceparents: Vec<Option<Cow<'j, str>>>,
    pub(crate) tracestates: Vec<Option<Cow<'j, str>>>,
    pub(crate) extras: Vec<Option<String>>,
    keys: Vec<Option<Cow<'j, str>>>,
    untils: Vec<Option<i64>>,
    pub(crate) orders: Vec<Option<Cow<'j, str>>>,
    pub(crate) parents: Vec<Option<Uuid>>,
    pub(crate) parent_names: Vec<Option<Cow<'j, str>>>,
    pub(crate) depths: Vec<Option<i16>>,
}

impl Postgres {
    /// Makes the jobs, one answer each, in order. `told`: the caller tells a broker of those that are
    /// available.
    pub(crate) async fn make(
        &self,
        jobs: &[NewJob],
        told: bool,
        now: Timestamp,
    ) -> Done<Vec<Enqueued>> {
        let judge = |job| self.refusal(job).map_or(Enqueued::Created, Enqueued::Rejected);
        let mut answers: Vec<Enqueued> = jobs.iter().map(judge).collect();
        let taken: Vec<usize> =
            (0..jobs.len()).filter(|i| answers[*i] == Enqueued::Created).collect();
        if taken.is_empty() {
            return Ok(answers);
        }
        let mut columns = Columns::default();
        for i in &taken {
            columns.push(&jobs[*i], now)?;
        }
        let client = self.hot().await?;
        columns.draw_tags(&client).await?;
        let published = self.published(told, now);
        let made = if columns.needs_care() {
            columns.insert_linked(&client, published, false, now).await?
        } else {
            columns.insert(&client, published, now).await?
        };
        let mut any = false;
        for (i, stands) in taken.into_iter().zip(made) {
            match stands {
                None => any = true,
                Some(id) => answers[i] = Enqueued::Duplicate(id),
            }
        }
        if any {
            self.tell(News::Claimable); // also when scheduled: what is due next may have changed
        }
        Ok(answers)
    }

    /// Why a job is not taken in.
    pub(crate) fn refusal(&self, job: &NewJob) -> Option<String> {
        let (size, max) = (job.payload.bytes().len(), self.capabilities.max_payload);
        if size > max {
            return Some(format!(
                "the payload has {size} bytes; at most {max} are allowed: put large data in a blob"
            ));
        }
        let key = job.order.as_ref().map(String::len).filter(|n| !(1..=MAX_ORDER).contains(n))?;
        Some(format!("the ordering key has {key} bytes; 1 to {MAX_ORDER} are allowed"))
    }

    /// What is noted of an available job's telling: `None` where no broker carries it.
    pub(crate) fn published(&self, told: bool, now: Timestamp) -> Option<i64> {
        match (told, self.brokered) {
            (true, _) => Some(micros(now)),
            (false, true) => Some(0),
            (false, false) => None,
        }
    }
}

/// A tag for each job that is available at once, 0 for the others.
async fn draw(client: &Client, columns: &Columns<'_>) -> Done<Vec<i64>> {
    type Band<'a> = (&'a str, i16, &'a str);
    let band = |i: usize| (columns.lanes[i], columns.priorities[i], columns.tenants[i]);
    let available = code::state(State::Available);
    let mut counts: BTreeMap<Band<'_>, i64> = BTreeMap::new();
    for i in (0..columns.ids.len()).filter(|i| columns.states[*i] == available) {
        *counts.entry(band(i)).or_default() += 1;
    }
    if counts.is_empty() {
        return Ok(vec![0; columns.ids.len()]);
    }
    let lanes: Vec<&str> = counts.keys().map(|b| b.0).collect();
    let priorities: Vec<i16> = counts.keys().map(|b| b.1).collect();
    let tenants: Vec<&str> = counts.keys().map(|b| b.2).collect();
    let numbers: Vec<i64> = counts.values().copied().collect();
    let statement = client.prepare_cached(DRAW).await?;
    let rows = client.query(&statement, &[&lanes, &priorities, &tenants, &numbers]).await?;
    let mut next: BTreeMap<Band<'_>, i64> = BTreeMap::new();
    for row in &rows {
        let of: Band<'_> = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let n = counts.get(&of).copied().unwrap_or(0);
        next.insert(of, row.try_get::<_, i64>(3)? - n);
    }
    let mut tag = |i: usize| {
        if columns.states[i] != available {
            return Ok(0);
        }
        let last = next.get_mut(&band(i));
        let last = last.ok_or_else(|| Fault::Corrupt("no tags were drawn for a job".into()))?;
        *last += 1;
        Ok(*last)
    };
    (0..columns.ids.len()).map(&mut tag).collect()
}

impl<'j> Columns<'j> {
    pub(crate) async fn draw_tags(&mut self, client: &Client) -> Done<()> {
        self.tags = draw(client, self).await?;
        Ok(())
    }

    /// Children are named by their parent alone.
    pub(crate) fn without_unique_keys(&mut self) {
        self.keys.fill(None);
        self.untils.fill(None);
    }

    /// The ordering keys there are.
    pub(crate) fn order_keys(&self) -> Vec<&str> {
        self.orders.iter().flatten().map(Cow::as_ref).collect()
    }

    pub(crate) fn push(&mut self, job: &'j NewJob, now: Timestamp) -> Done<()> {
        let (state, at) = match job.run_at <= now {
            true => (State::Available, now),
            false => (State::Scheduled, job.run_at),
        };
        let extra = match job.extra.is_empty() {
            true => None,
            false => Some(serde_json::to_string(&job.extra).map_err(|e| {
                Fault::Invalid(format!("the extra fields of job {} cannot be written: {e}", job.id))
            })?),
        };
        self.ids.push(code::uuid(job.id));
        self.states.push(code::state(state));
        self.lanes.push(job.lane.as_str());
        self.priorities.push(code::level(job.priority));
        self.ats.push(micros(at));
        self.kinds.push(job.kind.as_str());
        self.tenants.push(job.tenant.as_str());
        self.max_attempts.push(code::small(job.max_attempts.max(1)));
        self.versions.push(i32::from(job.version));
        self.run_ats.push(micros(job.run_at));
        self.deadlines.push(job.deadline.map(micros));
        self.payloads.push(job.payload.bytes());
        self.traceparents.push(job.trace.traceparent.as_deref().map(code::text));
        self.tracestates.push(job.trace.tracestate.as_deref().map(code::text));
        self.extras.push(extra);
        self.keys.push(job.unique.as_ref().map(|u| code::text(&u.key)));
        self.untils.push(job.unique.as_ref().and_then(|u| match u.scope {
            UniqueScope::Unfinished => None,
            UniqueScope::Seconds(n) => {
                let span = i64::try_from(n).unwrap_or(i64::MAX).saturating_mul(1_000_000);
                Some(micros(now).saturating_add(span))
            }
        }));
        let parent = job.parent.as_ref();
        self.orders.push(job.order.as_deref().map(code::text));
        self.parents.push(parent.map(|parent| code::uuid(parent.id)));
        self.parent_names.push(parent.map(|parent| code::text(&parent.name)));
        self.depths.push(parent.map(|parent| i16::try_from(parent.depth).unwrap_or(i16::MAX)));
        Ok(())
    }

    /// A job of this call may stand for another one of it, or is linked to others.
    fn needs_care(&self) -> bool {
        let mut seen = HashSet::with_capacity(self.ids.len());
        self.keys.iter().any(Option::is_some)
            || self.orders.iter().any(Option::is_some)
            || self.parents.iter().any(Option::is_some)
            || !self.ids.iter().all(|id| seen.insert(id))
    }

    /// For each job: made, or the job that stands for it.
    async fn insert(
        &self,
        client: &Client,
        published: Option<i64>,
        now: Timestamp,
    ) -> Done<Vec<Option<JobId>>> {
        let statement = client.prepare_cached(INSERT).await?;
        let rows = client
            .query(
                &statement,
                &[
                    &micros(now),
                    &self.ids,
                    &self.states,
                    &self.lanes,
                    &self.priorities,
                    &self.tags,
                    &self.ats,
                    &self.kinds,
                    &self.tenants,
                    &self.max_attempts,
                    &self.versions,
                    &self.run_ats,
                    &self.deadlines,
                    &self.payloads,
                    &self.traceparents,
                    &self.tracestates,
                    &self.extras,
                    &published,
                ],
            )
            .await?;
        if rows.len() == self.ids.len() {
            return Ok(vec![None; rows.len()]);
        }
        let made = rows.iter().map(|row| row.try_get(0)).collect::<Result<HashSet<Uuid>, _>>()?;
        let stands = |id: &Uuid| (!made.contains(id)).then(|| code::to_id(*id));
        Ok(self.ids.iter().map(stands).collect())
    }

    /// As `insert`, one by one: also jobs with unique keys, ordering keys and parents. `awaited`: by
    /// a parent that counts their ends.
    pub(crate) async fn insert_linked<C: GenericClient>(
        &self,
        client: &C,
        published: Option<i64>,
        awaited: bool,
        now: Timestamp,
    ) -> Done<Vec<Option<JobId>>> {
        if self.ids.is_empty() {
            return Ok(Vec::new());
        }
        let statement = client.prepare_cached(INSERT_LINKED).await?;
        let rows = client
            .query(
                &statement,
                &[
                    &micros(now),
                    &self.ids,
                    &self.states,
                    &self.lanes,
                    &self.priorities,
                    &self.tags,
                    &self.ats,
                    &self.kinds,
                    &self.tenants,
                    &self.max_attempts,
                    &self.versions,
                    &self.run_ats,
                    &self.deadlines,
                    &self.payloads,
                    &self.traceparents,
                    &self.tracestates,
                    &self.extras,
                    &self.keys,
                    &self.untils,
                    &self.orders,
                    &self.parents,
                    &self.parent_names,
                    &self.depths,
                    &published,
                    &awaited,
                ],
            )
            .await?;
        let mut stands = vec![None; self.ids.len()];
        for row in &rows {
            let place: usize = code::to_count(row.try_get::<_, i64>(0)? - 1)?;
            if let Some(slot) = stands.get_mut(place) {
                *slot = row.try_get::<_, Option<Uuid>>(1)?.map(code::to_id);
            }
        }
        Ok(stands)
    }
}
