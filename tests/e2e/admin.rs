//! The admin API of a real worker: tokens as the command makes them, roles, what is done by hand.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Place, Running};

const AT_MOST: Duration = Duration::from_secs(300);

/// A worker with its address.
struct Served {
    address: String,
    worker: Running,
}

impl Served {
    fn start(place: &Place, args: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let worker = place.worker(&[args, &["--admin", &address]].concat());
        let began = Instant::now();
        while TcpStream::connect(&address).is_err() {
            assert!(began.elapsed() < AT_MOST, "the address does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { address, worker }
    }

    /// One request: status, head and body.
    fn raw(&self, method: &str, path: &str, headers: &[&str], body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        if !headers.iter().any(|header| header.starts_with("host:")) {
            request += "host: localhost\r\n";
        }
        for header in headers {
            request += &format!("{header}\r\n");
        }
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        (status, answer)
    }

    fn call(&self, method: &str, path: &str, headers: &[&str], body: &str) -> (u16, Value) {
        let (status, answer) = self.raw(method, path, headers, body);
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

/// A token as the command makes it: itself, and its lines.
fn token(place: &Place, name: &str, role: &str, more: &[&str]) -> (String, String) {
    let said = place.ok(&[&["tokens", "new", name, "--role", role], more].concat());
    let token = said.split_whitespace().find(|word| word.starts_with("flt_")).expect("a token");
    let (_, lines) = said.split_once("[[token]]").expect("its lines");
    assert!(!lines.contains(token), "only its hash is kept");
    (format!("authorization: Bearer {token}"), format!("[[token]]{lines}\n"))
}

const JSON: &str = "content-type: application/json";

#[test]
fn tokens_of_the_command_open_what_their_role_and_tenant_allow() {
    let place = Place::new();
    let (viewer, a) = token(&place, "vera", "viewer", &[]);
    let (operator, b) = token(&place, "otto", "operator", &[]);
    let (shop, c) = token(&place, "shop", "operator", &["--tenant", "shop"]);
    let file = place.file("flotilla.toml", format!("{a}{b}{c}"));
    let api = Served::start(&place, &["--config", file.to_str().unwrap()]);

    assert_eq!(api.call("GET", "/v1/me", &[], "").0, 401);
    assert_eq!(api.raw("GET", "/metrics", &[], "").0, 401);
    assert_eq!(api.raw("GET", "/metrics", &[&viewer], "").0, 200);
    assert_eq!(api.call("GET", "/v1/me", &[&viewer], "").1["name"], "vera");
    let pause = r#"{"reason":"maintenance"}"#;
    let lane = "/v1/lanes/default/pause";
    assert_eq!(api.call("PUT", lane, &[&viewer, JSON], pause).0, 403);
    assert_eq!(api.call("PUT", lane, &[&shop, JSON], pause).0, 403, "it concerns all tenants");
    assert_eq!(api.call("PUT", lane, &[&operator, JSON], pause).0, 200);
    let listed = place.json(&["queues", "list", "--json"]);
    assert_eq!(listed[0]["paused"]["by"], "otto", "{listed}");
    assert_eq!(api.call("DELETE", lane, &[&operator], "").0, 200);

    let job = r#"{"kind":"caption.parse","payload":{"text":"a"}}"#;
    let (_, made) = api.call("POST", "/v1/jobs", &[&shop, JSON], job);
    let path = format!("/v1/jobs/{}", made["id"].as_str().expect("an id"));
    let (_, done) = api.call("GET", &format!("{path}?wait=60s"), &[&shop], "");
    assert_eq!((&done["tenant"], &done["state"]), (&"shop".into(), &"completed".into()), "{done}");
    let (_, detail) = api.call("GET", &format!("{path}/detail"), &[&viewer], "");
    assert_eq!(detail["why"]["because"][0], "it is done", "{detail}");
    let (_, again) = api.call("POST", &format!("{path}/run-again"), &[&shop], "");
    assert_eq!(again["outcome"], "created", "{again}");

    let (_, audit) = api.call("GET", "/v1/audit", &[&operator], "");
    let whats: Vec<&str> = audit["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .filter_map(|entry| entry["what"].as_str())
        .collect();
    assert_eq!(whats, ["job.again", "lane.resume", "lane.pause"]);
    assert_eq!(api.call("GET", "/v1/audit", &[&viewer], "").0, 403);
    for path in ["/v1/workers", "/v1/schedules", "/v1/accounts", "/v1/limits", "/v1/overview"] {
        let (status, answer) = api.call("GET", path, &[&operator], "");
        assert_eq!(status, 200, "{path}: {answer}");
    }
}

#[test]
fn readiness_names_everything_that_work_depends_on() {
    let place = Place::new();
    let api = Served::start(&place, &[]);
    let (status, said) = api.raw("GET", "/readyz", &[], "");
    assert_eq!(status, 200, "{said}");
    for name in ["queue: ok", "fleet: ok", "cells: ok", "blobs: ok"] {
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn without_a_token_it_is_for_this_machine_and_its_own_pages_only() {
    let place = Place::new();
    let api = Served::start(&place, &[]);
    assert_eq!(api.call("GET", "/v1/me", &[], "").1["name"], "local");
    assert_eq!(api.call("GET", "/v1/me", &["host: evil.example"], "").0, 421);
    let job = r#"{"kind":"caption.parse","payload":{"text":"a"}}"#;
    let foreign = ["origin: http://evil.example", JSON];
    assert_eq!(api.call("POST", "/v1/jobs", &foreign, job).0, 403);
    assert_eq!(api.call("POST", "/v1/jobs", &[JSON], job).0, 201);
    let ran = place.run(&["worker", "--until-idle", "--admin", "0.0.0.0:0"]).code(64);
    assert!(ran.err.contains("flotilla tokens new"), "it says what to do: {}", ran.err);
}

#[test]
fn a_stream_of_events_does_not_keep_aworker_from_ending() {
    let place = Place::new();
    let mut api = Served::start(&place, &[]);
    let mut stream = TcpStream::connect(&api.address).unwrap();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut heard = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&heard).contains("event: overview") {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "hung up: {}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&piece[..read]);
    }
    api.worker.signal("TERM");
    let began = Instant::now();
    while !api.worker.has_ended() {
        assert!(began.elapsed() < AT_MOST, "the stream keeps it");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn behind_a_proxy_that_ends_https_the_cookie_of_a_session_is_secure() {
    let place = Place::new();
    let (bearer, lines) = token(&place, "vera", "viewer", &[]);
    let secret = bearer.rsplit(' ').next().expect("a token");
    for (setting, secure) in
        [("", false), ("[admin]\npublic_url = \"https://fleet.example\"\n", true)]
    {
        let file = place.file("flotilla.toml", format!("{setting}{lines}"));
        let api = Served::start(&place, &["--config", file.to_str().unwrap()]);
        let form = ["content-type: application/x-www-form-urlencoded"];
        let (status, answer) = api.raw("POST", "/login", &form, &format!("token={secret}&to=/"));
        assert_eq!(status, 303, "{answer}");
        assert_eq!(answer.contains("__Host-flotilla="), secure, "{answer}");
        assert_eq!(answer.contains("; Secure"), secure, "{answer}");
    }
}
