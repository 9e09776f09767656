//! What a person asks of a replay, and within which bounds.

use json_patch::Patch;
use serde::{Deserialize, Serialize};

use super::select::Selection;

/// Ids one request may name.
const MOST_IDS: usize = 500;
/// The largest patch, as JSON, in bytes.
const LARGEST_PATCH: usize = 8 * 1024;
/// The largest request, as JSON, in bytes: it lies in a cell.
const LARGEST: usize = 40 * 1024;
/// The longest reason and name, in bytes.
const LONGEST_WORD: usize = 500;
/// The fastest, in dead letters per second.
const FASTEST: f64 = 10_000.0;
/// The slowest: one in a quarter of an hour.
const SLOWEST: f64 = 0.001;
/// The most dead letters of one operation.
const MOST: u64 = 1_000_000;
/// The longest ramp.
const LONGEST_RAMP: u32 = 3600;

/// A replay of many dead letters, as it is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Which dead letters.
    #[serde(default)]
    pub selection: Selection,
    /// Changes every payload first (RFC 6902); one that is no payload of its kind then is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Patch>,
    /// So many go first, the oldest; the rest waits until all of these have ended or failed.
    #[serde(default)]
    pub canary: u32,
    /// Dead letters per second; as fast as batches go when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Over so many seconds the rate grows from nothing to its height.
    #[serde(default)]
    pub ramp_seconds: u32,
    /// Stop when more than this share of those that came to an end has failed, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_at: Option<f64>,
    /// Not before so many have come to an end.
    #[serde(default = "enough")]
    pub stop_after: u32,
    /// At most so many, the newest ones; a million when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Who asks.
    #[serde(default)]
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

fn enough() -> u32 {
    20
}

impl Default for Request {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            patch: None,
            canary: 0,
            rate: None,
            ramp_seconds: 0,
            stop_at: None,
            stop_after: enough(),
            limit: None,
            by: String::new(),
            reason: String::new(),
        }
    }
}

/// Why a request cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct RequestError {
    /// Which field.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Request {
    /// At most so many dead letters.
    pub fn most(&self) -> u64 {
        self.limit.unwrap_or(MOST).min(MOST)
    }

    /// Whether it keeps all bounds.
    ///
    /// # Errors
    /// The first field that does not.
    pub fn check(&self) -> Result<(), RequestError> {
        let fault = |field, message: String| Err(RequestError { field, message });
        let ids = self.selection.ids.len();
        if ids > MOST_IDS {
            return fault(
                "ids",
                format!("{ids} ids; at most {MOST_IDS} are allowed: use a filter"),
            );
        }
        let within = |rate: f64| (SLOWEST..=FASTEST).contains(&rate);
        if self.rate.is_some_and(|rate| !within(rate)) {
            return fault("rate", format!("give {SLOWEST} to {FASTEST} dead letters a second"));
        }
        if self.ramp_seconds > LONGEST_RAMP {
            return fault("ramp", format!("at most {LONGEST_RAMP} seconds are allowed"));
        }
        if self.ramp_seconds > 0 && self.rate.is_none() {
            return fault("ramp", "it leads to a rate: give one".into());
        }
        if self.stop_at.is_some_and(|ratio| !(0.0..=1.0).contains(&ratio)) {
            return fault("stop_at", "give a share between 0 and 1, as in 0.2".into());
        }
        if self.limit == Some(0) {
            return fault("limit", "give 1 at least".into());
        }
        for (field, text) in [("by", &self.by), ("reason", &self.reason)] {
            if text.len() > LONGEST_WORD {
                return fault(field, format!("at most {LONGEST_WORD} bytes are allowed"));
            }
        }
        if self.patch.as_ref().is_some_and(|patch| size(patch) > LARGEST_PATCH) {
            return fault("patch", format!("at most {LARGEST_PATCH} bytes are allowed"));
        }
        if size(self) > LARGEST {
            return fault("selection", format!("the request has more than {LARGEST} bytes"));
        }
        Ok(())
    }
}

/// The size of anything as JSON; what cannot be written is too large.
fn size(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |bytes| bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::JobId;

    #[test]
    fn bounds_are_kept_and_faults_name_their_field() {
        let fault = |request: Request| request.check().unwrap_err().field;
        assert_eq!(Request::default().check(), Ok(()));
        assert_eq!(fault(Request { rate: Some(0.0), ..Request::default() }), "rate");
        assert_eq!(fault(Request { rate: Some(f64::NAN), ..Request::default() }), "rate");
        assert_eq!(fault(Request { ramp_seconds: 5, ..Request::default() }), "ramp");
        assert_eq!(fault(Request { stop_at: Some(1.5), ..Request::default() }), "stop_at");
        assert_eq!(fault(Request { limit: Some(0), ..Request::default() }), "limit");
        assert_eq!(fault(Request { reason: "x".repeat(501), ..Request::default() }), "reason");
        let ids = (0..501).map(|n| JobId::derived(&n.to_string())).collect();
        let selection = Selection { ids, ..Selection::default() };
        assert_eq!(fault(Request { selection, ..Request::default() }), "ids");
        let error = Some("x".repeat(50_000));
        let selection = Selection { error, ..Selection::default() };
        assert_eq!(fault(Request { selection, ..Request::default() }), "selection");
    }

    #[test]
    fn the_wire_form_needs_nothing_and_refuses_what_it_does_not_know() {
        let request: Request = serde_json::from_str("{}").unwrap();
        assert_eq!(request, Request::default());
        let json = r#"{"patch":[{"op":"replace","path":"/width","value":5}],"rate":2.5}"#;
        let request: Request = serde_json::from_str(json).unwrap();
        assert_eq!(request.patch.as_ref().map(|patch| patch.0.len()), Some(1));
        assert!(serde_json::from_str::<Request>(r#"{"rates":1}"#).is_err());
    }
}
