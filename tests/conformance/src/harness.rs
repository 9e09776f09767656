//! What a backend gives to be examined, and how one case is run or skipped.

use std::sync::Arc;

use async_trait::async_trait;
use flotilla_core::blob::Blobs;
use flotilla_core::fleet::Fleet;
use flotilla_core::queue::{Capabilities, Queue};
use flotilla_core::records::Records;

/// One backend, seen through its three ports.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Where jobs wait.
    pub queue: Arc<dyn Queue>,
    /// The desk's view of the same jobs.
    pub records: Arc<dyn Records>,
    /// What workers know of each other.
    pub fleet: Arc<dyn Fleet>,
}

impl Ports {
    /// The three ports of a type that implements all of them.
    pub fn of<B: Queue + Records + Fleet + 'static>(backend: Arc<B>) -> Self {
        Self { queue: backend.clone(), records: backend.clone(), fleet: backend }
    }
}

/// Makes the backends a suite examines. Each case has a harness of its own.
#[async_trait]
pub trait Harness: Send + Sync {
    /// An empty backend on a store of its own.
    async fn fresh(&self) -> Ports;

    /// Closes these ports, then opens the store of the last [`fresh`](Self::fresh) again, as
    /// a process that was restarted would. Needed by backends that declare `durable`.
    async fn reopen(&self, ports: Ports) -> Ports {
        drop(ports);
        panic!("the backend declares `durable`: its harness must implement `reopen`");
    }

    /// Another handle on the store of the last [`fresh`](Self::fresh), as another process would
    /// have one. Needed by backends that declare `processes`.
    async fn second(&self) -> Ports {
        panic!("the backend declares `processes`: its harness must implement `second`");
    }

    /// The cases this backend cannot pass, each with the reason. A case is skipped if and only
    /// if it is listed here and needs what the backend does not declare.
    fn skips(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
}

/// Makes the blob stores a suite examines.
#[async_trait]
pub trait BlobHarness: Send + Sync {
    /// An empty store that takes blobs of at most `max_bytes` each.
    async fn fresh(&self, max_bytes: u64) -> Arc<dyn Blobs>;
}

/// What a case needs beyond the contract all backends keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// `Capabilities::durable`.
    Durable,
    /// `Capabilities::processes`.
    Processes,
}

impl Need {
    fn is_met(self, declared: &Capabilities) -> bool {
        match self {
            Self::Durable => declared.durable,
            Self::Processes => declared.processes,
        }
    }
}

/// Runs one case of a queue suite, or skips it when that is expected. Used by `queue_suite!`.
///
/// # Panics
/// When the case fails, and when it is listed as skipped but could run or the other way round.
pub fn run(
    case: &str,
    needs: &[Need],
    harness: &dyn Harness,
    body: impl AsyncFnOnce(&dyn Harness),
) {
    block_on(async {
        let listed = harness.skips().iter().find(|(name, _)| *name == case);
        let missing: Vec<Need> = if needs.is_empty() {
            Vec::new()
        } else {
            let ports = harness.fresh().await;
            let declared = ports.queue.capabilities();
            needs.iter().copied().filter(|need| !need.is_met(declared)).collect()
        };
        match (missing.is_empty(), listed) {
            (true, None) => body(harness).await,
            (false, Some((_, why))) => println!("skipped: {case}: {why}"),
            (true, Some(_)) => {
                panic!("{case} is listed in `skips`, but the backend declares all it needs")
            }
            (false, None) => panic!(
                "{case} needs {missing:?}, which the backend does not declare: list it in `skips`"
            ),
        }
    });
}

/// Runs one case of a blob suite. Used by `blob_suite!`.
pub fn run_blob(harness: &dyn BlobHarness, body: impl AsyncFnOnce(&dyn BlobHarness)) {
    block_on(body(harness));
}

/// Checks that every listed skip names a case. Used by `queue_suite!`.
///
/// # Panics
/// When one does not.
pub fn check_skips(harness: &dyn Harness, cases: &[&str]) {
    for (name, _) in harness.skips() {
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
