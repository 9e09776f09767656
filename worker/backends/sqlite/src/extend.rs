//! Keeping leases.

use flotilla_core::clock::Timestamp;
use flotilla_core::ids::{Fence, Receipt};
use flotilla_core::queue::{Extension, Held, Lease};
use flotilla_core::state::State;
use rusqlite::params;

use crate::code::micros;
use crate::error::Done;
use crate::rows::Head;
use crate::tx::Tx;

/// The row of a lease, if it still is the job's lease.
pub(crate) fn held(tx: &Tx<'_>, held: &Held) -> Done<Option<Head>> {
    let head = match held.receipt {
        Receipt::Number(seq) => match i64::try_from(seq) {
            Ok(seq) => Head::by_seq(tx, seq)?,
            Err(_) => None,
        },
        Receipt::None | Receipt::Handle(_) => Head::by_id(tx, held.id)?,
    };
    Ok(head.filter(|h| {
        h.id == held.id
            && h.state == State::Running
            && u64::try_from(h.fence).is_ok_and(|fence| Fence(fence) == held.fence)
    }))
}

/// Moves the end of leases to `until`.
pub(crate) fn extend(tx: &mut Tx<'_>, leases: &[Extension], until: Timestamp) -> Done<Vec<Lease>> {
    leases.iter().map(|lease| one(tx, lease, until)).collect()
}

fn one(tx: &mut Tx<'_>, lease: &Extension, until: Timestamp) -> Done<Lease> {
    let Some(head) = held(tx, &lease.held)? else { return Ok(Lease::Lost) };
    match &lease.progress {
        None => tx
            .db
            .prepare_cached("UPDATE job SET at = ?2 WHERE seq = ?1")?
            .execute(params![head.seq, micros(until)])?,
        Some(progress) => {
            tx.news.changed = true;
            tx.db
                .prepare_cached(
                    "UPDATE job SET at = ?2, progress = ?3, progress_message = ?4 WHERE seq = ?1",
                )?
                .execute(params![head.seq, micros(until), progress.fraction, progress.message])?
        }
    };
    Ok(Lease::Kept { cancel: head.cancel })
}
