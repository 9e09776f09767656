//! Videos of pages (§3 FB-VID): feed videos, resumable uploads, reels, stories of videos.

use flotilla_core::Timestamp;
use flotilla_core::clock::after;
use serde_json::{Value, json};

use super::facebook::{check_text, post, when};
use super::{
    Upload, bad_token, error, graph_time, invalid, media_at, no_object, node, owner, select,
    take_piece,
};
use crate::core::account::Account;
use crate::core::call::{Call, Route};
use crate::core::http::{Answer, Reply};
use crate::core::limits::DAY;
use crate::core::media::{Incoming, Media};
use crate::core::post::{Draft, PostState};

/// A video between `start` and the end of its processing.
#[derive(Debug)]
pub(crate) struct Video {
    account: String,
    upload: Upload,
    media: Option<Media>,
    /// When processing ends, once `finish` was called.
    ready: Option<Timestamp>,
    publish_at: Option<Timestamp>,
    created: Timestamp,
}

const POST: &[&str] = &["pages_manage_posts"];

pub(super) fn find(method: &str, nodes: &[&str]) -> Option<Route> {
    match (method, nodes) {
        ("POST", [_, "videos"]) => Route::new("videos", videos),
        ("POST", [_, "video_reels"]) => Route::new("video_reels", reels),
        ("POST", [_, "video_stories"]) => Route::new("video_stories", stories),
        ("POST", [_, "uploads"]) => Route::new("uploads", start_upload),
        ("POST", [id]) if id.starts_with("upload:") => Route::upload("upload", upload),
        _ => None,
    }
}

/// `POST /{app}/uploads?file_name&file_length&file_type` (§3).
fn start_upload(call: &mut Call<'_>) -> Answer {
    let token = call.shown_token().map_err(bad_token)?;
    let total = call.req.text("file_length").and_then(|length| length.parse().ok());
    let total = total.ok_or_else(|| invalid("file_length is required"))?;
    call.admit()?;
    let id = call.world.secret("upload:");
    let upload = Upload {
        account: token.account,
        total,
        incoming: Incoming::default(),
        content_type: call.req.param("file_type").map(str::to_owned),
    };
    call.world.meta.uploads.insert(id.clone(), upload);
    Ok(Reply::ok(&json!({ "id": id })))
}

/// `POST /upload:…` with `file_offset` (§3).
fn upload(call: &mut Call<'_>) -> Answer {
    call.shown_token().map_err(bad_token)?;
    let id = node(call, 0);
    let upload = call.world.meta.uploads.get_mut(&id).ok_or_else(|| no_object(&id))?;
    take_piece(upload, call.req, "file_offset")?;
    if upload.incoming.bytes() < upload.total {
        return Err(invalid("The upload is not complete"));
    }
    Ok(Reply::ok(&json!({ "h": handle(&id) })))
}

/// `GET /upload:…` → `{"file_offset": n}` (§3).
pub(super) fn upload_status(call: &mut Call<'_>) -> Answer {
    call.shown_token().map_err(bad_token)?;
    let id = node(call, 0);
    let upload = call.world.meta.uploads.get(&id).ok_or_else(|| no_object(&id))?;
    Ok(Reply::ok(&json!({ "id": id, "file_offset": upload.incoming.bytes() })))
}

fn handle(upload: &str) -> String {
    format!("4::{}", upload.trim_start_matches("upload:"))
}

fn uploaded(call: &Call<'_>, page: &Account, handle: &str) -> Result<Media, Reply> {
    let id = format!("upload:{}", handle.trim_start_matches("4::"));
    let upload = call.world.meta.uploads.get(&id);
    let upload = upload.filter(|upload| upload.account == page.id);
    let upload = upload.ok_or_else(|| invalid("The file handle is not valid"))?;
    Ok(upload.incoming.media(upload.content_type.as_deref()))
}

/// `POST /{page}/videos` with `file_url` or `fbuploader_video_file_chunk` (§3).
fn videos(call: &mut Call<'_>) -> Answer {
    let page = owner(call, POST)?;
    let text = call.req.param("description").unwrap_or_default().to_owned();
    check_text(&text)?;
    let chunk = call.req.param("fbuploader_video_file_chunk").map(str::to_owned);
    let url = call.req.param("file_url").map(str::to_owned);
    let media = match (chunk, url) {
        (Some(handle), _) => uploaded(call, &page, &handle)?,
        (None, Some(url)) => media_at(call, &url)
            .map_err(|()| error(400, 100, Some(2_069_019), "The video file could not be read."))?,
        (None, None) => return Err(invalid("Requires file_url or fbuploader_video_file_chunk")),
    };
    let (state, publish_at) = when(call)?;
    let draft = Draft {
        media: vec![media],
        state,
        publish_at,
        extra: json!({ "title": call.req.param("title") }),
        ..Draft::published(call.world.digits(), "video", &text)
    };
    let permalink = format!("https://www.facebook.com/{}/videos/{}", page.id, draft.id);
    let id = call.world.publish(&page.id, Draft { permalink, ..draft })?.id;
    Ok(Reply::ok(&json!({ "id": id })))
}

fn reels(call: &mut Call<'_>) -> Answer {
    phases(call, "reel")
}

fn stories(call: &mut Call<'_>) -> Answer {
    phases(call, "story")
}

/// `upload_phase=start`, then bytes, then `upload_phase=finish` (§3 FB-VID).
fn phases(call: &mut Call<'_>, kind: &'static str) -> Answer {
    let page = owner(call, POST)?;
    match call.req.param("upload_phase") {
        Some("start") => start(call, &page),
        Some("finish") => finish(call, &page, kind),
        _ => Err(invalid("upload_phase must be start or finish")),
    }
}

fn start(call: &mut Call<'_>, page: &Account) -> Answer {
    call.admit()?;
    let id = call.world.digits();
    let upload = Upload {
        account: page.id.clone(),
        total: u64::MAX,
        incoming: Incoming::default(),
        content_type: None,
    };
    let video = Video {
        account: page.id.clone(),
        upload,
        media: None,
        ready: None,
        publish_at: None,
        created: call.now,
    };
    call.world.meta.videos.insert(id.clone(), video);
    let version = call.req.path.first().map_or("v26.0", String::as_str);
    let url = call.url("rupload.facebook.com", &format!("/video-upload/{version}/{id}"));
    Ok(Reply::ok(&json!({ "video_id": id, "upload_url": url })))
}

/// `POST rupload.facebook.com/video-upload/{v}/{video_id}` (§3 FB-VID): bytes, or `file_url`.
pub(super) fn rupload(call: &mut Call<'_>) -> Answer {
    let token = call.shown_token().map_err(bad_token)?;
    let id = call.part(2).to_owned();
    let from = call.req.header("file_url").map(str::to_owned);
    let at_url = match &from {
        Some(url) => Some(media_at(call, url).map_err(|()| invalid("The URL cannot be read"))?),
        None => None,
    };
    let video = call.world.meta.videos.get_mut(&id).ok_or_else(|| no_object(&id))?;
    if video.account != token.account {
        return Err(no_object(&id));
    }
    if at_url.is_some() {
        video.media = at_url;
        return Ok(Reply::ok(&json!({ "success": true })));
    }
    let size = call.req.header("file_size").and_then(|size| size.parse().ok());
    video.upload.total = size.ok_or_else(|| invalid("The header file_size is required"))?;
    take_piece(&mut video.upload, call.req, "offset")?;
    if video.upload.incoming.bytes() == video.upload.total {
        video.media = Some(video.upload.incoming.media(video.upload.content_type.as_deref()));
    }
    Ok(Reply::ok(&json!({ "success": true })))
}

/// Not safe to repeat (§1.1): each `finish` publishes.
fn finish(call: &mut Call<'_>, page: &Account, kind: &'static str) -> Answer {
    let id = call.req.text("video_id").unwrap_or_default();
    let text = call.req.param("description").unwrap_or_default().to_owned();
    check_text(&text)?;
    let video = call.world.meta.videos.get(&id).filter(|video| video.account == page.id);
    let video = video.ok_or_else(|| no_object(&id))?;
    let media = video.media.clone();
    let media = media.ok_or_else(|| invalid("The video has not been uploaded"))?;
    let first = video.ready.is_none();
    let state = call.req.param("video_state").unwrap_or("PUBLISHED");
    let ready = after(call.now, call.world.settings.video_processing);
    let (state, publish_at) = match state {
        "DRAFT" => (PostState::Draft, None),
        "SCHEDULED" => scheduled(call)?,
        _ => (PostState::Scheduled, Some(ready)),
    };
    if kind == "reel" && call.take("facebook.reels", &page.id, 30, DAY).is_err() {
        // §3: 30 reels in 24 h; the sheet gives no code for it, 1390008 is "posting too fast".
        return Err(error(400, 368, Some(1_390_008), "You have posted too many reels today."));
    }
    if let Some(video) = call.world.meta.videos.get_mut(&id) {
        video.ready.get_or_insert(ready);
        video.publish_at = publish_at;
    }
    let draft = Draft {
        media: vec![media.with_id(&id)],
        state,
        publish_at,
        permalink: format!("https://www.facebook.com/reel/{id}"),
        extra: json!({ "title": call.req.param("title"), "video_id": id }),
        ..Draft::published(if first { id.clone() } else { call.world.digits() }, kind, &text)
    };
    let post_id = match kind {
        "story" => post(call, page, draft)?,
        _ => call.world.publish(&page.id, draft)?.id,
    };
    Ok(Reply::ok(&json!({ "success": true, "post_id": post_id })))
}

fn scheduled(call: &Call<'_>) -> Result<(PostState, Option<Timestamp>), Reply> {
    let at = call.req.text("scheduled_publish_time").and_then(|at| at.parse::<i64>().ok());
    let at = at.and_then(|at| Timestamp::from_second(at).ok());
    let at = at.ok_or_else(|| invalid("scheduled_publish_time is required"))?;
    // §3: more than 10 minutes and at most 29 days ahead.
    let ahead = at.as_second() - call.now.as_second();
    if !(600..=29 * 86_400).contains(&ahead) {
        return Err(invalid("scheduled_publish_time must be 10 minutes to 29 days ahead"));
    }
    Ok((PostState::Scheduled, Some(at)))
}

/// `GET /{video_id}?fields=status` (§3); `None`: it is no video.
pub(super) fn status(call: &Call<'_>, account: &str, id: &str) -> Option<Reply> {
    let video = call.world.meta.videos.get(id).filter(|video| video.account == account)?;
    let done = |yes: bool| if yes { "complete" } else { "not_started" };
    let processed = video.ready.is_some_and(|ready| ready <= call.now);
    let public = processed && video.publish_at.is_some_and(|at| at <= call.now);
    let overall = match (video.media.is_some(), video.ready) {
        (false, _) => "in_progress",
        (true, None) => "upload_complete",
        (true, Some(_)) if processed => "ready",
        (true, Some(_)) => "processing",
    };
    let status: Value = json!({
        "video_status": overall,
        "uploading_phase": { "status": done(video.media.is_some()),
            "bytes_transferred": video.upload.incoming.bytes() },
        "processing_phase": { "status": done(processed) },
        "publishing_phase": { "status": done(public),
            "publish_status": if public { "published" } else { "draft" } },
    });
    let object = json!({
        "id": id,
        "status": status,
        "created_time": graph_time(video.created),
        "permalink_url": format!("https://www.facebook.com/reel/{id}"),
    });
    Some(Reply::ok(&select(&object, call.req, &["created_time"])))
}
