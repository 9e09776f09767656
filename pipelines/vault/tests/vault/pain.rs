//! The troubles of other schedulers with tokens, one test each, by their row in the fact sheet.

use std::time::Duration;

use flotilla_core::JobError;
use flotilla_core::account::{AccountStatus, Accounts};
use flotilla_core::clock::after;
use flotilla_vault::{Happened, NewAccount, Renewal, Tokens};
use tokio::time::sleep;

use crate::support::{DAY, Fault, HOUR, Scene, acme};

/// PR #1682, #1741: a token that ended while a video was being processed led to a second upload.
/// Whoever polls gets another token under the same call and goes on where it was.
#[tokio::test(start_paused = true)]
async fn pain_04_a_token_that_ends_while_a_job_polls_is_replaced_without_starting_over() {
    let scene = Scene::new();
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    sleep(DAY - Duration::from_secs(90)).await;
    let used = vault.credential(&acme(), "a").await.unwrap();
    sleep(Duration::from_secs(95)).await;
    let next = vault.renew(&acme(), "a", used.version).await.unwrap();
    assert_eq!((used.version, next.version), (1, 2));
    assert_eq!(vault.credential(&acme(), "a").await.unwrap().access_token, next.access_token);
}

/// PR #1884: a connection without a new refresh token overwrote the stored one with nothing.
#[tokio::test(start_paused = true)]
async fn pain_09_connecting_again_without_a_refresh_token_keeps_the_one_that_is_there() {
    let scene =
        Scene::with(|platform| (platform.single_use, platform.returns_refresh) = (false, false));
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    let new = scene.account("a");
    let tokens = Tokens { refresh: None, ..new.tokens.clone() };
    let added = vault.add(NewAccount { tokens, ..new }).await.unwrap();
    assert!(added.again && added.kept_refresh && added.ends_at.is_none());
    sleep(2 * DAY).await;
    assert_eq!(vault.credential(&acme(), "a").await.unwrap().version, 3);
    // And a renewal that brings none keeps it as well.
    sleep(2 * DAY).await;
    assert_eq!(vault.credential(&acme(), "a").await.unwrap().version, 4);
}

/// trypost #126, PR #171, #299: rotated every hour because window and lifetime were the same.
#[tokio::test(start_paused = true)]
async fn pain_10_a_lazy_token_is_not_rotated_by_the_clock_and_no_trouble_disconnects() {
    let scene = Scene::with(|platform| {
        platform.ttl = 2 * HOUR;
        let mut rule = platform.rule.lock().unwrap();
        (rule.lead, rule.ahead) = (None, Duration::from_secs(600));
        (rule.idle, rule.jitter) = (Some(150 * DAY), DAY);
    });
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    for _ in 0..48 {
        sleep(HOUR).await;
        assert!(vault.sweep(None, HOUR).await.unwrap().due.is_empty());
    }
    assert_eq!(scene.platform.counts().calls, 0);
    assert_eq!(vault.credential(&acme(), "a").await.unwrap().version, 2);
    // The first answer that is not 200 says nothing about the account.
    sleep(3 * HOUR).await;
    scene.platform.script([Fault::Unwell]);
    assert!(matches!(vault.credential(&acme(), "a").await, Err(JobError::Snooze { .. })));
    assert_eq!(vault.show(&acme(), "a").await.unwrap().account.status, AccountStatus::Active);
    // What nobody uses for five months is kept from being forgotten.
    sleep(152 * DAY).await;
    assert_eq!(vault.sweep(None, HOUR).await.unwrap().due.len(), 1);
    assert!(vault.refresh_due(&acme(), "a").await.unwrap().1);
}

/// postiz #2055: connecting again never cleared the flag.
#[tokio::test(start_paused = true)]
async fn pain_11_connecting_again_clears_everything_that_stood_in_the_way() {
    let scene = Scene::with(|platform| platform.single_use = false);
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    for _ in 0..3 {
        sleep(2 * DAY).await;
        scene.platform.script([Fault::LostRequest, Fault::LostRequest]);
        let _ = vault.credential(&acme(), "a").await;
        sleep(HOUR).await;
        scene.platform.script([Fault::Grant]);
        assert!(matches!(vault.credential(&acme(), "a").await, Err(JobError::Park { .. })));
        vault.add(scene.account("a")).await.unwrap();
        let shown = vault.show(&acme(), "a").await.unwrap();
        assert_eq!(shown.account.status, AccountStatus::Active);
        assert_eq!((shown.failures, shown.lost, shown.last_error), (0, 0, None));
        assert!(vault.credential(&acme(), "a").await.is_ok());
    }
}

/// `KickDevDocs` #52, oauth-v2-1 #212: up to a percent of connections a day lost with the answer.
#[tokio::test(start_paused = true)]
async fn pain_12_a_lost_answer_of_a_rotating_token_is_asked_for_once_more_at_once() {
    // Where the request was lost, or the platform forgives, nothing is lost.
    let scene = Scene::new();
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    scene.platform.script([Fault::LostRequest]);
    assert_eq!(vault.renew(&acme(), "a", 1).await.unwrap().version, 2);
    assert_eq!(scene.platform.counts().calls, 2);
    // Where it was spent, the family is gone, which the platform says; then its owner is asked,
    // but jobs go on with the access token that still holds... which this platform has ended too.
    scene.platform.script([Fault::LostAnswer]);
    let error = vault.renew(&acme(), "a", 2).await.unwrap_err();
    let JobError::Park { reason, .. } = error else { panic!("{error:?}") };
    assert!(reason.contains("was lost"), "{reason}");
    assert_eq!(scene.heard.what(), [Happened::ReauthRequired]);
}

/// omniauth-linkedin-openid #6, fastapi-sso #196: REVOKED for seconds after login.
#[tokio::test(start_paused = true)]
async fn pain_13_a_young_token_that_is_called_revoked_is_tried_again_before_anything_else() {
    let scene = Scene::with(|platform| platform.rule.lock().unwrap().renewal = Renewal::Nothing);
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    for _ in 0..5 {
        let error = vault.refused(&acme(), "a", 1, "65601 REVOKED_ACCESS_TOKEN").await;
        let JobError::Snooze { until, .. } = error else { panic!("{error:?}") };
        assert!(until <= after(scene.now(), Duration::from_secs(10)));
        sleep(Duration::from_secs(10)).await;
    }
    sleep(Duration::from_secs(20)).await;
    let error = vault.refused(&acme(), "a", 1, "65601 REVOKED_ACCESS_TOKEN").await;
    assert!(matches!(error, JobError::Park { .. }), "{error:?}");
}

/// jetpack #16027: connections ended after 60 days without a word.
#[tokio::test(start_paused = true)]
async fn pain_27_an_end_that_only_its_owner_can_put_off_is_announced_before() {
    let scene = Scene::with(|platform| {
        platform.ttl = 60 * DAY;
        platform.rule.lock().unwrap().extends = false;
    });
    let vault = scene.replica(1);
    let new = scene.account("alone");
    let tokens = Tokens { refresh: None, ..new.tokens.clone() };
    let added = vault.add(NewAccount { tokens, ..new }).await.unwrap();
    assert_eq!(added.ends_at, added.account.expires_at);
    // A year from consent, whatever is renewed in between.
    let year = Some(after(scene.now(), 365 * DAY));
    vault.add(NewAccount { refresh_expires_at: year, ..scene.account("year") }).await.unwrap();
    let mut heard = Vec::new();
    for day in 1..=364 {
        sleep(DAY).await;
        vault.sweep(None, HOUR).await.unwrap();
        let _ = vault.refresh_due(&acme(), "year").await;
        let mut told = scene.heard.told.lock().unwrap();
        heard.extend(told.drain(..).map(|notice| (notice.account, notice.what, day)));
    }
    let days = |name: &str| -> Vec<i32> {
        let warned = heard.iter().filter(|(of, what, _)| of == name && *what == Happened::Expiring);
        warned.map(|(_, _, day)| *day).collect()
    };
    assert_eq!(days("alone"), [46, 53, 59]);
    assert_eq!(days("year"), [351, 358, 364]);
}

/// instagram-token-agent #10: the clock never renewed, and nobody noticed.
#[tokio::test(start_paused = true)]
async fn pain_28_a_renewal_that_is_overdue_is_seen() {
    let scene = Scene::new();
    let vault = scene.replica(1);
    vault.add(scene.account("a")).await.unwrap();
    sleep(20 * HOUR).await;
    let swept = vault.sweep(None, HOUR).await.unwrap();
    assert_eq!((swept.due.len(), swept.overdue), (1, 1));
    assert!(vault.show(&acme(), "a").await.unwrap().overdue);
    vault.refresh_due(&acme(), "a").await.unwrap();
    assert!(!vault.show(&acme(), "a").await.unwrap().overdue);
}
