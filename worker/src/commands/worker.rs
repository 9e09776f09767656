//! `flotilla worker`: serve lanes until told to stop, or until nothing is left to do.
//!
//! The first SIGTERM or SIGINT drains: no more claims, running jobs finish within
//! `worker.drain_grace`, the rest is given back uncharged. A second one ends the process at once;
//! what it held runs again elsewhere when the leases have run out.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use flotilla_admin::{Admin, Ready};
use flotilla_config::Config;
use flotilla_core::retry::Backoff;
use flotilla_core::{Registry, SeededRng};
use flotilla_engine::{Control, Ended, Report};
use flotilla_vault::Vault;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cli::Worker;
use crate::commands::suspect;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::telemetry::gauges::Gauges;
use crate::wire::{self, Access};

/// Longest pause between two looks at servers that a starting worker waits for.
const BETWEEN: Duration = Duration::from_secs(5);

pub(super) async fn run(
    args: &Worker,
    config: &Config,
    common: Vec<OsString>,
) -> Result<Exit, Failure> {
    let mut settings = wire::engine::settings(config)?;
    settings.quarantine = suspect::processes(config, common);
    if !args.lanes.is_empty() {
        settings.lanes.clone_from(&args.lanes);
    }
    settings.concurrency = args.concurrency.unwrap_or(settings.concurrency);
    settings.until_idle = args.until_idle;
    // One that only works off what is there is told of a missing server at once.
    let patience = if args.until_idle { Duration::ZERO } else { config.worker.wait_for_servers };
    let (ports, vault, registry) = reach(config, patience).await?;
    let metrics = prometheus::Registry::new();

    let stop_admin = CancellationToken::new();
    let admin = match args.admin.or(config.admin.listen) {
        Some(address) => {
            let with = (Arc::clone(&registry), vault.clone());
            Some(serve(config, address, &ports, &metrics, with, stop_admin.clone()).await?)
        }
        None => None,
    };
    let looks = match admin {
        Some(_) => Some(Gauges::new(config, &ports, vault.clone(), &metrics)?),
        None => None, // nobody could see them
    };
    let worker = settings.worker.clone();
    let running = wire::engine::start(&ports, registry, settings, metrics)?;
    info!(worker = %worker, "worker started");
    let looks = looks.map(|gauges| tokio::spawn(gauges.keep(stop_admin.clone())));
    let signals = tokio::spawn(obey(running.control()));
    let stop_sweeps = CancellationToken::new();
    let sweeps = wire::vault::keep_swept(
        vault.clone(),
        ports.clock(),
        config.vault.sweep,
        stop_sweeps.clone(),
    );
    let sweeps = tokio::spawn(sweeps);
    let report = running.finished().await;
    signals.abort();
    stop_sweeps.cancel();
    let _ = sweeps.await;
    vault.drained().await; // a token that is on its way exists nowhere else
    stop_admin.cancel();
    for ending in admin.into_iter().chain(looks) {
        let _ = ending.await;
    }
    ports.close().await;
    info!(worker = %worker, completed = report.completed, "worker ended");
    say(&report)?;
    Ok(Exit::Ok)
}

/// Opens all that a worker needs. What cannot be reached yet is tried again until `patience` is
/// over: a worker may start before its servers, or while one restarts.
async fn reach(
    config: &Config,
    patience: Duration,
) -> Result<(wire::Ports, Vault, Arc<Registry>), Failure> {
    let backoff = Backoff { base: Duration::from_millis(250), factor: 2.0, max: BETWEEN };
    let (rng, until) = (SeededRng::from_os(), Instant::now() + patience);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let missing = match open(config).await {
            Err(failure) if failure.exit == Exit::Unavailable => failure,
            opened => return opened,
        };
        let pause = backoff.delay(attempt, None, &rng);
        if Instant::now() + pause >= until {
            return Err(missing);
        }
        warn!(error = %missing, "waits for its servers");
        tokio::time::sleep(pause).await;
    }
}

async fn open(config: &Config) -> Result<(wire::Ports, Vault, Arc<Registry>), Failure> {
    let ports = wire::ports(config).await?;
    let vault = wire::vault::open(config, &ports)?;
    let access = Access::Worker { vault: vault.clone() };
    let registry = Arc::new(wire::kinds(config, access).await?);
    ports.announce(&registry).await?;
    Ok((ports, vault, registry))
}

async fn serve(
    config: &Config,
    address: std::net::SocketAddr,
    ports: &wire::Ports,
    metrics: &prometheus::Registry,
    (registry, vault): (Arc<Registry>, Vault),
    stop: CancellationToken,
) -> Result<tokio::task::JoinHandle<()>, Failure> {
    let auth = wire::api::auth(config, ports, address)?;
    let ready: Arc<dyn Ready> = Arc::new(wire::insight::Reachable {
        records: Arc::clone(&ports.records),
        fleet: Arc::clone(&ports.fleet),
        cells: Arc::clone(&ports.cells),
        blobs: wire::blobs(config).await?,
        clock: ports.clock(),
    });
    let pages = wire::console::pages(config, ports, auth.clone(), vault.clone(), stop.clone());
    let pages = Some(pages.await?);
    let seen = wire::insight::Seen::new(config, ports, registry, vault)?;
    let (ending, stopping) = tokio::sync::watch::channel(false);
    let api = wire::api::api(config, ports, auth.clone(), Arc::new(seen), stopping)?;
    let scale = Arc::new(wire::Workload {
        records: Arc::clone(&ports.records),
        fleet: Arc::clone(&ports.fleet),
        clock: ports.clock(),
    });
    let metrics = metrics.clone();
    let admin = Admin { metrics, ready, scale, auth, api: Some(api), pages };
    let stop = async move {
        stop.cancelled_owned().await;
        ending.send_replace(true); // streams end, so that the server can
    };
    let bound = flotilla_admin::bind(address)
        .await
        .map_err(|e| Failure::unavailable(format!("cannot listen on {address}: {e}")))?;
    let at = bound.local_addr()?;
    info!(address = %at, "admin endpoints are up");
    Ok(tokio::spawn(async move {
        if let Err(error) = flotilla_admin::serve(bound, admin, stop).await {
            tracing::error!(error = %error, "admin endpoints ended");
        }
    }))
}

/// First signal: drain. Second: end at once.
async fn obey(control: Control) {
    let (Ok(mut term), Ok(mut int)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    let mut heard = 0;
    loop {
        tokio::select! {
            _ = term.recv() => heard += 1,
            _ = int.recv() => heard += 1,
        }
        if heard == 1 {
            info!("draining: a second signal ends it at once");
            control.drain();
        } else {
            control.stop_now();
        }
    }
}

fn say(report: &Report) -> Result<(), Failure> {
    let word = match report.ended {
        Ended::Drained => "drained",
        Ended::Idle => "nothing left to do",
        Ended::Stopped => "stopped at once",
    };
    output::line(format!(
        "{word}: {} completed, {} retried, {} dead, {} cancelled, {} given back",
        report.completed, report.retried, report.dead, report.cancelled, report.interrupted
    ))?;
    Ok(())
}
