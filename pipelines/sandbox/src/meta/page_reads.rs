//! What a page tells of itself (§3, "Read back"): its feed, its objects; and their end.

use serde_json::{Value, json};

use super::{caller, facebook_video, graph_time, no_object, node, owner, select, tokens};
use crate::core::account::TokenKind;
use crate::core::call::Call;
use crate::core::http::{Answer, Reply};
use crate::core::post::{Post, PostState};

fn shown(post: &Post) -> Value {
    json!({
        "id": post.id,
        "message": post.text,
        "created_time": graph_time(post.published_at.unwrap_or(post.created_at)),
        "permalink_url": post.permalink,
        "is_published": post.state == PostState::Published,
        "scheduled_publish_time": (post.state == PostState::Scheduled)
            .then(|| post.published_at.map(|at| at.as_second())),
    })
}

fn list(call: &Call<'_>, page: &str, fits: impl Fn(&Post) -> bool) -> Answer {
    let since: i64 = call.req.param("since").and_then(|since| since.parse().ok()).unwrap_or(0);
    let limit = call.req.param("limit").and_then(|limit| limit.parse().ok()).unwrap_or(25);
    let posts = call
        .world
        .posts_of(page)
        .filter(|post| fits(post) && post.published_at.is_some_and(|at| at.as_second() >= since));
    let default = ["id", "message", "created_time"];
    let data: Vec<Value> =
        posts.take(limit).map(|post| select(&shown(post), call.req, &default)).collect();
    Ok(Reply::ok(&json!({ "data": data, "paging": {} })))
}

/// `GET /{page}/feed` and `/published_posts` (§3). Stories are not in them (§1.1).
pub(super) fn feed(call: &mut Call<'_>) -> Answer {
    let page = owner(call, &["pages_read_engagement"])?;
    list(call, &page.id, |post| post.state == PostState::Published && post.kind != "story")
}

/// `GET /{page}/scheduled_posts` (§3).
pub(super) fn scheduled(call: &mut Call<'_>) -> Answer {
    let page = owner(call, &["pages_read_engagement"])?;
    list(call, &page.id, |post| {
        post.state == PostState::Scheduled && post.kind != "reel" && post.kind != "story"
    })
}

/// `GET /{page}/video_reels` (§3).
pub(super) fn reels(call: &mut Call<'_>) -> Answer {
    let page = owner(call, &["pages_read_engagement"])?;
    let limit = call.req.param("limit").and_then(|limit| limit.parse().ok()).unwrap_or(25);
    let reels = call.world.posts_of(&page.id).filter(|post| post.kind == "reel");
    let data: Vec<Value> = reels
        .take(limit)
        .map(|post| {
            let object = json!({
                "id": post.id,
                "description": post.text,
                "created_time": graph_time(post.created_at),
                "updated_time": graph_time(post.created_at),
                "permalink_url": post.permalink,
            });
            select(&object, call.req, &["description", "updated_time"])
        })
        .collect();
    Ok(Reply::ok(&json!({ "data": data, "paging": {} })))
}

/// `GET /{id}`: a page, a post, a photo or a video.
pub(super) fn object(call: &mut Call<'_>) -> Answer {
    let (token, account) = caller(call, &[])?;
    let mut id = node(call, 0);
    if id == "me" {
        id.clone_from(&account.id);
    }
    if id == account.id {
        let mut page = json!({ "id": account.id, "name": account.name, "username": account.name });
        if token.kind == TokenKind::User || token.kind == TokenKind::Access {
            // §2.4: `GET /{page}?fields=access_token`.
            page["access_token"] = tokens::page_token(call, &account.id);
        }
        return Ok(Reply::ok(&select(&page, call.req, &["name"])));
    }
    if let Some(reply) = facebook_video::status(call, &account.id, &id) {
        return Ok(reply);
    }
    let post = call.world.post(&id).filter(|post| {
        post.account == account.id && post.state != PostState::Deleted && post.kind != "story"
    });
    if let Some(post) = post {
        let default = ["message", "created_time"];
        return Ok(Reply::ok(&select(&shown(post), call.req, &default)));
    }
    match call.world.meta.photos.get(&id) {
        Some(photo) if photo.account == account.id => {
            let photo = json!({ "id": id, "created_time": graph_time(photo.created) });
            Ok(Reply::ok(&select(&photo, call.req, &["created_time"])))
        }
        _ => Err(no_object(&id)),
    }
}

/// `DELETE /{page_post_id}` (§3).
pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let (_, account) = caller(call, &["pages_manage_posts"])?;
    let id = node(call, 0);
    match call.world.post_mut(&id) {
        Some(post) if post.account == account.id && post.state != PostState::Deleted => {
            post.state = PostState::Deleted;
            Ok(Reply::ok(&json!({ "success": true })))
        }
        _ => Err(no_object(&id)),
    }
}
