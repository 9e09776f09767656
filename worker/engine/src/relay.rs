//! Tells others of jobs: reads ends that nobody was told of, enqueues deliveries for each
//! subscriber, then marks them told.
//!
//! Any worker does it, one at a time (`baton`): several ends travel in one delivery, and two
//! workers that gathered by themselves would tell of an end in two. Ids of events and deliveries
//! follow from the ends, and which ends a round tells of is written down first, so one that crashed
//! before it marked them makes no second delivery. Ends of deliveries themselves call for no event
//! and are only marked.
//!
//! Failed attempts and progress are told where a subscriber asks for them, as they pass: no outbox
//! keeps them, and a crash or a backlog may swallow some.

mod baton;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flotilla_core::clock::before;
use flotilla_core::event::{DELIVER, EventType, Events};
use flotilla_core::ops::EnqueueError;
use flotilla_core::outbox::{Outbox, Untold};
use flotilla_core::queue::{Enqueued, Held, NewJob, QueueError};
use flotilla_core::sabotage::{self, Bug};
use flotilla_core::{Envelope, Registry};
use tokio::sync::{Notify, mpsc};

use baton::{Baton, end};

use crate::StartError;
use crate::names::Call;
use crate::shared::Shared;

/// Ends in one round.
const BATCH: usize = 256;

/// Between two looks when nothing rang: ends also come from other workers and from people.
const LOOK: Duration = Duration::from_secs(1);

/// After the bell: what ends meanwhile is told in the same round.
const GATHER: Duration = Duration::from_millis(20);

/// Between two looks while another worker tells.
const OTHERS: Duration = Duration::from_millis(250);

/// Between two looks of a worker without subscribers for ends that nobody will ever be told of.
const UNHEARD: Duration = Duration::from_secs(600);

/// Steps that may wait to be told; more are let go.
const STEPS: usize = 1024;

/// Something to tell of a job that has not ended.
struct Step {
    held: Held,
    what: EventType,
}

/// The line from the parts that see what happens to the relay.
pub(crate) struct Bell {
    steps: mpsc::Sender<Step>,
    rung: Notify,
    /// There may be ends to tell.
    pending: AtomicBool,
    failures: bool,
    progress: bool,
}

/// What the relay works with.
pub(crate) struct Relay {
    outbox: Arc<dyn Outbox>,
    events: Events,
    steps: mpsc::Receiver<Step>,
    baton: Baton,
}

/// What a round came to.
enum Round {
    /// So many ends were told.
    Told(usize),
    /// Another worker tells.
    Elsewhere,
}

impl Bell {
    /// Jobs have ended here, and that is recorded.
    pub(crate) fn ended(&self) {
        self.pending.store(true, Ordering::Release);
        self.rung.notify_one();
    }

    /// An attempt has failed, and that is recorded.
    pub(crate) fn failed(&self, held: &Held) {
        if self.failures {
            self.step(held, EventType::Failed);
        }
    }

    /// Progress was recorded.
    pub(crate) fn progressed(&self, held: &Held) {
        if self.progress {
            self.step(held, EventType::Progress);
        }
    }

    /// Whether everything that ended here was told.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.pending.load(Ordering::Acquire)
    }

    fn step(&self, held: &Held, what: EventType) {
        if self.steps.try_send(Step { held: held.clone(), what }).is_ok() {
            self.rung.notify_one();
        }
    }
}

/// Bell and relay, where somebody wants to be told.
///
/// # Errors
/// When deliveries could not be made: no outbox, or no kind that carries them.
pub(crate) fn new(
    events: &Events,
    outbox: Option<&Arc<dyn Outbox>>,
    registry: &Registry,
) -> Result<Option<(Bell, Relay)>, StartError> {
    if events.subscribers.is_empty() {
        return Ok(None);
    }
    let fault = |message: &str| StartError::Setting { name: "events", message: message.to_owned() };
    let outbox = outbox.ok_or_else(|| fault("the queue was opened without an outbox"))?;
    if registry.get(DELIVER.as_str()).is_err() {
        return Err(fault("no kind event.deliver is registered, which carries events"));
    }
    let wants = |what| events.subscribers.iter().any(|s| s.types.contains(&what));
    let (sender, steps) = mpsc::channel(STEPS);
    let bell = Bell {
        steps: sender,
        rung: Notify::new(),
        pending: AtomicBool::new(true), // another worker may have left something
        failures: wants(EventType::Failed),
        progress: wants(EventType::Progress),
    };
    let (outbox, baton) = (Arc::clone(outbox), Baton::default());
    let relay = Relay { outbox, events: events.clone(), steps, baton };
    Ok(Some((bell, relay)))
}

/// Tells until dropped.
pub(crate) async fn relay(shared: Arc<Shared>, mut relay: Relay) {
    let Some(bell) = &shared.bell else { return };
    loop {
        relay.tell_steps(&shared).await;
        bell.pending.store(false, Ordering::Release);
        let told = relay.tell_ends(&shared).await;
        shared.observer.port(Call::Outbox, &told);
        match told {
            Ok(Round::Told(0)) => {
                if shared.settings.until_idle {
                    shared.desk.freed.notify_one();
                }
            }
            Ok(Round::Told(n)) => {
                bell.pending.store(true, Ordering::Release);
                if n >= BATCH {
                    continue;
                }
                bell.rung.notify_one(); // looks once more, and then knows that nothing is left
            }
            Ok(Round::Elsewhere) => {
                bell.pending.store(true, Ordering::Release);
                tokio::time::sleep(shared.jittered(OTHERS)).await;
                continue;
            }
            Err(_) => bell.pending.store(true, Ordering::Release),
        }
        tokio::select! {
            biased; // the same run every time
            () = bell.rung.notified() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(shared.jittered(LOOK)) => {}
        }
    }
}

/// Lets ends go that were marked while somebody was subscribed, in a fleet where nobody is any
/// more: their records could never be pruned. Until dropped.
pub(crate) async fn let_go(shared: Arc<Shared>, outbox: Arc<dyn Outbox>) {
    loop {
        let gone = let_go_of(&shared, &*outbox).await;
        shared.observer.port(Call::Outbox, &gone);
        if !matches!(gone, Ok(n) if n >= BATCH) {
            tokio::time::sleep(shared.jittered(UNHEARD)).await;
        }
    }
}

async fn let_go_of(shared: &Shared, outbox: &dyn Outbox) -> Result<usize, QueueError> {
    let since = before(shared.clock.now(), shared.settings.events.unheard);
    let ends = outbox.untold(BATCH).await?;
    let late = |end: &&Untold| end.record.finished_at.is_some_and(|at| at < since);
    let ends: Vec<_> = ends.iter().filter(late).map(|end| (end.record.id, end.fence)).collect();
    if !ends.is_empty() {
        outbox.told(&ends).await?;
        tracing::info!(ends = ends.len(), "nobody is subscribed: ends are let go untold");
    }
    Ok(ends.len())
}

impl Relay {
    /// One round, if no other worker is at it.
    async fn tell_ends(&mut self, shared: &Shared) -> Result<Round, QueueError> {
        if self.baton.is_elsewhere() && !self.baton.take(shared).await? {
            return Ok(Round::Elsewhere);
        }
        // Twice as many as are begun: what was begun is found though others came before it.
        let mut ends = self.outbox.untold(2 * BATCH).await?;
        if ends.is_empty() {
            self.baton.release(shared).await?;
            return Ok(Round::Told(0));
        }
        if !self.baton.is_held(shared) {
            if !self.baton.take(shared).await? {
                return Ok(Round::Elsewhere);
            }
            ends = self.outbox.untold(2 * BATCH).await?; // another may have told some
        }
        let Some(told) = self.baton.begin(shared, &ends, BATCH).await? else {
            return Ok(Round::Elsewhere);
        };
        ends.retain(|one| told.contains(&end(one)));
        if !sabotage::committed(Bug::ForgetOutbox) {
            enqueue(shared, self.events.ended(&ends)).await?;
        }
        if !told.is_empty() {
            self.outbox.told(&told).await?;
        }
        Ok(Round::Told(told.len()))
    }

    /// What passed meanwhile, while it is still so.
    async fn tell_steps(&mut self, shared: &Shared) {
        let mut passed = Vec::new();
        while let Ok(Step { held, what }) = self.steps.try_recv() {
            let read = shared.ports.records.get(held.id).await;
            shared.observer.port(Call::Records, &read);
            let Ok(Some(record)) = read else { continue };
            if !record.state.is_finished() {
                passed.push((what, record, held.fence));
            }
        }
        let told = passed.iter().map(|(what, record, fence)| (*what, record, *fence));
        let told = enqueue(shared, self.events.deliveries(told)).await;
        shared.observer.port(Call::Outbox, &told);
    }
}

/// Enqueues deliveries. One that cannot be is reported and let go: it would be refused for ever.
async fn enqueue(shared: &Shared, deliveries: Vec<Envelope>) -> Result<(), QueueError> {
    let now = shared.clock.now();
    let ordering = shared.ports.queue.capabilities().ordering;
    let mut jobs: Vec<NewJob> = Vec::with_capacity(deliveries.len());
    for mut delivery in deliveries {
        delivery.order = delivery.order.filter(|_| ordering);
        match shared.ops.prepare(delivery, now) {
            Ok(job) => jobs.push(job),
            Err(error) => shared.observer.event("rejected", Some(&error.to_string())),
        }
    }
    let accepted = match shared.ops.enqueue_prepared(&jobs).await {
        Ok(accepted) => accepted,
        Err(EnqueueError::Queue(error)) => return Err(error),
        Err(error) => {
            shared.observer.event("rejected", Some(&error.to_string()));
            return Ok(());
        }
    };
    for job in accepted {
        match job.outcome {
            Enqueued::Created => shared.observer.event("created", None),
            Enqueued::Duplicate(_) => shared.observer.event("duplicate", None),
            Enqueued::Rejected(why) => shared.observer.event("rejected", Some(&why)),
        }
    }
    Ok(())
}
