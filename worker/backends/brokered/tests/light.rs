//! Lanes with records for failures only: no record while all goes well, all of it when not.

#[expect(dead_code, reason = "each test binary uses its part of the module")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use flotilla_brokered::Brokered;
use flotilla_core::clock::{Clock, ManualClock, Timestamp, after};
use flotilla_core::envelope::{Payload, Unique, UniqueScope};
use flotilla_core::flow::{Parent, Until};
use flotilla_core::ids::{JobId, Kind, Lane, WorkerId};
use flotilla_core::queue::{
    AttemptError, Claimed, Enqueued, HousekeepPolicy, LaneDemand, NewJob, Queue, Settled,
    Settlement, Verdict,
};
use flotilla_core::records::{Filter, Pause, Records};
use flotilla_core::state::{DeadClass, State};
use flotilla_memory::Memory;

use support::{Messenger, queue};

const LANE: Lane = Lane::from_static("clicks");
const KIND: Kind = Kind::from_static("test.run");
const LEASE: Duration = Duration::from_secs(15);

struct Scene {
    messenger: Arc<Messenger>,
    queue: Arc<Brokered<Messenger, Memory>>,
    clock: ManualClock,
}

fn scene() -> Scene {
    let messenger = Messenger::new(false, None);
    let memory = Memory::new(flotilla_memory::Settings::default());
    let queue = queue(&messenger, memory, |settings| {
        settings.records_for_failures.insert(LANE);
    });
    Scene { messenger, queue, clock: ManualClock::default() }
}

impl Scene {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn job(&self, name: &str) -> NewJob {
        NewJob {
            payload: Payload::from_bytes(&b"{\"n\":1}"[..]),
            max_attempts: 2,
            ..NewJob::new(JobId::derived(name), KIND, LANE, self.now())
        }
    }

    async fn enqueue(&self, job: NewJob) -> Enqueued {
        self.queue.enqueue(&[job], self.now()).await.expect("enqueue works").remove(0)
    }

    async fn claim(&self) -> Vec<Claimed> {
        let demand = [LaneDemand { lane: LANE, slots: 10, kinds: vec![KIND] }];
        let worker = WorkerId::new("w");
        self.queue.claim(&demand, &worker, LEASE, self.now()).await.expect("claim works").jobs
    }

    async fn running(&self) -> Claimed {
        assert_eq!(self.enqueue(self.job("a")).await, Enqueued::Created);
        let mut jobs = self.claim().await;
        assert_eq!(jobs.len(), 1);
        jobs.remove(0)
    }

    async fn settle(&self, job: &Claimed, verdict: Verdict) -> Settled {
        let done = Settlement { held: job.held.clone(), verdict };
        self.queue.settle(&[done], self.now()).await.expect("settle works")[0]
    }

    fn error(&self, job: &Claimed) -> AttemptError {
        let worker = WorkerId::new("w");
        AttemptError { attempt: job.attempt, at: self.now(), worker, error: "no".into() }
    }

    fn completed(&self) -> Verdict {
        let keep_until = after(self.now(), Duration::from_secs(3600));
        Verdict::Completed { result: (&b"1"[..]).into(), keep_until }
    }

    async fn records(&self) -> u64 {
        self.queue.count(&Filter::default()).await.expect("count works")
    }

    async fn state(&self, job: &Claimed) -> State {
        self.queue.get(job.held.id).await.expect("get works").expect("a record").state
    }
}

#[tokio::test]
async fn a_job_that_succeeds_leaves_no_record() {
    let s = scene();
    let job = s.running().await;
    assert_eq!((job.attempt, job.max_attempts), (1, 2));
    assert_eq!(job.payload.bytes(), "{\"n\":1}");
    assert_eq!(s.settle(&job, s.completed()).await, Settled::Applied);
    assert_eq!((s.records().await, s.messenger.held()), (0, (0, 0)));
}

#[tokio::test]
async fn a_failed_job_has_a_record_from_then_on() {
    let s = scene();
    let job = s.running().await;
    let at = after(s.now(), Duration::from_secs(5));
    let retry = Verdict::Retry { at, error: s.error(&job) };
    assert_eq!(s.settle(&job, retry).await, Settled::Applied);
    assert_eq!((s.state(&job).await, s.messenger.held()), (State::Retryable, (0, 0)));
    assert!(s.claim().await.is_empty());
    s.clock.advance(Duration::from_secs(5));
    let again = s.claim().await.remove(0);
    assert_eq!((again.held.id, again.attempt), (job.held.id, 2));
    assert_eq!(s.settle(&again, s.completed()).await, Settled::Applied);
    assert_eq!((s.state(&job).await, s.messenger.held()), (State::Completed, (0, 0)));
}

#[tokio::test]
async fn parks_snoozes_ends_and_awaits_have_records() {
    let s = scene();
    let keep_until = after(s.now(), Duration::from_secs(3600));
    let later = after(s.now(), Duration::from_secs(9));
    for (expected, verdict) in [
        (State::Parked, Verdict::Park { key: "k".into(), reason: "waits".into() }),
        (State::Scheduled, Verdict::Snooze { at: later, reason: "later".into() }),
        (State::Cancelled, Verdict::Cancelled { reason: "unwanted".into(), keep_until }),
        (State::Available, Verdict::Await { children: Vec::new(), until: Until::all() }),
    ] {
        assert_eq!(s.enqueue(s.job(expected.name())).await, Enqueued::Created);
        let job = s.claim().await.remove(0);
        assert_eq!(s.settle(&job, verdict).await, Settled::Applied);
        assert_eq!(s.state(&job).await, expected);
    }
    let job = s.claim().await.remove(0);
    let class = DeadClass::Rejected;
    let dead = Verdict::Dead { class, error: s.error(&job), keep_until };
    assert_eq!(s.settle(&job, dead).await, Settled::Applied);
    assert_eq!((s.state(&job).await, s.messenger.held().1), (State::Dead, 0));
}

#[tokio::test]
async fn a_drain_gives_the_message_back() {
    let s = scene();
    let job = s.running().await;
    assert_eq!(s.settle(&job, Verdict::Interrupted).await, Settled::Applied);
    assert_eq!((s.records().await, s.messenger.held()), (0, (1, 0)));
    assert_eq!(s.claim().await.len(), 1);
}

#[tokio::test]
async fn what_a_lane_gives_up_is_refused_and_says_why() {
    let s = scene();
    let unique = Some(Unique { key: "k".into(), scope: UniqueScope::Unfinished });
    let parent = Some(Parent { id: JobId::derived("p"), name: "c".into(), depth: 1 });
    for job in [
        NewJob { unique, ..s.job("u") },
        NewJob { order: Some("k".into()), ..s.job("o") },
        NewJob { parent, ..s.job("p") },
    ] {
        match s.enqueue(job).await {
            Enqueued::Rejected(why) => assert!(why.contains("records_for_failures"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    let large = format!("\"{}\"", "x".repeat(70_000));
    let large = NewJob { payload: Payload::from_bytes(large), ..s.job("l") };
    assert!(matches!(s.enqueue(large).await, Enqueued::Rejected(_)));
    assert_eq!((s.records().await, s.messenger.held()), (0, (0, 0)));
}

#[tokio::test]
async fn a_batch_may_mix_what_has_a_record_and_what_has_none() {
    let s = scene();
    let later = after(s.now(), Duration::from_secs(30));
    let jobs = [
        s.job("light"),
        NewJob { run_at: later, ..s.job("later") },
        NewJob { lane: Lane::from_static("main"), ..s.job("other") },
        NewJob { order: Some("k".into()), ..s.job("refused") },
    ];
    let answers = s.queue.enqueue(&jobs, s.now()).await.unwrap();
    assert_eq!(answers[..3], [Enqueued::Created, Enqueued::Created, Enqueued::Created]);
    assert!(matches!(answers[3], Enqueued::Rejected(_)));
    assert_eq!(s.records().await, 2, "one to run later, one of another lane");
    assert_eq!(s.claim().await.len(), 1);
    s.clock.advance(Duration::from_secs(30));
    let due = s.claim().await;
    assert_eq!((due.len(), due[0].held.id), (1, JobId::derived("later")));
}

#[tokio::test]
async fn a_job_past_its_deadline_never_starts() {
    let s = scene();
    let deadline = Some(after(s.now(), Duration::from_secs(5)));
    s.enqueue(NewJob { deadline, ..s.job("a") }).await;
    s.clock.advance(Duration::from_secs(5));
    assert!(s.claim().await.is_empty());
    let record = s.queue.get(JobId::derived("a")).await.unwrap().unwrap();
    assert_eq!((record.state, record.class), (State::Dead, Some(DeadClass::Expired)));
    assert_eq!(s.messenger.held(), (0, 0));
}

#[tokio::test]
async fn a_job_that_kills_its_workers_gets_a_record_and_is_quarantined_there() {
    let s = scene();
    s.enqueue(NewJob { max_attempts: 100, ..s.job("a") }).await;
    for _ in 0..2 {
        assert_eq!(s.claim().await.len(), 1);
        assert_eq!(s.records().await, 0);
        s.messenger.crash();
    }
    for _ in 0..2 {
        assert_eq!(s.claim().await.len(), 1);
        assert_eq!(s.records().await, 1);
        s.clock.advance(LEASE);
        let policy = HousekeepPolicy { poison_after: 2, keep_dead: LEASE, batch: 10 };
        s.queue.housekeep(&policy, s.now()).await.unwrap();
    }
    let record = s.queue.get(JobId::derived("a")).await.unwrap().unwrap();
    assert_eq!(record.class, Some(DeadClass::Poison));
}

#[tokio::test]
async fn a_paused_lane_gives_none_and_keeps_its_messages() {
    let s = scene();
    let pause = Pause { by: "ada".into(), reason: "maintenance".into(), since: s.now() };
    s.queue.pause(&LANE, pause).await.unwrap();
    s.enqueue(s.job("a")).await;
    assert!(s.claim().await.is_empty());
    assert_eq!(s.messenger.held(), (1, 0));
    s.queue.resume(&LANE).await.unwrap();
    assert_eq!(s.claim().await.len(), 1);
}

#[tokio::test]
async fn a_broker_that_is_down_fails_the_enqueue() {
    let s = scene();
    s.messenger.set_down(true);
    assert!(s.queue.enqueue(&[s.job("a")], s.now()).await.is_err());
    assert_eq!(s.records().await, 0);
}
