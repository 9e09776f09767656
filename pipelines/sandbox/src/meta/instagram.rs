//! Instagram content publishing (§4): containers, their states, publishing, limits, read-backs.

use serde_json::{Value, json};

use super::container::{self, Container, Status};
use super::{
    Upload, caller, error, graph_time, invalid, media_at, no_object, node, owner, select,
    take_piece, tokens,
};
use crate::core::account::Account;
use crate::core::call::{Call, Route};
use crate::core::http::{Answer, Reply};
use crate::core::limits::DAY;
use crate::core::media::{Incoming, Media};
use crate::core::post::{Comment, Draft, PostState};

/// §4: one of the two logins' scopes.
const PUBLISH: &[&str] = &["instagram_business_content_publish", "instagram_content_publish"];
const BASIC: &[&str] = &["instagram_business_basic", "instagram_basic"];

pub(super) fn find(method: &str, nodes: &[&str]) -> Option<Route> {
    match (method, nodes) {
        ("GET", ["access_token" | "refresh_access_token"]) => Route::new("oauth", tokens::refresh),
        ("GET", ["me", "accounts"]) => Route::new("accounts", tokens::pages),
        ("POST", [_, "media"]) => Route::new("media", create),
        ("POST", [_, "media_publish"]) => Route::new("media_publish", publish),
        ("GET", [_, "content_publishing_limit"]) => Route::new("publishing_limit", limit),
        ("GET", [_, "media"]) => Route::new("media_read", list),
        ("POST", [_, "comments"]) => Route::new("comments", comment),
        ("GET", [_]) => Route::new("object", object),
        ("DELETE", [_]) => Route::new("delete", delete),
        _ => None,
    }
}

/// `POST /{ig-id}/media` (§4.1).
fn create(call: &mut Call<'_>) -> Answer {
    let account = owner(call, PUBLISH)?;
    // §4.3: 400 containers in 24 h. The sheet gives no code for it: that of the daily cap.
    if call.take("instagram.containers", &account.id, 400, DAY).is_err() {
        return Err(daily_cap());
    }
    let container = match call.req.param("media_type") {
        Some("CAROUSEL") => carousel(call, &account)?,
        Some("REELS") => single(call, &account, "reel")?,
        Some("STORIES") => single(call, &account, "story")?,
        // §4.1: VIDEO is for children of a carousel only.
        Some("VIDEO") if call.req.flag("is_carousel_item") == Some(true) => {
            single(call, &account, "video")?
        }
        None | Some("IMAGE") => single(call, &account, "image")?,
        Some(other) => {
            let what = format!("Unknown media type: {other}");
            return Err(error(400, 100, Some(2_207_023), &what));
        }
    };
    let id = container::keep(call, container)?;
    Ok(Reply::ok(&json!({ "id": id })))
}

/// §4.3, §4.4: caption, hashtags, mentions.
fn caption(call: &Call<'_>) -> Result<String, Reply> {
    let text = call.req.param("caption").unwrap_or_default();
    if text.chars().count() > 2200 {
        return Err(error(400, 36004, Some(2_207_010), "The caption was too long."));
    }
    let beginning = |mark: char| {
        let words = text.split_whitespace();
        words.flat_map(|word| word.matches(mark)).count()
    };
    if beginning('@') > 20 {
        return Err(error(400, 100, Some(2_207_040), "Cannot use more than 20 @ tags."));
    }
    if beginning('#') > 30 {
        // The sheet gives no code for too many hashtags.
        return Err(invalid("The caption has more than 30 hashtags"));
    }
    Ok(text.to_owned())
}

fn single(call: &mut Call<'_>, account: &Account, kind: &'static str) -> Result<Container, Reply> {
    let text = caption(call)?;
    let mut container = Container::new(&account.id, kind, &text, call.now);
    container.child = call.req.flag("is_carousel_item") == Some(true);
    let video = call.req.param("video_url").map(str::to_owned);
    let image = call.req.param("image_url").map(str::to_owned);
    if call.req.text("alt_text").is_some_and(|alt| alt.chars().count() > 1000) {
        return Err(invalid("alt_text is longer than 1000 characters"));
    }
    match (video, image) {
        (Some(url), _) if kind != "image" => {
            // A video that cannot be read shows in the container's state.
            match media_at(call, &url) {
                Ok(media) => container.media.push(media),
                Err(()) => container.failed = Some("2207052"),
            }
            container.extra = json!({ "video": true });
        }
        (None, Some(url)) if matches!(kind, "image" | "story") => {
            let media = media_at(call, &url).map_err(|()| {
                let what = "The media could not be fetched from this URI.";
                error(400, 9004, Some(2_207_052), what)
            })?;
            container.media.push(check_image(call, media)?);
        }
        _ if call.req.param("upload_type") == Some("resumable") && kind != "image" => {
            container.extra = json!({ "video": true });
            container.upload = Some(Upload {
                account: account.id.clone(),
                total: u64::MAX,
                incoming: Incoming::default(),
                content_type: None,
            });
        }
        // §4.1: no text-only and no link posts.
        _ => return Err(invalid("image_url or video_url is required for this media type")),
    }
    Ok(container)
}

/// §4.3: JPEG, at most 8 MiB. What lies behind a URL that is not called is taken as right.
fn check_image(call: &Call<'_>, mut media: Media) -> Result<Media, Reply> {
    if media.bytes.is_some_and(|bytes| bytes > 8 * 1024 * 1024) {
        return Err(error(400, 36000, Some(2_207_004), "The image is too large."));
    }
    let kind = media.content_type.as_deref().unwrap_or("image/jpeg");
    if !matches!(kind, "image/jpeg" | "application/octet-stream") {
        return Err(error(400, 36001, Some(2_207_005), "The image format is not supported."));
    }
    media.alt_text = call.req.param("alt_text").map(str::to_owned);
    Ok(media)
}

fn carousel(call: &mut Call<'_>, account: &Account) -> Result<Container, Reply> {
    let text = caption(call)?;
    let listed = call.req.json.as_ref().and_then(|body| body["children"].as_array().cloned());
    let children: Vec<String> = match listed {
        Some(list) => list.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect(),
        None => {
            let text = call.req.param("children").unwrap_or_default();
            text.split(',').map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect()
        }
    };
    // §4.3: 2-10 items.
    if !(2..=10).contains(&children.len()) {
        return Err(error(400, 100, Some(2_207_028), "A carousel needs 2 to 10 items."));
    }
    let mut whole = Container::new(&account.id, "carousel", &text, call.now);
    for id in &children {
        let child = container::of(call, &account.id, id)?;
        // §4.1: each FINISHED.
        if !child.child || child.status(call.now) != Status::Finished {
            return Err(not_ready());
        }
        whole.media.extend(child.media.iter().cloned());
    }
    whole.extra = json!({ "children": children });
    Ok(whole)
}

fn not_ready() -> Reply {
    error(400, 9007, Some(2_207_027), "The media is not ready for publishing, please wait.")
}

fn daily_cap() -> Reply {
    error(403, 9, Some(2_207_042), "You reached the maximum number of posts that can be published.")
}

/// `POST rupload.facebook.com/ig-api-upload/{v}/{container}` (§4.1).
pub(super) fn rupload(call: &mut Call<'_>) -> Answer {
    let (_, account) = caller(call, PUBLISH)?;
    let id = call.part(2).to_owned();
    let takes = call.world.settings.video_processing;
    let ready = flotilla_core::clock::after(call.now, takes);
    let from = call.req.header("file_url").map(str::to_owned);
    let at_url = match &from {
        Some(url) => Some(media_at(call, url).map_err(|()| invalid("The URL cannot be read"))?),
        None => None,
    };
    let containers = &mut call.world.meta.containers;
    let container = containers.get_mut(&id).filter(|c| c.account == account.id);
    let container = container.ok_or_else(|| no_object(&id))?;
    let Some(upload) = container.upload.as_mut() else {
        return Err(invalid("The container does not await an upload"));
    };
    if let Some(media) = at_url {
        container.media = vec![media];
        container.ready = Some(ready);
    } else {
        let size = call.req.header("file_size").and_then(|size| size.parse().ok());
        upload.total = size.ok_or_else(|| invalid("The header file_size is required"))?;
        take_piece(upload, call.req, "offset")?;
        if upload.incoming.bytes() < upload.total {
            return Err(invalid("The upload is not complete"));
        }
        container.media = vec![upload.incoming.media(upload.content_type.as_deref())];
        container.ready = Some(ready);
    }
    Ok(Reply::ok(&json!({ "success": true, "message": "Upload successful." })))
}

/// `POST /{ig-id}/media_publish` (§4.1). Not safe to repeat (§1.1): each call publishes.
fn publish(call: &mut Call<'_>) -> Answer {
    let account = owner(call, PUBLISH)?;
    let id = call.req.text("creation_id").unwrap_or_default();
    let found = call.world.meta.containers.get(&id).filter(|c| c.account == account.id);
    // §4.4: 24/2207006 when there is none, 24/2207008 when it has run out.
    let Some(container) = found else {
        let what = "The media you are trying to publish was not found.";
        return Err(error(400, 24, Some(2_207_006), what));
    };
    match container.status(call.now) {
        Status::InProgress | Status::Error => return Err(not_ready()),
        Status::Expired => {
            return Err(error(400, 24, Some(2_207_008), "The container has expired."));
        }
        Status::Finished | Status::Published => {}
    }
    if container.child {
        return Err(invalid("An item of a carousel cannot be published by itself"));
    }
    let draft = Draft {
        media: container.media.clone(),
        extra: json!({ "container": id }),
        ..Draft::published("", container.kind, &container.text)
    };
    // §4.3: 100 posts in 24 h (guide); a carousel counts once.
    if call.take("instagram.posts", &account.id, 100, DAY).is_err() {
        return Err(daily_cap());
    }
    let post = call.world.digits();
    let permalink = format!("https://www.instagram.com/p/{post}/");
    call.world.publish(&account.id, Draft { id: post.clone(), permalink, ..draft })?;
    if let Some(container) = call.world.meta.containers.get_mut(&id) {
        container.published.get_or_insert_with(|| post.clone());
    }
    Ok(Reply::ok(&json!({ "id": post })))
}

/// `GET /{ig-id}/content_publishing_limit` (§4.3).
fn limit(call: &mut Call<'_>) -> Answer {
    let account = owner(call, BASIC)?;
    let room = call.world.limits.room("instagram.posts", &account.id, 100, DAY, call.now);
    let config = json!({ "quota_total": room.limit, "quota_duration": 86_400 });
    let row = json!({ "quota_usage": room.used, "config": config });
    Ok(Reply::ok(&json!({ "data": [select(&row, call.req, &["quota_usage"])] })))
}

fn shown(post: &crate::core::post::Post) -> Value {
    let kinds = match post.kind.as_str() {
        "carousel" => ("CAROUSEL_ALBUM", "FEED"),
        "reel" => ("VIDEO", "REELS"),
        "story" => ("IMAGE", "STORY"),
        _ => ("IMAGE", "FEED"),
    };
    json!({
        "id": post.id,
        "caption": post.text,
        "permalink": post.permalink,
        "timestamp": graph_time(post.published_at.unwrap_or(post.created_at)),
        "media_type": kinds.0,
        "media_product_type": kinds.1,
    })
}

/// `GET /{ig-id}/media` (§4.4, "Reconcile").
fn list(call: &mut Call<'_>) -> Answer {
    let account = owner(call, BASIC)?;
    let limit = call.req.param("limit").and_then(|limit| limit.parse().ok()).unwrap_or(25);
    let posts = call.world.posts_of(&account.id);
    let seen = posts.filter(|post| post.state == PostState::Published && post.kind != "story");
    let data: Vec<_> = seen.take(limit).map(|post| select(&shown(post), call.req, &[])).collect();
    Ok(Reply::ok(&json!({ "data": data, "paging": {} })))
}

/// `GET /{container}?fields=status_code,status`, `GET /{media}`, `GET /me` (§4.1, §4.5).
fn object(call: &mut Call<'_>) -> Answer {
    let (_, account) = caller(call, BASIC)?;
    let id = node(call, 0);
    if id == "me" || id == account.id {
        let me = json!({ "id": account.id, "user_id": account.id, "username": account.name,
            "account_type": "BUSINESS" });
        return Ok(Reply::ok(&select(&me, call.req, &["user_id"])));
    }
    if let Ok(container) = container::of(call, &account.id, &id) {
        let status = container.status(call.now);
        let text = match (status, container.failed) {
            (Status::Error, Some(code)) => {
                format!("Error: Media upload has failed with error code {code}")
            }
            (Status::Finished, _) => {
                "Finished: Media has been uploaded and it is ready to be published.".into()
            }
            (Status::Published, _) => "Published: Media has been successfully published.".into(),
            (Status::InProgress, _) => "In Progress: Media is still being processed.".into(),
            _ => "Expired: Media was not published within 24 hours.".into(),
        };
        let object = json!({ "id": id, "status_code": status.name(), "status": text });
        return Ok(Reply::ok(&select(&object, call.req, &[])));
    }
    let post = call.world.post(&id).filter(|post| post.account == account.id);
    match post.filter(|post| post.state == PostState::Published) {
        Some(post) => Ok(Reply::ok(&select(&shown(post), call.req, &[]))),
        None => Err(no_object(&id)),
    }
}

/// `POST /{media}/comments` (§3's row, on a medium).
fn comment(call: &mut Call<'_>) -> Answer {
    let (_, account) = caller(call, &[])?;
    let post = node(call, 0);
    let text = call.req.param("message").unwrap_or_default().to_owned();
    if text.is_empty() {
        return Err(invalid("message is required"));
    }
    let (id, at) = (call.world.digits(), call.now);
    match call.world.post_mut(&post).filter(|found| found.account == account.id) {
        Some(found) => {
            found.comments.push(Comment { id: id.clone(), text, at });
            Ok(Reply::ok(&json!({ "id": id })))
        }
        None => Err(no_object(&post)),
    }
}

/// `DELETE /{media}` (§4.4: since 2025-12-03, Facebook login only).
fn delete(call: &mut Call<'_>) -> Answer {
    let (_, account) = caller(call, PUBLISH)?;
    let id = node(call, 0);
    if call.req.host != "graph.facebook.com" {
        return Err(no_object(&id));
    }
    match call.world.post_mut(&id).filter(|post| post.account == account.id) {
        Some(post) if post.state == PostState::Published => {
            post.state = PostState::Deleted;
            Ok(Reply::ok(&json!({ "success": true })))
        }
        _ => Err(no_object(&id)),
    }
}
