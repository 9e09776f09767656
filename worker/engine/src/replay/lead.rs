//! One operation in the hands of one worker: the lease, what is to be done next, and what the
//! counts mean for its state.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::clock::{after, between};
use flotilla_core::queue::QueueError;
use flotilla_core::records::Page;
use flotilla_core::replay::{
    CHUNK, Chunk, Counts, Desk, KeptChunk, Lease, Operation, ReplayId, ReplayState, Word,
};
use flotilla_core::state::DeadClass;

use super::meters::Meters;
use crate::shared::Shared;

/// How long a leader that vanished is waited for.
const LEASE: Duration = Duration::from_secs(5);
/// An operation of which only the pointer is there is given up.
const NOWHERE: Duration = Duration::from_secs(60);
/// What went back is watched for so long after the last one.
const WATCH: Duration = Duration::from_secs(86_400);
/// Dead letters read at once for the plan, and how often in one look.
const PAGE: usize = CHUNK;
const PAGES: usize = 10;

/// How soon to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Short,
    Long,
}

/// A chunk that is not settled yet.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) kept: KeptChunk,
    pub(super) failing: u64,
    pub(super) looked: Option<Timestamp>,
}

/// What a worker knows of an operation.
#[derive(Debug)]
pub(super) struct Lead {
    pub(super) id: ReplayId,
    /// By the order in which they go back.
    pub(super) open: BTreeMap<u32, Open>,
    pub(super) tokens: f64,
    pub(super) ticked: Option<Timestamp>,
    /// After a cancel: it was looked whether the former leader had put back more than it said.
    pub(super) reconciled: bool,
    state: Option<ReplayState>,
    missed: Option<Timestamp>,
}

impl Lead {
    pub(super) fn new(id: ReplayId) -> Self {
        Self {
            id,
            open: BTreeMap::new(),
            tokens: 0.0,
            ticked: None,
            reconciled: false,
            state: None,
            missed: None,
        }
    }

    /// Forgets what it believes of the cells.
    pub(super) fn reset(&mut self) {
        *self = Self { state: self.state, missed: self.missed, ..Self::new(self.id) };
    }

    pub(super) fn state(&self) -> Option<ReplayState> {
        self.state
    }

    /// One look: leads a little further, if nobody else leads.
    pub(super) async fn tick(
        &mut self,
        shared: &Shared,
        meters: &Meters,
    ) -> Result<Rest, QueueError> {
        let (desk, now) = (Desk::new(&*shared.ports.cells), shared.clock.now());
        let Some(kept) = desk.get(self.id, now).await? else {
            let since = *self.missed.get_or_insert(now);
            if between(since, now) > NOWHERE {
                desk.forget(self.id, now).await?;
            }
            return Ok(Rest::Long);
        };
        let before = kept.operation;
        self.state = Some(before.state);
        let me = &shared.settings.worker;
        let mine = before.lease.as_ref().is_some_and(|lease| lease.worker == *me);
        let taken = before.lease.as_ref().is_some_and(|lease| lease.until > now);
        if (!mine && taken) || rests(&before) {
            self.reset();
            return Ok(Rest::Long);
        }
        if !mine {
            self.reset();
            let lease = Some(Lease { worker: me.clone(), until: after(now, LEASE) });
            let claimed = Operation { lease, ..before };
            let won = desk.save(&claimed, kept.version, now).await?;
            if won {
                tracing::info!(replay = %self.id, state = %claimed.state, "leads a replay");
            }
            return Ok(if won { Rest::Short } else { Rest::Long });
        }
        let mut next = before.clone();
        self.load(&desk, &next, now).await?;
        let leads = match next.state {
            ReplayState::Planned => self.plan(shared, &mut next, now).await?,
            ReplayState::Canary | ReplayState::Running => self.put(shared, &mut next, now).await?,
            ReplayState::Cancelled => self.reconcile(shared, &next, now).await?,
            _ => true,
        };
        if !leads || !self.follow(shared, next.plan.chunks, now).await? {
            self.reset(); // somebody else leads
            return Ok(Rest::Short);
        }
        self.count(&mut next);
        judge(&mut next, now);
        self.fold(&mut next);
        next.lease =
            is_watched(&next, now).then(|| Lease { worker: me.clone(), until: after(now, LEASE) });
        let due = before.lease.as_ref().is_none_or(|l| between(now, l.until) < LEASE / 2);
        let moved = Operation { lease: before.lease.clone(), ..next.clone() } != before;
        if (moved || due || next.lease.is_none()) && !desk.save(&next, kept.version, now).await? {
            // Somebody paused, resumed or cancelled it, or leads it: seen with the next look.
            return Ok(Rest::Short);
        }
        self.state = Some(next.state);
        self.saved(&desk, meters, &before, &next, now).await?;
        let busy = next.state.moves() || next.counts.open() > 0;
        Ok(if busy { Rest::Short } else { Rest::Long })
    }

    /// Others may lead at once.
    pub(super) async fn release(&mut self, shared: &Shared) -> Result<(), QueueError> {
        let (desk, now) = (Desk::new(&*shared.ports.cells), shared.clock.now());
        let Some(kept) = desk.get(self.id, now).await? else { return Ok(()) };
        let mut operation = kept.operation;
        if let Some(lease) = &mut operation.lease
            && lease.worker == shared.settings.worker
        {
            lease.until = now;
            desk.save(&operation, kept.version, now).await?;
        }
        Ok(())
    }

    /// The chunks that are not settled, up to the one that is put back.
    async fn load(
        &mut self,
        desk: &Desk<'_>,
        operation: &Operation,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.open.retain(|order, _| *order >= operation.folded);
        if !operation.plan.complete {
            return Ok(());
        }
        let end = operation.put.saturating_add(1).min(operation.plan.chunks);
        for order in operation.folded..end {
            self.load_one(desk, operation, order, now).await?;
        }
        Ok(())
    }

    /// A chunk, by the order in which they go back: the last of the plan is the oldest.
    pub(super) async fn load_one(
        &mut self,
        desk: &Desk<'_>,
        operation: &Operation,
        order: u32,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        if !self.open.contains_key(&order) {
            let found = desk.chunk(self.id, place(operation, order), now).await?;
            let kept = found.unwrap_or_else(|| {
                tracing::error!(replay = %self.id, order, "a part of a replay is gone");
                KeptChunk { chunk: Chunk::default(), version: 0 }
            });
            self.open.insert(order, Open { kept, failing: 0, looked: None });
        }
        Ok(())
    }

    /// Writes down a further part of the dead letters; `false`: somebody else leads.
    async fn plan(
        &mut self,
        shared: &Shared,
        next: &mut Operation,
        now: Timestamp,
    ) -> Result<bool, QueueError> {
        let desk = Desk::new(&*shared.ports.cells);
        let at = next.plan.chunks;
        let chunk = match desk.chunk(self.id, at, now).await? {
            Some(there) => there.chunk, // of a former leader, who did not come to say so
            None => {
                let found = self.look(shared, next).await?;
                if found.ids.is_empty() {
                    next.plan.outcome_unknown += found.outcome_unknown;
                    next.plan.cursor = found.next;
                    next.plan.complete = found.next.is_none();
                    return Ok(true);
                }
                let kept = KeptChunk { chunk: found, version: 0 };
                match desk.save_chunk(self.id, at, &kept, now).await? {
                    Some(_) => kept.chunk,
                    None => return Ok(false),
                }
            }
        };
        next.plan.chunks += 1;
        next.plan.letters += chunk.ids.len() as u64;
        next.plan.outcome_unknown += chunk.outcome_unknown;
        next.plan.cursor = chunk.next;
        let full = next.plan.letters >= next.request.most();
        next.plan.complete = full || chunk.next.is_none();
        Ok(true)
    }

    /// The next dead letters that are meant, as a chunk.
    async fn look(&self, shared: &Shared, next: &Operation) -> Result<Chunk, QueueError> {
        let filter = next.request.selection.filter();
        let room = next.request.most().saturating_sub(next.plan.letters);
        let room = usize::try_from(room).unwrap_or(CHUNK).min(CHUNK);
        let (mut ids, mut unknown, mut cursor) = (Vec::new(), 0, next.plan.cursor);
        for _ in 0..PAGES {
            let limit = PAGE.min(room - ids.len());
            let page = Page { limit, before: cursor };
            let listed = shared.ports.records.list(&filter, page).await?;
            for record in &listed.jobs {
                // What died since is not what the person saw.
                let later = record.finished_at.is_some_and(|died| died > next.created_at);
                if later || !next.request.selection.takes(record) {
                    continue;
                }
                if record.class == Some(DeadClass::OutcomeUnknown) {
                    unknown += 1;
                } else {
                    ids.push(record.id);
                }
            }
            cursor = listed.next;
            if cursor.is_none() || ids.len() >= room {
                break;
            }
        }
        ids.reverse(); // the oldest first
        Ok(Chunk::new(ids, cursor, unknown))
    }

    fn count(&self, next: &mut Operation) {
        let mut counts = next.settled.clone();
        for open in self.open.values() {
            counts.add(&open.counts());
        }
        next.counts = counts;
    }

    /// Settled chunks at the front are counted for good.
    fn fold(&self, next: &mut Operation) {
        while let Some(open) = self.open.get(&next.folded)
            && next.folded < next.put
            && open.kept.chunk.is_settled()
        {
            next.settled.add(&open.kept.chunk.counts());
            next.folded += 1;
        }
    }

    /// After the operation was written: what follows from that.
    async fn saved(
        &mut self,
        desk: &Desk<'_>,
        meters: &Meters,
        before: &Operation,
        next: &Operation,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        meters.letters(&before.counts, &next.counts);
        if next.state != before.state {
            let why = next.steps.last().map_or("", |step| step.why.as_str());
            tracing::info!(replay = %self.id, from = %before.state, to = %next.state, why, "replay");
            tracing::info!(
                target: "audit", who = "flotilla", what = "replay", id = %self.id,
                before = %before.state, after = %next.state, reason = why,
            );
        }
        for order in before.folded..next.folded {
            self.open.remove(&order);
            desk.drop_chunk(self.id, place(next, order), now).await?;
        }
        if next.lease.is_none() && next.state.is_over() {
            desk.forget(self.id, now).await?;
        }
        Ok(())
    }
}

impl Open {
    fn counts(&self) -> Counts {
        Counts { failing: self.failing, ..self.kept.chunk.counts() }
    }
}

/// Where a chunk lies in the plan, which goes from new to old.
pub(super) fn place(operation: &Operation, order: u32) -> u32 {
    operation.plan.chunks.saturating_sub(order + 1)
}

/// Nothing is to be done for it until somebody changes it. One whose leader left without a word
/// does not rest: it is counted once more.
fn rests(operation: &Operation) -> bool {
    let state = operation.state;
    let open = operation.counts.open() > 0;
    !state.moves() && !state.is_over() && !open && operation.lease.is_none()
}

/// There is something to do, or to see, with the next look.
fn is_watched(operation: &Operation, now: Timestamp) -> bool {
    let lately = operation.last_put_at.is_some_and(|last| between(last, now) < WATCH);
    operation.state.moves()
        || operation.state != ReplayState::Done && operation.counts.open() > 0 && lately
}

/// What the counts mean for the state.
fn judge(next: &mut Operation, now: Timestamp) {
    let go = |next: &mut Operation, to, why: String| {
        next.go(to, &Word { by: "flotilla".into(), why }, now);
    };
    let counts = &next.counts;
    match next.state {
        ReplayState::Planned if next.plan.complete => {
            let why = format!("{} dead letters are to go back", next.plan.letters);
            let canary = next.request.canary > 0 && !next.canary_passed;
            go(next, if canary { ReplayState::Canary } else { ReplayState::Running }, why);
        }
        ReplayState::Canary => {
            let sent = next.is_put() || counts.replayed >= u64::from(next.request.canary);
            let bad = counts.failed + counts.failing;
            if !sent || counts.open() > counts.failing {
                return;
            }
            let replayed = counts.replayed;
            let ratio = next.failure_ratio(1).unwrap_or(0.0);
            if ratio > next.request.stop_at.unwrap_or(0.0) {
                go(next, ReplayState::Stopped, format!("canary: {bad} of {replayed} failed"));
            } else {
                next.canary_passed = true;
                next.pacing = None;
                go(next, ReplayState::Running, format!("canary: {bad} of {replayed} failed"));
            }
        }
        ReplayState::Running => {
            let ratio = next.failure_ratio(u64::from(next.request.stop_after));
            let bound = next.request.stop_at.unwrap_or(1.0);
            if let Some(ratio) = ratio.filter(|ratio| *ratio > bound && !next.is_put()) {
                let why =
                    format!("{:.1} % failed; the bound is {:.1} %", ratio * 100.0, bound * 100.0);
                return go(next, ReplayState::Stopped, why);
            }
            let open = counts.open();
            let watched = next.last_put_at.is_some_and(|last| between(last, now) > WATCH);
            if next.is_put() && (open == 0 || watched) {
                let why = format!(
                    "{} went back: {} succeeded, {} failed, {open} have not ended; {} refused",
                    counts.replayed, counts.succeeded, counts.failed, counts.refused
                );
                go(next, ReplayState::Done, why);
            }
        }
        _ => {}
    }
}
