//! Puts the next dead letters back: as many as the canary or the rate allow by now.

use std::collections::HashMap;

use flotilla_core::clock::between;
use flotilla_core::queue::QueueError;
use flotilla_core::records::{Filter, JobRecord, Page};
use flotilla_core::replay::{
    Amend, Amended, Desk, HISTORY, Mark, Operation, Pacing, ReplayState, Stand, due, patched,
    tokens,
};
use flotilla_core::{JobId, Timestamp};
use serde_json::Value;

use super::lead::{Lead, place};
use crate::shared::Shared;

/// Dead letters of one call, and calls of one look.
const BATCH: usize = 250;
const BATCHES: usize = 16;

impl Lead {
    /// Puts back what may go by now, oldest first; `false`: somebody else leads.
    pub(super) async fn put(
        &mut self,
        shared: &Shared,
        next: &mut Operation,
        now: Timestamp,
    ) -> Result<bool, QueueError> {
        let desk = Desk::new(&*shared.ports.cells);
        let replayed = |lead: &Self| -> u64 {
            let open = lead.open.values().map(|open| open.kept.chunk.counts().replayed);
            next.settled.replayed + open.sum::<u64>()
        };
        let before = replayed(self);
        let mut left = self.allowance(next, before, now);
        for _ in 0..BATCHES {
            while next.put < next.plan.chunks {
                self.load_one(&desk, next, next.put, now).await?;
                if !self.open.get(&next.put).is_some_and(|open| open.kept.chunk.is_put()) {
                    break;
                }
                next.put += 1;
            }
            if left == 0 || next.is_put() {
                break;
            }
            let went = self.batch(shared, next, left.min(BATCH), now).await?;
            let Some(went) = went else { return Ok(false) };
            left = left.saturating_sub(went);
            self.tokens = (self.tokens - went as f64).max(0.0);
            if went > 0 {
                next.started_at.get_or_insert(now);
                next.last_put_at = Some(now);
            }
        }
        Ok(true)
    }

    /// How many may go back now.
    fn allowance(&mut self, next: &mut Operation, replayed: u64, now: Timestamp) -> usize {
        let ticked = self.ticked.replace(now);
        if next.state == ReplayState::Canary {
            let left = u64::from(next.request.canary).saturating_sub(replayed);
            return usize::try_from(left).unwrap_or(usize::MAX);
        }
        let Some(rate) = next.request.rate else { return BATCH * BATCHES };
        let pacing = next.pacing.get_or_insert(Pacing { since: now, base: replayed });
        let passed = ticked.map_or(0.0, |ticked| between(ticked, now).as_secs_f64());
        self.tokens = tokens(self.tokens, rate, passed);
        let ramp = f64::from(next.request.ramp_seconds);
        let due = due(rate, ramp, between(pacing.since, now).as_secs_f64());
        let behind = due - replayed.saturating_sub(pacing.base) as f64;
        behind.min(self.tokens).max(0.0).floor() as usize
    }

    /// Puts back up to `most` of the chunk whose turn it is; answers how many went. `None`:
    /// somebody else leads.
    async fn batch(
        &mut self,
        shared: &Shared,
        next: &Operation,
        most: usize,
        now: Timestamp,
    ) -> Result<Option<usize>, QueueError> {
        let Some(open) = self.open.get_mut(&next.put) else { return Ok(Some(0)) };
        let mut ids = open.kept.chunk.standing(Stand::Waits);
        ids.truncate(most);
        let mut kept = open.kept.clone();
        let changes = changes(shared, next, &ids, &mut kept.chunk).await?;
        let answers = shared.ports.records.amend(&changes, now).await?;
        let mut went = 0;
        for (change, answer) in changes.iter().zip(answers) {
            match answer {
                Amended::Done | Amended::Already => {
                    kept.chunk.set(change.id, Stand::Replayed);
                    went += 1;
                }
                Amended::NotDead | Amended::Unknown => kept.chunk.set(change.id, Stand::Skipped),
                Amended::Refused(why) => kept.chunk.refuse(change.id, &why),
            }
        }
        let desk = Desk::new(&*shared.ports.cells);
        match desk.save_chunk(self.id, place(next, next.put), &kept, now).await? {
            Some(version) => {
                kept.version = version;
                open.kept = kept;
                Ok(Some(went))
            }
            None => Ok(None),
        }
    }

    /// After a cancel: what a former leader put back without coming to say so. `false`: somebody
    /// else leads.
    pub(super) async fn reconcile(
        &mut self,
        shared: &Shared,
        next: &Operation,
        now: Timestamp,
    ) -> Result<bool, QueueError> {
        if self.reconciled {
            return Ok(true);
        }
        if let Some(open) = self.open.get_mut(&next.put) {
            let ids = open.kept.chunk.standing(Stand::Waits);
            let records = by_id(shared, Filter { ids, ..Filter::default() }).await?;
            let marked = records.values().filter(|record| has_mark(record, next));
            let mut kept = open.kept.clone();
            marked.for_each(|record| kept.chunk.set(record.id, Stand::Replayed));
            if kept != open.kept {
                let desk = Desk::new(&*shared.ports.cells);
                let at = place(next, next.put);
                let Some(version) = desk.save_chunk(self.id, at, &kept, now).await? else {
                    return Ok(false);
                };
                kept.version = version;
                open.kept = kept;
            }
        }
        self.reconciled = true;
        Ok(true)
    }
}

/// What is asked of the backend for these dead letters; those the patch does not fit are refused
/// in the chunk.
async fn changes(
    shared: &Shared,
    next: &Operation,
    ids: &[JobId],
    chunk: &mut flotilla_core::replay::Chunk,
) -> Result<Vec<Amend>, QueueError> {
    let mark = Mark {
        of: next.id.mark(),
        by: next.request.by.clone(),
        reason: next.request.reason.clone(),
    };
    let plain = |id: &JobId| Amend {
        id: *id,
        mark: mark.clone(),
        payload: None,
        expect: None,
        replay: true,
    };
    let Some(patch) = &next.request.patch else { return Ok(ids.iter().map(plain).collect()) };
    let filter = Filter { ids: ids.to_vec(), ..Filter::default() }.dead();
    let records = by_id(shared, filter).await?;
    let mut changes = Vec::with_capacity(ids.len());
    for id in ids {
        match records.get(id) {
            Some(record) if !has_mark(record, next) => {
                match patched(&shared.ops.registry, record, patch) {
                    Ok(revision) => changes.push(Amend {
                        payload: Some(revision.payload),
                        expect: Some(record.payload.clone()),
                        ..plain(id)
                    }),
                    Err(why) => chunk.refuse(*id, &why),
                }
            }
            // Not dead, or put back by a former leader: never without the patch.
            _ => changes.push(Amend { expect: Some(Value::Null), ..plain(id) }),
        }
    }
    Ok(changes)
}

async fn by_id(shared: &Shared, filter: Filter) -> Result<HashMap<JobId, JobRecord>, QueueError> {
    let mut found = HashMap::new();
    for ids in filter.ids.chunks(BATCH) {
        let filter = Filter { ids: ids.to_vec(), ..filter.clone() };
        let page = Page { limit: BATCH, before: None };
        let listed = shared.ports.records.list(&filter, page).await?;
        found.extend(listed.jobs.into_iter().map(|record| (record.id, record)));
    }
    Ok(found)
}

/// It went back in this operation.
fn has_mark(record: &JobRecord, next: &Operation) -> bool {
    let marks = record.extra.get(HISTORY).and_then(Value::as_array);
    marks.is_some_and(|marks| marks.iter().any(|mark| mark["of"] == next.id.mark().as_str()))
}
