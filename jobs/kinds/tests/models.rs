//! The model mode of the language kinds over real HTTP, through the guarded client.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use flotilla_core::{CpuPool, JobContext, JobId, Kind, ManualClock, Secret};
use flotilla_jobs::GuardedAsk;
use flotilla_language::caption::{Mode, Request, parse};
use flotilla_language::tags::{Context, generate};
use flotilla_models::{Image, Model, Settings, caption, tags};
use flotilla_platforms::{Fetcher, GuardSettings};
use serde_json::{Value, json};

type Asked = Arc<Mutex<Vec<Value>>>;

/// An endpoint that answers by the name of the schema, busy at its first call.
async fn complete(
    State(asked): State<Asked>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let first = {
        let mut asked = asked.lock().unwrap();
        asked.push(body.clone());
        asked.len() == 1
    };
    if first {
        let busy = json!({"error": {"code": "rate_limit_exceeded", "message": "slow down"}});
        return (StatusCode::TOO_MANY_REQUESTS, Json(busy));
    }
    let content = match body["response_format"]["json_schema"]["name"].as_str() {
        Some("caption") => json!({"sentiment": "positive", "score": 0.7, "confidence": 0.8,
            "products": [{"quote": "Velora tote", "brand": "Velora", "name": "tote", "sentiment": "positive"}],
            "calls": []}),
        _ => json!({"tags": ["tote bag", "nsfw", "Velora"], "category": "fashion",
            "alt_text": "A brown bag on a table"}),
    };
    let message = json!({"role": "assistant", "content": content.to_string(), "refusal": null});
    (
        StatusCode::OK,
        Json(json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})),
    )
}

async fn endpoint() -> (Model, Asked, tokio::task::JoinHandle<()>) {
    flotilla_platforms::install_crypto();
    let asked = Asked::default();
    let app = Router::new().route("/v1/chat/completions", post(complete)).with_state(asked.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let guard = GuardSettings {
        ports: vec![address.port()],
        allow_hosts: vec![address.to_string()],
        ..GuardSettings::default()
    };
    let settings = Settings {
        base_url: format!("http://{address}/v1"),
        model: "small".to_owned(),
        vision_model: Some("eyes".to_owned()),
        key: Some(Secret::new("sk-test")),
        timeout: Duration::from_secs(20),
        retries: 2,
        max_wait: Duration::ZERO,
        pause: Duration::from_secs(60),
        wait_for_payment: true,
        max_output_tokens: 500,
        max_answer: 65_536,
        tokens_per_day: 100_000,
        money_per_day: 1.0,
        input_price: 1.0,
        output_price: 4.0,
        cache: Duration::from_secs(60),
    };
    let way_out = GuardedAsk(Arc::new(Fetcher::new(guard).unwrap()));
    (Model::new(settings, Arc::new(way_out)), asked, server)
}

fn context() -> JobContext {
    let clock = Arc::new(ManualClock::default());
    JobContext::detached(
        JobId::derived("m"),
        Kind::from_static("tags.generate"),
        clock,
        CpuPool::new(1),
    )
}

#[tokio::test]
async fn captions_and_tags_get_better_by_a_model_that_answers_over_http() {
    let (model, asked, server) = endpoint().await;
    let cx = context();
    let text = "Carried my Velora tote all day, in love";
    let request = Request { text: text.to_owned(), ..Request::default() };
    let told = caption::refine(&model, &cx, &request, parse(&request)).await.unwrap();
    assert_eq!(told.mode, Mode::Model, "{:?}", told.notes);
    assert!(
        told.products.iter().any(|p| p.brand.as_deref() == Some("Velora")),
        "{:?}",
        told.products
    );
    assert_eq!(asked.lock().unwrap().len(), 2, "busy once, then answered");

    let post = tags::Post { text, title: None, platform: None, deny: &[], most: 10 };
    let local = generate(
        &flotilla_language::tags::Post { text, picture: true, ..Default::default() },
        &Context::default(),
    );
    let image = Image { media_type: "image/png", bytes: bytes::Bytes::from_static(b"\x89PNG") };
    let told = tags::refine(&model, &cx, &post, Some(image), local).await.unwrap();
    assert_eq!(told.mode, Mode::Model, "{:?}", told.notes);
    assert!(told.tags.iter().any(|tag| tag.tag == "totebag"), "{:?}", told.tags);
    assert!(told.tags.iter().all(|tag| tag.tag != "nsfw"));
    assert_eq!(told.categories.content[0].path, "fashion");
    assert_eq!(told.seo.alt_text.as_deref(), Some("A brown bag on a table"));
    let seen = asked.lock().unwrap().last().unwrap().clone();
    assert_eq!(seen["model"], "eyes");
    let url = seen["messages"][1]["content"][1]["image_url"]["url"].as_str().unwrap();
    assert!(url.starts_with("data:image/png;base64,"));
    server.abort();
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_leaves_the_local_result() {
    let (model, _, server) = endpoint().await;
    server.abort();
    _ = server.await;
    let request = Request { text: "so happy with my bag".to_owned(), ..Request::default() };
    let local = parse(&request);
    let told = caption::refine(&model, &context(), &request, local.clone()).await.unwrap();
    assert_eq!(told.mode, Mode::Local);
    assert_eq!(told.sentiment, local.sentiment);
    assert!(
        told.notes.last().unwrap().starts_with("model: the model did not answer"),
        "{:?}",
        told.notes
    );
}
