//! Ends that nobody was told of yet.

use flotilla_core::clock::Timestamp;
use flotilla_core::ids::{Fence, JobId};
use flotilla_core::outbox::Untold;
use rusqlite::{Connection, params};

use crate::code::micros;
use crate::error::Done;
use crate::records;
use crate::tx::Tx;

/// The longest list.
const PAGE: usize = 1000;

/// Ends not yet told, earliest first.
pub(crate) fn untold(db: &Connection, limit: usize) -> Done<Vec<Untold>> {
    let found = records::untold(db, limit.min(PAGE))?;
    Ok(found.into_iter().map(|(record, fence)| Untold { record, fence }).collect())
}

/// A job has ended: somebody is to be told.
pub(crate) fn mark(tx: &Tx<'_>, seq: i64, now: Timestamp) -> Done<()> {
    tx.db
        .prepare_cached("INSERT OR REPLACE INTO untold (seq, finished_at) VALUES (?1, ?2)")?
        .execute([seq, micros(now)])?;
    Ok(())
}

/// It has not ended after all, or was told.
pub(crate) fn unmark(tx: &Tx<'_>, seq: i64) -> Done<()> {
    tx.db.prepare_cached("DELETE FROM untold WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// These have been told; of a job replayed since, nothing is changed.
pub(crate) fn told(tx: &Tx<'_>, ends: &[(JobId, Fence)]) -> Done<()> {
    let mut told = tx.db.prepare_cached(
        "DELETE FROM untold WHERE seq = (SELECT seq FROM job WHERE id = ?1 AND fence = ?2)",
    )?;
    for (id, fence) in ends {
        if let Ok(fence) = i64::try_from(fence.0) {
            told.execute(params![&id.as_bytes()[..], fence])?;
        }
    }
    Ok(())
}
