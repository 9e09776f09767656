//! SIGTERM drains: what runs is finished or given back uncharged, and the exit code is 0. A second
//! signal ends it at once, and still loses nothing.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Place, Running, photo, photos};

const JOBS: usize = 60;

fn busy(settings: &[&str]) -> (Place, Running) {
    let place = settings.iter().fold(Place::new(), |place, s| place.set(s));
    let place = place.set(&format!("sources.roots=[\"{}\"]", photos().display()));
    let photo = photo("dogs-rotated.jpg");
    let line = format!(
        "{{\"source\":{{\"path\":{photo:?}}},\"outputs\":[{{\"name\":\"a\",\"width\":900,\"fit\":\"width\",\"format\":\"webp\",\"quality\":90}}]}}\n"
    );
    let file = place.file("jobs.jsonl", line.repeat(JOBS));
    place.ok(&["enqueue", "thumbnail.generate", "--jsonl", file.to_str().unwrap()]);
    let worker = place.worker(&["--concurrency", "4"]);
    until(&place, "completed");
    (place, worker)
}

fn until(place: &Place, state: &str) {
    let started = Instant::now();
    while list(place, state).is_empty() {
        assert!(started.elapsed() < Duration::from_secs(120), "no job became {state}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn list(place: &Place, state: &str) -> Vec<Value> {
    let listed = place.json(&["jobs", "list", "--state", state, "--limit", "1000", "--json"]);
    listed["jobs"].as_array().unwrap().clone()
}

#[test]
fn a_drain_finishes_what_runs_and_gives_nothing_up() {
    let (place, worker) = busy(&[]);
    worker.signal("TERM");
    let (code, err) = worker.end();
    assert_eq!(code, Some(0), "{err}");
    assert!(list(&place, "running").is_empty(), "nothing is left held");
    let waiting = list(&place, "available");
    assert!(!waiting.is_empty(), "it stopped claiming");
    assert!(waiting.iter().all(|j| j["attempt"] == 0 && j["crashes"] == 0), "uncharged");
    let done = list(&place, "completed");
    assert_eq!(done.len() + waiting.len(), JOBS);
    assert!(done.iter().all(|j| j["attempt"] == 1));
}

#[test]
fn a_second_signal_ends_it_at_once_and_loses_nothing() {
    let (place, worker) = busy(&["queue.lease=2s", "queue.heartbeat=500ms"]);
    worker.signal("TERM");
    worker.signal("TERM");
    let (code, err) = worker.end();
    assert!(
        code == Some(0) || code == Some(70) || code.is_none() || code == Some(1),
        "{code:?} {err}"
    );
    place.ok(&["worker", "--until-idle"]);
    assert_eq!(list(&place, "completed").len(), JOBS, "the next worker finishes the rest");
}

#[test]
fn a_worker_can_be_asked_to_drain_by_name() {
    let place = Place::new();
    let worker = place.worker(&[]);
    let started = Instant::now();
    let id = loop {
        let workers = place.json(&["workers", "list", "--json"]);
        if let Some(id) = workers[0]["id"].as_str() {
            break id.to_owned();
        }
        assert!(started.elapsed() < Duration::from_secs(30), "the worker never showed itself");
        std::thread::sleep(Duration::from_millis(50));
    };
    place.ok(&["workers", "drain", &id]);
    assert_eq!(worker.end().0, Some(0));
    assert!(place.run(&["workers", "drain", "nobody"]).code(2).err.contains("workers list"));
}
