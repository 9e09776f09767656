//! Webhooks of TikTok (<https://developers.tiktok.com/doc/webhooks-overview>): `TikTok-Signature`,
//! `t=<unix seconds>,s=<HMAC-SHA256 of "t.body" with the app's secret>`, and events about posts by
//! their `publish_id`. Told at least once, for up to 72 hours.

use std::time::Duration;

use flotilla_core::clock::between;
use flotilla_core::{Secret, Timestamp};
use serde_json::Value;

use super::{State, Status, Webhook, short, signed};

/// Calls signed longer ago are not believed: TikTok goes on for three days.
const OLDEST: Duration = Duration::from_secs(73 * 3600);

/// TikTok.
#[derive(Debug)]
pub(super) struct TikTok;

impl Webhook for TikTok {
    fn proves(
        &self,
        secret: &Secret,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: Timestamp,
    ) -> bool {
        let shown = header("tiktok-signature").unwrap_or_default();
        let part = |name: &str| shown.split(',').find_map(|part| part.trim().strip_prefix(name));
        let (Some(at), Some(signature)) = (part("t="), part("s=")) else { return false };
        let signed_at = at.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        if signed_at.is_none_or(|signed_at| between(signed_at, now) > OLDEST) {
            return false;
        }
        let text = [at.as_bytes(), b".", body].concat();
        signed(secret, &text, signature)
    }

    fn read(&self, body: &[u8]) -> Result<Vec<Status>, String> {
        let body: Value = serde_json::from_slice(body).map_err(|e| format!("not JSON: {e}"))?;
        let event = body["event"].as_str().ok_or("\"event\" is missing")?;
        // The content is JSON within a text.
        let content = body["content"].as_str().unwrap_or("{}");
        let content: Value =
            serde_json::from_str(content).map_err(|e| format!("\"content\" is not JSON: {e}"))?;
        let Some(state) = state(event) else { return Ok(Vec::new()) };
        let Some(subject) = content["publish_id"].as_str() else { return Ok(Vec::new()) };
        let reason = ["reason", "fail_reason"].iter().find_map(|name| content[*name].as_str());
        let at = body["create_time"].as_i64();
        Ok(vec![Status {
            subject: subject.to_owned(),
            state,
            id: content["post_id"].as_str().map(short),
            code: reason.map(short),
            message: None,
            at: at.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        }])
    }
}

fn state(event: &str) -> Option<State> {
    Some(match event {
        "post.publish.failed" => State::Failed,
        "post.publish.complete" => State::Published,
        "post.publish.inbox_delivered" => State::Inbox,
        "post.publish.publicly_available" => State::Public,
        "post.publish.no_longer_publicaly_available" => State::Withdrawn,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use flotilla_core::clock::{Clock, ManualClock, after};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_signature_covers_the_moment_and_grows_old() {
        let (secret, now) = (Secret::new("app-secret"), ManualClock::default().now());
        let body = br#"{"event":"post.publish.complete"}"#;
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"app-secret");
        let text = [now.as_second().to_string().as_bytes(), b".", &body[..]].concat();
        let tag = ring::hmac::sign(&key, &text);
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let proves =
            |at: i64, now| TikTok.proves(&secret, &|_| Some(format!("t={at},s={hex}")), body, now);
        assert!(proves(now.as_second(), now));
        assert!(!proves(now.as_second() + 1, now), "the moment is signed too");
        assert!(!proves(now.as_second(), after(now, OLDEST * 2)));
        assert!(!TikTok.proves(&secret, &|_| None, body, now));
    }

    #[test]
    fn events_about_posts_are_read() {
        let body = json!({
            "client_key": "k", "event": "post.publish.publicly_available", "create_time": 1_767_225_600,
            "user_openid": "o", "content": "{\"publish_id\":\"v_pub~1\",\"post_id\":\"75\"}",
        });
        let read = TikTok.read(body.to_string().as_bytes()).unwrap();
        assert_eq!((read[0].state, read[0].subject.as_str()), (State::Public, "v_pub~1"));
        assert_eq!(read[0].id.as_deref(), Some("75"));
        let other = br#"{"event":"authorization.removed","content":"{\"reason\":1}"}"#;
        assert_eq!(TikTok.read(other).unwrap(), []);
        assert!(TikTok.read(br#"{"event":"a","content":"{"}"#).is_err());
    }
}
