//! What the parts of one engine share. Each part has its own file; this one only connects them.

use std::future::Future;
use std::sync::Arc;

use flotilla_core::handler::CallSink;
use flotilla_core::ops::Ops;
use flotilla_core::{Clock, CpuPool, Rng};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalog::Catalog;
use crate::desk::Desk;
use crate::drain::Stops;
use crate::gate::Gate;
use crate::lease::Leases;
use crate::observe::Observer;
use crate::relay::Bell;
use crate::settings::Settings;
use crate::settle::Done;
use crate::{Ports, StartError};

pub(crate) struct Shared {
    pub(crate) ports: Ports,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
    /// How jobs made here are enqueued: children, jobs of schedules, events.
    pub(crate) ops: Ops,
    pub(crate) catalog: Catalog,
    pub(crate) pool: CpuPool,
    /// Places for suspects in processes of their own.
    pub(crate) suspects: Semaphore,
    pub(crate) desk: Desk,
    pub(crate) leases: Leases,
    pub(crate) gate: Gate,
    /// Where calls of kinds without limits are reported: nowhere.
    pub(crate) unheard: CallSink,
    pub(crate) settling: mpsc::Sender<Done>,
    pub(crate) observer: Observer,
    /// Rung when there is something to tell; none: nobody wants to be told.
    pub(crate) bell: Option<Bell>,
    pub(crate) stops: Stops,
    pub(crate) tasks: TaskTracker,
}

impl Shared {
    pub(crate) fn new(
        ports: Ports,
        ops: Ops,
        settings: Settings,
        settling: mpsc::Sender<Done>,
        bell: Option<Bell>,
    ) -> Result<Self, StartError> {
        let catalog = Catalog::new(&ops.registry, &settings.lanes);
        if catalog.kinds().is_empty() {
            return Err(StartError::NoKinds);
        }
        Ok(Self {
            observer: Observer::new(&ports.metrics, &catalog, settings.concurrency)?,
            pool: CpuPool::new(settings.cpu_slots),
            suspects: Semaphore::new(settings.cpu_slots.max(1)),
            desk: Desk::new(&settings, &catalog),
            leases: Leases::default(),
            unheard: Arc::new(|_| {}),
            gate: Gate::new(settings.limits.rules.clone()),
            stops: Stops::default(),
            tasks: TaskTracker::new(),
            ports,
            catalog,
            clock: Arc::clone(&ops.clock),
            rng: Arc::clone(&ops.rng),
            ops,
            settling,
            bell,
            settings,
        })
    }

    /// Runs `part` until it ends or the engine is stopped hard; the token says when it is over.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        part: impl Future<Output = ()> + Send + 'static,
    ) -> CancellationToken {
        let over = CancellationToken::new();
        let (ended, now) = (over.clone().drop_guard(), self.stops.now.clone());
        self.tasks.spawn(async move {
            let _ended = ended;
            tokio::select! {
                biased;
                () = now.cancelled() => {}
                () = part => {}
            }
        });
        over
    }

    /// `around`, shortened or lengthened by up to a tenth, so that workers do not march in step.
    pub(crate) fn jittered(&self, around: std::time::Duration) -> std::time::Duration {
        around.mul_f64(0.9 + 0.2 * self.rng.unit())
    }
}
