//! The overview as a document: what `flotilla top` draws, here and from far away.

use flotilla_core::breaker::Stand;
use flotilla_core::fleet::WorkerInfo;
use flotilla_core::records::Pause;
use flotilla_core::{Lane, State, Timestamp};
use flotilla_engine::traffic::{BreakerInfo, LimitInfo};
use serde::{Deserialize, Serialize};

use crate::attention::Attention;
use crate::overview::{Dead, LaneView, Overview, Pace};

/// Keys of limits that are shown at most: those that hold somebody back.
const LIMITS: usize = 100;

/// The fleet at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Glance {
    /// When.
    pub at: Timestamp,
    /// What needs somebody, the worst first.
    pub attention: Vec<Attention>,
    /// Every lane with jobs.
    pub lanes: Vec<LaneGlance>,
    /// Workers that are there.
    pub workers: Vec<WorkerInfo>,
    /// Workers that fell silent without a goodbye.
    pub lost: Vec<WorkerInfo>,
    /// Limits that let nobody start now, or are frozen.
    pub limits: Vec<LimitInfo>,
    /// Breakers that are not simply closed.
    pub breakers: Vec<BreakerInfo>,
    /// Dead letters by what they need.
    pub dead: Dead,
    /// How fast it goes.
    pub pace: Pace,
}

/// One lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneGlance {
    /// Which.
    pub lane: Lane,
    /// Jobs that run.
    pub running: u64,
    /// Jobs that could run now, had somebody a slot for them.
    pub runnable: u64,
    /// Jobs that wait for a key, or for the end of a pause.
    pub blocked: u64,
    /// Jobs that wait for a moment.
    pub scheduled: u64,
    /// Dead letters.
    pub dead: u64,
    /// Jobs that have ended and are kept.
    pub ended: u64,
    /// Seconds until what is runnable has run; absent: nothing has ended lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<f64>,
    /// Workers that serve it.
    pub workers: usize,
    /// Workers that would begin every runnable job within a minute.
    pub wanted: u64,
    /// Set while it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
}

impl From<&LaneView> for LaneGlance {
    fn from(of: &LaneView) -> Self {
        let load = &of.load;
        Self {
            lane: load.lane.clone(),
            running: load.running,
            runnable: load.runnable,
            blocked: load.parked + load.paused,
            scheduled: load.scheduled,
            dead: of.count(State::Dead),
            ended: [State::Completed, State::Cancelled, State::Dead]
                .map(|it| of.count(it))
                .iter()
                .sum(),
            drain: load.drain.map(|drain| drain.as_secs_f64()),
            workers: of.workers,
            wanted: load.replicas,
            paused: of.info.paused.clone(),
        }
    }
}

impl From<Overview> for Glance {
    fn from(of: Overview) -> Self {
        let now = of.at;
        let holds = |info: &LimitInfo| {
            info.next_start.is_none_or(|at| at > now)
                || info.frozen_until.is_some_and(|at| at > now)
        };
        Self {
            at: now,
            lanes: of.lanes.iter().map(LaneGlance::from).collect(),
            attention: of.attention,
            workers: of.workers,
            lost: of.lost,
            limits: of.limits.into_iter().filter(holds).take(LIMITS).collect(),
            breakers: of.breakers.into_iter().filter(|it| it.stand != Stand::Closed).collect(),
            dead: of.dead,
            pace: of.pace,
        }
    }
}
