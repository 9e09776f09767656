//! What users of other schedulers suffered from, one test for each row of the list of pains that
//! is about posting. Those about text, times and codes are beside the code.

use std::sync::Arc;

use flotilla_core::DeadClass;
use flotilla_core::scratch::Scratch;
use flotilla_sandbox::{Fault, Platform, Rule, Settings};
use serde_json::{Value, json};

use crate::stage::{End, Stage};

fn on(platform: Platform, endpoint: &str, fault: Fault) -> Rule {
    let mut rule = Rule::new(fault);
    (rule.platform, rule.endpoint) = (Some(platform), Some(endpoint.to_owned()));
    rule
}

fn first(platform: Platform, endpoint: &str, fault: Fault) -> Rule {
    Rule { times: Some(1), ..on(platform, endpoint, fault) }
}

fn answer(status: u16, body: Value, after_work: bool) -> Fault {
    Fault::Answer { status, headers: std::collections::BTreeMap::new(), body, after_work }
}

fn picture(stage: &Stage) -> Value {
    json!([{"source": {"url": format!("http://{}/one.jpg", stage.files)}}])
}

async fn instagram(stage: &Stage) -> (End, usize) {
    let account = stage.connect(Platform::Instagram, &[]);
    let post = json!({"text": "leaves", "media": picture(stage)});
    let payload = json!({"platform": "instagram", "account": account, "post": post});
    let end = stage.run(payload).await;
    (end, stage.posts(&account).len())
}

/// Rows 1, 5, 7, 8, 30: a publishing call that timed out is not sent again on a guess.
#[tokio::test]
async fn pain_1_a_publish_without_an_answer_is_read_back_and_not_repeated() {
    let stage = Stage::new().await;
    stage.sandbox.set_faults(vec![first(Platform::X, "tweets", Fault::DropAfter)]);
    let account = stage.connect(Platform::X, &[]);
    let payload = json!({"platform": "x", "account": account, "post": {"text": "once"}});
    let End::Done(result) = stage.run(payload).await else { panic!() };
    let posts = stage.posts(&account);
    assert_eq!((posts.len(), result.adopted), (1, true));
    assert_eq!(result.id.as_deref(), Some(posts[0].id.as_str()));
}

/// Row 2: an error after the publish ran the publish again, for ever.
#[tokio::test]
async fn pain_2_an_error_after_the_publish_does_not_publish_again() {
    let stage = Stage::new().await;
    let refused = answer(400, json!({"error": {"code": 100, "message": "no comments"}}), false);
    stage.sandbox.set_faults(vec![on(Platform::Facebook, "comments", refused)]);
    let account = stage.connect(Platform::Facebook, &[]);
    let post = json!({"text": "once", "first_comment": "more"});
    let payload = json!({"platform": "facebook", "account": account, "post": post});
    let (id, cells) = (stage.job(), Arc::new(Scratch::default()));
    for _ in 0..3 {
        let end = stage.run_as(id, payload.clone(), cells.clone()).await;
        assert!(matches!(end, End::Dead(DeadClass::Rejected, _)), "of the comment: {end:?}");
    }
    assert_eq!(stage.posts(&account).len(), 1);
}

/// Row 3: 2207051 is said of a post that went live.
#[tokio::test]
async fn pain_3_a_spam_block_of_a_live_post_is_a_live_post() {
    let stage = Stage::new().await;
    let body = json!({"error": {"code": 4, "error_subcode": 2_207_051, "message": "blocked"}});
    let live = first(Platform::Instagram, "media_publish", answer(400, body.clone(), true));
    stage.sandbox.set_faults(vec![live]);
    let (end, posts) = instagram(&stage).await;
    assert!(matches!(&end, End::Done(result) if result.adopted), "{end:?}");
    assert_eq!(posts, 1);
    let not_live = on(Platform::Instagram, "media_publish", answer(400, body, false));
    stage.sandbox.set_faults(vec![not_live]);
    let (end, posts) = instagram(&stage).await;
    assert!(matches!(end, End::Dead(DeadClass::Rejected, _)), "{end:?}");
    assert_eq!(posts, 0);
}

/// Row 4: a token that expired while TikTok was polled began the post anew.
#[tokio::test]
async fn pain_4_a_token_that_expires_while_waiting_is_renewed_and_nothing_begins_anew() {
    let stage = Stage::new().await;
    stage.sandbox.set_faults(vec![first(Platform::TikTok, "status", Fault::ExpireToken)]);
    let account = stage.connect(Platform::TikTok, &[]);
    let post = json!({"text": "film", "media": [{"source": {"blob": "v.mp4"}, "seconds": 20.0}]});
    let payload = json!({"platform": "tiktok", "account": account, "post": post});
    let end = stage.run(payload).await;
    assert!(matches!(end, End::Done(_)), "{end:?}");
    assert_eq!(stage.posts(&account).len(), 1);
}

/// Rows 9 to 12, 19: a dead token parks, and does not fail, the account's jobs.
#[tokio::test]
async fn pain_10_a_dead_token_parks_the_job_under_its_account() {
    let stage = Stage::new().await;
    stage.sandbox.set_faults(vec![on(Platform::Facebook, "feed", Fault::RevokeToken)]);
    let account = stage.connect(Platform::Facebook, &[]);
    let payload = json!({"platform": "facebook", "account": account, "post": {"text": "a"}});
    let end = stage.run(payload).await;
    let expected = format!("account/default/{account}");
    assert!(matches!(&end, End::Parked(key) if *key == expected), "{end:?}");
}

/// Row 14: a container was published before it was ready.
#[tokio::test]
async fn pain_14_a_container_is_published_when_it_is_ready() {
    let settings = Settings {
        image_processing: std::time::Duration::from_secs(40),
        enforce_quotas: false,
        ..Settings::default()
    };
    let stage = Stage::with(settings).await;
    let (end, posts) = instagram(&stage).await;
    assert!(matches!(end, End::Done(_)), "{end:?}");
    assert_eq!(posts, 1);
}

/// Row 15: a status that says 100/33 although all is well.
#[tokio::test]
async fn pain_15_a_status_that_cannot_be_read_is_read_again() {
    let stage = Stage::new().await;
    let body = json!({"error": {"code": 100, "error_subcode": 33, "message": "does not exist"}});
    stage.sandbox.set_faults(vec![first(Platform::Instagram, "object", answer(400, body, false))]);
    let (end, posts) = instagram(&stage).await;
    assert!(matches!(end, End::Done(_)), "{end:?}");
    assert_eq!(posts, 1);
}

/// Row 23: a version that was switched off made every post of every user fail.
#[tokio::test]
async fn pain_23_a_version_that_is_switched_off_stops_the_platform_and_fails_no_post() {
    let stage = Stage::new().await;
    stage.sandbox.set_faults(vec![first(Platform::LinkedIn, "posts", Fault::Sunset)]);
    let account = stage.connect(Platform::LinkedIn, &[("kind", "organization")]);
    let payload = json!({"platform": "linkedin", "account": account, "post": {"text": "a"}});
    let begun = flotilla_core::Clock::now(&*stage.clock);
    let end = stage.run(payload).await;
    assert!(matches!(end, End::Done(_)), "{end:?}");
    let waited = flotilla_core::clock::between(begun, flotilla_core::Clock::now(&*stage.clock));
    assert!(waited.as_secs() >= 3600, "it waited for somebody to mend it");
}

/// Row 25: an answer without data was taken for a success.
#[tokio::test]
async fn pain_25_an_answer_without_an_id_is_no_success() {
    let stage = Stage::new().await;
    let rule = first(Platform::Facebook, "feed", answer(200, json!({}), false));
    stage.sandbox.set_faults(vec![rule]);
    let account = stage.connect(Platform::Facebook, &[]);
    let payload = json!({"platform": "facebook", "account": account, "post": {"text": "a"}});
    let end = stage.run(payload).await;
    assert!(matches!(&end, End::Done(result) if result.id.is_some()), "{end:?}");
    assert_eq!(stage.posts(&account).len(), 1);
}

/// Where nothing can be read back, a person is told what to look at.
#[tokio::test]
async fn an_unknown_outcome_says_where_to_look() {
    let stage = Stage::new().await;
    stage.sandbox.set_faults(vec![on(Platform::WhatsApp, "messages", Fault::DropAfter)]);
    let account = stage.connect(Platform::WhatsApp, &[]);
    let post = json!({"text": "a", "to": "+4915112345678"});
    let payload = json!({"platform": "whatsapp", "account": account, "post": post});
    let end = stage.run(payload).await;
    let End::Dead(DeadClass::OutcomeUnknown, said) = &end else { panic!("{end:?}") };
    assert!(said.contains("biz_opaque_callback_data \"job:"), "{said}");
    assert_eq!(stage.posts(&account).len(), 1);
}

/// A limit is waited out and costs no attempt.
#[tokio::test]
async fn a_limit_is_waited_out() {
    let stage = Stage::new().await;
    let fault = Fault::RateLimit { code: None, wait_s: Some(120), hold: false };
    stage.sandbox.set_faults(vec![first(Platform::X, "tweets", fault)]);
    let account = stage.connect(Platform::X, &[]);
    let payload = json!({"platform": "x", "account": account, "post": {"text": "a"}});
    let begun = flotilla_core::Clock::now(&*stage.clock);
    let end = stage.run(payload).await;
    assert!(matches!(end, End::Done(_)), "{end:?}");
    let waited = flotilla_core::clock::between(begun, flotilla_core::Clock::now(&*stage.clock));
    assert!((100..900).contains(&waited.as_secs()), "{waited:?}");
}
