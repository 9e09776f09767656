//! Limits and breakers of the fleet as people see and change them. Everything is in cells, so it
//! works from any process, also while no worker runs; workers heed a change within a second or
//! two.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_core::breaker::{Breaker, Past, Stand};
use flotilla_core::cells::Cells;
use flotilla_core::clock::after;
use flotilla_core::limit::{LimitKey, Quota, Rule};
use flotilla_core::meter::KeyState;
use flotilla_core::queue::QueueError;
use flotilla_core::{Clock, JobId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::gate::cas::{Keep, all, alter};
use crate::gate::view::{Frozen, quotas};

/// A rule, and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleInfo {
    /// Pattern and quotas; no quotas: whatever the configuration says of the pattern is lifted.
    #[serde(flatten)]
    pub rule: Rule,
    /// Set by hand while the fleet runs, and not by the configuration.
    pub set_by_hand: bool,
}

/// A key that was used or told "too fast".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitInfo {
    /// The key.
    pub key: LimitKey,
    /// What holds for it.
    pub quotas: Vec<Quota>,
    /// When the next job may start, by its quotas; absent: when one of those that run has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_start: Option<Timestamp>,
    /// Who runs under it, where that is counted.
    pub running: Vec<JobId>,
    /// Until when it is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen_until: Option<Timestamp>,
    /// Why it is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen_because: Option<String>,
}

/// A breaker that had trouble lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BreakerInfo {
    /// Its key; jobs are parked under `breaker:` and this.
    pub key: LimitKey,
    /// Where it stands.
    pub stand: Stand,
    /// How it was turned lately, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Past>,
}

/// Every rule: those of the configuration, which are `fixed`, and those set by hand.
///
/// # Errors
/// When the cells cannot be read.
pub async fn rules(
    cells: &dyn Cells,
    fixed: &[Rule],
    now: Timestamp,
) -> Result<Vec<RuleInfo>, QueueError> {
    let mut rules: BTreeMap<String, RuleInfo> = BTreeMap::new();
    for (rule, set_by_hand) in fixed
        .iter()
        .cloned()
        .map(|rule| (rule, false))
        .chain(live(cells, now).await?.into_iter().map(|rule| (rule, true)))
    {
        rules.insert(rule.pattern.clone(), RuleInfo { rule, set_by_hand });
    }
    Ok(rules.into_values().collect())
}

async fn live(cells: &dyn Cells, now: Timestamp) -> Result<Vec<Rule>, QueueError> {
    Ok(all::<Rule>(cells, "rule/", now).await?.into_iter().map(|(_, rule)| rule).collect())
}

/// Sets the quotas of a pattern for the whole fleet, instead of what the configuration says.
///
/// # Errors
/// When the cell cannot be written.
pub async fn set_rule(cells: &dyn Cells, clock: &dyn Clock, rule: &Rule) -> Result<(), QueueError> {
    let cell = format!("rule/{}", rule.pattern);
    alter(cells, clock, &cell, |there: &mut Option<Rule>, _| {
        *there = Some(rule.clone());
        ((), Keep::Always)
    })
    .await
}

/// What the configuration says of the pattern holds again. `false`: nothing was set.
///
/// # Errors
/// When the cell cannot be written.
pub async fn unset_rule(
    cells: &dyn Cells,
    clock: &dyn Clock,
    pattern: &str,
) -> Result<bool, QueueError> {
    let cell = format!("rule/{pattern}");
    alter(cells, clock, &cell, |there: &mut Option<Rule>, _| (there.is_some(), Keep::Nothing)).await
}

/// Every key that was used lately or is left alone.
///
/// # Errors
/// When the cells cannot be read.
pub async fn limits(
    cells: &dyn Cells,
    fixed: &[Rule],
    now: Timestamp,
) -> Result<Vec<LimitInfo>, QueueError> {
    let live = live(cells, now).await?;
    let mut states: BTreeMap<String, (KeyState, Option<Frozen>)> = BTreeMap::new();
    for (key, state) in all::<KeyState>(cells, "limit/", now).await? {
        states.entry(key).or_default().0 = state;
    }
    for (key, frozen) in all::<Frozen>(cells, "freeze/", now).await? {
        states.entry(key).or_default().1 = Some(frozen);
    }
    let info = |(key, (state, frozen)): (String, (KeyState, Option<Frozen>))| {
        let key: LimitKey = key.parse().ok()?;
        let quotas = quotas(fixed, &live, &key);
        Some(LimitInfo {
            next_start: state.next_start(&quotas, now),
            running: state
                .holders()
                .filter(|(_, until)| **until > now)
                .map(|(id, _)| *id)
                .collect(),
            frozen_until: frozen.as_ref().map(|frozen| frozen.until),
            frozen_because: frozen.map(|frozen| frozen.reason),
            key,
            quotas,
        })
    };
    Ok(states.into_iter().filter_map(info).collect())
}

/// Every breaker that is not simply closed, or had trouble lately.
///
/// # Errors
/// When the cells cannot be read.
pub async fn breakers(cells: &dyn Cells, now: Timestamp) -> Result<Vec<BreakerInfo>, QueueError> {
    let found = all::<Breaker>(cells, "breaker/", now).await?.into_iter();
    let info = |(key, breaker): (String, Breaker)| {
        let history = breaker.history().to_vec();
        Some(BreakerInfo { key: key.parse().ok()?, stand: breaker.stand, history })
    };
    Ok(found.filter_map(info).collect())
}

/// Opens a breaker by hand; with `pause`, jobs try again after that, else when it is closed.
///
/// # Errors
/// When the cell cannot be written.
pub async fn open_breaker(
    cells: &dyn Cells,
    clock: &dyn Clock,
    key: &LimitKey,
    by: &str,
    why: &str,
    pause: Option<Duration>,
) -> Result<(), QueueError> {
    alter(cells, clock, &format!("breaker/{key}"), |breaker: &mut Breaker, now| {
        breaker.open(by, why, pause.map(|pause| after(now, pause)), now);
        ((), Keep::Always)
    })
    .await
}

/// Closes a breaker by hand: its jobs are woken, few at first. `false`: it was closed, or is being closed.
///
/// # Errors
/// When the cell cannot be written.
pub async fn close_breaker(
    cells: &dyn Cells,
    clock: &dyn Clock,
    key: &LimitKey,
    by: &str,
    why: &str,
) -> Result<bool, QueueError> {
    alter(cells, clock, &format!("breaker/{key}"), |breaker: &mut Breaker, now| {
        if matches!(breaker.stand, Stand::Closed | Stand::Ramping { .. }) {
            return (false, Keep::AsIs);
        }
        breaker.close(by, why, now);
        (true, Keep::Always)
    })
    .await
}
