//! `--server` and profiles: a fleet behind its API answers like the one here.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Place, Ran, Running, bare};

const AT_MOST: Duration = Duration::from_secs(300);

/// A worker that serves the API and no job, a token for each role in a file, and a place of its
/// own from which it is called.
struct Far {
    place: Place,
    afar: Place,
    url: String,
    _worker: Running,
}

impl Far {
    /// Over a place that was filled before.
    fn start(place: Place) -> Self {
        let mut tables = String::new();
        for role in ["viewer", "operator", "admin"] {
            let made = place.json(&["tokens", "new", role, "--role", role, "--json"]);
            place.file(&format!("{role}.token"), made["token"].as_str().unwrap());
            let hash = made["hash"].as_str().unwrap();
            tables +=
                &format!("[[token]]\nname = \"{role}\"\nrole = \"{role}\"\nhash = \"{hash}\"\n");
        }
        let config = place.file("fleet.toml", tables);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let config = config.to_str().unwrap();
        let worker = place.worker(&["--config", config, "--lanes", "nothing", "--admin", &address]);
        let began = Instant::now();
        while TcpStream::connect(&address).is_err() {
            assert!(began.elapsed() < AT_MOST, "the address does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        let url = format!("http://{address}");
        Self { place, afar: Place::new(), url, _worker: worker }
    }

    fn token(&self, role: &str) -> PathBuf {
        self.place.path().join(format!("{role}.token"))
    }

    /// A command from afar, as this role.
    fn ask(&self, role: &str, args: &[&str]) -> Ran {
        let token = self.token(role);
        let way = ["--server", &self.url, "--token-file", token.to_str().unwrap()];
        self.afar.run(&[args, &way].concat())
    }

    /// The same as an admin, who succeeds.
    fn ok(&self, args: &[&str]) -> String {
        self.ask("admin", args).code(0).out
    }

    /// The command here and from afar: the same exit code and the same words, once nothing has
    /// changed between two looks here.
    fn same(&self, args: &[&str]) -> String {
        let mut here = self.place.run(args);
        for _ in 0..100 {
            let (there, again) = (self.ask("admin", args), self.place.run(args));
            if here.out != again.out {
                here = again;
                continue;
            }
            assert_eq!(here.exit(), there.exit(), "{args:?}\n{}\n{}", here.err, there.err);
            assert_eq!(here.out, there.out, "{args:?}");
            return here.out;
        }
        panic!("{args:?} says something else each time: {}", here.out);
    }
}

/// Completed, waiting and dead jobs, a limit, a replay that waits for a leader.
fn filled() -> (Place, String, String) {
    let place = Place::new();
    let lines: String = (0..9).map(|n| format!("{{\"text\":\"number {n} #now\"}}\n")).collect();
    let file = place.file("captions.jsonl", lines);
    let file = file.to_str().unwrap();
    place.ok(&["enqueue", "caption.parse", "--jsonl", file, "--tenant", "shop"]);
    let dead = place.ok(&["enqueue", "caption.parse", "--jsonl", file, "--expires", "2s"]);
    std::thread::sleep(Duration::from_millis(2100)); // their deadline passes
    place.ok(&["worker", "--until-idle"]);
    let later = ["enqueue", "caption.parse", "--payload", r#"{"text":"later"}"#, "--in", "9h"];
    let later = place.ok(&later).trim().to_owned();
    place.ok(&["limits", "set", "web/cdn.example", "6/min", "2 at once"]);
    place.ok(&["breakers", "open", "web/down.example", "--reason", "they asked for quiet"]);
    (place, later, dead.lines().next().unwrap().to_owned())
}

#[test]
fn every_reading_command_says_from_afar_what_it_says_here() {
    let (place, later, dead) = filled();
    let far = Far::start(place);
    for args in [
        &["jobs", "list", "--json"][..],
        &["jobs", "list", "--json", "--limit", "3", "--state", "completed"],
        &["jobs", "list", "--json", "--kind", "caption.parse", "--tenant", "shop"],
        &["jobs", "show", &later, "--json"],
        &["status", &dead, "--json"],
        &["status", &dead, "--json", "--watch"],
        &["why", &dead],
        &["why", &dead, "--json"],
        &["queues", "list", "--json"],
        &["dead", "list", "--json", "--limit", "4"],
        &["dead", "list", "--json", "--class", "expired"],
        &["dead", "show", &dead, "--json"],
        &["dead", "groups", "--json", "--kind", "caption.parse"],
        &["dead", "replays", "list", "--json"],
        &["dead", "replay", "--all", "--dry-run", "--json"],
        &["dead", "discard", "--all", "--dry-run", "--reason", "x"],
        &["limits", "list", "--json"],
        &["breakers", "list"],
        &["breakers", "list", "--json"],
        &["accounts", "list", "--json"],
        &["accounts", "list"],
        // What cannot be: the same exit codes.
        &["jobs", "show", "019a9c1e-7d52-7c3b-9f65-2b1c6a0d4e11"],
        &["dead", "show", &later],
        &["dead", "replays", "show", "019a9c1e-7d52-7c3b-9f65-2b1c6a0d4e11"],
    ] {
        far.same(args);
    }
    let group = serde_json::from_str::<Value>(&far.ok(&["dead", "groups", "--json"])).unwrap();
    let group = group["groups"][0]["fingerprint"].as_str().unwrap();
    far.same(&["dead", "list", "--json", "--group", group]);
    let workers: Value = serde_json::from_str(&far.ok(&["workers", "list", "--json"])).unwrap();
    assert_eq!(workers.as_array().map(Vec::len), Some(1), "{workers}");
}

#[test]
fn what_is_changed_from_afar_is_changed_here() {
    let (place, later, dead) = filled();
    let far = Far::start(place);
    let lines = far.afar.file("more.jsonl", "{\"text\":\"a\"}\n{\"txt\":1}\n\n{\"text\":\"b\"}\n");
    let lines = lines.to_str().unwrap();
    let args = ["enqueue", "caption.parse", "--jsonl", lines, "--json"];
    let (here, there) = (far.place.run(&args).code(2), far.ask("operator", &args).code(2));
    let shape = |ran: &Ran| {
        let line = |line: &str| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            if line["ok"] == true {
                line["id"] = Value::Null;
            }
            line
        };
        ran.out.lines().map(line).collect::<Vec<_>>()
    };
    assert_eq!(shape(&here), shape(&there), "a wrong line costs the others nothing");
    assert_eq!(shape(&there)[1]["line"], 2);
    let unknown = ["enqueue", "caption.prase", "--payload", "{}"];
    let (here, there) = (far.place.run(&unknown).code(2), far.ask("operator", &unknown).code(2));
    assert_eq!(here.err, there.err);

    assert!(far.ok(&["jobs", "run-now", &later]).contains("is due now"));
    far.same(&["jobs", "run-now", &dead]);
    assert!(far.ok(&["jobs", "cancel", &later, "--reason", "no more"]).contains("cancelled"));
    assert_eq!(
        far.ask("admin", &["jobs", "cancel", &later]).code(1).out.trim(),
        format!("{later} was finished already")
    );
    far.ok(&["queues", "pause", "language", "--reason", "upgrade of the week"]);
    let lanes = far.same(&["queues", "list", "--json"]);
    assert!(
        lanes.contains("upgrade of the week") && lanes.contains("\"by\": \"admin\""),
        "{lanes}"
    );
    assert!(far.ok(&["queues", "resume", "language"]).contains("resumed"));
    assert!(far.ok(&["queues", "resume", "language"]).contains("was not paused"));
    far.ok(&["limits", "set", "web/*", "9/min"]);
    assert!(far.same(&["limits", "list", "--json"]).contains("9/min"));
    assert!(far.ok(&["limits", "unset", "web/*"]).contains("as the configuration says"));
    assert!(far.ok(&["breakers", "close", "web/down.example"]).contains("closed"));
    assert!(far.ok(&["breakers", "close", "web/down.example"]).contains("was not open"));
    far.ask("admin", &["breakers", "open", "web/down.example/deeper/key"]).code(2);

    let payload = r##"{"text":"mended #now"}"##;
    let edited = far.ok(&["dead", "edit", &dead, "--payload", payload, "--reason", "mended"]);
    assert!(edited.contains("mended #now") && edited.contains("still dead"), "{edited}");
    let wrong = far.ask("admin", &["dead", "edit", &dead, "--payload", r#"{"txt":1}"#]).code(2);
    assert!(wrong.err.contains("payload field"), "{}", wrong.err);
    assert!(far.same(&["dead", "show", &dead, "--json"]).contains("mended #now"));
    assert!(far.ok(&["dead", "replay", &dead]).contains("put back 1 dead letter"));
    let planned = ["dead", "replay", "--all", "--rate", "1", "--reason", "slowly", "--json"];
    let planned: Value = serde_json::from_str(&far.ok(&planned)).unwrap();
    assert_eq!(planned["request"]["by"], "admin", "{planned}");
    let id = planned["id"].as_str().unwrap();
    assert!(far.ok(&["dead", "replays", "cancel", id]).contains("cancelled"));
    let short = far.ask("admin", &["dead", "discard", "--all", "--reason", "old"]).code(2).err;
    assert!(short.contains("--count"), "{short}");
    let dry: Value = serde_json::from_str(&far.ok(&[
        "dead",
        "discard",
        "--all",
        "--reason",
        "old",
        "--dry-run",
        "--json",
    ]))
    .unwrap();
    let n = dry["would_touch"].to_string();
    let gone = far.ok(&["dead", "discard", "--all", "--reason", "old", "--count", &n]);
    assert!(gone.starts_with("put aside"), "{gone}");
    assert!(far.same(&["dead", "list"]).contains("no dead letters"));
}

#[test]
fn what_may_not_be_says_which_role_it_takes_and_what_is_wrong() {
    let far = Far::start(Place::new());
    let role = far.ask("viewer", &["queues", "pause", "language"]).code(64).err;
    assert!(role.contains("viewer is viewer: this takes the role operator"), "{role}");
    let bare_call = far.afar.run(&["jobs", "list", "--server", &far.url]).code(64).err;
    assert!(bare_call.contains("token"), "{bare_call}");
    far.afar.file("wrong.token", "flt_nothing");
    let wrong = ["jobs", "list", "--server", &far.url, "--token-file", "wrong.token"];
    assert!(far.afar.run(&wrong).code(64).err.contains("no such token"));
    for args in
        [&["migrate"][..], &["bench"], &["worker"], &["doctor"], &["accounts", "revoke", "a"]]
    {
        let said = far.ask("admin", args).code(2).err;
        assert!(said.contains("this machine's configuration only"), "{args:?}: {said}");
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("http://127.0.0.1:{port}");
    let said = bare(&["jobs", "list", "--server", &nobody]).output().unwrap();
    let said = Ran::of(said, &["jobs", "list"]).code(69).err;
    assert!(said.contains("cannot be reached"), "{said}");
    let clear = ["jobs", "list", "--server", "http://fleet.example", "--token-file"];
    let token = far.token("admin");
    let said = far.afar.run(&[&clear[..], &[token.to_str().unwrap()]].concat()).code(64).err;
    assert!(said.contains("in the clear"), "{said}");
}

#[test]
fn a_profile_names_the_fleet_and_where_its_token_is() {
    let far = Far::start(Place::new());
    let token = std::fs::read_to_string(far.token("operator")).unwrap();
    let text = format!(
        "[shop]\nserver = \"{0}\"\ntoken_file = \"shop.token\"\ntimeout = \"1m\"\n\n[other]\nserver = \
         \"{0}\"\ntoken_env = \"SHOP_TOKEN\"\n",
        far.url
    );
    let home = far.afar.path().join("flotilla");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join("profiles.toml"), text).unwrap();
    std::fs::write(home.join("shop.token"), &token).unwrap();
    let run = |args: &[&str]| {
        let mut command = far.afar.command(args);
        command.env("XDG_CONFIG_HOME", far.afar.path()).env("SHOP_TOKEN", &token);
        Ran::of(command.output().unwrap(), args)
    };
    let made =
        run(&["enqueue", "caption.parse", "--payload", r#"{"text":"a"}"#, "--profile", "shop"]);
    let id = made.code(0).out.trim().to_owned();
    assert!(far.place.ok(&["status", &id]).contains("available"));
    run(&["--profile", "other", "status", &id]).code(0);
    let said = run(&["--profile", "shpo", "status", &id]).code(64).err;
    assert!(said.contains("did you mean \"shop\"?"), "{said}");
}
