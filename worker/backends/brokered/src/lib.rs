//! A broker and a store as one queue: the record is the truth, the broker a wake-up and a lease.
//!
//! Jobs are made in the store, then published; what could not be published is published by the
//! next sweep. A claim receives messages and takes the jobs they name from the store, under the
//! store's lease and fence, so duplicates, lost messages and foreign ones change nothing: what is
//! over, held or waits is acked and forgotten, what was lost is published again.
//!
//! When a message is acked:
//!
//! - Where unacked messages are what holds a worker's share down (RabbitMQ's prefetch), after the
//!   outcome was recorded, or when the job runs longer than the broker's longest lease.
//! - Where they have to be kept hidden by calls ([`BrokerCapabilities::extends`], SQS), as soon as
//!   the job is taken: its lease is in the record, and a crash is noticed there.
//!
//! A lane may have **records for failures** only (see [`Settings::records_for_failures`]): such a
//! job lives in its message alone until it fails, parks, snoozes or runs long. That is as fast as
//! the broker, and gives up unique keys, ordering keys and parents (an enqueue with one is
//! rejected), and for jobs that end well: duplicates by id, status, cancelling, results and
//! events. A job that is to run later has a record from the start.
//!
//! [`BrokerCapabilities::extends`]: flotilla_core::broker::BrokerCapabilities::extends

mod bury;
mod claim;
mod enqueue;
mod hold;
mod light;
mod pace;
mod ports;
mod settle;
mod sweep;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flotilla_core::broker::{Adopt, Broker, Delivery, Store};
use flotilla_core::ids::{JobId, Lane, Receipt};
use flotilla_core::queue::{Capabilities, NewJob};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::hold::Holds;
use crate::pace::Pace;

/// How a broker and a store work together.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the pair in the capabilities: `rabbitmq+postgres`.
    pub name: &'static str,
    /// How long a claim waits for the first message. Zero where messages come by themselves.
    pub wait: Duration,
    /// How often, at most, claims look in the store for what is due and what was not published.
    /// Zero: each claim looks, so that it gives all there is.
    pub sweep_every: Duration,
    /// An available job that nobody has taken so long after it was published, on a lane of which
    /// the broker holds no message, is published again.
    pub stale: Duration,
    /// Lanes whose jobs get a record only when they do not simply succeed.
    pub records_for_failures: BTreeSet<Lane>,
    /// On such a lane: a job handed over this often before gets a record, where its crashes count.
    pub poison_after: u32,
    /// How long dead letters made here are kept.
    pub keep_dead: Duration,
    /// Messages of one lane, of kinds that were not asked for, kept at hand until they are; what
    /// is over it goes to the end of the lane.
    pub aside: usize,
}

impl Settings {
    /// No waiting, a sweep every 100 ms at most, stale after a minute, records for all, 30 days.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            wait: Duration::ZERO,
            sweep_every: Duration::from_millis(100),
            stale: Duration::from_secs(60),
            records_for_failures: BTreeSet::new(),
            poison_after: 2,
            keep_dead: Duration::from_secs(30 * 24 * 3600),
            aside: 64,
        }
    }
}

/// A message and the job it names.
#[derive(Clone, Debug)]
struct Offer {
    receipt: Receipt,
    lane: Lane,
    redelivered: u32,
    job: NewJob,
    /// A record was made before it was published.
    recorded: bool,
}

/// A queue made of a broker and a store.
pub struct Brokered<B, S> {
    broker: Arc<B>,
    store: Arc<S>,
    adopt: Arc<dyn Adopt>,
    settings: Settings,
    capabilities: Capabilities,
    holds: Mutex<Holds>,
    aside: Mutex<BTreeMap<Lane, Vec<Offer>>>,
    /// Marked as published, and not taken by the broker.
    owed: Mutex<Vec<JobId>>,
    pace: Arc<Mutex<Pace>>,
    /// Numbers the leases of jobs without a record.
    light_fence: AtomicU64,
    wakes: Arc<watch::Sender<u64>>,
    _forwarder: AbortOnDropHandle<()>,
}

impl<B: Broker + 'static, S: Store + 'static> Brokered<B, S> {
    /// Puts the two together. `adopt` reads messages that did not come from here. Must be called
    /// inside a tokio runtime.
    pub fn new(broker: Arc<B>, store: Arc<S>, adopt: Arc<dyn Adopt>, settings: Settings) -> Self {
        let below = store.capabilities();
        let capabilities = Capabilities { name: settings.name, fair: false, ..below.clone() };
        let pace = Arc::new(Mutex::new(Pace::new(settings.sweep_every)));
        let wakes = Arc::new(watch::Sender::new(0));
        let forwarder = pace::forward(
            broker.wakes(),
            store.wakes(),
            Arc::clone(&pace),
            Arc::clone(&wakes),
            settings.sweep_every,
        );
        Self {
            broker,
            store,
            adopt,
            capabilities,
            holds: Mutex::default(),
            aside: Mutex::default(),
            owed: Mutex::default(),
            pace,
            light_fence: AtomicU64::new(1),
            wakes,
            _forwarder: AbortOnDropHandle::new(tokio::spawn(forwarder)),
            settings,
        }
    }
}

impl<B: Broker, S: Store> Brokered<B, S> {
    /// The broker, for what only it can tell.
    pub fn broker(&self) -> &Arc<B> {
        &self.broker
    }

    /// The store, for what only it can tell.
    pub fn store(&self) -> &Arc<S> {
        &self.store
    }

    fn is_light(&self, lane: &Lane) -> bool {
        self.settings.records_for_failures.contains(lane)
    }

    /// Done with these messages. One that is not acked comes again and is found to be over.
    async fn ack(&self, receipts: &[Receipt]) {
        if !receipts.is_empty()
            && let Err(error) = self.broker.ack(receipts).await
        {
            tracing::debug!(%error, messages = receipts.len(), "not acked: they will come again");
        }
    }

    /// Something was changed in the store that only a sweep can tell the broker of.
    fn sweep_soon(&self) {
        lock(&self.pace).soon();
        self.wakes.send_modify(|n| *n = n.wrapping_add(1));
    }
}

impl<B: fmt::Debug, S: fmt::Debug> fmt::Debug for Brokered<B, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brokered")
            .field("broker", &self.broker)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// A panic elsewhere does not make the state unreadable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The receipts of these.
fn receipts(deliveries: &[Delivery]) -> Vec<Receipt> {
    deliveries.iter().map(|delivery| delivery.receipt.clone()).collect()
}
