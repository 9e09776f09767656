//! Changing dead letters one by one, as the desk and the leaders of replays do. Runs on the writer.

use std::collections::BTreeMap;

use flotilla_core::clock::Timestamp;
use flotilla_core::envelope::Payload;
use flotilla_core::replay::{Amend, Amended, Letter};
use rusqlite::params;
use serde_json::Value;

use crate::code;
use crate::desk::{put_back, refusal};
use crate::error::{Done, Fault};
use crate::rows::Head;
use crate::tx::Tx;

/// Makes the changes, one answer each, in order.
pub(crate) fn amend(tx: &mut Tx<'_>, changes: &[Amend], now: Timestamp) -> Done<Vec<Amended>> {
    changes.iter().map(|change| one(tx, change, now)).collect()
}

fn one(tx: &mut Tx<'_>, change: &Amend, now: Timestamp) -> Done<Amended> {
    let Some(head) = Head::by_id(tx, change.id)? else { return Ok(Amended::Unknown) };
    let (class, payload, extra) = tx
        .db
        .prepare_cached(
            "SELECT class, payload, extra FROM job JOIN body USING (seq) WHERE job.seq = ?1",
        )?
        .query_row([head.seq], |row| {
            Ok((
                row.get::<_, Option<i64>>(0)?,
                row.get::<_, Vec<u8>>(1)?,
                row.get::<_, Option<String>>(2)?,
            ))
        })?;
    let extra: BTreeMap<String, Value> = match extra {
        None => BTreeMap::new(),
        Some(text) => serde_json::from_str(&text)
            .map_err(|e| Fault::Corrupt(format!("stored extra fields are not JSON: {e}")))?,
    };
    let payload = Payload::from_bytes(payload);
    let class = class.map(code::to_class).transpose()?;
    let letter = Letter { state: head.state, class, extra: &extra, payload: &payload };
    let extra = match change.decide(letter, tx.settings.max_payload, now) {
        Ok(extra) => extra,
        Err(answer) => return Ok(answer),
    };
    if change.replay
        && let Some(why) = refusal(tx, &head, now)?
    {
        return Ok(Amended::Refused(why));
    }
    let extra = serde_json::to_string(&extra)
        .map_err(|e| Fault::Invalid(format!("the mark of {} cannot be written: {e}", change.id)))?;
    tx.db
        .prepare_cached(
            "UPDATE body SET extra = ?2, payload = coalesce(?3, payload) WHERE seq = ?1",
        )?
        .execute(params![head.seq, extra, change.payload.as_ref().map(|p| &p.bytes()[..])])?;
    tx.news.changed = true;
    if change.replay {
        put_back(tx, &head, now)?;
    }
    Ok(Amended::Done)
}
