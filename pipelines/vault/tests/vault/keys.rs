//! Keys: wrapped anew without a pause, shredded for good; what was tampered with does not open.

#![expect(clippy::unwrap_used, reason = "a test may fail where it unwraps")]

use flotilla_core::account::{AccountStatus, Accounts};
use flotilla_core::cells::CellWrite;
use flotilla_core::{JobError, Tenant};
use serde_json::Value;

use crate::support::{Scene, acme, line};

async fn cell(scene: &Scene, key: &str) -> Value {
    let found = scene.cells.read(&[key.to_owned()], scene.now()).await.unwrap();
    serde_json::from_slice(&found[0].as_ref().unwrap().value).unwrap()
}

async fn put(scene: &Scene, key: &str, value: &Value) {
    let found = scene.cells.read(&[key.to_owned()], scene.now()).await.unwrap();
    let change = CellWrite {
        key: key.to_owned(),
        expect: found[0].as_ref().map_or(0, |cell| cell.version),
        value: Some(serde_json::to_vec(value).unwrap().into()),
        expires_at: None,
    };
    assert_eq!(scene.cells.write(&[change], scene.now()).await.unwrap(), [true]);
}

#[tokio::test(start_paused = true)]
async fn the_wrapping_key_is_replaced_while_everybody_reads() {
    let mut scene = Scene::new();
    let old = scene.replica(1);
    old.add(scene.account("a")).await.unwrap();
    let other = Tenant::from_static("other");
    let there = flotilla_vault::NewAccount { tenant: other.clone(), ..scene.account("b") };
    old.add(there).await.unwrap();
    let before = cell(&scene, "account/acme/a").await;

    let first = std::mem::replace(&mut scene.ring, line("k2"));
    let new_only = scene.ring.clone();
    scene.ring = format!("{new_only}\n{first}");
    let both = scene.replica(2);
    assert!(both.credential(&acme(), "a").await.is_ok(), "the old one still unwraps");
    let done = both.rewrap().await.unwrap();
    assert_eq!((done.by.as_str(), done.moved, done.tenants), ("k2", 2, 2));
    assert_eq!(both.rewrap().await.unwrap().moved, 0);
    // The old process has the data key in memory under its old wrapping, and cannot unwrap the new
    // one: it says which key it needs.
    let error = old.credential(&acme(), "a").await.unwrap_err();
    assert!(matches!(error, JobError::Retry { .. }) && error.text(300).contains("\"k2\""));
    scene.ring = new_only;
    let new = scene.replica(3);
    assert!(
        new.credential(&acme(), "a").await.is_ok() && new.credential(&other, "b").await.is_ok()
    );
    assert_eq!(cell(&scene, "account/acme/a").await, before, "no secret was touched");
}

#[tokio::test(start_paused = true)]
async fn a_shredded_tenants_secrets_open_for_nobody_and_another_tenants_do() {
    let scene = Scene::new();
    let vault = scene.replica(1);
    for name in ["a", "b", "c"] {
        vault.add(scene.account(name)).await.unwrap();
    }
    let other = Tenant::from_static("acme-2");
    let there = flotilla_vault::NewAccount { tenant: other.clone(), ..scene.account("z") };
    vault.add(there).await.unwrap();
    assert!(vault.credential(&acme(), "a").await.is_ok(), "its key is in memory now");
    let copy = cell(&scene, "account/acme/a").await;

    let done = vault.shred(&acme()).await.unwrap();
    assert_eq!((done.key, done.accounts), (true, 3));
    assert!(vault.list(Some(&acme()), None, 10).await.unwrap().is_empty());
    // From a copy of the cells, in the very process that had the key in memory.
    put(&scene, "account/acme/a", &copy).await;
    assert!(matches!(vault.credential(&acme(), "a").await, Err(JobError::Park { .. })));
    // Also when the tenant begins anew.
    vault.add(scene.account("new")).await.unwrap();
    let again = scene.replica(2);
    put(&scene, "account/acme/a", &copy).await;
    assert!(matches!(again.credential(&acme(), "a").await, Err(JobError::Park { .. })));
    assert!(again.credential(&other, "z").await.is_ok());
    let none = vault.shred(&Tenant::from_static("nobody")).await.unwrap();
    assert_eq!((none.key, none.accounts), (false, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_moved_or_changed_does_not_open_and_its_owner_is_asked() {
    let scene = Scene::new();
    let vault = scene.replica(1);
    for name in ["a", "b"] {
        vault.add(scene.account(name)).await.unwrap();
    }
    // The secrets of b under the name of a.
    let (mut a, b) = (cell(&scene, "account/acme/a").await, cell(&scene, "account/acme/b").await);
    a["sealed"] = b["sealed"].clone();
    put(&scene, "account/acme/a", &a).await;
    let error = vault.credential(&acme(), "a").await.unwrap_err();
    assert!(matches!(&error, JobError::Park { reason, .. } if reason.contains("cannot be opened")));
    let status = vault.show(&acme(), "a").await.unwrap().account.status;
    assert!(matches!(status, AccountStatus::ReauthRequired { .. }));

    // Old secrets under a newer version.
    let mut b = cell(&scene, "account/acme/b").await;
    b["version"] = Value::from(2);
    put(&scene, "account/acme/b", &b).await;
    assert!(matches!(vault.renew(&acme(), "b", 2).await, Err(JobError::Park { .. })));
    assert_eq!(scene.platform.counts().calls, 0, "nothing was sent");
}
