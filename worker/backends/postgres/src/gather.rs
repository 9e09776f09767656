//! Enqueues of single jobs that come at the same moment share one statement and one wait for the
//! disk. The first goes at once; those that come while two are under way go together next.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flotilla_core::clock::{Timestamp, after};
use flotilla_core::queue::{Enqueued, NewJob, QueueError, QueueErrorKind};
use tokio::sync::oneshot;

use crate::Postgres;
use crate::ports::until_alone;

/// Statements under way at once: one waits for the disk while the next is prepared.
const UNDER_WAY: usize = 2;
/// Calls with more jobs than this are a group already.
const SMALL: usize = 16;
/// Calls share a statement, and its moment, when theirs are no farther apart.
const A_MOMENT: Duration = Duration::from_secs(1);

type Answer = Result<Vec<Enqueued>, QueueError>;

/// One call that waits for its group.
#[derive(Debug)]
struct Call {
    jobs: Vec<NewJob>,
    now: Timestamp,
    answer: oneshot::Sender<Answer>,
}

/// The calls that wait, and how many groups are under way.
#[derive(Debug, Default)]
pub(crate) struct Gather(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    calls: Vec<Call>,
    under_way: usize,
}

/// Whether a call is small and touches no other job: then others may go with it.
pub(crate) fn is_small(jobs: &[NewJob]) -> bool {
    let alone = |job: &NewJob| job.unique.is_none() && job.order.is_none() && job.parent.is_none();
    (1..=SMALL).contains(&jobs.len()) && jobs.iter().all(alone)
}

impl Gather {
    fn with<T>(&self, look: impl FnOnce(&mut Waiting) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next group: at most `most` jobs, of one moment. With none left the caller is done.
    fn next(&self, most: usize) -> Option<Vec<Call>> {
        self.with(|waiting| {
            let Some(first) = waiting.calls.first().map(|call| call.now) else {
                waiting.under_way -= 1;
                return None;
            };
            let mut room = most;
            let fits = |call: &&Call| {
                let near = call.now <= after(first, A_MOMENT) && first <= after(call.now, A_MOMENT);
                let left = room.checked_sub(call.jobs.len());
                room = left.unwrap_or(0);
                near && left.is_some()
            };
            let n = waiting.calls.iter().take_while(fits).count().max(1);
            Some(waiting.calls.drain(..n).collect())
        })
    }
}

impl Postgres {
    /// Makes the jobs of a small call together with those of others.
    pub(crate) async fn make_with_others(&self, jobs: &[NewJob], now: Timestamp) -> Answer {
        let gone = || {
            let message = "the backend is closing; nothing is known of this enqueue: send it again";
            QueueError::plain(QueueErrorKind::Unavailable, message)
        };
        let this = self.me.upgrade().ok_or_else(gone)?;
        let (answer, answered) = oneshot::channel();
        let call = Call { jobs: jobs.to_vec(), now, answer };
        let starts = self.gather.with(|waiting| {
            waiting.calls.push(call);
            let starts = waiting.under_way < UNDER_WAY;
            waiting.under_way += usize::from(starts);
            starts
        });
        if starts {
            tokio::spawn(this.make_groups());
        }
        answered.await.map_err(|_| gone())?
    }

    async fn make_groups(self: Arc<Self>) {
        while let Some(group) = self.gather.next(self.capabilities.max_batch) {
            self.make_group(group).await;
        }
    }

    /// One statement for all of a group; where one call may spoil it for the others, each alone.
    async fn make_group(&self, mut group: Vec<Call>) {
        let now = group.iter().map(|call| call.now).max().unwrap_or_default();
        let sizes: Vec<usize> = group.iter().map(|call| call.jobs.len()).collect();
        let jobs: Vec<NewJob> = group.iter_mut().flat_map(|call| call.jobs.drain(..)).collect();
        let done = self.make_again(&jobs, now).await;
        let shared = |kind| matches!(kind, QueueErrorKind::Unavailable | QueueErrorKind::Full);
        let mut jobs = &jobs[..];
        let mut answers = done.as_ref().ok().cloned().unwrap_or_default().into_iter();
        for (call, size) in group.into_iter().zip(sizes) {
            let (mine, others) = jobs.split_at(size);
            jobs = others;
            let answer = match &done {
                Ok(_) => Ok(answers.by_ref().take(size).collect()),
                Err(error) if shared(error.kind) => Err(QueueError {
                    kind: error.kind,
                    message: error.message.clone(),
                    source: error.source.as_ref().map(|source| source.to_string().into()),
                }),
                Err(_) => self.make_again(mine, call.now).await,
            };
            let _gone = call.answer.send(answer);
        }
    }

    async fn make_again(&self, jobs: &[NewJob], now: Timestamp) -> Answer {
        until_alone!(self.make(jobs, false, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(n: usize, now: i64) -> Call {
        let now = flotilla_core::clock::from_micros(now);
        let job = NewJob {
            tenant: flotilla_core::ids::Tenant::default(),
            priority: flotilla_core::ids::Priority::default(),
            payload: flotilla_core::envelope::Payload::from_bytes(&b"{}"[..]),
            order: Some("k".into()),
            max_attempts: 1,
            trace: flotilla_core::envelope::TraceContext::default(),
            ..NewJob::new(
                flotilla_core::ids::JobId::derived("j"),
                flotilla_core::ids::Kind::from_static("test.run"),
                flotilla_core::ids::Lane::from_static("main"),
                now,
            )
        };
        Call { jobs: vec![job; n], now, answer: oneshot::channel().0 }
    }

    #[test]
    fn groups_are_of_one_moment_and_not_too_large() {
        let gather = Gather::default();
        gather.with(|w| {
            w.under_way = 1;
            w.calls =
                vec![call(2, 0), call(2, 5), call(2, 7), call(1, 9_000_000), call(9, 9_000_001)];
        });
        let mut sizes = Vec::new();
        while let Some(group) = gather.next(5) {
            sizes.push(group.iter().map(|call| call.jobs.len()).collect::<Vec<_>>());
        }
        assert_eq!(sizes, [vec![2, 2], vec![2], vec![1], vec![9]]);
        assert_eq!(gather.with(|w| w.under_way), 0);
    }

    #[test]
    fn a_job_that_others_depend_on_goes_alone() {
        let mut one = call(1, 0).jobs;
        assert!(!is_small(&one), "it has an ordering key");
        one[0].order = None;
        assert!(is_small(&one) && !is_small(&[]) && !is_small(&vec![one[0].clone(); SMALL + 1]));
    }
}
