//! RabbitMQ as a broker of notices, through `lapin`.
//!
//! A lane is three quorum queues, one per band of priorities (quorum queues before RabbitMQ 4 know
//! no priorities): `PREFIX.LANE` for 3 to 6, `PREFIX.LANE:high` above, `PREFIX.LANE:low` below.
//! Producers in any language publish to `PREFIX.LANE` through the default exchange, or bind it to
//! an exchange of their own. What a queue gives up after [`Settings::delivery_limit`] hand-overs
//! comes to `PREFIX:dead` and is collected from there.
//!
//! - Messages are persistent, mandatory and confirmed by the broker; publishing and consuming use a
//!   connection each, so that a broker that blocks publishers still takes acks.
//! - Each lane has a channel. Its prefetch follows what its claims ask for, so that a busy worker
//!   holds no job that an idle one could run; acks are sent together where that is safe.
//! - Connections and channels are made anew by the next call after they broke: broker restarted,
//!   connection cut, channel closed by a consumer timeout. What was unacked comes again; receipts
//!   from before are passed over.
//! - Queues are declared when they are first used. One that is there with other arguments is not
//!   used at all, and [`Amqp::check`] says how to mend it.

mod acks;
mod error;
mod line;
mod link;
mod message;
mod ports;
mod publish;
mod receive;
mod settings;
mod topology;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_core::broker::BrokerCapabilities;
use flotilla_core::ids::Lane;
use flotilla_core::queue::QueueError;
use tokio::sync::watch;

use crate::line::Line;
use crate::link::Link;
use crate::publish::Publisher;
pub use crate::settings::{Settings, Url};
use crate::topology::Names;
pub use crate::topology::Problem;

/// One RabbitMQ server or cluster. Its connections end when it is dropped.
pub struct Amqp {
    capabilities: BrokerCapabilities,
    settings: Settings,
    names: Names,
    consuming: Link,
    publisher: Publisher,
    lines: Mutex<Lines>,
    /// One caller at a time makes a line anew.
    opening: tokio::sync::Mutex<()>,
    next_epoch: AtomicU32,
    wakes: Arc<watch::Sender<u64>>,
}

/// The open lines, by lane and by the number their receipts carry.
#[derive(Default)]
struct Lines {
    by_lane: HashMap<Lane, Arc<Line>>,
    by_epoch: HashMap<u32, Arc<Line>>,
    /// That of the queue of the dead.
    dead: Option<Arc<Line>>,
    /// Queues with other arguments that were reported.
    reported: HashSet<Lane>,
}

impl Amqp {
    /// Checks the settings and connects once, so that a wrong address or password shows at once.
    /// Later the connections are made anew by themselves.
    ///
    /// # Errors
    /// `Invalid`: a setting. `Unavailable`: the broker cannot be reached or refuses.
    pub async fn connect(settings: Settings) -> Result<Arc<Self>, QueueError> {
        let broker = Self::new(settings)?;
        broker.consuming.connection().await?;
        Ok(Arc::new(broker))
    }

    fn new(settings: Settings) -> Result<Self, QueueError> {
        let names = Names::new(&settings)?;
        let consuming = Link::new(&settings, "consumes")?;
        let publisher =
            Publisher::new(Link::new(&settings, "publishes")?, names.clone(), &settings);
        Ok(Self {
            capabilities: BrokerCapabilities {
                name: "rabbitmq",
                max_body: settings.max_body,
                max_delay: std::time::Duration::ZERO,
                extends: false,
                longest_lease: Some(settings.longest_lease),
            },
            names,
            consuming,
            publisher,
            lines: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            next_epoch: AtomicU32::new(1),
            wakes: Arc::new(watch::Sender::new(0)),
            settings,
        })
    }

    /// Sends what acks are held back and ends the connections; waits until the broker has what was
    /// unacked back among the ready.
    pub async fn close(&self) {
        let lines: Vec<Arc<Line>> = {
            let mut lines = lock(&self.lines);
            lines.by_lane.clear();
            lines.dead = None;
            lines.by_epoch.drain().map(|(_, line)| line).collect()
        };
        for line in lines {
            line.flush().await;
        }
        self.consuming.close().await;
        self.publisher.close().await;
    }

    /// What is wrong with the queues of these lanes; makes none.
    ///
    /// # Errors
    /// `Unavailable`: the broker cannot be reached or refuses.
    pub async fn check(&self, lanes: &[Lane]) -> Result<Vec<Problem>, QueueError> {
        let connection = self.consuming.connection().await?;
        let mut problems = Vec::new();
        for queue in self.names.all(lanes) {
            problems.extend(topology::check(&connection, &self.names, &queue).await?);
        }
        Ok(problems)
    }
}

impl fmt::Debug for Amqp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Amqp").field("prefix", &self.settings.prefix).finish_non_exhaustive()
    }
}

/// A panic elsewhere does not make the state unreadable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
