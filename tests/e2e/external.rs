//! Kinds whose handlers are not part of the build: the examples in Python and Node, run by the real
//! worker through success, faults, a crash, a cancel and a drain.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Place, Ran, Running, root, skipped};

/// The test ends by itself, whatever happens.
const AT_MOST: Duration = Duration::from_secs(300);

fn example(name: &str) -> PathBuf {
    root().join("jobs/external/examples").join(name)
}

/// A place whose configuration declares external kinds.
struct Site {
    place: Place,
    config: String,
}

impl Site {
    fn new(entries: &str) -> Self {
        let place = Place::new();
        let config = place.file("flotilla.toml", entries).display().to_string();
        Self { place, config }
    }

    /// With the handler of reports, which reads prices from a file of this place.
    fn of_reports(more: &str) -> Self {
        Self::new(&format!(
            "[[external]]\nkind = \"report.render\"\ncommand = [\"python3\", {:?}]\nschema = {:?}\n\
             concurrency = 2\nlane = \"reports\"\nmax_attempts = 100\n\
             [kinds.\"report.render\".backoff]\nbase = \"1s\"\nmax = \"1s\"\n{more}",
            example("report.py"),
            example("report.schema.json"),
        ))
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.place.run(&[args, &["--config", &self.config]].concat())
    }

    fn worker(&self) -> Running {
        self.place.worker(&["--config", &self.config])
    }

    fn prices(&self) -> PathBuf {
        self.place.path().join("prices.json")
    }

    fn sell(&self) {
        self.place.file("prices.new", r#"{"pear":0.5,"fig":2}"#);
        std::fs::rename(self.place.path().join("prices.new"), self.prices()).unwrap();
    }

    fn report(&self, rows: usize, item: &str, pause: f64) -> Value {
        let rows = vec![json!({"item": item, "count": 3}); rows];
        json!({"rows": rows, "prices": self.prices(), "pause": pause})
    }

    fn enqueue(&self, kind: &str, payload: &Value) -> String {
        let payload = payload.to_string();
        self.run(&["enqueue", kind, "--payload", &payload]).code(0).out.trim().to_owned()
    }

    fn job(&self, id: &str) -> Value {
        let out = self.run(&["jobs", "show", id, "--json"]).code(0).out;
        serde_json::from_str(&out).unwrap()
    }

    fn until(&self, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let job = self.job(id);
            if is(&job) {
                return job;
            }
            assert!(started.elapsed() < AT_MOST, "waits for {what}: {job:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn until_state(&self, id: &str, state: &str) -> Value {
        self.until(id, state, |job| job["state"] == state)
    }
}

fn errors(job: &Value) -> String {
    job["errors"].to_string()
}

/// The processes that this one has started.
fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task");
    let tasks = std::fs::read_dir(path).unwrap().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()
        })
        .collect()
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn wait_for(what: &str, is: impl Fn() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < AT_MOST, "waits for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_external_kind_is_known_to_every_command() {
    let site = Site::of_reports("");
    site.sell();
    let wrong = r#"{"rows":[{"item":"pear","count":"three"}],"prices":"p"}"#;
    let refused = site.run(&["enqueue", "report.render", "--payload", wrong]).code(2);
    assert!(refused.err.contains("rows[0].count"), "{}", refused.err);
    let schema = site.run(&["schema", "report.render"]).code(0).out;
    assert!(schema.contains("What was sold."), "{schema}");
    let kinds = site.run(&["schema", "--json"]).code(0).out;
    assert!(kinds.contains("\"report.render\""), "{kinds}");
    let payload = site.report(2, "pear", 0.0).to_string();
    let tried = site.run(&["try", "report.render", "--payload", &payload]).code(0).out;
    let tried: Value = serde_json::from_str(&tried).unwrap();
    assert_eq!(tried["result"]["report"], "pear: 1.50\npear: 1.50");
    let doctor = site.run(&["doctor"]).out;
    assert!(doctor.contains("\"report.render\": ") && doctor.contains("python3"), "{doctor}");
    let id = site
        .enqueue("report.render", &json!({"rows": [{"item": "fig", "count": 1}], "prices": "p"}));
    assert_eq!(site.job(&id)["lane"], "reports");
}

#[test]
fn the_examples_run_as_their_configuration_says() {
    let place = Place::new();
    let payload = r#"{"rows": [{"item": "pear", "count": 3}], "prices": "prices.json"}"#;
    let args = ["try", "report.render", "--config", "jobs/external/examples/flotilla.toml"];
    let args = [&args[..], &["--payload", payload]].concat();
    let ran = place.command(&args).current_dir(root()).output().unwrap();
    let out = Ran::of(ran, &args).code(0).out;
    assert!(out.contains("pear: 1.50"), "{out}");
}

#[test]
fn a_report_in_python_succeeds_waits_for_its_prices_and_refuses_what_nobody_sells() {
    let site = Site::of_reports("");
    let good = site.enqueue("report.render", &site.report(3, "pear", 0.0));
    let _worker = site.worker();
    site.until(&good, "a failed attempt", |job| errors(job).contains("no prices yet"));
    site.sell();
    let done = site.until_state(&good, "completed");
    assert!(done["attempt"].as_u64().unwrap() > 1, "{done}");
    assert_eq!(done["result"]["report"].as_str().unwrap().lines().count(), 3);
    let bad = site.enqueue("report.render", &site.report(1, "plum", 0.0));
    let dead = site.until_state(&bad, "dead");
    assert_eq!((&dead["class"], &dead["attempt"]), (&json!("invalid"), &json!(1)), "{dead}");
    assert!(errors(&dead).contains("nobody sells plum"), "{dead}");
}

#[test]
fn a_handler_that_is_killed_mid_job_costs_one_attempt_and_none_of_its_steps() {
    let site = Site::of_reports("");
    site.sell();
    let id = site.enqueue("report.render", &site.report(12, "fig", 0.25));
    let worker = site.worker();
    site.until(&id, "some rows", |job| job["progress"]["fraction"].as_f64() > Some(0.1));
    for pid in children(worker.pid()) {
        Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
    }
    let done = site.until_state(&id, "completed");
    assert!(errors(&done).contains("signal: 9"), "{done}");
    assert_eq!(done["crashes"], 0, "the worker did not fall: {done}");
    assert_eq!((&done["result"]["attempt"], &done["attempt"]), (&json!(2), &json!(2)));
    assert_eq!(done["result"]["report"].as_str().unwrap().lines().count(), 12);
}

#[test]
fn a_cancel_reaches_the_handler_and_leaves_its_process_to_others() {
    let site = Site::of_reports("");
    site.sell();
    let endless = site.enqueue("report.render", &site.report(1, "fig", 100_000.0));
    let worker = site.worker();
    site.until_state(&endless, "running");
    wait_for("a process", || !children(worker.pid()).is_empty());
    let quick = site.enqueue("report.render", &site.report(1, "pear", 0.0));
    site.until_state(&quick, "completed");
    let before = children(worker.pid());
    site.run(&["jobs", "cancel", &endless]).code(0);
    site.until_state(&endless, "cancelled");
    let after = site.enqueue("report.render", &site.report(1, "pear", 0.0));
    site.until_state(&after, "completed");
    assert_eq!(children(worker.pid()), before, "one process has served all three");
}

#[test]
fn a_drain_finishes_the_handlers_job_or_gives_it_back_and_leaves_no_process() {
    for (grace, pause, state) in [("5m", 1.0, "completed"), ("100ms", 100_000.0, "available")] {
        let site = Site::of_reports(&format!("[worker]\ndrain_grace = \"{grace}\"\n"));
        site.sell();
        let id = site.enqueue("report.render", &site.report(2, "fig", pause));
        let worker = site.worker();
        site.until_state(&id, "running");
        wait_for("a process", || !children(worker.pid()).is_empty());
        let handlers = children(worker.pid());
        worker.signal("TERM");
        let (code, err) = worker.end();
        assert_eq!(code, Some(0), "{err}");
        let job = site.job(&id);
        assert_eq!(job["state"], state, "{job}");
        assert_eq!(job["attempt"], u32::from(state == "completed"), "{job}");
        wait_for("the end of its processes", || !handlers.iter().any(|pid| is_alive(*pid)));
    }
}

#[test]
fn a_program_that_is_not_there_costs_no_attempt_and_is_named() {
    let site = Site::new(
        "[[external]]\nkind = \"a.b\"\ncommand = [\"no-such-program\"]\n\
         [[external]]\nkind = \"c.d\"\nurl = \"http://127.0.0.1:1/jobs\"\n",
    );
    let id = site.enqueue("a.b", &json!({}));
    let worker = site.worker();
    let is_told = |why: &str| why.contains("no-such-program") || why.contains("external/a.b");
    wait_for("the reason", || is_told(&site.run(&["why", &id]).code(0).out));
    assert_eq!(site.job(&id)["errors"], json!([]), "free of charge");
    drop(worker);
    let doctor = site.run(&["doctor"]).code(69).out;
    assert!(doctor.contains("its program no-such-program is not found"), "{doctor}");
    assert!(doctor.contains("http://127.0.0.1:1/jobs does not answer"), "{doctor}");
}

/// Node, where it is installed.
fn has_node(test: &str) -> bool {
    let found = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    let there = found.is_ok_and(|status| status.success());
    if !there {
        skipped(test, "node is not installed: apt-get install nodejs");
    }
    there
}

#[test]
fn a_digest_in_node_runs_beside_others_in_one_process() {
    if !has_node("a_digest_in_node_runs_beside_others_in_one_process") {
        return;
    }
    let site = Site::new(&format!(
        "[[external]]\nkind = \"file.digest\"\ncommand = [\"node\", {:?}]\nconcurrency = 4\n",
        example("digest.mjs")
    ));
    let file = site.place.file("abc.txt", "abc");
    let good: Vec<String> =
        (0..6).map(|_| site.enqueue("file.digest", &json!({"path": file}))).collect();
    let bad = site.enqueue("file.digest", &json!({"path": Path::new("/no/such/file")}));
    let worker = site.worker();
    for id in &good {
        let done = site.until_state(id, "completed");
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(done["result"], json!({"sha256": sha, "bytes": 3}));
    }
    assert!(errors(&site.until_state(&bad, "dead")).contains("/no/such/file"));
    assert_eq!(children(worker.pid()).len(), 1);
}

#[test]
fn an_endpoint_in_node_is_signed_for_streams_and_is_left_alone_when_it_is_busy() {
    if !has_node("an_endpoint_in_node_is_signed_for_streams_and_is_left_alone_when_it_is_busy") {
        return;
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let mut node = Command::new("node");
    node.arg(example("endpoint.mjs")).env("PORT", port.to_string());
    let _node = Running::of(node.env("TOKEN", "s3cret").env("SECRET", secret));
    wait_for("the endpoint", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let entry = |kind: &str, token: &str| {
        format!(
            "[[external]]\nkind = \"{kind}\"\nurl = \"http://127.0.0.1:{port}/jobs\"\n\
             token = \"{token}\"\nsecret = \"{secret}\"\n"
        )
    };
    let site = Site::new(&(entry("word.count", "s3cret") + &entry("word.stranger", "other")));
    let good = site.enqueue("word.count", &json!({"text": "to be or not to be"}));
    let bad = site.enqueue("word.count", &json!({}));
    let stranger = site.enqueue("word.stranger", &json!({"text": "a"}));
    let _worker = site.worker();
    let done = site.until_state(&good, "completed");
    assert_eq!((&done["result"]["words"], &done["result"]["counts"]["be"]), (&json!(6), &json!(2)));
    let dead = site.until_state(&bad, "dead");
    assert_eq!(dead["class"], "invalid");
    assert!(errors(&dead).contains("no text: give text"), "{dead}");
    assert_eq!(site.until_state(&stranger, "dead")["class"], "unauthorised");
    let busy = site.enqueue("word.count", &json!({"text": "a b", "busy": true}));
    let done = site.until_state(&busy, "completed");
    assert_eq!(done["attempt"], 1, "\"too fast\" is free: {done}");
}
