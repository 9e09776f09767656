//! The model endpoint: structured output, vision, speech, transcription, limits.

use flotilla_sandbox::Platform;
use serde_json::{Value, json};

use crate::{go, stage};

#[tokio::test]
async fn chat_answers_in_the_schema_it_is_given() {
    let stage = stage().await;
    let key = stage.connect(Platform::OpenAi).access_token;
    let schema = json!({ "type": "object", "additionalProperties": false,
        "required": ["drafts"], "properties": { "drafts": { "type": "array", "items": {
            "type": "object", "additionalProperties": false, "required": ["platform", "text"],
            "properties": { "platform": { "type": "string", "enum": ["x"] },
                "text": { "type": "string", "maxLength": 100 } } } } } });
    let ask = |schema: &Value| {
        let body = json!({ "model": "sandbox-small", "messages": [
            { "role": "system", "content": "Write drafts" },
            { "role": "user", "content": [
                { "type": "text", "text": "A bakery opens on Friday" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } },
            ]} ],
            "response_format": { "type": "json_schema", "json_schema": {
                "name": "drafts", "strict": true, "schema": schema } } });
        go(stage.post("/v1/chat/completions").bearer_auth(&key).json(&body))
    };
    let first = ask(&schema).await;
    assert_eq!(first.status, 200);
    let content = first.body["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    let drafts: Value = serde_json::from_str(&content).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&drafts), "{drafts}");
    assert!(first.body["usage"]["prompt_tokens"].as_u64().unwrap() > 85, "the picture counts");
    assert_eq!(first.header("x-ratelimit-limit-requests"), "500");
    assert!(first.header("x-ratelimit-reset-tokens").ends_with('s'));
    let second = ask(&schema).await;
    assert_eq!(second.body["choices"][0]["message"]["content"], content.as_str());
    let loose = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    let refused = ask(&loose).await;
    assert_eq!(
        (refused.status, &refused.body["error"]["type"]),
        (400, &json!("invalid_request_error"))
    );
    let nobody = go(stage.post("/openai/v1/chat/completions").json(&json!({}))).await;
    assert_eq!((nobody.status, &nobody.body["error"]["code"]), (401, &json!("invalid_api_key")));
}

#[tokio::test]
async fn speech_is_real_audio_and_can_be_written_down() {
    let stage = stage().await;
    let key = stage.connect(Platform::OpenAi).access_token;
    let body = json!({ "model": "sandbox-speech", "voice": "alloy", "response_format": "wav",
        "input": "Good morning from the harbour" });
    let answer = stage.post("/v1/audio/speech").bearer_auth(&key).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "audio/wav");
    let voice = answer.headers()["x-sandbox-voice"].to_str().unwrap().to_owned();
    assert!(["espeak-ng", "tone"].contains(&voice.as_str()));
    let wav = answer.bytes().await.unwrap();
    assert_eq!(&wav[..4], b"RIFF");
    assert!(wav.len() > 24_000, "about two seconds: {} bytes", wav.len());
    let part = reqwest::multipart::Part::bytes(wav.to_vec()).file_name("speech.wav");
    let form = reqwest::multipart::Form::new()
        .text("model", "sandbox-transcribe")
        .text("prompt", "Good morning from the harbour")
        .text("response_format", "verbose_json")
        .part("file", part);
    let heard = stage.post("/v1/audio/transcriptions").bearer_auth(&key).multipart(form);
    let heard = go(heard).await;
    assert_eq!(heard.body["words"].as_array().unwrap().len(), 5);
    let seconds = heard.body["duration"].as_f64().unwrap();
    assert!((wav.len() as f64 / 48_000.0 - seconds).abs() < 0.1);
    let models = go(stage.get("/v1/models").bearer_auth(&key)).await;
    assert!(models.body["data"].as_array().unwrap().len() > 2);
    stage.sandbox.set_limit("openai.requests", 1);
    let over = stage.post("/v1/audio/speech").bearer_auth(&key).json(&body);
    let over = go(over).await;
    assert_eq!((over.status, &over.body["error"]["code"]), (429, &json!("rate_limit_exceeded")));
}
