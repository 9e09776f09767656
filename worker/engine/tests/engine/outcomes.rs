//! Every way an attempt can end, and what becomes of the job.

use flotilla_core::clock::between;
use flotilla_core::records::{Cancel, Records};
use flotilla_core::{DeadClass, Job, JobId, Payload, State};
use flotilla_engine::{Ended, Outcome, Settings, What};
use serde_json::json;

use crate::world::{Act, Free, SECOND, World, act};

#[tokio::test(start_paused = true)]
async fn a_job_that_works_is_completed_with_its_result() {
    let world = World::new();
    let id = world.enqueue("ok").await;
    let old_name = world.enqueue_as(&"free".parse().unwrap(), act("ok", 0), |_| {}).await;
    let cpu = world.enqueue("cpu").await;
    let engine = world.start(World::settings("a"));
    let record = world.until(id, State::Completed).await;
    assert_eq!(record.result, Some(json!({"attempt": 1})));
    assert_eq!(record.attempt, 1);
    world.until(old_name, State::Completed).await;
    assert_eq!(world.until(cpu, State::Completed).await.result, Some(json!(cpu.to_string())));
    engine.drain();
    let report = engine.finished().await;
    assert_eq!((report.ended, report.completed, report.failed()), (Ended::Drained, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_runs_again_after_its_backoff_until_attempts_are_used_up() {
    let world = World::new();
    let id = world.enqueue("retry").await;
    let flaky = Act { act: "flaky".into(), ms: 0, from: 3 };
    let flaky = world.enqueue_as(&Free::KIND, flaky, |_| {}).await;
    let engine = world.start(World::settings("a"));
    let record = world.until(id, State::Dead).await;
    assert_eq!((record.class, record.attempt), (Some(DeadClass::Exhausted), 3));
    assert_eq!(record.errors.len(), 3);
    assert!(record.errors.iter().all(|e| e.error == "no luck"));
    let starts = world.seen.starts(id);
    let backoff = Free::policy().backoff;
    for n in 1..3 {
        let waited = between(starts[n - 1], starts[n]);
        let ceiling = backoff.ceiling(n as u32);
        assert!(waited >= ceiling / 10, "attempt {n} began after {waited:?}");
        assert!(waited <= ceiling + SECOND * 2, "attempt {n} began after {waited:?}");
    }
    assert_eq!(world.until(flaky, State::Completed).await.result, Some(json!(3)));
    engine.drain();
    let report = engine.finished().await;
    assert_eq!((report.retried, report.dead, report.completed), (4, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_the_server_is_never_undercut() {
    let world = World::new();
    let id = world.enqueue("patient").await;
    let _engine = world.start(World::settings("a"));
    let record = world.until(id, State::Retryable).await;
    assert!(between(record.errors[0].at, record.run_at) >= SECOND * 1800);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_and_a_panic_are_failed_attempts_with_their_text() {
    let world = World::new();
    let hang = world.enqueue("hang").await;
    let panic = world.enqueue("panic").await;
    let _engine = world.start(World::settings("a"));
    let record = world.until(panic, State::Retryable).await;
    assert_eq!(record.errors[0].error, "handler panicked: at the disco");
    let record = world.until(hang, State::Retryable).await;
    assert_eq!(record.errors[0].error, "timed out after 60s");
    assert_eq!(between(world.seen.starts(hang)[0], record.errors[0].at), SECOND * 60);
}

#[tokio::test(start_paused = true)]
async fn refused_cancelled_and_parked_jobs_do_not_run_again_by_themselves() {
    let world = World::new();
    let fail = world.enqueue("fail").await;
    let moot = world.enqueue("cancel").await;
    let parked = world.enqueue("park").await;
    let big = world.enqueue("big").await;
    let engine = world.start(World::settings("a"));
    assert_eq!(world.until(fail, State::Dead).await.class, Some(DeadClass::Rejected));
    assert_eq!(world.until(moot, State::Cancelled).await.reason.as_deref(), Some("moot"));
    let record = world.until(parked, State::Parked).await;
    assert_eq!((record.parked_under.as_deref(), record.attempt), (Some("account:1"), 0));
    let record = world.until(big, State::Dead).await;
    assert_eq!(record.class, Some(DeadClass::Invalid));
    assert!(record.errors[0].error.contains("put large data in a blob"));
    tokio::time::sleep(SECOND * 300).await;
    for id in [fail, moot, parked, big] {
        assert_eq!(world.seen.starts(id).len(), 1);
    }
    world.memory.wake("account:1", 10, world.clock.now()).await.unwrap();
    world.until_record(parked, |_| world.seen.starts(parked).len() == 2).await;
    engine.drain();
    let report = engine.finished().await;
    assert_eq!((report.dead, report.cancelled, report.parked), (2, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_snooze_is_free() {
    let world = World::new();
    let id = world.enqueue("snooze").await;
    let _engine = world.start(World::settings("a"));
    let record = world.until(id, State::Completed).await;
    assert_eq!(record.result, Some(json!(1)), "still the first attempt");
    let starts = world.seen.starts(id);
    assert!(between(starts[0], starts[1]) >= SECOND * 30);
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_does_not_decode_is_dead_at_once() {
    let world = World::new();
    let now = world.clock.now();
    let mut job = world
        .ops
        .prepare(
            flotilla_core::Envelope {
                kind: Some(Free::KIND),
                payload: Payload::of(&act("ok", 0)).unwrap(),
                ..Default::default()
            },
            now,
        )
        .unwrap();
    job.payload = Payload::from_bytes("[1,");
    world.ops.enqueue_prepared(&[job.clone()]).await.unwrap();
    let _engine = world.start(World::settings("a"));
    let record = world.until(job.id, State::Dead).await;
    assert_eq!((record.class, record.attempt), (Some(DeadClass::Invalid), 1));
}

#[tokio::test(start_paused = true)]
async fn a_running_job_that_is_cancelled_is_told_and_then_dropped() {
    let world = World::new();
    let heeds = world.enqueue("heed").await;
    let hangs = world.enqueue("hang").await;
    let _engine = world.start(World::settings("a"));
    let record = world.until_record(heeds, |r| r.progress.is_some()).await;
    assert_eq!(record.progress.unwrap().message, "half way");
    let asked = world.clock.now();
    let answers = world.memory.cancel(&[heeds, hangs], "changed my mind", asked).await.unwrap();
    assert_eq!(answers, [Cancel::Asked, Cancel::Asked]);
    world.until(heeds, State::Cancelled).await;
    world.until(hangs, State::Cancelled).await;
    assert!(world.since(asked) <= 6.0, "one heartbeat, the grace, and no more");
    assert!(world.seen.told.lock().unwrap().contains(&heeds));
}

#[tokio::test(start_paused = true)]
async fn the_live_view_sees_starts_and_ends() {
    let world = World::new();
    let engine = world.start(World::settings("a"));
    let mut events = engine.events();
    let id = world.enqueue_as(&Free::KIND, act("ok", 250), |_| {}).await;
    let first = events.recv().await.unwrap();
    assert_eq!((first.id, first.kind, first.attempt), (id, Free::KIND, 1));
    assert!(matches!(first.what, What::Started { .. }));
    let last = events.recv().await.unwrap();
    let What::Finished { ran, outcome } = last.what else { panic!("{last:?}") };
    assert_eq!(outcome, Outcome::Completed);
    assert!(ran >= SECOND / 4);
}

#[tokio::test(start_paused = true)]
async fn the_metrics_count_what_happened() {
    let world = World::new();
    for what in ["ok", "ok", "fail"] {
        world.enqueue(what).await;
    }
    let settings = Settings { until_idle: true, concurrency: 3, ..World::settings("a") };
    world.start(settings).finished().await;
    let families = world.metrics.lock().unwrap().gather();
    let text = prometheus::TextEncoder::new().encode_to_string(&families).unwrap();
    for line in [
        r#"flotilla_jobs_settled_total{kind="test.free",lane="default",outcome="completed"} 2"#,
        r#"flotilla_jobs_settled_total{kind="test.free",lane="default",outcome="dead"} 1"#,
        r#"flotilla_pickup_seconds_count{kind="test.free",lane="default"} 3"#,
        r#"flotilla_jobs_running{kind="test.free",lane="default"} 0"#,
        "flotilla_slots 3",
        "flotilla_draining 1",
        "flotilla_leases_lost_total 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn until_idle_waits_for_near_retries_and_not_for_far_jobs() {
    let world = World::new();
    let mut near: Vec<JobId> = Vec::new();
    for _ in 0..5 {
        let flaky = Act { act: "flaky".into(), ms: 10, from: 3 };
        near.push(world.enqueue_as(&Free::KIND, flaky, |_| {}).await);
    }
    let later = flotilla_core::clock::after(world.clock.now(), SECOND * 7200);
    let far = world.enqueue_as(&Free::KIND, act("ok", 0), |e| e.run_at = Some(later)).await;
    // One slot and two lanes: the lanes take turns, and the end is still found.
    let settings = Settings { until_idle: true, concurrency: 1, ..World::settings("a") };
    let report = world.start(settings).finished().await;
    assert_eq!((report.ended, report.completed, report.retried), (Ended::Idle, 5, 10));
    assert_eq!(world.record(far).await.state, State::Scheduled);
    for id in near {
        assert_eq!(world.record(id).await.state, State::Completed);
    }
}
