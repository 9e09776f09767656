//! The same commands on a PostgreSQL server, and jobs enqueued inside somebody else's transaction.

use std::process::Command;

use crate::support::{Place, skipped};

const TEST: &str = "postgres::the_same_binary_runs_on_postgresql";

/// Runs SQL with psql; `None` when it fails.
fn sql(url: &str, text: &str) -> Option<String> {
    let output = Command::new("psql").args([url, "-XqAtv", "ON_ERROR_STOP=1", "-c", text]).output();
    let output = output.ok().filter(|o| o.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[test]
fn the_same_binary_runs_on_postgresql() {
    let Ok(server) = std::env::var("FLOTILLA_TEST_POSTGRES_URL") else {
        return skipped(
            TEST,
            "FLOTILLA_TEST_POSTGRES_URL is not set (`make test` starts a server)",
        );
    };
    let database = format!("flotilla_e2e_{}", std::process::id());
    sql(&server, &format!("create database {database}")).expect("a database of its own");
    let (base, _) = server.rsplit_once('/').expect("postgres://…/database");
    let url = format!("{base}/{database}");
    let place = Place::new().set("queue.backend=postgres").set(&format!("queue.url={url}"));

    // Before the schema is there, every command says what to do.
    assert!(place.run(&["queues", "list"]).code(69).err.contains("flotilla migrate"));
    place.ok(&["migrate"]);
    assert!(place.ok(&["migrate"]).contains("schema version"), "twice is fine");

    let payload = r##"{"text":"from the command line #a"}"##;
    let first = place.ok(&["enqueue", "caption.parse", "--payload", payload]).trim().to_owned();
    place.ok(&["worker", "--until-idle"]);
    let job = place.json(&["jobs", "show", &first, "--json"]);
    assert_eq!((job["state"].as_str(), job["attempt"].as_u64()), (Some("completed"), Some(1)));

    // A job exists if and only if the transaction that enqueued it commits.
    let call = r##"select flotilla.enqueue('caption.parse', '{"text":"from SQL #b"}')"##;
    let second = sql(&url, &format!("begin; {call}; commit")).expect("committed");
    let third = sql(&url, &format!("begin; {call}; rollback")).expect("rolled back");
    place.ok(&["worker", "--until-idle"]);
    let job = place.json(&["jobs", "show", &second, "--json"]);
    assert_eq!(job["result"]["hashtags"][0]["tag"], "b");
    place.run(&["jobs", "show", &third]).code(2);
    place.ok(&["doctor"]);
    let shown = place.ok(&["config", "show"]);
    assert!(!shown.contains(&url), "the server's address may hold a password");
    sql(&server, &format!("drop database {database} with (force)"));
}
