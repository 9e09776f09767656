//! Every command: what it prints, what it exits with, and that its errors say what to do next.

use serde_json::{Value, json};

use crate::support::{Place, bare};

const CAPTION: &str =
    r##"{"text":"New drop for $19.99 👟 #sneakers @shop www.example.com","platform":"instagram"}"##;

fn enqueue(place: &Place, extra: &[&str]) -> String {
    let args = [&["enqueue", "caption.parse", "--payload", CAPTION], extra].concat();
    place.ok(&args).trim().to_owned()
}

#[test]
fn a_job_goes_through_the_queue_and_its_result_can_be_read() {
    let place = Place::new();
    let id = enqueue(&place, &[]);
    assert!(place.ok(&["status", &id]).contains("available"));
    place.ok(&["worker", "--until-idle"]);
    let job = place.json(&["jobs", "show", &id, "--json"]);
    assert_eq!(job["state"], "completed");
    assert_eq!(job["result"]["hashtags"][0]["tag"], "sneakers");
    assert_eq!(job["result"]["mentions"][0]["handle"], "shop");
    assert_eq!(job["attempt"], 1);
    assert!(place.ok(&["status", &id, "--watch"]).contains("completed"));
}

#[test]
fn waiting_for_a_job_shows_its_result_and_a_dead_one_exits_with_1() {
    let place = Place::new();
    let _worker = place.worker(&[]);
    let args = ["enqueue", "caption.parse", "--payload", CAPTION, "--wait", "--timeout", "60s"];
    assert!(place.ok(&args).contains("completed"));
    let gone = r#"{"source":{"path":"/nowhere.jpg"},"outputs":[{"name":"a","width":9,"fit":"width","format":"jpeg"}]}"#;
    let args = ["enqueue", "thumbnail.generate", "--payload", gone, "--wait", "--timeout", "60s"];
    let ran = place.run(&args).code(1);
    assert!(ran.out.contains("dead (invalid)") && ran.out.contains("sources.roots"), "{}", ran.out);
}

#[test]
fn bad_input_names_its_field_and_enqueues_nothing() {
    let place = Place::new();
    let said = |args: &[&str], code: i32| place.run(args).code(code).err;
    let err = said(&["enqueue", "caption.prase", "--payload", "{}"], 2);
    assert!(err.contains("did you mean \"caption.parse\"?"), "{err}");
    let err = said(&["enqueue", "caption.parse", "--payload", r#"{"txt":"x"}"#], 2);
    assert!(err.contains("txt"), "{err}");
    let err = said(&["enqueue", "caption.parse", "--payload", "{"], 2);
    assert!(err.contains("payload"), "{err}");
    let payload = r#"{"source":{"path":"a"},"outputs":[{"name":"a","width":"x","fit":"width","format":"jpeg"}]}"#;
    let err = said(&["enqueue", "thumbnail.generate", "--payload", payload], 2);
    assert!(err.contains("outputs[0].width"), "{err}");
    let err = said(&["enqueue", "caption.parse", "--paylod", "{}"], 2);
    assert!(err.contains("--payload"), "{err}");
    let err = said(&["enqueue", "caption.parse", "--payload", CAPTION, "--priority", "12"], 2);
    assert!(err.contains("0 (last) to 9 (first)"), "{err}");
    assert_eq!(place.json(&["jobs", "list", "--json"])["jobs"], json!([]));
}

#[test]
fn a_file_of_lines_loses_nothing_to_its_bad_lines() {
    let place = Place::new();
    let lines = format!("{CAPTION}\nnot json\n\n{{\"text\":\"plain\"}}\n{{\"text\":7}}\n");
    let file = place.file("captions.jsonl", lines);
    let args = ["enqueue", "caption.parse", "--jsonl", file.to_str().unwrap(), "--json"];
    let ran = place.run(&args).code(2);
    let answers: Vec<Value> = ran.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let oks: Vec<bool> = answers.iter().map(|a| a["ok"].as_bool().unwrap()).collect();
    assert_eq!(oks, [true, false, true, false]);
    assert_eq!((&answers[1]["line"], &answers[3]["line"]), (&json!(2), &json!(5)));
    assert_eq!(answers[3]["error"]["field"], "text");
    assert_eq!(place.json(&["jobs", "list", "--json"])["jobs"].as_array().unwrap().len(), 2);
}

#[test]
fn one_unique_key_is_one_job() {
    let place = Place::new();
    let first = enqueue(&place, &["--unique", "k"]);
    assert_eq!(enqueue(&place, &["--unique", "k"]), first);
    place.ok(&["worker", "--until-idle"]);
    assert_ne!(enqueue(&place, &["--unique", "k"]), first, "a finished job frees its key");
}

#[test]
fn schedules_priorities_and_tenants_are_kept() {
    let place = Place::new();
    let later = enqueue(&place, &["--in", "1h", "--priority", "9", "--tenant", "acme"]);
    let job = place.json(&["status", &later, "--json"]);
    assert_eq!(
        (&job["state"], &job["priority"], &job["tenant"]),
        (&json!("scheduled"), &json!(9), &json!("acme"))
    );
    place.ok(&["worker", "--until-idle"]);
    assert_eq!(
        place.json(&["status", &later, "--json"])["state"],
        "scheduled",
        "not before its time"
    );
}

#[test]
fn waiting_jobs_are_cancelled_and_finished_ones_are_not() {
    let place = Place::new();
    let id = enqueue(&place, &[]);
    assert!(place.ok(&["jobs", "cancel", &id, "--reason", "not wanted"]).contains("cancelled"));
    let job = place.json(&["jobs", "show", &id, "--json"]);
    assert_eq!((&job["state"], &job["reason"]), (&json!("cancelled"), &json!("not wanted")));
    assert!(place.run(&["jobs", "cancel", &id]).code(1).out.contains("finished already"));
}

#[test]
fn a_paused_lane_gives_no_jobs_until_it_is_resumed() {
    let place = Place::new();
    let id = enqueue(&place, &[]);
    place.ok(&["queues", "pause", "language", "--reason", "upgrade"]);
    assert!(place.ok(&["queues", "list"]).contains("upgrade"));
    let worker = place.worker(&[]);
    place.ok(&["enqueue", "caption.parse", "--payload", CAPTION, "--lane", "other"]);
    assert_eq!(place.json(&["status", &id, "--json"])["state"], "available");
    place.ok(&["queues", "resume", "language"]);
    place.ok(&["status", &id, "--watch"]);
    drop(worker);
    assert_eq!(place.json(&["status", &id, "--json"])["state"], "completed");
}

/// A payload that dies at once: its file is not there.
fn dead(place: &Place) -> String {
    let gone = r#"{"source":{"path":"gone.jpg"},"outputs":[{"name":"a","width":9,"fit":"width","format":"jpeg"}]}"#;
    let id = place.ok(&["enqueue", "thumbnail.generate", "--payload", gone]).trim().to_owned();
    place.ok(&["worker", "--until-idle"]);
    assert_eq!(place.json(&["jobs", "show", &id, "--json"])["state"], "dead");
    id
}

#[test]
fn dead_letters_are_listed_shown_replayed_discarded_and_purged() {
    let place = Place::new();
    let id = dead(&place);
    assert!(place.ok(&["dead", "list"]).contains(&id));
    assert!(place.ok(&["dlq", "show", &id]).contains("sources.roots"));
    place.run(&["dead", "replay"]).code(2);
    assert!(place.ok(&["dead", "replay", "--all", "--dry-run"]).contains("1 dead letter of 1"));
    assert!(place.ok(&["dead", "replay", &id]).contains("put back 1 dead letter"));
    place.ok(&["worker", "--until-idle"]);
    let job = place.json(&["jobs", "show", &id, "--json"]);
    assert_eq!((&job["state"], job["errors"].as_array().unwrap().len()), (&json!("dead"), 2));
    assert!(
        place
            .ok(&["dead", "discard", "--class", "invalid", "--reason", "known", "--count", "1"])
            .contains("1 dead")
    );
    assert_eq!(place.json(&["jobs", "show", &id, "--json"])["state"], "cancelled");
    let other = dead(&place);
    assert!(
        place
            .ok(&["dead", "purge", &other, "--reason", "known"])
            .contains("deleted: 1 dead letter")
    );
    place.run(&["jobs", "show", &other]).code(2);
}

#[test]
fn try_answers_line_by_line_in_order() {
    let place = Place::new();
    let mut lines = String::new();
    for n in 0..2_000 {
        lines.push_str(&format!("{{\"text\":\"number {n} #t{n}\"}}\n"));
        if n == 1_000 {
            lines.push_str("{\"text\":1}\n");
        }
    }
    let file = place.file("in.jsonl", lines);
    let ran = place.run(&["try", "caption.parse", "--jsonl", file.to_str().unwrap()]).code(1);
    let answers: Vec<Value> = ran.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(answers.len(), 2_001);
    assert_eq!(answers[1_001]["error"]["kind"], "invalid");
    assert_eq!(answers[1_001]["error"]["field"], "text");
    let good: Vec<_> = answers.iter().filter(|a| a["ok"] == true).collect();
    for (n, answer) in good.iter().enumerate() {
        assert_eq!(answer["result"]["hashtags"][0]["tag"], format!("t{n}"));
    }
}

#[test]
fn schemas_are_published_for_every_kind() {
    let place = Place::new();
    let kinds = place.json(&["schema", "--json"]);
    let name = |kind: &Value| kind["kind"].as_str().unwrap().to_owned();
    // What the feature `chaos` adds is for tests.
    let kinds: Vec<_> =
        kinds.as_array().unwrap().iter().filter(|k| !name(k).starts_with("chaos.")).collect();
    let names: Vec<_> = kinds.iter().map(|kind| name(kind)).collect();
    let ours = [
        "caption.parse",
        "content.generate",
        "event.deliver",
        "link.process",
        "social.campaign",
        "social.post",
        "social.status",
        "speech.synthesize",
        "tags.generate",
        "thumbnail.generate",
        "token.refresh",
        "video.render",
    ];
    assert_eq!(names, ours);
    for name in names {
        let schema = place.json(&["schema", &name]);
        assert!(schema["payload"]["properties"].is_object(), "{schema}");
        let result = &schema["result"];
        let shape = ["properties", "oneOf", "anyOf"].iter().any(|word| !result[*word].is_null());
        assert!(shape, "{schema}");
    }
}

#[test]
fn configuration_faults_are_all_told_at_once_with_exit_code_64() {
    let place = Place::new();
    let file = place.file("bad.toml", "[worker]\nconcurency = 4\n[queue]\nlease = \"1 parsec\"\n");
    let ran = place.run(&["--config", file.to_str().unwrap(), "config", "check"]).code(64);
    assert!(ran.err.contains("concurrency") && ran.err.contains("lease"), "{}", ran.err);
    assert!(place.ok(&["config", "check"]).contains("holds"));
    let shown = place.ok(&["config", "show"]);
    assert!(shown.contains("worker.concurrency") && shown.contains("# default"), "{shown}");
    place.run(&["--set", "queue.lease=2s", "config", "check"]).code(64);
}

#[test]
fn secrets_are_never_shown() {
    let place =
        Place::new().set("admin.token=hunter2-is-the-token").set("admin.listen=127.0.0.1:0");
    for args in [&["config", "show"][..], &["config", "show", "--json"], &["doctor"]] {
        let ran = place.run(args).code(0);
        assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{args:?}");
    }
    let (_, err) = {
        let worker = place.worker(&["--until-idle"]);
        worker.end()
    };
    assert!(!err.contains("hunter2"), "{err}");
    let ran = place.run(&[
        "--set",
        "admin.token=hunter2",
        "--set",
        "queue.lease=nonsense",
        "config",
        "check",
    ]);
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
}

#[test]
fn doctor_finds_a_healthy_place_healthy_and_a_broken_one_broken() {
    let place = Place::new();
    enqueue(&place, &[]);
    place.ok(&["doctor"]);
    let broken = Place::new();
    std::fs::create_dir_all(broken.path().join("data")).unwrap();
    broken.file(
        "data/queue.db",
        "this is no database, but long enough to be read as one ".repeat(20),
    );
    let ran = broken.run(&["doctor"]).code(69);
    assert!(ran.out.contains("queue.db"), "{}", ran.out);
}

#[test]
fn completions_help_and_version_work_anywhere() {
    for shell in ["bash", "zsh", "fish"] {
        let output = bare(&["completions", shell]).output().unwrap();
        assert!(output.status.success() && output.stdout.len() > 1_000);
    }
    assert!(bare(&["--version"]).output().unwrap().status.success());
    let help = String::from_utf8(bare(&["--help"]).output().unwrap().stdout).unwrap();
    for command in [
        "demo",
        "worker",
        "enqueue",
        "try",
        "status",
        "jobs",
        "queues",
        "dead",
        "schema",
        "bench",
        "config",
        "doctor",
        "completions",
    ] {
        assert!(help.contains(command), "{command} is in the help");
    }
}

#[test]
fn bench_measures_and_says_so_in_json() {
    let place = Place::new();
    let figures = place.json(&["bench", "--jobs", "2000", "--latency-jobs", "100", "--json"]);
    for key in ["enqueue_per_s", "drain_per_s", "rss_mb", "cpu_s_per_1000"] {
        assert!(figures[key].as_f64().is_some_and(|n| n > 0.0), "{key}: {figures}");
    }
    assert!(figures["pickup_ms"]["p50"].as_f64().is_some());
}

#[test]
fn schedules_fire_by_the_clock_and_metrics_count_them() {
    let place = Place::new();
    let config = "[[schedule]]\nname = \"tick\"\ncron = \"* * * * * *\"\nkind = \"caption.parse\"\n\
                  payload = { text = \"every second #tick\" }\n";
    let file = place.file("flotilla.toml", config);
    let file = file.to_str().unwrap();
    let address = free_address();
    let _worker = place.worker(&["--config", file, "--admin", &address]);
    let started = std::time::Instant::now();
    loop {
        let jobs = place.json(&["jobs", "list", "--state", "completed", "--json"]);
        if jobs["jobs"].as_array().unwrap().len() >= 2 {
            break;
        }
        assert!(started.elapsed().as_secs() < 60, "two fires within a minute");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert!(ask(&address, "/livez").starts_with("HTTP/1.1 200"));
    assert!(ask(&address, "/readyz").starts_with("HTTP/1.1 200"));
    let metrics = ask(&address, "/metrics");
    for name in
        ["flotilla_jobs_settled_total", "flotilla_pickup_seconds", "flotilla_schedule_fires_total"]
    {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
}

#[test]
fn nothing_listens_beyond_loopback_without_a_token() {
    let place = Place::new();
    let ran = place.run(&["worker", "--until-idle", "--admin", "0.0.0.0:0"]).code(64);
    assert!(ran.err.contains("token"), "{}", ran.err);
}

/// A loopback address that was free a moment ago.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn ask(address: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
