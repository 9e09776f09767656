//! Everything the engine tells the outside, in one place: log lines, metrics, live events, and
//! the counts of its final report.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use flotilla_core::queue::{Housekeeping, QueueError};
use flotilla_core::{JobId, Kind, Lane, outcome};
use tokio::sync::broadcast;

use crate::catalog::Catalog;
use crate::meters::{JobMeters, Meters};
use crate::names::{Call, Outcome};

/// What happened to a job on this worker; for people who watch.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct JobEvent {
    /// The job.
    pub id: JobId,
    /// Its kind, under the present name.
    pub kind: Kind,
    /// Where it waited.
    pub lane: Lane,
    /// Which attempt.
    pub attempt: u32,
    /// What happened.
    pub what: What,
}

/// What happened to a job.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Its handler starts.
    Started {
        /// How long the job had been available.
        waited: Duration,
    },
    /// Its handler has ended; the outcome is about to be recorded.
    Finished {
        /// How long the handler ran.
        ran: Duration,
        /// How it ended.
        outcome: Outcome,
    },
}

/// How many events a slow listener may be behind before it misses some.
const EVENTS: usize = 1024;

/// Which job an observation is about.
#[derive(Clone, Copy)]
pub(crate) struct About {
    pub(crate) id: JobId,
    pub(crate) kind: usize,
    pub(crate) lane: usize,
    pub(crate) attempt: u32,
}

pub(crate) struct Observer {
    meters: Meters,
    events: broadcast::Sender<JobEvent>,
    failing: [AtomicBool; Call::ALL.len()],
    outcomes: [AtomicU64; Outcome::ALL.len()],
}

impl Observer {
    pub(crate) fn new(
        registry: &prometheus::Registry,
        catalog: &Catalog,
        concurrency: usize,
    ) -> Result<Self, prometheus::Error> {
        let meters = Meters::new(registry, catalog)?;
        meters.slots.set(i64::try_from(concurrency).unwrap_or(i64::MAX));
        Ok(Self {
            meters,
            events: broadcast::Sender::new(EVENTS),
            failing: Default::default(),
            outcomes: Default::default(),
        })
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<JobEvent> {
        self.events.subscribe()
    }

    /// How often each outcome was recorded, in the order of [`Outcome::ALL`].
    pub(crate) fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn claimed(&self, jobs: usize) {
        if jobs == 0 {
            self.meters.claims_empty.inc();
        } else {
            self.meters.claims_full.inc();
            self.meters.claim_jobs.observe(jobs as f64);
        }
    }

    pub(crate) fn started(&self, catalog: &Catalog, about: About, waited: Duration) {
        let meters = self.job(catalog, about);
        meters.pickup.observe(waited.as_secs_f64());
        meters.running.inc();
        self.emit(catalog, about, What::Started { waited });
    }

    pub(crate) fn finished(
        &self,
        catalog: &Catalog,
        about: About,
        ran: Duration,
        outcome: Outcome,
    ) {
        let meters = self.job(catalog, about);
        meters.run.observe(ran.as_secs_f64());
        meters.running.dec();
        self.emit(catalog, about, What::Finished { ran, outcome });
    }

    /// A handler was dropped together with its engine, or broke while it was dropped.
    pub(crate) fn vanished(&self, catalog: &Catalog, about: About) {
        self.job(catalog, about).running.dec();
    }

    pub(crate) fn settled(&self, catalog: &Catalog, about: About, outcome: Outcome) {
        self.job(catalog, about).settled[outcome as usize].inc();
        self.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn settle_batch(&self, jobs: usize) {
        self.meters.settle_jobs.observe(jobs as f64);
    }

    pub(crate) fn lease_lost(&self, id: JobId, why: &str) {
        self.meters.leases_lost.inc();
        tracing::warn!(job = %id, "lease lost: {why}");
    }

    pub(crate) fn not_settled(&self, id: JobId, error: &QueueError) {
        let error = outcome::chain(error, 4096);
        tracing::error!(job = %id, error, "outcome refused by the queue; the job will be rescued");
    }

    pub(crate) fn housekept(&self, done: &Housekeeping) {
        let Housekeeping { promoted, rescued, quarantined, expired, pruned } = *done;
        for (counter, n) in
            self.meters.housekept.iter().zip([promoted, rescued, quarantined, expired, pruned])
        {
            counter.inc_by(n);
        }
        if rescued + quarantined > 0 {
            tracing::warn!(rescued, quarantined, "recovered jobs of workers that went away");
        }
        if expired > 0 {
            tracing::warn!(expired, "jobs passed their deadline before they could begin");
        }
    }

    pub(crate) fn fired(&self, schedule: &str, answer: &'static str) {
        self.meters.fires.with_label_values(&[answer]).inc();
        tracing::debug!(schedule, answer, "schedule fired");
    }

    pub(crate) fn schedule_fault(&self, schedule: &str, error: &str) {
        self.meters.fires.with_label_values(&["rejected"]).inc();
        tracing::error!(schedule, error, "schedule could not be enqueued");
    }

    /// A delivery of an event was enqueued, or why not.
    pub(crate) fn event(&self, answer: &'static str, error: Option<&str>) {
        self.meters.events.with_label_values(&[answer]).inc();
        if let Some(error) = error {
            tracing::error!(error, "an event could not be enqueued and is not delivered");
        }
    }

    pub(crate) fn draining(&self, running: usize, grace: Duration) {
        self.meters.draining.set(1);
        tracing::info!(running, grace_seconds = grace.as_secs_f64(), "draining");
    }

    pub(crate) fn cut_short(&self, running: usize) {
        tracing::warn!(running, "the grace of the drain is over: jobs are given back uncharged");
    }

    /// The result of a port call, logged once when an episode of failures begins and once when it
    /// ends.
    pub(crate) fn port<T>(&self, call: Call, result: &Result<T, QueueError>) {
        match result {
            Ok(_) => self.port_works(call),
            Err(error) => self.port_failed(call, error),
        }
    }

    pub(crate) fn port_works(&self, call: Call) {
        let failing = &self.failing[call as usize];
        if failing.load(Ordering::Relaxed) && failing.swap(false, Ordering::Relaxed) {
            tracing::info!(call = call.name(), "works again");
        }
    }

    pub(crate) fn port_failed(&self, call: Call, error: &QueueError) {
        self.meters.port_errors[call as usize].inc();
        if !self.failing[call as usize].swap(true, Ordering::Relaxed) {
            let error = outcome::chain(error, 4096);
            tracing::warn!(call = call.name(), error, "failed; trying again until it works");
        }
    }

    fn job(&self, catalog: &Catalog, about: About) -> &JobMeters {
        self.meters.job(catalog, about.lane, about.kind)
    }

    fn emit(&self, catalog: &Catalog, about: About, what: What) {
        if self.events.receiver_count() > 0 {
            let kind = catalog.kinds()[about.kind].kind.clone();
            let lane = catalog.lanes()[about.lane].clone();
            let event = JobEvent { id: about.id, kind, lane, attempt: about.attempt, what };
            // Fails only when the last listener has just gone.
            let _ = self.events.send(event);
        }
    }
}
