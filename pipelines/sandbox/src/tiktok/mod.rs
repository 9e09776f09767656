//! TikTok (§7): creator info, videos in chunks or by URL, photos, states, cancelling.

mod chunks;

use std::collections::HashMap;

use flotilla_core::Timestamp;
use flotilla_core::clock::after;
use serde_json::{Value, json};

use super::core::account::{Account, BadToken};
use super::core::call::{Call, Route, Trouble};
use super::core::http::{Answer, Reply};
use super::core::limits::{DAY, MINUTE};
use super::core::media::Media;
use super::core::post::{Draft, PostState};
use super::tokens;

/// Publications on their way, by `publish_id`; and which of them an upload URL belongs to.
#[derive(Debug, Default)]
pub(crate) struct State {
    jobs: HashMap<String, Publication>,
    uploads: HashMap<String, String>,
}

#[derive(Debug)]
struct Publication {
    account: String,
    draft: Draft,
    inbox: bool,
    source: Source,
    created: Timestamp,
    /// When processing ends.
    ready: Option<Timestamp>,
    post: Option<String>,
    cancelled: bool,
    failed: Option<&'static str>,
}

#[derive(Debug)]
enum Source {
    Chunks(Box<chunks::Chunks>),
    Pull,
}

pub(crate) fn find(method: &str, parts: &[&str]) -> Option<Route> {
    match (method, parts) {
        ("POST", ["v2", "oauth", "token"]) => Route::new("oauth", tokens::refresh),
        ("POST", ["v2", "oauth", "revoke"]) => Route::new("revoke", tokens::revoke),
        ("PUT", ["video"]) => Route::upload("upload", chunks::put),
        ("POST", ["v2", "post", "publish", rest @ ..]) => match rest {
            ["creator_info", "query"] => Route::new("creator_info", creator_info),
            ["video", "init"] => Route::new("video_init", video),
            ["inbox", "video", "init"] => Route::new("inbox_init", inbox),
            ["content", "init"] => Route::new("content_init", photos),
            ["status", "fetch"] => Route::new("status", status),
            ["cancel"] => Route::new("cancel", cancel),
            _ => None,
        },
        _ => None,
    }
}

/// §7: `{"data":{..},"error":{"code":"ok",..}}`.
fn ok(data: &Value) -> Reply {
    let error = json!({ "code": "ok", "message": "", "log_id": "20261121000000SANDBOX" });
    Reply::ok(&json!({ "data": data, "error": error }))
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    let error = json!({ "code": code, "message": message, "log_id": "20261121000000SANDBOX" });
    Reply::json(status, &json!({ "data": {}, "error": error }))
}

fn invalid(message: &str) -> Reply {
    error(400, "invalid_params", message)
}

pub(crate) fn trouble(trouble: &Trouble) -> Reply {
    match trouble {
        Trouble::Server(status) => error(*status, "internal_error", "Please try again later"),
        Trouble::Sunset => error(404, "unsupported_path", "Unsupported path"),
        Trouble::RateLimited { code, wait_s } => {
            // §7: 429 rate_limit_exceeded; the spam_* and cap codes come with 403.
            let code = code.as_deref().unwrap_or("rate_limit_exceeded");
            let status = if code == "rate_limit_exceeded" { 429 } else { 403 };
            tokens::retry_after(error(status, code, "Limit exceeded"), *wait_s)
        }
    }
}

fn limited<T>(_: T) -> Reply {
    trouble(&Trouble::RateLimited { code: None, wait_s: None })
}

fn caller(call: &Call<'_>, scope: &str) -> Result<Account, Reply> {
    let bad = |_: BadToken| error(401, "access_token_invalid", "The access token is invalid");
    let token = call.shown_token().map_err(bad)?;
    if !scope.is_empty() && !token.may(scope) {
        return Err(error(401, "scope_not_authorized", "The user did not authorize the scope"));
    }
    call.account_of(&token).map_err(bad)
}

fn privacy_options(account: &Account) -> Vec<String> {
    match account.extra.get("privacy_levels") {
        Some(levels) => levels.split(',').map(|level| level.trim().to_owned()).collect(),
        None => {
            ["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"].map(str::to_owned).to_vec()
        }
    }
}

/// `POST /post/publish/creator_info/query/` (§7: 20 a minute).
fn creator_info(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "video.publish")?;
    call.take("tiktok.creator_info", &account.id, 20, MINUTE).map_err(limited)?;
    let posts = call.world.limits.room("tiktok.posts", &account.id, 15, DAY, call.now);
    if posts.used >= posts.limit {
        // §7: it can answer spam_* with HTTP 200.
        return Ok(error(200, "spam_risk_too_many_posts", "The daily post cap is reached"));
    }
    let flag = |name: &str| account.extra.get(name).is_some_and(|value| value == "true");
    let longest = account.extra.get("max_video_post_duration_sec").and_then(|n| n.parse().ok());
    Ok(ok(&json!({
        "creator_avatar_url": "https://sandbox.invalid/avatar.webp",
        "creator_username": account.name.replace(' ', "_"),
        "creator_nickname": account.name,
        "privacy_level_options": privacy_options(&account),
        "comment_disabled": flag("comment_disabled"),
        "duet_disabled": flag("duet_disabled"),
        "stitch_disabled": flag("stitch_disabled"),
        "max_video_post_duration_sec": longest.unwrap_or(600_u64),
    })))
}

/// §7: 6 a minute for a token; about 15 posts a day for a creator.
fn admit_init(call: &mut Call<'_>, account: &Account, direct: bool) -> Result<(), Reply> {
    call.take("tiktok.init", &account.id, 6, MINUTE).map_err(limited)?;
    if direct {
        call.take("tiktok.posts", &account.id, 15, DAY).map_err(|_| {
            error(403, "spam_risk_too_many_posts", "The daily post cap from the API is reached")
        })?;
    }
    call.admit()
}

fn check_privacy(account: &Account, info: &Value) -> Result<(), Reply> {
    let level = info["privacy_level"].as_str().unwrap_or_default();
    if !privacy_options(account).iter().any(|option| option == level) {
        let what = "The privacy level is not among those of the creator";
        return Err(error(403, "privacy_level_option_mismatch", what));
    }
    Ok(())
}

/// `POST /post/publish/video/init/` (§7).
fn video(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "video.publish")?;
    let info = call.req.body_json()["post_info"].clone();
    let title = info["title"].as_str().unwrap_or_default().to_owned();
    // §7: 2200 UTF-16 units.
    if title.encode_utf16().count() > 2200 {
        return Err(invalid("title is longer than 2200 UTF-16 units"));
    }
    check_privacy(&account, &info)?;
    let draft = Draft { extra: info, ..Draft::published("", "video", &title) };
    start(call, &account, draft, false)
}

/// `POST /post/publish/inbox/video/init/` (§7).
fn inbox(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "video.upload")?;
    start(call, &account, Draft::published("", "video", ""), true)
}

fn start(call: &mut Call<'_>, account: &Account, mut draft: Draft, inbox: bool) -> Answer {
    let info = call.req.body_json()["source_info"].clone();
    let (source, ready) = match info["source"].as_str() {
        Some("FILE_UPLOAD") => {
            let chunks = chunks::Chunks::announced(&info).map_err(|what| invalid(&what))?;
            (Source::Chunks(Box::new(chunks)), None)
        }
        Some("PULL_FROM_URL") => {
            let url = info["video_url"].as_str().unwrap_or_default();
            draft.media.push(pulled(call, url)?);
            (Source::Pull, Some(after(call.now, call.world.settings.video_processing)))
        }
        _ => return Err(invalid("source_info.source must be FILE_UPLOAD or PULL_FROM_URL")),
    };
    admit_init(call, account, !inbox)?;
    let mut data = json!({});
    let number = call.world.number();
    let prefix = match (&source, inbox) {
        (Source::Chunks(_), false) => "v_pub_file",
        (Source::Pull, false) => "v_pub_url",
        (Source::Chunks(_), true) => "v_inbox_file",
        (Source::Pull, true) => "v_inbox_url",
    };
    let id = format!("{prefix}~v2-1.{}", 7_500_000_000_000 + number);
    if matches!(source, Source::Chunks(_)) {
        let secret = call.world.secret("");
        call.world.tiktok.uploads.insert(secret.clone(), id.clone());
        let path = format!("/video/?upload_id={number}&upload_token={secret}");
        data["upload_url"] = json!(call.url("open-upload.tiktokapis.com", &path));
    }
    data["publish_id"] = json!(id);
    keep(call, account, &id, (draft, inbox, source, ready));
    Ok(ok(&data))
}

fn keep(
    call: &mut Call<'_>,
    account: &Account,
    id: &str,
    (draft, inbox, source, ready): (Draft, bool, Source, Option<Timestamp>),
) {
    let publication = Publication {
        account: account.id.clone(),
        draft,
        inbox,
        source,
        created: call.now,
        ready,
        post: None,
        cancelled: false,
        failed: None,
    };
    call.world.tiktok.jobs.insert(id.to_owned(), publication);
    settle(call, id);
}

/// §7: HTTPS of a verified domain. A loopback URL stands for one; others are taken as verified.
fn pulled(call: &Call<'_>, url: &str) -> Result<Media, Reply> {
    match call.req.fetched.get(url) {
        Some(Some(media)) => Ok(media.clone()),
        Some(None) => Err(invalid("The URL cannot be read")),
        None if url.starts_with("https://") => Ok(Media::behind(url)),
        None => Err(error(403, "url_ownership_unverified", "The URL is not of a verified domain")),
    }
}

/// `POST /post/publish/content/init/` (§7): photos by URL.
fn photos(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "video.publish")?;
    let body = call.req.body_json().clone();
    if body["media_type"] != "PHOTO" || body["source_info"]["source"] != "PULL_FROM_URL" {
        return Err(invalid("media_type must be PHOTO and the source PULL_FROM_URL"));
    }
    let info = body["post_info"].clone();
    let inbox = body["post_mode"] == "MEDIA_UPLOAD";
    let title = info["title"].as_str().unwrap_or_default();
    let description = info["description"].as_str().unwrap_or_default();
    // §7: 90 and 4000.
    if title.encode_utf16().count() > 90 || description.encode_utf16().count() > 4000 {
        return Err(invalid("title: 90, description: 4000 UTF-16 units at most"));
    }
    if !inbox {
        check_privacy(&account, &info)?;
    }
    let mut media = Vec::new();
    for url in body["source_info"]["photo_images"].as_array().into_iter().flatten() {
        media.push(pulled(call, url.as_str().unwrap_or_default())?);
    }
    // §7: up to 35.
    if media.is_empty() || media.len() > 35 {
        return Err(invalid("photo_images needs 1 to 35 URLs"));
    }
    admit_init(call, &account, !inbox)?;
    let id = format!("p_pub_url~v2.{}", 7_500_000_000_000 + call.world.number());
    let kind = if media.len() == 1 { "image" } else { "carousel" };
    let text = if description.is_empty() { title } else { description }.to_owned();
    let ready = Some(after(call.now, call.world.settings.image_processing));
    let draft = Draft { media, extra: info, ..Draft::published("", kind, &text) };
    keep(call, &account, &id, (draft, inbox, Source::Pull, ready));
    Ok(ok(&json!({ "publish_id": id })))
}

/// Publishes what has been processed: nobody has to ask for it first.
fn settle(call: &mut Call<'_>, id: &str) {
    let Some(job) = call.world.tiktok.jobs.get(id) else { return };
    let due = job.ready.filter(|_| job.post.is_none() && !job.cancelled && job.failed.is_none());
    let Some(due) = due else { return };
    let (account, mut draft, inbox) = (job.account.clone(), job.draft.clone(), job.inbox);
    let number = 7_490_000_000_000_000_000 + call.world.number() * 512;
    draft.id = number.to_string();
    draft.permalink = format!("https://www.tiktok.com/@sandbox/video/{number}");
    (draft.state, draft.publish_at) = match inbox {
        true => (PostState::Inbox, None),
        false => (PostState::Scheduled, Some(due)),
    };
    let post = draft.id.clone();
    let failed = call.world.publish(&account, draft).is_err().then_some("internal");
    call.world.tick();
    if let Some(job) = call.world.tiktok.jobs.get_mut(id) {
        job.post = Some(post);
        job.failed = failed;
    }
}

/// `POST /post/publish/status/fetch/` (§7: 30 a minute).
fn status(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "")?;
    call.take("tiktok.status", &account.id, 30, MINUTE).map_err(limited)?;
    let id = call.req.text("publish_id").unwrap_or_default();
    let Some(job) = call.world.tiktok.jobs.get(&id) else {
        return Err(error(400, "invalid_publish_id", "The publish_id does not exist"));
    };
    if job.account != account.id {
        let code = "token_not_authorized_for_specified_publish_id";
        return Err(error(400, code, "The publish_id is somebody else's"));
    }
    let over = call.now.as_second() - job.created.as_second() > 3600;
    let (name, uploaded) = match &job.source {
        _ if job.cancelled => ("FAILED", None),
        _ if job.failed.is_some() => ("FAILED", None),
        // §7: the upload URL holds for an hour.
        Source::Chunks(chunks) if job.ready.is_none() && over => {
            ("FAILED", Some(chunks.received()))
        }
        Source::Chunks(chunks) if job.ready.is_none() => {
            ("PROCESSING_UPLOAD", Some(chunks.received()))
        }
        source => {
            let bytes = match source {
                Source::Chunks(chunks) => Some(chunks.received()),
                Source::Pull => None,
            };
            match job.ready {
                Some(ready) if ready <= call.now && job.inbox => ("SEND_TO_USER_INBOX", bytes),
                Some(ready) if ready <= call.now => ("PUBLISH_COMPLETE", bytes),
                _ if bytes.is_none() => ("PROCESSING_DOWNLOAD", None),
                _ => ("PROCESSING_UPLOAD", bytes),
            }
        }
    };
    let mut data = json!({ "status": name });
    if name == "FAILED" {
        let reason = if job.cancelled { "publish_cancelled" } else { "internal" };
        data["fail_reason"] = json!(job.failed.unwrap_or(reason));
    }
    if let Some(bytes) = uploaded {
        data["uploaded_bytes"] = json!(bytes);
    }
    let public = job.draft.extra["privacy_level"] == "PUBLIC_TO_EVERYONE";
    if let (true, "PUBLISH_COMPLETE", Some(post)) = (public, name, &job.post) {
        // §7 (sic): only what is public and moderated.
        data["publicaly_available_post_id"] = json!([post.parse::<u64>().unwrap_or(0)]);
    }
    Ok(ok(&data))
}

/// `POST /post/publish/cancel/` (§7).
fn cancel(call: &mut Call<'_>) -> Answer {
    let account = caller(call, "")?;
    let id = call.req.text("publish_id").unwrap_or_default();
    let job = call.world.tiktok.jobs.get_mut(&id).filter(|job| job.account == account.id);
    let Some(job) = job else {
        return Err(error(400, "invalid_publish_id", "The publish_id does not exist"));
    };
    if job.post.is_some() {
        return Err(error(400, "publish_not_cancellable", "It is published already"));
    }
    job.cancelled = true;
    Ok(ok(&json!({})))
}
