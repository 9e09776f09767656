//! The engine: takes jobs from a queue, runs them, records what became of them.
//!
//! It sees the ports of `flotilla-core` and nothing else: no backend, no kind, no configuration
//! file. Time and randomness are given to it.
//!
//! # The life of a job
//!
//! 1. `claim`: as slots become free, jobs are claimed in batches, of the lanes and kinds this
//!    worker has room for (`slots` does the arithmetic). An idle worker is woken by the queue's
//!    hint, or polls.
//! 2. `lease`: from then on the lease is kept by heartbeats, which also carry progress out and
//!    requests to cancel in. A job whose lease is lost is stopped.
//! 3. `desk`: the job waits for a runner; a runner is a task that takes one job after the other.
//! 4. `gate`: a job that calls somebody else's service passes if its breakers are closed and
//!    its quotas allow it; else it is parked or put off, uncharged.
//! 5. `execute`: one attempt. A span linked to the enqueuing trace; the payload decoded; the
//!    handler run, held to its timeout; a panic is a failed attempt like any other; the outcome
//!    turned into a verdict. A job whose worker fell before runs in a process of its own
//!    (`quarantine`). A job that awaits others has its children checked here (`flow`), and
//!    finds them again when it goes on.
//! 6. `settle`: verdicts are recorded in batches under the fence of their lease, again and again
//!    until the queue answers. The slot was free as soon as the handler had ended.
//! 7. `housekeep`: retries and scheduled jobs are promoted when due, jobs of workers that went
//!    away are rescued, finished records are pruned. `schedule` enqueues by the clock, `relay`
//!    enqueues what others are to be told.
//! 8. `drain`: on request, by order of the `fleet`, or when idle, the engine claims no more, lets
//!    running jobs finish within a grace, and gives the rest back without charging an attempt.
//!
//! # What holds at any moment
//!
//! - At most `concurrency` handlers run, and of a kind at most as many as its policy allows.
//! - A handler runs only while its lease is held, by this worker's clock less a margin.
//! - Failures of the ports never cost a job an attempt and never lose one: what could not be
//!   recorded runs again. Handlers therefore run at least once, not exactly once.
//! - Dropping the engine at any await loses nothing: leases run out, jobs are rescued.

mod catalog;
mod claim;
mod desk;
mod drain;
mod execute;
mod fleet;
mod flow;
pub mod found;
mod gate;
mod housekeep;
mod lease;
mod meters;
pub mod names;
mod observe;
pub mod quarantine;
mod relay;
mod replay;
mod retry;
pub mod scale;
pub mod schedule;
mod settings;
mod settle;
mod shared;
mod slots;
mod trace;
pub mod traffic;
pub mod why;

use std::sync::Arc;

use flotilla_core::ops::Ops;
use flotilla_core::{Cells, Clock, Outbox, Queue, Records, Registry, Rng, fleet::Fleet};
use tokio::sync::{broadcast, mpsc};

pub use names::Outcome;
pub use observe::{JobEvent, What};
pub use settings::{Breakers, FlowBounds, Limits, Missed, Retention, ScheduleEntry, Settings};

use shared::Shared;

/// What an engine works with.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Where jobs come from and outcomes go.
    pub queue: Arc<dyn Queue>,
    /// Where a parent finds its children again.
    pub records: Arc<dyn Records>,
    /// What the fleet agrees on: effects, limits, breakers.
    pub cells: Arc<dyn Cells>,
    /// Where ends wait to be told; only a worker with subscribers needs it.
    pub outbox: Option<Arc<dyn Outbox>>,
    /// What the workers know of each other.
    pub fleet: Arc<dyn Fleet>,
    /// Where the engine's metrics are registered; one engine per registry.
    pub metrics: prometheus::Registry,
}

impl Ports {
    /// All ports of one backend, and a metrics registry of its own.
    pub fn of<B: Queue + Records + Cells + Outbox + Fleet + 'static>(backend: &Arc<B>) -> Self {
        Self {
            queue: Arc::clone(backend) as Arc<dyn Queue>,
            records: Arc::clone(backend) as Arc<dyn Records>,
            cells: Arc::clone(backend) as Arc<dyn Cells>,
            outbox: Some(Arc::clone(backend) as Arc<dyn Outbox>),
            fleet: Arc::clone(backend) as Arc<dyn Fleet>,
            metrics: prometheus::Registry::new(),
        }
    }
}

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting with which it could not keep its promises.
    #[error("engine setting \"{name}\": {message}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// A schedule that cannot be.
    #[error("schedule \"{name}\": {message}")]
    Schedule {
        /// Which.
        name: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// There is nothing to run.
    #[error("no kinds are registered: a worker needs at least one")]
    NoKinds,
    /// The metrics registry refuses.
    #[error("metrics cannot be registered; use one registry per engine")]
    Metrics(#[from] prometheus::Error),
}

/// Starts engines.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// Starts an engine on the present tokio runtime.
    ///
    /// # Errors
    /// [`StartError`], before anything was claimed.
    pub fn start(
        ports: Ports,
        registry: Arc<Registry>,
        settings: Settings,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<Running, StartError> {
        settings.check()?;
        let ops = Ops { registry, queue: Arc::clone(&ports.queue), clock, rng };
        let schedules = schedule::check(&settings.schedules, &ops)?;
        // Room for two batches: one that is being recorded and one that gathers meanwhile.
        let (settling, ended) = mpsc::channel(settings.batch.saturating_mul(2));
        let relay = relay::new(&settings.events, ports.outbox.as_ref(), &ops.registry)?;
        let (bell, relay) = relay.unzip();
        let replays = replay::Meters::new(&ports.metrics)?;
        let shared = Shared::new(ports, ops, settings, settling, bell)?;
        let shared = Arc::new(shared);

        let keeper = Arc::clone(&shared);
        shared.spawn(async move {
            tokio::join!(lease::keep(&keeper), lease::expire(&keeper));
        });
        shared.spawn(housekeep::housekeep(Arc::clone(&shared)));
        let shown = shared.spawn(fleet::show(Arc::clone(&shared)));
        shared.spawn(replay::lead(Arc::clone(&shared), replays));
        for schedule in schedules {
            shared.spawn(schedule::keep(Arc::clone(&shared), schedule));
        }
        if shared.catalog.kinds().iter().any(|kind| kind.is_limited()) {
            shared.spawn(gate::view::watch(Arc::clone(&shared)));
        }
        if let Some(relay) = relay {
            shared.spawn(relay::relay(Arc::clone(&shared), relay));
        } else if let Some(outbox) = &shared.ports.outbox {
            shared.spawn(relay::let_go(Arc::clone(&shared), Arc::clone(outbox)));
        }
        let parts = drain::Parts {
            settler: shared.spawn(settle::settle(Arc::clone(&shared), ended)),
            claimer: shared.spawn(claim::claim(Arc::clone(&shared))),
            shown,
        };
        shared.spawn(drain::conduct(Arc::clone(&shared), parts));
        shared.tasks.close();
        Ok(Running { control: Control(shared) })
    }
}

/// An engine at work. Dropping it is a crash: everything stops where it is, and other workers
/// rescue its jobs once their leases have run out.
pub struct Running {
    control: Control,
}

impl Running {
    /// What ends and watches this engine; may be cloned and outlive it.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// See [`Control::drain`].
    pub fn drain(&self) {
        self.control.drain();
    }

    /// See [`Control::stop_now`].
    pub fn stop_now(&self) {
        self.control.stop_now();
    }

    /// See [`Control::events`].
    pub fn events(&self) -> broadcast::Receiver<JobEvent> {
        self.control.events()
    }

    /// Waits until the engine has ended: after a drain, when idle, or stopped.
    pub async fn finished(self) -> Report {
        let shared = &self.control.0;
        shared.tasks.wait().await;
        let count = |outcome| shared.observer.outcome(outcome);
        Report {
            ended: shared.stops.ended(),
            completed: count(Outcome::Completed),
            retried: count(Outcome::Retry),
            dead: count(Outcome::Dead),
            cancelled: count(Outcome::Cancelled),
            snoozed: count(Outcome::Snooze),
            parked: count(Outcome::Park),
            interrupted: count(Outcome::Interrupted),
            lost: count(Outcome::Lost),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.control.stop_now();
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({})", self.control.0.settings.worker)
    }
}

/// Ends and watches an engine.
#[derive(Clone)]
pub struct Control(Arc<Shared>);

impl Control {
    /// Claims no more, lets running jobs finish within the grace, gives the rest back uncharged.
    /// Doing it again changes nothing.
    pub fn drain(&self) {
        self.0.stops.soft.cancel();
    }

    /// Drops everything at once. Nothing is lost: the jobs run again after their leases.
    pub fn stop_now(&self) {
        self.0.stops.now.cancel();
    }

    /// What happens to jobs here from now on. Never slows the engine: a listener that is more
    /// than a thousand events behind misses some.
    pub fn events(&self) -> broadcast::Receiver<JobEvent> {
        self.0.observer.events()
    }

    /// Jobs whose handler runs now.
    pub fn running(&self) -> usize {
        self.0.desk.running()
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Control({})", self.0.settings.worker)
    }
}

/// How an engine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// There was nothing left to do.
    Idle,
    /// It was drained.
    Drained,
    /// It was stopped at once.
    Stopped,
}

/// What an engine did: outcomes that were recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// How it ended.
    pub ended: Ended,
    /// Jobs done.
    pub completed: u64,
    /// Attempts that failed and run again.
    pub retried: u64,
    /// Dead letters made.
    pub dead: u64,
    /// Jobs cancelled.
    pub cancelled: u64,
    /// Jobs put off.
    pub snoozed: u64,
    /// Jobs set aside.
    pub parked: u64,
    /// Jobs given back uncharged.
    pub interrupted: u64,
    /// Attempts whose lease was lost; their outcome was not recorded.
    pub lost: u64,
}

impl Report {
    /// Attempts that did not end well: retried and dead.
    pub fn failed(&self) -> u64 {
        self.retried + self.dead
    }
}
