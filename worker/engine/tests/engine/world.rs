//! What the tests share: kinds that do as their payload says, a clock that follows tokio's, ports
//! that fail when told to, and ways to wait for what should happen.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::cells::{Cell, CellWrite, Cells};
use flotilla_core::clock::{Clock, ManualClock, Timestamp, after};
use flotilla_core::fleet::{Fleet, Orders, WorkerInfo};
use flotilla_core::handler::{Handler, JobContext};
use flotilla_core::ops::Ops;
use flotilla_core::outbox::Untold;
use flotilla_core::queue::{
    Capabilities, Claims, Enqueued, Extension, HousekeepPolicy, Housekeeping, LaneDemand, Lease,
    NewJob, Queue, QueueError, QueueErrorKind, Settled, Settlement,
};
use flotilla_core::records::{JobRecord, Records};
use flotilla_core::{
    Envelope, Fence, Job, JobError, JobId, Kind, Lane, Outbox, Payload, Policy, Registry,
    SeededRng, State, WorkerId,
};
use flotilla_engine::{Engine, Ports, Running, Settings, StartError};
use flotilla_memory::Memory;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// How long cells take there and back: time for another worker to be faster.
const WAY: Duration = Duration::from_millis(1);

/// Follows tokio's clock from a fixed day.
#[derive(Debug)]
pub(crate) struct TokioClock {
    epoch: Timestamp,
    start: Instant,
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        after(self.epoch, self.start.elapsed())
    }
}

/// What a test job shall do.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Act {
    /// `ok`, `retry`, `flaky`, `snooze`, `park`, `fail`, `cancel`, `panic`, `hang`, `heed`, `big`.
    pub(crate) act: String,
    /// First sleeps this long.
    pub(crate) ms: u64,
    /// Works from this attempt on (`flaky`).
    pub(crate) from: u32,
}

/// A kind as such.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Free(Act);
/// A kind of which two may run at once.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Tight(Act);
/// A kind with a lane of its own.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Aside(Act);

impl Job for Free {
    const KIND: Kind = Kind::from_static("test.free");
    const ALIASES: &'static [Kind] = &[Kind::from_static("free")];
    type Output = Value;

    fn policy() -> Policy {
        Policy { max_attempts: 3, ..Policy::default() }
    }
}

impl Job for Tight {
    const KIND: Kind = Kind::from_static("test.tight");
    type Output = Value;

    fn policy() -> Policy {
        Policy { concurrency: Some(2), ..Policy::default() }
    }
}

impl Job for Aside {
    const KIND: Kind = Kind::from_static("test.aside");
    type Output = Value;

    fn policy() -> Policy {
        Policy { lane: Lane::from_static("aside"), ..Policy::default() }
    }
}

/// What the handlers saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Starts, by job.
    pub(crate) starts: Mutex<BTreeMap<JobId, Vec<Timestamp>>>,
    /// Handlers that saw their token fired.
    pub(crate) told: Mutex<BTreeSet<JobId>>,
    running: Mutex<BTreeMap<Kind, usize>>,
    present: Mutex<BTreeSet<JobId>>,
    /// Jobs that ran twice at the same time.
    pub(crate) overlaps: Mutex<BTreeSet<JobId>>,
    /// The most that ran at once, by kind.
    pub(crate) peak: Mutex<BTreeMap<Kind, usize>>,
    /// Handlers that ended or were dropped.
    pub(crate) over: AtomicUsize,
}

impl Seen {
    pub(crate) fn started(&self, cx: &JobContext) {
        self.starts.lock().unwrap().entry(cx.id).or_default().push(cx.clock.now());
    }

    pub(crate) fn starts(&self, id: JobId) -> Vec<Timestamp> {
        self.starts.lock().unwrap().get(&id).cloned().unwrap_or_default()
    }

    pub(crate) fn peak(&self, kind: &Kind) -> usize {
        self.peak.lock().unwrap().get(kind).copied().unwrap_or_default()
    }
}

#[derive(Clone)]
struct Actor(Arc<Seen>);

struct Presence<'a>(&'a Seen, Kind, JobId);

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap().get_mut(&self.1).unwrap() -= 1;
        self.0.present.lock().unwrap().remove(&self.2);
        self.0.over.fetch_add(1, Ordering::SeqCst);
    }
}

impl Actor {
    async fn act(&self, act: Act, cx: &JobContext) -> Result<Value, JobError> {
        let seen = &*self.0;
        seen.started(cx);
        let running = {
            let mut running = seen.running.lock().unwrap();
            let n = running.entry(cx.kind.clone()).or_default();
            *n += 1;
            *n
        };
        if !seen.present.lock().unwrap().insert(cx.id) {
            seen.overlaps.lock().unwrap().insert(cx.id);
        }
        let _presence = Presence(seen, cx.kind.clone(), cx.id);
        {
            let mut peak = seen.peak.lock().unwrap();
            let n = peak.entry(cx.kind.clone()).or_default();
            *n = running.max(*n);
        }
        if act.ms > 0 {
            tokio::time::sleep(Duration::from_millis(act.ms)).await;
        }
        match act.act.as_str() {
            "ok" => Ok(json!({"attempt": cx.attempt})),
            "retry" => Err(JobError::retry("no luck")),
            "flaky" if cx.attempt >= act.from => Ok(json!(cx.attempt)),
            "flaky" => Err(JobError::retry("not yet")),
            "patient" => Err(JobError::throttled("busy", Some(Duration::from_secs(1800)))),
            "snooze" if cx.attempt == 1 && seen.starts(cx.id).len() == 1 => {
                let until = after(cx.clock.now(), Duration::from_secs(30));
                Err(JobError::Snooze { until, reason: "limit".into() })
            }
            "snooze" => Ok(json!(cx.attempt)),
            "park" => Err(JobError::Park { key: "account:1".into(), reason: "revoked".into() }),
            "fail" => Err(JobError::rejected("never")),
            "cancel" => Err(JobError::Cancel { reason: "moot".into() }),
            "panic" => panic!("at the disco"),
            "hang" => pending().await,
            "heed" => {
                cx.progress(0.5, "half way");
                cx.cancellation.cancelled().await;
                seen.told.lock().unwrap().insert(cx.id);
                Err(JobError::retry("told to stop"))
            }
            "yield" => {
                cx.cancellation.cancelled().await;
                Err(JobError::Cancel { reason: "told to stop".into() })
            }
            "cpu" => {
                let id = cx.id;
                cx.cpu(move || json!(id.to_string())).await
            }
            "big" => Ok(json!("x".repeat(2 << 20))),
            other => panic!("no such act: {other}"),
        }
    }
}

impl Handler<Free> for Actor {
    async fn run(&self, job: Free, cx: &JobContext) -> Result<Value, JobError> {
        self.act(job.0, cx).await
    }
}

impl Handler<Tight> for Actor {
    async fn run(&self, job: Tight, cx: &JobContext) -> Result<Value, JobError> {
        self.act(job.0, cx).await
    }
}

impl Handler<Aside> for Actor {
    async fn run(&self, job: Aside, cx: &JobContext) -> Result<Value, JobError> {
        self.act(job.0, cx).await
    }
}

/// One fleet with its backend, and everything to look at it.
pub(crate) struct World {
    pub(crate) memory: Arc<Memory>,
    pub(crate) ports: Arc<Faulty>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) ops: Ops,
    /// Of the engine started last.
    pub(crate) metrics: Mutex<prometheus::Registry>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_, _| {})
    }

    /// A world with further kinds.
    pub(crate) fn with(register: impl FnOnce(&mut Registry, &Arc<Seen>)) -> Self {
        let settings = flotilla_memory::Settings { events: true, ..Default::default() };
        let memory = Arc::new(Memory::new(settings));
        let ports = Faulty::over(&memory);
        let epoch = ManualClock::default().now();
        let clock: Arc<dyn Clock> = Arc::new(TokioClock { epoch, start: Instant::now() });
        let seen = Arc::new(Seen::default());
        let mut registry = Registry::default();
        let actor = Actor(Arc::clone(&seen));
        registry.register::<Free, _>(actor.clone()).unwrap();
        registry.register::<Tight, _>(actor.clone()).unwrap();
        registry.register::<Aside, _>(actor).unwrap();
        register(&mut registry, &seen);
        let registry = Arc::new(registry);
        let ops = Ops {
            registry: Arc::clone(&registry),
            queue: Arc::clone(&memory) as Arc<dyn Queue>,
            clock: Arc::clone(&clock),
            rng: Arc::new(SeededRng::new(1)),
        };
        Self { memory, ports, clock, seen, registry, ops, metrics: Mutex::default() }
    }

    pub(crate) fn settings(name: &str) -> Settings {
        Settings { worker: WorkerId::new(name), ..Settings::default() }
    }

    pub(crate) fn start(&self, settings: Settings) -> Running {
        self.try_start(settings).unwrap()
    }

    pub(crate) fn try_start(&self, settings: Settings) -> Result<Running, StartError> {
        self.start_over(&self.ports, settings)
    }

    /// Starts an engine over a line of its own.
    pub(crate) fn start_over(
        &self,
        line: &Arc<Faulty>,
        settings: Settings,
    ) -> Result<Running, StartError> {
        let ports = Ports {
            queue: Arc::clone(line) as Arc<dyn Queue>,
            records: Arc::clone(&self.memory) as Arc<dyn Records>,
            cells: Arc::clone(line) as Arc<dyn Cells>,
            outbox: Some(Arc::clone(line) as Arc<dyn Outbox>),
            fleet: Arc::clone(line) as Arc<dyn Fleet>,
            metrics: prometheus::Registry::new(),
        };
        *self.metrics.lock().unwrap() = ports.metrics.clone();
        let rng = Arc::new(SeededRng::new(7));
        Engine::start(ports, Arc::clone(&self.registry), settings, Arc::clone(&self.clock), rng)
    }

    /// Enqueues a job of a kind; `change` may alter its envelope.
    pub(crate) async fn enqueue_as(
        &self,
        kind: &Kind,
        act: Act,
        change: impl FnOnce(&mut Envelope),
    ) -> JobId {
        let mut envelope = Envelope {
            kind: Some(kind.clone()),
            payload: Payload::of(&act).unwrap(),
            ..Envelope::default()
        };
        change(&mut envelope);
        let accepted = self.ops.enqueue(vec![envelope]).await.unwrap();
        assert_eq!(accepted[0].outcome, Enqueued::Created);
        accepted[0].id
    }

    pub(crate) async fn enqueue(&self, what: &str) -> JobId {
        self.enqueue_as(&Free::KIND, act(what, 0), |_| {}).await
    }

    pub(crate) async fn record(&self, id: JobId) -> JobRecord {
        self.memory.get(id).await.unwrap().expect("the job exists")
    }

    /// Waits until the job is in `state`; an hour of virtual time is too long.
    pub(crate) async fn until(&self, id: JobId, state: State) -> JobRecord {
        self.until_record(id, |record| record.state == state).await
    }

    pub(crate) async fn until_record(
        &self,
        id: JobId,
        wanted: impl Fn(&JobRecord) -> bool,
    ) -> JobRecord {
        let mut changes = self.memory.changes();
        let wait = async {
            loop {
                changes.borrow_and_update();
                let record = self.record(id).await;
                if wanted(&record) {
                    return record;
                }
                changes.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(SECOND * 3600, wait).await {
            Ok(record) => record,
            Err(_) => panic!("never came about: {:#?}", self.record(id).await),
        }
    }

    /// Seconds since `then`.
    pub(crate) fn since(&self, then: Timestamp) -> f64 {
        flotilla_core::clock::between(then, self.clock.now()).as_secs_f64()
    }
}

pub(crate) fn act(what: &str, ms: u64) -> Act {
    Act { act: what.into(), ms, from: 0 }
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is done.
    Down,
    /// It is done, and the answer is lost.
    Deaf,
    /// It never answers.
    Hangs,
    /// It is done, and the answer takes five seconds.
    Slow,
    /// The request is refused when it holds more than one.
    Picky,
    /// Cells are written without a look at their version.
    Blind,
    /// Cells are not written, and said to be.
    Forgets,
}

/// The memory backend behind a line that fails as told, by call.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<Memory>,
    pub(crate) faults: Mutex<BTreeMap<&'static str, Fault>>,
}

impl Faulty {
    pub(crate) fn over(memory: &Arc<Memory>) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(memory), faults: Mutex::default() })
    }

    pub(crate) fn set(&self, call: &'static str, fault: Option<Fault>) {
        let mut faults = self.faults.lock().unwrap();
        match fault {
            Some(fault) => faults.insert(call, fault),
            None => faults.remove(call),
        };
    }

    pub(crate) fn set_all(&self, fault: Option<Fault>) {
        for call in ["claim", "extend", "settle", "housekeep", "fleet"] {
            self.set(call, fault);
        }
    }

    async fn through<T>(
        &self,
        call: &'static str,
        size: usize,
        inner: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        let fault = self.faults.lock().unwrap().get(call).copied();
        let error = |kind| Err(QueueError::plain(kind, format!("{call} fails as told")));
        match fault {
            None => inner.await,
            Some(Fault::Down) => error(QueueErrorKind::Unavailable),
            Some(Fault::Deaf) => {
                inner.await?;
                error(QueueErrorKind::Unavailable)
            }
            Some(Fault::Slow) => {
                let answer = inner.await;
                tokio::time::sleep(SECOND * 5).await;
                answer
            }
            Some(Fault::Hangs) => pending().await,
            Some(Fault::Picky) if size > 1 => error(QueueErrorKind::Invalid),
            Some(Fault::Picky | Fault::Blind | Fault::Forgets) => inner.await,
        }
    }
}

#[async_trait]
impl Queue for Faulty {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn enqueue(&self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Enqueued>, QueueError> {
        self.through("enqueue", jobs.len(), self.inner.enqueue(jobs, now)).await
    }

    async fn claim(
        &self,
        lanes: &[LaneDemand],
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Claims, QueueError> {
        self.through("claim", lanes.len(), self.inner.claim(lanes, worker, lease, now)).await
    }

    async fn extend(
        &self,
        leases: &[Extension],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Lease>, QueueError> {
        self.through("extend", leases.len(), self.inner.extend(leases, until, now)).await
    }

    async fn settle(
        &self,
        done: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>, QueueError> {
        self.through("settle", done.len(), self.inner.settle(done, now)).await
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.inner.wakes()
    }

    async fn housekeep(
        &self,
        policy: &HousekeepPolicy,
        now: Timestamp,
    ) -> Result<Housekeeping, QueueError> {
        self.through("housekeep", 1, self.inner.housekeep(policy, now)).await
    }
}

#[async_trait]
impl Cells for Faulty {
    async fn read(&self, keys: &[String], now: Timestamp) -> Result<Vec<Option<Cell>>, QueueError> {
        let read = self.through("cells.read", keys.len(), self.inner.read(keys, now)).await;
        tokio::time::sleep(WAY).await;
        read
    }

    async fn write(&self, changes: &[CellWrite], now: Timestamp) -> Result<Vec<bool>, QueueError> {
        tokio::time::sleep(WAY).await;
        let fault = self.faults.lock().unwrap().get("cells.write").copied();
        let mut changes = changes.to_vec();
        match fault {
            Some(Fault::Forgets) => return Ok(vec![true; changes.len()]),
            Some(Fault::Blind) => {
                for change in &mut changes {
                    let keys = std::slice::from_ref(&change.key);
                    let there = self.inner.read(keys, now).await?.remove(0);
                    change.expect = there.map_or(0, |cell| cell.version);
                }
            }
            _ => {}
        }
        self.through("cells.write", changes.len(), self.inner.write(&changes, now)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(String, Cell)>, QueueError> {
        let inner = &*self.inner;
        self.through("cells.read", 1, Cells::list(inner, prefix, after, limit, now)).await
    }
}

#[async_trait]
impl Outbox for Faulty {
    async fn untold(&self, limit: usize) -> Result<Vec<Untold>, QueueError> {
        self.through("untold", 1, self.inner.untold(limit)).await
    }

    async fn told(&self, ends: &[(JobId, Fence)]) -> Result<(), QueueError> {
        self.through("told", ends.len(), self.inner.told(ends)).await
    }
}

#[async_trait]
impl Fleet for Faulty {
    async fn heartbeat(&self, me: &WorkerInfo, now: Timestamp) -> Result<Orders, QueueError> {
        self.through("fleet", 1, self.inner.heartbeat(me, now)).await
    }

    async fn leave(&self, id: &WorkerId) -> Result<(), QueueError> {
        self.through("fleet", 1, self.inner.leave(id)).await
    }

    async fn workers(&self, since: Timestamp) -> Result<Vec<WorkerInfo>, QueueError> {
        self.inner.workers(since).await
    }

    async fn ask_drain(&self, id: &WorkerId) -> Result<bool, QueueError> {
        self.inner.ask_drain(id).await
    }

    async fn last_fire(&self, name: &str) -> Result<Option<Timestamp>, QueueError> {
        self.through("fleet", 1, self.inner.last_fire(name)).await
    }

    async fn set_last_fire(&self, name: &str, at: Timestamp) -> Result<(), QueueError> {
        self.through("fleet", 1, self.inner.set_last_fire(name, at)).await
    }
}
