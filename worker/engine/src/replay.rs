//! Leads replays: takes up operations from the cells, puts their dead letters back at the rate that
//! was asked for, watches how they fare, and stops an operation when too many fail.
//!
//! Every worker looks; who has the lease leads. A leader that vanishes is followed by another as
//! soon as its lease has run out; `flotilla_core::replay` says why each dead letter still goes
//! back once.

mod follow;
mod lead;
mod meters;
mod put;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::queue::QueueError;
use flotilla_core::replay::{Desk, ReplayId, ReplayState};

use crate::names::Call;
use crate::shared::Shared;
use lead::{Lead, Rest};
pub(crate) use meters::Meters;

/// Between two looks while something moves here.
const TICK: Duration = Duration::from_millis(250);

/// Leads until the engine drains; then others may at once.
pub(crate) async fn lead(shared: Arc<Shared>, meters: Meters) {
    let mut leads: BTreeMap<ReplayId, Lead> = BTreeMap::new();
    while !shared.stops.soft.is_cancelled() {
        let result = round(&shared, &meters, &mut leads).await;
        shared.observer.port(Call::Replay, &result);
        let pause = match result {
            Ok(Rest::Short) => TICK,
            _ => shared.settings.housekeep_every,
        };
        // Either way the loop looks again.
        let _ = tokio::time::timeout(pause, shared.stops.soft.cancelled()).await;
    }
    for lead in leads.values_mut() {
        let released = lead.release(&shared).await;
        shared.observer.port(Call::Replay, &released);
    }
}

/// One look at every operation.
async fn round(
    shared: &Shared,
    meters: &Meters,
    leads: &mut BTreeMap<ReplayId, Lead>,
) -> Result<Rest, QueueError> {
    let active = Desk::new(&*shared.ports.cells).active(shared.clock.now()).await?;
    leads.retain(|id, _| active.contains(id));
    let mut rest = Rest::Long;
    let mut states: BTreeMap<ReplayState, i64> = BTreeMap::new();
    let mut failed = None;
    for id in active {
        let lead = leads.entry(id).or_insert_with(|| Lead::new(id));
        match lead.tick(shared, meters).await {
            Ok(Rest::Short) => rest = Rest::Short,
            Ok(Rest::Long) => {}
            Err(error) => {
                // What is in memory may not be what is in the cells.
                lead.reset();
                failed = Some(error);
            }
        }
        if let Some(state) = lead.state() {
            *states.entry(state).or_default() += 1;
        }
    }
    meters.operations(&states);
    failed.map_or(Ok(rest), Err)
}
