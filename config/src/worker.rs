//! `[worker]`: how much one process does at once, and how often it looks.

use std::time::Duration;

use crate::checked::Name;
use crate::reader::Section;
use crate::size::ByteSize;

/// How much one process does at once, and how often it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// The lanes to serve; empty: all lanes of the known kinds.
    pub lanes: Vec<String>,
    /// Jobs at once; 0: see [`slots_on`](Self::slots_on).
    pub concurrency: usize,
    /// CPU-bound jobs at once; 0: see [`cpu_slots_on`](Self::cpu_slots_on).
    pub cpu_slots: usize,
    /// How often to look for jobs when no hint arrives.
    pub poll: Duration,
    /// How long a drain lets running jobs finish.
    pub drain_grace: Duration,
    /// How often to promote, rescue and prune.
    pub housekeep: Duration,
    /// How long a starting worker waits for servers that cannot be reached yet.
    pub wait_for_servers: Duration,
    /// Bytes of data that the process of a suspect may have; 0: no bound.
    pub suspect_memory: u64,
}

impl Worker {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            lanes: section.get::<Vec<Name>>("lanes").into_iter().map(|name| name.0).collect(),
            concurrency: section.get("concurrency"),
            cpu_slots: section.get("cpu_slots"),
            poll: section.get("poll"),
            drain_grace: section.get("drain_grace"),
            housekeep: section.get("housekeep"),
            wait_for_servers: section.get("wait_for_servers"),
            suspect_memory: section.get::<ByteSize>("suspect_memory").0,
        }
    }

    /// Jobs at once on a machine with `cores`: as set, or four for each core.
    #[must_use]
    pub fn slots_on(&self, cores: usize) -> usize {
        if self.concurrency == 0 { cores.max(1) * 4 } else { self.concurrency }
    }

    /// CPU-bound jobs at once on a machine with `cores`: as set, or one for each core.
    #[must_use]
    pub fn cpu_slots_on(&self, cores: usize) -> usize {
        if self.cpu_slots == 0 { cores.max(1) } else { self.cpu_slots }
    }
}
