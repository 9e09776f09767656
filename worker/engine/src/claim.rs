//! Takes jobs from the queue as slots become free.
//!
//! An idle worker is woken by the queue's hint and otherwise polls; a busy one claims again when
//! enough slots are free. The hint is looked at before the claim, so none is missed. A claim that
//! is under way is never dropped by a drain: what it brings is given back uncharged.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::clock::{after, before, between};
use flotilla_core::queue::{Claimed, Claims, LaneDemand};
use flotilla_core::retry::Backoff;
use tokio::sync::watch;

use crate::desk::{self, Assigned};
use crate::names::Call;
use crate::relay::Bell;
use crate::settle;
use crate::shared::Shared;
use crate::slots::{Ask, Plan};

/// How long a claimed job may wait for a slot before it is given back.
const HOLD: Duration = Duration::from_millis(500);

/// Between claims that fail.
const AFTER_ERROR: Backoff =
    Backoff { base: Duration::from_millis(250), factor: 2.0, max: Duration::from_secs(5) };

/// What one claim gave.
struct Answer {
    /// A lane gave all it was asked for, so it may hold more.
    more: bool,
    empty: bool,
    next_due: Option<Timestamp>,
}

/// What the claims since the last wait gave: with few slots a lane is asked only every few claims.
struct Sweep {
    asked: usize,
    /// Nothing was held before, and nothing was given.
    idle: bool,
    next_due: Option<Timestamp>,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { asked: 0, idle: true, next_due: None }
    }
}

impl Sweep {
    fn add(&mut self, plan: &Plan, answer: &Answer, idle: bool) {
        self.asked += plan.asks.len();
        self.idle &= idle && answer.empty && !plan.excluded;
        self.next_due = self.next_due.into_iter().chain(answer.next_due).min();
    }
}

/// Claims until the engine drains.
pub(crate) async fn claim(shared: Arc<Shared>) {
    let mut wakes = shared.ports.queue.wakes();
    let max = shared.ports.queue.capabilities().max_batch;
    let (mut failures, mut sweep) = (0, Sweep::default());
    while !shared.stops.soft.is_cancelled() {
        give_back_overdue(&shared).await;
        wakes.borrow_and_update();
        let idle = shared.desk.is_empty() && shared.leases.is_empty();
        let plan = shared.desk.plan(shared.catalog.lanes().len(), max);
        if plan.asks.is_empty() {
            sweep = Sweep::default();
            wait_for_room(&shared).await;
            continue;
        }
        let Some(answer) = ask(&shared, &plan).await else {
            failures += 1;
            sweep = Sweep::default();
            pause(&shared, AFTER_ERROR.delay(failures, None, &*shared.rng)).await;
            continue;
        };
        failures = 0;
        if answer.more {
            sweep = Sweep::default();
            continue;
        }
        sweep.add(&plan, &answer, idle);
        if sweep.asked < plan.asks.len() + plan.skipped {
            continue;
        }
        let Sweep { idle, next_due, .. } = std::mem::take(&mut sweep);
        let told = shared.bell.as_ref().is_none_or(Bell::is_quiet);
        if idle && told && shared.settings.until_idle && !soon(&shared, next_due) {
            shared.stops.idle();
        } else {
            wait_for_jobs(&shared, next_due, plan.excluded, &mut wakes).await;
        }
    }
}

/// One claim; none when the queue failed.
async fn ask(shared: &Arc<Shared>, plan: &Plan) -> Option<Answer> {
    let demand: Vec<LaneDemand> = plan
        .asks
        .iter()
        .map(|ask| LaneDemand {
            lane: shared.catalog.lanes()[ask.lane].clone(),
            slots: ask.slots,
            kinds: shared.catalog.names_of(&ask.kinds),
        })
        .collect();
    let (settings, now) = (&shared.settings, shared.clock.now());
    let result = shared.ports.queue.claim(&demand, &settings.worker, settings.lease, now).await;
    shared.observer.port(Call::Claim, &result);
    let Claims { jobs, next_due } = result.ok()?;
    shared.observer.claimed(jobs.len());
    let empty = jobs.is_empty();
    let jobs = take_in(shared, jobs, now).await;
    let got = tally(plan, &jobs);
    shared.desk.answered(&got);
    let back = shared.desk.put(jobs);
    settle::give_back(shared, back).await;
    desk::work(shared);
    let more = got.iter().any(|(ask, got)| *got >= ask.slots);
    Some(Answer { more, empty, next_due })
}

/// Begins to keep the leases. A job of a kind or lane nobody asked for is put off.
async fn take_in(shared: &Shared, jobs: Vec<Claimed>, now: Timestamp) -> Vec<Assigned> {
    let until = after(now, shared.settings.lease);
    let lines = shared.leases.hold(jobs.iter().map(|job| job.held.clone()), until);
    let mut known = Vec::with_capacity(jobs.len());
    for (claimed, (ticket, control)) in jobs.into_iter().zip(lines) {
        let place = shared.catalog.kind(&claimed.kind).zip(shared.catalog.lane(&claimed.lane));
        match place {
            Some((kind, lane)) => {
                known.push(Assigned { ticket, kind, lane, claimed, control, held_since: now });
            }
            None => settle::put_off(shared, ticket, claimed).await,
        }
    }
    known
}

/// How many jobs each ask gave.
fn tally(plan: &Plan, jobs: &[Assigned]) -> Vec<(Ask, usize)> {
    let mut got: Vec<(Ask, usize)> = plan.asks.iter().map(|ask| (ask.clone(), 0)).collect();
    for job in jobs {
        let asked = |ask: &Ask| ask.lane == job.lane && ask.kinds.contains(&job.kind);
        if let Some((_, n)) = got.iter_mut().find(|(ask, _)| asked(ask)) {
            *n += 1;
        }
    }
    got
}

/// Whether a waiting job is due so soon that an engine which runs until idle waits for it.
fn soon(shared: &Shared, due: Option<Timestamp>) -> bool {
    let horizon = after(shared.clock.now(), shared.settings.idle_horizon);
    due.is_some_and(|due| due <= horizon)
}

/// All slots are taken, or too few are free for a claim.
async fn wait_for_room(shared: &Shared) {
    tokio::select! {
        biased; // the same run every time
        () = shared.desk.freed.notified() => {}
        () = pause(shared, shared.jittered(shared.settings.poll)) => {}
    }
}

/// The lanes gave all they have for this worker; if a kind was left out, its room is waited for
/// too, and so are the last jobs at hand of an engine that runs until idle.
async fn wait_for_jobs(
    shared: &Shared,
    due: Option<Timestamp>,
    excluded: bool,
    wakes: &mut watch::Receiver<u64>,
) {
    let limit = shared.jittered(shared.settings.poll).min(until(shared, due));
    tokio::select! {
        biased; // the same run every time
        () = changed(wakes) => {}
        () = shared.desk.freed.notified(), if excluded || shared.settings.until_idle => {}
        () = pause(shared, limit) => {}
    }
}

/// Waits that long, or until the engine drains.
async fn pause(shared: &Shared, how_long: Duration) {
    let _ = tokio::time::timeout(how_long, shared.stops.soft.cancelled()).await;
}

fn until(shared: &Shared, due: Option<Timestamp>) -> Duration {
    let millisecond = Duration::from_millis(1);
    due.map_or(Duration::MAX, |due| between(shared.clock.now(), due).max(millisecond))
}

async fn changed(wakes: &mut watch::Receiver<u64>) {
    if wakes.changed().await.is_err() {
        pending::<()>().await; // the backend gives no more hints: the poll remains
    }
}

async fn give_back_overdue(shared: &Arc<Shared>) {
    let overdue = shared.desk.overdue(before(shared.clock.now(), HOLD));
    if !overdue.is_empty() {
        settle::give_back(shared, overdue).await;
    }
}
