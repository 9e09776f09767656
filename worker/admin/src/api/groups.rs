//! Dead letters by what they died of. Counting them means reading all of them, so it is done once
//! for everybody who may see the same, in the background while an older count is shown with its
//! moment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flotilla_core::clock::{after, between};
use flotilla_core::queue::QueueError;
use flotilla_core::replay::{Bounds, Groups, Selection, groups};
use flotilla_core::{Clock, Records, Tenant, Timestamp};

use crate::auth::{Principal, Tenants};

/// A count is shown as it is for so long at least, and for ten times what counting took.
const FRESH: Duration = Duration::from_secs(5);
/// A count is made again after so long, also when no hint of a change came.
const OLD: Duration = Duration::from_secs(60);
/// Dead letters that are looked at.
const MOST: u64 = 250_000;
/// Different sets of tenants whose counts are kept.
const SETS: usize = 64;

/// A count, as it was.
#[derive(Clone, Debug)]
pub struct Counted {
    /// When.
    pub as_of: Timestamp,
    /// What there was; not all where `complete` is unset.
    pub groups: Arc<Groups>,
    fresh_until: Timestamp,
    changes: u64,
}

/// The counts that all share.
#[derive(Clone, Debug)]
pub struct DeadGroups(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    /// By the tenants they are of; none: of all.
    latest: Mutex<BTreeMap<Vec<Tenant>, Counted>>,
    counting: Arc<tokio::sync::Mutex<()>>,
}

impl DeadGroups {
    /// Over these records; nothing is read yet.
    pub fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        let (latest, counting) = (Mutex::default(), Arc::default());
        Self(Arc::new(Inner { records, clock, latest, counting }))
    }

    /// The groups of what this principal may see.
    ///
    /// # Errors
    /// The records cannot be read, and were never.
    pub async fn get(&self, who: &Principal) -> Result<Counted, QueueError> {
        let of = match &who.tenants {
            Tenants::All => Vec::new(),
            Tenants::Some(some) => some.iter().cloned().collect(),
        };
        let Some(there) = self.there(&of) else {
            let _one = self.0.counting.lock().await;
            return match self.there(&of) {
                Some(there) => Ok(there),
                None => self.count(of).await,
            };
        };
        if self.is_stale(&there)
            && let Ok(one) = Arc::clone(&self.0.counting).try_lock_owned()
        {
            let this = self.clone();
            tokio::spawn(async move {
                let _one = one;
                if let Err(error) = this.count(of).await {
                    tracing::warn!(%error, "the dead letters could not be counted");
                }
            });
        }
        Ok(there)
    }

    fn is_stale(&self, there: &Counted) -> bool {
        let now = self.0.clock.now();
        let changed = *self.0.records.changes().borrow() != there.changes;
        now >= there.fresh_until && (changed || now > after(there.as_of, OLD))
    }

    fn there(&self, of: &[Tenant]) -> Option<Counted> {
        self.0.latest.lock().unwrap_or_else(PoisonError::into_inner).get(of).cloned()
    }

    async fn count(&self, of: Vec<Tenant>) -> Result<Counted, QueueError> {
        let began = self.0.clock.now();
        let changes = *self.0.records.changes().borrow();
        let selection = Selection { tenants: of.clone(), ..Selection::default() };
        let bounds = Bounds { letters: MOST, ..Bounds::default() };
        let groups = Arc::new(groups(&*self.0.records, &selection, bounds, began).await?);
        let as_of = self.0.clock.now();
        let fresh_until = after(as_of, FRESH.max(between(began, as_of) * 10));
        let counted = Counted { as_of, groups, fresh_until, changes };
        let mut latest = self.0.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() >= SETS && !latest.contains_key(&of) {
            latest.clear();
        }
        latest.insert(of, counted.clone());
        Ok(counted)
    }
}
