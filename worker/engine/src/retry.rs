//! What becomes of a failed attempt: the policy of its kind decides, and where that asks for more
//! than attempts and backoff, a cell of the job remembers what its failures were.

use std::time::Duration;

use flotilla_core::clock::between;
use flotilla_core::queue::Claimed;
use flotilla_core::registry::Registered;
use flotilla_core::retry::{Failure, History, Next, RetryClass};
use flotilla_core::{JobError, JobId, Timestamp};

use crate::gate::cas::{self, Keep};
use crate::names::Call;
use crate::shared::Shared;

/// How long failures are remembered beyond the next attempt: a job may be parked in between.
const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// The cell that remembers the failures of a job.
pub(crate) fn cell(id: JobId) -> String {
    format!("retry/{id}")
}

/// Whether and when the job runs again after `error`; `begun`: when the attempt began. None: the
/// error is not one after which it might.
pub(crate) async fn next(
    shared: &Shared,
    kind: &Registered,
    claimed: &Claimed,
    error: &JobError,
    begun: Timestamp,
) -> Option<Next> {
    let JobError::Retry { after, class, .. } = error else { return None };
    let (attempt, max_attempts) = (claimed.attempt, claimed.max_attempts);
    let failure = Failure { class: *class, attempt, max_attempts, after: *after };
    let policy = &kind.policy;
    let remembers = policy.remembers(&failure);
    let bounded = remembers || policy.within(*class).is_some();
    if !bounded || attempt >= max_attempts {
        return Some(policy.next(&failure, &History::default(), &*shared.rng));
    }
    let change = |history: &mut History, now| {
        // Nothing was worth remembering so far, and this failure is not either.
        if !remembers && *history == History::default() {
            return (policy.next(&failure, history, &*shared.rng), Keep::AsIs);
        }
        let next = change(history, *class, attempt, between(begun, now), |history| {
            policy.next(&failure, history, &*shared.rng)
        });
        (next, Keep::For(KEEP))
    };
    let key = cell(claimed.held.id);
    let result = cas::alter(&*shared.ports.cells, &*shared.clock, &key, change).await;
    shared.observer.port(Call::Cells, &result);
    // Without its memory the job is held to its attempts alone.
    let forgotten = || policy.next(&failure, &History::default(), &*shared.rng);
    Some(result.unwrap_or_else(|_| forgotten()))
}

/// One more failure in the history of a job, and the wait that follows from it.
fn change(
    history: &mut History,
    class: RetryClass,
    attempt: u32,
    ran: Duration,
    decide: impl FnOnce(&History) -> Next,
) -> Next {
    if attempt == 1 {
        *history = History::default(); // replayed: it begins anew
    }
    history.failed(class, ran);
    let next = decide(history);
    if let Next::Again(delay) = next {
        history.spend(delay);
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_and_the_waits_between_them_are_spent_and_a_replay_begins_anew() {
        let second = Duration::from_secs(1);
        let mut history = History::default();
        let mut fail = |attempt| {
            let class = RetryClass::Timeout;
            change(&mut history, class, attempt, second, |_| Next::Again(second * 4));
            (history.spent().as_secs(), history.failures[&class])
        };
        assert_eq!(fail(1), (5, 1));
        assert_eq!(fail(2), (10, 2));
        assert_eq!(fail(1), (5, 1));
    }
}
