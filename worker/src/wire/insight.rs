//! What the API asks of the engine, the vault and the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_admin::{
    AccountView, BreakerView, Dependency, FoundOut, Insight, LimitView, Ready, RuleView,
    ScheduleView, StopView, Unfound, Why,
};
use flotilla_config::Config;
use flotilla_console::Glance;
use flotilla_core::account::{Account, AccountStatus};
use flotilla_core::blob::{BlobKey, Blobs};
use flotilla_core::fleet::Fleet;
use flotilla_core::limit::{LimitKey, Quota, Rule};
use flotilla_core::ops::Ops;
use flotilla_core::queue::{QueueError, QueueErrorKind};
use flotilla_core::records::JobRecord;
use flotilla_core::{Cells, Clock, JobId, Records, Registry, Tenant, Timestamp};
use flotilla_engine::found::{self, Found, FoundError, Word};
use flotilla_engine::why::{self, Sources};
use flotilla_engine::{ScheduleEntry, schedule, traffic};
use flotilla_vault::{Listed, Stopped, Vault, VaultError};

use crate::exit::Failure;
use crate::wire::{self, Ports};

/// All that an answer may need.
pub(crate) struct Seen {
    records: Arc<dyn Records>,
    fleet: Arc<dyn Fleet>,
    cells: Arc<dyn Cells>,
    clock: Arc<dyn Clock>,
    ops: Ops,
    registry: Arc<Registry>,
    rules: Vec<Rule>,
    depth: usize,
    schedules: Vec<ScheduleEntry>,
    vault: Vault,
}

impl Seen {
    /// Over these ports, as the configuration says.
    pub(crate) fn new(
        config: &Config,
        ports: &Ports,
        registry: Arc<Registry>,
        vault: Vault,
    ) -> Result<Self, Failure> {
        let settings = wire::engine::settings(config)?;
        Ok(Self {
            records: Arc::clone(&ports.records),
            fleet: Arc::clone(&ports.fleet),
            cells: Arc::clone(&ports.cells),
            clock: ports.clock(),
            ops: wire::ops(config, ports)?,
            registry,
            rules: settings.limits.rules,
            depth: settings.breakers.depth,
            schedules: settings.schedules,
            vault,
        })
    }

    async fn schedule(&self, entry: &ScheduleEntry) -> Result<ScheduleView, QueueError> {
        let last = self.fleet.last_fire(&entry.name).await?;
        let now = self.clock.now();
        Ok(ScheduleView {
            name: entry.name.clone(),
            cron: entry.cron.clone(),
            timezone: entry.zone.clone(),
            kind: entry.kind.clone(),
            lane: entry.lane.clone(),
            tenant: entry.tenant.clone().unwrap_or_default(),
            payload: entry.payload.to_value(),
            // What was missed fires as soon as a worker is there.
            next: schedule::next(entry, last.unwrap_or(now)).ok().flatten().map(|at| at.max(now)),
            last,
        })
    }
}

fn texts(quotas: &[Quota]) -> Vec<String> {
    quotas.iter().map(ToString::to_string).collect()
}

#[async_trait]
impl Insight for Seen {
    async fn why(&self, job: &JobRecord) -> Result<Why, QueueError> {
        let sources = Sources {
            records: &*self.records,
            fleet: &*self.fleet,
            cells: &*self.cells,
            registry: &self.registry,
            rules: &self.rules,
            depth: self.depth,
        };
        let now = self.clock.now();
        let facts = why::gather(&sources, job, now).await?;
        let why::Why { id, state, because, ahead, start } = why::why(job, &facts, now);
        Ok(Why { id, state, because, ahead, start })
    }

    async fn limits(&self) -> Result<(Vec<RuleView>, Vec<LimitView>), QueueError> {
        let now = self.clock.now();
        let rules = traffic::rules(&*self.cells, &self.rules, now).await?;
        let limits = traffic::limits(&*self.cells, &self.rules, now).await?;
        let rules = rules.into_iter().map(|info| RuleView {
            quotas: texts(&info.rule.quotas),
            pattern: info.rule.pattern,
            set_by_hand: info.set_by_hand,
        });
        let limits = limits.into_iter().map(|info| LimitView {
            key: info.key.to_string(),
            quotas: texts(&info.quotas),
            next_start: info.next_start,
            running: info.running,
            frozen_until: info.frozen_until,
            frozen_because: info.frozen_because,
        });
        Ok((rules.collect(), limits.collect()))
    }

    async fn set_rule(&self, rule: &Rule) -> Result<(), QueueError> {
        traffic::set_rule(&*self.cells, &*self.clock, rule).await
    }

    async fn unset_rule(&self, pattern: &str) -> Result<bool, QueueError> {
        traffic::unset_rule(&*self.cells, &*self.clock, pattern).await
    }

    async fn breakers(&self) -> Result<Vec<BreakerView>, QueueError> {
        let found = traffic::breakers(&*self.cells, self.clock.now()).await?.into_iter();
        let view = |info: traffic::BreakerInfo| BreakerView {
            key: info.key.to_string(),
            says: info.stand.to_string(),
            stand: info.stand,
            history: info.history,
        };
        Ok(found.map(view).collect())
    }

    fn breaker_of(&self, key: &LimitKey) -> LimitKey {
        key.above(self.depth)
    }

    async fn open_breaker(
        &self,
        key: &LimitKey,
        by: &str,
        why: &str,
        pause: Option<Duration>,
    ) -> Result<(), QueueError> {
        traffic::open_breaker(&*self.cells, &*self.clock, key, by, why, pause).await
    }

    async fn close_breaker(&self, key: &LimitKey, by: &str, why: &str) -> Result<bool, QueueError> {
        traffic::close_breaker(&*self.cells, &*self.clock, key, by, why).await
    }

    async fn accounts(
        &self,
        tenant: Option<&Tenant>,
        after: Option<(Tenant, String)>,
        limit: usize,
    ) -> Result<Vec<AccountView>, QueueError> {
        let after = after.map(|(tenant, id)| place(tenant, id));
        let found = self.vault.list(tenant, after.as_ref(), limit).await;
        Ok(found.map_err(store)?.into_iter().map(view).collect())
    }

    async fn found(&self, job: &JobRecord, word: &FoundOut) -> Result<JobId, Unfound> {
        let found = match word.did {
            true => Found::Did(word.result.clone()),
            false => Found::DidNot,
        };
        let word = Word { found, by: word.by.clone() };
        let done = found::replay(&*self.records, &*self.cells, &self.ops, job, &word).await;
        done.map_err(|error| match error {
            FoundError::Port(error) => Unfound::Port(error),
            other => Unfound::Refused(other.to_string()),
        })
    }

    async fn glance(&self) -> Result<serde_json::Value, QueueError> {
        let sources = flotilla_console::Sources {
            records: &*self.records,
            fleet: &*self.fleet,
            cells: &*self.cells,
            accounts: &self.vault,
            rules: &self.rules,
        };
        let seen = flotilla_console::gather(sources, self.clock.now()).await?;
        let written = serde_json::to_value(Glance::from(seen));
        written.map_err(|e| QueueError::new(QueueErrorKind::Corrupt, "no overview", e))
    }

    async fn stops(&self) -> Result<Vec<StopView>, QueueError> {
        let stops = self.vault.stops().await.map_err(store)?.into_iter();
        let view = |Stopped { platform, since, until, reason }| StopView {
            platform,
            since,
            until,
            reason,
        };
        Ok(stops.map(view).collect())
    }

    async fn schedules(&self) -> Result<Vec<ScheduleView>, QueueError> {
        let mut views = Vec::with_capacity(self.schedules.len());
        for entry in &self.schedules {
            views.push(self.schedule(entry).await?);
        }
        Ok(views)
    }
}

fn store(error: VaultError) -> QueueError {
    match error {
        VaultError::Store(error) => error,
        other => QueueError::plain(QueueErrorKind::Unavailable, other.to_string()),
    }
}

fn view(listed: Listed) -> AccountView {
    AccountView {
        account: listed.account,
        version: listed.version,
        obtained_at: listed.obtained_at,
        refreshable: listed.refreshable,
        due_at: listed.due_at,
        overdue: listed.overdue,
        ends_at: listed.ends_at,
        failures: listed.failures,
        lost: listed.lost,
        last_error: listed.last_error,
    }
}

/// Where a list goes on: only tenant and name count.
fn place(tenant: Tenant, id: String) -> Account {
    Account {
        tenant,
        id,
        platform: String::new(),
        external_id: String::new(),
        name: String::new(),
        status: AccountStatus::Active,
        scopes: Vec::new(),
        expires_at: None,
        refresh_expires_at: None,
        base_url: None,
        extra: BTreeMap::new(),
        created_at: Timestamp::UNIX_EPOCH,
        renewed_at: None,
    }
}

/// `/readyz`: everything that work depends on answers.
pub(crate) struct Reachable {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) fleet: Arc<dyn Fleet>,
    pub(crate) cells: Arc<dyn Cells>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Ready for Reachable {
    async fn ready(&self) -> Vec<Dependency> {
        let (nobody, now) = (JobId::derived("readyz"), self.clock.now());
        let key = ["readyz/none".to_owned()];
        let (queue, fleet, cells, blobs) = tokio::join!(
            self.records.get(nobody),
            self.fleet.last_fire("readyz"),
            self.cells.read(&key, now),
            self.blob(),
        );
        let silent = |error: QueueError| format!("it does not answer: {error}");
        vec![
            Dependency { name: "queue", trouble: queue.err().map(silent) },
            Dependency { name: "fleet", trouble: fleet.err().map(silent) },
            Dependency { name: "cells", trouble: cells.err().map(silent) },
            Dependency { name: "blobs", trouble: blobs.err() },
        ]
    }
}

impl Reachable {
    async fn blob(&self) -> Result<(), String> {
        let key = BlobKey::new("readyz").map_err(|e| e.to_string())?;
        self.blobs.size(&key).await.map(|_| ()).map_err(|e| format!("it does not answer: {e}"))
    }
}
