//! Quotas, taken from the fleet in slices and paced here.
//!
//! A slice is permission for some jobs of a key, worth about a quarter of a second; `governor`
//! spaces their starts. One task at a time renews the slice of a key. A job that finds its key
//! spent reserves its moment in the fleet's state, keeps the reservation in a cell of its own and
//! snoozes until then. Of several spent keys it gathers one reservation after the other; those it
//! has hold meanwhile, and starts are spread once more when it begins.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_core::clock::{after, before, between};
use flotilla_core::limit::{LimitKey, Quota};
use flotilla_core::meter::{Grant, KeyState, Slice};
use flotilla_core::queue::Claimed;
use flotilla_core::{Clock, JobError, JobId, Timestamp};
use governor::clock::Clock as Ticks;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota as Pace, RateLimiter};
use serde::{Deserialize, Serialize};

use super::cas::{Keep, alter};
use super::{FULL, NEAR, No, Ticket};
use crate::lease::lock;
use crate::names::Call;
use crate::shared::Shared;

/// What a slice is worth at the rate of its key.
const WORTH: Duration = Duration::from_millis(250);
/// Most jobs of a slice: what a worker may run through in the time a durable write takes, many times
/// over, or all its jobs would wait for the next slice again and again.
const MOST: u32 = 8192;
/// How long after its moment a reservation holds.
const HOLDS: Duration = Duration::from_secs(3600);
/// How long the state of a key that nobody uses is kept.
const KEPT: Duration = Duration::from_secs(8 * 24 * 3600);

/// The slices of this worker, by key.
#[derive(Default)]
pub(crate) struct Slices(Mutex<BTreeMap<LimitKey, Arc<tokio::sync::Mutex<Option<Local>>>>>);

struct Local {
    left: u32,
    from: Timestamp,
    until: Timestamp,
    pace: Option<Arc<Pacer>>,
}

type Pacer = RateLimiter<NotKeyed, InMemoryState, Since, NoOpMiddleware<Duration>>;

/// The engine's clock as `governor` reads it: time since the slice was made.
#[derive(Clone)]
struct Since(Arc<dyn Clock>, Timestamp);

impl Ticks for Since {
    type Instant = Duration;

    fn now(&self) -> Duration {
        between(self.1, self.0.now())
    }
}

/// Keys whose moment a job has reserved, and until when that holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Reserved(BTreeMap<LimitKey, Timestamp>);

impl Slices {
    fn of(&self, key: &LimitKey) -> Arc<tokio::sync::Mutex<Option<Local>>> {
        Arc::clone(lock(&self.0).entry(key.clone()).or_default())
    }

    /// A permission that was drawn and is not used; `false`: its slice is over.
    async fn put_back(&self, key: &LimitKey, now: Timestamp) -> bool {
        let slot = self.of(key);
        let mut local = slot.lock().await;
        let Some(slice) = local.as_mut().filter(|slice| now < slice.until) else { return false };
        slice.left += 1;
        true
    }

    /// Forgets the slice of a key that was told "too fast".
    pub(crate) fn forget(&self, key: &LimitKey) {
        lock(&self.0).remove(key);
    }

    /// Forgets slices that are over.
    pub(crate) fn prune(&self, now: Timestamp) {
        lock(&self.0).retain(|_, slot| {
            Arc::strong_count(slot) > 1
                || slot.try_lock().is_ok_and(|local| local.as_ref().is_some_and(|l| l.until > now))
        });
    }
}

/// Permission from every quota of every key of the job; waits for what is near.
pub(super) async fn take(
    shared: &Shared,
    claimed: &Claimed,
    ticket: &mut Ticket,
    until: Timestamp,
) -> Result<(), No> {
    // The narrowest first: what others share is asked for once the job's own keys allow it.
    let limited: Vec<(LimitKey, Vec<Quota>)> = ticket
        .path
        .iter()
        .rev()
        .map(|key| (key.clone(), shared.gate.view.quotas(key)))
        .filter(|(_, quotas)| !quotas.is_empty())
        .collect();
    if limited.is_empty() {
        return Ok(());
    }
    let mut reserved = Reserved::default();
    if claimed.available_at > claimed.enqueued_at {
        reserved = collect(shared, claimed.held.id).await?;
    }
    let now = shared.clock.now();
    reserved.0.retain(|_, holds| now < *holds);
    let (ours, open): (Vec<_>, Vec<_>) =
        limited.iter().partition(|(key, _)| reserved.0.contains_key(key));

    let (mut start, mut pacers, mut drawn) = (now, Vec::new(), Vec::new());
    let begin =
        open.into_iter().map(|key| (key, false)).chain(ours.into_iter().map(|key| (key, true)));
    for ((key, quotas), reserved_it) in begin {
        let got = if reserved_it {
            commence(shared, ticket, key, quotas, until).await?
        } else {
            draw(shared, ticket, key, quotas, until).await?
        };
        match got {
            Drawn::Now(from, pacer) => {
                start = start.max(from);
                pacers.extend(pacer);
                if !reserved_it {
                    drawn.push((key, from));
                }
            }
            Drawn::Not { until, reason, holds } => {
                reserved.0.extend(holds.map(|holds| (key.clone(), holds)));
                for (key, from) in drawn {
                    if !shared.gate.slices.put_back(key, now).await {
                        reserved.0.insert(key.clone(), after(from, HOLDS));
                    }
                }
                keep(shared, claimed.held.id, &reserved).await?;
                return Err(No::Verdict(JobError::Snooze { until, reason }));
            }
        }
    }
    wait(shared, start, &pacers).await;
    Ok(())
}

async fn wait(shared: &Shared, start: Timestamp, pacers: &[Arc<Pacer>]) {
    tokio::time::sleep(between(shared.clock.now(), start)).await;
    for pacer in pacers {
        while let Err(not_yet) = pacer.check() {
            tokio::time::sleep(not_yet.wait_time_from(pacer.clock().now())).await;
        }
    }
}

enum Drawn {
    /// From then on, which is near, at this pace.
    Now(Timestamp, Option<Arc<Pacer>>),
    /// Not before then.
    Not {
        until: Timestamp,
        reason: String,
        /// The moment is reserved, and until when that holds.
        holds: Option<Timestamp>,
    },
}

impl Drawn {
    fn full(shared: &Shared, key: &LimitKey) -> Self {
        let wait = FULL / 2 + (FULL / 2).mul_f64(shared.rng.unit());
        let reason = format!("{key} has as many at once as it may");
        Self::Not { until: after(shared.clock.now(), wait), reason, holds: None }
    }

    fn spent(key: &LimitKey, quotas: &[Quota], until: Timestamp, holds: Option<Timestamp>) -> Self {
        let quota = quotas.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Self::Not { until, reason: format!("{key} is spent ({quota})"), holds }
    }
}

/// One permission of a key: from the slice at hand, or from a new one; else a reserved moment.
async fn draw(
    shared: &Shared,
    ticket: &mut Ticket,
    key: &LimitKey,
    quotas: &[Quota],
    until: Timestamp,
) -> Result<Drawn, No> {
    let slot = shared.gate.slices.of(key);
    let mut local = slot.lock().await;
    let now = shared.clock.now();
    if let Some(slice) = local.as_mut().filter(|slice| slice.left > 0 && now < slice.until) {
        slice.left -= 1;
        return Ok(Drawn::Now(slice.from, slice.pace.clone()));
    }
    let (wanted, holder) = (size(quotas), (ticket.job, until));
    let horizon = after(now, shared.settings.limits.ahead);
    let take = |state: &mut KeyState, now: Timestamp| match state.take(
        quotas,
        wanted,
        holder,
        after(now, NEAR),
        now,
    ) {
        Grant::Far(from) if from <= horizon => {
            (Grant::Far(state.reserve(quotas, now).max(from)), Keep::For(KEPT))
        }
        grant @ Grant::Slice(_) => (grant, Keep::For(KEPT)),
        grant => (grant, Keep::AsIs),
    };
    let slice = match ask(shared, key, take).await? {
        Grant::Full => return Ok(Drawn::full(shared, key)),
        Grant::Far(from) if from > horizon => {
            return Ok(Drawn::spent(key, quotas, horizon, None));
        }
        Grant::Far(from) => {
            return Ok(Drawn::spent(key, quotas, from, Some(after(from, HOLDS))));
        }
        Grant::Slice(slice) => slice,
    };
    hold(ticket, key, quotas);
    let made = Local::new(shared, slice);
    let pacer = made.pace.clone();
    *local = Some(made);
    Ok(Drawn::Now(slice.from, pacer))
}

/// A job whose reserved moment has come.
async fn commence(
    shared: &Shared,
    ticket: &mut Ticket,
    key: &LimitKey,
    quotas: &[Quota],
    until: Timestamp,
) -> Result<Drawn, No> {
    let holder = (ticket.job, until);
    let start = |state: &mut KeyState, now: Timestamp| {
        let grant = state.start(quotas, holder, after(now, NEAR), now);
        let keep = if matches!(grant, Grant::Slice(_)) { Keep::For(KEPT) } else { Keep::AsIs };
        (grant, keep)
    };
    Ok(match ask(shared, key, start).await? {
        Grant::Full => Drawn::full(shared, key),
        Grant::Far(from) => Drawn::spent(key, quotas, from, None),
        Grant::Slice(slice) => {
            hold(ticket, key, quotas);
            Drawn::Now(slice.from, None)
        }
    })
}

async fn ask(
    shared: &Shared,
    key: &LimitKey,
    change: impl FnMut(&mut KeyState, Timestamp) -> (Grant, Keep),
) -> Result<Grant, No> {
    let cell = format!("limit/{key}");
    let grant = alter(&*shared.ports.cells, &*shared.clock, &cell, change).await?;
    shared.observer.port_works(Call::Cells);
    Ok(grant)
}

/// Where a key counts who runs, the job has to say when it has ended.
fn hold(ticket: &mut Ticket, key: &LimitKey, quotas: &[Quota]) {
    if quotas.iter().any(|quota| matches!(quota, Quota::AtOnce(_))) {
        ticket.held.push(key.clone());
    }
}

impl Local {
    /// What is left of a slice after the job it was taken for.
    fn new(shared: &Shared, slice: Slice) -> Self {
        let burst = NonZeroU32::new(slice.burst).unwrap_or(NonZeroU32::MIN);
        let pace = Pace::with_period(slice.apart).filter(|_| slice.jobs > 1).map(|pace| {
            let clock = Since(Arc::clone(&shared.clock), before(slice.from, NEAR));
            Arc::new(RateLimiter::direct_with_clock(pace.allow_burst(burst), clock))
        });
        let until = after(after(slice.from, slice.apart * slice.jobs), WORTH);
        Self { left: slice.jobs - 1, from: slice.from, until, pace }
    }
}

/// How many jobs a slice of these quotas is for.
fn size(quotas: &[Quota]) -> u32 {
    let most = |quota: &Quota| match quota {
        Quota::Rate { count, per, .. } => {
            let share = f64::from(*count) * WORTH.as_secs_f64() / per.as_secs_f64().max(1.0);
            (share as u32).clamp(1, MOST)
        }
        // A slice that is lost with its worker is lost for the day.
        Quota::Daily { count, .. } => (count / 1000).clamp(1, MOST),
        Quota::AtOnce(_) => 1,
    };
    quotas.iter().map(most).min().unwrap_or(1)
}

/// The job runs no more under a key that counts who runs.
pub(super) async fn release(shared: &Shared, key: &LimitKey, job: JobId) {
    let cell = format!("limit/{key}");
    let released = alter(&*shared.ports.cells, &*shared.clock, &cell, |state: &mut KeyState, _| {
        if state.release(job) { ((), Keep::For(KEPT)) } else { ((), Keep::AsIs) }
    })
    .await;
    shared.observer.port(Call::Cells, &released);
}

/// What the job has reserved; from now on it is used up.
async fn collect(shared: &Shared, job: JobId) -> Result<Reserved, No> {
    let take = |reserved: &mut Reserved, _| (std::mem::take(reserved), Keep::Nothing);
    Ok(alter(&*shared.ports.cells, &*shared.clock, &format!("grant/{job}"), take).await?)
}

async fn keep(shared: &Shared, job: JobId, reserved: &Reserved) -> Result<(), No> {
    let Some(last) = reserved.0.values().max().copied() else { return Ok(()) };
    let put = |state: &mut Reserved, now: Timestamp| {
        *state = reserved.clone();
        ((), Keep::For(between(now, last)))
    };
    Ok(alter(&*shared.ports.cells, &*shared.clock, &format!("grant/{job}"), put).await?)
}
