//! When to look in the store: a claim that looked each time would cost the store as much as one
//! without a broker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_core::clock::Timestamp;
use flotilla_core::ids::Lane;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::lock;

/// Sets of lanes that are remembered; a worker asks for few different ones.
const SETS: usize = 64;

/// What a sweep found out about a set of lanes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) next_due: Option<Timestamp>,
    pub(crate) paused: Vec<Lane>,
}

/// Remembers what the last sweeps found.
#[derive(Debug)]
pub(crate) struct Pace {
    every: Duration,
    sets: HashMap<Vec<Lane>, (Instant, Found)>,
    /// Every lane that was asked for; the broker is asked about them when jobs seem lost.
    pub(crate) lanes: std::collections::BTreeSet<Lane>,
    /// When it was last looked for jobs whose message was lost.
    pub(crate) looked: Option<Timestamp>,
}

impl Pace {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, sets: HashMap::new(), lanes: Default::default(), looked: None }
    }

    /// The latest findings, while they are good enough.
    pub(crate) fn rest(&self, lanes: &[Lane], now: Timestamp) -> Option<Found> {
        let (at, found) = self.sets.get(lanes)?;
        let fresh = at.elapsed() < self.every && found.next_due.is_none_or(|due| due > now);
        fresh.then(|| found.clone())
    }

    pub(crate) fn swept(&mut self, lanes: Vec<Lane>, found: Found) {
        if self.sets.len() >= SETS {
            self.sets.clear();
        }
        if !lanes.iter().all(|lane| self.lanes.contains(lane)) {
            self.lanes.extend(lanes.iter().cloned());
        }
        self.sets.insert(lanes, (Instant::now(), found));
    }

    /// A job will be due then; on which lane does not matter: looking once too often does no harm.
    pub(crate) fn expect(&mut self, due: Timestamp) {
        for (_, found) in self.sets.values_mut() {
            found.next_due = Some(found.next_due.map_or(due, |known| known.min(due)));
        }
    }

    /// The next claim looks.
    pub(crate) fn soon(&mut self) {
        self.sets.clear();
    }
}

/// Tells claimers of messages at once, and of changes in the store at most every `every`: each of
/// those is also a message, except the few that only a sweep finds.
pub(crate) async fn forward(
    mut broker: watch::Receiver<u64>,
    mut store: watch::Receiver<u64>,
    pace: Arc<Mutex<Pace>>,
    wakes: Arc<watch::Sender<u64>>,
    every: Duration,
) {
    let mut changed = false;
    let mut next = Instant::now();
    loop {
        tokio::select! {
            heard = broker.changed() => if heard.is_err() { return },
            heard = store.changed(), if !changed => {
                if heard.is_err() {
                    return;
                }
                changed = true;
                continue;
            }
            () = tokio::time::sleep_until(next), if changed => {
                changed = false;
                next = Instant::now() + every;
                lock(&pace).soon();
            }
        }
        wakes.send_modify(|n| *n = n.wrapping_add(1));
    }
}
