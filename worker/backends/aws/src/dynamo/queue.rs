//! Jobs in, out under a lease, and their outcomes.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::clock::{Timestamp, after};
use flotilla_core::ids::{JobId, WorkerId};
use flotilla_core::queue::{
    Capabilities, Claimed, Claims, Enqueued, Extension, HousekeepPolicy, Housekeeping, LaneDemand,
    Lease, NewJob, Queue, QueueError, Settled, Settlement, Verdict,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::watch;

use super::Dynamo;
use super::db::Range;
use super::lanes::{Lanes, is_open, ready};
use super::moves::items_of;
use super::row::{Row, to_instant};
use super::settle::touched;
use super::table::Index;
use super::tx::{MOST_ITEMS, Tx, commit};
use super::walk::Walk;

/// A row as it was read, with its version.
pub(crate) type Seen = Option<(u64, Row)>;

/// Groups what must go one after the other; the order within a group is that of the call.
pub(crate) fn chains<K: Hash + Eq, T>(all: impl Iterator<Item = (K, T)>) -> Vec<Vec<(usize, T)>> {
    let mut places = HashMap::new();
    let mut chains: Vec<Vec<(usize, T)>> = Vec::new();
    for (at, (key, one)) in all.enumerate() {
        let place = *places.entry(key).or_insert_with(|| {
            chains.push(Vec::new());
            chains.len() - 1
        });
        chains[place].push((at, one));
    }
    chains
}

/// Runs the chains side by side; the answers in the order of the call.
pub(crate) async fn gather<T>(
    parallel: usize,
    calls: Vec<impl Future<Output = Result<Vec<(usize, T)>, QueueError>>>,
) -> Result<Vec<T>, QueueError> {
    let done: Vec<Vec<(usize, T)>> =
        stream::iter(calls).buffer_unordered(parallel).try_collect().await?;
    let answers: BTreeMap<usize, T> = done.into_iter().flatten().collect();
    Ok(answers.into_values().collect())
}

/// As [`gather`], to the end of every chain: also the answers beside one that failed.
pub(crate) async fn gather_most<T>(
    parallel: usize,
    calls: Vec<impl Future<Output = Result<Vec<(usize, T)>, QueueError>>>,
) -> (Vec<T>, Option<QueueError>) {
    let (mut answers, mut failed) = (BTreeMap::new(), None);
    let mut done = stream::iter(calls).buffer_unordered(parallel);
    while let Some(chain) = done.next().await {
        match chain {
            Ok(some) => answers.extend(some),
            Err(error) => failed = Some(error),
        }
    }
    (answers.into_values().collect(), failed)
}

/// How many of these jobs fit into one transaction; at least one.
fn fitting(jobs: &[(usize, &NewJob)]) -> usize {
    let mut items = 0;
    let fits = jobs.iter().take_while(|(_, job)| {
        items += items_of(job);
        items <= MOST_ITEMS
    });
    fits.count().max(1)
}

/// What a new job may share with others.
fn shared(job: &NewJob) -> Option<String> {
    match (&job.order, &job.unique) {
        (Some(order), _) => Some(format!("order {order}")),
        (_, Some(unique)) => Some(format!("unique {} {} {}", job.kind, job.tenant, unique.key)),
        _ => None,
    }
}

impl Dynamo {
    /// Makes jobs; what is available counts as published with `published`.
    pub(crate) async fn make(
        &self,
        jobs: &[NewJob],
        published: bool,
        now: Timestamp,
    ) -> Result<Vec<Enqueued>, QueueError> {
        self.bounded(jobs.len())?;
        self.known.note(&self.db, jobs.iter()).await?;
        // Jobs that may stand for one another are made one after the other.
        let alike = |job: &NewJob| shared(job).unwrap_or_else(|| job.id.to_string());
        let calls: Vec<_> = chains(jobs.iter().map(|job| (alike(job), job)))
            .into_iter()
            .map(|chain| self.make_chain(chain, published, now))
            .collect();
        let answers = gather(self.db.parallel, calls).await?;
        self.changed();
        Ok(answers)
    }

    async fn make_chain(
        &self,
        chain: Vec<(usize, &NewJob)>,
        published: bool,
        now: Timestamp,
    ) -> Result<Vec<(usize, Enqueued)>, QueueError> {
        let mut answers = Vec::with_capacity(chain.len());
        let name = chain.first().and_then(|(_, job)| shared(job));
        let _turn = match &name {
            Some(name) => Some(self.turn(name).await),
            None => None,
        };
        let mut rest = chain.as_slice();
        while !rest.is_empty() {
            let some = &rest[..fitting(rest)];
            rest = &rest[some.len()..];
            answers.extend(commit!(self, now, tx => {
                let mut answers = Vec::with_capacity(some.len());
                for (at, job) in some {
                    let answer = tx.enqueue(job, &self.bounds).await?;
                    if answer == Enqueued::Created && published {
                        tx.change(job.id)?.published = Some(now);
                    }
                    answers.push((*at, answer));
                }
                answers
            }));
        }
        Ok(answers)
    }

    /// Due jobs of these lanes become available; answers the next moment after that.
    async fn promote(
        &self,
        lanes: &[LaneDemand],
        now: Timestamp,
    ) -> Result<Option<Timestamp>, QueueError> {
        let ranges: Vec<Range> = lanes
            .iter()
            .map(|demand| Range::all(Index::Timer, format!("due#{}", demand.lane)))
            .collect();
        let mut walk = Walk::new(&self.db, ranges, 50);
        loop {
            let some = walk.next(self.capabilities.max_batch).await?;
            let is_due = |key: &str| to_instant(key).is_some_and(|at| at <= now);
            let due: Vec<JobId> =
                some.iter().filter(|(key, _)| is_due(key)).map(|(_, id)| *id).collect();
            self.all_due(&due, now).await?;
            let next = some.iter().find(|(key, _)| !is_due(key));
            if next.is_some() || due.is_empty() {
                return Ok(next.and_then(|(key, _)| to_instant(key)));
            }
        }
    }

    /// Those of these jobs whose moment has come become available; answers how many.
    pub(crate) async fn all_due(&self, ids: &[JobId], now: Timestamp) -> Result<u64, QueueError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let mut rows = self.db.rows(ids).await?;
        let chains = chains(ids.iter().map(|id| (*id, *id)));
        let calls: Vec<_> =
            chains.into_iter().map(|chain| (rows.remove(&chain[0].1), chain)).collect();
        let calls: Vec<_> =
            calls.into_iter().map(|(seen, chain)| self.due_chain(chain, seen, now)).collect();
        let promoted = gather(self.db.parallel, calls).await?;
        Ok(promoted.into_iter().filter(|yes| *yes).count() as u64)
    }

    async fn due_chain(
        &self,
        chain: Vec<(usize, JobId)>,
        mut seen: Seen,
        now: Timestamp,
    ) -> Result<Vec<(usize, bool)>, QueueError> {
        let mut answers = Vec::with_capacity(chain.len());
        for (at, id) in chain {
            let promoted = commit!(self, now, tx => {
                tx.seed(seen.take());
                tx.row(id).await?;
                tx.due(id)?
            });
            answers.push((at, promoted));
        }
        Ok(answers)
    }

    /// Up to the slots of one lane.
    async fn choose(
        &self,
        demand: &LaneDemand,
        worker: &WorkerId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Claimed>, QueueError> {
        let ranges =
            demand.kinds.iter().map(|kind| Range::all(Index::Ready, ready(&demand.lane, kind)));
        let mut walk = Walk::new(&self.db, ranges.collect(), demand.slots);
        let (mut claimed, mut ahead) = (Vec::new(), Vec::new());
        loop {
            let wanted = demand.slots - claimed.len();
            if ahead.len() < wanted {
                // With rivals, from a wider part of the line, each from a place of its own.
                let rivals = self.rivals.load(Ordering::Relaxed);
                let more = if rivals { wanted.saturating_mul(4) } else { wanted };
                let more = walk.next(more.min(100)).await?;
                ahead.extend(more.into_iter().map(|(_, id)| id));
                if rivals && !ahead.is_empty() {
                    let from = self.db.rng.next_u64() % ahead.len() as u64;
                    ahead.rotate_left(usize::try_from(from).unwrap_or(0));
                }
            }
            let ids: Vec<JobId> = ahead.drain(..ahead.len().min(wanted)).collect();
            if ids.is_empty() {
                return Ok(claimed);
            }
            let mut rows = self.db.rows(&ids).await?;
            let rows: Vec<_> = ids.iter().filter_map(|id| rows.remove(id)).collect();
            let open: Vec<_> = rows.into_iter().filter(|(_, row)| is_open(row, now)).collect();
            let tried = open.len();
            let calls: Vec<_> = open
                .into_iter()
                .enumerate()
                .map(|(at, seen)| self.take_seen(at, seen, worker, until, now))
                .collect();
            let taken = gather(self.db.parallel, calls).await?;
            self.rivals.store(taken.len() < tried, Ordering::Relaxed);
            claimed.extend(taken);
        }
    }

    /// Takes a job as it was seen; nothing, when somebody else was faster.
    async fn take_seen(
        &self,
        at: usize,
        seen: (u64, Row),
        worker: &WorkerId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(usize, Claimed)>, QueueError> {
        let id = seen.1.id;
        let mut tx = Tx::new(&self.db, now);
        tx.seed(Some(seen));
        let mut row = tx.hand_out(id, worker, until)?;
        if !tx.commit().await? {
            return Ok(Vec::new());
        }
        self.db.fill(&mut row, false).await?;
        Ok(vec![(at, row.claimed())])
    }

    async fn extend_one(
        &self,
        at: usize,
        lease: &Extension,
        until: Timestamp,
        mut seen: Seen,
        now: Timestamp,
    ) -> Result<Vec<(usize, Lease)>, QueueError> {
        let id = lease.held.id;
        let answer = commit!(self, now, tx => {
            tx.seed(seen.take());
            match tx.row(id).await?.filter(|row| row.is_held(&lease.held)) {
                None => Lease::Lost,
                Some(_) => {
                    let row = tx.change(id)?;
                    row.lease_until = Some(until);
                    if let Some(progress) = &lease.progress {
                        row.progress = Some(progress.clone());
                    }
                    Lease::Kept { cancel: row.cancel_requested }
                }
            }
        });
        Ok(vec![(at, answer)])
    }
}

#[async_trait]
impl Queue for Dynamo {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn enqueue(&self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Enqueued>, QueueError> {
        self.make(jobs, false, now).await
    }

    async fn claim(
        &self,
        lanes: &[LaneDemand],
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Claims, QueueError> {
        let next_due = self.promote(lanes, now).await?;
        let wanted: Vec<_> = lanes.iter().filter(|d| d.slots > 0).map(|d| d.lane.clone()).collect();
        let paused = Lanes::paused(&self.db, &wanted).await?;
        let mut jobs = Vec::new();
        for demand in lanes.iter().filter(|d| d.slots > 0 && !paused.contains(&d.lane)) {
            jobs.extend(self.choose(demand, worker, after(now, lease), now).await?);
        }
        if !jobs.is_empty() {
            self.looked();
        }
        Ok(Claims { jobs, next_due })
    }

    async fn extend(
        &self,
        leases: &[Extension],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Lease>, QueueError> {
        self.bounded(leases.len())?;
        let ids: Vec<JobId> = leases.iter().map(|lease| lease.held.id).collect();
        let rows = self.db.rows(&ids).await?;
        let calls: Vec<_> = leases
            .iter()
            .enumerate()
            .map(|(at, lease)| {
                self.extend_one(at, lease, until, rows.get(&lease.held.id).cloned(), now)
            })
            .collect();
        let answers = gather(self.db.parallel, calls).await?;
        self.looked();
        Ok(answers)
    }

    async fn settle(
        &self,
        done: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>, QueueError> {
        self.bounded(done.len())?;
        for one in done {
            if let Verdict::Await { children, .. } = &one.verdict {
                self.known.note(&self.db, children.iter()).await?;
            }
        }
        let ids: Vec<JobId> = done.iter().map(|one| one.held.id).collect();
        let rows = self.db.rows(&ids).await?;
        // What changes one parent or one line goes one after the other.
        let shared = |one: &Settlement| {
            let name = rows.get(&one.held.id).and_then(|(_, row)| touched(row));
            name.unwrap_or_else(|| one.held.id.to_string())
        };
        let chains = chains(done.iter().map(|one| (shared(one), one)));
        let calls: Vec<_> = chains
            .into_iter()
            .map(|chain| {
                let of = |(_, one): &(usize, &Settlement)| {
                    Some((one.held.id, rows.get(&one.held.id)?.clone()))
                };
                let seen = chain.iter().filter_map(of).collect();
                self.settle_chain(chain, seen, now)
            })
            .collect();
        let answers = gather(self.db.parallel, calls).await?;
        self.changed();
        Ok(answers)
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }

    async fn housekeep(
        &self,
        policy: &HousekeepPolicy,
        now: Timestamp,
    ) -> Result<Housekeeping, QueueError> {
        let done = self.keep_house(policy, now).await?;
        if done != Housekeeping::default() {
            self.changed();
        }
        Ok(done)
    }
}
