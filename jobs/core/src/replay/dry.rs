//! What a request would do, without doing it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::operation::Counts;
use super::payload::patched;
use super::request::Request;
use crate::clock::Timestamp;
use crate::ids::{JobId, Kind};
use crate::queue::QueueError;
use crate::records::{Page, Records};
use crate::registry::Registry;
use crate::state::DeadClass;

/// Dead letters read at once.
const PAGE: usize = 500;
/// Ids shown of those that would go back.
const SAMPLES: usize = 5;

/// What a replay would do now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DryRun {
    /// Dead letters that match.
    pub matching: u64,
    /// Of these: would go back.
    pub would_replay: u64,
    /// Of these: nobody knows whether they did what cannot be undone; no replay by a filter
    /// touches them.
    pub outcome_unknown: u64,
    /// Of these: would be refused, because of what the patch makes of them.
    pub refused: u64,
    /// Refusals by reason.
    pub reasons: BTreeMap<String, u64>,
    /// Some that would be refused, and why.
    pub refused_samples: Vec<(JobId, String)>,
    /// Would go back, by kind.
    pub kinds: BTreeMap<Kind, u64>,
    /// Would go back, by class.
    pub classes: BTreeMap<DeadClass, u64>,
    /// The newest that would go back.
    pub samples: Vec<JobId>,
    /// What the patch changes, for the first of these.
    pub patched: Vec<String>,
    /// How long it would take at the rate that was asked for, in seconds; without the canary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// Looks at every dead letter that is meant, up to the request's limit. What only the queue knows
/// when the moment comes (a unique key that another job holds) is refused then.
///
/// # Errors
/// When the records cannot be read.
pub async fn dry_run(
    records: &dyn Records,
    registry: &Registry,
    request: &Request,
    now: Timestamp,
) -> Result<DryRun, QueueError> {
    let (filter, mut page) = (request.selection.filter(), Page { limit: PAGE, before: None });
    let (mut dry, mut refused) = (DryRun::default(), Counts::default());
    'pages: loop {
        let listed = records.list(&filter, page).await?;
        for record in listed.jobs.iter().filter(|record| request.selection.takes(record)) {
            if dry.would_replay + dry.refused >= request.most() {
                break 'pages;
            }
            if record.finished_at.is_some_and(|died| died > now) {
                continue;
            }
            dry.matching += 1;
            if record.class == Some(DeadClass::OutcomeUnknown) {
                dry.outcome_unknown += 1;
                continue;
            }
            let patch = request.patch.as_ref();
            match patch.map(|patch| patched(registry, record, patch)).transpose() {
                Err(why) => {
                    dry.refused += 1;
                    refused.refuse(record.id, &why);
                    continue;
                }
                Ok(Some(revision)) if dry.would_replay == 0 => {
                    dry.patched = revision.lines(&record.payload);
                }
                Ok(_) => {}
            }
            dry.would_replay += 1;
            *dry.kinds.entry(record.kind.clone()).or_default() += 1;
            if let Some(class) = record.class {
                *dry.classes.entry(class).or_default() += 1;
            }
            if dry.samples.len() < SAMPLES {
                dry.samples.push(record.id);
            }
        }
        page.before = listed.next;
        if page.before.is_none() {
            break;
        }
    }
    (dry.reasons, dry.refused_samples) = (refused.reasons, refused.samples);
    let ramp = f64::from(request.ramp_seconds) / 2.0;
    dry.seconds = request.rate.map(|rate| dry.would_replay as f64 / rate + ramp);
    Ok(dry)
}
