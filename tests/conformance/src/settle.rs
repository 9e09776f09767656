//! Recording outcomes: each leads where it says, once, and charges what it should.

use bytes::Bytes;
use flotilla_core::ids::Fence;
use flotilla_core::queue::{Claimed, KEPT_ERRORS, NewJob, Settled, Settlement, Verdict};
use flotilla_core::records::Filter;
use flotilla_core::state::{DeadClass, State};
use serde_json::{Value, json};

use crate::harness::Harness;
use crate::scene::{Scene, ids, secs, sorted};

fn cancelled(s: &Scene) -> Verdict {
    Verdict::Cancelled { reason: "the handler said so".into(), keep_until: s.later(secs(60)) }
}

/// State, attempts and explanation after each verdict.
pub async fn every_verdict_leads_where_it_says(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let after = async |verdict: &dyn Fn(&Claimed) -> Verdict| {
        let job = s.running().await;
        s.pass(secs(2));
        s.applied(&job, verdict(&job)).await;
        let record = s.get(job.held.id).await;
        assert_eq!(record.lease_until, None);
        assert_eq!(record.finished_at, record.state.is_finished().then(|| s.now()));
        assert_eq!(record.class.is_some(), record.state == State::Dead);
        s.cancel(job.held.id, "makes room for the next").await;
        record
    };

    let r = after(&|_| s.completed()).await;
    assert_eq!((r.state, r.attempt, r.result), (State::Completed, 1, Some(json!({"ok": true}))));

    let r = after(&|job| s.retry(job, secs(30))).await;
    assert_eq!((r.state, r.attempt, r.run_at), (State::Retryable, 1, s.later(secs(30))));
    assert_eq!((r.errors.len(), r.errors[0].error.as_str()), (1, "did not work"));
    assert_eq!((r.errors[0].attempt, r.errors[0].at), (1, s.now()));

    let r = after(&|_| s.snooze(secs(30))).await;
    assert_eq!((r.state, r.attempt, r.run_at), (State::Scheduled, 0, s.later(secs(30))));
    assert_eq!((r.reason.as_deref(), r.errors.len()), (Some("limited"), 0));

    let r = after(&|_| s.park("account:42")).await;
    assert_eq!((r.state, r.attempt), (State::Parked, 0));
    assert_eq!(r.parked_under.as_deref(), Some("account:42"));
    assert_eq!(r.reason.as_deref(), Some("waits for its key"));

    let r = after(&|_| Verdict::Interrupted).await;
    assert_eq!((r.state, r.attempt, r.errors.len()), (State::Available, 0, 0));

    let r = after(&|_| cancelled(&s)).await;
    assert_eq!((r.state, r.attempt), (State::Cancelled, 1));
    assert_eq!(r.reason.as_deref(), Some("the handler said so"));

    for class in DeadClass::ALL {
        let r = after(&|job| s.dead(job, class)).await;
        assert_eq!((r.state, r.attempt, r.class), (State::Dead, 1, Some(class)));
        assert_eq!(r.errors[0].error, "never again");
    }
}

/// The fleet's own reasons cost a job nothing, however often they come.
pub async fn a_snooze_a_park_and_an_interruption_never_charge(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add(NewJob { max_attempts: 1, ..s.job() }).await;
    for _ in 0..20 {
        for verdict in [s.snooze(secs(1)), s.park("k"), Verdict::Interrupted] {
            let job = s.one().await;
            assert_eq!(job.attempt, 1);
            s.applied(&job, verdict).await;
            s.pass(secs(1));
            s.ports.records.wake("k", 10, s.now()).await.expect("wake works");
        }
    }
    assert_eq!(s.get(s.one().await.held.id).await.errors, []);
}

/// A failure costs one attempt, and the next claim says which it is.
pub async fn a_retry_charges_one_attempt(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add(NewJob { max_attempts: 5, ..s.job() }).await;
    for attempt in 1..=5 {
        let job = s.one().await;
        assert_eq!((job.attempt, job.max_attempts), (attempt, 5));
        s.applied(&job, s.retry(&job, secs(3))).await;
        s.pass(secs(2));
        assert!(s.claim(5).await.is_empty(), "not before its moment");
        s.pass(secs(1));
    }
}

/// The second answer is `Lost`, the first outcome stays.
pub async fn settling_twice_changes_nothing(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let job = s.running().await;
    s.applied(&job, s.completed()).await;
    let before = s.get(job.held.id).await;
    s.pass(secs(1));
    assert_eq!(s.settle(&job, s.completed()).await, Settled::Lost);
    assert_eq!(s.settle(&job, s.dead(&job, DeadClass::Rejected)).await, Settled::Lost);
    assert_eq!(s.get(job.held.id).await, before);

    let job = s.running().await;
    let done = |verdict| Settlement { held: job.held.clone(), verdict };
    let both = [done(s.completed()), done(s.retry(&job, secs(1)))];
    let answers = s.ports.queue.settle(&both, s.now()).await.expect("settle works");
    assert_eq!(answers, [Settled::Applied, Settled::Lost], "in one batch too");
    assert_eq!(s.state(job.held.id).await, State::Completed);
}

/// A job given back and claimed again is another lease, though the worker is the same.
pub async fn a_retried_jobs_former_lease_is_lost(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let first = s.running().await;
    s.applied(&first, Verdict::Interrupted).await;
    let second = s.one().await;
    assert!(second.held.fence > first.held.fence);
    assert_eq!(s.settle(&first, s.completed()).await, Settled::Lost);
    s.applied(&second, s.completed()).await;
}

/// A number nobody was given opens nothing.
pub async fn a_made_up_fence_or_job_is_lost(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let mut job = s.running().await;
    let before = s.get(job.held.id).await;
    job.held.fence = Fence(job.held.fence.0 + 1);
    assert_eq!(s.settle(&job, s.completed()).await, Settled::Lost);
    job.held.fence = Fence(0);
    assert_eq!(s.settle(&job, s.completed()).await, Settled::Lost);
    assert_eq!(s.get(job.held.id).await, before);
    job.held.id = s.job().id;
    assert_eq!(s.settle(&job, s.completed()).await, Settled::Lost, "no such job");
}

/// "Job lost after an error in the middle of a batch": one stale outcome takes no other along.
pub async fn one_lost_settlement_in_a_batch_loses_no_other(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add_many(5).await;
    let jobs = s.claim(5).await;
    s.applied(&jobs[1], Verdict::Interrupted).await;
    let done: Vec<Settlement> = jobs
        .iter()
        .map(|job| Settlement { held: job.held.clone(), verdict: s.completed() })
        .collect();
    let answers = s.ports.queue.settle(&done, s.now()).await.expect("settle works");
    for (n, answer) in answers.iter().enumerate() {
        let expected = if n == 1 { Settled::Lost } else { Settled::Applied };
        assert_eq!(*answer, expected, "{n}");
    }
    let completed = Filter { states: vec![State::Completed], ..Filter::default() };
    assert_eq!(s.ports.records.count(&completed).await.expect("count works"), 4);
}

/// Mixed outcomes of one batch each do their own.
pub async fn a_batch_may_hold_every_sort_of_outcome(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add_many(7).await;
    let jobs = s.claim(7).await;
    let verdicts = [
        s.completed(),
        s.retry(&jobs[1], secs(1)),
        s.snooze(secs(1)),
        s.park("k"),
        Verdict::Interrupted,
        cancelled(&s),
        s.dead(&jobs[6], DeadClass::Exhausted),
    ];
    let done: Vec<Settlement> = jobs
        .iter()
        .zip(verdicts)
        .map(|(job, verdict)| Settlement { held: job.held.clone(), verdict })
        .collect();
    let answers = s.ports.queue.settle(&done, s.now()).await.expect("settle works");
    assert_eq!(answers, [Settled::Applied; 7]);
    let states = [
        State::Completed,
        State::Retryable,
        State::Scheduled,
        State::Parked,
        State::Available,
        State::Cancelled,
        State::Dead,
    ];
    for (job, state) in jobs.iter().zip(states) {
        assert_eq!(s.state(job.held.id).await, state);
    }
}

/// Work that was done is not thrown away because someone had asked for it to stop.
pub async fn a_completed_job_stays_completed_though_a_cancel_was_asked(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let job = s.running().await;
    s.cancel(job.held.id, "no longer wanted").await;
    s.applied(&job, s.completed()).await;
    let record = s.get(job.held.id).await;
    assert_eq!((record.state, record.result), (State::Completed, Some(json!({"ok": true}))));
    let job = s.running().await;
    s.cancel(job.held.id, "no longer wanted").await;
    s.applied(&job, s.dead(&job, DeadClass::Rejected)).await;
    assert_eq!(s.state(job.held.id).await, State::Dead, "and a refusal stays a refusal");
}

/// What would have run again ends instead, with the reason of who asked.
pub async fn a_job_asked_to_stop_does_not_come_back(h: &dyn Harness) {
    let s = Scene::new(h).await;
    for n in 0..4 {
        let job = s.running().await;
        s.cancel(job.held.id, "no longer wanted").await;
        let verdict = match n {
            0 => s.retry(&job, secs(1)),
            1 => s.snooze(secs(1)),
            2 => s.park("k"),
            _ => Verdict::Interrupted,
        };
        s.applied(&job, verdict).await;
        let record = s.get(job.held.id).await;
        assert_eq!(record.state, State::Cancelled, "{n}");
        assert_eq!(record.reason.as_deref(), Some("no longer wanted"), "{n}");
        assert_eq!(record.parked_under, None, "{n}");
        assert_eq!(record.finished_at, Some(s.now()), "{n}");
    }
    s.pass(secs(60));
    assert_eq!(s.ports.records.wake("k", 10, s.now()).await.expect("wake works"), 0);
    s.housekeep().await;
    assert!(s.claim(5).await.is_empty());
}

/// A job that fails for ever does not grow for ever: the latest errors are kept.
pub async fn the_latest_errors_are_kept_and_no_more(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let id = s.add(NewJob { max_attempts: 1000, ..s.job() }).await;
    let rounds = KEPT_ERRORS + 5;
    for _ in 0..rounds {
        let job = s.one().await;
        s.applied(&job, s.retry(&job, secs(1))).await;
        s.pass(secs(1));
    }
    let attempts: Vec<u32> = s.get(id).await.errors.iter().map(|e| e.attempt).collect();
    let expected: Vec<u32> = (1..=rounds as u32).skip(rounds - KEPT_ERRORS).collect();
    assert_eq!(attempts, expected, "oldest first");
}

/// Results are JSON of any shape; `null` is a result, not the lack of one.
pub async fn a_result_comes_back_whatever_its_shape(h: &dyn Harness) {
    let s = Scene::new(h).await;
    for (bytes, value) in [
        ("null", Value::Null),
        ("\"a\\u0000ž🦄\"", json!("a\0ž🦄")),
        ("[]", json!([])),
        ("{\"n\":0.1,\"deep\":{\"a\":[false]}}", json!({"n": 0.1, "deep": {"a": [false]}})),
    ] {
        let job = s.running().await;
        let verdict = Verdict::Completed {
            result: Bytes::from_static(bytes.as_bytes()),
            keep_until: s.later(secs(60)),
        };
        s.applied(&job, verdict).await;
        assert_eq!(s.get(job.held.id).await.result, Some(value));
    }
}

/// Errors and reasons are text as people write it.
pub async fn texts_come_back_as_they_were(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let text = "žluťoučký 🦄 'quoted' \"twice\" % _ \\ \0 \u{202e}\nsecond line";
    let job = s.running().await;
    let error = s.error(&job, text);
    s.applied(&job, Verdict::Retry { at: s.now(), error: error.clone() }).await;
    assert_eq!(s.get(job.held.id).await.errors, [error]);
    let job = s.one().await;
    s.applied(&job, Verdict::Park { key: text.into(), reason: text.into() }).await;
    let record = s.get(job.held.id).await;
    assert_eq!(record.parked_under.as_deref(), Some(text));
    assert_eq!(record.reason.as_deref(), Some(text));
    assert_eq!(s.ports.records.wake(text, 10, s.now()).await.expect("wake works"), 1);
}

/// Only its key, neither time nor housekeeping nor another key, brings it back.
pub async fn a_parked_job_waits_for_its_key(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let job = s.running().await;
    s.applied(&job, s.park("account:42")).await;
    s.pass(secs(3600));
    s.housekeep().await;
    let wake = async |key| s.ports.records.wake(key, 10, s.now()).await.expect("wake works");
    assert_eq!(wake("account:4").await + wake("account:422").await + wake("").await, 0);
    assert!(s.claim(5).await.is_empty());
    assert_eq!(wake("account:42").await, 1);
    assert_eq!(wake("account:42").await, 0, "once");
    let again = s.one().await;
    assert_eq!((again.held.id, again.attempt), (job.held.id, 1));
    assert_eq!(s.get(job.held.id).await.parked_under, None);
}

/// When a provider recovers, its jobs resume gradually: oldest first, as many as asked for.
pub async fn a_wake_resumes_the_oldest_first(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let mut all = Vec::new();
    for _ in 0..6 {
        let job = s.running().await;
        s.applied(&job, s.park("k")).await;
        all.push(job.held.id);
        s.pass(secs(1));
    }
    let mut wakes = s.ports.queue.wakes();
    wakes.mark_unchanged();
    for part in all.chunks(2) {
        assert_eq!(s.ports.records.wake("k", 2, s.now()).await.expect("wake works"), 2);
        let jobs = s.claim(10).await;
        assert_eq!(ids(&jobs), part, "in order");
        for job in jobs {
            s.applied(&job, s.completed()).await;
        }
    }
    let heard = tokio::time::timeout(secs(10), wakes.changed()).await;
    heard.expect("claimers were told").expect("the queue lives");
}

/// A hundred jobs parked under one key all come back.
pub async fn a_wake_forgets_none(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let all = s.add_many(100).await;
    for job in s.claim(100).await {
        s.applied(&job, s.park("k")).await;
    }
    assert_eq!(s.ports.records.wake("k", 1000, s.now()).await.expect("wake works"), 100);
    assert_eq!(sorted(ids(&s.claim(200).await)), sorted(all));
}
