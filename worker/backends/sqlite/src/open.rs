//! Opening the file: folder, settings of a connection, schema and its versions, clear refusals.

use std::fs;
use std::path::Path;
use std::time::Duration;

use flotilla_core::queue::{QueueError, QueueErrorKind};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Fault, from_io};

/// Version of the schema this build reads and writes (`PRAGMA user_version`).
pub(crate) const SCHEMA: i64 = 2;

/// "FLOT": tells our files from other programs' (`PRAGMA application_id`).
const APPLICATION: i64 = 0x464c_4f54;

/// One entry per version: what leads from the one before to it.
const MIGRATIONS: [&str; 2] = [include_str!("schema.sql"), include_str!("schema_2.sql")];

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The one that writes. It never waits inside SQLite: its thread does, in short sleeps.
    Writer,
    /// Reads, or checkpoints.
    Other,
}

/// Makes folder and file where they are missing and brings the schema up to date.
pub(crate) fn prepare(path: &Path, busy: Duration) -> Result<(), QueueError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .map_err(|e| from_io(&format!("making the folder {}", folder.display()), e))?;
    let mut db = connect(path, Role::Other, busy)?;
    migrate(&mut db).map_err(|e| named(path, e))?;
    // The names of the file and its log must survive a power cut too.
    fs::File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(|e| from_io(&format!("syncing the folder {}", folder.display()), e))
}

/// How long to wait between two tries to open a file that another process is just making.
const NAP: Duration = Duration::from_millis(10);

/// A connection with its settings. SQLite asks no busy handler while a new file is switched to
/// its write-ahead log, so processes that open it at the same moment are told "busy" at once:
/// they try again here, for as long as `busy` says.
pub(crate) fn connect(path: &Path, role: Role, busy: Duration) -> Result<Connection, QueueError> {
    let mut left = busy.as_millis() / NAP.as_millis();
    loop {
        match try_connect(path, role, busy) {
            Err(error) if error.kind == QueueErrorKind::Unavailable && left > 0 => {
                left -= 1;
                std::thread::sleep(NAP);
            }
            outcome => return outcome,
        }
    }
}

fn try_connect(path: &Path, role: Role, busy: Duration) -> Result<Connection, QueueError> {
    Connection::open(path)
        .map_err(Fault::from)
        .and_then(|db| {
            db.busy_timeout(busy)?;
            configure(&db, role)?;
            Ok(db)
        })
        .map_err(|e| named(path, e))
}

fn configure(db: &Connection, role: Role) -> Result<(), Fault> {
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::Invalid(format!("its folder cannot hold a write-ahead log ({mode})")));
    }
    // NORMAL: sync.rs does the rest of FULL. Checkpoints are the checkpointer's.
    db.execute_batch(
        "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; PRAGMA foreign_keys = OFF;
         PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864;",
    )?;
    db.set_prepared_statement_cache_capacity(128);
    // Without it, binding another value may compile a statement anew: three times the CPU per job.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    if role == Role::Writer {
        db.execute_batch("PRAGMA cache_size = -16000")?;
        db.busy_timeout(Duration::ZERO)?;
    }
    Ok(())
}

fn migrate(db: &mut Connection) -> Result<(), Fault> {
    let version = |db: &Connection| db.query_row("PRAGMA user_version", [], |r| r.get::<_, i64>(0));
    if version(db)? == SCHEMA {
        return Ok(());
    }
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&tx)?; // again: another process may have been first
    if found > SCHEMA {
        return Err(Fault::Invalid(format!(
            "it was written by a newer flotilla (schema {found}, this build knows {SCHEMA}): \
             upgrade this build"
        )));
    }
    let tables: i64 = tx.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let owner: i64 = tx.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if tables > 0 && owner != APPLICATION {
        return Err(Fault::Invalid(
            "it is a database of another program: choose another path".into(),
        ));
    }
    for step in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION)?;
    tx.pragma_update(None, "user_version", SCHEMA)?;
    Ok(tx.commit()?)
}

/// The error with the path in front and, on a network filesystem, a hint behind.
fn named(path: &Path, fault: Fault) -> QueueError {
    let error = QueueError::from(fault);
    let mut message = format!("cannot use the queue file {}: {}", path.display(), error.message);
    if error.kind == QueueErrorKind::Unavailable
        && let Some(name) = network_filesystem(path)
    {
        message.push_str(&format!(
            " (it is on {name}: SQLite needs a local disk; choose a local path or a server backend)"
        ));
    }
    QueueError { message, ..error }
}

/// The name of the network filesystem that holds `path`, if it is one.
#[cfg(target_os = "linux")]
pub(crate) fn network_filesystem(path: &Path) -> Option<&'static str> {
    let folder = path.parent().filter(|p| p.exists()).unwrap_or(Path::new("."));
    // Numbers of linux/magic.h.
    match u64::try_from(rustix::fs::statfs(folder).ok()?.f_type).ok()? & 0xffff_ffff {
        0x6969 => Some("NFS"),
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => Some("SMB"),
        0x0102_1997 => Some("9p"),
        0x6573_5546 => Some("FUSE"),
        _ => None,
    }
}

/// The name of the network filesystem that holds `path`: not known on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn network_filesystem(_path: &Path) -> Option<&'static str> {
    None
}

/// An empty queue in memory, for tests of statements.
#[cfg(test)]
pub(crate) fn memory() -> Connection {
    let db = Connection::open_in_memory().unwrap();
    MIGRATIONS.iter().for_each(|step| db.execute_batch(step).unwrap());
    db
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Duration = Duration::from_secs(5);

    fn refusal(path: &Path) -> QueueError {
        prepare(path, BUSY).unwrap_err()
    }

    #[test]
    fn folder_and_file_are_made_and_opening_again_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/jobs.db");
        prepare(&path, BUSY).unwrap();
        prepare(&path, BUSY).unwrap();
    }

    #[test]
    fn what_is_not_ours_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("notes.txt");
        fs::write(&text, "not a database, and long enough to have a header".repeat(20)).unwrap();
        assert_eq!(refusal(&text).kind, QueueErrorKind::Corrupt);

        let other = dir.path().join("other.db");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        let error = refusal(&other);
        assert!(error.message.contains("another program"), "{error}");

        let newer = dir.path().join("newer.db");
        prepare(&newer, BUSY).unwrap();
        Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let error = refusal(&newer);
        assert!(
            error.message.contains("schema 99") && error.message.contains("upgrade"),
            "{error}"
        );
    }

    #[test]
    fn an_older_file_is_brought_up_to_date_and_keeps_its_jobs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jobs.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.pragma_update(None, "application_id", APPLICATION).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        old.execute_batch(
            "INSERT INTO job (id, state, lane, priority, tag, at, kind, tenant, max_attempts,
                              version, enqueued_at, run_at)
             VALUES (zeroblob(16), 1, 'l', 5, 0, 0, 'k', 't', 1, 1, 0, 0)",
        )
        .unwrap();
        drop(old);
        prepare(&path, BUSY).unwrap();
        let db = connect(&path, Role::Other, BUSY).unwrap();
        let flags = db.query_row("SELECT flags FROM job", [], |row| row.get(0));
        assert_eq!(flags, Ok(0));
        let version = db.query_row("PRAGMA user_version", [], |row| row.get(0));
        assert_eq!(version, Ok(SCHEMA));
    }

    #[test]
    fn a_folder_in_the_way_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let error = refusal(dir.path());
        assert!(error.message.contains("cannot use the queue file"), "{error}");
        fs::write(dir.path().join("file"), "").unwrap();
        let error = refusal(&dir.path().join("file/jobs.db"));
        assert!(error.message.contains("making the folder"), "{error}");
    }
}
