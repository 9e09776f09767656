//! The desk: look up, list, count, cancel, pause, replay, purge.

use std::collections::BTreeMap;

use async_trait::async_trait;
use flotilla_core::clock::Timestamp;
use flotilla_core::envelope::UniqueScope;
use flotilla_core::ids::{Fence, JobId, Lane};
use flotilla_core::queue::QueueError;
use flotilla_core::records::{
    Cancel, Filter, JobRecord, LaneInfo, Listed, Page, Pause, Records, Replay, RunNow,
};
use flotilla_core::replay::{Amend, Amended, Letter};
use flotilla_core::state::{DeadClass, Event, State};
use tokio::sync::watch;

use crate::Memory;
use crate::enqueue::key_of;
use crate::store::{Hold, Row, Store};

/// The longest page.
const MOST: usize = 1000;

fn matches(filter: &Filter, row: &Row) -> bool {
    fn any<T: PartialEq>(wanted: &[T], is: &T) -> bool {
        wanted.is_empty() || wanted.contains(is)
    }
    any(&filter.ids, &row.job.id)
        && any(&filter.lanes, &row.job.lane)
        && any(&filter.kinds, &row.job.kind)
        && any(&filter.states, &row.state)
        && any(&filter.tenants, &row.job.tenant)
        && (filter.classes.is_empty() || row.class.is_some_and(|c| filter.classes.contains(&c)))
        && filter.since.is_none_or(|since| row.enqueued_at >= since)
        && filter.until.is_none_or(|until| row.enqueued_at < until)
        && (filter.parents.is_empty()
            || row.job.parent.as_ref().is_some_and(|parent| filter.parents.contains(&parent.id)))
        && filter.error.as_ref().is_none_or(|part| {
            row.errors.last().is_some_and(|last| last.error.contains(part.as_str()))
        })
}

impl Store {
    fn list(&self, filter: &Filter, page: Page) -> Listed {
        let limit = page.limit.min(MOST);
        let mut found = self
            .rows
            .iter()
            .rev()
            .filter(|(id, row)| page.before.is_none_or(|b| **id < b) && matches(filter, row));
        let jobs: Vec<JobRecord> =
            found.by_ref().take(limit).map(|(_, row)| row.record()).collect();
        let next = found.next().and_then(|_| jobs.last().map(|last| last.id));
        Listed { jobs, next }
    }

    fn lanes(&self) -> Vec<LaneInfo> {
        let empty = |lane: &Lane| LaneInfo {
            lane: lane.clone(),
            counts: BTreeMap::new(),
            oldest_available: None,
            paused: self.paused.get(lane).cloned(),
        };
        let mut lanes: BTreeMap<&Lane, LaneInfo> =
            self.paused.keys().map(|lane| (lane, empty(lane))).collect();
        for row in self.rows.values() {
            let info = lanes.entry(&row.job.lane).or_insert_with(|| empty(&row.job.lane));
            *info.counts.entry(row.state).or_default() += 1;
            if row.state == State::Available {
                let oldest = info.oldest_available.unwrap_or(row.available_at);
                info.oldest_available = Some(oldest.min(row.available_at));
            }
        }
        lanes.into_values().collect()
    }

    fn cancel(&mut self, id: JobId, reason: &str, now: Timestamp) -> Cancel {
        let Some(row) = self.rows.get_mut(&id) else { return Cancel::Unknown };
        if row.state.is_finished() {
            return Cancel::Finished;
        }
        row.cancel_requested = true;
        row.reason = Some(reason.to_owned());
        if row.state == State::Running {
            return Cancel::Asked;
        }
        self.step(id, Event::Cancelled, now);
        Cancel::Cancelled
    }

    fn run_now(&mut self, id: JobId, now: Timestamp) -> RunNow {
        let Some(row) = self.rows.get_mut(&id) else { return RunNow::Unknown };
        if !matches!(row.state, State::Scheduled | State::Retryable) {
            return RunNow::NotWaiting;
        }
        row.job.run_at = row.job.run_at.min(now);
        RunNow::Due
    }

    fn wake(&mut self, key: &str, limit: usize, now: Timestamp) -> u64 {
        let parked = self.select(
            |row| row.parked_under.as_deref() == Some(key),
            |row| row.enqueued_at,
            limit,
        );
        for id in &parked {
            self.step(*id, Event::Woken, now);
        }
        parked.len() as u64
    }

    fn dead(&self, filter: &Filter, limit: usize) -> Vec<JobId> {
        self.select(
            |row| row.state == State::Dead && matches(filter, row),
            |row| row.enqueued_at,
            limit,
        )
    }

    fn replay(&mut self, filter: &Filter, limit: usize, now: Timestamp) -> Replay {
        let mut done = Replay::default();
        for id in self.dead(filter, usize::MAX) {
            if done.replayed == limit as u64 {
                break;
            }
            match self.refusal(id, now) {
                Some(why) => done.refused.push((id, why)),
                None => {
                    self.put_back(id, now);
                    done.replayed += 1;
                }
            }
        }
        done
    }

    fn refusal(&self, id: JobId, now: Timestamp) -> Option<String> {
        let row = &self.rows[&id];
        if row.class == Some(DeadClass::OutcomeUnknown) {
            return Some(
                "its outcome is unknown: find out, then discard it or enqueue anew".into(),
            );
        }
        let holder = self.holder(&key_of(&row.job)?, now).filter(|holder| *holder != id)?;
        Some(format!("its unique key is held by {holder}: wait for that one or discard this one"))
    }

    fn put_back(&mut self, id: JobId, now: Timestamp) {
        let row = self.step(id, Event::Replayed, now);
        row.fence = Fence(row.fence.0 + 1); // when it ends again, that is another end
        row.untold = false;
        row.crashes = 0;
        row.cancel_requested = false;
        row.keep_until = None;
        if row.too_late(now) {
            row.job.deadline = None; // or it would be dead again before it could begin
        }
        let unfinished =
            row.job.unique.as_ref().is_some_and(|unique| unique.scope == UniqueScope::Unfinished);
        if let Some(key) = key_of(&row.job).filter(|_| unfinished) {
            self.keys.insert(key, Hold { id, until: None });
        }
        if self.is_behind_another(id) {
            self.park_in_line(id);
        }
    }

    fn amend(&mut self, change: &Amend, now: Timestamp) -> Amended {
        let id = change.id;
        let Some(row) = self.rows.get(&id) else { return Amended::Unknown };
        let letter = Letter {
            state: row.state,
            class: row.class,
            extra: &row.job.extra,
            payload: &row.job.payload,
        };
        let extra = match change.decide(letter, self.settings.max_payload, now) {
            Ok(extra) => extra,
            Err(answer) => return answer,
        };
        if change.replay {
            if let Some(why) = self.refusal(id, now) {
                return Amended::Refused(why);
            }
            self.put_back(id, now);
        }
        if let Some(row) = self.rows.get_mut(&id) {
            row.job.extra = extra;
            row.job.payload = change.payload.clone().unwrap_or_else(|| row.job.payload.clone());
        }
        Amended::Done
    }

    fn discard(&mut self, filter: &Filter, reason: &str, limit: usize, now: Timestamp) -> u64 {
        let dead = self.dead(filter, limit);
        for id in &dead {
            self.step(*id, Event::Discarded, now).reason = Some(reason.to_owned());
        }
        dead.len() as u64
    }

    fn purge(&mut self, filter: &Filter, limit: usize) -> u64 {
        let over = self.select(
            |row| {
                row.state.is_finished()
                    && !row.untold
                    && !self.is_awaited_record(row)
                    && matches(filter, row)
            },
            |row| row.enqueued_at,
            limit,
        );
        for id in &over {
            self.rows.remove(id);
        }
        over.len() as u64
    }
}

#[async_trait]
impl Records for Memory {
    async fn get(&self, id: JobId) -> Result<Option<JobRecord>, QueueError> {
        Ok(self.look(|store| store.rows.get(&id).map(Row::record)))
    }

    async fn list(&self, filter: &Filter, page: Page) -> Result<Listed, QueueError> {
        Ok(self.look(|store| store.list(filter, page)))
    }

    async fn count(&self, filter: &Filter) -> Result<u64, QueueError> {
        let count = |store: &Store| store.rows.values().filter(|row| matches(filter, row)).count();
        Ok(self.look(count) as u64)
    }

    async fn lanes(&self) -> Result<Vec<LaneInfo>, QueueError> {
        Ok(self.look(Store::lanes))
    }

    async fn cancel(
        &self,
        ids: &[JobId],
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<Cancel>, QueueError> {
        Ok(self
            .alter_and_wake(|store| ids.iter().map(|id| store.cancel(*id, reason, now)).collect()))
    }

    async fn run_now(&self, ids: &[JobId], now: Timestamp) -> Result<Vec<RunNow>, QueueError> {
        let hurry = |store: &mut Store| ids.iter().map(|id| store.run_now(*id, now)).collect();
        Ok(self.alter_and_wake(hurry))
    }

    async fn pause(&self, lane: &Lane, pause: Pause) -> Result<(), QueueError> {
        self.alter(|store| store.paused.insert(lane.clone(), pause));
        Ok(())
    }

    async fn resume(&self, lane: &Lane) -> Result<bool, QueueError> {
        Ok(self.alter_and_wake(|store| store.paused.remove(lane).is_some()))
    }

    async fn wake(&self, key: &str, limit: usize, now: Timestamp) -> Result<u64, QueueError> {
        Ok(self.alter_and_wake(|store| store.wake(key, limit, now)))
    }

    async fn replay(
        &self,
        filter: &Filter,
        limit: usize,
        now: Timestamp,
    ) -> Result<Replay, QueueError> {
        Ok(self.alter_and_wake(|store| store.replay(filter, limit, now)))
    }

    async fn amend(&self, changes: &[Amend], now: Timestamp) -> Result<Vec<Amended>, QueueError> {
        let amend =
            |store: &mut Store| changes.iter().map(|change| store.amend(change, now)).collect();
        Ok(self.alter_and_wake(amend))
    }

    async fn discard(
        &self,
        filter: &Filter,
        reason: &str,
        limit: usize,
        now: Timestamp,
    ) -> Result<u64, QueueError> {
        Ok(self.alter(|store| store.discard(filter, reason, limit, now)))
    }

    async fn purge(&self, filter: &Filter, limit: usize) -> Result<u64, QueueError> {
        Ok(self.alter(|store| store.purge(filter, limit)))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
