//! WhatsApp Cloud API (§9): one to one, limits, media, templates, statuses of what was sent.

use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::clock::after;
use serde_json::{Value, json};

use super::{State, caller, no_object, node, owner};
use crate::core::call::{Call, Route};
use crate::core::http::{Answer, Reply};
use crate::core::limits::Window;
use crate::core::media::Media;
use crate::core::post::Draft;

/// An uploaded file.
#[derive(Debug)]
pub(crate) struct File {
    account: String,
    media: Media,
    kind: String,
}

/// A message template.
#[derive(Debug)]
pub(crate) struct Template {
    id: String,
    category: String,
    language: String,
    components: Value,
}

/// What was accepted, and what its webhooks say.
#[derive(Debug)]
pub(crate) struct Sent {
    seq: u64,
    phone: String,
    id: String,
    to: String,
    opaque: Option<String>,
    at: Timestamp,
    failed: bool,
}

const SEND: &[&str] = &["whatsapp_business_messaging"];
const MANAGE: &[&str] = &["whatsapp_business_management"];

pub(super) fn find(method: &str, nodes: &[&str]) -> Option<Route> {
    match (method, nodes) {
        ("POST", [_, "messages"]) => Route::new("messages", send),
        ("POST", [_, "media"]) => Route::new("media", upload),
        ("GET", [_, "message_templates"]) => Route::new("templates_read", templates),
        ("POST", [_, "message_templates"]) => Route::new("templates", add_template),
        ("DELETE", [_, "message_templates"]) => Route::new("templates", drop_template),
        ("GET", ["files", _]) => Route::new("file", file),
        ("GET", [_]) => Route::new("object", object),
        ("DELETE", [_]) => Route::new("media_delete", drop_media),
        _ => None,
    }
}

/// §9 WA-ERR: the envelope with `error_data.details`.
pub(super) fn error(status: u16, code: i64, what: &str) -> Reply {
    Reply::json(
        status,
        &json!({ "error": {
            "message": format!("(#{code}) {what}"),
            "type": "OAuthException",
            "code": code,
            "error_data": { "messaging_product": "whatsapp", "details": what },
            "fbtrace_id": format!("Sandbox{code:x}"),
        }}),
    )
}

fn parameter(what: &str) -> Reply {
    error(400, 131_009, what)
}

/// `POST /{phone-number-id}/messages` (§9 WA-API).
fn send(call: &mut Call<'_>) -> Answer {
    let account = owner(call, SEND)?;
    let body = call.req.body_json().clone();
    if body["messaging_product"] != "whatsapp" {
        return Err(super::invalid("The parameter messaging_product is required."));
    }
    let to = body["to"].as_str().unwrap_or_default().trim_start_matches('+').to_owned();
    if to.is_empty() || !to.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(parameter("Parameter value is not valid: to"));
    }
    let opaque = body["biz_opaque_callback_data"].as_str().map(str::to_owned);
    if opaque.as_ref().is_some_and(|data| data.len() > 512) {
        return Err(parameter("biz_opaque_callback_data is longer than 512 characters"));
    }
    let kind = body["type"].as_str().unwrap_or("text").to_owned();
    let (label, text, media) = content(call, &account.id, &kind, &body)?;
    throttle(call, &account.id, &to)?;
    let number = call.world.number();
    let id = format!("wamid.HBgSandbox{number:012}");
    // §9: outside the 24 h window only templates; it shows in the status, code 131047.
    let closed = account.extra.get("window").is_some_and(|window| window == "closed");
    let failed = closed && kind != "template";
    let draft = Draft {
        media,
        extra: json!({ "to": to, "biz_opaque_callback_data": opaque, "failed": failed,
            "template": body["template"] }),
        ..Draft::published(id.clone(), label, &text)
    };
    call.world.publish(&account.id, draft)?;
    let sent = Sent {
        seq: call.world.meta.sent.len() as u64 + 1,
        phone: account.id,
        id: id.clone(),
        to: to.clone(),
        opaque,
        at: call.now,
        failed,
    };
    call.world.meta.sent.push(sent);
    Ok(Reply::ok(&json!({
        "messaging_product": "whatsapp",
        "contacts": [{ "input": body["to"], "wa_id": to }],
        "messages": [{ "id": id, "message_status": "accepted" }],
    })))
}

type Content = (&'static str, String, Vec<Media>);

fn content(call: &mut Call<'_>, account: &str, kind: &str, body: &Value) -> Result<Content, Reply> {
    let label = match kind {
        "text" => {
            let text = body["text"]["body"].as_str().unwrap_or_default();
            // §9: at most 4096.
            if text.is_empty() || text.chars().count() > 4096 {
                return Err(parameter("text.body must be 1 to 4096 characters"));
            }
            return Ok(("text", text.to_owned(), Vec::new()));
        }
        "template" => {
            let name = body["template"]["name"].as_str().unwrap_or_default();
            if name.is_empty() || !body["template"]["language"]["code"].is_string() {
                return Err(parameter("template.name and template.language.code are required"));
            }
            return Ok(("template", name.to_owned(), Vec::new()));
        }
        "image" => "image",
        "video" => "video",
        "audio" => "audio",
        "document" => "document",
        "sticker" => "sticker",
        _ => return Err(parameter("Parameter value is not valid: type")),
    };
    let part = &body[kind];
    let caption = part["caption"].as_str().unwrap_or_default();
    if caption.chars().count() > 1024 {
        return Err(parameter("caption must be at most 1024 characters"));
    }
    let media = match (part["id"].as_str(), part["link"].as_str()) {
        (Some(id), _) => {
            let file = call.world.meta.files.get(id).filter(|file| file.account == account);
            file.ok_or_else(|| parameter("The media id is not known"))?.media.clone()
        }
        (None, Some(link)) => {
            // 131053 stands in WA-ERR's table for media that cannot be taken.
            super::media_at(call, link).map_err(|()| error(400, 131_053, "Media upload error"))?
        }
        (None, None) => return Err(parameter("Either id or link is required")),
    };
    Ok((label, caption.to_owned(), vec![media]))
}

/// §9 WA-LIM: 80 a second for a number; to one person 1 in 6 s, of which 45 may be borrowed from
/// the future: 45 within 45 × 6 s.
fn throttle(call: &mut Call<'_>, phone: &str, to: &str) -> Result<(), Reply> {
    let second = Window::Sliding(Duration::from_secs(1));
    if call.take("whatsapp.throughput", phone, 80, second).is_err() {
        return Err(error(429, 130_429, "Rate limit hit"));
    }
    let pair = format!("{phone}/{to}");
    let borrowed = Window::Sliding(Duration::from_secs(6 * 45));
    if call.take("whatsapp.pair", &pair, 45, borrowed).is_err() {
        return Err(error(400, 131_056, "Pair rate limit hit"));
    }
    Ok(())
}

/// `POST /{phone-number-id}/media` (§9): multipart.
fn upload(call: &mut Call<'_>) -> Answer {
    let account = owner(call, SEND)?;
    let Some(file) = call.req.files.first().cloned() else {
        return Err(super::invalid("The parameter file is required."));
    };
    let told = call.req.param("type").unwrap_or(&file.content_type).to_owned();
    // §9: sizes by kind.
    let most: usize = match told.split('/').next() {
        Some("image") if told == "image/webp" => 500 * 1024,
        Some("image") => 5 << 20,
        Some("video" | "audio") => 16 << 20,
        _ => 100 << 20,
    };
    if file.bytes.len() > most {
        return Err(error(400, 131_053, "The file is too large for its type"));
    }
    call.admit()?;
    let id = call.world.digits();
    let media = Media::of(&file.bytes, Some(&told)).with_id(&id);
    let kept = File { account: account.id, media, kind: file.file_name };
    call.world.meta.files.insert(id.clone(), kept);
    Ok(Reply::ok(&json!({ "id": id })))
}

/// `GET /{media-id}` or `GET /{phone-number-id}` (§9).
fn object(call: &mut Call<'_>) -> Answer {
    let (_, account) = caller(call, &[])?;
    let id = node(call, 0);
    if id == account.id || id == "me" {
        let phone = json!({ "id": account.id, "verified_name": account.name,
            "display_phone_number": "+1 555 0100", "quality_rating": "GREEN" });
        return Ok(Reply::ok(&phone));
    }
    let url = call.url("graph.facebook.com", &format!("/files/{id}"));
    let file = call.world.meta.files.get(&id).filter(|file| file.account == account.id);
    let file = file.ok_or_else(|| no_object(&id))?;
    Ok(Reply::ok(&json!({
        "messaging_product": "whatsapp",
        "url": url,
        "mime_type": file.media.content_type,
        "sha256": file.media.sha256,
        "file_size": file.media.bytes,
        "id": id,
        "file_name": file.kind,
    })))
}

/// The bytes behind `url` are not kept: their length and hash are told.
fn file(call: &mut Call<'_>) -> Answer {
    let id = node(call, 1);
    let file = call.world.meta.files.get(&id).ok_or_else(|| no_object(&id))?;
    Ok(Reply::ok(&json!({ "sandbox": "bytes are not kept", "media": file.media })))
}

/// `DELETE /{media-id}` (§9).
fn drop_media(call: &mut Call<'_>) -> Answer {
    let (_, account) = caller(call, SEND)?;
    let id = node(call, 0);
    let files = &mut call.world.meta.files;
    if files.get(&id).is_none_or(|file| file.account != account.id) {
        return Err(no_object(&id));
    }
    files.remove(&id);
    Ok(Reply::ok(&json!({ "success": true })))
}

/// `GET /{waba-id}/message_templates` (§9).
fn templates(call: &mut Call<'_>) -> Answer {
    caller(call, MANAGE)?;
    let waba = node(call, 0);
    let all = &call.world.meta.templates;
    let of = all.iter().filter(|((owner, _), _)| *owner == waba);
    let data: Vec<_> = of
        .map(|((_, name), template)| {
            json!({ "id": template.id, "name": name, "status": "APPROVED",
                "category": template.category, "language": template.language,
                "components": template.components })
        })
        .collect();
    Ok(Reply::ok(&json!({ "data": data })))
}

/// `POST /{waba-id}/message_templates` (§9).
fn add_template(call: &mut Call<'_>) -> Answer {
    caller(call, MANAGE)?;
    let (waba, body) = (node(call, 0), call.req.body_json().clone());
    let name = body["name"].as_str().unwrap_or_default().to_owned();
    let category = body["category"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() || !matches!(category.as_str(), "MARKETING" | "UTILITY" | "AUTHENTICATION") {
        return Err(super::invalid("name and category are required"));
    }
    call.admit()?;
    let id = call.world.digits();
    let template = Template {
        id: id.clone(),
        category: category.clone(),
        language: body["language"].as_str().unwrap_or("en_US").to_owned(),
        components: body["components"].clone(),
    };
    call.world.meta.templates.insert((waba, name), template);
    Ok(Reply::ok(&json!({ "id": id, "status": "PENDING", "category": category })))
}

/// `DELETE /{waba-id}/message_templates?name=` (§9).
fn drop_template(call: &mut Call<'_>) -> Answer {
    caller(call, MANAGE)?;
    let name = call.req.param("name").unwrap_or_default().to_owned();
    let gone = call.world.meta.templates.remove(&(node(call, 0), name));
    gone.map(|_| Reply::ok(&json!({ "success": true }))).ok_or_else(|| no_object("template"))
}

impl State {
    /// The webhook bodies of what was sent (§9): `sent` and `delivered`, or `failed`.
    pub(crate) fn whatsapp_webhooks(&self, after_seq: u64, limit: usize) -> Vec<Value> {
        let later = self.sent.iter().filter(|sent| sent.seq > after_seq).take(limit);
        later.map(Sent::webhook).collect()
    }

    /// That of one message.
    pub(crate) fn whatsapp_webhook(&self, id: &str) -> Option<Value> {
        self.sent.iter().rev().find(|sent| sent.id == id).map(Sent::webhook)
    }
}

impl Sent {
    fn webhook(&self) -> Value {
        let status = |name: &str, seconds: u64| {
            let at = after(self.at, Duration::from_secs(seconds));
            let mut status = json!({ "id": self.id, "status": name, "recipient_id": self.to,
                "timestamp": at.as_second().to_string() });
            if let Some(opaque) = &self.opaque {
                status["biz_opaque_callback_data"] = json!(opaque);
            }
            status
        };
        let statuses = if self.failed {
            let mut failed = status("failed", 1);
            failed["errors"] = json!([{ "code": 131_047, "title": "Re-engagement message",
                "message": "Re-engagement message",
                "error_data": { "details": "More than 24 hours have passed since the recipient \
                    last replied" } }]);
            vec![failed]
        } else {
            vec![status("sent", 1), status("delivered", 2)]
        };
        json!({ "seq": self.seq, "body": {
            "object": "whatsapp_business_account",
            "entry": [{ "id": "sandbox", "changes": [{ "field": "messages", "value": {
                "messaging_product": "whatsapp",
                "metadata": { "phone_number_id": self.phone },
                "statuses": statuses,
            }}]}],
        }})
    }
}
