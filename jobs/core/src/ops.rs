//! Enqueueing as everyone does it: the command line, the API, schedules and other jobs take
//! this one path, so that a payload is checked the same way wherever it comes from.

use std::sync::Arc;

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::envelope::{Envelope, Unique};
use crate::ids::JobId;
use crate::queue::{Enqueued, NewJob, Queue, QueueError};
use crate::registry::{Checked, PayloadError, Registered, Registry, RegistryError};
use crate::rng::{Rng, SeededRng};

/// Longest unique key, in bytes.
pub const MAX_UNIQUE_KEY: usize = 512;
/// Longest ordering key, in bytes.
pub const MAX_ORDER_KEY: usize = 512;

/// Why an envelope was not taken.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// No such kind.
    #[error(transparent)]
    Kind(#[from] RegistryError),
    /// The payload is not one of its kind.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// Another field does not hold.
    #[error("envelope field \"{field}\": {message}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// The queue failed; nothing is known to have been taken.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl EnqueueError {
    /// The field that is wrong, where it is one.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Kind(_) => Some("kind"),
            Self::Payload(e) => Some(&e.field),
            Self::Field { field, .. } => Some(field),
            Self::Queue(_) => None,
        }
    }
}

/// What an enqueue needs.
#[derive(Clone)]
pub struct Ops {
    /// The kinds, with their policies.
    pub registry: Arc<Registry>,
    /// Where the jobs go.
    pub queue: Arc<dyn Queue>,
    /// Now.
    pub clock: Arc<dyn Clock>,
    /// For ids.
    pub rng: Arc<dyn Rng>,
}

/// A job that was taken, or the one that already stood for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The job to look at: the duplicate's, when it is one.
    pub id: JobId,
    /// What the queue said.
    pub outcome: Enqueued,
}

impl Ops {
    /// An enqueue path with this machine's clock and randomness.
    pub fn new(registry: Arc<Registry>, queue: Arc<dyn Queue>) -> Self {
        let (clock, rng) = (Arc::new(SystemClock), Arc::new(SeededRng::from_os()));
        Self { registry, queue, clock, rng }
    }

    /// Fills an envelope from the policy of its kind and checks all of it.
    ///
    /// # Errors
    /// The first fault, naming its field.
    pub fn prepare(&self, envelope: Envelope, now: Timestamp) -> Result<NewJob, EnqueueError> {
        let name = envelope.kind.as_ref().map(|k| k.as_str()).unwrap_or_default();
        let kind = self.registry.get(name)?;
        let version = envelope.kind_version.unwrap_or(kind.version);
        let size = envelope.payload.bytes().len();
        let max = self.queue.capabilities().max_payload;
        if size > max {
            let message =
                format!("has {size} bytes; at most {max} are allowed: put large data in a blob");
            return Err(EnqueueError::Field { field: "payload", message });
        }
        let checked = kind.check(version, &envelope.payload)?;
        let id = envelope.id.unwrap_or_else(|| JobId::new(now, &*self.rng));
        let job = fill(kind, checked, envelope, id, now)?;
        if let Some(deadline) = job.deadline.filter(|d| *d <= job.run_at) {
            let message = format!("{deadline} is not after the moment it may run, {}", job.run_at);
            return Err(EnqueueError::Field { field: "deadline", message });
        }
        Ok(job)
    }

    /// Checks and enqueues; answers after the jobs are durable, in the order given.
    ///
    /// # Errors
    /// The first fault; then nothing was enqueued.
    pub async fn enqueue(&self, envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, EnqueueError> {
        let now = self.clock.now();
        let jobs = envelopes
            .into_iter()
            .map(|envelope| self.prepare(envelope, now))
            .collect::<Result<Vec<_>, _>>()?;
        self.enqueue_prepared(&jobs).await
    }

    /// Enqueues jobs that [`prepare`](Self::prepare) made, split to the backend's batch.
    ///
    /// # Errors
    /// [`EnqueueError::Queue`]; earlier batches of the call may have been taken.
    pub async fn enqueue_prepared(&self, jobs: &[NewJob]) -> Result<Vec<Accepted>, EnqueueError> {
        let mut accepted = Vec::with_capacity(jobs.len());
        for batch in jobs.chunks(self.queue.capabilities().max_batch.max(1)) {
            let answers = self.queue.enqueue(batch, self.clock.now()).await?;
            accepted.extend(batch.iter().zip(answers).map(|(job, outcome)| {
                let id = if let Enqueued::Duplicate(id) = outcome { id } else { job.id };
                Accepted { id, outcome }
            }));
        }
        Ok(accepted)
    }
}

/// Fills an envelope from the policy of its kind; the payload was checked before. Size and
/// deadline are the caller's business.
///
/// # Errors
/// A unique key or an ordering key that does not hold.
pub fn fill(
    kind: &Registered,
    checked: Checked,
    envelope: Envelope,
    id: JobId,
    now: Timestamp,
) -> Result<NewJob, EnqueueError> {
    let unique = envelope.unique.or(checked.unique);
    check_unique(unique.as_ref())?;
    check_order(envelope.order.as_deref())?;
    Ok(NewJob {
        id,
        kind: kind.kind.clone(),
        version: envelope.kind_version.unwrap_or(kind.version),
        lane: envelope.lane.unwrap_or_else(|| kind.policy.lane.clone()),
        tenant: envelope.tenant.unwrap_or_default(),
        priority: envelope.priority.unwrap_or(kind.policy.priority),
        payload: envelope.payload,
        run_at: envelope.run_at.unwrap_or(now).max(now),
        deadline: envelope.deadline,
        unique,
        order: envelope.order,
        parent: None,
        max_attempts: kind.policy.max_attempts.max(1),
        trace: envelope.trace,
        extra: envelope.extra,
    })
}

fn check_unique(unique: Option<&Unique>) -> Result<(), EnqueueError> {
    match unique {
        Some(unique) if unique.key.is_empty() || unique.key.len() > MAX_UNIQUE_KEY => {
            let message = format!("its key must have 1 to {MAX_UNIQUE_KEY} bytes");
            Err(EnqueueError::Field { field: "unique", message })
        }
        _ => Ok(()),
    }
}

fn check_order(order: Option<&str>) -> Result<(), EnqueueError> {
    match order {
        Some(key) if key.is_empty() || key.len() > MAX_ORDER_KEY => {
            let message = format!("the ordering key must have 1 to {MAX_ORDER_KEY} bytes");
            Err(EnqueueError::Field { field: "order", message })
        }
        _ => Ok(()),
    }
}
