//! A sandbox of its own, a web server with media, and a queue whose accounts live in the sandbox.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Place, bare, photo};

/// Generous: a test that gets this far is broken, not slow.
const AT_MOST: Duration = Duration::from_secs(900);
/// Bytes of the video: more than one part of some uploads.
const VIDEO: usize = 6_000_000;

/// Shorter pauses than the platforms ask for: the sandbox is quick.
pub(super) const HASTY: &str = r#"poll = { first = "1s", longest = "2s", give_up = "30m" }"#;

/// Everything a post needs.
pub(super) struct Stage {
    pub(super) place: Place,
    /// `host:port` of the web server with media.
    pub(super) files: String,
    sandbox: Sandbox,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::with(HASTY, Place::new())
    }

    /// `lines` go into every platform's part of the registry.
    pub(super) fn with(lines: &str, place: Place) -> Self {
        let names = place.json(&["platforms", "list", "--json"]);
        let mut registry = String::new();
        for one in names.as_array().expect("a list") {
            let name = one["name"].as_str().expect("a name");
            registry += &format!("[platform.{name}]\n{lines}\n");
        }
        registry = registry.replace("[platform.linkedin]", "[platform.linkedin]\ngrace = \"1s\"");
        let registry = place.file("platforms.toml", registry);
        let files = web();
        let place = place
            .set(&format!("platforms.file={}", registry.display()))
            .set(&format!("sources.allow_hosts=[\"{files}\"]"));
        Self { place, files, sandbox: Sandbox::start() }
    }

    /// Its owner logs in once more.
    pub(super) fn connect_again(&self, name: &str, platform: &str) {
        let url = self.sandbox.url();
        let add = ["accounts", "add", name, "--platform", platform, "--sandbox", &url];
        let said = self.place.ok(&add);
        assert!(said.contains("connected again"), "{said}");
    }

    /// Connects an account of the sandbox's own.
    pub(super) fn connect(&self, name: &str, platform: &str, facts: &[&str]) {
        let url = self.sandbox.url();
        let mut args = vec!["accounts", "add", name, "--platform", platform, "--sandbox", &url];
        for fact in facts {
            args.extend(["--fact", fact]);
        }
        let said = self.place.ok(&args);
        assert!(said.contains(&format!("{name} is connected")), "{said}");
    }

    /// Its id on its platform.
    pub(super) fn external(&self, name: &str) -> String {
        let shown = self.place.json(&["accounts", "show", name, "--json"]);
        shown["account"]["external_id"].as_str().expect("an id").to_owned()
    }

    /// A medium behind a URL.
    pub(super) fn medium(&self, name: &str) -> Value {
        let source = json!({"url": format!("http://{}/{name}", self.files)});
        match name.ends_with(".mp4") {
            true => json!({"source": source, "seconds": 20.0}),
            false => json!({"source": source}),
        }
    }

    /// Enqueues posts; gives the jobs' ids, in order.
    pub(super) fn enqueue(&self, payloads: &[Value]) -> Vec<String> {
        let lines: String = payloads.iter().map(|payload| format!("{payload}\n")).collect();
        let file = self.place.file("posts.jsonl", lines);
        let out =
            self.place.ok(&["enqueue", "social.post", "--jsonl", file.to_str().expect("UTF-8")]);
        out.lines().map(str::to_owned).collect()
    }

    /// One post.
    pub(super) fn post(&self, payload: &Value) -> String {
        self.enqueue(std::slice::from_ref(payload)).remove(0)
    }

    /// The job, when `done` says of it that it is where it is wanted.
    pub(super) fn wait(&self, id: &str, done: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let job = self.job(id);
            if done(&job) {
                return job;
            }
            assert!(started.elapsed() < AT_MOST, "it does not get there: {job:#}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    pub(super) fn job(&self, id: &str) -> Value {
        self.place.json(&["jobs", "show", id, "--json"])
    }

    /// The jobs, when all of them have ended, by id.
    pub(super) fn ended(&self) -> BTreeMap<String, Value> {
        let started = Instant::now();
        loop {
            let jobs = self.place.records();
            let posts = jobs.into_iter().filter(|job| job["kind"] == "social.post");
            let jobs: Vec<_> = posts.collect();
            if jobs.iter().all(over) {
                return jobs.into_iter().map(|job| (id(&job), job)).collect();
            }
            assert!(started.elapsed() < AT_MOST, "they do not end");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// `/_sandbox/…` of the sandbox.
    pub(super) fn ask(&self, path: &str) -> Value {
        self.sandbox.call("GET", path, "")
    }

    pub(super) fn tell(&self, path: &str, body: &Value) -> Value {
        self.sandbox.call("POST", path, &body.to_string())
    }

    /// What an account has published; drafts, which nobody sees, left out.
    pub(super) fn posts(&self, name: &str) -> Vec<Value> {
        self.posts_of(&self.external(name))
    }

    pub(super) fn posts_of(&self, external: &str) -> Vec<Value> {
        let all = self.ask("posts?limit=10000");
        let all = all["posts"].as_array().expect("posts").iter();
        all.filter(|post| post["account"] == external && post["state"] != "draft")
            .cloned()
            .collect()
    }
}

/// The id of a job.
pub(super) fn id(job: &Value) -> String {
    job["id"].as_str().expect("an id").to_owned()
}

/// Whether a job has ended.
pub(super) fn over(job: &Value) -> bool {
    ["completed", "dead", "cancelled"].iter().any(|state| job["state"] == *state)
}

/// A database of its own on the server for tests; it goes away by itself.
#[cfg(feature = "postgres")]
pub(super) struct Database {
    server: String,
    name: String,
}

#[cfg(feature = "postgres")]
impl Database {
    /// `None`, and the test is counted as skipped: there is no server.
    pub(super) fn new(test: &str, name: &str) -> Option<Self> {
        let Ok(server) = std::env::var("FLOTILLA_TEST_POSTGRES_URL") else {
            let reason = "FLOTILLA_TEST_POSTGRES_URL is not set (`make test` starts a server)";
            crate::support::skipped(test, reason);
            return None;
        };
        let name = format!("flotilla_e2e_{name}_{}", std::process::id());
        let database = Self { server, name };
        database.sql(&format!("create database {}", database.name));
        Some(database)
    }

    fn sql(&self, text: &str) {
        let mut psql = std::process::Command::new("psql");
        let ran = psql.args([&self.server, "-XqAtv", "ON_ERROR_STOP=1", "-c", text]).status();
        assert!(ran.is_ok_and(|status| status.success()), "{text}");
    }

    /// A queue in it.
    pub(super) fn place(&self) -> Place {
        let (base, _) = self.server.rsplit_once('/').expect("postgres://…/database");
        let url = format!("queue.url={base}/{}", self.name);
        let place = Place::new().set("queue.backend=postgres").set(&url);
        place.ok(&["migrate"]);
        place
    }
}

#[cfg(feature = "postgres")]
impl Drop for Database {
    fn drop(&mut self) {
        self.sql(&format!("drop database {} with (force)", self.name));
    }
}

/// `flotilla sandbox` on a port of its own.
struct Sandbox {
    process: Child,
    address: String,
}

impl Sandbox {
    fn start() -> Self {
        let mut command = bare(&["sandbox", "--listen", "127.0.0.1:0"]);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the sandbox starts");
        let mut out = BufReader::new(process.stdout.take().expect("its output"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        let (_, address) = line.trim().split_once("http://").expect("its address");
        let address = address.to_owned();
        // Whoever stops reading stops the one who writes.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        Self { process, address }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn call(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(&self.address).expect("the sandbox listens");
        let request = format!(
            "{method} /_sandbox/{path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        serde_json::from_str(body).unwrap_or(Value::Null)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A file of the web server: bytes and media type.
pub(super) fn file(name: &str) -> Option<(Vec<u8>, &'static str)> {
    let film = || {
        let mut bytes = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".to_vec();
        bytes.resize(VIDEO, 7);
        bytes
    };
    let picture = |name| std::fs::read(photo(name)).expect("a bundled photo");
    Some(match name {
        "one.jpg" => (picture("sunset.jpg"), "image/jpeg"),
        "two.jpg" => (picture("brushes.jpg"), "image/jpeg"),
        "three.jpg" => (picture("fig.jpg"), "image/jpeg"),
        "peaks.webp" => (picture("peaks.webp"), "image/webp"),
        "film.mp4" => (film(), "video/mp4"),
        "paper.pdf" => (b"%PDF-1.7\nnothing in it".to_vec(), "application/pdf"),
        "song.mp3" => (b"ID3\x04\0\0\0\0\0\0nothing in it".to_vec(), "audio/mpeg"),
        _ => return None,
    })
}

/// A web server with ranges; it ends with the process.
fn web() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut line = String::new();
    let _ = reader.read_line(&mut line);
    let name = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    let mut range = None;
    loop {
        line.clear();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(asked) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            let ends = asked.trim().split_once('-').expect("a range");
            range = ends.0.parse::<usize>().ok().zip(ends.1.parse::<usize>().ok());
        }
    }
    let Some((bytes, media_type)) = file(&name) else {
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        return;
    };
    let whole = bytes.len();
    let (from, to) = range.map_or((0, whole), |(from, to)| (from.min(whole), (to + 1).min(whole)));
    let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\nconnection: close\r\n\
         content-range: bytes {from}-{}/{whole}\r\ncontent-length: {}\r\n\r\n",
        to.max(1) - 1,
        to - from
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&bytes[from..to]);
}
