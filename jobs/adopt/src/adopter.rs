//! From a delivery to jobs: unwrap, route, check.

use std::sync::Arc;

use flotilla_core::broker::{Adopt, Delivery, Unreadable};
use flotilla_core::envelope::Envelope;
use flotilla_core::ops::fill;
use flotilla_core::queue::NewJob;
use flotilla_core::registry::RegistryError;
use flotilla_core::{JobId, Lane, Payload, Registry, Tenant, Timestamp};

use crate::formats;
use crate::message::{Attributes, Found, Read, Reading, quoted, unreadable};
use crate::routes::{Route, Routes};

/// Bounds of what is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest body, in bytes, also of what a wrapper holds.
    pub max_body: usize,
    /// Largest payload of a job, in bytes.
    pub max_payload: usize,
    /// Most wrappers around one another.
    pub max_depth: usize,
    /// Most jobs that one message may stand for.
    pub max_jobs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_body: 1 << 20, max_payload: 256 << 10, max_depth: 4, max_jobs: 100 }
    }
}

/// A route that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route {number} (from {from}): {problem}")]
pub struct RouteError {
    /// 1 for the first.
    pub number: usize,
    /// Its format.
    pub from: &'static str,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// Reads messages, ours and strangers', into jobs.
#[derive(Clone)]
pub struct Adopter {
    registry: Arc<Registry>,
    routes: Routes,
    limits: Limits,
}

impl std::fmt::Debug for Adopter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Adopter({} routes)", self.routes.0.len())
    }
}

impl Adopter {
    /// Checks the routes against the kinds there are.
    ///
    /// # Errors
    /// The first route that names no kind, or an unknown one.
    pub fn new(
        registry: Arc<Registry>,
        routes: Routes,
        limits: Limits,
    ) -> Result<Self, RouteError> {
        for (at, route) in routes.0.iter().enumerate() {
            if let Some(problem) = problem(route, &registry) {
                return Err(RouteError { number: at + 1, from: route.from.name(), problem });
            }
        }
        Ok(Self { registry, routes, limits })
    }

    fn own(
        &self,
        mut envelope: Envelope,
        name: &str,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<NewJob, Unreadable> {
        let id = envelope.id.unwrap_or_else(|| JobId::derived(&format!("adopt/own/{name}")));
        envelope.lane.get_or_insert_with(|| delivery.lane.clone());
        if envelope.trace.traceparent.is_none() {
            envelope.trace = Attributes(&delivery.attributes).trace();
        }
        let kind = envelope.kind.as_ref().map(|k| k.as_str()).unwrap_or_default();
        let kind = self.registry.get(kind).map_err(|e| unreadable(e.to_string()))?;
        self.bounded(&envelope.payload)?;
        // A payload that does not hold becomes a dead letter of its own kind and id when it runs:
        // there it can be found, edited and replayed.
        let version = envelope.kind_version.unwrap_or(kind.version);
        let checked = kind.check(version, &envelope.payload).unwrap_or_default();
        // A deadline that has passed is no fault either: the job ends as expired.
        fill(kind, checked, envelope, id, now).map_err(|e| unreadable(e.to_string()))
    }

    fn foreign(
        &self,
        found: &Found,
        lane: &Lane,
        now: Timestamp,
    ) -> Result<Option<NewJob>, Unreadable> {
        let Some((at, route)) = self.routes.find(found.format, &found.what, &found.source, lane)
        else {
            return Err(no_route(found, lane));
        };
        let Some(kind) = route.kind.as_ref().filter(|_| !route.ignore) else { return Ok(None) };
        let blame = |problem: &dyn std::fmt::Display| {
            unreadable(format!(
                "{} {}, by route {} to {kind}: {problem}",
                found.format.name(),
                quoted(&found.what),
                at + 1
            ))
        };
        let kind = self.registry.get(kind.as_str()).map_err(|e| blame(&e))?;
        let envelope = envelope(route, found, lane).map_err(|e| blame(&e))?;
        self.bounded(&envelope.payload)?;
        let checked = kind.check(kind.version, &envelope.payload).map_err(|e| blame(&e))?;
        let name = format!("adopt/{}/{}/{}", found.format.name(), kind.kind, found.identity);
        let mut job =
            fill(kind, checked, envelope, JobId::derived(&name), now).map_err(|e| blame(&e))?;
        job.max_attempts = job.max_attempts.saturating_sub(found.attempts).max(1);
        Ok(Some(job))
    }

    fn bounded(&self, payload: &Payload) -> Result<(), Unreadable> {
        let (size, max) = (payload.bytes().len(), self.limits.max_payload);
        if size <= max {
            return Ok(());
        }
        Err(unreadable(format!(
            "its payload has {size} bytes; at most {max} are allowed: put large data in a blob"
        )))
    }
}

impl Adopt for Adopter {
    fn adopt(&self, delivery: &Delivery, now: Timestamp) -> Result<Vec<NewJob>, Unreadable> {
        let reading = Reading {
            lane: &delivery.lane,
            attributes: Attributes(&delivery.attributes),
            routes: &self.routes,
            limits: &self.limits,
            depth: 0,
            origin: None,
        };
        match formats::read(reading, &delivery.body)? {
            Read::Own(envelope, name) => {
                self.own(*envelope, &name, delivery, now).map(|job| vec![job])
            }
            Read::Foreign(found) => {
                let max = self.limits.max_jobs;
                if found.len() > max {
                    let count = found.len();
                    return Err(unreadable(format!(
                        "it holds {count} records; at most {max} are read from one message"
                    )));
                }
                let jobs = found.iter().map(|one| self.foreign(one, &delivery.lane, now));
                Ok(jobs.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
            }
        }
    }
}

fn envelope(route: &Route, found: &Found, lane: &Lane) -> Result<Envelope, String> {
    let payload = route.payload(found)?;
    let payload = Payload::of(&payload).map_err(|e| e.to_string())?;
    let text = |pick: &Option<crate::pick::Pick>| match pick {
        Some(pick) => pick.text(&found.doc),
        None => Ok(None),
    };
    let tenant = text(&route.tenant)?.map(Tenant::new).transpose().map_err(|e| e.to_string())?;
    Ok(Envelope {
        payload,
        lane: Some(route.lane.clone().unwrap_or_else(|| lane.clone())),
        tenant,
        priority: route.priority,
        run_at: found.run_at,
        deadline: found.deadline,
        order: text(&route.order)?,
        trace: found.trace.clone(),
        ..Envelope::default()
    })
}

fn no_route(found: &Found, lane: &Lane) -> Unreadable {
    unreadable(format!(
        "no route for {} of {} {} from {} on lane {lane}: add an [[adopt.route]] with from = \"{}\" \
         that names the kind, or ignore = true",
        found.format.name(),
        found.format.type_word(),
        quoted(&found.what),
        quoted(&found.source),
        found.format.name(),
    ))
}

fn problem(route: &Route, registry: &Registry) -> Option<String> {
    match (&route.kind, route.ignore) {
        (Some(_), true) => Some("it names a kind and ignores: one of the two".into()),
        (None, false) => Some("it names no kind: add kind, or ignore = true".into()),
        (None, true) => None,
        (Some(kind), false) => {
            registry.get(kind.as_str()).err().map(|e: RegistryError| e.to_string())
        }
    }
}
