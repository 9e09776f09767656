//! Every port that holds state in one schema of a PostgreSQL server, 15 or newer.
//!
//! The record row is also the queue entry: a claim is one statement that walks a partial index
//! with `FOR UPDATE SKIP LOCKED`; every call of a port is one or two round trips, whatever the
//! size of its batch. Three things keep callers out of each other's way:
//!
//! - What must survive a power cut (enqueues, outcomes, the desk's changes) is answered after the
//!   server's disk has it. Claims, heartbeats and promotions commit without waiting for the disk;
//!   a crash of the server may undo the last of them, which costs no more than a crash of the
//!   worker would. So that a lease from before such a crash can never pass for a later one, fences
//!   grow with the clock.
//! - Rows that many share (the tags of tenants, the places a lane gave) are written in transactions
//!   of their own that do not wait for the disk either.
//! - Notifications are sent apart from the commits they tell of ([`bell`]).
//!
//! Sessions matter (prepared statements, `LISTEN`, `SET`): a pooler in between must not share them
//! out per transaction.
//!
//! Other programs enqueue with the SQL function `enqueue` of the schema, inside their own transaction;
//! see `migrations/0001.sql`.

mod amend;
mod bell;
mod cells;
mod claim;
mod code;
mod desk;
mod enqueue;
mod error;
mod extend;
mod filter;
mod fleet;
mod flow;
mod gather;
mod housekeep;
mod kinds;
mod listen;
mod migrate;
mod outbox;
mod pool;
mod ports;
mod records;
mod replay;
mod settings;
mod settle;
mod store;

use std::fmt;
use std::sync::{Arc, Weak};

use deadpool_postgres::{Client, Pool};
use flotilla_core::queue::{Capabilities, QueueError};
use tokio_util::task::AbortOnDropHandle;

use crate::bell::{Bell, News};
use crate::error::{Done, Fault};
use crate::gather::Gather;
pub use crate::kinds::KindDefaults;
pub use crate::migrate::Migrated;
use crate::pool::{Dialler, Use};
pub use crate::settings::{Settings, Url};

/// Every port that holds state, on one server. Its connections end when it is dropped.
pub struct Postgres {
    capabilities: Capabilities,
    schema: String,
    /// Ends are marked as untold.
    events: bool,
    /// A broker carries the jobs.
    brokered: bool,
    hot: Pool,
    desk: Pool,
    bell: Arc<Bell>,
    gather: Gather,
    /// Itself, for what outlives a call.
    me: Weak<Self>,
    _listener: AbortOnDropHandle<()>,
}

impl Postgres {
    /// Connects, checks the version of the tables and starts to listen. Later the connections are
    /// made anew by themselves, so a restart of the server needs nothing from the caller.
    ///
    /// # Errors
    /// `Unavailable`: the server cannot be reached or refuses. `Invalid`: wrong settings, tables
    /// missing, older (the message says to run `flotilla migrate`) or newer than this build.
    pub async fn connect(settings: Settings) -> Result<Arc<Self>, QueueError> {
        let schema = settings.schema()?.to_owned();
        let dialler = Dialler::new(&settings)?;
        let size = settings.pool_size.max(2);
        let hot = dialler.pool(size, Use::Hot, settings.connect_timeout)?;
        let desk = dialler.pool(size.div_ceil(2), Use::Desk, settings.connect_timeout)?;
        let first = desk.get().await.map_err(Fault::from)?;
        migrate::check(&first, &schema).await?;
        if settings.brokered {
            hand_over(&first).await.map_err(Fault::from)?;
        }
        drop(first);
        let bell = Arc::new(Bell::new());
        let listener = listen::listen(dialler, schema.clone(), Arc::clone(&bell));
        let listener = AbortOnDropHandle::new(tokio::spawn(listener));
        Ok(Arc::new_cyclic(|me| Self {
            capabilities: Capabilities {
                name: "postgres",
                durable: true,
                processes: true,
                max_payload: settings.max_payload,
                max_batch: settings.max_batch,
                fair: true,
                ordering: true,
            },
            schema,
            events: settings.events,
            brokered: settings.brokered,
            hot,
            desk,
            bell,
            gather: Gather::default(),
            me: Weak::clone(me),
            _listener: listener,
        }))
    }

    /// Makes the tables or brings them up to date. Safe beside running workers of the version
    /// before, and when several processes do it at once.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); nothing is changed then.
    pub async fn migrate(settings: &Settings) -> Result<Migrated, QueueError> {
        migrate::migrate(settings).await
    }

    async fn hot(&self) -> Done<Client> {
        Ok(self.hot.get().await?)
    }

    async fn desk(&self) -> Done<Client> {
        Ok(self.desk.get().await?)
    }

    fn tell(&self, news: News) {
        self.bell.committed(news);
    }
}

/// Unfinished jobs from before there was a broker are to be published from now on.
async fn hand_over(client: &Client) -> Result<(), tokio_postgres::Error> {
    const A_STEP: &str = "UPDATE job SET published = 0 WHERE id = ANY (ARRAY(
        SELECT id FROM job WHERE state < 5 AND published IS NULL LIMIT 10000 FOR UPDATE SKIP LOCKED))";
    while client.execute(A_STEP, &[]).await? > 0 {}
    Ok(())
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("schema", &self.schema).finish_non_exhaustive()
    }
}
