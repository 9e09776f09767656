//! One attempt, as one pipeline: context → span linked to the enqueuing trace → handler, held to
//! its timeout, its panics turned into values, stopped when it has to → outcome → verdict.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::clock::{after, between};
use flotilla_core::flow::ChildEnd;
use flotilla_core::queue::{AttemptError, Claimed, Settlement, Verdict};
use flotilla_core::registry::Registered;
use flotilla_core::retry::Next;
use flotilla_core::sabotage::{self, Bug};
use flotilla_core::{DeadClass, JobContext, JobError, Timestamp};
use futures_util::FutureExt;
use tokio::sync::SemaphorePermit;
use tracing::Instrument;

use crate::desk::Assigned;
use crate::flow;
use crate::gate::{self, Ticket};
use crate::lease::{Control, Stop};
use crate::names::{Call, Outcome};
use crate::observe::About;
use crate::retry;
use crate::settings::Retention;
use crate::settle::Done;
use crate::shared::Shared;
use crate::trace;

/// Longest error kept with an attempt, in bytes.
const MAX_ERROR: usize = 4096;

/// Runs one job and says what becomes of it. None: its lease is lost, so there is nothing to say.
pub(crate) async fn attempt(shared: &Shared, mut job: Assigned) -> Option<Done> {
    let begun = Begun::new(shared, &job);
    let span = trace::span(&job);

    let (ending, children) = if job.control.stopped().is_some() {
        (Ending::Dropped, flow::none()) // stopped before it began
    } else {
        run(shared, &mut job, begun.at).instrument(span.clone()).await
    };

    job.control.end();
    let ended = shared.clock.now();
    let kind = &shared.catalog.kinds()[job.kind];
    let stop = job.control.stopped();
    let next = match &ending {
        Ending::Returned(Err(error)) if stop.is_none() => {
            retry::next(shared, kind, &job.claimed, error, begun.at).await
        }
        _ => None,
    };
    let facts = Facts { shared, kind, claimed: &job.claimed, children: &children, next };
    let verdict = verdict(stop, ending, &facts, ended);
    let outcome = verdict.as_ref().map_or(Outcome::Lost, outcome);
    span.in_scope(|| tell(verdict.as_ref()));
    let about = begun.finish(ended, outcome);
    match verdict {
        Some(verdict) => {
            let settlement = Settlement { held: job.claimed.held, verdict };
            Some(Done { ticket: job.ticket, about, outcome, settlement })
        }
        None => {
            shared.observer.settled(&shared.catalog, about, outcome);
            shared.leases.release(std::iter::once(job.ticket));
            None
        }
    }
}

/// The handler, with all it is promised at hand; also answers the children the job had before.
async fn run(shared: &Shared, job: &mut Assigned, now: Timestamp) -> (Ending, Arc<[ChildEnd]>) {
    let children = match flow::children(shared, &job.claimed).await {
        Ok(children) => children,
        Err(not_now) => return (Ending::Returned(Err(not_now)), flow::none()),
    };
    let kind = &shared.catalog.kinds()[job.kind];
    let (alone, now) = match &shared.settings.quarantine {
        Some(isolation) if is_suspect(shared, &job.claimed) => {
            match turn(shared, &job.control).await {
                Some(turn) => (Some((isolation, turn)), shared.clock.now()),
                None => return (Ending::Dropped, children),
            }
        }
        _ => (None, now),
    };
    // Last: what limits and breakers say now may be untrue after a wait.
    let ticket = match admit(shared, kind, &job.claimed).await {
        Ok(ticket) => ticket,
        Err(not_now) => return (Ending::Returned(Err(not_now)), children),
    };
    let mut cx = context(shared, job, Arc::clone(&children), now);
    if let Some(ticket) = &ticket {
        cx.calls = ticket.sink();
    }
    cx.calls = trace::calls(cx.calls);
    if sabotage::committed(Bug::AckBeforeSettle) {
        let (result, keep_until) = (Bytes::from_static(b"null"), after(now, kind.policy.timeout));
        let verdict = Verdict::Completed { result, keep_until };
        let done = [Settlement { held: job.claimed.held.clone(), verdict }];
        shared.observer.port(Call::Settle, &shared.ports.queue.settle(&done, now).await);
    }
    let payload = std::mem::take(&mut job.claimed.payload);
    let (limit, grace) = (kind.policy.timeout, shared.settings.cancel_grace);
    let version = job.claimed.version;
    let mut ending = match alone {
        Some((isolation, _turn)) => {
            guarded(isolation.run(version, payload, cx), limit, &job.control, grace).await
        }
        None => guarded(kind.run(version, payload, cx), limit, &job.control, grace).await,
    };
    if let Some(ticket) = &ticket
        && let Some((until, reason)) = gate::finish(shared, ticket).await
        && let Ending::Returned(Err(JobError::Retry { .. })) = ending
    {
        ending = Ending::Returned(Err(JobError::Snooze { until, reason }));
    }
    (ending, children)
}

/// Whether workers fell while it ran, so that it would be poison after the next fall.
fn is_suspect(shared: &Shared, claimed: &Claimed) -> bool {
    let last = claimed.crashes.saturating_add(1) >= shared.settings.poison_after;
    claimed.crashes > 0 && last && !sabotage::committed(Bug::TrustSuspect)
}

/// The turn of a suspect: few have a process of their own at the same time. None: it was told to
/// stop before.
async fn turn<'a>(shared: &'a Shared, control: &Control) -> Option<SemaphorePermit<'a>> {
    tokio::select! {
        biased;
        () = control.token.cancelled() => None,
        turn = shared.suspects.acquire() => turn.ok(),
    }
}

/// Whether limits and breakers let the job pass; a kind without keys holds no ticket.
async fn admit(
    shared: &Shared,
    kind: &Registered,
    claimed: &Claimed,
) -> Result<Option<Ticket>, JobError> {
    if !kind.is_limited() {
        return Ok(None);
    }
    let keys = kind.keys(claimed.version, &claimed.payload);
    gate::pass(shared, claimed, &keys, kind.policy.timeout).await.map(Some)
}

/// What the verdict depends on beside the ending.
struct Facts<'a> {
    shared: &'a Shared,
    kind: &'a Registered,
    claimed: &'a Claimed,
    children: &'a [ChildEnd],
    /// Whether and when it runs again, if it failed.
    next: Option<Next>,
}

impl Facts<'_> {
    fn retention(&self) -> Retention {
        self.shared.settings.retention
    }
}

/// How a handler ended.
enum Ending {
    /// By itself, by its timeout or by a panic.
    Returned(Result<Bytes, JobError>),
    /// It was told to stop and did not, or never began.
    Dropped,
}

/// The handler, until it ends, its time is up, or it was told to stop and its grace is over.
async fn guarded(
    run: impl Future<Output = Result<Bytes, JobError>>,
    limit: Duration,
    control: &Control,
    grace: Duration,
) -> Ending {
    let run = tokio::time::timeout(limit, AssertUnwindSafe(run).catch_unwind());
    tokio::pin!(run);
    let result = tokio::select! {
        biased;
        result = &mut run => Some(result),
        () = control.token.cancelled() => None,
    };
    let result = match (result, control.stopped()) {
        (Some(result), _) => result,
        // The handler fired its own token.
        (None, None) => run.await,
        // Somebody else may be running the job already.
        (None, Some(Stop::Lost)) => return Ending::Dropped,
        (None, Some(_)) => match tokio::time::timeout(grace, run).await {
            Ok(result) => result,
            Err(_) => return Ending::Dropped,
        },
    };
    Ending::Returned(match result {
        Ok(Ok(returned)) => returned,
        Ok(Err(panic)) => Err(JobError::panicked(format!("handler panicked: {}", text(&*panic)))),
        Err(_) => {
            control.token.cancel(); // for work it left on the CPU pool
            Err(JobError::timed_out(format!("timed out after {limit:?}")))
        }
    })
}

/// What a panic says.
pub(crate) fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// What becomes of the job. None: the lease is somebody else's, and so is the job.
fn verdict(
    stop: Option<Stop>,
    ending: Ending,
    facts: &Facts<'_>,
    now: Timestamp,
) -> Option<Verdict> {
    let keep = |how_long| after(now, how_long);
    let max_result = facts.shared.ports.queue.capabilities().max_payload;
    Some(match (stop, ending) {
        (Some(Stop::Lost), _) => return None,
        (Some(Stop::Cancel), Ending::Dropped | Ending::Returned(Err(_))) => Verdict::Cancelled {
            reason: "cancelled while it ran".into(),
            keep_until: keep(facts.retention().cancelled),
        },
        // A handler that fails because it was told to stop has not failed, and one that gives up
        // then has not decided that nobody wants the job.
        (_, Ending::Dropped)
        | (
            Some(Stop::Drain | Stop::Expired),
            Ending::Returned(Err(JobError::Retry { .. } | JobError::Cancel { .. })),
        ) => Verdict::Interrupted,
        (_, Ending::Returned(Ok(result))) if result.len() > max_result => {
            let message = format!(
                "the result has {} bytes; at most {max_result} are kept: put large data in a blob",
                result.len(),
            );
            failed(JobError::invalid(message), facts, now)
        }
        (_, Ending::Returned(Ok(result))) => Verdict::Completed {
            result,
            keep_until: keep(facts.kind.policy.retention.unwrap_or(facts.retention().completed)),
        },
        (_, Ending::Returned(Err(error))) => failed(error, facts, now),
    })
}

fn failed(error: JobError, facts: &Facts<'_>, now: Timestamp) -> Verdict {
    let (claimed, retention) = (facts.claimed, facts.retention());
    let why = match &facts.next {
        Some(Next::GiveUp(Some(why))) => format!(" (given up: {why})"),
        _ => String::new(),
    };
    let kept = AttemptError {
        attempt: claimed.attempt,
        at: now,
        worker: facts.shared.settings.worker.clone(),
        error: error.text(MAX_ERROR.saturating_sub(why.len())) + &why,
    };
    let dead =
        |class, error| Verdict::Dead { class, error, keep_until: after(now, retention.dead) };
    match error {
        JobError::Retry { .. } => match facts.next {
            Some(Next::Again(delay)) => Verdict::Retry { at: after(now, delay), error: kept },
            _ => dead(DeadClass::Exhausted, kept),
        },
        JobError::Snooze { until, .. } if sabotage::committed(Bug::ChargeSnooze) => {
            Verdict::Retry { at: until.max(now), error: kept }
        }
        JobError::Snooze { until, reason } => Verdict::Snooze { at: until.max(now), reason },
        JobError::Park { key, reason } => Verdict::Park { key, reason },
        JobError::Await { children, until } => {
            match flow::prepare(facts.shared, claimed, facts.children, children) {
                Ok(children) => Verdict::Await { children, until },
                Err(error) => dead(DeadClass::Invalid, AttemptError { error, ..kept }),
            }
        }
        JobError::Fail { class, .. } => dead(class, kept),
        JobError::Cancel { reason } => {
            Verdict::Cancelled { reason, keep_until: after(now, retention.cancelled) }
        }
    }
}

pub(crate) fn outcome(verdict: &Verdict) -> Outcome {
    match verdict {
        Verdict::Completed { .. } => Outcome::Completed,
        Verdict::Retry { .. } => Outcome::Retry,
        Verdict::Snooze { .. } => Outcome::Snooze,
        Verdict::Park { .. } | Verdict::Await { .. } => Outcome::Park,
        Verdict::Interrupted => Outcome::Interrupted,
        Verdict::Cancelled { .. } => Outcome::Cancelled,
        Verdict::Dead { .. } => Outcome::Dead,
    }
}

/// One line for what went wrong, inside the span that names the job.
fn tell(verdict: Option<&Verdict>) {
    match verdict {
        Some(Verdict::Retry { at, error }) => {
            tracing::warn!(error = error.error, next = %at, "attempt failed");
        }
        Some(Verdict::Dead { class, error, .. }) => {
            tracing::error!(error = error.error, class = class.name(), "dead letter");
        }
        Some(other) => tracing::debug!(outcome = outcome(other).name(), "attempt ended"),
        None => tracing::debug!("attempt ended without its lease"),
    }
}

fn context(
    shared: &Shared,
    job: &Assigned,
    children: Arc<[ChildEnd]>,
    now: Timestamp,
) -> JobContext {
    let kind = &shared.catalog.kinds()[job.kind];
    JobContext {
        id: job.claimed.held.id,
        kind: kind.kind.clone(),
        lane: job.claimed.lane.clone(),
        tenant: job.claimed.tenant.clone(),
        attempt: job.claimed.attempt,
        max_attempts: job.claimed.max_attempts,
        deadline: after(now, kind.policy.timeout),
        trace: job.claimed.trace.clone(),
        cancellation: job.control.token.clone(),
        sink: job.control.sink(),
        clock: Arc::clone(&shared.clock),
        pool: shared.pool.clone(),
        calls: Arc::clone(&shared.unheard),
        cells: Arc::clone(&shared.ports.cells),
        children,
    }
}

/// A slot in use; given back also when the handler takes its runner down while it is dropped.
struct Begun<'a> {
    shared: &'a Shared,
    about: About,
    ticket: u64,
    at: Timestamp,
    ended: bool,
}

impl<'a> Begun<'a> {
    fn new(shared: &'a Shared, job: &Assigned) -> Self {
        let at = shared.clock.now();
        let about = About {
            id: job.claimed.held.id,
            kind: job.kind,
            lane: job.lane,
            attempt: job.claimed.attempt,
        };
        let waited = between(job.claimed.available_at, at);
        shared.observer.started(&shared.catalog, about, waited);
        Self { shared, about, ticket: job.ticket, at, ended: false }
    }

    fn finish(mut self, ended: Timestamp, outcome: Outcome) -> About {
        self.ended = true;
        let ran = between(self.at, ended);
        self.shared.observer.finished(&self.shared.catalog, self.about, ran, outcome);
        self.shared.desk.ended(self.about.kind, ran);
        self.about
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.observer.vanished(&self.shared.catalog, self.about);
            self.shared.desk.ended(self.about.kind, Duration::ZERO);
            self.shared.leases.release(std::iter::once(self.ticket));
        }
    }
}
