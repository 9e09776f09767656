//! Quotas that a fleet of workers shares, and how late scheduled posts are. What is measured is
//! printed, for `tests/bench/social.sh`; what must hold on every machine is asserted.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_core::clock::{after, between};
use flotilla_core::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};

use super::kills::{FREE, posts};
use super::stage::{HASTY, Stage};
use crate::support::{Place, Running};

/// Accounts of the scheduled posts.
const ACCOUNTS: usize = 4;
/// Posts that TikTok takes from one account in a minute.
const A_MINUTE: usize = 6;

/// How many workers share the quotas: few in `make test`, 20 in `tests/bench/social.sh`.
fn workers() -> usize {
    std::env::var("FLOTILLA_TEST_WORKERS").ok().and_then(|n| n.parse().ok()).unwrap_or(3)
}

#[test]
fn a_fleet_never_exceeds_a_quota_and_uses_it_up() {
    let lines = format!("{HASTY}\nquota = []");
    let stage = Stage::with(&lines, Place::new());
    let registry = stage.place.path().join("platforms.toml");
    let text = std::fs::read_to_string(&registry).expect("the registry's changes");
    let quota = "[[platform.tiktok.quota]]\nkeys = \"tiktok/*/publish\"\nquotas = [\"6/min\"]\n";
    // The same for every platform but this one.
    let (before, own) = text.split_once("[platform.tiktok]\n").expect("TikTok");
    let own = own.replacen("quota = []\n", "", 1);
    std::fs::write(&registry, format!("{before}[platform.tiktok]\n{own}\n{quota}"))
        .expect("written");
    stage.tell(
        "limits",
        &json!({"tiktok.posts": 1_000_000, "tiktok.status": 1_000_000,
        "tiktok.creator_info": 1_000_000}),
    );
    let (accounts, windows) = if posts() >= 1000 { (40, 4) } else { (3, 2) };
    let mut payloads = Vec::new();
    for account in 0..accounts {
        stage.connect(&format!("t-{account}"), "tiktok", &[]);
    }
    for number in 0..windows * A_MINUTE {
        for account in 0..accounts {
            let post =
                json!({"text": format!("number {number}"), "media": [stage.medium("one.jpg")]});
            payloads.push(
                json!({"platform": "tiktok", "account": format!("t-{account}"), "post": post}),
            );
        }
    }
    stage.enqueue(&payloads);
    // One in ten is told to wait although it was not too early.
    stage.tell(
        "faults",
        &json!({"rules": [
            {"endpoint": "content_init", "every": 10, "fault": {"kind": "rate_limit", "wait_s": 1}},
        ]}),
    );
    let fleet: Vec<Running> =
        (0..workers()).map(|_| stage.place.worker(&["--concurrency", "4"])).collect();
    let jobs = stage.ended();
    drop(fleet);
    for job in jobs.values() {
        assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(1)), "{job:#}");
    }
    let counts = stage.ask("counts");
    assert_eq!(
        (&counts["overshoots"], &counts["duplicates"]),
        (&json!([]), &json!(0)),
        "{counts:#}"
    );
    let mut times: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
    for post in stage.ask("posts?limit=10000")["posts"].as_array().expect("posts") {
        let account = post["account"].as_str().expect("an account").to_owned();
        times.entry(account).or_default().push(time(&post["created_at"]));
    }
    // How long it took until each post of the last minute followed its like in the first one.
    let ideal = 60.0 * (windows - 1) as f64;
    let shares = times.values_mut().map(|at| {
        at.sort();
        let later = &at[at.len() - A_MINUTE..];
        let spans = at.iter().zip(later).map(|(first, last)| between(*first, *last).as_secs_f64());
        ideal / (spans.sum::<f64>() / A_MINUTE as f64).max(ideal)
    });
    let mut used: Vec<f64> = shares.collect();
    used.sort_by(f64::total_cmp);
    println!(
        "{} posts of {accounts} accounts by {} workers, one call in ten answered 429:",
        jobs.len(),
        workers()
    );
    println!(
        "calls beyond a quota 0; used of it: median {:.1} %, least {:.1} %",
        used[used.len() / 2] * 100.0,
        used[0] * 100.0
    );
}

/// How late scheduled posts are, and how long one takes: printed, for `tests/bench/social.sh`.
#[test]
fn scheduled_posts_are_published_on_time() {
    let stage = Stage::with(FREE, Place::new());
    stage.tell("limits", &json!({"x.tweets": 1_000_000}));
    let count = posts() / 2;
    for number in 0..ACCOUNTS {
        stage.connect(&format!("x-{number}"), "x", &[]);
    }
    let worker = stage.place.worker(&["--concurrency", "32"]);
    let first = after(SystemClock.now(), Duration::from_secs(10));
    let payloads: Vec<_> = (0..count)
        .map(|number| {
            // Twenty in a second.
            let due = after(first, Duration::from_millis(50 * number as u64));
            json!({"platform": "x", "account": format!("x-{}", number % ACCOUNTS),
                "post": {"text": format!("post number {number}.")}, "publish_at": due.to_string()})
        })
        .collect();
    let ids = stage.enqueue(&payloads);
    let jobs = stage.ended();
    drop(worker);
    let all = stage.ask("posts?limit=10000");
    let made: BTreeMap<_, Timestamp> = all["posts"]
        .as_array()
        .expect("posts")
        .iter()
        .map(|post| (post["id"].clone().to_string(), time(&post["created_at"])))
        .collect();
    let mut late: Vec<Duration> = Vec::new();
    for (id, payload) in ids.iter().zip(&payloads) {
        let job = &jobs[id];
        assert_eq!(job["state"], "completed", "{job:#}");
        let at = made[&stage.job(id)["result"]["id"].to_string()];
        let due = time(&payload["publish_at"]);
        assert!(at >= due, "{at} is before {due}");
        late.push(between(due, at));
    }
    late.sort();
    let part = |part: usize| late[(late.len() - 1) * part / 100].as_millis();
    println!(
        "lateness of {count} scheduled posts: median {} ms, p95 {} ms, p99 {} ms, worst {} ms",
        part(50),
        part(95),
        part(99),
        part(100)
    );
}

/// Text and one picture at once, fifty at a time, on a platform that takes 300 ms for a call.
#[test]
fn an_instant_post_is_published_soon() {
    let stage = Stage::with(FREE, Place::new());
    stage.tell("limits", &json!({"x.tweets": 1_000_000}));
    stage.tell("faults", &json!({"rules": [{"fault": {"kind": "slow", "millis": 300}}]}));
    for number in 0..ACCOUNTS {
        stage.connect(&format!("x-{number}"), "x", &[]);
    }
    let count = if posts() >= 1000 { 500 } else { 50 };
    let worker = stage.place.worker(&["--concurrency", "50"]);
    let payloads: Vec<_> = (0..count)
        .map(|number| {
            let post =
                json!({"text": format!("number {number}"), "media": [stage.medium("one.jpg")]});
            json!({"platform": "x", "account": format!("x-{}", number % ACCOUNTS), "post": post})
        })
        .collect();
    let mut took = Vec::new();
    for some in payloads.chunks(50) {
        stage.enqueue(some);
        let jobs = stage.ended();
        took = jobs
            .values()
            .map(|job| {
                assert_eq!(job["state"], "completed", "{job:#}");
                between(time(&job["enqueued_at"]), time(&job["finished_at"]))
            })
            .collect();
    }
    drop(worker);
    took.sort();
    let part = |part: usize| took[(took.len() - 1) * part / 100].as_millis();
    println!(
        "instant posts with a picture, fifty at a time, 300 ms a call: median {} ms, p95 {} ms, worst {} ms",
        part(50),
        part(95),
        part(100)
    );
}

fn time(value: &Value) -> Timestamp {
    value.as_str().and_then(|text| text.parse().ok()).expect("a time")
}
