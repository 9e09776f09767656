//! What a backend gives to be examined, and how one case is run or skipped.
//!
//! Where `FLOTILLA_SUITE_LOG` names a file, each case appends a line to it: suite, group, case,
//! `ran` or `skipped`, and why; `matrix.sh` makes a table of them.

use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use flotilla_core::blob::Blobs;
use flotilla_core::broker::Store;
use flotilla_core::cells::Cells;
use flotilla_core::fleet::Fleet;
use flotilla_core::outbox::Outbox;
use flotilla_core::queue::{Capabilities, Queue};
use flotilla_core::records::Records;

/// Lists of cases, as [`crate::skips`] has them, each with why a backend leaves it out.
pub type Skips = &'static [(&'static [&'static str], &'static str)];

/// One backend, seen through its ports.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Where jobs wait.
    pub queue: Arc<dyn Queue>,
    /// The desk's view of the same jobs.
    pub records: Arc<dyn Records>,
    /// What workers know of each other.
    pub fleet: Arc<dyn Fleet>,
    /// What the fleet agrees on.
    pub cells: Arc<dyn Cells>,
    /// Ends nobody was told of.
    pub outbox: Arc<dyn Outbox>,
}

impl Ports {
    /// The ports of a type that implements all of them.
    pub fn of<B: Queue + Records + Fleet + Cells + Outbox + 'static>(backend: Arc<B>) -> Self {
        Self {
            queue: backend.clone(),
            records: backend.clone(),
            fleet: backend.clone(),
            cells: backend.clone(),
            outbox: backend,
        }
    }
}

/// Makes the backends a suite examines. Each case has a harness of its own.
#[async_trait]
pub trait Harness: Send + Sync {
    /// An empty backend on a store of its own, opened with events off.
    async fn fresh(&self) -> Ports;

    /// The same with events on: its ends are marked as not yet told.
    async fn fresh_telling(&self) -> Ports;

    /// Closes these ports, then opens the store of the last `fresh` or `fresh_telling` again, as
    /// that was opened, as a process that was restarted would. Needed by backends that declare `durable`.
    async fn reopen(&self, ports: Ports) -> Ports {
        drop(ports);
        panic!("the backend declares `durable`: its harness must implement `reopen`");
    }

    /// Another handle on the store of the last `fresh` or `fresh_telling`, opened as that was, as
    /// another process would have one. Needed by backends that declare `processes`.
    async fn second(&self) -> Ports {
        panic!("the backend declares `processes`: its harness must implement `second`");
    }

    /// How many random walks of a sort are taken; fewer where a walk takes minutes.
    fn walks(&self) -> u64 {
        24
    }

    /// The cases this backend cannot pass, with the reason. A case is skipped if and only if it is
    /// listed here and needs what the backend does not declare.
    fn skips(&self) -> Skips {
        &[]
    }
}

/// Makes the blob stores a suite examines.
#[async_trait]
pub trait BlobHarness: Send + Sync {
    /// An empty store that takes blobs of at most `max_bytes` each.
    async fn fresh(&self, max_bytes: u64) -> Arc<dyn Blobs>;
}

/// Makes the stores behind a broker that a suite examines.
#[async_trait]
pub trait StoreHarness: Send + Sync {
    /// An empty store, and its other ports.
    async fn fresh(&self) -> (Arc<dyn Store>, Ports);
}

/// What a case needs beyond the contract all backends keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// `Capabilities::durable`.
    Durable,
    /// `Capabilities::processes`.
    Processes,
    /// `Capabilities::fair`: the queue itself chooses what a claim gives. Where a broker does,
    /// order, bands, tenants and kinds are only roughly kept.
    Fair,
    /// `Capabilities::ordering`.
    Ordering,
}

impl Need {
    fn is_met(self, declared: &Capabilities) -> bool {
        match self {
            Self::Durable => declared.durable,
            Self::Processes => declared.processes,
            Self::Fair => declared.fair,
            Self::Ordering => declared.ordering,
        }
    }
}

/// One case of one suite.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The crate that is examined.
    pub suite: &'static str,
    /// The module of the test, as `module_path!` gives it: the binary, then a name where one crate
    /// runs several suites.
    pub module: &'static str,
    /// The group of the case.
    pub group: &'static str,
    /// The case.
    pub name: &'static str,
}

impl Case {
    /// A case that is in no suite: for tests of the suites.
    pub fn alone(name: &'static str) -> Self {
        Self { suite: "none", module: "none", group: "none", name }
    }

    fn log(&self, what: &str, why: &str) {
        let Some(path) = std::env::var_os("FLOTILLA_SUITE_LOG").filter(|_| self.suite != "none")
        else {
            return;
        };
        let parts = self.module.split("::").skip(1).filter(|part| *part != self.group);
        let suite = [self.suite].into_iter().chain(parts).collect::<Vec<_>>().join(" ");
        let line = format!("{suite}\t{}\t{}\t{what}\t{why}\n", self.group, self.name);
        if let Ok(mut log) = std::fs::OpenOptions::new().append(true).create(true).open(path) {
            let _best_effort = log.write_all(line.as_bytes());
        }
    }
}

/// Runs one case of a queue suite, or skips it when that is expected. Used by `queue_suite!`.
///
/// # Panics
/// When the case fails, and when it is listed as skipped but could run or the other way round.
pub fn run(
    case: Case,
    needs: &[Need],
    harness: &dyn Harness,
    body: impl AsyncFnOnce(&dyn Harness),
) {
    let name = case.name;
    block_on(async {
        let listed = harness.skips().iter().find(|(listed, _)| listed.contains(&name));
        let missing: Vec<Need> = if needs.is_empty() {
            Vec::new()
        } else {
            let ports = harness.fresh().await;
            let declared = ports.queue.capabilities();
            needs.iter().copied().filter(|need| !need.is_met(declared)).collect()
        };
        match (missing.is_empty(), listed) {
            (true, None) => {
                body(harness).await;
                case.log("ran", "");
            }
            (false, Some((_, why))) => {
                println!("skipped: {name}: {why}");
                case.log("skipped", why);
            }
            (true, Some(_)) => {
                panic!("{name} is listed in `skips`, but the backend declares all it needs")
            }
            (false, None) => panic!(
                "{name} needs {missing:?}, which the backend does not declare: list it in `skips`"
            ),
        }
    });
}

/// Runs one case of a blob suite. Used by `blob_suite!`.
pub fn run_blob(case: Case, harness: &dyn BlobHarness, body: impl AsyncFnOnce(&dyn BlobHarness)) {
    block_on(async {
        body(harness).await;
        case.log("ran", "");
    });
}

/// Runs one case of a store suite. Used by `store_suite!`.
pub fn run_store(
    case: Case,
    harness: &dyn StoreHarness,
    body: impl AsyncFnOnce(&dyn StoreHarness),
) {
    block_on(async {
        body(harness).await;
        case.log("ran", "");
    });
}

/// Checks that every listed skip names a case. Used by `queue_suite!`.
///
/// # Panics
/// When one does not.
pub fn check_skips(harness: &dyn Harness, cases: &[&str]) {
    for name in harness.skips().iter().flat_map(|(listed, _)| *listed) {
        assert!(cases.contains(name), "`skips` lists \"{name}\", which is not a case");
    }
}

fn block_on(body: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime starts")
        .block_on(body);
}
