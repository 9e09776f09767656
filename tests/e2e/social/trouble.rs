//! What goes wrong on the way: tokens that end, limits, answers that are lost.

use serde_json::{Value, json};

use super::stage::{Stage, over};

fn post(platform: &str, account: &str, text: &str) -> Value {
    json!({"platform": platform, "account": account, "post": {"text": text}})
}

fn completed(job: &Value) {
    assert_eq!(job["state"], "completed", "{job:#}");
}

#[test]
fn tokens_that_end_are_renewed_limits_are_waited_out_and_the_unknown_is_named() {
    let stage = Stage::new();
    for (name, platform) in
        [("tok", "x"), ("busy", "x"), ("person", "linkedin"), ("page", "facebook")]
    {
        stage.connect(name, platform, &[]);
    }
    stage.tell("expire", &json!({"account": stage.external("tok")}));
    let wait = |endpoint: &str, name: &str, fault: Value| json!({"endpoint": endpoint, "account": stage.external(name), "times": 1, "fault": fault});
    stage.tell(
        "faults",
        &json!({"rules": [
            wait("tweets", "busy", json!({"kind": "rate_limit", "wait_s": 3, "hold": true})),
            wait("posts", "person", json!({"kind": "drop_after"})),
            wait("feed", "page", json!({"kind": "drop_after"})),
        ]}),
    );
    let ids = stage.enqueue(&[
        post("x", "tok", "with a token that has run out"),
        post("x", "busy", "too early"),
        post("linkedin", "person", "heard by nobody"),
        post("facebook", "page", "heard, but not answered"),
    ]);
    let worker = stage.place.worker(&[]);
    let [renewed, limited, unknown, found] = [0, 1, 2, 3].map(|n| stage.wait(&ids[n], over));
    drop(worker);

    completed(&renewed);
    assert_eq!(renewed["attempt"], 1, "{renewed:#}");
    assert_eq!(stage.place.json(&["accounts", "show", "tok", "--json"])["version"], 2);

    completed(&limited);
    assert_eq!(limited["attempt"], 1, "waiting costs no attempt: {limited:#}");
    assert_eq!(stage.ask("counts")["calls_while_held"], 0);

    // LinkedIn does not let a member's posts be read: nobody guesses, a person is told.
    assert_eq!(
        (&unknown["state"], &unknown["class"]),
        (&json!("dead"), &json!("outcome_unknown")),
        "{unknown:#}"
    );
    let why = stage.place.ok(&["why", &ids[2]]);
    assert!(why.contains("unknown"), "{why}");
    assert_eq!(stage.posts("person").len(), 1);

    completed(&found);
    assert_eq!(found["result"]["adopted"], true, "{found:#}");
    for name in ["tok", "busy", "page"] {
        assert_eq!(stage.posts(name).len(), 1, "{name}");
    }
}

#[test]
fn a_dead_account_parks_its_jobs_and_connecting_it_again_wakes_them() {
    let stage = Stage::new();
    stage.connect("page", "facebook", &[]);
    stage.tell("revoke", &json!({"account": stage.external("page")}));
    let worker = stage.place.worker(&[]);
    let id = stage.post(&post("facebook", "page", "after all"));
    let parked = stage.wait(&id, |job| job["state"] == "parked" || over(job));
    assert_eq!(parked["state"], "parked", "{parked:#}");
    let trouble = stage.place.ok(&["accounts", "list", "--trouble"]);
    assert!(trouble.contains("page"), "{trouble}");
    assert_eq!(stage.posts("page").len(), 0);
    stage.connect_again("page", "facebook");
    let done = stage.wait(&id, over);
    drop(worker);
    completed(&done);
    assert_eq!(stage.posts("page").len(), 1);
}
