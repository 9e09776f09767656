//! The truth behind a broker: jobs taken by name, and which of them the broker was told about.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::broker::{Burial, Store, Taken, UNREADABLE};
use flotilla_core::clock::before;
use flotilla_core::envelope::Payload;
use flotilla_core::flow::Until;
use flotilla_core::ids::{JobId, Lane, WorkerId};
use flotilla_core::queue::{Claimed, Enqueued, NewJob, Settled, Verdict};
use flotilla_core::records::{Filter, Pause};
use flotilla_core::state::{DeadClass, State};

use crate::harness::StoreHarness;
use crate::scene::{LANE, LEASE, Scene, demand, priority, secs, sorted, tenant, unique};

/// How long a notice may be under way.
const STALE: Duration = Duration::from_secs(60);

struct Behind {
    s: Scene,
    store: Arc<dyn Store>,
}

impl Behind {
    async fn new(h: &dyn StoreHarness) -> Self {
        let (store, ports) = h.fresh().await;
        Self { s: Scene::on(ports), store }
    }

    async fn insert(&self, jobs: &[NewJob]) -> Vec<Enqueued> {
        self.store.insert(jobs, self.s.now()).await.expect("insert works")
    }

    async fn take(&self, jobs: &[NewJob], make: bool) -> Vec<Taken> {
        let worker = WorkerId::new("first");
        let taken = self.store.take(jobs, make, &worker, LEASE, self.s.now()).await;
        let taken = taken.expect("take works");
        assert_eq!(taken.len(), jobs.len(), "one answer per job");
        taken
    }

    async fn take_one(&self, job: &NewJob) -> Taken {
        self.take(std::slice::from_ref(job), false).await.remove(0)
    }

    async fn claimed(&self, job: &NewJob) -> Claimed {
        match self.take_one(job).await {
            Taken::Claimed(claimed) => *claimed,
            other => panic!("it can be taken, but: {other:?}"),
        }
    }

    async fn unpublished_in(&self, lanes: &[Lane], limit: usize) -> Vec<NewJob> {
        let stale = before(self.s.now(), STALE);
        self.store.unpublished(lanes, stale, limit, self.s.now()).await.expect("it works")
    }

    async fn unpublished(&self) -> Vec<JobId> {
        sorted(self.unpublished_in(&[], 1000).await.iter().map(|job| job.id).collect())
    }
}

/// Told by the caller that inserts, until that turns out not to be so or was long ago.
pub async fn an_inserted_job_counts_as_published(h: &dyn StoreHarness) {
    let b = Behind::new(h).await;
    let (job, later) = (b.s.job(), b.s.job());
    let later = NewJob { run_at: b.s.later(secs(30)), ..later };
    let answers = b.insert(&[job.clone(), later.clone(), job.clone()]).await;
    assert_eq!(answers, [Enqueued::Created, Enqueued::Created, Enqueued::Duplicate(job.id)]);
    assert!(b.unpublished().await.is_empty());
    b.store.republish(&[job.id, b.s.job().id]).await.expect("republish works");
    assert_eq!(b.unpublished().await, [job.id]);
    assert!(b.unpublished().await.is_empty(), "told now");
    b.s.pass(STALE + secs(1));
    b.s.claims_by("first", &[demand(&LANE, 0)]).await;
    assert_eq!(b.unpublished().await, sorted(vec![job.id, later.id]), "stale, and due since");
}

/// An enqueue past the broker is found and told, once, complete.
pub async fn an_enqueued_job_is_to_be_published(h: &dyn StoreHarness) {
    let b = Behind::new(h).await;
    let job = NewJob {
        version: 7,
        tenant: tenant("acme"),
        priority: priority(9),
        payload: Payload::from_bytes(&b"{ \"n\": 1.50 }"[..]),
        unique: unique("k"),
        order: Some("o".into()),
        max_attempts: 9,
        ..b.s.job()
    };
    b.s.add(job.clone()).await;
    let found = b.unpublished_in(&[LANE], 10).await;
    assert_eq!(found.len(), 1);
    let found = &found[0];
    assert_eq!((found.id, &found.kind, found.version), (job.id, &job.kind, 7));
    assert_eq!((&found.tenant, found.priority, &found.lane), (&job.tenant, job.priority, &LANE));
    assert_eq!(found.payload.bytes(), job.payload.bytes());
    assert_eq!((&found.order, found.max_attempts), (&job.order, 9));
    assert!(b.unpublished().await.is_empty());
}

/// Of the lanes asked for, as many as asked for, each once.
pub async fn what_is_to_be_published_is_bounded(h: &dyn StoreHarness) {
    let b = Behind::new(h).await;
    let other = Lane::from_static("other");
    let mut all = b.s.add_many(25).await;
    let elsewhere = b.s.add(NewJob { lane: other.clone(), ..b.s.job() }).await;
    let mut found = Vec::new();
    for expected in [10, 10, 5, 0] {
        let some = b.unpublished_in(&[LANE], 10).await;
        assert_eq!(some.len(), expected);
        found.extend(some.iter().map(|job| job.id));
    }
    all.sort();
    assert_eq!(sorted(found), all);
    let found = b.unpublished_in(&[other, LANE], 10).await;
    assert_eq!(found.iter().map(|job| job.id).collect::<Vec<_>>(), [elsewhere]);
}

/// Several publishers look at once: each job is one's.
pub async fn publishers_at_once_share_the_jobs(h: &dyn StoreHarness) {
    let b = Behind::new(h).await;
    let all: BTreeSet<JobId> = b.s.add_many(200).await.into_iter().collect();
    let (now, stale) = (b.s.now(), before(b.s.now(), STALE));
    let publishers: Vec<_> = (0..4)
        .map(|_| {
            let store = Arc::clone(&b.store);
            tokio::spawn(async move {
                let mut mine = Vec::new();
                for _ in 0..20 {
                    let some = store.unpublished(&[], stale, 15, now).await.expect("it works");
                    mine.extend(some.iter().map(|job| job.id));
                }
                mine
            })
        })
        .collect();
    let mut found = Vec::new();
    for publisher in publishers {
        found.extend(publisher.await.expect("it does not panic"));
    }
    assert_eq!(found.len(), all.len(), "none twice");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), all, "none forgotten");
}

/// By name, under a lease as from a claim.
pub async fn a_job_taken_is_claimed(h: &dyn StoreHarness) {
    let b = Behind::new(h).await;
    let job = NewJob { payload: Payload::from_bytes(&b"[1]"[..]), ..b.s.job() };
    b.insert(std::slice::from_ref(&job)).await;
    b.s.pass(secs(3));
    let claimed = b.claimed(&job).await;
    assert_eq!((claimed.held.id, claimed.attempt, claimed.crashes), (job.id, 1, 0));
    assert_eq!(claimed.payload.bytes(), job.payload.bytes());
    let record = b.s.get(job.id).await;
    assert_eq!((record.state, record.lease_until), (State::Running, Some(b.s.later(LEASE))));
    assert_eq!((record.worker, record.started_at), (Some(WorkerId::new("first")), Some(b.s.now())));
    assert!(matches!(b.take_one(&job).await, Taken::Held));
    assert!(b.s.claim(5).await.is_empty());
    b.s.applied(&claimed, b.s.completed()).await;
    assert!(matches!(b.take_one(&job).await, Taken::Over));
    b.s.pass(secs(3600));
    b.s.housekeep().await;
    assert!(b.s.find(job.id).await.is_none());
    assert!(matches!(b.take_one(&job).await, Taken::Over), "its record was pruned");
    assert!(b.s.find(job.id).await.is_none(), "and it is not made again");
}

/// A message that came before its record, or from a stranger, makes the job it stands for.
pub async fn an_unknown_job_is_made_when_asked_for(h: &dyn StoreHarness) {
    let b = Behind::new(h).await;
    let (job, twice) = (b.s.job(), b.s.job());
    assert!(matches!(b.take_one(&job).await, Taken::Over));
    assert!(b.s.find(job.id).await.is_none());
    let taken = b.take(&[job.clone(), twice.clone(), twice.clone()], true).await;
    assert!(matches!(taken[0], Taken::Claimed(_)) && matches!(taken[1], Taken::Claimed(_)));
    assert!(matches!(taken[2], Taken::Held), "the second of one call");
    assert_eq!(b.s.state(job.id).await, State::Running);
    let later = NewJob { run_at: b.s.later(secs(30)), ..b.s.job() };
    assert!(matches!(b.take(std::slice::from_ref(&later), true).await[0], Taken::Waits));
    assert_eq!(b.s.state(later.id).await, State::Scheduled);
}

/// Whatever it waits for, its message is used up and another one will come.
pub async fn a_job_that_waits_is_published_in_its_time(h: &dyn StoreHarness) {
    let b = Behind::new(h).await;
    let s = &b.s;
    let later = NewJob { run_at: s.later(secs(30)), ..s.job() };
    let first = s.ordered("k");
    let (in_line, parked, paused) = (s.ordered("k"), s.job(), s.job());
    let all = [later.clone(), first.clone(), in_line.clone(), parked.clone(), paused.clone()];
    b.insert(&all).await;
    let job = b.claimed(&parked).await;
    s.applied(&job, s.park("account")).await;
    for job in [&later, &in_line, &parked] {
        assert!(matches!(b.take_one(job).await, Taken::Waits));
    }
    let pause = Pause { by: "ada".into(), reason: "why".into(), since: s.now() };
    s.ports.records.pause(&LANE, pause).await.expect("pause works");
    let lanes = [Lane::from_static("other"), LANE];
    assert_eq!(b.store.paused(&lanes).await.expect("it is read"), [LANE]);
    assert!(matches!(b.take_one(&paused).await, Taken::Waits));
    s.ports.records.resume(&LANE).await.expect("resume works");
    assert!(b.store.paused(&lanes).await.expect("it is read").is_empty());
    assert_eq!(b.unpublished().await, [paused.id]);
    s.ports.records.wake("account", 10, s.now()).await.expect("wake works");
    assert_eq!(b.unpublished().await, [parked.id]);
    let job = b.claimed(&first).await;
    s.applied(&job, s.completed()).await;
    assert_eq!(b.unpublished().await, [in_line.id]);
    s.pass(secs(30));
    let claims = s.claims_by("first", &[demand(&LANE, 0)]).await;
    assert_eq!((claims.jobs.len(), claims.next_due), (0, None), "promoted, not taken");
    assert_eq!(b.unpublished().await, [later.id]);
    b.claimed(&later).await;
}

/// A second life needs a second message.
pub async fn a_job_that_comes_back_is_published_again(h: &dyn StoreHarness) {
    let b = Behind::new(h).await;
    let s = &b.s;
    for way in 0..6 {
        let job = s.job();
        b.insert(std::slice::from_ref(&job)).await;
        let claimed = b.claimed(&job).await;
        match way {
            0 => s.applied(&claimed, Verdict::Interrupted).await,
            1 => s.applied(&claimed, s.retry(&claimed, secs(5))).await,
            2 => s.applied(&claimed, s.snooze(secs(5))).await,
            3 => {
                s.workers_vanish().await;
            }
            4 => {
                s.applied(&claimed, s.dead(&claimed, DeadClass::Rejected)).await;
                let replay = s.ports.records.replay(&Filter::id(job.id), 1, s.now()).await;
                assert_eq!(replay.expect("replay works").replayed, 1);
            }
            _ => {
                let child = s.child(&claimed, "a");
                s.awaits(&claimed, vec![child.clone()], Until::all()).await;
                assert_eq!(b.unpublished().await, [child.id], "a child needs one too");
                let child = b.claimed(&child).await;
                s.applied(&child, s.completed()).await;
            }
        }
        s.pass(secs(5));
        s.housekeep().await;
        assert_eq!(b.unpublished().await, [job.id], "way {way}");
        let again = b.claimed(&job).await;
        assert!(again.held.fence > claimed.held.fence, "way {way}");
        assert_eq!(s.settle(&claimed, s.completed()).await, Settled::Lost, "way {way}");
        s.applied(&again, s.completed()).await;
        assert!(b.unpublished().await.is_empty(), "way {way}");
    }
}

/// Said why; nothing was made.
pub async fn a_job_that_cannot_be_made_is_refused(h: &dyn StoreHarness) {
    let b = Behind::new(h).await;
    let most = b.store.capabilities().max_payload;
    let holder = b.s.add(NewJob { unique: unique("k"), ..b.s.job() }).await;
    let like = NewJob { unique: unique("k"), ..b.s.job() };
    let big = NewJob { payload: Payload::from_bytes(vec![b'1'; most + 1]), ..b.s.job() };
    let good = b.s.job();
    let taken = b.take(&[like.clone(), big.clone(), good], true).await;
    assert!(matches!(&taken[0], Taken::Refused(why) if !why.is_empty()));
    assert!(matches!(&taken[1], Taken::Refused(why) if !why.is_empty()));
    assert!(matches!(taken[2], Taken::Claimed(_)));
    assert!(b.s.find(like.id).await.is_none() && b.s.find(big.id).await.is_none());
    assert_eq!(b.s.state(holder).await, State::Available);
}

/// Too late is too late by name as well.
pub async fn a_job_past_its_deadline_is_not_taken(h: &dyn StoreHarness) {
    let b = Behind::new(h).await;
    let job = NewJob { deadline: Some(b.s.later(secs(5))), ..b.s.job() };
    b.insert(std::slice::from_ref(&job)).await;
    b.s.pass(secs(5));
    assert!(!matches!(b.take_one(&job).await, Taken::Claimed(_)));
    b.s.housekeep().await;
    assert_eq!(b.s.get(job.id).await.class, Some(DeadClass::Expired));
    assert!(matches!(b.take_one(&job).await, Taken::Over));
}

/// The same message to many, and claimers besides: one has the job.
pub async fn takers_at_once_take_each_job_once(h: &dyn StoreHarness) {
    let b = Behind::new(h).await;
    let jobs: Vec<NewJob> = (0..60).map(|_| b.s.job()).collect();
    b.insert(&jobs[..30]).await;
    let now = b.s.now();
    let takers: Vec<_> = (0..6)
        .map(|n| {
            let (store, jobs) = (Arc::clone(&b.store), jobs.clone());
            tokio::spawn(async move {
                let worker = WorkerId::new(&format!("taker-{n}"));
                let mut mine = Vec::new();
                for some in jobs.chunks(7) {
                    let taken = store.take(some, true, &worker, LEASE, now).await;
                    for answer in taken.expect("take works") {
                        match answer {
                            Taken::Claimed(job) => mine.push(job.held.id),
                            // Someone has it, or has just had it and it is told of again.
                            Taken::Held | Taken::Waits => {}
                            other => panic!("claimed or held, but: {other:?}"),
                        }
                    }
                }
                mine
            })
        })
        .collect();
    let mut taken = Vec::new();
    for taker in takers {
        taken.extend(taker.await.expect("the taker does not panic"));
    }
    let all: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    assert_eq!(sorted(taken), sorted(all), "each once");
}

/// A message nobody could read is kept as a dead letter, once, and can be looked at.
pub async fn what_cannot_be_read_is_buried_once(h: &dyn StoreHarness) {
    let b = Behind::new(h).await;
    let raw = b"\xff\x00 not JSON";
    let job = NewJob { kind: UNREADABLE, payload: Payload::from_bytes(&raw[..]), ..b.s.job() };
    let burial = Burial {
        job: job.clone(),
        class: DeadClass::Invalid,
        error: "no JSON: put an envelope".into(),
        keep_until: b.s.later(secs(3600)),
    };
    for error in ["no JSON: put an envelope", "another look"] {
        let again = Burial { error: error.into(), ..burial.clone() };
        b.store.bury(&[again], b.s.now()).await.expect("bury works");
    }
    let record = b.s.get(job.id).await;
    assert_eq!((record.state, record.class), (State::Dead, Some(DeadClass::Invalid)));
    assert_eq!((record.kind, record.finished_at), (UNREADABLE, Some(b.s.now())));
    let errors: Vec<&str> = record.errors.iter().map(|error| error.error.as_str()).collect();
    assert_eq!(errors, ["no JSON: put an envelope"]);
    assert!(b.unpublished().await.is_empty());
    assert!(matches!(b.take_one(&job).await, Taken::Over));
    b.s.pass(secs(3600));
    assert_eq!(b.s.housekeep().await.pruned, 1);
}
