//! What Facebook, Instagram, Threads and WhatsApp share (§2): envelope, tokens, usage headers.

mod container;
mod facebook;
mod facebook_video;
mod instagram;
mod page_reads;
mod threads;
mod tokens;
mod whatsapp;

use std::collections::{BTreeMap, HashMap, HashSet};

use flotilla_core::Timestamp;
use serde_json::{Map, Value, json};

use crate::core::account::{Account, BadToken, Platform, Token, TokenKind};
use crate::core::call::{Call, Route, Trouble};
use crate::core::http::{Answer, Reply, Req};
use crate::core::limits::{DAY, HOUR};
use crate::core::media::{Incoming, Media};

/// Objects of Meta's platforms that are not posts.
#[derive(Debug, Default)]
pub(crate) struct State {
    containers: HashMap<String, container::Container>,
    photos: HashMap<String, facebook::Photo>,
    videos: HashMap<String, facebook_video::Video>,
    uploads: HashMap<String, Upload>,
    /// URLs that failed once: they go on failing (§4.1: "negative-caches failing URLs").
    bad_urls: HashSet<String>,
    files: HashMap<String, whatsapp::File>,
    templates: BTreeMap<(String, String), whatsapp::Template>,
    sent: Vec<whatsapp::Sent>,
    /// Where WhatsApp's webhooks go, on this machine.
    pub(crate) webhook: Option<String>,
}

/// Bytes that come in pieces.
#[derive(Debug)]
struct Upload {
    account: String,
    total: u64,
    incoming: Incoming,
    content_type: Option<String>,
}

/// The parts of a path without the version.
pub(crate) fn nodes(req: &Req) -> Vec<&str> {
    let parts = req.path.iter().map(String::as_str);
    parts.enumerate().filter(|(at, part)| *at > 0 || !is_version(part)).map(|(_, p)| p).collect()
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn node(call: &Call<'_>, index: usize) -> String {
    nodes(call.req).get(index).map_or(String::new(), |part| (*part).to_owned())
}

pub(crate) fn find(req: &Req, method: &str, parts: &[&str]) -> Option<Route> {
    if req.host == "rupload.facebook.com" {
        return match (method, parts) {
            // §3 FB-VID; §4.1 IG-CP
            ("POST", ["video-upload", _, _]) => {
                Route::upload("video_upload", facebook_video::rupload)
            }
            ("POST", ["ig-api-upload", _, _]) => Route::upload("ig_upload", instagram::rupload),
            _ => None,
        };
    }
    let nodes = nodes(req);
    let shared = match (method, nodes.as_slice()) {
        ("GET", ["oauth", "access_token"]) => Route::new("oauth", tokens::exchange),
        ("GET", ["debug_token"]) => Route::new("debug_token", tokens::debug),
        ("DELETE", [_, "permissions"]) => Route::new("revoke", tokens::revoke),
        _ => None,
    };
    shared.or_else(|| match req.platform {
        Platform::Facebook | Platform::MetaAds => facebook::find(method, &nodes),
        Platform::Instagram => instagram::find(method, &nodes),
        Platform::Threads => threads::find(method, &nodes),
        Platform::WhatsApp => whatsapp::find(method, &nodes),
        _ => None,
    })
}

/// Runs an endpoint with the usage limits before it and the usage headers behind it (§2.3).
pub(crate) fn guarded(call: &mut Call<'_>, route: Route) -> Answer {
    let Some(account) = call.world.speaker(call.req) else {
        return (route.run)(call);
    };
    let (kind, quota, code) = match call.platform() {
        Platform::Facebook => ("pages", "facebook.calls", 80001),
        Platform::Instagram => ("instagram", "instagram.calls", 80002),
        Platform::Threads => ("threads", "threads.calls", 80002),
        Platform::WhatsApp => ("whatsapp", "whatsapp.calls", 80008),
        _ => ("ads_management", "meta_ads.calls", 80004),
    };
    // §2.3: 4800 × engaged users (impressions, at least 10) in 24 h; here 10 of them.
    let taken = call.take(quota, &account, 48_000, DAY);
    let room = taken.unwrap_or_else(|room| room);
    let app = call.world.limits.room("meta.app", "app", 10_000_000, HOUR, call.now);
    let minutes = match taken {
        Ok(_) => 0,
        Err(room) => minutes_until(call.now, room.reset),
    };
    let answer = match taken {
        Ok(_) => (route.run)(call).unwrap_or_else(|refusal| refusal),
        Err(_) => {
            error(400, code, None, "There have been too many calls. Wait a bit and try again.")
        }
    };
    let percent = room.used * 100 / room.limit.max(1);
    let usage = json!({ account: [{ "type": kind, "call_count": percent, "total_cputime": percent / 2,
        "total_time": percent / 2, "estimated_time_to_regain_access": minutes }] });
    let share = app.used * 100 / app.limit.max(1);
    let app_usage = json!({ "call_count": share, "total_time": share, "total_cputime": share });
    Ok(answer
        .with("x-business-use-case-usage", usage.to_string())
        .with("x-app-usage", app_usage.to_string()))
}

fn minutes_until(now: Timestamp, then: Timestamp) -> i64 {
    (then.as_second() - now.as_second()).max(0) / 60 + 1
}

/// §2.2, META-ERR. The sheet gives no HTTP status for most codes; 400 where it does not.
pub(crate) fn error(status: u16, code: i64, subcode: Option<u64>, message: &str) -> Reply {
    let mut body = json!({
        "message": message,
        "type": "OAuthException",
        "code": code,
        "is_transient": matches!(code, 1 | 2 | -1 | -2),
        "fbtrace_id": format!("Sandbox{:x}", code.unsigned_abs() * 7919 + subcode.unwrap_or(0)),
    });
    if let Some(subcode) = subcode {
        body["error_subcode"] = json!(subcode);
        body["error_user_title"] = json!("Your post was not published");
        body["error_user_msg"] = json!(message);
    }
    Reply::json(status, &json!({ "error": body }))
}

/// §2.2: code 100.
fn invalid(message: &str) -> Reply {
    error(400, 100, None, &format!("(#100) {message}"))
}

/// §2.2: 100 with subcode 33.
fn no_object(id: &str) -> Reply {
    let message = format!(
        "Unsupported request. Object with ID '{id}' does not exist, cannot be loaded due to \
         missing permissions, or does not support this operation."
    );
    error(400, 100, Some(33), &message)
}

/// §2.2: 190 with the subcodes 463 (expired), 460 (password changed), 467 (invalid).
fn bad_token(bad: BadToken) -> Reply {
    let (subcode, message) = match bad {
        BadToken::Missing => (None, "An access token is required to request this resource."),
        BadToken::Unknown => (Some(467), "Invalid OAuth access token - Cannot parse access token"),
        BadToken::Expired => (Some(463), "Error validating access token: Session has expired."),
        BadToken::Revoked => (
            Some(460),
            "Error validating access token: The session has been invalidated because the user \
             changed their password.",
        ),
    };
    error(401, 190, subcode, message)
}

pub(crate) fn trouble(req: &Req, account: Option<&str>, trouble: &Trouble) -> Reply {
    match trouble {
        // §2.2: 1 and 2 are temporary; the status is the rule's.
        Trouble::Server(status) => error(
            *status,
            2,
            None,
            "An unexpected error has occurred. Please retry your request later.",
        ),
        // Graph versions live two years (§2.1 [M]); what comes after is in no source of the sheet.
        Trouble::Sunset => error(400, 2635, None, "(#2635) You are calling a deprecated version."),
        Trouble::RateLimited { code, wait_s } => limited(req, account, code.as_deref(), *wait_s),
    }
}

/// §2.3: throttle codes; HTTP is 400 mostly, and the wait is in minutes.
fn limited(req: &Req, account: Option<&str>, code: Option<&str>, wait_s: Option<u64>) -> Reply {
    let (kind, default) = match req.platform {
        Platform::Facebook => ("pages", 80001),
        Platform::Instagram => ("instagram", 80002),
        Platform::WhatsApp => ("whatsapp", 130_429),
        Platform::Threads => ("threads", 80002),
        _ => ("ads_management", 80004),
    };
    let code = code.and_then(|code| code.parse().ok()).unwrap_or(default);
    let reply = match code {
        // §4.4: with this subcode it is spam, not a rate.
        2_207_051 => error(403, 4, Some(2_207_051), "Action is blocked"),
        2_207_042 => error(403, 9, Some(2_207_042), "You reached maximum number of posts per day."),
        1_390_008 => error(400, 368, Some(1_390_008), "You are posting too fast."),
        131_056 | 130_429 => whatsapp::error(429, code, "Rate limit hit"),
        _ => error(400, code, None, &format!("(#{code}) Application request limit reached")),
    };
    let Some(wait) = wait_s else { return reply };
    let usage = json!({ account.unwrap_or("0"): [{ "type": kind, "call_count": 100,
        "total_cputime": 100, "total_time": 100,
        "estimated_time_to_regain_access": wait.div_ceil(60) }] });
    reply.with("x-business-use-case-usage", usage.to_string())
}

/// Who calls, with a token that counts and one of `scopes`.
fn caller(call: &Call<'_>, scopes: &[&str]) -> Result<(Token, Account), Reply> {
    let token = call.shown_token().map_err(bad_token)?;
    let account = call.account_of(&token).map_err(bad_token)?;
    if !scopes.is_empty() && !scopes.iter().any(|scope| token.may(scope)) {
        // §2.2: 10 and 200-299, permission.
        let what = format!("(#200) Requires {} permission", scopes.join(" or "));
        return Err(error(403, 200, None, &what));
    }
    Ok((token, account))
}

/// The caller, who must own the node in the path. `me` is the caller.
fn owner(call: &Call<'_>, scopes: &[&str]) -> Result<Account, Reply> {
    let (token, account) = caller(call, scopes)?;
    let id = node(call, 0);
    if id != account.id && id != "me" {
        return Err(no_object(&id));
    }
    if account.platform == Platform::Facebook && token.kind == TokenKind::User {
        // §3: "Page access token".
        return Err(error(403, 200, None, "(#200) Publishing requires a Page access token"));
    }
    Ok(account)
}

/// What a URL stands for: fetched when loopback, else taken at its word. `Err`: it cannot be read.
fn media_at(call: &mut Call<'_>, url: &str) -> Result<Media, ()> {
    let known = url.starts_with("https://") || url.starts_with("http://");
    let fetched = call.req.fetched.get(url).cloned();
    if !known || call.world.meta.bad_urls.contains(url) || fetched == Some(None) {
        if call.world.meta.bad_urls.len() < call.world.settings.max_objects {
            call.world.meta.bad_urls.insert(url.to_owned());
        }
        return Err(());
    }
    Ok(fetched.flatten().unwrap_or_else(|| Media::behind(url)))
}

/// The fields asked for, of those an object has; `id` always.
fn select(object: &Value, req: &Req, default: &[&str]) -> Value {
    let asked = req.param("fields").map(|fields| fields.split(',').map(str::trim).collect());
    let asked: Vec<&str> = asked.unwrap_or_else(|| default.to_vec());
    let mut kept = Map::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        if name == "id" || asked.iter().any(|field| field.split('{').next() == Some(name)) {
            kept.insert(name.clone(), value.clone());
        }
    }
    Value::Object(kept)
}

/// As the Graph API writes times: `2026-11-21T14:09:36+0000`.
fn graph_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string()
}

/// Takes a piece of an upload at the offset it names (§3: `file_offset`; §3, §4.1: `offset`).
fn take_piece(upload: &mut Upload, req: &Req, header: &str) -> Result<(), Reply> {
    let offset = req.header(header).and_then(|offset| offset.parse().ok()).unwrap_or(0);
    if offset != upload.incoming.bytes() {
        if offset != 0 {
            let have = upload.incoming.bytes();
            return Err(invalid(&format!("The offset is {offset}, {have} bytes are here")));
        }
        upload.incoming = Incoming::default();
    }
    upload.incoming.take(&req.body);
    if let Some(kind) = req.header("content-type") {
        upload.content_type.get_or_insert_with(|| kind.to_owned());
    }
    if upload.incoming.bytes() > upload.total {
        upload.incoming = Incoming::default();
        return Err(invalid("More bytes came than were announced"));
    }
    Ok(())
}
