//! Small pieces of shared state, changed by compare-and-swap.

use std::collections::BTreeMap;

use async_trait::async_trait;
use flotilla_core::cells::{Cell, CellWrite, Cells};
use flotilla_core::clock::Timestamp;
use flotilla_core::queue::QueueError;

use crate::Memory;

/// The longest list.
const MOST: usize = 1000;

/// All cells of a backend.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    cells: BTreeMap<String, Cell>,
    /// The latest version given to any cell: a key that comes back begins above its former ones.
    version: u64,
}

fn lives(cell: &Cell, now: Timestamp) -> bool {
    cell.expires_at.is_none_or(|at| now < at)
}

impl Kept {
    fn get(&self, key: &str, now: Timestamp) -> Option<&Cell> {
        self.cells.get(key).filter(|cell| lives(cell, now))
    }

    fn write(&mut self, change: &CellWrite, now: Timestamp) -> bool {
        if self.get(&change.key, now).map_or(0, |cell| cell.version) != change.expect {
            return false;
        }
        match &change.value {
            None => {
                self.cells.remove(&change.key);
            }
            Some(value) => {
                self.version += 1;
                let (version, expires_at) = (self.version, change.expires_at);
                let cell = Cell { value: value.clone(), version, expires_at };
                self.cells.insert(change.key.clone(), cell);
            }
        }
        true
    }

    /// Forgets what has expired.
    pub(crate) fn prune(&mut self, now: Timestamp) {
        self.cells.retain(|_, cell| lives(cell, now));
    }
}

#[async_trait]
impl Cells for Memory {
    async fn read(&self, keys: &[String], now: Timestamp) -> Result<Vec<Option<Cell>>, QueueError> {
        Ok(self.look(|store| keys.iter().map(|key| store.cells.get(key, now).cloned()).collect()))
    }

    async fn write(&self, changes: &[CellWrite], now: Timestamp) -> Result<Vec<bool>, QueueError> {
        changes.iter().try_for_each(CellWrite::check)?;
        Ok(self.alter(|store| changes.iter().map(|one| store.cells.write(one, now)).collect()))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(String, Cell)>, QueueError> {
        let listed = |store: &crate::store::Store| {
            let all = store.cells.cells.iter();
            all.filter(|(key, cell)| key.starts_with(prefix) && lives(cell, now))
                .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
                .take(limit.min(MOST))
                .map(|(key, cell)| (key.clone(), cell.clone()))
                .collect()
        };
        Ok(self.look(listed))
    }
}
