//! HTTP webhooks, signed as Standard Webhooks describes (<https://www.standardwebhooks.com/>):
//! `webhook-id`, `webhook-timestamp` and `webhook-signature` over all three of id, time and body.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_core::Timestamp;
use flotilla_core::event::CloudEvent;

use crate::sign::{BadSecret, Signer};
use crate::{CONTENT_TYPE, Sink, SinkError, encoded};

/// Sends a request out; the binary hands in its guarded client.
#[async_trait]
pub trait Post: Send + Sync {
    /// POSTs `body`, follows no redirect, and answers what came of it.
    async fn post(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: Bytes,
        now: Timestamp,
    ) -> Result<(), PostError>;
}

/// Why a POST was not answered with success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostError {
    /// Another status than 2xx.
    Status {
        /// The status.
        code: u16,
        /// From `Retry-After`.
        after: Option<Duration>,
        /// For people, without query and secrets.
        reason: String,
    },
    /// No answer: a timeout, no connection.
    Unreachable(String),
    /// Never sent, and never will be: not a URL, or one the guard refuses.
    Forbidden(String),
}

/// One receiver.
pub struct Webhook {
    post: Arc<dyn Post>,
    url: String,
    signer: Signer,
    /// It has said 410: nobody is there any more.
    gone: AtomicBool,
}

impl std::fmt::Debug for Webhook {
    /// Neither secrets nor the URL, which may hold one.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhook({:?})", self.signer)
    }
}

impl Webhook {
    /// A receiver at `url`. With two secrets, during a rotation, each request is signed by both.
    ///
    /// # Errors
    /// [`BadSecret`]; it does not show the secret.
    pub fn new<S: AsRef<str>>(
        post: Arc<dyn Post>,
        url: impl Into<String>,
        secrets: &[S],
    ) -> Result<Self, BadSecret> {
        let signer = Signer::new(secrets)?;
        Ok(Self { post, url: url.into(), signer, gone: AtomicBool::new(false) })
    }
}

#[async_trait]
impl Sink for Webhook {
    async fn send(&self, event: &CloudEvent, now: Timestamp) -> Result<(), SinkError> {
        if self.gone.load(Ordering::Relaxed) {
            return Err(gone());
        }
        let body = encoded(event)?;
        let mut headers = vec![("content-type", CONTENT_TYPE.to_owned())];
        headers.extend(self.signer.headers(&event.id, now.as_second(), &body));
        match self.post.post(&self.url, &headers, body, now).await {
            Ok(()) => Ok(()),
            Err(PostError::Status { code: 410, .. }) => {
                self.gone.store(true, Ordering::Relaxed);
                Err(gone())
            }
            Err(error) => Err(judged(error)),
        }
    }
}

fn gone() -> SinkError {
    SinkError::Refused(
        "the receiver answered 410, gone: remove the subscriber, or mend it and restart the workers"
            .into(),
    )
}

/// Timeouts, 408, 425, 429 and 5xx may pass; every other answer stays what it is.
fn judged(error: PostError) -> SinkError {
    match error {
        PostError::Status { code: 408 | 425 | 429 | 500..=599, after, reason } => {
            SinkError::Later { reason, after }
        }
        PostError::Status { reason, .. } | PostError::Forbidden(reason) => {
            SinkError::Refused(reason)
        }
        PostError::Unreachable(reason) => SinkError::later(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    struct Answers(Result<(), PostError>);

    #[async_trait]
    impl Post for Answers {
        async fn post(
            &self,
            _: &str,
            _: &[(&str, String)],
            _: Bytes,
            _: Timestamp,
        ) -> Result<(), PostError> {
            self.0.clone()
        }
    }

    fn webhook(answer: Result<(), PostError>, secrets: &[&str]) -> Result<Webhook, BadSecret> {
        Webhook::new(Arc::new(Answers(answer)), "https://example.com/hook", secrets)
    }

    #[test]
    fn answers_decide_what_becomes_of_the_delivery() {
        let status = |code| PostError::Status { code, after: None, reason: code.to_string() };
        for code in [408, 425, 429, 500, 503] {
            assert!(matches!(judged(status(code)), SinkError::Later { .. }), "{code}");
        }
        for code in [301, 400, 401, 404, 422] {
            assert!(matches!(judged(status(code)), SinkError::Refused(_)), "{code}");
        }
        assert!(matches!(judged(PostError::Unreachable("x".into())), SinkError::Later { .. }));
        let after = Some(Duration::from_secs(9));
        let slow = judged(PostError::Status { code: 429, after, reason: "x".into() });
        assert_eq!(slow.class(), FailureClass::Throttled { retry_after: after });
    }

    use flotilla_core::{Classify as _, FailureClass};

    #[tokio::test]
    async fn after_gone_it_is_not_called_again() {
        let status = PostError::Status { code: 410, after: None, reason: "gone".into() };
        let webhook = webhook(Err(status), &[FIRST]).unwrap();
        let event: CloudEvent = serde_json::from_value(serde_json::json!({
            "specversion": "1.0", "id": "e", "source": "/f", "type": "flotilla.job.dead"}))
        .unwrap();
        for _ in 0..2 {
            let refused = webhook.send(&event, Timestamp::UNIX_EPOCH).await;
            assert!(matches!(refused, Err(SinkError::Refused(why)) if why.contains("410")));
        }
        assert!(webhook.gone.load(Ordering::Relaxed));
    }
}
