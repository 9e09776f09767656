//! Which message stands behind which lease of this process.

use std::collections::HashMap;

use flotilla_core::clock::Timestamp;
use flotilla_core::ids::{Fence, JobId, Receipt, WorkerId};
use flotilla_core::queue::{Held, NewJob};

/// What is known of a lease.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    /// When it began.
    pub(crate) since: Timestamp,
    /// When it ends unless it is extended.
    pub(crate) until: Timestamp,
    /// Its message, until that is acked.
    pub(crate) receipt: Option<Receipt>,
    pub(crate) what: What,
}

/// Where the truth about it is.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// In the record, under the same lease. Linked: its end may make others available.
    Recorded { linked: bool },
    /// In the message alone.
    Light { job: Box<NewJob>, worker: WorkerId },
    /// In a record that was made while it ran, under this lease.
    Adopted(Held),
}

/// All leases of this process.
#[derive(Debug, Default)]
pub(crate) struct Holds(HashMap<(JobId, Fence), Hold>);

impl Holds {
    pub(crate) fn insert(&mut self, held: &Held, hold: Hold) {
        self.0.insert((held.id, held.fence), hold);
    }

    pub(crate) fn get(&self, held: &Held) -> Option<&Hold> {
        self.0.get(&(held.id, held.fence))
    }

    pub(crate) fn get_mut(&mut self, held: &Held) -> Option<&mut Hold> {
        self.0.get_mut(&(held.id, held.fence))
    }

    pub(crate) fn remove(&mut self, held: &Held) -> Option<Hold> {
        self.0.remove(&(held.id, held.fence))
    }

    /// Forgets leases that ended before `before` and that nobody settled; answers the messages of
    /// recorded jobs, which are rescued by their records, and of those without a record.
    pub(crate) fn abandoned(&mut self, before: Timestamp) -> (Vec<Receipt>, Vec<Receipt>) {
        let (mut recorded, mut light) = (Vec::new(), Vec::new());
        self.0.retain(|_, hold| {
            let keep = hold.until >= before;
            if !keep && let Some(receipt) = hold.receipt.take() {
                match hold.what {
                    What::Light { .. } => light.push(receipt),
                    _ => recorded.push(receipt),
                }
            }
            keep
        });
        (recorded, light)
    }
}
