//! What goes wrong around the server: certificates that do not fit, a disk that is full.

#[expect(dead_code, reason = "each test binary uses its part of the module")]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flotilla_conformance::servers::{script, skip};
use flotilla_core::clock::{Clock, SystemClock, Timestamp};
use flotilla_core::envelope::Payload;
use flotilla_core::ids::{JobId, Kind, Lane, WorkerId};
use flotilla_core::queue::{
    LaneDemand, NewJob, Queue, QueueErrorKind, Settled, Settlement, Verdict,
};
use flotilla_core::records::Records;
use flotilla_core::rng::SeededRng;
use flotilla_postgres::{Postgres, Settings};

const KIND: Kind = Kind::from_static("test.run");
const LANE: Lane = Lane::from_static("main");

/// Runs a program; whether it succeeded.
fn ran(program: &str, words: &[&str]) -> bool {
    Command::new(program).args(words).output().is_ok_and(|done| done.status.success())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|done| done.stdout.starts_with(b"0\n"))
}

/// A server of its own, stopped and deleted when it goes.
struct Server {
    folder: PathBuf,
    url: String,
}

impl Server {
    fn start(name: &str, folder: PathBuf, settings: &[&str]) -> Self {
        let (place, port) =
            (folder.to_string_lossy().into_owned(), flotilla_conformance::free_ports(1));
        let mut words = vec!["start".to_owned(), place, port.to_string()];
        words.extend(settings.iter().map(|&setting| setting.to_owned()));
        let done = script("postgres").args(words).output().expect("the script runs");
        if !done.status.success() {
            let why = String::from_utf8_lossy(&done.stderr).into_owned();
            skip(
                env!("CARGO_PKG_NAME"),
                &format!("{name}: worker/scripts/postgres.sh started no server: {why}"),
            );
        }
        Self { folder, url: String::from_utf8_lossy(&done.stdout).trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _stopped = script("postgres").arg("stop").arg(&self.folder).output();
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

/// An authority and a certificate of it for `localhost` and 127.0.0.1, made by the program openssl.
fn certificates(folder: &Path) -> bool {
    let at = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let names = at("names");
    std::fs::write(&names, "subjectAltName=DNS:localhost,IP:127.0.0.1").expect("it is written");
    let (ca, ca_key) = (at("ca.pem"), at("ca.key"));
    let (request, key, certificate) = (at("server.csr"), at("server.key"), at("server.pem"));
    let elliptic = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let made = ["ca.pem", "other.pem"].iter().all(|name| {
        let (out, key) =
            (at(name), if *name == "ca.pem" { ca_key.clone() } else { at("other.key") });
        let subject =
            ["req", "-x509", "-days", "2", "-subj", "/CN=Test CA", "-keyout", &key, "-out", &out];
        ran("openssl", &[&subject[..], &elliptic[..]].concat())
    });
    let subject = ["req", "-subj", "/CN=localhost", "-keyout", &key, "-out", &request];
    let sign = [
        "x509",
        "-req",
        "-days",
        "2",
        "-in",
        &request,
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
        "-CAcreateserial",
        "-out",
        &certificate,
        "-extfile",
        &names,
    ];
    let made = made
        && ran("openssl", &[&subject[..], &elliptic[..]].concat())
        && ran("openssl", &sign)
        && ran("chmod", &["600", &key]);
    made && (!is_root() || ran("chown", &["postgres", &key, &certificate]))
}

#[tokio::test]
async fn a_connection_is_encrypted_and_only_to_a_server_of_the_given_authority() {
    let folder = support::folder("tls");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    if !certificates(&folder) {
        skip(env!("CARGO_PKG_NAME"), "no program openssl to make certificates with");
    }
    let at = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (certificate, key) = (at("server.pem"), at("server.key"));
    let server = Server::start(
        "tls",
        folder.clone(),
        &["ssl=on", &format!("ssl_cert_file={certificate}"), &format!("ssl_key_file={key}")],
    );
    let with = |mode: &str, authority: &str| Settings {
        ca_file: Some(authority.into()),
        ..Settings::new(format!("{}?sslmode={mode}", server.url))
    };
    for mode in ["require", "verify-ca", "verify-full"] {
        let settings = with(mode, &at("ca.pem"));
        Postgres::migrate(&settings).await.expect("it migrates");
        Postgres::connect(settings).await.expect("it connects");
    }
    // Every connection but this one is encrypted.
    let queue = Postgres::connect(with("verify-full", &at("ca.pem"))).await.expect("it connects");
    queue.count(&Default::default()).await.expect("count works");
    let (client, _driver) = support::connect(&server.url).await.expect("it connects");
    let plain = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl)
                 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                 WHERE application_name = 'flotilla'";
    let row = client.query_one(plain, &[]).await.expect("it looks");
    assert!(row.get::<_, i64>(0) > 0 && row.get::<_, i64>(1) == 0, "{row:?}");
    drop(queue);

    let refused = Postgres::connect(with("require", &at("other.pem"))).await;
    let error = refused.expect_err("another authority signed it");
    assert_eq!(error.kind, QueueErrorKind::Unavailable, "{error:?}");
    assert!(error.message.contains("check the root certificate"), "{error:?}");
}

fn job(now: Timestamp, seed: u64) -> NewJob {
    NewJob {
        payload: Payload::from_bytes(format!("\"{}\"", "x".repeat(900))),
        ..NewJob::new(JobId::new(now, &SeededRng::new(seed)), KIND, LANE, now)
    }
}

/// A small filesystem, unmounted when it goes.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).ok()?;
        let place = at.to_string_lossy().into_owned();
        let mounted = ran("mount", &["-t", "tmpfs", "-o", "size=6m", "tmpfs", &place]);
        mounted.then_some(Self(at)).filter(|_| ran("chown", &["postgres", &place]))
    }

    fn grow(&self) {
        let place = self.0.to_string_lossy().into_owned();
        assert!(ran("mount", &["-o", "remount,size=64m", &place]), "it can be made larger");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        ran("umount", &["-l", &self.0.to_string_lossy()]);
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_all_goes_on_when_there_is_room() {
    if !is_root() {
        skip(env!("CARGO_PKG_NAME"), "a small filesystem can be mounted by root only");
    }
    let folder = support::folder("full");
    let server = Server::start("full disk", folder.clone(), &[]);
    let Some(small) = Small::mount(folder.join("small")) else {
        skip(env!("CARGO_PKG_NAME"), "no small filesystem can be mounted here")
    };
    let (client, _driver) = support::connect(&server.url).await.expect("it connects");
    let place = small.0.to_string_lossy().into_owned();
    let tables = format!("CREATE TABLESPACE small LOCATION '{place}'");
    client.batch_execute(&tables).await.expect("a tablespace is made");
    let url = format!("{}?options=-c%20default_tablespace%3Dsmall", server.url);
    let settings = Settings { statement_timeout: Duration::from_secs(20), ..Settings::new(url) };
    Postgres::migrate(&settings).await.expect("it migrates");
    let queue = Postgres::connect(settings).await.expect("it connects");
    let now = SystemClock.now();

    let mut accepted = 0;
    let error = loop {
        let batch: Vec<NewJob> = (0..100).map(|n| job(now, accepted + n)).collect();
        match queue.enqueue(&batch, now).await {
            Ok(_) => accepted += 100,
            Err(error) => break error,
        }
        assert!(accepted < 100_000, "6 MiB hold no more than that");
    };
    assert_eq!(error.kind, QueueErrorKind::Full, "{error:?}");
    assert!(error.message.contains("free disk space"), "{error}");
    let single = queue.enqueue(&[job(now, 999_999)], now).await;
    if let Err(error) = &single {
        assert_eq!(error.kind, QueueErrorKind::Full, "{error:?}");
    }
    let accepted = accepted + u64::from(single.is_ok());
    let all = queue.count(&Default::default()).await.expect("looking works");
    assert_eq!(all, accepted, "what was answered is there, and nothing else");

    small.grow();
    let mut done = 0;
    loop {
        let demand = [LaneDemand { lane: LANE, slots: 200, kinds: vec![KIND] }];
        let worker = WorkerId::new("tester");
        let claims = queue.claim(&demand, &worker, Duration::from_secs(60), now).await;
        let jobs = claims.expect("claim works").jobs;
        if jobs.is_empty() {
            break;
        }
        let verdict = || Verdict::Completed { result: "null".into(), keep_until: now };
        let ends: Vec<Settlement> = jobs
            .iter()
            .map(|job| Settlement { held: job.held.clone(), verdict: verdict() })
            .collect();
        let answers = queue.settle(&ends, now).await.expect("settle works");
        assert!(answers.iter().all(|answer| *answer == Settled::Applied));
        done += answers.len() as u64;
    }
    assert_eq!(done, accepted, "each once");
    drop((queue, client));
    drop(small); // before the folder it is in
}
