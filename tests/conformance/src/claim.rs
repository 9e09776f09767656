//! Handing jobs out: the right ones, once, and nobody in anybody's way.

use std::collections::BTreeSet;
use std::sync::Arc;

use flotilla_core::ids::{JobId, Kind, Lane, WorkerId};
use flotilla_core::queue::{LaneDemand, NewJob, Settled, Settlement};
use flotilla_core::records::Pause;
use flotilla_core::state::{DeadClass, State};

use crate::harness::Harness;
use crate::scene::{KIND, LANE, LEASE, Scene, demand, ids, priority, secs, sorted};

const OTHER: Lane = Lane::from_static("other");
const OTHER_KIND: Kind = Kind::from_static("test.other");

fn pause(s: &Scene) -> Pause {
    Pause { by: "ada".into(), reason: "maintenance".into(), since: s.now() }
}

/// A claim charges the attempt, sets the lease and shows it in the record.
pub async fn a_claim_starts_an_attempt_under_a_lease(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let id = s.add(s.job()).await;
    s.pass(secs(3));
    let job = s.one().await;
    assert_eq!((job.held.id, job.attempt, job.crashes), (id, 1, 0));
    let record = s.get(id).await;
    assert_eq!((record.state, record.attempt), (State::Running, 1));
    assert_eq!((record.started_at, record.lease_until), (Some(s.now()), Some(s.later(LEASE))));
    assert_eq!(record.worker, Some(WorkerId::new("first")));
}

/// Until its lease ends, a claimed job is nobody else's.
pub async fn a_claimed_job_is_offered_to_no_one_else(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let all = s.add_many(10).await;
    let mut seen = ids(&s.claim(4).await);
    assert_eq!(seen.len(), 4, "as many as asked for");
    seen.extend(ids(&s.claim(100).await));
    assert_eq!(sorted(seen), sorted(all));
    s.pass(LEASE - secs(1));
    s.housekeep().await;
    assert!(s.claim(100).await.is_empty());
}

/// "The same job on several workers": many claimers race, every job is handed out once.
pub async fn many_claimers_take_every_job_exactly_once(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let all = s.add_many(600).await;
    let now = s.now();
    let claimers: Vec<_> = (0..12)
        .map(|n| {
            let queue = Arc::clone(&s.ports.queue);
            tokio::spawn(async move {
                let worker = WorkerId::new(&format!("claimer-{n}"));
                let mut mine: Vec<JobId> = Vec::new();
                loop {
                    let claims = queue.claim(&[demand(&LANE, 7)], &worker, LEASE, now).await;
                    let claims = claims.expect("claim works");
                    if claims.jobs.is_empty() {
                        return mine;
                    }
                    mine.extend(ids(&claims.jobs));
                }
            })
        })
        .collect();
    let mut taken = Vec::new();
    for claimer in claimers {
        taken.extend(claimer.await.expect("the claimer does not panic"));
    }
    assert_eq!(taken.len(), all.len(), "none twice");
    assert_eq!(sorted(taken), sorted(all), "none forgotten");
}

/// Claims, settles and enqueues in parallel lose nothing and finish each job once.
pub async fn jobs_that_come_while_others_are_claimed_all_finish_once(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let now = s.now();
    let first: Vec<NewJob> = (0..200).map(|_| s.job()).collect();
    let second: Vec<NewJob> = (0..200).map(|_| s.job()).collect();
    let all: BTreeSet<JobId> = first.iter().chain(&second).map(|job| job.id).collect();
    s.enqueue(&first).await;
    let producer = {
        let queue = Arc::clone(&s.ports.queue);
        tokio::spawn(async move {
            for batch in second.chunks(10) {
                queue.enqueue(batch, now).await.expect("enqueue works");
            }
        })
    };
    let consumers: Vec<_> = (0..4)
        .map(|n| {
            let (queue, verdict) = (Arc::clone(&s.ports.queue), s.completed());
            tokio::spawn(async move {
                let worker = WorkerId::new(&format!("consumer-{n}"));
                let mut finished: Vec<JobId> = Vec::new();
                for _ in 0..40 {
                    let claims = queue.claim(&[demand(&LANE, 5)], &worker, LEASE, now).await;
                    let done: Vec<Settlement> = claims
                        .expect("claim works")
                        .jobs
                        .into_iter()
                        .map(|job| Settlement { held: job.held, verdict: verdict.clone() })
                        .collect();
                    let answers = queue.settle(&done, now).await.expect("settle works");
                    assert!(answers.iter().all(|a| *a == Settled::Applied));
                    finished.extend(done.iter().map(|d| d.held.id));
                }
                finished
            })
        })
        .collect();
    producer.await.expect("the producer does not panic");
    let mut finished = Vec::new();
    for consumer in consumers {
        finished.extend(consumer.await.expect("the consumer does not panic"));
    }
    for job in s.claim(400).await {
        s.applied(&job, s.completed()).await;
        finished.push(job.held.id);
    }
    assert_eq!(finished.len(), all.len(), "none twice");
    assert_eq!(finished.into_iter().collect::<BTreeSet<_>>(), all, "none forgotten");
}

/// Due exactly at its moment, and the claimer knows when to come back.
pub async fn a_job_due_later_waits_for_its_moment(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let moment = s.later(secs(30));
    let id = s.add(NewJob { run_at: moment, ..s.job() }).await;
    let claims = s.claims_by("first", &[demand(&LANE, 5)]).await;
    assert!(claims.jobs.is_empty());
    assert_eq!(claims.next_due, Some(moment));
    s.pass(secs(30));
    let claims = s.claims_by("first", &[demand(&LANE, 5)]).await;
    assert_eq!(ids(&claims.jobs), [id], "the claim itself promotes what is due");
    assert_eq!(claims.next_due, None);
}

/// Of the lanes asked for, and whatever was claimed meanwhile.
pub async fn next_due_is_the_earliest_moment_of_the_lanes_asked_for(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add(s.job()).await;
    s.add(NewJob { run_at: s.later(secs(30)), ..s.job() }).await;
    s.add(NewJob { run_at: s.later(secs(20)), ..s.job() }).await;
    s.add(NewJob { run_at: s.later(secs(10)), lane: OTHER, ..s.job() }).await;
    let claims = s.claims_by("first", &[demand(&LANE, 5)]).await;
    assert_eq!((claims.jobs.len(), claims.next_due), (1, Some(s.later(secs(20)))));
    let both = s.claims_by("first", &[demand(&LANE, 5), demand(&OTHER, 5)]).await;
    assert_eq!(both.next_due, Some(s.later(secs(10))));
    s.applied(&claims.jobs[0], s.retry(&claims.jobs[0], secs(5))).await;
    let retry = s.claims_by("first", &[demand(&LANE, 5)]).await;
    assert_eq!(retry.next_due, Some(s.later(secs(5))), "retries count");
}

/// One claim serves several lanes, each up to its own slots.
pub async fn each_lane_of_a_claim_gives_up_to_its_slots(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add_many(5).await;
    for _ in 0..5 {
        s.add(NewJob { lane: OTHER, ..s.job() }).await;
    }
    let claims = s.claims_by("first", &[demand(&LANE, 2), demand(&OTHER, 3)]).await;
    let of = |lane: &Lane| claims.jobs.iter().filter(|job| job.lane == *lane).count();
    assert_eq!((of(&LANE), of(&OTHER)), (2, 3));
    assert!(s.claims_by("first", &[demand(&LANE, 0)]).await.jobs.is_empty(), "no slots, no jobs");
    let nothing = LaneDemand { lane: LANE, slots: 5, kinds: Vec::new() };
    assert!(s.claims_by("first", &[nothing]).await.jobs.is_empty(), "no kinds, no jobs");
}

/// "One kind stalls the lane": what nobody here can run does not hide what somebody can.
pub async fn jobs_of_a_kind_not_asked_for_stall_no_other(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let strange: Vec<NewJob> =
        (0..300).map(|_| NewJob { kind: OTHER_KIND, priority: priority(9), ..s.job() }).collect();
    s.enqueue(&strange).await;
    let id = s.add(NewJob { priority: priority(0), ..s.job() }).await;
    assert_eq!(ids(&s.claim(5).await), [id]);
    let both = LaneDemand { lane: LANE, slots: 3, kinds: vec![KIND, OTHER_KIND] };
    assert_eq!(s.claims_by("first", &[both]).await.jobs.len(), 3);
}

/// "One lane stalls the others": a pause, or a backlog, is the lane's own.
pub async fn a_paused_lane_gives_none_and_stalls_no_other(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let all = s.add_many(20).await;
    let other = s.add(NewJob { lane: OTHER, ..s.job() }).await;
    s.ports.records.pause(&LANE, pause(&s)).await.expect("pause works");
    let lanes = [demand(&LANE, 5), demand(&OTHER, 5)];
    assert_eq!(ids(&s.claims_by("first", &lanes).await.jobs), [other]);
    assert!(s.ports.records.resume(&LANE).await.expect("resume works"));
    assert_eq!(sorted(ids(&s.claim(50).await)), sorted(all));
}

/// A pause stops claims, not outcomes: what runs may finish, what comes is taken.
pub async fn a_paused_lane_still_takes_jobs_and_outcomes(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let job = s.running().await;
    s.ports.records.pause(&LANE, pause(&s)).await.expect("pause works");
    let waiting = s.add(s.job()).await;
    s.applied(&job, s.completed()).await;
    assert_eq!(s.state(waiting).await, State::Available);
    assert!(s.claim(5).await.is_empty());
}

/// Too late is too late, also for the claim that comes before the next housekeeping.
pub async fn a_job_past_its_deadline_never_starts(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let id = s.add(NewJob { deadline: Some(s.later(secs(10))), ..s.job() }).await;
    let retried = s.add(NewJob { deadline: Some(s.later(secs(10))), ..s.job() }).await;
    let just = s.claim(2).await;
    assert_eq!(just.len(), 2, "in time");
    s.applied(&just[0], s.retry(&just[0], secs(8))).await;
    s.applied(&just[1], s.retry(&just[1], secs(8))).await;
    s.pass(secs(10));
    assert!(s.claim(5).await.is_empty());
    s.housekeep().await;
    for id in [id, retried] {
        let record = s.get(id).await;
        assert_eq!((record.state, record.class), (State::Dead, Some(DeadClass::Expired)));
    }
}

/// "One key stalls the queue": what may not run any more takes no places from what may.
pub async fn expired_jobs_at_the_head_stall_no_other(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let late: Vec<NewJob> = (0..300)
        .map(|_| NewJob { deadline: Some(s.later(secs(1))), priority: priority(9), ..s.job() })
        .collect();
    s.enqueue(&late).await;
    let id = s.add(s.job()).await;
    s.pass(secs(2));
    assert_eq!(ids(&s.claim(3).await), [id]);
}

/// "One key stalls the queue": snoozed, retried and parked jobs leave the lane to the others.
pub async fn jobs_that_cannot_run_now_stall_no_other(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add_many(90).await;
    for (n, job) in s.claim(90).await.iter().enumerate() {
        let verdict = match n % 3 {
            0 => s.snooze(secs(60)),
            1 => s.retry(job, secs(60)),
            _ => s.park("account:42"),
        };
        s.applied(job, verdict).await;
    }
    let id = s.add(NewJob { priority: priority(0), ..s.job() }).await;
    assert_eq!(ids(&s.claim(5).await), [id]);
}
