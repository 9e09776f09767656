//! Flows: a parent waits for its children and goes on exactly once. The ends of parents, and what
//! is left of their children, are in [`crate::descent`].

use std::sync::Arc;

use bytes::Bytes;
use flotilla_core::envelope::{Payload, TraceContext};
use flotilla_core::flow::{Child, Flow, Parent, Until, WAITS_FOR_CHILDREN};
use flotilla_core::ids::{JobId, Kind, Lane};
use flotilla_core::queue::{Claimed, NewJob, Queue, Settled, Settlement, Verdict};
use flotilla_core::records::{Filter, Page};
use flotilla_core::state::{DeadClass, State};
use serde_json::json;

use crate::harness::Harness;
use crate::scene::{LANE, Scene, demand, ids, priority, secs, sorted, tenant, unique};

/// Goes on at once: to have a parent that runs beside its children.
pub(crate) const AT_ONCE: Until = Until { successes: 0, failures: 0 };

impl Scene {
    /// A usual child of that name.
    pub(crate) fn child(&self, parent: &Claimed, name: &str) -> NewJob {
        let depth = parent.parent.as_ref().map_or(0, |parent| parent.depth) + 1;
        let id = Child::id(parent.held.id, name);
        let parent = Some(Parent { id: parent.held.id, name: name.into(), depth });
        NewJob { id, parent, ..self.job() }
    }

    /// Usual children of these names.
    pub(crate) fn children(&self, parent: &Claimed, names: &[&str]) -> Vec<NewJob> {
        names.iter().map(|name| self.child(parent, name)).collect()
    }

    pub(crate) async fn awaits(&self, parent: &Claimed, children: Vec<NewJob>, until: Until) {
        self.applied(parent, Verdict::Await { children, until }).await;
    }

    /// Children, how many have completed, how many have failed.
    pub(crate) async fn counts(&self, parent: JobId) -> (u32, u32, u32) {
        let flow = self.get(parent).await.flow.expect("it has started children");
        (flow.children, flow.succeeded, flow.failed)
    }

    /// Claims all there is, in the order of these ids.
    pub(crate) async fn claim_all<const N: usize>(&self, wanted: [JobId; N]) -> [Claimed; N] {
        let mut jobs = self.claim(N + 1).await;
        assert_eq!(sorted(ids(&jobs)), sorted(wanted.to_vec()));
        wanted.map(|id| {
            let at = jobs.iter().position(|job| job.held.id == id).expect("compared above");
            jobs.swap_remove(at)
        })
    }
}

/// It is parked while they run, counts their ends, and runs again with nothing charged.
pub async fn a_parent_waits_for_its_children_and_goes_on(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    let id = parent.held.id;
    assert_eq!((parent.children, &parent.parent), (0, &None));
    let children = s.children(&parent, &["a", "b"]);
    let until = Until::all_ended();
    s.awaits(&parent, children.clone(), until).await;
    let record = s.get(id).await;
    assert_eq!((record.state, record.attempt), (State::Parked, 0));
    assert_eq!(record.parked_under, Some(Flow::key(id)));
    assert_eq!(record.reason.as_deref(), Some(WAITS_FOR_CHILDREN));
    assert_eq!(record.flow, Some(Flow { children: 2, succeeded: 0, failed: 0, until }));
    let [a, b] = s.claim_all([children[0].id, children[1].id]).await;
    s.applied(&a, s.completed()).await;
    assert_eq!((s.state(id).await, s.counts(id).await), (State::Parked, (2, 1, 0)));
    s.applied(&b, s.dead(&b, DeadClass::Rejected)).await;
    let record = s.get(id).await;
    assert_eq!((record.state, record.parked_under, record.reason), (State::Available, None, None));
    assert_eq!(record.flow, Some(Flow { children: 2, succeeded: 1, failed: 1, until }));
    let again = s.one().await;
    assert_eq!((again.held.id, again.attempt, again.children), (id, 1, 2));
    s.applied(&again, s.completed()).await;
}

/// Every field, and whose children they are.
pub async fn children_come_back_as_they_were_given(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    let lane = Lane::from_static("other");
    let a = NewJob {
        kind: Kind::from_static("test.other"),
        version: 7,
        lane: lane.clone(),
        tenant: tenant("acme"),
        priority: priority(9),
        payload: Payload::from_bytes(&b"{ \"n\": 1.50 }"[..]),
        unique: unique("k"),
        max_attempts: 9,
        trace: TraceContext { traceparent: Some("00-1".into()), tracestate: Some("a=b".into()) },
        extra: [("later".to_owned(), json!({"a": 1}))].into(),
        ..s.child(&parent, "žluťoučký 'a'")
    };
    let b = NewJob { unique: unique("k"), ..s.child(&parent, "b") };
    s.awaits(&parent, vec![a.clone(), b.clone()], Until::all()).await;
    let record = s.get(a.id).await;
    assert_eq!((&record.kind, record.version, &record.lane), (&a.kind, 7, &lane));
    assert_eq!((&record.tenant, record.priority), (&a.tenant, a.priority));
    assert_eq!((record.max_attempts, &record.trace), (9, &a.trace));
    assert_eq!((&record.extra, &record.parent), (&a.extra, &a.parent));
    assert_eq!((record.flow, record.unique_key), (None, None), "named by its parent alone");
    assert_eq!(s.get(b.id).await.parent, b.parent);
    let like = flotilla_core::queue::LaneDemand { kinds: vec![a.kind.clone()], ..demand(&lane, 5) };
    let claimed = s.claims_by("first", &[like]).await.jobs.remove(0);
    assert_eq!(claimed.payload.bytes(), a.payload.bytes());
    assert_eq!((claimed.parent, claimed.children), (a.parent, 0));
    assert_eq!(ids(&s.claim(5).await), [b.id]);
}

/// Its name makes it the same one: in one call, in a later one, finished or not.
pub async fn a_child_that_is_there_is_not_made_or_counted_again(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    let id = parent.held.id;
    let children = s.children(&parent, &["a", "a", "b"]);
    let (a, b) = (children[0].id, children[2].id);
    s.awaits(&parent, children.clone(), Until::any()).await;
    assert_eq!(s.counts(id).await, (2, 0, 0));
    let [job, _b] = s.claim_all([a, b]).await;
    s.applied(&job, s.completed()).await;
    let parent = s.one().await;
    assert_eq!((parent.held.id, parent.children), (id, 2));
    s.awaits(&parent, children, Until::all()).await;
    assert_eq!((s.counts(id).await, s.state(id).await), ((2, 1, 0), State::Parked));
    assert_eq!((s.state(a).await, s.state(b).await), (State::Completed, State::Running));
    assert!(s.claim(5).await.is_empty());
}

/// No children, or enough of them ended already: it may go on at once, nothing charged.
pub async fn nothing_to_wait_for_is_no_wait(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    s.awaits(&parent, Vec::new(), Until::all()).await;
    assert_eq!(s.state(parent.held.id).await, State::Available);
    let parent = s.one().await;
    assert_eq!((parent.attempt, parent.children), (1, 0));
    let a = s.child(&parent, "a");
    s.awaits(&parent, vec![a.clone()], Until::all()).await;
    s.applied(&s.one().await, s.completed()).await;
    for until in [Until::any(), Until::all(), Until::all_ended()] {
        let parent = s.one().await;
        assert_eq!((parent.attempt, parent.children), (1, 1));
        s.awaits(&parent, vec![a.clone()], until).await;
        let record = s.get(parent.held.id).await;
        assert_eq!((record.state, record.parked_under), (State::Available, None));
        assert_eq!((record.attempt, record.reason), (0, None));
    }
}

/// A parent may wait as often as it likes, each time for what it says then.
pub async fn more_children_may_be_started_later(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    let id = parent.held.id;
    s.awaits(&parent, s.children(&parent, &["a"]), Until::all()).await;
    s.applied(&s.one().await, s.completed()).await;
    let parent = s.one().await;
    assert_eq!(parent.children, 1);
    let more = s.children(&parent, &["b", "c"]);
    s.awaits(&parent, more.clone(), Until::all()).await;
    let until = Until::all();
    let flow = Flow { children: 3, succeeded: 1, failed: 0, until };
    assert_eq!((s.state(id).await, s.get(id).await.flow), (State::Parked, Some(flow)));
    let [b, _c] = s.claim_all([more[0].id, more[1].id]).await;
    s.applied(&b, s.dead(&b, DeadClass::Rejected)).await;
    let parent = s.one().await;
    assert_eq!((parent.held.id, parent.children), (id, 3));
    let until = Until { successes: 2, failures: 9 };
    s.awaits(&parent, Vec::new(), until).await;
    let flow = Flow { children: 3, succeeded: 1, failed: 1, until };
    assert_eq!((s.state(id).await, s.get(id).await.flow), (State::Parked, Some(flow)));
}

/// All, any, so many of them: the moment it is decided, not later.
pub async fn a_parent_goes_on_as_soon_as_it_is_decided(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let quorum = Until::quorum(2, 3);
    for (until, ends) in [
        (Until::all(), "cf"),
        (Until::all(), "ccc"),
        (Until::any(), "fc"),
        (Until::any(), "fff"),
        (quorum, "cfc"),
        (quorum, "ff"),
        (Until::all_ended(), "fcf"),
    ] {
        let parent = s.running().await;
        let children = s.children(&parent, &["a", "b", "c"]);
        let all = [children[0].id, children[1].id, children[2].id];
        s.awaits(&parent, children, until).await;
        let running = s.claim_all(all).await;
        for (n, (end, child)) in ends.chars().zip(&running).enumerate() {
            assert_eq!(s.state(parent.held.id).await, State::Parked, "{ends}: {n}");
            let verdict = match end {
                'c' => s.completed(),
                _ => s.dead(child, DeadClass::Rejected),
            };
            s.applied(child, verdict).await;
        }
        assert_eq!(s.state(parent.held.id).await, State::Available, "{ends}");
        s.applied(&s.one().await, s.completed()).await;
        for left in &running[ends.len()..] {
            s.applied(left, Verdict::Interrupted).await;
        }
    }
}

/// An outcome, a cancel, a rescue, a deadline: each is one end, and what is no end is none.
pub async fn every_end_of_a_child_counts_once(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    let id = parent.held.id;
    let mut children = s.children(&parent, &["0", "1", "2", "3", "4", "5"]);
    children.iter_mut().for_each(|child| child.max_attempts = 1);
    let waiting = NewJob { run_at: s.later(secs(3600)), ..s.child(&parent, "6") };
    let late = NewJob { deadline: Some(s.later(secs(60))), ..s.child(&parent, "7") };
    let late = NewJob { run_at: s.later(secs(50)), ..late };
    children.extend([waiting.clone(), late.clone()]);
    s.awaits(&parent, children.clone(), Until::all_ended()).await;
    let all: [JobId; 6] = std::array::from_fn(|n| children[n].id);
    let jobs = s.claim_all(all).await;
    s.applied(&jobs[0], s.completed()).await;
    assert_eq!(s.settle(&jobs[0], s.completed()).await, Settled::Lost);
    assert_eq!(s.counts(id).await, (8, 1, 0));
    let keep_until = s.later(secs(60));
    s.applied(&jobs[1], Verdict::Cancelled { reason: "no".into(), keep_until }).await;
    assert_eq!(s.counts(id).await, (8, 1, 1));
    s.applied(&jobs[2], s.dead(&jobs[2], DeadClass::Exhausted)).await;
    assert_eq!(s.counts(id).await, (8, 1, 2));
    s.cancel(jobs[3].held.id, "not wanted").await;
    assert_eq!(s.counts(id).await, (8, 1, 2), "it was only asked");
    s.applied(&jobs[3], Verdict::Interrupted).await;
    assert_eq!(s.counts(id).await, (8, 1, 3));
    s.cancel(jobs[3].held.id, "again").await;
    s.cancel(waiting.id, "not wanted").await;
    assert_eq!(s.counts(id).await, (8, 1, 4));
    s.applied(&jobs[4], s.retry(&jobs[4], secs(3600))).await;
    assert_eq!(s.counts(id).await, (8, 1, 4), "a retry is no end");
    s.workers_vanish().await;
    assert_eq!(s.counts(id).await, (8, 1, 5), "the crashed one");
    s.pass(secs(60));
    s.housekeep().await;
    assert_eq!((s.counts(id).await, s.state(id).await), ((8, 1, 6), State::Parked));
    s.pass(secs(3600));
    s.applied(&s.one().await, s.completed()).await;
    assert_eq!((s.counts(id).await, s.state(id).await), ((8, 2, 6), State::Available));
}

/// An end while the parent is not waiting is not lost: it finds it when it waits again.
pub async fn a_child_that_ends_before_its_parent_waits_again_is_counted(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    let id = parent.held.id;
    let children = s.children(&parent, &["a", "b", "c"]);
    s.awaits(&parent, children.clone(), Until::any()).await;
    let [a, b, c] = s.claim_all([children[0].id, children[1].id, children[2].id]).await;
    s.applied(&a, s.completed()).await;
    s.applied(&b, s.completed()).await;
    assert_eq!((s.counts(id).await, s.state(id).await), ((3, 2, 0), State::Available));
    let parent = s.one().await;
    s.applied(&c, s.dead(&c, DeadClass::Rejected)).await;
    assert_eq!((s.counts(id).await, s.state(id).await), ((3, 2, 1), State::Running));
    s.awaits(&parent, Vec::new(), Until::all_ended()).await;
    assert_eq!(s.state(id).await, State::Available);
}

/// Its first end was told to the parent; what becomes of it later changes no count.
pub async fn a_replayed_child_is_not_counted_again(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    let id = parent.held.id;
    let children = s.children(&parent, &["a", "b"]);
    s.awaits(&parent, children.clone(), Until::all_ended()).await;
    let [a, b] = s.claim_all([children[0].id, children[1].id]).await;
    s.applied(&a, s.dead(&a, DeadClass::Rejected)).await;
    let replay = s.ports.records.replay(&Filter::id(a.held.id), 1, s.now()).await;
    assert_eq!(replay.expect("replay works").replayed, 1);
    assert_eq!(s.counts(id).await, (2, 0, 1));
    let again = s.one().await;
    assert_eq!(again.parent, children[0].parent);
    s.applied(&again, s.completed()).await;
    assert_eq!((s.counts(id).await, s.state(id).await), ((2, 0, 1), State::Parked));
    s.applied(&b, s.completed()).await;
    assert_eq!((s.counts(id).await, s.state(id).await), ((2, 1, 1), State::Available));
}

/// As an enqueue does: in line behind others of their key, not before their moment.
pub async fn children_keep_their_ordering_keys_and_moments(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    let mut children = s.children(&parent, &["a", "b", "c"]);
    children[0].order = Some("k".into());
    children[1].order = Some("k".into());
    children[2].run_at = s.later(secs(30));
    let all: Vec<JobId> = children.iter().map(|child| child.id).collect();
    s.awaits(&parent, children, Until::all()).await;
    let a = s.one().await;
    assert_eq!(a.held.id, all[0]);
    assert_eq!((s.state(all[1]).await, s.state(all[2]).await), (State::Parked, State::Scheduled));
    s.applied(&a, s.completed()).await;
    s.applied(&s.one().await, s.completed()).await;
    s.pass(secs(30));
    s.applied(&s.one().await, s.completed()).await;
    assert_eq!(s.one().await.held.id, parent.held.id);
}

/// A child that an enqueue would refuse has failed before it could begin; its parent hears so.
pub async fn a_child_nobody_can_take_has_failed(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    let most = s.ports.queue.capabilities().max_payload;
    let big = Payload::from_bytes(vec![b'1'; most + 1]);
    let big = NewJob { payload: big, ..s.child(&parent, "big") };
    let id = big.id;
    s.awaits(&parent, vec![big, s.child(&parent, "b")], Until::all()).await;
    assert!(s.find(id).await.is_none());
    assert_eq!(s.counts(parent.held.id).await, (2, 0, 1));
    assert_eq!(s.state(parent.held.id).await, State::Available);
}

/// The desk shows a flow by its parent.
pub async fn children_are_found_by_their_parent(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add_many(2).await;
    let mut jobs = s.claim(2).await;
    let (second, first) = (jobs.remove(1), jobs.remove(0));
    let of_first = s.children(&first, &["a", "b"]);
    let of_second = s.children(&second, &["a"]);
    s.awaits(&first, of_first.clone(), Until::all()).await;
    s.awaits(&second, of_second.clone(), Until::all()).await;
    s.add(s.job()).await;
    let found = async |parents: Vec<JobId>| {
        let filter = Filter { parents, ..Filter::default() };
        let count = s.ports.records.count(&filter).await.expect("count works");
        let page = Page { limit: 10, before: None };
        let found = s.ports.records.list(&filter, page).await.expect("list works");
        assert_eq!(count, found.jobs.len() as u64);
        sorted(found.jobs.iter().map(|job| job.id).collect())
    };
    let names = |jobs: &[NewJob]| sorted(jobs.iter().map(|job| job.id).collect());
    let all = [&of_first[..], &of_second[..]].concat();
    assert_eq!(found(vec![first.held.id]).await, names(&of_first));
    assert_eq!(found(vec![second.held.id]).await, names(&of_second));
    assert_eq!(found(vec![first.held.id, second.held.id]).await, names(&all));
    assert_eq!(found(vec![of_first[0].id]).await, []);
}

/// The last children of many parents end at the same moment: each parent goes on once.
pub(crate) async fn race_of_the_last_children(s: &Scene, queues: &[Arc<dyn Queue>]) {
    let now = s.now();
    for round in 0..10_u32 {
        let parent = s.running().await;
        let children = s.children(&parent, &["a", "b", "c", "d"]);
        let all: [JobId; 4] = std::array::from_fn(|n| children[n].id);
        s.awaits(&parent, children, Until::all_ended()).await;
        let ends: Vec<_> = s
            .claim_all(all)
            .await
            .into_iter()
            .enumerate()
            .map(|(n, job)| {
                let queue = Arc::clone(&queues[n % queues.len()]);
                let verdict = match n {
                    0 => s.dead(&job, DeadClass::Rejected),
                    _ => s.completed(),
                };
                tokio::spawn(async move {
                    let done = [Settlement { held: job.held, verdict }];
                    queue.settle(&done, now).await.expect("settle works")
                })
            })
            .collect();
        for end in ends {
            assert_eq!(end.await.expect("it does not panic"), [Settled::Applied]);
        }
        assert_eq!(s.counts(parent.held.id).await, (4, 3, 1), "round {round}");
        let woken = s.claim(5).await;
        assert_eq!(ids(&woken), [parent.held.id], "round {round}: it goes on, once");
        assert_eq!((woken[0].attempt, woken[0].children), (1, 4));
        s.applied(&woken[0], s.completed()).await;
    }
}

/// Counting is one change, not a read and a write.
pub async fn the_last_children_at_once_wake_their_parent_once(h: &dyn Harness) {
    let s = Scene::new(h).await;
    race_of_the_last_children(&s, &[Arc::clone(&s.ports.queue)]).await;
}

/// Whoever did not hear the answer asks again, also within one call: nothing is made twice.
pub async fn a_settlement_repeated_makes_no_child_twice(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    let id = parent.held.id;
    let children = s.children(&parent, &["a"]);
    let verdict = Verdict::Await { children, until: Until::all() };
    let done = Settlement { held: parent.held.clone(), verdict: verdict.clone() };
    let answers = s.ports.queue.settle(&[done.clone(), done], s.now()).await;
    assert_eq!(answers.expect("settle works"), [Settled::Applied, Settled::Lost]);
    assert_eq!(s.settle(&parent, verdict).await, Settled::Lost);
    assert_eq!((s.counts(id).await, s.state(id).await), ((1, 0, 0), State::Parked));
    assert_eq!(s.claim(5).await.len(), 1);
}

/// Who waits for work hears of new children, and of a parent that may go on.
pub async fn a_woken_parent_wakes_claimers(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let parent = s.running().await;
    let mut wakes = s.ports.queue.wakes();
    let mut heard = async |what: &str| {
        let told = tokio::time::timeout(secs(10), wakes.changed()).await;
        assert!(matches!(told, Ok(Ok(()))), "claimers were not told of {what}");
        wakes.mark_unchanged();
    };
    s.awaits(&parent, s.children(&parent, &["a"]), Until::all()).await;
    heard("children").await;
    let result = Bytes::from_static(b"1");
    s.applied(&s.one().await, Verdict::Completed { result, keep_until: s.later(secs(60)) }).await;
    heard("the parent").await;
    assert_eq!(ids(&s.claims_by("first", &[demand(&LANE, 5)]).await.jobs), [parent.held.id]);
}
