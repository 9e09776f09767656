//! Seeded random operations on a backend and on the reference model: equal answers, or a bug.
//!
//! The order of claims depends on ties the contract leaves open, so the first walk takes every
//! claimable job of the kinds it asks for and compares sets; the second has one tenant and no
//! ties, and compares the jobs of each small claim. Where a broker chooses what a claim gives, the
//! model takes the same jobs by name: each must be one that it would give too.

mod beyond;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::envelope::{Unique, UniqueScope};
use flotilla_core::handler::Progress;
use flotilla_core::ids::{JobId, Kind, Lane};
use flotilla_core::queue::{
    Claimed, Claims, Enqueued, Extension, LaneDemand, NewJob, Settlement, Verdict,
};
use flotilla_core::records::{Filter, JobRecord, Page, Pause};
use flotilla_core::rng::{Rng, SeededRng};
use flotilla_core::state::{DeadClass, State};
use flotilla_memory::{Memory, Settings};

use self::beyond::children_of;
use crate::compare::{all_records, in_all, plain, same, seen_in_claim, selected};
use crate::harness::{Harness, Ports};
use crate::scene::{Scene, ids, priority, secs, sorted, tenant};

const STEPS: usize = 150;
const LANES: [Lane; 2] = [Lane::from_static("main"), Lane::from_static("other")];
const KINDS: [Kind; 3] =
    [Kind::from_static("test.a"), Kind::from_static("test.b"), Kind::from_static("test.c")];

/// Random walks over all operations.
pub async fn random_operations_are_answered_as_the_model_answers(h: &dyn Harness) {
    for seed in 0..h.walks() {
        model_agreement(h, seed).await;
    }
}

/// Random priorities and claims of few jobs: the same jobs in the same claims.
pub async fn bands_share_claims_as_the_model_shares_them(h: &dyn Harness) {
    for seed in 0..h.walks().div_ceil(2) {
        Walk::new(h, seed).await.order(h, Way::Straight).await;
    }
}

/// One walk: every answer, and after each housekeeping every record, must be the model's.
///
/// # Panics
/// At the first difference, naming seed and step.
pub async fn model_agreement(h: &dyn Harness, seed: u64) {
    Walk::new(h, seed).await.go(h, Way::Straight).await;
}

/// What happens to the backend's process on a walk.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Nothing.
    Straight,
    /// It is restarted now and then.
    Restarts,
    /// Two of them take turns.
    Turns,
}

/// Walks on which the store is closed and opened again: a restart changes no answer.
pub(crate) async fn walk_with_restarts(h: &dyn Harness) {
    for seed in 0..h.walks().div_ceil(4) {
        Walk::new(h, 1000 + seed).await.go(h, Way::Restarts).await;
    }
}

/// Walks on which two handles take turns: neither remembers what the other has changed.
pub(crate) async fn walk_with_two_handles(h: &dyn Harness) {
    for seed in 0..h.walks().div_ceil(4) {
        Walk::new(h, 2000 + seed).await.go(h, Way::Turns).await;
        let walk = Walk::new(h, 2000 + seed).await;
        if walk.fair {
            walk.order(h, Way::Turns).await;
        }
    }
}

/// The backend, the model, and what the walk remembers of both.
struct Walk {
    theirs: Scene,
    ours: Scene,
    rng: SeededRng,
    /// Jobs that were enqueued, to be sent again, cancelled or looked up.
    known: Vec<NewJob>,
    model: Arc<Memory>,
    /// What the backend declares.
    fair: bool,
    ordering: bool,
    /// Ends are marked, and told now and then.
    telling: bool,
    /// Leases of both sides, current and stale.
    leases: Vec<(Claimed, Claimed)>,
    /// The handle whose turn it is not.
    idle: Option<Ports>,
    seed: u64,
    at: String,
}

impl Walk {
    async fn new(h: &dyn Harness, seed: u64) -> Self {
        let telling = seed % 2 == 1;
        let theirs = Scene::on(if telling { h.fresh_telling().await } else { h.fresh().await });
        let declared = theirs.ports.queue.capabilities();
        let (fair, ordering) = (declared.fair, declared.ordering);
        let (max_payload, max_batch) = (declared.max_payload, declared.max_batch);
        let model = Arc::new(Memory::new(Settings { max_payload, max_batch, events: telling }));
        let ours = Scene::on(Ports::of(Arc::clone(&model)));
        Self {
            theirs,
            ours,
            rng: SeededRng::new(seed),
            known: Vec::new(),
            model,
            fair,
            ordering,
            telling,
            leases: Vec::new(),
            idle: None,
            seed,
            at: String::new(),
        }
    }

    async fn go(mut self, h: &dyn Harness, way: Way) {
        for step in 0..STEPS {
            self.at = format!("seed {}, step {step}", self.seed);
            self.turn(h, way).await;
            self.step().await;
        }
        self.housekeep().await;
    }

    /// Restarts the backend or changes handles, now and then, where the way says so.
    async fn turn(&mut self, h: &dyn Harness, way: Way) {
        if way == Way::Turns && self.idle.is_none() {
            self.idle = Some(h.second().await);
        }
        if way == Way::Restarts && self.below(10) == 0 {
            // The model's ports stand in, so that no handle outlives the restart.
            let ports = std::mem::replace(&mut self.theirs.ports, self.ours.ports.clone());
            self.theirs.ports = h.reopen(ports).await;
        }
        let change = self.below(2) == 0;
        if let Some(idle) = self.idle.as_mut().filter(|_| change) {
            std::mem::swap(idle, &mut self.theirs.ports);
        }
    }

    fn below(&self, n: usize) -> usize {
        usize::try_from(self.rng.next_u64() % n as u64).unwrap_or(0)
    }

    fn secs_below(&self, n: usize) -> Duration {
        secs(self.below(n) as u64)
    }

    fn pick<T: Clone>(&self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn some<T: Clone>(&self, from: &[T]) -> Vec<T> {
        from.iter().filter(|_| self.below(2) == 0).cloned().collect()
    }

    async fn step(&mut self) {
        // Never twice the same instant, often the same second.
        let by = Duration::from_micros(1) + self.secs_below(3);
        self.theirs.pass(by);
        self.ours.pass(by);
        match self.below(100) {
            0..26 => self.enqueue().await,
            26..30 => self.cells().await,
            30..50 => self.claim().await,
            50..70 => self.settle().await,
            70..76 => self.extend().await,
            76..84 => self.housekeep().await,
            84..88 => self.cancel().await,
            88..91 => self.pause().await,
            91..95 => self.wake().await,
            95..98 => self.replay().await,
            _ => self.clear().await,
        }
    }

    fn job(&self) -> NewJob {
        let now = self.ours.now();
        let scope = match self.below(2) {
            0 => UniqueScope::Unfinished,
            _ => UniqueScope::Seconds(1 + self.below(30) as u64),
        };
        let unique = Unique { key: format!("key-{}", self.below(3)), scope };
        let wait = if self.below(3) == 0 { self.secs_below(20) } else { Duration::ZERO };
        let run_at = self.ours.later(wait);
        let patience = wait + secs(1) + self.secs_below(40);
        let job = self.ours.job();
        NewJob {
            id: JobId::new(now, &self.rng),
            kind: self.pick(&KINDS),
            lane: self.pick(&LANES),
            tenant: tenant(["a", "b", "c"][self.below(3)]),
            priority: priority([0, 5, 9][self.below(3)]),
            run_at,
            deadline: (self.below(4) == 0).then(|| self.ours.later(patience)),
            unique: (self.below(3) == 0).then_some(unique),
            order: (self.ordering && self.below(4) == 0)
                .then(|| ["k", "l"][self.below(2)].to_owned()),
            parent: None,
            max_attempts: 1 + u32::try_from(self.below(3)).unwrap_or(0),
            ..job
        }
    }

    async fn enqueue(&mut self) {
        let mut jobs: Vec<NewJob> = (0..1 + self.below(4)).map(|_| self.job()).collect();
        if self.below(5) == 0 && !self.known.is_empty() {
            jobs.push(self.pick(&self.known));
        }
        let (theirs, ours) = (self.theirs.enqueue(&jobs).await, self.ours.enqueue(&jobs).await);
        same(&self.at, "enqueue", &theirs, &ours);
        let created = jobs.into_iter().zip(ours).filter(|(_, a)| *a == Enqueued::Created);
        self.known.extend(created.map(|(job, _)| job));
    }

    async fn claim(&mut self) {
        let kinds = self.some(&KINDS);
        let demands: Vec<LaneDemand> = self
            .some(&LANES)
            .into_iter()
            .map(|lane| LaneDemand { lane, slots: 1000, kinds: kinds.clone() })
            .collect();
        let theirs = self.theirs.claims_by("first", &demands).await;
        let ours = match self.fair {
            true => self.ours.claims_by("first", &demands).await,
            false => self.taken(&demands, &theirs.jobs).await,
        };
        let paused = self.ours.ports.records.lanes().await.expect("lanes work");
        if paused.iter().all(|lane| lane.paused.is_none()) {
            same(&self.at, "next_due", theirs.next_due, ours.next_due);
        }
        let in_order = |claims: Claims| {
            let mut jobs = claims.jobs;
            jobs.sort_by_key(|job| job.held.id);
            jobs
        };
        let (theirs, ours) = (in_order(theirs), in_order(ours));
        let shown = |jobs: &[Claimed]| jobs.iter().map(seen_in_claim).collect::<Vec<_>>();
        same(&self.at, "claim", shown(&theirs), shown(&ours));
        self.leases.extend(theirs.into_iter().zip(ours));
    }

    fn some_leases(&self) -> Vec<(Claimed, Claimed)> {
        if self.leases.is_empty() {
            return Vec::new();
        }
        // Mostly recent ones: older ones are mostly stale.
        let from = self.leases.len().saturating_sub(12);
        let some = (0..1 + self.below(4)).map(|_| self.pick(&self.leases[from..])).collect();
        self.one_of_each_family(some, |(_, job)| job.held.id)
    }

    async fn settle(&mut self) {
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for (their_job, our_job) in self.some_leases() {
            let verdict = self.verdict(&our_job);
            theirs.push(Settlement { held: their_job.held, verdict: verdict.clone() });
            ours.push(Settlement { held: our_job.held, verdict });
        }
        let now = self.ours.now();
        let theirs = self.theirs.ports.queue.settle(&theirs, now).await.expect("settle works");
        let children = children_of(&ours);
        let ours = self.ours.ports.queue.settle(&ours, now).await.expect("settle works");
        same(&self.at, "settle", theirs, ours);
        self.known.extend(children);
    }

    fn verdict(&self, job: &Claimed) -> Verdict {
        let s = &self.ours;
        let keep_until = s.later(secs(40) + self.secs_below(60));
        match self.below(12) {
            10 | 11 => self.wait_for_some(job),
            0..3 => Verdict::Completed { result: Bytes::from_static(b"[1]"), keep_until },
            3 | 4 => s.retry(job, self.secs_below(10)),
            5 => s.snooze(self.secs_below(10)),
            6 => s.park(["x", "y"][self.below(2)]),
            7 => Verdict::Interrupted,
            8 => Verdict::Cancelled { reason: "no".into(), keep_until },
            _ => {
                let class = self.pick(&DeadClass::ALL);
                Verdict::Dead { class, error: s.error(job, class.name()), keep_until }
            }
        }
    }

    async fn extend(&mut self) {
        let fraction = self.below(100) as f64 / 128.0;
        let progress = (self.below(2) == 0).then(|| Progress { fraction, message: "on".into() });
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for (their_job, our_job) in self.some_leases() {
            theirs.push(Extension { held: their_job.held, progress: progress.clone() });
            ours.push(Extension { held: our_job.held, progress: progress.clone() });
        }
        let now = self.ours.now();
        let until = self.ours.later(secs(5) + self.secs_below(20));
        let queue = &self.theirs.ports.queue;
        let theirs = queue.extend(&theirs, until, now).await.expect("extend works");
        let queue = &self.ours.ports.queue;
        let ours = queue.extend(&ours, until, now).await.expect("extend works");
        same(&self.at, "extend", theirs, ours);
    }

    /// Twice, so that the order of the sorts within one round does not show.
    async fn housekeep(&mut self) {
        let theirs = [self.theirs.housekeep().await, self.theirs.housekeep().await];
        let ours = [self.ours.housekeep().await, self.ours.housekeep().await];
        same(&self.at, "housekeep", in_all(&theirs), in_all(&ours));
        self.tell().await;
        self.compare_records().await;
    }

    async fn compare_records(&self) {
        let (theirs, ours) = (all_records(&self.theirs).await, all_records(&self.ours).await);
        for (their, our) in theirs.iter().zip(&ours) {
            same(&self.at, "record", plain(their), plain(our));
        }
        same(&self.at, "number of records", theirs.len(), ours.len());
        let filter = Filter {
            lanes: self.some(&LANES),
            kinds: self.some(&KINDS),
            states: self.some(&State::ALL),
            classes: if self.below(4) == 0 { self.some(&DeadClass::ALL) } else { Vec::new() },
            parents: if self.below(4) == 0 { self.some_parents() } else { Vec::new() },
            ..Filter::default()
        };
        let page = Page { limit: 1 + self.below(20), before: None };
        for s in [&self.theirs, &self.ours] {
            let count = s.ports.records.count(&filter).await.expect("count works");
            let expected = ours.iter().filter(|r| selected(&filter, r)).count() as u64;
            same(&self.at, "count", count, expected);
        }
        let theirs = self.theirs.ports.records.list(&filter, page).await.expect("list works");
        let ours = self.ours.ports.records.list(&filter, page).await.expect("list works");
        let shown = |jobs: Vec<JobRecord>| jobs.iter().map(|job| job.id).collect::<Vec<_>>();
        same(&self.at, "list", shown(theirs.jobs), shown(ours.jobs));
        let theirs = self.theirs.ports.records.lanes().await.expect("lanes work");
        let ours = self.ours.ports.records.lanes().await.expect("lanes work");
        let shown = |lanes: Vec<flotilla_core::records::LaneInfo>| {
            lanes.into_iter().map(|l| (l.lane, l.counts, l.paused)).collect::<Vec<_>>()
        };
        same(&self.at, "lanes", shown(theirs), shown(ours));
    }

    async fn cancel(&mut self) {
        let mut asked: Vec<JobId> = vec![JobId::derived("nobody")];
        if !self.known.is_empty() {
            let some = (0..3).map(|_| self.pick(&self.known).id).collect();
            asked.extend(self.one_of_each_family(some, |id| *id));
        }
        let now = self.ours.now();
        let theirs = self.theirs.ports.records.cancel(&asked, "unwanted", now).await;
        let ours = self.ours.ports.records.cancel(&asked, "unwanted", now).await;
        same(&self.at, "cancel", theirs.expect("cancel works"), ours.expect("cancel works"));
    }

    async fn pause(&mut self) {
        let (lane, off) = (self.pick(&LANES), self.below(3) == 0);
        let mut answers = Vec::new();
        for s in [&self.theirs, &self.ours] {
            let pause = Pause { by: "ada".into(), reason: "why".into(), since: s.now() };
            if off {
                s.ports.records.pause(&lane, pause).await.expect("pause works");
            } else {
                answers.push(s.ports.records.resume(&lane).await.expect("resume works"));
            }
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "resume ({})", self.at);
    }

    async fn wake(&mut self) {
        let (key, now) = (["x", "y"][self.below(2)], self.ours.now());
        let theirs = self.theirs.ports.records.wake(key, 1000, now).await.expect("wake works");
        let ours = self.ours.ports.records.wake(key, 1000, now).await.expect("wake works");
        same(&self.at, "wake", theirs, ours);
    }

    async fn replay(&mut self) {
        let filter = Filter { kinds: self.some(&KINDS), ..Filter::default() };
        let mut answers = Vec::new();
        for s in [&self.theirs, &self.ours] {
            let done = s.ports.records.replay(&filter, 1000, s.now()).await.expect("replay works");
            let refused: BTreeSet<JobId> = done.refused.iter().map(|(id, _)| *id).collect();
            answers.push((done.replayed, refused));
        }
        same(&self.at, "replay", &answers[0], &answers[1]);
    }

    /// Discards or purges.
    async fn clear(&mut self) {
        let filter = Filter { kinds: vec![self.pick(&KINDS)], ..Filter::default() };
        let purge = self.below(2) == 0;
        let mut answers = Vec::new();
        for s in [&self.theirs, &self.ours] {
            let records = &s.ports.records;
            let done = if purge {
                records.purge(&filter.clone().dead(), 1000).await
            } else {
                records.discard(&filter, "aside", 1000, s.now()).await
            };
            answers.push(done.expect("discard and purge work"));
        }
        same(&self.at, "discard or purge", answers[0], answers[1]);
    }

    /// One tenant, no delays: which jobs a claim of few gives follows from the contract alone.
    async fn order(mut self, h: &dyn Harness, way: Way) {
        for step in 0..60 {
            self.at = format!("seed {}, step {step}", self.seed);
            self.turn(h, way).await;
            if self.below(3) == 0 {
                let jobs: Vec<NewJob> = (0..self.below(30))
                    .map(|_| NewJob {
                        id: JobId::new(self.ours.now(), &self.rng),
                        priority: priority([0, 3, 5, 9][self.below(4)]),
                        ..self.ours.job()
                    })
                    .collect();
                let theirs = self.theirs.enqueue(&jobs).await;
                same(&self.at, "enqueue", theirs, self.ours.enqueue(&jobs).await);
            } else {
                let slots = 1 + self.below(12);
                let theirs = self.theirs.claim(slots).await;
                let ours = self.ours.claim(slots).await;
                same(&self.at, "claim", sorted(ids(&theirs)), sorted(ids(&ours)));
            }
        }
    }
}
