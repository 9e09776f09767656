//! Taking jobs under a lease: look which bands of each lane have work, share the slots between them,
//! take that many of each in one statement.
//!
//! Between the look and the taking others may take the same jobs; they are passed over, and when
//! nothing was left of what was seen, it is looked again.

use std::time::Duration;

use bytes::Bytes;
use deadpool_postgres::Client;
use flotilla_core::clock::{Timestamp, after};
use flotilla_core::envelope::{Payload, TraceContext};
use flotilla_core::fair;
use flotilla_core::flow::Parent;
use flotilla_core::ids::{Fence, Kind, Lane, Priority, Receipt, WorkerId};
use flotilla_core::queue::{Claimed, Claims, Held, LaneDemand};
use tokio_postgres::Row;

use crate::Postgres;
use crate::bell::News;
use crate::code::{self, micros, number, to_count, to_instant, to_name};
use crate::error::Done;
use crate::flow::LINKED;

const PROBE: &str = include_str!("sql/probe.sql");
const COUNT: &str = include_str!("sql/count.sql");
const CLAIM: &str = include_str!("sql/claim.sql");
pub(crate) const PROMOTE: &str =
    "SELECT promote($1, $2, $3), set_config('synchronous_commit', 'off', true)";

/// Due jobs promoted by one claim: bounds its transaction. If more are due, `next_due` is in the
/// past and the worker comes again at once.
pub(crate) const PROMOTED: i64 = 500;
/// How often it is looked again when others took what was seen.
const LOOKS: usize = 4;

/// What a look at a lane showed.
struct Seen {
    paused: bool,
    served: u64,
    due: Option<i64>,
    /// Which priorities have work, by level.
    bands: Vec<bool>,
}

/// What is to be taken: one entry for each band of each lane.
#[derive(Default)]
struct Want<'d> {
    lanes: Vec<&'d str>,
    levels: Vec<i16>,
    numbers: Vec<i64>,
    kinds: Vec<&'d str>,
}

impl Postgres {
    /// Takes jobs of each lane until `now + lease`.
    pub(crate) async fn take(
        &self,
        demands: &[LaneDemand],
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Done<Claims> {
        let mut claims = Claims::default();
        if demands.is_empty() {
            return Ok(claims);
        }
        let client = self.hot().await?;
        let kinds: Vec<String> = demands.iter().map(|d| joined(&d.kinds)).collect();
        for _ in 0..LOOKS {
            let mut seen = look(&client, demands, &kinds, now).await?;
            let due = |seen: &Seen| seen.due.is_some_and(|at| at <= micros(now));
            if seen.iter().any(due) {
                let lanes: Vec<&str> = demands
                    .iter()
                    .zip(&seen)
                    .filter(|(_, seen)| due(seen))
                    .map(|(demand, _)| demand.lane.as_str())
                    .collect();
                let promote = client.prepare_cached(PROMOTE).await?;
                client.query_one(&promote, &[&lanes, &PROMOTED, &micros(now)]).await?;
                seen = look(&client, demands, &kinds, now).await?;
            }
            claims.next_due = seen.iter().filter_map(|s| s.due).min().map(to_instant);
            let want = share(&client, demands, &kinds, &seen, now).await?;
            if want.lanes.is_empty() {
                break;
            }
            let until = micros(after(now, lease));
            claims.jobs = want.take(&client, worker, until, now).await?;
            if !claims.jobs.is_empty() {
                self.tell(News::Changed);
                break;
            }
        }
        Ok(claims)
    }
}

/// Kinds as one text: their names hold no commas.
fn joined(kinds: &[Kind]) -> String {
    kinds.iter().map(Kind::as_str).collect::<Vec<_>>().join(",")
}

async fn look(
    client: &Client,
    demands: &[LaneDemand],
    kinds: &[String],
    now: Timestamp,
) -> Done<Vec<Seen>> {
    let lanes: Vec<&str> = demands.iter().map(|d| d.lane.as_str()).collect();
    let probe = client.prepare_cached(PROBE).await?;
    let rows = client.query(&probe, &[&lanes, &kinds, &micros(now)]).await?;
    let seen = |row: &Row| {
        let served: Option<i64> = row.try_get(1)?;
        Ok(Seen {
            paused: row.try_get(0)?,
            served: u64::try_from(served.unwrap_or(0)).unwrap_or(0),
            due: row.try_get(2)?,
            bands: row.try_get(3)?,
        })
    };
    rows.iter().map(seen).collect()
}

/// Shares the slots of each lane between its bands.
async fn share<'d>(
    client: &Client,
    demands: &'d [LaneDemand],
    kinds: &'d [String],
    seen: &[Seen],
    now: Timestamp,
) -> Done<Want<'d>> {
    let mut want = Want::default();
    for ((demand, kinds), seen) in demands.iter().zip(kinds).zip(seen) {
        let bands = seen.bands.iter().filter(|work| **work).count();
        if seen.paused || demand.slots == 0 || bands == 0 {
            continue;
        }
        let backlog = match bands {
            // Alone, a band gets all there is room for; how much it holds need not be known.
            1 => seen.bands.iter().map(|work| if *work { demand.slots } else { 0 }).collect(),
            _ => count(client, demand, now).await?,
        };
        let mut filled: Vec<(Priority, usize)> = Vec::new();
        for (level, n) in (0i16..).zip(backlog).filter(|(_, n)| *n > 0) {
            filled.insert(0, (code::to_priority(level)?, n));
        }
        let take = fair::bands(&filled, demand.slots, seen.served);
        for ((priority, _), n) in filled.iter().zip(take).filter(|(_, n)| *n > 0) {
            want.lanes.push(demand.lane.as_str());
            want.levels.push(code::level(*priority));
            want.numbers.push(number(n));
            want.kinds.push(kinds);
        }
    }
    Ok(want)
}

/// How many jobs each level has, up to the slots.
async fn count(client: &Client, demand: &LaneDemand, now: Timestamp) -> Done<Vec<usize>> {
    let kinds: Vec<&str> = demand.kinds.iter().map(Kind::as_str).collect();
    let count = client.prepare_cached(COUNT).await?;
    let row = client
        .query_one(&count, &[&demand.lane.as_str(), &kinds, &micros(now), &number(demand.slots)])
        .await?;
    row.try_get::<_, Vec<i64>>(0)?.into_iter().map(to_count).collect()
}

impl Want<'_> {
    /// Takes them, in the order they should start.
    async fn take(
        &self,
        client: &Client,
        worker: &WorkerId,
        until: i64,
        now: Timestamp,
    ) -> Done<Vec<Claimed>> {
        let claim = client.prepare_cached(CLAIM).await?;
        let rows = client
            .query(
                &claim,
                &[
                    &self.lanes,
                    &self.levels,
                    &self.numbers,
                    &self.kinds,
                    &micros(now),
                    &until,
                    &code::text(worker.as_str()),
                ],
            )
            .await?;
        let mut jobs = Vec::with_capacity(rows.len());
        for row in &rows {
            let place: (i64, i64, i64) = (row.try_get(0)?, row.try_get(16)?, row.try_get(17)?);
            jobs.push((place, claimed(row)?));
        }
        jobs.sort_unstable_by_key(|(place, _)| *place);
        Ok(jobs.into_iter().map(|(_, job)| job).collect())
    }
}

/// Whose child a job is, from the column `n` and the two behind it.
pub(crate) fn parent(row: &Row, n: usize) -> Done<Option<Parent>> {
    let Some(id) = row.try_get::<_, Option<uuid::Uuid>>(n)? else { return Ok(None) };
    let name: Option<String> = row.try_get(n + 1)?;
    let depth: Option<i16> = row.try_get(n + 2)?;
    Ok(Some(Parent {
        id: code::to_id(id),
        name: code::to_text(name.unwrap_or_default()),
        depth: to_count(depth.unwrap_or(1))?,
    }))
}

/// A row of `claim.sql` or `take.sql`.
pub(crate) fn claimed(row: &Row) -> Done<Claimed> {
    let parent = parent(row, 18)?;
    let children: Option<i32> = row.try_get(21)?;
    let linked = parent.is_some() || children.is_some() || row.try_get(22)?;
    Ok(Claimed {
        held: Held {
            id: code::to_id(row.try_get(1)?),
            fence: Fence(to_count(row.try_get::<_, i64>(2)?)?),
            receipt: if linked { LINKED } else { Receipt::None },
        },
        kind: to_name(row.try_get(3)?)?,
        version: to_count(row.try_get::<_, i32>(4)?)?,
        lane: to_name::<Lane>(row.try_get(5)?)?,
        tenant: to_name(row.try_get(6)?)?,
        priority: code::to_priority(row.try_get(7)?)?,
        payload: Payload::from_bytes(Bytes::copy_from_slice(row.try_get(8)?)),
        attempt: to_count(row.try_get::<_, i32>(9)?)?,
        max_attempts: to_count(row.try_get::<_, i32>(10)?)?,
        crashes: to_count(row.try_get::<_, i32>(11)?)?,
        available_at: to_instant(row.try_get(12)?),
        enqueued_at: to_instant(row.try_get(13)?),
        trace: TraceContext {
            traceparent: row.try_get::<_, Option<String>>(14)?.map(code::to_text),
            tracestate: row.try_get::<_, Option<String>>(15)?.map(code::to_text),
        },
        parent,
        children: to_count(children.unwrap_or(0))?,
    })
}
