//! The console's pages over the ports of this worker.

use std::sync::Arc;

use flotilla_admin::auth::Auth;
use flotilla_config::Config;
use flotilla_console::{Console, Router};
use flotilla_vault::Vault;
use tokio_util::sync::CancellationToken;

use crate::exit::Failure;
use crate::wire::{self, Ports};

/// The pages, to be served beside the API; their streams end with `stop`.
pub(crate) async fn pages(
    config: &Config,
    ports: &Ports,
    auth: Auth,
    vault: Vault,
    stop: CancellationToken,
) -> Result<Router, Failure> {
    let settings = wire::engine::settings(config)?;
    let console = Console {
        auth,
        audit: wire::api::audit(config, ports),
        ops: wire::ops(config, ports)?,
        records: Arc::clone(&ports.records),
        fleet: Arc::clone(&ports.fleet),
        cells: Arc::clone(&ports.cells),
        blobs: wire::blobs(config).await?,
        accounts: Arc::new(vault),
        platforms: Arc::new(wire::platforms(config)?),
        rules: settings.limits.rules,
        depth: settings.breakers.depth,
        schedules: settings.schedules,
        max_blob: config.blobs.max_bytes,
    };
    Ok(flotilla_console::router(console, stop))
}
