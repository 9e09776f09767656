//! Loading as a whole: layers, provenance, everything that is wrong at once.

use std::path::Path as FilePath;
use std::time::Duration;

use crate::{Backend, KeyInfo, LogFormat, Missed, Origin, Synchronous};

use super::*;

const FILE: &str = "flotilla.toml";

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Loads a file with this text; its folder is cut from the messages.
fn load(text: &str, env: &[(&str, &str)], set: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    std::fs::write(&file, text).unwrap();
    let options = LoadOptions { file: Some(file), env: pairs(env), overrides: pairs(set) };
    let prefix = format!("{}/", folder.path().display());
    Config::load(options).map_err(|error| {
        error.problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
    })
}

fn problems(text: &str) -> Vec<String> {
    load(text, &[], &[]).unwrap_err()
}

fn key<'a>(config: &'a Config, key: &str) -> &'a KeyInfo {
    config.keys().iter().find(|info| info.key == key).unwrap()
}

#[test]
fn the_defaults_are_as_documented() {
    let config = Config::load(LoadOptions::default()).unwrap();
    assert_eq!(config.queue_path(), FilePath::new("./flotilla-data/queue.db"));
    assert_eq!(config.blobs_dir(), FilePath::new("./flotilla-data/blobs"));
    assert_eq!(config.queue.backend, Backend::Sqlite);
    assert_eq!(config.queue.synchronous, Synchronous::Full);
    assert_eq!(config.queue.lease, Duration::from_secs(15));
    assert_eq!(config.queue.max_payload, 256 << 10);
    assert_eq!((config.worker.slots_on(2), config.worker.cpu_slots_on(2)), (8, 2));
    assert_eq!(config.retention.dead, Duration::from_secs(30 * 86_400));
    assert_eq!(config.sources.ports, [80, 443, 8080, 8443]);
    assert_eq!(config.images.max_pixels, 100_000_000);
    assert_eq!(config.log.format, LogFormat::Auto);
    assert!(config.admin.listen.is_none() && config.admin.token.is_none());
    assert!(config.kinds.is_empty() && config.schedules.is_empty());
}

#[test]
fn every_documented_key_is_read_and_every_read_key_documented() {
    let plain: Vec<String> = key_docs()
        .into_iter()
        .map(|doc| doc.key)
        .filter(|key| !key.contains("<kind>") && !key.contains("[]"))
        .collect();
    let config = Config::load(LoadOptions::default()).unwrap();
    let read: Vec<&str> = config.keys().iter().map(|info| info.key.as_str()).collect();
    assert_eq!(read, plain);
    for info in config.keys() {
        assert_eq!(info.origin, Origin::Default);
        assert_eq!(info.default.as_ref(), Some(&info.json));
        assert!(!info.doc.is_empty(), "{}", info.key);
    }

    // A secret itself stands beside the file that may hold it; only one of both is given.
    let instead = ["token = \"...\"", "secret = \"whsec_...\""];
    let (left_out, shown): (Vec<&str>, Vec<&str>) = DEFAULT_TOML
        .lines()
        .filter_map(|line| line.strip_prefix("#: "))
        .partition(|line| instead.contains(line));
    let shown: String = shown
        .into_iter()
        .map(|line| line.replace("<kind>", "a.b").replace("<class>", "timeout") + "\n")
        .collect();
    let config = load(&shown, &[], &[]).unwrap();
    let shown_twice = ["external[1].kind"];
    let others = config.keys()[plain.len()..].iter();
    let others: Vec<&KeyInfo> =
        others.filter(|info| !shown_twice.contains(&info.key.as_str())).collect();
    assert_eq!(others.len(), key_docs().len() - plain.len() - left_out.len());
    assert!(others.iter().all(|info| !info.doc.is_empty() && info.default.is_none()));
}

#[test]
fn later_layers_win_and_say_who_they_are() {
    let text = "[queue]\nlease = \"20s\"\nmax_batch = 10\nbusy_timeout = '1s'\n";
    let env = [
        ("FLOTILLA__QUEUE__MAX_BATCH", "20"),
        ("FLOTILLA__QUEUE__BUSY_TIMEOUT", "2s"),
        ("FLOTILLA__SOURCES__PORTS", "80,443"),
        ("FLOTILLA__KINDS__CAPTION_PARSE__MAX_ATTEMPTS", "7"),
        ("FLOTILLA_LOG", "none of ours"),
        ("HOME", "/"),
    ];
    let set = [("queue.busy_timeout", "3s"), ("kinds.\"caption.parse\".backoff.base", "1s")];
    let config = load(text, &env, &set).unwrap();
    assert_eq!(config.queue.lease, Duration::from_secs(20));
    assert_eq!(config.queue.max_batch, 20);
    assert_eq!(config.queue.busy_timeout, Duration::from_secs(3));
    assert_eq!(config.sources.ports, [80, 443]);
    let caption = &config.kinds["caption.parse"];
    assert_eq!(caption.max_attempts, Some(7));
    assert_eq!(caption.backoff.as_ref().unwrap().base, Some(Duration::from_secs(1)));

    let shown = |name| {
        let info = key(&config, name);
        let origin = info.origin.to_string();
        format!("{} # {}", info.value, origin.rsplit('/').next().unwrap())
    };
    assert_eq!(shown("queue.heartbeat"), "\"3s\" # default");
    assert_eq!(shown("queue.lease"), "\"20s\" # flotilla.toml:2");
    assert_eq!(shown("queue.max_batch"), "20 # environment FLOTILLA__QUEUE__MAX_BATCH");
    assert_eq!(shown("queue.busy_timeout"), "\"3s\" # command line");
    assert_eq!(shown("sources.ports"), "[80, 443] # environment FLOTILLA__SOURCES__PORTS");
    assert_eq!(shown("kinds.\"caption.parse\".backoff.base"), "\"1s\" # command line");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = "[queue]\nlease = \"soon\"\nbackend = \"sqlit\"\nleese = 1\n\n[wrker]\npoll = \"1s\"\n\
                [retention]\nbatch = 0\n[[schedule]]\nname = \"a\"\ncron = \"never\"\n";
    let env = [("FLOTILLA__LOG__FORMAT", "xml"), ("FLOTILLA__NOTHING", "1")];
    let set = [("sources.redirects", "-1"), ("not a key", "1")];
    let mut problems = load(text, &env, &set).unwrap_err();
    problems.sort();
    let expected = [
        "command line: not a key: is not a key; write section.key",
        "command line: sources.redirects: -1 is not a whole number from 0 to 4294967295",
        "environment FLOTILLA__LOG__FORMAT: log.format: \"xml\" is not a log format; \
         there are \"auto\", \"json\", \"text\"",
        "environment FLOTILLA__NOTHING: nothing: unknown key",
        "flotilla.toml:11: schedule[0].kind: is missing",
        "flotilla.toml:12: schedule[0].cron: \"never\" is not a cron pattern: ",
        "flotilla.toml:2: queue.lease: \"soon\" is not a duration; \
         write it as \"500ms\", \"15s\", \"10m\" or \"1h30m\"",
        "flotilla.toml:3: queue.backend: \"sqlit\" is not a queue backend; \
         did you mean \"sqlite\"? there are \"sqlite\", \"postgres\", \"rabbitmq\", \"sqs\", \"memory\"",
        "flotilla.toml:4: queue.leese: unknown key; did you mean queue.lease?",
        "flotilla.toml:7: wrker.poll: unknown key; did you mean worker.poll?",
        "flotilla.toml:9: retention.batch: 0 is not a whole number from 1 to 18446744073709551615",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}\n{expected}");
    }
}

#[test]
fn all_syntax_errors_have_their_line() {
    let problems = problems("[queue]\nlease = \n\n[worker]\npoll = 1s\n");
    assert!(
        problems.iter().any(|problem| problem.starts_with("flotilla.toml:2: ")),
        "{problems:?}"
    );
    assert!(
        problems.iter().any(|problem| problem.starts_with("flotilla.toml:5: ")),
        "{problems:?}"
    );
}

#[test]
fn a_missing_file_is_named() {
    let file = Some(PathBuf::from("/nowhere/flotilla.toml"));
    let error = Config::load(LoadOptions { file, ..LoadOptions::default() }).unwrap_err();
    assert!(error.to_string().contains("cannot read /nowhere/flotilla.toml"), "{error}");
}

#[test]
fn unknown_keys_of_every_shape_are_refused() {
    for (text, expected) in [
        ("lease = \"1s\"", "lease: unknown key; did you mean queue.lease?"),
        ("queue = 5", "queue: is a section, not a key; set the keys in it"),
        ("[nothing]", "nothing: unknown key"),
        ("[[queue]]\nlease = \"20s\"", "queue[0].lease: unknown key; did you mean queue.lease?"),
        ("[queue.lease]\nx = 1", "queue.lease.x: unknown key; did you mean queue.lease?"),
        (
            "[kinds.\"a.b\"]\ntime_out = \"1s\"",
            "kinds.\"a.b\".time_out: unknown key; did you mean kinds.\"a.b\".timeout?",
        ),
        (
            "[kinds.a.b.backoff]\nfactr = 2.0",
            "kinds.\"a.b\".backoff.factr: unknown key; did you mean kinds.\"a.b\".backoff.factor?",
        ),
        ("kinds = 1", "kinds: is a section, not a key; set the keys in it"),
        (
            "[[schedule]]\nname = \"a\"\nkind = \"a\"\ncron = \"* * * * *\"\ntime_zone = \"UTC\"",
            "schedule[0].time_zone: unknown key; did you mean schedule[0].timezone?",
        ),
    ] {
        let problems = problems(text);
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].ends_with(&format!(": {expected}")), "{text}: {problems:?}");
    }
}

#[test]
fn empty_sections_say_nothing() {
    let text = "schedule = []\n[queue]\n[kinds]\n[kinds.\"a.b\".backoff]\n";
    let config = load(text, &[], &[]).unwrap();
    assert!(config.schedules.is_empty());
}

#[test]
fn a_broker_needs_its_address_and_its_records() {
    let wrong = problems("[queue]\nbackend = \"rabbitmq\"").join("\n");
    assert!(wrong.contains("queue.url") && wrong.contains("queue.broker_url"), "{wrong}");
    let wrong = problems("[queue]\nrecords_for_failures = [\"clicks\"]").join("\n");
    assert!(wrong.contains("only a broker"), "{wrong}");
    let wrong = problems("[blobs]\nbackend = \"s3\"\nkms_key = \"k\"").join("\n");
    assert!(wrong.contains("blobs.bucket") && wrong.contains("blobs.kms_key"), "{wrong}");
}

#[test]
fn postgresql_needs_its_server_and_never_shows_it() {
    let wrong = problems("[queue]\nbackend = \"postgres\"").join("\n");
    assert!(wrong.contains("queue.url") && wrong.contains("postgres://"), "{wrong}");
    let text = "[queue]\nbackend = \"postgres\"\nurl = \"postgres://me:hunter2@localhost/jobs\"";
    let config = load(text, &[], &[]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(config.keys().iter().all(|key| !key.value.contains("hunter2")));
}

#[test]
fn rules_between_keys_hold() {
    for (text, expected) in [
        ("[queue]\nlease = \"8s\"", "flotilla.toml:2: queue.lease: 8s is shorter than three"),
        ("[worker]\npoll = \"0\"", "flotilla.toml:2: worker.poll: 0s is too short"),
        ("[admin]\nlisten = \"0.0.0.0:80\"", "flotilla.toml:2: admin.listen: 0.0.0.0:80 can be"),
        ("[admin]\ntoken = \"a\"\ntoken_file = \"b\"", "flotilla.toml:3: admin.token_file: "),
        ("[kinds.a]\ntimeout = \"0s\"", "flotilla.toml:2: kinds.a.timeout: is too short"),
        ("[kinds.a.backoff]\nfactor = 0.5", "flotilla.toml:2: kinds.a.backoff.factor: must be"),
        ("[kinds.a.retry]\nwithin = \"1ms\"", "flotilla.toml:2: kinds.a.retry.within: is too"),
        (
            "[kinds.a.retry.timeout]\nfactor = 0.5",
            "flotilla.toml:2: kinds.a.retry.timeout.factor: must be",
        ),
        (
            "[kinds.a.backoff]\nbase = \"2m\"\nmax = \"1m\"",
            "flotilla.toml:3: kinds.a.backoff.max: is less than the base of 2m",
        ),
        ("[kinds.A]\nlane = \"a\"", "flotilla.toml:2: kinds.A: \"A\" is not a name"),
    ] {
        let problems = problems(text);
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].starts_with(expected), "{text}: {problems:?}");
    }
    assert!(load("[admin]\nlisten = \"0.0.0.0:80\"\ntoken = \"a\"", &[], &[]).is_ok());
    assert!(load("[admin]\nlisten = \"[::1]:80\"", &[], &[]).is_ok());
}

#[test]
fn a_wrong_value_does_not_break_further_rules() {
    let problems = problems("[queue]\nlease = \"5s\"\nheartbeat = \"often\"");
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn schedule_entries_keep_their_order_and_have_names_of_their_own() {
    let entry = |name: &str| {
        format!("[[schedule]]\nname = \"{name}\"\nkind = \"a.b\"\ncron = \"* * * * *\"\n")
    };
    let text = format!(
        "{}{}{}",
        entry("b"),
        entry("a"),
        "missed = \"all\"\npayload = { x = [1, { y = 2 }] }\n"
    );
    let config = load(&text, &[], &[]).unwrap();
    let names: Vec<&str> = config.schedules.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
    let [first, second] = config.schedules.as_slice() else { panic!() };
    assert_eq!(
        (first.missed, first.max_missed, first.timezone.as_str()),
        (Missed::Once, 100, "UTC")
    );
    assert_eq!((first.payload.to_string().as_str(), second.missed), ("{}", Missed::All));
    assert_eq!(second.payload, serde_json::json!({ "x": [1, { "y": 2 }] }));
    assert_eq!(key(&config, "schedule[1].payload").value, "{ \"x\" = [1, { \"y\" = 2 }] }");

    let problems = problems(&format!("{}{}", entry("a"), entry("a")));
    assert_eq!(
        problems,
        ["flotilla.toml:6: schedule[1].name: \"a\" names an earlier entry too; choose another"]
    );
}

#[test]
fn secrets_are_shown_nowhere() {
    let env = [("FLOTILLA__ADMIN__TOKEN", "hunter2")];
    let config = load("", &env, &[]).unwrap();
    assert_eq!(config.admin.token.as_ref().unwrap().expose(), "hunter2");
    assert_eq!(key(&config, "admin.token").value, "\"***\"");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!serde_json::to_string(config.keys()).unwrap().contains("hunter2"));
    let problems = problems("[admin]\ntoken = 1234567");
    assert!(!problems[0].contains("1234567"), "{problems:?}");
}

#[test]
fn the_vaults_keys_and_an_apps_secret_are_never_shown() {
    let app = "[vault]\nkeys = \"k1 hunter2\"\n[[app]]\nname = \"x\"\nclient_id = \"id\"\n\
               client_secret = \"hunter2\"\n";
    let config = load(app, &[], &[]).unwrap();
    assert_eq!(config.apps[0].read_secret().unwrap().unwrap().expose(), "hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(config.keys().iter().all(|key| !key.value.contains("hunter2")));
    assert!(config.vault_key_file().ends_with("vault.key"));
    let both = load(&format!("{app}client_secret_file = \"/a\""), &[], &[]).unwrap();
    let error = both.apps[0].read_secret().unwrap_err();
    assert!(error.contains("keep one of them") && !error.contains("hunter2"), "{error}");
}

#[test]
fn the_examples_load() {
    let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut loaded = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let file = Some(file.unwrap().path());
        Config::load(LoadOptions { file, ..LoadOptions::default() }).unwrap();
        loaded += 1;
    }
    assert_eq!(loaded, 4, "one for each profile");
}

#[test]
fn a_subscriber_has_one_sink_and_its_secret_is_never_shown() {
    let hook = "[[subscriber]]\nname = \"shop\"\nto = \"https://shop.example/\"\n\
                secret = \"whsec_hunter2\"\ntypes = [\"dead\"]\n";
    let config = load(hook, &[], &[]).unwrap();
    assert_eq!(config.subscribers[0].types, [crate::Told::Dead]);
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(config.keys().iter().all(|key| !key.value.contains("hunter2")));
    let none = problems("[[subscriber]]\nname = \"a\"").join("\n");
    assert!(none.contains("subscriber[0].to: is missing"), "{none}");
    let odd = problems("[[subscriber]]\nname = \"a\"\nto = \"channel:\"").join("\n");
    assert!(odd.contains("no place to tell"), "{odd}");
    let bare = problems("[[subscriber]]\nname = \"a\"\nto = \"https://a.example\"").join("\n");
    assert!(bare.contains("needs a secret"), "{bare}");
    let twice = problems(&format!("{hook}{hook}")).join("\n");
    assert!(twice.contains("names an earlier entry too"), "{twice}");
}
