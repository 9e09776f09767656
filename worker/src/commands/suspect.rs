//! `flotilla suspect`, hidden: what a worker starts for a job whose worker fell while it ran, so
//! that a second fall takes nobody along.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use flotilla_config::{Backend, Config};
use flotilla_engine::quarantine::inside::Inside;
use flotilla_engine::quarantine::{Isolation, Processes};

use crate::exit::{Exit, Failure};
use crate::wire::{self, Access};

/// This program, once more; none where a second process would find another queue.
pub(super) fn processes(config: &Config, common: Vec<OsString>) -> Option<Arc<dyn Isolation>> {
    if config.queue.backend == Backend::Memory {
        return None;
    }
    let mut args = common;
    args.push("suspect".into());
    // Not the path: what lies there may be a newer build by now.
    let program = PathBuf::from("/proc/self/exe");
    Some(Arc::new(Processes { program, args, memory: config.worker.suspect_memory }))
}

pub(super) async fn run(config: &Config) -> Result<Exit, Failure> {
    let inside = Inside::receive()
        .await
        .map_err(|e| Failure::usage(format!("only a worker starts this command: {e}")))?;
    let ports = wire::ports(config).await?;
    let vault = wire::vault::open(config, &ports)?;
    let registry = wire::kinds(config, Access::Worker { vault: vault.clone() }).await?;
    let cpu_slots = wire::engine::settings(config)?.cpu_slots;
    inside.run(&registry, Arc::clone(&ports.cells), ports.clock(), cpu_slots).await?;
    vault.drained().await; // a token that is on its way exists nowhere else
    ports.close().await;
    Ok(Exit::Ok)
}
