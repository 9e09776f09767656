//! Ends to be told: none is lost, none is invented, none is pruned before it was told.

use flotilla_core::ids::{Fence, JobId};
use flotilla_core::outbox::Untold;
use flotilla_core::queue::{NewJob, Verdict};
use flotilla_core::records::Filter;
use flotilla_core::state::{DeadClass, State};

use crate::harness::Harness;
use crate::scene::{LONG, Scene, secs};

impl Scene {
    /// On an empty backend with events on.
    async fn telling(h: &dyn Harness) -> Self {
        Self::on(h.fresh_telling().await)
    }

    pub(crate) async fn untold(&self) -> Vec<Untold> {
        self.ports.outbox.untold(1000).await.expect("ends are listed")
    }

    pub(crate) async fn told(&self, ends: &[(JobId, Fence)]) {
        self.ports.outbox.told(ends).await.expect("ends are marked");
    }

    /// Tells all there is, and says of which jobs that was.
    async fn tell_all(&self) -> Vec<JobId> {
        let ends: Vec<(JobId, Fence)> =
            self.untold().await.iter().map(|end| (end.record.id, end.fence)).collect();
        self.told(&ends).await;
        ends.iter().map(|(id, _)| *id).collect()
    }
}

/// Whatever ended it: an outcome, a rescue, a deadline, a cancel by hand.
pub async fn every_end_is_told_once(h: &dyn Harness) {
    let s = Scene::telling(h).await;
    for end in 0..8 {
        let deadline = (end == 7).then(|| s.later(secs(5)));
        let id = s.add(NewJob { max_attempts: 1, deadline, ..s.job() }).await;
        assert!(s.untold().await.is_empty(), "it waits");
        let mut state = State::Cancelled;
        match end {
            0 => {
                let job = s.one().await;
                assert!(s.untold().await.is_empty(), "it runs");
                s.applied(&job, s.completed()).await;
                state = State::Completed;
            }
            1 => {
                let keep_until = s.later(secs(60));
                let verdict = Verdict::Cancelled { reason: "no".into(), keep_until };
                s.applied(&s.one().await, verdict).await;
            }
            2 => {
                let job = s.one().await;
                s.applied(&job, s.dead(&job, DeadClass::Rejected)).await;
                state = State::Dead;
            }
            3 => {
                s.cancel(id, "not wanted").await;
            }
            4 => {
                let job = s.one().await;
                s.cancel(id, "not wanted").await;
                assert!(s.untold().await.is_empty(), "it was only asked");
                s.applied(&job, Verdict::Interrupted).await;
            }
            5 => {
                s.one().await;
                s.workers_vanish().await;
                state = State::Dead;
            }
            6 => {
                s.one().await;
                s.cancel(id, "not wanted").await;
                s.workers_vanish().await;
            }
            _ => {
                s.pass(secs(5));
                s.housekeep().await;
                state = State::Dead;
            }
        }
        let untold = s.untold().await;
        assert_eq!(untold.len(), 1, "end {end}");
        assert_eq!((untold[0].record.id, untold[0].record.state), (id, state), "end {end}");
        assert_eq!(untold[0].record, s.get(id).await, "as it ended");
        assert_eq!(s.untold().await, untold, "looking is not telling");
        s.told(&[(id, untold[0].fence)]).await;
        s.told(&[(id, untold[0].fence)]).await; // twice is fine
        assert!(s.untold().await.is_empty(), "end {end}");
    }
    let job = s.running().await;
    s.applied(&job, s.retry(&job, secs(1))).await;
    assert!(s.untold().await.is_empty(), "what comes back has not ended");
}

/// Earliest end first, whatever came first; at most as many as asked for.
pub async fn ends_are_listed_earliest_first(h: &dyn Harness) {
    let s = Scene::telling(h).await;
    s.add_many(5).await;
    let mut jobs = s.claim(5).await;
    jobs.reverse();
    let mut ended = Vec::new();
    for job in &jobs {
        s.applied(job, s.completed()).await;
        ended.push(job.held.id);
        s.pass(secs(1));
    }
    let first = s.ports.outbox.untold(2).await.expect("ends are listed");
    assert_eq!(first.iter().map(|end| end.record.id).collect::<Vec<_>>(), ended[..2]);
    assert!(s.ports.outbox.untold(0).await.expect("none is fine").is_empty());
    s.told(&[(first[0].record.id, first[0].fence)]).await;
    assert_eq!(s.tell_all().await, ended[1..]);
}

/// Retention is over, and still somebody has to be told.
pub async fn a_record_stays_until_its_end_was_told(h: &dyn Harness) {
    let s = Scene::telling(h).await;
    let job = s.running().await;
    s.applied(&job, s.completed()).await;
    let other = s.running().await;
    s.applied(&other, s.dead(&other, DeadClass::Rejected)).await;
    s.pass(LONG);
    assert_eq!(s.housekeep().await.pruned, 0);
    let purge = async || s.ports.records.purge(&Filter::default(), 10).await.expect("purge works");
    assert_eq!(purge().await, 0);
    s.told(&[(job.held.id, job.held.fence)]).await;
    assert_eq!(s.housekeep().await.pruned, 1);
    assert!(s.find(job.held.id).await.is_none());
    s.told(&[(other.held.id, other.held.fence)]).await;
    assert_eq!(purge().await, 1);
}

/// A dead letter put back has not ended any more; when it does, that is another end.
pub async fn a_replayed_job_ends_again(h: &dyn Harness) {
    let s = Scene::telling(h).await;
    let job = s.running().await;
    s.applied(&job, s.dead(&job, DeadClass::Rejected)).await;
    let first = s.untold().await.remove(0);
    s.ports.records.replay(&Filter::default(), 1, s.now()).await.expect("replay works");
    assert!(s.untold().await.is_empty());
    s.told(&[(job.held.id, first.fence)]).await;
    let again = s.one().await;
    s.applied(&again, s.completed()).await;
    s.told(&[(job.held.id, first.fence)]).await; // somebody slow, of the first end
    let second = s.untold().await;
    assert_eq!(second.len(), 1);
    assert!(second[0].fence > first.fence);
    assert_eq!(second[0].record.state, State::Completed);
    assert_eq!(s.tell_all().await, [job.held.id]);
}

/// Also when nobody claimed it in between.
pub async fn a_replayed_job_that_ends_unclaimed_ends_again(h: &dyn Harness) {
    let s = Scene::telling(h).await;
    let job = s.running().await;
    s.applied(&job, s.dead(&job, DeadClass::Rejected)).await;
    let first = s.untold().await.remove(0);
    s.ports.records.replay(&Filter::default(), 1, s.now()).await.expect("replay works");
    s.cancel(job.held.id, "not wanted").await;
    s.told(&[(job.held.id, first.fence)]).await; // somebody slow, of the first end
    let second = s.untold().await;
    assert_eq!(second.len(), 1, "the second end was not told");
    assert!(second[0].fence > first.fence);
    assert_eq!(second[0].record.state, State::Cancelled);
}

/// Jobs that end because others did: told as all others.
pub async fn an_end_nobody_waits_for_is_marked_too(h: &dyn Harness) {
    let s = Scene::telling(h).await;
    let parent = s.running().await;
    let child = s.child(&parent, "a");
    let id = child.id;
    s.awaits(&parent, vec![child], flotilla_core::flow::Until::all()).await;
    s.cancel(parent.held.id, "not wanted").await;
    let mut told = s.tell_all().await;
    told.sort();
    let mut both = [parent.held.id, id];
    both.sort();
    assert_eq!(told, both);
}

/// Unknown jobs, unfinished ones, made-up fences: passed over.
pub async fn telling_what_is_unknown_changes_nothing(h: &dyn Harness) {
    let s = Scene::telling(h).await;
    let job = s.running().await;
    let held = (job.held.id, job.held.fence);
    s.told(&[held, (s.job().id, Fence(1))]).await;
    s.applied(&job, s.completed()).await;
    s.told(&[(job.held.id, Fence(job.held.fence.0 + 1)), (s.job().id, Fence(1))]).await;
    s.told(&[]).await;
    assert_eq!(s.untold().await.len(), 1);
}

/// A backend that nobody listens to keeps no marks, so its records go in their time.
pub async fn nothing_is_marked_while_events_are_off(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let job = s.running().await;
    s.applied(&job, s.completed()).await;
    assert!(s.untold().await.is_empty());
    s.pass(LONG);
    assert_eq!(s.housekeep().await.pruned, 1);
}
