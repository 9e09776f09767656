//! Holding a job: exclusively while the lease lasts, never longer, and fenced ever after.

use std::sync::Arc;

use flotilla_core::handler::Progress;
use flotilla_core::queue::{
    Extension, HousekeepPolicy, Lease, NewJob, Settled, Settlement, Verdict,
};
use flotilla_core::records::{Cancel, Pause};
use flotilla_core::state::{DeadClass, State};

use crate::harness::Harness;
use crate::scene::{KEEP_DEAD, LANE, LEASE, POISON_AFTER, Scene, ids, secs, sorted};

/// "Long jobs run twice": as long as its worker says so, a job stays its own.
pub async fn an_extended_lease_keeps_a_long_job(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let job = s.running().await;
    for _ in 0..50 {
        s.pass(LEASE - secs(5));
        assert_eq!(s.extend(&job, s.later(LEASE)).await, Lease::Kept { cancel: false });
        assert_eq!(s.housekeep().await.rescued, 0);
        assert!(s.claim(5).await.is_empty());
    }
    assert_eq!(s.get(job.held.id).await.lease_until, Some(s.later(LEASE)));
    s.applied(&job, s.completed()).await;
}

/// "Stuck running for ever": a worker that vanished keeps nothing for longer than its lease.
pub async fn a_vanished_workers_job_runs_again(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let first = s.running().await;
    s.pass(secs(10));
    s.extend(&first, s.later(LEASE)).await;
    let done = s.workers_vanish().await;
    assert_eq!((done.rescued, done.quarantined), (1, 0));
    let record = s.get(first.held.id).await;
    assert_eq!((record.state, record.attempt, record.crashes), (State::Available, 1, 1));
    assert_eq!((record.lease_until, record.errors.len()), (None, 1));
    assert_eq!(record.errors[0].error, "lease ran out: the worker is gone");
    assert_eq!((record.errors[0].attempt, record.errors[0].worker.as_str()), (1, "first"));
    let second = s.one().await;
    assert_eq!((second.held.id, second.attempt, second.crashes), (first.held.id, 2, 1));
    assert!(second.held.fence > first.held.fence);
}

/// A lease is rescued when it ends, not a moment before.
pub async fn a_live_lease_is_never_rescued(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.running().await;
    s.pass(LEASE - std::time::Duration::from_micros(1));
    assert_eq!(s.housekeep().await.rescued, 0);
    s.pass(std::time::Duration::from_micros(1));
    assert_eq!(s.housekeep().await.rescued, 1);
}

/// Until the rescue nobody else has it: a worker that was only slow loses nothing.
pub async fn a_lease_that_ran_out_unnoticed_can_be_kept_and_settled(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let job = s.running().await;
    s.pass(LEASE * 2);
    assert!(s.claim(5).await.is_empty(), "a claim does not rescue");
    assert_eq!(s.extend(&job, s.later(LEASE)).await, Lease::Kept { cancel: false });
    assert_eq!(s.housekeep().await.rescued, 0);
    s.pass(LEASE * 2);
    s.applied(&job, s.completed()).await;
}

/// "A double run after a lost lock": the former holder can do no more harm.
pub async fn a_stale_holder_can_neither_extend_nor_settle(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let stale = s.running().await;
    s.workers_vanish().await;
    assert_eq!(s.extend(&stale, s.later(LEASE)).await, Lease::Lost, "rescued");
    assert_eq!(s.settle(&stale, s.completed()).await, Settled::Lost, "rescued");
    assert_eq!(s.state(stale.held.id).await, State::Available);
    let fresh = s.one().await;
    let before = s.get(stale.held.id).await;
    assert_eq!(s.extend(&stale, s.later(LEASE * 9)).await, Lease::Lost, "another's");
    for verdict in [
        s.completed(),
        s.retry(&stale, secs(1)),
        s.snooze(secs(1)),
        s.park("k"),
        Verdict::Interrupted,
        Verdict::Cancelled { reason: "no".into(), keep_until: s.later(secs(1)) },
        s.dead(&stale, DeadClass::Rejected),
    ] {
        assert_eq!(s.settle(&stale, verdict).await, Settled::Lost, "another's");
    }
    assert_eq!(s.get(stale.held.id).await, before, "and nothing changed");
    s.applied(&fresh, s.completed()).await;
    assert_eq!(s.settle(&stale, s.retry(&stale, secs(1))).await, Settled::Lost, "finished");
    assert_eq!(s.state(stale.held.id).await, State::Completed);
}

/// "Infinite poison loop": a job that takes its workers down is set aside, attempts or not.
pub async fn a_job_that_kills_its_workers_is_quarantined(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let id = s.add(NewJob { max_attempts: 1000, ..s.job() }).await;
    for crash in 1..=POISON_AFTER {
        s.one().await;
        let done = s.workers_vanish().await;
        let last = crash == POISON_AFTER;
        assert_eq!((done.rescued, done.quarantined), (u64::from(!last), u64::from(last)));
    }
    let record = s.get(id).await;
    assert_eq!((record.state, record.class), (State::Dead, Some(DeadClass::Poison)));
    assert_eq!((record.crashes, record.errors.len()), (POISON_AFTER, POISON_AFTER as usize));
    s.pass(secs(60));
    s.housekeep().await;
    assert!(s.claim(5).await.is_empty());
}

/// "Infinite poison loop": snoozes and failures in between do not forget the crashes.
pub async fn crashes_are_counted_over_all_attempts(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let id = s.add(NewJob { max_attempts: 1000, ..s.job() }).await;
    s.one().await;
    s.workers_vanish().await;
    let job = s.one().await;
    s.applied(&job, s.snooze(secs(1))).await;
    s.pass(secs(1));
    let job = s.one().await;
    s.applied(&job, s.retry(&job, secs(1))).await;
    s.pass(secs(1));
    s.one().await;
    assert_eq!(s.workers_vanish().await.quarantined, 1);
    assert_eq!(s.get(id).await.class, Some(DeadClass::Poison));
}

/// A crash is charged: the last attempt's ends the job.
pub async fn a_crash_in_the_last_attempt_is_the_end(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let id = s.add(NewJob { max_attempts: 1, ..s.job() }).await;
    s.one().await;
    let done = s.workers_vanish().await;
    assert_eq!((done.rescued, done.quarantined), (0, 1));
    let record = s.get(id).await;
    assert_eq!((record.state, record.class), (State::Dead, Some(DeadClass::Exhausted)));
    assert_eq!(record.finished_at, Some(s.now()));
}

/// "Stuck running for ever": a pause does not keep a vanished worker's jobs from being rescued.
pub async fn jobs_of_a_paused_lane_are_rescued_too(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let job = s.running().await;
    let pause = Pause { by: "ada".into(), reason: "maintenance".into(), since: s.now() };
    s.ports.records.pause(&LANE, pause).await.expect("pause works");
    assert_eq!(s.workers_vanish().await.rescued, 1);
    assert_eq!(s.state(job.held.id).await, State::Available);
}

/// "Stuck running for ever": more leases than one round takes are rescued in several.
pub async fn more_abandoned_jobs_than_one_round_takes_are_all_rescued(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let all = s.add_many(25).await;
    s.claim(25).await;
    s.pass(LEASE);
    let mut rescued = Vec::new();
    for _ in 0..3 {
        rescued.push(s.housekeep_by(10).await.rescued);
    }
    assert_eq!(rescued, [10, 10, 5]);
    assert_eq!(sorted(ids(&s.claim(50).await)), sorted(all));
}

/// A crashed worker's jobs run again soon, not after all that their tenant enqueued since.
pub async fn a_rescued_job_does_not_queue_behind_its_tenants_backlog(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let job = s.running().await;
    s.add_many(200).await;
    s.workers_vanish().await;
    assert_eq!(ids(&s.claim(1).await), [job.held.id]);
}

/// Who waits for work hears of a rescue.
pub async fn a_rescue_wakes_claimers(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.running().await;
    let mut wakes = s.ports.queue.wakes();
    wakes.mark_unchanged();
    s.workers_vanish().await;
    let heard = tokio::time::timeout(secs(10), wakes.changed()).await;
    heard.expect("claimers were told").expect("the queue lives");
}

/// The holder is told with its next heartbeat, and only the holder.
pub async fn a_cancel_reaches_the_holder_with_its_next_heartbeat(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add_many(2).await;
    let jobs = s.claim(2).await;
    assert_eq!(s.cancel(jobs[0].held.id, "no longer wanted").await, Cancel::Asked);
    assert!(s.get(jobs[0].held.id).await.cancel_requested);
    assert_eq!(s.extend(&jobs[0], s.later(LEASE)).await, Lease::Kept { cancel: true });
    assert_eq!(s.extend(&jobs[0], s.later(LEASE)).await, Lease::Kept { cancel: true }, "again");
    assert_eq!(s.extend(&jobs[1], s.later(LEASE)).await, Lease::Kept { cancel: false });
    assert_eq!(s.state(jobs[0].held.id).await, State::Running);
}

/// Nobody wants it and nobody is left to be told: it ends instead of running again.
pub async fn a_job_cancelled_while_its_worker_was_gone_does_not_run_again(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let job = s.running().await;
    s.cancel(job.held.id, "no longer wanted").await;
    s.workers_vanish().await;
    assert!(s.claim(5).await.is_empty());
    let record = s.get(job.held.id).await;
    assert_eq!(record.state, State::Cancelled);
    assert_eq!(record.reason.as_deref(), Some("no longer wanted"));
}

/// Progress travels with the heartbeat; none said, none changed.
pub async fn progress_is_kept_with_the_job(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let job = s.running().await;
    let said = Progress { fraction: 0.375, message: "3 of 8 — ½ ✓".into() };
    let lease = Extension { held: job.held.clone(), progress: Some(said.clone()) };
    let queue = &s.ports.queue;
    queue.extend(&[lease], s.later(LEASE), s.now()).await.expect("extend works");
    assert_eq!(s.get(job.held.id).await.progress, Some(said.clone()));
    s.extend(&job, s.later(LEASE)).await;
    assert_eq!(s.get(job.held.id).await.progress, Some(said));
}

/// "Job lost after an error in the middle of a batch": one lost lease takes no other along.
pub async fn one_lost_lease_in_a_batch_loses_no_other(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add_many(5).await;
    let jobs = s.claim(5).await;
    s.applied(&jobs[2], s.completed()).await;
    let leases: Vec<Extension> =
        jobs.iter().map(|job| Extension { held: job.held.clone(), progress: None }).collect();
    let until = s.later(LEASE * 2);
    let answers = s.ports.queue.extend(&leases, until, s.now()).await.expect("extend works");
    for (n, answer) in answers.iter().enumerate() {
        let expected = if n == 2 { Lease::Lost } else { Lease::Kept { cancel: false } };
        assert_eq!(*answer, expected, "{n}");
    }
    assert_eq!(s.workers_vanish().await.rescued, 0, "the four were extended");
}

/// Outcome and rescue race for the same jobs: each job gets one of them, and it shows.
pub async fn an_outcome_and_a_rescue_never_both_count(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add_many(100).await;
    let jobs = s.claim(100).await;
    s.pass(LEASE);
    let now = s.now();
    let policy = HousekeepPolicy { poison_after: POISON_AFTER, keep_dead: KEEP_DEAD, batch: 10 };
    let keeper = {
        let queue = Arc::clone(&s.ports.queue);
        tokio::spawn(async move {
            let mut rescued = 0;
            for _ in 0..10 {
                rescued += queue.housekeep(&policy, now).await.expect("housekeep works").rescued;
            }
            rescued
        })
    };
    let settler = {
        let (queue, verdict) = (Arc::clone(&s.ports.queue), s.completed());
        tokio::spawn(async move {
            let mut answers = Vec::new();
            for batch in jobs.chunks(7) {
                let done: Vec<Settlement> = batch
                    .iter()
                    .map(|job| Settlement { held: job.held.clone(), verdict: verdict.clone() })
                    .collect();
                let some = queue.settle(&done, now).await.expect("settle works");
                answers.extend(batch.iter().map(|job| job.held.id).zip(some));
            }
            answers
        })
    };
    let rescued = keeper.await.expect("the keeper does not panic");
    let answers = settler.await.expect("the settler does not panic");
    let lost = answers.iter().filter(|(_, answer)| *answer == Settled::Lost).count() as u64;
    assert_eq!(rescued, lost);
    for (id, answer) in answers {
        let expected = if answer == Settled::Lost { State::Available } else { State::Completed };
        assert_eq!(s.state(id).await, expected);
    }
}
