//! Brings a schema up to date, and tells whether it is.

use flotilla_core::queue::{QueueError, QueueErrorKind};
use tokio_postgres::Client;

use crate::Settings;
use crate::error::{Done, Fault};
use crate::pool::Dialler;

/// The steps, oldest first; the place of a step, counted from 1, is the version it leads to.
const STEPS: [&str; 2] = [include_str!("migrations/0001.sql"), include_str!("migrations/0002.sql")];

/// The version this build works with.
pub(crate) const VERSION: i32 = STEPS.len() as i32;

/// What `migrate` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The version before; 0 where there was none.
    pub from: u32,
    /// The version now.
    pub to: u32,
}

/// Makes the schema where it is missing and applies the steps it lacks, all in one transaction.
/// Processes that do so at the same time wait for each other.
pub(crate) async fn migrate(settings: &Settings) -> Result<Migrated, QueueError> {
    let schema = settings.schema()?;
    let dialler = Dialler::new(settings)?;
    let (mut client, driver) = dialler.dial().await?;
    let driver = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(driver));
    let done = apply(&mut client, schema).await;
    drop(driver);
    let from = done?;
    if from > VERSION {
        return Err(newer(schema, from));
    }
    let count = |version: i32| u32::try_from(version).unwrap_or(0);
    Ok(Migrated { from: count(from), to: count(VERSION) })
}

async fn apply(client: &mut Client, schema: &str) -> Done<i32> {
    let tx = client.transaction().await?;
    let lock = format!("flotilla migrate {schema}");
    tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", &[&lock]).await?;
    tx.batch_execute(&format!(
        "SET LOCAL client_min_messages = warning;
         CREATE SCHEMA IF NOT EXISTS \"{schema}\";
         SET LOCAL search_path = \"{schema}\", pg_temp;
         CREATE TABLE IF NOT EXISTS schema_version (
             version    integer     PRIMARY KEY,
             applied_at timestamptz NOT NULL DEFAULT now()
         )"
    ))
    .await?;
    let from: i32 =
        tx.query_one("SELECT coalesce(max(version), 0) FROM schema_version", &[]).await?.get(0);
    for (step, version) in STEPS.iter().zip(1..).filter(|(_, version)| *version > from) {
        let step = step
            .replace("{schema}", &format!("\"{schema}\""))
            .replace("{channel}", &format!("'{schema}'"));
        tx.batch_execute(&step).await?;
        tx.execute("INSERT INTO schema_version (version) VALUES ($1)", &[&version]).await?;
    }
    if from > VERSION {
        tx.rollback().await?;
    } else {
        tx.commit().await?;
    }
    Ok(from)
}

/// Refuses a schema this build does not know.
pub(crate) async fn check(client: &Client, schema: &str) -> Result<(), QueueError> {
    let table = format!("\"{schema}\".schema_version");
    let there: bool = client
        .query_one("SELECT to_regclass($1) IS NOT NULL", &[&table])
        .await
        .map_err(Fault::from)?
        .get(0);
    let version: i32 = if there {
        let statement = format!("SELECT coalesce(max(version), 0) FROM {table}");
        client.query_one(&statement, &[]).await.map_err(Fault::from)?.get(0)
    } else {
        0
    };
    match version {
        VERSION => Ok(()),
        0 => Err(unready(format!(
            "the schema \"{schema}\" of the database has no tables of Flotilla; run: flotilla migrate"
        ))),
        older if older < VERSION => Err(unready(format!(
            "the tables in the schema \"{schema}\" have version {older}, this build needs {VERSION}; \
             run: flotilla migrate"
        ))),
        version => Err(newer(schema, version)),
    }
}

fn newer(schema: &str, version: i32) -> QueueError {
    unready(format!(
        "the tables in the schema \"{schema}\" have version {version}, newer than the {VERSION} this \
         build knows: upgrade this binary"
    ))
}

fn unready(message: String) -> QueueError {
    QueueError::plain(QueueErrorKind::Invalid, message)
}
