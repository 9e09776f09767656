//! Workers that are killed with SIGKILL at any moment while the platforms drop answers: no post
//! twice, none lost, and what nobody can know is named. `FLOTILLA_TEST_POSTS` says how many posts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stage::{Stage, id, over};
use crate::support::{Dice, Place, Running, seed};

const WORKERS: usize = 3;
/// Accounts of each platform.
const ACCOUNTS: usize = 4;
/// The test ends by itself, whatever happens.
const AT_MOST: Duration = Duration::from_secs(1800);

/// Name, facts, and whether a post that was sent can be found again.
const PLATFORMS: &[(&str, &[&str], bool)] = &[
    ("facebook", &[], true),
    ("instagram", &[], true),
    ("threads", &[], true),
    ("linkedin", &["kind=organization"], true),
    ("tiktok", &[], true),
    ("youtube", &[], true),
    ("whatsapp", &[], false),
    ("x", &[], true),
    ("pinterest", &[], true),
];

/// How many posts are made: few in `make test`, 2,000 in `tests/bench/social.sh`.
pub(super) fn posts() -> usize {
    std::env::var("FLOTILLA_TEST_POSTS").ok().and_then(|n| n.parse().ok()).unwrap_or(180)
}

fn place() -> Place {
    Place::new()
        .set("queue.lease=2s")
        .set("queue.heartbeat=500ms")
        .set("queue.poison_after=100000")
        .set("kinds.\"social.post\".max_attempts=100000")
        .set("kinds.\"social.post\".backoff.max=5s")
        // Dropped answers are no reason here to leave a platform alone.
        .set("breakers.ratio=1.0")
}

/// The quotas of platforms are tested elsewhere; here they would only make it long.
pub(super) const FREE: &str =
    "poll = { first = \"1s\", longest = \"2s\", give_up = \"30m\" }\nquota = []";

fn payload(stage: &Stage, platform: &str, account: &str, number: usize) -> Value {
    let mut post = json!({"text": format!("post number {number}.")});
    match platform {
        "instagram" => post["media"] = json!([stage.medium("one.jpg")]),
        "pinterest" => {
            post["media"] = json!([stage.medium("two.jpg")]);
            post["title"] = json!("Leaves");
        }
        "tiktok" => post["media"] = json!([stage.medium("film.mp4")]),
        "youtube" => {
            post["media"] = json!([stage.medium("film.mp4")]);
            post["title"] = json!("Leaves");
        }
        "whatsapp" => post["to"] = json!(format!("+4915112{number:06}")),
        _ => {}
    }
    json!({"platform": platform, "account": account, "post": post})
}

#[test]
fn posts_survive_workers_that_are_killed_neither_twice_nor_lost() {
    let mut dice = Dice::new(seed("social kills"));
    let stage = Stage::with(FREE, place());
    let limits = [
        "x.tweets",
        "x.reads",
        "tiktok.init",
        "tiktok.posts",
        "tiktok.status",
        "tiktok.creator_info",
        "youtube.uploads",
        "youtube.units",
        "instagram.posts",
        "instagram.containers",
        "threads.posts",
        "linkedin.posts",
        "linkedin.app_posts",
    ];
    let limits: BTreeMap<_, _> = limits.into_iter().map(|name| (name, 1_000_000)).collect();
    stage.tell("limits", &json!(limits));
    let mut accounts = Vec::new();
    for (platform, facts, _) in PLATFORMS {
        for number in 0..ACCOUNTS {
            let name = format!("{platform}-{number}");
            stage.connect(&name, platform, facts);
            accounts.push((*platform, name));
        }
    }
    let of: BTreeMap<String, String> =
        accounts.iter().map(|(_, name)| (stage.external(name), name.clone())).collect();
    // Three in a hundred calls of any sort lose their answer, after or before the work.
    stage.tell(
        "faults",
        &json!({"rules": [
            {"probability": 0.02, "fault": {"kind": "drop_after"}},
            {"probability": 0.01, "fault": {"kind": "drop_before"}},
        ]}),
    );
    let wanted: Vec<Value> = (0..posts())
        .map(|number| {
            let (platform, account) = &accounts[number % accounts.len()];
            payload(&stage, platform, account, number)
        })
        .collect();

    let started = Instant::now();
    let start = || stage.place.worker(&["--concurrency", "8"]);
    let mut workers: Vec<Running> = (0..WORKERS).map(|_| start()).collect();
    let mut ids = Vec::new();
    let mut kills = 0;
    for some in wanted.chunks(wanted.len().div_ceil(30).max(1)) {
        ids.extend(stage.enqueue(some));
        kills += 1;
        kill(&mut workers, &mut dice, &start);
    }
    // Killing goes on until most of it is done, so that what waits for certainty is hit as well.
    loop {
        let open = stage.place.records().iter().filter(|job| !over(job)).count();
        if open * 10 < wanted.len() {
            break;
        }
        assert!(started.elapsed() < AT_MOST, "still {open} open after {kills} kills");
        std::thread::sleep(Duration::from_millis(100 + dice.below(900)));
        kills += 1;
        kill(&mut workers, &mut dice, &start);
    }
    let jobs = stage.ended();
    drop(workers);

    assert_eq!(jobs.len(), wanted.len(), "each enqueue is a job");
    let mut published: BTreeMap<(String, String), usize> = BTreeMap::new();
    let all = stage.ask("posts?limit=10000");
    for post in all["posts"].as_array().expect("posts") {
        let Some(name) = of.get(post["account"].as_str().unwrap_or_default()) else { continue };
        if post["state"] != "draft" {
            let text = post["text"].as_str().unwrap_or_default().to_owned();
            // YouTube's text is its title; what is said below it is not repeated there.
            let text = text_of(post).unwrap_or(text);
            *published.entry((name.clone(), text)).or_default() += 1;
        }
    }
    let mut wrong = Vec::new();
    let mut table: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for (number, (job, payload)) in ids.iter().map(|id| &jobs[id]).zip(&wanted).enumerate() {
        let platform = payload["platform"].as_str().expect("a platform");
        let account = payload["account"].as_str().expect("an account").to_owned();
        let times =
            published.get(&(account, format!("post number {number}."))).copied().unwrap_or(0);
        let known = PLATFORMS.iter().any(|(name, _, known)| *name == platform && *known);
        let unknown = job["state"] == "dead" && job["class"] == "outcome_unknown";
        let row =
            table.entry(PLATFORMS.iter().find(|p| p.0 == platform).expect("it").0).or_default();
        row[0] += 1;
        row[1] += usize::from(times > 1);
        row[2] += usize::from(unknown);
        let right = match job["state"].as_str() {
            Some("completed") => times == 1,
            _ => unknown && !known && times <= 1,
        };
        row[3] += usize::from(!right && times != 1);
        if !right {
            let shown = stage.job(&id(job));
            wrong.push(format!("{platform} number {number}, published {times} times: {shown:#}"));
        }
    }
    println!("{kills} kills in {:.0} s", started.elapsed().as_secs_f64());
    println!("platform    posts  twice  unknown  wrong");
    for (platform, [posts, twice, unknown, lost]) in &table {
        println!("{platform:<11} {posts:>5} {twice:>6} {unknown:>8} {lost:>6}");
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What the post says, wherever its platform keeps that.
fn text_of(post: &Value) -> Option<String> {
    let whole = post.to_string();
    let from = whole.find("post number ")?;
    let to = whole[from..].find('.')?;
    Some(whole[from..=from + to].to_owned())
}

fn kill(workers: &mut [Running], dice: &mut Dice, start: &dyn Fn() -> Running) {
    let victim = usize::try_from(dice.below(workers.len() as u64)).expect("a small number");
    workers[victim].kill();
    workers[victim] = start();
}
