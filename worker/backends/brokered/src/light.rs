//! Jobs that live in their message alone, on lanes with records for failures only.

use std::sync::atomic::Ordering;

use flotilla_core::broker::{Broker, Burial, Delivery, Store, Taken};
use flotilla_core::clock::{Timestamp, after, between};
use flotilla_core::ids::{Fence, Receipt};
use flotilla_core::queue::{Claimed, Held, NewJob, QueueError};
use flotilla_core::state::DeadClass;

use crate::claim::Term;
use crate::hold::{Hold, What};
use crate::{Brokered, Offer, lock};

impl<B: Broker, S: Store> Brokered<B, S> {
    /// Hands out jobs under the broker's lease. One whose deadline has passed is dead instead.
    pub(crate) async fn hand_out_light(
        &self,
        offers: Vec<Offer>,
        term: Term<'_>,
        over: &mut Vec<Receipt>,
        leftovers: &mut usize,
    ) -> Vec<Claimed> {
        let mut jobs = Vec::with_capacity(offers.len());
        for offer in offers {
            if offer.job.deadline.is_some_and(|deadline| deadline <= term.now) {
                match self.bury_expired(&offer.job, term.now).await {
                    Ok(()) => over.push(offer.receipt),
                    Err(error) => {
                        tracing::warn!(%error, job = %offer.job.id, "an expired job waits for the store");
                        *leftovers += 1;
                        self.put_back([offer]);
                    }
                }
                continue;
            }
            jobs.push(self.hand_out(offer, term));
        }
        jobs
    }

    fn hand_out(&self, offer: Offer, term: Term<'_>) -> Claimed {
        let Offer { receipt, redelivered, job, .. } = offer;
        let fence = Fence(self.light_fence.fetch_add(1, Ordering::Relaxed));
        let held = Held { id: job.id, fence, receipt: Receipt::None };
        let claimed = Claimed {
            held: held.clone(),
            kind: job.kind.clone(),
            version: job.version,
            lane: job.lane.clone(),
            tenant: job.tenant.clone(),
            priority: job.priority,
            payload: job.payload.clone(),
            attempt: 1,
            max_attempts: job.max_attempts,
            crashes: redelivered,
            available_at: job.run_at,
            enqueued_at: job.run_at,
            trace: job.trace.clone(),
            parent: None,
            children: 0,
        };
        let hold = Hold {
            since: term.now,
            until: term.until(),
            receipt: Some(receipt),
            what: What::Light { job: Box::new(job), worker: term.worker.clone() },
        };
        lock(&self.holds).insert(&held, hold);
        claimed
    }

    /// Makes the record of a running job that has none, under a lease until `until`. `false`:
    /// somebody else has it by now, or it is over.
    pub(crate) async fn adopt_running(
        &self,
        held: &Held,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, QueueError> {
        let light = lock(&self.holds).get(held).map(|hold| hold.what.clone());
        let Some(What::Light { job, worker }) = light else { return Ok(true) };
        let lease = between(now, until);
        let mut answers = self.store.take(&[*job], true, &worker, lease, now).await?;
        let Some(Taken::Claimed(claimed)) = answers.pop() else { return Ok(false) };
        if let Some(hold) = lock(&self.holds).get_mut(held) {
            hold.what = What::Adopted(claimed.held);
            hold.until = until;
        }
        Ok(true)
    }

    /// Whether the broker lets a delivery be held until `until`.
    pub(crate) fn runs_too_long(&self, hold: &Hold, until: Timestamp) -> bool {
        let longest = self.broker.capabilities().longest_lease;
        longest.is_some_and(|longest| until > after(hold.since, longest))
    }

    async fn bury_expired(&self, job: &NewJob, now: Timestamp) -> Result<(), QueueError> {
        let burial = Burial {
            job: job.clone(),
            class: DeadClass::Expired,
            error: "its deadline passed before it could begin".into(),
            keep_until: after(now, self.settings.keep_dead),
        };
        self.store.bury(&[burial], now).await
    }

    /// Makes the jobs a message from outside stands for.
    pub(crate) async fn make_all(
        &self,
        jobs: &[NewJob],
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        for batch in jobs.chunks(self.capabilities.max_batch.max(1)) {
            for (job, answer) in batch.iter().zip(self.make(batch, now).await?) {
                if let flotilla_core::queue::Enqueued::Rejected(reason) = answer {
                    let told = flotilla_core::broker::Unreadable { reason };
                    tracing::info!(job = %job.id, reason = %told, "a message names a job that is refused");
                    self.bury_unreadable(vec![(delivery.clone(), told)], now).await?;
                }
            }
        }
        Ok(())
    }
}
