//! A payload that is to be another one: checked as an enqueue would, and what is different.

use json_patch::{Patch, PatchOperation};
use serde::Serialize;
use serde_json::Value;

use crate::envelope::Payload;
use crate::records::JobRecord;
use crate::registry::Registry;

/// How much of a value a difference shows, in characters.
const SHOWN: usize = 200;

/// A payload that may take the place of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// The new payload.
    pub payload: Payload,
    /// What is different, as RFC 6902; empty: nothing.
    pub changes: Patch,
}

impl Revision {
    /// One line per difference: `+ /path: new`, `- /path: old`, `~ /path: old → new`.
    pub fn lines(&self, old: &Value) -> Vec<String> {
        let was = |path: &str| old.pointer(path).map_or_else(String::new, show);
        let line = |change: &PatchOperation| match change {
            PatchOperation::Add(add) => format!("+ {}: {}", add.path, show(&add.value)),
            PatchOperation::Remove(remove) => {
                format!("- {}: {}", remove.path, was(remove.path.as_str()))
            }
            PatchOperation::Replace(put) => {
                format!("~ {}: {} → {}", put.path, was(put.path.as_str()), show(&put.value))
            }
            other => show(other),
        };
        self.changes.iter().map(line).collect()
    }
}

fn show(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    if text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN).chain(['…']).collect()
}

/// What a dead letter's payload becomes by a patch, where a worker could run it then.
///
/// # Errors
/// Why not: the patch does not fit, or what comes of it is no payload of the kind.
pub fn patched(registry: &Registry, record: &JobRecord, patch: &Patch) -> Result<Revision, String> {
    let mut value = record.payload.clone();
    json_patch::patch(&mut value, patch)
        .map_err(|error| format!("the patch does not fit: {error}"))?;
    revised(registry, record, &value)
}

/// Checks `new` as the payload of a dead letter.
///
/// # Errors
/// What is wrong with it, as one would be told at an enqueue.
pub fn revised(registry: &Registry, record: &JobRecord, new: &Value) -> Result<Revision, String> {
    let kind = registry.get(record.kind.as_str()).map_err(|error| error.to_string())?;
    let payload = Payload::of(new).map_err(|error| error.to_string())?;
    kind.check(record.version, &payload).map_err(|error| error.to_string())?;
    Ok(Revision { payload, changes: difference(&record.payload, new) })
}

/// What makes the one of the other, as RFC 6902.
pub fn difference(old: &Value, new: &Value) -> Patch {
    json_patch::diff(old, new)
}
