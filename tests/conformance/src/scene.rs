//! What cases say in one word: make a job, claim it, settle it, let time pass.

use std::time::Duration;

use bytes::Bytes;
use flotilla_core::clock::{Clock, ManualClock, Timestamp, after};
use flotilla_core::envelope::{Unique, UniqueScope};
use flotilla_core::ids::{JobId, Kind, Lane, Priority, Tenant, WorkerId};
use flotilla_core::queue::{
    AttemptError, Claimed, Claims, Enqueued, Extension, HousekeepPolicy, Housekeeping, LaneDemand,
    Lease, NewJob, Settled, Settlement, Verdict,
};
use flotilla_core::records::JobRecord;
use flotilla_core::rng::SeededRng;
use flotilla_core::state::{DeadClass, State};

use crate::harness::{Harness, Ports};

/// The lane of jobs that name none.
pub(crate) const LANE: Lane = Lane::from_static("main");
/// The kind of jobs that name none.
pub(crate) const KIND: Kind = Kind::from_static("test.run");
/// How long a claim holds.
pub(crate) const LEASE: Duration = Duration::from_secs(15);
/// How long housekeeping keeps dead letters.
pub(crate) const KEEP_DEAD: Duration = Duration::from_secs(86_400);
/// How often a job may take its worker down.
pub(crate) const POISON_AFTER: u32 = 2;

/// Ten years: longer than anything is kept.
pub(crate) const LONG: Duration = Duration::from_secs(10 * 365 * 86_400);

pub(crate) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What a claimer wants of one lane, for jobs of the usual kind.
pub(crate) fn demand(lane: &Lane, slots: usize) -> LaneDemand {
    LaneDemand { lane: lane.clone(), slots, kinds: vec![KIND] }
}

/// A unique key that holds while its job is unfinished.
pub(crate) fn unique(key: &str) -> Option<Unique> {
    Some(Unique { key: key.into(), scope: UniqueScope::Unfinished })
}

pub(crate) fn priority(level: u8) -> Priority {
    Priority::new(level).expect("cases use levels up to 9")
}

pub(crate) fn tenant(name: &str) -> Tenant {
    Tenant::new(name).expect("cases use proper names")
}

pub(crate) fn ids(claimed: &[Claimed]) -> Vec<JobId> {
    claimed.iter().map(|job| job.held.id).collect()
}

pub(crate) fn sorted(mut ids: Vec<JobId>) -> Vec<JobId> {
    ids.sort();
    ids
}

/// One backend, a clock that moves when told to, and ids that follow from a seed.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) ports: Ports,
    clock: ManualClock,
    rng: SeededRng,
}

impl Scene {
    /// On an empty backend.
    pub(crate) async fn new(h: &dyn Harness) -> Self {
        Self::on(h.fresh().await)
    }

    /// On these ports.
    pub(crate) fn on(ports: Ports) -> Self {
        Self { ports, clock: ManualClock::default(), rng: SeededRng::new(1) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn later(&self, by: Duration) -> Timestamp {
        after(self.now(), by)
    }

    pub(crate) fn pass(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// A job that is available at once.
    pub(crate) fn job(&self) -> NewJob {
        NewJob::new(JobId::new(self.now(), &self.rng), KIND, LANE, self.now())
    }

    pub(crate) async fn enqueue(&self, jobs: &[NewJob]) -> Vec<Enqueued> {
        let most = self.ports.queue.capabilities().max_batch;
        let mut answers = Vec::new();
        for batch in jobs.chunks(most) {
            let now = self.now();
            let some = self.ports.queue.enqueue(batch, now).await.expect("enqueue works");
            assert_eq!(some.len(), batch.len(), "one answer per job");
            answers.extend(some);
        }
        answers
    }

    /// Enqueues one job that must be new.
    pub(crate) async fn add(&self, job: NewJob) -> JobId {
        let id = job.id;
        assert_eq!(self.enqueue(&[job]).await, [Enqueued::Created]);
        id
    }

    /// Enqueues `n` usual jobs.
    pub(crate) async fn add_many(&self, n: usize) -> Vec<JobId> {
        let jobs: Vec<NewJob> = (0..n).map(|_| self.job()).collect();
        assert!(self.enqueue(&jobs).await.iter().all(|a| *a == Enqueued::Created));
        jobs.iter().map(|job| job.id).collect()
    }

    pub(crate) async fn claims_by(&self, worker: &str, lanes: &[LaneDemand]) -> Claims {
        let worker = WorkerId::new(worker);
        self.ports.queue.claim(lanes, &worker, LEASE, self.now()).await.expect("claim works")
    }

    /// Up to `slots` usual jobs.
    pub(crate) async fn claim(&self, slots: usize) -> Vec<Claimed> {
        self.claims_by("first", &[demand(&LANE, slots)]).await.jobs
    }

    /// So many usual jobs, from as many claims as it takes: a broker may give a part of what it has
    /// and have the rest on its way.
    pub(crate) async fn claim_every(&self, jobs: usize) -> Vec<Claimed> {
        let mut claimed = Vec::new();
        while claimed.len() < jobs {
            let mut wakes = self.ports.queue.wakes();
            let some = self.claim(jobs - claimed.len()).await;
            let news = async { !some.is_empty() || wakes.changed().await.is_ok() };
            if !tokio::time::timeout(secs(30), news).await.unwrap_or(false) {
                break;
            }
            claimed.extend(some);
        }
        claimed
    }

    /// The one job that is to be had.
    pub(crate) async fn one(&self) -> Claimed {
        let mut jobs = self.claim(2).await;
        assert_eq!(jobs.len(), 1, "exactly one job is claimable");
        jobs.remove(0)
    }

    /// A new usual job, claimed.
    pub(crate) async fn running(&self) -> Claimed {
        self.add(self.job()).await;
        self.one().await
    }

    pub(crate) async fn settle(&self, job: &Claimed, verdict: Verdict) -> Settled {
        let done = Settlement { held: job.held.clone(), verdict };
        let answers = self.ports.queue.settle(&[done], self.now()).await.expect("settle works");
        assert_eq!(answers.len(), 1, "one answer per settlement");
        answers[0]
    }

    /// Settles under a lease that must still hold.
    pub(crate) async fn applied(&self, job: &Claimed, verdict: Verdict) {
        assert_eq!(self.settle(job, verdict).await, Settled::Applied);
    }

    pub(crate) async fn extend(&self, job: &Claimed, until: Timestamp) -> Lease {
        let lease = Extension { held: job.held.clone(), progress: None };
        let queue = &self.ports.queue;
        let answers = queue.extend(&[lease], until, self.now()).await.expect("extend works");
        assert_eq!(answers.len(), 1, "one answer per lease");
        answers[0]
    }

    pub(crate) async fn find(&self, id: JobId) -> Option<JobRecord> {
        self.ports.records.get(id).await.expect("get works")
    }

    pub(crate) async fn get(&self, id: JobId) -> JobRecord {
        self.find(id).await.expect("the job has a record")
    }

    pub(crate) async fn state(&self, id: JobId) -> State {
        self.get(id).await.state
    }

    pub(crate) async fn cancel(&self, id: JobId, reason: &str) -> flotilla_core::records::Cancel {
        let answers = self.ports.records.cancel(&[id], reason, self.now()).await;
        answers.expect("cancel works")[0]
    }

    pub(crate) async fn housekeep(&self) -> Housekeeping {
        self.housekeep_by(1000).await
    }

    pub(crate) async fn housekeep_by(&self, batch: usize) -> Housekeeping {
        let policy = HousekeepPolicy { poison_after: POISON_AFTER, keep_dead: KEEP_DEAD, batch };
        self.ports.queue.housekeep(&policy, self.now()).await.expect("housekeep works")
    }

    /// Every lease runs out, and that is noticed.
    pub(crate) async fn workers_vanish(&self) -> Housekeeping {
        self.pass(LEASE);
        self.housekeep().await
    }

    pub(crate) fn error(&self, job: &Claimed, text: &str) -> AttemptError {
        AttemptError {
            attempt: job.attempt,
            at: self.now(),
            worker: WorkerId::new("first"),
            error: text.into(),
        }
    }

    pub(crate) fn completed(&self) -> Verdict {
        Verdict::Completed {
            result: Bytes::from_static(b"{\"ok\":true}"),
            keep_until: self.later(secs(3600)),
        }
    }

    pub(crate) fn retry(&self, job: &Claimed, after: Duration) -> Verdict {
        Verdict::Retry { at: self.later(after), error: self.error(job, "did not work") }
    }

    pub(crate) fn snooze(&self, after: Duration) -> Verdict {
        Verdict::Snooze { at: self.later(after), reason: "limited".into() }
    }

    pub(crate) fn park(&self, key: &str) -> Verdict {
        Verdict::Park { key: key.into(), reason: "waits for its key".into() }
    }

    pub(crate) fn dead(&self, job: &Claimed, class: DeadClass) -> Verdict {
        Verdict::Dead {
            class,
            error: self.error(job, "never again"),
            keep_until: self.later(KEEP_DEAD),
        }
    }
}
