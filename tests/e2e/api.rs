//! Enqueueing over HTTP against the real worker, and being told of the end by a webhook.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Place, Running};

const AT_MOST: Duration = Duration::from_secs(60);

/// A worker with the API on a port of its own.
struct Served {
    port: u16,
    _worker: Running,
}

impl Served {
    fn start(place: &Place, args: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let worker = place.worker(&[&["--admin", &address], args].concat());
        let started = Instant::now();
        while TcpStream::connect(&address).is_err() {
            assert!(started.elapsed() < AT_MOST, "the API does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { port, _worker: worker }
    }

    /// One request; status and body.
    fn call(&self, method: &str, path: &str, headers: &[&str], body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for header in headers {
            request += &format!("{header}\r\n");
        }
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

const JSON: &str = "content-type: application/json";

#[test]
fn a_job_is_enqueued_awaited_and_repeated_over_http() {
    let place = Place::new();
    let tokens = place.file("tokens", "shop s3cret\n");
    let place = place.set(&format!("api.tokens_file={}", tokens.display()));
    let api = Served::start(&place, &[]);
    let job = r##"{"kind":"caption.parse","payload":{"text":"50% off #sale"}}"##;
    let shop = "authorization: Bearer s3cret";

    assert_eq!(api.call("POST", "/v1/jobs", &[JSON], job).0, 401, "no token");
    let key = "idempotency-key: post-7";
    let (status, first) = api.call("POST", "/v1/jobs", &[JSON, shop, key], job);
    assert!(status == 200 || status == 201 || status == 202, "{status} {first}");
    let id = find(&first, "id").expect("an id").to_owned();
    let (_, second) = api.call("POST", "/v1/jobs", &[JSON, shop, key], job);
    assert_eq!(find(&second, "id"), Some(id.as_str()), "the same key is the same job");
    let other = r##"{"kind":"caption.parse","payload":{"text":"other"}}"##;
    assert_eq!(api.call("POST", "/v1/jobs", &[JSON, shop, key], other).0, 422);

    let (status, done) = api.call("GET", &format!("/v1/jobs/{id}?wait=30s"), &[shop], "");
    assert_eq!((status, &done["state"]), (200, &"completed".into()), "{done}");
    assert_eq!(done["result"]["hashtags"][0]["tag"], "sale");

    let wrong = r#"{"kind":"caption.parse","payload":{"txt":"a"}}"#;
    let (status, problem) = api.call("POST", "/v1/jobs", &[JSON, shop], wrong);
    assert!(status == 400 || status == 422, "{status} {problem}");
    assert!(problem.to_string().contains("text"), "names the field: {problem}");
    assert_eq!(api.call("GET", "/v1/openapi.json", &[shop], "").0, 200);
}

/// The first text of that name, however deep.
fn find<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    match value {
        Value::Object(fields) => fields
            .get(name)
            .and_then(Value::as_str)
            .or_else(|| fields.values().find_map(|inner| find(inner, name))),
        Value::Array(items) => items.iter().find_map(|inner| find(inner, name)),
        _ => None,
    }
}

#[test]
fn a_subscriber_hears_of_the_end_of_a_job() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let place = Place::new().set(&format!("sources.allow_hosts=[\"127.0.0.1:{port}\"]"));
    let file = place.file(
        "fleet.toml",
        format!(
            "[[subscriber]]\nname = \"test\"\nto = \"http://127.0.0.1:{port}/\"\n\
             secret = \"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\n"
        ),
    );
    let config = ["--config", file.to_str().unwrap()];
    let payload = r##"{"text":"told #a"}"##;
    let enqueue = ["enqueue", "caption.parse", "--payload", payload];
    let id = place.ok(&[&enqueue[..], &config].concat()).trim().to_owned();
    let _worker = place.worker(&config);

    let (mut stream, _) = socket.accept().unwrap();
    let mut heard = String::new();
    let mut piece = [0; 4096];
    while !(heard.contains("\r\n\r\n") && heard.ends_with('}')) {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "hung up early: {heard}");
        heard += &String::from_utf8_lossy(&piece[..read]);
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n").unwrap();
    let (head, body) = heard.split_once("\r\n\r\n").unwrap();
    assert!(head.to_lowercase().contains("webhook-signature: v1,"), "{head}");
    let event: Value = serde_json::from_str(body).unwrap();
    assert_eq!(event["type"], "flotilla.job.completed");
    assert_eq!(event["subject"], id.as_str());
    assert_eq!(event["data"]["result"]["hashtags"][0]["tag"], "a");
    assert!(!place.ok(&[&["config", "show"][..], &config].concat()).contains("MDEyMzQ1"));
}
