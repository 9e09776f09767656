//! Why a job waits, and holding back calls by hand: limits and breakers.

use crate::support::Place;

fn why(place: &Place, id: &str) -> String {
    place.ok(&["why", id])
}

fn enqueue(place: &Place, more: &[&str]) -> String {
    let all = [&["enqueue", "caption.parse", "--payload", r##"{"text":"a"}"##], more].concat();
    place.ok(&all).trim().to_owned()
}

#[test]
fn why_names_what_a_job_waits_for() {
    let place = Place::new();
    let later = enqueue(&place, &["--in", "1h"]);
    assert!(why(&place, &later).contains("scheduled"), "{}", why(&place, &later));
    let first = enqueue(&place, &["--order", "account:1"]);
    let second = enqueue(&place, &["--order", "account:1"]);
    assert!(why(&place, &second).contains("account:1"), "{}", why(&place, &second));
    assert!(why(&place, &first).contains("no worker"), "{}", why(&place, &first));
    place.ok(&["queues", "pause", "language", "--reason", "upgrade of the week"]);
    assert!(why(&place, &first).contains("upgrade of the week"), "{}", why(&place, &first));
    place.ok(&["queues", "resume", "language"]);
    place.ok(&["worker", "--until-idle"]);
    for id in [&first, &second] {
        assert!(why(&place, id).contains("completed"), "{}", why(&place, id));
    }
    assert_eq!(place.json(&["why", &later, "--json"])["state"], "scheduled");
    place.run(&["why", "019a9c1e-7d52-7c3b-9f65-2b1c6a0d4e11"]).code(2);
}

#[test]
fn limits_come_from_the_configuration_and_by_hand() {
    let place = Place::new();
    let text = "[[limit]]\nname = \"web/*\"\nquotas = [\"10/s burst 20\"]\n";
    let file = place.file("limits.toml", text);
    let config = ["--config", file.to_str().unwrap()];
    let list = || place.ok(&[&["limits", "list"][..], &config].concat());
    assert!(list().contains("web/*") && list().contains("configuration"), "{}", list());
    place.ok(&["limits", "set", "web/cdn.example", "6/min", "2 at once"]);
    assert!(list().contains("6/min") && list().contains("set by hand"), "{}", list());
    place.ok(&["limits", "unset", "web/cdn.example"]);
    assert!(!list().contains("set by hand"), "{}", list());
    place.run(&["limits", "set", "web/cdn.example", "many"]).code(2);
    let wrong = place.file("wrong.toml", "[[limit]]\nname = \"web/*\"\nquotas = [\"often\"]\n");
    place.run(&["limits", "list", "--config", wrong.to_str().unwrap()]).code(64);
}

#[test]
fn an_open_breaker_parks_jobs_and_a_closed_one_lets_them_go() {
    let place = Place::new().set("sources.allow_hosts=[\"127.0.0.1:9\"]");
    let key = "web/127.0.0.1";
    place.ok(&["breakers", "open", key, "--reason", "they asked for quiet"]);
    let listed = place.ok(&["breakers", "list"]);
    assert!(listed.contains(key) && listed.contains("they asked for quiet"), "{listed}");
    let payload = r#"{"source":{"url":"http://127.0.0.1:9/a.png"},"outputs":[{"name":"s","width":8,"fit":"width","format":"png"}]}"#;
    let id = place.ok(&["enqueue", "thumbnail.generate", "--payload", payload]).trim().to_owned();
    place.ok(&["worker", "--until-idle"]);
    let job = place.json(&["jobs", "show", &id, "--json"]);
    assert_eq!(
        (job["state"].as_str(), job["attempt"].as_u64()),
        (Some("parked"), Some(0)),
        "{job}"
    );
    assert!(why(&place, &id).contains("they asked for quiet"), "{}", why(&place, &id));
    place.ok(&["breakers", "close", key]);
    assert!(!place.ok(&["breakers", "list"]).contains("they asked for quiet"));
}
