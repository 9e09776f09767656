//! The fleet at a glance: what the overview page, its live stream and the terminal show.
//!
//! Gathering reads the ports and changes nothing; what follows from it (`attention`) is pure.

use std::time::Duration;

use flotilla_core::clock::{before, between};
use flotilla_core::fleet::{Fleet, WorkerInfo};
use flotilla_core::queue::QueueError;
use flotilla_core::records::{Filter, LaneInfo, Page, Records};
use flotilla_core::{Cells, DeadClass, State, Timestamp};
use flotilla_engine::scale::{self, Load};
use flotilla_engine::traffic::{self, BreakerInfo, LimitInfo};
use flotilla_vault::{Listed, Stopped};
use serde::{Deserialize, Serialize};

use crate::Accounts;
use crate::attention::{self, Attention};

/// Workers seen within this count as there.
pub(crate) const SEEN: Duration = Duration::from_secs(30);
/// Workers that fell silent are named for so long.
const MISSED: Duration = Duration::from_secs(3600);
/// What was finished longer ago says nothing of now.
const LATELY: Duration = Duration::from_secs(600);
/// Finished jobs that are looked at.
const SAMPLE: usize = 200;
/// Accounts that are looked at.
const ACCOUNTS: usize = 500;

/// Where to look.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The jobs.
    pub records: &'a dyn Records,
    /// The workers.
    pub fleet: &'a dyn Fleet,
    /// Limits and breakers.
    pub cells: &'a dyn Cells,
    /// Accounts of platforms.
    pub accounts: &'a dyn Accounts,
    /// Quotas of the configuration.
    pub rules: &'a [flotilla_core::limit::Rule],
}

/// One lane: what its jobs wait for, and who serves it.
#[derive(Clone, Debug)]
pub struct LaneView {
    /// Its jobs by state.
    pub info: LaneInfo,
    /// What an autoscaler sees of it.
    pub load: Load,
    /// Workers that serve it.
    pub workers: usize,
}

impl LaneView {
    /// Jobs of one state.
    pub(crate) fn count(&self, state: State) -> u64 {
        self.info.counts.get(&state).copied().unwrap_or_default()
    }

    /// Jobs that have not ended and cannot run now.
    pub fn blocked(&self) -> u64 {
        self.load.scheduled + self.load.parked + self.load.paused
    }
}

/// Dead letters by what they need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dead {
    /// All of them.
    pub total: u64,
    /// An irreversible call was made and nobody knows how it ended.
    pub unknown: u64,
    /// They took their workers down.
    pub poison: u64,
    /// Their credential does not hold.
    pub unauthorised: u64,
}

/// How fast it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Jobs completed per second; absent: none lately.
    pub rate: Option<f64>,
    /// From due to begun: half of the jobs wait no longer.
    pub pickup_p50: Option<Duration>,
    /// 95 of 100 wait no longer.
    pub pickup_p95: Option<Duration>,
    /// From begun to done, half of the jobs.
    pub run_p50: Option<Duration>,
    /// 95 of 100.
    pub run_p95: Option<Duration>,
    /// Jobs this is taken from.
    pub sample: usize,
}

/// The fleet at one moment.
#[derive(Clone, Debug)]
pub struct Overview {
    /// When.
    pub at: Timestamp,
    /// Every lane with jobs.
    pub lanes: Vec<LaneView>,
    /// Workers that are there.
    pub workers: Vec<WorkerInfo>,
    /// Workers that fell silent without a goodbye.
    pub lost: Vec<WorkerInfo>,
    /// Dead letters.
    pub dead: Dead,
    /// How fast it goes.
    pub pace: Pace,
    /// Limits that are used or frozen.
    pub limits: Vec<LimitInfo>,
    /// Breakers that had trouble.
    pub breakers: Vec<BreakerInfo>,
    /// Accounts, the first of them.
    pub accounts: Vec<Listed>,
    /// Platforms that are left alone.
    pub stops: Vec<Stopped>,
    /// What needs somebody, the worst first.
    pub attention: Vec<Attention>,
}

impl Overview {
    /// Jobs over all lanes, by what `of` takes of each.
    pub fn sum(&self, of: impl Fn(&LaneView) -> u64) -> u64 {
        self.lanes.iter().map(of).sum()
    }
}

/// Reads all of it.
///
/// # Errors
/// When a port cannot be read.
pub async fn gather(from: Sources<'_>, now: Timestamp) -> Result<Overview, QueueError> {
    let seen = from.fleet.workers(before(now, MISSED)).await?;
    let (workers, lost): (Vec<_>, Vec<_>) =
        seen.into_iter().partition(|worker| worker.seen_at >= before(now, SEEN));
    let infos = from.records.lanes().await?;
    let loads = scale::loads_of(from.records, &infos, &workers, attention::WITHIN, now).await?;
    let lanes: Vec<LaneView> = infos
        .into_iter()
        .zip(loads)
        .map(|(info, load)| {
            let serving = |w: &&WorkerInfo| !w.draining && w.lanes.contains(&info.lane);
            LaneView { workers: workers.iter().filter(serving).count(), info, load }
        })
        .collect();
    let (accounts, stops) = match from.accounts.list(None, ACCOUNTS).await {
        Ok(found) => (found, from.accounts.stops().await.unwrap_or_default()),
        Err(error) => {
            tracing::warn!(%error, "the accounts could not be read for the overview");
            Default::default()
        }
    };
    let mut overview = Overview {
        at: now,
        dead: dead(from.records, &lanes).await?,
        pace: pace(from.records, now).await?,
        limits: traffic::limits(from.cells, from.rules, now).await?,
        breakers: traffic::breakers(from.cells, now).await?,
        lanes,
        workers,
        lost,
        accounts,
        stops,
        attention: Vec::new(),
    };
    overview.attention = attention::needs(&overview);
    Ok(overview)
}

async fn dead(records: &dyn Records, lanes: &[LaneView]) -> Result<Dead, QueueError> {
    let total = lanes.iter().map(|lane| lane.count(State::Dead)).sum();
    if total == 0 {
        return Ok(Dead::default());
    }
    let of = |class| Filter { classes: vec![class], ..Filter::default() }.dead();
    Ok(Dead {
        total,
        unknown: records.count(&of(DeadClass::OutcomeUnknown)).await?,
        poison: records.count(&of(DeadClass::Poison)).await?,
        unauthorised: records.count(&of(DeadClass::Unauthorised)).await?,
    })
}

/// From the jobs that were completed lately.
async fn pace(records: &dyn Records, now: Timestamp) -> Result<Pace, QueueError> {
    let done = Filter { states: vec![State::Completed], ..Filter::default() };
    let listed = records.list(&done, Page { limit: SAMPLE, before: None }).await?;
    let (mut pickups, mut runs, mut first) = (Vec::new(), Vec::new(), now);
    for job in &listed.jobs {
        let (Some(start), Some(end)) = (job.started_at, job.finished_at) else { continue };
        if end < before(now, LATELY) {
            continue;
        }
        first = first.min(end);
        runs.push(between(start, end));
        if job.attempt == 1 && job.flow.is_none() {
            pickups.push(between(job.run_at, start));
        }
    }
    let span = between(first, now).as_secs_f64().max(1.0);
    Ok(Pace {
        rate: (!runs.is_empty()).then(|| runs.len() as f64 / span),
        pickup_p50: share(&mut pickups, 50),
        pickup_p95: share(&mut pickups, 95),
        run_p50: share(&mut runs, 50),
        run_p95: share(&mut runs, 95),
        sample: runs.len(),
    })
}

/// The value that `percent` of them do not exceed.
fn share(values: &mut [Duration], percent: usize) -> Option<Duration> {
    values.sort_unstable();
    let at = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_seen() {
        let mut values: Vec<Duration> = (1..=20).rev().map(Duration::from_secs).collect();
        assert_eq!(share(&mut values, 50), Some(Duration::from_secs(10)));
        assert_eq!(share(&mut values, 95), Some(Duration::from_secs(19)));
        assert_eq!(share(&mut [], 95), None);
    }
}
