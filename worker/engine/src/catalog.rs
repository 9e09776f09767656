//! Kinds and lanes by small numbers, so that the hot path compares and counts without hashing.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_core::registry::Registered;
use flotilla_core::{Kind, Lane, Registry};

/// The kinds this engine can run and the lanes it serves; fixed at the start.
pub(crate) struct Catalog {
    kinds: Vec<Registered>,
    names: BTreeMap<Kind, usize>,
    lanes: Vec<Lane>,
}

impl Catalog {
    /// `lanes` empty: the lanes of all kinds.
    pub(crate) fn new(registry: &Registry, lanes: &[Lane]) -> Self {
        let kinds: Vec<Registered> = registry.kinds().cloned().collect();
        let names = kinds
            .iter()
            .enumerate()
            .flat_map(|(i, entry)| {
                std::iter::once(&entry.kind).chain(entry.aliases).map(move |n| (n.clone(), i))
            })
            .collect();
        let own = kinds.iter().map(|k| k.policy.lane.clone());
        let lanes: BTreeSet<Lane> =
            if lanes.is_empty() { own.collect() } else { lanes.iter().cloned().collect() };
        Self { kinds, names, lanes: lanes.into_iter().collect() }
    }

    pub(crate) fn kinds(&self) -> &[Registered] {
        &self.kinds
    }

    pub(crate) fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// The number of a kind, by its name or a former one.
    pub(crate) fn kind(&self, name: &Kind) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// The number of a lane.
    pub(crate) fn lane(&self, name: &Lane) -> Option<usize> {
        self.lanes.binary_search(name).ok()
    }

    /// Every name jobs of these kinds may carry.
    pub(crate) fn names_of(&self, kinds: &[usize]) -> Vec<Kind> {
        let each = kinds.iter().filter_map(|i| self.kinds.get(*i));
        each.flat_map(|k| std::iter::once(&k.kind).chain(k.aliases).cloned()).collect()
    }
}
