//! One exchange of the documents after the other.

use flotilla_platforms::post::Facts;
use flotilla_platforms::{Form, Medium, Origin, Post, Sort};
use serde_json::{Value, json};

use crate::canned::{FILM, exchange};

fn text(text: &str) -> Post {
    Post { text: text.to_owned(), ..Post::default() }
}

fn film() -> Medium {
    let key = flotilla_core::blob::BlobKey::new("v.mp4").expect("a key");
    let facts = Facts { bytes: Some(FILM.len() as u64), ..Facts::default() };
    Medium { sort: Sort::Video, origin: Origin::Blob(key), facts, alt: None }
}

fn picture() -> Medium {
    let origin = Origin::Url("https://cdn.example.com/a.jpg".to_owned());
    Medium { sort: Sort::Image, origin, facts: Facts::default(), alt: Some("leaves".to_owned()) }
}

#[tokio::test]
async fn facebook_feed() {
    let post = Post { link: Some("https://example.com/".to_owned()), ..text("hello") };
    let (result, heard) = exchange(
        "facebook",
        "1",
        &post,
        vec![
            ("POST /facebook/v26.0/1/feed", 200, &[], json!({"id": "1_2"})),
            (
                "GET /facebook/v26.0/1_2",
                200,
                &[],
                json!({"permalink_url": "https://www.facebook.com/1/posts/2"}),
            ),
        ],
    )
    .await;
    let form = heard[0].form();
    assert_eq!(
        (form["message"].as_str(), form["link"].as_str()),
        ("hello", "https://example.com/")
    );
    assert_eq!(heard[0].headers["authorization"], "Bearer t0ken");
    let published = result.unwrap();
    assert_eq!(published.id.as_deref(), Some("1_2"));
    assert_eq!(published.permalink.as_deref(), Some("https://www.facebook.com/1/posts/2"));
}

#[tokio::test]
async fn facebook_reel() {
    let post = Post { form: Form::Reel, media: vec![film()], ..text("hello") };
    let status =
        json!({"status": {"video_status": "ready", "publishing_phase": {"status": "complete"}}});
    let (result, heard) = exchange("facebook", "1", &post, vec![
        ("POST /facebook/v26.0/1/video_reels", 200, &[], json!({"video_id": "7", "upload_url": "https://rupload.facebook.com/video-upload/v26.0/7"})),
        ("POST /facebook/rupload/video-upload/v26.0/7", 200, &[], json!({"success": true})),
        ("POST /facebook/v26.0/1/video_reels", 200, &[], json!({"success": true})),
        ("GET /facebook/v26.0/7", 200, &[], status),
    ])
    .await;
    assert_eq!(result.unwrap().id.as_deref(), Some("7"));
    assert_eq!(heard[0].form()["upload_phase"], "start");
    assert_eq!(heard[1].headers["authorization"], "OAuth t0ken");
    assert_eq!(heard[1].headers["file_size"], FILM.len().to_string());
    assert_eq!((heard[1].headers["offset"].as_str(), &heard[1].body[..]), ("0", FILM));
    let finish = heard[2].form();
    assert_eq!(
        (finish["upload_phase"].as_str(), finish["video_state"].as_str()),
        ("finish", "PUBLISHED")
    );
}

#[tokio::test]
async fn instagram_image() {
    let post = Post { media: vec![picture()], ..text("hello") };
    let (result, heard) = exchange("instagram", "9", &post, vec![
        ("GET /instagram/v25.0/9/content_publishing_limit", 200, &[], json!({"data": [{"quota_usage": 3, "config": {"quota_total": 100, "quota_duration": 86400}}]})),
        ("POST /instagram/v25.0/9/media", 200, &[], json!({"id": "17889615691921648"})),
        ("GET /instagram/v25.0/17889615691921648", 200, &[], json!({"status_code": "IN_PROGRESS"})),
        ("GET /instagram/v25.0/17889615691921648", 200, &[], json!({"status_code": "FINISHED"})),
        ("POST /instagram/v25.0/9/media_publish", 200, &[], json!({"id": "17895695668004550"})),
        ("GET /instagram/v25.0/17895695668004550", 200, &[], json!({"permalink": "https://www.instagram.com/p/x/", "timestamp": "2026-01-01T00:00:00+0000"})),
    ])
    .await;
    assert_eq!(heard[0].query, "fields=quota_usage%2Cconfig");
    let form = heard[1].form();
    assert_eq!(form["image_url"], "https://cdn.example.com/a.jpg");
    assert_eq!((form["caption"].as_str(), form["alt_text"].as_str()), ("hello", "leaves"));
    assert_eq!(heard[4].form()["creation_id"], "17889615691921648");
    assert_eq!(result.unwrap().permalink.as_deref(), Some("https://www.instagram.com/p/x/"));
}

#[tokio::test]
async fn threads_text() {
    let (result, heard) = exchange(
        "threads",
        "5",
        &text("hello"),
        vec![
            ("POST /threads/v1.0/5/threads", 200, &[], json!({"id": "c"})),
            ("GET /threads/v1.0/c", 200, &[], json!({"status": "FINISHED"})),
            ("POST /threads/v1.0/5/threads_publish", 200, &[], json!({"id": "p"})),
        ],
    )
    .await;
    assert_eq!(result.unwrap().id.as_deref(), Some("p"));
    assert_eq!(heard[0].form()["media_type"], "TEXT");
}

#[tokio::test]
async fn linkedin_post() {
    let author = "urn:li:organization:5515715";
    let (result, heard) = exchange(
        "linkedin",
        author,
        &text("50 % off (today) #sale"),
        vec![(
            "POST /linkedin/rest/posts",
            201,
            &[("x-restli-id", "urn:li:share:6844785523593134080")],
            Value::Null,
        )],
    )
    .await;
    let headers = &heard[0].headers;
    assert_eq!(headers["linkedin-version"], "202608");
    assert_eq!(headers["x-restli-protocol-version"], "2.0.0");
    assert_eq!(
        heard[0].json(),
        json!({
            "author": author,
            "commentary": "50 % off \\(today\\) {hashtag|\\#|sale}",
            "visibility": "PUBLIC",
            "distribution": {"feedDistribution": "MAIN_FEED", "targetEntities": [], "thirdPartyDistributionChannels": []},
            "lifecycleState": "PUBLISHED",
            "isReshareDisabledByAuthor": false,
        })
    );
    let permalink = result.unwrap().permalink.unwrap();
    assert_eq!(permalink, "https://www.linkedin.com/feed/update/urn:li:share:6844785523593134080");
}

#[tokio::test]
async fn tiktok_video() {
    let post = Post { media: vec![film()], ..text("hello") };
    let ok =
        |data: Value| json!({"data": data, "error": {"code": "ok", "message": "", "log_id": "1"}});
    let (result, heard) = exchange("tiktok", "o", &post, vec![
        ("POST /tiktok/v2/post/publish/creator_info/query/", 200, &[], ok(json!({"privacy_level_options": ["PUBLIC_TO_EVERYONE", "SELF_ONLY"]}))),
        ("POST /tiktok/v2/post/publish/video/init/", 200, &[], ok(json!({"publish_id": "v_pub_file~v2-1.123", "upload_url": "http://{host}/upload?upload_id=1"}))),
        ("PUT /upload", 201, &[], Value::Null),
        ("POST /tiktok/v2/post/publish/status/fetch/", 200, &[], ok(json!({"status": "PROCESSING_UPLOAD"}))),
        ("POST /tiktok/v2/post/publish/status/fetch/", 200, &[], ok(json!({"status": "PUBLISH_COMPLETE", "publicaly_available_post_id": [77]}))),
    ])
    .await;
    assert_eq!(
        heard[1].json()["source_info"],
        json!({
            "source": "FILE_UPLOAD", "video_size": 12, "chunk_size": 12, "total_chunk_count": 1,
        })
    );
    assert_eq!(heard[1].json()["post_info"]["privacy_level"], "PUBLIC_TO_EVERYONE");
    assert_eq!(heard[2].headers["content-range"], "bytes 0-11/12");
    assert!(!heard[2].headers.contains_key("authorization"), "the URL is the permission");
    let published = result.unwrap();
    assert_eq!(published.id.as_deref(), Some("77"));
    assert_eq!(published.handle.as_deref(), Some("v_pub_file~v2-1.123"));
}

/// An answer with HTTP 200 that says no.
#[tokio::test]
async fn tiktok_refusal_with_http_200() {
    let post = Post { media: vec![film()], ..text("hello") };
    let no = json!({"data": {}, "error": {"code": "spam_risk_user_banned_from_posting", "message": "banned"}});
    let (result, _) = exchange(
        "tiktok",
        "o",
        &post,
        vec![("POST /tiktok/v2/post/publish/creator_info/query/", 200, &[], no)],
    )
    .await;
    assert!(result.unwrap_err().contains("spam_risk_user_banned_from_posting: banned"));
}

#[tokio::test]
async fn youtube_resumable() {
    let post = Post { title: Some("Leaves".to_owned()), media: vec![film()], ..text("hello") };
    let (result, heard) = exchange(
        "youtube",
        "UC1",
        &post,
        vec![
            (
                "POST /youtube/upload/youtube/v3/videos",
                200,
                &[("location", "http://{host}/session?upload_id=s")],
                Value::Null,
            ),
            ("PUT /session", 308, &[("range", "bytes=0-3")], Value::Null),
            ("PUT /session", 201, &[], json!({"id": "dQw4"})),
            (
                "GET /youtube/youtube/v3/videos",
                200,
                &[],
                json!({"items": [{"status": {"uploadStatus": "processed"}}]}),
            ),
        ],
    )
    .await;
    assert_eq!(heard[0].query, "uploadType=resumable&part=snippet%2Cstatus");
    assert_eq!(heard[0].headers["x-upload-content-length"], "12");
    assert_eq!(heard[0].json()["status"]["privacyStatus"], "public");
    assert_eq!(heard[1].headers["content-range"], "bytes */12");
    assert_eq!(heard[2].headers["content-range"], "bytes 4-11/12");
    assert_eq!(&heard[2].body[..], &FILM[4..]);
    assert_eq!(result.unwrap().permalink.as_deref(), Some("https://www.youtube.com/watch?v=dQw4"));
}

#[tokio::test]
async fn whatsapp_text() {
    let post = Post { to: Some("+15551234567".to_owned()), ..text("hello") };
    let (result, heard) = exchange(
        "whatsapp",
        "106",
        &post,
        vec![(
            "POST /whatsapp/v23.0/106/messages",
            200,
            &[],
            json!({
                "messaging_product": "whatsapp",
                "contacts": [{"input": "15551234567", "wa_id": "15551234567"}],
                "messages": [{"id": "wamid.HBg", "message_status": "accepted"}],
            }),
        )],
    )
    .await;
    let body = heard[0].json();
    assert_eq!((&body["to"], &body["type"]), (&json!("15551234567"), &json!("text")));
    assert_eq!(body["text"]["body"], "hello");
    assert!(body["biz_opaque_callback_data"].as_str().unwrap().starts_with("job:"));
    assert_eq!(result.unwrap().id.as_deref(), Some("wamid.HBg"));
}

#[tokio::test]
async fn x_post() {
    let (result, heard) = exchange(
        "x",
        "8",
        &text("hello"),
        vec![(
            "POST /x/2/tweets",
            201,
            &[],
            json!({"data": {"id": "1445880548472328192", "text": "hello"}}),
        )],
    )
    .await;
    assert_eq!(heard[0].json(), json!({"text": "hello"}));
    assert_eq!(result.unwrap().id.as_deref(), Some("1445880548472328192"));
}

#[tokio::test]
async fn pinterest_pin() {
    let post = Post { board: Some("549".to_owned()), media: vec![picture()], ..text("hello") };
    let (result, heard) = exchange(
        "pinterest",
        "me",
        &post,
        vec![("POST /pinterest/v5/pins", 201, &[], json!({"id": "813744226420795884"}))],
    )
    .await;
    let body = heard[0].json();
    assert_eq!(
        body["media_source"],
        json!({"source_type": "image_url", "url": "https://cdn.example.com/a.jpg"})
    );
    assert_eq!((&body["board_id"], &body["alt_text"]), (&json!("549"), &json!("leaves")));
    let permalink = result.unwrap().permalink.unwrap();
    assert_eq!(permalink, "https://www.pinterest.com/pin/813744226420795884/");
}
