//! X, LinkedIn, TikTok, YouTube and Pinterest (§6-§8, §10, §11).

use flotilla_sandbox::Platform;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::{Got, Stage, go, stage};

#[tokio::test]
async fn x_answers_with_rate_headers_and_refuses_duplicates() {
    let stage = stage().await;
    let who = stage.connect(Platform::X);
    let say = |body: Value| {
        go(stage.post("/x/api.x.com/2/tweets").bearer_auth(&who.access_token).json(&body))
    };
    let first = say(json!({ "text": "Hello" })).await;
    assert_eq!(first.status, 201);
    assert_eq!(first.body["data"]["text"], "Hello");
    assert_eq!(first.header("x-rate-limit-remaining"), "99");
    let again = say(json!({ "text": "Hello" })).await;
    assert_eq!(again.status, 403);
    assert!(again.text("detail").contains("duplicate content"));
    // §10: weighted, URL = 23, CJK = 2.
    let url = format!("{} https://a.example/{}", "x".repeat(256), "y".repeat(200));
    assert_eq!(say(json!({ "text": url })).await.status, 201);
    assert_eq!(say(json!({ "text": "漢".repeat(141) })).await.status, 400);
    let upload = "/x/2/media/upload";
    let init =
        json!({ "media_type": "video/mp4", "total_bytes": 6, "media_category": "tweet_video" });
    let init =
        stage.post(&format!("{upload}/initialize")).bearer_auth(&who.access_token).json(&init);
    let id = go(init).await.body["data"]["id"].as_str().unwrap().to_owned();
    for (n, piece) in [b"abc", b"def"].into_iter().enumerate() {
        let part = reqwest::multipart::Part::bytes(piece.to_vec()).file_name("v");
        let form = reqwest::multipart::Form::new()
            .text("segment_index", n.to_string())
            .part("media", part);
        let append = stage.post(&format!("{upload}/{id}/append")).bearer_auth(&who.access_token);
        assert_eq!(go(append.multipart(form)).await.status, 200);
    }
    let end = stage.post(&format!("{upload}/{id}/finalize")).bearer_auth(&who.access_token);
    assert_eq!(go(end).await.body["data"]["processing_info"]["state"], "in_progress");
    let with = json!({ "text": "See", "media": { "media_ids": [id] } });
    assert_eq!(say(with.clone()).await.status, 400, "not processed yet");
    stage.pass(1);
    assert_eq!(say(with).await.status, 201);
    assert_eq!(stage.last_post().media[0].bytes, Some(6));
    let read = format!("/x/2/users/{}/tweets?max_results=5", who.external_id);
    let read = go(stage.get(&read).bearer_auth(&who.access_token)).await;
    assert_eq!(read.body["data"][0]["text"], "See");
    for n in 0..95 {
        say(json!({ "text": format!("n{n}") })).await;
    }
    let over = say(json!({ "text": "one more" })).await;
    assert_eq!((over.status, over.header("x-rate-limit-remaining")), (429, "0"));
    assert_eq!(stage.sandbox.counts().overshoots[0].quota, "x.tweets");
}

fn rest(request: RequestBuilder, token: &str) -> RequestBuilder {
    request
        .bearer_auth(token)
        .header("linkedin-version", "202608")
        .header("x-restli-protocol-version", "2.0.0")
}

fn share(author: &str, text: &str, content: &Value) -> Value {
    let mut post = json!({ "author": author, "commentary": text, "visibility": "PUBLIC",
        "distribution": { "feedDistribution": "MAIN_FEED", "targetEntities": [],
            "thirdPartyDistributionChannels": [] },
        "lifecycleState": "PUBLISHED", "isReshareDisabledByAuthor": false });
    if !content.is_null() {
        post["content"] = content.clone();
    }
    post
}

#[tokio::test]
async fn linkedin_gives_the_urn_in_a_header_and_names_duplicates() {
    let stage = stage().await;
    let who = stage.connect(Platform::LinkedIn);
    let posts = "/linkedin/api.linkedin.com/rest/posts";
    let say = |text: &str| {
        let body = share(&who.external_id, text, &Value::Null);
        go(rest(stage.post(posts), &who.access_token).json(&body))
    };
    let first = say("Hiring \\(two\\) people").await;
    assert_eq!((first.status, first.body), (201, Value::Null));
    let urn = first.headers["x-restli-id"].to_str().unwrap().to_owned();
    assert!(urn.starts_with("urn:li:share:"));
    assert_eq!(stage.last_post().text, "Hiring (two) people");
    let again = say("Hiring \\(two\\) people").await;
    assert_eq!(again.status, 422);
    assert_eq!(again.text("message"), format!("Content is a duplicate of {urn}"));
    // §6.1: silently truncated at what is not escaped.
    assert_eq!(say("Cut (here)").await.status, 201);
    assert_eq!(stage.last_post().text, "Cut ");
    // §6: the version is over; §1.1: members cannot read.
    let sunset =
        stage.post(posts).bearer_auth(&who.access_token).header("linkedin-version", "202401");
    let sunset = go(sunset.json(&share(&who.external_id, "x", &Value::Null))).await;
    assert_eq!((sunset.status, sunset.text("code").as_str()), (426, "NONEXISTENT_VERSION"));
    let query = format!("{posts}?author={}&q=author", who.external_id.replace(':', "%3A"));
    assert_eq!(go(rest(stage.get(&query), &who.access_token)).await.status, 400);
    let company = stage.connect_with(Platform::LinkedIn, &[("kind", "organization")]);
    let body = share(&company.external_id, "News", &Value::Null);
    assert_eq!(go(rest(stage.post(posts), &company.access_token).json(&body)).await.status, 201);
    let query =
        format!("{posts}?author={}&q=author&count=10", company.external_id.replace(':', "%3A"));
    let found = go(rest(stage.get(&query), &company.access_token)).await;
    assert_eq!(found.body["elements"][0]["commentary"], "News");
}

#[tokio::test]
async fn linkedin_takes_pictures_in_one_piece_and_videos_in_parts() {
    let stage = stage().await;
    let who = stage.connect(Platform::LinkedIn);
    let init = json!({ "initializeUploadRequest": { "owner": who.external_id } });
    let images = "/linkedin/rest/images?action=initializeUpload";
    let image = go(rest(stage.post(images), &who.access_token).json(&init)).await;
    let (url, urn) = (&image.body["value"]["uploadUrl"], &image.body["value"]["image"]);
    assert_eq!(go(stage.put(url.as_str().unwrap()).body(vec![3_u8; 300])).await.status, 201);
    let content = json!({ "media": { "id": urn, "altText": "a room" } });
    let post = share(&who.external_id, "Look", &content);
    assert_eq!(
        go(rest(stage.post("/linkedin/rest/posts"), &who.access_token).json(&post)).await.status,
        201
    );
    assert_eq!(stage.last_post().media[0].alt_text.as_deref(), Some("a room"));

    let size = 5 << 20;
    let init = json!({ "initializeUploadRequest": { "owner": who.external_id,
        "fileSizeBytes": size, "uploadCaptions": false, "uploadThumbnail": false } });
    let videos = "/linkedin/rest/videos?action=initializeUpload";
    let video = go(rest(stage.post(videos), &who.access_token).json(&init)).await;
    let value = &video.body["value"];
    let mut tags = Vec::new();
    for part in value["uploadInstructions"].as_array().unwrap() {
        let length = part["lastByte"].as_u64().unwrap() - part["firstByte"].as_u64().unwrap() + 1;
        let body = vec![1_u8; usize::try_from(length).unwrap()];
        let put = go(stage.put(part["uploadUrl"].as_str().unwrap()).body(body)).await;
        assert_eq!(put.status, 200);
        tags.push(put.header("etag").to_owned());
    }
    assert_eq!(tags.len(), 2);
    let finalize = |tags: &[String]| {
        let body = json!({ "finalizeUploadRequest": { "video": value["video"],
            "uploadToken": value["uploadToken"], "uploadedPartIds": tags } });
        let url = "/linkedin/rest/videos?action=finalizeUpload";
        go(rest(stage.post(url), &who.access_token).json(&body))
    };
    assert_eq!(finalize(&tags[..1]).await.status, 400);
    assert_eq!(finalize(&tags).await.status, 200);
    let status =
        format!("/linkedin/rest/videos/{}", value["video"].as_str().unwrap().replace(':', "%3A"));
    let status = || go(rest(stage.get(&status), &who.access_token));
    assert_eq!(status().await.body["status"], "PROCESSING");
    stage.pass(1);
    assert_eq!(status().await.body["status"], "AVAILABLE");
}

async fn tiktok(stage: &Stage, token: &str, path: &str, body: Value) -> Got {
    let path = format!("/tiktok/open.tiktokapis.com/v2/post/publish/{path}");
    go(stage.post(&path).bearer_auth(token).json(&body)).await
}

#[tokio::test]
async fn tiktok_takes_chunks_in_order_and_publishes_after_the_last() {
    let stage = stage().await;
    let who = stage.connect(Platform::TikTok);
    let token = who.access_token.as_str();
    let info = tiktok(&stage, token, "creator_info/query/", json!({})).await;
    assert_eq!(info.body["error"]["code"], "ok");
    assert!(info.body["data"]["privacy_level_options"].is_array());
    let init = |level: &str| {
        json!({ "post_info": { "title": "A walk #sea", "privacy_level": level },
            "source_info": { "source": "FILE_UPLOAD", "video_size": 10_500_000,
                "chunk_size": 5_000_000, "total_chunk_count": 2 } })
    };
    let wrong = tiktok(&stage, token, "video/init/", init("FOLLOWER_OF_CREATOR")).await;
    assert_eq!(
        (wrong.status, &wrong.body["error"]["code"]),
        (403, &json!("privacy_level_option_mismatch"))
    );
    let begun = tiktok(&stage, token, "video/init/", init("PUBLIC_TO_EVERYONE")).await;
    let id = begun.body["data"]["publish_id"].clone();
    let url = begun.body["data"]["upload_url"].as_str().unwrap().to_owned();
    let put = |first: usize, last: usize| {
        let range = format!("bytes {first}-{last}/10500000");
        let put =
            stage.put(&url).header("content-type", "video/mp4").header("content-range", range);
        go(put.body(vec![5_u8; last - first + 1]))
    };
    assert_eq!(put(5_000_000, 10_499_999).await.status, 416, "sequential");
    assert_eq!(put(0, 4_999_999).await.status, 206);
    let status = || tiktok(&stage, token, "status/fetch/", json!({ "publish_id": id }));
    let state = status().await;
    assert_eq!(
        state.body["data"],
        json!({ "status": "PROCESSING_UPLOAD", "uploaded_bytes": 5_000_000 })
    );
    assert_eq!(put(5_000_000, 10_499_999).await.status, 201);
    stage.pass(1);
    let done = status().await;
    assert_eq!(done.body["data"]["status"], "PUBLISH_COMPLETE");
    assert_eq!(done.body["data"]["publicaly_available_post_id"].as_array().unwrap().len(), 1);
    assert_eq!(stage.last_post().media[0].bytes, Some(10_500_000));
    let photos = json!({ "media_type": "PHOTO", "post_mode": "DIRECT_POST",
        "post_info": { "title": "t", "description": "d", "privacy_level": "SELF_ONLY" },
        "source_info": { "source": "PULL_FROM_URL", "photo_cover_index": 0,
            "photo_images": ["https://a.example/1.jpg", "https://a.example/2.jpg"] } });
    assert_eq!(tiktok(&stage, token, "content/init/", photos).await.status, 200);
    assert_eq!(stage.last_post().kind, "carousel");
    for _ in 0..3 {
        tiktok(&stage, token, "video/init/", init("SELF_ONLY")).await;
    }
    let over = tiktok(&stage, token, "video/init/", init("SELF_ONLY")).await;
    assert_eq!(over.status, 200, "the sixth of a minute");
    let over = tiktok(&stage, token, "video/init/", init("SELF_ONLY")).await;
    assert_eq!((over.status, &over.body["error"]["code"]), (429, &json!("rate_limit_exceeded")));
}

#[tokio::test]
async fn youtube_sessions_say_what_they_have_and_repeat_their_answer() {
    let stage = stage().await;
    let who = stage.connect(Platform::YouTube);
    let start = "/youtube/www.googleapis.com/upload/youtube/v3/videos?uploadType=resumable&part=snippet,status";
    let begin = |title: &str| {
        let body = json!({ "snippet": { "title": title, "description": "d", "categoryId": "22" },
            "status": { "privacyStatus": "private" } });
        go(stage
            .post(start)
            .bearer_auth(&who.access_token)
            .json(&body)
            .header("x-upload-content-length", "1000")
            .header("x-upload-content-type", "video/mp4"))
    };
    assert_eq!(begin("a <b>").await.body["error"]["errors"][0]["reason"], "invalidTitle");
    let session = begin("A walk").await.header("location").to_owned();
    let probe = || go(stage.put(&session).header("content-range", "bytes */1000").body(""));
    let nothing = probe().await;
    assert_eq!((nothing.status, nothing.header("range")), (308, ""));
    let part =
        stage.put(&session).header("content-range", "bytes 0-599/1000").body(vec![1_u8; 600]);
    assert_eq!(go(part).await.status, 308);
    assert_eq!(probe().await.header("range"), "bytes=0-599");
    let rest =
        stage.put(&session).header("content-range", "bytes 600-999/1000").body(vec![2_u8; 400]);
    let done = go(rest).await;
    assert_eq!(done.status, 201);
    let id = done.id();
    assert_eq!(probe().await.id(), id, "§8.1: the answer is repeated");
    assert_eq!(stage.sandbox.posts().len(), 1);
    assert_eq!(stage.last_post().media[0].bytes, Some(1000));
    let seen = format!("/youtube/youtube/v3/videos?part=status,processingDetails&id={id}");
    let seen = || go(stage.get(&seen).bearer_auth(&who.access_token));
    assert_eq!(seen().await.body["items"][0]["status"]["uploadStatus"], "uploaded");
    stage.pass(1);
    assert_eq!(seen().await.body["items"][0]["processingDetails"]["processingStatus"], "succeeded");
    let update = stage.put("/youtube/youtube/v3/videos?part=status").bearer_auth(&who.access_token);
    assert_eq!(
        go(update.json(&json!({ "id": id, "status": { "privacyStatus": "public" } }))).await.status,
        200
    );
    assert_eq!(seen().await.body["items"][0]["status"]["privacyStatus"], "public");
    stage.sandbox.set_limit("youtube.uploads", 1);
    let over = begin("Another").await;
    assert_eq!(
        (over.status, &over.body["error"]["errors"][0]["reason"]),
        (403, &json!("quotaExceeded"))
    );
    let gone = stage.put("/youtube/upload/youtube/v3/videos?upload_id=nope").body("x");
    assert_eq!(go(gone).await.status, 404);
}

#[tokio::test]
async fn pinterest_videos_are_registered_sent_elsewhere_and_pinned() {
    let stage = stage().await;
    let who = stage.connect(Platform::Pinterest);
    let (token, board) = (who.access_token.as_str(), who.extra["board_id"].clone());
    let pins = "/pinterest/api.pinterest.com/v5/pins";
    let pin = |source: Value| {
        let body = json!({ "board_id": board, "title": "A room", "description": "Light",
            "link": "https://a.example", "media_source": source });
        go(stage.post(pins).bearer_auth(token).json(&body))
    };
    let image = pin(json!({ "source_type": "image_url", "url": "https://a.example/1.jpg" })).await;
    assert_eq!((image.status, image.body["title"].clone()), (201, json!("A room")));
    let kind = json!({ "media_type": "video" });
    let media = go(stage.post("/pinterest/v5/media").bearer_auth(token).json(&kind)).await;
    let id = media.text("media_id");
    let mut form = reqwest::multipart::Form::new();
    for (name, value) in media.body["upload_parameters"].as_object().unwrap() {
        form = form.text(name.clone(), value.as_str().unwrap().to_owned());
    }
    let part = reqwest::multipart::Part::bytes(vec![4_u8; 400]).file_name("v.mp4");
    let sent = go(stage.post(&media.text("upload_url")).multipart(form.part("file", part))).await;
    assert_eq!(sent.status, 204);
    let status = format!("/pinterest/v5/media/{id}");
    assert_eq!(go(stage.get(&status).bearer_auth(token)).await.body["status"], "processing");
    stage.pass(1);
    assert_eq!(go(stage.get(&status).bearer_auth(token)).await.body["status"], "succeeded");
    let video =
        json!({ "source_type": "video_id", "media_id": id, "cover_image_key_frame_time": 1 });
    assert_eq!(pin(video).await.status, 201);
    assert_eq!(stage.last_post().media[0].bytes, Some(400));
    let listed = format!("/pinterest/v5/boards/{board}/pins");
    let listed = go(stage.get(&listed).bearer_auth(token)).await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 2);
    let wrong = go(stage.get("/pinterest/v5/pins").bearer_auth("nope")).await;
    assert_eq!((wrong.status, wrong.body["code"].clone()), (401, json!(2)));
}
