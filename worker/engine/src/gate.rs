//! Between a claim and its handler: may this job call whom it is about to call?
//!
//! A kind that names no limit keys passes without a look. For the others, in this order:
//!
//! 1. a breaker that is open parks the job under `breaker:<key>`;
//! 2. a key that was told "too fast" is left alone until its time;
//! 3. each quota of each key is asked for permission. What is free within a moment is waited for
//!    in place; what is further off is reserved, and the job snoozes to its reserved moment;
//! 4. a half-open breaker lets a few jobs of the whole fleet through.
//!
//! None of it costs an attempt. Afterwards, what the handler said of its calls feeds limits and
//! breakers. The state of each key is one cell of the fleet (`cas`); each worker keeps slices of
//! quotas (`slices`), a view of what is frozen or open (`view`), and which keys lead to which of
//! them (`route`), so that most jobs cost no round trip.

pub(crate) mod cas;
mod route;
pub(crate) mod slices;
pub(crate) mod view;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_core::breaker::{Answer, Pass, Stand};
use flotilla_core::clock::{after, between};
use flotilla_core::handler::CallSink;
use flotilla_core::limit::{LimitKey, Rule};
use flotilla_core::queue::{Claimed, QueueError};
use flotilla_core::{Call, JobError, JobId, Timestamp};

use crate::lease::lock;
use crate::names;
use crate::shared::Shared;
use route::{Route, Routes};
use view::View;

/// What is free sooner is waited for in place, with the slot held.
pub(crate) const NEAR: Duration = Duration::from_secs(1);

/// How long a job waits while the cells do not answer.
const UNREACHABLE: Duration = Duration::from_secs(2);

/// A job that ran under a key that is full looks again after up to this.
const FULL: Duration = Duration::from_secs(2);

/// What this worker knows of limits and breakers.
pub(crate) struct Gate {
    pub(crate) slices: slices::Slices,
    pub(crate) view: View,
    routes: Routes,
}

impl Gate {
    /// `rules`: those of the configuration.
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        let (slices, routes) = (slices::Slices::default(), Routes::default());
        Self { slices, view: View::new(rules), routes }
    }
}

/// A job that may run, and what it holds while it does.
pub(crate) struct Ticket {
    job: JobId,
    route: Arc<Route>,
    /// Of these, those that count who runs.
    held: Vec<LimitKey>,
    /// The breakers it is a probe of.
    probes: Vec<LimitKey>,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// Why a job may not run now.
enum No {
    Verdict(JobError),
    Port(QueueError),
}

impl From<QueueError> for No {
    fn from(error: QueueError) -> Self {
        Self::Port(error)
    }
}

/// Whether a job with these keys may run now; waits for what is near.
///
/// # Errors
/// A snooze or a park: uncharged.
pub(crate) async fn pass(
    shared: &Shared,
    claimed: &Claimed,
    keys: &[LimitKey],
    most: Duration,
) -> Result<Ticket, JobError> {
    let gate = &shared.gate;
    let route = gate.routes.of(keys, shared.settings.breakers.depth, &gate.view, &gate.slices);
    let job = claimed.held.id;
    let mut ticket =
        Ticket { job, route, held: Vec::new(), probes: Vec::new(), calls: Arc::default() };
    let now = shared.clock.now();
    let until = after(now, most + shared.settings.lease);
    match admit(shared, claimed, &mut ticket, until, now).await {
        Ok(()) => Ok(ticket),
        Err(no) => {
            give_back(shared, &ticket, None).await;
            Err(match no {
                No::Verdict(error) => error,
                No::Port(error) => {
                    shared.observer.port_failed(names::Call::Cells, &error);
                    let reason = format!("its limits cannot be read: {error}");
                    JobError::Snooze { until: after(shared.clock.now(), UNREACHABLE), reason }
                }
            })
        }
    }
}

async fn admit(
    shared: &Shared,
    claimed: &Claimed,
    ticket: &mut Ticket,
    until: Timestamp,
    now: Timestamp,
) -> Result<(), No> {
    if shared.gate.view.is_clear(&ticket.route, now) {
        return slices::take(shared, claimed, ticket, until).await;
    }
    let gate = &shared.gate;
    let route = Arc::clone(&ticket.route);
    let mut ask = Vec::new();
    for key in &route.breakers {
        let stand = gate.view.breaker(shared, key).await?;
        match stand {
            Stand::Closed | Stand::Ramping { .. } => {}
            Stand::Open { until, since, why, .. }
                if until.is_none_or(|until| until > shared.clock.now()) =>
            {
                return Err(No::Verdict(parked(key, &format!("open since {since}: {why}"))));
            }
            Stand::Open { .. } | Stand::HalfOpen { .. } => ask.push(key),
        }
    }
    for key in &route.path {
        if let Some((until, reason)) = gate.view.frozen(key, shared.clock.now()) {
            let spread = (between(shared.clock.now(), until) / 10).min(Duration::from_secs(10));
            let until = after(until, spread.mul_f64(shared.rng.unit()));
            return Err(No::Verdict(JobError::Snooze { until, reason }));
        }
    }
    slices::take(shared, claimed, ticket, until).await?;
    for key in ask {
        let policy = shared.settings.breakers.policy;
        let (job, now) = (ticket.job, shared.clock.now());
        let pass = view::alter(shared, key, |b| b.pass(&policy, (job, until), now)).await?;
        match pass {
            Pass::Run => {}
            Pass::Probe => ticket.probes.push(key.clone()),
            Pass::Park => {
                return Err(No::Verdict(parked(key, "half-open: others try whether it answers")));
            }
        }
    }
    Ok(())
}

fn parked(key: &LimitKey, why: &str) -> JobError {
    JobError::Park { key: view::park_key(key), reason: format!("the breaker of {key} is {why}") }
}

impl Ticket {
    /// Where the handler reports its calls.
    pub(crate) fn sink(&self) -> CallSink {
        let calls = Arc::clone(&self.calls);
        Arc::new(move |call| lock(&calls).push(call))
    }
}

/// The attempt has ended: what its calls said is taken in, what it held is given back. Answers
/// until when a key wants to be left alone, if one said so.
pub(crate) async fn finish(shared: &Shared, ticket: &Ticket) -> Option<(Timestamp, String)> {
    let calls = std::mem::take(&mut *lock(&ticket.calls));
    let policy = shared.settings.breakers.policy;
    let mut throttled: Option<(Timestamp, String)> = None;
    let mut worst = None;
    for call in calls {
        if let Some(said) = &call.throttle {
            let reason =
                format!("{} is left alone until {} ({})", call.key, said.until, said.reason);
            view::freeze(shared, &call.key, said.until, &reason).await;
            if throttled.as_ref().is_none_or(|(until, _)| *until < said.until) {
                throttled = Some((said.until, reason));
            }
        }
        let slow = call.took > policy.slow;
        if let Some(answer) = call.answer.map(|a| if slow { Answer::Bad } else { a }) {
            if worst.is_none_or(|worst| worst == Answer::Good) {
                worst = Some(answer);
            }
            shared.gate.view.hear(&call.key.above(shared.settings.breakers.depth), answer);
        }
    }
    give_back(shared, ticket, worst).await;
    throttled
}

/// Slots of keys and places of probes; what cannot be given back now runs out by itself.
async fn give_back(shared: &Shared, ticket: &Ticket, answer: Option<Answer>) {
    for key in &ticket.held {
        slices::release(shared, key, ticket.job).await;
    }
    for key in &ticket.probes {
        let policy = shared.settings.breakers.policy;
        let (job, now) = (ticket.job, shared.clock.now());
        let told = view::alter(shared, key, |b| b.probed(&policy, job, answer, now)).await;
        shared.observer.port(names::Call::Cells, &told);
    }
}
