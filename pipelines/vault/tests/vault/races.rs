//! Many at once, answers that are lost, processes that vanish.

#![expect(clippy::unwrap_used, reason = "a test may fail where it unwraps")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::account::{AccountStatus, Accounts};
use flotilla_core::cells::{Cell, CellWrite};
use flotilla_core::queue::{QueueError, QueueErrorKind};
use flotilla_core::{Cells, JobError, Timestamp};
use flotilla_memory::{Memory, Settings as MemorySettings};
use flotilla_sqlite::{Settings as SqliteSettings, Sqlite};
use flotilla_vault::{Happened, Vault};
use tokio::time::sleep;

use crate::support::{DAY, Fault, Scene, acme};

/// Every replica wants a token that has ended, at the same moment.
async fn all_at_once(scene: &Scene, replicas: u64) -> Vec<u64> {
    let vaults: Vec<Vault> = (0..replicas).map(|seed| scene.replica(seed)).collect();
    let tasks: Vec<_> = vaults
        .into_iter()
        .flat_map(|vault| [vault.clone(), vault])
        .map(|vault| tokio::spawn(async move { vault.renew(&acme(), "a", 1).await }))
        .collect();
    let mut versions = Vec::new();
    for task in tasks {
        versions.push(task.await.unwrap().unwrap().version);
    }
    versions
}

#[tokio::test(start_paused = true)]
async fn twenty_replicas_renew_a_token_once() {
    let scene = Scene::new();
    scene.replica(0).add(scene.account("a")).await.unwrap();
    assert_eq!(all_at_once(&scene, 20).await, [2; 40]);
    let counts = scene.platform.counts();
    assert_eq!((counts.calls, counts.killed), (1, 0));
}

#[tokio::test]
async fn two_processes_on_one_sqlite_file_renew_a_token_once() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Sqlite::open(folder.path().join("q.db"), SqliteSettings::default()).unwrap();
    let mut scene = Scene::over(open(), |platform| platform.latency = Duration::from_millis(30));
    scene.replica(0).add(scene.account("a")).await.unwrap();
    let (one, two) = (scene.replica(1), {
        scene.cells = open();
        scene.replica(2)
    });
    let tenant = acme();
    let (a, b) = tokio::join!(one.renew(&tenant, "a", 1), two.renew(&tenant, "a", 1));
    assert_eq!((a.unwrap().version, b.unwrap().version), (2, 2));
    assert_eq!(scene.platform.counts().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_dropped_does_not_lose_the_answer() {
    let scene = Scene::new();
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    let asked = vault.clone();
    let caller = tokio::spawn(async move { asked.renew(&acme(), "a", 1).await });
    sleep(Duration::from_millis(100)).await; // sent, not answered
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    vault.drained().await;
    assert_eq!(vault.show(&acme(), "a").await.unwrap().version, 2);
    assert_eq!(scene.platform.counts().calls, 1);
}

/// The process dies after the platform has answered and before the token is stored.
async fn crash_between_exchange_and_store(scene: &Scene) -> Result<u64, JobError> {
    let dying = scene.replica(1);
    dying.add(scene.account("a")).await.unwrap();
    scene.platform.script([Fault::Silence]);
    let caller = tokio::spawn(async move { dying.renew(&acme(), "a", 1).await });
    sleep(Duration::from_secs(1)).await;
    caller.abort();
    // Its task lives on in this runtime; the lease is what a crash leaves. The one that takes
    // over comes when the lease has run out.
    sleep(scene.settings.lease - Duration::from_secs(2)).await;
    scene.replica(2).renew(&acme(), "a", 1).await.map(|credential| credential.version)
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_between_exchange_and_store_the_next_one_tries_once_and_only_then_gives_up() {
    let mut scene = Scene::new();
    scene.settings.call = DAY; // the dying process never hears anything
    let error = crash_between_exchange_and_store(&scene).await.unwrap_err();
    let JobError::Park { reason, .. } = error else { panic!("{error:?}") };
    assert!(reason.contains("the answer of 1 renewals before was lost"), "{reason}");
    assert_eq!(scene.platform.counts().calls, 2);
    assert_eq!(scene.heard.what(), [Happened::ReauthRequired]);
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_forgives_makes_good_a_crash_between_exchange_and_store() {
    let mut scene = Scene::with(|platform| platform.single_use = false);
    scene.settings.call = DAY;
    assert_eq!(crash_between_exchange_and_store(&scene).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_late_is_stored_unless_a_newer_one_is_there() {
    // The lease runs out before the answer comes: the store decides by version, not by lease.
    let mut scene = Scene::with(|platform| {
        platform.latency = Duration::from_secs(90);
        platform.single_use = false;
    });
    scene.settings.call = Duration::from_secs(100);
    let (one, two) = (scene.replica(1), scene.replica(2));
    one.add(scene.account("a")).await.unwrap();
    let late = tokio::spawn(async move { one.renew(&acme(), "a", 1).await });
    sleep(Duration::from_secs(70)).await;
    let tenant = acme();
    let second = two.renew(&tenant, "a", 1);
    let (late, second) = tokio::join!(late, second);
    let late = late.unwrap();
    assert!(late.is_ok_and(|credential| credential.version == 2));
    assert!(
        matches!(&second, Ok(c) if c.version == 2)
            || matches!(second, Err(JobError::Snooze { .. }))
    );
    two.drained().await;
    let shown = two.show(&acme(), "a").await.unwrap();
    assert_eq!((shown.version, shown.account.status), (2, AccountStatus::Active));
}

/// Cells that cannot be written for a while.
#[derive(Debug)]
struct Failing {
    inner: Memory,
    until: Timestamp,
    from: Timestamp,
}

#[async_trait]
impl Cells for Failing {
    async fn read(&self, keys: &[String], now: Timestamp) -> Result<Vec<Option<Cell>>, QueueError> {
        self.inner.read(keys, now).await
    }

    async fn write(&self, changes: &[CellWrite], now: Timestamp) -> Result<Vec<bool>, QueueError> {
        if now >= self.from && now < self.until {
            return Err(QueueError::plain(QueueErrorKind::Unavailable, "no answer"));
        }
        self.inner.write(changes, now).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(String, Cell)>, QueueError> {
        self.inner.list(prefix, after, limit, now).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_minute_loses_no_token() {
    use flotilla_core::clock::{Clock as _, after};
    let begin = flotilla_core::ManualClock::default().now();
    let (from, until) =
        (after(begin, Duration::from_millis(200)), after(begin, Duration::from_secs(60)));
    let inner = Memory::new(MemorySettings::default());
    let scene = Scene::over(Arc::new(Failing { inner, until, from }), |_| {});
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    // The exchange takes 300 ms: its answer meets a store that does not answer.
    assert_eq!(vault.renew(&acme(), "a", 1).await.unwrap().version, 2);
    assert!(scene.now() >= until);
    let counts = scene.platform.counts();
    assert_eq!((counts.calls, counts.killed), (1, 0));
}
