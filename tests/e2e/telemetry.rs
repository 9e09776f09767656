//! What a worker says of itself: logs that correlate and hide secrets, traces that reach a collector.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
#[cfg(feature = "otlp")]
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::{Place, Ran};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Two jobs of one trace, enqueued as another program does it: one runs, one cannot.
fn enqueue(place: &Place) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut worker = place.worker(&["--admin", &address, "--lanes", "nobody-waits-here"]);
    let mut stream = loop {
        assert!(!worker.has_ended(), "the worker with the API ended");
        match TcpStream::connect(&address) {
            Ok(stream) => break stream,
            Err(_) => std::thread::yield_now(),
        }
    };
    let jobs = r#"[{"kind":"caption.parse","payload":{"text":"50% off #sale"}},
        {"kind":"thumbnail.generate","payload":{"source":{"url":"http://127.0.0.1:9/?access_token=hunter2"},
            "outputs":[{"name":"s","width":10,"fit":"width","format":"png"}]}}]"#;
    let request = format!(
        "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer 0123456789abcdef\r\n\
         content-type: application/json\r\ntraceparent: {PARENT}\r\ncontent-length: {}\r\n\r\n{jobs}",
        jobs.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
    worker.kill();
}

fn lines(ran: &Ran) -> Vec<Value> {
    let read = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    ran.err.lines().map(read).collect()
}

fn run(command: &mut Command) -> Ran {
    Ran::of(command.output().unwrap(), &["worker"]).code(0)
}

#[test]
fn the_log_is_json_that_names_job_and_trace_and_no_secret() {
    let place = Place::new().set("admin.token=0123456789abcdef");
    enqueue(&place);
    let place = place.set("log.level=info,flotilla_engine=debug").set("log.format=json");
    let ran = run(&mut place.command(&["worker", "--until-idle"]));
    let lines = lines(&ran);
    assert!(lines.iter().all(|l| l["time"].is_string() && l["level"].is_string()), "{lines:#?}");
    let of_job: Vec<_> = lines.iter().filter(|l| l["job"].is_string()).collect();
    let done = of_job.iter().find(|l| l["kind"] == "caption.parse").expect("said of the caption");
    assert_eq!((&done["lane"], &done["attempt"]), (&"language".into(), &1.into()), "{done}");
    assert_eq!(done["trace"], TRACE, "{done}");
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
}

#[test]
fn a_probe_says_whether_the_worker_is_there() {
    let place = Place::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = place.set(&format!("admin.listen=127.0.0.1:{port}"));
    place.run(&["probe"]).code(69);
    let mut worker = place.worker(&[]);
    while place.run(&["probe", "--ready"]).exit() != Some(0) {
        assert!(!worker.has_ended(), "the worker ended");
    }
    assert!(place.ok(&["probe"]).contains("alive"));
    worker.kill();
    Place::new().run(&["probe"]).code(64);
}

/// The requests a collector was sent: path and body.
#[cfg(feature = "otlp")]
type Kept = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A collector: keeps what it is sent.
#[cfg(feature = "otlp")]
fn collector() -> (String, Kept) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let kept = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&kept);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let into = Arc::clone(&into);
            std::thread::spawn(move || {
                while let Some(request) = receive(&mut stream) {
                    into.lock().unwrap().push(request);
                    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
                    if stream.write_all(answer.as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    (url, kept)
}

/// One request: its head and its body; `None`: the connection is closed.
#[cfg(feature = "otlp")]
fn receive(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    let mut body = vec![0; length.trim().parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

#[cfg(feature = "otlp")]
#[test]
fn attempts_reach_a_collector_with_their_link_and_their_calls() {
    let place = Place::new().set("admin.token=0123456789abcdef");
    enqueue(&place);
    let (url, kept) = collector();
    let place = place
        .set(&format!("telemetry.otlp_endpoint={url}"))
        .set("telemetry.otlp_headers=x-team=fleet")
        .set("telemetry.sample=0")
        .set("telemetry.service=harbour");
    let untraced = r#"{"text":"not sampled"}"#;
    place.ok(&["enqueue", "caption.parse", "--payload", untraced, "--tenant", "quiet"]);
    run(&mut place.command(&["worker", "--until-idle"]));
    let sent = kept.lock().unwrap();
    assert!(!sent.is_empty(), "nothing was sent");
    let has = |needle: &[u8]| {
        sent.iter().any(|(_, body)| body.windows(needle.len()).any(|part| part == needle))
    };
    let trace: Vec<u8> =
        (0..32).step_by(2).map(|i| u8::from_str_radix(&TRACE[i..i + 2], 16).unwrap()).collect();
    assert!(
        sent.iter()
            .all(|(head, _)| head.starts_with("post /v1/traces") && head.contains("x-team: fleet")),
        "{}",
        sent[0].0
    );
    assert!(has(b"harbour") && has(b"caption.parse") && has(b"thumbnail.generate"));
    assert!(has(&trace), "the span is linked to the trace that enqueued its job");
    assert!(!has(b"hunter2"), "no secret leaves in a trace");
}
