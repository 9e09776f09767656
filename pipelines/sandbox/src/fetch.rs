//! The calls the sandbox makes itself, all of them to this machine: media behind loopback URLs, and
//! WhatsApp's webhooks.

use axum::http::header;
use futures_util::StreamExt;
use serde_json::Value;

use super::core::account::Platform;
use super::core::http::{Reply, Req};
use super::core::media::{Incoming, Media};
use super::server::Shared;

/// Reads what is behind the loopback URLs a call names, as the platforms do with public ones
/// (§4.1: "Meta fetches it"). Nobody else is called.
pub(crate) async fn fetch(http: &reqwest::Client, most: usize, req: &mut Req) {
    let mut urls = Vec::new();
    for (_, value) in req.query.iter().chain(&req.form) {
        urls.push(value.clone());
    }
    // A model is shown pictures by URL, but the answer does not depend on them.
    if req.platform != Platform::OpenAi {
        texts(req.body_json(), &mut urls);
    }
    if let Some(url) = req.header("file_url") {
        urls.push(url.to_owned());
    }
    urls.retain(|url| is_loopback(url));
    urls.truncate(64);
    for url in urls {
        let media = fetch_one(http, most, &url).await;
        req.fetched.insert(url, media);
    }
}

async fn fetch_one(http: &reqwest::Client, most: usize, url: &str) -> Option<Media> {
    let answer = http.get(url).send().await.ok()?.error_for_status().ok()?;
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.map(str::to_owned);
    let mut incoming = Incoming::default();
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await {
        incoming.take(&piece.ok()?);
        if incoming.bytes() > most as u64 {
            return None;
        }
    }
    Some(Media { source: url.to_owned(), ..incoming.media(kind.as_deref()) })
}

fn texts(value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => into.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        serde_json::Value::Object(fields) => fields.values().for_each(|item| texts(item, into)),
        _ => {}
    }
}

/// Whether a URL leads to this machine, by its address.
pub(crate) fn is_loopback(text: &str) -> bool {
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return false;
    }
    let Ok(url) = url::Url::parse(text) else { return false };
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

/// Sends the webhook of what was accepted with this answer, if somebody wants it. It is not tried again:
/// `/_sandbox/statuses` has them all.
pub(crate) fn deliver(shared: &Shared, reply: &Reply) {
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let Some(id) = answer["messages"][0]["id"].as_str() else { return };
    let world = shared.world();
    let Some(url) = world.meta.webhook.clone() else { return };
    let Some(webhook) = world.meta.whatsapp_webhook(id) else { return };
    drop(world);
    let body = webhook["body"].to_string();
    // Meta signs with the app's secret.
    let (_, secret) = Platform::WhatsApp.client();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, body.as_bytes());
    let signature: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let request = shared
        .http
        .post(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-hub-signature-256", format!("sha256={signature}"))
        .body(body);
    tokio::spawn(async move {
        if let Err(error) = request.send().await {
            tracing::warn!(error = %error.without_url(), "a webhook was not taken");
        }
    });
}
