//! Several workers on one file, killed with SIGKILL at random moments under load: every accepted
//! job is finished, once, and attempts are charged to crashes only.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::{Dice, Place, Running, photo, photos, seed};

const KILLS: usize = 200;
const WORKERS: usize = 3;
/// The test ends by itself, whatever happens.
const AT_MOST: Duration = Duration::from_secs(360);

fn place() -> Place {
    Place::new()
        .set("queue.lease=2s")
        .set("queue.heartbeat=500ms")
        .set("queue.poison_after=100000")
        .set("kinds.\"caption.parse\".max_attempts=100000")
        .set("kinds.\"thumbnail.generate\".max_attempts=100000")
        .set(&format!("sources.roots=[\"{}\"]", photos().display()))
}

/// A file of payloads: `count` captions, or thumbnails of a bundled photo.
fn lines(dice: &mut Dice, count: u64, thumbnails: bool) -> String {
    let photo = photo("badge.png");
    (0..count)
        .map(|n| {
            if thumbnails {
                let width = 40 + dice.below(200);
                format!("{{\"source\":{{\"path\":{photo:?}}},\"outputs\":[{{\"name\":\"n{n}\",\"width\":{width},\"fit\":\"width\",\"format\":\"jpeg\"}}]}}\n")
            } else {
                format!("{{\"text\":\"#number{n} for ${}.99\"}}\n", dice.below(100))
            }
        })
        .collect()
}

/// Enqueues a file; only what was answered counts as accepted.
fn enqueue(place: &Place, dice: &mut Dice, count: u64, thumbnails: bool) -> BTreeSet<String> {
    let kind = if thumbnails { "thumbnail.generate" } else { "caption.parse" };
    let file = place.file("batch.jsonl", lines(dice, count, thumbnails));
    let out = place.ok(&["enqueue", kind, "--jsonl", file.to_str().unwrap()]);
    out.lines().map(str::to_owned).collect()
}

#[test]
fn two_hundred_kills_lose_nothing_and_finish_everything_once() {
    let mut dice = Dice::new(seed("crash"));
    let place = place();
    let started = Instant::now();
    let mut accepted = enqueue(&place, &mut dice, 400, false);
    accepted.extend(enqueue(&place, &mut dice, 150, true));

    let start = || place.worker(&["--concurrency", "8"]);
    let mut workers: Vec<Running> = (0..WORKERS).map(|_| start()).collect();
    for kill in 0..KILLS {
        std::thread::sleep(Duration::from_millis(40 + dice.below(160)));
        let victim = usize::try_from(dice.below(WORKERS as u64)).unwrap();
        workers[victim].kill();
        workers[victim] = start();
        if kill % 4 == 0 {
            let thumbnails = dice.below(2) == 0;
            accepted.extend(enqueue(&place, &mut dice, 40, thumbnails));
        }
        assert!(started.elapsed() < AT_MOST, "still killing after {AT_MOST:?}");
    }

    // Left alone, the fleet finishes the rest.
    loop {
        let unfinished = "available,running,scheduled,retryable,parked";
        let left = place.json(&["jobs", "list", "--state", unfinished, "--limit", "1", "--json"]);
        if left["jobs"].as_array().unwrap().is_empty() {
            break;
        }
        assert!(started.elapsed() < AT_MOST, "stuck: {left}");
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(workers);

    let jobs = place.records();
    let ids: BTreeSet<String> = jobs.iter().map(|j| j["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), jobs.len(), "one record a job");
    let lost: Vec<_> = accepted.difference(&ids).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let mut crashes = 0;
    for job in &jobs {
        assert_eq!(job["state"], "completed", "{job}");
        assert!(job["result"].is_object() && job["finished_at"].is_string(), "{job}");
        let charged = job["attempt"].as_u64().unwrap();
        let crashed = job["crashes"].as_u64().unwrap();
        assert_eq!(charged, crashed + 1, "attempts are charged to crashes only: {job}");
        crashes += crashed;
    }
    assert!(crashes > 0, "the kills hit running jobs, or the test shows nothing");
    let ms = started.elapsed().as_millis();
    println!(
        "crash: {} jobs, {KILLS} kills, {crashes} attempts lost to them, 0 jobs lost, {ms} ms",
        jobs.len()
    );
}
