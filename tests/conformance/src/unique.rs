//! Unique keys: one job per key, however often and from wherever it is sent.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_core::envelope::{Payload, Unique, UniqueScope};
use flotilla_core::ids::{JobId, Kind, Lane};
use flotilla_core::queue::{Enqueued, NewJob, Verdict};
use flotilla_core::records::Filter;
use flotilla_core::state::{DeadClass, State};

use crate::harness::Harness;
use crate::scene::{Scene, secs, tenant, unique};

/// What was not taken does not stand in the way of what may be.
pub async fn a_rejected_job_does_not_take_its_unique_key(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let most = s.ports.queue.capabilities().max_payload;
    let big = Payload::from_bytes(vec![b'1'; most + 1]);
    let over = NewJob { payload: big, unique: unique("k"), ..s.job() };
    let good = NewJob { unique: unique("k"), ..s.job() };
    let answers = s.enqueue(&[over, good]).await;
    assert_eq!(answers[1], Enqueued::Created);
}

/// Through every unfinished state the key is held.
pub async fn a_unique_key_holds_while_its_job_is_unfinished(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let like = || NewJob { unique: unique("k"), ..s.job() };
    let id = s.add(NewJob { run_at: s.later(secs(5)), ..like() }).await;
    let taken = async |state: State| {
        assert_eq!(s.state(id).await, state);
        assert_eq!(s.enqueue(&[like()]).await, [Enqueued::Duplicate(id)], "{state}");
    };
    taken(State::Scheduled).await;
    s.pass(secs(5));
    s.housekeep().await;
    taken(State::Available).await;
    let job = s.one().await;
    taken(State::Running).await;
    s.applied(&job, s.retry(&job, secs(5))).await;
    taken(State::Retryable).await;
    s.pass(secs(5));
    let job = s.one().await;
    s.applied(&job, s.park("account")).await;
    taken(State::Parked).await;
}

/// "Lock never released": whatever the end, the key is free after it.
pub async fn a_unique_key_is_released_by_every_end(h: &dyn Harness) {
    let s = Scene::new(h).await;
    for end in 0..6 {
        let id = s.add(NewJob { unique: unique("k"), max_attempts: 1, ..s.job() }).await;
        match end {
            0 => s.applied(&s.one().await, s.completed()).await,
            1 => {
                let verdict =
                    Verdict::Cancelled { reason: "no".into(), keep_until: s.later(secs(60)) };
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
                s.one().await;
                s.workers_vanish().await;
            }
            _ => {
                s.cancel(id, "not wanted").await;
                let purged = s.ports.records.purge(&Filter::id(id), 1).await;
                assert_eq!(purged.expect("purge works"), 1);
            }
        }
        let next = NewJob { unique: unique("k"), ..s.job() };
        assert_eq!(s.enqueue(std::slice::from_ref(&next)).await, [Enqueued::Created], "end {end}");
        s.cancel(next.id, "makes room for the next end").await;
    }
}

/// Jobs of one call see each other's keys.
pub async fn a_unique_key_holds_within_one_batch(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let like = |key: &str| NewJob { unique: unique(key), ..s.job() };
    let jobs = [like("a"), like("b"), like("a"), like("b"), like("c")];
    let answers = s.enqueue(&jobs).await;
    let expected = [
        Enqueued::Created,
        Enqueued::Created,
        Enqueued::Duplicate(jobs[0].id),
        Enqueued::Duplicate(jobs[1].id),
        Enqueued::Created,
    ];
    assert_eq!(answers, expected);
    assert_eq!(s.claim(10).await.len(), 3);
}

/// The same key of another kind or another tenant is another key; another lane is not.
pub async fn a_unique_key_counts_per_kind_and_tenant(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let like = || NewJob { unique: unique("k"), ..s.job() };
    let id = s.add(like()).await;
    s.add(NewJob { kind: Kind::from_static("test.other"), ..like() }).await;
    s.add(NewJob { tenant: tenant("other"), ..like() }).await;
    let elsewhere = NewJob { lane: Lane::from_static("other"), ..like() };
    assert_eq!(s.enqueue(&[elsewhere]).await, [Enqueued::Duplicate(id)]);
}

/// A window counts from the enqueue, whatever becomes of the job, and ends.
pub async fn a_unique_window_holds_for_its_seconds_whatever_becomes_of_the_job(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let window = Some(Unique { key: "k".into(), scope: UniqueScope::Seconds(60) });
    let like = || NewJob { unique: window.clone(), ..s.job() };
    let id = s.add(like()).await;
    s.applied(&s.one().await, s.completed()).await;
    s.pass(secs(59));
    assert_eq!(s.enqueue(&[like()]).await, [Enqueued::Duplicate(id)], "finished, within it");
    s.pass(secs(1));
    let unfinished = s.add(like()).await;
    s.pass(secs(59));
    assert_eq!(s.enqueue(&[like()]).await, [Enqueued::Duplicate(unfinished)]);
    s.pass(secs(1));
    s.add(like()).await; // the window is over although the job still waits
}

/// The window is a promise about time: a record that is pruned earlier does not end it.
pub async fn a_unique_window_outlives_the_retention_of_its_job(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let window = Some(Unique { key: "k".into(), scope: UniqueScope::Seconds(60) });
    let id = s.add(NewJob { unique: window.clone(), ..s.job() }).await;
    let result = Bytes::from_static(b"null");
    s.applied(&s.one().await, Verdict::Completed { result, keep_until: s.later(secs(30)) }).await;
    s.pass(secs(59));
    s.housekeep().await;
    let like = || NewJob { unique: window.clone(), ..s.job() };
    assert_eq!(s.enqueue(&[like()]).await, [Enqueued::Duplicate(id)]);
    s.pass(secs(1));
    s.add(like()).await;
}

/// However the calls interleave, one of them makes the job and the others hear of it.
pub async fn fifty_callers_of_one_unique_key_make_one_job(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let jobs = (0..50).map(|_| NewJob { unique: unique("k"), ..s.job() }).collect();
    let (created, duplicates) = at_once(&s, jobs).await;
    assert_eq!((created.len(), duplicates.len()), (1, 49));
    assert!(duplicates.iter().all(|(_, stands)| *stands == created[0]), "all hear of the same job");
    assert_eq!(s.one().await.held.id, created[0]);
}

/// A producer that retries in parallel still makes one job.
pub async fn fifty_callers_of_one_id_make_one_job(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let job = s.job();
    let (created, duplicates) = at_once(&s, vec![job.clone(); 50]).await;
    assert_eq!((created.len(), duplicates.len()), (1, 49));
    assert_eq!(s.one().await.held.id, job.id);
}

type Heard = (JobId, JobId);

async fn at_once(s: &Scene, jobs: Vec<NewJob>) -> (Vec<JobId>, Vec<Heard>) {
    let now = s.now();
    let calls: Vec<_> = jobs
        .into_iter()
        .map(|job| {
            let queue = Arc::clone(&s.ports.queue);
            let call = async move {
                let answers = queue.enqueue(std::slice::from_ref(&job), now).await;
                (job.id, answers.expect("enqueue works").remove(0))
            };
            tokio::spawn(call)
        })
        .collect();
    let (mut created, mut duplicates) = (Vec::new(), Vec::new());
    for call in calls {
        match call.await.expect("the caller does not panic") {
            (id, Enqueued::Created) => created.push(id),
            (id, Enqueued::Duplicate(stands)) => duplicates.push((id, stands)),
            (id, Enqueued::Rejected(why)) => panic!("{id} was rejected: {why}"),
        }
    }
    (created, duplicates)
}
