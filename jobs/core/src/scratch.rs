//! Cells of one process that are gone with it: for `flotilla try` and tests, where there is no
//! fleet to agree with.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::cells::{Cell, CellWrite, Cells};
use crate::clock::Timestamp;
use crate::queue::QueueError;

/// Longest list.
const MOST: usize = 1000;

/// Cells in memory.
#[derive(Debug, Default)]
pub struct Scratch(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    cells: BTreeMap<String, Cell>,
    version: u64,
}

impl Scratch {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn get(&self, key: &str, now: Timestamp) -> Option<&Cell> {
        self.cells.get(key).filter(|cell| cell.expires_at.is_none_or(|at| now < at))
    }

    fn write(&mut self, change: &CellWrite, now: Timestamp) -> bool {
        if self.get(&change.key, now).map_or(0, |cell| cell.version) != change.expect {
            return false;
        }
        self.version += 1;
        let (version, expires_at) = (self.version, change.expires_at);
        match change.value.clone() {
            Some(value) => {
                self.cells.insert(change.key.clone(), Cell { value, version, expires_at })
            }
            None => self.cells.remove(&change.key),
        };
        true
    }
}

#[async_trait]
impl Cells for Scratch {
    async fn read(&self, keys: &[String], now: Timestamp) -> Result<Vec<Option<Cell>>, QueueError> {
        let kept = self.lock();
        Ok(keys.iter().map(|key| kept.get(key, now).cloned()).collect())
    }

    async fn write(&self, changes: &[CellWrite], now: Timestamp) -> Result<Vec<bool>, QueueError> {
        changes.iter().try_for_each(CellWrite::check)?;
        let mut kept = self.lock();
        Ok(changes.iter().map(|change| kept.write(change, now)).collect())
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(String, Cell)>, QueueError> {
        let kept = self.lock();
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let keys = kept.cells.range::<str, _>((from, Bound::Unbounded)).map(|(key, _)| key);
        let found = keys.take_while(|key| key.starts_with(prefix) || key.as_str() < prefix);
        let live = found.filter(|key| key.starts_with(prefix));
        Ok(live
            .filter_map(|key| Some((key.clone(), kept.get(key, now)?.clone())))
            .take(limit.min(MOST))
            .collect())
    }
}
