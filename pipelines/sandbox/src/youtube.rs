//! YouTube (§8): resumable uploads, videos, thumbnails, comments, quotas until midnight Pacific.

use std::collections::HashMap;

use flotilla_core::Timestamp;
use flotilla_core::clock::after;
use serde_json::{Value, json};

use super::core::account::{Account, BadToken};
use super::core::call::{Call, Route, Trouble};
use super::core::http::{Answer, Reply, Req};
use super::core::limits::Window;
use super::core::media::Incoming;
use super::core::post::{Comment, Draft, PostState};
use super::tokens;

/// Sessions and videos.
#[derive(Debug, Default)]
pub(crate) struct State {
    sessions: HashMap<String, Session>,
    videos: HashMap<String, Video>,
}

#[derive(Debug)]
struct Session {
    account: String,
    resource: Value,
    total: Option<u64>,
    kind: String,
    incoming: Incoming,
    /// The answer that finished it; it is given again (§8.1).
    video: Option<String>,
}

#[derive(Debug)]
struct Video {
    resource: Value,
    ready: Timestamp,
}

/// §8.3: reset at midnight Pacific.
const PACIFIC_DAY: Window = Window::Day("America/Los_Angeles");
const UPLOAD: &str = "https://www.googleapis.com/auth/youtube.upload";
const MANAGE: &str = "https://www.googleapis.com/auth/youtube";
const FORCE_SSL: &str = "https://www.googleapis.com/auth/youtube.force-ssl";
const READ: &str = "https://www.googleapis.com/auth/youtube.readonly";

pub(crate) fn find(req: &Req, method: &str, parts: &[&str]) -> Option<Route> {
    match (method, parts) {
        ("POST", ["upload", "youtube", "v3", "videos"]) => Route::new("upload_init", begin),
        ("PUT", ["upload", "youtube", "v3", "videos"]) if req.param("upload_id").is_some() => {
            Route::upload("upload", put)
        }
        ("POST", ["upload", "youtube", "v3", "thumbnails", "set"]) => {
            Route::new("thumbnail", thumbnail)
        }
        ("GET", ["youtube", "v3", "videos"]) => Route::new("videos", videos),
        ("PUT", ["youtube", "v3", "videos"]) => Route::new("update", update),
        ("DELETE", ["youtube", "v3", "videos"]) => Route::new("delete", delete),
        ("GET", ["youtube", "v3", "channels"]) => Route::new("channels", channels),
        ("POST", ["youtube", "v3", "commentThreads"]) => Route::new("comments", comment),
        _ => None,
    }
}

/// §8.4.
fn error(status: u16, domain: &str, reason: &str, message: &str) -> Reply {
    let one = json!({ "domain": domain, "reason": reason, "message": message });
    let body = json!({ "code": status, "message": message, "errors": [one],
        "status": if status == 403 { "PERMISSION_DENIED" } else { "INVALID_ARGUMENT" } });
    Reply::json(status, &json!({ "error": body }))
}

fn invalid(reason: &str, message: &str) -> Reply {
    error(400, "youtube.video", reason, message)
}

pub(crate) fn trouble(trouble: &Trouble) -> Reply {
    match trouble {
        Trouble::Server(503) => error(503, "global", "backendError", "Backend Error"),
        Trouble::Server(status) => error(*status, "global", "internalError", "Internal Error"),
        Trouble::Sunset => error(410, "global", "deprecated", "The version is no more"),
        Trouble::RateLimited { code, wait_s } => {
            let reason = code.as_deref().unwrap_or("rateLimitExceeded");
            // §8.4: the daily ones and the rate ones with 403, uploadLimitExceeded with 400.
            let (status, domain) = match reason {
                "uploadLimitExceeded" => (400, "youtube.video"),
                "quotaExceeded" | "dailyLimitExceeded" => (403, "youtube.quota"),
                "uploadRateLimitExceeded" => (429, "youtube.thumbnail"),
                _ => (403, "usageLimits"),
            };
            tokens::retry_after(error(status, domain, reason, "Limit exceeded"), *wait_s)
        }
    }
}

fn caller(call: &Call<'_>, scopes: &[&str]) -> Result<Account, Reply> {
    let bad = |_: BadToken| error(401, "global", "authError", "Invalid Credentials");
    let token = call.shown_token().map_err(bad)?;
    if !scopes.iter().any(|scope| token.may(scope)) {
        let what = "Request had insufficient authentication scopes.";
        return Err(error(403, "global", "insufficientPermissions", what));
    }
    call.account_of(&token).map_err(bad)
}

/// §8.3: 10,000 units a day for the project, beside the bucket of uploads.
fn units(call: &mut Call<'_>, cost: u64) -> Result<(), Reply> {
    let over =
        |_| trouble(&Trouble::RateLimited { code: Some("quotaExceeded".into()), wait_s: None });
    call.take_many("youtube.units", "project", (10_000, cost), PACIFIC_DAY).map_err(over)?;
    Ok(())
}

/// `POST /upload/youtube/v3/videos?uploadType=resumable` (§8.1).
fn begin(call: &mut Call<'_>) -> Answer {
    let account = caller(call, &[UPLOAD, MANAGE])?;
    if call.req.param("uploadType") != Some("resumable") {
        return Err(invalid("mediaBodyRequired", "uploadType must be resumable here"));
    }
    let resource = call.req.body_json().clone();
    check(call, &resource)?;
    // §8.3: 100 uploads a day for the project.
    let over =
        |_| trouble(&Trouble::RateLimited { code: Some("quotaExceeded".into()), wait_s: None });
    call.take("youtube.uploads", "project", 100, PACIFIC_DAY).map_err(over)?;
    call.admit()?;
    let total = call.req.header("x-upload-content-length").and_then(|n| n.parse().ok());
    let kind = call.req.header("x-upload-content-type").unwrap_or("video/*").to_owned();
    let id = call.world.secret("AJsandbox");
    let session = Session {
        account: account.id,
        resource,
        total,
        kind,
        incoming: Incoming::default(),
        video: None,
    };
    call.world.youtube.sessions.insert(id.clone(), session);
    let path = format!("/upload/youtube/v3/videos?uploadType=resumable&upload_id={id}");
    let location = call.url("www.googleapis.com", &path);
    Ok(Reply::empty(200).with("location", location).with("x-guploader-uploadid", id))
}

/// §8.3: title, description, tags, publishAt.
fn check(call: &Call<'_>, resource: &Value) -> Result<(), Reply> {
    let (snippet, status) = (&resource["snippet"], &resource["status"]);
    let title = snippet["title"].as_str().unwrap_or_default();
    if title.is_empty() || title.chars().count() > 100 || title.contains(['<', '>']) {
        return Err(invalid("invalidTitle", "The title is empty, too long, or has < or >"));
    }
    let description = snippet["description"].as_str().unwrap_or_default();
    if description.len() > 5000 || description.contains(['<', '>']) {
        return Err(invalid("invalidDescription", "The description is too long, or has < or >"));
    }
    let tags: Vec<&str> =
        snippet["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let weight = |tag: &&str| tag.chars().count() + if tag.contains(' ') { 2 } else { 0 };
    if tags.iter().map(weight).sum::<usize>() + tags.len().saturating_sub(1) > 500 {
        return Err(invalid("invalidTags", "The tags are longer than 500 characters together"));
    }
    let privacy = status["privacyStatus"].as_str().unwrap_or("public");
    if !matches!(privacy, "private" | "public" | "unlisted") {
        return Err(error(403, "youtube.video", "forbiddenPrivacySetting", "No such setting"));
    }
    if let Some(at) = status["publishAt"].as_str()
        && (privacy != "private" || at.parse::<Timestamp>().is_err())
    {
        let what = "publishAt needs privacyStatus private and a time of RFC 3339";
        return Err(invalid("invalidPublishAt", what));
    }
    // §8.1: the header says how many bytes come.
    let size = call.req.header("x-upload-content-length").and_then(|n| n.parse::<u64>().ok());
    if size.is_some_and(|size| size == 0 || size > 256 << 30) {
        return Err(invalid("mediaBodyRequired", "The file is empty or larger than 256 GB"));
    }
    Ok(())
}

/// `bytes A-B/N`, `bytes */N`: first byte (if any) and the total (if known).
fn range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (span, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let first = match span {
        "*" => None,
        span => Some(span.split_once('-')?.0.parse().ok()?),
    };
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((first, total))
}

/// `PUT <session uri>` (§8.1): bytes, or a question how many are here.
fn put(call: &mut Call<'_>) -> Answer {
    let id = call.req.param("upload_id").unwrap_or_default().to_owned();
    let asked = call.req.header("content-range").map(range);
    // §8.1: 404 (410), the session is gone.
    let Some(session) = call.world.youtube.sessions.get_mut(&id) else {
        return Err(Reply::empty(404));
    };
    if let Some(video) = session.video.clone() {
        return Ok(resource_of(call, &video, 200));
    }
    let (first, total) = match asked {
        Some(Some(asked)) => asked,
        Some(None) => return Err(invalid("badContent", "Content-Range cannot be read")),
        None => (Some(0), call.req.header("content-length").and_then(|n| n.parse().ok())),
    };
    session.total = session.total.or(total);
    if let Some(first) = first {
        let have = session.incoming.bytes();
        if first > have {
            // §8.1: resume at what is here. The sheet has no code for a gap: the state is told.
            return Ok(incomplete(have));
        }
        if first == 0 && have > 0 && call.req.header("content-range").is_none() {
            session.incoming = Incoming::default();
        }
        let skip = usize::try_from(session.incoming.bytes() - first).unwrap_or(usize::MAX);
        if let Some(new) = call.req.body.get(skip.min(call.req.body.len())..) {
            session.incoming.take(new);
        }
    }
    let have = session.incoming.bytes();
    match session.total {
        Some(total) if have > total => Err(invalid("badContent", "More bytes than announced")),
        Some(total) if have == total => finish(call, &id),
        _ => Ok(incomplete(have)),
    }
}

/// §8.1: 308, with `Range` when something is here.
fn incomplete(have: u64) -> Reply {
    match have {
        0 => Reply::empty(308),
        have => Reply::empty(308).with("range", format!("bytes=0-{}", have - 1)),
    }
}

fn finish(call: &mut Call<'_>, id: &str) -> Answer {
    let number = call.world.number();
    let video = format!("sbx{number:08}");
    let ready = after(call.now, call.world.settings.video_processing);
    let Some(session) = call.world.youtube.sessions.get_mut(id) else {
        return Err(Reply::empty(404));
    };
    let resource = session.resource.clone();
    let media = session.incoming.media(Some(&session.kind)).with_id(&video);
    let account = session.account.clone();
    session.video = Some(video.clone());
    let title = resource["snippet"]["title"].as_str().unwrap_or_default();
    let at: Option<Timestamp> =
        resource["status"]["publishAt"].as_str().and_then(|at| at.parse().ok());
    // §8.3: a past time publishes at once.
    let (state, publish_at) = match at {
        Some(at) if at > call.now => (PostState::Scheduled, Some(at)),
        _ => (PostState::Published, None),
    };
    let draft = Draft {
        media: vec![media],
        state,
        publish_at,
        permalink: format!("https://www.youtube.com/watch?v={video}"),
        extra: json!({ "description": resource["snippet"]["description"],
            "tags": resource["snippet"]["tags"], "status": resource["status"], "session": id }),
        ..Draft::published(video.clone(), "video", title)
    };
    call.world.publish(&account, draft)?;
    call.world.youtube.videos.insert(video.clone(), Video { resource, ready });
    Ok(resource_of(call, &video, 201))
}

fn resource_of(call: &Call<'_>, id: &str, status: u16) -> Reply {
    Reply::json(status, &described(call, id))
}

fn described(call: &Call<'_>, id: &str) -> Value {
    let Some(video) = call.world.youtube.videos.get(id) else { return Value::Null };
    let post = call.world.post(id);
    let done = video.ready <= call.now;
    let mut status = video.resource["status"].clone();
    status["uploadStatus"] = json!(if done { "processed" } else { "uploaded" });
    let scheduled = video.resource["status"]["publishAt"].is_string();
    if scheduled && post.is_some_and(|post| post.state == PostState::Published) {
        // What was planned is public now.
        status["privacyStatus"] = json!("public");
    }
    let mut snippet = video.resource["snippet"].clone();
    snippet["publishedAt"] = json!(post.map(|post| post.created_at));
    snippet["channelId"] = json!(post.map(|post| post.account.clone()));
    let processing = if done { "succeeded" } else { "processing" };
    json!({ "kind": "youtube#video", "id": id, "snippet": snippet, "status": status,
        "processingDetails": { "processingStatus": processing } })
}

/// `GET /youtube/v3/videos?part=&id=` (§8.2: 1 unit; not with `youtube.upload` alone).
fn videos(call: &mut Call<'_>) -> Answer {
    let account = caller(call, &[READ, MANAGE, FORCE_SSL])?;
    units(call, 1)?;
    let ids = call.req.param("id").unwrap_or_default().to_owned();
    let seen = |id: &&str| {
        let post = call.world.post(id).filter(|post| post.state != PostState::Deleted);
        post.is_some_and(|post| {
            post.account == account.id || post.extra["status"]["privacyStatus"] != "private"
        })
    };
    let items: Vec<Value> = ids.split(',').filter(seen).map(|id| described(call, id)).collect();
    let total = items.len();
    Ok(Reply::ok(&json!({ "kind": "youtube#videoListResponse", "items": items,
        "pageInfo": { "totalResults": total, "resultsPerPage": total } })))
}

/// A video of the account, not deleted.
fn own(call: &Call<'_>, account: &Account, id: &str) -> Result<(), Reply> {
    let post = call.world.post(id).filter(|post| post.state != PostState::Deleted);
    match post.filter(|post| post.account == account.id) {
        Some(_) => Ok(()),
        None => Err(error(404, "youtube.video", "videoNotFound", "The video is not there")),
    }
}

/// `PUT /youtube/v3/videos` (§8.1: 50 units; idempotent on a known id).
fn update(call: &mut Call<'_>) -> Answer {
    let account = caller(call, &[MANAGE, FORCE_SSL])?;
    units(call, 50)?;
    let body = call.req.body_json().clone();
    let id = body["id"].as_str().unwrap_or_default().to_owned();
    own(call, &account, &id)?;
    if let Some(video) = call.world.youtube.videos.get_mut(&id) {
        for part in ["snippet", "status"] {
            if body[part].is_object() {
                video.resource[part] = body[part].clone();
            }
        }
    }
    if let Some(post) = call.world.post_mut(&id)
        && body["status"].is_object()
    {
        post.extra["status"] = body["status"].clone();
    }
    Ok(resource_of(call, &id, 200))
}

/// `DELETE /youtube/v3/videos?id=` (§8.3: 50 units).
fn delete(call: &mut Call<'_>) -> Answer {
    let account = caller(call, &[MANAGE, FORCE_SSL])?;
    units(call, 50)?;
    let id = call.req.param("id").unwrap_or_default().to_owned();
    own(call, &account, &id)?;
    if let Some(post) = call.world.post_mut(&id) {
        post.state = PostState::Deleted;
    }
    Ok(Reply::empty(204))
}

/// `POST /upload/youtube/v3/thumbnails/set?videoId=` (§8.2: 50 MB, 50 units).
fn thumbnail(call: &mut Call<'_>) -> Answer {
    let account = caller(call, &[UPLOAD, MANAGE, FORCE_SSL])?;
    units(call, 50)?;
    let id = call.req.param("videoId").unwrap_or_default().to_owned();
    own(call, &account, &id)?;
    if call.req.body.len() > 50 << 20 || call.req.body.is_empty() {
        return Err(error(400, "youtube.thumbnail", "invalidImage", "1 byte to 50 MB"));
    }
    let kind = call.req.header("content-type").map(str::to_owned);
    let media = super::core::media::Media::of(&call.req.body, kind.as_deref());
    if let Some(post) = call.world.post_mut(&id) {
        post.extra["thumbnail"] = json!(media);
    }
    Ok(Reply::ok(&json!({ "kind": "youtube#thumbnailSetResponse", "items": [] })))
}

fn channels(call: &mut Call<'_>) -> Answer {
    let account = caller(call, &[READ, MANAGE, FORCE_SSL])?;
    units(call, 1)?;
    let channel = json!({ "kind": "youtube#channel", "id": account.id,
        "snippet": { "title": account.name } });
    Ok(Reply::ok(&json!({ "items": [channel] })))
}

fn comment(call: &mut Call<'_>) -> Answer {
    caller(call, &[FORCE_SSL, MANAGE])?;
    units(call, 50)?;
    let snippet = &call.req.body_json()["snippet"];
    let video = snippet["videoId"].as_str().unwrap_or_default().to_owned();
    let text = snippet["topLevelComment"]["snippet"]["textOriginal"].as_str();
    let (text, at) = (text.unwrap_or_default().to_owned(), call.now);
    let id = call.world.secret("Ug");
    match call.world.post_mut(&video) {
        Some(post) => {
            post.comments.push(Comment { id: id.clone(), text, at });
            Ok(Reply::ok(&json!({ "kind": "youtube#commentThread", "id": id })))
        }
        None => Err(error(404, "youtube.commentThread", "videoNotFound", "It is not there")),
    }
}
