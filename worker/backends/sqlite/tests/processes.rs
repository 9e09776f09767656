//! Two handles on one file behave as two processes would: wake-ups travel, closing one leaves the
//! other, what was answered is there after closing.

use std::sync::Arc;
use std::time::Duration;

use flotilla_core::clock::{Clock, ManualClock};
use flotilla_core::ids::{JobId, Kind, Lane, WorkerId};
use flotilla_core::queue::{Enqueued, LaneDemand, NewJob, Queue, QueueErrorKind};
use flotilla_core::records::Records;
use flotilla_core::rng::SeededRng;
use flotilla_sqlite::{Settings, Sqlite};
use tempfile::TempDir;

const LANE: Lane = Lane::from_static("main");
const KIND: Kind = Kind::from_static("test.job");
/// Far beyond what a wake-up takes; only a lost one waits that long.
const LOST: Duration = Duration::from_secs(20);

fn open(dir: &TempDir) -> Arc<Sqlite> {
    Sqlite::open(dir.path().join("jobs.db"), Settings::default()).expect("the file opens")
}

fn job(seed: u64) -> NewJob {
    let now = ManualClock::default().now();
    NewJob::new(JobId::new(now, &SeededRng::new(seed)), KIND, LANE, now)
}

#[tokio::test]
async fn an_enqueue_wakes_the_other_process() {
    let dir = tempfile::tempdir().expect("a folder is made");
    let (here, there) = (open(&dir), open(&dir));
    let now = ManualClock::default().now();
    let (mut wakes, mut changes) = (there.wakes(), there.changes());
    for seed in 0..20 {
        wakes.mark_unchanged();
        changes.mark_unchanged();
        here.enqueue(&[job(seed)], now).await.expect("enqueue works");
        let heard = tokio::time::timeout(LOST, wakes.changed()).await;
        heard.expect("it is woken").expect("the queue lives");
        let heard = tokio::time::timeout(LOST, changes.changed()).await;
        heard.expect("it hears of the change").expect("the queue lives");
        let demand = [LaneDemand { lane: LANE, slots: 9, kinds: vec![KIND] }];
        let claims = there.claim(&demand, &WorkerId::new("w"), LOST, now).await;
        assert_eq!(claims.expect("claim works").jobs.len(), 1);
    }
}

#[tokio::test]
async fn closing_answers_what_was_asked_and_refuses_what_comes_later() {
    let dir = tempfile::tempdir().expect("a folder is made");
    let (here, there) = (open(&dir), open(&dir));
    let now = ManualClock::default().now();
    let asked: Vec<_> = (0..50)
        .map(|seed| {
            let here = Arc::clone(&here);
            tokio::spawn(async move { here.enqueue(&[job(seed)], now).await })
        })
        .collect();
    tokio::task::yield_now().await;
    here.close();
    here.close();
    let mut taken = 0;
    for answer in asked {
        match answer.await.expect("it does not panic") {
            Ok(answers) => taken += u64::from(answers == [Enqueued::Created]),
            Err(error) => assert_eq!(error.kind, QueueErrorKind::Unavailable),
        }
    }
    let found = there.count(&Default::default()).await.expect("the other handle lives");
    assert_eq!(found, taken);
    let late = here.enqueue(&[job(99)], now).await.expect_err("it is closed");
    assert_eq!(late.kind, QueueErrorKind::Unavailable);
    let late = here.get(job(1).id).await.expect_err("it is closed");
    assert_eq!(late.kind, QueueErrorKind::Unavailable);
}

#[tokio::test]
async fn a_sound_file_has_only_good_findings() {
    let dir = tempfile::tempdir().expect("a folder is made");
    let findings = open(&dir).check().await.expect("the file is read");
    let of = |what: &str| findings.iter().find(|f| f.what == what).expect("it was looked at");
    assert!(of("integrity").ok && of("journal").ok && of("owner").ok, "{findings:?}");
}
