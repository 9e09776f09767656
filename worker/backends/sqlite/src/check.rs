//! What `doctor` asks of the file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rusqlite::Connection;

use crate::error::Done;
use crate::open::network_filesystem;

/// Below this much free space, jobs are soon refused.
const SCARCE: u64 = 256 * 1024 * 1024;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What: "integrity", "journal", "space", "owner", "filesystem", "log".
    pub what: &'static str,
    /// Nothing to do.
    pub ok: bool,
    /// What was found and, if not ok, what to do.
    pub says: String,
}

/// Looks at the file: reads all of it once.
pub(crate) fn check(db: &Connection, path: &Path) -> Done<Vec<Finding>> {
    let integrity: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    let journal: String = db.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    let mut findings = vec![
        match integrity.as_str() {
            "ok" => good("integrity", "the file is sound"),
            fault => bad("integrity", format!("{fault}: stop all workers, restore a backup")),
        },
        match journal.as_str() {
            "wal" => good("journal", "write-ahead log"),
            mode => bad("journal", format!("{mode}, not wal: another program changed it")),
        },
        space(path),
        owner(path),
        log(path),
    ];
    findings.extend(network_filesystem(path).map(|name| {
        bad("filesystem", format!("{name}: SQLite needs a local disk; choose a local path"))
    }));
    Ok(findings)
}

fn space(path: &Path) -> Finding {
    match rustix::fs::statvfs(path) {
        Ok(fs) => {
            let free = fs.f_bavail.saturating_mul(fs.f_frsize);
            let says = format!("{} MiB free", free >> 20);
            if free >= SCARCE {
                good("space", says)
            } else {
                bad("space", format!("{says}: enqueues are refused when it is full; make room"))
            }
        }
        Err(error) => bad("space", format!("unknown: {error}")),
    }
}

fn owner(path: &Path) -> Finding {
    let me = rustix::process::geteuid().as_raw();
    match fs::metadata(path) {
        Err(error) => bad("owner", format!("unknown: {error}")),
        Ok(file) => {
            let says = format!("uid {}, mode {:o}", file.uid(), file.mode() & 0o777);
            if file.mode() & 0o002 != 0 {
                bad("owner", format!("{says}: anyone may write jobs; chmod o-w"))
            } else if file.uid() != me {
                bad("owner", format!("{says}, this process is uid {me}: run as the owner"))
            } else {
                good("owner", says)
            }
        }
    }
}

fn log(path: &Path) -> Finding {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    let bytes = fs::metadata(name).map_or(0, |log| log.len());
    good("log", format!("{} KiB of log beside the file", bytes >> 10))
}

fn good(what: &'static str, says: impl Into<String>) -> Finding {
    Finding { what, ok: true, says: says.into() }
}

fn bad(what: &'static str, says: impl Into<String>) -> Finding {
    Finding { what, ok: false, says: says.into() }
}
