//! Enqueue, look up, wait, cancel; who may, and how much.

use std::time::Duration;

use serde_json::{Value, json};

use super::{World, request};

const GOOD: &str = r#"{"kind":"text.read","payload":{"text":"hi"}}"#;

#[tokio::test]
async fn one_job_is_created_and_can_be_looked_up() {
    let world = World::new();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let made = world.post(GOOD, &[("traceparent", parent), ("x-request-id", "abc-1")]).await;
    assert_eq!((made.code(), made.json["outcome"].as_str()), (201, Some("created")));
    assert_eq!(made.header("location"), format!("/v1/jobs/{}", made.id()));
    assert_eq!(made.header("x-request-id"), "abc-1");
    let job = world.ask("GET", made.header("location"), "").await;
    assert_eq!((job.code(), job.json["state"].as_str()), (200, Some("available")));
    assert_eq!(job.json["trace"]["traceparent"], parent);
    assert_eq!(job.header("x-request-id").len(), 36, "made where none was given");

    let again = json!({"id": made.id(), "kind": "text.read", "payload": {"text": "hi"}});
    let again = world.post(&again.to_string(), &[]).await;
    assert_eq!((again.code(), again.json["outcome"].as_str()), (200, Some("duplicate")));
    assert_eq!(again.id(), made.id());
}

#[tokio::test]
async fn many_jobs_as_an_array_or_as_lines() {
    let world = World::new();
    let array = world.post(&format!("[{GOOD},{GOOD}]"), &[]).await;
    assert_eq!((array.code(), array.json["jobs"].as_array().map(Vec::len)), (200, Some(2)));
    let lines = format!("{GOOD}\n{GOOD}\n{GOOD}\n");
    let lines = world.post(&lines, &[("content-type", "application/x-ndjson")]).await;
    assert_eq!(lines.json["jobs"].as_array().map(Vec::len), Some(3));
    assert_eq!(world.claim().await.len(), 5);
}

#[tokio::test]
async fn a_fault_names_its_field_and_nothing_is_taken() {
    let world = World::new();
    let field = |body: &str| {
        let (body, world) = (body.to_owned(), &world);
        async move {
            let answer = world.post(&body, &[]).await;
            assert_eq!(answer.code(), 422, "{}", answer.json);
            answer.field().to_owned()
        }
    };
    assert_eq!(field(r#"{"kind":"text.raed"}"#).await, "kind");
    assert_eq!(field(r#"{"kind":"text.read","payload":{"text":1}}"#).await, "payload.text");
    assert_eq!(field(r#"{"kind":"text.read"}"#).await, "payload");
    assert_eq!(field(r#"{"kind":"text.read","priorty":1}"#).await, "priorty");
    assert_eq!(field("nothing").await, ".");
    let late = r#"{"kind":"text.read","payload":{"text":"a"},"deadline":"2020-01-01T00:00:00Z"}"#;
    assert_eq!(field(late).await, "deadline");
    let mixed = format!(r#"[{GOOD},{{"kind":"text.read","payload":{{"text":"a","style":{{}}}}}}]"#);
    assert_eq!(field(&mixed).await, "[1].payload.style");
    let two = world.post(r#"[{"kind":"a","run_at":1},{"id":1}]"#, &[]).await;
    assert_eq!(two.json["errors"].as_array().map(Vec::len), Some(2));
    assert!(world.claim().await.is_empty());
}

#[tokio::test]
async fn bodies_are_bounded() {
    let mut world = World::new();
    world.api.settings.max_body = 200;
    world.api.settings.max_jobs = 2;
    let large = world.post(&format!("{GOOD}{}", " ".repeat(200)), &[]).await;
    assert_eq!((large.code(), large.field()), (413, ""));
    let many = world.post(&format!("[{GOOD},{GOOD},{GOOD}]"), &[]).await;
    assert_eq!(many.code(), 400);
    for other in ["text/plain", "application/x-www-form-urlencoded", ""] {
        assert_eq!(world.post(GOOD, &[("content-type", other)]).await.code(), 415, "{other}");
    }
}

#[tokio::test]
async fn a_token_is_wanted_everywhere_and_none_where_none_is_set() {
    let mut world = World::new();
    for (method, path) in [
        ("POST", "/v1/jobs"),
        ("GET", "/v1/jobs/x"),
        ("DELETE", "/v1/jobs/x"),
        ("GET", "/v1/openapi.json"),
    ] {
        for shown in ["", "Bearer sesam", "Bearer sesame2", "Basic sesame", "sesame"] {
            let answer = world.call(request(method, path, GOOD, &[("authorization", shown)])).await;
            assert_eq!((answer.code(), answer.header("www-authenticate")), (401, "Bearer"));
        }
    }
    let other = world.post(GOOD, &[("authorization", "bearer open up")]).await;
    assert_eq!(other.code(), 201);
    world.open();
    let headers = [("authorization", ""), ("host", "localhost")];
    assert_eq!(world.post(GOOD, &headers).await.code(), 201);
}

#[tokio::test]
async fn each_token_has_its_rate() {
    let mut world = World::new();
    (world.api.settings.rate, world.api.settings.burst) = (1, 2);
    let router = super::router(world.api.clone());
    let call = |secret: &str| {
        let bearer = format!("Bearer {secret}");
        let request = request("POST", "/v1/jobs", GOOD, &[("authorization", &bearer)]);
        let router = router.clone();
        async move {
            use tower::ServiceExt as _;
            super::Answer::of(router.oneshot(request).await.unwrap()).await
        }
    };
    assert_eq!((call("sesame").await.code(), call("sesame").await.code()), (201, 201));
    let held = call("sesame").await;
    assert_eq!((held.code(), held.header("retry-after")), (429, "1"));
    assert_eq!(call("open up").await.code(), 201);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(call("sesame").await.code(), 201);
}

#[tokio::test]
async fn a_waiting_request_is_answered_when_the_job_has_finished() {
    let world = World::new();
    let made = world.post(GOOD, &[]).await;
    let path = format!("{}?wait=30s", made.header("location"));
    let (answer, ()) = tokio::join!(world.ask("GET", &path, ""), async {
        tokio::task::yield_now().await;
        world.complete().await;
    });
    assert_eq!(answer.json["state"], "completed");
    assert_eq!(answer.json["result"], "done");
}

#[tokio::test]
async fn waiting_is_bounded_in_time_and_number() {
    let mut world = World::new();
    let made = world.post(GOOD, &[]).await;
    let path = format!("{}?wait=9m", made.header("location"));
    world.api.settings.max_wait = Duration::from_millis(30);
    let answer = world.ask("GET", &path, "").await;
    assert_eq!(
        (answer.json["state"].as_str(), answer.header("retry-after")),
        (Some("available"), "")
    );
    world.api.settings.max_wait = Duration::from_secs(60);
    world.api.settings.max_waiters = 0;
    let answer = world.ask("GET", &path, "").await;
    assert_eq!((answer.code(), answer.header("retry-after")), (200, "1"));
    let odd = world.ask("GET", &format!("{}?wait=soon", made.header("location")), "").await;
    assert_eq!((odd.code(), odd.field()), (400, "wait"));
}

#[tokio::test]
async fn jobs_are_cancelled_once() {
    let world = World::new();
    let made = world.post(GOOD, &[]).await;
    let path = made.header("location");
    let gone = world.ask("DELETE", path, "").await;
    assert_eq!((gone.code(), gone.json["outcome"].as_str()), (202, Some("cancelled")));
    assert_eq!(world.ask("DELETE", path, "").await.code(), 409);
    let job = world.ask("GET", path, "").await;
    assert_eq!(job.json["reason"], "cancelled over HTTP by web");

    let running = world.post(GOOD, &[]).await;
    assert_eq!(world.claim().await.len(), 1);
    let asked = world.ask("DELETE", running.header("location"), "").await;
    assert_eq!(asked.json["outcome"], "asked");
    let nobody = "/v1/jobs/019a9c1e-7d52-7c3b-9f65-2b1c6a0d4e11";
    assert_eq!(world.ask("DELETE", nobody, "").await.code(), 404);
    assert_eq!(world.ask("GET", nobody, "").await.code(), 404);
    assert_eq!(world.ask("GET", "/v1/jobs/x", "").await.field(), "id");
}

#[tokio::test]
async fn other_paths_and_methods_are_problems_too() {
    let world = World::new();
    assert_eq!(world.ask("GET", "/v1/nothing", "").await.code(), 404);
    assert_eq!(world.ask("POST", "/v1/nothing/at/all", "").await.code(), 404);
    let wrong = world.ask("PUT", "/v1/jobs", "").await;
    assert_eq!((wrong.code(), wrong.json["status"].clone()), (405, Value::from(405)));
    assert_eq!(world.ask("POST", "/v1/hooks/sns", "{}").await.code(), 404, "off");
}
