//! The desk: what people see is what is there, and what they do by hand does just that.

use std::collections::BTreeSet;

use flotilla_core::ids::{JobId, Kind, Lane};
use flotilla_core::queue::{NewJob, Verdict};
use flotilla_core::records::{Cancel, Filter, Listed, Page, Pause, RunNow};
use flotilla_core::state::{DeadClass, State};

use crate::harness::Harness;
use crate::scene::{KIND, LANE, Scene, secs, sorted, tenant};

const OTHER: Lane = Lane::from_static("other");

impl Scene {
    async fn list(&self, filter: &Filter, limit: usize, before: Option<JobId>) -> Listed {
        let page = Page { limit, before };
        self.ports.records.list(filter, page).await.expect("list works")
    }

    async fn listed(&self, filter: &Filter) -> BTreeSet<JobId> {
        let listed = self.list(filter, 1000, None).await;
        let count = self.ports.records.count(filter).await.expect("count works");
        assert_eq!(listed.jobs.len() as u64, count, "count and list agree on {filter:?}");
        listed.jobs.iter().map(|job| job.id).collect()
    }
}

/// No job, no record, and no error either.
pub async fn an_unknown_job_has_no_record(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let id = s.job().id;
    assert!(s.find(id).await.is_none());
    assert_eq!(s.cancel(id, "no").await, Cancel::Unknown);
    assert!(s.listed(&Filter::id(id)).await.is_empty());
}

/// Page by page, each job once, newest first.
pub async fn pages_show_each_job_once_newest_first(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let mut all = Vec::new();
    for _ in 0..25 {
        all.push(s.add(s.job()).await);
        s.pass(secs(1));
    }
    all.reverse();
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = s.list(&Filter::default(), 10, before).await;
        assert!(page.jobs.len() <= 10);
        seen.extend(page.jobs.iter().map(|job| job.id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, all);
}

/// Jobs that come, finish or go meanwhile neither repeat nor hide the others.
pub async fn pages_stay_stable_while_jobs_change(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let mut all = Vec::new();
    for _ in 0..20 {
        all.push(s.add(s.job()).await);
        s.pass(secs(1));
    }
    let first = s.list(&Filter::default(), 8, None).await;
    s.add_many(5).await;
    for job in s.claim(3).await {
        s.applied(&job, s.completed()).await;
    }
    s.cancel(all[5], "no").await;
    let purged = s.ports.records.purge(&Filter::id(all[5]), 1).await;
    assert_eq!(purged.expect("purge works"), 1);
    let rest = s.list(&Filter::default(), 100, first.next).await;
    let seen: Vec<JobId> = first.jobs.iter().chain(&rest.jobs).map(|job| job.id).collect();
    let expected: Vec<JobId> = all.iter().rev().copied().filter(|id| *id != all[5]).collect();
    assert_eq!(seen, expected);
}

/// ">10k archived jobs invisible": a page is bounded, the list is not.
pub async fn a_page_is_bounded_and_the_list_goes_on(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add_many(1003).await;
    let first = s.list(&Filter::default(), usize::MAX, None).await;
    assert_eq!(first.jobs.len(), 1000);
    let rest = s.list(&Filter::default(), usize::MAX, first.next).await;
    assert_eq!((rest.jobs.len(), rest.next), (3, None));
}

/// Each field selects; several together select what satisfies all.
pub async fn filters_select_what_they_say(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let kind = Kind::from_static("test.other");
    let plain = s.add(s.job()).await;
    s.pass(secs(10));
    let other_kind = s.add(NewJob { kind: kind.clone(), ..s.job() }).await;
    let other_lane = s.add(NewJob { lane: OTHER, ..s.job() }).await;
    let acme = s.add(NewJob { tenant: tenant("acme"), ..s.job() }).await;
    let later = s.add(NewJob { run_at: s.later(secs(60)), ..s.job() }).await;
    let f = Filter::default;
    let set = |ids: &[JobId]| ids.iter().copied().collect::<BTreeSet<_>>();

    assert_eq!(s.listed(&f()).await.len(), 5);
    let by_ids = Filter { ids: vec![plain, acme, s.job().id], ..f() };
    assert_eq!(s.listed(&by_ids).await, set(&[plain, acme]));
    assert_eq!(s.listed(&Filter { lanes: vec![OTHER], ..f() }).await, set(&[other_lane]));
    assert_eq!(s.listed(&Filter { lanes: vec![OTHER, LANE], ..f() }).await.len(), 5);
    assert_eq!(s.listed(&Filter { kinds: vec![kind.clone()], ..f() }).await, set(&[other_kind]));
    assert_eq!(s.listed(&Filter { tenants: vec![tenant("acme")], ..f() }).await, set(&[acme]));
    let states = vec![State::Scheduled, State::Dead];
    assert_eq!(s.listed(&Filter { states, ..f() }).await, set(&[later]));
    assert_eq!(s.listed(&Filter { since: Some(s.now()), ..f() }).await.len(), 4);
    assert_eq!(s.listed(&Filter { until: Some(s.now()), ..f() }).await, set(&[plain]));
    let both = Filter { kinds: vec![kind, KIND], lanes: vec![OTHER], ..f() };
    assert_eq!(s.listed(&both).await, set(&[other_lane]));
    let none = Filter { lanes: vec![OTHER], tenants: vec![tenant("acme")], ..f() };
    assert!(s.listed(&none).await.is_empty());
}

/// By class and by a part of the last error; signs that are wildcards elsewhere mean themselves.
pub async fn dead_letters_are_found_by_class_and_error(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let mut made = Vec::new();
    for (class, text) in [
        (DeadClass::Rejected, "error 100% sure"),
        (DeadClass::Rejected, "error 1000 sure"),
        (DeadClass::Invalid, "field a_b"),
        (DeadClass::Invalid, "field axb 'quoted'"),
    ] {
        s.add(s.job()).await;
        let job = s.one().await;
        let first = s.error(&job, "an earlier one, forgiven");
        s.applied(&job, Verdict::Retry { at: s.now(), error: first }).await;
        let job = s.one().await;
        let error = s.error(&job, text);
        s.applied(&job, Verdict::Dead { class, error, keep_until: s.later(secs(60)) }).await;
        made.push(job.held.id);
    }
    let by_error = async |part: &str| {
        s.listed(&Filter { error: Some(part.into()), ..Filter::default() }.dead()).await
    };
    let only = |n: usize| BTreeSet::from([made[n]]);
    assert_eq!(by_error("100%").await, only(0));
    assert_eq!(by_error("a_b").await, only(2));
    assert_eq!(by_error("'quoted'").await, only(3));
    assert_eq!(by_error("field").await, BTreeSet::from([made[2], made[3]]));
    assert!(by_error("forgiven").await.is_empty(), "the last error counts");
    let invalid = Filter { classes: vec![DeadClass::Invalid], ..Filter::default() };
    assert_eq!(s.listed(&invalid).await, BTreeSet::from([made[2], made[3]]));
}

/// Counts per state, what waits longest, who paused it and why; an empty paused lane too.
pub async fn lanes_show_what_is_in_them(h: &dyn Harness) {
    let s = Scene::new(h).await;
    assert!(s.ports.records.lanes().await.expect("lanes work").is_empty());
    let oldest = s.now();
    s.add_many(3).await;
    s.pass(secs(5));
    s.add_many(2).await;
    s.add(NewJob { run_at: s.later(secs(60)), ..s.job() }).await;
    let pause = Pause { by: "ada ž".into(), reason: "it's down".into(), since: s.now() };
    s.ports.records.pause(&OTHER, pause.clone()).await.expect("pause works");
    let lanes = s.ports.records.lanes().await.expect("lanes work");
    assert_eq!(lanes.iter().map(|l| l.lane.clone()).collect::<Vec<_>>(), [LANE, OTHER]);
    let counts = [(State::Available, 5), (State::Scheduled, 1)].into_iter().collect();
    assert_eq!((&lanes[0].counts, &lanes[0].paused), (&counts, &None));
    assert_eq!(lanes[0].oldest_available, Some(oldest));
    assert!(lanes[1].counts.is_empty());
    assert_eq!((lanes[1].oldest_available, &lanes[1].paused), (None, &Some(pause)));
    for job in s.claim(3).await {
        s.applied(&job, s.completed()).await;
    }
    s.claim(1).await;
    let lanes = s.ports.records.lanes().await.expect("lanes work");
    let counts =
        [(State::Available, 1), (State::Scheduled, 1), (State::Completed, 3), (State::Running, 1)];
    assert_eq!(lanes[0].counts, counts.into_iter().collect());
    assert_eq!(lanes[0].oldest_available, Some(s.now()));
    assert!(s.ports.records.resume(&OTHER).await.expect("resume works"));
    assert!(!s.ports.records.resume(&OTHER).await.expect("resume works"), "it was not paused");
    assert_eq!(s.ports.records.lanes().await.expect("lanes work").len(), 1);
}

/// Whatever it waits for, a waiting job is cancelled at once; each id gets its answer.
pub async fn a_cancel_answers_for_each_job(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add_many(4).await;
    let jobs = s.claim(4).await;
    s.applied(&jobs[0], s.park("k")).await;
    s.applied(&jobs[1], s.retry(&jobs[1], secs(60))).await;
    s.applied(&jobs[2], s.completed()).await;
    let scheduled = s.add(NewJob { run_at: s.later(secs(60)), ..s.job() }).await;
    let available = s.add(s.job()).await;
    let waiting = [jobs[0].held.id, jobs[1].held.id, scheduled, available];
    let mut asked = waiting.to_vec();
    asked.extend([jobs[2].held.id, jobs[3].held.id, s.job().id]);
    let answers = s.ports.records.cancel(&asked, "it's over ž", s.now()).await;
    let answers = answers.expect("cancel works");
    assert_eq!(answers[..4], [Cancel::Cancelled; 4]);
    assert_eq!(answers[4..], [Cancel::Finished, Cancel::Asked, Cancel::Unknown]);
    for id in waiting {
        let record = s.get(id).await;
        assert_eq!((record.state, record.finished_at), (State::Cancelled, Some(s.now())));
        assert_eq!(record.reason.as_deref(), Some("it's over ž"));
        assert_eq!(record.parked_under, None);
    }
    assert_eq!(s.cancel(available, "again").await, Cancel::Finished);
    assert_eq!(s.state(jobs[2].held.id).await, State::Completed);
    s.pass(secs(60));
    assert_eq!(s.ports.records.wake("k", 10, s.now()).await.expect("wake works"), 0);
    assert!(s.claim(10).await.is_empty());
}

/// Waiting for a moment ends at once, for a first run and for a retry; nothing else changes.
pub async fn a_job_that_waits_for_a_moment_may_run_now(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add_many(3).await;
    let jobs = s.claim(3).await;
    s.applied(&jobs[0], s.retry(&jobs[0], secs(600))).await;
    s.applied(&jobs[1], s.park("k")).await;
    let scheduled = s.add(NewJob { run_at: s.later(secs(600)), ..s.job() }).await;
    s.pass(secs(1));
    let asked = [jobs[0].held.id, scheduled, jobs[1].held.id, jobs[2].held.id, s.job().id];
    let answers = s.ports.records.run_now(&asked, s.now()).await.expect("run_now works");
    assert_eq!(answers[..2], [RunNow::Due; 2]);
    assert_eq!(answers[2..], [RunNow::NotWaiting, RunNow::NotWaiting, RunNow::Unknown]);
    let mut ids: Vec<JobId> = s.claim(10).await.iter().map(|claimed| claimed.held.id).collect();
    ids.sort_unstable();
    let mut wanted = vec![jobs[0].held.id, scheduled];
    wanted.sort_unstable();
    assert_eq!(ids, wanted);
    assert_eq!(s.get(jobs[0].held.id).await.attempt, 2, "what was charged stays charged");
    let again = s.ports.records.run_now(&[scheduled], s.now()).await.expect("run_now works");
    assert_eq!(again, [RunNow::NotWaiting], "it runs");
}

/// "No safe way to see what became of a job": who watches hears of each sort of change.
pub async fn watchers_hear_of_every_change(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let mut changes = s.ports.records.changes();
    let mut heard = async |what: &str| {
        let told = tokio::time::timeout(secs(10), changes.changed()).await;
        assert!(matches!(told, Ok(Ok(()))), "nobody told of {what}");
        changes.mark_unchanged();
    };
    s.add(s.job()).await;
    heard("an enqueue").await;
    let job = s.one().await;
    heard("a claim").await;
    s.applied(&job, s.dead(&job, DeadClass::Rejected)).await;
    heard("an outcome").await;
    let now = s.now();
    s.ports.records.replay(&Filter::default(), 10, now).await.expect("replay works");
    heard("a replay").await;
    s.cancel(job.held.id, "no").await;
    heard("a cancel").await;
}

/// Many ids in one filter are as good as one.
pub async fn a_filter_may_name_many_jobs(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let all = s.add_many(500).await;
    let filter = Filter { ids: all.clone(), ..Filter::default() };
    let found: Vec<JobId> = s.listed(&filter).await.into_iter().collect();
    assert_eq!(found, sorted(all));
}
