//! Pinterest (§11): pins, boards, videos in two steps, limits by category.

use std::collections::HashMap;
use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::clock::after;
use serde_json::{Value, json};

use super::core::account::{Account, BadToken};
use super::core::call::{Call, Route, Trouble};
use super::core::http::{Answer, Reply};
use super::core::limits::{Room, Window};
use super::core::media::Media;
use super::core::post::{Draft, PostState};
use super::tokens;

/// Where videos are sent: not Pinterest's own.
pub(crate) const UPLOAD_HOST: &str = "pinterest-media-upload.s3-accelerate.amazonaws.com";

/// Videos.
#[derive(Debug, Default)]
pub(crate) struct State {
    media: HashMap<String, Upload>,
}

#[derive(Debug)]
struct Upload {
    account: String,
    key: String,
    media: Option<Media>,
    ready: Option<Timestamp>,
}

const SECOND: Window = Window::Sliding(Duration::from_secs(1));

pub(crate) fn find(method: &str, parts: &[&str]) -> Option<Route> {
    match (method, parts) {
        ("POST", ["v5", "oauth", "token"]) => Route::new("oauth", tokens::refresh),
        ("POST", ["v5", "pins"]) => Route::new("pins", create),
        ("GET", ["v5", "pins"]) => Route::new("pins_read", list),
        ("GET", ["v5", "pins", _]) => Route::new("pin", one),
        ("DELETE", ["v5", "pins", _]) => Route::new("delete", delete),
        ("GET", ["v5", "boards"]) => Route::new("boards", boards),
        ("GET", ["v5", "boards", _, "pins"]) => Route::new("pins_read", list),
        ("POST", ["v5", "media"]) => Route::new("media", register),
        ("GET", ["v5", "media", _]) => Route::new("media_status", status),
        ("GET", ["v5", "user_account"]) => Route::new("user_account", me),
        // The upload host: the form is all there is.
        ("POST", []) => Route::new("media_put", put),
        _ => None,
    }
}

/// §11: `{"code","message"}`.
fn error(status: u16, code: u32, message: &str) -> Reply {
    Reply::json(status, &json!({ "code": code, "message": message }))
}

pub(crate) fn trouble(trouble: &Trouble) -> Reply {
    match trouble {
        Trouble::Server(status) => error(*status, 12, "Something went wrong on our end. Sorry!"),
        Trouble::Sunset => error(404, 11, "API method not found."),
        Trouble::RateLimited { wait_s, .. } => {
            let reply = error(429, 8, "You have exceeded your rate limit. Try again later.");
            let reply = reply.with("x-ratelimit-category", "org_write");
            match wait_s {
                Some(seconds) => reply
                    .with("x-ratelimit-remaining", "0")
                    .with("x-ratelimit-reset", seconds.to_string()),
                None => reply,
            }
        }
    }
}

fn limited(room: Room) -> Reply {
    let reset = room.reset.as_second().to_string();
    trouble(&Trouble::RateLimited { code: None, wait_s: None }).with("x-ratelimit-resets-at", reset)
}

/// §11: 401 code 2, 403 code 29; 100 calls a second for a user of an application.
fn caller(call: &mut Call<'_>, scope: &str) -> Result<Account, Reply> {
    let bad = |_: BadToken| error(401, 2, "Authentication failed.");
    let token = call.shown_token().map_err(bad)?;
    if !token.may(scope) {
        let what = format!("You are not permitted to access that resource: {scope}");
        return Err(error(403, 29, &what));
    }
    let account = call.account_of(&token).map_err(bad)?;
    call.take("pinterest.calls", &account.id, 100, SECOND).map_err(limited)?;
    Ok(account)
}

/// `POST /pins` (§11).
fn create(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "pins:write")?;
    let body = call.req.body_json().clone();
    let board = body["board_id"].as_str().unwrap_or_default();
    if account.extra.get("board_id").map(String::as_str) != Some(board) {
        return Err(error(404, 40, "Board not found."));
    }
    for (field, most) in [("title", 100), ("description", 800), ("alt_text", 500), ("link", 2048)] {
        if body[field].as_str().is_some_and(|text| text.chars().count() > most) {
            return Err(error(400, 1, &format!("{field} is longer than {most} characters")));
        }
    }
    let (kind, mut media) = source(call, &account, &body["media_source"])?;
    for one in &mut media {
        one.alt_text = body["alt_text"].as_str().map(str::to_owned);
    }
    let id = (8_140_000_000_000_000 + call.world.number() * 3).to_string();
    let text = body["description"].as_str().or_else(|| body["title"].as_str()).unwrap_or_default();
    let extra = json!({ "title": body["title"], "link": body["link"], "board_id": board });
    let permalink = format!("https://www.pinterest.com/pin/{id}/");
    let draft = Draft { media, extra, permalink, ..Draft::published(id.clone(), kind, text) };
    call.world.publish(&account.id, draft)?;
    let pin = shown(call, &id);
    Ok(Reply::json(201, &pin))
}

/// §11, `media_source`.
fn source(
    call: &Call<'_>,
    account: &Account,
    source: &Value,
) -> Result<(&'static str, Vec<Media>), Reply> {
    let at = |url: &Value| {
        let url = url.as_str().unwrap_or_default();
        let known = url.starts_with("https://") || url.starts_with("http://");
        match call.req.fetched.get(url) {
            Some(Some(media)) => Ok(media.clone()),
            None if known => Ok(Media::behind(url)),
            _ => Err(error(400, 235, "Unable to reach the URL. Please check the URL is correct.")),
        }
    };
    let decoded = |item: &Value| {
        use base64::Engine;
        let data = item["data"].as_str().unwrap_or_default();
        let bytes = base64::engine::general_purpose::STANDARD.decode(data);
        let bytes = bytes.map_err(|_| error(400, 1, "data is not base64"))?;
        Ok(Media::of(&bytes, item["content_type"].as_str()))
    };
    let items = |each: &dyn Fn(&Value) -> Result<Media, Reply>| -> Result<Vec<Media>, Reply> {
        let items = source["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        // §11: 2-5.
        if !(2..=5).contains(&items.len()) {
            return Err(error(400, 1, "items must have 2 to 5 elements"));
        }
        items.iter().map(each).collect()
    };
    match source["source_type"].as_str() {
        Some("image_url") => Ok(("image", vec![at(&source["url"])?])),
        Some("image_base64") => Ok(("image", vec![decoded(source)?])),
        Some("multiple_image_urls") => Ok(("carousel", items(&|item| at(&item["url"]))?)),
        Some("multiple_image_base64") => Ok(("carousel", items(&decoded)?)),
        Some("video_id") => {
            let id = source["media_id"].as_str().unwrap_or_default();
            let upload = call.world.pinterest.media.get(id);
            let upload = upload.filter(|upload| {
                upload.account == account.id && upload.ready.is_some_and(|at| at <= call.now)
            });
            let media = upload.and_then(|upload| upload.media.clone());
            let media = media.ok_or_else(|| error(400, 1, "The video is not ready"))?;
            let covered = ["cover_image_url", "cover_image_data", "cover_image_key_frame_time"]
                .iter()
                .any(|name| !source[*name].is_null());
            if !covered {
                return Err(error(400, 1, "A video needs a cover image"));
            }
            Ok(("video", vec![media]))
        }
        _ => Err(error(400, 1, "media_source.source_type is not known")),
    }
}

fn shown(call: &Call<'_>, id: &str) -> Value {
    let Some(post) = call.world.post(id) else { return Value::Null };
    let description = if post.extra["title"] == post.text.as_str() { "" } else { &post.text };
    json!({
        "id": post.id,
        "created_at": post.created_at.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        "board_id": post.extra["board_id"],
        "title": post.extra["title"],
        "description": description,
        "link": post.extra["link"],
        "media": { "media_type": if post.kind == "video" { "video" } else { "image" } },
    })
}

/// `GET /pins`, `GET /boards/{id}/pins` (§1.1).
fn list(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "pins:read")?;
    let size = call.req.param("page_size").and_then(|n| n.parse().ok()).unwrap_or(25);
    let posts = call.world.posts_of(&account.id).filter(|p| p.state == PostState::Published);
    let items: Vec<Value> = posts.take(size).map(|post| shown(call, &post.id)).collect();
    Ok(Reply::ok(&json!({ "items": items, "bookmark": null })))
}

fn one(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "pins:read")?;
    let id = call.part(2).to_owned();
    let post = call.world.post(&id).filter(|post| post.account == account.id);
    match post.filter(|post| post.state == PostState::Published) {
        Some(_) => Ok(Reply::ok(&shown(call, &id))),
        None => Err(error(404, 50, "Pin not found.")),
    }
}

fn delete(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "pins:write")?;
    let id = call.part(2).to_owned();
    match call.world.post_mut(&id).filter(|post| post.account == account.id) {
        Some(post) => {
            post.state = PostState::Deleted;
            Ok(Reply::empty(204))
        }
        None => Err(error(404, 50, "Pin not found.")),
    }
}

fn boards(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "boards:read")?;
    let board =
        json!({ "id": account.extra.get("board_id"), "name": "Sandbox", "privacy": "PUBLIC" });
    Ok(Reply::ok(&json!({ "items": [board], "bookmark": null })))
}

fn me(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "pins:read")?;
    Ok(Reply::ok(
        &json!({ "id": account.id, "username": account.name, "account_type": "BUSINESS" }),
    ))
}

/// `POST /media {"media_type":"video"}` (§11).
fn register(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "pins:write")?;
    if call.req.body_json()["media_type"] != "video" {
        return Err(error(400, 1, "media_type must be video"));
    }
    call.admit()?;
    let id = (5_170_000_000_000_000 + call.world.number()).to_string();
    let key = call.world.secret("uploads/sandbox/");
    let upload = Upload { account: account.id, key: key.clone(), media: None, ready: None };
    call.world.pinterest.media.insert(id.clone(), upload);
    Ok(Reply::json(
        201,
        &json!({
            "media_id": id,
            "media_type": "video",
            "upload_url": call.url(UPLOAD_HOST, "/"),
            "upload_parameters": { "key": key, "Content-Type": "multipart/form-data",
                "x-amz-algorithm": "AWS4-HMAC-SHA256", "policy": "sandbox", "x-amz-signature": "sandbox" },
        }),
    ))
}

/// The multipart form: parameters, then `file` last (§11); 204 [M].
fn put(call: &mut Call<'_>) -> Answer {
    let key = call.req.param("key").unwrap_or_default().to_owned();
    let ready = after(call.now, call.world.settings.video_processing);
    let Some(file) = call.req.files.iter().find(|file| file.name == "file") else {
        return Err(Reply::bytes(
            400,
            "application/xml",
            "<Error><Code>InvalidArgument</Code></Error>",
        ));
    };
    let media = Media::of(&file.bytes, Some(&file.content_type));
    let found = call.world.pinterest.media.iter_mut().find(|(_, upload)| upload.key == key);
    let Some((id, upload)) = found else {
        return Err(Reply::bytes(
            403,
            "application/xml",
            "<Error><Code>AccessDenied</Code></Error>",
        ));
    };
    upload.media = Some(media.with_id(id));
    upload.ready = Some(ready);
    Ok(Reply::empty(204))
}

/// `GET /media/{id}` (§11): registered, processing, succeeded, failed.
fn status(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "pins:read")?;
    let id = call.part(2).to_owned();
    let upload = call.world.pinterest.media.get(&id).filter(|u| u.account == account.id);
    let upload = upload.ok_or_else(|| error(404, 1, "Media not found."))?;
    let status = match upload.ready {
        None => "registered",
        Some(ready) if ready <= call.now => "succeeded",
        Some(_) => "processing",
    };
    Ok(Reply::ok(&json!({ "media_id": id, "media_type": "video", "status": status })))
}
