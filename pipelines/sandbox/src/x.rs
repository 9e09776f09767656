//! X (§10): posts, media, rate headers, duplicates.

use std::collections::HashMap;
use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::clock::{after, between};
use serde_json::{Value, json};

use super::core::account::{Account, BadToken};
use super::core::call::{Call, Route, Trouble};
use super::core::http::{Answer, Reply, Req};
use super::core::limits::{DAY, Room, Window};
use super::core::media::{Incoming, Media};
use super::core::post::{Draft, PostState};
use super::tokens;

/// Uploads of X.
#[derive(Debug, Default)]
pub(crate) struct State {
    media: HashMap<String, Upload>,
}

#[derive(Debug)]
struct Upload {
    account: String,
    total: u64,
    kind: String,
    incoming: Incoming,
    next_segment: u64,
    created: Timestamp,
    ready: Option<Timestamp>,
    alt_text: Option<String>,
}

const QUARTER: Window = Window::Sliding(Duration::from_secs(900));

pub(crate) fn find(req: &Req, method: &str, parts: &[&str]) -> Option<Route> {
    match (method, parts) {
        ("POST", ["2", "oauth2", "token"]) => Route::new("oauth", tokens::refresh),
        ("POST", ["2", "oauth2", "revoke"]) => Route::new("revoke", tokens::revoke),
        ("POST", ["2", "tweets"]) => Route::new("tweets", create),
        ("DELETE", ["2", "tweets", _]) => Route::new("delete", delete),
        ("GET", ["2", "tweets", _]) => Route::new("tweet", one),
        ("GET", ["2", "users", "me"]) => Route::new("me", me),
        ("GET", ["2", "users", _, "tweets"]) => Route::new("tweets_read", list),
        ("POST", ["2", "media", "metadata"]) => Route::new("media_metadata", metadata),
        ("POST", ["2", "media", "upload", "initialize"]) => Route::new("media_init", init),
        ("POST", ["2", "media", "upload", _, "append"]) => Route::new("media_append", append),
        ("POST", ["2", "media", "upload", _, "finalize"]) => Route::new("media_finalize", finalize),
        ("GET", ["2", "media", "upload"]) => Route::new("media_status", status),
        ("POST", ["2", "media", "upload"]) => match req.param("command") {
            Some("INIT") => Route::new("media_init", init),
            Some("APPEND") => Route::new("media_append", append),
            Some("FINALIZE") => Route::new("media_finalize", finalize),
            // One picture in one call: multipart with `media`, or JSON with base64.
            _ => Route::new("media_upload", whole),
        },
        _ => None,
    }
}

/// §10: `{"title","detail","type","status"}`.
fn problem(status: u16, kind: &str, title: &str, detail: &str) -> Reply {
    let kind = match kind {
        "" => "about:blank".to_owned(),
        kind => format!("https://api.x.com/2/problems/{kind}"),
    };
    let body = json!({ "title": title, "detail": detail, "type": kind, "status": status });
    Reply::bytes(status, "application/problem+json", body.to_string())
}

fn invalid(detail: &str) -> Reply {
    problem(400, "invalid-request", "Invalid Request", detail)
}

pub(crate) fn trouble(trouble: &Trouble) -> Reply {
    match trouble {
        Trouble::Server(503) => problem(503, "", "Service Unavailable", "Service Unavailable"),
        Trouble::Server(status) => problem(*status, "", "Internal Server Error", "Try again."),
        Trouble::Sunset => problem(404, "resource-not-found", "Not Found Error", "No such version"),
        Trouble::RateLimited { code, wait_s } => {
            let usage = code.as_deref() == Some("usage-capped");
            let kind = if usage { "usage-capped" } else { "rate-limit-exceeded" };
            let reply = problem(429, kind, "Too Many Requests", "Too Many Requests");
            tokens::retry_after(reply, *wait_s)
        }
    }
}

fn caller(call: &Call<'_>, scope: &str) -> Result<Account, Reply> {
    let unauthorized = |_: BadToken| problem(401, "", "Unauthorized", "Unauthorized");
    let token = call.shown_token().map_err(unauthorized)?;
    if !token.may(scope) {
        let detail = format!("The token lacks the scope {scope}");
        return Err(problem(403, "client-forbidden", "Forbidden", &detail));
    }
    call.account_of(&token).map_err(unauthorized)
}

/// §10: `x-rate-limit-limit`, `-remaining`, `-reset` in unix seconds.
fn with_room(reply: Reply, room: Room) -> Reply {
    reply
        .with("x-rate-limit-limit", room.limit.to_string())
        .with("x-rate-limit-remaining", room.limit.saturating_sub(room.used).to_string())
        .with("x-rate-limit-reset", (room.reset.as_second() + 1).to_string())
}

fn limited(room: Room) -> Reply {
    let limited = Trouble::RateLimited { code: None, wait_s: None };
    with_room(trouble(&limited), room)
}

/// `POST /2/tweets` (§10).
fn create(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "tweet.write")?;
    // §10: 100 in 15 min for a user, 10,000 in 24 h for an application.
    let room = call.take("x.tweets", &account.id, 100, QUARTER).map_err(limited)?;
    call.take("x.app_tweets", "app", 10_000, DAY).map_err(limited)?;
    let body = call.req.body_json().clone();
    let text = body["text"].as_str().unwrap_or_default().to_owned();
    let media = attached(call, &account, &body)?;
    if text.is_empty() && media.is_empty() {
        return Err(invalid("You must provide text or media"));
    }
    let most = if account.extra.get("premium").is_some_and(|p| p == "true") { 25_000 } else { 280 };
    if weight(&text) > most {
        return Err(invalid("Your Tweet text is too long."));
    }
    let reply_to = body["reply"]["in_reply_to_tweet_id"].as_str().map(str::to_owned);
    let same = call.world.settings.refuse_duplicates
        && !text.is_empty()
        && call.world.posts_of(&account.id).take(20).any(|post| {
            post.text == text
                && post.state == PostState::Published
                && post.extra["reply_to"].as_str() == reply_to.as_deref()
        });
    if same {
        call.world.refused_duplicate(&account.id);
        let detail = "You are not allowed to create a Tweet with duplicate content.";
        return Err(problem(403, "", "Forbidden", detail));
    }
    let number = call.world.number();
    let id = (1_990_000_000_000_000_000 + number * 4096).to_string();
    let kind = match media.len() {
        0 => "text",
        1 if media[0].content_type.as_deref().is_some_and(|t| t.starts_with("video")) => "video",
        1 => "image",
        _ => "carousel",
    };
    let draft = Draft {
        media,
        permalink: format!("https://x.com/i/status/{id}"),
        extra: json!({ "reply_to": reply_to }),
        ..Draft::published(id.clone(), kind, &text)
    };
    call.world.publish(&account.id, draft)?;
    if let Some(parent) = reply_to.as_deref().and_then(|id| call.world.post_mut(id)) {
        let (text, at) = (text.clone(), parent.created_at);
        parent.comments.push(super::core::post::Comment { id: id.clone(), text, at });
    }
    let body = json!({ "data": { "id": id, "text": text, "edit_history_tweet_ids": [id] } });
    Ok(with_room(Reply::json(201, &body), room))
}

/// §10: URLs 23, CJK and emoji 2 (joined emoji are counted one by one here: more, not less).
fn weight(text: &str) -> usize {
    let word = |word: &str| {
        if word.starts_with("https://") || word.starts_with("http://") {
            return 23;
        }
        let light = |c: char| matches!(u32::from(c), 0..=0x10FF | 0x2000..=0x200D | 0x2010..=0x201F | 0x2032..=0x2037);
        word.chars().filter(|c| *c != '\u{FE0F}').map(|c| if light(c) { 1 } else { 2 }).sum()
    };
    text.split_inclusive(char::is_whitespace)
        .map(|part| {
            let trimmed = part.trim_end();
            word(trimmed) + (part.chars().count() - trimmed.chars().count())
        })
        .sum()
}

/// §10: up to 4 photos or 1 GIF or 1 video; uploads live for 86,400 s.
fn attached(call: &Call<'_>, account: &Account, body: &Value) -> Result<Vec<Media>, Reply> {
    let mut media = Vec::new();
    for id in body["media"]["media_ids"].as_array().into_iter().flatten() {
        let id = id.as_str().unwrap_or_default();
        let upload = call.world.x.media.get(id).filter(|upload| {
            upload.account == account.id
                && upload.ready.is_some_and(|ready| ready <= call.now)
                && between(upload.created, call.now) < Duration::from_secs(86_400)
        });
        let upload = upload.ok_or_else(|| invalid("Your media IDs are invalid."))?;
        let mut one = upload.incoming.media(Some(&upload.kind)).with_id(id);
        one.alt_text.clone_from(&upload.alt_text);
        media.push(one);
    }
    let moving = |media: &Media| {
        media.content_type.as_deref().is_some_and(|t| t.starts_with("video") || t == "image/gif")
    };
    if media.len() > 4 || (media.len() > 1 && media.iter().any(moving)) {
        return Err(invalid("4 photos, or 1 GIF, or 1 video"));
    }
    Ok(media)
}

fn upload_id(call: &Call<'_>) -> String {
    match call.req.param("media_id") {
        Some(id) => id.to_owned(),
        None => call.part(3).to_owned(),
    }
}

/// §10: INIT, or `/initialize`.
fn init(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "media.write")?;
    let total: u64 = call.req.text("total_bytes").and_then(|n| n.parse().ok()).unwrap_or(0);
    let kind = call.req.param("media_type").unwrap_or_default().to_owned();
    // §10: image 5 MB, GIF 15 MB, video 512 MB.
    let most: u64 = match kind.as_str() {
        "image/gif" => 15 << 20,
        _ if kind.starts_with("image/") => 5 << 20,
        _ => 512 << 20,
    };
    if total == 0 || total > most {
        return Err(invalid("total_bytes is missing or too large for its type"));
    }
    let id = start(call, &account, total, &kind)?;
    Ok(described(call, &id, 202))
}

fn start(call: &mut Call<'_>, account: &Account, total: u64, kind: &str) -> Result<String, Reply> {
    call.admit()?;
    let number = call.world.number();
    let id = (1_880_000_000_000_000_000 + number).to_string();
    let upload = Upload {
        account: account.id.clone(),
        total,
        kind: kind.to_owned(),
        incoming: Incoming::default(),
        next_segment: 0,
        created: call.now,
        ready: None,
        alt_text: None,
    };
    call.world.x.media.insert(id.clone(), upload);
    Ok(id)
}

fn own<'a>(call: &'a mut Call<'_>, account: &Account, id: &str) -> Result<&'a mut Upload, Reply> {
    let found = call.world.x.media.get_mut(id).filter(|upload| upload.account == account.id);
    found.ok_or_else(|| problem(404, "resource-not-found", "Not Found Error", "No such media"))
}

/// §10: APPEND, or `/{id}/append`, with `segment_index`.
fn append(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "media.write")?;
    let id = upload_id(call);
    let bytes = piece(call.req).ok_or_else(|| invalid("media is missing"))?;
    let segment = call.req.text("segment_index").and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let upload = own(call, &account, &id)?;
    // A segment sent again replaces nothing: it is here already.
    if segment == upload.next_segment {
        upload.incoming.take(&bytes);
        upload.next_segment += 1;
    } else if segment > upload.next_segment {
        return Err(invalid("segment_index is ahead of what has come"));
    }
    let expires = json!({ "data": { "expires_at": (call.now.as_second() + 86_400) } });
    Ok(Reply::ok(&expires))
}

fn piece(req: &Req) -> Option<bytes::Bytes> {
    use base64::Engine;
    if let Some(file) = req.files.iter().find(|file| file.name == "media") {
        return Some(file.bytes.clone());
    }
    let text = req.param("media").or_else(|| req.param("media_data"))?;
    base64::engine::general_purpose::STANDARD.decode(text).ok().map(Into::into)
}

/// §10: FINALIZE, or `/{id}/finalize`.
fn finalize(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "media.write")?;
    let id = upload_id(call);
    let (picture, video) =
        (call.world.settings.image_processing, call.world.settings.video_processing);
    let now = call.now;
    let upload = own(call, &account, &id)?;
    if upload.incoming.bytes() != upload.total {
        return Err(invalid("The bytes that came are not as many as announced"));
    }
    let takes = if upload.kind.starts_with("video") { video } else { picture };
    upload.ready.get_or_insert(after(now, takes));
    Ok(described(call, &id, 200))
}

fn whole(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "media.write")?;
    let bytes = piece(call.req).ok_or_else(|| invalid("media is missing"))?;
    if bytes.len() > 5 << 20 {
        return Err(invalid("The file is too large: at most 5 MB"));
    }
    let file = call.req.files.iter().find(|file| file.name == "media");
    let kind = call.req.param("media_type").map(str::to_owned);
    let kind = kind.or_else(|| file.map(|file| file.content_type.clone()));
    let kind = kind.unwrap_or_else(|| "image/jpeg".into());
    let id = start(call, &account, bytes.len() as u64, &kind)?;
    let now = call.now;
    let upload = own(call, &account, &id)?;
    upload.incoming.take(&bytes);
    upload.ready = Some(now);
    Ok(described(call, &id, 200))
}

/// §10: `GET /2/media/upload?command=STATUS&media_id=`.
fn status(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "media.write")?;
    let id = upload_id(call);
    own(call, &account, &id)?;
    Ok(described(call, &id, 200))
}

fn described(call: &Call<'_>, id: &str, status: u16) -> Reply {
    let mut data =
        json!({ "id": id, "media_key": format!("3_{id}"), "expires_after_secs": 86_400 });
    if let Some(upload) = call.world.x.media.get(id) {
        data["size"] = json!(upload.incoming.bytes());
        if let (true, Some(ready)) = (upload.kind.starts_with("video"), upload.ready) {
            data["processing_info"] = if ready <= call.now {
                json!({ "state": "succeeded", "progress_percent": 100 })
            } else {
                json!({ "state": "in_progress", "check_after_secs": 1, "progress_percent": 50 })
            };
        }
    }
    Reply::json(status, &json!({ "data": data }))
}

fn metadata(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "media.write")?;
    let body = call.req.body_json();
    let id =
        body["id"].as_str().or_else(|| body["media_id"].as_str()).unwrap_or_default().to_owned();
    let metadata = if body["metadata"].is_object() { &body["metadata"] } else { body };
    let alt = metadata["alt_text"]["text"].as_str().map(str::to_owned);
    own(call, &account, &id)?.alt_text = alt;
    Ok(Reply::ok(&json!({ "data": { "id": id } })))
}

fn shown(post: &super::core::post::Post) -> Value {
    json!({ "id": post.id, "text": post.text, "created_at": post.created_at,
        "edit_history_tweet_ids": [post.id] })
}

/// `GET /2/users/{id}/tweets` (§1.1: billed; the read-back).
fn list(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "tweet.read")?;
    let room = call.take("x.reads", &account.id, 900, QUARTER).map_err(limited)?;
    if call.part(2) != account.id {
        return Err(problem(404, "resource-not-found", "Not Found Error", "No such user"));
    }
    let most = call.req.param("max_results").and_then(|n| n.parse().ok()).unwrap_or(10);
    let since: Option<Timestamp> = call.req.param("start_time").and_then(|at| at.parse().ok());
    let posts = call.world.posts_of(&account.id).filter(|post| {
        post.state == PostState::Published && since.is_none_or(|since| post.created_at >= since)
    });
    let data: Vec<Value> = posts.take(most).map(shown).collect();
    let body = json!({ "data": data, "meta": { "result_count": data.len() } });
    Ok(with_room(Reply::ok(&body), room))
}

fn one(call: &mut Call<'_>) -> Answer {
    caller(call, "tweet.read")?;
    let post = call.world.post(call.part(2)).filter(|post| post.state == PostState::Published);
    match post {
        Some(post) => Ok(Reply::ok(&json!({ "data": shown(post) }))),
        // §10: partial errors inside 200.
        None => Ok(Reply::ok(&json!({ "errors": [{ "title": "Not Found Error", "status": 404,
            "detail": "Could not find tweet",
            "type": "https://api.x.com/2/problems/resource-not-found" }] }))),
    }
}

fn me(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "users.read")?;
    Ok(Reply::ok(&json!({ "data": { "id": account.id, "name": account.name,
        "username": account.name.replace(' ', "_") } })))
}

/// `DELETE /2/tweets/{id}` (§10: 50 in 15 min).
fn delete(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "tweet.write")?;
    let room = call.take("x.deletes", &account.id, 50, QUARTER).map_err(limited)?;
    let id = call.part(2).to_owned();
    let own = call.world.post_mut(&id).filter(|post| post.account == account.id);
    let deleted = match own {
        Some(post) => {
            post.state = PostState::Deleted;
            true
        }
        None => false,
    };
    Ok(with_room(Reply::ok(&json!({ "data": { "deleted": deleted } })), room))
}
