//! Sees every call that took effect, every handler and every call to the platform, and says when
//! something does not hold.
//!
//! | what holds | where it is looked at |
//! | --- | --- |
//! | a fence only rises, and no claim before the lease has ended | [`Witness::claimed`] |
//! | only the holder under the latest fence settles, and once | [`Witness::settled`] |
//! | an attempt is charged for a real failure only | [`Witness::settled`], [`Witness::charged`] |
//! | what is completed has been done | [`Witness::settled`] |
//! | a lane that is paused gives no jobs | [`Witness::claimed`] |
//! | no job, and no two of one ordering key, run at the same time | [`Witness::begun`] |
//! | a job of an ordering key runs when all before it have ended | [`Witness::before`], by its handler |
//! | a job takes one worker down at most, before it has a process of its own | [`Witness::kills`] |
//! | an open breaker admits nobody, a half-open one only its probes | [`Witness::called`] |

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flotilla_core::breaker::{Breaker, Stand};
use flotilla_core::cells::CellWrite;
use flotilla_core::clock::{Clock, Timestamp, after, before};
use flotilla_core::queue::{Claims, Extension, Lease, Settled, Settlement, Verdict};
use flotilla_core::records::JobRecord;
use flotilla_core::{DeadClass, Fence, JobError, JobId};

use crate::time::{SKEW, Truth};

/// A worker may believe for so long that a breaker is closed which has opened: it looks every
/// second, does not believe a view of five seconds ago, and waits a second for its quotas.
const BELIEF: Duration = Duration::from_secs(12);

#[derive(Default)]
struct Job {
    fence: u64,
    /// Until when the latest claim holds it; none: it was settled.
    held: Option<Timestamp>,
    /// Failed attempts that were recorded.
    retries: u32,
    /// Failures of its handler.
    failures: u32,
    /// Times its handler came to its end.
    done: u32,
    /// A settlement has finished it.
    ended: bool,
    /// It was asked to stop while it ran.
    asked: bool,
    /// Who claimed it last.
    holder: String,
    /// Workers it has taken down.
    kills: u32,
    inside: u32,
}

/// Everything seen so far.
#[derive(Default)]
struct Seen {
    jobs: BTreeMap<JobId, Job>,
    orders: BTreeMap<String, u32>,
    /// Jobs of an ordering key, as they were enqueued.
    lines: BTreeMap<String, Vec<JobId>>,
    paused: bool,
    breakers: BTreeMap<String, Breaker>,
    fault: Option<String>,
    /// Jobs, as their handlers began.
    began: Vec<JobId>,
    trace: Vec<String>,
    hash: DefaultHasher,
}

pub(crate) struct Witness {
    seen: Mutex<Seen>,
    truth: Truth,
    /// Keeps what it sees, to be read.
    tells: bool,
}

impl Witness {
    pub(crate) fn new(truth: Truth, tells: bool) -> Arc<Self> {
        Arc::new(Self { seen: Mutex::default(), truth, tells })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One line of what happened, where somebody wants to read it.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if self.tells {
            let line = format!("{} {}", self.truth.now(), line());
            let mut seen = self.seen();
            line.hash(&mut seen.hash);
            seen.trace.push(line);
        }
    }

    /// What happened, and one number for all of it.
    pub(crate) fn told(&self) -> (Vec<String>, u64) {
        let seen = self.seen();
        (seen.trace.clone(), seen.hash.finish())
    }

    /// Something does not hold; the first such thing is kept.
    pub(crate) fn accuse(&self, what: String) {
        self.note(|| format!("DOES NOT HOLD: {what}"));
        self.seen().fault.get_or_insert(what);
    }

    /// What does not hold, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        self.seen().fault.clone()
    }

    /// Jobs, as their handlers began.
    pub(crate) fn began(&self) -> Vec<JobId> {
        self.seen().began.clone()
    }

    /// Where the breaker of a key stands.
    pub(crate) fn stand(&self, key: &str) -> Stand {
        let seen = self.seen();
        seen.breakers.get(key).map(|breaker| breaker.stand.clone()).unwrap_or_default()
    }

    /// The fence of a job as it is now.
    pub(crate) fn fence(&self, id: JobId) -> Option<Fence> {
        self.seen().jobs.get(&id).map(|job| Fence(job.fence))
    }

    pub(crate) fn claimed(&self, worker: &str, claims: &Claims, until: Timestamp) {
        let soonest = after(self.truth.now(), SKEW);
        for claimed in &claims.jobs {
            let (id, fence) = (claimed.held.id, claimed.held.fence.0);
            self.note(|| format!("{worker} claims {id} under {fence}"));
            let mut seen = self.seen();
            let job = seen.jobs.entry(id).or_default();
            let (former, held) = (job.fence, job.held);
            (job.fence, job.held) = (fence, Some(until));
            worker.clone_into(&mut job.holder);
            let paused = seen.paused;
            drop(seen);
            if paused {
                self.accuse(format!("{id} was claimed although its lane is paused"));
            }
            if fence <= former {
                self.accuse(format!("{id} was claimed under {fence} after {former}"));
            }
            if let Some(until) = held.filter(|until| *until > soonest) {
                self.accuse(format!("{id} was claimed although it is held until {until}"));
            }
        }
    }

    pub(crate) fn extended(&self, leases: &[Extension], answers: &[Lease], until: Timestamp) {
        for (extension, _) in
            leases.iter().zip(answers).filter(|(_, a)| matches!(a, Lease::Kept { .. }))
        {
            let (id, fence) = (extension.held.id, extension.held.fence.0);
            let mut seen = self.seen();
            let job = seen.jobs.entry(id).or_default();
            let latest = job.fence;
            job.held = job.held.map(|_| until);
            drop(seen);
            if fence != latest {
                self.accuse(format!("{id} was extended under {fence}, and {latest} is the latest"));
            }
        }
    }

    pub(crate) fn settled(&self, worker: &str, done: &[Settlement], answers: &[Settled]) {
        for (settlement, answer) in done.iter().zip(answers) {
            let (id, fence) = (settlement.held.id, settlement.held.fence.0);
            let verdict = word(&settlement.verdict);
            self.note(|| format!("{worker} settles {id} under {fence}: {verdict}, {answer:?}"));
            if *answer != Settled::Applied {
                continue;
            }
            let mut seen = self.seen();
            let job = seen.jobs.entry(id).or_default();
            let (latest, held) = (job.fence, job.held.take());
            match &settlement.verdict {
                Verdict::Completed { .. } | Verdict::Cancelled { .. } | Verdict::Dead { .. } => {
                    job.ended = true;
                }
                // Who was asked to stop ends with its attempt, whatever that says.
                _ if job.asked => job.ended = true,
                Verdict::Retry { .. } => job.retries += 1,
                _ => {}
            }
            let failed = job.retries
                + u32::from(matches!(
                    settlement.verdict,
                    Verdict::Dead { class: DeadClass::Exhausted, .. }
                ));
            let (failures, done) = (job.failures, job.done);
            drop(seen);
            if fence != latest || held.is_none() {
                self.accuse(format!(
                    "{worker} settled {id} as {verdict} under {fence}; the latest is {latest}, \
                     held until {held:?}"
                ));
            }
            if failed > failures {
                self.accuse(format!("{id}: {failed} failures recorded, {failures} happened"));
            }
            if matches!(settlement.verdict, Verdict::Completed { .. }) && done == 0 {
                self.accuse(format!("{id} was completed before its handler has ended"));
            }
        }
    }

    /// A cell was written: those of breakers say what calls are allowed.
    pub(crate) fn written(&self, changes: &[CellWrite], answers: &[bool]) {
        for (change, _) in changes.iter().zip(answers).filter(|(_, written)| **written) {
            let Some(key) = change.key.strip_prefix("breaker/") else { continue };
            let read = |value: &bytes::Bytes| serde_json::from_slice::<Breaker>(value).ok();
            let breaker = change.value.as_ref().and_then(read).unwrap_or_default();
            self.note(|| format!("breaker {key}: {:?}", breaker.stand));
            self.seen().breakers.insert(key.to_owned(), breaker);
        }
    }

    /// The lane is paused from now on, or not.
    pub(crate) fn paused(&self, paused: bool) {
        self.note(|| format!("paused: {paused}"));
        self.seen().paused = paused;
    }

    /// A job of an ordering key is about to be enqueued.
    pub(crate) fn lines_up(&self, order: &str, id: JobId) {
        self.seen().lines.entry(order.to_owned()).or_default().push(id);
    }

    /// The jobs of an ordering key that were enqueued before this one.
    pub(crate) fn before(&self, order: &str, id: JobId) -> Vec<JobId> {
        let seen = self.seen();
        let line = seen.lines.get(order).map_or(&[][..], Vec::as_slice);
        line.iter().copied().take_while(|other| *other != id).collect()
    }

    /// A running job was asked to stop.
    pub(crate) fn asked(&self, id: JobId) {
        self.seen().jobs.entry(id).or_default().asked = true;
    }

    /// A job takes the worker down that claimed it last; `most`: as many as it may. Answers whom.
    pub(crate) fn kills(&self, id: JobId, most: u32) -> String {
        let mut seen = self.seen();
        let job = seen.jobs.entry(id).or_default();
        job.kills += 1;
        let (kills, holder) = (job.kills, job.holder.clone());
        drop(seen);
        self.note(|| format!("{id} takes {holder} down"));
        if kills > most {
            self.accuse(format!("{id} has taken {kills} workers down"));
        }
        holder
    }

    /// A handler begins; the guard says when it is over, however.
    pub(crate) fn begun(self: &Arc<Self>, id: JobId, order: Option<&str>) -> Inside {
        self.note(|| format!("begins {id}"));
        let mut seen = self.seen();
        seen.began.push(id);
        let inside = &mut seen.jobs.entry(id).or_default().inside;
        *inside += 1;
        let twice = *inside > 1;
        let order = order.map(str::to_owned);
        let together = order.as_ref().is_some_and(|order| {
            let inside = seen.orders.entry(order.clone()).or_default();
            *inside += 1;
            *inside > 1
        });
        drop(seen);
        if twice || together {
            self.accuse(format!("{id} runs twice at once, or beside one of its order {order:?}"));
        }
        Inside { witness: Arc::clone(self), id, order }
    }

    /// A handler has come to its end.
    pub(crate) fn returned<T>(&self, id: JobId, result: &Result<T, JobError>) {
        let mut seen = self.seen();
        let job = seen.jobs.entry(id).or_default();
        match result {
            Ok(_) => job.done += 1,
            Err(JobError::Retry { .. }) => job.failures += 1,
            Err(_) => {}
        }
    }

    /// The platform is called under the breaker of that key.
    pub(crate) fn called(&self, id: JobId, key: &str) {
        let now = self.truth.now();
        let stand = self.seen().breakers.get(key).map(|breaker| breaker.stand.clone());
        let fault = match stand {
            Some(Stand::Open { since, until, .. }) => {
                let believed = now < after(since, BELIEF);
                let over = until.is_some_and(|until| now > before(until, SKEW));
                !believed && !over
            }
            Some(Stand::HalfOpen { probes, .. }) => !probes.contains_key(&id),
            _ => false,
        };
        if fault {
            self.accuse(format!("{id} calls {key} although its breaker does not admit it"));
        }
    }

    /// Whether the attempts of a finished job are those that failed, crashed or ended it.
    pub(crate) fn charged(&self, record: &JobRecord) {
        let seen = self.seen();
        let Some(job) = seen.jobs.get(&record.id) else { return };
        let (retries, ended) = (job.retries, u32::from(job.ended));
        drop(seen);
        if record.attempt != retries + record.crashes + ended {
            self.accuse(format!(
                "{} was charged {} attempts: {retries} failed, {} crashed, {ended} ended it; {record:#?}",
                record.id, record.attempt, record.crashes
            ));
        }
    }
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Completed { .. } => "completed",
        Verdict::Retry { .. } => "retry",
        Verdict::Snooze { .. } => "snooze",
        Verdict::Park { .. } => "park",
        Verdict::Await { .. } => "await",
        Verdict::Interrupted => "interrupted",
        Verdict::Cancelled { .. } => "cancelled",
        Verdict::Dead { .. } => "dead",
    }
}

/// A handler at work.
pub(crate) struct Inside {
    witness: Arc<Witness>,
    id: JobId,
    order: Option<String>,
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut seen = self.witness.seen();
        if let Some(job) = seen.jobs.get_mut(&self.id) {
            job.inside -= 1;
        }
        if let Some(inside) = self.order.as_ref().and_then(|order| seen.orders.get_mut(order)) {
            *inside -= 1;
        }
    }
}
