//! What repairs: promotes what is due, publishes what the broker was not told of, publishes again
//! what it seems to have lost, keeps what it has given up as dead letters.

use std::time::Duration;

use flotilla_core::broker::{Broker, Notice, Store};
use flotilla_core::clock::{Timestamp, before, from_micros};
use flotilla_core::ids::{JobId, Lane, WorkerId};
use flotilla_core::queue::{
    HousekeepPolicy, Housekeeping, LaneDemand, NewJob, QueueError, QueueErrorKind,
};

use crate::pace::Found;
use crate::{Brokered, lock, wire};

/// Jobs published by one statement of a sweep.
const BATCH: usize = 500;
/// Statements of one sweep; what is left is found by the next.
const ROUNDS: usize = 8;
/// Jobs that are remembered because the store could not be told that they were not published.
const OWED: usize = 10_000;
/// How long after the end of a lease that nobody settled its message is given up.
const FORGET: Duration = Duration::from_secs(60);

impl<B: Broker, S: Store> Brokered<B, S> {
    /// Looks in the store for what these lanes need before a claim, unless that was done just now.
    pub(crate) async fn sweep(
        &self,
        demands: &[LaneDemand],
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Found, QueueError> {
        let lanes: Vec<Lane> = demands.iter().map(|demand| demand.lane.clone()).collect();
        if let Some(found) = lock(&self.pace).rest(&lanes, now) {
            return Ok(found);
        }
        let nothing: Vec<LaneDemand> =
            demands.iter().map(|demand| LaneDemand { slots: 0, ..demand.clone() }).collect();
        let next_due = self.store.claim(&nothing, worker, lease, now).await?.next_due;
        let paused = self.store.paused(&lanes).await?;
        let found = Found { next_due, paused };
        // Before the jobs are looked for: what comes after that asks for another look.
        lock(&self.pace).swept(lanes.clone(), found.clone());
        self.publish_untold(&lanes, long_ago(), now).await?;
        Ok(found)
    }

    /// Publishes available jobs of these lanes (all when empty) that the broker does not know of.
    pub(crate) async fn publish_untold(
        &self,
        lanes: &[Lane],
        stale: Timestamp,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.take_back().await?;
        for _ in 0..ROUNDS {
            let jobs = self.store.unpublished(lanes, stale, BATCH, now).await?;
            self.publish(&jobs.iter().collect::<Vec<_>>()).await?;
            if jobs.len() < BATCH {
                return Ok(());
            }
        }
        lock(&self.pace).soon();
        Ok(())
    }

    /// Publishes recorded jobs; those the broker did not take are marked so in the store.
    pub(crate) async fn publish(&self, jobs: &[&NewJob]) -> Result<(), QueueError> {
        if jobs.is_empty() {
            return Ok(());
        }
        let max = self.broker.capabilities().max_body;
        let notices: Vec<Notice> = jobs.iter().filter_map(|job| notice(job, true, max)).collect();
        let (missed, result): (Vec<JobId>, _) = match self.broker.publish(&notices).await {
            Ok(taken) => {
                let missed = notices.iter().zip(taken).filter(|(_, taken)| !taken);
                (missed.map(|(notice, _)| notice.id).collect(), Ok(()))
            }
            Err(error) => (jobs.iter().map(|job| job.id).collect(), Err(error)),
        };
        if !missed.is_empty() {
            self.mark_missed(missed).await?;
        }
        result
    }

    /// The broker has not taken these, so the store must not believe it. Where it cannot be told
    /// now, the next look tells it: else they would wait until they count as lost.
    async fn mark_missed(&self, missed: Vec<JobId>) -> Result<(), QueueError> {
        let told = self.store.republish(&missed).await;
        if told.is_err() {
            let mut owed = lock(&self.owed);
            let room = OWED.saturating_sub(owed.len());
            owed.extend(missed.into_iter().take(room));
        }
        told
    }

    async fn take_back(&self) -> Result<(), QueueError> {
        let owed = std::mem::take(&mut *lock(&self.owed));
        if owed.is_empty() { Ok(()) } else { self.mark_missed(owed).await }
    }

    /// The store keeps house; then what it made available is published.
    pub(crate) async fn keep_house(
        &self,
        policy: &HousekeepPolicy,
        now: Timestamp,
    ) -> Result<Housekeeping, QueueError> {
        let done = self.store.housekeep(policy, now).await?;
        if let Err(error) = self.repair(policy.batch, now).await {
            // The store has done its part; this part is repeated with the next call.
            tracing::warn!(%error, "the broker could not be brought up to date");
        }
        Ok(done)
    }

    async fn repair(&self, batch: usize, now: Timestamp) -> Result<(), QueueError> {
        let (over, light) = lock(&self.holds).abandoned(before(now, FORGET));
        self.ack(&over).await;
        if !light.is_empty() {
            self.broker.nack(&light).await?;
        }
        self.publish_untold(&[], long_ago(), now).await?;
        for lane in self.lanes_to_look_at(now) {
            if self.broker.depth(&lane).await? == 0 {
                let stale = before(now, self.settings.stale);
                self.publish_untold(&[lane], stale, now).await?;
            }
        }
        let given_up = self.broker.given_up(batch).await?;
        self.bury_given_up(&given_up, now).await
    }

    /// The lanes of this worker, twice in the time after which a job counts as lost.
    fn lanes_to_look_at(&self, now: Timestamp) -> Vec<Lane> {
        let mut pace = lock(&self.pace);
        let since = before(now, self.settings.stale / 2);
        if pace.looked.is_some_and(|looked| looked > since) {
            return Vec::new();
        }
        pace.looked = Some(now);
        pace.lanes.iter().cloned().collect()
    }
}

/// Before all publishing: nothing is stale by this alone.
pub(crate) fn long_ago() -> Timestamp {
    from_micros(1)
}

/// The notice of a job; none when it is too large to be told of without a record.
pub(crate) fn notice(job: &NewJob, recorded: bool, max: usize) -> Option<Notice> {
    Some(Notice {
        id: job.id,
        kind: job.kind.clone(),
        lane: job.lane.clone(),
        priority: job.priority,
        tenant: job.tenant.clone(),
        order: job.order.clone(),
        body: wire::write(job, recorded, max)?,
        delay: Duration::ZERO,
    })
}

/// The broker confirmed nothing.
pub(crate) fn unconfirmed() -> QueueError {
    let message = "the broker did not confirm the job; try again";
    QueueError::plain(QueueErrorKind::Unavailable, message)
}
