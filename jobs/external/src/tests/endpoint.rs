//! Endpoints: what each answer becomes, and what they are told.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use flotilla_core::Secret;
use flotilla_events::Signer;

use super::*;
use crate::Endpoint;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The payload says what to answer.
async fn answer(headers: HeaderMap, body: String) -> axum::response::Response {
    let job: Value = serde_json::from_str(&body).unwrap();
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let seconds = header("webhook-timestamp").parse().unwrap();
    let signed =
        Signer::new(&[SECRET]).unwrap().headers(&header("webhook-id"), seconds, body.as_bytes());
    assert_eq!(signed[2].1, header("webhook-signature"));
    assert_eq!(header("authorization"), "Bearer s3cret");
    assert_eq!(header("flotilla-job-id"), job["id"].as_str().unwrap());
    assert_eq!(header("idempotency-key"), job["id"].as_str().unwrap());
    let payload = &job["payload"];
    let status = StatusCode::from_u16(payload["status"].as_u64().unwrap() as u16).unwrap();
    let kind = payload["type"].as_str().unwrap_or("application/json");
    let mut answer =
        axum::response::Response::builder().status(status).header("content-type", kind);
    if let Some(wait) = payload["wait"].as_str() {
        answer = answer.header("retry-after", wait);
    }
    let body = payload["body"].as_str().unwrap_or_default().to_owned();
    answer.body(Body::from(body)).unwrap().into_response()
}

async fn served() -> Registry {
    flotilla_platforms::install_crypto();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jobs", listener.local_addr().unwrap());
    let app = Router::new().route("/jobs", post(answer));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    endpoint(url)
}

fn endpoint(url: String) -> Registry {
    let (token, signer) = (Secret::new("s3cret"), Signer::new(&[SECRET]).unwrap());
    let endpoint = Endpoint::new(url, Duration::from_secs(60));
    registry(Way::Endpoint(endpoint.token(Some(token)).signer(Some(signer))))
}

#[tokio::test]
async fn answers_become_results_and_classes() {
    let registry = served().await;
    let ask = |payload: Value| run(&registry, context("http"), payload);
    assert_eq!(ask(json!({"status": 200, "body": "{\"a\":1}"})).await.unwrap(), "{\"a\":1}");
    assert_eq!(ask(json!({"status": 204})).await.unwrap(), "null");
    let error = ask(json!({"status": 200, "body": "<html>"})).await.unwrap_err();
    assert!(is_retry(&error, RetryClass::Panic), "{error:?}");
    let error = ask(json!({"status": 200, "body": "1".repeat(400)})).await.unwrap_err();
    assert!(error.text(500).contains("more than 300 bytes"), "{error:?}");
    let error = ask(json!({"status": 500, "body": "boom"})).await.unwrap_err();
    assert!(is_retry(&error, RetryClass::Transient) && error.text(500).ends_with("boom"));
    let error = ask(json!({"status": 429, "wait": "7"})).await.unwrap_err();
    let JobError::Retry { after: Some(after), class: RetryClass::Throttled, .. } = error else {
        panic!("{error:?}");
    };
    assert!(after > Duration::from_secs(5), "{after:?}");
    let own = json!({"title": "No", "detail": "sold out", "class": "rejected"}).to_string();
    let problem = json!({"status": 422, "type": "application/problem+json", "body": own});
    let error = ask(problem).await.unwrap_err();
    assert!(matches!(error, JobError::Fail { class: DeadClass::Rejected, .. }), "{error:?}");
    assert!(error.text(500).ends_with("No: sold out"), "{error:?}");
}

#[tokio::test]
async fn a_stream_tells_progress_and_keeps_steps_before_its_end() {
    let registry = served().await;
    let stream = |body: &str| json!({"status": 200, "type": "application/x-ndjson", "body": body});
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut cx = context("stream");
    let sink = Arc::clone(&seen);
    cx.sink = Arc::new(move |progress: Progress| sink.lock().unwrap().push(progress.fraction));
    let lines = "{\"type\":\"progress\",\"fraction\":0.25}\n\n\
                 {\"type\":\"checkpoint\",\"step\":\"s\",\"data\":5}\n\
                 {\"type\":\"result\",\"result\":\"done\"}";
    assert_eq!(run(&registry, cx.clone(), stream(lines)).await.unwrap(), "\"done\"");
    assert_eq!(*seen.lock().unwrap(), [0.25]);
    assert_eq!(cx.kept(10).await.unwrap()["s"], 5);
    for (body, said) in [
        ("{\"type\":\"progress\"}\n", "ended without a result"),
        ("nonsense\n", "not of the protocol"),
        ("{\"type\":\"error\",\"class\":\"invalid\",\"message\":\"no rows\"}\n", "no rows"),
    ] {
        let error = run(&registry, cx.clone(), stream(body)).await.unwrap_err();
        assert!(error.text(500).contains(said), "{error:?}");
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_worth_a_retry_and_bad_for_the_breaker() {
    flotilla_platforms::install_crypto();
    let registry = endpoint("http://127.0.0.1:1/jobs".into());
    let calls = Arc::new(Mutex::new(Vec::new()));
    let mut cx = context("nobody");
    let sink = Arc::clone(&calls);
    cx.calls = Arc::new(move |call| sink.lock().unwrap().push(call));
    let error = run(&registry, cx, json!({})).await.unwrap_err();
    assert!(is_retry(&error, RetryClass::Transient), "{error:?}");
    let calls = calls.lock().unwrap();
    assert_eq!(calls[0].key.as_str(), "external/a.b");
    assert_eq!(calls[0].answer, Some(flotilla_core::breaker::Answer::Bad));
}
