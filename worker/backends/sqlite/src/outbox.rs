//! Ends that nobody was told of yet.

use flotilla_core::ids::{Fence, JobId};
use flotilla_core::outbox::Untold;
use rusqlite::{Connection, params};

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

/// These have been told; of a job replayed since, nothing is changed.
pub(crate) fn told(tx: &Tx<'_>, ends: &[(JobId, Fence)]) -> Done<()> {
    let mut told = tx.db.prepare_cached(
        "UPDATE job SET untold = NULL WHERE id = ?1 AND fence = ?2 AND untold IS NOT NULL",
    )?;
    for (id, fence) in ends {
        if let Ok(fence) = i64::try_from(fence.0) {
            told.execute(params![&id.as_bytes()[..], fence])?;
        }
    }
    Ok(())
}
