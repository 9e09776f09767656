//! What an author sees: dry runs, the same post twice, faults by field, first comments, times.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_core::clock::after;
use flotilla_core::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};

use super::stage::{Stage, file, over};
use crate::support::Place;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn faults_are_named_by_field_before_anything_is_queued() {
    let place = Place::new();
    let enqueue = |payload: &Value| {
        place.run(&["enqueue", "social.post", "--payload", &payload.to_string()]).code(2).err
    };
    let long = "a".repeat(281);
    let said = enqueue(&json!({
        "platform": "instagram", "account": "shop",
        "post": {"text": "a", "link": "https://a.example", "visibility": "private"},
    }));
    for part in ["post.media", "post.link", "post.visibility", "Instagram"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = enqueue(&json!({"platform": "facebok", "account": "a", "post": {"text": "b"}}));
    assert!(said.contains("\"platform\"") && said.contains("mean \"facebook\""), "{said}");
    let said =
        enqueue(&json!({"platform": "threads", "account": "a", "post": {"text": long.repeat(2)}}));
    assert!(said.contains("post.text") && said.contains("take 62 away"), "{said}");
    let said = enqueue(&json!({"platform": "x", "account": "a", "post": {"txt": "b"}}));
    assert!(said.contains("post.txt"), "{said}");
    // Whether an account may write more is known when it is looked at.
    place.ok(&[
        "enqueue",
        "social.post",
        "--payload",
        &json!({"platform": "x", "account": "a", "post": {"text": long}}).to_string(),
    ]);
    // The same without a queue.
    let tried = |payload: &Value| {
        let ran = place.run(&["try", "social.post", "--payload", &payload.to_string()]);
        (ran.exit(), ran.out)
    };
    let (code, out) = tried(&json!({"platform": "x", "account": "a", "post": {"text": ""}}));
    assert!(code == Some(1) && out.contains("post.text"), "{code:?} {out}");
    let dry = json!({"platform": "x", "account": "a", "post": {"text": "b"}, "dry_run": true});
    let (code, out) = tried(&dry);
    assert!(code == Some(0) && out.contains("it fits X; nothing was sent"), "{code:?} {out}");
    // A campaign is as strict, for each of its accounts.
    let campaign = json!({
        "accounts": [{"platform": "x", "account": "a"}, {"platform": "youtube", "account": "b"}],
        "post": {"text": "b"},
    });
    let said =
        place.run(&["enqueue", "social.campaign", "--payload", &campaign.to_string()]).code(2).err;
    assert!(said.contains("YouTube needs a title"), "{said}");
}

#[test]
fn a_dry_run_sends_nothing_and_the_same_post_is_one_job() {
    let stage = Stage::new();
    stage.connect("x", "x", &[]);
    stage.connect("page", "facebook", &[]);
    let before = stage.ask("counts")["calls"].clone();
    let dry = stage.post(&json!({
        "platform": "facebook", "account": "page", "dry_run": true,
        "post": {"text": "only looked at", "media": [stage.medium("one.jpg")]},
        "publish_at": "2026-03-29T02:30", "time_zone": "Europe/Berlin",
    }));
    let post = json!({"platform": "x", "account": "x", "post": {"text": "said once"}});
    let first = stage.post(&post);
    assert_eq!(stage.post(&post), first, "the same post is the same job");
    let worker = stage.place.worker(&[]);
    let looked = stage.wait(&dry, over);
    let notes = looked["result"]["notes"].to_string();
    assert!(looked["result"]["dry_run"] == true, "{looked:#}");
    assert!(notes.contains("clocks in Europe/Berlin skip"), "{notes}");
    let done = stage.wait(&first, over);
    assert_eq!(stage.post(&post), first, "also when it is done");
    let mut other = post.clone();
    other["slot"] = json!("evening");
    // X refuses the same words from the same account: that is told, and nothing is sent twice.
    let refused = stage.wait(&stage.post(&other), over);
    drop(worker);
    assert_eq!(done["state"], "completed", "{done:#}");
    assert_eq!(
        (&refused["state"], &refused["class"]),
        (&json!("dead"), &json!("rejected")),
        "{refused:#}"
    );
    assert!(refused.to_string().contains("change the text"), "{refused:#}");
    assert_eq!(stage.posts("x").len(), 1);
    assert_eq!(stage.posts("page").len(), 0);
    let calls = stage.ask("calls?platform=facebook");
    assert_eq!(calls["calls"], json!([]), "before: {before}");
}

#[test]
fn a_picture_is_made_to_fit_when_asked_and_a_draft_waits_in_the_inbox() {
    let stage = Stage::new();
    stage.connect("person", "linkedin", &[]);
    stage.connect("tiktok", "tiktok", &[]);
    let shown = |fit: bool| {
        json!({
            "platform": "linkedin", "account": "person",
            "post": {"text": "peaks", "media": [stage.medium("peaks.webp")], "fit": fit},
        })
    };
    let draft = json!({
        "platform": "tiktok", "account": "tiktok",
        "post": {"draft": true, "media": [stage.medium("film.mp4")]},
    });
    let ids = stage.enqueue(&[shown(false), shown(true), draft]);
    let worker = stage.place.worker(&[]);
    let [refused, fitted, inbox] = [0, 1, 2].map(|n| stage.wait(&ids[n], over));
    drop(worker);
    let said = refused.to_string();
    assert_eq!(
        (&refused["state"], &refused["class"]),
        (&json!("dead"), &json!("invalid")),
        "{said}"
    );
    assert!(said.contains("image/webp") && said.contains("makes it fit"), "{said}");
    assert_eq!(fitted["state"], "completed", "{fitted:#}");
    assert!(
        fitted["result"]["notes"].to_string().contains("was made to fit LinkedIn"),
        "{fitted:#}"
    );
    let posts = stage.posts("person");
    assert_eq!(posts.len(), 1);
    let bytes = posts[0]["media"][0]["bytes"].as_u64().unwrap_or(0);
    let whole = file("peaks.webp").expect("a file").0.len() as u64;
    assert!(bytes > 1000 && bytes != whole, "{posts:#?}");
    assert_eq!(inbox["state"], "completed", "{inbox:#}");
    assert!(inbox["result"]["notes"].to_string().contains("inbox"), "{inbox:#}");
    assert_eq!(stage.posts("tiktok")[0]["state"], "inbox");
}

#[test]
fn a_post_waits_for_its_time_and_its_comment_follows_it() {
    let stage = Stage::new();
    for (name, platform) in [("page", "facebook"), ("threads", "threads"), ("x", "x")] {
        stage.connect(name, platform, &[]);
    }
    let due = after(SystemClock.now(), Duration::from_secs(6));
    let there = due.to_zoned(jiff::tz::TimeZone::get("Asia/Kolkata").expect("a zone"));
    let local = there.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let (skipped, shown) = next_gap("Europe/Berlin");
    let commented = |platform: &str, account: &str| {
        json!({
            "platform": platform, "account": account,
            "post": {"text": format!("on time, {account}"), "first_comment": "and more of it"},
            "publish_at": local, "time_zone": "Asia/Kolkata",
        })
    };
    let ids = stage.enqueue(&[
        commented("facebook", "page"),
        commented("threads", "threads"),
        commented("x", "x"),
        json!({
            "platform": "x", "account": "x", "post": {"text": "in spring"},
            "publish_at": skipped.strftime("%Y-%m-%dT%H:%M").to_string(), "time_zone": "Europe/Berlin",
        }),
    ]);
    let worker = stage.place.worker(&[]);
    for id in &ids[..3] {
        let job = stage.wait(id, over);
        assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(1)), "{job:#}");
        let account = text(&job["result"]["account"]).to_owned();
        let posts = stage.posts(&account);
        let post = posts.iter().find(|post| text(&post["text"]).contains("on time")).expect("it");
        let at: Timestamp = text(&post["created_at"]).parse().expect("a time");
        assert!(at.as_second() >= due.as_second(), "{at} is before {due}");
        let comment = text(&job["result"]["first_comment"]);
        let said = posts.iter().flat_map(|post| {
            let below = post["comments"].as_array().into_iter().flatten().cloned();
            below.chain([post.clone()])
        });
        let said: BTreeSet<_> = said
            .filter(|it| text(&it["text"]) == "and more of it")
            .map(|it| text(&it["id"]).to_owned())
            .collect();
        assert_eq!(said.into_iter().collect::<Vec<_>>(), [comment], "{posts:#?}");
    }
    let spring = stage.wait(&ids[3], |job| job["state"] == "scheduled");
    let at: Timestamp = text(&spring["run_at"]).parse().expect("a time");
    // As late as it would have been without the change: an hour later on the clock.
    assert_eq!(at, shown, "{spring:#}");
    drop(worker);
}

/// The middle of the hour that clocks there skip next, later than tomorrow, and the instant that
/// is meant by it: half an hour after the change.
fn next_gap(zone: &str) -> (jiff::civil::DateTime, Timestamp) {
    let zone = jiff::tz::TimeZone::get(zone).expect("a zone");
    let tomorrow = after(SystemClock.now(), Duration::from_secs(86_400));
    let half = jiff::SignedDuration::from_mins(30);
    let spring = zone.following(tomorrow).find(|change| {
        let before = zone.to_offset(change.timestamp() - jiff::SignedDuration::from_secs(1));
        change.offset() > before
    });
    let change = spring.expect("clocks there are put forward").timestamp();
    let before = zone.to_offset(change - jiff::SignedDuration::from_secs(1));
    (before.to_datetime(change + half), change + half)
}
