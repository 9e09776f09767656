//! An OpenAI-compatible endpoint: chat with JSON schema, vision, speech, transcription, models.
//!
//! Its rules come from the facts sheet on media, §3.2 (speech) and §4 (models), not from the
//! platforms' one.

mod answer;
mod voice;

use serde_json::{Value, json};

use super::core::call::{Call, Route, Trouble};
use super::core::http::{Answer, Reply};
use super::core::limits::{MINUTE, Room};

pub(crate) use voice::{Script, speak};

pub(crate) fn find(method: &str, parts: &[&str]) -> Option<Route> {
    match (method, parts) {
        ("POST", ["v1", "chat", "completions"]) => Route::new("chat", chat),
        ("POST", ["v1", "audio", "speech"]) => Route::new("speech", speech),
        ("POST", ["v1", "audio", "transcriptions"]) => Route::new("transcriptions", transcribe),
        ("GET", ["v1", "models"]) => Route::new("models", models),
        ("GET", ["v1", "models", _]) => Route::new("model", model),
        _ => None,
    }
}

fn error(status: u16, kind: &str, code: Option<&str>, message: &str) -> Reply {
    let body = json!({ "message": message, "type": kind, "param": null, "code": code });
    Reply::json(status, &json!({ "error": body }))
}

fn invalid(message: &str) -> Reply {
    error(400, "invalid_request_error", None, message)
}

pub(crate) fn trouble(trouble: &Trouble) -> Reply {
    match trouble {
        // §4: 503 server_is_overloaded.
        Trouble::Server(503) => error(
            503,
            "service_unavailable_error",
            Some("server_is_overloaded"),
            "The server is overloaded",
        ),
        Trouble::Server(status) => error(*status, "server_error", None, "The server had an error"),
        Trouble::Sunset => error(
            404,
            "invalid_request_error",
            Some("model_not_found"),
            "The model has been deprecated",
        ),
        Trouble::RateLimited { code, wait_s } => {
            // §4: rate_limit_exceeded waits, slow_down waits, insufficient_quota does not pass.
            let code = code.as_deref().unwrap_or("rate_limit_exceeded");
            let kind = match code {
                "rate_limit_exceeded" => "requests",
                "slow_down" => "rate_limit_error",
                _ => "insufficient_quota",
            };
            let reply = error(429, kind, Some(code), "Rate limit reached");
            match wait_s {
                Some(seconds) => reply
                    .with("retry-after-ms", (seconds * 1000).to_string())
                    .with("retry-after", seconds.to_string()),
                None => reply,
            }
        }
    }
}

/// Any key is a key, unless it was issued here and ended: then 401.
fn key(call: &Call<'_>) -> Result<String, Reply> {
    let bad = |what: &str| error(401, "invalid_request_error", Some("invalid_api_key"), what);
    let shown = call.req.bearer().ok_or_else(|| bad("You didn't provide an API key."))?;
    if let Some(token) = call.world.tokens.get(shown)
        && token.check(call.now).is_err()
    {
        return Err(bad("Incorrect API key provided."));
    }
    Ok(shown.to_owned())
}

/// §4: requests and tokens of a minute; failed calls count too.
fn taken(call: &mut Call<'_>, key: &str, tokens: u64) -> Result<(Room, Room), Reply> {
    let now = call.now.as_second();
    let limited = |room: Room| {
        let wait = (room.reset.as_second() - now).max(1).unsigned_abs();
        let trouble = trouble(&Trouble::RateLimited { code: None, wait_s: Some(wait) });
        headers(trouble, room, room)
    };
    let requests = call.take("openai.requests", key, 500, MINUTE).map_err(limited)?;
    let tokens =
        call.take_many("openai.tokens", key, (200_000, tokens), MINUTE).map_err(limited)?;
    Ok((requests, tokens))
}

/// §4: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, reset as Go writes durations.
fn headers(mut reply: Reply, requests: Room, tokens: Room) -> Reply {
    for (name, room) in [("requests", requests), ("tokens", tokens)] {
        let left = room.limit.saturating_sub(room.used);
        reply = reply
            .with(&format!("x-ratelimit-limit-{name}"), room.limit.to_string())
            .with(&format!("x-ratelimit-remaining-{name}"), left.to_string())
            .with(&format!("x-ratelimit-reset-{name}"), if room.used == 0 { "0s" } else { "1s" });
    }
    reply.with("x-request-id", "req_sandbox")
}

/// A token is about four characters.
fn tokens_in(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(4)
}

/// `POST /v1/chat/completions` (§4).
fn chat(call: &mut Call<'_>) -> Answer {
    let key = key(call)?;
    let body = call.req.body_json().clone();
    let Some(model) = body["model"].as_str().map(str::to_owned) else {
        return Err(invalid("you must provide a model parameter"));
    };
    let Some(messages) = body["messages"].as_array().filter(|all| !all.is_empty()) else {
        return Err(invalid("'messages' must be a list with at least one element"));
    };
    let (mut text, mut pictures) = (String::new(), 0);
    for message in messages {
        match &message["content"] {
            Value::String(content) => text.push_str(content),
            Value::Array(parts) => {
                for part in parts {
                    match part["type"].as_str() {
                        Some("text") => text.push_str(part["text"].as_str().unwrap_or_default()),
                        Some("image_url") => {
                            check_picture(part)?;
                            pictures += 1;
                        }
                        _ => return Err(invalid("content parts are text or image_url here")),
                    }
                }
            }
            _ => {}
        }
        text.push('\n');
    }
    // §4: a picture is 85 tokens and more.
    let prompt = tokens_in(&text) + pictures * 85;
    let rooms = taken(call, &key, prompt)?;
    let format = &body["response_format"];
    let content = match format["type"].as_str() {
        Some("json_schema") => {
            let named = &format["json_schema"];
            check_name(named["name"].as_str().unwrap_or_default())?;
            let schema = &named["schema"];
            if named["strict"] == true {
                answer::check_strict(schema, 0).map_err(|what| invalid(&what))?;
            }
            answer::of_schema(schema, &text).to_string()
        }
        Some("json_object") => json!({ "answer": answer::sentence(&text, 0) }).to_string(),
        _ => answer::sentence(&text, 0),
    };
    let most = body["max_completion_tokens"].as_u64().or_else(|| body["max_tokens"].as_u64());
    let (content, reason) = match most.and_then(|most| usize::try_from(most * 4).ok()) {
        Some(most) if content.chars().count() > most => {
            (content.chars().take(most).collect(), "length")
        }
        _ => (content, "stop"),
    };
    let completion = tokens_in(&content);
    let number = call.world.number();
    let reply = Reply::ok(&json!({
        "id": format!("chatcmpl-sandbox{number}"),
        "object": "chat.completion",
        "created": call.now.as_second(),
        "model": model,
        "choices": [{ "index": 0, "finish_reason": reason, "logprobs": null,
            "message": { "role": "assistant", "content": content, "refusal": null } }],
        "usage": { "prompt_tokens": prompt, "completion_tokens": completion,
            "total_tokens": prompt + completion },
    }));
    Ok(headers(reply, rooms.0, rooms.1))
}

/// §4: an https URL or a data URL.
fn check_picture(part: &Value) -> Result<(), Reply> {
    let url = part["image_url"]["url"].as_str().unwrap_or_default();
    let known = ["https://", "http://", "data:image/"].iter().any(|start| url.starts_with(start));
    if known { Ok(()) } else { Err(invalid("image_url.url must be a URL or a data URL")) }
}

/// §4: at most 64 of `[A-Za-z0-9_-]`.
fn check_name(name: &str) -> Result<(), Reply> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || name.len() > 64 || !name.chars().all(fine) {
        return Err(invalid("response_format.json_schema.name: 1 to 64 of [A-Za-z0-9_-]"));
    }
    Ok(())
}

/// `POST /v1/audio/speech` (§3.2).
fn speech(call: &mut Call<'_>) -> Answer {
    let key = key(call)?;
    let body = call.req.body_json().clone();
    let input = body["input"].as_str().unwrap_or_default().to_owned();
    if input.is_empty() || input.chars().count() > 4096 {
        return Err(invalid("input: 1 to 4096 characters"));
    }
    if !body["model"].is_string() || (!body["voice"].is_string() && !body["voice"].is_object()) {
        return Err(invalid("model and voice are required"));
    }
    let speed = body["speed"].as_f64().unwrap_or(1.0);
    if !(0.25..=4.0).contains(&speed) {
        return Err(invalid("speed: 0.25 to 4.0"));
    }
    let format = body["response_format"].as_str().unwrap_or("mp3").to_owned();
    // §3.2: mp3 (default), opus, aac, flac, wav, pcm; here only what needs no encoder.
    if !matches!(format.as_str(), "wav" | "pcm") {
        return Err(invalid("the sandbox speaks wav and pcm only: set response_format"));
    }
    let rooms = taken(call, &key, tokens_in(&input))?;
    let language = body["language"].as_str().map(str::to_owned);
    let mut reply = headers(Reply::empty(200), rooms.0, rooms.1);
    let head = reply.headers.clone();
    reply.speak =
        Some(Box::new(Script { text: input, speed, pcm: format == "pcm", language, head }));
    Ok(reply)
}

/// `POST /v1/audio/transcriptions`: multipart `file`, `model`.
fn transcribe(call: &mut Call<'_>) -> Answer {
    let key = key(call)?;
    let Some(file) = call.req.files.iter().find(|file| file.name == "file").cloned() else {
        return Err(invalid("file is required"));
    };
    if call.req.param("model").is_none() {
        return Err(invalid("model is required"));
    }
    let rooms = taken(call, &key, 100)?;
    // Nobody listens here: the words are those of `prompt`, or the sandbox's own, spread evenly.
    let text = call.req.param("prompt").unwrap_or("this is what the sandbox heard").to_owned();
    let seconds = voice::seconds(&file.bytes);
    let words: Vec<&str> = text.split_whitespace().collect();
    let each = seconds / words.len().max(1) as f64;
    let format = call.req.param("response_format").unwrap_or("json");
    let reply = match format {
        "text" => Reply::bytes(200, "text/plain; charset=utf-8", format!("{text}\n")),
        "verbose_json" => {
            let at = |n: usize| n as f64 * each;
            let words: Vec<Value> = words
                .iter()
                .enumerate()
                .map(|(n, word)| json!({ "word": word, "start": at(n), "end": at(n + 1) }))
                .collect();
            Reply::ok(&json!({ "task": "transcribe", "language": "english",
                "duration": seconds, "text": text, "words": words }))
        }
        _ => Reply::ok(&json!({ "text": text })),
    };
    Ok(headers(reply, rooms.0, rooms.1))
}

const MODELS: [&str; 4] =
    ["sandbox-large", "sandbox-small", "sandbox-speech", "sandbox-transcribe"];

fn described(id: &str) -> Value {
    // §4: `shutdown_date` is there now; these do not end.
    json!({ "id": id, "object": "model", "created": 1_767_225_600, "owned_by": "sandbox",
        "shutdown_date": null })
}

fn models(call: &mut Call<'_>) -> Answer {
    key(call)?;
    let all: Vec<Value> = MODELS.iter().map(|id| described(id)).collect();
    Ok(Reply::ok(&json!({ "object": "list", "data": all })))
}

fn model(call: &mut Call<'_>) -> Answer {
    key(call)?;
    let id = call.part(2);
    if MODELS.contains(&id) {
        return Ok(Reply::ok(&described(id)));
    }
    let what = format!("The model '{id}' does not exist");
    Err(error(404, "invalid_request_error", Some("model_not_found"), &what))
}
