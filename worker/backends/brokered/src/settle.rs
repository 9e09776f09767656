//! Keeping leases and recording outcomes: in the record where there is one, then the message goes.

use flotilla_core::broker::{Broker, Store};
use flotilla_core::clock::{Timestamp, between};
use flotilla_core::ids::Receipt;
use flotilla_core::queue::{Extension, Held, Lease, QueueError, Settled, Settlement, Verdict};

use crate::hold::{Hold, What};
use crate::sweep::long_ago;
use crate::{Brokered, lock};

impl<B: Broker, S: Store> Brokered<B, S> {
    pub(crate) async fn keep(
        &self,
        leases: &[Extension],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Lease>, QueueError> {
        let mut answers = vec![Lease::Lost; leases.len()];
        let (mut light, mut recorded) = (Vec::new(), Vec::new());
        for (n, lease) in leases.iter().enumerate() {
            let hold = lock(&self.holds).get(&lease.held).cloned();
            let on_broker = hold.filter(|hold| matches!(hold.what, What::Light { .. }));
            match on_broker {
                Some(hold) if !self.runs_too_long(&hold, until) => {
                    light.extend(hold.receipt.map(|receipt| (n, receipt)));
                }
                Some(_) if !self.adopt_running(&lease.held, until, now).await? => {}
                _ => recorded.push((n, self.in_store(&lease.held))),
            }
        }
        self.keep_light(leases, &light, until, now, &mut answers).await?;
        if !recorded.is_empty() {
            let ours: Vec<Extension> = recorded
                .iter()
                .map(|(n, held)| Extension { held: held.clone(), ..leases[*n].clone() })
                .collect();
            let said = self.store.extend(&ours, until, now).await?;
            for ((n, _), said) in recorded.iter().zip(said) {
                answers[*n] = said;
            }
        }
        let done = self.after_heartbeat(leases, &answers, until);
        self.ack(&done).await;
        Ok(answers)
    }

    /// Leases that only the broker knows.
    async fn keep_light(
        &self,
        leases: &[Extension],
        light: &[(usize, Receipt)],
        until: Timestamp,
        now: Timestamp,
        answers: &mut [Lease],
    ) -> Result<(), QueueError> {
        if light.is_empty() {
            return Ok(());
        }
        let receipts: Vec<Receipt> = light.iter().map(|(_, receipt)| receipt.clone()).collect();
        let ours = self.broker.extend(&receipts, between(now, until)).await?;
        for ((n, _), ours) in light.iter().zip(ours) {
            if ours {
                answers[*n] = Lease::Kept { cancel: false };
            } else {
                lock(&self.holds).remove(&leases[*n].held);
            }
        }
        Ok(())
    }

    /// Forgets lost leases; messages of jobs that run long are acked under the record's lease.
    fn after_heartbeat(
        &self,
        leases: &[Extension],
        answers: &[Lease],
        until: Timestamp,
    ) -> Vec<Receipt> {
        let mut holds = lock(&self.holds);
        let mut done = Vec::new();
        for (lease, answer) in leases.iter().zip(answers) {
            if *answer == Lease::Lost {
                done.extend(holds.remove(&lease.held).and_then(|hold| hold.receipt));
            } else if let Some(hold) = holds.get_mut(&lease.held) {
                hold.until = until;
                let on_record = !matches!(hold.what, What::Light { .. });
                if on_record && self.runs_too_long(hold, until) {
                    done.extend(hold.receipt.take());
                }
            }
        }
        done
    }

    pub(crate) async fn record_outcomes(
        &self,
        done: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>, QueueError> {
        let mut answers = vec![Settled::Lost; done.len()];
        let mut in_store = Vec::new();
        let mut back = Vec::new();
        let mut wakes_others = false;
        let ways: Vec<Way> = {
            let holds = lock(&self.holds);
            done.iter().map(|one| way(holds.get(&one.held), &one.verdict, now)).collect()
        };
        for (n, way) in ways.into_iter().enumerate() {
            match way {
                Way::Message => answers[n] = Settled::Applied,
                Way::Back(receipt) => {
                    answers[n] = Settled::Applied;
                    back.extend(receipt);
                }
                Way::Adopt { until, frees } => {
                    if self.adopt_running(&done[n].held, until, now).await? {
                        wakes_others |= frees;
                        in_store.push(n);
                    }
                }
                Way::Record { frees } => {
                    wakes_others |= frees;
                    in_store.push(n);
                }
            }
        }
        if !in_store.is_empty() {
            let ours: Vec<Settlement> = in_store
                .iter()
                .map(|n| Settlement {
                    held: self.in_store(&done[*n].held),
                    verdict: done[*n].verdict.clone(),
                })
                .collect();
            let said = self.store.settle(&ours, now).await?;
            for (n, said) in in_store.iter().zip(said) {
                answers[*n] = said;
            }
        }
        self.finish(done, back, now).await;
        if wakes_others && let Err(error) = self.publish_untold(&[], long_ago(), now).await {
            tracing::warn!(%error, "jobs that may go on are published later");
            lock(&self.pace).soon();
        }
        Ok(answers)
    }

    /// The outcomes are recorded: their messages go, or go back.
    async fn finish(&self, done: &[Settlement], back: Vec<Receipt>, now: Timestamp) {
        let mut over = Vec::with_capacity(done.len());
        {
            let mut holds = lock(&self.holds);
            over.extend(done.iter().filter_map(|one| holds.remove(&one.held)?.receipt));
        }
        if !back.is_empty() {
            over.retain(|receipt| !back.contains(receipt));
            if let Err(error) = self.broker.nack(&back).await {
                tracing::debug!(%error, "not given back: they come again when the connection ends");
            }
        }
        let later = done.iter().filter_map(|one| match one.verdict {
            Verdict::Retry { at, .. } | Verdict::Snooze { at, .. } if at > now => Some(at),
            _ => None,
        });
        if let Some(due) = later.min() {
            lock(&self.pace).expect(due);
        }
        self.ack(&over).await;
    }

    /// The lease as the store knows it.
    fn in_store(&self, held: &Held) -> Held {
        match lock(&self.holds).get(held) {
            Some(Hold { what: What::Adopted(ours), .. }) => ours.clone(),
            _ => held.clone(),
        }
    }
}

/// How an outcome is recorded.
enum Way {
    /// Acking the message is all.
    Message,
    /// The message is offered again.
    Back(Option<Receipt>),
    /// A record is made first.
    Adopt { until: Timestamp, frees: bool },
    /// In the record. Frees: others may go on.
    Record { frees: bool },
}

fn way(hold: Option<&Hold>, verdict: &Verdict, now: Timestamp) -> Way {
    let Some(hold) = hold else { return Way::Record { frees: true } };
    match (&hold.what, verdict) {
        (What::Light { .. }, Verdict::Completed { .. }) => Way::Message,
        (What::Light { .. }, Verdict::Interrupted) => Way::Back(hold.receipt.clone()),
        (What::Light { .. }, verdict) => {
            Way::Adopt { until: hold.until.max(now), frees: frees_others(false, verdict, now) }
        }
        (What::Recorded { linked }, verdict) => {
            Way::Record { frees: frees_others(*linked, verdict, now) }
        }
        (What::Adopted(_), verdict) => Way::Record { frees: frees_others(true, verdict, now) },
    }
}

/// Whether this outcome may make a job available that the broker was not told of.
fn frees_others(linked: bool, verdict: &Verdict, now: Timestamp) -> bool {
    match verdict {
        Verdict::Interrupted | Verdict::Await { .. } => true,
        Verdict::Retry { at, .. } | Verdict::Snooze { at, .. } => linked || *at <= now,
        _ => linked,
    }
}
