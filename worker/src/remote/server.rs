//! A fleet behind its API.

use std::time::Duration;

use async_trait::async_trait;
use flotilla_console::Glance;
use flotilla_core::clock::SystemClock;
use flotilla_core::fleet::WorkerInfo;
use flotilla_core::limit::{LimitKey, Rule};
use flotilla_core::ops::Accepted;
use flotilla_core::records::{Cancel, Filter, JobRecord, LaneInfo, Listed, Page, Replay, RunNow};
use flotilla_core::replay::{DryRun, Groups, Operation, ReplayId, Request, Selection};
use flotilla_core::{Clock as _, Envelope, JobId, Kind, Lane, Tenant, Timestamp, WorkerId};
use flotilla_engine::traffic::{BreakerInfo, LimitInfo, RuleInfo};
use flotilla_engine::why::Why;
use flotilla_vault::{Listed as Account, Stopped};
use reqwest::Method;
use serde_json::json;
use tokio::sync::watch;

use super::answers::{Accounts, Breakers, Detail, Done, Jobs, Lanes, Limits, Workers};
use super::http::{Call, Client, refused};
use super::profile::Profile;
use super::{Edited, End, FoundWord, NewPayload, Refusal, Site, Turn, server_dead, server_enqueue};
use crate::exit::Failure;

/// Jobs of one page of the API at most.
const PAGE: usize = 500;
/// Jobs of one list at most, as here.
const MOST: usize = 1000;
/// What a write says that was given no reason.
const BY_HAND: &str = "by hand, from the command line";

/// The fleet there.
pub(super) struct There {
    pub(super) client: Client,
    /// Nothing is ever sent: whoever waits looks again after a second.
    changes: watch::Sender<u64>,
}

impl There {
    pub(super) fn new(profile: &Profile) -> Result<Self, Failure> {
        Ok(Self { client: Client::new(profile)?, changes: watch::Sender::new(0) })
    }

    /// Whole jobs of a list, page by page, until there are as many as asked for.
    pub(super) async fn list(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
        page: Page,
    ) -> Result<Listed, Failure> {
        let most = page.limit.min(MOST);
        let mut found = Listed { jobs: Vec::new(), next: page.before };
        loop {
            let limit = (most - found.jobs.len()).clamp(1, PAGE);
            let mut call = Call::get(path).with("full", true).with("limit", limit);
            call.query.extend(query.iter().cloned());
            if let Some(before) = found.next {
                call = call.with("cursor", before);
            }
            let part: Jobs = self.client.ask(call).await?;
            found.jobs.extend(part.jobs);
            found.next = part.next;
            if found.next.is_none() || found.jobs.len() >= most {
                return Ok(found);
            }
        }
    }
}

/// A filter as parameters.
pub(super) fn query(filter: &Filter) -> Vec<(&'static str, String)> {
    fn joined<T: ToString>(all: &[T]) -> Option<String> {
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        (!all.is_empty()).then(|| all.join(","))
    }
    let pairs = [
        ("id", joined(&filter.ids)),
        ("kind", joined(&filter.kinds)),
        ("lane", joined(&filter.lanes)),
        ("state", joined(&filter.states)),
        ("tenant", joined(&filter.tenants)),
        ("class", joined(&filter.classes)),
        ("parent", joined(&filter.parents)),
        ("since", filter.since.map(|at| at.to_string())),
        ("until", filter.until.map(|at| at.to_string())),
        ("error", filter.error.clone()),
    ];
    pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// A reason, where one is given; writes that need one always have it.
pub(super) fn why(reason: &str) -> &str {
    if reason.trim().is_empty() { BY_HAND } else { reason }
}

#[async_trait]
impl Site for There {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn close(self: Box<Self>) {}

    fn knows(&self, _: &Kind) -> Result<(), Failure> {
        Ok(()) // its workers know
    }

    async fn enqueue(
        &self,
        envelopes: Vec<Envelope>,
    ) -> Result<Vec<Result<Accepted, Refusal>>, Failure> {
        // Named here, so that they sort by when they were enqueued also where a request is repeated.
        let named = |it: Envelope| Envelope { id: it.id.or(Some(self.client.id())), ..it };
        server_enqueue::enqueue(&self.client, envelopes.into_iter().map(named).collect()).await
    }

    async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Failure> {
        self.client.find(Call::get(&["jobs", &id.to_string()])).await
    }

    async fn jobs(&self, filter: &Filter, page: Page) -> Result<Listed, Failure> {
        self.list(&["jobs"], &query(filter), page).await
    }

    async fn cancel(&self, ids: &[JobId], reason: &str) -> Result<Vec<Cancel>, Failure> {
        let mut answers = Vec::with_capacity(ids.len());
        for id in ids {
            let (id, body) = (id.to_string(), json!({"reason": why(reason)}));
            let path = ["jobs", id.as_str()];
            let done = self.client.answer::<Done>(Call::send(Method::DELETE, &path, &body)).await?;
            answers.push(match done {
                Ok(done) if done.outcome.as_deref() == Some("asked") => Cancel::Asked,
                Ok(_) => Cancel::Cancelled,
                Err(problem) if problem.status == 404 => Cancel::Unknown,
                Err(problem) if problem.slug() == "finished" => Cancel::Finished,
                Err(problem) => return Err(refused(problem)),
            });
        }
        Ok(answers)
    }

    async fn run_now(&self, ids: &[JobId]) -> Result<Vec<RunNow>, Failure> {
        let mut answers = Vec::with_capacity(ids.len());
        for id in ids {
            let path = ["jobs", &id.to_string(), "run-now"];
            let call = Call { method: Method::POST, ..Call::get(&path) };
            answers.push(match self.client.answer::<Done>(call).await? {
                Ok(_) => RunNow::Due,
                Err(problem) if problem.status == 404 => RunNow::Unknown,
                Err(problem) if problem.slug() == "wrong-state" => RunNow::NotWaiting,
                Err(problem) => return Err(refused(problem)),
            });
        }
        Ok(answers)
    }

    async fn why(&self, job: &JobRecord) -> Result<Why, Failure> {
        let path = ["jobs", &job.id.to_string(), "detail"];
        Ok(self.client.ask::<Detail>(Call::get(&path)).await?.why)
    }

    async fn lanes(&self) -> Result<Vec<LaneInfo>, Failure> {
        Ok(self.client.ask::<Lanes>(Call::get(&["lanes"])).await?.lanes)
    }

    async fn pause(&self, lane: &Lane, reason: &str) -> Result<(), Failure> {
        let body = json!({"reason": why(reason)});
        let path = ["lanes", lane.as_str(), "pause"];
        self.client.ask::<Done>(Call::send(Method::PUT, &path, &body)).await.map(drop)
    }

    async fn resume(&self, lane: &Lane) -> Result<bool, Failure> {
        let path = ["lanes", lane.as_str(), "pause"];
        let call = Call { method: Method::DELETE, ..Call::get(&path) };
        Ok(self.client.ask::<Done>(call).await?.was_paused)
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>, Failure> {
        Ok(self.client.ask::<Workers>(Call::get(&["workers"])).await?.workers)
    }

    async fn drain(&self, id: &WorkerId) -> Result<bool, Failure> {
        let path = ["workers", id.as_str(), "drain"];
        let call = Call { method: Method::POST, ..Call::get(&path) };
        Ok(self.client.find::<Done>(call).await?.is_some())
    }

    async fn glance(&self) -> Result<Glance, Failure> {
        self.client.ask(Call::get(&["glance"])).await
    }

    async fn limits(&self) -> Result<(Vec<RuleInfo>, Vec<LimitInfo>), Failure> {
        let found: Limits = self.client.ask(Call::get(&["limits"])).await?;
        Ok((found.rules, found.keys))
    }

    async fn set_rule(&self, rule: &Rule) -> Result<(), Failure> {
        let (path, body) = (["limits", rule.pattern.as_str()], json!({"quotas": rule.quotas}));
        self.client.ask::<Done>(Call::send(Method::PUT, &path, &body)).await.map(drop)
    }

    async fn unset_rule(&self, pattern: &str) -> Result<bool, Failure> {
        let path = ["limits", pattern];
        let call = Call { method: Method::DELETE, ..Call::get(&path) };
        Ok(self.client.ask::<Done>(call).await?.was_set)
    }

    async fn breakers(&self) -> Result<Vec<BreakerInfo>, Failure> {
        Ok(self.client.ask::<Breakers>(Call::get(&["breakers"])).await?.breakers)
    }

    async fn open_breaker(
        &self,
        key: &LimitKey,
        reason: &str,
        pause: Option<Duration>,
    ) -> Result<(), Failure> {
        let pause = pause.map(|pause| pause.as_secs().max(1));
        let body = json!({"stand": "open", "reason": why(reason), "pause": pause});
        let path = ["breakers", key.as_str()];
        self.client.ask::<Done>(Call::send(Method::PUT, &path, &body)).await.map(drop)
    }

    async fn close_breaker(&self, key: &LimitKey, reason: &str) -> Result<bool, Failure> {
        let body = json!({"stand": "closed", "reason": why(reason)});
        let path = ["breakers", key.as_str()];
        Ok(self.client.ask::<Done>(Call::send(Method::PUT, &path, &body)).await?.was_open)
    }

    async fn accounts(
        &self,
        tenant: Option<&Tenant>,
    ) -> Result<(Vec<Account>, Vec<Stopped>), Failure> {
        let (mut all, mut next) = (Vec::new(), None::<String>);
        loop {
            let mut call = Call::get(&["accounts"]).with("limit", PAGE);
            if let Some(tenant) = tenant {
                call = call.with("tenant", tenant);
            }
            if let Some(cursor) = next {
                call = call.with("cursor", cursor);
            }
            let page: Accounts = self.client.ask(call).await?;
            all.extend(page.accounts.into_iter().map(Account::from));
            next = page.next;
            if next.is_none() {
                return Ok((all, page.stopped));
            }
        }
    }

    async fn account(&self, tenant: &Tenant, name: &str) -> Result<Account, Failure> {
        let (all, _) = self.accounts(Some(tenant)).await?;
        all.into_iter().find(|it| it.account.id == name).ok_or_else(|| {
            Failure::usage(format!(
                "no account \"{name}\" of tenant {tenant}: `flotilla accounts list` names those \
                 there are"
            ))
        })
    }

    async fn dead(&self, selection: &Selection, page: Page) -> Result<Listed, Failure> {
        self.list(&["dead"], &server_dead::query(selection), page).await
    }

    async fn groups(&self, selection: &Selection) -> Result<Groups, Failure> {
        let mut call = Call::get(&["dead", "groups"]);
        call.query = server_dead::query(selection);
        self.client.ask(call).await
    }

    async fn matching(&self, selection: &Selection) -> Result<u64, Failure> {
        server_dead::matching(&self.client, selection).await
    }

    async fn end(
        &self,
        selection: &Selection,
        n: u64,
        reason: &str,
        how: End,
    ) -> Result<u64, Failure> {
        server_dead::end(&self.client, selection, n, reason, how).await
    }

    async fn edit(&self, job: &JobRecord, new: &NewPayload) -> Result<Edited, Failure> {
        server_dead::edit(&self.client, job, new).await
    }

    async fn replay(&self, selection: &Selection, limit: usize) -> Result<Replay, Failure> {
        let body = json!({"selection": selection, "limit": limit.min(server_dead::MOST)});
        self.client.ask(Call::send(Method::POST, &["dead", "replay"], &body)).await
    }

    async fn dry_run(&self, request: &Request) -> Result<DryRun, Failure> {
        let body = server_dead::asked(request);
        let call = Call::send(Method::POST, &["replays"], &body).with("dry_run", true);
        self.client.ask(call).await
    }

    async fn plan(&self, request: &Request) -> Result<Operation, Failure> {
        let body = server_dead::asked(request);
        self.client.ask(Call::send(Method::POST, &["replays"], &body)).await
    }

    async fn replays(&self) -> Result<Vec<Operation>, Failure> {
        let found: super::answers::Replays = self.client.ask(Call::get(&["replays"])).await?;
        Ok(found.replays)
    }

    async fn operation(&self, id: ReplayId) -> Result<Operation, Failure> {
        self.client.ask(Call::get(&["replays", &id.to_string()])).await
    }

    async fn turn(&self, id: ReplayId, turn: Turn, reason: &str) -> Result<Operation, Failure> {
        let turn = match turn {
            Turn::Pause => "pause",
            Turn::Resume => "resume",
            Turn::Cancel => "cancel",
        };
        let path = ["replays", &id.to_string(), turn];
        let body = json!({"reason": why(reason)});
        self.client.ask(Call::send(Method::POST, &path, &body)).await
    }

    async fn open_effects(&self, id: JobId) -> Result<Vec<String>, Failure> {
        let path = ["jobs", &id.to_string(), "detail"];
        let detail: Detail = self.client.ask(Call::get(&path)).await?;
        let open = detail.effects.into_iter().filter(|effect| effect.state != "done");
        Ok(open.map(|effect| effect.name).collect())
    }

    async fn found(&self, job: &JobRecord, word: &FoundWord) -> Result<JobId, Failure> {
        server_dead::found(&self.client, job, word).await
    }
}
