//! A job that takes its worker down runs the next time in a process of its own: the jobs beside it
//! pay for its first fall only.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Place, Running};

/// Jobs beside the one that breaks.
const OTHERS: usize = 7;
/// The test ends by itself, whatever happens.
const AT_MOST: Duration = Duration::from_secs(600);

fn place() -> Place {
    Place::new()
        .set("queue.lease=2s")
        .set("queue.heartbeat=500ms")
        .set("worker.suspect_memory=1GiB")
        .set("worker.cpu_slots=8")
}

fn enqueue(place: &Place, how: &str) -> String {
    let payload = format!("{{\"how\":{how}}}");
    place.ok(&["enqueue", "chaos.break", "--payload", &payload]).trim().to_owned()
}

fn shown(place: &Place, id: &str) -> Value {
    place.json(&["jobs", "show", id, "--json"])
}

fn last_error(record: &Value) -> &str {
    record["errors"].as_array().unwrap().last().unwrap()["error"].as_str().unwrap()
}

/// Keeps one worker alive until `done`, and counts how many there were.
fn until(place: &Place, done: impl Fn() -> bool) -> usize {
    let started = Instant::now();
    let start = || place.worker(&["--concurrency", "8"]);
    let (mut worker, mut workers): (Running, usize) = (start(), 1);
    while !done() {
        assert!(started.elapsed() < AT_MOST, "does not come to an end: {:#?}", place.records());
        if worker.has_ended() {
            worker = start();
            workers += 1;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    workers
}

fn falls_twice(how: &str, last_words: &str) {
    let place = place();
    let others: Vec<String> = (0..OTHERS).map(|_| enqueue(&place, "{\"wait\":4000}")).collect();
    let breaks = enqueue(&place, &format!("\"{how}\""));
    let ended = |id: &str| shown(&place, id)["finished_at"].is_string();
    let workers = until(&place, || ended(&breaks) && others.iter().all(|id| ended(id)));
    assert_eq!(workers, 2, "only the first fall took a worker along");

    let record = shown(&place, &breaks);
    assert_eq!((&record["state"], &record["class"]), (&"dead".into(), &"poison".into()));
    assert_eq!((&record["crashes"], &record["attempt"]), (&1.into(), &2.into()), "{record}");
    let error = last_error(&record);
    assert!(error.contains("it took down a process of its own too: signal: 6"), "{error}");
    assert!(error.contains(last_words), "{error}");
    for id in &others {
        let record = shown(&place, id);
        assert_eq!(record["state"], "completed", "{record}");
        assert!(record["crashes"].as_u64().unwrap() <= 1, "{record}");
    }
    let why = place.ok(&["why", &breaks]);
    assert!(why.contains("dead letter (poison)"), "{why}");
}

#[test]
fn who_aborts_twice_is_poison_and_the_others_go_on() {
    falls_twice("abort", "");
}

#[test]
fn who_fills_the_stack_twice_is_poison() {
    falls_twice("stack", "has overflowed its stack");
}

/// What a machine with room would let it have, the process of a suspect does not.
#[test]
fn a_suspect_is_held_to_its_memory() {
    let place = place();
    let breaks = enqueue(&place, "{\"memory\":8589934592}");
    until(&place, || shown(&place, &breaks)["finished_at"].is_string());
    let record = shown(&place, &breaks);
    assert_eq!(record["class"], "poison", "{record}");
    let error = last_error(&record);
    assert!(error.contains("memory allocation of 8589934592 bytes failed"), "{error}");
}
