//! Recording outcomes, under the fence.

use std::collections::HashMap;

use flotilla_core::clock::Timestamp;
use flotilla_core::envelope::Payload;
use flotilla_core::ids::JobId;
use flotilla_core::queue::{AttemptError, NewJob, QueueError, Settled, Settlement, Verdict};
use flotilla_core::state::{DeadClass, Event};

use super::row::Row;
use super::tx::{Tx, commit};
use super::{Bounds, Dynamo};

/// What the end of a job changes besides.
pub(crate) fn touched(row: &Row) -> Option<String> {
    match (&row.order, &row.parent) {
        (Some(order), _) => Some(format!("order {order}")),
        (_, Some(parent)) => Some(format!("parent {}", parent.id)),
        _ => None,
    }
}

impl Dynamo {
    /// Records outcomes one after the other.
    pub(crate) async fn settle_chain(
        &self,
        chain: Vec<(usize, &Settlement)>,
        mut rows: HashMap<JobId, (u64, Row)>,
        now: Timestamp,
    ) -> Result<Vec<(usize, Settled)>, QueueError> {
        let mut answers = Vec::with_capacity(chain.len());
        let name = rows.values().find_map(|(_, row)| touched(row));
        let _turn = match &name {
            Some(name) => Some(self.turn(name).await),
            None => None,
        };
        for (at, done) in chain {
            let mut seen = rows.remove(&done.held.id);
            let mut children = match &done.verdict {
                Verdict::Await { children, .. } => children.as_slice(),
                _ => &[],
            };
            let answer = loop {
                let went = commit!(self, now, tx => {
                    tx.seed(seen.take());
                    tx.settle(done, children, &self.bounds).await?
                });
                match went {
                    Went::Settled(answer) => break answer,
                    Went::MadeSome(looked) => children = &children[looked..],
                }
            };
            answers.push((at, answer));
        }
        Ok(answers)
    }
}

/// How far a settlement came in one transaction.
pub(crate) enum Went {
    Settled(Settled),
    /// So many children were looked at; there are more than fit.
    MadeSome(usize),
}

impl Tx<'_> {
    /// Records one outcome, if the lease is still the current one.
    pub(crate) async fn settle(
        &mut self,
        done: &Settlement,
        children: &[NewJob],
        bounds: &Bounds,
    ) -> Result<Went, QueueError> {
        let id = done.held.id;
        let Some(row) = self.row(id).await?.filter(|row| row.is_held(&done.held)) else {
            return Ok(Went::Settled(Settled::Lost));
        };
        let unwanted = row.cancel_requested;
        if let Verdict::Retry { error, .. } | Verdict::Dead { error, .. } = &done.verdict {
            self.change(id)?.remember(AttemptError::clone(error));
        }
        if unwanted && would_run_again(&done.verdict) {
            self.step(id, Event::Cancelled, bounds).await?;
            return Ok(Went::Settled(Settled::Applied));
        }
        match &done.verdict {
            Verdict::Completed { result, keep_until } => {
                let parts = self.change(id)?.cut_result(Payload::from_bytes(result.clone()));
                self.add_parts(parts);
                self.change(id)?.keep_until = Some(*keep_until);
                self.step(id, Event::Succeeded, bounds).await?;
            }
            Verdict::Retry { at, .. } => {
                self.step(id, Event::Failed(true), bounds).await?;
                self.change(id)?.run_at = *at;
            }
            Verdict::Snooze { at, reason } => {
                self.step(id, Event::Snoozed, bounds).await?;
                let row = self.change(id)?;
                row.run_at = *at;
                row.reason = Some(reason.clone());
            }
            Verdict::Park { key, reason } => {
                self.step(id, Event::Parked, bounds).await?;
                let row = self.change(id)?;
                row.parked_under = Some(key.clone());
                row.reason = Some(reason.clone());
            }
            Verdict::Await { until, .. } => {
                let looked = self.make_children(id, children, *until, bounds).await?;
                if looked < children.len() {
                    return Ok(Went::MadeSome(looked));
                }
                self.await_children(id)?;
            }
            Verdict::Interrupted => self.step(id, Event::Interrupted, bounds).await?,
            Verdict::Cancelled { reason, keep_until } => {
                self.step(id, Event::Cancelled, bounds).await?;
                let row = self.change(id)?;
                row.reason = Some(reason.clone());
                row.keep_until = Some(*keep_until);
            }
            Verdict::Dead { class, keep_until, .. } => {
                let event = match class {
                    DeadClass::Exhausted => Event::Failed(false),
                    class => Event::Refused(*class),
                };
                self.step(id, event, bounds).await?;
                self.change(id)?.keep_until = Some(*keep_until);
            }
        }
        Ok(Went::Settled(Settled::Applied))
    }
}

/// The job would come back, though someone asked for it to stop.
fn would_run_again(verdict: &Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Retry { .. }
            | Verdict::Snooze { .. }
            | Verdict::Park { .. }
            | Verdict::Await { .. }
            | Verdict::Interrupted
    )
}
