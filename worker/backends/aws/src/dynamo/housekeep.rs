//! What time does to jobs by itself: due, rescued, expired, swept, pruned.

use std::sync::atomic::Ordering;

use flotilla_core::clock::{Timestamp, after, before, from_micros};
use flotilla_core::ids::{JobId, WorkerId};
use flotilla_core::queue::{AttemptError, HousekeepPolicy, Housekeeping, QueueError};
use flotilla_core::state::{Event, State};

use super::Dynamo;
use super::lanes::Lanes;
use super::moves::name_of;
use super::queue::gather;
use super::row::instant;
use super::table::Index;
use super::tx::{Tx, commit, decide};
use super::walk::Walk;

/// What became of a job, and the jobs whose children are to be looked after once all are moved.
type Moved<T> = (T, Vec<JobId>);

impl Dynamo {
    pub(crate) async fn keep_house(
        &self,
        policy: &HousekeepPolicy,
        now: Timestamp,
    ) -> Result<Housekeeping, QueueError> {
        let lanes = Lanes::read(&self.db).await?;
        let most = policy.batch;
        let due = self.timed(&lanes, "due", now, most).await?;
        let promoted = self.all_due(&due, now).await?;
        let mut done = Housekeeping { promoted, ..Housekeeping::default() };

        let abandoned = self.timed(&lanes, "lease", now, most).await?;
        let calls: Vec<_> = abandoned
            .iter()
            .enumerate()
            .map(|(at, id)| self.rescue(at, *id, policy, now))
            .collect();
        let mut swept = Vec::new();
        for (state, ended) in gather(self.db.parallel, calls).await? {
            swept.extend(ended);
            match state {
                Some(State::Available) => done.rescued += 1,
                Some(State::Dead) => done.quarantined += 1,
                _ => {}
            }
        }
        self.sweep(swept, now).await?;
        if self.is_tidy(now) {
            return Ok(done);
        }

        let late = self.until(&lanes, Index::Late, |lane| lane.to_owned(), now, most).await?;
        let calls: Vec<_> =
            late.iter().enumerate().map(|(at, id)| self.expire(at, *id, policy, now)).collect();
        let mut swept = Vec::new();
        for (expired, ended) in gather(self.db.parallel, calls).await? {
            swept.extend(ended);
            done.expired += u64::from(expired);
        }
        // Those of workers that went away before they had looked after them.
        swept.extend(self.timed(&lanes, "sweep", now, most).await?);
        self.sweep(swept, now).await?;

        let mut over = self.timed(&lanes, "keep", now, most).await?;
        let by_hand = before(now, policy.keep_dead);
        over.extend(self.timed(&lanes, "hand", by_hand, most).await?);
        over.truncate(most);
        let calls: Vec<_> =
            over.iter().enumerate().map(|(at, id)| self.prune(at, *id, policy, now)).collect();
        let pruned = gather(self.db.parallel, calls).await?;
        done.pruned = pruned.into_iter().filter(|yes| *yes).count() as u64;
        if over.len() < most {
            self.tidied.store(now.as_microsecond(), Ordering::Relaxed);
        }
        Ok(done)
    }

    /// Whether it was tidied up just now, and completely.
    fn is_tidy(&self, now: Timestamp) -> bool {
        let tidied = from_micros(self.tidied.load(Ordering::Relaxed));
        tidied <= now && now < after(tidied, self.tidy_every)
    }

    /// Jobs whose moment of this sort has come, earliest first.
    async fn timed(
        &self,
        lanes: &Lanes,
        what: &str,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<JobId>, QueueError> {
        self.until(lanes, Index::Timer, |lane| format!("{what}#{lane}"), now, most).await
    }

    async fn until(
        &self,
        lanes: &Lanes,
        index: Index,
        name: impl Fn(&str) -> String,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<JobId>, QueueError> {
        let mut ranges = lanes.ranges(index, |lane| name(lane.as_str()));
        for range in &mut ranges {
            range.below = Some(format!("{}$", instant(now))); // sorts after every key of that moment
        }
        let found = Walk::new(&self.db, ranges, most).next(most).await?;
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }

    /// The worker is gone: the job may run again, unless it may be what took the worker down.
    async fn rescue(
        &self,
        at: usize,
        id: JobId,
        policy: &HousekeepPolicy,
        now: Timestamp,
    ) -> Result<Vec<(usize, Moved<Option<State>>)>, QueueError> {
        let moved = decide!(self, now, tx => tx.rescue(id, policy, &self.bounds).await?);
        Ok(vec![(at, moved)])
    }

    async fn expire(
        &self,
        at: usize,
        id: JobId,
        policy: &HousekeepPolicy,
        now: Timestamp,
    ) -> Result<Vec<(usize, Moved<bool>)>, QueueError> {
        let moved = decide!(self, now, tx => {
            if tx.row(id).await?.is_some_and(|row| row.waits() && row.too_late(now)) {
                tx.change(id)?.keep_until = Some(after(now, policy.keep_dead));
                tx.step(id, Event::Expired, &self.bounds).await?;
                true
            } else {
                false
            }
        });
        Ok(vec![(at, moved)])
    }

    async fn prune(
        &self,
        at: usize,
        id: JobId,
        policy: &HousekeepPolicy,
        now: Timestamp,
    ) -> Result<Vec<(usize, bool)>, QueueError> {
        let is_over = |row: &super::row::Row| {
            let by_hand = row.finished_at.map(|at| after(at, policy.keep_dead));
            row.keep_until.or(by_hand).is_some_and(|until| until <= now)
        };
        Ok(vec![(at, self.forget(id, is_over, now).await?)])
    }

    /// Removes a finished job that is to go, with all that belongs to it.
    pub(crate) async fn forget(
        &self,
        id: JobId,
        shall: impl Fn(&super::row::Row) -> bool,
        now: Timestamp,
    ) -> Result<bool, QueueError> {
        let parts = commit!(self, now, tx => {
            let free = match tx.row(id).await? {
                Some(row) => row.state.is_finished() && !row.untold && !row.sweep && shall(row),
                None => false,
            };
            if free && !tx.is_awaited_record(id).await? { Some(tx.forget(id).await?) } else { None }
        });
        match parts {
            Some(parts) => self.db.remove(&parts).await.map(|()| true),
            None => Ok(false),
        }
    }
}

impl Tx<'_> {
    async fn rescue(
        &mut self,
        id: JobId,
        policy: &HousekeepPolicy,
        bounds: &super::Bounds,
    ) -> Result<Option<State>, QueueError> {
        let now = self.now;
        let ran_out = |row: &super::row::Row| row.lease_until.is_some_and(|until| until <= now);
        if !self.row(id).await?.is_some_and(ran_out) {
            return Ok(None);
        }
        let row = self.change(id)?;
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
                attempts_left: row.attempt < row.max_attempts,
                poison: row.crashes >= policy.poison_after,
            }
        };
        self.step(id, event, bounds).await?;
        let row = self.change(id)?;
        if row.state == State::Dead {
            row.keep_until = Some(after(now, policy.keep_dead));
        }
        Ok(Some(row.state))
    }

    /// Its parent is unfinished and may not have read what became of it.
    async fn is_awaited_record(&mut self, id: JobId) -> Result<bool, QueueError> {
        let parent = self.seen(id).and_then(|row| row.parent.as_ref()).map(|parent| parent.id);
        let Some(parent) = parent else { return Ok(false) };
        Ok(self.row(parent).await?.is_some_and(|row| !row.state.is_finished()))
    }

    /// Removes a job and the unique key it no longer holds; answers the keys of its parts.
    async fn forget(&mut self, id: JobId) -> Result<Vec<(String, String)>, QueueError> {
        if let Some(name) = self.seen(id).and_then(name_of) {
            let hold = self.hold(&name).await?;
            if hold.is_some_and(|hold| hold.id == id && hold.until.is_none()) {
                self.set_hold(&name, None);
            }
        }
        Ok(self.remove(id))
    }
}
