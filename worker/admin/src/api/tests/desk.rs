//! What operators do, request by request: search, act, lanes, dead letters, replays, limits.

use flotilla_core::queue::AttemptError;
use serde_json::json;

use super::*;

const GOOD: &str = r#"{"kind":"text.read","payload":{"text":"hi","style":{"loud":true}}}"#;

/// Enqueues so many jobs and lets them die of this.
async fn dead(world: &World, n: usize, error: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..n {
        ids.push(world.post(GOOD, &[]).await.id().to_owned());
    }
    let now = world.clock.now();
    for (at, job) in world.claim().await.into_iter().enumerate() {
        let error = AttemptError {
            attempt: 1,
            at: now,
            worker: WorkerId::new("w"),
            error: format!("{error} {at}"),
        };
        let verdict = Verdict::Dead {
            class: flotilla_core::DeadClass::Exhausted,
            error,
            keep_until: after_day(now),
        };
        let settlement = Settlement { held: job.held, verdict };
        world.memory.settle(&[settlement], now).await.expect("memory settles");
    }
    ids
}

#[tokio::test]
async fn a_search_goes_through_its_pages_without_gap_or_repetition() {
    let world = World::new();
    let mut made: Vec<String> = Vec::new();
    for _ in 0..7 {
        world.clock.advance(Duration::from_millis(5));
        made.push(world.post(GOOD, &[]).await.id().to_owned());
    }
    made.reverse();
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = world.ask("GET", &format!("/v1/jobs?limit=3{cursor}"), "").await;
        let jobs = answer.json["jobs"].as_array().expect("jobs").clone();
        assert!(jobs.iter().all(|job| job["payload"].is_null()), "lists hold no payloads");
        found.extend(jobs.iter().filter_map(|job| job["id"].as_str().map(str::to_owned)));
        match answer.json["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, made);
    let none = world.ask("GET", "/v1/jobs?account=shop", "").await;
    assert_eq!((none.code(), &none.json["jobs"]), (200, &json!([])));
    assert_eq!(world.ask("GET", "/v1/jobs?state=dead,parked", "").await.json["jobs"], json!([]));
}

#[tokio::test]
async fn hostile_requests_are_faults_of_the_request() {
    let world = World::new();
    for path in [
        "/v1/jobs?limit=0",
        "/v1/jobs?limit=501",
        "/v1/jobs?limit=18446744073709551616",
        "/v1/jobs?limit=-1",
        "/v1/jobs?limit=%F0%9F%92%A5",
        "/v1/jobs?cursor=x",
        "/v1/jobs?cursor=%00",
        "/v1/jobs?error=%00",
        "/v1/jobs?state=%F0%9F%92%A5",
        "/v1/jobs?kind=%2F",
        "/v1/jobs?nope=1",
        "/v1/jobs?since=yesterday",
        "/v1/jobs?since=99999-01-01T00:00:00Z",
        "/v1/jobs/%00",
        "/v1/jobs/%FF/detail",
        "/v1/flows/x",
        "/v1/lanes/%00",
        "/v1/lanes/A",
        "/v1/limits/%00",
        "/v1/accounts?cursor=x",
        "/v1/accounts?cursor=a%2F..%2Fb",
        "/v1/audit?cursor=x",
        "/v1/audit?limit=999",
        "/v1/replays/x",
        "/v1/dead?state=dead",
    ] {
        let answer = world.ask("GET", path, "").await;
        assert_eq!(answer.code(), 400, "{path}: {}", answer.json);
        answer.field();
    }
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    for (method, path) in [
        ("PUT", "/v1/lanes/default/pause"),
        ("POST", "/v1/dead/discard"),
        ("POST", "/v1/replays"),
        ("PUT", "/v1/limits/web"),
        ("PUT", "/v1/breakers/web"),
    ] {
        let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(2000));
        let bodies = [
            "",
            "{",
            "null",
            "[]",
            "7",
            &deep,
            r#"{"reason":"a\u0000b"}"#,
            r#"{"reason":" "}"#,
            r#"{"reason":7}"#,
            r#"{"reason":"a","nope":1}"#,
            &long,
        ];
        for body in bodies {
            let json = [("content-type", "application/json")];
            let answer = world.call(request(method, path, body, &json)).await;
            assert_eq!(answer.code(), 400, "{method} {path} {body:.40}: {}", answer.json);
        }
        let text = [("content-type", "text/plain")];
        assert_eq!(world.call(request(method, path, "{}", &text)).await.code(), 415, "{path}");
        let huge = "x".repeat(5 << 20);
        let json = [("content-type", "application/json")];
        assert_eq!(world.call(request(method, path, &huge, &json)).await.code(), 413, "{path}");
    }
}

#[tokio::test]
async fn a_job_is_looked_at_run_again_and_not_acted_on_blindly() {
    let world = World::new();
    let id = world.post(GOOD, &[]).await.id().to_owned();
    let seen = world.ask("GET", &format!("/v1/jobs/{id}/detail"), "").await;
    assert_eq!(seen.code(), 200, "{}", seen.json);
    assert_eq!(seen.json["timeline"][0]["what"], "enqueued");
    assert_eq!(seen.json["why"]["because"][0], "it is where it is");
    let tag = seen.header("etag").to_owned();
    assert!(tag.starts_with('"'));
    world.complete().await;
    let stale = [("if-match", tag.as_str())];
    let path = format!("/v1/jobs/{id}/run-again");
    assert_eq!(world.call(request("POST", &path, "", &stale)).await.code(), 412);
    let once = [("idempotency-key", "again-1")];
    let first = world.call(request("POST", &path, "", &once)).await;
    assert_eq!((first.code(), &first.json["outcome"]), (200, &json!("created")), "{}", first.json);
    let second = world.call(request("POST", &path, "", &once)).await;
    assert_eq!(
        (second.json["id"].as_str(), second.header("idempotent-replayed")),
        (Some(first.id()), "true")
    );
    let other = format!("/v1/jobs/{id}/retry");
    assert_eq!(
        world.call(request("POST", &other, "", &once)).await.code(),
        422,
        "the key is another's"
    );
    assert_eq!(world.ask("POST", &other, "").await.code(), 409, "it is done");
    let new = world.ask("GET", &format!("/v1/jobs/{}", first.id()), "").await;
    assert_eq!(new.json["extra"]["again_of"]["job"], json!(id));
    let entries = world.ask("GET", "/v1/audit", "").await.json["entries"].clone();
    assert_eq!(
        (&entries[0]["what"], &entries[0]["outcome"]),
        (&json!("job.retry"), &json!("failed"))
    );
    assert_eq!(
        (&entries[1]["what"], &entries[1]["outcome"]),
        (&json!("job.again"), &json!("done"))
    );
}

#[tokio::test]
async fn lanes_are_paused_with_a_reason_and_resumed() {
    let world = World::new();
    world.post(GOOD, &[]).await;
    let lane = world.ask("GET", "/v1/lanes/default", "").await;
    assert_eq!((&lane.json["runnable"], &lane.json["blocked"]), (&json!(1), &json!(0)));
    let tag = lane.header("etag").to_owned();
    let put = |headers: &[(&str, &str)]| {
        let all = [&[("content-type", "application/json")][..], headers].concat();
        request("PUT", "/v1/lanes/default/pause", r#"{"reason":"maintenance"}"#, &all)
    };
    assert_eq!(world.call(put(&[("if-match", &tag)])).await.code(), 200);
    assert_eq!(world.call(put(&[("if-match", &tag)])).await.code(), 412, "it is paused by now");
    let lane = world.ask("GET", "/v1/lanes/default", "").await;
    assert_eq!((&lane.json["runnable"], &lane.json["blocked"]), (&json!(0), &json!(1)));
    assert_eq!(lane.json["paused"]["by"], "web");
    assert!(world.claim().await.is_empty());
    let resumed = world.ask("DELETE", "/v1/lanes/default/pause", "").await;
    assert_eq!(resumed.json["was_paused"], true);
    let entry = world.ask("GET", "/v1/audit?limit=1", "").await.json["entries"][0].clone();
    assert_eq!(
        (&entry["what"], &entry["before"]["reason"]),
        (&json!("lane.resume"), &json!("maintenance"))
    );
}

#[tokio::test]
async fn dead_letters_are_grouped_and_discarded_by_the_number_that_is_meant() {
    let world = World::new();
    let ids = dead(&world, 3, "no answer from row").await;
    dead(&world, 1, "quite another thing").await;
    let groups = world.ask("GET", "/v1/dead/groups", "").await.json;
    assert_eq!(groups["groups"].as_array().map(Vec::len), Some(2), "{groups}");
    let group = &groups["groups"][0];
    assert_eq!(group["count"], 3);
    let print = group["fingerprint"].as_str().expect("a name");
    let meant = |count: Option<u64>, dry: bool| {
        json!({"selection": {"groups": [print]}, "reason": "done by hand", "count": count, "dry_run": dry})
            .to_string()
    };
    let json = [("content-type", "application/json")];
    let act = |body: String| request("POST", "/v1/dead/discard", &body, &json);
    assert_eq!(world.call(act(meant(None, true))).await.json["matching"], 3);
    assert_eq!(world.call(act(meant(Some(4), false))).await.code(), 409);
    assert_eq!(world.call(act(meant(None, false))).await.code(), 409);
    assert_eq!(world.call(act(meant(Some(3), false))).await.json["touched"], 3);
    let job = world.ask("GET", &format!("/v1/jobs/{}", ids[0]), "").await.json;
    assert_eq!(
        (&job["state"], &job["reason"]),
        (&json!("cancelled"), &json!("done by hand (web)"))
    );
    let left = world.ask("GET", "/v1/dead", "").await.json;
    let one = left["jobs"][0]["id"].as_str().expect("one is left");
    assert_eq!(
        world.ask("POST", &format!("/v1/jobs/{one}/retry"), "").await.json["outcome"],
        "available"
    );
}

#[tokio::test]
async fn a_replay_is_tried_made_once_and_turned() {
    let world = World::new();
    dead(&world, 2, "no answer").await;
    let asked = json!({"reason": "mended", "rate": 5.0}).to_string();
    let dry = world.call(request("POST", "/v1/replays?dry_run=true", &asked, &[])).await;
    assert_eq!((dry.code(), &dry.json["would_replay"]), (200, &json!(2)), "{}", dry.json);
    assert_eq!(world.ask("GET", "/v1/replays", "").await.json["replays"], json!([]));
    let once = [("idempotency-key", "replay-1")];
    let first = world.call(request("POST", "/v1/replays", &asked, &once)).await;
    assert_eq!(
        (first.code(), &first.json["request"]["by"]),
        (201, &json!("web")),
        "{}",
        first.json
    );
    let second = world.call(request("POST", "/v1/replays", &asked, &once)).await;
    assert_eq!((second.code(), second.id()), (201, first.id()));
    let path = format!("/v1/replays/{}", first.id());
    let why = r#"{"reason":"wait"}"#;
    assert_eq!(
        world.call(request("POST", &format!("{path}/pause"), why, &[])).await.json["state"],
        "paused"
    );
    assert_eq!(world.call(request("POST", &format!("{path}/pause"), why, &[])).await.code(), 409);
    assert_eq!(world.call(request("POST", &format!("{path}/cancel"), why, &[])).await.code(), 200);
    assert_eq!(world.ask("GET", &path, "").await.json["state"], "cancelled");
    let wrong = json!({"reason": "x", "rate": -1.0}).to_string();
    assert_eq!(world.call(request("POST", "/v1/replays", &wrong, &[])).await.field(), "rate");
}

#[tokio::test]
async fn limits_and_breakers_are_turned_by_hand() {
    let world = World::new();
    let json = [("content-type", "application/json")];
    let rule = r#"{"quotas":["10/s burst 5"],"reason":"their outage"}"#;
    let set = world.call(request("PUT", "/v1/limits/web%2Fa", rule, &json)).await;
    assert_eq!((set.code(), &set.json["pattern"]), (200, &json!("web/a")), "{}", set.json);
    let seen = world.ask("GET", "/v1/limits/web%2Fa", "").await;
    assert_eq!(seen.json["quotas"], json!(["10/sec burst 5"]));
    let tag = seen.header("etag").to_owned();
    let other = r#"{"quotas":["1/s"]}"#;
    world.call(request("PUT", "/v1/limits/web%2Fa", other, &json)).await;
    let stale = [("if-match", tag.as_str())];
    assert_eq!(world.call(request("DELETE", "/v1/limits/web%2Fa", "", &stale)).await.code(), 412);
    assert_eq!(world.ask("DELETE", "/v1/limits/web%2Fa", "").await.json["was_set"], true);
    assert_eq!(world.ask("GET", "/v1/limits/web%2Fa", "").await.code(), 404);
    let wrong = r#"{"quotas":["fast"]}"#;
    assert_eq!(world.call(request("PUT", "/v1/limits/web", wrong, &json)).await.field(), "quotas");

    let open = r#"{"stand":"open","reason":"their outage"}"#;
    assert_eq!(world.call(request("PUT", "/v1/breakers/web%2Fa", open, &json)).await.code(), 200);
    let seen = world.ask("GET", "/v1/breakers", "").await.json;
    assert!(
        seen["breakers"][0]["says"].as_str().is_some_and(|says| says.contains("by web")),
        "{seen}"
    );
    assert_eq!(world.ask("GET", "/v1/overview", "").await.json["breakers_open"], json!(["web/a"]));
    let close = r#"{"stand":"closed","reason":"over"}"#;
    let closed = world.call(request("PUT", "/v1/breakers/web%2Fa", close, &json)).await;
    assert_eq!(closed.json["was_open"], true);
    let long = world.call(request("PUT", "/v1/breakers/web%2Fa%2Fb", open, &json)).await;
    assert_eq!((long.code(), long.field()), (400, "key"));
}

#[tokio::test]
async fn events_say_what_there_is_at_first() {
    use futures_util::StreamExt as _;
    let world = World::new();
    world.post(GOOD, &[]).await;
    let asked = request("GET", "/v1/events", "", &[]);
    let response = router(world.api.clone()).oneshot(asked).await.expect("routers answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body().into_data_stream();
    let first = body.next().await.expect("an event").expect("bytes");
    let text = String::from_utf8_lossy(&first);
    assert!(
        text.starts_with("event: overview\ndata: {") && text.contains("\"available\":1"),
        "{text}"
    );
}

#[tokio::test]
async fn a_dead_letter_gets_another_payload_and_a_waiting_job_runs_now() {
    let world = World::new();
    let ids = dead(&world, 3, "it broke").await;
    let json = [("content-type", "application/json")];
    let put = async |path: &str, body: &str| world.call(request("PUT", path, body, &json)).await;
    let path = format!("/v1/dead/{}/payload", ids[0]);
    let wrong = put(&path, r#"{"payload":{"txt":1}}"#).await;
    assert_eq!((wrong.code(), wrong.field()), (400, "payload"));
    let dry = put(&path, r#"{"payload":{"text":"new"},"dry_run":true}"#).await;
    assert_eq!((dry.code(), &dry.json["answer"]), (200, &Value::Null), "{}", dry.json);
    assert!(!dry.json["lines"].as_array().expect("lines").is_empty());
    let done = put(&path, r#"{"payload":{"text":"new"},"reason":"mended","replay":true}"#).await;
    assert_eq!(done.json["answer"]["outcome"], "done", "{}", done.json);
    let job = world.ask("GET", &format!("/v1/jobs/{}", ids[0]), "").await.json;
    assert_eq!((&job["payload"]["text"], &job["state"]), (&json!("new"), &json!("available")));
    assert_eq!(put(&path, r#"{"payload":{"text":"x"}}"#).await.code(), 409, "it is not dead");

    let whole = world.ask("GET", "/v1/dead?full=true&limit=1", "").await.json;
    assert_eq!(whole["jobs"][0]["payload"]["text"], "hi", "{whole}");
    assert!(whole["next"].is_string());
    let groups = world.ask("GET", "/v1/dead/groups?kind=text.read", "").await.json;
    let group = groups["groups"][0]["fingerprint"].as_str().expect("a group").to_owned();
    let of = world.ask("GET", &format!("/v1/dead?group={group}"), "").await.json;
    assert_eq!(of["jobs"].as_array().map(Vec::len), Some(2), "{of}");
    let back = format!(r#"{{"selection":{{"groups":["{group}"]}},"limit":1}}"#);
    let back = world.ask("POST", "/v1/dead/replay", &back).await;
    assert_eq!((back.code(), &back.json["replayed"]), (200, &json!(1)), "{}", back.json);
    let one = r#"{"reason":"old","count":1,"limit":1}"#;
    let gone = world.ask("POST", "/v1/dead/discard", one).await;
    assert_eq!(gone.json["touched"], 1, "{}", gone.json);

    let later = r#"{"kind":"text.read","payload":{"text":"hi"},"run_at":"2099-01-01T00:00:00Z"}"#;
    let later = world.post(later, &[]).await.id().to_owned();
    let now = format!("/v1/jobs/{later}/run-now");
    assert_eq!(world.ask("POST", &now, r#"{"reason":"cannot wait"}"#).await.code(), 200);
    assert!(world.claim().await.iter().any(|job| job.held.id.to_string() == later));
    assert_eq!(world.ask("POST", &now, "").await.code(), 409, "it runs");
    let found = format!("/v1/dead/{}/found", ids[1]);
    let said = world.ask("POST", &found, r#"{"did":true,"reason":"looked"}"#).await;
    assert_eq!(said.code(), 409, "its outcome is known");
    let audit = world.ask("GET", "/v1/audit", "").await.json;
    let whats: Vec<&str> = audit["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .filter_map(|entry| entry["what"].as_str())
        .collect();
    let wanted =
        ["dead.found", "job.run-now", "job.run-now", "dead.discard", "dead.replay", "dead.edit"];
    assert_eq!(whats, wanted);
}
