//! One job as an item of the table: what is kept, and under which keys of which index it is found.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flotilla_core::clock::Timestamp;
use flotilla_core::envelope::{Payload, TraceContext, Unique};
use flotilla_core::flow::{Flow, Parent};
use flotilla_core::handler::Progress;
use flotilla_core::ids::{Fence, JobId, Kind, Lane, Priority, Receipt, Tenant, WorkerId};
use flotilla_core::queue::{AttemptError, Claimed, Held, KEPT_ERRORS, NewJob, QueueError};
use flotilla_core::records::JobRecord;
use flotilla_core::state::{Charge, DeadClass, Event, State, transition};
use serde::{Deserialize, Serialize};

use super::db::{Item, corrupt, number, text};
use super::table::Index;

/// Larger payloads and results lie in items of their own, in bytes: an item is paid for by its
/// size each time it is written.
pub(crate) const INLINE: usize = 16 * 1024;
/// The size of one such item, in bytes; DynamoDB takes 400 KB.
pub(crate) const PART: usize = 300 * 1024;

/// One job with all that happened to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: JobId,
    pub(crate) kind: Kind,
    pub(crate) version: u16,
    pub(crate) lane: Lane,
    pub(crate) tenant: Tenant,
    pub(crate) priority: Priority,
    /// Moves with retries and snoozes.
    pub(crate) run_at: Timestamp,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) unique: Option<Unique>,
    pub(crate) order: Option<String>,
    pub(crate) parent: Option<Parent>,
    pub(crate) max_attempts: u32,
    pub(crate) trace: TraceContext,
    pub(crate) extra: BTreeMap<String, serde_json::Value>,
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
    /// `None` on a finished job: cancelled by hand, kept as long as a dead letter.
    pub(crate) keep_until: Option<Timestamp>,
    /// Its place among the available: a moment and a number of arrival.
    pub(crate) place: (Timestamp, u64),
    /// How its children stand, once it has awaited some.
    pub(crate) flow: Option<Flow>,
    /// How many children were made.
    pub(crate) made: u32,
    /// Its parent awaits it and its end was not yet counted there.
    pub(crate) awaited: bool,
    /// It has ended and nobody was told.
    pub(crate) untold: bool,
    /// It has ended and its children were not yet looked after.
    pub(crate) sweep: bool,
    /// When a broker was told of it, since it became available.
    pub(crate) published: Option<Timestamp>,
    /// In how many items the payload lies; 0: in this one.
    pub(crate) payload_parts: usize,
    /// The fence and the number of items of the result; 0: in this one.
    pub(crate) result_parts: Option<(Fence, usize)>,
    /// Empty until it is read, where it lies in items of its own.
    #[serde(skip)]
    pub(crate) payload: Payload,
    #[serde(skip)]
    pub(crate) result: Option<Payload>,
}

/// An instant as a part of a key: sorts as text.
pub(crate) fn instant(at: Timestamp) -> String {
    format!("{:020}", i128::from(at.as_microsecond()) + (1i128 << 62))
}

/// The instant of a key that begins with one.
pub(crate) fn to_instant(key: &str) -> Option<Timestamp> {
    let number: i128 = key.get(..20)?.parse().ok()?;
    let micros = i64::try_from(number - (1i128 << 62)).ok()?;
    Some(flotilla_core::clock::from_micros(micros))
}

/// The partition of a job.
pub(crate) fn partition(id: JobId) -> String {
    format!("job#{id}")
}

/// The job of a partition.
pub(crate) fn id_of(item: &Item) -> Option<JobId> {
    text(item, "pk")?.strip_prefix("job#")?.parse().ok()
}

impl Row {
    /// A new job, as if no other were there.
    pub(crate) fn waiting(job: &NewJob, now: Timestamp, arrival: u64) -> Self {
        let available = job.run_at <= now;
        Self {
            id: job.id,
            kind: job.kind.clone(),
            version: job.version,
            lane: job.lane.clone(),
            tenant: job.tenant.clone(),
            priority: job.priority,
            run_at: job.run_at,
            deadline: job.deadline,
            unique: job.unique.clone(),
            order: job.order.clone(),
            parent: job.parent.clone(),
            max_attempts: job.max_attempts,
            trace: job.trace.clone(),
            extra: job.extra.clone(),
            state: if available { State::Available } else { State::Scheduled },
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
            keep_until: None,
            place: (now, arrival),
            flow: None,
            made: 0,
            awaited: false,
            untold: false,
            sweep: false,
            published: None,
            payload_parts: 0,
            result_parts: None,
            payload: job.payload.clone(),
            result: None,
        }
    }

    /// Moves it as `transition` says; `true`: it has ended with that.
    pub(crate) fn go(
        &mut self,
        event: Event,
        now: Timestamp,
        arrival: u64,
    ) -> Result<bool, QueueError> {
        let unfinished = !self.state.is_finished();
        let went = transition(self.state, event).map_err(|e| corrupt(e.to_string()))?;
        self.state = went.to;
        self.class = went.class;
        self.attempt = match went.charge {
            Charge::Keep => self.attempt,
            Charge::One => self.attempt.saturating_add(1),
            Charge::Refund => self.attempt.saturating_sub(1),
            Charge::Reset => 0,
        };
        self.finished_at = went.to.is_finished().then_some(now);
        self.lease_until = None;
        self.parked_under = None;
        if went.to != State::Cancelled {
            self.reason = None;
        }
        if went.to == State::Available {
            self.available_at = now;
            self.run_at = now;
            self.published = None;
            // Its turn had come before: it does not queue again behind others.
            if !matches!(event, Event::LeaseExpired { .. } | Event::Interrupted) {
                self.place = (now, arrival);
            }
        }
        Ok(unfinished && went.to.is_finished())
    }

    /// Waits for its moment, its turn or its key.
    pub(crate) fn waits(&self) -> bool {
        !self.state.is_finished() && self.state != State::Running
    }

    /// Waits for its moment.
    pub(crate) fn is_timed(&self) -> bool {
        matches!(self.state, State::Scheduled | State::Retryable)
    }

    /// Its deadline has come.
    pub(crate) fn too_late(&self, now: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// The lease is the current one.
    pub(crate) fn is_held(&self, held: &Held) -> bool {
        self.state == State::Running && self.fence == held.fence
    }

    /// Keeps an attempt's error, and of all errors the latest ones.
    pub(crate) fn remember(&mut self, error: AttemptError) {
        self.errors.push(error);
        let surplus = self.errors.len().saturating_sub(KEPT_ERRORS);
        self.errors.drain(..surplus);
    }

    /// As it is handed to a worker; the payload must have been read.
    pub(crate) fn claimed(&self) -> Claimed {
        Claimed {
            held: Held { id: self.id, fence: self.fence, receipt: Receipt::None },
            kind: self.kind.clone(),
            version: self.version,
            lane: self.lane.clone(),
            tenant: self.tenant.clone(),
            priority: self.priority,
            payload: self.payload.clone(),
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            crashes: self.crashes,
            available_at: self.available_at,
            enqueued_at: self.enqueued_at,
            trace: self.trace.clone(),
            parent: self.parent.clone(),
            children: self.flow.map_or(0, |flow| flow.children),
        }
    }

    /// As it was enqueued, to be published; the payload must have been read.
    pub(crate) fn job(&self) -> NewJob {
        NewJob {
            id: self.id,
            kind: self.kind.clone(),
            version: self.version,
            lane: self.lane.clone(),
            tenant: self.tenant.clone(),
            priority: self.priority,
            payload: self.payload.clone(),
            run_at: self.run_at,
            deadline: self.deadline,
            unique: self.unique.clone(),
            order: self.order.clone(),
            parent: self.parent.clone(),
            max_attempts: self.max_attempts,
            trace: self.trace.clone(),
            extra: self.extra.clone(),
        }
    }

    /// As the desk shows it; payload and result must have been read.
    pub(crate) fn record(&self) -> JobRecord {
        JobRecord {
            id: self.id,
            kind: self.kind.clone(),
            version: self.version,
            lane: self.lane.clone(),
            tenant: self.tenant.clone(),
            priority: self.priority,
            state: self.state,
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            crashes: self.crashes,
            enqueued_at: self.enqueued_at,
            run_at: self.run_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            deadline: self.deadline,
            lease_until: self.lease_until,
            worker: self.worker.clone(),
            cancel_requested: self.cancel_requested,
            reason: self.reason.clone(),
            parked_under: self.parked_under.clone(),
            class: self.class,
            progress: self.progress.clone(),
            errors: self.errors.clone(),
            unique_key: self.unique.as_ref().map(|unique| unique.key.clone()),
            order_key: self.order.clone(),
            parent: self.parent.clone(),
            flow: self.flow,
            trace: self.trace.clone(),
            payload: self.payload.to_value(),
            result: self.result.as_ref().map(Payload::to_value),
            extra: self.extra.clone(),
        }
    }

    /// The keys under which it is found now. An index it is not in costs nothing.
    pub(crate) fn keys(&self) -> Vec<(Index, String, String)> {
        let (id, lane) = (self.id, &self.lane);
        let mut keys = vec![(Index::Desk, format!("{lane}#{}", self.state), id.to_string())];
        if self.state == State::Available {
            keys.push((Index::Ready, format!("{lane}#{}", self.kind), self.ready()));
        }
        keys.extend(self.timer().map(|(what, at)| {
            (Index::Timer, format!("{what}#{lane}"), format!("{}#{id}", instant(at)))
        }));
        if let Some(deadline) = self.deadline.filter(|_| self.waits()) {
            keys.push((Index::Late, lane.to_string(), format!("{}#{id}", instant(deadline))));
        }
        if let Some(key) = &self.parked_under {
            keys.push((Index::Parked, parked(key), format!("{}#{id}", instant(self.enqueued_at))));
        }
        if let Some(parent) = &self.parent {
            keys.push((Index::Kin, parent.id.to_string(), id.to_string()));
        }
        keys
    }

    /// First what no broker was told of, then by the moment it was told; for claims without a
    /// broker that is the order of arrival.
    fn ready(&self) -> String {
        let (moment, number) = self.place;
        match self.published {
            None => format!("0#{}#{number:010}#{}", instant(moment), self.id),
            Some(at) => format!("1#{}#{number:010}#{}", instant(at), self.id),
        }
    }

    /// What time does to it next.
    fn timer(&self) -> Option<(&'static str, Timestamp)> {
        match self.state {
            State::Scheduled | State::Retryable => Some(("due", self.run_at)),
            State::Running => self.lease_until.map(|at| ("lease", at)),
            State::Completed | State::Cancelled | State::Dead => {
                let ended = self.finished_at?;
                Some(match self.keep_until {
                    _ if self.sweep => ("sweep", ended),
                    _ if self.untold => ("untold", ended),
                    Some(at) => ("keep", at),
                    None => ("hand", ended),
                })
            }
            State::Available | State::Parked => None,
        }
    }

    /// The item, without its version.
    pub(crate) fn to_item(&self) -> Result<Item, QueueError> {
        let doc = serde_json::to_string(self).map_err(|e| corrupt(e.to_string()))?;
        let mut item = Item::from([
            ("pk".to_owned(), AttributeValue::S(partition(self.id))),
            ("sk".to_owned(), AttributeValue::S("row".into())),
            ("doc".to_owned(), AttributeValue::S(doc)),
        ]);
        if self.payload_parts == 0 {
            let bytes = Blob::new(self.payload.bytes().to_vec());
            item.insert("payload".into(), AttributeValue::B(bytes));
        }
        if let Some(result) = self.result.as_ref().filter(|_| self.result_parts.is_none()) {
            let bytes = Blob::new(result.bytes().to_vec());
            item.insert("result".into(), AttributeValue::B(bytes));
        }
        for (index, partition, sort) in self.keys() {
            let [first, second] = index.attributes();
            item.insert(first.into(), AttributeValue::S(partition));
            item.insert(second.into(), AttributeValue::S(sort));
        }
        Ok(item)
    }

    /// The row of an item and its version.
    pub(crate) fn of_item(mut item: Item) -> Result<(u64, Self), QueueError> {
        let doc = text(&item, "doc").ok_or_else(|| corrupt("a job has no document".into()))?;
        let mut row: Self = serde_json::from_str(doc).map_err(|e| corrupt(e.to_string()))?;
        let version = number(&item, "v").ok_or_else(|| corrupt("a job has no version".into()))?;
        let mut bytes = |name: &str| match item.remove(name) {
            Some(AttributeValue::B(blob)) => Some(Payload::from_bytes(blob.into_inner())),
            _ => None,
        };
        row.payload = bytes("payload").unwrap_or_default();
        row.result = bytes("result");
        Ok((version, row))
    }

    /// The keys of the items its payload and its result lie in.
    pub(crate) fn part_keys(&self) -> Vec<(String, String)> {
        let pk = partition(self.id);
        let payload = (0..self.payload_parts).map(payload_part);
        let result = self.result_parts.into_iter();
        let result = result.flat_map(|(fence, n)| (0..n).map(move |part| result_part(fence, part)));
        payload.chain(result).map(|sk| (pk.clone(), sk)).collect()
    }

    /// Cuts the payload into items of their own, where it is large.
    pub(crate) fn cut_payload(&mut self) -> Vec<Item> {
        if self.payload.bytes().len() <= INLINE {
            return Vec::new();
        }
        let parts = parts(self.id, self.payload.bytes(), payload_part);
        self.payload_parts = parts.len();
        parts
    }

    /// Keeps the result, in items of its own where it is large.
    pub(crate) fn cut_result(&mut self, result: Payload) -> Vec<Item> {
        let mut items = Vec::new();
        if result.bytes().len() > INLINE {
            let fence = self.fence;
            items = parts(self.id, result.bytes(), |part| result_part(fence, part));
            self.result_parts = Some((fence, items.len()));
        }
        self.result = Some(result);
        items
    }
}

/// The partition of those parked under a key: never empty, never longer than a key may be.
pub(crate) fn parked(key: &str) -> String {
    if key.len() <= 1024 {
        format!("under#{key}")
    } else {
        format!("hash#{}", blake3::hash(key.as_bytes()).to_hex())
    }
}

pub(crate) fn payload_part(part: usize) -> String {
    format!("payload#{part:03}")
}

pub(crate) fn result_part(fence: Fence, part: usize) -> String {
    format!("result#{}#{part:03}", fence.0)
}

fn parts(id: JobId, bytes: &[u8], name: impl Fn(usize) -> String) -> Vec<Item> {
    let part = |(n, some): (usize, &[u8])| {
        Item::from([
            ("pk".to_owned(), AttributeValue::S(partition(id))),
            ("sk".to_owned(), AttributeValue::S(name(n))),
            ("bytes".to_owned(), AttributeValue::B(Blob::new(some.to_vec()))),
        ])
    };
    bytes.chunks(PART).enumerate().map(part).collect()
}
