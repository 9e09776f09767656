//! The API of a real worker, tried by Schemathesis against its own OpenAPI document: no answer of
//! 5xx, none that the document does not name, none that does not fit its schema.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Place, root, skipped};

const AT_MOST: Duration = Duration::from_secs(120);

/// What each answer is held to.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,ignored_auth";

#[test]
fn no_request_makes_the_api_fail_or_break_its_word() {
    let check = Command::new(root().join("worker/scripts/openapi.sh")).arg("check").output();
    let check = check.expect("a shell");
    if !check.status.success() {
        let why = "schemathesis is not installed: worker/scripts/openapi.sh does it";
        return skipped("no_request_makes_the_api_fail_or_break_its_word", why);
    }
    let program = String::from_utf8_lossy(&check.stdout).trim().to_owned();
    let place = Place::new();
    let made = place.json(&["tokens", "new", "tester", "--role", "admin", "--json"]);
    let (token, hash) = (made["token"].as_str().unwrap(), made["hash"].as_str().unwrap());
    let table = format!("[[token]]\nname = \"tester\"\nrole = \"admin\"\nhash = \"{hash}\"\n");
    let file = place.file("flotilla.toml", format!("[api]\nrate = 0\n{table}"));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    // The lane of nobody: its jobs stay, so that there is something to look at.
    let args = ["--config", file.to_str().unwrap(), "--admin", &address, "--lanes", "none"];
    let _worker = place.worker(&args);
    place.ok(&["enqueue", "caption.parse", "--payload", r#"{"text":"a"}"#]);
    let began = Instant::now();
    while TcpStream::connect(&address).is_err() {
        assert!(began.elapsed() < AT_MOST, "the API does not come up");
        std::thread::sleep(Duration::from_millis(50));
    }
    let ran = Command::new(program)
        .current_dir(place.path())
        .args(["run", &format!("http://{address}/v1/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", CHECKS, "--phases", "examples,fuzzing"])
        .args(["--max-examples", "5", "--generation-deterministic"])
        // Streams do not end, and a drained worker answers nobody.
        .args(["--exclude-operation-id", "watchOverview"])
        .args(["--exclude-operation-id", "drainWorker"])
        .args(["--suppress-health-check", "all", "--continue-on-failure", "--no-color"])
        .output()
        .expect("schemathesis starts");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{err}");
}
