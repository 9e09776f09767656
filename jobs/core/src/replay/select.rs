//! Which dead letters a person means: what the records can filter by, and the group.

use serde::{Deserialize, Serialize};

use super::fingerprint::{Fingerprint, of_record};
use crate::clock::Timestamp;
use crate::ids::{JobId, Kind, Lane, Tenant};
use crate::queue::QueueError;
use crate::records::{Filter, JobRecord, Page, Records};
use crate::state::DeadClass;

/// Dead letters read at once.
const PAGE: usize = 500;

/// Which dead letters. Empty means all; fields are joined by "and", values of one field by "or".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// By id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<JobId>,
    /// By lane.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lanes: Vec<Lane>,
    /// By kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<Kind>,
    /// By tenant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<Tenant>,
    /// By class.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<DeadClass>,
    /// By group: fingerprints of the last error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Fingerprint>,
    /// Enqueued at or after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Enqueued before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// A part of the last error's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Selection {
    /// What the records are asked for: dead letters, of any group.
    pub fn filter(&self) -> Filter {
        Filter {
            ids: self.ids.clone(),
            lanes: self.lanes.clone(),
            kinds: self.kinds.clone(),
            tenants: self.tenants.clone(),
            classes: self.classes.clone(),
            since: self.since,
            until: self.until,
            error: self.error.clone(),
            ..Filter::default()
        }
        .dead()
    }

    /// Whether a dead letter that passed [`filter`](Self::filter) is meant.
    pub fn takes(&self, record: &JobRecord) -> bool {
        self.groups.is_empty() || self.groups.contains(&of_record(record))
    }
}

/// The ids of dead letters that are meant, newest first, at most `most`.
///
/// # Errors
/// When the records cannot be read.
pub async fn select(
    records: &dyn Records,
    selection: &Selection,
    most: usize,
) -> Result<Vec<JobId>, QueueError> {
    let (filter, mut before) = (selection.filter(), None);
    let mut found = Vec::new();
    while found.len() < most {
        let listed = records.list(&filter, Page { limit: PAGE, before }).await?;
        let meant = listed.jobs.iter().filter(|record| selection.takes(record));
        found.extend(meant.map(|record| record.id).take(most - found.len()));
        before = listed.next;
        if before.is_none() {
            break;
        }
    }
    Ok(found)
}
