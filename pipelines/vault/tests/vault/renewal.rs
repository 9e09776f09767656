//! One account: when its token is renewed, and what each answer leads to.

use std::sync::PoisonError;
use std::time::Duration;

use flotilla_core::account::{AccountStatus, Accounts};
use flotilla_core::clock::after;
use flotilla_core::{DeadClass, JobError};
use flotilla_vault::{Happened, NewAccount, Renewal};
use tokio::time::sleep;

use crate::support::{DAY, Fault, HOUR, Scene, acme, tokens};

#[tokio::test(start_paused = true)]
async fn a_token_is_handed_out_while_it_holds_and_renewed_in_its_last_minute() {
    let scene = Scene::new();
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    let first = vault.credential(&acme(), "a").await.unwrap();
    assert_eq!((first.version, scene.platform.counts().calls), (1, 0));
    sleep(DAY - Duration::from_secs(59)).await;
    let second = vault.credential(&acme(), "a").await.unwrap();
    assert_eq!(second.version, 2);
    assert!(second.access_token.expose().starts_with("access-a-new1"));
    let end = second.expires_at.unwrap();
    assert!(end > after(scene.now(), DAY - HOUR) && end <= after(scene.now(), DAY));
    // Another process reads it from the cell.
    let other = scene.replica(2).credential(&acme(), "a").await.unwrap();
    assert_eq!(other.access_token, second.access_token);
    assert_eq!(scene.platform.counts().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn the_one_i_used_is_renewed_once_and_a_newer_one_is_simply_given() {
    let scene = Scene::new();
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    assert_eq!(vault.renew(&acme(), "a", 1).await.unwrap().version, 2);
    assert_eq!(vault.renew(&acme(), "a", 1).await.unwrap().version, 2);
    assert_eq!(scene.platform.counts().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn unknown_names_are_invalid_and_revoked_accounts_unauthorised() {
    let scene = Scene::new();
    let vault = scene.replica(1);
    let error = vault.credential(&acme(), "b").await.unwrap_err();
    assert!(matches!(error, JobError::Fail { class: DeadClass::Invalid, .. }), "{error:?}");
    vault.add(scene.account("a")).await.unwrap();
    let (account, said) = vault.revoke(&acme(), "a").await.unwrap();
    assert!(matches!(account.status, AccountStatus::Revoked { .. }) && said.is_none());
    assert_eq!(scene.platform.counts().revoked, 1);
    let error = vault.credential(&acme(), "a").await.unwrap_err();
    assert!(matches!(error, JobError::Fail { class: DeadClass::Unauthorised, .. }), "{error:?}");
    // Connected again under the same name, versions go on.
    let added = vault.add(scene.account("a")).await.unwrap();
    assert!(added.again && !added.kept_refresh);
    assert_eq!(vault.credential(&acme(), "a").await.unwrap().version, 3);
    assert!(vault.remove(&acme(), "a").await.unwrap());
    assert!(vault.account(&acme(), "a").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn network_trouble_is_never_a_disconnect_and_costs_a_job_with_a_good_token_nothing() {
    let scene = Scene::new();
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    sleep(15 * HOUR).await;
    scene.platform.script([Fault::NotSent, Fault::Unwell, Fault::LostRequest, Fault::LostRequest]);
    let mut until = scene.now();
    for failed in 1..=3 {
        sleep(flotilla_core::clock::between(scene.now(), until)).await;
        // By the clock it is due (a jitter of an hour at most), and put off.
        sleep(2 * HOUR).await;
        let error = vault.refresh_due(&acme(), "a").await.unwrap_err();
        let JobError::Snooze { until: at, reason } = error else { panic!("{error:?}") };
        assert!(at > scene.now() && reason.contains("could not be renewed"), "{reason}");
        until = at;
        assert_eq!(vault.credential(&acme(), "a").await.unwrap().version, 1);
        let shown = vault.show(&acme(), "a").await.unwrap();
        assert_eq!((shown.failures, shown.account.status), (failed, AccountStatus::Active));
    }
    let calls = scene.platform.counts().calls;
    assert_eq!(calls, 4, "a lost answer was asked for once more at once, then left alone");
    assert_eq!(vault.show(&acme(), "a").await.unwrap().lost, 2);
    sleep(HOUR).await;
    assert!(vault.refresh_due(&acme(), "a").await.unwrap().1);
    let shown = vault.show(&acme(), "a").await.unwrap();
    assert_eq!((shown.version, shown.failures, shown.lost), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_needs_a_token_during_an_outage_is_put_off_not_failed() {
    let scene = Scene::new();
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    sleep(2 * DAY).await;
    scene.platform.script([Fault::NotSent, Fault::NotSent]);
    let error = vault.credential(&acme(), "a").await.unwrap_err();
    let JobError::Snooze { until, .. } = error else { panic!("{error:?}") };
    // Whoever comes before that asks nobody.
    assert!(matches!(vault.credential(&acme(), "a").await, Err(JobError::Snooze { .. })));
    assert_eq!(scene.platform.counts().calls, 1);
    sleep(flotilla_core::clock::between(scene.now(), until)).await;
    assert!(matches!(vault.credential(&acme(), "a").await, Err(JobError::Snooze { .. })));
    sleep(HOUR).await;
    assert_eq!(vault.credential(&acme(), "a").await.unwrap().version, 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_grant_parks_the_jobs_tells_and_connecting_again_wakes_them() {
    let scene = Scene::with(|platform| platform.single_use = false);
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    sleep(2 * DAY).await;
    scene.platform.script([Fault::Grant]);
    let error = vault.credential(&acme(), "a").await.unwrap_err();
    let JobError::Park { key, reason } = error else { panic!("{error:?}") };
    assert_eq!(key, "account/acme/a");
    assert!(reason.contains("connected again") && reason.contains("revoked"), "{reason}");
    let shown = vault.show(&acme(), "a").await.unwrap();
    assert!(matches!(shown.account.status, AccountStatus::ReauthRequired { .. }));
    assert_eq!(scene.heard.what(), [Happened::ReauthRequired]);
    // Nobody is asked again, and nobody told twice.
    assert!(matches!(vault.credential(&acme(), "a").await, Err(JobError::Park { .. })));
    assert!(matches!(vault.refresh_due(&acme(), "a").await, Err(JobError::Park { .. })));
    assert_eq!((scene.platform.counts().calls, scene.heard.what().len()), (1, 1));

    vault.add(scene.account("a")).await.unwrap();
    assert_eq!(scene.heard.what(), [Happened::ReauthRequired, Happened::Reconnected]);
    let woken = scene.heard.woken.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(woken, ["account/acme/a"]);
    assert_eq!(vault.credential(&acme(), "a").await.unwrap().version, 2);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_told_is_told_by_the_next_sweep() {
    let scene = Scene::with(|platform| platform.single_use = false);
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    *scene.heard.deaf.lock().unwrap() = true;
    let error = vault.refused(&acme(), "a", 1, "checkpoint").await;
    assert!(matches!(error, JobError::Snooze { .. }), "young: {error:?}");
    sleep(HOUR).await;
    scene.platform.script([Fault::Grant]);
    let error = vault.refused(&acme(), "a", 1, "checkpoint").await;
    assert!(matches!(error, JobError::Park { .. }), "{error:?}");
    assert!(scene.heard.what().is_empty());
    *scene.heard.deaf.lock().unwrap() = false;
    vault.sweep(None, HOUR).await.unwrap();
    vault.sweep(None, HOUR).await.unwrap();
    assert_eq!(scene.heard.what(), [Happened::ReauthRequired]);
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_is_gone_leaves_a_good_access_token_in_use_to_its_end() {
    let scene = Scene::with(|platform| platform.single_use = false);
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    sleep(20 * HOUR).await;
    scene.platform.script([Fault::Grant]);
    assert!(!vault.refresh_due(&acme(), "a").await.unwrap().1);
    assert_eq!(scene.heard.what(), [Happened::Expiring]);
    assert_eq!(vault.credential(&acme(), "a").await.unwrap().version, 1);
    let shown = vault.show(&acme(), "a").await.unwrap();
    assert_eq!((shown.due_at, shown.ends_at), (None, shown.account.expires_at));
    sleep(4 * HOUR).await;
    assert!(matches!(vault.credential(&acme(), "a").await, Err(JobError::Park { .. })));
    assert_eq!(scene.platform.counts().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_app_stops_the_platform_for_all_and_disconnects_nobody() {
    let scene = Scene::new();
    let (one, two) = (scene.replica(1), scene.replica(2));
    for name in ["a", "b", "c"] {
        one.add(scene.account(name)).await.unwrap();
    }
    sleep(2 * DAY).await;
    scene.platform.script([Fault::BadApp]);
    for (vault, name) in [(&one, "a"), (&two, "b"), (&two, "c")] {
        let error = vault.credential(&acme(), name).await.unwrap_err();
        let JobError::Snooze { until, reason } = error else { panic!("{error:?}") };
        assert!(until >= after(scene.now(), scene.settings.stop - Duration::from_secs(2)));
        assert!(reason.contains("refuses this app"), "{reason}");
        let shown = vault.show(&acme(), name).await.unwrap();
        assert_eq!(shown.account.status, AccountStatus::Active);
    }
    assert_eq!(scene.platform.counts().calls, 1, "the others asked nobody");
    assert_eq!(two.stops().await.unwrap()[0].platform, "rotating");
    // Another app may try at once.
    *scene.platform.app.lock().unwrap() = "app-2".into();
    assert_eq!(two.credential(&acme(), "b").await.unwrap().version, 2);
    // And the same app after the pause.
    *scene.platform.app.lock().unwrap() = "app-1".into();
    sleep(HOUR).await;
    assert_eq!(one.credential(&acme(), "a").await.unwrap().version, 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_replaces_itself_waits_for_its_age_and_is_gone_after_its_end() {
    let scene = Scene::with(|platform| {
        platform.ttl = 60 * DAY;
        platform.returns_refresh = false;
        platform.single_use = false;
        let mut rule = platform.rule.lock().unwrap();
        (rule.renewal, rule.min_age) = (Renewal::Itself, DAY);
        (rule.lead, rule.jitter) = (Some(10 * DAY), 5 * DAY);
    });
    let vault = scene.replica(1);
    let no_refresh = |name: &str| {
        let new = scene.account(name);
        NewAccount { tokens: tokens(new.tokens.access.expose(), None), ..new }
    };
    vault.add(no_refresh("a")).await.unwrap();
    vault.add(no_refresh("b")).await.unwrap();
    let error = vault.refresh_now(&acme(), "a").await.unwrap_err();
    assert!(matches!(error, JobError::Snooze { .. }), "younger than a day: {error:?}");
    let due = vault.show(&acme(), "a").await.unwrap().due_at.unwrap();
    let begin = after(scene.now(), 50 * DAY);
    assert!(due >= begin && due <= after(begin, 5 * DAY), "{due}");
    sleep(56 * DAY).await;
    assert!(vault.refresh_due(&acme(), "a").await.unwrap().1);
    sleep(5 * DAY).await;
    let error = vault.credential(&acme(), "b").await.unwrap_err();
    assert!(matches!(&error, JobError::Park { reason, .. } if reason.contains("after its end")));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_finds_what_falls_due_and_spreads_it() {
    let scene = Scene::new();
    let vault = scene.replica(1);
    for n in 0..40 {
        vault.add(scene.account(&format!("a{n}"))).await.unwrap();
    }
    let early = vault.sweep(None, 15 * HOUR).await.unwrap();
    assert_eq!((early.seen, early.due.len(), early.next), (40, 0, None));
    let all = vault.sweep(None, 17 * HOUR).await.unwrap();
    assert_eq!((all.due.len(), all.overdue), (40, 0));
    let first = all.due.iter().map(|due| due.at).min().unwrap();
    let last = all.due.iter().map(|due| due.at).max().unwrap();
    let spread = flotilla_core::clock::between(first, last);
    assert!(spread > HOUR / 2 && spread <= HOUR, "{spread:?}");
}
