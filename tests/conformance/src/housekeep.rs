//! What time does by itself: retention, deadlines, bounded rounds.

use std::sync::Arc;

use flotilla_core::queue::{HousekeepPolicy, Housekeeping, NewJob, Verdict};
use flotilla_core::records::Filter;
use flotilla_core::state::{DeadClass, State};

use crate::harness::Harness;
use crate::scene::{KEEP_DEAD, LEASE, LONG, POISON_AFTER, Scene, secs};

/// No work, no counts.
pub async fn nothing_to_do_is_nothing_done(h: &dyn Harness) {
    let s = Scene::new(h).await;
    assert_eq!(s.housekeep().await, Housekeeping::default());
    s.running().await;
    s.add(s.job()).await;
    assert_eq!(s.housekeep().await, Housekeeping::default());
}

/// Record and result stay exactly as long as the outcome said.
pub async fn a_result_is_kept_until_its_retention_ends(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let job = s.running().await;
    s.applied(&job, s.completed()).await;
    s.pass(secs(3599));
    assert_eq!(s.housekeep().await.pruned, 0);
    assert!(s.get(job.held.id).await.result.is_some());
    s.pass(secs(1));
    assert_eq!(s.housekeep().await.pruned, 1);
    assert!(s.find(job.held.id).await.is_none());
}

/// Dead letters made by housekeeping have a retention too.
pub async fn a_dead_letter_is_kept_for_the_retention_of_dead_letters(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let expired = NewJob { deadline: Some(s.later(secs(5))), ..s.job() };
    let expired = s.add(expired).await;
    s.pass(secs(5));
    s.housekeep().await;
    let exhausted = s.add(NewJob { max_attempts: 1, ..s.job() }).await;
    s.one().await;
    s.workers_vanish().await;
    s.pass(KEEP_DEAD - secs(16));
    assert_eq!(s.housekeep().await.pruned, 0);
    s.pass(secs(16));
    s.housekeep().await;
    assert!(s.find(expired).await.is_none());
    assert!(s.find(exhausted).await.is_none());
}

/// A job cancelled by hand can be looked at for a while, and goes in the end.
pub async fn a_cancelled_record_stays_for_a_while_and_not_for_ever(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let waiting = s.add(s.job()).await;
    s.cancel(waiting, "not wanted").await;
    let running = s.running().await;
    s.cancel(running.held.id, "not wanted").await;
    s.applied(&running, Verdict::Interrupted).await;
    s.pass(secs(60));
    s.housekeep().await;
    assert_eq!(s.state(waiting).await, State::Cancelled);
    assert_eq!(s.state(running.held.id).await, State::Cancelled);
    s.pass(LONG);
    s.housekeep().await;
    assert!(s.find(waiting).await.is_none() && s.find(running.held.id).await.is_none());
}

/// Retention is for finished jobs: what waits or runs is never pruned, however old.
pub async fn an_unfinished_job_is_never_pruned(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add_many(4).await;
    let jobs = s.claim(3).await;
    s.applied(&jobs[0], s.park("k")).await;
    s.applied(&jobs[1], s.retry(&jobs[1], LONG * 2)).await;
    s.add(NewJob { run_at: s.later(LONG * 2), ..s.job() }).await;
    s.pass(LONG);
    assert_eq!(s.housekeep().await.pruned, 0);
    assert_eq!(s.ports.records.count(&Filter::default()).await.expect("count works"), 5);
}

/// In every state in which it waits; and a job in time that runs long is left alone.
pub async fn a_deadline_ends_a_waiting_job_and_no_running_one(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let deadline = Some(s.later(secs(10)));
    let like = || NewJob { deadline, ..s.job() };
    for _ in 0..3 {
        s.add(like()).await;
    }
    let jobs = s.claim(3).await;
    s.applied(&jobs[0], s.park("k")).await;
    s.applied(&jobs[1], s.retry(&jobs[1], secs(60))).await;
    let available = s.add(like()).await;
    let scheduled = s.add(NewJob { run_at: s.later(secs(60)), ..like() }).await;
    s.pass(secs(9));
    assert_eq!(s.housekeep().await.expired, 0);
    s.pass(secs(1));
    assert_eq!(s.housekeep().await.expired, 4);
    for id in [jobs[0].held.id, jobs[1].held.id, available, scheduled] {
        let record = s.get(id).await;
        assert_eq!((record.state, record.class), (State::Dead, Some(DeadClass::Expired)));
        assert_eq!(record.parked_under, None);
    }
    s.applied(&jobs[2], s.completed()).await;
}

/// Due jobs are promoted and counted, in rounds no larger than asked for.
pub async fn a_round_does_no_more_than_its_batch(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let at = s.later(secs(5));
    let due: Vec<NewJob> = (0..25).map(|_| NewJob { run_at: at, ..s.job() }).collect();
    s.enqueue(&due).await;
    s.pass(secs(5));
    let mut promoted = Vec::new();
    for _ in 0..4 {
        promoted.push(s.housekeep_by(10).await.promoted);
    }
    assert_eq!(promoted, [10, 10, 5, 0]);
    for job in s.claim(25).await {
        s.applied(&job, s.completed()).await;
    }
    s.pass(secs(3600));
    let mut pruned = Vec::new();
    for _ in 0..4 {
        pruned.push(s.housekeep_by(10).await.pruned);
    }
    assert_eq!(pruned, [10, 10, 5, 0]);
}

/// Several workers keep house at once: each job is rescued, and counted, once.
pub async fn parallel_housekeepers_count_each_job_once(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add_many(60).await;
    s.claim(60).await;
    s.pass(LEASE);
    let now = s.now();
    let keepers: Vec<_> = (0..4)
        .map(|_| {
            let queue = Arc::clone(&s.ports.queue);
            let policy =
                HousekeepPolicy { poison_after: POISON_AFTER, keep_dead: KEEP_DEAD, batch: 7 };
            tokio::spawn(async move {
                let mut rescued = 0;
                for _ in 0..10 {
                    let done = queue.housekeep(&policy, now).await.expect("housekeep works");
                    rescued += done.rescued;
                }
                rescued
            })
        })
        .collect();
    let mut rescued = 0;
    for keeper in keepers {
        rescued += keeper.await.expect("the keeper does not panic");
    }
    assert_eq!(rescued, 60);
    let again = s.claim(100).await;
    assert_eq!(again.len(), 60);
    assert!(again.iter().all(|job| (job.attempt, job.crashes) == (2, 1)));
}
