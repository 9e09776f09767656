//! LinkedIn (§6): versions, posts, comments, and what its media module does not do.

mod media;

use std::collections::HashMap;

use serde_json::{Value, json};

use super::core::account::{Account, BadToken, Token};
use super::core::call::{Call, Route, Trouble};
use super::core::http::{Answer, Reply, Req};
use super::core::limits::Window;
use super::core::media::Media;
use super::core::post::{Comment, Draft, Post, PostState};
use super::tokens;

/// Media of LinkedIn, by URN.
#[derive(Debug, Default)]
pub(crate) struct State {
    media: HashMap<String, media::Asset>,
}

/// §6: 202601-202608 are active in 2026; others are not known to the sheet.
const VERSIONS: std::ops::RangeInclusive<u32> = 202_601..=202_608;

const UTC_DAY: Window = Window::Day("UTC");

pub(crate) fn find(req: &Req, method: &str, parts: &[&str]) -> Option<Route> {
    let action = req.param("action");
    match (method, parts) {
        ("POST", ["oauth", "v2", "accessToken"]) => Route::new("oauth", tokens::refresh),
        ("POST", ["oauth", "v2", "introspectToken"]) => {
            Route::new("introspect", tokens::introspect)
        }
        ("POST", ["oauth", "v2", "revoke"]) => Route::new("revoke", tokens::revoke),
        ("POST", ["rest", "posts"]) => Route::new("posts", create),
        ("GET", ["rest", "posts"]) => Route::new("posts_read", finder),
        ("GET", ["rest", "posts", _]) => Route::new("post", one),
        ("DELETE", ["rest", "posts", _]) => Route::new("delete", delete),
        ("POST", ["rest" | "v2", "socialActions", _, "comments"]) => {
            Route::new("comments", comment)
        }
        ("GET", ["v2", "userinfo"]) => Route::new("userinfo", userinfo),
        ("POST", ["rest", "images"]) if action == Some("initializeUpload") => {
            Route::new("image_init", media::image)
        }
        ("POST", ["rest", "documents"]) if action == Some("initializeUpload") => {
            Route::new("document_init", media::document)
        }
        ("POST", ["rest", "videos"]) if action == Some("initializeUpload") => {
            Route::new("video_init", media::video)
        }
        ("POST", ["rest", "videos"]) if action == Some("finalizeUpload") => {
            Route::new("video_finalize", media::finalize)
        }
        ("GET", ["rest", "images" | "documents" | "videos", _]) => {
            Route::new("media_status", media::status)
        }
        ("PUT", ["dms-uploads", _, _]) => Route::new("media_put", media::put),
        _ => None,
    }
}

/// §6.5: `{"message","serviceErrorCode","code","status"}`.
fn error(status: u16, code: &str, number: u32, message: &str) -> Reply {
    let body = json!({ "message": message, "serviceErrorCode": number, "code": code,
        "status": status });
    Reply::json(status, &body)
}

fn invalid(code: &str, message: &str) -> Reply {
    error(400, code, 100, message)
}

fn denied(message: &str) -> Reply {
    error(403, "ACCESS_DENIED", 100, message)
}

/// §6.5: 65600, 65601, 65602.
fn bad_token(bad: BadToken) -> Reply {
    match bad {
        BadToken::Missing => error(401, "EMPTY_ACCESS_TOKEN", 65604, "Empty oauth2 access token"),
        BadToken::Unknown => error(401, "INVALID_ACCESS_TOKEN", 65600, "Invalid access token"),
        BadToken::Revoked => {
            let what = "The token used in the request has been revoked by the user";
            error(401, "REVOKED_ACCESS_TOKEN", 65601, what)
        }
        BadToken::Expired => {
            let what = "The token used in the request has expired";
            error(401, "EXPIRED_ACCESS_TOKEN", 65602, what)
        }
    }
}

pub(crate) fn trouble(req: &Req, trouble: &Trouble) -> Reply {
    match trouble {
        Trouble::Server(503) => error(503, "SERVICE_UNAVAILABLE", 0, "Service Unavailable"),
        Trouble::Server(status) => {
            error(*status, "INTERNAL_SERVER_ERROR", 0, "Unable to obtain activity")
        }
        Trouble::Sunset => inactive(req.header("linkedin-version").unwrap_or_default()),
        Trouble::RateLimited { wait_s, .. } => {
            let what = "Resource level throttle limit for calls to this resource is reached.";
            // §6.4: Retry-After only perhaps [M].
            tokens::retry_after(error(429, "TOO_MANY_REQUESTS", 101, what), *wait_s)
        }
    }
}

/// §6: HTTP 426.
fn inactive(version: &str) -> Reply {
    let what = format!("Requested version {version} is not active");
    error(426, "NONEXISTENT_VERSION", 0, &what)
}

/// The caller, with the headers every call needs (§6).
fn caller(call: &Call<'_>) -> Result<(Token, Account), Reply> {
    let version = call.req.header("linkedin-version").unwrap_or_default().to_owned();
    if call.req.path.first().is_some_and(|first| first == "rest") {
        if version.is_empty() {
            let what = "A version must be present. Please specify a version by adding the \
                        LinkedIn-Version header.";
            return Err(invalid("VERSION_MISSING", what));
        }
        let month = version.get(..6).and_then(|month| month.parse::<u32>().ok());
        if !month.is_some_and(|month| VERSIONS.contains(&month)) {
            return Err(inactive(&version));
        }
        if call.req.header("x-restli-protocol-version") != Some("2.0.0") {
            // §6: the header belongs to every call; what happens without it is not in the sheet.
            return Err(invalid("INVALID_HEADER", "X-Restli-Protocol-Version must be 2.0.0"));
        }
    }
    let token = call.shown_token().map_err(bad_token)?;
    let account = call.account_of(&token).map_err(bad_token)?;
    Ok((token, account))
}

/// The caller as the author or owner it names; with the scope that one needs (§6).
fn author(call: &Call<'_>, urn: &str) -> Result<Account, Reply> {
    let (token, account) = caller(call)?;
    let scope = if urn.starts_with("urn:li:organization:") {
        "w_organization_social"
    } else {
        "w_member_social"
    };
    if account.id != urn || !token.may(scope) {
        return Err(denied(&format!("Not enough permissions to access: {scope} for {urn}")));
    }
    Ok(account)
}

/// `POST /rest/posts` (§6.1).
fn create(call: &mut Call<'_>) -> Answer {
    caller(call)?;
    let body = call.req.body_json().clone();
    let field = |name: &str| body[name].as_str().map(str::to_owned);
    let Some(urn) = field("author") else {
        return Err(invalid("MISSING_FIELD", "author is required"));
    };
    let account = author(call, &urn)?;
    // §6.4: 150 for a member and 100,000 for an application a day, until midnight UTC.
    let throttled = |_| trouble(call.req, &Trouble::RateLimited { code: None, wait_s: None });
    let (world, now) = (&mut *call.world, call.now);
    let enforced = world.settings.enforce_quotas;
    for (quota, scope, limit) in
        [("linkedin.posts", account.id.as_str(), 150), ("linkedin.app_posts", "app", 100_000)]
    {
        let taken = world.limits.take(quota, scope, (limit, 1), UTC_DAY, now);
        if enforced {
            taken.map_err(throttled)?;
        }
    }
    let commentary = field("commentary");
    let commentary =
        commentary.ok_or_else(|| invalid("MISSING_FIELD", "commentary is required"))?;
    // §6.3: 3000 characters [T].
    if commentary.chars().count() > 3000 {
        return Err(invalid("FIELD_LENGTH_TOO_LONG", "commentary: 3000 characters at most"));
    }
    let visibility = field("visibility").unwrap_or_default();
    if !matches!(visibility.as_str(), "PUBLIC" | "CONNECTIONS" | "LOGGED_IN") {
        return Err(invalid("INVALID_VALUE_FOR_FIELD", "visibility is not valid"));
    }
    let state = match field("lifecycleState").as_deref() {
        Some("PUBLISHED") => PostState::Published,
        Some("DRAFT") => PostState::Draft,
        _ => return Err(invalid("MISSING_FIELD", "lifecycleState must be PUBLISHED or DRAFT")),
    };
    if !body["distribution"]["feedDistribution"].is_string() {
        return Err(invalid("MISSING_FIELD", "distribution.feedDistribution is required"));
    }
    let (kind, media, extra) = content(call, &account, &body["content"])?;
    let text = little_text(&commentary);
    let draft = Draft { media, state, extra, ..Draft::published("", kind, &text) };
    if let Some(urn) = duplicate(call, &account, &draft) {
        call.world.refused_duplicate(&account.id);
        // §6.5: 422 with the URN of the first.
        let what = format!("Content is a duplicate of {urn}");
        return Err(error(422, "DUPLICATE_POST", 0, &what));
    }
    let number = 7_390_000_000_000_000_000 + call.world.number() * 1024;
    let id = match kind {
        "text" | "link" | "image" => format!("urn:li:share:{number}"),
        _ => format!("urn:li:ugcPost:{number}"),
    };
    let permalink = format!("https://www.linkedin.com/feed/update/{id}");
    call.world.publish(&account.id, Draft { id: id.clone(), permalink, ..draft })?;
    // §6.1: 201, empty body, header x-restli-id.
    Ok(Reply::empty(201).with("x-restli-id", id))
}

type Content = (&'static str, Vec<Media>, Value);

/// §6.1: `media`, `multiImage`, `article`, `poll`, or nothing.
fn content(call: &Call<'_>, account: &Account, content: &Value) -> Result<Content, Reply> {
    if content["article"].is_object() {
        let Some(source) = content["article"]["source"].as_str() else {
            return Err(invalid("MISSING_FIELD", "content.article.source is required"));
        };
        let article = &content["article"];
        let extra = json!({ "link": source, "title": article["title"],
            "description": article["description"], "thumbnail": article["thumbnail"] });
        return Ok(("link", Vec::new(), extra));
    }
    if let Some(images) = content["multiImage"]["images"].as_array() {
        // §6.3: 2-20.
        if !(2..=20).contains(&images.len()) {
            return Err(invalid("INVALID_NUMBER_OF_IMAGES", "multiImage needs 2 to 20 images"));
        }
        let found: Result<Vec<_>, _> =
            images.iter().map(|image| media::of(call, account, image)).collect();
        return Ok(("carousel", found?, Value::Null));
    }
    if content["media"].is_object() {
        let media = media::of(call, account, &content["media"])?;
        let urn = media.id.clone().unwrap_or_default();
        let kind = match urn.split(':').nth(2) {
            Some("video") => "video",
            Some("document") => "document",
            _ => "image",
        };
        return Ok((kind, vec![media], json!({ "title": content["media"]["title"] })));
    }
    if content["poll"].is_object() {
        return Ok(("poll", Vec::new(), json!({ "poll": content["poll"] })));
    }
    Ok(("text", Vec::new(), Value::Null))
}

/// What becomes of `commentary` (§6.1): `\` escapes; `{hashtag|\#|tag}` and `@[Name](urn)` are
/// kept in their words; the text ends at any other character of the little language.
pub(crate) fn little_text(commentary: &str) -> String {
    const RESERVED: &str = "<>#~_|[]*(){}@";
    let mut text = String::new();
    let mut rest = commentary;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if c == '\\' {
            let escaped = after.chars().next();
            text.extend(escaped);
            rest = &after[escaped.map_or(0, char::len_utf8)..];
            continue;
        }
        if let Some((word, left)) = template(rest) {
            text.push_str(&word);
            rest = left;
            continue;
        }
        if RESERVED.contains(c) {
            // §6.1, composio#2710: silently truncated.
            break;
        }
        text.push(c);
        rest = after;
    }
    text
}

fn template(rest: &str) -> Option<(String, &str)> {
    if let Some(inner) = rest.strip_prefix("{hashtag|\\#|") {
        let (tag, left) = inner.split_once('}')?;
        return Some((format!("#{tag}"), left));
    }
    let (name, after) = rest.strip_prefix("@[")?.split_once("](urn:li:")?;
    let (_, left) = after.split_once(')')?;
    Some((name.to_owned(), left))
}

/// §6.5: what the account has published in the same words; deleted posts count for 24-48 h.
fn duplicate(call: &Call<'_>, account: &Account, draft: &Draft) -> Option<String> {
    if !call.world.settings.refuse_duplicates || draft.text.is_empty() {
        return None;
    }
    let day = 86_400;
    let mut recent = call.world.posts_of(&account.id).take(100).filter(|post| {
        post.state != PostState::Draft && call.now.as_second() - post.created_at.as_second() < day
    });
    let same = |post: &&Post| {
        let hashes = |media: &[Media]| media.iter().map(|m| m.sha256.clone()).collect::<Vec<_>>();
        post.text == draft.text
            && post.kind == draft.kind
            && post.extra["link"] == draft.extra["link"]
            && hashes(&post.media) == hashes(&draft.media)
    };
    recent.find(same).map(|post| post.id.clone())
}

fn shown(post: &Post) -> Value {
    json!({
        "id": post.id,
        "author": post.account,
        "commentary": post.text,
        "visibility": "PUBLIC",
        "lifecycleState": if post.state == PostState::Draft { "DRAFT" } else { "PUBLISHED" },
        "createdAt": post.created_at.as_millisecond(),
        "publishedAt": post.published_at.map(|at| at.as_millisecond()),
    })
}

/// `GET /rest/posts?author=&q=author` (§6.5): organisations only; for members it is closed.
fn finder(call: &mut Call<'_>) -> Answer {
    let (token, account) = caller(call)?;
    let urn = call.req.param("author").unwrap_or_default();
    if urn.starts_with("urn:li:person:") {
        // §1.1, LI-READ: live 400 for members.
        return Err(invalid("ILLEGAL_ARGUMENT", "r_member_social is required"));
    }
    if account.id != urn || !token.may("r_organization_social") {
        return Err(denied("Not enough permissions to access: partnerApiPosts.FINDER-author"));
    }
    if call.req.header("x-restli-method").is_some_and(|method| method != "FINDER") {
        return Err(invalid("INVALID_HEADER", "X-RestLi-Method must be FINDER"));
    }
    let count = call.req.param("count").and_then(|n| n.parse().ok()).unwrap_or(10);
    let posts = call.world.posts_of(&account.id).filter(|post| post.state != PostState::Deleted);
    let elements: Vec<Value> = posts.take(count).map(shown).collect();
    Ok(Reply::ok(&json!({ "elements": elements, "paging": { "start": 0, "count": count } })))
}

fn one(call: &mut Call<'_>) -> Answer {
    let (_, account) = caller(call)?;
    if account.id.starts_with("urn:li:person:") {
        return Err(denied("Not enough permissions to access: r_member_social"));
    }
    let post = call.world.post(call.part(2)).filter(|post| post.account == account.id);
    match post.filter(|post| post.state != PostState::Deleted) {
        Some(post) => Ok(Reply::ok(&shown(post))),
        None => Err(error(404, "NOT_FOUND", 0, "The post is not there")),
    }
}

fn delete(call: &mut Call<'_>) -> Answer {
    let (_, account) = caller(call)?;
    let id = call.part(2).to_owned();
    if let Some(post) = call.world.post_mut(&id).filter(|post| post.account == account.id) {
        post.state = PostState::Deleted;
    }
    Ok(Reply::empty(204))
}

/// `POST /rest/socialActions/{urn}/comments` (§6.1 PZ).
fn comment(call: &mut Call<'_>) -> Answer {
    let (_, account) = caller(call)?;
    let (post, at) = (call.part(2).to_owned(), call.now);
    let body = call.req.body_json();
    let text = body["message"]["text"].as_str().unwrap_or_default().to_owned();
    if text.is_empty() || body["actor"] != account.id.as_str() {
        return Err(invalid("MISSING_FIELD", "actor and message.text are required"));
    }
    let number = call.world.number();
    let id = format!("urn:li:comment:({post},{number})");
    match call.world.post_mut(&post) {
        Some(found) => {
            found.comments.push(Comment { id: id.clone(), text, at });
            let body = json!({ "id": number.to_string(), "commentUrn": id, "object": post });
            Ok(Reply::json(201, &body).with("x-restli-id", number.to_string()))
        }
        None => Err(error(404, "NOT_FOUND", 0, "The post is not there")),
    }
}

fn userinfo(call: &mut Call<'_>) -> Answer {
    let (_, account) = caller(call)?;
    let sub = account.id.rsplit(':').next().unwrap_or_default();
    Ok(Reply::ok(&json!({ "sub": sub, "name": account.name })))
}

#[cfg(test)]
mod tests {
    use super::little_text;

    #[test]
    fn little_text_ends_at_what_is_not_escaped() {
        assert_eq!(little_text("a \\(b\\) c"), "a (b) c");
        assert_eq!(little_text("a (b) c"), "a ");
        assert_eq!(little_text("see {hashtag|\\#|rust} now"), "see #rust now");
        assert_eq!(little_text("by @[Ann](urn:li:person:1) \\@home"), "by Ann @home");
        assert_eq!(little_text("plain #tag"), "plain ");
    }
}
