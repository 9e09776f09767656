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
use super::route::Limited;
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

/// The least slice that is renewed before it is used up: with smaller ones too much of a quota
/// would lie at hand unused.
const AHEAD: u32 = 64;
/// What of it is left then: one in so many.
const LAST: u32 = 4;

/// What a worker has of a key.
pub(crate) type Slot = Arc<tokio::sync::Mutex<Option<Local>>>;

/// The slices of this worker, by key.
#[derive(Default)]
pub(crate) struct Slices(Mutex<BTreeMap<LimitKey, Slot>>);

/// A slice at hand.
pub(crate) struct Local {
    /// How many it was for.
    jobs: u32,
    left: u32,
    /// The one after it, taken while this one lasted.
    next: Option<Box<Local>>,
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
    /// What this worker has of a key.
    pub(super) fn of(&self, key: &LimitKey) -> Slot {
        Arc::clone(lock(&self.0).entry(key.clone()).or_default())
    }

    /// Forgets the slice of a key that was told "too fast".
    pub(crate) async fn forget(&self, key: &LimitKey) {
        let slot = lock(&self.0).get(key).cloned();
        if let Some(slot) = slot {
            *slot.lock().await = None;
        }
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
    let route = Arc::clone(&ticket.route);
    if route.limited.is_empty() {
        return Ok(());
    }
    let mut reserved = Reserved::default();
    if claimed.available_at > claimed.enqueued_at {
        reserved = collect(shared, claimed.held.id).await?;
    }
    let now = shared.clock.now();
    reserved.0.retain(|_, holds| now < *holds);
    let ours = reserved.0.clone();
    let is_ours = |of: &&Limited| ours.contains_key(&of.key);

    let (mut start, mut pacers, mut drawn) = (now, Vec::new(), Vec::new());
    let open = route.limited.iter().filter(|of| !is_ours(of)).map(|of| (of, false));
    for (of, reserved_it) in open.chain(route.limited.iter().filter(is_ours).map(|of| (of, true))) {
        let got = if reserved_it {
            commence(shared, ticket, of, until).await?
        } else {
            draw(shared, ticket, of, until, now).await?
        };
        match got {
            Drawn::Now(from, pacer) => {
                start = start.max(from);
                pacers.extend(pacer);
                if !reserved_it {
                    drawn.push((of, from));
                }
            }
            Drawn::Not { until, reason, holds } => {
                reserved.0.extend(holds.map(|holds| (of.key.clone(), holds)));
                for (of, from) in drawn {
                    if !put_back(&of.slot, now).await {
                        reserved.0.insert(of.key.clone(), after(from, HOLDS));
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

/// A permission that was drawn and is not used; `false`: its slice is over.
async fn put_back(slot: &Slot, now: Timestamp) -> bool {
    let mut local = slot.lock().await;
    let Some(slice) = local.as_mut().filter(|slice| now < slice.until) else { return false };
    slice.left += 1;
    true
}

async fn wait(shared: &Shared, start: Timestamp, pacers: &[Arc<Pacer>]) {
    let early = between(shared.clock.now(), start);
    if !early.is_zero() {
        tokio::time::sleep(early).await;
    }
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
    of: &Limited,
    until: Timestamp,
    now: Timestamp,
) -> Result<Drawn, No> {
    let Limited { key, quotas, slot } = of;
    let holder = (ticket.job, until);
    let mut local = slot.lock().await;
    if let Some((drawn, last)) = local.as_mut().and_then(|slice| slice.draw(now)) {
        drop(local);
        if last {
            renew(shared, of, holder).await;
        }
        return Ok(drawn);
    }
    let now = shared.clock.now(); // it may have waited for the slice of another
    if let Some((drawn, _)) = local.as_mut().and_then(|slice| slice.draw(now)) {
        return Ok(drawn);
    }
    let horizon = after(now, shared.settings.limits.ahead);
    let take = |state: &mut KeyState, now: Timestamp| match begin(state, quotas, holder, now) {
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
    let mut made = Local::new(shared, slice);
    made.left -= 1;
    let pacer = made.pace.clone();
    *local = Some(made);
    Ok(Drawn::Now(slice.from, pacer))
}

/// A slice of these quotas, if it begins soon.
fn begin(
    state: &mut KeyState,
    quotas: &[Quota],
    holder: (JobId, Timestamp),
    now: Timestamp,
) -> Grant {
    state.take(quotas, size(quotas), holder, after(now, NEAR), now)
}

/// Takes the next slice while others still use the present one, so that nobody waits for it. What
/// does not succeed is asked for again by whoever finds the slice used up.
async fn renew(shared: &Shared, of: &Limited, holder: (JobId, Timestamp)) {
    let take = |state: &mut KeyState, now: Timestamp| {
        let grant = begin(state, &of.quotas, holder, now);
        let keep = if matches!(grant, Grant::Slice(_)) { Keep::For(KEPT) } else { Keep::AsIs };
        (grant, keep)
    };
    let Ok(Grant::Slice(slice)) = ask(shared, &of.key, take).await else { return };
    let next = Local::new(shared, slice);
    // None: it was told "too fast" meanwhile.
    if let Some(local) = of.slot.lock().await.as_mut() {
        local.next = Some(Box::new(next));
    }
}

/// A job whose reserved moment has come.
async fn commence(
    shared: &Shared,
    ticket: &mut Ticket,
    of: &Limited,
    until: Timestamp,
) -> Result<Drawn, No> {
    let Limited { key, quotas, .. } = of;
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
    fn new(shared: &Shared, slice: Slice) -> Self {
        let burst = NonZeroU32::new(slice.burst).unwrap_or(NonZeroU32::MIN);
        let pace = Pace::with_period(slice.apart).filter(|_| slice.jobs > 1).map(|pace| {
            let clock = Since(Arc::clone(&shared.clock), before(slice.from, NEAR));
            Arc::new(RateLimiter::direct_with_clock(pace.allow_burst(burst), clock))
        });
        let until = after(after(slice.from, slice.apart * slice.jobs), WORTH);
        let (jobs, from) = (slice.jobs, slice.from);
        Self { jobs, left: jobs, next: None, from, until, pace }
    }

    /// One permission, from this slice or the one after it; `true`: it is time for another.
    fn draw(&mut self, now: Timestamp) -> Option<(Drawn, bool)> {
        if (self.left == 0 || now >= self.until)
            && let Some(next) = self.next.take()
        {
            *self = *next;
        }
        if self.left == 0 || now >= self.until {
            return None;
        }
        self.left -= 1;
        let last = self.jobs >= AHEAD && self.left == self.jobs / LAST && self.next.is_none();
        Some((Drawn::Now(self.from, self.pace.clone()), last))
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
