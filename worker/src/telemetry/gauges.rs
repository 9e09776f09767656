//! Metrics that cost a look at the queue, the vault or the disk: a worker with an admin address
//! takes them every `telemetry.gauges`. Each worker shows what the fleet has, so alerts take the
//! largest of them and dashboards one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flotilla_config::Config;
use flotilla_core::account::AccountStatus;
use flotilla_core::clock::{before, between};
use flotilla_core::fleet::Fleet;
use flotilla_core::outcome::{BoxError, chain};
use flotilla_core::{Clock, Outbox, Records, State, Timestamp};
use flotilla_vault::Vault;
use prometheus::core::Collector;
use prometheus::{GaugeVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};
use tokio_util::sync::CancellationToken;

use crate::exit::Failure;
use crate::wire::Ports;

/// Workers seen within this are there.
const SEEN: Duration = Duration::from_secs(30);
/// Accounts in one page of the vault, and most pages of one look.
const PAGE: usize = 1000;
const PAGES: usize = 100;
/// Ends that nobody was told of are counted up to this.
const UNTOLD: usize = 1000;
/// The looks, as `flotilla_look_errors_total` names them.
const LOOKS: [&str; 5] = ["lanes", "workers", "outbox", "accounts", "disk"];

/// A metric of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gauge {
    Oldest,
    Dead,
    Workers,
    Draining,
    Untold,
    Accounts,
    Overdue,
    Ends,
    DiskFree,
    Errors,
    Build,
}

impl Gauge {
    #[cfg(test)]
    const ALL: [Self; 11] = [
        Self::Oldest,
        Self::Dead,
        Self::Workers,
        Self::Draining,
        Self::Untold,
        Self::Accounts,
        Self::Overdue,
        Self::Ends,
        Self::DiskFree,
        Self::Errors,
        Self::Build,
    ];

    fn named(self) -> (&'static str, &'static str) {
        match self {
            Self::Oldest => (
                "flotilla_lane_oldest_seconds",
                "how long the job has waited that waits longest and may run",
            ),
            Self::Dead => ("flotilla_dead_letters", "dead letters that are kept"),
            Self::Workers => ("flotilla_workers", "workers seen within 30 seconds"),
            Self::Draining => ("flotilla_workers_draining", "of these, those that drain"),
            Self::Untold => {
                ("flotilla_events_untold", "ends that no subscriber was told of yet, at most 1000")
            }
            Self::Accounts => {
                ("flotilla_accounts", "accounts of platforms by what can be done with them")
            }
            Self::Overdue => {
                ("flotilla_accounts_overdue", "accounts whose renewal is an hour late")
            }
            Self::Ends => (
                "flotilla_account_ends_seconds",
                "until the first account can only be kept going by its owner",
            ),
            Self::DiskFree => ("flotilla_disk_free_bytes", "free space where the data lies"),
            Self::Errors => (
                "flotilla_look_errors_total",
                "looks at the fleet that failed, by what was looked at",
            ),
            Self::Build => ("flotilla_build_info", "1, with the version of this build"),
        }
    }

    fn opts(self) -> Opts {
        let (name, help) = self.named();
        Opts::new(name, help)
    }
}

/// What is looked at, and where it is shown.
pub(crate) struct Gauges {
    records: Arc<dyn Records>,
    fleet: Arc<dyn Fleet>,
    /// `None`: nobody subscribes, so nobody is told.
    outbox: Option<Arc<dyn Outbox>>,
    vault: Vault,
    clock: Arc<dyn Clock>,
    data: PathBuf,
    every: Duration,
    shown: Shown,
}

struct Shown {
    oldest: GaugeVec,
    dead: IntGaugeVec,
    workers: IntGauge,
    draining: IntGauge,
    untold: IntGauge,
    accounts: IntGaugeVec,
    overdue: IntGaugeVec,
    ends: GaugeVec,
    disk: IntGaugeVec,
    errors: BTreeMap<&'static str, IntCounter>,
}

impl Shown {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let errors = prometheus::IntCounterVec::new(Gauge::Errors.opts(), &["look"]);
        let errors = add(registry, errors)?;
        let build = add(registry, IntGaugeVec::new(Gauge::Build.opts(), &["version"]))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let ints =
            |gauge: Gauge, labels: &[&str]| add(registry, IntGaugeVec::new(gauge.opts(), labels));
        Ok(Self {
            oldest: add(registry, GaugeVec::new(Gauge::Oldest.opts(), &["lane"]))?,
            dead: ints(Gauge::Dead, &["lane"])?,
            workers: add(registry, IntGauge::with_opts(Gauge::Workers.opts()))?,
            draining: add(registry, IntGauge::with_opts(Gauge::Draining.opts()))?,
            untold: add(registry, IntGauge::with_opts(Gauge::Untold.opts()))?,
            accounts: ints(Gauge::Accounts, &["platform", "state"])?,
            overdue: ints(Gauge::Overdue, &["platform"])?,
            ends: add(registry, GaugeVec::new(Gauge::Ends.opts(), &["platform"]))?,
            disk: ints(Gauge::DiskFree, &["what"])?,
            errors: LOOKS.map(|look| (look, errors.with_label_values(&[look]))).into(),
        })
    }
}

fn add<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: Result<C, prometheus::Error>,
) -> Result<C, prometheus::Error> {
    let collector = made?;
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn whole(n: impl TryInto<i64>) -> i64 {
    n.try_into().unwrap_or(i64::MAX)
}

impl Gauges {
    /// Registers them; nothing is looked at yet.
    pub(crate) fn new(
        config: &Config,
        ports: &Ports,
        vault: Vault,
        registry: &Registry,
    ) -> Result<Self, Failure> {
        Ok(Self {
            records: Arc::clone(&ports.records),
            fleet: Arc::clone(&ports.fleet),
            outbox: (!config.subscribers.is_empty()).then(|| Arc::clone(&ports.outbox)),
            vault,
            clock: ports.clock(),
            data: config.data.dir.clone(),
            every: config.telemetry.gauges,
            shown: Shown::register(registry).map_err(Failure::bug)?,
        })
    }

    /// Looks again and again until told to stop.
    pub(crate) async fn keep(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            for (look, result) in [
                ("lanes", self.lanes().await),
                ("workers", self.workers().await),
                ("outbox", self.outbox().await),
                ("accounts", self.accounts().await),
                ("disk", self.disk()),
            ] {
                if let Err(error) = result {
                    self.shown.errors[look].inc();
                    let error = chain(&*error, 1024);
                    tracing::debug!(look, error, "a metric is as old as the last look that worked");
                }
            }
            let _ = tokio::time::timeout(self.every, stop.cancelled()).await;
        }
    }

    async fn lanes(&self) -> Result<(), BoxError> {
        let now = self.clock.now();
        for info in self.records.lanes().await? {
            let lane = [info.lane.as_str()];
            // Nobody waits for what is paused on purpose.
            let oldest = info.oldest_available.filter(|_| info.paused.is_none());
            let age = oldest.map_or(0.0, |since| between(since, now).as_secs_f64());
            self.shown.oldest.with_label_values(&lane).set(age);
            let dead = info.counts.get(&State::Dead).copied().unwrap_or_default();
            self.shown.dead.with_label_values(&lane).set(whole(dead));
        }
        Ok(())
    }

    async fn workers(&self) -> Result<(), BoxError> {
        let there = self.fleet.workers(before(self.clock.now(), SEEN)).await?;
        self.shown.workers.set(whole(there.len()));
        self.shown.draining.set(whole(there.iter().filter(|worker| worker.draining).count()));
        Ok(())
    }

    async fn outbox(&self) -> Result<(), BoxError> {
        if let Some(outbox) = &self.outbox {
            self.shown.untold.set(whole(outbox.untold(UNTOLD).await?.len()));
        }
        Ok(())
    }

    async fn accounts(&self) -> Result<(), BoxError> {
        let mut found: BTreeMap<String, Platform> = BTreeMap::new();
        let mut last = None;
        for _ in 0..PAGES {
            let page = self.vault.list(None, last.as_ref(), PAGE).await?;
            for listed in &page {
                let of = found.entry(listed.account.platform.clone()).or_default();
                let (state, active) = match listed.account.status {
                    AccountStatus::Active => ("active", true),
                    AccountStatus::ReauthRequired { .. } => ("reauth_required", false),
                    AccountStatus::Revoked { .. } => ("revoked", false),
                };
                *of.states.entry(state).or_default() += 1;
                of.overdue += i64::from(active && listed.overdue);
                let ends = listed.ends_at.filter(|_| active);
                of.ends = [of.ends, ends].into_iter().flatten().min();
            }
            let full = page.len() == PAGE;
            last = page.into_iter().next_back().map(|listed| listed.account);
            if !full {
                break;
            }
        }
        self.show(&found);
        Ok(())
    }

    fn show(&self, found: &BTreeMap<String, Platform>) {
        let now = self.clock.now();
        self.shown.accounts.reset();
        self.shown.overdue.reset();
        self.shown.ends.reset();
        for (platform, of) in found {
            for (state, n) in &of.states {
                self.shown.accounts.with_label_values(&[platform.as_str(), *state]).set(*n);
            }
            self.shown.overdue.with_label_values(&[platform.as_str()]).set(of.overdue);
            if let Some(ends) = of.ends {
                let left = between(now, ends).as_secs_f64();
                self.shown.ends.with_label_values(&[platform.as_str()]).set(left);
            }
        }
    }

    fn disk(&self) -> Result<(), BoxError> {
        let free = free_bytes(&self.data)?;
        self.shown.disk.with_label_values(&["data"]).set(whole(free));
        Ok(())
    }
}

/// What the accounts of one platform say.
#[derive(Default)]
struct Platform {
    states: BTreeMap<&'static str, i64>,
    overdue: i64,
    ends: Option<Timestamp>,
}

/// Free space where a folder lies, or would lie once it is made.
pub(crate) fn free_bytes(folder: &std::path::Path) -> std::io::Result<u64> {
    let there = folder.ancestors().find(|path| path.exists() && !path.as_os_str().is_empty());
    let found = rustix::fs::statvfs(there.unwrap_or_else(|| std::path::Path::new(".")))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_all_of_them_are_registered() {
        let names: BTreeSet<_> = Gauge::ALL.iter().map(|gauge| gauge.named().0).collect();
        assert_eq!(names.len(), Gauge::ALL.len());
        assert!(Gauge::ALL.iter().all(|gauge| !gauge.named().1.ends_with('.')));
        let registry = Registry::new();
        let shown = Shown::register(&registry).unwrap();
        shown.errors["lanes"].inc();
        assert!(Shown::register(&registry).is_err(), "each name is taken once");
    }

    #[test]
    fn free_space_is_known_before_the_folder_is_made() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(&dir.path().join("not/yet/there")).unwrap() > 0);
    }
}
