//! What time does to jobs by itself: due, rescued, expired, pruned.

use flotilla_core::clock::{Timestamp, after};
use flotilla_core::ids::{JobId, WorkerId};
use flotilla_core::queue::{AttemptError, HousekeepPolicy, Housekeeping};
use flotilla_core::state::{Event, State};

use crate::store::Store;

impl Store {
    /// One round; at most `policy.batch` jobs of each sort.
    pub(crate) fn housekeep(&mut self, policy: &HousekeepPolicy, now: Timestamp) -> Housekeeping {
        let mut done = Housekeeping {
            promoted: self.promote(None, policy.batch, now),
            ..Housekeeping::default()
        };
        let abandoned = self.select(
            |row| row.lease_until.is_some_and(|until| until <= now),
            |row| row.lease_until,
            policy.batch,
        );
        for id in &abandoned {
            match self.rescue(*id, policy, now) {
                State::Available => done.rescued += 1,
                State::Dead => done.quarantined += 1,
                _ => {}
            }
        }
        self.all_ended(&abandoned, now);
        let late = self.select(
            |row| row.waits() && row.too_late(now),
            |row| row.job.deadline,
            policy.batch,
        );
        for id in &late {
            self.shift(*id, Event::Expired, now).keep_until = Some(after(now, policy.keep_dead));
            done.expired += 1;
        }
        self.all_ended(&late, now);
        done.pruned = self.prune(policy, now);
        done
    }

    /// After all of a round have moved, so that their order does not show.
    fn all_ended(&mut self, moved: &[JobId], now: Timestamp) {
        for id in moved {
            if self.rows[id].state.is_finished() {
                self.ended(*id, now);
            }
        }
    }

    /// The worker is gone: the job may run again, unless it may be what took the worker down.
    fn rescue(&mut self, id: JobId, policy: &HousekeepPolicy, now: Timestamp) -> State {
        let Some(row) = self.rows.get_mut(&id) else { return State::Cancelled };
        row.crashes = row.crashes.saturating_add(1);
        row.remember(AttemptError {
            attempt: row.attempt,
            at: now,
            worker: row.worker.clone().unwrap_or_else(|| WorkerId::new("unknown")),
            error: "lease ran out: the worker is gone".into(),
        });
        let event = if row.cancel_requested {
            Event::Cancelled // nobody wants it any more, and nobody is left to be told
        } else {
            Event::LeaseExpired {
                attempts_left: row.attempt < row.job.max_attempts,
                poison: row.crashes >= policy.poison_after,
            }
        };
        let row = self.shift(id, event, now);
        if row.state == State::Dead {
            row.keep_until = Some(after(now, policy.keep_dead));
        }
        row.state
    }

    /// Finished jobs whose retention has ended go; a window of a unique key outlives its job.
    fn prune(&mut self, policy: &HousekeepPolicy, now: Timestamp) -> u64 {
        let over = self.select(
            |row| {
                let by_hand = row.finished_at.map(|at| after(at, policy.keep_dead));
                row.state.is_finished()
                    && !row.untold
                    && !self.is_awaited_record(row)
                    && row.keep_until.or(by_hand).is_some_and(|until| until <= now)
            },
            |row| row.finished_at,
            policy.batch,
        );
        for id in &over {
            self.rows.remove(id);
        }
        self.cells.prune(now);
        over.len() as u64
    }
}
