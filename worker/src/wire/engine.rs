//! From configuration to a running engine.

use std::sync::Arc;

use flotilla_config::Config;
use flotilla_core::breaker::Policy;
use flotilla_core::limit::Rule;
use flotilla_core::{Payload, Registry, Rng, SeededRng, WorkerId};
use flotilla_engine::{
    Breakers, Engine, FlowBounds, Limits, Missed, Retention, Running, ScheduleEntry, Settings,
};

use crate::exit::Failure;
use crate::wire::{Ports, events};

/// What an engine does as `[queue]`, `[worker]`, `[retention]` and `[[schedule]]` say.
pub(crate) fn settings(config: &Config) -> Result<Settings, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let or = |given: usize, otherwise: usize| if given == 0 { otherwise } else { given };
    let lanes = config.worker.lanes.iter().map(|lane| lane.parse());
    Ok(Settings {
        worker: name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        lanes: lanes.collect::<Result<_, _>>().map_err(Failure::config)?,
        concurrency: or(config.worker.concurrency, cores * 4),
        cpu_slots: or(config.worker.cpu_slots, cores),
        lease: config.queue.lease,
        heartbeat: config.queue.heartbeat,
        poll: config.worker.poll,
        drain_grace: config.worker.drain_grace,
        housekeep_every: config.worker.housekeep,
        poison_after: config.queue.poison_after,
        retention: Retention {
            completed: config.retention.completed,
            cancelled: config.retention.cancelled,
            dead: config.retention.dead,
        },
        batch: config.queue.max_batch.min(Settings::default().batch),
        schedules: schedules(config)?,
        flows: FlowBounds {
            max_depth: config.flows.max_depth,
            max_children: config.flows.max_children,
        },
        limits: limits(config)?,
        breakers: breakers(config),
        events: events::events(config)?,
        ..Settings::default()
    })
}

fn limits(config: &Config) -> Result<Limits, Failure> {
    let rules = config.quotas.iter().map(|limit| Rule::new(&limit.keys, &limit.quotas));
    Ok(Limits {
        rules: rules.collect::<Result<_, _>>().map_err(Failure::config)?,
        ahead: config.limits.ahead,
    })
}

fn breakers(config: &Config) -> Breakers {
    let given = &config.breakers;
    Breakers {
        policy: Policy {
            window: given.window,
            least: given.least,
            ratio: given.ratio,
            slow: given.slow,
            refusals: given.refusals,
            pause: given.pause,
            longest: given.longest,
            probes: given.probes,
            ramp: given.ramp,
        },
        depth: given.depth,
    }
}

fn schedules(config: &Config) -> Result<Vec<ScheduleEntry>, Failure> {
    config
        .schedules
        .iter()
        .map(|entry| {
            let kind = entry.kind.parse().map_err(Failure::config)?;
            let payload = Payload::of(&entry.payload).map_err(Failure::config)?;
            let mut made = ScheduleEntry::new(&entry.name, &entry.cron, kind, payload);
            made.zone = entry.timezone.clone();
            made.lane =
                entry.lane.as_deref().map(str::parse).transpose().map_err(Failure::config)?;
            made.tenant =
                entry.tenant.as_deref().map(str::parse).transpose().map_err(Failure::config)?;
            let priority = entry.priority.map(flotilla_core::Priority::new);
            made.priority = priority.transpose().map_err(Failure::config)?;
            made.missed = match entry.missed {
                flotilla_config::Missed::Skip => Missed::Skip,
                flotilla_config::Missed::Once => Missed::Once,
                flotilla_config::Missed::All => Missed::All { at_most: entry.max_missed },
            };
            Ok(made)
        })
        .collect()
}

/// Starts an engine over these ports, with the machine's clock.
pub(crate) fn start(
    ports: &Ports,
    registry: Arc<Registry>,
    settings: Settings,
    metrics: prometheus::Registry,
) -> Result<Running, Failure> {
    let clock = ports.clock();
    let ports = flotilla_engine::Ports {
        queue: Arc::clone(&ports.queue),
        records: Arc::clone(&ports.records),
        cells: Arc::clone(&ports.cells),
        outbox: Some(Arc::clone(&ports.outbox)),
        fleet: Arc::clone(&ports.fleet),
        metrics,
    };
    let rng: Arc<dyn Rng> = Arc::new(SeededRng::from_os());
    Engine::start(ports, registry, settings, clock, rng).map_err(Failure::config)
}

/// `host-pid-random`: readable, and never the same twice.
fn name() -> WorkerId {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let random = SeededRng::from_os().next_u64() & 0xffff;
    let host = if host.is_empty() { "worker" } else { host };
    WorkerId::new(&format!("{host}-{}-{random:04x}", std::process::id()))
}
