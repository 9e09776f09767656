//! Taking jobs in: what was accepted is there, once, as it was given.

use flotilla_core::envelope::{Payload, TraceContext};
use flotilla_core::ids::{Kind, MAX_NAME};
use flotilla_core::queue::{Enqueued, NewJob, QueueErrorKind};
use flotilla_core::records::Filter;
use flotilla_core::state::{DeadClass, State};
use serde_json::json;

use crate::harness::Harness;
use crate::scene::{LANE, LONG, Scene, demand, priority, secs, tenant, unique};

/// An accepted job survives claims, failures, snoozes and crashes until it is finished.
pub async fn an_accepted_job_is_offered_until_it_is_finished(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let id = s.add(s.job()).await;
    let first = s.one().await;
    s.applied(&first, s.retry(&first, secs(10))).await;
    s.pass(secs(10));
    let second = s.one().await;
    s.applied(&second, s.snooze(secs(10))).await;
    s.pass(secs(10));
    let _lost = s.one().await;
    s.workers_vanish().await;
    let last = s.one().await;
    assert_eq!(last.held.id, id);
    s.applied(&last, s.completed()).await;
    s.pass(secs(60));
    s.housekeep().await;
    assert!(s.claim(10).await.is_empty());
    assert_eq!(s.state(id).await, State::Completed);
}

/// Repeating an enqueue that may or may not have arrived is safe.
pub async fn the_same_id_twice_is_one_job(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let job = s.job();
    s.add(job.clone()).await;
    assert_eq!(s.enqueue(std::slice::from_ref(&job)).await, [Enqueued::Duplicate(job.id)]);
    let claimed = s.one().await;
    s.applied(&claimed, s.completed()).await;
    assert_eq!(s.enqueue(std::slice::from_ref(&job)).await, [Enqueued::Duplicate(job.id)]);
    assert!(s.claim(10).await.is_empty(), "a finished job does not run again");
}

/// A later job of one call may be the duplicate of an earlier one.
pub async fn the_same_id_twice_in_one_batch_is_one_job(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let (a, b) = (s.job(), s.job());
    let answers = s.enqueue(&[a.clone(), b, a.clone()]).await;
    assert_eq!(answers, [Enqueued::Created, Enqueued::Created, Enqueued::Duplicate(a.id)]);
    assert_eq!(s.claim(10).await.len(), 2);
}

/// "Job lost after an error in the middle of a batch": the whole call is sent again, and what
/// the first one did not reach is made now.
pub async fn a_repeated_call_makes_what_the_first_one_missed(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let jobs: Vec<NewJob> = (0..10).map(|_| s.job()).collect();
    s.enqueue(&jobs[..4]).await;
    let answers = s.enqueue(&jobs).await;
    assert!(answers[..4].iter().zip(&jobs).all(|(a, job)| *a == Enqueued::Duplicate(job.id)));
    assert!(answers[4..].iter().all(|a| *a == Enqueued::Created));
    assert_eq!(s.claim(20).await.len(), 10);
}

/// "Job lost after an error in the middle of a batch": one that is refused takes no other along.
pub async fn one_rejected_job_in_a_batch_loses_no_other(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let most = s.ports.queue.capabilities().max_payload;
    let mut jobs: Vec<NewJob> = (0..5).map(|_| s.job()).collect();
    jobs[2].payload = Payload::from_bytes(vec![b'1'; most + 1]);
    let answers = s.enqueue(&jobs).await;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(matches!(answer, Enqueued::Rejected(_)), n == 2, "{n}: {answer:?}");
        assert_eq!(*answer == Enqueued::Created, n != 2, "{n}: {answer:?}");
    }
    assert_eq!(s.claim(10).await.len(), 4);
    assert!(s.find(jobs[2].id).await.is_none());
}

/// A payload of exactly the declared size comes back; one byte more is refused with the bound.
pub async fn a_payload_at_the_bound_is_taken_and_one_over_it_is_rejected(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let most = s.ports.queue.capabilities().max_payload;
    let fits = NewJob { payload: Payload::from_bytes(vec![b'7'; most]), ..s.job() };
    s.add(fits.clone()).await;
    assert_eq!(s.one().await.payload, fits.payload);
    let over = NewJob { payload: Payload::from_bytes(vec![b'7'; most + 1]), ..s.job() };
    let answers = s.enqueue(&[over]).await;
    let Enqueued::Rejected(why) = &answers[0] else { panic!("{answers:?}") };
    assert!(why.contains(&most.to_string()), "\"{why}\" names the bound");
}

/// Nothing asked is nothing done, in every call that takes a batch.
pub async fn an_empty_batch_is_fine(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let (queue, now) = (&s.ports.queue, s.now());
    assert!(queue.enqueue(&[], now).await.expect("enqueue works").is_empty());
    assert!(queue.extend(&[], now, now).await.expect("extend works").is_empty());
    assert!(queue.settle(&[], now).await.expect("settle works").is_empty());
    let claims = s.claims_by("first", &[]).await;
    assert!(claims.jobs.is_empty() && claims.next_due.is_none());
    assert!(s.ports.records.cancel(&[], "no", now).await.expect("cancel works").is_empty());
}

/// The declared bound is one the backend keeps.
pub async fn a_batch_at_the_bound_is_taken(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let most = s.ports.queue.capabilities().max_batch.min(20_000);
    let jobs: Vec<NewJob> = (0..most).map(|_| s.job()).collect();
    let answers = s.ports.queue.enqueue(&jobs, s.now()).await.expect("enqueue works");
    assert_eq!(answers, vec![Enqueued::Created; most]);
    assert_eq!(s.claim_every(most).await.len(), most);
}

/// A backend may take more than it declares, or refuse the call; it never takes a part of it.
pub async fn a_batch_over_the_bound_is_done_whole_or_not_at_all(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let over = s.ports.queue.capabilities().max_batch.min(20_000) + 1;
    let jobs: Vec<NewJob> = (0..over).map(|_| s.job()).collect();
    let answer = s.ports.queue.enqueue(&jobs, s.now()).await;
    let count = s.ports.records.count(&Filter::default()).await.expect("count works");
    match answer {
        Ok(answers) => assert_eq!((answers.len(), count), (over, over as u64)),
        Err(error) => assert_eq!((error.kind, count), (QueueErrorKind::Invalid, 0), "{error}"),
    }
}

/// Payloads are bytes: not re-encoded, not cut at a NUL, not required to be JSON or even text.
pub async fn a_payload_comes_back_byte_for_byte(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let payloads: [&'static [u8]; 8] = [
        b"",
        b"{ \"spaced\" :  1.0 , \"n\": 12345678901234567890123 }",
        b"a\0b\0",
        b"\0",
        b"\xff\xfe not text \x80",
        "{\"caption\":\"žluťoučký 🦄 \u{202e}كلام\"}".as_bytes(),
        b"{\"cut off\": [1, 2",
        b"'; DROP TABLE jobs; --",
    ];
    for bytes in payloads {
        let payload = Payload::from_bytes(bytes);
        let id = s.add(NewJob { payload: payload.clone(), ..s.job() }).await;
        let job = s.one().await;
        assert_eq!(job.payload.bytes(), bytes);
        s.applied(&job, s.dead(&job, DeadClass::Invalid)).await;
        assert_eq!(s.get(id).await.payload, payload.to_value(), "shown, and kept when dead");
    }
}

/// Each field, in the record and with the claim.
pub async fn every_field_of_a_job_comes_back(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let kind = Kind::new("k".repeat(MAX_NAME)).expect("a longest name");
    let key = format!("{}\0🦄%_'\"", "k".repeat(500));
    let job = NewJob {
        kind: kind.clone(),
        version: u16::MAX,
        tenant: tenant("acme.eu-1_x"),
        priority: priority(9),
        payload: Payload::from_bytes(&b"{\"a\":[1,null]}"[..]),
        run_at: s.later(secs(7)),
        deadline: Some(s.later(secs(70))),
        unique: unique(&key),
        max_attempts: 25,
        trace: TraceContext {
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
            tracestate: Some("vendor=a,other=b".into()),
        },
        extra: [
            ("later".to_owned(), json!({"deep": [1, "ž", null]})),
            ("flag".to_owned(), json!(true)),
        ]
        .into(),
        ..s.job()
    };
    let enqueued_at = s.now();
    s.add(job.clone()).await;
    let record = s.get(job.id).await;
    assert_eq!(record.state, State::Scheduled);
    assert_eq!((record.id, &record.kind, record.version), (job.id, &kind, u16::MAX));
    assert_eq!((&record.lane, &record.tenant), (&LANE, &job.tenant));
    assert_eq!((record.priority, record.max_attempts), (job.priority, 25));
    assert_eq!((record.attempt, record.crashes), (0, 0));
    assert_eq!((record.enqueued_at, record.run_at), (enqueued_at, job.run_at));
    assert_eq!((record.deadline, record.unique_key), (job.deadline, Some(key)));
    assert_eq!((&record.trace, &record.extra), (&job.trace, &job.extra));
    assert_eq!(record.payload, json!({"a": [1, null]}));
    assert_eq!((record.started_at, record.finished_at, record.lease_until), (None, None, None));
    assert_eq!((record.worker, record.progress, record.result), (None, None, None));
    assert!(record.errors.is_empty() && !record.cancel_requested);
    assert_eq!((record.reason, record.parked_under, record.class), (None, None, None));

    s.pass(secs(9));
    let mut wanted = demand(&LANE, 1);
    wanted.kinds = vec![kind.clone()];
    let claimed = s.claims_by("first", &[wanted]).await.jobs.remove(0);
    assert_eq!((claimed.held.id, &claimed.kind, claimed.version), (job.id, &kind, u16::MAX));
    assert_eq!((&claimed.lane, &claimed.tenant), (&job.lane, &job.tenant));
    assert_eq!((claimed.priority, &claimed.payload), (job.priority, &job.payload));
    assert_eq!((claimed.attempt, claimed.max_attempts, claimed.crashes), (1, 25, 0));
    assert_eq!((claimed.enqueued_at, &claimed.trace), (enqueued_at, &job.trace));
    assert!(claimed.available_at >= job.run_at && claimed.available_at <= s.now());
}

/// Instants far away are kept, not wrapped or clamped to today.
pub async fn an_instant_far_away_comes_back(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let far = s.later(LONG * 20);
    let id = s.add(NewJob { run_at: far, deadline: Some(s.later(LONG * 21)), ..s.job() }).await;
    let record = s.get(id).await;
    assert_eq!((record.run_at, record.deadline), (far, Some(s.later(LONG * 21))));
    assert_eq!(s.claims_by("first", &[demand(&LANE, 1)]).await.next_due, Some(far));
}

/// Who waits for work hears of it.
pub async fn an_enqueue_wakes_claimers_and_watchers(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let (mut wakes, mut changes) = (s.ports.queue.wakes(), s.ports.records.changes());
    wakes.mark_unchanged();
    changes.mark_unchanged();
    s.add(s.job()).await;
    let heard = async {
        wakes.changed().await.expect("the queue lives");
        changes.changed().await.expect("the records live");
    };
    tokio::time::timeout(secs(10), heard).await.expect("both were told");
}

/// Who cannot keep the order says so, instead of running two at once.
pub async fn an_ordering_key_is_kept_or_its_job_refused(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let answers = s.enqueue(&[s.ordered("k"), s.ordered("k"), s.job()]).await;
    let keeps = s.ports.queue.capabilities().ordering;
    for answer in &answers[..2] {
        assert_eq!(matches!(answer, Enqueued::Created), keeps, "{answer:?}");
        assert_eq!(matches!(answer, Enqueued::Rejected(_)), !keeps, "{answer:?}");
    }
    assert_eq!(answers[2], Enqueued::Created);
}
