//! Stores that several processes share: one truth, one holder.

use std::collections::BTreeSet;
use std::sync::Arc;

use flotilla_core::ids::{JobId, WorkerId};
use flotilla_core::queue::{Enqueued, Lease, NewJob, Settled};
use flotilla_core::records::Pause;
use flotilla_core::state::State;

use crate::harness::Harness;
use crate::scene::{LANE, LEASE, Scene, demand, ids, unique};
use crate::{cells, flow, model, order, policies};

/// Two processes, one truth: what one makes, pauses or cancels, the other sees at once.
pub async fn what_one_process_does_the_other_sees(h: &dyn Harness) {
    let here = Scene::new(h).await;
    let there = Scene::on(h.second().await);
    let id = here.add(here.job()).await;
    let pause = Pause { by: "ada".into(), reason: "maintenance".into(), since: here.now() };
    here.ports.records.pause(&LANE, pause).await.expect("pause works");
    assert!(there.claim(5).await.is_empty(), "paused there too");
    assert!(there.ports.records.resume(&LANE).await.expect("resume works"));
    let job = there.one().await;
    assert_eq!(job.held.id, id);
    assert!(here.claim(5).await.is_empty());
    here.cancel(id, "not wanted").await;
    assert_eq!(there.extend(&job, there.later(LEASE)).await, Lease::Kept { cancel: true });
    there.applied(&job, there.completed()).await;
    assert_eq!(here.state(id).await, State::Completed);
}

/// "A double run after a lost lock", across processes.
pub async fn a_stale_holder_in_another_process_is_fenced_off(h: &dyn Harness) {
    let here = Scene::new(h).await;
    let there = Scene::on(h.second().await);
    let stale = here.running().await;
    there.workers_vanish().await;
    let fresh = there.one().await;
    assert!(fresh.held.fence > stale.held.fence);
    assert_eq!(here.extend(&stale, here.later(LEASE * 9)).await, Lease::Lost);
    assert_eq!(here.settle(&stale, here.completed()).await, Settled::Lost);
    there.applied(&fresh, there.completed()).await;
}

/// "The same job on several workers", across processes.
pub async fn two_processes_never_hold_one_job(h: &dyn Harness) {
    let here = Scene::new(h).await;
    let there = Scene::on(h.second().await);
    let all: BTreeSet<JobId> = here.add_many(300).await.into_iter().collect();
    let now = here.now();
    let claimers: Vec<_> = (0..6)
        .map(|n| {
            let side = if n % 2 == 0 { &here } else { &there };
            let queue = Arc::clone(&side.ports.queue);
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
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), all, "none forgotten");
}

/// A unique key is one key for all processes.
pub async fn two_processes_make_one_job_of_one_key(h: &dyn Harness) {
    let here = Scene::new(h).await;
    let there = Scene::on(h.second().await);
    let now = here.now();
    let calls: Vec<_> = (0..40)
        .map(|n| {
            let side = if n % 2 == 0 { &here } else { &there };
            let queue = Arc::clone(&side.ports.queue);
            let job = NewJob { unique: unique("k"), ..here.job() };
            tokio::spawn(async move {
                queue.enqueue(&[job], now).await.expect("enqueue works").remove(0)
            })
        })
        .collect();
    let mut created = 0;
    for call in calls {
        created += u32::from(call.await.expect("it does not panic") == Enqueued::Created);
    }
    assert_eq!(created, 1);
    assert_eq!(here.claim(50).await.len(), 1);
}

/// The last children of a parent end in two processes at the same moment: it goes on once.
pub async fn two_processes_count_the_last_children_once(h: &dyn Harness) {
    let here = Scene::new(h).await;
    let there = Scene::on(h.second().await);
    let queues = [Arc::clone(&here.ports.queue), Arc::clone(&there.ports.queue)];
    flow::race_of_the_last_children(&here, &queues).await;
}

/// An ordering key is one line for all processes.
pub async fn two_processes_never_run_two_jobs_of_one_ordering_key(h: &dyn Harness) {
    let here = Scene::new(h).await;
    let there = Scene::on(h.second().await);
    let queues = [Arc::clone(&here.ports.queue), Arc::clone(&there.ports.queue)];
    order::race_for_one_key(&here, &queues).await;
}

/// A cell is one cell for all processes, and so is the quota or the breaker kept in it.
pub async fn two_processes_share_cells(h: &dyn Harness) {
    let here = Scene::new(h).await;
    let there = Scene::on(h.second().await);
    let stores = [Arc::clone(&here.ports.cells), Arc::clone(&there.ports.cells)];
    cells::race_for_one_cell(&stores, here.now()).await;
    policies::races(&stores, here.now(), here.later(LEASE)).await;
}

/// Two handles that take turns answer as one model does, down to who is next.
pub async fn random_operations_are_answered_alike_by_two_processes(h: &dyn Harness) {
    model::walk_with_two_handles(h).await;
}
