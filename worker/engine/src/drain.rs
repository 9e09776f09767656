//! How an engine ends: softly, within its grace, at once.
//!
//! A drain lets running jobs finish; after its grace they are told to stop and given back
//! uncharged. Three tokens say how far it is:
//!
//! | token | fired by | meaning |
//! | --- | --- | --- |
//! | soft | a drain, an order of the fleet, idleness | claim no more, let running jobs finish |
//! | settled | `conduct`, once nothing runs | record what has ended, then nothing more |
//! | now | `stop_now`, dropping the engine, the end of a drain | drop everything; leases run out, nothing is lost |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::lease::Stop;
use crate::settle;
use crate::shared::Shared;
use crate::{Ended, fleet};

pub(crate) struct Stops {
    pub(crate) soft: CancellationToken,
    pub(crate) settled: CancellationToken,
    pub(crate) now: CancellationToken,
    idle: AtomicBool,
    orderly: AtomicBool,
}

impl Default for Stops {
    fn default() -> Self {
        let now = CancellationToken::new();
        let soft = now.child_token();
        let settled = CancellationToken::new();
        Self { soft, settled, now, idle: AtomicBool::new(false), orderly: AtomicBool::new(false) }
    }
}

impl Stops {
    /// There is nothing left to do, and the engine was asked to end then.
    pub(crate) fn idle(&self) {
        self.idle.store(true, Ordering::Relaxed);
        self.soft.cancel();
    }

    pub(crate) fn ended(&self) -> Ended {
        if !self.orderly.load(Ordering::Relaxed) {
            Ended::Stopped
        } else if self.idle.load(Ordering::Relaxed) {
            Ended::Idle
        } else {
            Ended::Drained
        }
    }
}

/// The parts whose end a drain waits for.
pub(crate) struct Parts {
    pub(crate) claimer: CancellationToken,
    pub(crate) settler: CancellationToken,
    pub(crate) shown: CancellationToken,
}

/// Waits for a drain and carries it out.
pub(crate) async fn conduct(shared: Arc<Shared>, parts: Parts) {
    let settings = &shared.settings;
    shared.stops.soft.cancelled().await;
    shared.observer.draining(shared.desk.running(), settings.drain_grace);
    let finish = async {
        settle::give_back(&shared, shared.desk.close()).await;
        parts.claimer.cancelled().await; // what it still brings is given back there
        shared.desk.quiet().await;
    };
    if tokio::time::timeout(settings.drain_grace, finish).await.is_err() {
        cut_short(&shared).await;
    }
    shared.stops.settled.cancel();
    // A queue that does not answer for a whole lease will not be waited for.
    let _ = tokio::time::timeout(settings.lease, parts.settler.cancelled()).await;
    let _ = tokio::time::timeout(settings.lease, parts.shown.cancelled()).await;
    fleet::leave(&shared).await;
    shared.stops.orderly.store(true, Ordering::Relaxed);
    shared.stops.now.cancel(); // ends the parts that only end when dropped
}

/// The grace is over: what still runs is told to stop, and dropped if it does not.
async fn cut_short(shared: &Shared) {
    shared.observer.cut_short(shared.desk.running());
    shared.leases.stop_all(Stop::Drain);
    let last = shared.settings.cancel_grace + Duration::from_secs(1);
    let _ = tokio::time::timeout(last, shared.desk.quiet()).await;
}
