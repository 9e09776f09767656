//! Taking jobs in: idempotent by id, one job per unique key, in line by ordering key.

use std::time::Duration;

use flotilla_core::clock::{Timestamp, after};
use flotilla_core::envelope::UniqueScope;
use flotilla_core::ids::Fence;
use flotilla_core::queue::{Enqueued, NewJob};
use flotilla_core::state::State;

use crate::store::{Hold, Key, Row, Store};

/// What a job's unique key is unique among, where it has one.
pub(crate) fn key_of(job: &NewJob) -> Option<Key> {
    let unique = job.unique.as_ref()?;
    Some((job.kind.clone(), job.tenant.clone(), unique.key.clone()))
}

impl Store {
    /// Makes one job, unless it or its like is there.
    pub(crate) fn enqueue(&mut self, job: &NewJob, now: Timestamp) -> Enqueued {
        if self.rows.contains_key(&job.id) {
            return Enqueued::Duplicate(job.id);
        }
        let (size, most) = (job.payload.bytes().len(), self.settings.max_payload);
        if size > most {
            return Enqueued::Rejected(format!(
                "the payload has {size} bytes; at most {most} are allowed: put large data in a blob"
            ));
        }
        if let (Some(key), Some(unique)) = (key_of(job), &job.unique) {
            if let Some(holder) = self.holder(&key, now) {
                return Enqueued::Duplicate(holder);
            }
            let until = match unique.scope {
                UniqueScope::Unfinished => None,
                UniqueScope::Seconds(seconds) => Some(after(now, Duration::from_secs(seconds))),
            };
            self.keys.insert(key, Hold { id: job.id, until });
        }
        let in_line = self.arrival();
        self.rows.insert(job.id, Row { in_line, ..waiting(job, now) });
        if self.is_behind_another(job.id) {
            self.park_in_line(job.id);
        } else if job.run_at <= now {
            self.line_up(job.id);
        }
        Enqueued::Created
    }
}

/// A new job, as if no other were there.
pub(crate) fn waiting(job: &NewJob, now: Timestamp) -> Row {
    Row {
        job: job.clone(),
        state: if job.run_at <= now { State::Available } else { State::Scheduled },
        class: None,
        attempt: 0,
        crashes: 0,
        fence: Fence(0),
        enqueued_at: now,
        available_at: now,
        started_at: None,
        finished_at: None,
        lease_until: None,
        worker: None,
        cancel_requested: false,
        reason: None,
        parked_under: None,
        progress: None,
        errors: Vec::new(),
        result: None,
        keep_until: None,
        place: (0, 0),
        in_line: 0,
        flow: None,
        awaited: false,
        untold: false,
        published: None,
    }
}
