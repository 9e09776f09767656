//! Asks the queue to promote what is due, rescue lost leases, expire deadlines and prune. Every
//! worker does it: the calls are idempotent, and no election has to be right.

use std::sync::Arc;

use flotilla_core::queue::HousekeepPolicy;

use crate::names::Call;
use crate::shared::Shared;

/// Keeps house until dropped. A call that did as much as it may is followed by another at once.
pub(crate) async fn housekeep(shared: Arc<Shared>) {
    let settings = &shared.settings;
    let policy = HousekeepPolicy {
        poison_after: settings.poison_after,
        keep_dead: settings.retention.dead,
        batch: settings.batch,
    };
    loop {
        let result = shared.ports.queue.housekeep(&policy, shared.clock.now()).await;
        shared.observer.port(Call::Housekeep, &result);
        let mut again = false;
        if let Ok(done) = result {
            shared.observer.housekept(&done);
            let most = [done.promoted, done.rescued + done.quarantined, done.expired, done.pruned];
            again = most.iter().any(|n| *n >= policy.batch as u64);
        }
        if again {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(shared.jittered(settings.housekeep_every)).await;
        }
    }
}
