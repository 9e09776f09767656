//! What only a broker and a store together can show: a broker that is down, messages lost, come
//! twice, from outside, unreadable, of kinds nobody asked for.

mod support;

use std::sync::Arc;
use std::time::Duration;

use flotilla_brokered::{Brokered, Settings};
use flotilla_core::broker::{Store, UNREADABLE};
use flotilla_core::clock::{Clock, ManualClock, Timestamp, after};
use flotilla_core::ids::{JobId, Kind, Lane, WorkerId};
use flotilla_core::queue::{
    Claimed, Enqueued, HousekeepPolicy, LaneDemand, NewJob, Queue, QueueErrorKind, Settlement,
    Verdict,
};
use flotilla_core::records::{Filter, JobRecord, Page, Records};
use flotilla_core::state::{DeadClass, State};
use flotilla_memory::Memory;

use support::{Messenger, queue};

const LANE: Lane = Lane::from_static("main");
const KIND: Kind = Kind::from_static("test.run");
const OTHER: Kind = Kind::from_static("test.other");
const LEASE: Duration = Duration::from_secs(15);

struct Scene {
    messenger: Arc<Messenger>,
    queue: Arc<Brokered<Messenger, Memory>>,
    clock: ManualClock,
}

fn scene(change: impl FnOnce(&mut Settings)) -> Scene {
    let messenger = Messenger::new(false, None);
    let queue = queue(&messenger, Memory::new(flotilla_memory::Settings::default()), change);
    Scene { messenger, queue, clock: ManualClock::default() }
}

impl Scene {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn job(&self, name: &str) -> NewJob {
        NewJob::new(JobId::derived(name), KIND, LANE, self.now())
    }

    async fn enqueue(&self, name: &str) -> JobId {
        let job = self.job(name);
        let answers =
            self.queue.enqueue(std::slice::from_ref(&job), self.now()).await.expect("it is taken");
        assert_eq!(answers, [Enqueued::Created]);
        job.id
    }

    async fn claim_of(&self, kinds: &[Kind], slots: usize) -> Vec<Claimed> {
        let demand = [LaneDemand { lane: LANE, slots, kinds: kinds.to_vec() }];
        let worker = WorkerId::new("w");
        self.queue.claim(&demand, &worker, LEASE, self.now()).await.expect("claim works").jobs
    }

    async fn claim(&self) -> Vec<Claimed> {
        self.claim_of(&[KIND], 10).await
    }

    async fn settle(&self, job: &Claimed, verdict: Verdict) {
        let done = Settlement { held: job.held.clone(), verdict };
        self.queue.settle(&[done], self.now()).await.expect("settle works");
    }

    fn completed(&self) -> Verdict {
        let keep_until = after(self.now(), Duration::from_secs(60));
        Verdict::Completed { result: (&b"1"[..]).into(), keep_until }
    }

    async fn housekeep(&self) {
        let policy = HousekeepPolicy { poison_after: 2, keep_dead: LEASE * 100, batch: 100 };
        self.queue.housekeep(&policy, self.now()).await.expect("housekeep works");
    }

    async fn all(&self) -> Vec<JobRecord> {
        let page = Page { limit: 100, before: None };
        Records::list(&*self.queue, &Filter::default(), page).await.expect("list works").jobs
    }
}

#[tokio::test]
async fn a_broker_that_is_down_fails_no_enqueue_and_delays_the_job_only() {
    let s = scene(|_| {});
    s.messenger.set_down(true);
    let id = s.enqueue("a").await;
    let demand = [LaneDemand { lane: LANE, slots: 1, kinds: vec![KIND] }];
    let failed = s.queue.claim(&demand, &WorkerId::new("w"), LEASE, s.now()).await.unwrap_err();
    assert_eq!(failed.kind, QueueErrorKind::Unavailable);
    s.housekeep().await;
    s.messenger.set_down(false);
    let jobs = s.claim().await;
    assert_eq!((jobs.len(), jobs[0].held.id), (1, id));
    assert_eq!(s.messenger.published(), 1);
}

#[tokio::test]
async fn a_crash_between_the_record_and_the_message_is_repaired() {
    let s = scene(|settings| settings.stale = Duration::from_secs(60));
    let made = s.queue.store().insert(&[s.job("a")], s.now()).await.unwrap();
    assert_eq!(made, [Enqueued::Created]);
    assert!(s.claim().await.is_empty(), "it counts as published");
    s.clock.advance(Duration::from_secs(61));
    s.housekeep().await;
    assert_eq!(s.claim().await.len(), 1);
}

#[tokio::test]
async fn a_lost_message_is_sent_again_and_a_backlog_is_not() {
    let s = scene(|settings| settings.stale = Duration::from_secs(60));
    s.claim().await;
    s.enqueue("a").await;
    s.messenger.lose(&LANE);
    s.clock.advance(Duration::from_secs(61));
    s.housekeep().await;
    assert_eq!(s.messenger.published(), 2);
    s.clock.advance(Duration::from_secs(61));
    s.housekeep().await;
    assert_eq!(s.messenger.published(), 2, "the broker still has it");
}

#[tokio::test]
async fn a_message_that_comes_twice_runs_its_job_once() {
    let s = scene(|_| {});
    s.enqueue("a").await;
    let first = s.claim().await.remove(0);
    s.messenger.crash();
    assert!(s.claim().await.is_empty(), "held");
    s.settle(&first, s.completed()).await;
    assert_eq!(s.messenger.held(), (0, 0));
    assert_eq!(s.queue.get(first.held.id).await.unwrap().unwrap().attempt, 1);
}

#[tokio::test]
async fn a_leftover_does_not_bring_a_pruned_job_back() {
    let s = scene(|_| {});
    s.enqueue("a").await;
    let job = s.claim().await.remove(0);
    s.messenger.set_down(true);
    s.settle(&job, s.completed()).await;
    s.clock.advance(Duration::from_secs(61));
    s.housekeep().await;
    assert!(s.queue.get(job.held.id).await.unwrap().is_none(), "pruned");
    s.messenger.set_down(false);
    s.messenger.crash();
    assert!(s.claim().await.is_empty());
    assert_eq!((s.all().await.len(), s.messenger.held()), (0, (0, 0)));
}

#[tokio::test]
async fn messages_from_outside_become_one_job_many_or_none() {
    let s = scene(|_| {});
    for text in ["test.run one", "test.run one", "test.run * 3", "none"] {
        s.messenger.send(&LANE, text);
    }
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.extend(s.claim().await.iter().map(|job| job.held.id));
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "one of the pair, and three");
    assert_eq!(s.messenger.held().0, 0);
}

#[tokio::test]
async fn what_nobody_can_read_is_a_dead_letter_with_its_bytes() {
    let s = scene(|_| {});
    s.messenger.send(&LANE, "What is this? I do not know");
    s.messenger.send(&LANE, &b"\xff\xfe"[..]);
    assert!(s.claim().await.is_empty());
    assert_eq!(s.messenger.held(), (0, 0), "no poison loop");
    let dead = s.all().await;
    assert_eq!(dead.len(), 2);
    assert!(dead.iter().all(|d| d.kind == UNREADABLE && d.class == Some(DeadClass::Invalid)));
    let text = dead.iter().find(|d| d.payload["body"].is_string()).unwrap();
    assert_eq!(text.payload["body"], "What is this? I do not know");
    assert!(text.errors[0].error.contains("is not a job"));
    let bytes = dead.iter().find(|d| d.payload["body_hex"].is_string()).unwrap();
    assert_eq!(bytes.payload["body_hex"], "fffe");
}

#[tokio::test]
async fn kinds_that_were_not_asked_for_wait_at_hand_and_at_the_end_of_the_lane() {
    let s = scene(|settings| settings.aside = 2);
    for n in 0..5 {
        let job = NewJob { kind: OTHER, ..s.job(&format!("o{n}")) };
        s.queue.enqueue(&[job], s.now()).await.unwrap();
    }
    let wanted = s.enqueue("a").await;
    let mut got = Vec::new();
    for _ in 0..5 {
        got.extend(s.claim_of(&[KIND], 1).await.iter().map(|job| job.held.id));
    }
    assert_eq!(got, [wanted]);
    assert_eq!(s.claim_of(&[OTHER], 10).await.len(), 5);
}

#[tokio::test]
async fn what_the_broker_gave_up_is_kept_or_published_again() {
    let s = scene(|settings| settings.records_for_failures.extend([LANE]));
    s.enqueue("light").await;
    s.messenger.give_up(&LANE);
    s.housekeep().await;
    let dead = s.all().await;
    assert_eq!((dead.len(), dead[0].class), (1, Some(DeadClass::Poison)));

    let s = scene(|_| {});
    s.enqueue("recorded").await;
    s.messenger.give_up(&LANE);
    s.housekeep().await;
    assert_eq!(s.claim().await.len(), 1);
}

#[tokio::test]
async fn a_long_job_is_acked_early_and_kept_by_its_record() {
    let messenger = Messenger::new(false, Some(Duration::from_secs(60)));
    let memory = Memory::new(flotilla_memory::Settings::default());
    let light = Lane::from_static("light");
    let queue = queue(&messenger, memory, |settings| {
        settings.records_for_failures.insert(Lane::from_static("light"));
    });
    let s = Scene { messenger, queue, clock: ManualClock::default() };
    s.enqueue("long").await;
    let job = NewJob { lane: light.clone(), ..s.job("light") };
    s.queue.enqueue(&[job], s.now()).await.unwrap();
    let mut jobs = s.claim().await;
    let demand = [LaneDemand { lane: light, slots: 1, kinds: vec![KIND] }];
    let worker = WorkerId::new("w");
    jobs.extend(s.queue.claim(&demand, &worker, LEASE, s.now()).await.unwrap().jobs);
    assert_eq!(s.messenger.held(), (0, 2));
    assert_eq!(s.all().await.len(), 1, "the light one has no record yet");
    for _ in 0..10 {
        s.clock.advance(Duration::from_secs(10));
        let until = after(s.now(), LEASE);
        let extensions: Vec<_> = jobs
            .iter()
            .map(|job| flotilla_core::queue::Extension { held: job.held.clone(), progress: None })
            .collect();
        let kept = s.queue.extend(&extensions, until, s.now()).await.unwrap();
        assert!(
            kept.iter().all(|kept| *kept == flotilla_core::queue::Lease::Kept { cancel: false })
        );
    }
    assert_eq!(s.messenger.held(), (0, 0));
    assert_eq!(s.all().await.len(), 2);
    for job in &jobs {
        s.settle(job, s.completed()).await;
        assert_eq!(s.queue.get(job.held.id).await.unwrap().unwrap().state, State::Completed);
    }
}

#[tokio::test]
async fn an_abandoned_lease_does_not_keep_its_message_for_ever() {
    let s = scene(|_| {});
    s.enqueue("a").await;
    assert_eq!(s.claim().await.len(), 1);
    s.clock.advance(LEASE * 10);
    s.housekeep().await;
    assert_eq!(s.messenger.held(), (1, 0), "acked, and published again by its rescue");
}
