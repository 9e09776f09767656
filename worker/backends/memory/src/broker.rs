//! The truth behind a broker: jobs taken by name, and which of them the broker was told of.

use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::broker::{Burial, Store as BrokerStore, Taken};
use flotilla_core::clock::{Timestamp, after};
use flotilla_core::ids::{JobId, Lane, WorkerId};
use flotilla_core::queue::{AttemptError, Enqueued, NewJob, QueueError};
use flotilla_core::state::State;

use crate::Memory;
use crate::enqueue::waiting;
use crate::store::{Row, Store};

impl Store {
    fn mark_published(&mut self, id: JobId, at: Option<Timestamp>) {
        if let Some(row) = self.rows.get_mut(&id).filter(|row| row.state == State::Available) {
            row.published = at;
        }
    }

    fn insert(&mut self, job: &NewJob, now: Timestamp) -> Enqueued {
        let answer = self.enqueue(job, now);
        if answer == Enqueued::Created {
            self.mark_published(job.id, Some(now));
        }
        answer
    }

    fn take(
        &mut self,
        job: &NewJob,
        make: bool,
        worker: &WorkerId,
        until: Timestamp,
        now: Timestamp,
    ) -> Taken {
        if !make && !self.rows.contains_key(&job.id) {
            return Taken::Over;
        }
        match self.enqueue(job, now) {
            Enqueued::Rejected(why) => return Taken::Refused(why),
            Enqueued::Duplicate(holder) if holder != job.id => {
                return Taken::Refused(format!("its unique key is held by {holder}"));
            }
            Enqueued::Created | Enqueued::Duplicate(_) => {}
        }
        let lane = self.rows[&job.id].job.lane.clone();
        self.promote(Some(&lane), usize::MAX, now);
        let row = &self.rows[&job.id];
        match row.state {
            State::Completed | State::Cancelled | State::Dead => Taken::Over,
            State::Running => Taken::Held,
            State::Available if self.is_open(row, now) => {
                let band = (row.job.lane.clone(), row.job.priority);
                let (tag, _) = row.place;
                let time = self.band_time.entry(band).or_default();
                *time = (*time).max(tag);
                Taken::Claimed(Box::new(self.hand_out(job.id, worker, until, now)))
            }
            _ => {
                // The notice is used up: when the lane is resumed it takes another one.
                self.mark_published(job.id, None);
                Taken::Waits
            }
        }
    }

    /// Nothing but a claim is missing.
    fn is_open(&self, row: &Row, now: Timestamp) -> bool {
        !self.paused.contains_key(&row.job.lane) && !row.too_late(now)
    }

    fn unpublished(
        &mut self,
        lanes: &[Lane],
        stale: Timestamp,
        limit: usize,
        now: Timestamp,
    ) -> Vec<NewJob> {
        let found = self.select(
            |row| {
                row.state == State::Available
                    && (lanes.is_empty() || lanes.contains(&row.job.lane))
                    && row.published.is_none_or(|at| at < stale)
                    && self.is_open(row, now)
            },
            |row| row.place,
            limit,
        );
        for id in &found {
            self.mark_published(*id, Some(now));
        }
        found.iter().map(|id| self.rows[id].job.clone()).collect()
    }

    fn bury(&mut self, burial: &Burial, now: Timestamp) {
        if self.rows.contains_key(&burial.job.id) {
            return;
        }
        let error = AttemptError {
            attempt: 0,
            at: now,
            worker: WorkerId::new("broker"),
            error: burial.error.clone(),
        };
        let row = Row {
            state: State::Dead,
            class: Some(burial.class),
            finished_at: Some(now),
            keep_until: Some(burial.keep_until),
            errors: vec![error],
            untold: self.settings.events,
            ..waiting(&burial.job, now)
        };
        self.rows.insert(burial.job.id, row);
    }
}

#[async_trait]
impl BrokerStore for Memory {
    async fn insert(&self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Enqueued>, QueueError> {
        self.bounded(jobs.len())?;
        let insert =
            |store: &mut Store| jobs.iter().map(|job| store.insert(job, now)).collect::<Vec<_>>();
        Ok(self.alter_and_wake(insert))
    }

    async fn take(
        &self,
        jobs: &[NewJob],
        make: bool,
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Taken>, QueueError> {
        self.bounded(jobs.len())?;
        let until = after(now, lease);
        let take = |store: &mut Store| {
            jobs.iter().map(|job| store.take(job, make, worker, until, now)).collect::<Vec<_>>()
        };
        Ok(self.alter(take))
    }

    async fn unpublished(
        &self,
        lanes: &[Lane],
        stale: Timestamp,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<NewJob>, QueueError> {
        Ok(self.alter(|store| store.unpublished(lanes, stale, limit, now)))
    }

    async fn paused(&self, lanes: &[Lane]) -> Result<Vec<Lane>, QueueError> {
        let paused = |store: &Store| {
            lanes.iter().filter(|lane| store.paused.contains_key(*lane)).cloned().collect()
        };
        Ok(self.look(paused))
    }

    async fn republish(&self, ids: &[JobId]) -> Result<(), QueueError> {
        self.alter(|store| ids.iter().for_each(|id| store.mark_published(*id, None)));
        Ok(())
    }

    async fn bury(&self, burials: &[Burial], now: Timestamp) -> Result<(), QueueError> {
        self.bounded(burials.len())?;
        self.alter(|store| burials.iter().for_each(|burial| store.bury(burial, now)));
        Ok(())
    }
}
