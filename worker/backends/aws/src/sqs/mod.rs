//! SQS as a [`Broker`]: one queue per lane, batches of ten, long polls, leases as visibility.
//!
//! # How the limits of SQS are hidden
//!
//! | limit of SQS | here |
//! | --- | --- |
//! | a delay of at most 15 minutes | `max_delay` says so; the record holds what is due later |
//! | hidden for at most 12 hours | `longest_lease` says so; longer jobs are acked early under the lease of their record |
//! | a message of at most 1 MiB | a larger body lies among the blobs under `queue/`, and goes with the ack |
//! | ten messages and 1 MiB a call | calls are split and run side by side |
//! | characters XML forbids | written as JSON escapes |
//! | no delay of one message in a FIFO queue | such a notice is not taken; the record publishes it when it is due |
//!
//! A standard queue is told the tenant as `MessageGroupId`, which makes it a fair queue: tenants
//! with a backlog do not hold up others. The lanes in [`Settings::fifo`] use FIFO queues, whose
//! group is the ordering key, else the tenant: SQS hands out no later message of a group while
//! an earlier one is in someone's hands.
//!
//! A call whose entries fail in part is repeated for those entries only; what SQS itself could
//! not do (throttled, internal error) is tried again, then reported as `Unavailable`.
//!
//! # What an emulator does not show
//!
//! Throttling and its codes, fair sharing between groups of a standard queue, the limit of
//! 120,000 messages in flight, messages that come twice or out of order by themselves, and the
//! end of the twelve hours. The code paths are there; only AWS can hold them to the test.

mod publish;
mod queues;
mod receive;
mod settle;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use flotilla_core::blob::Blobs;
use flotilla_core::broker::{Broker, BrokerCapabilities, Delivery, Notice};
use flotilla_core::ids::{Lane, Receipt};
use flotilla_core::queue::{LaneDemand, QueueError};
use flotilla_core::rng::Rng;
use tokio::sync::watch;

use self::queues::Queues;
use self::receive::Desk;

/// The most SQS takes in one call.
const BATCH: usize = 10;
/// The most bytes SQS takes in one message and in one call.
const MOST_BYTES: usize = 1_048_576;
/// The longest a message stays hidden, from the moment it was received.
const LONGEST_LEASE: Duration = Duration::from_secs(12 * 3600);
/// The longest delay of a message.
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// Which queues, and how they are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A queue is named this and its lane, dots as `_DOT_`.
    pub prefix: String,
    /// Lanes whose queue has a name of its own: queues that others fill.
    pub names: BTreeMap<Lane, String>,
    /// Lanes whose queue is a FIFO queue; of `names` those that end in `.fifo` are.
    pub fifo: BTreeSet<Lane>,
    /// Standard queues are told the tenant, which makes them fair queues.
    pub fair: bool,
    /// Larger bodies go to the blobs, in bytes; at most 1 MiB.
    pub max_message: usize,
    /// Larger bodies are not taken at all, in bytes; counts only where there are blobs.
    pub max_body: usize,
    /// Calls at once for one lane: ten messages each.
    pub parallel: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefix: "flotilla-".into(),
            names: BTreeMap::new(),
            fifo: BTreeSet::new(),
            fair: true,
            max_message: MOST_BYTES,
            max_body: 16 * MOST_BYTES,
            parallel: 8,
        }
    }
}

/// Notices over SQS. See the module.
#[derive(Debug)]
pub struct Sqs {
    capabilities: BrokerCapabilities,
    shared: Arc<Shared>,
}

/// What the calls in flight share.
#[derive(Debug)]
pub(crate) struct Shared {
    client: Client,
    queues: Queues,
    settings: Settings,
    blobs: Option<Arc<dyn Blobs>>,
    rng: Arc<dyn Rng>,
    desk: Desk,
    wakes: watch::Sender<u64>,
}

impl Sqs {
    /// A client of SQS; asks AWS nothing yet. `blobs` hold what is too large for a message, under
    /// `queue/`; without them such a notice is not taken. `rng` names those blobs.
    pub fn new(
        config: &SdkConfig,
        mut settings: Settings,
        blobs: Option<Arc<dyn Blobs>>,
        rng: Arc<dyn Rng>,
    ) -> Self {
        settings.max_message = settings.max_message.clamp(1024, MOST_BYTES);
        settings.parallel = settings.parallel.max(1);
        let client = Client::new(config);
        let max_body = if blobs.is_some() { settings.max_body } else { settings.max_message };
        let capabilities = BrokerCapabilities {
            name: "sqs",
            max_body,
            max_delay: LONGEST_DELAY,
            extends: true,
            longest_lease: Some(LONGEST_LEASE),
        };
        let queues = Queues::new(client.clone(), settings.clone());
        let (desk, wakes) = (Desk::default(), watch::Sender::new(0));
        let shared = Shared { client, queues, settings, blobs, rng, desk, wakes };
        Self { capabilities, shared: Arc::new(shared) }
    }

    /// Makes the queues of these lanes that are not there; safe to repeat.
    ///
    /// # Errors
    /// When SQS refuses or is not reached.
    pub async fn provision(&self, lanes: &[Lane]) -> Result<(), QueueError> {
        for lane in lanes {
            self.shared.queues.make(lane).await?;
        }
        Ok(())
    }

    /// What keeps the queues of these lanes from working as they should, each with what mends it.
    ///
    /// # Errors
    /// When a queue does not exist or SQS is not reached.
    pub async fn problems(&self, lanes: &[Lane]) -> Result<Vec<String>, QueueError> {
        let mut all = Vec::new();
        for lane in lanes {
            all.extend(self.shared.queues.problems(lane).await?);
        }
        Ok(all)
    }
}

impl Shared {
    /// Something may have arrived.
    fn wake(&self) {
        self.wakes.send_modify(|n| *n = n.wrapping_add(1));
    }
}

/// Whole seconds, no less than asked for, within what SQS takes.
fn seconds(wanted: Duration, most: Duration) -> i32 {
    let whole = wanted.min(most);
    let up = whole.as_secs() + u64::from(whole.subsec_nanos() > 0);
    i32::try_from(up).unwrap_or(i32::MAX)
}

#[async_trait]
impl Broker for Sqs {
    fn capabilities(&self) -> &BrokerCapabilities {
        &self.capabilities
    }

    async fn publish(&self, notices: &[Notice]) -> Result<Vec<bool>, QueueError> {
        let taken = self.shared.publish(notices).await?;
        self.shared.wake();
        Ok(taken)
    }

    async fn receive(
        &self,
        lanes: &[LaneDemand],
        lease: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        receive::receive(&self.shared, lanes, lease, wait).await
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<Vec<bool>, QueueError> {
        self.shared.hide(receipts, seconds(lease, LONGEST_LEASE)).await
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        self.shared.ack(receipts).await
    }

    async fn nack(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        self.shared.hide(receipts, 0).await.map(|_| ())
    }

    async fn depth(&self, lane: &Lane) -> Result<u64, QueueError> {
        let wanted = QueueAttributeName::ApproximateNumberOfMessages;
        let found = self.shared.queues.attributes(lane, std::slice::from_ref(&wanted)).await?;
        Ok(found.get(&wanted).and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.shared.wakes.subscribe()
    }
}
