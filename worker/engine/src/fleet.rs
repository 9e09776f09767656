//! Shows this worker to the fleet and hears what the fleet wants of it.

use std::sync::Arc;
use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::fleet::WorkerInfo;

use crate::names::Call;
use crate::shared::Shared;

/// Longest goodbye.
const LEAVE: Duration = Duration::from_secs(2);

/// Shows up at the start, then regularly, and at once when a drain begins; until nothing runs any
/// more: what is said after the goodbye would bring this worker back.
pub(crate) async fn show(shared: Arc<Shared>) {
    let started_at = shared.clock.now();
    while !shared.stops.settled.is_cancelled() {
        let draining = shared.stops.soft.is_cancelled();
        let me = describe(&shared, started_at, draining);
        let result = shared.ports.fleet.heartbeat(&me, shared.clock.now()).await;
        shared.observer.port(Call::Fleet, &result);
        if result.is_ok_and(|orders| orders.drain) && !draining {
            tracing::info!("the fleet asks this worker to drain");
            shared.stops.soft.cancel();
        }
        let pause = shared.jittered(shared.settings.fleet_every);
        let stop = if draining { &shared.stops.settled } else { &shared.stops.soft };
        // Either way the next round says how it stands.
        let _ = tokio::time::timeout(pause, stop.cancelled()).await;
    }
}

/// Says goodbye, if the fleet listens.
pub(crate) async fn leave(shared: &Shared) {
    let goodbye = shared.ports.fleet.leave(&shared.settings.worker);
    if let Ok(result) = tokio::time::timeout(LEAVE, goodbye).await {
        shared.observer.port(Call::Fleet, &result);
    }
}

fn describe(shared: &Shared, started_at: Timestamp, draining: bool) -> WorkerInfo {
    WorkerInfo {
        id: shared.settings.worker.clone(),
        version: shared.settings.version.clone(),
        lanes: shared.catalog.lanes().to_vec(),
        concurrency: shared.settings.concurrency,
        running: shared.desk.running(),
        started_at,
        seen_at: shared.clock.now(),
        draining,
    }
}
