//! Fault scripts, inspection and bounds.

use std::time::Duration;

use flotilla_sandbox::{Fault, Platform, Rule, Sandbox, Settings};
use serde_json::json;

use crate::{Stage, go, stage, stage_with};

fn feed(stage: &Stage, page: &flotilla_sandbox::Connected, text: &str) -> reqwest::RequestBuilder {
    let path = format!("/facebook/v26.0/{}/feed", page.external_id);
    stage.post(&path).bearer_auth(&page.access_token).form(&[("message", text)])
}

#[tokio::test]
async fn a_lost_answer_is_lost_before_or_after_the_work() {
    let stage = stage().await;
    let page = stage.connect(Platform::Facebook);
    let meet = |fault| {
        stage.sandbox.set_faults(vec![Rule { endpoint: Some("feed".into()), ..Rule::new(fault) }]);
    };
    meet(Fault::DropBefore);
    assert!(feed(&stage, &page, "one").send().await.is_err());
    assert_eq!(stage.sandbox.posts().len(), 0);
    meet(Fault::DropAfter);
    assert!(feed(&stage, &page, "two").send().await.is_err());
    assert_eq!(stage.last_post().text, "two");
    meet(Fault::Truncate { bytes: 20 });
    assert!(feed(&stage, &page, "three").send().await.is_err());
    assert_eq!(stage.last_post().text, "three");
    meet(Fault::ServerError { status: 500, after_work: true });
    let unknown = go(feed(&stage, &page, "four")).await;
    assert_eq!((unknown.status, unknown.meta().0), (500, 2));
    assert_eq!(stage.last_post().text, "four");
    meet(Fault::Malformed { after_work: false });
    let malformed = go(feed(&stage, &page, "five")).await;
    assert_eq!((malformed.status, malformed.body), (200, serde_json::Value::Null));
    assert_eq!(stage.sandbox.posts().len(), 3);
    let calls = go(stage.get("/_sandbox/calls?endpoint=feed")).await;
    let calls = calls.body["calls"].as_array().unwrap();
    assert_eq!(calls[1]["fault"], "drop_after");
    assert_eq!((&calls[1]["answered"], &calls[1]["status"]), (&json!(false), &json!(200)));
    assert_eq!(stage.sandbox.counts().unanswered, 3);
}

#[tokio::test]
async fn who_hangs_up_has_posted_all_the_same() {
    let latency = Duration::from_secs(3600);
    let stage = stage_with(Settings { latency, ..Settings::default() }).await;
    let page = stage.connect(Platform::Facebook);
    let gone = feed(&stage, &page, "x").timeout(Duration::from_millis(100)).send().await;
    assert!(gone.is_err_and(|error| error.is_timeout()));
    while stage.sandbox.posts().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn limits_are_said_in_the_words_of_each_platform() {
    let stage = stage().await;
    let limit = |code: serde_json::Value| Fault::RateLimit {
        code: (!code.is_null()).then_some(code),
        wait_s: Some(90),
        hold: false,
    };
    let page = stage.connect(Platform::Facebook);
    stage.sandbox.set_faults(vec![Rule::new(limit(json!(4)))]);
    let meta = go(feed(&stage, &page, "x")).await;
    // §2.3: HTTP 400, minutes in the header.
    assert_eq!((meta.status, meta.meta()), (400, (4, 0)));
    assert!(
        meta.header("x-business-use-case-usage").contains("\"estimated_time_to_regain_access\":2")
    );
    stage.sandbox.set_faults(vec![Rule::new(limit(json!(2_207_051)))]);
    let spam = go(feed(&stage, &page, "x")).await;
    assert_eq!((spam.status, spam.meta()), (403, (4, 2_207_051)));
    stage.sandbox.set_faults(vec![Rule::new(limit(json!(null)))]);
    for (platform, path, status, header) in [
        (Platform::LinkedIn, "/linkedin/rest/posts", 429, "retry-after"),
        (Platform::TikTok, "/tiktok/v2/post/publish/video/init/", 429, "retry-after"),
        (Platform::X, "/x/2/tweets", 429, "retry-after"),
        (Platform::Pinterest, "/pinterest/v5/pins", 429, "x-ratelimit-category"),
        (Platform::OpenAi, "/v1/chat/completions", 429, "retry-after-ms"),
    ] {
        let who = stage.connect(platform);
        let got = go(stage.post(path).bearer_auth(&who.access_token).json(&json!({}))).await;
        assert_eq!(got.status, status, "{path}");
        assert!(!got.header(header).is_empty(), "{path}: {header}");
    }
    stage.sandbox.set_faults(vec![Rule::new(Fault::Sunset)]);
    let who = stage.connect(Platform::LinkedIn);
    let posts = stage.post("/linkedin/rest/posts").bearer_auth(&who.access_token);
    assert_eq!(go(posts.json(&json!({}))).await.status, 426);
    stage.sandbox.set_faults(vec![Rule::new(Fault::ExpireToken)]);
    assert_eq!(go(feed(&stage, &page, "x")).await.meta(), (190, 463));
    stage.sandbox.set_faults(vec![Rule::new(Fault::RevokeToken)]);
    let who = stage.connect(Platform::X);
    let tweet = stage.post("/x/2/tweets").bearer_auth(&who.access_token);
    assert_eq!(go(tweet.json(&json!({ "text": "x" }))).await.status, 401);
}

#[tokio::test]
async fn it_is_directed_over_http_and_forgets_on_demand() {
    let stage = stage().await;
    let extra =
        json!({ "platform": "instagram", "name": "Cafe", "extra": { "login": "facebook" } });
    let who = go(stage.post("/_sandbox/accounts").json(&extra)).await;
    assert_eq!((who.status, who.text("platform").as_str()), (201, "instagram"));
    assert_eq!(who.text("base_url"), stage.sandbox.base_url());
    let unknown =
        go(stage.post("/_sandbox/accounts").json(&json!({ "platform": "myspace" }))).await;
    assert_eq!(unknown.status, 400);
    let rules = json!({ "rules": [{ "platform": "instagram", "every": 2,
        "fault": { "kind": "drop_before" } }] });
    assert_eq!(go(stage.post("/_sandbox/faults").json(&rules)).await.status, 204);
    let me = || stage.get("/instagram/v25.0/me").bearer_auth(who.text("access_token")).send();
    assert!(me().await.is_ok() && me().await.is_err() && me().await.is_ok());
    let met = go(stage.get("/_sandbox/faults")).await;
    assert_eq!(met.body["faults"][0]["met"], 1);
    let clock = go(stage.post("/_sandbox/clock").json(&json!({ "advance_s": 86_400 }))).await;
    assert_eq!(clock.text("now"), "2026-01-02T00:00:00Z");
    assert_eq!(go(stage.get("/_sandbox/accounts")).await.body["accounts"][0]["calls"], 3);
    assert_eq!(go(stage.post("/_sandbox/reset")).await.status, 204);
    assert_eq!(go(stage.get("/_sandbox/counts")).await.body["calls"], 0);
    assert_eq!(go(stage.get("/facebook/v26.0/a/b/c/d")).await.status, 404);
}

#[tokio::test]
async fn media_on_this_machine_are_fetched_and_hashed() {
    let stage = stage().await;
    let who = stage.connect(Platform::Pinterest);
    // The sandbox itself serves something to fetch.
    let url = stage.url("/_sandbox/faults");
    let body = json!({ "board_id": who.extra["board_id"], "title": "t",
        "media_source": { "source_type": "image_url", "url": url } });
    let pin = stage.post("/pinterest/v5/pins").bearer_auth(&who.access_token).json(&body);
    assert_eq!(go(pin).await.status, 201);
    let media = &stage.last_post().media[0];
    assert_eq!(
        (media.bytes, media.content_type.as_deref()),
        (Some(13), Some("application/json; charset=utf-8"))
    );
}

#[tokio::test]
async fn it_is_bounded_and_stays_on_this_machine() {
    let small = Settings { max_body: 1000, max_objects: 2, max_accounts: 1, ..Settings::default() };
    let stage = stage_with(small).await;
    let page = stage.connect(Platform::Facebook);
    assert!(stage.sandbox.connect(&flotilla_sandbox::NewAccount::on(Platform::X)).is_err());
    assert_eq!(go(feed(&stage, &page, &"x".repeat(2000))).await.status, 413);
    for (text, status) in [("a", 200), ("b", 200), ("c", 507)] {
        assert_eq!(go(feed(&stage, &page, text)).await.status, status);
    }
    let everywhere = Sandbox::start("0.0.0.0:0".parse().unwrap(), Settings::default()).await;
    assert!(everywhere.is_err_and(|error| error.to_string().contains("loopback")));
    let (address, gone) = (stage.sandbox.address(), stage);
    drop(gone.sandbox);
    // The listener is closed by a task of the runtime: it is asked until it is.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
