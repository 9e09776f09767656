//! What the profiles with a broker have in common.

use std::collections::BTreeSet;

use flotilla_brokered::Settings;
use flotilla_config::Config;
use flotilla_core::Lane;

use crate::exit::Failure;
use crate::wire::kinds_offline;

/// Leases after which a message that nobody has taken counts as lost: a minute with the default.
const LEASES: u32 = 4;

/// How broker and store work together, as `[queue]` says.
pub(super) fn settings(name: &'static str, config: &Config) -> Result<Settings, Failure> {
    let light = config.queue.records_for_failures.iter().map(|lane| lane.parse());
    Ok(Settings {
        records_for_failures: light.collect::<Result<_, _>>().map_err(Failure::config)?,
        poison_after: config.queue.poison_after,
        keep_dead: config.retention.dead,
        stale: config.queue.lease * LEASES,
        ..Settings::new(name)
    })
}

/// The lanes this fleet has queues for: those served, else those of all kinds.
pub(super) fn lanes(config: &Config) -> Result<Vec<Lane>, Failure> {
    if !config.worker.lanes.is_empty() {
        let lanes = config.worker.lanes.iter().map(|lane| lane.parse());
        return lanes.collect::<Result<_, _>>().map_err(Failure::config);
    }
    let registry = kinds_offline(config)?;
    let lanes: BTreeSet<Lane> = registry.kinds().map(|kind| kind.policy.lane.clone()).collect();
    Ok(lanes.into_iter().collect())
}
