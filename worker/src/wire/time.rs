//! The clock that this process shares with its fleet. Where a server keeps the jobs, its clock
//! counts: a machine whose own is minutes off neither takes nor loses a job by that.

use std::sync::Arc;
use std::time::Duration;

use flotilla_core::clock::{Clock, SharedClock, SharedTime, SystemClock, Timestamp, between};
use flotilla_core::fleet::Fleet;
use tokio::task::AbortHandle;

use crate::exit::Failure;

/// How often the clocks are compared.
const EVERY: Duration = Duration::from_secs(30);
/// A comparison is believed when the answer took less than this.
const PROMPT: Duration = Duration::from_millis(250);
/// Machines whose clock is further off than this are told.
const FAR: i64 = 1_000_000;

/// A clock that agrees with the fleet's while this lives.
pub(super) struct FleetTime {
    pub(super) clock: Arc<SharedClock>,
    keeper: Option<AbortHandle>,
}

impl FleetTime {
    /// Compares the clocks once, and again and again where the fleet has one of its own.
    pub(super) async fn of(fleet: &Arc<dyn Fleet>) -> Result<Self, Failure> {
        let clock = Arc::new(SharedClock::default());
        if !compare(&**fleet, &clock).await? {
            return Ok(Self { clock, keeper: None });
        }
        if clock.offset().abs() > FAR {
            let seconds = clock.offset() / 1_000_000;
            tracing::warn!(
                seconds,
                "this machine's clock differs from the queue server's, which counts"
            );
        }
        let (fleet, kept) = (Arc::clone(fleet), Arc::clone(&clock));
        let keeper = tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                if let Err(error) = compare(&*fleet, &kept).await {
                    tracing::debug!(%error, "clocks not compared");
                }
            }
        });
        Ok(Self { clock, keeper: Some(keeper.abort_handle()) })
    }
}

impl FleetTime {
    /// Microseconds to the fleet's own clock; `None`: it has none.
    pub(super) fn offset(&self) -> Option<i64> {
        self.keeper.as_ref().map(|_| self.clock.offset())
    }
}

impl Drop for FleetTime {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}

/// Takes the offset over from the promptest of three answers. `false`: the machine's clock counts.
async fn compare(fleet: &dyn Fleet, clock: &SharedClock) -> Result<bool, Failure> {
    let mut best: Option<(Duration, Timestamp, SharedTime, Timestamp)> = None;
    for _ in 0..3 {
        let before = SystemClock.now();
        let Some(shared) = fleet.time().await? else { return Ok(false) };
        let after = SystemClock.now();
        let took = between(before, after);
        if best.as_ref().is_none_or(|(least, ..)| took < *least) {
            best = Some((took, before, shared, after));
        }
        if took < Duration::from_millis(5) {
            break;
        }
    }
    // A slow answer says little; the first comparison takes what it gets.
    if let Some((took, before, shared, after)) = best
        && (took < PROMPT || clock.offset() == 0)
    {
        clock.agree(before, shared, after);
    }
    Ok(true)
}
