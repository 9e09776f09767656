//! What users of other schedulers suffered from, one test for each row of the list of pains that
//! is about posting. Those about text, times and codes are beside the code.

use std::sync::Arc;

use flotilla_core::DeadClass;
use flotilla_core::scratch::Scratch;
use flotilla_sandbox::{Fault, Platform, Rule, Settings};
use serde_json::{Value, json};

use crate::stage::{End, Stage};

/// Rows of the list of pains.
const ROWS: u32 = 30;

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

/// A row for each pain, and for each row a test that is named after it.
#[test]
fn every_row_has_a_test_named_after_it() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut names = String::new();
    for place in ["pipelines/platforms", "pipelines/vault", "jobs/kinds/src"] {
        read(&root.join(place), &mut names);
    }
    let named = |row: u32| {
        names.contains(&format!("fn pain_{row}_")) || names.contains(&format!("fn pain_{row:02}_"))
    };
    let missing: Vec<_> = (1..=ROWS).filter(|row| !named(*row)).collect();
    assert!(missing.is_empty(), "no test is named after the rows {missing:?}");
}

/// All Rust below a folder.
fn read(folder: &std::path::Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry is read").path();
        if path.is_dir() {
            read(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            into.push_str(&std::fs::read_to_string(&path).expect("it is read"));
        }
    }
}

/// Row 1: a publishing call that timed out is not sent again on a guess.
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

/// Row 5: what became of a video was not clear, and it was posted once more.
#[tokio::test]
async fn pain_5_what_tiktok_was_told_without_an_answer_is_not_told_again() {
    let stage = Stage::new().await;
    stage.sandbox.set_faults(vec![on(Platform::TikTok, "content_init", Fault::DropAfter)]);
    let account = stage.connect(Platform::TikTok, &[]);
    let post = json!({"text": "leaves", "media": picture(&stage)});
    let payload = json!({"platform": "tiktok", "account": account, "post": post});
    let end = stage.run(payload).await;
    assert!(matches!(end, End::Dead(DeadClass::OutcomeUnknown, _)), "{end:?}");
    assert_eq!(stage.posts(&account).len(), 1);
}

/// Row 7: a publish that takes longer than the caller waits was sent again.
#[tokio::test]
async fn pain_7_a_publish_that_takes_too_long_is_looked_for_and_not_repeated() {
    let mut stage = Stage::new().await;
    stage.bounds.call = std::time::Duration::from_secs(2);
    stage.sandbox.set_faults(vec![first(Platform::X, "tweets", Fault::Slow { millis: 6000 })]);
    let account = stage.connect(Platform::X, &[]);
    let payload = json!({"platform": "x", "account": account, "post": {"text": "slowly"}});
    let end = stage.run(payload).await;
    assert!(matches!(&end, End::Done(result) if result.adopted), "{end:?}");
    assert_eq!(stage.posts(&account).len(), 1);
}

/// Row 8: a person who has it tried again posts twice.
#[tokio::test]
async fn pain_8_a_replay_of_an_unknown_outcome_sends_nothing() {
    let stage = Stage::new().await;
    stage.sandbox.set_faults(vec![on(Platform::LinkedIn, "posts", Fault::DropAfter)]);
    let account = stage.connect(Platform::LinkedIn, &[]);
    let payload = json!({"platform": "linkedin", "account": account, "post": {"text": "a"}});
    let (id, cells) = (stage.job(), Arc::new(Scratch::default()));
    for _ in 0..3 {
        let end = stage.run_as(id, payload.clone(), cells.clone()).await;
        assert!(matches!(end, End::Dead(DeadClass::OutcomeUnknown, _)), "{end:?}");
        stage.sandbox.set_faults(Vec::new());
    }
    assert_eq!(stage.posts(&account).len(), 1);
}

/// Rows 10 and 12: a dead token parks, and does not fail, the account's jobs.
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

/// Row 16: the platform does not say which picture of several it could not fetch.
#[tokio::test]
async fn pain_16_the_medium_that_cannot_be_used_is_named() {
    let stage = Stage::new().await;
    let body = json!({"error": {"code": 9004, "error_subcode": 2_207_052, "message": "media URI"}});
    let nth = |nth| Rule {
        nth: Some(nth),
        ..on(Platform::Instagram, "media", answer(400, body.clone(), false))
    };
    // The second picture, and the same once more.
    // A rule counts the calls that no rule before it met.
    stage.sandbox.set_faults(vec![nth(2), nth(2)]);
    let account = stage.connect(Platform::Instagram, &[]);
    let image =
        |name: &str| json!({"source": {"url": format!("http://{}/{name}.jpg", stage.files)}});
    let post = json!({"text": "leaves", "media": [image("one"), image("two"), image("three")]});
    let payload = json!({"platform": "instagram", "account": account, "post": post});
    let end = stage.run(payload).await;
    let End::Dead(DeadClass::Rejected, said) = &end else { panic!("{end:?}") };
    assert!(said.contains("media[1]: Instagram said 9004/2207052"), "{said}");
}

/// Row 17: media that nobody outside can reach.
#[tokio::test]
async fn pain_17_a_private_address_is_refused_before_anything_is_called() {
    let stage = Stage::new().await;
    for url in ["http://127.0.0.1:1/a.jpg", "http://10.0.0.7/a.jpg", "http://localhost/a.jpg"] {
        let origin = flotilla_platforms::Origin::Url(url.to_owned());
        let error = stage.media.facts(&origin).await.unwrap_err();
        assert!(
            matches!(error, flotilla_core::JobError::Fail { class: DeadClass::Invalid, .. }),
            "{url}: {error:?}"
        );
    }
}

/// Row 18: posts stuck in the queue of a worker that died before it began.
#[tokio::test]
async fn pain_18_what_a_dead_worker_had_is_posted_by_the_next() {
    let stage = Stage::new().await;
    let account = stage.connect(Platform::Pinterest, &[]);
    let post = json!({"title": "leaves", "media": picture(&stage)});
    let payload = json!({"platform": "pinterest", "account": account, "post": post});
    let end = stage.killed(&payload, 0, true).await;
    assert!(matches!(end, Some(End::Done(_))), "{end:?}");
    assert_eq!(stage.posts(&account).len(), 1);
}

/// Row 19: posts that are "publishing" for ever, since their worker died on the way.
#[tokio::test]
async fn pain_19_a_post_whose_worker_dies_on_the_way_reaches_an_end() {
    let stage = Stage::new().await;
    for nth in 0.. {
        let account = stage.connect(Platform::Instagram, &[]);
        let post = json!({"text": "leaves", "media": picture(&stage)});
        let payload = json!({"platform": "instagram", "account": account, "post": post});
        let Some(end) = stage.killed(&payload, nth, false).await else { break };
        assert!(matches!(end, End::Done(_)), "write {nth}: {end:?}");
        assert_eq!(stage.posts(&account).len(), 1, "write {nth}");
    }
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

/// Row 29: `VIDEO` is not taken any more for a video of its own.
#[tokio::test]
async fn pain_29_a_video_in_the_feed_of_instagram_is_a_reel() {
    let stage = Stage::new().await;
    let account = stage.connect(Platform::Instagram, &[]);
    let film = json!({"source": {"url": format!("http://{}/v.mp4", stage.files)}, "seconds": 20.0});
    let post = json!({"text": "film", "media": [film]});
    let payload = json!({"platform": "instagram", "account": account, "post": post});
    let end = stage.run(payload).await;
    assert!(matches!(end, End::Done(_)), "{end:?}");
    assert_eq!(stage.posts(&account)[0].kind, "reel");
}

/// Row 30: a failure of a sort nobody thought of ran the publish again.
#[tokio::test]
async fn pain_30_no_answer_of_any_sort_makes_what_cannot_be_read_back_go_out_twice() {
    let stage = Stage::new().await;
    for fault in [
        Fault::DropAfter,
        Fault::Truncate { bytes: 40 },
        Fault::Malformed { after_work: true },
        Fault::ServerError { status: 500, after_work: true },
        answer(200, json!("<html>a portal</html>"), true),
        answer(302, json!({}), true),
    ] {
        stage.sandbox.set_faults(vec![on(Platform::WhatsApp, "messages", fault.clone())]);
        let account = stage.connect(Platform::WhatsApp, &[]);
        let post = json!({"text": "a", "to": "+4915112345678"});
        let payload = json!({"platform": "whatsapp", "account": account, "post": post});
        let (id, cells) = (stage.job(), Arc::new(Scratch::default()));
        for _ in 0..2 {
            let end = stage.run_as(id, payload.clone(), cells.clone()).await;
            assert!(matches!(end, End::Dead(..)), "{fault:?}: {end:?}");
        }
        assert_eq!(stage.posts(&account).len(), 1, "{fault:?}");
    }
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
