//! What people do to jobs by hand, once for the API and the console: the checks, the entry in the
//! audit log, the change.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use flotilla_core::clock::before;
use flotilla_core::fleet::Fleet;
use flotilla_core::ops::Ops;
use flotilla_core::records::{JobRecord, Pause, RunNow};
use flotilla_core::replay::{
    Amend, Amended, Desk, Mark, Operation, ReplayId, Request, Revision, Word, revised,
};
use flotilla_core::{Cells, Lane, Records, State};
use serde_json::{Value, json};

use crate::api::Problem;
use crate::audit::{Audit, Change};
use crate::auth::{Act, Principal, Tenants};
use crate::redact;

/// The operations, over these ports.
#[derive(Clone)]
pub struct Acts {
    /// Where changes by hand are written down.
    pub audit: Audit,
    /// Kinds, clock, the one enqueue path.
    pub ops: Ops,
    /// The jobs.
    pub records: Arc<dyn Records>,
    /// Replays.
    pub cells: Arc<dyn Cells>,
    /// The workers.
    pub fleet: Arc<dyn Fleet>,
}

/// A worker that was not seen for longer is gone.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// What is done to a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Put nothing back.
    Pause,
    /// Go on.
    Resume,
    /// End it.
    Cancel,
}

/// Another payload for a dead letter.
#[derive(Debug)]
pub struct Edit {
    /// The payload, checked, and what is different.
    pub revision: Revision,
    /// Why.
    pub reason: Option<String>,
    /// Back among the available at once.
    pub replay: bool,
}

impl Edit {
    /// What is told of it: the differences without secrets, and what became of it.
    pub fn told(&self, job: &JobRecord, answer: Option<&Amended>) -> Value {
        let (old, new) =
            (redact::clean(&job.payload), redact::clean(&self.revision.payload.to_value()));
        let shown = Revision {
            changes: flotilla_core::replay::difference(&old, &new),
            payload: self.revision.payload.clone(),
        };
        let lines = shown.lines(&old);
        json!({"job": job.id, "changes": shown.changes, "lines": lines, "answer": answer})
    }
}

impl Acts {
    /// Does what somebody asks for, between the two halves of its entry in the audit log.
    ///
    /// # Errors
    /// What the change says, or that the log cannot be written: then nothing was changed.
    pub async fn audited(
        &self,
        who: &Principal,
        mut change: Change,
        act: impl Future<Output = Result<Value, Problem>>,
    ) -> Result<Value, Problem> {
        if change.tenant.is_none()
            && let Tenants::Some(some) = &who.tenants
            && some.len() == 1
        {
            change.tenant = some.first().cloned();
        }
        let open = self.audit.begin(who, change).await?;
        let done = act.await;
        match &done {
            Ok(after) => open.done(Some(after.clone())).await,
            Err(problem) => open.failed(problem.detail()).await,
        }
        done
    }

    /// The version of a record: changes whenever anything of it does.
    pub fn version(job: &JobRecord) -> String {
        let bytes = serde_json::to_vec(job).unwrap_or_default();
        blake3::hash(&bytes).to_hex()[..16].to_owned()
    }

    /// No claims from a lane until it is resumed.
    ///
    /// # Errors
    /// The role does not reach that far.
    pub async fn pause_lane(
        &self,
        who: &Principal,
        lane: &Lane,
        before: Option<&Pause>,
        reason: String,
    ) -> Result<Value, Problem> {
        who.need_fleet(Act::Operate)?;
        let change = Change {
            what: "lane.pause",
            target: lane.to_string(),
            before: Some(json!(before)),
            reason: Some(reason.clone()),
            ..Change::default()
        };
        let pause = Pause { by: who.name.to_string(), reason, since: self.ops.clock.now() };
        self.audited(who, change, async {
            self.records.pause(lane, pause.clone()).await?;
            Ok(json!({"lane": lane, "paused": pause}))
        })
        .await
    }

    /// Claims from it again; whether it was paused.
    ///
    /// # Errors
    /// The role does not reach that far.
    pub async fn resume_lane(
        &self,
        who: &Principal,
        lane: &Lane,
        before: Option<&Pause>,
    ) -> Result<bool, Problem> {
        who.need_fleet(Act::Operate)?;
        let (what, target, before) = ("lane.resume", lane.to_string(), Some(json!(before)));
        let change = Change { what, target, before, ..Change::default() };
        let done = self.audited(who, change, async {
            Ok(json!({"lane": lane, "was_paused": self.records.resume(lane).await?}))
        });
        Ok(done.await?["was_paused"] == true)
    }

    /// Asks a worker to claim no more and to end once its jobs have.
    ///
    /// # Errors
    /// The role does not reach that far; there is no such worker.
    pub async fn drain(
        &self,
        who: &Principal,
        name: &str,
        reason: Option<String>,
    ) -> Result<Value, Problem> {
        who.need_fleet(Act::Operate)?;
        let unknown = || {
            let detail = "no worker of that name: GET /v1/workers names them";
            Problem::new(StatusCode::NOT_FOUND, "unknown-worker", "no such worker", detail)
        };
        let since = before(self.ops.clock.now(), SEEN_WITHIN);
        let there = self.fleet.workers(since).await?;
        let worker = there.into_iter().find(|it| it.id.as_str() == name).ok_or_else(unknown)?;
        let change = Change {
            what: "worker.drain",
            target: name.to_owned(),
            before: Some(json!({"draining": worker.draining, "running": worker.running})),
            reason,
            ..Change::default()
        };
        self.audited(who, change, async {
            if !self.fleet.ask_drain(&worker.id).await? {
                return Err(unknown());
            }
            Ok(json!({"id": name, "draining": true}))
        })
        .await
    }

    /// Makes a replay that workers lead.
    ///
    /// # Errors
    /// The role does not reach that far; a bound is not kept.
    pub async fn plan(
        &self,
        who: &Principal,
        request: &Request,
        id: ReplayId,
    ) -> Result<Value, Problem> {
        who.need(Act::Operate)?;
        let change = Change {
            what: "replay.create",
            target: id.to_string(),
            before: Some(json!(request)),
            reason: Some(request.reason.clone()),
            ..Change::default()
        };
        let now = self.ops.clock.now();
        self.audited(who, change, async {
            Ok(json!(Desk::new(&*self.cells).create(request, id, now).await?))
        })
        .await
    }

    /// Pauses, resumes or cancels a replay.
    ///
    /// # Errors
    /// The role does not reach that far; the replay is not in a state for it.
    pub async fn turn(
        &self,
        who: &Principal,
        operation: &Operation,
        turn: Turn,
        why: String,
    ) -> Result<Value, Problem> {
        who.need(Act::Operate)?;
        let what = match turn {
            Turn::Pause => "replay.pause",
            Turn::Resume => "replay.resume",
            Turn::Cancel => "replay.cancel",
        };
        let change = Change {
            what,
            target: operation.id.to_string(),
            before: Some(json!({"state": operation.state, "counts": operation.counts})),
            reason: Some(why.clone()),
            ..Change::default()
        };
        let (word, now) = (Word { by: who.name.to_string(), why }, self.ops.clock.now());
        self.audited(who, change, async {
            let desk = Desk::new(&*self.cells);
            Ok(json!(match turn {
                Turn::Pause => desk.pause(operation.id, &word, now).await?,
                Turn::Resume => desk.resume(operation.id, &word, now).await?,
                Turn::Cancel => desk.cancel(operation.id, &word, now).await?,
            }))
        })
        .await
    }

    /// A job that waits for its moment is due now.
    ///
    /// # Errors
    /// The role does not reach that far, or the job waits for nothing of the kind.
    pub async fn run_now(
        &self,
        who: &Principal,
        job: &JobRecord,
        reason: Option<String>,
    ) -> Result<Value, Problem> {
        who.need(Act::Operate)?;
        let change = Change {
            what: "job.run-now",
            target: job.id.to_string(),
            tenant: Some(job.tenant.clone()),
            before: Some(json!({"state": job.state, "run_at": job.run_at})),
            reason,
        };
        self.audited(who, change, async {
            let now = self.ops.clock.now();
            match self.records.run_now(&[job.id], now).await?.first() {
                Some(RunNow::Due) => Ok(json!({"id": job.id, "outcome": RunNow::Due})),
                _ => {
                    let detail = format!(
                        "{} is {}: only scheduled and retryable jobs wait for a moment",
                        job.id, job.state
                    );
                    Err(Problem::conflict("wrong-state", "it does not wait for a moment", detail))
                }
            }
        })
        .await
    }

    /// Checks a payload that somebody made of what they were shown.
    ///
    /// # Errors
    /// It is no payload of the kind, a mask is left in it, or the job is no dead letter.
    pub fn revise(&self, job: &JobRecord, mut new: Value) -> Result<Revision, Problem> {
        if job.state != State::Dead {
            return Err(not_dead(job));
        }
        if !redact::restore(&mut new, &job.payload) {
            let detail = format!(
                "it holds \"{}\" where no secret is: write the value itself, or leave it out",
                redact::MASK
            );
            return Err(Problem::bad_request("payload", detail));
        }
        revised(&self.ops.registry, job, &new).map_err(|why| Problem::bad_request("payload", why))
    }

    /// Gives a dead letter another payload.
    ///
    /// # Errors
    /// The role does not reach that far; the letter was changed or put back meanwhile.
    pub async fn edit(
        &self,
        who: &Principal,
        job: &JobRecord,
        edit: &Edit,
    ) -> Result<Value, Problem> {
        who.need(Act::Operate)?;
        if edit.revision.changes.is_empty() && !edit.replay {
            return Ok(edit.told(job, None));
        }
        let now = self.ops.clock.now();
        let amend = Amend {
            id: job.id,
            mark: Mark {
                of: format!("edit/{}", ReplayId::new(now, &*self.ops.rng)),
                by: who.name.to_string(),
                reason: edit.reason.clone().unwrap_or_default(),
            },
            payload: Some(edit.revision.payload.clone()),
            expect: Some(job.payload.clone()),
            replay: edit.replay,
        };
        let change = Change {
            what: "dead.edit",
            target: job.id.to_string(),
            tenant: Some(job.tenant.clone()),
            before: Some(redact::clean(&job.payload)),
            reason: edit.reason.clone(),
        };
        self.audited(who, change, async {
            let answers = self.records.amend(std::slice::from_ref(&amend), now).await?;
            match answers.into_iter().next() {
                Some(done @ Amended::Done) => Ok(edit.told(job, Some(&done))),
                Some(Amended::Refused(why)) => {
                    Err(Problem::conflict("refused", "it is left as it is", why))
                }
                _ => Err(not_dead(job)),
            }
        })
        .await
    }
}

fn not_dead(job: &JobRecord) -> Problem {
    let detail = match job.state {
        State::Dead => format!("{} is no dead letter any more", job.id),
        state => format!("{} is {state}, not dead", job.id),
    };
    Problem::conflict("wrong-state", "not a dead letter", detail)
}
