//! Records outcomes, many in one call: whatever has ended while the last call was under way.
//!
//! A failing queue is asked again until it answers. Nothing is given up for the age of its lease:
//! the queue knows better whether it is still held, and answers `Lost` if not. What is never
//! recorded runs again after its lease, so nothing is lost either way.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use flotilla_core::clock::after;
use flotilla_core::queue::{Claimed, QueueError, QueueErrorKind, Settled, Settlement, Verdict};
use tokio::sync::mpsc;

use crate::desk::Assigned;
use crate::names::{Call, Outcome};
use crate::observe::About;
use crate::shared::Shared;

/// An attempt that has ended.
pub(crate) struct Done {
    pub(crate) ticket: u64,
    pub(crate) about: About,
    pub(crate) outcome: Outcome,
    pub(crate) settlement: Settlement,
}

/// Settles until the engine has closed the way here and all is recorded.
pub(crate) async fn settle(shared: Arc<Shared>, mut ended: mpsc::Receiver<Done>) {
    let max = shared.settings.batch.min(shared.ports.queue.capabilities().max_batch).max(1);
    let mut batch = Vec::with_capacity(max);
    loop {
        let got = tokio::select! {
            biased;
            got = ended.recv_many(&mut batch, max) => got,
            () = shared.stops.settled.cancelled(), if !ended.is_closed() => {
                ended.close();
                continue;
            }
        };
        if got == 0 {
            return;
        }
        shared.observer.settle_batch(got);
        record(&shared, std::mem::take(&mut batch)).await;
    }
}

/// One batch; where the queue refuses it, one by one, so that the others are recorded.
async fn record(shared: &Shared, batch: Vec<Done>) {
    let (about, settlements): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|d| ((d.ticket, d.about, d.outcome), d.settlement)).unzip();
    match insist(shared, &settlements).await {
        Ok(answers) => {
            recorded(shared, &about, &answers);
            ring(shared, &settlements, &answers);
        }
        Err(_) => {
            for (about, settlement) in about.iter().zip(&settlements) {
                match insist(shared, std::slice::from_ref(settlement)).await {
                    Ok(answers) => {
                        recorded(shared, std::slice::from_ref(about), &answers);
                        ring(shared, std::slice::from_ref(settlement), &answers);
                    }
                    Err(error) => {
                        shared.observer.not_settled(about.1.id, &error);
                        shared.leases.release(std::iter::once(about.0));
                    }
                }
            }
        }
    }
}

/// Asks until the queue answers or refuses.
async fn insist(shared: &Shared, batch: &[Settlement]) -> Result<Vec<Settled>, QueueError> {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_secs(2))
        .without_max_times();
    let call = || shared.ports.queue.settle(batch, shared.clock.now());
    let result = call
        .retry(pauses)
        .when(|e| matches!(e.kind, QueueErrorKind::Unavailable | QueueErrorKind::Full))
        .notify(|e, _| shared.observer.port_failed(Call::Settle, e))
        .await;
    shared.observer.port(Call::Settle, &result);
    result
}

fn recorded(shared: &Shared, batch: &[(u64, About, Outcome)], answers: &[Settled]) {
    for ((_, about, outcome), answer) in batch.iter().zip(answers) {
        let outcome = match answer {
            Settled::Applied => *outcome,
            Settled::Lost => {
                shared.observer.lease_lost(about.id, "the outcome came too late and is dropped");
                Outcome::Lost
            }
        };
        shared.observer.settled(&shared.catalog, *about, outcome);
    }
    shared.leases.release(batch.iter().map(|(ticket, ..)| *ticket));
    if shared.settings.until_idle && shared.leases.is_empty() {
        shared.desk.freed.notify_one();
    }
}

/// Says to whom it may concern what has been recorded.
fn ring(shared: &Shared, batch: &[Settlement], answers: &[Settled]) {
    let Some(bell) = &shared.bell else { return };
    let mut ended = false;
    for (settlement, _) in batch.iter().zip(answers).filter(|(_, a)| **a == Settled::Applied) {
        match settlement.verdict {
            Verdict::Retry { .. } => bell.failed(&settlement.held),
            Verdict::Completed { .. } | Verdict::Cancelled { .. } | Verdict::Dead { .. } => {
                ended = true;
            }
            _ => {}
        }
    }
    if ended {
        bell.ended();
    }
}

/// Gives jobs back that have not begun; the attempt does not count.
pub(crate) async fn give_back(shared: &Shared, jobs: Vec<Assigned>) {
    for job in jobs {
        let settlement =
            Settlement { held: job.claimed.held.clone(), verdict: Verdict::Interrupted };
        let about = About {
            id: job.claimed.held.id,
            kind: job.kind,
            lane: job.lane,
            attempt: job.claimed.attempt,
        };
        let done = Done { ticket: job.ticket, about, outcome: Outcome::Interrupted, settlement };
        // Fails only after the settler has ended, that is after a hard stop.
        let _ = shared.settling.send(done).await;
    }
}

/// How long a job that this worker should not have been given waits before somebody else may.
const PUT_OFF: Duration = Duration::from_secs(60);

/// Puts a job off that this worker did not ask for and cannot run.
pub(crate) async fn put_off(shared: &Shared, ticket: u64, job: Claimed) {
    let reason =
        format!("worker {} does not run {} of lane {}", shared.settings.worker, job.kind, job.lane);
    tracing::error!(job = %job.held.id, reason, "the queue gave a job that was not asked for");
    let at = after(shared.clock.now(), PUT_OFF);
    let settlement = Settlement { held: job.held, verdict: Verdict::Snooze { at, reason } };
    if let Err(error) = insist(shared, &[settlement]).await {
        shared.observer.port_failed(Call::Settle, &error);
    }
    shared.leases.release(std::iter::once(ticket));
}
