//! Jobs, workers and cells in one table of DynamoDB: every port of a fleet, also the store behind
//! a broker.
//!
//! # The table
//!
//! | partition, sort key | holds |
//! | --- | --- |
//! | `job#<id>`, `row` | a job: a JSON document, its payload and result up to 16 KiB, the keys of its indexes |
//! | `job#<id>`, `payload#…`, `result#…` | larger payloads and results, 300 KiB each |
//! | `hold#<hash>`, `hold` | who holds a unique key |
//! | `line#<hash>`, `line` | the unfinished jobs of one ordering key, in order |
//! | `lanes`, `kind#<lane>#<kind>`, `pause#<lane>` | which lanes and kinds there are, and what is paused |
//! | `fleet`, `worker#<id>`, `fire#<cron entry>` | who is there, which entry fired when |
//! | `cell#<0..15>`, key | small shared state, spread over sixteen partitions by hash |
//!
//! # What is asked, and where it is looked up
//!
//! The indexes are sparse and hold keys only: a job is in one only while the question concerns it.
//! The rows behind the keys are read from the table itself, a hundred a call.
//!
//! | question | index: partition → order |
//! | --- | --- |
//! | show a job; its payload, its result | none: by its key |
//! | list or count jobs by lane, state, kind, tenant, class, error | `desk`: `lane#state` → id, merged newest first; the rest of the filter is applied to the rows |
//! | lanes at a glance | `desk`, counted per lane and state up to [`Settings::count_most`] |
//! | children of a job | `kin`: parent → id |
//! | wake what is parked under a key | `parked`: key → enqueued at |
//! | what may be claimed, what a broker was not told of | `ready`: `lane#kind` → told or not, moment |
//! | what is due, abandoned, to be pruned, to be told | `timer`: `due#`, `lease#`, `keep#`, `hand#`, `untold#`, `sweep#` + lane → instant |
//! | whose deadline has come | `late`: lane → deadline |
//! | replay, discard, purge | `desk`, oldest id first |
//!
//! Nothing scans. A partition of an index takes about 1,000 writes a second before DynamoDB
//! throttles the table, so one lane carries at most about that many changes of state; fleets that
//! need more spread kinds over lanes. Counting reads about 10,000 keys for 60 read units.
//!
//! # How changes are made
//!
//! Each change reads its items consistently, decides in memory with the same rules as every
//! backend, and writes under the versions it read (`tx.rs`): one conditional write where one item
//! changes, a transaction where a unique key, an ordering key, a parent or a large payload does
//! too. A transaction that was cancelled by another is decided anew. A flow that starts more
//! children than one transaction holds makes them in several, before its parent waits. Children
//! of a job that has ended are cancelled right after; if the process dies in between,
//! housekeeping does it.
//!
//! Indexes lag by some milliseconds on AWS. They only suggest: what they say is checked on the
//! row before anything is written, so a stale key costs a read and never a wrong outcome. A list
//! may show a job a moment late.
//!
//! # What an emulator does not show
//!
//! The lag of indexes, throttling, time to live, sizes that are refused, and latency.

mod amend;
mod cells;
mod db;
mod fleet;
mod housekeep;
mod lanes;
mod moves;
mod outbox;
mod queue;
mod records;
mod row;
mod search;
mod settle;
mod store;
mod table;
mod tx;
mod walk;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use flotilla_core::clock::Timestamp;
use flotilla_core::ids::JobId;
use flotilla_core::queue::{Capabilities, QueueError, QueueErrorKind};
use flotilla_core::rng::Rng;
use tokio::sync::{Mutex, MutexGuard, watch};

use self::db::{Db, Range};
use self::lanes::Known;
use self::table::Index;
use self::tx::decide;

/// Which table, and the bounds that are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The table.
    pub table: String,
    /// Largest payload, in bytes; at most 3 MiB, what fits into one transaction.
    pub max_payload: usize,
    /// Largest batch of one call.
    pub max_batch: usize,
    /// Calls at once.
    pub parallel: usize,
    /// Counting a lane goes no further than this.
    pub count_most: u64,
    /// Every end is marked as not yet told, for `Outbox`.
    pub events: bool,
    /// What only tidies up is looked for no more often than this: each look is paid for. What is
    /// due and whose worker is gone is looked for each time.
    pub tidy_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            table: "flotilla".into(),
            max_payload: 1 << 20,
            max_batch: 100,
            parallel: 32,
            count_most: 100_000,
            events: false,
            tidy_every: Duration::ZERO,
        }
    }
}

/// What decisions need of the settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) max_payload: usize,
    pub(crate) count_most: u64,
    pub(crate) events: bool,
}

/// Jobs, pauses, workers and cells in one table. See the module.
#[derive(Debug)]
pub struct Dynamo {
    capabilities: Capabilities,
    db: Db,
    bounds: Bounds,
    known: Known,
    /// Changes of one line, one unique key or one parent go one after the other in this process:
    /// side by side they would only cancel each other.
    turns: Vec<Mutex<()>>,
    /// The last claim met others that took the same jobs.
    rivals: AtomicBool,
    tidy_every: Duration,
    /// When this process last tidied up.
    tidied: AtomicI64,
    wakes: watch::Sender<u64>,
    changes: watch::Sender<u64>,
}

impl Dynamo {
    /// A client of DynamoDB; asks AWS nothing yet. `rng` gives the versions of items.
    pub fn new(config: &SdkConfig, settings: Settings, rng: Arc<dyn Rng>) -> Self {
        let max_payload = settings.max_payload.min(3 << 20);
        Self {
            capabilities: Capabilities {
                name: "dynamodb",
                durable: true,
                processes: true,
                max_payload,
                max_batch: settings.max_batch.max(1),
                fair: false,
                ordering: true,
            },
            db: Db::new(Client::new(config), settings.table, settings.parallel, rng),
            tidy_every: settings.tidy_every,
            tidied: AtomicI64::new(i64::MIN),
            bounds: Bounds {
                max_payload,
                count_most: settings.count_most,
                events: settings.events,
            },
            known: Known::default(),
            turns: std::iter::repeat_with(Mutex::default).take(64).collect(),
            rivals: AtomicBool::new(false),
            wakes: watch::Sender::new(0),
            changes: watch::Sender::new(0),
        }
    }

    /// Makes the table and its indexes, unless they are there, and waits for them.
    ///
    /// # Errors
    /// When DynamoDB refuses, is not reached, or takes more than two minutes.
    pub async fn provision(&self) -> Result<(), QueueError> {
        table::make(&self.db.client, &self.db.table).await
    }

    /// What keeps the table from working as it should, each with what mends it.
    ///
    /// # Errors
    /// When the table does not exist or DynamoDB is not reached.
    pub async fn problems(&self) -> Result<Vec<String>, QueueError> {
        table::problems(&self.db.client, &self.db.table).await
    }

    /// Waits for the turn of what goes by this name.
    pub(crate) async fn turn(&self, name: &str) -> MutexGuard<'_, ()> {
        let place = blake3::hash(name.as_bytes()).as_bytes()[0];
        self.turns[usize::from(place) % self.turns.len()].lock().await
    }

    /// Something may have become claimable.
    fn changed(&self) {
        self.wakes.send_modify(|n| *n = n.wrapping_add(1));
        self.looked();
    }

    /// A job may have changed.
    fn looked(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    fn bounded(&self, given: usize) -> Result<(), QueueError> {
        let most = self.capabilities.max_batch;
        if given <= most {
            return Ok(());
        }
        let message = format!("a batch of {given} was given; split it, at most {most} are allowed");
        Err(QueueError::plain(QueueErrorKind::Invalid, message))
    }

    /// Looks after the children of jobs that have ended: nobody wants those that have not.
    pub(crate) async fn sweep(&self, ended: Vec<JobId>, now: Timestamp) -> Result<(), QueueError> {
        let mut todo = ended;
        while let Some(parent) = todo.pop() {
            let children = Range::all(Index::Kin, parent.to_string());
            let children = self.db.ids(&children, usize::MAX).await?;
            for child in &children {
                let (runs, swept) =
                    decide!(self, now, tx => tx.unwanted(*child, &self.bounds).await?);
                todo.extend(swept);
                todo.extend(runs.then_some(*child));
            }
            // An index that lags may not show the latest children: housekeeping looks again.
            let all = |row: &row::Row| row.sweep && children.len() >= row.made as usize;
            let _no_children_of_its_own = decide!(self, now, tx => {
                if tx.row(parent).await?.is_some_and(all) {
                    tx.change(parent)?.sweep = false;
                }
            });
        }
        Ok(())
    }
}
