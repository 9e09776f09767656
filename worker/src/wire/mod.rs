//! From configuration to ports: the only place that names concrete backends.

pub(crate) mod adopt;
pub(crate) mod api;
#[cfg(feature = "aws")]
mod aws;
mod blobs;
#[cfg(feature = "chaos")]
mod chaos;
mod classifiers;
pub(crate) mod console;
pub(crate) mod engine;
mod events;
mod external;
pub(crate) mod input;
pub(crate) mod insight;
pub(crate) mod media;
mod models;
mod oidc;
pub(crate) mod queue;
mod sinks;
mod time;
pub(crate) mod vault;
pub(crate) mod webhooks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_admin::{LaneLoad, Scale};
use flotilla_blobs::LocalBlobs;
use flotilla_config::Config;
use flotilla_core::blob::Blobs;
use flotilla_core::fleet::Fleet;
use flotilla_core::ops::Ops;
use flotilla_core::registry::RegistryError;
use flotilla_core::retry::{Backoff, RetryClass};
use flotilla_core::{Clock, Records, Registry, SeededRng};
use flotilla_engine::scale;
use flotilla_events::Sinks;
use flotilla_jobs::{Services, Social, SourceRules};
use flotilla_platforms::{Bounds, Fetcher, Guard, GuardSettings, Platforms};
use flotilla_vault::Vault;
use tokio::sync::watch;

use crate::exit::Failure;
pub(crate) use queue::Ports;

/// Opens the queue that the configuration names.
pub(crate) async fn ports(config: &Config) -> Result<Ports, Failure> {
    queue::open(config).await
}

/// On whose rights a handler reads local files, and where its blobs go.
pub(crate) enum Access {
    /// A worker: only what `[sources]` allows, blobs where `[blobs]` says.
    Worker {
        /// Credentials of accounts.
        vault: Vault,
    },
    /// The person at the keyboard: every file they may read, blobs in a folder of their own.
    Caller {
        /// Where blobs go.
        blobs: PathBuf,
    },
}

/// Every kind of this build, with policies as configured.
pub(crate) async fn kinds(config: &Config, access: Access) -> Result<Registry, Failure> {
    let fetcher = Arc::new(fetcher(config)?);
    let (blobs, sinks, roots, vault) = match access {
        Access::Worker { vault } => {
            let sinks = sinks::open(config, &fetcher).await?;
            (blobs::open(config).await?, sinks, config.sources.roots.clone(), Some(vault))
        }
        Access::Caller { blobs } => {
            let own = blobs::folder(&blobs, config)?;
            let blobs = Arc::new(classifiers::WithClassifiers::new(own, config)) as Arc<dyn Blobs>;
            (blobs, Sinks::default(), vec![PathBuf::from("/")], None)
        }
    };
    registry(config, fetcher, blobs, sinks, roots, vault, true)
}

/// Where workers read and write blobs.
pub(crate) async fn blobs(config: &Config) -> Result<Arc<dyn Blobs>, Failure> {
    blobs::open(config).await
}

/// The kinds for commands that run none: no folder is made.
pub(crate) fn kinds_offline(config: &Config) -> Result<Registry, Failure> {
    let blobs = Arc::new(LocalBlobs::in_memory(config.blobs.max_bytes));
    registry(config, Arc::new(fetcher(config)?), blobs, Sinks::default(), Vec::new(), None, false)
}

/// The guarded client for addresses that jobs and callers name.
pub(crate) fn fetcher(config: &Config) -> Result<Fetcher, Failure> {
    Fetcher::new(guard(config)).map_err(Failure::config)
}

fn guard(config: &Config) -> GuardSettings {
    let sources = &config.sources;
    GuardSettings {
        ports: sources.ports.clone(),
        allow_hosts: sources.allow_hosts.clone(),
        max_bytes: sources.max_bytes,
        connect_timeout: sources.connect_timeout,
        timeout: sources.timeout,
        redirects: sources.redirects,
    }
}

/// Opens the ways out for events as a worker does, and calls nobody.
pub(crate) async fn check_sinks(config: &Config) -> Result<(), Failure> {
    sinks::open(config, &Arc::new(fetcher(config)?)).await.map(drop)
}

/// Whether the guard lets a worker call this address; a name still has to lead to a public one.
pub(crate) fn may_call(config: &Config, url: &str) -> Result<(), Failure> {
    let guard = Guard::new(&guard(config)).map_err(Failure::config)?;
    let url = url::Url::parse(url).map_err(Failure::config)?;
    guard.check(&url).map(|_| ()).map_err(Failure::config)
}

fn registry(
    config: &Config,
    fetcher: Arc<Fetcher>,
    blobs: Arc<dyn Blobs>,
    sinks: Sinks,
    roots: Vec<PathBuf>,
    vault: Option<Vault>,
    runs: bool,
) -> Result<Registry, Failure> {
    let max_bytes = config.sources.max_bytes;
    let services = Services {
        blobs,
        fetcher,
        sinks: Arc::new(sinks),
        sources: SourceRules { roots, max_bytes },
        images: flotilla_images::Limits {
            max_bytes,
            max_pixels: config.images.max_pixels,
            max_outputs: config.images.max_outputs,
            max_output_pixels: config.images.max_output_pixels,
            max_frames: config.images.max_frames,
            max_memory: config.images.max_memory,
            font_folders: config.images.font_folders.clone(),
            ..flotilla_images::Limits::default()
        },
        media: media::open(config)?,
        max_caption: config.captions.max_bytes,
        max_catalogue: config.captions.max_catalogue,
        models: models::open(config)?,
        vault,
        social: social(config)?,
        sweep: config.vault.sweep,
    };
    let mut registry = Registry::default();
    flotilla_jobs::register(&mut registry, &services).map_err(Failure::bug)?;
    #[cfg(feature = "chaos")]
    chaos::register(&mut registry).map_err(Failure::bug)?;
    external::register(&mut registry, config, runs)?;
    adjust(&mut registry, config).map_err(|e| Failure::config(format!("[kinds]: {e}")))?;
    Ok(registry)
}

/// The platforms, with the changes of the operator's file.
pub(crate) fn platforms(config: &Config) -> Result<Platforms, Failure> {
    let changes = config.platforms.file.as_ref().map(std::fs::read_to_string).transpose();
    let changes = changes.map_err(|e| Failure::config(format!("platforms.file: {e}")))?;
    Platforms::with(changes.as_deref()).map_err(Failure::config)
}

fn social(config: &Config) -> Result<Social, Failure> {
    let bounds = Bounds {
        call: config.platforms.timeout,
        upload: config.platforms.upload_timeout,
        ..Bounds::default()
    };
    let webhooks = config.platforms.webhooks.iter().cloned().collect();
    Ok(Social { platforms: Arc::new(platforms(config)?), bounds, webhooks })
}

fn adjust(registry: &mut Registry, config: &Config) -> Result<(), RegistryError> {
    for (name, change) in &config.kinds {
        registry.adjust(name, |policy| {
            if let Some(lane) = change.lane.as_deref().and_then(|l| l.parse().ok()) {
                policy.lane = lane;
            }
            policy.max_attempts = change.max_attempts.unwrap_or(policy.max_attempts);
            policy.timeout = change.timeout.unwrap_or(policy.timeout);
            policy.concurrency = change.concurrency.or(policy.concurrency);
            policy.retention = change.retention.or(policy.retention);
            if let Some(priority) =
                change.priority.and_then(|p| flotilla_core::Priority::new(p).ok())
            {
                policy.priority = priority;
            }
            if let Some(b) = &change.backoff {
                policy.backoff = Backoff {
                    base: b.base.unwrap_or(policy.backoff.base),
                    factor: b.factor.unwrap_or(policy.backoff.factor),
                    max: b.max.unwrap_or(policy.backoff.max),
                };
            }
            if let Some(within) = change.retry_within {
                let never = if within.is_zero() { Duration::MAX } else { within };
                policy.retries.within = Some(never);
            }
            for class in RetryClass::ALL {
                let given = change.retry.iter().find(|(name, _)| *name == class.name());
                let Some((_, given)) = given else { continue };
                let own = policy.retries.classes.entry(class).or_default();
                own.attempts = given.attempts.or(own.attempts);
                own.base = given.backoff.base.or(own.base);
                own.factor = given.backoff.factor.or(own.factor);
                own.max = given.backoff.max.or(own.max);
            }
        })?;
    }
    Ok(())
}

/// The enqueue path over these ports.
pub(crate) fn ops(config: &Config, ports: &Ports) -> Result<Ops, Failure> {
    Ok(Ops {
        registry: Arc::new(kinds_offline(config)?),
        queue: Arc::clone(&ports.queue),
        clock: ports.clock(),
        rng: Arc::new(SeededRng::from_os()),
    })
}

/// Waits for a hint that something changed, or a second, whichever comes first.
pub(crate) async fn changed(changes: &mut watch::Receiver<u64>) {
    // A closed channel must not spin: the poll below is what is left then.
    if let Ok(Err(_)) = tokio::time::timeout(Duration::from_secs(1), changes.changed()).await {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Who is at the keyboard, for the records.
pub(crate) fn user() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// `/scale`: what each lane has to do.
pub(crate) struct Workload {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) fleet: Arc<dyn Fleet>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Scale for Workload {
    async fn lanes(&self, within: Duration) -> Result<Vec<LaneLoad>, String> {
        let loads = scale::loads(&*self.records, &*self.fleet, within, self.clock.now()).await;
        let loads = loads.map_err(|e| format!("the queue does not answer: {e}"))?;
        Ok(loads
            .into_iter()
            .map(|load| LaneLoad {
                lane: load.lane.to_string(),
                running: load.running,
                runnable: load.runnable,
                scheduled: load.scheduled,
                parked: load.parked,
                paused: load.paused,
                drain_seconds: load.drain.map(|drain| drain.as_secs_f64()),
                replicas: load.replicas,
            })
            .collect())
    }
}
