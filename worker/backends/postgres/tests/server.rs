//! What only this backend promises: the SQL function, migrations, notifications between processes,
//! and that a restart of the server needs nothing from the caller.

mod support;

use std::time::Duration;

use flotilla_conformance::servers::{script, skip};
use flotilla_core::broker::{Store, Taken};
use flotilla_core::clock::{Clock, SystemClock, Timestamp, after};
use flotilla_core::envelope::Payload;
use flotilla_core::ids::{JobId, Kind, Lane, Priority, WorkerId};
use flotilla_core::queue::{
    Claimed, Enqueued, LaneDemand, NewJob, Queue, QueueErrorKind, Settled, Settlement, Verdict,
};
use flotilla_core::records::Records;
use flotilla_core::rng::SeededRng;
use flotilla_core::state::State;
use flotilla_postgres::{KindDefaults, Migrated, Postgres, Settings};

use support::Schema;

const KIND: Kind = Kind::from_static("test.run");
const LANE: Lane = Lane::from_static("main");
const PATIENCE: Duration = Duration::from_secs(30);

fn job(now: Timestamp, seed: u64) -> NewJob {
    NewJob::new(JobId::new(now, &SeededRng::new(seed)), KIND, LANE, now)
}

async fn claim(queue: &Postgres, lane: &Lane) -> Vec<Claimed> {
    let demand = [LaneDemand { lane: lane.clone(), slots: 10, kinds: vec![KIND] }];
    let worker = WorkerId::new("tester");
    let claims = queue.claim(&demand, &worker, Duration::from_secs(15), SystemClock.now()).await;
    claims.expect("claim works").jobs
}

async fn with_kind(schema: &Schema) -> std::sync::Arc<Postgres> {
    let queue = Postgres::connect(schema.settings.clone()).await.expect("it connects");
    let kind = KindDefaults {
        kind: KIND,
        lane: LANE,
        priority: Priority::new(7).expect("7 is a level"),
        max_attempts: 4,
        version: 2,
    };
    queue.upsert_kinds(std::slice::from_ref(&kind)).await.expect("kinds are written");
    queue.upsert_kinds(&[kind]).await.expect("and again");
    queue
}

#[tokio::test]
async fn a_job_enqueued_in_sql_exists_if_and_only_if_its_transaction_commits() {
    let schema = Schema::new().await;
    let queue = with_kind(&schema).await;
    let (mut client, _driver) = support::connect(&support::url()).await.expect("it connects");
    let call = format!("SELECT {}.enqueue('test.run', '{{\"n\": 1}}')", schema.settings.schema);
    let mut wakes = queue.wakes();

    let tx = client.transaction().await.expect("it begins");
    tx.query_one(&call, &[]).await.expect("it enqueues");
    assert!(claim(&queue, &LANE).await.is_empty(), "not committed yet");
    tx.rollback().await.expect("it rolls back");
    assert!(claim(&queue, &LANE).await.is_empty(), "never committed");

    wakes.mark_unchanged();
    let tx = client.transaction().await.expect("it begins");
    let id: uuid::Uuid = tx.query_one(&call, &[]).await.expect("it enqueues").get(0);
    tx.commit().await.expect("it commits");
    tokio::time::timeout(PATIENCE, wakes.changed()).await.expect("it wakes").expect("it lives");
    let jobs = claim(&queue, &LANE).await;
    let [job] = &jobs[..] else { panic!("one job: {jobs:?}") };
    assert_eq!(job.held.id, JobId::from_bytes(id.into_bytes()));
    assert_eq!(id.get_version_num(), 7);
    assert_eq!((job.priority.level(), job.max_attempts, job.version), (7, 4, 2));
    assert_eq!(job.payload.to_value()["n"], 1);
}

#[tokio::test]
async fn what_sql_says_overrides_the_defaults_and_nonsense_is_refused() {
    let schema = Schema::new().await;
    let queue = with_kind(&schema).await;
    let (client, _driver) = support::connect(&support::url()).await.expect("it connects");
    let enqueue = format!("SELECT {}.enqueue", schema.settings.schema);
    let full = format!(
        "{enqueue}('test.run', '[]', 'other', now() + interval '1 hour', 9, 'acme', 'only-once')"
    );
    let id: uuid::Uuid = client.query_one(&full, &[]).await.expect("it enqueues").get(0);
    let again: uuid::Uuid = client.query_one(&full, &[]).await.expect("it answers").get(0);
    assert_eq!(id, again, "one unique key, one job");
    let record = queue.get(JobId::from_bytes(id.into_bytes())).await.expect("get works");
    let record = record.expect("it is there");
    assert_eq!(record.state, State::Scheduled);
    assert_eq!((record.lane.as_str(), record.tenant.as_str()), ("other", "acme"));
    assert_eq!(record.unique_key.as_deref(), Some("only-once"));
    assert!(record.run_at > SystemClock.now());
    for wrong in [
        "('no.such', '{}')",
        "('test.run', NULL)",
        "('test.run', '{}', 'No Lane')",
        "('test.run', '{}', tenant => 'É')",
        "('test.run', '{}', priority => 10)",
        "('test.run', '{}', unique_key => repeat('x', 513))",
        "('test.run', '{}', order_key => repeat('x', 513))",
        "('test.run', '{}', order_key => '')",
        "('test.run', to_jsonb(repeat('x', 1100000)))",
    ] {
        let refused = client.query_one(&format!("{enqueue}{wrong}"), &[]).await;
        let error = refused.expect_err(wrong);
        let code = error.code().expect("the server refused it").code();
        assert_eq!(code, "22023", "{wrong}: {error:?}");
    }
}

#[tokio::test]
async fn an_open_transaction_that_enqueued_stops_nobody() {
    let schema = Schema::new().await;
    let queue = with_kind(&schema).await;
    let (mut client, _driver) = support::connect(&support::url()).await.expect("it connects");
    let call = format!("SELECT {}.enqueue('test.run', '1')", schema.settings.schema);
    let tx = client.transaction().await.expect("it begins");
    tx.query_one(&call, &[]).await.expect("it enqueues");
    let now = SystemClock.now();
    let jobs = [job(now, 1)];
    let other = queue.enqueue(&jobs, now);
    let made = tokio::time::timeout(PATIENCE, other).await.expect("it does not wait");
    assert_eq!(made.expect("enqueue works"), [Enqueued::Created]);
    assert_eq!(claim(&queue, &LANE).await.len(), 1);
    tx.commit().await.expect("it commits");
    assert_eq!(claim(&queue, &LANE).await.len(), 1);
}

/// One at a time, in the order enqueued, whoever enqueued them.
#[tokio::test]
async fn jobs_of_one_ordering_key_enqueued_in_sql_stand_in_one_line() {
    let schema = Schema::new().await;
    let queue = with_kind(&schema).await;
    let (client, _driver) = support::connect(&support::url()).await.expect("it connects");
    let call =
        format!("SELECT {}.enqueue('test.run', '1', order_key => 'k')", schema.settings.schema);
    let mut line = Vec::new();
    for _ in 0..3 {
        let id: uuid::Uuid = client.query_one(&call, &[]).await.expect("it enqueues").get(0);
        line.push(JobId::from_bytes(id.into_bytes()));
    }
    let now = SystemClock.now();
    let last = NewJob { order: Some("k".into()), ..job(now, 7) };
    queue.enqueue(std::slice::from_ref(&last), now).await.expect("enqueue works");
    line.push(last.id);
    for id in line {
        let jobs = claim(&queue, &LANE).await;
        let [job] = &jobs[..] else { panic!("one at a time: {jobs:?}") };
        assert_eq!(job.held.id, id);
        assert!(claim(&queue, &LANE).await.is_empty(), "the others wait");
        let record = queue.get(last.id).await.expect("get works").expect("it is there");
        assert_eq!(record.state == State::Parked, id != last.id);
        let done = Settlement {
            held: job.held.clone(),
            verdict: Verdict::Completed { result: "null".into(), keep_until: now },
        };
        assert_eq!(queue.settle(&[done], now).await.expect("settle works"), [Settled::Applied]);
    }
    assert!(claim(&queue, &LANE).await.is_empty());
}

/// Many callers at once: every one is answered for its own job.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enqueues_that_share_a_commit_are_answered_each_for_itself() {
    let schema = Schema::new().await;
    let settings = Settings { max_payload: 100, ..schema.settings.clone() };
    let queue = Postgres::connect(settings).await.expect("it connects");
    let now = SystemClock.now();
    let calls = (0..60u64).map(|n| {
        let queue = std::sync::Arc::clone(&queue);
        let mut job = job(now, n / 2);
        if n % 10 == 9 {
            job.payload = Payload::from_bytes("x".repeat(101));
        }
        tokio::spawn(async move { queue.enqueue(&[job], now).await.expect("enqueue works") })
    });
    let mut counts = [0; 3];
    for call in calls.collect::<Vec<_>>() {
        match &call.await.expect("no call panics")[..] {
            [Enqueued::Created] => counts[0] += 1,
            [Enqueued::Duplicate(_)] => counts[1] += 1,
            [Enqueued::Rejected(why)] if why.contains("101 bytes") => counts[2] += 1,
            other => panic!("one answer each: {other:?}"),
        }
    }
    assert_eq!(counts, [30, 24, 6], "each pair is one job, and six are too large");
    assert_eq!(queue.count(&Default::default()).await.expect("count works"), 30);
}

/// Jobs made by version 1 are run, its statements still work, and who may enqueue is as before.
#[tokio::test]
async fn a_schema_of_version_1_is_brought_up_to_date_with_its_jobs() {
    let schema = Schema::empty();
    let name = &schema.settings.schema;
    let (client, _driver) = support::connect(&support::url()).await.expect("it connects");
    let first = include_str!("../src/migrations/0001.sql")
        .replace("{schema}", name)
        .replace("{channel}", &format!("'{name}'"));
    let made = format!(
        "CREATE SCHEMA {name}; SET search_path = {name};
         CREATE TABLE schema_version (version integer PRIMARY KEY, applied_at timestamptz DEFAULT now());
         INSERT INTO schema_version VALUES (1);
         {first};
         INSERT INTO kind VALUES ('test.run', 'main', 5, 3, 1, 1000);
         REVOKE EXECUTE ON FUNCTION enqueue FROM PUBLIC;
         GRANT EXECUTE ON FUNCTION enqueue TO pg_monitor;
         SELECT enqueue('test.run', '1')"
    );
    client.batch_execute(&made).await.expect("version 1 is made");
    let done = Postgres::migrate(&schema.settings).await.expect("it migrates");
    assert_eq!(done, Migrated { from: 1, to: 2 });
    let may = "SELECT has_function_privilege('pg_monitor', p.oid, 'EXECUTE'),
                      has_function_privilege('pg_read_all_stats', p.oid, 'EXECUTE')
               FROM pg_proc p WHERE p.pronamespace = $1::text::regnamespace AND proname = 'enqueue'";
    let rows = client.query(may, &[name]).await.expect("it looks");
    assert_eq!(rows.len(), 1, "one function of that name");
    // pg_monitor is a member of pg_read_all_stats, not the other way round.
    assert_eq!((rows[0].get::<_, bool>(0), rows[0].get::<_, bool>(1)), (true, false));
    let again = format!("SELECT {name}.enqueue('test.run', '2', unique_key => 'u')");
    client.query_one(&again, &[]).await.expect("calls of version 1 still work");
    let queue = Postgres::connect(schema.settings.clone()).await.expect("it connects");
    assert_eq!(claim(&queue, &LANE).await.len(), 2);
}

#[tokio::test]
async fn migrations_run_once_and_a_version_that_does_not_fit_is_refused() {
    let schema = Schema::empty();
    let settings = &schema.settings;
    let missing = Postgres::connect(settings.clone()).await.expect_err("nothing there");
    assert!(missing.message.contains("run: flotilla migrate"), "{missing}");
    let (one, two) = tokio::join!(Postgres::migrate(settings), Postgres::migrate(settings));
    let mut from = [one.expect("it migrates").from, two.expect("it migrates").from];
    from.sort_unstable();
    assert_eq!(from, [0, 2], "one did it, the other waited");
    let again = Postgres::migrate(settings).await.expect("it looks");
    assert_eq!(again, Migrated { from: 2, to: 2 });
    Postgres::connect(settings.clone()).await.expect("it connects");

    let (client, _driver) = support::connect(&support::url()).await.expect("it connects");
    let newer = format!("INSERT INTO {}.schema_version VALUES (99)", settings.schema);
    client.execute(&newer, &[]).await.expect("it writes");
    for error in [
        Postgres::connect(settings.clone()).await.expect_err("newer"),
        Postgres::migrate(settings).await.expect_err("newer"),
    ] {
        assert!(error.message.contains("upgrade this binary"), "{error}");
    }
}

#[tokio::test]
async fn an_enqueue_wakes_other_processes() {
    let schema = Schema::new().await;
    let here = Postgres::connect(schema.settings.clone()).await.expect("it connects");
    let there = Postgres::connect(schema.settings.clone()).await.expect("it connects");
    let (mut wakes, now) = (there.wakes(), SystemClock.now());
    // The first ring says that it listens.
    tokio::time::timeout(PATIENCE, wakes.changed()).await.expect("it listens").expect("it lives");
    wakes.mark_unchanged();
    here.enqueue(&[job(now, 1)], now).await.expect("enqueue works");
    tokio::time::timeout(PATIENCE, wakes.changed()).await.expect("it wakes").expect("it lives");
}

#[tokio::test]
async fn a_wrong_password_or_port_says_what_to_do_and_not_the_password() {
    let closed = flotilla_conformance::free_ports(1);
    let url = format!("postgres://flotilla:hunter2@127.0.0.1:{closed}/postgres");
    let error = Postgres::connect(Settings::new(url)).await.expect_err("nobody listens");
    assert_eq!(error.kind, QueueErrorKind::Unavailable);
    assert!(error.message.contains("cannot be reached"), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"));
}

/// The server is killed without notice and started again: nothing accepted is lost, the backend
/// connects by itself, and hears notifications again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_server_needs_nothing_from_the_caller() {
    let folder = support::folder("restart");
    let place = folder.to_string_lossy().into_owned();
    let port = flotilla_conformance::free_ports(1).to_string();
    let run = |words: &[&str]| {
        let done = script("postgres").args(words).output().expect("the script runs");
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    };
    let Some(url) = run(&["start", &place, &port]) else {
        skip(env!("CARGO_PKG_NAME"), "worker/scripts/postgres.sh started no server")
    };
    let settings = Settings::new(url);
    Postgres::migrate(&settings).await.expect("it migrates");
    let queue = Postgres::connect(settings.clone()).await.expect("it connects");
    let now = SystemClock.now();
    let jobs: Vec<NewJob> = (0..50).map(|seed| job(now, seed)).collect();
    let made = queue.enqueue(&jobs, now).await.expect("enqueue works");
    assert!(made.iter().all(|answer| *answer == Enqueued::Created));
    let mut wakes = queue.wakes();

    run(&["stop", &place]).expect("it stops");
    let error = queue.count(&Default::default()).await.expect_err("it is down");
    assert_eq!(error.kind, QueueErrorKind::Unavailable, "{error:?}");
    wakes.mark_unchanged();
    run(&["start", &place, &port]).expect("it starts again");

    // Connections from before may fail once each; then all is as it was.
    let counted = async {
        loop {
            match queue.count(&Default::default()).await {
                Ok(n) => break n,
                Err(error) => assert_eq!(error.kind, QueueErrorKind::Unavailable, "{error:?}"),
            }
        }
    };
    let counted = tokio::time::timeout(PATIENCE, counted).await.expect("it is back");
    assert_eq!(counted, 50, "nothing accepted is lost");
    assert_eq!(claim(&queue, &LANE).await.len(), 10);
    tokio::time::timeout(PATIENCE, wakes.changed()).await.expect("it listens").expect("it lives");

    drop(queue);
    run(&["stop", &place]).expect("it stops");
    std::fs::remove_dir_all(&folder).expect("the folder goes away");
}

/// A sweep locks jobs for a moment. Who is told of such a job by the broker has used up its notice,
/// so there must be another one: it would wait for the stale ones otherwise.
#[tokio::test]
async fn a_job_that_someone_has_for_a_moment_is_told_of_again() {
    let schema = Schema::new().await;
    let settings = Settings { brokered: true, ..schema.settings.clone() };
    let queue = Postgres::connect(settings).await.expect("it connects");
    let now = SystemClock.now();
    let job = job(now, 11);
    queue.insert(std::slice::from_ref(&job), now).await.expect("it is made");
    let untold = || async { queue.unpublished(&[LANE], now, 10, now).await.expect("it looks") };
    assert!(untold().await.is_empty(), "the broker has been told");

    let (mut client, _driver) = support::connect(&support::url()).await.expect("it connects");
    let tx = client.transaction().await.expect("it begins");
    let lock = format!("SELECT FROM {}.job FOR UPDATE", schema.settings.schema);
    tx.query(&lock, &[]).await.expect("it locks");
    let taker = {
        let (queue, job) = (std::sync::Arc::clone(&queue), job.clone());
        tokio::spawn(async move {
            let worker = WorkerId::new("taker");
            queue.take(&[job], false, &worker, Duration::from_secs(15), now).await
        })
    };
    let (waiting, _driver) = support::connect(&support::url()).await.expect("it connects");
    let blocked = "SELECT FROM pg_locks WHERE NOT granted AND transactionid IS NOT NULL";
    let comes = async {
        while waiting.query(blocked, &[]).await.expect("it looks").is_empty() {
            assert!(!taker.is_finished(), "it does not answer before the other is done");
        }
    };
    tokio::time::timeout(PATIENCE, comes).await.expect("the taker waits for the lock");
    tx.rollback().await.expect("it lets go");

    let answers = taker.await.expect("no panic").expect("it answers");
    assert!(matches!(answers[..], [Taken::Waits]), "{answers:?}");
    let again: Vec<JobId> = untold().await.iter().map(|job| job.id).collect();
    assert_eq!(again, [job.id]);
}

#[tokio::test]
async fn jobs_from_before_there_was_a_broker_are_published() {
    let schema = Schema::new().await;
    let now = SystemClock.now();
    let queue = Postgres::connect(schema.settings.clone()).await.expect("it connects");
    let later = NewJob { run_at: after(now, Duration::from_secs(60)), ..job(now, 2) };
    queue.enqueue(&[job(now, 1), later], now).await.expect("it enqueues");

    let settings = Settings { brokered: true, ..schema.settings.clone() };
    let brokered = Postgres::connect(settings).await.expect("it connects");
    let told = brokered.unpublished(&[LANE], now, 10, now).await.expect("it looks");
    assert_eq!(told.len(), 1, "{told:?}");
    let (client, _driver) = support::connect(&support::url()).await.expect("it connects");
    let waiting = format!("SELECT id FROM {}.job WHERE published = 0", schema.settings.schema);
    assert_eq!(client.query(&waiting, &[]).await.expect("it looks").len(), 1, "the later one");
}
