//! The desk: look up, list, count, cancel, pause, wake, replay, discard, purge.

use std::collections::BTreeMap;

use async_trait::async_trait;
use flotilla_core::clock::Timestamp;
use flotilla_core::envelope::UniqueScope;
use flotilla_core::ids::{JobId, Lane};
use flotilla_core::queue::QueueError;
use flotilla_core::records::{
    Cancel, Filter, JobRecord, LaneInfo, Listed, Page, Pause, Records, Replay, RunNow,
};
use flotilla_core::replay::{Amend, Amended};
use flotilla_core::state::{DeadClass, Event, State};
use futures_util::future::try_join_all;
use tokio::sync::watch;

use super::db::Range;
use super::lanes::{Lanes, ready};
use super::moves::name_of;
use super::queue::gather;
use super::row::{Row, parked};
use super::search::Search;
use super::table::Index;
use super::tx::{Hold, Tx, commit};
use super::walk::Walk;
use super::{Bounds, Dynamo};

/// The longest page.
const MOST: usize = 1000;

impl Tx<'_> {
    async fn cancel(
        &mut self,
        id: JobId,
        reason: &str,
        bounds: &Bounds,
    ) -> Result<Cancel, QueueError> {
        let Some(row) = self.row(id).await? else { return Ok(Cancel::Unknown) };
        if row.state.is_finished() {
            return Ok(Cancel::Finished);
        }
        let row = self.change(id)?;
        row.cancel_requested = true;
        row.reason = Some(reason.to_owned());
        if row.state == State::Running {
            return Ok(Cancel::Asked);
        }
        self.step(id, Event::Cancelled, bounds).await?;
        Ok(Cancel::Cancelled)
    }

    /// The next look at what is due finds it, as if its moment had come by itself.
    async fn run_now(&mut self, id: JobId) -> Result<RunNow, QueueError> {
        let now = self.now;
        let Some(row) = self.row(id).await? else { return Ok(RunNow::Unknown) };
        if !matches!(row.state, State::Scheduled | State::Retryable) {
            return Ok(RunNow::NotWaiting);
        }
        let row = self.change(id)?;
        row.run_at = row.run_at.min(now);
        Ok(RunNow::Due)
    }

    async fn wake(&mut self, id: JobId, key: &str, bounds: &Bounds) -> Result<bool, QueueError> {
        let waits = |row: &Row| row.parked_under.as_deref() == Some(key);
        if !self.row(id).await?.is_some_and(waits) {
            return Ok(false);
        }
        self.step(id, Event::Woken, bounds).await?;
        self.leave_the_line(id).await?;
        Ok(true)
    }

    /// Puts a dead letter back; answers why not, where it cannot be. `None`: it is no dead letter.
    pub(super) async fn replay(
        &mut self,
        id: JobId,
        bounds: &Bounds,
    ) -> Result<Option<Result<(), String>>, QueueError> {
        let Some(row) = self.row(id).await?.filter(|row| row.state == State::Dead) else {
            return Ok(None);
        };
        if row.class == Some(DeadClass::OutcomeUnknown) {
            let why = "its outcome is unknown: find out, then discard it or enqueue anew";
            return Ok(Some(Err(why.into())));
        }
        let (name, unique) = (name_of(row), row.unique.clone());
        if let Some(name) = &name
            && let Some(holder) = self.holder(name).await?.filter(|holder| *holder != id)
        {
            let why = format!(
                "its unique key is held by {holder}: wait for that one or discard this one"
            );
            return Ok(Some(Err(why)));
        }
        self.step(id, Event::Replayed, bounds).await?;
        let now = self.now;
        let row = self.change(id)?;
        row.fence.0 += 1; // when it ends again, that is another end
        row.untold = false;
        row.sweep = false;
        row.crashes = 0;
        row.cancel_requested = false;
        row.keep_until = None;
        if row.too_late(now) {
            row.deadline = None; // or it would be dead again before it could begin
        }
        let unfinished = unique.is_some_and(|unique| unique.scope == UniqueScope::Unfinished);
        if let Some(name) = name.filter(|_| unfinished) {
            self.set_hold(&name, Some(Hold { id, until: None }));
        }
        self.stand_again(id).await?;
        Ok(Some(Ok(())))
    }
}

impl Dynamo {
    async fn full(&self, mut row: Row) -> Result<JobRecord, QueueError> {
        self.db.fill(&mut row, true).await?;
        Ok(row.record())
    }

    async fn cancel_one(
        &self,
        at: usize,
        id: JobId,
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<(usize, Cancel)>, QueueError> {
        Ok(vec![(at, commit!(self, now, tx => tx.cancel(id, reason, &self.bounds).await?))])
    }

    async fn run_one_now(
        &self,
        at: usize,
        id: JobId,
        now: Timestamp,
    ) -> Result<Vec<(usize, RunNow)>, QueueError> {
        Ok(vec![(at, commit!(self, now, tx => tx.run_now(id).await?))])
    }

    async fn wake_one(
        &self,
        at: usize,
        id: JobId,
        key: &str,
        now: Timestamp,
    ) -> Result<Vec<(usize, bool)>, QueueError> {
        Ok(vec![(at, commit!(self, now, tx => tx.wake(id, key, &self.bounds).await?))])
    }

    async fn discard_one(
        &self,
        at: usize,
        id: JobId,
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<(usize, bool)>, QueueError> {
        let done = commit!(self, now, tx => {
            let dead = tx.row(id).await?.is_some_and(|row| row.state == State::Dead);
            if dead {
                tx.step(id, Event::Discarded, &self.bounds).await?;
                tx.change(id)?.reason = Some(reason.to_owned());
            }
            dead
        });
        Ok(vec![(at, done)])
    }

    async fn purge_one(&self, at: usize, id: JobId) -> Result<Vec<(usize, bool)>, QueueError> {
        let never = flotilla_core::clock::from_micros(0); // no instant is written
        Ok(vec![(at, self.forget(id, |_| true, never).await?)])
    }

    async fn lane(&self, lane: &Lane, lanes: &Lanes) -> Result<LaneInfo, QueueError> {
        let count = |state: State| {
            let partition = format!("{lane}#{state}");
            async move { self.db.count(Index::Desk, &partition, self.bounds.count_most).await }
        };
        let counts = try_join_all(State::ALL.map(count)).await?;
        let counts: BTreeMap<State, u64> =
            State::ALL.into_iter().zip(counts).filter(|(_, n)| *n > 0).collect();
        let mut oldest_available = None;
        if counts.contains_key(&State::Available) {
            let kinds = lanes.kinds.get(lane).into_iter().flatten();
            let ranges = kinds.map(|kind| Range::all(Index::Ready, ready(lane, kind)));
            let first = Walk::new(&self.db, ranges.collect(), 1).next(1).await?;
            let ids: Vec<JobId> = first.into_iter().map(|(_, id)| id).collect();
            let rows = self.db.rows(&ids).await?;
            oldest_available = rows.values().map(|(_, row)| row.available_at).min();
        }
        let paused = lanes.paused.get(lane).cloned();
        Ok(LaneInfo { lane: lane.clone(), counts, oldest_available, paused })
    }
}

/// Only lanes and states are asked for: the index alone can answer.
fn is_plain(filter: &Filter) -> bool {
    let rest = Filter { lanes: Vec::new(), states: Vec::new(), ..filter.clone() };
    rest == Filter::default()
}

#[async_trait]
impl Records for Dynamo {
    async fn get(&self, id: JobId) -> Result<Option<JobRecord>, QueueError> {
        let found = self.db.get(&super::row::partition(id), "row").await?;
        match found.map(Row::of_item).transpose()? {
            Some((_, row)) => self.full(row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn list(&self, filter: &Filter, page: Page) -> Result<Listed, QueueError> {
        let limit = page.limit.min(MOST);
        let mut search = Search::new(self, filter, true, page.before, limit + 1).await?;
        let mut rows = Vec::new();
        while rows.len() <= limit
            && let Some(some) = search.next((limit + 1 - rows.len()).max(20)).await?
        {
            rows.extend(some.into_iter().map(|(_, row)| row));
        }
        let more = rows.len() > limit;
        rows.truncate(limit);
        let calls: Vec<_> = rows.into_iter().map(|row| self.full(row)).collect();
        let jobs = try_join_all(calls).await?;
        let next = jobs.last().map(|last| last.id).filter(|_| more);
        Ok(Listed { jobs, next })
    }

    async fn count(&self, filter: &Filter) -> Result<u64, QueueError> {
        if is_plain(filter) {
            let lanes = Lanes::read(&self.db).await?;
            let wanted = |lane: &&Lane| filter.lanes.is_empty() || filter.lanes.contains(lane);
            let mut calls = Vec::new();
            for lane in lanes.kinds.keys().filter(wanted) {
                for state in State::ALL {
                    if filter.states.is_empty() || filter.states.contains(&state) {
                        let (most, partition) = (self.bounds.count_most, format!("{lane}#{state}"));
                        let count =
                            async move { self.db.count(Index::Desk, &partition, most).await };
                        calls.push(count);
                    }
                }
            }
            return Ok(try_join_all(calls).await?.into_iter().sum());
        }
        let mut search = Search::new(self, filter, false, None, 200).await?;
        let mut count = 0;
        while count < self.bounds.count_most
            && let Some(some) = search.next(200).await?
        {
            count += some.len() as u64;
        }
        Ok(count)
    }

    async fn lanes(&self) -> Result<Vec<LaneInfo>, QueueError> {
        let mut lanes = Lanes::read(&self.db).await?;
        for lane in lanes.paused.keys() {
            lanes.kinds.entry(lane.clone()).or_default();
        }
        let calls: Vec<_> = lanes.kinds.keys().map(|lane| self.lane(lane, &lanes)).collect();
        let mut infos = try_join_all(calls).await?;
        infos.retain(|info| !info.counts.is_empty() || info.paused.is_some());
        Ok(infos)
    }

    async fn cancel(
        &self,
        ids: &[JobId],
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<Cancel>, QueueError> {
        let mut calls = Vec::with_capacity(ids.len());
        for (at, id) in ids.iter().enumerate() {
            calls.push(self.cancel_one(at, *id, reason, now));
        }
        // One after the other: the same job may be named twice, and its end may wake another.
        let answers = gather(1, calls).await?;
        self.changed();
        Ok(answers)
    }

    async fn run_now(&self, ids: &[JobId], now: Timestamp) -> Result<Vec<RunNow>, QueueError> {
        let mut calls = Vec::with_capacity(ids.len());
        for (at, id) in ids.iter().enumerate() {
            calls.push(self.run_one_now(at, *id, now));
        }
        let answers = gather(1, calls).await?;
        self.changed();
        Ok(answers)
    }

    async fn pause(&self, lane: &Lane, pause: Pause) -> Result<(), QueueError> {
        Lanes::pause(&self.db, lane, pause).await?;
        self.looked();
        Ok(())
    }

    async fn resume(&self, lane: &Lane) -> Result<bool, QueueError> {
        let was = Lanes::resume(&self.db, lane).await?;
        self.changed();
        Ok(was)
    }

    async fn wake(&self, key: &str, limit: usize, now: Timestamp) -> Result<u64, QueueError> {
        let ids = self.db.ids(&Range::all(Index::Parked, parked(key)), limit).await?;
        let mut calls = Vec::with_capacity(ids.len());
        for (at, id) in ids.iter().enumerate() {
            calls.push(self.wake_one(at, *id, key, now));
        }
        // In their order, which is the order in which they become available.
        let woken = gather(1, calls).await?;
        self.changed();
        Ok(woken.into_iter().filter(|yes| *yes).count() as u64)
    }

    async fn replay(
        &self,
        filter: &Filter,
        limit: usize,
        now: Timestamp,
    ) -> Result<Replay, QueueError> {
        let filter = filter.clone().dead();
        let mut search = Search::new(self, &filter, false, None, limit).await?;
        let mut done = Replay::default();
        let most = limit as u64;
        while done.replayed < most
            && let Some(some) = search.next(100).await?
        {
            for (version, row) in some {
                if done.replayed == most {
                    break;
                }
                let id = row.id;
                let mut seen = Some((version, row));
                let went = commit!(self, now, tx => {
                    tx.seed(seen.take());
                    tx.replay(id, &self.bounds).await?
                });
                match went {
                    Some(Ok(())) => done.replayed += 1,
                    Some(Err(why)) => done.refused.push((id, why)),
                    None => {}
                }
            }
        }
        self.changed();
        Ok(done)
    }

    async fn amend(&self, changes: &[Amend], now: Timestamp) -> Result<Vec<Amended>, QueueError> {
        self.amend_all(changes, now).await
    }

    async fn discard(
        &self,
        filter: &Filter,
        reason: &str,
        limit: usize,
        now: Timestamp,
    ) -> Result<u64, QueueError> {
        let filter = filter.clone().dead();
        let mut search = Search::new(self, &filter, false, None, limit).await?;
        let mut done = 0;
        while done < limit
            && let Some(some) = search.next(100).await?
        {
            let mut calls = Vec::new();
            for (at, (_, row)) in some.iter().take(limit - done).enumerate() {
                calls.push(self.discard_one(at, row.id, reason, now));
            }
            done += gather(self.db.parallel, calls).await?.into_iter().filter(|yes| *yes).count();
        }
        self.looked();
        Ok(done as u64)
    }

    async fn purge(&self, filter: &Filter, limit: usize) -> Result<u64, QueueError> {
        let mut filter = filter.clone();
        filter.states = State::ALL
            .into_iter()
            .filter(|state| state.is_finished())
            .filter(|state| filter.states.is_empty() || filter.states.contains(state))
            .collect();
        if filter.states.is_empty() {
            return Ok(0);
        }
        let mut search = Search::new(self, &filter, false, None, limit).await?;
        let mut done = 0;
        while done < limit
            && let Some(some) = search.next(100).await?
        {
            let mut calls = Vec::new();
            for (at, (_, row)) in some.iter().take(limit - done).enumerate() {
                calls.push(self.purge_one(at, row.id));
            }
            done += gather(self.db.parallel, calls).await?.into_iter().filter(|yes| *yes).count();
        }
        self.looked();
        Ok(done as u64)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
