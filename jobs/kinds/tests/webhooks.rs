//! An event on its way to a real HTTP server: through the guard, signed, and judged by its answer.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::event::{CloudEvent, Delivery};
use flotilla_core::{
    Clock, CpuPool, DeadClass, Handler, Job, JobContext, JobError, JobId, ManualClock,
};
use flotilla_events::{Sink, Sinks, Webhook};
use flotilla_jobs::{EventDeliver, EventHandler, GuardedPost};
use flotilla_platforms::{Fetcher, GuardSettings};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A server that answers one request with `answer` and hands the request back.
async fn receiver(answer: &'static str) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        while !request.ends_with(b"}}") {
            let read = stream.read(&mut chunk).await.unwrap();
            assert_ne!(read, 0, "the request broke off");
            request.extend_from_slice(&chunk[..read]);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    (address, served)
}

fn event() -> CloudEvent {
    serde_json::from_value(json!({
        "specversion": "1.0", "id": "j-1-completed", "source": "/flotilla",
        "type": "flotilla.job.completed", "data": {"kind": "caption.parse"}}))
    .unwrap()
}

/// One attempt of `event.deliver` to the subscriber "shop" at that address.
async fn deliver(to: &str, allow: Option<SocketAddr>) -> Result<(), JobError> {
    let allow_hosts = allow.iter().map(ToString::to_string).collect();
    let settings = GuardSettings { allow_hosts, ..GuardSettings::default() };
    let post = GuardedPost(Arc::new(Fetcher::new(settings).unwrap()));
    let webhook: Arc<dyn Sink> = Arc::new(Webhook::new(Arc::new(post), to, &[SECRET]).unwrap());
    let sinks = Sinks([("shop".to_owned(), webhook)].into());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let cx = JobContext::detached(JobId::derived("d"), EventDeliver::KIND, clock, CpuPool::new(1));
    let job = EventDeliver(Delivery::one("shop", event()));
    EventHandler::with(Arc::new(sinks)).run(job, &cx).await.map(|done| {
        assert_eq!(done.event, "j-1-completed");
    })
}

#[tokio::test]
async fn the_receiver_gets_a_signed_event() {
    let (at, served) = receiver("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    deliver(&format!("http://{at}/hook?key=secret"), Some(at)).await.unwrap();
    let request = served.await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(serde_json::from_str::<CloudEvent>(body).unwrap(), event());
    for line in [
        "POST /hook?key=secret HTTP/1.1",
        "content-type: application/cloudevents+json; charset=utf-8",
        "webhook-id: j-1-completed",
        "webhook-timestamp: 1767225600",
        // Of these bytes, by the Python package standardwebhooks 1.0.
        "webhook-signature: v1,1NxUGq9ocHUeDCNX4cclVauqfhI3SLRIyMPSXj+2C2I=",
    ] {
        assert!(head.lines().any(|found| found == line), "{line} is not in:\n{request}");
    }
}

#[tokio::test]
async fn answers_decide_what_becomes_of_the_job() {
    let (at, _served) =
        receiver("HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n").await;
    let later = deliver(&format!("http://{at}/?key=secret"), Some(at)).await.unwrap_err();
    assert!(
        matches!(&later, JobError::Retry { after, .. } if *after == Some(Duration::from_secs(7)))
    );
    assert!(!later.text(4096).contains("secret"), "the query may hold a password");

    for (answer, code) in [
        (
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
            "302",
        ),
        ("HTTP/1.1 400 Bad\r\ncontent-length: 0\r\n\r\n", "400"),
        ("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", "410"),
    ] {
        let (at, _served) = receiver(answer).await;
        let refused = deliver(&format!("http://{at}/"), Some(at)).await.unwrap_err();
        assert!(
            matches!(&refused, JobError::Fail { class: DeadClass::Rejected, .. }),
            "{refused:?}"
        );
        assert!(refused.text(4096).contains(code));
    }
}

#[tokio::test]
async fn addresses_inside_are_refused_unless_they_are_listed() {
    let (at, _served) = receiver("").await;
    let refused = deliver(&format!("http://{at}/"), None).await.unwrap_err();
    assert!(matches!(refused, JobError::Fail { class: DeadClass::Rejected, .. }), "{refused:?}");
    let unreachable = deliver("http://127.0.0.1:9/", Some("127.0.0.1:9".parse().unwrap())).await;
    assert!(matches!(unreachable.unwrap_err(), JobError::Retry { .. }));
}

#[tokio::test]
async fn a_subscriber_that_is_not_configured_is_a_dead_letter_that_says_so() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let cx = JobContext::detached(JobId::derived("d"), EventDeliver::KIND, clock, CpuPool::new(1));
    let job = EventDeliver(Delivery::one("nobody", event()));
    let error = EventHandler::with(Arc::default()).run(job, &cx).await.unwrap_err();
    assert!(matches!(error, JobError::Fail { class: DeadClass::Invalid, .. }));
    assert!(error.text(4096).contains("nobody"));
}
