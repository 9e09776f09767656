//! What is in deploy/ fits the binary: names of settings, flags, ports, lanes, metrics; alerts and
//! the runbook; and all of it passes the validators of tests/deploy/check.sh.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Place, bare, root, skipped};

/// The admin port of every deployment.
const PORT: &str = "9464";

fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !matches!(path.file_name().and_then(|n| n.to_str()), Some("secrets" | ".terraform"))
            {
                walk(&path, into);
            }
        } else {
            into.push(path);
        }
    }
}

/// Every text of deploy/ with its name.
fn texts() -> Vec<(String, String)> {
    let (mut files, deploy) = (Vec::new(), root().join("deploy"));
    walk(&deploy, &mut files);
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(&deploy).unwrap().display().to_string();
        Some((name, std::fs::read_to_string(path).ok()?))
    };
    files.iter().filter_map(read).collect()
}

fn text(name: &str) -> String {
    std::fs::read_to_string(root().join("deploy").join(name)).unwrap()
}

/// All words that begin with `start` and go on with these characters.
fn words(text: &str, start: &str, goes_on: impl Fn(char) -> bool) -> BTreeSet<String> {
    let rest = text.match_indices(start).filter(|(at, _)| {
        !text[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    });
    rest.map(|(at, _)| text[at..].chars().take_while(|c| goes_on(*c)).collect()).collect()
}

#[test]
fn every_setting_that_is_named_exists() {
    let place = Place::new();
    let shown = place.json(&["config", "show", "--json"]);
    let known: BTreeSet<String> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["key"].as_str().unwrap().to_owned())
        .collect();
    let mut named = 0;
    for (file, text) in texts() {
        let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        for variable in words(&text, "FLOTILLA_", upper) {
            let Some(key) = variable.strip_prefix("FLOTILLA__") else {
                let plain = ["FLOTILLA_CONFIG", "FLOTILLA_DATA"];
                assert!(plain.contains(&variable.as_str()), "{file}: {variable}");
                continue;
            };
            if key.is_empty() {
                continue; // FLOTILLA__… in a sentence
            }
            let key = key.to_lowercase().replace("__", ".");
            assert!(known.contains(&key), "{file}: {variable} is no setting");
            named += 1;
        }
    }
    assert!(named > 40, "settings are found: {named}");
    let toml = root().join("deploy/kubernetes/base/flotilla.toml");
    place.ok(&["config", "check", "--config", toml.to_str().unwrap()]);
}

/// The command lines of the binary: `args:` and `command:` of YAML, CMD of the Dockerfile, command
/// of Terraform, `ExecStart` of systemd.
fn command_lines() -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let list = |text: &str| -> Vec<String> {
        let clean = |word: &str| word.trim().trim_matches(['"', '\'', ']', '[']).to_owned();
        text.split(',').map(clean).filter(|word| !word.is_empty()).collect()
    };
    for (file, text) in texts() {
        for line in text.lines().map(str::trim) {
            let words = if let Some(rest) = line.strip_prefix("ExecStart=/usr/local/bin/flotilla ")
            {
                rest.split_whitespace().map(str::to_owned).collect()
            } else if let Some((_, rest)) = line.split_once("CMD [") {
                list(rest).into_iter().filter(|word| !word.starts_with('/')).collect()
            } else if file == "compose.yaml" || file.starts_with("kubernetes") {
                let Some(rest) = line.strip_prefix("args: [").or(line.strip_prefix("command: ["))
                else {
                    continue;
                };
                let quoted = rest.replace("\"language,links,social,tokens,events\"", "language");
                list(&quoted)
            } else {
                continue;
            };
            let commands = ["worker", "migrate", "preflight", "probe", "doctor"];
            if words.first().is_some_and(|w| commands.contains(&w.as_str())) {
                found.push((file.clone(), words));
            }
        }
    }
    found
}

#[test]
fn every_command_line_is_one_of_the_binary() {
    let all = command_lines();
    assert!(all.len() > 12, "{all:?}");
    for (file, words) in all {
        let mut words: Vec<String> =
            words.iter().map(|word| word.replace("${LANES}", "images")).collect();
        words.push("--help".to_owned()); // parsed, then not run
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = bare(&words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{file}: flotilla {words:?}: {said}");
    }
    // Terraform's are built from parts.
    let service = text("aws/service.tf");
    assert!(service.contains(r#"["worker", "--lanes", "#) && service.contains(r#""probe"]"#));
}

#[test]
fn all_speak_of_the_same_port() {
    for (file, needle) in [
        ("Dockerfile", format!("EXPOSE {PORT}")),
        ("compose.yaml", format!("\"0.0.0.0:{PORT}\"")),
        ("kubernetes/base/flotilla.toml", format!("listen = \"0.0.0.0:{PORT}\"")),
        ("kubernetes/base/worker.yaml", format!("containerPort: {PORT}")),
        ("kubernetes/base/images.yaml", format!("containerPort: {PORT}")),
        ("kubernetes/base/media.yaml", format!("containerPort: {PORT}")),
        ("kubernetes/base/network.yaml", format!("port: {PORT}")),
        ("kubernetes/components/scale/scaledobjects.yaml", format!(":{PORT}/scale/images")),
        ("kubernetes/components/renders/scaledjob.yaml", format!(":{PORT}/scale/media")),
        ("monitoring/prometheus/prometheus.yml", format!("port: {PORT}")),
        ("aws/service.tf", format!("containerPort = {PORT}")),
        ("aws/service.tf", format!("0.0.0.0:{PORT}")),
        ("systemd/flotilla.service", format!("127.0.0.1:{PORT}")),
    ] {
        assert!(text(file).contains(&needle), "{file} does not hold {needle}");
    }
}

#[test]
fn every_lane_is_served_and_every_lane_that_is_named_exists() {
    let kinds = Place::new().json(&["schema", "--json"]);
    let lanes: BTreeSet<String> = kinds
        .as_array()
        .unwrap()
        .iter()
        .filter(|kind| kind["kind"] != "chaos.break") // for tests only
        .map(|kind| kind["lane"].as_str().unwrap().to_owned())
        .collect();
    let mut served = BTreeSet::new();
    for file in ["worker", "images", "media"] {
        let text = text(&format!("kubernetes/base/{file}.yaml"));
        let (_, rest) = text.split_once("--lanes, \"").unwrap();
        served.extend(rest.split('"').next().unwrap().split(',').map(str::to_owned));
    }
    assert_eq!(served, lanes, "the Deployments of Kubernetes");
    let variables = text("aws/variables.tf");
    let of_aws: BTreeSet<String> = variables
        .split("lanes = [")
        .skip(1)
        .flat_map(|rest| rest.split(']').next().unwrap().split(','))
        .map(|lane| lane.trim().trim_matches('"').to_owned())
        .collect();
    assert_eq!(of_aws, lanes, "the services of Terraform");
    let scaled = text("kubernetes/components/scale/scaledobjects.yaml");
    let asked: BTreeSet<String> = scaled
        .split("/scale/")
        .skip(1)
        .map(|rest| rest.chars().take_while(char::is_ascii_lowercase).collect())
        .collect();
    assert_eq!(asked, lanes, "the ScaledObjects on our own signal");
    for (file, before) in [("rabbitmq", "queueName: \"flotilla."), ("sqs", "queueURL: flotilla-")] {
        let text = text(&format!("kubernetes/components/{file}/scaledobjects.yaml"));
        let found: BTreeSet<String> = text
            .split(before)
            .skip(1)
            .map(|rest| rest.chars().take_while(char::is_ascii_lowercase).collect())
            .collect();
        assert_eq!(found, lanes, "{file}");
    }
}

/// The first whole number after a word.
fn number_after(text: &str, word: &str) -> u64 {
    let (_, rest) = text.split_once(word).unwrap_or_else(|| panic!("{word} is there"));
    let digits: String =
        rest.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn whoever_stops_a_worker_waits_for_its_drain() {
    let shown = Place::new().json(&["config", "show", "--json"]);
    let keys = shown.as_array().unwrap();
    let grace = keys.iter().find(|key| key["key"] == "worker.drain_grace").unwrap();
    let grace = number_after(&grace["value"].to_string(), "\"");
    assert!(number_after(&text("compose.yaml"), "stop_grace_period:") >= grace + 10);
    for unit in ["systemd/flotilla.service", "systemd/flotilla@.service"] {
        assert!(number_after(&text(unit), "TimeoutStopSec=") >= grace + 10, "{unit}");
    }
    for file in ["base/worker", "base/images", "base/media", "components/renders/scaledjob"] {
        let text = text(&format!("kubernetes/{file}.yaml"));
        let drain = number_after(&text, "FLOTILLA__WORKER__DRAIN_GRACE, value:");
        let stop = number_after(&text, "terminationGracePeriodSeconds:");
        assert!(stop >= drain + 15, "{file}: {stop} s for a drain of {drain} s and preStop");
    }
}

#[test]
fn terraform_makes_what_the_binary_would_make() {
    let source = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let table = source("worker/backends/aws/src/dynamo/table.rs");
    let indexes: Vec<String> = table
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Self::")?.split_once("=> \""))
        .filter_map(|(_, rest)| rest.strip_suffix("\","))
        .map(str::to_owned)
        .collect();
    assert_eq!(indexes.len(), 6, "{indexes:?}");
    let listed = indexes.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    assert!(text("aws/records.tf").contains(&format!("indexes = [{listed}]")), "{listed}");
    let queues = source("worker/backends/aws/src/sqs/queues.rs");
    assert!(queues.contains("\"1209600\"") && queues.contains("redrive policy"));
    let made = text("aws/queues.tf");
    assert!(made.contains("message_retention_seconds         = 1209600"));
    let lane = made.split("resource \"aws_sqs_queue\" \"lane\"").nth(1).unwrap();
    assert!(!lane.split("\n}\n").next().unwrap().contains("redrive_policy"), "see queues.rs");
}

/// `/metrics` and `/scale/language` of a worker that has run one job.
fn scraped() -> (String, Value) {
    let place = Place::new();
    place.ok(&["enqueue", "caption.parse", "--payload", r#"{"text":"a"}"#]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut worker = place.worker(&["--admin", &address]);
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&address).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    };
    loop {
        assert!(!worker.has_ended(), "the worker ended");
        let metrics = get("/metrics").unwrap_or_default();
        let seen = |name: &str| metrics.contains(name);
        if seen("outcome=\"completed\"} 1") && seen("flotilla_disk_free_bytes{") {
            let scale = get("/scale/language").unwrap();
            worker.kill();
            return (metrics, serde_json::from_str(&scale).unwrap());
        }
        std::thread::sleep(std::time::Duration::from_millis(50)); // another process is watched
    }
}

#[test]
fn every_metric_that_is_watched_is_one_of_the_binary() {
    let (metrics, scale) = scraped();
    // Families that show nothing until there is something to show.
    let silent =
        ["flotilla_accounts", "flotilla_accounts_overdue", "flotilla_account_ends_seconds"];
    let source = std::fs::read_to_string(root().join("worker/src/telemetry/gauges.rs")).unwrap();
    let mut there: BTreeSet<String> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    for name in silent {
        assert!(source.contains(&format!("\"{name}\"")), "{name} is registered");
        there.insert(name.to_owned());
    }
    let mut watched = BTreeSet::new();
    for (file, text) in texts() {
        if file.starts_with("monitoring/") || file == "RUNBOOK.md" {
            let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            watched.extend(words(&text, "flotilla_", name).into_iter().map(|w| (file.clone(), w)));
        }
    }
    assert!(watched.len() > 30, "{watched:?}");
    for (file, name) in watched {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let known = there.contains(&name) || family.is_some_and(|name| there.contains(name));
        assert!(known, "{file}: {name} is not in /metrics: {there:#?}");
    }
    // What KEDA reads of /scale.
    let mut read = BTreeSet::new();
    for (_, text) in texts().iter().filter(|(file, _)| file.starts_with("kubernetes")) {
        read.extend(
            text.split("valueLocation: ")
                .skip(1)
                .map(|rest| rest.split_whitespace().next().unwrap_or_default().to_owned()),
        );
    }
    assert!(!read.is_empty());
    for field in read {
        assert!(scale[&field].is_number(), "/scale has no {field}: {scale}");
    }
    let rules = text("monitoring/prometheus/rules.yml");
    for (file, text) in texts().iter().filter(|(file, _)| file.starts_with("monitoring/")) {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        for recorded in words(text, "flotilla:", name) {
            assert!(rules.contains(&format!("record: {recorded}\n")), "{file}: {recorded}");
        }
    }
}

#[test]
fn every_alert_has_a_section_in_the_runbook_and_a_test() {
    let alerts = text("monitoring/prometheus/alerts.yml");
    let runbook = text("RUNBOOK.md");
    let tests = text("monitoring/prometheus/tests/alerts.yml");
    let named: BTreeSet<&str> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let sections: BTreeSet<&str> =
        runbook.lines().filter_map(|line| line.strip_prefix("### Flotilla")).collect();
    let sections: BTreeSet<String> =
        sections.iter().map(|name| format!("Flotilla{name}")).collect();
    let named: BTreeSet<String> = named.into_iter().map(str::to_owned).collect();
    assert_eq!(named, sections, "alerts and sections of the runbook");
    assert!(named.len() > 15);
    for alert in named {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has a test");
        let anchor = format!("RUNBOOK.md#{}\n", alert.to_lowercase());
        assert!(alerts.contains(&anchor), "{alert} leads to its section");
    }
}

#[test]
fn the_validators_find_nothing() {
    const TEST: &str = "deploy::the_validators_find_nothing";
    let script = root().join("tests/deploy/check.sh");
    let output = Command::new(script).env_remove("FLOTILLA_SKIP_LOG").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in said.lines().filter_map(|line| line.strip_prefix("skipped: ")) {
        skipped(TEST, line);
    }
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
