//! The truth behind a broker: jobs taken by name, and which of them the broker was told of.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::broker::{Burial, Store, Taken};
use flotilla_core::clock::{Timestamp, after};
use flotilla_core::ids::{JobId, Lane, WorkerId};
use flotilla_core::queue::{AttemptError, Enqueued, NewJob, QueueError};
use flotilla_core::state::State;

use super::db::Range;
use super::lanes::{Lanes, is_open, ready};
use super::queue::{Seen, chains, gather, gather_most};
use super::row::{Row, instant};
use super::table::Index;
use super::tx::{Tx, commit};
use super::walk::Walk;
use super::{Bounds, Dynamo};

/// Under whose lease, until when, and what is paused.
struct Taker<'a> {
    worker: &'a WorkerId,
    make: bool,
    until: Timestamp,
    paused: BTreeSet<Lane>,
}

impl Tx<'_> {
    /// Takes one job, made first where that is asked for.
    async fn take(
        &mut self,
        job: &NewJob,
        taker: &Taker<'_>,
        bounds: &Bounds,
    ) -> Result<Taken, QueueError> {
        let (id, now) = (job.id, self.now);
        if self.row(id).await?.is_none() {
            if !taker.make {
                return Ok(Taken::Over);
            }
            match self.enqueue(job, bounds).await? {
                Enqueued::Rejected(why) => return Ok(Taken::Refused(why)),
                Enqueued::Duplicate(holder) if holder != id => {
                    return Ok(Taken::Refused(format!("its unique key is held by {holder}")));
                }
                Enqueued::Created | Enqueued::Duplicate(_) => {}
            }
        }
        self.due(id)?;
        let Some(row) = self.seen(id) else { return Ok(Taken::Over) };
        match row.state {
            State::Completed | State::Cancelled | State::Dead => Ok(Taken::Over),
            State::Running => Ok(Taken::Held),
            State::Available if is_open(row, now) && !taker.paused.contains(&row.lane) => {
                let row = self.hand_out(id, taker.worker, taker.until)?;
                Ok(Taken::Claimed(Box::new(row.claimed())))
            }
            _ => {
                // The notice is used up: when the lane is resumed it takes another one.
                if row.published.is_some() {
                    self.change(id)?.published = None;
                }
                Ok(Taken::Waits)
            }
        }
    }
}

impl Dynamo {
    async fn take_chain(
        &self,
        chain: Vec<(usize, &NewJob)>,
        mut seen: Seen,
        taker: &Taker<'_>,
        now: Timestamp,
    ) -> Result<Vec<(usize, Taken)>, QueueError> {
        let mut answers = Vec::with_capacity(chain.len());
        for (at, job) in chain {
            let (mut taken, beside) = commit!(self, now, tx => {
                tx.seed(seen.take());
                let taken = tx.take(job, taker, &self.bounds).await?;
                // The record counts, not the notice: a large payload lies beside the row.
                let beside = tx.seen(job.id).filter(|row| row.payload_parts > 0).cloned();
                (taken, beside)
            });
            if let (Taken::Claimed(claimed), Some(mut row)) = (&mut taken, beside) {
                self.db.fill(&mut row, false).await?;
                claimed.payload = row.payload;
            }
            answers.push((at, taken));
        }
        Ok(answers)
    }

    /// Marks an open job as told now, unless that was done since `stale`; answers it as it was
    /// enqueued.
    async fn tell(
        &self,
        at: usize,
        seen: (u64, Row),
        stale: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(usize, NewJob)>, QueueError> {
        let (id, mut seen) = (seen.1.id, Some(seen));
        let untold = |row: &Row| is_open(row, now) && row.published.is_none_or(|told| told < stale);
        let row: Option<Row> = commit!(self, now, tx => {
            tx.seed(seen.take());
            if tx.row(id).await?.is_some_and(untold) {
                let row = tx.change(id)?;
                row.published = Some(now);
                Some(row.clone())
            } else {
                None
            }
        });
        let Some(mut row) = row else { return Ok(Vec::new()) };
        self.db.fill(&mut row, false).await?;
        Ok(vec![(at, row.job())])
    }

    async fn untell(
        &self,
        at: usize,
        id: JobId,
        mut seen: Seen,
    ) -> Result<Vec<(usize, ())>, QueueError> {
        let never = flotilla_core::clock::from_micros(0); // no instant is written
        commit!(self, never, tx => {
            tx.seed(seen.take());
            let told = |row: &Row| row.state == State::Available && row.published.is_some();
            if tx.row(id).await?.is_some_and(told) {
                tx.change(id)?.published = None;
            }
        });
        Ok(vec![(at, ())])
    }

    async fn bury_one(
        &self,
        at: usize,
        burial: &Burial,
        now: Timestamp,
    ) -> Result<Vec<(usize, ())>, QueueError> {
        commit!(self, now, tx => {
            if tx.row(burial.job.id).await?.is_none() {
                let mut row = Row::waiting(&burial.job, now, self.db.arrival());
                row.state = State::Dead;
                row.class = Some(burial.class);
                row.finished_at = Some(now);
                row.keep_until = Some(burial.keep_until);
                row.untold = self.bounds.events;
                row.errors = vec![AttemptError {
                    attempt: 0,
                    at: now,
                    worker: WorkerId::new("broker"),
                    error: burial.error.clone(),
                }];
                tx.make(row);
            }
        });
        Ok(vec![(at, ())])
    }
}

#[async_trait]
impl Store for Dynamo {
    async fn insert(&self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Enqueued>, QueueError> {
        self.make(jobs, true, now).await
    }

    async fn take(
        &self,
        jobs: &[NewJob],
        make: bool,
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Taken>, QueueError> {
        if make {
            self.known.note(&self.db, jobs.iter()).await?;
        }
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let mut rows = self.db.rows(&ids).await?;
        // A job waits where its record says, whatever its notice says.
        let lanes: Vec<Lane> = jobs
            .iter()
            .map(|job| rows.get(&job.id).map_or(&job.lane, |(_, row)| &row.lane).clone())
            .collect();
        let paused = Lanes::paused(&self.db, &lanes).await?;
        let taker = Taker { worker, make, until: after(now, lease), paused };
        let chains = chains(jobs.iter().map(|job| (job.id, job)));
        let seeded: Vec<_> =
            chains.into_iter().map(|chain| (rows.remove(&chain[0].1.id), chain)).collect();
        let calls: Vec<_> = seeded
            .into_iter()
            .map(|(seen, chain)| self.take_chain(chain, seen, &taker, now))
            .collect();
        let taken = gather(self.db.parallel, calls).await?;
        self.looked();
        Ok(taken)
    }

    async fn unpublished(
        &self,
        lanes: &[Lane],
        stale: Timestamp,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<NewJob>, QueueError> {
        let known = Lanes::read(&self.db).await?;
        let wanted = known.kinds.iter().filter(|(lane, _)| {
            (lanes.is_empty() || lanes.contains(lane)) && !known.paused.contains_key(lane)
        });
        let ranges: Vec<Range> = wanted
            .flat_map(|(lane, kinds)| kinds.iter().map(|kind| ready(lane, kind)))
            .map(|partition| Range {
                below: Some(format!("1#{}", instant(stale))),
                ..Range::all(Index::Ready, partition)
            })
            .collect();
        let mut walk = Walk::new(&self.db, ranges, limit);
        let mut jobs = Vec::new();
        while jobs.len() < limit {
            let some = walk.next((limit - jobs.len()).min(100)).await?;
            if some.is_empty() {
                break;
            }
            let ids: Vec<JobId> = some.into_iter().map(|(_, id)| id).collect();
            let mut rows = self.db.rows(&ids).await?;
            let rows: Vec<_> = ids.iter().filter_map(|id| rows.remove(id)).collect();
            let open = rows.into_iter().filter(|(_, row)| is_open(row, now)).enumerate();
            let calls: Vec<_> = open.map(|(at, seen)| self.tell(at, seen, stale, now)).collect();
            let (told, failed) = gather_most(self.db.parallel, calls).await;
            jobs.extend(told);
            match failed {
                None => {}
                // Those that were marked have to be published now, or nobody would for long.
                Some(error) if !jobs.is_empty() => {
                    tracing::debug!(%error, "some jobs are told of with the next look");
                    break;
                }
                Some(error) => return Err(error),
            }
        }
        Ok(jobs)
    }

    async fn republish(&self, ids: &[JobId]) -> Result<(), QueueError> {
        let mut rows = self.db.rows(ids).await?;
        let mut calls = Vec::with_capacity(ids.len());
        for (at, id) in ids.iter().enumerate() {
            calls.push(self.untell(at, *id, rows.remove(id)));
        }
        gather(self.db.parallel, calls).await.map(|_| ())
    }

    async fn paused(&self, lanes: &[Lane]) -> Result<Vec<Lane>, QueueError> {
        Ok(Lanes::paused(&self.db, lanes).await?.into_iter().collect())
    }

    async fn bury(&self, burials: &[Burial], now: Timestamp) -> Result<(), QueueError> {
        self.known.note(&self.db, burials.iter().map(|burial| &burial.job)).await?;
        let calls: Vec<_> =
            burials.iter().enumerate().map(|(at, burial)| self.bury_one(at, burial, now)).collect();
        gather(self.db.parallel, calls).await?;
        self.looked();
        Ok(())
    }
}
