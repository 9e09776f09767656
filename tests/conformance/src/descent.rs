//! What the end of a parent means to the children it leaves behind, and the other way round.

use flotilla_core::flow::{FLOW_ENDED, Until};
use flotilla_core::queue::{Lease, NewJob, Settled, Verdict};
use flotilla_core::records::Filter;
use flotilla_core::state::{DeadClass, State};

use crate::flow::AT_ONCE;
use crate::harness::Harness;
use crate::scene::{LEASE, Scene, secs};

/// All the way down: what waits is cancelled, what runs is asked to stop.
pub async fn the_end_of_a_parent_cancels_what_is_left_below_it(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let hour = s.later(secs(3600));
    let top = s.running().await;
    let waits = NewJob { run_at: hour, ..s.child(&top, "waits") };
    let runs = s.child(&top, "runs");
    s.awaits(&top, vec![waits.clone(), runs.clone()], AT_ONCE).await;
    let [top, middle] = s.claim_all([top.held.id, runs.id]).await;
    let below_waits = NewJob { run_at: hour, ..s.child(&middle, "waits") };
    let below_runs = s.child(&middle, "runs");
    assert_eq!(below_runs.parent.as_ref().map(|parent| parent.depth), Some(2));
    s.awaits(&middle, vec![below_waits.clone(), below_runs.clone()], AT_ONCE).await;
    let [middle, bottom] = s.claim_all([middle.held.id, below_runs.id]).await;
    let stranger = s.add(s.job()).await;

    s.applied(&top, s.completed()).await;
    for id in [waits.id, below_waits.id] {
        let record = s.get(id).await;
        assert_eq!((record.state, record.reason.as_deref()), (State::Cancelled, Some(FLOW_ENDED)));
        assert_eq!(record.finished_at, Some(s.now()));
    }
    for job in [&middle, &bottom] {
        assert_eq!(s.extend(job, s.later(LEASE)).await, Lease::Kept { cancel: true });
    }
    assert_eq!(s.state(stranger).await, State::Available);
    s.applied(&bottom, Verdict::Interrupted).await;
    s.applied(&middle, s.retry(&middle, secs(1))).await;
    for id in [middle.held.id, bottom.held.id] {
        let record = s.get(id).await;
        assert_eq!((record.state, record.reason.as_deref()), (State::Cancelled, Some(FLOW_ENDED)));
    }
    assert_eq!(s.state(top.held.id).await, State::Completed);
    assert_eq!(s.counts(top.held.id).await, (2, 0, 2), "ends are counted to the last");
    assert_eq!(s.counts(middle.held.id).await, (2, 0, 2));
    let keep = LEASE * 1000;
    s.pass(keep);
    s.housekeep().await;
    assert_eq!(s.one().await.held.id, stranger, "nothing of the flow runs again");
}

/// Whatever ended it, waiting or running.
pub async fn every_end_of_a_parent_cancels_its_children(h: &dyn Harness) {
    let s = Scene::new(h).await;
    for end in 0..8 {
        let deadline = (end == 7).then(|| s.later(secs(60)));
        s.add(NewJob { max_attempts: 1, deadline, ..s.job() }).await;
        let parent = s.one().await;
        let id = parent.held.id;
        let child = NewJob { run_at: s.later(secs(3600)), ..s.child(&parent, "a") };
        let waits = matches!(end, 3 | 7);
        let until = if waits { Until::all() } else { AT_ONCE };
        s.awaits(&parent, vec![child.clone()], until).await;
        if waits {
            assert_eq!(s.state(id).await, State::Parked);
        }
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
                s.cancel(id, "not wanted").await;
            }
            4 => {
                let job = s.one().await;
                s.cancel(id, "not wanted").await;
                assert_eq!(s.state(child.id).await, State::Scheduled, "it was only asked");
                s.applied(&job, s.snooze(secs(1))).await;
            }
            5 => {
                s.one().await;
                s.workers_vanish().await;
            }
            6 => {
                s.cancel(id, "not wanted").await;
            }
            _ => {
                s.pass(secs(60));
                s.housekeep().await;
            }
        }
        assert!(s.state(id).await.is_finished(), "end {end}");
        let record = s.get(child.id).await;
        assert_eq!(record.state, State::Cancelled, "end {end}");
        assert_eq!(record.reason.as_deref(), Some(FLOW_ENDED), "end {end}");
        assert_eq!(s.counts(id).await, (1, 0, 1), "end {end}");
    }
}

/// It would have come back only to be told to stop: it ends, and starts nothing.
pub async fn a_parent_asked_to_stop_makes_no_children(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    let child = s.child(&parent, "a");
    let id = child.id;
    s.cancel(parent.held.id, "no longer wanted").await;
    s.awaits(&parent, vec![child], Until::all()).await;
    let record = s.get(parent.held.id).await;
    assert_eq!(record.state, State::Cancelled);
    assert_eq!(record.reason.as_deref(), Some("no longer wanted"));
    assert_eq!(record.parked_under, None);
    assert!(s.find(id).await.is_none());
}

/// Who has lost the job decides nothing, and starts nothing.
pub async fn a_lost_lease_makes_no_children(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    s.workers_vanish().await;
    let before = s.get(parent.held.id).await;
    let child = s.child(&parent, "a");
    let id = child.id;
    let verdict = Verdict::Await { children: vec![child], until: Until::all() };
    assert_eq!(s.settle(&parent, verdict).await, Settled::Lost);
    assert!(s.find(id).await.is_none());
    assert_eq!(s.get(parent.held.id).await, before);
}

/// Put back after its children were cancelled with it: it starts them again, finds them ended,
/// and goes on.
pub async fn a_replayed_parent_does_not_wait_for_ever(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    let id = parent.held.id;
    let hour = s.later(secs(3600));
    let later = NewJob { run_at: hour, ..s.child(&parent, "b") };
    let children = vec![s.child(&parent, "a"), later];
    s.awaits(&parent, children.clone(), Until::all()).await;
    let a = s.one().await;
    s.applied(&a, s.dead(&a, DeadClass::Rejected)).await;
    let parent = s.one().await;
    s.applied(&parent, s.dead(&parent, DeadClass::Rejected)).await;
    assert_eq!(s.counts(id).await, (2, 0, 2));
    let replay = s.ports.records.replay(&Filter::id(id), 1, s.now()).await;
    assert_eq!(replay.expect("replay works").replayed, 1);
    let parent = s.one().await;
    assert_eq!((parent.attempt, parent.children), (1, 2));
    s.awaits(&parent, children, Until::all_ended()).await;
    assert_eq!((s.counts(id).await, s.state(id).await), ((2, 0, 2), State::Available));
}

/// A child whose parent is gone, record and all, ends as any other job.
pub async fn an_orphan_ends_in_peace(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    let child = s.child(&parent, "a");
    s.awaits(&parent, vec![child.clone()], AT_ONCE).await;
    let [parent, job] = s.claim_all([parent.held.id, child.id]).await;
    s.applied(&parent, s.completed()).await;
    let purge = async |id| s.ports.records.purge(&Filter::id(id), 1).await.expect("purge works");
    assert_eq!(purge(parent.held.id).await, 1);
    s.applied(&job, s.completed()).await;
    assert_eq!(s.state(child.id).await, State::Completed);
    assert_eq!(purge(child.id).await, 1);
}

/// What a parent waits for it must find: a child's result stays until the parent has ended.
pub async fn a_childs_record_outlives_its_retention_while_its_parent_may_read_it(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    let hour = s.later(secs(3600));
    let b = NewJob { run_at: hour, ..s.child(&parent, "b") };
    let a = s.child(&parent, "a").id;
    s.awaits(&parent, vec![s.child(&parent, "a"), b], Until::all()).await;
    s.applied(&s.one().await, s.completed()).await;
    s.pass(secs(7200));
    assert_eq!(s.housekeep().await.pruned, 0);
    assert_eq!(s.ports.records.purge(&Filter::id(a), 1).await.expect("purge works"), 0);
    assert!(s.get(a).await.result.is_some());
    s.applied(&s.one().await, s.completed()).await;
    s.applied(&s.one().await, s.completed()).await;
    assert_eq!(s.housekeep().await.pruned, 1);
    assert!(s.find(a).await.is_none());
}
