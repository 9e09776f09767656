//! Threads (§5): containers, publishing, replies, limits, read-backs.

use serde_json::{Value, json};

use super::container::{self, Container, Status};
use super::{caller, error, graph_time, invalid, media_at, no_object, node, owner, select, tokens};
use crate::core::account::Account;
use crate::core::call::{Call, Route};
use crate::core::http::{Answer, Reply};
use crate::core::limits::DAY;
use crate::core::post::{Comment, Draft, PostState};

const PUBLISH: &[&str] = &["threads_content_publish"];
const BASIC: &[&str] = &["threads_basic"];

pub(super) fn find(method: &str, nodes: &[&str]) -> Option<Route> {
    match (method, nodes) {
        ("GET", ["access_token" | "refresh_access_token"]) => Route::new("oauth", tokens::refresh),
        ("POST", [_, "threads"]) => Route::new("threads", create),
        ("POST", [_, "threads_publish"]) => Route::new("threads_publish", publish),
        ("GET", [_, "threads_publishing_limit"]) => Route::new("publishing_limit", limit),
        ("GET", [_, "threads"]) => Route::new("threads_read", list),
        ("GET", [_]) => Route::new("object", object),
        ("DELETE", [_]) => Route::new("delete", delete),
        _ => None,
    }
}

/// `POST /{user}/threads` (§5).
fn create(call: &mut Call<'_>) -> Answer {
    let account = owner(call, PUBLISH)?;
    let text = call.req.param("text").unwrap_or_default().to_owned();
    if length(&text) > 500 {
        return Err(invalid("The text must be at most 500 characters"));
    }
    if text.matches("://").count() > 5 {
        return Err(error(400, 100, None, "THREADS_API__LINK_LIMIT_EXCEEDED"));
    }
    if let Some(tag) = call.req.param("topic_tag")
        && (tag.is_empty() || tag.chars().count() > 50 || tag.contains(['.', '&']))
    {
        return Err(invalid("topic_tag must be 1 to 50 characters without . and &"));
    }
    let kind = match call.req.param("media_type") {
        Some("TEXT") => "text",
        Some("IMAGE") => "image",
        Some("VIDEO") => "video",
        Some("CAROUSEL") => "carousel",
        _ => return Err(invalid("media_type must be TEXT, IMAGE, VIDEO or CAROUSEL")),
    };
    let link = call.req.param("link_attachment").map(str::to_owned);
    if link.is_some() && kind != "text" {
        return Err(invalid("link_attachment is for TEXT only"));
    }
    let mut container = Container::new(&account.id, kind, &text, call.now);
    container.child = call.req.flag("is_carousel_item") == Some(true);
    container.reply_to = call.req.text("reply_to_id");
    container.extra = json!({ "link": link });
    match kind {
        "text" if text.is_empty() => return Err(invalid("text is required")),
        "carousel" => container.media = children(call, &account)?,
        "image" | "video" => {
            let name = if kind == "image" { "image_url" } else { "video_url" };
            let url = call.req.param(name).map(str::to_owned);
            let url = url.ok_or_else(|| invalid(&format!("{name} is required")))?;
            match media_at(call, &url) {
                Ok(mut media) => {
                    media.alt_text = call.req.param("alt_text").map(str::to_owned);
                    container.media.push(media);
                }
                Err(()) if kind == "video" => {
                    container.failed = Some("FAILED_DOWNLOADING_VIDEO");
                }
                Err(()) => container.failed = Some("UNKNOWN"),
            }
        }
        _ => {}
    }
    let id = container::keep(call, container)?;
    Ok(Reply::ok(&json!({ "id": id })))
}

/// §5: 2-20 items (older documents: 10).
fn children(call: &Call<'_>, account: &Account) -> Result<Vec<crate::core::media::Media>, Reply> {
    let text = call.req.text("children").unwrap_or_default();
    let ids = text.split(|c: char| !c.is_ascii_digit()).filter(|id| !id.is_empty());
    let mut media = Vec::new();
    let mut items = 0;
    for id in ids {
        let child = container::of(call, &account.id, id)?;
        if !child.child || child.status(call.now) != Status::Finished {
            return Err(not_ready());
        }
        items += 1;
        media.extend(child.media.iter().cloned());
    }
    if !(2..=20).contains(&items) {
        return Err(invalid("A carousel needs 2 to 20 items"));
    }
    Ok(media)
}

fn not_ready() -> Reply {
    error(400, 9007, Some(2_207_027), "The media is not ready for publishing, please wait.")
}

/// §5: characters, but an emoji counts as its UTF-8 bytes.
fn length(text: &str) -> usize {
    let emoji = |c: char| matches!(u32::from(c), 0x2600..=0x27BF | 0x1F000..=0x1FAFF);
    text.chars().map(|c| if emoji(c) { c.len_utf8() } else { 1 }).sum()
}

/// `POST /{user}/threads_publish` (§5). Not safe to repeat (§1.1): each call publishes.
fn publish(call: &mut Call<'_>) -> Answer {
    let account = owner(call, PUBLISH)?;
    let id = call.req.text("creation_id").unwrap_or_default();
    let container = container::of(call, &account.id, &id)?;
    match container.status(call.now) {
        Status::Finished | Status::Published => {}
        Status::Expired => {
            return Err(error(400, 24, Some(2_207_008), "The container has expired."));
        }
        Status::InProgress | Status::Error => return Err(not_ready()),
    }
    if container.child {
        return Err(invalid("An item of a carousel cannot be published by itself"));
    }
    let reply_to = container.reply_to.clone();
    let draft = Draft {
        media: container.media.clone(),
        extra: json!({ "container": id, "link": container.extra["link"], "reply_to": reply_to }),
        ..Draft::published("", container.kind, &container.text)
    };
    // §5: 250 posts, 1000 replies in 24 h; the sheet gives no code: that of Instagram's daily cap.
    let taken = match &reply_to {
        Some(_) => call.take("threads.replies", &account.id, 1000, DAY),
        None => call.take("threads.posts", &account.id, 250, DAY),
    };
    if taken.is_err() {
        return Err(error(403, 9, Some(2_207_042), "You reached the maximum number of posts."));
    }
    let (post, at) = (call.world.digits(), call.now);
    let permalink =
        format!("https://www.threads.net/@{}/post/{post}", account.name.replace(' ', "_"));
    if let Some(parent) = reply_to.as_deref().and_then(|parent| call.world.post_mut(parent)) {
        parent.comments.push(Comment { id: post.clone(), text: draft.text.clone(), at });
    }
    call.world.publish(&account.id, Draft { id: post.clone(), permalink, ..draft })?;
    if let Some(container) = call.world.meta.containers.get_mut(&id) {
        container.published.get_or_insert_with(|| post.clone());
    }
    Ok(Reply::ok(&json!({ "id": post })))
}

/// `GET /{user}/threads_publishing_limit` (§5).
fn limit(call: &mut Call<'_>) -> Answer {
    let account = owner(call, BASIC)?;
    let posts = call.world.limits.room("threads.posts", &account.id, 250, DAY, call.now);
    let replies = call.world.limits.room("threads.replies", &account.id, 1000, DAY, call.now);
    let config = |total| json!({ "quota_total": total, "quota_duration": 86_400 });
    let row = json!({
        "quota_usage": posts.used,
        "config": config(posts.limit),
        "reply_quota_usage": replies.used,
        "reply_config": config(replies.limit),
    });
    Ok(Reply::ok(&json!({ "data": [select(&row, call.req, &["quota_usage"])] })))
}

fn shown(post: &crate::core::post::Post) -> Value {
    json!({
        "id": post.id,
        "text": post.text,
        "permalink": post.permalink,
        "timestamp": graph_time(post.published_at.unwrap_or(post.created_at)),
        "media_product_type": "THREADS",
    })
}

/// `GET /{user}/threads` (§5, "Reconcile").
fn list(call: &mut Call<'_>) -> Answer {
    let account = owner(call, BASIC)?;
    let limit = call.req.param("limit").and_then(|limit| limit.parse().ok()).unwrap_or(25);
    let since: i64 = call.req.param("since").and_then(|since| since.parse().ok()).unwrap_or(0);
    let posts = call.world.posts_of(&account.id).filter(|post| {
        post.state == PostState::Published
            && post.extra["reply_to"].is_null()
            && post.created_at.as_second() >= since
    });
    let data: Vec<_> = posts.take(limit).map(|post| select(&shown(post), call.req, &[])).collect();
    Ok(Reply::ok(&json!({ "data": data, "paging": {} })))
}

/// `GET /{container}?fields=status,error_message`, `GET /{media}`, `GET /me` (§5).
fn object(call: &mut Call<'_>) -> Answer {
    let (_, account) = caller(call, BASIC)?;
    let id = node(call, 0);
    if id == "me" || id == account.id {
        let me = json!({ "id": account.id, "username": account.name });
        return Ok(Reply::ok(&select(&me, call.req, &["username"])));
    }
    if let Ok(container) = container::of(call, &account.id, &id) {
        let status = container.status(call.now);
        let mut object = json!({ "id": id, "status": status.name() });
        if let (Status::Error, Some(name)) = (status, container.failed) {
            object["error_message"] = json!(name);
        }
        return Ok(Reply::ok(&select(&object, call.req, &["status"])));
    }
    let post = call.world.post(&id).filter(|post| post.account == account.id);
    match post.filter(|post| post.state == PostState::Published) {
        Some(post) => Ok(Reply::ok(&select(&shown(post), call.req, &[]))),
        None => Err(no_object(&id)),
    }
}

/// `DELETE /{media}`: 100 in 24 h (§5).
fn delete(call: &mut Call<'_>) -> Answer {
    let (_, account) = caller(call, BASIC)?;
    let id = node(call, 0);
    if call.take("threads.deletes", &account.id, 100, DAY).is_err() {
        return Err(error(403, 9, Some(2_207_042), "You reached the maximum number of deletions."));
    }
    match call.world.post_mut(&id).filter(|post| post.account == account.id) {
        Some(post) if post.state == PostState::Published => {
            post.state = PostState::Deleted;
            Ok(Reply::ok(&json!({ "success": true, "deleted_id": id })))
        }
        _ => Err(no_object(&id)),
    }
}
