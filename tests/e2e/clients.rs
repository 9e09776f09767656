//! The typed clients: what is generated is up to date, each passes its type checker, and each works
//! against the real server.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Place, Running, root, skipped};

const AT_MOST: Duration = Duration::from_secs(300);
const TOKEN: &str = "s3cret-of-the-clients";

/// A worker with its API.
struct Served {
    url: String,
    place: Place,
    _worker: Running,
}

fn served() -> Served {
    let place = Place::new();
    let tokens = place.file("tokens", format!("shop {TOKEN}\n"));
    let place = place.set(&format!("api.tokens_file={}", tokens.display()));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let worker = place.worker(&["--admin", &address]);
    let began = Instant::now();
    while TcpStream::connect(&address).is_err() {
        assert!(began.elapsed() < AT_MOST, "the API does not come up");
        std::thread::sleep(Duration::from_millis(50));
    }
    Served { url: format!("http://{address}"), place, _worker: worker }
}

/// The folder of generators and type checkers; none: the test is skipped.
fn tools(test: &str) -> Option<PathBuf> {
    let found = Command::new(root().join("worker/scripts/clients.sh")).arg("check").output();
    let found = found.expect("a shell");
    if !found.status.success() {
        skipped(
            test,
            "the generators of clients are not installed: worker/scripts/clients.sh does it",
        );
        return None;
    }
    Some(PathBuf::from(String::from_utf8_lossy(&found.stdout).trim()))
}

fn succeeds(command: &mut Command) -> String {
    let ran = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{command:?}\n{out}\n{err}");
    out.into_owned()
}

fn client(language: &str) -> PathBuf {
    root().join("worker/clients").join(language)
}

#[test]
fn the_generated_types_are_those_of_this_build() {
    let Some(tools) = tools("the_generated_types_are_those_of_this_build") else { return };
    let served = served();
    let document = served.place.path().join("openapi.json");
    let fetch = "import sys, urllib.request as r\n\
                 a = r.Request(sys.argv[1], headers={'authorization': 'Bearer ' + sys.argv[2]})\n\
                 open(sys.argv[3], 'wb').write(r.urlopen(a).read())";
    let url = format!("{}/v1/openapi.json", served.url);
    succeeds(Command::new("python3").args(["-c", fetch, &url, TOKEN]).arg(&document));
    let folder = |name: &str| {
        let path = served.place.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let (python, typescript) = (folder("python"), folder("typescript"));
    succeeds(
        Command::new("python3")
            .arg(root().join("worker/clients/generate.py"))
            .args([&document, &python, &typescript])
            .env("FLOTILLA_CLIENT_TOOLS", &tools),
    );
    let bless = std::env::var_os("FLOTILLA_TEST_BLESS").is_some();
    let same = |made: &Path, kept: &Path| {
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        if bless {
            std::fs::copy(made, kept).unwrap();
        }
        let mend = "run this test once with FLOTILLA_TEST_BLESS=1";
        assert!(read(made) == read(kept), "{} is out of date: {mend}", kept.display());
    };
    for name in ["types.py", "kinds.py"] {
        same(&python.join(name), &client("python").join("flotilla_client").join(name));
    }
    same(&typescript.join("types.ts"), &client("typescript").join("types.ts"));
}

#[test]
fn the_python_client_works_against_the_real_server() {
    let check = root().join("tests/e2e/clients/check.py");
    let served = served();
    let ran = succeeds(
        Command::new("python3")
            .arg("-B")
            .arg(&check)
            .args([&served.url, TOKEN])
            .env("PYTHONPATH", client("python")),
    );
    assert_eq!(ran.trim(), "ok");
    let Some(tools) = tools("the_python_client_works_against_the_real_server") else { return };
    succeeds(
        Command::new(tools.join("bin/mypy"))
            .args(["--strict", "--no-error-summary", "--cache-dir"])
            .arg(served.place.path().join("mypy"))
            .arg(&check)
            .env("MYPYPATH", client("python")),
    );
}

#[test]
fn the_typescript_client_works_against_the_real_server() {
    let Some(tools) = tools("the_typescript_client_works_against_the_real_server") else { return };
    let served = served();
    let project = served.place.path().join("project");
    std::fs::create_dir(&project).unwrap();
    for name in ["client.ts", "types.ts", "tsconfig.json", "package.json"] {
        std::fs::copy(client("typescript").join(name), project.join(name)).unwrap();
    }
    std::fs::copy(root().join("tests/e2e/clients/check.ts"), project.join("check.ts")).unwrap();
    succeeds(Command::new(tools.join("node_modules/.bin/tsc")).arg("-p").arg(&project));
    let node = succeeds(
        Command::new("node").arg(project.join("dist/check.js")).args([&served.url, TOKEN]),
    );
    assert_eq!(node.trim(), "ok");
}
