//! A real server for the tests, and a schema of its own for each.
//!
//! `FLOTILLA_TEST_POSTGRES_URL` names a server that is there (`worker/scripts/test.sh` starts one).
//! Else each test process starts a private one through `worker/scripts/postgres.sh hold`, which stops
//! it and deletes its folder when this process ends, however it ends.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use flotilla_postgres::{Postgres, Settings};

/// The address of the server of this process, or why there is none.
fn server() -> &'static Result<String, String> {
    static SERVER: OnceLock<Result<String, String>> = OnceLock::new();
    SERVER.get_or_init(|| match std::env::var("FLOTILLA_TEST_POSTGRES_URL") {
        Ok(url) if !url.is_empty() => Ok(url),
        _ => {
            let folder = std::env::temp_dir().join(format!("flotilla-pg-{}", std::process::id()));
            let mut child = script()
                .args([
                    "hold",
                    &folder.to_string_lossy(),
                    &flotilla_conformance::free_ports(1).to_string(),
                ])
                .args(["fsync=off", "full_page_writes=off"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::inherit())
                .spawn()
                .map_err(|e| format!("worker/scripts/postgres.sh cannot be run: {e}"))?;
            let url = first_line(&mut child);
            // Its input stays open until this process ends.
            std::mem::forget(child.stdin.take());
            url.ok_or_else(|| "worker/scripts/postgres.sh started no server".into())
        }
    })
}

/// The script that starts and stops servers.
pub(crate) fn script() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    Command::new(root.join("worker/scripts/postgres.sh"))
}

/// The line a program prints first.
pub(crate) fn first_line(child: &mut Child) -> Option<String> {
    let mut line = String::new();
    BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// The address of the server; without one the test process says so and ends, skipped.
pub(crate) fn url() -> String {
    match server() {
        Ok(url) => url.clone(),
        Err(why) => skip(why),
    }
}

/// Ends the process as skipped. Not through `println!`: the harness would keep that to itself.
pub(crate) fn skip(why: &str) -> ! {
    let _shown = writeln!(std::io::stderr(), "skipped: {why}");
    if let Some(log) = std::env::var_os("FLOTILLA_SKIP_LOG")
        && let Ok(mut log) = std::fs::OpenOptions::new().append(true).create(true).open(log)
    {
        let _logged = writeln!(log, "flotilla-postgres: {why}");
    }
    std::process::exit(0)
}

/// A schema that goes away.
pub(crate) struct Schema {
    pub(crate) settings: Settings,
}

impl Schema {
    /// A new one with its tables.
    pub(crate) async fn new() -> Self {
        let schema = Self::empty();
        Postgres::migrate(&schema.settings).await.expect("the schema is made");
        schema
    }

    /// A new name; nothing is made.
    pub(crate) fn empty() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let schema = format!("test_{}_{n}", std::process::id());
        Self { settings: Settings { schema, pool_size: 6, ..Settings::new(url()) } }
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let statement = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.settings.schema);
        let url = url();
        // A thread, since this may run inside a runtime that must not block.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (client, driver) = connect(&url).await.map_err(std::io::Error::other)?;
                client.batch_execute(&statement).await.map_err(std::io::Error::other)?;
                drop(client);
                let _ended = driver.await;
                Ok::<_, std::io::Error>(())
            })
        });
        let _best_effort = dropped.join();
    }
}

/// A plain connection, as another program would have one.
pub(crate) async fn connect(
    url: &str,
) -> Result<(tokio_postgres::Client, tokio::task::JoinHandle<()>), tokio_postgres::Error> {
    let (client, driver) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    let driver = tokio::spawn(async move {
        let _ended = driver.await;
    });
    Ok((client, driver))
}

/// A folder below the temporary one that the server's user can reach.
pub(crate) fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("flotilla-pg-{name}-{}", std::process::id()))
}
