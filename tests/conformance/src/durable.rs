//! Stores that outlive the process: what was answered is there after a restart.

use flotilla_core::flow::Until;
use flotilla_core::handler::Progress;
use flotilla_core::queue::{Enqueued, Extension, Lease, NewJob, Settled};
use flotilla_core::records::{Filter, Page, Pause};
use flotilla_core::state::DeadClass;

use crate::harness::Harness;
use crate::model;
use crate::scene::{LANE, LEASE, Scene, ids, secs, sorted, unique};

/// Jobs in every state, leases, keys, pauses and cron memory are there after a restart.
pub async fn a_restart_keeps_everything(h: &dyn Harness) {
    let mut s = Scene::new(h).await;
    s.add_many(6).await;
    let jobs = s.claim(6).await;
    s.applied(&jobs[0], s.completed()).await;
    s.applied(&jobs[1], s.retry(&jobs[1], secs(60))).await;
    s.applied(&jobs[2], s.park("k")).await;
    s.applied(&jobs[3], s.dead(&jobs[3], DeadClass::Rejected)).await;
    s.cancel(jobs[4].held.id, "not wanted").await;
    s.add(NewJob { run_at: s.later(secs(60)), ..s.job() }).await;
    let held = s.add(NewJob { unique: unique("k\0ž"), ..s.job() }).await;
    let said = Progress { fraction: 0.5, message: "half".into() };
    let lease = Extension { held: jobs[5].held.clone(), progress: Some(said) };
    let until = s.later(LEASE * 2);
    s.ports.queue.extend(&[lease], until, s.now()).await.expect("extend works");
    let pause = Pause { by: "ada".into(), reason: "maintenance".into(), since: s.now() };
    s.ports.records.pause(&LANE, pause).await.expect("pause works");
    s.ports.fleet.set_last_fire("nightly", s.now()).await.expect("it is recorded");

    let page = Page { limit: 100, before: None };
    let before = s.ports.records.list(&Filter::default(), page).await.expect("list works").jobs;
    let lanes = s.ports.records.lanes().await.expect("lanes work");
    s.ports = h.reopen(s.ports).await;
    let after = s.ports.records.list(&Filter::default(), page).await.expect("list works").jobs;
    assert_eq!(after, before);
    assert_eq!(s.ports.records.lanes().await.expect("lanes work"), lanes);
    let fired = s.ports.fleet.last_fire("nightly").await.expect("it is read");
    assert_eq!(fired, Some(s.now()));

    let like = NewJob { unique: unique("k\0ž"), ..s.job() };
    assert_eq!(s.enqueue(&[like]).await, [Enqueued::Duplicate(held)]);
    assert!(s.claim(5).await.is_empty(), "still paused");
    assert_eq!(s.extend(&jobs[4], until).await, Lease::Kept { cancel: true });
    s.applied(&jobs[5], s.completed()).await;
    assert_eq!(s.settle(&jobs[1], s.completed()).await, Settled::Lost);
}

/// "Stuck running for ever": what ran when the process ended runs again, under a higher fence.
pub async fn a_restart_frees_what_was_running(h: &dyn Harness) {
    let mut s = Scene::new(h).await;
    let job = s.running().await;
    s.ports = h.reopen(s.ports).await;
    assert_eq!(s.workers_vanish().await.rescued, 1);
    let again = s.one().await;
    assert_eq!((again.held.id, again.attempt), (job.held.id, 2));
    assert!(again.held.fence > job.held.fence);
    assert_eq!(s.settle(&job, s.completed()).await, Settled::Lost);
}

/// "Jobs lost in a burst": everything that was answered before a restart is there after it.
pub async fn a_restart_loses_no_accepted_job(h: &dyn Harness) {
    let mut s = Scene::new(h).await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.extend(s.add_many(100).await);
        s.ports = h.reopen(s.ports).await;
    }
    assert_eq!(sorted(ids(&s.claim_every(500).await)), sorted(all));
}

/// The order among jobs survives a restart.
pub async fn a_restart_keeps_the_order(h: &dyn Harness) {
    let mut s = Scene::new(h).await;
    let mut all = s.add_many(20).await;
    let mut order = ids(&s.claim(3).await);
    s.ports = h.reopen(s.ports).await;
    all.extend(s.add_many(20).await);
    order.extend(ids(&s.claim(40).await));
    assert_eq!(order, all);
}

/// A restart changes no answer: random walks with restarts agree with a model that had none.
pub async fn random_operations_are_answered_alike_across_restarts(h: &dyn Harness) {
    model::walk_with_restarts(h).await;
}

/// Who stands in line, who waits for whom, what the fleet agreed on, and who is still to be told.
pub async fn a_restart_keeps_lines_flows_cells_and_ends(h: &dyn Harness) {
    let mut s = Scene::on(h.fresh_telling().await);
    let ended = s.running().await;
    s.applied(&ended, s.completed()).await;
    let parent = s.running().await;
    let child = NewJob { order: Some("k".into()), ..s.child(&parent, "a") };
    s.awaits(&parent, vec![child.clone()], Until::all()).await;
    let next = s.add(s.ordered("k")).await;
    let version = s.set_cell("quota/x", "7").await;
    let untold = s.untold().await;
    assert_eq!(untold.len(), 1);
    let before = [s.get(parent.held.id).await, s.get(child.id).await, s.get(next).await];

    s.ports = h.reopen(s.ports).await;
    assert_eq!(s.untold().await, untold);
    s.told(&[(ended.held.id, ended.held.fence)]).await;
    assert!(s.untold().await.is_empty());
    let cell = s.cell("quota/x").await.expect("it is there");
    assert_eq!((cell.value.as_ref(), cell.version), (&b"7"[..], version));
    let after = [s.get(parent.held.id).await, s.get(child.id).await, s.get(next).await];
    assert_eq!(after, before);
    s.applied(&s.one().await, s.completed()).await;
    let [_parent, _next] = s.claim_all([parent.held.id, next]).await;
}
