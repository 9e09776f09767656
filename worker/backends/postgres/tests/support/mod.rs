//! A real server for the tests, and a schema of its own for each.
//!
//! `FLOTILLA_TEST_POSTGRES_URL` names a server that is there (`worker/scripts/test.sh` starts one).
//! Else each test process starts a private one through `worker/scripts/postgres.sh hold`, which stops
//! it and deletes its folder when this process ends, however it ends.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use flotilla_conformance::servers::Server;
use flotilla_postgres::{Postgres, Settings};

static SERVER: Server =
    Server::new("FLOTILLA_TEST_POSTGRES_URL", "postgres", &["fsync=off", "full_page_writes=off"]);

/// The address of the server; without one the test process says so and ends, skipped.
pub(crate) fn url() -> String {
    SERVER.url(env!("CARGO_PKG_NAME"))
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
