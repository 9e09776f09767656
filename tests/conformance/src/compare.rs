//! What two backends must say alike, and what the contract leaves open.

use std::fmt::Debug;

use flotilla_core::ids::JobId;
use flotilla_core::queue::{Claimed, Housekeeping};
use flotilla_core::records::{Filter, JobRecord, Page};
use flotilla_core::state::State;

use crate::scene::Scene;

/// Fails where the backend answers otherwise than the model.
///
/// # Panics
/// When they differ.
pub(crate) fn same<T: PartialEq + Debug>(at: &str, what: &str, theirs: T, ours: T) {
    assert_eq!(theirs, ours, "{what} differs from the model ({at}): left is the backend's answer");
}

/// What a claim must say alike; fences count differently, and moments of promotion too.
pub(crate) fn seen_in_claim(job: &Claimed) -> (JobId, u32, u32, u32, String) {
    let rest = format!("{} {} {} {}", job.lane, job.kind, job.tenant, job.priority.level());
    (job.held.id, job.attempt, job.max_attempts, job.crashes, rest)
}

/// Sums of what must agree; promotions may also happen in claims.
pub(crate) fn in_all(rounds: &[Housekeeping]) -> [u64; 4] {
    let sum = |of: fn(&Housekeeping) -> u64| rounds.iter().map(of).sum();
    [sum(|d| d.rescued), sum(|d| d.quarantined), sum(|d| d.expired), sum(|d| d.pruned)]
}

pub(crate) async fn all_records(s: &Scene) -> Vec<JobRecord> {
    let page = Page { limit: 1000, before: None };
    s.ports.records.list(&Filter::default(), page).await.expect("list works").jobs
}

/// A record without what the contract leaves open.
pub(crate) fn plain(record: &JobRecord) -> JobRecord {
    let mut plain = record.clone();
    if !matches!(plain.state, State::Scheduled | State::Retryable) {
        plain.run_at = plain.enqueued_at;
    }
    if plain.state != State::Running {
        plain.progress = None;
        plain.cancel_requested = false;
    }
    if !matches!(plain.state, State::Scheduled | State::Parked | State::Cancelled) {
        plain.reason = None;
    }
    plain.flow = plain.flow.filter(|flow| flow.children > 0);
    if plain.state == State::Cancelled {
        plain.finished_at = plain.finished_at.map(|_| plain.enqueued_at);
    }
    plain
}

pub(crate) fn selected(filter: &Filter, record: &JobRecord) -> bool {
    (filter.lanes.is_empty() || filter.lanes.contains(&record.lane))
        && (filter.kinds.is_empty() || filter.kinds.contains(&record.kind))
        && (filter.parents.is_empty()
            || record.parent.as_ref().is_some_and(|p| filter.parents.contains(&p.id)))
        && (filter.states.is_empty() || filter.states.contains(&record.state))
        && (filter.classes.is_empty() || record.class.is_some_and(|c| filter.classes.contains(&c)))
}
