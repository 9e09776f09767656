//! What a tenant may spend in a day, counted in a cell of the fleet: taken before a call, put
//! right after it.

use bytes::Bytes;
use flotilla_core::cells::{Cell, CellWrite, Cells};
use flotilla_core::ids::Tenant;
use flotilla_core::queue::QueueError;
use flotilla_core::{Timestamp, cells};
use serde::{Deserialize, Serialize};

/// Tokens and money (in millionths).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spent {
    pub(crate) tokens: u64,
    pub(crate) micros: u64,
}

impl Spent {
    fn plus(self, more: Self) -> Self {
        let tokens = self.tokens.saturating_add(more.tokens);
        Self { tokens, micros: self.micros.saturating_add(more.micros) }
    }

    fn minus(self, less: Self) -> Self {
        let tokens = self.tokens.saturating_sub(less.tokens);
        Self { tokens, micros: self.micros.saturating_sub(less.micros) }
    }

    /// Whether it is within bounds, of which nought is none.
    fn within(self, most: Self) -> bool {
        (most.tokens == 0 || self.tokens <= most.tokens)
            && (most.micros == 0 || self.micros <= most.micros)
    }
}

/// Changes that somebody else was faster with are tried again this often.
const TRIES: usize = 16;
/// How long the count of a day is kept.
const KEPT_SECONDS: i64 = 3 * 86_400;

/// The purse of a tenant on one day (UTC).
#[derive(Debug)]
pub(crate) struct Purse<'c> {
    cells: &'c dyn Cells,
    key: String,
    most: Spent,
}

impl<'c> Purse<'c> {
    pub(crate) fn new(cells: &'c dyn Cells, tenant: &Tenant, most: Spent, now: Timestamp) -> Self {
        let day = now.to_string();
        let key = format!("models/spent/{tenant}/{}", day.get(..10).unwrap_or(&day));
        debug_assert!(key.len() <= cells::MAX_CELL_KEY);
        Self { cells, key, most }
    }

    /// Takes what a call may cost at most; `false`: that is more than there is left.
    pub(crate) async fn take(&self, cost: Spent, now: Timestamp) -> Result<bool, QueueError> {
        if self.most == Spent::default() {
            return Ok(true);
        }
        let most = self.most;
        self.change(now, |spent| Some(spent.plus(cost)).filter(|all| all.within(most))).await
    }

    /// Puts right what was taken, once it is known what the call cost.
    pub(crate) async fn settle(
        &self,
        taken: Spent,
        cost: Spent,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        if self.most != Spent::default() && taken != cost {
            self.change(now, |spent| Some(spent.minus(taken).plus(cost))).await?;
        }
        Ok(())
    }

    async fn change(
        &self,
        now: Timestamp,
        to: impl Fn(Spent) -> Option<Spent>,
    ) -> Result<bool, QueueError> {
        let keys = [self.key.clone()];
        for _ in 0..TRIES {
            let cell = self.cells.read(&keys, now).await?.pop().flatten();
            let Some(next) = to(cell.as_ref().map(spent).unwrap_or_default()) else {
                return Ok(false);
            };
            let expect = cell.map_or(0, |cell| cell.version);
            let value = serde_json::to_vec(&next).map(Bytes::from).unwrap_or_default();
            let end = now.as_second().saturating_add(KEPT_SECONDS);
            let write = CellWrite {
                key: self.key.clone(),
                expect,
                value: Some(value),
                expires_at: Timestamp::from_second(end).ok(),
            };
            if self.cells.write(&[write], now).await?.first().copied().unwrap_or(false) {
                return Ok(true);
            }
        }
        // Everybody spends at once: this call waits for another day.
        Ok(false)
    }
}

fn spent(cell: &Cell) -> Spent {
    serde_json::from_slice(&cell.value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use flotilla_core::clock::{Clock, ManualClock};
    use flotilla_core::scratch::Scratch;

    use super::*;

    #[tokio::test]
    async fn a_purse_is_never_overdrawn_and_change_is_given_back() {
        let (cells, now) = (Scratch::default(), ManualClock::default().now());
        let most = Spent { tokens: 100, micros: 0 };
        let purse = Purse::new(&cells, &Tenant::default(), most, now);
        let cost = Spent { tokens: 60, micros: 10 };
        assert!(purse.take(cost, now).await.unwrap());
        assert!(!purse.take(cost, now).await.unwrap());
        purse.settle(cost, Spent { tokens: 30, micros: 5 }, now).await.unwrap();
        assert!(purse.take(cost, now).await.unwrap());
        let tomorrow = Timestamp::from_second(now.as_second() + 86_400).unwrap();
        let purse = Purse::new(&cells, &Tenant::default(), most, tomorrow);
        assert!(purse.take(cost, tomorrow).await.unwrap());
    }
}
