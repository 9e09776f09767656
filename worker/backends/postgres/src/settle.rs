//! Recording what became of running jobs: one statement for a batch of every sort.

use std::borrow::Cow;
use std::collections::HashSet;

use flotilla_core::clock::Timestamp;
use flotilla_core::ids::{Fence, JobId};
use flotilla_core::queue::{AttemptError, KEPT_ERRORS, Settled, Settlement, Verdict};
use flotilla_core::state::{Charge, DeadClass, Event, State, transition};
use serde_json::json;
use uuid::Uuid;

use crate::Postgres;
use crate::bell::News;
use crate::code::{self, micros};
use crate::error::{Done, Fault};
use crate::extend::fence;

const SETTLE: &str = include_str!("sql/settle.sql");

/// The outcomes of one call as columns.
#[derive(Default)]
struct Columns<'s> {
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
        let mut columns = Columns::default();
        for i in &order {
            columns.push(&done[*i], now)?;
        }
        let applied = self.write(&columns, now).await?;
        if !applied.is_empty() {
            let claimable = done.iter().any(|s| {
                matches!(
                    s.verdict,
                    Verdict::Retry { .. } | Verdict::Snooze { .. } | Verdict::Interrupted
                )
            });
            self.tell(if claimable { News::Claimable } else { News::Changed });
        }
        let mut answers = vec![Settled::Lost; done.len()];
        for i in order {
            if applied.contains(&(done[i].held.id, done[i].held.fence)) {
                answers[i] = Settled::Applied;
            }
        }
        Ok(answers)
    }

    async fn write(&self, columns: &Columns<'_>, now: Timestamp) -> Done<HashSet<(JobId, Fence)>> {
        let client = self.hot().await?;
        let settle = client.prepare_cached(SETTLE).await?;
        let kept = i32::try_from(KEPT_ERRORS).unwrap_or(i32::MAX);
        let rows = client
            .query(
                &settle,
                &[
                    &micros(now),
                    &kept,
                    &columns.ids,
                    &columns.fences,
                    &columns.states,
                    &columns.ats,
                    &columns.yields,
                    &columns.again,
                    &columns.refunds,
                    &columns.classes,
                    &columns.reasons,
                    &columns.parked_under,
                    &columns.errors,
                    &columns.results,
                ],
            )
            .await?;
        let mut applied = HashSet::with_capacity(rows.len());
        for row in &rows {
            let fence = Fence(code::to_count(row.try_get::<_, i64>(1)?)?);
            applied.insert((code::to_id(row.try_get(0)?), fence));
        }
        Ok(applied)
    }
}

impl<'s> Columns<'s> {
    fn push(&mut self, settlement: &'s Settlement, now: Timestamp) -> Done<()> {
        let verdict = &settlement.verdict;
        let (event, at) = match verdict {
            Verdict::Completed { keep_until, .. } => (Event::Succeeded, *keep_until),
            Verdict::Retry { at, .. } => (Event::Failed(true), *at),
            Verdict::Snooze { at, .. } => (Event::Snoozed, *at),
            Verdict::Park { .. } => (Event::Parked, now),
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
            _ => None,
        });
        self.parked_under.push(match verdict {
            Verdict::Park { key, .. } => Some(code::text(key)),
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
