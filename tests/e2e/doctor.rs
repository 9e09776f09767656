//! `flotilla doctor` finds what was planted, and says how to mend it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::{Place, Ran};

/// Settings and files to write into the place; `{}` in a setting is the place's folder.
struct Plant {
    what: &'static str,
    settings: &'static [&'static str],
    /// A configuration file.
    file: &'static str,
    /// Must be in what was found.
    found: &'static str,
    /// Must be in what mends it.
    mend: &'static str,
}

const fn set(
    what: &'static str,
    settings: &'static [&'static str],
    found: &'static str,
    mend: &'static str,
) -> Plant {
    Plant { what, settings, file: "", found, mend }
}

const fn file(
    what: &'static str,
    file: &'static str,
    found: &'static str,
    mend: &'static str,
) -> Plant {
    Plant { what, settings: &[], file, found, mend }
}

const PLANTS: &[Plant] = &[
    // The configuration does not hold: the finding names key and mend together.
    set(
        "a lease shorter than its heartbeats",
        &["queue.lease=5s"],
        "queue.lease",
        "raise it or lower queue.heartbeat",
    ),
    set(
        "an admin address that anybody may use",
        &["admin.listen=0.0.0.0:9464"],
        "can be reached from other machines",
        "set admin.token_file",
    ),
    file(
        "a cron pattern that is none",
        "[[schedule]]\nname = \"n\"\ncron = \"0 25 * * *\"\nkind = \"caption.parse\"\npayload = { text = \"a\" }\n",
        "is not a cron pattern",
        "change the keys it names",
    ),
    set(
        "RabbitMQ without its address",
        &["queue.backend=rabbitmq", "queue.url=postgres://u@127.0.0.1/db"],
        "needs to know its broker",
        "set it, as in",
    ),
    set(
        "a part of attempts to trace that is none",
        &["telemetry.sample=7"],
        "telemetry.sample",
        "give 0 to 1",
    ),
    // Settings that do not fit each other or this build.
    set(
        "a broker that nothing uses",
        &["queue.broker_url=amqp://u:hunter2@mq/"],
        "queue.broker_url is set",
        "set queue.backend = \"rabbitmq\"",
    ),
    set(
        "a lane that no kind waits on",
        &["worker.lanes=imagse"],
        "did you mean \"images\"?",
        "lanes of this build",
    ),
    file(
        "a kind that is not there",
        "[kinds.\"thumbnail.genrate\"]\npriority = 3\n",
        "did you mean \"thumbnail.generate\"?",
        "`flotilla schema` lists the kinds",
    ),
    file(
        "a schedule whose payload is none of its kind",
        "[[schedule]]\nname = \"n\"\ncron = \"0 3 * * *\"\nkind = \"caption.parse\"\npayload = { txet = \"a\" }\n",
        "[[schedule]] \"n\"",
        "flotilla schema caption.parse",
    ),
    file(
        "a limit of zero",
        "[[limit]]\nname = \"web/*\"\nquotas = [\"0/min\"]\n",
        "0/min",
        "change the [[limit]]",
    ),
    file(
        "a subscriber whose secret is too short",
        "[[subscriber]]\nname = \"shop\"\nto = \"https://shop.example/hook\"\nsecret = \"whsec_c2hvcnQ=\"\n",
        "subscriber \"shop\"",
        "whsec_",
    ),
    file(
        "a subscriber inside the network",
        "[[subscriber]]\nname = \"shop\"\nto = \"https://10.0.0.7/hook\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n",
        "10.0.0.7",
        "sources.allow_hosts",
    ),
    file(
        "an app of a platform that is none",
        "[[app]]\nname = \"linkedinn\"\nclient_id = \"a\"\n",
        "linkedin",
        "flotilla platforms list",
    ),
    file(
        "an app whose secret is not there",
        "[[app]]\nname = \"linkedin\"\nclient_id = \"a\"\nclient_secret_file = \"/nowhere/linkedin.secret\"\n",
        "/nowhere/linkedin.secret",
        "put the app's secret into that file",
    ),
    set(
        "an admin token that can be guessed",
        &["admin.token=abc"],
        "3 characters",
        "head -c 32 /dev/urandom",
    ),
    set(
        "an admin token that is not there",
        &["admin.token_file=/nowhere/token"],
        "/nowhere/token",
        "put the token into that file",
    ),
    set(
        "a model without a name",
        &["models.base_url=http://127.0.0.1:9/v1"],
        "models.model is not",
        "set models.model",
    ),
    // The machine.
    set(
        "a queue that cannot be written",
        &["queue.path={}/a-file/queue.db"],
        "a-file",
        "queue.path",
    ),
    set("blobs that cannot be written", &["blobs.dir={}/a-file"], "cannot write to", "blobs.dir"),
    set(
        "no room for a blob",
        &["blobs.max_bytes=4000TiB"],
        "one blob may have",
        "lower blobs.max_bytes",
    ),
    set("a source folder that is not there", &["sources.roots=/nowhere"], "/nowhere", "make it"),
    set("no ffmpeg", &["video.ffmpeg=/nowhere/ffmpeg"], "ffmpeg", "video.render fails until then"),
    set(
        "no espeak-ng",
        &["speech.espeak=/nowhere/espeak-ng"],
        "espeak-ng",
        "speech with the voice \"espeak\" fails",
    ),
    set(
        "a wrapping key that is too short",
        &["vault.keys=main c2hvcnQ="],
        "line 1 of the wrapping keys",
        "32 bytes in base64",
    ),
    set(
        "wrapping keys that are not there",
        &["vault.key_file=/nowhere/vault.key"],
        "/nowhere/vault.key",
        "bring the fleet's file",
    ),
    // What a worker would call.
    set(
        "a model that does not answer",
        &["models.base_url=http://127.0.0.1:9/v1", "models.model=m"],
        "http://127.0.0.1:9/v1 does not answer",
        "change models.base_url",
    ),
    set(
        "a collector of traces that does not answer",
        &["telemetry.otlp_endpoint=http://127.0.0.1:9"],
        "http://127.0.0.1:9 does not answer",
        "telemetry.otlp_endpoint",
    ),
    set(
        "a bucket that is not there",
        &[
            "blobs.backend=s3",
            "blobs.bucket=nobody",
            "aws.endpoint=http://127.0.0.1:9",
            "aws.region=eu-west-1",
        ],
        "nobody",
        "name another with blobs.bucket",
    ),
];

fn findings(ran: &Ran) -> Vec<Value> {
    serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {} {}", ran.out, ran.err))
}

/// What is not well, with what mends it.
fn told(ran: &Ran) -> Vec<(String, String)> {
    let all = findings(ran);
    let bad = all.iter().filter(|f| f["grade"] != "ok");
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    bad.map(|f| {
        let found = text(&f["found"]);
        let mend = format!("{} {found}", text(&f["mend"])); // some say both in one sentence
        (found, mend)
    })
    .collect()
}

#[test]
fn every_planted_misconfiguration_is_found_with_what_mends_it() {
    assert!(PLANTS.len() >= 20);
    let mut missed = Vec::new();
    for plant in PLANTS {
        let mut place = Place::new();
        place.file("a-file", "");
        let folder = place.path().display().to_string();
        for setting in plant.settings {
            place = place.set(&setting.replace("{}", &folder));
        }
        let config = place.file("flotilla.toml", plant.file);
        let args = ["doctor", "--json", "--config", config.to_str().unwrap()];
        let mut command = place.command(&args);
        command.env("AWS_ACCESS_KEY_ID", "none").env("AWS_SECRET_ACCESS_KEY", "none");
        let ran = Ran::of(command.output().unwrap(), &args);
        let bad = told(&ran);
        let hit = |(found, mend): &(String, String)| {
            found.contains(plant.found) && mend.contains(plant.mend)
        };
        if !bad.iter().any(hit) {
            missed.push(format!("{}: {bad:#?} {}", plant.what, ran.err));
        }
        assert!(!ran.out.contains("hunter2"), "{}: a password is shown", plant.what);
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn a_place_that_is_well_has_no_faults() {
    let place = Place::new();
    place.ok(&["doctor"]);
    let all = findings(&place.run(&["doctor", "--json"]).code(0));
    assert!(all.iter().all(|f| f["grade"] != "fault"), "{all:#?}");
    assert!(all.len() > 5, "it looks at more than the configuration: {all:#?}");
}

#[test]
fn a_unit_that_kills_before_the_drain_is_over_is_named() {
    let place = Place::new().set("worker.drain_grace=10m");
    let short = place.file("short.service", "[Service]\nTimeoutStopSec=1min 30s\n");
    let long = place.file("long.service", "[Service]\nTimeoutStopSec=700\n");
    let (short, long) = (short.to_str().unwrap(), long.to_str().unwrap());
    let bad = told(&place.run(&["doctor", "--json", "--unit", short, "--unit", long]).code(69));
    assert!(
        bad.iter().any(|(found, mend)| found.contains("short.service")
            && mend.contains("set TimeoutStopSec=605")),
        "{bad:#?}"
    );
    assert!(!bad.iter().any(|(found, _)| found.contains("long.service")), "{bad:#?}");
}

#[test]
fn what_the_system_allows_is_looked_at() {
    let place = Place::new();
    let token = place.file("token", "0123456789abcdef0123456789abcdef");
    std::fs::set_permissions(&token, Permissions::from_mode(0o644)).unwrap();
    let place = place.set(&format!("admin.token_file={}", token.display()));
    let args = ["doctor", "--json"];
    let program = place.command(&args);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -n 48; exec \"$@\"", "sh"]).arg(program.get_program());
    shell.args(program.get_args()).current_dir(place.path());
    let bad = told(&Ran::of(shell.output().unwrap(), &args));
    let has = |what: &str, how: &str| {
        bad.iter().any(|(found, mend)| found.contains(what) && mend.contains(how))
    };
    assert!(has("may have 48 files open", "ulimit -n"), "{bad:#?}");
    assert!(has("everybody on this machine can read", "chmod o-r"), "{bad:#?}");
}

#[test]
fn what_waits_in_the_fleet_is_told() {
    let place = Place::new();
    place.ok(&["enqueue", "caption.parse", "--payload", r#"{"text":"a"}"#]);
    place.ok(&["queues", "pause", "language", "--reason", "lunch"]);
    let bad = told(&place.run(&["doctor", "--json"]).code(0));
    let has = |what: &str, how: &str| {
        bad.iter().any(|(found, mend)| found.contains(what) && mend.contains(how))
    };
    assert!(
        has("1 jobs wait and no worker serves it", "flotilla worker --lanes language"),
        "{bad:#?}"
    );
    assert!(has("language is paused", "flotilla queues resume language"), "{bad:#?}");
}

#[test]
fn a_build_that_cannot_read_what_waits_is_refused() {
    let place = Place::new();
    place.ok(&["enqueue", "caption.parse", "--payload", r#"{"text":"a"}"#]);
    assert!(place.ok(&["preflight"]).contains("1 unfinished jobs, 1 payloads decoded"));
    // As an enqueuer of a later version writes it.
    let queue = place.path().join("data/queue.db");
    let changed = std::process::Command::new("python3")
        .args(["-c", "import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); d.execute('update job set kind=?', ('caption.parse2',)); d.commit()"])
        .arg(&queue)
        .status();
    assert!(changed.unwrap().success(), "python3 changes the row");
    let ran = place.run(&["preflight"]).code(69);
    assert!(ran.out.contains("kinds that this build does not have"), "{}", ran.out);
    assert!(ran.out.contains("keep the old workers"), "{}", ran.out);
}

#[cfg(feature = "postgres")]
#[test]
fn a_schema_that_waits_for_a_step_and_a_clock_that_is_off_are_told() {
    const TEST: &str = "doctor::a_schema_that_waits_for_a_step_and_a_clock_that_is_off_are_told";
    let Ok(server) = std::env::var("FLOTILLA_TEST_POSTGRES_URL") else {
        return crate::support::skipped(TEST, "FLOTILLA_TEST_POSTGRES_URL is not set");
    };
    let database = format!("flotilla_doctor_{}", std::process::id());
    let sql = format!("create database {database}");
    let made = std::process::Command::new("psql").args([&server, "-Xqc", &sql]).status();
    assert!(made.unwrap().success(), "a database of its own");
    let (base, _) = server.rsplit_once('/').unwrap();
    let url = format!("queue.url={base}/{database}");
    let place = Place::new().set("queue.backend=postgres").set(&url);
    let bad = told(&place.run(&["doctor", "--json"]).code(69));
    assert!(
        bad.iter().any(|(_, mend)| mend.contains("run `flotilla migrate` with this build")),
        "{bad:#?}"
    );
    place.ok(&["migrate"]);
    let program = place.command(&["doctor", "--json"]);
    let mut shifted = std::process::Command::new("faketime");
    shifted.args(["-f", "+90s"]).arg(program.get_program()).args(program.get_args());
    let Ok(output) = shifted.current_dir(place.path()).output() else {
        return crate::support::skipped(TEST, "faketime is not installed");
    };
    let bad = told(&Ran::of(output, &["faketime doctor"]));
    let clock = bad.iter().find(|(found, _)| found.contains("clock"));
    assert!(clock.is_some_and(|(_, mend)| mend.contains("timedatectl set-ntp true")), "{bad:#?}");
}
