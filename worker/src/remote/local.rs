//! The fleet of this machine's configuration, by its ports.

use std::time::Duration;

use async_trait::async_trait;
use flotilla_config::Config;
use flotilla_console::Glance;
use flotilla_core::clock::before;
use flotilla_core::fleet::WorkerInfo;
use flotilla_core::limit::{LimitKey, Rule};
use flotilla_core::ops::{Accepted, EnqueueError, Ops};
use flotilla_core::records::{
    Cancel, Filter, JobRecord, LaneInfo, Listed, Page, Pause, Replay, RunNow,
};
use flotilla_core::replay::{DryRun, Groups, Operation, ReplayId, Request, Selection};
use flotilla_core::{Envelope, JobId, Kind, Lane, Tenant, Timestamp, WorkerId};
use flotilla_engine::traffic::{self, BreakerInfo, LimitInfo, RuleInfo};
use flotilla_engine::why::{self, Sources, Why};
use flotilla_vault::{Listed as Account, Stopped};
use tokio::sync::watch;

use super::local_dead as dead;
use super::{Edited, End, FoundWord, NewPayload, Refusal, Site, Turn};
use crate::exit::Failure;
use crate::wire::{self, Ports};

/// A worker that was not seen for so long is not there.
const SEEN_WITHIN: Duration = Duration::from_secs(60);
/// Accounts read at once.
const ACCOUNTS: usize = 500;

/// The fleet here.
pub(super) struct Here {
    pub(super) config: Config,
    pub(super) ports: Ports,
    pub(super) ops: Ops,
}

impl Here {
    pub(super) async fn open(config: &Config) -> Result<Self, Failure> {
        let ports = wire::ports(config).await?;
        let ops = wire::ops(config, &ports)?;
        Ok(Self { config: config.clone(), ports, ops })
    }

    /// A key that names a breaker: a longer one shares that of its first parts.
    fn breaker(&self, key: &LimitKey) -> Result<(), Failure> {
        let own = key.above(wire::engine::settings(&self.config)?.breakers.depth);
        if own == *key {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{key} has no breaker of its own: its jobs share that of {own}"
        )))
    }
}

#[async_trait]
impl Site for Here {
    fn now(&self) -> Timestamp {
        self.ports.now()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.ports.records.changes()
    }

    async fn close(self: Box<Self>) {
        self.ports.close().await;
    }

    fn knows(&self, kind: &Kind) -> Result<(), Failure> {
        self.ops.registry.get(kind.as_str())?;
        Ok(())
    }

    async fn enqueue(
        &self,
        envelopes: Vec<Envelope>,
    ) -> Result<Vec<Result<Accepted, Refusal>>, Failure> {
        let (mut jobs, mut answers) = (Vec::with_capacity(envelopes.len()), Vec::new());
        for envelope in envelopes {
            match self.ops.prepare(envelope, self.ops.clock.now()) {
                Ok(job) => {
                    jobs.push(job);
                    answers.push(None);
                }
                Err(EnqueueError::Queue(error)) => return Err(error.into()),
                Err(error) => answers.push(Some(Refusal::from(&error))),
            }
        }
        let mut accepted = self.ops.enqueue_prepared(&jobs).await?.into_iter();
        let merged = answers.into_iter().map(|refusal| match refusal {
            Some(refusal) => Ok(Err(refusal)),
            None => accepted.next().map(Ok).ok_or_else(|| Failure::bug("a job has no answer")),
        });
        merged.collect()
    }

    async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Failure> {
        Ok(self.ports.records.get(id).await?)
    }

    async fn jobs(&self, filter: &Filter, page: Page) -> Result<Listed, Failure> {
        Ok(self.ports.records.list(filter, page).await?)
    }

    async fn cancel(&self, ids: &[JobId], reason: &str) -> Result<Vec<Cancel>, Failure> {
        Ok(self.ports.records.cancel(ids, reason, self.now()).await?)
    }

    async fn run_now(&self, ids: &[JobId]) -> Result<Vec<RunNow>, Failure> {
        Ok(self.ports.records.run_now(ids, self.now()).await?)
    }

    async fn why(&self, job: &JobRecord) -> Result<Why, Failure> {
        let settings = wire::engine::settings(&self.config)?;
        let sources = Sources {
            records: &*self.ports.records,
            fleet: &*self.ports.fleet,
            cells: &*self.ports.cells,
            registry: &self.ops.registry,
            rules: &settings.limits.rules,
            depth: settings.breakers.depth,
        };
        let now = self.now();
        Ok(why::why(job, &why::gather(&sources, job, now).await?, now))
    }

    async fn lanes(&self) -> Result<Vec<LaneInfo>, Failure> {
        Ok(self.ports.records.lanes().await?)
    }

    async fn pause(&self, lane: &Lane, reason: &str) -> Result<(), Failure> {
        let pause = Pause { by: wire::user(), reason: reason.to_owned(), since: self.now() };
        Ok(self.ports.records.pause(lane, pause).await?)
    }

    async fn resume(&self, lane: &Lane) -> Result<bool, Failure> {
        Ok(self.ports.records.resume(lane).await?)
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>, Failure> {
        Ok(self.ports.fleet.workers(before(self.now(), SEEN_WITHIN)).await?)
    }

    async fn drain(&self, id: &WorkerId) -> Result<bool, Failure> {
        Ok(self.ports.fleet.ask_drain(id).await?)
    }

    async fn glance(&self) -> Result<Glance, Failure> {
        let settings = wire::engine::settings(&self.config)?;
        let sources = flotilla_console::Sources {
            records: &*self.ports.records,
            fleet: &*self.ports.fleet,
            cells: &*self.ports.cells,
            accounts: &wire::vault::open(&self.config, &self.ports)?,
            rules: &settings.limits.rules,
        };
        Ok(Glance::from(flotilla_console::gather(sources, self.now()).await?))
    }

    async fn limits(&self) -> Result<(Vec<RuleInfo>, Vec<LimitInfo>), Failure> {
        let fixed = wire::engine::settings(&self.config)?.limits.rules;
        let (cells, now) = (&*self.ports.cells, self.now());
        let rules = traffic::rules(cells, &fixed, now).await?;
        Ok((rules, traffic::limits(cells, &fixed, now).await?))
    }

    async fn set_rule(&self, rule: &Rule) -> Result<(), Failure> {
        Ok(traffic::set_rule(&*self.ports.cells, &*self.ports.clock(), rule).await?)
    }

    async fn unset_rule(&self, pattern: &str) -> Result<bool, Failure> {
        Ok(traffic::unset_rule(&*self.ports.cells, &*self.ports.clock(), pattern).await?)
    }

    async fn breakers(&self) -> Result<Vec<BreakerInfo>, Failure> {
        Ok(traffic::breakers(&*self.ports.cells, self.now()).await?)
    }

    async fn open_breaker(
        &self,
        key: &LimitKey,
        reason: &str,
        pause: Option<Duration>,
    ) -> Result<(), Failure> {
        self.breaker(key)?;
        let (cells, clock, by) = (&*self.ports.cells, self.ports.clock(), wire::user());
        Ok(traffic::open_breaker(cells, &*clock, key, &by, reason, pause).await?)
    }

    async fn close_breaker(&self, key: &LimitKey, reason: &str) -> Result<bool, Failure> {
        self.breaker(key)?;
        let (cells, clock, by) = (&*self.ports.cells, self.ports.clock(), wire::user());
        Ok(traffic::close_breaker(cells, &*clock, key, &by, reason).await?)
    }

    async fn accounts(
        &self,
        tenant: Option<&Tenant>,
    ) -> Result<(Vec<Account>, Vec<Stopped>), Failure> {
        let vault = wire::vault::open(&self.config, &self.ports)?;
        let mut all: Vec<Account> = Vec::new();
        loop {
            let last = all.last().map(|last| last.account.clone());
            let page = vault.list(tenant, last.as_ref(), ACCOUNTS).await?;
            if page.is_empty() {
                return Ok((all, vault.stops().await?));
            }
            all.extend(page);
        }
    }

    async fn account(&self, tenant: &Tenant, name: &str) -> Result<Account, Failure> {
        Ok(wire::vault::open(&self.config, &self.ports)?.show(tenant, name).await?)
    }

    async fn dead(&self, selection: &Selection, page: Page) -> Result<Listed, Failure> {
        dead::list(&*self.ports.records, selection, page).await
    }

    async fn groups(&self, selection: &Selection) -> Result<Groups, Failure> {
        dead::grouped(self, selection).await
    }

    async fn matching(&self, selection: &Selection) -> Result<u64, Failure> {
        dead::matching(&*self.ports.records, selection).await
    }

    async fn end(
        &self,
        selection: &Selection,
        n: u64,
        reason: &str,
        how: End,
    ) -> Result<u64, Failure> {
        dead::end(self, selection, n, reason, how).await
    }

    async fn edit(&self, job: &JobRecord, new: &NewPayload) -> Result<Edited, Failure> {
        dead::edit(self, job, new).await
    }

    async fn replay(&self, selection: &Selection, limit: usize) -> Result<Replay, Failure> {
        dead::replay(self, selection, limit).await
    }

    async fn dry_run(&self, request: &Request) -> Result<DryRun, Failure> {
        dead::dry(self, request).await
    }

    async fn plan(&self, request: &Request) -> Result<Operation, Failure> {
        dead::plan(self, request).await
    }

    async fn replays(&self) -> Result<Vec<Operation>, Failure> {
        dead::replays(self).await
    }

    async fn operation(&self, id: ReplayId) -> Result<Operation, Failure> {
        dead::operation(self, id).await
    }

    async fn turn(&self, id: ReplayId, turn: Turn, reason: &str) -> Result<Operation, Failure> {
        dead::turn(self, id, turn, reason).await
    }

    async fn open_effects(&self, id: JobId) -> Result<Vec<String>, Failure> {
        let (cells, now) = (&*self.ports.cells, self.now());
        Ok(flotilla_engine::found::open_effects(cells, id, now).await?)
    }

    async fn found(&self, job: &JobRecord, word: &FoundWord) -> Result<JobId, Failure> {
        dead::found(self, job, word).await
    }
}
