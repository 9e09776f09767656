//! Webhooks of WhatsApp (<https://developers.facebook.com/docs/graph-api/webhooks/getting-started>):
//! `X-Hub-Signature-256` over the raw body with the app's secret, a handshake, and the `statuses` of
//! messages, which carry the name of the job back in `biz_opaque_callback_data`.

use flotilla_core::{Secret, Timestamp};
use serde_json::Value;

use super::{State, Status, Webhook, same, short, signed};

/// Longest challenge that is given back.
const MAX_CHALLENGE: usize = 1024;

/// WhatsApp.
#[derive(Debug)]
pub(super) struct WhatsApp;

impl Webhook for WhatsApp {
    fn proves(
        &self,
        secret: &Secret,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        _: Timestamp,
    ) -> bool {
        let shown = header("x-hub-signature-256");
        let signature = shown.as_deref().and_then(|shown| shown.strip_prefix("sha256="));
        signature.is_some_and(|signature| signed(secret, body, signature))
    }

    fn challenge(&self, query: &[(String, String)], token: &Secret) -> Option<String> {
        let field = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, text)| text);
        let known = same(field("hub.verify_token")?, token.expose());
        let challenge = field("hub.challenge")?;
        let asked = field("hub.mode")? == "subscribe" && challenge.len() <= MAX_CHALLENGE;
        (known && asked).then(|| challenge.clone())
    }

    fn read(&self, body: &[u8]) -> Result<Vec<Status>, String> {
        let body: Value = serde_json::from_slice(body).map_err(|e| format!("not JSON: {e}"))?;
        if body["object"] != "whatsapp_business_account" {
            return Err("\"object\" is not \"whatsapp_business_account\"".to_owned());
        }
        let each = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let changes = each(&body, "entry").into_iter().flat_map(|entry| each(&entry, "changes"));
        let statuses = changes.flat_map(|change| each(&change["value"], "statuses"));
        Ok(statuses.filter_map(|status| read(&status)).collect())
    }
}

/// One status; `None`: of a message that somebody else sent, or of a sort that says nothing here.
fn read(status: &Value) -> Option<Status> {
    let text = |pointer: &str| status.pointer(pointer)?.as_str();
    let state = match text("/status")? {
        "sent" => State::Sent,
        "delivered" => State::Delivered,
        "read" => State::Read,
        "failed" => State::Failed,
        _ => return None,
    };
    let subject = text("/biz_opaque_callback_data").filter(|mark| mark.starts_with("job:"))?;
    let said = ["/errors/0/error_data/details", "/errors/0/message", "/errors/0/title"];
    let code = status.pointer("/errors/0/code").and_then(Value::as_i64);
    let at = text("/timestamp").and_then(|seconds| seconds.parse().ok());
    Some(Status {
        subject: subject.to_owned(),
        state,
        id: text("/id").map(short),
        code: code.map(|code| code.to_string()),
        message: said.iter().find_map(|pointer| text(pointer)).map(short),
        at: at.and_then(|seconds| Timestamp::from_second(seconds).ok()),
    })
}

#[cfg(test)]
mod tests {
    use flotilla_core::clock::{Clock, ManualClock};
    use serde_json::json;

    use super::*;

    /// The example of the documents: body, secret, and what they sign it with.
    #[test]
    fn only_the_app_s_own_secret_signs_and_the_signature_covers_every_byte() {
        let (body, now) =
            (br#"{"object":"whatsapp_business_account"}"#, ManualClock::default().now());
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"app-secret");
        let tag = ring::hmac::sign(&key, body);
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let proves = |secret: &str, header: Option<String>, body: &[u8]| {
            WhatsApp.proves(
                &Secret::new(secret),
                &|name| header.clone().filter(|_| name == "x-hub-signature-256"),
                body,
                now,
            )
        };
        let good = Some(format!("sha256={hex}"));
        assert!(proves("app-secret", good.clone(), body));
        assert!(!proves("other", good.clone(), body));
        assert!(!proves("app-secret", good, b"{}"));
        for bad in [None, Some(hex.clone()), Some("sha256=".into()), Some(format!("sha1={hex}"))] {
            assert!(!proves("app-secret", bad, body));
        }
    }

    #[test]
    fn the_challenge_is_given_back_to_who_shows_the_token() {
        let token = Secret::new("s3same");
        let asked = |mode: &str, shown: &str| {
            let query =
                [("hub.mode", mode), ("hub.verify_token", shown), ("hub.challenge", "1158")];
            let query = query.map(|(name, text)| (name.to_owned(), text.to_owned()));
            WhatsApp.challenge(&query, &token)
        };
        assert_eq!(asked("subscribe", "s3same").as_deref(), Some("1158"));
        assert_eq!((asked("subscribe", "s3sam"), asked("unsubscribe", "s3same")), (None, None));
        assert_eq!(WhatsApp.challenge(&[], &token), None);
    }

    #[test]
    fn statuses_of_our_messages_are_read_and_others_left() {
        let status = |name: &str, mark: Value| {
            json!({"id": "wamid.1", "status": name, "timestamp": "1767225600",
                "recipient_id": "15551234567", "biz_opaque_callback_data": mark})
        };
        let mut failed = status("failed", json!("job:1"));
        failed["errors"] = json!([{"code": 131_047, "title": "Re-engagement message",
            "error_data": {"details": "more than 24 hours have passed"}}]);
        let value = json!({"messaging_product": "whatsapp", "statuses": [
            status("sent", json!("job:1")), failed, status("read", json!("campaign-7")),
            status("read", Value::Null), status("warning", json!("job:1")),
        ]});
        let body = json!({"object": "whatsapp_business_account", "entry": [
            {"id": "1", "changes": [{"field": "messages", "value": value}]},
            {"id": "1", "changes": [{"field": "messages", "value": {"messages": [{"text": "hi"}]}}]},
        ]});
        let read = WhatsApp.read(body.to_string().as_bytes()).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].state, read[0].subject.as_str()), (State::Sent, "job:1"));
        assert_eq!(read[0].at.unwrap().to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(read[1].code.as_deref(), Some("131047"));
        assert_eq!(read[1].message.as_deref(), Some("more than 24 hours have passed"));
        assert!(WhatsApp.read(b"{}").is_err() && WhatsApp.read(b"<").is_err());
    }
}
