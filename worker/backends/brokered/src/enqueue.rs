//! Making jobs: in the store first, then on the broker. A broker that is down fails no enqueue.

use std::collections::BTreeSet;

use flotilla_core::broker::{Broker, Store};
use flotilla_core::clock::Timestamp;
use flotilla_core::ids::Lane;
use flotilla_core::queue::{Enqueued, NewJob, QueueError, QueueErrorKind};

use crate::sweep::{long_ago, notice, unconfirmed};
use crate::{Brokered, lock};

impl<B: Broker, S: Store> Brokered<B, S> {
    pub(crate) async fn make(
        &self,
        jobs: &[NewJob],
        now: Timestamp,
    ) -> Result<Vec<Enqueued>, QueueError> {
        if !jobs.iter().any(|job| self.is_light(&job.lane)) {
            return self.record(jobs, now).await;
        }
        self.bounded(jobs.len())?;
        let mut answers: Vec<Option<Enqueued>> =
            jobs.iter().map(|job| self.refusal(job).map(Enqueued::Rejected)).collect();
        let is_light = |job: &NewJob| self.is_light(&job.lane) && job.run_at <= now;
        let of = |light: bool, answers: &[Option<Enqueued>]| -> Vec<usize> {
            (0..jobs.len())
                .filter(|n| answers[*n].is_none() && is_light(&jobs[*n]) == light)
                .collect()
        };
        let (light, recorded) = (of(true, &answers), of(false, &answers));
        if !recorded.is_empty() {
            let some: Vec<NewJob> = recorded.iter().map(|n| jobs[*n].clone()).collect();
            for (n, answer) in recorded.iter().zip(self.record(&some, now).await?) {
                answers[*n] = Some(answer);
            }
        }
        let some: Vec<&NewJob> = light.iter().map(|n| &jobs[*n]).collect();
        for (n, answer) in light.iter().zip(self.tell(&some).await?) {
            answers[*n] = Some(answer);
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// The usual way: durable in the store, then published if it may run.
    pub(crate) async fn record(
        &self,
        jobs: &[NewJob],
        now: Timestamp,
    ) -> Result<Vec<Enqueued>, QueueError> {
        if jobs.iter().any(|job| job.order.is_some()) {
            return self.record_in_order(jobs, now).await;
        }
        let answers = self.store.insert(jobs, now).await?;
        let made = |n: &usize| answers.get(*n) == Some(&Enqueued::Created);
        let made: Vec<&NewJob> = (0..jobs.len()).filter(made).map(|n| &jobs[n]).collect();
        let (now_on, later): (Vec<&NewJob>, Vec<&NewJob>) =
            made.into_iter().partition(|job| job.run_at <= now);
        if let Some(due) = later.iter().map(|job| job.run_at).min() {
            lock(&self.pace).expect(due);
        }
        if let Err(error) = self.publish(&now_on).await {
            tracing::warn!(%error, jobs = now_on.len(), "stored, to be published when the broker is back");
        }
        Ok(answers)
    }

    /// With ordering keys only the store knows who may run: it is asked after the jobs are made.
    async fn record_in_order(
        &self,
        jobs: &[NewJob],
        now: Timestamp,
    ) -> Result<Vec<Enqueued>, QueueError> {
        let answers = self.store.enqueue(jobs, now).await?;
        if let Some(due) = jobs.iter().map(|job| job.run_at).filter(|at| *at > now).min() {
            lock(&self.pace).expect(due);
        }
        let lanes: BTreeSet<Lane> = jobs.iter().map(|job| job.lane.clone()).collect();
        let lanes: Vec<Lane> = lanes.into_iter().collect();
        if let Err(error) = self.publish_untold(&lanes, long_ago(), now).await {
            tracing::warn!(%error, "stored, to be published when the broker is back");
        }
        Ok(answers)
    }

    /// Without a record: the broker's confirmation is the answer.
    async fn tell(&self, jobs: &[&NewJob]) -> Result<Vec<Enqueued>, QueueError> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let max = self.broker.capabilities().max_body;
        let notices: Vec<_> = jobs.iter().map(|job| notice(job, false, max)).collect();
        let fitting: Vec<_> = notices.iter().flatten().cloned().collect();
        let taken = self.broker.publish(&fitting).await?;
        if taken.contains(&false) {
            return Err(unconfirmed());
        }
        let too_large = || {
            Enqueued::Rejected(format!(
                "is too large for a lane with records for failures only: at most {max} bytes with \
                 its envelope; put large data in a blob"
            ))
        };
        Ok(notices
            .iter()
            .map(|n| n.as_ref().map_or_else(too_large, |_| Enqueued::Created))
            .collect())
    }

    /// What a lane with records for failures only cannot do.
    fn refusal(&self, job: &NewJob) -> Option<String> {
        if !self.is_light(&job.lane) {
            return None;
        }
        let given_up = [
            (job.unique.is_some(), "a unique key"),
            (job.order.is_some(), "an ordering key"),
            (job.parent.is_some(), "a parent"),
        ];
        let (_, what) = given_up.into_iter().find(|(has, _)| *has)?;
        Some(format!(
            "lane \"{}\" has records for failures only, so a job of it cannot have {what}: use \
             another lane or take this one out of records_for_failures",
            job.lane
        ))
    }

    fn bounded(&self, given: usize) -> Result<(), QueueError> {
        let most = self.capabilities.max_batch;
        if given <= most {
            return Ok(());
        }
        let message = format!("a batch of {given} was given; split it, at most {most} are allowed");
        Err(QueueError::plain(QueueErrorKind::Invalid, message))
    }
}
