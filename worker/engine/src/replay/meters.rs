//! What replays count.

use std::collections::BTreeMap;

use flotilla_core::replay::{Counts, ReplayState};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::names::Metric;

/// The metrics of replays; labels come from the enums of the core.
pub(crate) struct Meters {
    letters: IntCounterVec,
    operations: IntGaugeVec,
}

impl Meters {
    /// Registers them.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |metric: Metric| Opts::new(metric.name(), metric.help());
        let letters = IntCounterVec::new(opts(Metric::ReplayLetters), &["what"])?;
        let operations = IntGaugeVec::new(opts(Metric::ReplayOperations), &["state"])?;
        registry.register(Box::new(letters.clone()))?;
        registry.register(Box::new(operations.clone()))?;
        Ok(Self { letters, operations })
    }

    /// What became of dead letters between two looks of a leader.
    pub(super) fn letters(&self, before: &Counts, after: &Counts) {
        for (what, was, is) in [
            ("replayed", before.replayed, after.replayed),
            ("succeeded", before.succeeded, after.succeeded),
            ("failed", before.failed, after.failed),
            ("refused", before.refused, after.refused),
            ("skipped", before.skipped, after.skipped),
        ] {
            self.letters.with_label_values(&[what]).inc_by(is.saturating_sub(was));
        }
    }

    /// How many operations this worker sees in each state.
    pub(super) fn operations(&self, states: &BTreeMap<ReplayState, i64>) {
        for state in ReplayState::ALL {
            let n = states.get(&state).copied().unwrap_or(0);
            self.operations.with_label_values(&[state.name()]).set(n);
        }
    }
}
