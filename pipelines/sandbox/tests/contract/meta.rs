//! Facebook, Instagram, Threads and WhatsApp (§2-§5, §9).

use flotilla_sandbox::{Platform, PostState};
use serde_json::json;

use crate::{go, stage};

#[tokio::test]
async fn facebook_posts_are_published_once_and_read_back() {
    let stage = stage().await;
    let page = stage.connect(Platform::Facebook);
    let feed = format!("/facebook/graph.facebook.com/v26.0/{}/feed", page.external_id);
    let say = |text: &'static str| {
        stage.post(&feed).bearer_auth(&page.access_token).form(&[("message", text)])
    };
    let first = go(say("Open at nine")).await;
    assert_eq!(first.status, 200);
    let id = first.id();
    assert!(id.starts_with(&format!("{}_", page.external_id)), "§3: page_post, {id}");
    // §2.3: usage headers in JSON.
    let usage: serde_json::Value =
        serde_json::from_str(first.header("x-business-use-case-usage")).unwrap();
    assert_eq!(usage[&page.external_id][0]["type"], "pages");
    assert!(first.header("x-app-usage").contains("call_count"));
    // §2.2: 506, cannot be sent consecutively.
    let second = go(say("Open at nine")).await;
    assert_eq!((second.status, second.meta()), (400, (506, 0)));
    assert!(second.body["error"]["fbtrace_id"].is_string());
    assert_eq!(go(say("Something else")).await.status, 200);
    assert_eq!(go(say("Open at nine")).await.status, 200, "no longer consecutive");
    let read = format!(
        "/facebook/v26.0/{}/published_posts?fields=id,message,created_time,permalink_url&since=0",
        page.external_id
    );
    let posts = go(stage.get(&read).bearer_auth(&page.access_token)).await;
    let listed = posts.body["data"].as_array().unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[2]["id"], id.as_str());
    assert_eq!(listed[2]["created_time"], "2026-01-01T00:00:00+0000");
    let comment = format!("/facebook/v26.0/{id}/comments");
    let said = stage.post(&comment).bearer_auth(&page.access_token).form(&[("message", "first")]);
    assert_eq!(go(said).await.status, 200);
    let gone = stage.delete(&format!("/facebook/v26.0/{id}")).bearer_auth(&page.access_token);
    assert_eq!(go(gone).await.body, json!({ "success": true }));
    assert_eq!(stage.sandbox.counts().duplicates, 1, "the same text, twice in all");
    assert_eq!(stage.sandbox.counts().refused_duplicates[&page.external_id], 1);
}

#[tokio::test]
async fn facebook_photos_hang_on_one_post_and_are_what_was_sent() {
    let stage = stage().await;
    let page = stage.connect(Platform::Facebook);
    let mut fields = vec![("message".to_owned(), "Three rooms".to_owned())];
    for n in 0..3_u8 {
        let part = reqwest::multipart::Part::bytes(vec![n; 100]).file_name("a.jpg");
        let form = reqwest::multipart::Form::new()
            .part("source", part.mime_str("image/jpeg").unwrap())
            .text("published", "false");
        let photos = format!("/facebook/v26.0/{}/photos", page.external_id);
        let photo = go(stage.post(&photos).bearer_auth(&page.access_token).multipart(form)).await;
        assert_eq!(photo.status, 200);
        fields.push((
            format!("attached_media[{n}]"),
            json!({ "media_fbid": photo.id() }).to_string(),
        ));
    }
    let feed = format!("/facebook/v26.0/{}/feed", page.external_id);
    let post = go(stage.post(&feed).bearer_auth(&page.access_token).form(&fields)).await;
    assert_eq!(post.status, 200);
    let post = stage.last_post();
    assert_eq!(
        (post.kind.as_str(), post.media.len(), post.media[2].bytes),
        ("carousel", 3, Some(100))
    );
    assert_ne!(post.media[0].sha256, post.media[1].sha256);
    // §3: links to facebook.com are refused, scheduling has its bounds.
    let link = [("link", "https://www.facebook.com/x")];
    let refused = go(stage.post(&feed).bearer_auth(&page.access_token).form(&link)).await;
    assert_eq!(refused.meta().1, 1_609_008);
    for (ahead, status) in [(300, 400), (3600, 200), (31 * 86_400, 400)] {
        let at = (1_767_225_600 + ahead).to_string();
        let plan =
            [("message", "later"), ("published", "false"), ("scheduled_publish_time", at.as_str())];
        let planned = go(stage.post(&feed).bearer_auth(&page.access_token).form(&plan)).await;
        assert_eq!(planned.status, status, "{ahead} s ahead");
    }
    assert_eq!(stage.last_post().state, PostState::Scheduled);
    stage.pass(3600);
    assert_eq!(stage.last_post().state, PostState::Published);
}

#[tokio::test]
async fn a_reel_goes_through_its_three_phases() {
    let stage = stage().await;
    let page = stage.connect(Platform::Facebook);
    let reels = format!("/facebook/v26.0/{}/video_reels", page.external_id);
    let start = [("upload_phase", "start")];
    let started = go(stage.post(&reels).bearer_auth(&page.access_token).form(&start)).await;
    let video = started.text("video_id");
    let auth = format!("OAuth {}", page.access_token);
    let bytes = stage.post(&started.text("upload_url")).header("authorization", &auth);
    let bytes = bytes.header("offset", "0").header("file_size", "2000").body(vec![7_u8; 2000]);
    assert_eq!(go(bytes).await.body["success"], true);
    let status = format!("/facebook/v26.0/{video}?fields=status");
    let asked = || go(stage.get(&status).bearer_auth(&page.access_token));
    assert_eq!(asked().await.body["status"]["video_status"], "upload_complete");
    let finish = [
        ("upload_phase", "finish"),
        ("video_id", video.as_str()),
        ("video_state", "PUBLISHED"),
        ("description", "A reel"),
    ];
    let finished = go(stage.post(&reels).bearer_auth(&page.access_token).form(&finish)).await;
    assert_eq!(finished.body["success"], true);
    assert_eq!(asked().await.body["status"]["video_status"], "processing");
    stage.pass(1);
    assert_eq!(asked().await.body["status"]["publishing_phase"]["status"], "complete");
    let post = stage.last_post();
    assert_eq!(
        (post.kind.as_str(), post.text.as_str(), post.media[0].bytes),
        ("reel", "A reel", Some(2000))
    );
}

#[tokio::test]
async fn instagram_publishes_what_its_container_holds() {
    let stage = stage().await;
    let who = stage.connect(Platform::Instagram);
    let media = format!("/instagram/graph.instagram.com/v25.0/{}/media", who.external_id);
    let publish = format!("/instagram/v25.0/{}/media_publish", who.external_id);
    let create = |fields: &[(&str, &str)]| {
        go(stage.post(&media).bearer_auth(&who.access_token).form(fields))
    };
    let image = create(&[("image_url", "https://a.example/1.jpg"), ("caption", "Hello")]).await;
    let container = image.id();
    let status = format!("/instagram/v25.0/{container}?fields=status_code,status");
    let state = || go(stage.get(&status).bearer_auth(&who.access_token));
    assert_eq!(state().await.body["status_code"], "FINISHED");
    let out = |id: String| {
        go(stage.post(&publish).bearer_auth(&who.access_token).form(&[("creation_id", id)]))
    };
    let post = out(container.clone()).await.id();
    assert_eq!(state().await.body["status_code"], "PUBLISHED");
    let read = format!("/instagram/v25.0/{post}?fields=id,permalink,timestamp");
    let read = go(stage.get(&read).bearer_auth(&who.access_token)).await;
    assert!(read.text("permalink").starts_with("https://www.instagram.com/p/"));
    // §1.1: media_publish is not safe to repeat.
    out(container).await;
    assert_eq!(stage.sandbox.counts().duplicates, 1);
    // §4.1: VIDEO is for carousels only (PAIN 29), a reel must be finished first (PAIN 14).
    let video = [("media_type", "VIDEO"), ("video_url", "https://a.example/v.mp4")];
    assert_eq!(create(&video).await.meta(), (100, 2_207_023));
    let reel =
        create(&[("media_type", "REELS"), ("video_url", "https://a.example/v.mp4")]).await.id();
    assert_eq!(out(reel.clone()).await.meta(), (9007, 2_207_027));
    stage.pass(1);
    assert_eq!(out(reel).await.status, 200);
    // §4.4: what cannot be fetched, text alone, too much text.
    assert_eq!(
        create(&[("image_url", "http://127.0.0.1:9/x.jpg")]).await.meta(),
        (9004, 2_207_052)
    );
    assert_eq!(create(&[("caption", "only words")]).await.meta(), (100, 0));
    let long = "x".repeat(2201);
    let long = [("image_url", "https://a.example/1.jpg"), ("caption", long.as_str())];
    assert_eq!(create(&long).await.meta(), (36004, 2_207_010));
    let limit = format!(
        "/instagram/v25.0/{}/content_publishing_limit?fields=quota_usage,config",
        who.external_id
    );
    let limit = go(stage.get(&limit).bearer_auth(&who.access_token)).await;
    assert_eq!(
        limit.body["data"][0],
        json!({ "quota_usage": 3,
        "config": { "quota_total": 100, "quota_duration": 86_400 } })
    );
    // §4.2: a container lives for 24 h.
    let old = create(&[("image_url", "https://a.example/2.jpg")]).await.id();
    stage.pass(86_400);
    assert_eq!(out(old).await.meta(), (24, 2_207_008));
}

#[tokio::test]
async fn instagram_carousels_need_finished_children_and_videos_come_in_bytes_too() {
    let stage = stage().await;
    let who = stage.connect_with(Platform::Instagram, &[("login", "facebook")]);
    let base = format!("/instagram/facebook/v25.0/{}", who.external_id);
    let create = |fields: &[(&str, &str)]| {
        go(stage.post(&format!("{base}/media")).bearer_auth(&who.access_token).form(fields))
    };
    let one = create(&[("image_url", "https://a.example/1.jpg"), ("is_carousel_item", "true")])
        .await
        .id();
    let two = [("media_type", "VIDEO"), ("upload_type", "resumable"), ("is_carousel_item", "true")];
    let two = create(&two).await.id();
    let both = format!("{one},{two}");
    let whole = [("media_type", "CAROUSEL"), ("children", both.as_str()), ("caption", "Both")];
    assert_eq!(create(&whole).await.meta(), (9007, 2_207_027));
    let upload = format!("/instagram/rupload/ig-api-upload/v25.0/{two}");
    let bytes = stage.post(&upload).header("authorization", format!("OAuth {}", who.access_token));
    let bytes = bytes.header("offset", "0").header("file_size", "500").body(vec![1_u8; 500]);
    assert_eq!(go(bytes).await.body["message"], "Upload successful.");
    stage.pass(1);
    let whole = create(&whole).await.id();
    let publish = stage.post(&format!("{base}/media_publish")).bearer_auth(&who.access_token);
    assert_eq!(go(publish.form(&[("creation_id", whole)])).await.status, 200);
    let post = stage.last_post();
    assert_eq!(
        (post.kind.as_str(), post.media.len(), post.media[1].bytes),
        ("carousel", 2, Some(500))
    );
    let alone = [("media_type", "CAROUSEL"), ("children", one.as_str())];
    assert_eq!(create(&alone).await.meta(), (100, 2_207_028));
}

#[tokio::test]
async fn threads_count_emoji_in_bytes_and_reply_to_themselves() {
    let stage = stage().await;
    let who = stage.connect(Platform::Threads);
    let base = format!("/threads/graph.threads.net/v1.0/{}", who.external_id);
    let create = |fields: &[(&str, &str)]| {
        go(stage.post(&format!("{base}/threads")).bearer_auth(&who.access_token).form(fields))
    };
    let out = |id: String| {
        let publish = stage.post(&format!("{base}/threads_publish"));
        go(publish.bearer_auth(&who.access_token).form(&[("creation_id", id)]))
    };
    let first = create(&[("media_type", "TEXT"), ("text", "Hello")]).await.id();
    let post = out(first).await.id();
    let reply = [("media_type", "TEXT"), ("text", "and more"), ("reply_to_id", post.as_str())];
    let reply = create(&reply).await.id();
    assert_eq!(out(reply).await.status, 200);
    assert_eq!(stage.sandbox.posts()[0].comments[0].text, "and more");
    let read = format!("{base}/threads?fields=id,permalink,text,timestamp");
    let listed = go(stage.get(&read).bearer_auth(&who.access_token)).await;
    assert_eq!(listed.body["data"][0]["text"], "Hello");
    let emoji = "🎉".repeat(126);
    assert_eq!(create(&[("media_type", "TEXT"), ("text", emoji.as_str())]).await.status, 400);
    let links = "https://a.example ".repeat(6);
    let many = create(&[("media_type", "TEXT"), ("text", links.as_str())]).await;
    assert_eq!(many.body["error"]["message"], "THREADS_API__LINK_LIMIT_EXCEEDED");
    let broken = [("media_type", "VIDEO"), ("video_url", "http://127.0.0.1:9/v.mp4")];
    let broken = create(&broken).await.id();
    let status = format!("/threads/v1.0/{broken}?fields=status,error_message");
    let status = go(stage.get(&status).bearer_auth(&who.access_token)).await;
    assert_eq!(status.body["error_message"], "FAILED_DOWNLOADING_VIDEO");
}

#[tokio::test]
async fn whatsapp_accepts_then_tells_the_outcome_with_our_own_words() {
    let stage = stage().await;
    let phone = stage.connect(Platform::WhatsApp);
    let base = format!("/whatsapp/graph.facebook.com/v23.0/{}", phone.external_id);
    let message = |to: &str| {
        json!({ "messaging_product": "whatsapp", "recipient_type": "individual", "to": to,
            "type": "text", "text": { "body": "Your order is ready", "preview_url": true },
            "biz_opaque_callback_data": "job:0198" })
    };
    let send = |body: serde_json::Value| {
        go(stage.post(&format!("{base}/messages")).bearer_auth(&phone.access_token).json(&body))
    };
    let sent = send(message("15551234567")).await;
    assert_eq!(sent.body["messages"][0]["message_status"], "accepted");
    assert_eq!(sent.body["contacts"][0]["wa_id"], "15551234567");
    let hooks = go(stage.get("/_sandbox/statuses")).await;
    let statuses =
        &hooks.body["statuses"][0]["body"]["entry"][0]["changes"][0]["value"]["statuses"];
    assert_eq!(statuses[0]["biz_opaque_callback_data"], "job:0198");
    assert_eq!(
        (&statuses[0]["status"], &statuses[1]["status"]),
        (&json!("sent"), &json!("delivered"))
    );
    // §9: 45 to one person at once, then 131056.
    for _ in 0..44 {
        assert_eq!(send(message("15551234567")).await.status, 200);
    }
    assert_eq!(send(message("15551234567")).await.meta().0, 131_056);
    assert_eq!(send(message("15557654321")).await.status, 200);
    let part = reqwest::multipart::Part::bytes(vec![9_u8; 50]).file_name("a.png");
    let form = reqwest::multipart::Form::new()
        .text("messaging_product", "whatsapp")
        .text("type", "image/png")
        .part("file", part.mime_str("image/png").unwrap());
    let upload = stage.post(&format!("{base}/media")).bearer_auth(&phone.access_token);
    let file = go(upload.multipart(form)).await.id();
    let picture = json!({ "messaging_product": "whatsapp", "to": "15550000001", "type": "image",
        "image": { "id": file, "caption": "Look" } });
    assert_eq!(send(picture).await.status, 200);
    assert_eq!(stage.last_post().media[0].bytes, Some(50));
    let about = stage.get(&format!("/whatsapp/v23.0/{file}")).bearer_auth(&phone.access_token);
    assert_eq!(go(about).await.body["file_size"], 50);
}
