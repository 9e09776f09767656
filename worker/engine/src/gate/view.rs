//! What this worker believes of rules, frozen keys and breakers: read from the fleet once a
//! second, so that a job looks in memory only. The same round takes in what calls said, and wakes
//! parked jobs as their breaker allows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::breaker::{Answer, Breaker, REMEMBERED, Stand};
use flotilla_core::clock::{before, between};
use flotilla_core::limit::{LimitKey, Quota, Rule};
use flotilla_core::queue::QueueError;
use serde::{Deserialize, Serialize};

use super::cas::{self, Keep};
use super::route::Route;
use crate::lease::lock;
use crate::names::Call;
use crate::shared::Shared;

/// Between two looks at the fleet.
const LOOK: Duration = Duration::from_secs(1);
/// A view that is older than this is not believed.
const STALE: Duration = Duration::from_secs(5);
/// How long the state of a breaker without news is kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Jobs woken in one call.
const WAKE: usize = 1000;
/// Answers of one key between two looks; more say nothing new.
const ANSWERS: usize = 10_000;

/// A key that was told "too fast".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Frozen {
    pub(crate) until: Timestamp,
    pub(crate) reason: String,
}

pub(crate) struct View {
    seen: Mutex<Seen>,
    /// Grows when other rules hold.
    edition: AtomicU64,
}

#[derive(Default)]
struct Seen {
    /// Of the configuration.
    fixed: Vec<Rule>,
    /// Set by people while the fleet runs; one of the same pattern stands in for a fixed one.
    live: Vec<Rule>,
    frozen: BTreeMap<LimitKey, Frozen>,
    breakers: BTreeMap<LimitKey, Breaker>,
    /// Answers not yet told to the fleet.
    heard: BTreeMap<LimitKey, Vec<Answer>>,
    at: Option<Timestamp>,
}

impl View {
    pub(crate) fn new(fixed: Vec<Rule>) -> Self {
        let seen = Mutex::new(Seen { fixed, ..Seen::default() });
        Self { seen, edition: AtomicU64::new(0) }
    }

    /// Of the rules as they are now.
    pub(crate) fn edition(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    /// Takes in the rules that people have set.
    pub(super) fn set_live(&self, live: Vec<Rule>) {
        let mut seen = lock(&self.seen);
        if seen.live != live {
            seen.live = live;
            self.edition.fetch_add(1, Ordering::Release);
        }
    }

    /// Nothing is known that could stop a job on its way, and the view is fresh.
    pub(super) fn is_clear(&self, route: &Route, now: Timestamp) -> bool {
        let seen = lock(&self.seen);
        let old = before(now, STALE);
        let troubled = || route.breakers.iter().any(|key| seen.breakers.contains_key(key));
        let frozen = || route.path.iter().any(|key| seen.frozen.contains_key(key));
        seen.at.is_some_and(|at| at >= old)
            && (seen.breakers.is_empty() || !troubled())
            && (seen.frozen.is_empty() || !frozen())
    }

    /// Every quota of a key.
    pub(crate) fn quotas(&self, key: &LimitKey) -> Vec<Quota> {
        let seen = lock(&self.seen);
        quotas(&seen.fixed, &seen.live, key)
    }

    pub(crate) fn frozen(&self, key: &LimitKey, now: Timestamp) -> Option<(Timestamp, String)> {
        let seen = lock(&self.seen);
        let frozen = seen.frozen.get(key).filter(|frozen| now < frozen.until)?;
        Some((frozen.until, frozen.reason.clone()))
    }

    /// Where the breaker of a key stands; asks the fleet when the view is old.
    pub(crate) async fn breaker(
        &self,
        shared: &Shared,
        key: &LimitKey,
    ) -> Result<Stand, QueueError> {
        let old = before(shared.clock.now(), STALE);
        {
            let seen = lock(&self.seen);
            if seen.at.is_some_and(|at| at >= old) {
                return Ok(seen.breakers.get(key).map(|b| b.stand.clone()).unwrap_or_default());
            }
        }
        let breaker = alter_kept(shared, key, |breaker| (breaker.clone(), false)).await?;
        Ok(breaker.stand)
    }

    /// A call under this breaker was answered.
    pub(crate) fn hear(&self, key: &LimitKey, answer: Answer) {
        let mut seen = lock(&self.seen);
        let heard = seen.heard.entry(key.clone()).or_default();
        if heard.len() < ANSWERS {
            heard.push(answer);
        }
    }
}

/// The quotas that hold for a key under rules of the configuration and of people.
pub(crate) fn quotas(fixed: &[Rule], live: &[Rule], key: &LimitKey) -> Vec<Quota> {
    let set: BTreeSet<&str> = live.iter().map(|rule| rule.pattern.as_str()).collect();
    let fixed = fixed.iter().filter(|rule| !set.contains(rule.pattern.as_str()));
    let mut quotas: Vec<Quota> = fixed
        .chain(live)
        .filter(|rule| rule.matches(key))
        .flat_map(|rule| rule.quotas.iter().cloned())
        .collect();
    quotas.sort();
    quotas.dedup();
    quotas
}

/// The key jobs of a breaker are parked under.
pub(crate) fn park_key(key: &LimitKey) -> String {
    format!("breaker:{key}")
}

/// Changes a breaker of the fleet, and what this worker believes of it.
pub(crate) async fn alter<T>(
    shared: &Shared,
    key: &LimitKey,
    mut change: impl FnMut(&mut Breaker) -> T,
) -> Result<T, QueueError> {
    alter_kept(shared, key, |breaker| (change(breaker), true)).await
}

async fn alter_kept<T>(
    shared: &Shared,
    key: &LimitKey,
    mut change: impl FnMut(&mut Breaker) -> (T, bool),
) -> Result<T, QueueError> {
    let mut after_it = Breaker::default();
    let cell = format!("breaker/{key}");
    let answer =
        cas::alter(&*shared.ports.cells, &*shared.clock, &cell, |breaker: &mut Breaker, _| {
            let before_it = breaker.clone();
            let (answer, write) = change(breaker);
            after_it = breaker.clone();
            let keep = match &breaker.stand {
                _ if !write || *breaker == before_it => Keep::AsIs,
                _ if breaker.is_blank() => Keep::Nothing,
                _ if breaker.is_idle() => Keep::For(REMEMBERED),
                Stand::Open { until: None, .. } => Keep::Always,
                _ => Keep::For(KEPT),
            };
            (answer, keep)
        })
        .await?;
    let mut seen = lock(&shared.gate.view.seen);
    if after_it.is_idle() {
        seen.breakers.remove(key);
    } else {
        seen.breakers.insert(key.clone(), after_it);
    }
    Ok(answer)
}

/// Leaves a key alone until then, in the whole fleet; here at once.
pub(crate) async fn freeze(shared: &Shared, key: &LimitKey, until: Timestamp, reason: &str) {
    let frozen = Frozen { until, reason: reason.to_owned() };
    lock(&shared.gate.view.seen).frozen.insert(key.clone(), frozen.clone());
    shared.gate.slices.forget(key).await;
    let cell = format!("freeze/{key}");
    let told =
        cas::alter(&*shared.ports.cells, &*shared.clock, &cell, |there: &mut Frozen, now| {
            if there.until >= frozen.until {
                return ((), Keep::AsIs);
            }
            *there = frozen.clone();
            ((), Keep::For(between(now, until)))
        })
        .await;
    shared.observer.port(Call::Cells, &told);
}

/// Looks once a second until dropped.
pub(crate) async fn watch(shared: Arc<Shared>) {
    loop {
        let result = look(&shared).await;
        shared.observer.port(Call::Cells, &result);
        tokio::time::sleep(shared.jittered(LOOK)).await;
    }
}

async fn look(shared: &Shared) -> Result<(), QueueError> {
    tell(shared).await?;
    let (cells, now) = (&*shared.ports.cells, shared.clock.now());
    let live = cas::all::<Rule>(cells, "rule/", now).await?;
    shared.gate.view.set_live(live.into_iter().map(|(_, rule)| rule).collect());
    let frozen = keyed(cas::all::<Frozen>(cells, "freeze/", now).await?);
    let breakers = keyed(cas::all::<Breaker>(cells, "breaker/", now).await?);
    let troubled: Vec<LimitKey> = breakers
        .iter()
        .filter(|(_, breaker)| breaker.stand != Stand::Closed)
        .map(|(key, _)| key.clone())
        .collect();
    {
        let mut seen = lock(&shared.gate.view.seen);
        seen.frozen = frozen;
        seen.breakers = breakers.into_iter().filter(|(_, breaker)| !breaker.is_idle()).collect();
        seen.at = Some(now);
    }
    shared.gate.slices.prune(now);
    for key in troubled {
        wake(shared, &key).await?;
    }
    Ok(())
}

fn keyed<S>(found: Vec<(String, S)>) -> BTreeMap<LimitKey, S> {
    found.into_iter().filter_map(|(key, state)| Some((key.parse().ok()?, state))).collect()
}

/// Tells the fleet what calls said. A key of which only good is known and heard costs no write.
async fn tell(shared: &Shared) -> Result<(), QueueError> {
    let heard: Vec<(LimitKey, Vec<Answer>)> = {
        let mut seen = lock(&shared.gate.view.seen);
        let heard = std::mem::take(&mut seen.heard);
        let news = |key: &LimitKey, answers: &[Answer]| {
            seen.breakers.contains_key(key) || answers.iter().any(|a| *a != Answer::Good)
        };
        heard.into_iter().filter(|(key, answers)| news(key, answers)).collect()
    };
    let policy = shared.settings.breakers.policy;
    for (key, answers) in heard {
        let now = shared.clock.now();
        if alter(shared, &key, |breaker| breaker.hear(&policy, &answers, now)).await? {
            tracing::warn!(breaker = %key, "opened: its jobs are parked");
        }
    }
    Ok(())
}

/// Wakes what may run now: one worker of the fleet in each second.
async fn wake(shared: &Shared, key: &LimitKey) -> Result<(), QueueError> {
    let cell = format!("waker/{key}");
    let mine =
        cas::alter(&*shared.ports.cells, &*shared.clock, &cell, |at: &mut Timestamp, now| {
            if *at > before(now, LOOK * 9 / 10) {
                return (false, Keep::AsIs);
            }
            *at = now;
            (true, Keep::For(LOOK * 60))
        })
        .await?;
    if !mine {
        return Ok(());
    }
    let policy = shared.settings.breakers.policy;
    let now = shared.clock.now();
    let mut most = alter(shared, key, |breaker| breaker.wake(&policy, now)).await?;
    while most > 0 {
        let batch = most.min(WAKE);
        let woken = shared.ports.records.wake(&park_key(key), batch, shared.clock.now()).await?;
        if woken < batch as u64 {
            break;
        }
        most -= batch;
    }
    Ok(())
}
