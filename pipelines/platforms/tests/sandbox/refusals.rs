//! What a platform refuses, and what becomes of the post then: waited out, tried once more, begun
//! anew, or ended, as the documents say of each code.

use std::sync::Arc;
use std::time::Duration;

use flotilla_core::clock::between;
use flotilla_core::scratch::Scratch;
use flotilla_core::{Clock, DeadClass};
use flotilla_sandbox::{Fault, Platform, Rule};
use serde_json::{Value, json};

use crate::stage::{End, Stage};

/// The first calls of an endpoint are answered like this.
fn first(platform: Platform, endpoint: &str, times: u64, status: u16, body: Value) -> Rule {
    let headers = std::collections::BTreeMap::new();
    let mut rule = Rule::new(Fault::Answer { status, headers, body, after_work: false });
    (rule.platform, rule.endpoint) = (Some(platform), Some(endpoint.to_owned()));
    rule.times = Some(times);
    rule
}

fn meta(code: i64, message: &str) -> Value {
    json!({"error": {"message": message, "type": "OAuthException", "code": code}})
}

/// Runs a post on a new account; gives its end, how long it took, and how many posts there are.
async fn posted(stage: &Stage, platform: Platform, post: Value) -> (End, Duration, usize) {
    let account = stage.connect(platform, &[]);
    let begun = stage.clock.now();
    let payload = json!({"platform": platform.name(), "account": account, "post": post});
    let end = stage.run_as(stage.job(), payload, Arc::new(Scratch::default())).await;
    (end, between(begun, stage.clock.now()), stage.posts(&account).len())
}

fn message() -> Value {
    json!({"text": "a", "to": "+4915112345678"})
}

fn film() -> Value {
    json!({"text": "film", "media": [{"source": {"blob": "v.mp4"}, "seconds": 20.0}]})
}

fn picture(stage: &Stage) -> Value {
    json!({"text": "leaves", "media": [{"source": {"url": format!("http://{}/one.jpg", stage.files)}}]})
}

#[tokio::test]
async fn a_message_that_came_too_soon_is_sent_a_little_later() {
    let stage = Stage::new().await;
    for code in [131_056, 131_000, 131_016] {
        let refused = first(Platform::WhatsApp, "messages", 2, 400, meta(code, "later"));
        stage.sandbox.set_faults(vec![refused]);
        let (end, _, posts) = posted(&stage, Platform::WhatsApp, message()).await;
        assert!(matches!(end, End::Done(_)), "{code}: {end:?}");
        assert_eq!(posts, 1);
    }
}

#[tokio::test]
async fn who_had_enough_messages_for_today_is_asked_once_more_a_day_later() {
    let stage = Stage::new().await;
    let refused =
        |times| first(Platform::WhatsApp, "messages", times, 400, meta(131_049, "enough"));
    stage.sandbox.set_faults(vec![refused(1)]);
    let (end, took, posts) = posted(&stage, Platform::WhatsApp, message()).await;
    assert!(matches!(end, End::Done(_)), "{end:?}");
    assert!(posts == 1 && took > Duration::from_secs(24 * 3600), "{took:?}");
    stage.sandbox.set_faults(vec![refused(2)]);
    let (end, _, posts) = posted(&stage, Platform::WhatsApp, message()).await;
    assert!(matches!(end, End::Dead(DeadClass::Rejected, _)), "{end:?}");
    assert_eq!(posts, 0);
}

#[tokio::test]
async fn a_link_that_could_not_be_looked_at_is_tried_once_more() {
    let stage = Stage::new().await;
    let post = || json!({"text": "a", "link": "https://example.com/sale"});
    let refused = |times| first(Platform::Facebook, "feed", times, 400, meta(1_609_005, "scrape"));
    stage.sandbox.set_faults(vec![refused(1)]);
    let (end, _, posts) = posted(&stage, Platform::Facebook, post()).await;
    assert!(matches!(end, End::Done(_)) && posts == 1, "{end:?}");
    stage.sandbox.set_faults(vec![refused(2)]);
    let (end, _, posts) = posted(&stage, Platform::Facebook, post()).await;
    assert!(matches!(end, End::Dead(DeadClass::Rejected, _)) && posts == 0, "{end:?}");
}

#[tokio::test]
async fn the_live_quota_of_instagram_is_asked_for_and_waited_for() {
    let stage = Stage::new().await;
    let spent = json!({"data": [{"quota_usage": 25, "config": {"quota_total": 25, "quota_duration": 86_400}}]});
    let spent = first(Platform::Instagram, "publishing_limit", 3, 200, spent);
    stage.sandbox.set_faults(vec![spent]);
    let (end, took, posts) = posted(&stage, Platform::Instagram, picture(&stage)).await;
    assert!(matches!(end, End::Done(_)), "{end:?}");
    assert!(posts == 1 && took >= Duration::from_secs(3 * 3600), "{took:?}");
}

fn failed(reason: &str) -> Value {
    json!({
        "data": {"status": "FAILED", "fail_reason": reason},
        "error": {"code": "ok", "message": "", "log_id": "1"},
    })
}

#[tokio::test]
async fn what_tiktok_gave_up_is_begun_again_when_it_may_be() {
    let stage = Stage::new().await;
    for (reason, post, at_least) in [
        ("internal", film(), 0),
        ("photo_pull_failed", picture(&stage), 0),
        ("spam_risk_too_many_posts", film(), 20 * 3600),
        ("spam_risk_too_many_posts", picture(&stage), 20 * 3600),
    ] {
        stage.sandbox.set_faults(vec![first(Platform::TikTok, "status", 1, 200, failed(reason))]);
        let (end, took, _) = posted(&stage, Platform::TikTok, post).await;
        assert!(matches!(end, End::Done(_)), "{reason}: {end:?}");
        assert!(took >= Duration::from_secs(at_least), "{reason}: {took:?}");
    }
    for reason in ["file_format_check_failed", "spam_risk_user_banned_from_posting"] {
        stage.sandbox.set_faults(vec![first(Platform::TikTok, "status", 1, 200, failed(reason))]);
        let (end, ..) = posted(&stage, Platform::TikTok, film()).await;
        assert!(matches!(end, End::Dead(DeadClass::Rejected, _)), "{reason}: {end:?}");
    }
    stage.sandbox.set_faults(vec![first(
        Platform::TikTok,
        "status",
        1,
        200,
        failed("auth_removed"),
    )]);
    let (end, ..) = posted(&stage, Platform::TikTok, film()).await;
    assert!(matches!(end, End::Parked(_)), "{end:?}");
}

#[tokio::test]
async fn what_a_creator_switched_off_stays_off() {
    let stage = Stage::new().await;
    let flags = [("comment_disabled", "true"), ("duet_disabled", "true")];
    let account = stage.connect(Platform::TikTok, &flags);
    let payload = json!({"platform": "tiktok", "account": account, "post": film()});
    let end = stage.run(payload).await;
    assert!(matches!(end, End::Done(_)), "{end:?}");
    let info = &stage.posts(&account)[0].extra;
    assert_eq!(
        [&info["disable_comment"], &info["disable_duet"], &info["disable_stitch"]],
        [&json!(true), &json!(true), &json!(false)]
    );
}

#[tokio::test]
async fn a_message_that_no_webhook_speaks_of_is_waited_for_and_never_sent_again() {
    let mut stage = Stage::new().await;
    stage.webhooks = true;
    let (end, took, posts) = posted(&stage, Platform::WhatsApp, message()).await;
    let End::Done(result) = &end else { panic!("{end:?}") };
    let note = result.notes.iter().find(|note| note.contains("no webhook")).unwrap();
    assert!(note.starts_with("accepted") && took > Duration::from_secs(1800), "{note} {took:?}");
    assert_eq!(posts, 1);
    let mut lost = Rule::new(Fault::DropAfter);
    (lost.platform, lost.endpoint) = (Some(Platform::WhatsApp), Some("messages".to_owned()));
    stage.sandbox.set_faults(vec![lost]);
    let (end, took, posts) = posted(&stage, Platform::WhatsApp, message()).await;
    assert!(matches!(end, End::Dead(DeadClass::OutcomeUnknown, _)), "{end:?}");
    assert!(posts == 1 && took > Duration::from_secs(1800), "{took:?}");
}
