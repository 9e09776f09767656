//! What workers know of each other, and what cron remembers.

use std::sync::Arc;

use flotilla_core::clock::{Timestamp, after};
use flotilla_core::fleet::{Orders, WorkerInfo};
use flotilla_core::ids::WorkerId;

use crate::harness::Harness;
use crate::scene::{LANE, Scene, secs};

fn worker(s: &Scene, name: &str) -> WorkerInfo {
    WorkerInfo {
        id: WorkerId::new(name),
        version: "1.2.3 (žluť)".into(),
        lanes: vec![LANE],
        concurrency: 16,
        running: 3,
        started_at: s.now(),
        seen_at: Timestamp::MIN,
        draining: false,
    }
}

/// With every field, at the moment of its last heartbeat, by name.
pub async fn a_worker_that_beats_is_seen(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let fleet = &s.ports.fleet;
    let (b, mut a) = (worker(&s, "host-b-1"), worker(&s, "host-a-1"));
    assert_eq!(fleet.heartbeat(&b, s.now()).await.expect("it beats"), Orders::default());
    fleet.heartbeat(&a, s.now()).await.expect("it beats");
    s.pass(secs(5));
    a = WorkerInfo { running: 7, draining: true, lanes: Vec::new(), ..a };
    fleet.heartbeat(&a, s.now()).await.expect("it beats");
    let seen = fleet.workers(Timestamp::MIN).await.expect("they are listed");
    let first = WorkerInfo { seen_at: s.now(), ..a };
    let second = WorkerInfo { seen_at: b.started_at, ..b };
    assert_eq!(seen, [first.clone(), second]);
    assert_eq!(fleet.workers(s.now()).await.expect("they are listed"), [first], "since inclusive");
    assert!(fleet.workers(s.later(secs(1))).await.expect("they are listed").is_empty());
}

/// Goodbye is at once, and for the one who says it.
pub async fn a_worker_that_left_is_gone(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let fleet = &s.ports.fleet;
    for name in ["a", "b"] {
        fleet.heartbeat(&worker(&s, name), s.now()).await.expect("it beats");
    }
    fleet.leave(&WorkerId::new("a")).await.expect("it leaves");
    fleet.leave(&WorkerId::new("a")).await.expect("leaving twice is fine");
    let seen = fleet.workers(Timestamp::MIN).await.expect("they are listed");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].id.as_str(), "b");
}

/// The one that was meant, and it hears it until it has gone.
pub async fn a_drain_reaches_the_worker_that_was_meant(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let fleet = &s.ports.fleet;
    let (a, b) = (worker(&s, "a"), worker(&s, "b"));
    fleet.heartbeat(&a, s.now()).await.expect("it beats");
    fleet.heartbeat(&b, s.now()).await.expect("it beats");
    assert!(fleet.ask_drain(&a.id).await.expect("it is asked"));
    assert!(!fleet.ask_drain(&WorkerId::new("nobody")).await.expect("it is asked"));
    for _ in 0..2 {
        s.pass(secs(5));
        assert!(fleet.heartbeat(&a, s.now()).await.expect("it beats").drain);
        assert!(!fleet.heartbeat(&b, s.now()).await.expect("it beats").drain);
    }
    fleet.leave(&a.id).await.expect("it leaves");
    assert!(!fleet.heartbeat(&a, s.now()).await.expect("it beats").drain, "a new life");
}

/// "Cron entries re-run": what is recorded as fired stays fired.
pub async fn a_cron_entrys_last_fire_never_goes_back(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let fleet = &s.ports.fleet;
    assert_eq!(fleet.last_fire("nightly").await.expect("it is read"), None);
    let at = s.later(secs(60));
    for fire in [at, s.now(), at, s.later(secs(59))] {
        fleet.set_last_fire("nightly", fire).await.expect("it is recorded");
        assert_eq!(fleet.last_fire("nightly").await.expect("it is read"), Some(at));
    }
    fleet.set_last_fire("nightly", s.later(secs(61))).await.expect("it is recorded");
    assert_eq!(fleet.last_fire("nightly").await.expect("it is read"), Some(s.later(secs(61))));
    assert_eq!(fleet.last_fire("hourly").await.expect("it is read"), None, "each its own");
}

/// Schedulers of several workers record at once: the latest stays.
pub async fn parallel_schedulers_keep_the_latest_fire(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let start = s.now();
    let calls: Vec<_> = (0..30)
        .map(|n| {
            let fleet = Arc::clone(&s.ports.fleet);
            let at = after(start, secs((n * 7) % 30));
            tokio::spawn(async move { fleet.set_last_fire("nightly", at).await })
        })
        .collect();
    for call in calls {
        call.await.expect("the scheduler does not panic").expect("it is recorded");
    }
    let last = s.ports.fleet.last_fire("nightly").await.expect("it is read");
    assert_eq!(last, Some(s.later(secs(29))));
}
