//! What the binary tells the engine: plain values with defaults, checked once at the start.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::breaker;
use flotilla_core::event::Events;
use flotilla_core::limit::Rule;
use flotilla_core::{Kind, Lane, Payload, Priority, Tenant, WorkerId};

use crate::StartError;
use crate::quarantine::Isolation;

/// How one engine works. Every field has a default that suits one small machine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of this worker in leases, records and the fleet.
    pub worker: WorkerId,
    /// The build, as the fleet shows it.
    pub version: String,
    /// The lanes to serve. Empty: the lanes of all registered kinds; a job enqueued on another
    /// lane is run only by workers that name that lane here.
    pub lanes: Vec<Lane>,
    /// Jobs that may run at once.
    pub concurrency: usize,
    /// Closures that may burn the CPU at once (`JobContext::cpu`).
    pub cpu_slots: usize,
    /// How long a claim holds a job without a heartbeat.
    pub lease: Duration,
    /// How often leases are extended, progress is sent and requests to cancel are heard.
    pub heartbeat: Duration,
    /// The longest wait between two claims of an idle worker; jittered.
    pub poll: Duration,
    /// How long a drain lets running jobs go on.
    pub drain_grace: Duration,
    /// How long a handler may go on after its cancellation token was fired.
    pub cancel_grace: Duration,
    /// How often due jobs are promoted, lost leases rescued, finished records pruned; jittered.
    pub housekeep_every: Duration,
    /// How often the worker shows itself to the fleet.
    pub fleet_every: Duration,
    /// Dead as `poison` once a job's lease ran out this often.
    pub poison_after: u32,
    /// How long finished records are kept.
    pub retention: Retention,
    /// At most this many jobs in one claim, one settle and one sort of housekeeping.
    pub batch: usize,
    /// End by itself once there is nothing to do.
    pub until_idle: bool,
    /// With `until_idle`: a waiting job that is due later than this from now does not count.
    pub idle_horizon: Duration,
    /// What to enqueue by the clock.
    pub schedules: Vec<ScheduleEntry>,
    /// How far flows may reach.
    pub flows: FlowBounds,
    /// How fast calls may be made.
    pub limits: Limits,
    /// When to stop calling who does not answer well.
    pub breakers: Breakers,
    /// Whom to tell of jobs; nobody: ends that were marked before are let go in time.
    pub events: Events,
    /// Where jobs run that are poison if their worker falls once more; none: with the others.
    pub quarantine: Option<Arc<dyn Isolation>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            worker: WorkerId::new("worker"),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            lanes: Vec::new(),
            concurrency: 32,
            cpu_slots: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            lease: Duration::from_secs(15),
            heartbeat: Duration::from_secs(3),
            poll: Duration::from_secs(1),
            drain_grace: Duration::from_secs(25),
            cancel_grace: Duration::from_secs(1),
            housekeep_every: Duration::from_secs(1),
            fleet_every: Duration::from_secs(5),
            poison_after: 2,
            retention: Retention::default(),
            batch: 256,
            until_idle: false,
            idle_horizon: Duration::from_secs(60),
            schedules: Vec::new(),
            flows: FlowBounds::default(),
            limits: Limits::default(),
            breakers: Breakers::default(),
            events: Events::default(),
            quarantine: None,
        }
    }
}

impl Settings {
    /// How long before the end of a lease its job is stopped when the lease cannot be extended:
    /// a fifth of the lease, so that the handler is gone before a successor may start.
    pub fn margin(&self) -> Duration {
        self.lease / 5
    }

    /// Refuses values with which the engine could not keep its promises.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let fault = |name, message: String| Err(StartError::Setting { name, message });
        for (name, value) in [
            ("concurrency", self.concurrency),
            ("batch", self.batch),
            ("poison_after", self.poison_after as usize),
        ] {
            if value == 0 {
                return fault(name, "must be at least 1".into());
            }
        }
        for (name, value) in [
            ("heartbeat", self.heartbeat),
            ("poll", self.poll),
            ("housekeep_every", self.housekeep_every),
            ("fleet_every", self.fleet_every),
        ] {
            if value < Duration::from_millis(10) {
                return fault(name, "must be at least 10 ms".into());
            }
        }
        let least = self.heartbeat * 2 + self.margin();
        if self.lease < least {
            let message = format!(
                "{:?} is too short for a heartbeat of {:?}: two missed heartbeats and a fifth of \
                 the lease must fit, so at least {:?}",
                self.lease,
                self.heartbeat,
                self.heartbeat * 5 / 2
            );
            return fault("lease", message);
        }
        Ok(())
    }
}

/// How far flows may reach; a job that starts more is dead as `invalid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowBounds {
    /// Generations below a job that has no parent.
    pub max_depth: u16,
    /// Children of one job, over all its attempts.
    pub max_children: u32,
}

impl Default for FlowBounds {
    /// Eight generations of a thousand children each.
    fn default() -> Self {
        Self { max_depth: 8, max_children: 1000 }
    }
}

/// Quotas of keys, and how far ahead they are given away.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Quotas by pattern of keys; all that match a key hold. People may set others while the
    /// fleet runs.
    pub rules: Vec<Rule>,
    /// A job whose moment is further off looks again after this time, without a reservation.
    pub ahead: Duration,
}

impl Default for Limits {
    /// No quotas; two days ahead.
    fn default() -> Self {
        Self { rules: Vec::new(), ahead: Duration::from_secs(2 * 24 * 3600) }
    }
}

/// Breakers of keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breakers {
    /// When they open and how they close.
    pub policy: breaker::Policy,
    /// Parts of a key that share a breaker: with 2, `instagram/42/publish` counts for
    /// `instagram/42`.
    pub depth: usize,
}

impl Default for Breakers {
    /// One breaker for each platform, account and endpoint.
    fn default() -> Self {
        Self { policy: breaker::Policy::default(), depth: 3 }
    }
}

/// How long finished records are kept, by how they ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Completed jobs and their results, unless the kind's policy says otherwise.
    pub completed: Duration,
    /// Cancelled jobs.
    pub cancelled: Duration,
    /// Dead letters.
    pub dead: Duration,
}

impl Default for Retention {
    /// One day, one day, thirty days.
    fn default() -> Self {
        let day = Duration::from_secs(24 * 3600);
        Self { completed: day, cancelled: day, dead: day * 30 }
    }
}

/// A job to be enqueued by the clock.
#[derive(Clone, Debug)]
pub struct ScheduleEntry {
    /// Names the entry in the fleet; a renamed entry starts anew.
    pub name: String,
    /// Five or six fields (with seconds), as in `0 6 * * MON-FRI`.
    pub cron: String,
    /// The IANA time zone the pattern is read in, as in `Europe/Berlin`.
    ///
    /// A fixed time that falls into the gap of a change to summer time fires at the first instant
    /// after it; one that happens twice in autumn fires once. Patterns with a wildcard or step in
    /// the hour or minute follow the wall clock.
    pub zone: String,
    /// What to enqueue.
    pub kind: Kind,
    /// With which arguments.
    pub payload: Payload,
    /// Where; the kind's lane when absent.
    pub lane: Option<Lane>,
    /// On whose behalf; `default` when absent.
    pub tenant: Option<Tenant>,
    /// How urgent; as the kind's policy says when absent.
    pub priority: Option<Priority>,
    /// What to do about moments at which no worker was there.
    pub missed: Missed,
}

impl ScheduleEntry {
    /// An entry in UTC that fires once for whatever it missed.
    pub fn new(name: &str, cron: &str, kind: Kind, payload: Payload) -> Self {
        Self {
            name: name.to_owned(),
            cron: cron.to_owned(),
            zone: "UTC".to_owned(),
            kind,
            payload,
            lane: None,
            tenant: None,
            priority: None,
            missed: Missed::default(),
        }
    }
}

/// What becomes of the moments at which a schedule should have fired and no worker was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missed {
    /// Nothing: a moment more than a minute past does not fire any more.
    Skip,
    /// One job, for the latest of them.
    #[default]
    Once,
    /// One job for each, at most this many: the latest ones.
    All {
        /// The bound.
        at_most: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_and_faults_are_named() {
        assert!(Settings::default().check().is_ok());
        let short = Settings { lease: Duration::from_secs(7), ..Settings::default() };
        assert!(short.check().unwrap_err().to_string().contains("at least 7.5s"));
        let none = Settings { concurrency: 0, ..Settings::default() };
        assert!(none.check().unwrap_err().to_string().contains("concurrency"));
    }
}
