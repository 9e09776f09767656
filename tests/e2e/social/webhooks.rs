//! What a platform tells by itself: the handshake, signatures, deliveries that end a post, failures,
//! answers that were lost, and the same call twice.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stage::{Stage, over};

const AT_MOST: Duration = Duration::from_secs(300);

/// Raw requests as they came.
type Heard = Arc<Mutex<Vec<Vec<u8>>>>;

/// Sends a raw request; gives status and body.
fn send(address: &str, request: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(request).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

fn get(address: &str, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    send(address, request.as_bytes())
}

/// Hands each request on, twice, and keeps it: platforms tell a thing more than once.
fn relay(to: String) -> (String, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let heard = Heard::default();
    let kept = Arc::clone(&heard);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let request = whole(&stream);
            let answers = [send(&to, &request), send(&to, &request)];
            kept.lock().expect("no panic").push(request);
            let status = answers.iter().map(|(status, _)| *status).max().unwrap_or(500);
            let head =
                format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
        }
    });
    (address, heard)
}

/// A request with its body, which asks for the connection to be closed.
fn whole(stream: &TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length, mut line) = (Vec::new(), 0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line).expect("a line");
        let lower = line.to_ascii_lowercase();
        if let Some(said) = lower.strip_prefix("content-length:") {
            length = said.trim().parse().expect("a length");
        }
        if line.trim().is_empty() {
            break;
        }
        request.extend_from_slice(line.as_bytes());
    }
    request.extend_from_slice(b"connection: close\r\n\r\n");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    request.extend(body);
    request
}

fn statuses(stage: &Stage) -> Vec<Value> {
    let jobs = stage.place.records().into_iter();
    jobs.filter(|job| job["kind"] == "social.status").collect()
}

#[test]
fn what_whatsapp_tells_ends_a_post_makes_up_for_lost_answers_and_counts_once() {
    let stage = Stage::new();
    stage.connect("phone", "whatsapp", &[]);
    stage.connect("shut", "whatsapp", &["window=closed"]);
    let config = stage.place.file(
        "fleet.toml",
        "[platforms]\nwebhooks = [\"whatsapp\"]\nwebhook_token = \"s3same\"\n\
         [[app]]\nname = \"whatsapp\"\nclient_id = \"sandbox-whatsapp\"\n\
         client_secret = \"sandbox-whatsapp-secret\"\n",
    );
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it").port();
    let address = format!("127.0.0.1:{port}");
    let worker =
        stage.place.worker(&["--admin", &address, "--config", config.to_str().expect("UTF-8")]);
    let started = Instant::now();
    while TcpStream::connect(&address).is_err() {
        assert!(started.elapsed() < AT_MOST, "the worker does not come up");
        std::thread::sleep(Duration::from_millis(100));
    }
    let asked = "/webhooks/whatsapp?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=";
    assert_eq!(get(&address, &format!("{asked}s3same")), (200, "1158201444".to_owned()));
    assert_eq!(get(&address, &format!("{asked}wrong")).0, 403);
    assert_eq!(get(&address, "/webhooks/myspace").0, 404);

    let (relay, heard) = relay(address.clone());
    stage.tell("webhooks", &json!({"url": format!("http://{relay}/webhooks/whatsapp")}));
    stage.tell(
        "faults",
        &json!({"rules": [{"endpoint": "messages", "nth": 3, "fault": {"kind": "drop_after"}}]}),
    );
    let post = |account: &str, text: &str| {
        json!({"platform": "whatsapp", "account": account,
            "post": {"text": text, "to": "+4915112345678"}})
    };
    let ids: Vec<_> = [post("phone", "hello"), post("shut", "too late"), post("phone", "unheard")]
        .iter()
        .map(|payload| {
            let id = stage.post(payload);
            // One after the other, so that it is the third whose answer is lost.
            let _ = stage.wait(&id, |job| job["attempt"] != 0 && sent(&stage, payload));
            id
        })
        .collect();
    let [done, failed, unheard] = [0, 1, 2].map(|at| stage.wait(&ids[at], over));
    assert_eq!(done["state"], "completed", "{done:#}");
    assert!(!done["result"]["notes"].to_string().contains("webhook"), "{done:#}");
    assert_eq!((&failed["state"], &failed["class"]), (&json!("dead"), &json!("rejected")));
    assert!(failed.to_string().contains("131047"), "{failed:#}");
    assert_eq!(unheard["state"], "completed", "its webhook has shown it: {unheard:#}");
    assert_eq!(unheard["result"]["adopted"], true, "{unheard:#}");
    assert_eq!(stage.posts("phone").len(), 2);

    // Sent and delivered of two, failed of one; each was told twice.
    let started = Instant::now();
    let told = loop {
        let told = statuses(&stage);
        if told.len() >= 5 && told.iter().all(over) {
            break told;
        }
        assert!(started.elapsed() < AT_MOST, "{told:#?}");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(told.len(), 5, "{told:#?}");
    for job in &told {
        assert_eq!(job["state"], "completed", "{job:#}");
        let about = stage.job(job["id"].as_str().expect("an id"))["result"]["job"].clone();
        assert!(ids.iter().any(|id| about == *id.as_str()), "{about}");
    }

    // What somebody else wrote is not believed, however much of it is right.
    let heard = heard.lock().expect("no panic").clone();
    let mut forged = heard[0].clone();
    let last = forged.len() - 1;
    forged[last] = b' ';
    assert_eq!(send(&address, &forged).0, 403);
    let text = String::from_utf8_lossy(&heard[0]).into_owned();
    let bare: String = text.split_inclusive("\r\n").filter(|line| !signature(line)).collect();
    assert_eq!(send(&address, bare.as_bytes()).0, 403);
    drop(worker);
}

fn signature(line: &str) -> bool {
    line.to_ascii_lowercase().starts_with("x-hub-signature-256")
}

/// Whether the sandbox has a message of that text.
fn sent(stage: &Stage, payload: &Value) -> bool {
    let account = payload["account"].as_str().expect("an account");
    stage.posts(account).iter().any(|post| post["text"] == payload["post"]["text"])
}
