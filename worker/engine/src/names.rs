//! Every name the engine shows to the outside: metrics, outcomes, port calls. Labels are bounded:
//! a lane and a kind come from the configuration, everything else from the enums here.

/// A metric of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Counter by lane, kind and outcome.
    Settled,
    /// Histogram by lane and kind.
    Pickup,
    /// Histogram by lane and kind.
    Run,
    /// Gauge by lane and kind.
    Running,
    /// Gauge.
    Slots,
    /// Counter by answer.
    Claims,
    /// Histogram.
    ClaimJobs,
    /// Histogram.
    SettleJobs,
    /// Counter.
    LeasesLost,
    /// Counter by what was done.
    Housekept,
    /// Counter by call.
    PortErrors,
    /// Counter by answer.
    Fires,
    /// Counter by answer.
    Events,
    /// Gauge.
    Draining,
    /// Counter by what became of them.
    ReplayLetters,
    /// Gauge by state.
    ReplayOperations,
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 16] = [
        Self::Settled,
        Self::Pickup,
        Self::Run,
        Self::Running,
        Self::Slots,
        Self::Claims,
        Self::ClaimJobs,
        Self::SettleJobs,
        Self::LeasesLost,
        Self::Housekept,
        Self::PortErrors,
        Self::Fires,
        Self::Events,
        Self::Draining,
        Self::ReplayLetters,
        Self::ReplayOperations,
    ];

    /// The name as Prometheus shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settled => "flotilla_jobs_settled_total",
            Self::Pickup => "flotilla_pickup_seconds",
            Self::Run => "flotilla_run_seconds",
            Self::Running => "flotilla_jobs_running",
            Self::Slots => "flotilla_slots",
            Self::Claims => "flotilla_claims_total",
            Self::ClaimJobs => "flotilla_claim_jobs",
            Self::SettleJobs => "flotilla_settle_jobs",
            Self::LeasesLost => "flotilla_leases_lost_total",
            Self::Housekept => "flotilla_housekept_total",
            Self::PortErrors => "flotilla_port_errors_total",
            Self::Fires => "flotilla_schedule_fires_total",
            Self::Events => "flotilla_events_total",
            Self::Draining => "flotilla_draining",
            Self::ReplayLetters => "flotilla_replay_letters_total",
            Self::ReplayOperations => "flotilla_replay_operations",
        }
    }

    /// One line for people.
    pub fn help(self) -> &'static str {
        match self {
            Self::Settled => "attempts whose outcome was recorded",
            Self::Pickup => "seconds from the moment a job was available to its handler's start",
            Self::Run => "seconds a handler ran",
            Self::Running => "jobs whose handler runs now",
            Self::Slots => "jobs this worker may run at once",
            Self::Claims => "claims by what they gave: jobs, empty or error",
            Self::ClaimJobs => "jobs in one claim that gave any",
            Self::SettleJobs => "outcomes recorded in one settle",
            Self::LeasesLost => "leases lost while their job was held",
            Self::Housekept => "jobs promoted, rescued, quarantined, expired and pruned",
            Self::PortErrors => "failed calls of the ports: queue, records, fleet",
            Self::Fires => "moments of schedules: created, duplicate, rejected or missed",
            Self::Events => "deliveries of events enqueued: created, duplicate or rejected",
            Self::Draining => "1 while this worker drains",
            Self::ReplayLetters => {
                "dead letters of replays: replayed, and of these succeeded and failed; refused; skipped"
            }
            Self::ReplayOperations => "replays by state, as this worker sees them",
        }
    }
}

/// How an attempt ended, as metrics and events show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Completed,
    /// Failed, runs again.
    Retry,
    /// Later, uncharged.
    Snooze,
    /// Until a key wakes it, uncharged.
    Park,
    /// Given back by a drain, uncharged.
    Interrupted,
    /// No longer wanted.
    Cancelled,
    /// A dead letter.
    Dead,
    /// The lease was lost: the outcome was not recorded.
    Lost,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 8] = [
        Self::Completed,
        Self::Retry,
        Self::Snooze,
        Self::Park,
        Self::Interrupted,
        Self::Cancelled,
        Self::Dead,
        Self::Lost,
    ];

    /// The label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Retry => "retry",
            Self::Snooze => "snooze",
            Self::Park => "park",
            Self::Interrupted => "interrupted",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
            Self::Lost => "lost",
        }
    }
}

/// A call of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Claim,
    Extend,
    Settle,
    Housekeep,
    Fleet,
    Schedule,
    Records,
    Outbox,
    Cells,
    Replay,
}

impl Call {
    pub(crate) const ALL: [Self; 10] = [
        Self::Claim,
        Self::Extend,
        Self::Settle,
        Self::Housekeep,
        Self::Fleet,
        Self::Schedule,
        Self::Records,
        Self::Outbox,
        Self::Cells,
        Self::Replay,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Extend => "extend",
            Self::Settle => "settle",
            Self::Housekeep => "housekeep",
            Self::Fleet => "fleet",
            Self::Schedule => "schedule",
            Self::Records => "records",
            Self::Outbox => "outbox",
            Self::Cells => "cells",
            Self::Replay => "replay",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_follow_the_conventions_of_prometheus() {
        let names: BTreeSet<_> = Metric::ALL.iter().map(|m| m.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
        assert!(names.iter().all(|n| n.starts_with("flotilla_")));
        assert!(Metric::ALL.iter().all(|m| !m.help().ends_with('.')));
        let indexes: Vec<_> = Outcome::ALL.iter().map(|o| *o as usize).collect();
        assert_eq!(indexes, (0..Outcome::ALL.len()).collect::<Vec<_>>());
    }
}
