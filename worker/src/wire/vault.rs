//! From configuration to the vault, and the vault's ways to the rest of the fleet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_config::{Config, Told};
use flotilla_core::clock::{between, from_micros};
use flotilla_core::event::{CloudEvent, DELIVER, Delivery, Subscriber};
use flotilla_core::ops::Ops;
use flotilla_core::outcome::BoxError;
use flotilla_core::{Clock, Envelope, JobId, Payload, Records, Secret, SeededRng, Timestamp};
use flotilla_jobs::{PlatformTokens, TokenRefresh};
use flotilla_platforms::tokens::{App, TokenClient};
use flotilla_vault::{KeyFile, KeyProvider, KeyRing, Notice, Outlet, Parts, Settings, Vault};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::exit::Failure;
use crate::wire::{self, Ports};

/// Jobs that are woken in one call.
const WOKEN: usize = 1000;
/// Shorter sweeps would only burn CPU.
const SHORTEST_SWEEP: Duration = Duration::from_secs(1);

/// The vault that the configuration describes. Nothing is read yet.
pub(crate) fn open(config: &Config, ports: &Ports) -> Result<Vault, Failure> {
    let platforms = Arc::new(wire::platforms(config)?);
    let client = TokenClient::new(config.vault.timeout).map_err(Failure::unavailable)?;
    let exchange =
        PlatformTokens::new(platforms, apps(config)?, client).map_err(Failure::config)?;
    let parts = Parts {
        cells: Arc::clone(&ports.cells),
        keys: keys(config)?,
        exchange: Arc::new(exchange),
        outlet: Arc::new(Fleet::new(config, ports)?),
        clock: ports.clock(),
        rng: Arc::new(SeededRng::from_os()),
    };
    let call = config.vault.timeout.saturating_add(Duration::from_secs(1));
    let settings = Settings {
        call,
        // Two exchanges, and time to store what they gave.
        lease: call.saturating_mul(2).saturating_add(Duration::from_secs(20)),
        concurrency: config.vault.concurrency,
        stop: config.vault.stop,
        ..Settings::default()
    };
    Ok(Vault::new(parts, settings))
}

fn keys(config: &Config) -> Result<Arc<dyn KeyProvider>, Failure> {
    let Some(keys) = &config.vault.keys else {
        return Ok(Arc::new(KeyFile::new(config.vault_key_file())));
    };
    let ring = KeyRing::parse(&keys.expose().replace(';', "\n"));
    Ok(Arc::new(ring.map_err(|e| Failure::config(format!("vault.keys: {e}")))?))
}

pub(crate) fn apps(config: &Config) -> Result<BTreeMap<String, App>, Failure> {
    let app = |given: &flotilla_config::App| {
        let secret = given
            .read_secret()
            .map_err(|e| Failure::config(format!("[[app]] \"{}\": {e}", given.platform)))?;
        let client_secret = secret.map(|secret| Secret::new(secret.expose()));
        let app = App { client_id: given.client_id.clone(), client_secret };
        Ok((given.platform.clone(), app))
    };
    config.apps.iter().map(app).collect()
}

/// The rest of the fleet: its queue, its parked jobs, who is told of accounts.
#[derive(Clone)]
struct Fleet {
    ops: Ops,
    records: Arc<dyn Records>,
    source: String,
    told: Vec<Subscriber>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fleet({} subscribers)", self.told.len())
    }
}

impl Fleet {
    fn new(config: &Config, ports: &Ports) -> Result<Self, Failure> {
        let wants = |given: &&flotilla_config::Subscriber| given.types.contains(&Told::Account);
        let told = config.subscribers.iter().filter(wants).map(super::events::subscriber);
        Ok(Self {
            ops: wire::ops(config, ports)?,
            records: Arc::clone(&ports.records),
            source: config.events.source.clone(),
            told: told.collect::<Result<_, _>>()?,
        })
    }
}

#[async_trait]
impl Outlet for Fleet {
    async fn wake(&self, key: &str) -> Result<(), BoxError> {
        while self.records.wake(key, WOKEN, self.ops.clock.now()).await? >= WOKEN as u64 {}
        Ok(())
    }

    async fn tell(&self, notice: &Notice) -> Result<(), BoxError> {
        let wants = |to: &&Subscriber| to.tenants.is_empty() || to.tenants.contains(&notice.tenant);
        let made = self.told.iter().filter(wants).map(|to| delivery(to, notice, &self.source));
        self.enqueue(made.collect::<Result<_, _>>()?).await
    }

    async fn enqueue(&self, jobs: Vec<Envelope>) -> Result<(), BoxError> {
        if !jobs.is_empty() {
            self.ops.enqueue(jobs).await?;
        }
        Ok(())
    }
}

/// The job that tells one subscriber; its id follows from the notice.
fn delivery(to: &Subscriber, notice: &Notice, source: &str) -> Result<Envelope, BoxError> {
    let event = CloudEvent {
        specversion: "1.0".into(),
        id: notice.id.clone(),
        source: source.to_owned(),
        kind: notice.what.event_type().to_owned(),
        subject: Some(format!("{}/{}", notice.tenant, notice.account)),
        time: Some(notice.at),
        datacontenttype: Some("application/json".to_owned()),
        traceparent: None,
        tracestate: None,
        dataref: None,
        data: serde_json::to_value(notice)?,
    };
    let id = JobId::derived(&format!("event/{}/{}", event.id, to.name));
    let order = to.line(&notice.tenant, event.subject.as_deref());
    let payload = Delivery::one(&to.name, event);
    Ok(Envelope {
        id: Some(id),
        tenant: Some(notice.tenant.clone()),
        order: Some(order),
        ..Envelope::new(DELIVER, Payload::of(&payload)?)
    })
}

/// Enqueues a sweep every so often while there are accounts. The id of its job follows from the
/// moment, so that a fleet sweeps once.
pub(crate) async fn keep_swept(
    vault: Vault,
    clock: Arc<dyn Clock>,
    every: Duration,
    stop: CancellationToken,
) {
    let every = every.max(SHORTEST_SWEEP);
    while !stop.is_cancelled() {
        if let Err(error) = sweep(&vault, clock.now(), every).await {
            warn!("the accounts are not looked over yet: {error}");
        }
        let now = clock.now();
        let next = slot(now, every).saturating_add(1).saturating_mul(micros(every));
        let pause = between(now, from_micros(next)).clamp(Duration::from_millis(100), every);
        let _ = tokio::time::timeout(pause, stop.cancelled()).await;
    }
}

async fn sweep(vault: &Vault, now: Timestamp, every: Duration) -> Result<(), BoxError> {
    if vault.list(None, None, 1).await?.is_empty() {
        return Ok(());
    }
    let id = JobId::derived(&format!("token.refresh/sweep/{}/{}", micros(every), slot(now, every)));
    let payload = Payload::of(&TokenRefresh { sweep: true, ..TokenRefresh::default() })?;
    let job = Envelope { id: Some(id), ..Envelope::new(flotilla_jobs::REFRESH, payload) };
    vault.outlet().enqueue(vec![job]).await
}

fn micros(every: Duration) -> i64 {
    i64::try_from(every.as_micros()).unwrap_or(i64::MAX)
}

fn slot(now: Timestamp, every: Duration) -> i64 {
    now.as_microsecond().div_euclid(micros(every))
}
