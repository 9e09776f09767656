//! The console in a real Chromium: `tests/browser/console.py` against the real worker.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Place, root, skipped};

const AT_MOST: Duration = Duration::from_secs(120);

/// Two tokens, a schedule, and what `flotilla tokens new` would have said of them.
const CONFIG: &str = r#"
[[schedule]]
name = "every-morning"
cron = "0 6 * * *"
kind = "caption.parse"
payload = { text = "good morning" }

[[limit]]
name = "web/*"
quotas = ["10/s burst 20"]
"#;

/// The Python that drives the browser, and the browser.
fn browser() -> Option<(String, String)> {
    let check = Command::new(root().join("worker/scripts/browser.sh")).arg("check").output();
    let check = check.expect("a shell");
    if !check.status.success() {
        let why = String::from_utf8_lossy(&check.stderr).trim().to_owned();
        skipped(
            "console",
            &format!("no browser here ({why}): worker/scripts/browser.sh installs one"),
        );
        return None;
    }
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    let mut lines = said.lines().map(str::to_owned);
    Some((lines.next().expect("a Python"), lines.next().expect("a browser")))
}

/// A token and the table that lets it in.
fn token(place: &Place, name: &str, role: &str) -> (String, String) {
    let made = place.json(&["tokens", "new", name, "--role", role, "--json"]);
    let text = |field: &str| made[field].as_str().expect("text").to_owned();
    let table =
        format!("\n[[token]]\nname = \"{name}\"\nrole = \"{role}\"\nhash = \"{}\"\n", text("hash"));
    (text("token"), table)
}

/// Dead letters of two sorts, completed jobs, jobs that wait.
fn fill(place: &Place) {
    let gone = r#"{"source":{"path":"/nowhere/a.png"},"outputs":[{"name":"s","width":8,"fit":"width","format":"png"}]}"#;
    let caption = |n: usize| format!("{{\"text\":\"<b>sale</b> {n}% off #now\"}}\n");
    let captions = place.file("captions.jsonl", (0..40).map(caption).collect::<String>());
    place.ok(&["enqueue", "caption.parse", "--jsonl", captions.to_str().unwrap()]);
    for _ in 0..12 {
        place.ok(&["enqueue", "thumbnail.generate", "--payload", gone]);
    }
    place.ok(&["worker", "--until-idle"]);
    place.ok(&["enqueue", "caption.parse", "--payload", r#"{"text":"later"}"#, "--in", "2h"]);
}

#[test]
fn a_person_finds_their_way_through_the_console() {
    let Some((python, chromium)) = browser() else { return };
    let place = Place::new();
    let (viewer, may_see) = token(&place, "vera", "viewer");
    let (operator, may_write) = token(&place, "otto", "operator");
    let config = place.file("flotilla.toml", format!("{CONFIG}{may_see}{may_write}"));
    fill(&place);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let _worker = place.worker(&["--config", config.to_str().unwrap(), "--admin", &address]);
    let started = Instant::now();
    while TcpStream::connect(&address).is_err() {
        assert!(started.elapsed() < AT_MOST, "the console does not come up");
        std::thread::sleep(Duration::from_millis(50));
    }
    let shots = std::env::var_os("FLOTILLA_TEST_SCREENSHOTS")
        .map_or_else(|| place.path().join("screenshots"), Into::into);
    let ran = Command::new(python)
        .arg(root().join("tests/browser/console.py"))
        .arg(format!("http://{address}"))
        .arg(shots)
        .env("FLOTILLA_TEST_VIEWER", viewer)
        .env("FLOTILLA_TEST_OPERATOR", operator)
        .env("FLOTILLA_TEST_CHROMIUM", chromium)
        .output()
        .expect("Python starts");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{err}");
    println!("{out}");
}
