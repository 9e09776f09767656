//! Replaying a dead letter whose irreversible call may or may not have happened, after a person has
//! looked: their word goes into the ledger first, so that the job neither repeats the effect nor
//! loses it.
//!
//! The job goes on as a new one, under an id that follows from the old: its ledger begins with what
//! the old one had done, and with what was found of the open effect. Then the dead letter is
//! discarded, with who found what. A crash in between, and saying it twice, change nothing: the
//! first word stands.

use std::collections::BTreeMap;

use bytes::Bytes;
use flotilla_core::cells::{Cell, CellWrite, Cells};
use flotilla_core::effect::Entry;
use flotilla_core::ops::{EnqueueError, Ops};
use flotilla_core::queue::{Enqueued, QueueError, QueueErrorKind};
use flotilla_core::records::{Filter, JobRecord, Records};
use flotilla_core::{DeadClass, Envelope, JobId, Payload, State, Timestamp, UniqueScope};
use serde_json::{Value, json};

/// Entries of one job that are looked at.
const ENTRIES: usize = 1000;

/// What a person found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// It happened, and gave this: what the handler goes on with.
    Did(Value),
    /// It did not happen, and will not any more: it is made again.
    DidNot,
}

/// Who says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// What was found.
    pub found: Found,
    /// By whom.
    pub by: String,
}

/// Why a word does not bring a job back.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// The word does not fit the job; nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// A port failed. Saying it again is safe.
    #[error(transparent)]
    Port(#[from] QueueError),
    /// The job cannot be enqueued any more.
    #[error(transparent)]
    Enqueue(#[from] EnqueueError),
}

/// The effects of a job that were begun and of which nobody knows whether they happened, as
/// `name/key`.
///
/// # Errors
/// When the cells cannot be read.
pub async fn open_effects(
    cells: &dyn Cells,
    id: JobId,
    now: Timestamp,
) -> Result<Vec<String>, QueueError> {
    let prefix = format!("effect/{id}/");
    let entries = cells.list(&prefix, None, ENTRIES, now).await?;
    let open = entries.into_iter().filter(|(_, cell)| is_open(cell));
    Ok(open.filter_map(|(key, _)| Some(key.strip_prefix(&prefix)?.to_owned())).collect())
}

/// An entry that cannot be read is open too: nobody knows what it says.
fn is_open(cell: &Cell) -> bool {
    !matches!(serde_json::from_slice(&cell.value), Ok(Entry::Done { .. }))
}

/// Puts a dead letter of class `outcome_unknown` back as a new job that knows what was found;
/// answers its id.
///
/// # Errors
/// [`FoundError`]; then the dead letter is still there.
pub async fn replay(
    records: &dyn Records,
    cells: &dyn Cells,
    ops: &Ops,
    record: &JobRecord,
    word: &Word,
) -> Result<JobId, FoundError> {
    if record.state != State::Dead || record.class != Some(DeadClass::OutcomeUnknown) {
        return Err(FoundError::Refused(format!(
            "{} is no dead letter of unknown outcome: replay it without a finding",
            record.id
        )));
    }
    let now = ops.clock.now();
    let open = open_effects(cells, record.id, now).await?;
    let [effect] = open.as_slice() else {
        return Err(FoundError::Refused(format!(
            "{} has {} open effects ({}), and one finding cannot speak for them: enqueue it anew or \
             discard it",
            record.id,
            open.len(),
            open.join(", ")
        )));
    };
    let id = JobId::derived(&format!("found/{}/{effect}", record.id));
    inherit(cells, record.id, id, word, now).await?;
    go_on(ops, record, id, word).await?;
    let reason = format!(
        "{} found that its effect \"{effect}\" {}; it goes on as {id}",
        word.by,
        match word.found {
            Found::Did(_) => "happened",
            Found::DidNot => "did not happen",
        }
    );
    records.discard(&Filter::id(record.id).dead(), &reason, 1, now).await?;
    Ok(id)
}

/// The new job's ledger: the old one's, with the word in the place of the open effect.
async fn inherit(
    cells: &dyn Cells,
    old: JobId,
    new: JobId,
    word: &Word,
    now: Timestamp,
) -> Result<(), QueueError> {
    let mut writes = Vec::new();
    for of in ["effect", "once"] {
        let prefix = format!("{of}/{old}/");
        for (key, cell) in cells.list(&prefix, None, ENTRIES, now).await? {
            let value = match &word.found {
                _ if of == "once" || !is_open(&cell) => cell.value.clone(),
                Found::Did(result) => done(result, now)?,
                Found::DidNot => continue, // as if it had never been tried
            };
            let rest = key.strip_prefix(&prefix).unwrap_or_default();
            let (key, expires_at) = (format!("{of}/{new}/{rest}"), cell.expires_at);
            writes.push(CellWrite { key, expect: 0, value: Some(value), expires_at });
        }
    }
    // What is there already was written by a former try: it stands.
    if !writes.is_empty() {
        cells.write(&writes, now).await?;
    }
    Ok(())
}

fn done(result: &Value, now: Timestamp) -> Result<Bytes, QueueError> {
    let entry = Entry::Done { at: now, result: result.clone() };
    serde_json::to_vec(&entry).map(Bytes::from).map_err(|error| {
        QueueError::new(QueueErrorKind::Invalid, "what was found cannot be kept", error)
    })
}

async fn go_on(ops: &Ops, old: &JobRecord, id: JobId, word: &Word) -> Result<(), FoundError> {
    let now = ops.clock.now();
    let found = match word.found {
        Found::Did(_) => "did",
        Found::DidNot => "did_not",
    };
    let lineage = json!({"job": old.id, "found": found, "by": word.by, "at": now});
    let mut extra: BTreeMap<String, Value> = old.extra.clone();
    extra.insert("replay_of".to_owned(), lineage);
    let payload = Payload::of(&old.payload).map_err(|error| {
        FoundError::Refused(format!("the payload of {} cannot be sent again: {error}", old.id))
    })?;
    let mut job = ops.prepare(
        Envelope {
            id: Some(id),
            kind_version: Some(old.version),
            lane: Some(old.lane.clone()),
            tenant: Some(old.tenant.clone()),
            priority: Some(old.priority),
            order: old.order_key.clone(),
            trace: old.trace.clone(),
            extra,
            ..Envelope::new(old.kind.clone(), payload)
        },
        now,
    )?;
    job.max_attempts = old.max_attempts;
    // A window that is still open would answer with the dead letter itself.
    job.unique = job.unique.filter(|unique| unique.scope == UniqueScope::Unfinished);
    let accepted = ops.enqueue_prepared(std::slice::from_ref(&job)).await?;
    match accepted.into_iter().next().map(|accepted| accepted.outcome) {
        Some(Enqueued::Created) => Ok(()),
        Some(Enqueued::Duplicate(there)) if there == id => Ok(()),
        Some(Enqueued::Duplicate(holder)) => Err(FoundError::Refused(format!(
            "its unique key is held by job {holder}: wait for that one, or discard this one"
        ))),
        Some(Enqueued::Rejected(why)) => Err(FoundError::Refused(why)),
        None => Err(FoundError::Refused("the queue did not answer for the job".to_owned())),
    }
}
