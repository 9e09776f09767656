//! Dead letters by hand: replay, discard, purge, and what they must not do.

use flotilla_core::ids::JobId;
use flotilla_core::queue::{Enqueued, NewJob, Settled};
use flotilla_core::records::{Filter, Page, Replay};
use flotilla_core::state::{DeadClass, State};

use crate::harness::Harness;
use crate::scene::{LONG, Scene, ids, secs, unique};

impl Scene {
    /// A dead letter of this class.
    async fn dead_letter(&self, job: NewJob, class: DeadClass) -> JobId {
        let id = self.add(job).await;
        let job = self.one().await;
        self.applied(&job, self.dead(&job, class)).await;
        id
    }

    async fn replay(&self, filter: &Filter, limit: usize) -> Replay {
        self.ports.records.replay(filter, limit, self.now()).await.expect("replay works")
    }

    async fn discard(&self, filter: &Filter, limit: usize) -> u64 {
        let records = &self.ports.records;
        records.discard(filter, "set aside", limit, self.now()).await.expect("discard works")
    }

    async fn purge(&self, filter: &Filter, limit: usize) -> u64 {
        self.ports.records.purge(filter, limit).await.expect("purge works")
    }

    /// Dies by its deadline.
    async fn dead_by_deadline(&self, deadline: u64) -> JobId {
        let deadline = Some(self.later(secs(deadline)));
        let id = self.add(NewJob { deadline, ..self.job() }).await;
        self.pass(secs(10));
        self.housekeep().await;
        id
    }
}

/// As new, but with its history.
pub async fn a_replay_resets_the_attempts_and_keeps_the_errors(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let id = s.add(NewJob { max_attempts: 2, ..s.job() }).await;
    s.one().await;
    s.workers_vanish().await;
    let job = s.one().await;
    s.applied(&job, s.dead(&job, DeadClass::Exhausted)).await;
    s.pass(secs(60));
    assert_eq!(s.replay(&Filter::default(), 10).await.replayed, 1);
    let record = s.get(id).await;
    assert_eq!((record.state, record.class), (State::Available, None));
    assert_eq!((record.attempt, record.crashes, record.finished_at), (0, 0, None));
    assert_eq!(record.errors.len(), 2);
    let again = s.one().await;
    assert_eq!((again.held.id, again.attempt, again.crashes), (id, 1, 0));
    assert!(again.held.fence > job.held.fence);
    assert_eq!(s.settle(&job, s.completed()).await, Settled::Lost);
    s.applied(&again, s.completed()).await;
}

/// A job whose irreversible call may have been made is never sent again by itself.
pub async fn a_replay_refuses_an_unknown_outcome(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let unknown = s.dead_letter(s.job(), DeadClass::OutcomeUnknown).await;
    s.pass(secs(1));
    let rejected = s.dead_letter(s.job(), DeadClass::Rejected).await;
    let done = s.replay(&Filter::default(), 1).await;
    assert_eq!(done.replayed, 1, "what is refused does not use up the limit");
    assert_eq!(done.refused.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [unknown]);
    assert!(!done.refused[0].1.is_empty(), "says why");
    assert_eq!(s.state(unknown).await, State::Dead);
    assert_eq!(s.state(rejected).await, State::Available);
}

/// A key has one holder: not two by way of the dead letters.
pub async fn a_replay_respects_unique_keys(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let like = || NewJob { unique: unique("k"), ..s.job() };
    let dead = s.dead_letter(like(), DeadClass::Rejected).await;
    s.pass(secs(1));
    let holder = s.add(like()).await;
    let done = s.replay(&Filter::id(dead), 10).await;
    assert_eq!((done.replayed, done.refused.len()), (0, 1));
    assert_eq!(s.state(dead).await, State::Dead);
    s.cancel(holder, "no").await;
    assert_eq!(s.replay(&Filter::id(dead), 10).await.replayed, 1);
    assert_eq!(s.enqueue(&[like()]).await, [Enqueued::Duplicate(dead)], "it holds the key again");
}

/// Of two dead letters with one key, one goes back.
pub async fn a_replay_of_two_jobs_with_one_key_puts_back_one(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let like = || NewJob { unique: unique("k"), ..s.job() };
    let first = s.dead_letter(like(), DeadClass::Rejected).await;
    s.pass(secs(1));
    let second = s.dead_letter(like(), DeadClass::Rejected).await;
    let done = s.replay(&Filter::default(), 10).await;
    assert_eq!((done.replayed, done.refused.len()), (1, 1));
    assert_eq!((s.state(first).await, s.state(second).await), (State::Available, State::Dead));
}

/// Whoever replays a job that came too late wants it to run: a deadline that has passed is
/// dropped.
pub async fn a_replayed_job_is_not_held_to_a_deadline_that_has_passed(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let id = s.dead_by_deadline(10).await;
    assert_eq!(s.get(id).await.class, Some(DeadClass::Expired));
    assert_eq!(s.replay(&Filter::id(id), 1).await.replayed, 1);
    s.housekeep().await;
    assert_eq!(s.one().await.held.id, id);
}

/// Only dead letters, only those that match, oldest first, no more than asked for.
pub async fn a_replay_takes_the_oldest_that_match(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let mut dead = Vec::new();
    for _ in 0..4 {
        dead.push(s.dead_letter(s.job(), DeadClass::Rejected).await);
        s.pass(secs(1));
    }
    let completed = s.running().await;
    s.applied(&completed, s.completed()).await;
    let invalid = s.dead_letter(s.job(), DeadClass::Invalid).await;
    let mut wakes = s.ports.queue.wakes();
    wakes.mark_unchanged();
    let rejected = Filter { classes: vec![DeadClass::Rejected], ..Filter::default() };
    assert_eq!(s.replay(&rejected, 3).await.replayed, 3);
    assert_eq!(ids(&s.claim(10).await), dead[..3]);
    assert_eq!(s.state(dead[3]).await, State::Dead);
    assert_eq!(s.replay(&Filter::id(completed.held.id), 10).await.replayed, 0);
    assert_eq!(s.state(completed.held.id).await, State::Completed);
    assert_eq!(s.state(invalid).await, State::Dead);
    let heard = tokio::time::timeout(secs(10), wakes.changed()).await;
    heard.expect("claimers were told").expect("the queue lives");
}

/// Set aside with a reason; the record stays for its retention, then goes.
pub async fn a_discarded_dead_letter_is_cancelled_and_stays_for_its_retention(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let mut dead = Vec::new();
    for _ in 0..3 {
        dead.push(s.dead_letter(s.job(), DeadClass::Rejected).await);
        s.pass(secs(1));
    }
    let waiting = s.add(s.job()).await;
    assert_eq!(s.discard(&Filter::default(), 2).await, 2);
    for id in &dead[..2] {
        let record = s.get(*id).await;
        assert_eq!((record.state, record.class), (State::Cancelled, None));
        assert_eq!(record.reason.as_deref(), Some("set aside"));
        assert_eq!(record.errors.len(), 1, "its history stays");
    }
    assert_eq!(s.state(dead[2]).await, State::Dead);
    assert_eq!(s.state(waiting).await, State::Available, "only dead letters");
    assert_eq!(s.replay(&Filter::id(dead[0]), 1).await.replayed, 0, "it is settled");
    s.pass(secs(60));
    s.housekeep().await;
    assert_eq!(s.state(dead[0]).await, State::Cancelled);
    s.pass(LONG);
    s.housekeep().await;
    assert!(s.find(dead[0]).await.is_none());
}

/// A purge takes finished jobs, matching ones, no more than asked for; never an unfinished one.
pub async fn a_purge_never_touches_an_unfinished_job(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add_many(7).await;
    let jobs = s.claim(6).await;
    s.applied(&jobs[0], s.completed()).await;
    s.applied(&jobs[1], s.completed()).await;
    s.applied(&jobs[2], s.dead(&jobs[2], DeadClass::Rejected)).await;
    s.applied(&jobs[3], s.park("k")).await;
    s.applied(&jobs[4], s.retry(&jobs[4], secs(60))).await;
    s.add(NewJob { run_at: s.later(secs(60)), ..s.job() }).await;
    assert_eq!(s.purge(&Filter::default().dead(), 10).await, 1);
    assert!(s.find(jobs[2].held.id).await.is_none());
    assert_eq!(s.purge(&Filter::default(), 1).await, 1);
    assert_eq!(s.purge(&Filter::default(), 10).await, 1);
    assert_eq!(s.purge(&Filter::default(), 10).await, 0);
    let page = Page { limit: 100, before: None };
    let left = s.ports.records.list(&Filter::default(), page).await.expect("list works");
    let states: Vec<State> = left.jobs.iter().map(|job| job.state).collect();
    assert_eq!(states.len(), 5);
    assert!(states.iter().all(|state| !state.is_finished()), "{states:?}");
    s.applied(&jobs[5], s.completed()).await;
}
