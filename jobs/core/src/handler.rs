//! What runs a job, and what it may touch while it does.

use std::future::Future;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::call::Call;
use crate::cells::Cells;
use crate::clock::{Clock, Timestamp};
use crate::envelope::TraceContext;
use crate::flow::ChildEnd;
use crate::ids::{JobId, Kind, Lane, Tenant};
use crate::job::Job;
use crate::outcome::JobError;
use crate::scratch::Scratch;

/// Code that runs jobs of one type. It may run more than once for one job (at-least-once).
pub trait Handler<J: Job>: Send + Sync + 'static {
    /// One attempt. Dropped when its timeout passes, its lease is lost or a drain ends;
    /// work handed to [`JobContext::cpu`] should look at [`JobContext::is_cancelled`].
    fn run(
        &self,
        job: J,
        cx: &JobContext,
    ) -> impl Future<Output = Result<J::Output, JobError>> + Send;

    /// What keeps a job from being run, beyond what [`Job::faults`] can say: with what the handler
    /// knows, and without asking anybody. Looked at before the job is queued.
    fn faults(&self, job: &J) -> Vec<(String, String)> {
        let _ = job;
        Vec::new()
    }
}

/// How far a job is, for people who watch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 1.
    pub fraction: f64,
    /// What is being done, at most 200 characters.
    pub message: String,
}

/// Where progress goes: the engine's lease keeper sends the latest with its next heartbeat.
pub type ProgressSink = Arc<dyn Fn(Progress) + Send + Sync>;

/// Where calls are reported: the engine feeds limits and breakers with them.
pub type CallSink = Arc<dyn Fn(Call) + Send + Sync>;

/// A bounded pool of threads for work that burns the CPU.
#[derive(Clone, Debug)]
pub struct CpuPool(Arc<Semaphore>);

impl CpuPool {
    /// At most `slots` closures at once (at least one).
    pub fn new(slots: usize) -> Self {
        Self(Arc::new(Semaphore::new(slots.max(1))))
    }

    /// Runs `work` on a blocking thread once a slot is free. A panic inside becomes an error.
    ///
    /// # Errors
    /// [`JobError::Retry`] when the closure panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JobError> {
        let permit = Arc::clone(&self.0).acquire_owned().await.map_err(JobError::retry)?;
        tokio::task::spawn_blocking(move || {
            let _slot = permit; // held until the closure ends, also when its job was dropped
            work()
        })
        .await
        .map_err(|e| JobError::panicked(format!("handler panicked: {e}")))
    }
}

/// What an attempt knows and may use.
#[derive(Clone)]
pub struct JobContext {
    /// The job.
    pub id: JobId,
    /// Its kind, under the present name.
    pub kind: Kind,
    /// Where it waited.
    pub lane: Lane,
    /// On whose behalf it runs.
    pub tenant: Tenant,
    /// 1 on the first attempt.
    pub attempt: u32,
    /// The last attempt there is.
    pub max_attempts: u32,
    /// When this attempt is dropped.
    pub deadline: Timestamp,
    /// The trace that enqueued it.
    pub trace: TraceContext,
    /// Cancelled when the job is no longer wanted, its lease is lost or a drain ends.
    pub cancellation: CancellationToken,
    /// Where progress goes.
    pub sink: ProgressSink,
    /// The engine's clock.
    pub clock: Arc<dyn Clock>,
    /// Threads for work that burns the CPU.
    pub pool: CpuPool,
    /// Where calls are reported.
    pub calls: CallSink,
    /// Where its effects and finished steps are recorded.
    pub cells: Arc<dyn Cells>,
    /// The children it started in earlier attempts, by name; empty on the first.
    pub children: Arc<[ChildEnd]>,
}

impl JobContext {
    /// A context outside any queue: `flotilla try`, tests.
    pub fn detached(id: JobId, kind: Kind, clock: Arc<dyn Clock>, pool: CpuPool) -> Self {
        Self {
            id,
            kind,
            lane: Lane::from_static("try"),
            tenant: Tenant::default(),
            attempt: 1,
            max_attempts: 1,
            deadline: Timestamp::MAX,
            trace: TraceContext::default(),
            cancellation: CancellationToken::new(),
            sink: Arc::new(|_| {}),
            clock,
            pool,
            calls: Arc::new(|_| {}),
            cells: Arc::new(Scratch::default()),
            children: Arc::new([]),
        }
    }

    /// Whether the attempt should stop; cheap enough for inner loops.
    pub fn is_cancelled(&self) -> bool {
        self.cancellation.is_cancelled()
    }

    /// The child of that name, if it was started in an earlier attempt.
    pub fn child(&self, name: &str) -> Option<&ChildEnd> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Says how far the job is: `fraction` from 0 to 1. Cheap; only the latest is stored.
    pub fn progress(&self, fraction: f64, message: impl Into<String>) {
        let message = message.into().chars().take(200).collect();
        (self.sink)(Progress { fraction: fraction.clamp(0.0, 1.0), message });
    }

    /// Says how a call to somebody else's service ended. One that says "too fast" makes the
    /// attempt free, if the handler then fails with [`JobError::Retry`].
    pub fn called(&self, call: Call) {
        (self.calls)(call);
    }

    /// Runs `work` on the bounded CPU pool.
    ///
    /// # Errors
    /// [`JobError::Retry`] when the closure panicked.
    pub async fn cpu<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JobError> {
        self.pool.run(work).await
    }
}

impl std::fmt::Debug for JobContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JobContext({} {} attempt {})", self.kind, self.id, self.attempt)
    }
}
