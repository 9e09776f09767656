//! Recording what became of running jobs: one statement for a batch of every sort.

use std::borrow::Cow;
use std::collections::HashSet;

use flotilla_core::clock::Timestamp;
use flotilla_core::flow::{Flow, WAITS_FOR_CHILDREN};
use flotilla_core::ids::{Fence, JobId};
use flotilla_core::queue::{AttemptError, KEPT_ERRORS, Settled, Settlement, Verdict};
use flotilla_core::state::{Charge, DeadClass, Event, State, transition};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::Postgres;
use crate::bell::News;
use crate::code::{self, micros};
use crate::error::{Done, Fault};
use crate::extend::fence;
use crate::flow::is_linked;

pub(crate) const SETTLE: &str = include_str!("sql/settle.sql");

const KEPT: i32 = KEPT_ERRORS as i32;

/// Parents that begin to wait at once: each is a transaction of its own.
const WAITING: usize = 4;

/// The outcomes of one call as columns.
#[derive(Default)]
pub(crate) struct Columns<'s> {
    ids: Vec<Uuid>,
    fences: Vec<i64>,
    states: Vec<i16>,
    ats: Vec<i64>,
    /// Whether a job that was asked to stop ends as cancelled instead.
    yields: Vec<bool>,
    /// Whether it runs again at `at`.
    again: Vec<bool>,
    refunds: Vec<bool>,
    classes: Vec<Option<i16>>,
    reasons: Vec<Option<Cow<'s, str>>>,
    parked_under: Vec<Option<Cow<'s, str>>>,
    errors: Vec<Option<String>>,
    results: Vec<Option<&'s [u8]>>,
}

impl Postgres {
    /// Records the outcomes, one answer each, in order.
    pub(crate) async fn record(&self, done: &[Settlement], now: Timestamp) -> Done<Vec<Settled>> {
        let mut order: Vec<usize> = (0..done.len()).collect();
        order.sort_by_key(|i| (done[*i].held.id, done[*i].held.fence, *i));
        // Of two outcomes under one lease the first counts.
        order.dedup_by_key(|i| (done[*i].held.id, done[*i].held.fence));
        let is_await = |i: &usize| matches!(done[*i].verdict, Verdict::Await { .. });
        let (awaits, order): (Vec<usize>, Vec<usize>) = order.into_iter().partition(is_await);
        let (mut linked, plain): (Vec<usize>, Vec<usize>) =
            order.into_iter().partition(|i| is_linked(&done[*i].held));
        let mut answers = vec![Settled::Lost; done.len()];
        let mut on = 0;

        let applied = self.write(done, &plain, now).await?;
        // What was not found there is lost, or linked after all.
        linked.extend(plain.iter().filter(|i| !applied.contains(&lease(&done[**i]))));
        linked.sort_unstable_by_key(|i| lease(&done[*i]));
        let (more, woken) = self.write_linked(done, &linked, now).await?;
        on += woken;
        for i in plain.into_iter().chain(linked) {
            let lease = lease(&done[i]);
            if applied.contains(&lease) || more.contains(&lease) {
                answers[i] = Settled::Applied;
            }
        }
        on += awaits.len() as u64;
        let waits = awaits.into_iter().map(|i| async move {
            let Verdict::Await { children, until } = &done[i].verdict else {
                return Ok((i, Settled::Lost));
            };
            Ok::<_, Fault>((i, self.await_children(&done[i], children, *until, now).await?))
        });
        let waits: Vec<_> = stream::iter(waits).buffer_unordered(WAITING).try_collect().await?;
        for (i, answer) in waits {
            answers[i] = answer;
        }
        let claimable = on > 0
            || done.iter().any(|s| {
                matches!(
                    s.verdict,
                    Verdict::Retry { .. } | Verdict::Snooze { .. } | Verdict::Interrupted
                )
            });
        if answers.contains(&Settled::Applied) {
            self.tell(if claimable { News::Claimable } else { News::Changed });
        }
        Ok(answers)
    }

    /// Outcomes of jobs nothing hangs on, in one statement; answers what was applied.
    async fn write(
        &self,
        done: &[Settlement],
        places: &[usize],
        now: Timestamp,
    ) -> Done<HashSet<(JobId, Fence)>> {
        if places.is_empty() {
            return Ok(HashSet::new());
        }
        let columns = Columns::of(done, places, now)?;
        let client = self.hot().await?;
        let settle = client.prepare_cached(SETTLE).await?;
        let params = (micros(now), self.events, false);
        applied(&client.query(&settle, &columns.params(&params.0, &params.1, &params.2)).await?)
    }

    /// Outcomes of linked jobs and what follows from them; answers what was applied and how many
    /// other jobs went on.
    async fn write_linked(
        &self,
        done: &[Settlement],
        places: &[usize],
        now: Timestamp,
    ) -> Done<(HashSet<(JobId, Fence)>, u64)> {
        if places.is_empty() {
            return Ok((HashSet::new(), 0));
        }
        let columns = Columns::of(done, places, now)?;
        let client = self.hot().await?;
        let settle = client.prepare_cached(SETTLE).await?;
        let params = (micros(now), self.events, true);
        let params = columns.params(&params.0, &params.1, &params.2);
        let (rows, on) = self.linked(&client, &columns.ids, &settle, &params, now).await?;
        Ok((applied(&rows)?, on))
    }
}

fn lease(settlement: &Settlement) -> (JobId, Fence) {
    (settlement.held.id, settlement.held.fence)
}

fn applied(rows: &[tokio_postgres::Row]) -> Done<HashSet<(JobId, Fence)>> {
    let lease = |row: &tokio_postgres::Row| {
        let fence = Fence(code::to_count(row.try_get::<_, i64>(1)?)?);
        Ok((code::to_id(row.try_get(0)?), fence))
    };
    rows.iter().map(lease).collect()
}

impl<'s> Columns<'s> {
    fn of(done: &'s [Settlement], places: &[usize], now: Timestamp) -> Done<Self> {
        let mut columns = Self::default();
        for i in places {
            columns.push(&done[*i], now)?;
        }
        Ok(columns)
    }

    /// What [`SETTLE`] takes.
    pub(crate) fn params<'p>(
        &'p self,
        now: &'p i64,
        events: &'p bool,
        linked: &'p bool,
    ) -> [&'p (dyn ToSql + Sync); 16] {
        [
            now,
            &KEPT,
            &self.ids,
            &self.fences,
            &self.states,
            &self.ats,
            &self.yields,
            &self.again,
            &self.refunds,
            &self.classes,
            &self.reasons,
            &self.parked_under,
            &self.errors,
            &self.results,
            events,
            linked,
        ]
    }

    pub(crate) fn push(&mut self, settlement: &'s Settlement, now: Timestamp) -> Done<()> {
        let verdict = &settlement.verdict;
        let (event, at) = match verdict {
            Verdict::Completed { keep_until, .. } => (Event::Succeeded, *keep_until),
            Verdict::Retry { at, .. } => (Event::Failed(true), *at),
            Verdict::Snooze { at, .. } => (Event::Snoozed, *at),
            Verdict::Park { .. } | Verdict::Await { .. } => (Event::Parked, now),
            Verdict::Interrupted => (Event::Interrupted, now),
            Verdict::Cancelled { keep_until, .. } => (Event::Cancelled, *keep_until),
            Verdict::Dead { class: DeadClass::Exhausted, keep_until, .. } => {
                (Event::Failed(false), *keep_until)
            }
            Verdict::Dead { class, keep_until, .. } => (Event::Refused(*class), *keep_until),
        };
        let to = transition(State::Running, event).map_err(|e| Fault::Corrupt(e.to_string()))?;
        self.ids.push(code::uuid(settlement.held.id));
        self.fences.push(fence(&settlement.held));
        self.states.push(code::state(to.to));
        self.ats.push(micros(at));
        self.yields.push(!to.to.is_finished());
        self.again.push(matches!(verdict, Verdict::Retry { .. } | Verdict::Snooze { .. }));
        self.refunds.push(to.charge == Charge::Refund);
        self.classes.push(to.class.map(code::class));
        self.reasons.push(match verdict {
            Verdict::Snooze { reason, .. }
            | Verdict::Park { reason, .. }
            | Verdict::Cancelled { reason, .. } => Some(code::text(reason)),
            Verdict::Await { .. } => Some(WAITS_FOR_CHILDREN.into()),
            _ => None,
        });
        self.parked_under.push(match verdict {
            Verdict::Park { key, .. } => Some(code::text(key)),
            Verdict::Await { .. } => Some(Flow::key(settlement.held.id).into()),
            _ => None,
        });
        self.errors.push(match verdict {
            Verdict::Retry { error, .. } | Verdict::Dead { error, .. } => Some(stored(error)),
            _ => None,
        });
        self.results.push(match verdict {
            Verdict::Completed { result, .. } if result != "null" => Some(result),
            _ => None,
        });
        Ok(())
    }
}

/// An attempt's error as it stands in the column `errors`.
pub(crate) fn stored(error: &AttemptError) -> String {
    json!({
        "attempt": error.attempt,
        "at": micros(error.at),
        "worker": code::text(error.worker.as_str()),
        "error": code::text(&error.error),
    })
    .to_string()
}
