//! Changing single dead letters: once per mark, all or nothing, with what a replay promises.

use flotilla_core::envelope::Payload;
use flotilla_core::ids::JobId;
use flotilla_core::queue::NewJob;
use flotilla_core::replay::{Amend, Amended, HISTORY, Mark};
use flotilla_core::state::{DeadClass, State};
use serde_json::{Value, json};

use crate::harness::Harness;
use crate::scene::{Scene, secs, unique};

fn amend(id: JobId, of: &str) -> Amend {
    let mark = Mark { of: of.into(), by: "ann".into(), reason: "mended".into() };
    Amend { id, mark, payload: None, expect: None, replay: true }
}

impl Scene {
    async fn amend(&self, changes: &[Amend]) -> Vec<Amended> {
        self.ports.records.amend(changes, self.now()).await.expect("amend works")
    }

    async fn died(&self, job: NewJob, class: DeadClass) -> JobId {
        let id = self.add(job).await;
        let job = self.one().await;
        self.applied(&job, self.dead(&job, class)).await;
        self.pass(secs(1));
        id
    }

    async fn history(&self, id: JobId) -> Vec<Value> {
        let extra = self.get(id).await.extra;
        extra.get(HISTORY).and_then(Value::as_array).cloned().unwrap_or_default()
    }
}

/// The mark decides: the same change again does nothing, even when the job is dead again.
pub async fn a_change_is_made_once_per_mark(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let extra = [("origin".to_owned(), json!({"a": 1}))].into();
    let id = s.died(NewJob { extra, ..s.job() }, DeadClass::Exhausted).await;
    let first = amend(id, "replay/1");
    assert_eq!(s.amend(&[first.clone(), first.clone()]).await, [Amended::Done, Amended::Already]);
    let record = s.get(id).await;
    assert_eq!((record.state, record.class, record.attempt), (State::Available, None, 0));
    assert_eq!(record.errors.len(), 1, "its errors stay");
    assert_eq!(record.extra["origin"], json!({"a": 1}), "other fields stay");
    let again = s.one().await;
    assert_eq!((again.held.id, again.attempt), (id, 1));
    s.applied(&again, s.dead(&again, DeadClass::Rejected)).await;
    assert_eq!(s.amend(&[first]).await, [Amended::Already]);
    assert_eq!(s.state(id).await, State::Dead);
    assert_eq!(s.amend(&[amend(id, "replay/2")]).await, [Amended::Done]);
    let history = s.history(id).await;
    let of: Vec<&Value> = history.iter().map(|mark| &mark["of"]).collect();
    assert_eq!(of, ["replay/1", "replay/2"]);
    assert_eq!((&history[0]["by"], &history[0]["class"]), (&json!("ann"), &json!("exhausted")));
}

/// A payload changes with its mark, stays when it was not the one that was looked at, and is what
/// the next worker gets.
pub async fn an_edit_changes_the_payload_and_keeps_the_job_dead(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let payload = Payload::of(&json!({"width": 0})).expect("JSON");
    let id = s.died(NewJob { payload, ..s.job() }, DeadClass::Invalid).await;
    let new = |value: &Value| Some(Payload::of(value).expect("JSON"));
    let edit = |of: &str, from: i64, to: i64| Amend {
        payload: new(&json!({"width": to})),
        expect: Some(json!({"width": from})),
        replay: false,
        ..amend(id, of)
    };
    assert_eq!(s.amend(&[edit("edit/1", 0, 7)]).await, [Amended::Done]);
    let record = s.get(id).await;
    assert_eq!((record.state, &record.payload), (State::Dead, &json!({"width": 7})));
    assert_eq!(record.class, Some(DeadClass::Invalid));
    let stale = s.amend(&[edit("edit/2", 0, 8)]).await;
    assert!(matches!(&stale[..], [Amended::Refused(_)]), "{stale:?}");
    let large = json!({"width": "x".repeat(100_000)});
    let more = Amend { payload: new(&large), ..amend(id, "replay/1") };
    assert_eq!(s.amend(&[more]).await, [Amended::Done], "changed and put back in one");
    assert_eq!(s.get(id).await.payload, large);
    let claimed = s.one().await;
    assert_eq!(claimed.payload.to_value(), large);
    s.applied(&claimed, s.dead(&claimed, DeadClass::Invalid)).await;
    let small = Amend { payload: new(&json!({"width": 9})), ..amend(id, "replay/2") };
    assert_eq!(s.amend(&[small]).await, [Amended::Done]);
    assert_eq!(s.one().await.payload.to_value(), json!({"width": 9}));
}

/// Each change has its own answer; what one is refused does not hold the others up.
pub async fn changes_are_answered_one_by_one(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let like = || NewJob { unique: unique("k"), ..s.job() };
    let held = s.died(like(), DeadClass::Rejected).await;
    let unknown = s.died(s.job(), DeadClass::OutcomeUnknown).await;
    let first = s.died(s.job(), DeadClass::Rejected).await;
    let second = s.died(s.job(), DeadClass::Rejected).await;
    s.add(like()).await;
    let strange = JobId::derived("nobody");
    let ids = [held, unknown, first, strange, second];
    let answers = s.amend(&ids.map(|id| amend(id, "replay/1"))).await;
    assert!(
        matches!(&answers[0], Amended::Refused(why) if why.contains("unique key")),
        "{answers:?}"
    );
    assert!(matches!(&answers[1], Amended::Refused(_)), "{answers:?}");
    assert_eq!(answers[2..], [Amended::Done, Amended::Unknown, Amended::Done]);
    for (id, state) in [(held, State::Dead), (unknown, State::Dead), (first, State::Available)] {
        assert_eq!(s.state(id).await, state);
    }
    assert!(s.history(held).await.is_empty(), "what is refused bears no mark");
    let other = s.amend(&[amend(first, "replay/2")]).await;
    assert_eq!(other, [Amended::NotDead], "it waits already");
}

/// Of two dead letters with one key, one goes back.
pub async fn two_changes_do_not_share_a_unique_key(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let like = || NewJob { unique: unique("k"), ..s.job() };
    let first = s.died(like(), DeadClass::Rejected).await;
    let second = s.died(like(), DeadClass::Rejected).await;
    let answers = s.amend(&[amend(first, "replay/1"), amend(second, "replay/1")]).await;
    assert!(matches!(&answers[..], [Amended::Done, Amended::Refused(_)]), "{answers:?}");
}

/// Jobs of an ordering key go back in the order in which they are named.
pub async fn jobs_of_an_ordering_key_go_back_in_order(h: &dyn Harness) {
    let s = Scene::new(h).await;
    if !s.ports.queue.capabilities().ordering {
        return;
    }
    let like = || NewJob { order: Some("o".into()), ..s.job() };
    let first = s.died(like(), DeadClass::Rejected).await;
    let second = s.died(like(), DeadClass::Rejected).await;
    assert_eq!(
        s.amend(&[amend(second, "replay/1"), amend(first, "replay/1")]).await,
        [Amended::Done, Amended::Done]
    );
    let one = s.one().await;
    assert_eq!(one.held.id, second);
    assert_eq!(s.state(first).await, State::Parked);
    s.applied(&one, s.completed()).await;
    assert_eq!(s.one().await.held.id, first);
}
