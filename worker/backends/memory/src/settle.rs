//! Recording outcomes, under the fence.

use flotilla_core::clock::Timestamp;
use flotilla_core::envelope::Payload;
use flotilla_core::queue::{Settled, Settlement, Verdict};
use flotilla_core::state::{DeadClass, Event};

use crate::store::Store;

impl Store {
    /// Records one outcome, if the lease is still the current one.
    pub(crate) fn settle(&mut self, done: &Settlement, now: Timestamp) -> Settled {
        let Some(row) = self.held(&done.held) else { return Settled::Lost };
        let id = row.job.id;
        if let Verdict::Retry { error, .. } | Verdict::Dead { error, .. } = &done.verdict {
            row.remember(error.clone());
        }
        if row.cancel_requested && would_run_again(&done.verdict) {
            self.step(id, Event::Cancelled, now);
            return Settled::Applied;
        }
        match &done.verdict {
            Verdict::Completed { result, keep_until } => {
                let row = self.step(id, Event::Succeeded, now);
                row.result = Some(Payload::from_bytes(result.clone()));
                row.keep_until = Some(*keep_until);
            }
            Verdict::Retry { at, .. } => {
                self.step(id, Event::Failed(true), now).job.run_at = *at;
            }
            Verdict::Snooze { at, reason } => {
                let row = self.step(id, Event::Snoozed, now);
                row.job.run_at = *at;
                row.reason = Some(reason.clone());
            }
            Verdict::Park { key, reason } => {
                let row = self.step(id, Event::Parked, now);
                row.parked_under = Some(key.clone());
                row.reason = Some(reason.clone());
            }
            Verdict::Await { children, until } => self.await_children(id, children, *until, now),
            Verdict::Interrupted => {
                self.step(id, Event::Interrupted, now);
            }
            Verdict::Cancelled { reason, keep_until } => {
                let row = self.step(id, Event::Cancelled, now);
                row.reason = Some(reason.clone());
                row.keep_until = Some(*keep_until);
            }
            Verdict::Dead { class, keep_until, .. } => {
                let event = match class {
                    DeadClass::Exhausted => Event::Failed(false),
                    class => Event::Refused(*class),
                };
                self.step(id, event, now).keep_until = Some(*keep_until);
            }
        }
        Settled::Applied
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
