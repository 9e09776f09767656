//! Ordering keys: one at a time, in the order of their enqueue, and the line never stands still.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use flotilla_core::clock::{Timestamp, before};
use flotilla_core::flow::{WAITS_IN_LINE, line_of};
use flotilla_core::ids::{JobId, Kind, Lane, WorkerId};
use flotilla_core::queue::{Enqueued, NewJob, Queue, QueueErrorKind, Settled, Settlement, Verdict};
use flotilla_core::records::Filter;
use flotilla_core::state::{DeadClass, State};

use crate::harness::Harness;
use crate::scene::{LANE, LEASE, Scene, demand, ids, priority, secs, sorted, tenant};

impl Scene {
    /// A usual job with an ordering key.
    pub(crate) fn ordered(&self, key: &str) -> NewJob {
        NewJob { order: Some(key.into()), ..self.job() }
    }
}

/// However many are wanted, one is given; the next when that has ended.
pub async fn jobs_of_one_ordering_key_run_one_at_a_time_in_order(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let jobs: Vec<NewJob> = (0..5).map(|_| s.ordered("k")).collect();
    s.enqueue(&jobs[..3]).await;
    s.pass(secs(1));
    s.enqueue(&jobs[3..]).await;
    for job in &jobs {
        let claimed = s.claim(10).await;
        assert_eq!(ids(&claimed), [job.id]);
        assert!(s.claim(10).await.is_empty(), "not while one runs");
        s.applied(&claimed[0], s.completed()).await;
    }
    assert!(s.claim(10).await.is_empty());
}

/// Each key has a line of its own, and jobs without one stand in none.
pub async fn ordering_keys_do_not_wait_for_each_other(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let jobs = [s.ordered("a"), s.ordered("a"), s.ordered("b"), s.ordered("b"), s.job(), s.job()];
    s.enqueue(&jobs).await;
    let first = [jobs[0].id, jobs[2].id, jobs[4].id, jobs[5].id];
    assert_eq!(sorted(ids(&s.claim(10).await)), sorted(first.to_vec()));
}

/// One key of the whole fleet: other lanes, kinds, tenants and priorities wait too.
pub async fn an_ordering_key_is_one_key_for_all_lanes_kinds_and_tenants(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let first = s.add(s.ordered("k")).await;
    let others = [
        NewJob { lane: Lane::from_static("other"), ..s.ordered("k") },
        NewJob { kind: Kind::from_static("test.other"), ..s.ordered("k") },
        NewJob { tenant: tenant("other"), ..s.ordered("k") },
        NewJob { priority: priority(9), ..s.ordered("k") },
    ];
    s.enqueue(&others).await;
    assert_eq!(s.state(first).await, State::Available);
    for other in &others {
        assert_eq!(s.state(other.id).await, State::Parked);
    }
}

/// Whoever looks sees that it waits, and for what; afterwards nothing is left of it.
pub async fn a_job_in_line_says_what_it_waits_for(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let key = "účet:42 'x'";
    let first = s.add(s.ordered(key)).await;
    let second = s.add(s.ordered(key)).await;
    let record = s.get(first).await;
    assert_eq!((record.state, record.parked_under), (State::Available, None));
    assert_eq!(record.order_key.as_deref(), Some(key));
    let record = s.get(second).await;
    assert_eq!((record.state, record.attempt), (State::Parked, 0));
    assert_eq!(record.order_key.as_deref(), Some(key));
    assert_eq!(record.parked_under, Some(line_of(key)));
    assert_eq!(record.reason.as_deref(), Some(WAITS_IN_LINE));
    s.applied(&s.one().await, s.completed()).await;
    let record = s.get(second).await;
    assert_eq!((record.state, record.parked_under, record.reason), (State::Available, None, None));
    assert_eq!(s.one().await.attempt, 1);
}

/// An outcome, a rescue, a deadline, a cancel: whatever ends the first, the next one goes.
pub async fn every_end_moves_the_line(h: &dyn Harness) {
    let s = Scene::new(h).await;
    for end in 0..8 {
        let deadline = (end == 7).then(|| s.later(secs(5)));
        let first = NewJob { max_attempts: 1, deadline, ..s.ordered("k") };
        let first = s.add(first).await;
        let next = s.add(s.ordered("k")).await;
        match end {
            0 => s.applied(&s.one().await, s.completed()).await,
            1 => {
                let keep_until = s.later(secs(60));
                let verdict = Verdict::Cancelled { reason: "no".into(), keep_until };
                s.applied(&s.one().await, verdict).await;
            }
            2 => {
                let job = s.one().await;
                s.applied(&job, s.dead(&job, DeadClass::Rejected)).await;
            }
            3 => {
                s.cancel(first, "not wanted").await;
            }
            4 => {
                let job = s.one().await;
                s.cancel(first, "not wanted").await;
                s.applied(&job, Verdict::Interrupted).await;
            }
            5 => {
                s.one().await;
                s.workers_vanish().await;
            }
            6 => {
                s.one().await;
                s.cancel(first, "not wanted").await;
                s.workers_vanish().await;
            }
            _ => {
                s.pass(secs(5));
                s.housekeep().await;
            }
        }
        assert!(s.state(first).await.is_finished(), "end {end}");
        assert_eq!(s.state(next).await, State::Available, "end {end}");
        s.cancel(next, "makes room for the next end").await;
    }
}

/// A job that comes back keeps its place at the head.
pub async fn what_is_not_an_end_does_not_move_the_line(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let first = s.add(NewJob { max_attempts: 10, ..s.ordered("k") }).await;
    let next = s.add(s.ordered("k")).await;
    for turn in 0..5 {
        let job = s.one().await;
        assert_eq!(job.held.id, first, "{turn}");
        match turn {
            0 => s.applied(&job, s.retry(&job, secs(5))).await,
            1 => s.applied(&job, s.snooze(secs(5))).await,
            2 => s.applied(&job, s.park("account")).await,
            3 => s.applied(&job, Verdict::Interrupted).await,
            _ => {
                s.workers_vanish().await;
            }
        }
        assert_eq!(s.state(next).await, State::Parked, "{turn}");
        s.pass(secs(5));
        s.ports.records.wake("account", 10, s.now()).await.expect("wake works");
    }
}

/// The line closes up behind who leaves it, and the head stays the head.
pub async fn a_job_that_leaves_the_line_moves_nobody(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(s.add(s.ordered("k")).await);
    }
    let job = s.one().await;
    s.cancel(all[1], "not wanted").await;
    assert_eq!((s.state(all[2]).await, s.state(all[3]).await), (State::Parked, State::Parked));
    s.applied(&job, s.completed()).await;
    assert_eq!((s.state(all[2]).await, s.state(all[3]).await), (State::Available, State::Parked));
}

/// Order comes before moments: who came first goes first, though it may have to wait for its
/// moment while others are due.
pub async fn a_job_whose_moment_has_not_come_keeps_its_place_in_line(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let first = s.add(s.ordered("k")).await;
    let moment = s.later(secs(60));
    let later = s.add(NewJob { run_at: moment, ..s.ordered("k") }).await;
    let last = s.add(s.ordered("k")).await;
    assert_eq!(s.state(later).await, State::Parked);
    let job = s.one().await;
    assert_eq!(job.held.id, first);
    s.applied(&job, s.completed()).await;
    let record = s.get(later).await;
    assert_eq!((record.state, record.run_at), (State::Scheduled, moment));
    assert_eq!((record.parked_under, record.reason, record.attempt), (None, None, 0));
    assert_eq!(s.state(last).await, State::Parked);
    let claims = s.claims_by("first", &[demand(&LANE, 5)]).await;
    assert_eq!((claims.jobs.len(), claims.next_due), (0, Some(moment)));
    s.pass(secs(60));
    let job = s.one().await;
    assert_eq!(job.held.id, later);
    s.applied(&job, s.completed()).await;
    assert_eq!(s.one().await.held.id, last);
}

/// In line it is a waiting job as any other.
pub async fn a_deadline_ends_a_job_in_line(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add(s.ordered("k")).await;
    let late = s.add(NewJob { deadline: Some(s.later(secs(5))), ..s.ordered("k") }).await;
    let last = s.add(s.ordered("k")).await;
    let job = s.one().await;
    s.pass(secs(5));
    assert_eq!(s.housekeep().await.expired, 1);
    let record = s.get(late).await;
    assert_eq!((record.state, record.class), (State::Dead, Some(DeadClass::Expired)));
    assert_eq!(record.parked_under, None);
    assert_eq!(s.state(last).await, State::Parked);
    s.applied(&job, s.completed()).await;
    assert_eq!(s.one().await.held.id, last);
}

/// A dead letter has lost its place: put back, it stands behind those who wait by now.
pub async fn a_replayed_job_goes_to_the_end_of_the_line(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let mut dead = Vec::new();
    for _ in 0..2 {
        dead.push(s.add(s.ordered("k")).await);
        let job = s.one().await;
        s.applied(&job, s.dead(&job, DeadClass::Rejected)).await;
        s.pass(secs(1));
    }
    let holder = s.add(s.ordered("k")).await;
    let next = s.add(s.ordered("k")).await;
    let replay = s.ports.records.replay(&Filter::default(), 10, s.now()).await;
    assert_eq!(replay.expect("replay works").replayed, 2);
    for id in &dead {
        let record = s.get(*id).await;
        assert_eq!((record.state, record.attempt, record.class), (State::Parked, 0, None));
        assert_eq!((record.parked_under, record.finished_at), (Some(line_of("k")), None));
    }
    for expected in [holder, next, dead[0], dead[1]] {
        let job = s.one().await;
        assert_eq!((job.held.id, job.attempt), (expected, 1));
        s.applied(&job, s.dead(&job, DeadClass::Rejected)).await;
    }
    let replay = s.ports.records.replay(&Filter::id(next), 1, s.now()).await;
    assert_eq!(replay.expect("replay works").replayed, 1);
    assert_eq!(s.one().await.held.id, next, "nobody holds the key: it runs at once");
}

/// A long line is no special case.
pub async fn a_line_of_hundreds_is_worked_off_in_order(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let jobs: Vec<NewJob> = (0..200).map(|_| s.ordered("k")).collect();
    s.enqueue(&jobs).await;
    for job in &jobs {
        let claimed = s.one().await;
        assert_eq!(claimed.held.id, job.id);
        s.applied(&claimed, s.completed()).await;
    }
}

/// "In the order they were enqueued" is the store's to know: clocks of callers differ.
pub async fn a_line_moves_whatever_the_clocks_of_its_callers_say(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let early = before(s.now(), secs(10));
    let mut all = Vec::new();
    for now in [s.now(), s.later(secs(5)), early, s.now()] {
        let job = NewJob { run_at: early, ..s.ordered("k") };
        let answers = s.ports.queue.enqueue(std::slice::from_ref(&job), now).await;
        assert_eq!(answers.expect("enqueue works"), [Enqueued::Created]);
        all.push(job.id);
    }
    for id in all {
        let job = s.one().await;
        assert_eq!(job.held.id, id);
        s.applied(&job, s.completed()).await;
    }
}

/// What the workers of a race have seen.
#[derive(Default)]
struct Seen {
    in_hand: AtomicUsize,
    done: Mutex<Vec<JobId>>,
}

impl Seen {
    fn finished(&self) -> Vec<JobId> {
        self.done.lock().expect("nothing panics with it").clone()
    }

    /// Claims and completes jobs until `total` are done by all workers together.
    async fn work(
        &self,
        queue: Arc<dyn Queue>,
        n: usize,
        total: usize,
        now: Timestamp,
        v: Verdict,
    ) {
        let worker = WorkerId::new(&format!("worker-{n}"));
        while self.finished().len() < total {
            let jobs = match queue.claim(&[demand(&LANE, 5)], &worker, LEASE, now).await {
                Ok(claims) => claims.jobs,
                // A server may be busy for a moment; a worker asks again.
                Err(error) if error.kind == QueueErrorKind::Unavailable => continue,
                Err(error) => panic!("claim works: {error}"),
            };
            let in_hand = jobs.len() + self.in_hand.fetch_add(jobs.len(), Ordering::SeqCst);
            assert!(in_hand <= 1 || jobs.is_empty(), "two jobs of one ordering key run at once");
            tokio::task::yield_now().await; // others may look for jobs while this one runs
            for job in jobs {
                self.done.lock().expect("nothing panics with it").push(job.held.id);
                self.in_hand.fetch_sub(1, Ordering::SeqCst);
                let done = [Settlement { held: job.held, verdict: v.clone() }];
                let answers = queue.settle(&done, now).await.expect("settle works");
                assert_eq!(answers, [Settled::Applied]);
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Producers and workers of one key at once, on these queues in turn: never two run, none is
/// lost, each producer's jobs keep their order.
pub(crate) async fn race_for_one_key(s: &Scene, queues: &[Arc<dyn Queue>]) {
    let now = s.now();
    let seen = Arc::new(Seen::default());
    let mut made: BTreeMap<usize, Vec<JobId>> = BTreeMap::new();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..4 {
        let queue = Arc::clone(&queues[n % queues.len()]);
        let jobs: Vec<NewJob> = (0..20).map(|_| s.ordered("k")).collect();
        made.insert(n, jobs.iter().map(|job| job.id).collect());
        tasks.spawn(async move {
            for job in jobs {
                let answers = queue.enqueue(&[job], now).await.expect("enqueue works");
                assert_eq!(answers, [Enqueued::Created]);
            }
        });
    }
    for n in 0..3 {
        let (queue, seen) = (Arc::clone(&queues[n % queues.len()]), Arc::clone(&seen));
        let verdict = s.completed();
        tasks.spawn(async move { seen.work(queue, n, 80, now, verdict).await });
    }
    let all = async {
        while let Some(task) = tasks.join_next().await {
            task.expect("no two ran at once");
        }
    };
    tokio::time::timeout(secs(600), all).await.expect("the line never stands still");
    let done = seen.finished();
    assert_eq!(done.len(), 80, "each once");
    for jobs in made.values() {
        let order: Vec<JobId> = done.iter().copied().filter(|id| jobs.contains(id)).collect();
        assert_eq!(order, *jobs, "a producer's jobs in its order");
    }
}

/// However enqueues, claims and outcomes interleave.
pub async fn callers_at_once_never_run_two_jobs_of_one_key(h: &dyn Harness) {
    let s = Scene::new(h).await;
    race_for_one_key(&s, &[Arc::clone(&s.ports.queue)]).await;
}

/// The gap between "the key is busy" and "nobody is left": who falls into it would wait for ever.
pub async fn an_end_and_an_enqueue_at_once_stall_nobody(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let now = s.now();
    s.add(s.ordered("k")).await;
    for round in 0..40 {
        let job = s.one().await;
        let (queue, verdict) = (Arc::clone(&s.ports.queue), s.completed());
        let end = tokio::spawn(async move {
            let done = [Settlement { held: job.held, verdict }];
            queue.settle(&done, now).await.expect("settle works")
        });
        let (queue, next) = (Arc::clone(&s.ports.queue), s.ordered("k"));
        let id = next.id;
        let start =
            tokio::spawn(async move { queue.enqueue(&[next], now).await.expect("enqueue works") });
        assert_eq!(end.await.expect("it does not panic"), [Settled::Applied]);
        assert_eq!(start.await.expect("it does not panic"), [Enqueued::Created]);
        assert_eq!(s.state(id).await, State::Available, "round {round}");
    }
}

/// Who waits for work hears that the line has moved.
pub async fn the_next_in_line_wakes_claimers(h: &dyn Harness) {
    let s = Scene::new(h).await;
    for _ in 0..3 {
        s.add(s.ordered("k")).await;
    }
    let job = s.one().await;
    let mut wakes = s.ports.queue.wakes();
    let mut heard = async |what: &str| {
        let told = tokio::time::timeout(secs(10), wakes.changed()).await;
        assert!(matches!(told, Ok(Ok(()))), "claimers were not told of {what}");
        wakes.mark_unchanged();
    };
    s.applied(&job, s.completed()).await;
    heard("an outcome").await;
    let next = s.one().await;
    s.cancel(next.held.id, "no longer wanted").await;
    s.applied(&next, Verdict::Interrupted).await;
    heard("a job that yielded").await;
    assert_eq!(s.claim(5).await.len(), 1);
}
