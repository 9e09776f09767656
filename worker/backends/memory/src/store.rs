//! The jobs themselves, and the one place where a state changes.

use std::collections::BTreeMap;

use flotilla_core::clock::Timestamp;
use flotilla_core::envelope::Payload;
use flotilla_core::fair;
use flotilla_core::flow::Flow;
use flotilla_core::handler::Progress;
use flotilla_core::ids::{Fence, JobId, Kind, Lane, Priority, Tenant, WorkerId};
use flotilla_core::queue::{AttemptError, Held, KEPT_ERRORS, NewJob};
use flotilla_core::records::{JobRecord, Pause};
use flotilla_core::state::{Charge, DeadClass, Event, State, transition};

use crate::Settings;
use crate::cells::Kept;

/// A tag and a number of arrival; the lowest goes first.
pub(crate) type Place = (i64, u64);

/// One job with all that happened to it.
#[derive(Debug)]
pub(crate) struct Row {
    /// As enqueued; `run_at` moves with retries and snoozes.
    pub(crate) job: NewJob,
    pub(crate) state: State,
    pub(crate) class: Option<DeadClass>,
    pub(crate) attempt: u32,
    pub(crate) crashes: u32,
    pub(crate) fence: Fence,
    pub(crate) enqueued_at: Timestamp,
    pub(crate) available_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) lease_until: Option<Timestamp>,
    pub(crate) worker: Option<WorkerId>,
    pub(crate) cancel_requested: bool,
    pub(crate) reason: Option<String>,
    pub(crate) parked_under: Option<String>,
    pub(crate) progress: Option<Progress>,
    pub(crate) errors: Vec<AttemptError>,
    pub(crate) result: Option<Payload>,
    /// `None` on a finished job: cancelled by hand, kept as long as a dead letter.
    pub(crate) keep_until: Option<Timestamp>,
    /// Its place among the available of its band.
    pub(crate) place: Place,
    /// Its place among the jobs of its ordering key: the number of its enqueue or replay.
    pub(crate) in_line: u64,
    /// How its children stand, once it has awaited some.
    pub(crate) flow: Option<Flow>,
    /// Its parent awaits it and its end was not yet counted there.
    pub(crate) awaited: bool,
    /// It has ended and nobody was told.
    pub(crate) untold: bool,
    /// When a broker was told of it, since it became available.
    pub(crate) published: Option<Timestamp>,
}

impl Row {
    /// Waits for its moment, its turn or its key.
    pub(crate) fn waits(&self) -> bool {
        !self.state.is_finished() && self.state != State::Running
    }

    /// Its deadline has come.
    pub(crate) fn too_late(&self, now: Timestamp) -> bool {
        self.job.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Keeps an attempt's error, and of all errors the latest ones.
    pub(crate) fn remember(&mut self, error: AttemptError) {
        self.errors.push(error);
        let surplus = self.errors.len().saturating_sub(KEPT_ERRORS);
        self.errors.drain(..surplus);
    }

    /// As the desk shows it.
    pub(crate) fn record(&self) -> JobRecord {
        let job = &self.job;
        JobRecord {
            id: job.id,
            kind: job.kind.clone(),
            version: job.version,
            lane: job.lane.clone(),
            tenant: job.tenant.clone(),
            priority: job.priority,
            state: self.state,
            attempt: self.attempt,
            max_attempts: job.max_attempts,
            crashes: self.crashes,
            enqueued_at: self.enqueued_at,
            run_at: job.run_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            deadline: job.deadline,
            lease_until: self.lease_until,
            worker: self.worker.clone(),
            cancel_requested: self.cancel_requested,
            reason: self.reason.clone(),
            parked_under: self.parked_under.clone(),
            class: self.class,
            progress: self.progress.clone(),
            errors: self.errors.clone(),
            unique_key: job.unique.as_ref().map(|unique| unique.key.clone()),
            trace: job.trace.clone(),
            order_key: job.order.clone(),
            parent: job.parent.clone(),
            flow: self.flow,
            payload: job.payload.to_value(),
            result: self.result.as_ref().map(Payload::to_value),
            extra: job.extra.clone(),
        }
    }
}

/// What a unique key is unique among.
pub(crate) type Key = (Kind, Tenant, String);

/// Who holds a unique key.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) id: JobId,
    /// `None`: while the job is unfinished.
    pub(crate) until: Option<Timestamp>,
}

/// All jobs of a backend, and what the fair order remembers.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) settings: Settings,
    pub(crate) rows: BTreeMap<JobId, Row>,
    pub(crate) keys: BTreeMap<Key, Hold>,
    pub(crate) paused: BTreeMap<Lane, Pause>,
    pub(crate) cells: Kept,
    /// Places each lane gave so far.
    pub(crate) served: BTreeMap<Lane, u64>,
    /// The highest tag claimed of each band.
    pub(crate) band_time: BTreeMap<(Lane, Priority), i64>,
    /// The last tag given to each tenant of each band.
    tenant_last: BTreeMap<(Lane, Priority, Tenant), i64>,
    /// Counts jobs that came or became available: first in, first out among equals.
    arrivals: u64,
}

impl Store {
    /// An empty one.
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Moves a job as `transition` says; its end has its consequences at once.
    pub(crate) fn step(&mut self, id: JobId, event: Event, now: Timestamp) -> &mut Row {
        let unfinished = !self.rows[&id].state.is_finished();
        let ends = self.shift(id, event, now).state.is_finished();
        if unfinished && ends {
            self.ended(id, now);
        }
        self.rows.get_mut(&id).expect("found above")
    }

    /// Moves a job as `transition` says, and nothing else. Every change of state comes through
    /// here.
    pub(crate) fn shift(&mut self, id: JobId, event: Event, now: Timestamp) -> &mut Row {
        let row = self.rows.get_mut(&id).expect("callers found the job under the same lock");
        let went = transition(row.state, event).expect("callers looked at the state first");
        row.state = went.to;
        row.class = went.class;
        row.attempt = match went.charge {
            Charge::Keep => row.attempt,
            Charge::One => row.attempt.saturating_add(1),
            Charge::Refund => row.attempt.saturating_sub(1),
            Charge::Reset => 0,
        };
        row.finished_at = went.to.is_finished().then_some(now);
        row.lease_until = None;
        row.parked_under = None;
        if went.to != State::Cancelled {
            row.reason = None;
        }
        if went.to == State::Available {
            row.available_at = now;
            row.job.run_at = now;
            row.published = None;
            // Its turn had come before: it does not queue again behind its tenant's backlog.
            if !matches!(event, Event::LeaseExpired { .. } | Event::Interrupted) {
                self.line_up(id);
            }
        }
        self.rows.get_mut(&id).expect("found above")
    }

    /// Gives a job its place among the available of its band.
    pub(crate) fn line_up(&mut self, id: JobId) {
        let Some(row) = self.rows.get(&id) else { return };
        let band = (row.job.lane.clone(), row.job.priority);
        let mine = (row.job.lane.clone(), row.job.priority, row.job.tenant.clone());
        let band_time = self.band_time.get(&band).copied().unwrap_or(0);
        let tag = fair::tag(band_time, self.tenant_last.get(&mine).copied());
        self.tenant_last.insert(mine, tag);
        let arrival = self.arrival();
        if let Some(row) = self.rows.get_mut(&id) {
            row.place = (tag, arrival);
        }
    }

    /// What the end of a job means to others, whatever ended it.
    pub(crate) fn ended(&mut self, id: JobId, now: Timestamp) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.untold = self.settings.events;
        }
        self.move_the_line(id, now);
        self.count_on_parent(id, now);
        self.cancel_children(id, now);
    }

    /// The next number of arrival.
    pub(crate) fn arrival(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }

    /// The job of a lease, while the lease is the current one.
    pub(crate) fn held(&mut self, held: &Held) -> Option<&mut Row> {
        self.rows
            .get_mut(&held.id)
            .filter(|row| row.state == State::Running && row.fence == held.fence)
    }

    /// The job that holds a unique key now.
    pub(crate) fn holder(&self, key: &Key, now: Timestamp) -> Option<JobId> {
        let hold = self.keys.get(key)?;
        let holds = match hold.until {
            Some(until) => now < until,
            None => self.rows.get(&hold.id).is_some_and(|row| !row.state.is_finished()),
        };
        holds.then_some(hold.id)
    }

    /// Ids of the jobs that satisfy `wanted`, ordered by `order` and then by id.
    pub(crate) fn select<K: Ord>(
        &self,
        wanted: impl Fn(&Row) -> bool,
        order: impl Fn(&Row) -> K,
        limit: usize,
    ) -> Vec<JobId> {
        let mut found: Vec<(K, JobId)> = self
            .rows
            .iter()
            .filter(|(_, row)| wanted(row))
            .map(|(id, row)| (order(row), *id))
            .collect();
        found.sort();
        found.into_iter().take(limit).map(|(_, id)| id).collect()
    }
}
