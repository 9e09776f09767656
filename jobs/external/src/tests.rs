//! Programs of a few lines of shell: what the protocol promises, and what happens when it is broken.

mod endpoint;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::retry::RetryClass;
use flotilla_core::{
    CpuPool, DeadClass, JobContext, JobError, JobId, Kind, Payload, Policy, Progress, Registry,
    SystemClock,
};
use serde_json::{Value, json};

use crate::{External, Program, Schema, Way, register};

const HELLO: &str = r#"read hello; echo '{"type":"hello","protocol":1,"concurrency":2}'"#;

fn program(script: &str) -> Program {
    Program {
        command: vec!["/bin/sh".into(), "-c".into(), script.into()],
        dir: None,
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        processes: 1,
        concurrency: 2,
        start_timeout: Duration::from_secs(60),
        stop_grace: Duration::from_millis(50),
        stderr_tail: 100,
    }
}

fn registry(way: Way) -> Registry {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let external = External {
        kind: Kind::from_static("a.b"),
        way,
        policy: Policy::default(),
        schema: Schema::new(schema).unwrap(),
        result: json!({}),
        max_line: 300,
    };
    let mut registry = Registry::default();
    register(&mut registry, external).unwrap();
    registry
}

fn serving(script: &str) -> Registry {
    registry(Way::Program(program(&format!("{HELLO}; {script}"))))
}

fn context(name: &str) -> JobContext {
    let pool = CpuPool::new(1);
    JobContext::detached(
        JobId::derived(name),
        Kind::from_static("a.b"),
        Arc::new(SystemClock),
        pool,
    )
}

async fn run(registry: &Registry, cx: JobContext, payload: Value) -> Result<Bytes, JobError> {
    registry.get("a.b").unwrap().run(1, Payload::of(&payload).unwrap(), cx).await
}

fn is_retry(error: &JobError, wanted: RetryClass) -> bool {
    matches!(error, JobError::Retry { class, .. } if *class == wanted)
}

#[tokio::test]
async fn a_job_is_told_and_its_result_comes_back() {
    // The line itself is the result, so that the test sees what was told.
    let registry = serving(
        r#"while read -r line; do
             echo '{"type":"progress","fraction":0.5,"message":"half"}'
             echo "{\"type\":\"result\",\"result\":$line}"
           done"#,
    );
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut cx = context("told");
    let sink = Arc::clone(&seen);
    cx.sink = Arc::new(move |progress| sink.lock().unwrap().push(progress));
    let kind = registry.get("a.b").unwrap();
    let spread = Payload::from_bytes("{\n \"n\": 7\r\n}");
    let told: Value =
        serde_json::from_slice(&kind.run(1, spread, cx.clone()).await.unwrap()).unwrap();
    assert_eq!(told["type"], "job");
    assert_eq!((&told["payload"]["n"], &told["attempt"]), (&json!(7), &json!(1)));
    assert_eq!(told["id"], cx.id.to_string());
    assert_eq!(*seen.lock().unwrap(), [Progress { fraction: 0.5, message: "half".into() }]);
    let wrong = run(&registry, context("wrong"), json!({"n": "x"})).await.unwrap_err();
    assert!(matches!(&wrong, JobError::Fail { class: DeadClass::Invalid, .. }));
    assert!(wrong.text(500).contains("\"n\""), "{wrong:?}");
}

#[tokio::test]
async fn a_fall_fails_its_jobs_with_its_last_words_and_the_next_job_gets_a_new_process() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        r#"read -r line; mark={}/mark
           if [ -e $mark ]; then echo '{{"type":"result","result":"again"}}'; read -r line; fi
           touch $mark; echo 'out of ink' >&2; exit 3"#,
        folder.path().display()
    );
    let registry = serving(&script);
    let fell = run(&registry, context("first"), json!({})).await.unwrap_err();
    assert!(is_retry(&fell, RetryClass::Transient));
    let said = fell.text(500);
    assert!(said.contains("exit status: 3") && said.contains("out of ink"), "{said}");
    assert_eq!(run(&registry, context("second"), json!({})).await.unwrap(), "\"again\"");
}

#[tokio::test]
async fn checkpoints_are_kept_answered_and_handed_to_the_next_attempt() {
    let registry = serving(
        r#"while read -r line; do case $line in
             *'"checkpoints":{"part":[1,2]}'*) echo '{"type":"result","result":"resumed"}' ;;
             *'"type":"job"'*) echo '{"type":"checkpoint","step":"part","data":[1]}'
                echo '{"type":"checkpoint","step":"part","data":[1,2]}' ;;
             *'"type":"kept"'*'"step":"part"'*) exit 1 ;;
           esac; done"#,
    );
    let cx = context("steps");
    assert!(run(&registry, cx.clone(), json!({})).await.is_err());
    assert_eq!(cx.kept(10).await.unwrap()["part"], json!([1, 2]));
    assert_eq!(run(&registry, cx, json!({})).await.unwrap(), "\"resumed\"");
}

#[tokio::test]
async fn what_is_not_of_the_protocol_is_told_in_full() {
    for (script, said) in [
        ("echo hello world", "\"hello world\""),
        ("head -c 400 /dev/zero | tr '\\0' x; echo", "more than 300 bytes"),
    ] {
        let registry = serving(&format!("read -r line; {script}; read -r line"));
        let broke = run(&registry, context(said), json!({})).await.unwrap_err();
        assert!(is_retry(&broke, RetryClass::Panic), "{broke:?}");
        assert!(broke.text(500).contains(said), "{broke:?}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_start_costs_no_attempt() {
    let mut missing = program("");
    missing.command = vec!["/no/such/program".into()];
    let mut newer = program(r#"echo '{"type":"hello","protocol":9}'; read -r line"#);
    newer.processes = 2;
    for (program, said) in [
        (missing, "cannot start /no/such/program"),
        (program("echo 'bad import' >&2; exit 1"), "bad import"),
        (newer, "protocol 9"),
    ] {
        let put_off = run(&registry(Way::Program(program)), context(said), json!({})).await;
        match put_off.unwrap_err() {
            JobError::Snooze { reason, .. } => assert!(reason.contains(said), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn several_jobs_share_one_process_and_a_cancel_reaches_its_own() {
    // Holds both jobs; ends the one that is cancelled, then the other.
    let registry = Arc::new(serving(
        r#"id() { expr "$1" : '.*"id":"\([^"]*\)"'; }
           read -r line; first=$(id "$line"); read -r line; second=$(id "$line")
           echo "{\"type\":\"progress\",\"id\":\"$first\",\"message\":\"both\"}"
           echo "{\"type\":\"progress\",\"id\":\"$second\",\"message\":\"both\"}"
           read -r cancel; gone=$(id "$cancel")
           echo "{\"type\":\"error\",\"id\":\"$gone\",\"class\":\"cancelled\",\"message\":\"told\"}"
           [ "$gone" = "$first" ] && other=$second || other=$first
           echo "{\"type\":\"result\",\"id\":\"$other\",\"result\":\"other\"}"; read -r line"#,
    ));
    let (one, two) = (context("one"), context("two"));
    let (mut stopped, token) = (one.clone(), one.cancellation.clone());
    stopped.sink = Arc::new(move |_| token.cancel());
    let (gone, other) =
        tokio::join!(run(&registry, stopped, json!({})), run(&registry, two, json!({})));
    assert!(matches!(gone, Err(JobError::Cancel { reason }) if reason == "told"));
    assert_eq!(other.unwrap(), "\"other\"");
}

#[tokio::test]
async fn an_attempt_that_is_dropped_does_not_leave_a_deaf_process_behind() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script =
        format!("read -r line; echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", pid.display());
    let registry = Arc::new(serving(&script));
    let own = Arc::clone(&registry);
    let attempt = tokio::spawn(async move { run(&own, context("deaf"), json!({})).await });
    let pid = loop {
        match std::fs::read_to_string(&pid) {
            Ok(text) => break text.trim().parse::<i32>().unwrap(),
            Err(_) => tokio::task::yield_now().await,
        }
    };
    attempt.abort();
    let group = rustix::process::Pid::from_raw(pid).unwrap();
    while rustix::process::test_kill_process_group(group).is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await; // until it is gone, however long
    }
}
