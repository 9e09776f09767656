//! Who is told of what, and the jobs that tell them.
//!
//! One delivery job carries several events of one subscriber, in their order: a job for each would
//! pay for its claim and its settle with every event, one after the other.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CloudEvent, DELIVER, EventType, MAX_RESULT};
use crate::envelope::{Envelope, Payload, TraceContext};
use crate::ids::{Fence, JobId, Kind, Lane, Tenant};
use crate::outbox::Untold;
use crate::records::JobRecord;

/// Most bytes of events in one delivery, unless a single one is larger: half of what a queue takes
/// by default.
const MAX_BYTES: usize = 512 * 1024;

/// What a subscriber hears in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// All of a tenant: one delivery after the other, each with several events.
    #[default]
    Subscriber,
    /// What there is to tell of one job; of different jobs side by side.
    Job,
}

/// Who is told of what. An empty list means all; lists are joined by "and".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscriber {
    /// Its name, which finds its sink; unique. 1 to 64 bytes.
    pub name: String,
    /// Of what; empty: of the ends (completed, dead, cancelled).
    pub types: Vec<EventType>,
    /// Of jobs of these kinds.
    pub kinds: Vec<Kind>,
    /// Of jobs on these lanes.
    pub lanes: Vec<Lane>,
    /// Of jobs of these tenants.
    pub tenants: Vec<Tenant>,
    /// What it hears in order.
    pub order: Order,
}

impl Subscriber {
    /// Whether it is told `what` of this job. Nobody is told of a delivery.
    pub fn wants(&self, what: EventType, record: &JobRecord) -> bool {
        fn any<T: PartialEq>(wanted: &[T], it: &T) -> bool {
            wanted.is_empty() || wanted.contains(it)
        }
        record.kind != DELIVER
            && (if self.types.is_empty() { what.is_end() } else { self.types.contains(&what) })
            && any(&self.kinds, &record.kind)
            && any(&self.lanes, &record.lane)
            && any(&self.tenants, &record.tenant)
    }

    /// The ordering key of deliveries that tell of a tenant's job of this id.
    pub fn line(&self, tenant: &Tenant, subject: Option<&str>) -> String {
        let name = &self.name;
        match (self.order, subject) {
            (Order::Job, Some(subject)) => format!("events:{name}:{subject}"),
            _ => format!("events:{name}:{tenant}"),
        }
    }
}

/// The payload of [`DELIVER`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// To whom: a name of the configuration.
    pub subscriber: String,
    /// What.
    pub event: CloudEvent,
    /// What comes after it, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<CloudEvent>,
}

impl Delivery {
    /// One event for one subscriber.
    pub fn one(subscriber: impl Into<String>, event: CloudEvent) -> Self {
        Self { subscriber: subscriber.into(), event, further: Vec::new() }
    }

    /// All of its events, in their order.
    pub fn events(&self) -> impl Iterator<Item = &CloudEvent> {
        std::iter::once(&self.event).chain(&self.further)
    }
}

/// All subscribers, and how events are made for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// The `source` attribute: a URI reference that names the fleet.
    pub source: String,
    /// Largest result that travels in an event, in bytes.
    pub max_result: usize,
    /// Most events in one delivery; at least 1.
    pub batch: usize,
    /// How long an end waits to be told while nobody is subscribed; then its mark is let go.
    pub unheard: Duration,
    /// Who is told.
    pub subscribers: Vec<Subscriber>,
}

impl Default for Events {
    /// Nobody is told; a hundred events in a delivery; a day without subscribers.
    fn default() -> Self {
        Self {
            source: "/flotilla".to_owned(),
            max_result: MAX_RESULT,
            batch: 100,
            unheard: Duration::from_secs(24 * 3600),
            subscribers: Vec::new(),
        }
    }
}

/// Events of one line that wait for others to travel with.
struct Open<'a> {
    line: String,
    tenant: &'a Tenant,
    trace: &'a TraceContext,
    bytes: usize,
    events: Vec<CloudEvent>,
}

impl Events {
    /// The deliveries that the ends of these jobs call for, told in this order.
    pub fn ended(&self, ends: &[Untold]) -> Vec<Envelope> {
        let told = ends.iter().filter_map(|end| {
            let what = EventType::of(end.record.state).filter(|what| what.is_end())?;
            Some((what, &end.record, end.fence))
        });
        self.deliveries(told)
    }

    /// The deliveries that these call for: for each subscriber, tenant and line one job, or a few
    /// where they are many.
    pub fn deliveries<'a>(
        &self,
        told: impl IntoIterator<Item = (EventType, &'a JobRecord, Fence)>,
    ) -> Vec<Envelope> {
        let mut open: Vec<Vec<Open<'a>>> = Vec::new();
        open.resize_with(self.subscribers.len(), Vec::new);
        let mut made = Vec::new();
        for (what, record, fence) in told {
            let mut event = None;
            for (subscriber, lines) in self.subscribers.iter().zip(&mut open) {
                if !subscriber.wants(what, record) {
                    continue;
                }
                let event = event.get_or_insert_with(|| {
                    let of = CloudEvent::of(what, record, fence, &self.source, self.max_result);
                    let size = serde_json::to_vec(&of).map_or(0, |json| json.len());
                    (of, size)
                });
                self.gather(subscriber, lines, record, event, &mut made);
            }
        }
        for (subscriber, lines) in self.subscribers.iter().zip(open) {
            made.extend(lines.into_iter().filter_map(|line| line.close(subscriber)));
        }
        made
    }

    fn gather<'a>(
        &self,
        subscriber: &Subscriber,
        lines: &mut Vec<Open<'a>>,
        record: &'a JobRecord,
        (event, size): &(CloudEvent, usize),
        made: &mut Vec<Envelope>,
    ) {
        let line = subscriber.line(&record.tenant, event.subject.as_deref());
        let found = lines.iter().position(|open| open.line == line);
        let full = |open: &Open<'_>| {
            open.events.len() >= self.batch.max(1) || open.bytes + size > MAX_BYTES
        };
        if let Some(open) = found.map(|at| &mut lines[at]).filter(|open| !full(open)) {
            open.bytes += size;
            open.events.push(event.clone());
            return;
        }
        let (tenant, trace) = (&record.tenant, &record.trace);
        let next = Open { line, tenant, trace, bytes: *size, events: vec![event.clone()] };
        match found {
            Some(at) => made.extend(std::mem::replace(&mut lines[at], next).close(subscriber)),
            None => lines.push(next),
        }
    }
}

impl Open<'_> {
    /// The job. Its id follows from its events and the subscriber.
    fn close(self, subscriber: &Subscriber) -> Option<Envelope> {
        let ids: Vec<&str> = self.events.iter().map(|event| event.id.as_str()).collect();
        let id = JobId::derived(&format!("event/{}/{}", ids.join("+"), subscriber.name));
        let mut events = self.events.into_iter();
        let (event, further) = (events.next()?, events.collect());
        let payload = Delivery { subscriber: subscriber.name.clone(), event, further };
        Some(Envelope {
            id: Some(id),
            tenant: Some(self.tenant.clone()),
            order: Some(self.line),
            trace: self.trace.clone(),
            ..Envelope::new(DELIVER, Payload::of(&payload).ok()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;
    use crate::state::State;

    fn subscriber(name: &str) -> Subscriber {
        Subscriber { name: name.into(), ..Subscriber::default() }
    }

    fn events(subscribers: Vec<Subscriber>) -> Events {
        Events { subscribers, ..Events::default() }
    }

    fn end(name: &str, tenant: &'static str) -> Untold {
        let mut record = record(State::Completed);
        record.id = JobId::derived(name);
        record.tenant = Tenant::from_static(tenant);
        Untold { record, fence: Fence(7) }
    }

    fn payload(of: &Envelope) -> Delivery {
        serde_json::from_slice(of.payload.bytes()).unwrap()
    }

    /// The jobs that each delivery tells of, by the names they were made with.
    fn subjects(made: &[Envelope], names: &[&str]) -> Vec<String> {
        let name = |event: &CloudEvent| {
            let of = |name: &&&str| event.subject == Some(JobId::derived(name).to_string());
            (*names.iter().find(of).unwrap()).to_owned()
        };
        made.iter().map(|of| payload(of).events().map(name).collect()).collect()
    }

    #[test]
    fn an_end_is_one_delivery_per_subscriber_under_ids_that_follow_from_it() {
        let events = events(vec![subscriber("a"), subscriber("b")]);
        let one = [Untold { record: record(State::Completed), fence: Fence(7) }];
        let made = events.ended(&one);
        assert_eq!(made, events.ended(&one));
        assert_eq!(made.len(), 2);
        assert_ne!(made[0].id, made[1].id);
        assert_eq!(made[1].order.as_deref(), Some("events:b:acme"));
        let later = [Untold { fence: Fence(8), ..one[0].clone() }];
        assert_ne!(made[0].id, events.ended(&later)[0].id);

        let Delivery { subscriber, event, further } = payload(&made[0]);
        assert_eq!((subscriber.as_str(), further.len()), ("a", 0));
        assert_eq!(event.kind, "flotilla.job.completed");
        assert_eq!(event.subject, Some(JobId::derived("job").to_string()));
        assert_eq!(event.data["result"]["text"], "0123456789");
        assert_eq!(event.data.get("error"), None);
        assert_eq!(event.traceparent.as_deref(), Some("00-a-b-01"));
    }

    #[test]
    fn several_ends_travel_together_in_order_and_tenants_do_not_meet() {
        let names = ["a", "b", "c", "d", "e", "f"];
        let ends: Vec<Untold> = names
            .iter()
            .map(|name| end(name, if *name == "b" { "other" } else { "acme" }))
            .collect();
        let of_two = Events { batch: 2, ..events(vec![subscriber("s")]) };
        let made = of_two.ended(&ends);
        assert_eq!(subjects(&made, &names), ["ac", "de", "f", "b"]);
        assert_eq!(made[3].order.as_deref(), Some("events:s:other"));
        assert_eq!(made[3].tenant, Some(Tenant::from_static("other")));

        let each = Subscriber { order: Order::Job, ..subscriber("s") };
        let made = events(vec![each]).ended(&ends);
        assert_eq!(subjects(&made, &names), names);
        assert_ne!(made[0].order, made[1].order);
    }

    #[test]
    fn a_delivery_is_bounded_by_bytes_too() {
        let mut ends: Vec<Untold> = ["a", "b", "c"].iter().map(|name| end(name, "acme")).collect();
        for end in &mut ends {
            end.record.result = Some(serde_json::json!("x".repeat(300 * 1024)));
        }
        let large = Events { max_result: 1 << 20, ..events(vec![subscriber("s")]) };
        assert_eq!(large.ended(&ends).len(), 3);
    }

    #[test]
    fn lists_narrow_and_failures_and_progress_are_asked_for() {
        let dead = record(State::Dead);
        let mut it = subscriber("a");
        assert!(it.wants(EventType::Dead, &dead));
        assert!(!it.wants(EventType::Progress, &dead) && !it.wants(EventType::Failed, &dead));
        it.types = vec![EventType::Progress];
        assert!(it.wants(EventType::Progress, &dead) && !it.wants(EventType::Dead, &dead));
        it.types.clear();
        it.tenants = vec![Tenant::from_static("other")];
        assert!(!it.wants(EventType::Dead, &dead));
        it.tenants = vec![Tenant::from_static("acme")];
        it.lanes = vec![Lane::from_static("language")];
        assert!(it.wants(EventType::Dead, &dead));
    }

    #[test]
    fn nobody_is_told_of_a_delivery_or_of_a_job_that_goes_on() {
        let mut told = record(State::Dead);
        told.kind = DELIVER;
        let events = events(vec![subscriber("a")]);
        assert!(events.ended(&[Untold { record: told, fence: Fence(1) }]).is_empty());
        let running = Untold { record: record(State::Running), fence: Fence(1) };
        assert!(events.ended(&[running]).is_empty());
    }
}
