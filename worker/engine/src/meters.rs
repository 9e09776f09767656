//! The Prometheus side of `observe`: what is registered, and the handles the hot path holds so
//! that it never looks a label up.

use std::sync::OnceLock;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, core::Collector,
};

use crate::catalog::Catalog;
use crate::names::{Call, Metric, Outcome};

/// Seconds; from half a millisecond to five minutes.
const PICKUP: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
    300.0,
];

/// Seconds; from a tenth of a millisecond to half an hour.
const RUN: [f64; 13] =
    [0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0];

/// Jobs in one call.
const BATCH: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// What became of the moments of schedules.
const FIRES: [&str; 4] = ["created", "duplicate", "rejected", "missed"];
/// What became of deliveries of events.
const EVENTS: [&str; 3] = ["created", "duplicate", "rejected"];

/// What one lane and kind count; made when its first job comes.
pub(crate) struct JobMeters {
    pub(crate) pickup: Histogram,
    pub(crate) run: Histogram,
    pub(crate) running: IntGauge,
    pub(crate) settled: [IntCounter; Outcome::ALL.len()],
}

pub(crate) struct Meters {
    pub(crate) slots: IntGauge,
    pub(crate) draining: IntGauge,
    pub(crate) claims_full: IntCounter,
    pub(crate) claims_empty: IntCounter,
    pub(crate) claim_jobs: Histogram,
    pub(crate) settle_jobs: Histogram,
    pub(crate) leases_lost: IntCounter,
    /// Promoted, rescued, quarantined, expired, pruned.
    pub(crate) housekept: [IntCounter; 5],
    pub(crate) port_errors: [IntCounter; Call::ALL.len()],
    pub(crate) fires: IntCounterVec,
    pub(crate) events: IntCounterVec,
    settled: IntCounterVec,
    pickup: HistogramVec,
    run: HistogramVec,
    running: IntGaugeVec,
    jobs: Vec<OnceLock<JobMeters>>,
}

impl Meters {
    pub(crate) fn new(registry: &Registry, catalog: &Catalog) -> Result<Self, prometheus::Error> {
        let claims = counters(registry, Metric::Claims, &["answer"])?;
        let housekept = counters(registry, Metric::Housekept, &["what"])?;
        let port_errors = counters(registry, Metric::PortErrors, &["call"])?;
        let cells = catalog.lanes().len() * catalog.kinds().len();
        Ok(Self {
            slots: add(registry, IntGauge::with_opts(opts(Metric::Slots)))?,
            draining: add(registry, IntGauge::with_opts(opts(Metric::Draining)))?,
            claims_full: claims.with_label_values(&["jobs"]),
            claims_empty: claims.with_label_values(&["empty"]),
            claim_jobs: add(registry, Histogram::with_opts(buckets(Metric::ClaimJobs, &BATCH)))?,
            settle_jobs: add(registry, Histogram::with_opts(buckets(Metric::SettleJobs, &BATCH)))?,
            leases_lost: add(registry, IntCounter::with_opts(opts(Metric::LeasesLost)))?,
            housekept: ["promoted", "rescued", "quarantined", "expired", "pruned"]
                .map(|what| housekept.with_label_values(&[what])),
            port_errors: Call::ALL.map(|call| port_errors.with_label_values(&[call.name()])),
            fires: begun(counters(registry, Metric::Fires, &["answer"])?, &FIRES),
            events: begun(counters(registry, Metric::Events, &["answer"])?, &EVENTS),
            settled: counters(registry, Metric::Settled, &["lane", "kind", "outcome"])?,
            pickup: histograms(registry, Metric::Pickup, &PICKUP)?,
            run: histograms(registry, Metric::Run, &RUN)?,
            running: add(registry, IntGaugeVec::new(opts(Metric::Running), &["lane", "kind"]))?,
            jobs: std::iter::repeat_with(OnceLock::new).take(cells).collect(),
        })
    }

    pub(crate) fn job(&self, catalog: &Catalog, lane: usize, kind: usize) -> &JobMeters {
        self.jobs[lane * catalog.kinds().len() + kind].get_or_init(|| {
            let lane = catalog.lanes()[lane].as_str();
            let kind = catalog.kinds()[kind].kind.as_str();
            JobMeters {
                pickup: self.pickup.with_label_values(&[lane, kind]),
                run: self.run.with_label_values(&[lane, kind]),
                running: self.running.with_label_values(&[lane, kind]),
                settled: Outcome::ALL
                    .map(|o| self.settled.with_label_values(&[lane, kind, o.name()])),
            }
        })
    }
}

/// A counter shows zero before it counts, so that its first step is seen as one.
fn begun(counters: IntCounterVec, values: &[&str]) -> IntCounterVec {
    for value in values {
        let _ = counters.with_label_values(&[*value]);
    }
    counters
}

fn opts(metric: Metric) -> Opts {
    Opts::new(metric.name(), metric.help())
}

fn buckets(metric: Metric, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(metric.name(), metric.help()).buckets(buckets.to_vec())
}

fn counters(
    registry: &Registry,
    metric: Metric,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    add(registry, IntCounterVec::new(opts(metric), labels))
}

fn histograms(
    registry: &Registry,
    metric: Metric,
    edges: &[f64],
) -> Result<HistogramVec, prometheus::Error> {
    add(registry, HistogramVec::new(buckets(metric, edges), &["lane", "kind"]))
}

fn add<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: Result<C, prometheus::Error>,
) -> Result<C, prometheus::Error> {
    let collector = made?;
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
