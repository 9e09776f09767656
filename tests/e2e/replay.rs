//! The dead-letter desk with the real binary: groups, an edit, and replays that workers lead, one
//! of which is killed in the middle.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Place, Running};

const LETTERS: usize = 3000;
/// Looks at a condition before a test gives up: ten minutes and more, on any machine.
const LOOKS: usize = 3000;

/// A place in which a worker that vanishes is missed soon.
fn place() -> Place {
    Place::new()
        .set("queue.lease=2s")
        .set("queue.heartbeat=500ms")
        .set("queue.poison_after=1000")
        .set("kinds.\"caption.parse\".max_attempts=1000")
}

/// So many captions without a text: dead at once, and their ids.
fn dead_letters(place: &Place, n: usize) -> Vec<String> {
    let lines: String = (0..n).map(|n| format!("{{\"text\":\"#number{n}\"}}\n")).collect();
    let file = place.file("captions.jsonl", lines);
    let file = file.to_str().unwrap();
    let expired = ["enqueue", "caption.parse", "--jsonl", file, "--expires", "2s"];
    let ids = place.ok(&expired).lines().map(str::to_owned).collect();
    sleep(Duration::from_millis(2100)); // their deadline passes
    let _worker = place.worker(&[]);
    for _ in 0..LOOKS {
        let lanes = place.json(&["queues", "list", "--json"]);
        let dead =
            lanes.as_array().unwrap().iter().filter_map(|lane| lane["counts"]["dead"].as_u64());
        if dead.sum::<u64>() >= n as u64 {
            return ids;
        }
        sleep(Duration::from_millis(200));
    }
    panic!("they did not die: {}", place.ok(&["queues", "list"]));
}

fn replay(place: &Place, args: &[&str]) -> String {
    let made = place.json(&[&["dead", "replay", "--json"], args].concat());
    made["id"].as_str().unwrap().to_owned()
}

fn show(place: &Place, id: &str) -> Value {
    place.json(&["dead", "replays", "show", id, "--json"])
}

fn until(place: &Place, id: &str, is: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..LOOKS {
        let shown = show(place, id);
        if is(&shown) {
            return shown;
        }
        sleep(Duration::from_millis(200));
    }
    panic!("never came about: {}", show(place, id));
}

fn replayed(shown: &Value) -> u64 {
    shown["counts"]["replayed"].as_u64().unwrap()
}

#[test]
fn a_replay_survives_the_kill_of_its_leader_and_each_goes_back_once() {
    let place = place();
    let ids = dead_letters(&place, LETTERS);
    let dry = place.json(&[
        "dead",
        "replay",
        "--class",
        "expired",
        "--rate",
        "200",
        "--dry-run",
        "--json",
    ]);
    assert_eq!((&dry["would_replay"], &dry["seconds"]), (&json!(LETTERS), &json!(15.0)), "{dry}");

    let id =
        replay(&place, &["--class", "expired", "--rate", "400", "--reason", "more workers now"]);
    assert_eq!(show(&place, &id)["state"], "planned", "nobody leads it yet");
    let start = || place.worker(&["--concurrency", "8"]);
    let mut workers: BTreeMap<usize, Running> = (0..2).map(|n| (n, start())).collect();
    let mut kills = 0;
    for share in [3, 2] {
        until(&place, &id, |shown| replayed(shown) >= (LETTERS / share) as u64);
        // Whoever leads: the worker of which the fleet says that it has the lease.
        let leader = show(&place, &id)["lease"]["worker"].as_str().unwrap_or_default().to_owned();
        let led = |worker: &Running| leader.contains(&format!("-{}-", worker.pid()));
        let at = workers.iter().find(|(_, worker)| led(worker)).map(|(at, _)| *at);
        let at = at.unwrap_or_else(|| panic!("{leader} is none of ours"));
        workers.get_mut(&at).unwrap().kill();
        workers.insert(at, start());
        kills += 1;
    }
    let done = until(&place, &id, |shown| shown["state"] == "done");
    assert_eq!(kills, 2);
    let counts = &done["counts"];
    assert_eq!(counts["replayed"], json!(LETTERS), "{done}");
    assert_eq!(counts["succeeded"], json!(LETTERS), "{done}");
    assert_eq!((&counts["failed"], &counts["refused"]), (&json!(0), &json!(0)));
    drop(workers);

    let records = place.records();
    assert_eq!(records.len(), ids.len());
    for job in &records {
        assert_eq!(job["state"], "completed", "{job}");
        let marks = job["extra"]["desk_history"].as_array().unwrap();
        assert_eq!(marks.len(), 1, "went back once: {job}");
        assert_eq!(marks[0]["of"], json!(format!("replay/{id}")));
        assert_eq!(
            (&marks[0]["class"], &marks[0]["reason"]),
            (&json!("expired"), &json!("more workers now"))
        );
        // It ran once, but for attempts that were cut short with their worker.
        let (attempt, crashes) =
            (job["attempt"].as_u64().unwrap(), job["crashes"].as_u64().unwrap());
        assert_eq!(attempt, crashes + 1, "{job}");
    }
}

#[test]
fn a_replay_is_paused_resumed_cancelled_and_waited_for() {
    let place = place();
    dead_letters(&place, 60);
    let id = replay(&place, &["--all", "--rate", "5", "--canary", "2"]);
    let _worker = place.worker(&[]);
    until(&place, &id, |shown| shown["state"] == "running" && replayed(shown) > 4);
    assert!(place.ok(&["dead", "replays", "pause", &id, "--reason", "look"]).contains("is paused"));
    place.run(&["dead", "replays", "pause", &id]).code(2);
    assert!(place.ok(&["dead", "replays", "show", &id]).contains("(look)"));
    assert!(place.ok(&["dead", "replays", "list"]).contains("paused"));
    place.ok(&["dead", "replays", "resume", &id]);
    until(&place, &id, |shown| replayed(shown) > 12);
    place.ok(&["dead", "replays", "cancel", &id]);
    let cancelled =
        until(&place, &id, |shown| shown["counts"]["replayed"] == shown["counts"]["succeeded"]);
    let left = place.json(&["dead", "list", "--json"])["jobs"].as_array().unwrap().len();
    assert_eq!(replayed(&cancelled) as usize + left, 60);
    let said = place.ok(&["dead", "replay", "--all", "--rate", "500", "--wait"]);
    assert!(said.contains("done: ") && said.contains("went back"), "{said}");
    place.run(&["dead", "replays", "cancel", &id]).code(2);
}

#[test]
fn dead_letters_are_grouped_edited_patched_and_ended_with_a_typed_count() {
    let place = Place::new();
    let bad = |n: u32| {
        format!(
            r#"{{"source":{{"path":"gone-{n}.jpg"}},"outputs":[{{"name":"a","width":9,"fit":"width","format":"jpeg"}}]}}"#
        )
    };
    let lines: String = (0..6).map(|n| bad(n) + "\n").collect();
    let file = place.file("bad.jsonl", lines);
    let ids = place.ok(&["enqueue", "thumbnail.generate", "--jsonl", file.to_str().unwrap()]);
    let ids: Vec<&str> = ids.lines().collect();
    place.ok(&["worker", "--until-idle"]);

    let groups = place.json(&["dead", "groups", "--json"]);
    let [group] = &groups["groups"].as_array().unwrap()[..] else { panic!("{groups}") };
    assert_eq!((&group["count"], &group["class"]), (&json!(6), &json!("invalid")));
    let name = group["fingerprint"].as_str().unwrap();
    assert!(place.ok(&["dead", "groups"]).contains(name));
    let listed = place.json(&["dead", "list", "--group", name, "--json"]);
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 6);

    let edit = |payload: &str| {
        place.run(&["dead", "edit", ids[0], "--payload", payload, "--reason", "typo"])
    };
    assert!(edit(r#"{"outputs":[]}"#).code(2).err.contains("source"));
    let said = edit(&bad(7)).code(0).out;
    assert!(said.contains(r#"~ /source/path: "gone-0.jpg" → "gone-7.jpg""#), "{said}");
    let job = place.json(&["dead", "show", ids[0], "--json"]);
    assert_eq!(job["payload"]["source"]["path"], "gone-7.jpg");
    assert_eq!(job["extra"]["desk_history"][0]["reason"], "typo");
    let mut editor = place.command(&["dead", "edit", ids[0]]);
    let output =
        editor.env("EDITOR", "sed -i s/gone-7/gone-8/").env_remove("VISUAL").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let job = place.json(&["dead", "show", ids[0], "--json"]);
    assert_eq!(job["payload"]["source"]["path"], "gone-8.jpg");

    let patch =
        place.file("patch.json", r#"[{"op":"replace","path":"/outputs/0/width","value":-1}]"#);
    let dry = ["dead", "replay", "--group", name, "--dry-run", "--patch", patch.to_str().unwrap()];
    let said = place.ok(&dry);
    assert!(said.contains("0 dead letters of 6") && said.contains("would be refused: 6"), "{said}");

    place.run(&["dead", "discard", "--all", "--reason", "known"]).code(2);
    place.run(&["dead", "purge", "--all", "--reason", "known", "--count", "5"]).code(2);
    place.run(&["dead", "purge", "--all", "--count", "6"]).code(2);
    let put = place.ok(&["dead", "discard", "--group", name, "--reason", "known", "--count", "6"]);
    assert!(put.contains("put aside: 6 dead letters"), "{put}");
}
