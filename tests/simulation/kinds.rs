//! The kinds of the simulation: work that does as its payload says, calls under limits, effects
//! that happen once, flows, and deliveries of events.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::clock::after;
use flotilla_core::event::{self, DELIVER};
use flotilla_core::flow::{Child, Until};
use flotilla_core::handler::{Handler, JobContext};
use flotilla_core::{
    Call, DeadClass, Envelope, Job, JobError, JobId, Kind, LimitKey, Payload, Policy, Registry,
};
use flotilla_engine::quarantine::Isolation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::line::Lines;
use crate::platform::Platform;
use crate::store::{Store, at_once};
use crate::witness::Witness;

/// Does as it is told.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Work {
    /// `ok`, `flaky`, `fail`, `moot`, `snooze`, `heed`, `kill`.
    pub(crate) act: String,
    /// First works so long.
    pub(crate) ms: u64,
    /// The ordering key it was enqueued with.
    pub(crate) order: Option<String>,
}

/// Calls the platform for an account, under its limits.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Ask {
    pub(crate) account: String,
    pub(crate) ms: u64,
}

/// Starts so many children and goes on when all have ended.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Split {
    pub(crate) children: usize,
}

/// Publishes once.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Publish {
    /// Whether the platform can be asked.
    pub(crate) readable: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Deliver(event::Delivery);

impl Job for Work {
    const KIND: Kind = Kind::from_static("sim.work");
    type Output = ();

    fn policy() -> Policy {
        Policy { max_attempts: 3, ..Policy::default() }
    }
}

impl Job for Ask {
    const KIND: Kind = Kind::from_static("sim.ask");
    const LIMITS: Option<fn(&Self) -> Vec<LimitKey>> =
        Some(|ask| vec![LimitKey::of(&["api", &ask.account])]);
    type Output = ();

    fn policy() -> Policy {
        Policy { max_attempts: 3, timeout: Duration::from_secs(30), ..Policy::default() }
    }
}

impl Job for Split {
    const KIND: Kind = Kind::from_static("sim.split");
    type Output = usize;

    fn policy() -> Policy {
        Policy { max_attempts: 1_000_000, ..Policy::default() }
    }
}

impl Job for Publish {
    const KIND: Kind = Kind::from_static("sim.publish");
    type Output = u32;

    fn policy() -> Policy {
        Policy { max_attempts: 1_000_000, timeout: Duration::from_secs(600), ..Policy::default() }
    }
}

impl Job for Deliver {
    const KIND: Kind = DELIVER;
    type Output = ();

    fn policy() -> Policy {
        Policy { max_attempts: 1_000_000, ..Policy::default() }
    }
}

/// Which ends a subscriber was told of: type by subject.
pub(crate) type Heard = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

/// Runs all of them.
#[derive(Clone)]
pub(crate) struct Hands {
    pub(crate) witness: Arc<Witness>,
    pub(crate) platform: Arc<Platform>,
    pub(crate) heard: Heard,
    /// Times a job was put off.
    pub(crate) snoozed: Arc<Mutex<BTreeMap<JobId, u32>>>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) lines: Lines,
    /// Workers that one job may take down.
    pub(crate) kills: u32,
}

impl Hands {
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        registry.register::<Work, _>(self.clone()).unwrap();
        registry.register::<Ask, _>(self.clone()).unwrap();
        registry.register::<Publish, _>(self.clone()).unwrap();
        registry.register::<Split, _>(self.clone()).unwrap();
        registry.register::<Deliver, _>(self.clone()).unwrap();
        registry
    }

    /// All that were enqueued before it under its ordering key have ended.
    fn in_order(&self, order: &str, id: JobId) {
        for earlier in self.witness.before(order, id) {
            let record = at_once(self.store.get(earlier)).unwrap().unwrap();
            if !record.state.is_finished() {
                let state = record.state;
                self.witness.accuse(format!("{id} runs before {earlier} of {order}, {state}"));
            }
        }
    }

    async fn work(&self, job: Work, cx: &JobContext) -> Result<(), JobError> {
        if let Some(order) = &job.order {
            self.in_order(order, cx.id);
        }
        tokio::time::sleep(Duration::from_millis(job.ms)).await;
        match job.act.as_str() {
            "flaky" if cx.attempt < 2 => Err(JobError::retry("not yet")),
            "fail" => Err(JobError::rejected("never")),
            "kill" => {
                let worker = self.witness.kills(cx.id, self.kills);
                let line = self.lines.lock().unwrap().get(&worker).and_then(Weak::upgrade);
                if let Some(line) = line {
                    line.crash();
                }
                std::future::pending().await
            }
            "moot" => Err(JobError::Cancel { reason: "moot".into() }),
            "snooze" => {
                let mut snoozed = self.snoozed.lock().unwrap();
                let times = snoozed.entry(cx.id).or_default();
                *times += 1;
                if *times > 3 {
                    return Ok(());
                }
                let until = after(cx.clock.now(), Duration::from_secs(5));
                Err(JobError::Snooze { until, reason: "not now".into() })
            }
            "heed" => {
                cx.progress(0.5, "half way");
                let told = cx.cancellation.cancelled();
                if tokio::time::timeout(Duration::from_secs(20), told).await.is_ok() {
                    return Err(JobError::retry("told to stop"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn ask(&self, job: Ask, cx: &JobContext) -> Result<(), JobError> {
        let key = LimitKey::of(&["api", &job.account]);
        self.witness.called(cx.id, key.as_str());
        let (status, wait, busy) = self.platform.call(&job.account);
        let took = Duration::from_millis(job.ms);
        tokio::time::sleep(took).await;
        drop(busy);
        let header = |name: &str| wait.as_deref().filter(|_| name == "retry-after");
        cx.called(Call::http(key, status, header, took, cx.clock.now()));
        if status == 200 { Ok(()) } else { Err(JobError::retry(format!("status {status}"))) }
    }

    fn split(&self, job: &Split, cx: &JobContext) -> Result<usize, JobError> {
        if cx.children.is_empty() {
            let child = |n: usize| {
                let act = ["ok", "fail", "flaky", "snooze", "moot"][n % 5].to_owned();
                let payload = Payload::of(&Work { act, ms: 50, order: None }).unwrap();
                Child { name: format!("c{n}"), envelope: Envelope::new(Work::KIND, payload) }
            };
            let children = (0..job.children).map(child).collect();
            return Err(JobError::Await { children, until: Until::all_ended() });
        }
        let ended = cx.children.iter().filter(|child| child.state.is_finished()).count();
        if ended != job.children {
            let (id, n) = (cx.id, job.children);
            self.witness.accuse(format!("{id} goes on when {ended} of {n} children have ended"));
        }
        Ok(ended)
    }

    async fn publish(&self, job: Publish, cx: &JobContext) -> Result<u32, JobError> {
        let (platform, id) = (&self.platform, cx.id);
        assert_eq!(cx.once("container", || async { Ok(7_u32) }).await?, 7);
        let effect = cx.effect("publish", "page:1", || Arc::clone(platform).publish(id));
        if job.readable {
            effect.verify(|| Arc::clone(platform).read_back(id)).await
        } else {
            effect.await
        }
    }
}

impl Handler<Work> for Hands {
    async fn run(&self, job: Work, cx: &JobContext) -> Result<(), JobError> {
        let _inside = self.witness.begun(cx.id, job.order.as_deref());
        let result = self.work(job, cx).await;
        self.witness.returned(cx.id, &result);
        result
    }
}

impl Handler<Ask> for Hands {
    async fn run(&self, job: Ask, cx: &JobContext) -> Result<(), JobError> {
        let _inside = self.witness.begun(cx.id, None);
        let result = self.ask(job, cx).await;
        self.witness.returned(cx.id, &result);
        result
    }
}

impl Handler<Split> for Hands {
    async fn run(&self, job: Split, cx: &JobContext) -> Result<usize, JobError> {
        let _inside = self.witness.begun(cx.id, None);
        let result = self.split(&job, cx);
        self.witness.returned(cx.id, &result);
        result
    }
}

impl Handler<Publish> for Hands {
    async fn run(&self, job: Publish, cx: &JobContext) -> Result<u32, JobError> {
        let _inside = self.witness.begun(cx.id, None);
        let result = self.publish(job, cx).await;
        self.witness.returned(cx.id, &result);
        result
    }
}

impl Handler<Deliver> for Hands {
    async fn run(&self, job: Deliver, cx: &JobContext) -> Result<(), JobError> {
        let _inside = self.witness.begun(cx.id, None);
        for event in job.0.events().cloned() {
            let subject = event.subject.unwrap_or_default();
            self.heard.lock().unwrap().entry(subject).or_default().push(event.kind);
        }
        let result = Ok(());
        self.witness.returned(cx.id, &result);
        result
    }
}

/// Where suspects run: what would take a worker down takes nobody along here.
pub(crate) struct Alone {
    pub(crate) registry: Arc<Registry>,
    pub(crate) witness: Arc<Witness>,
}

impl std::fmt::Debug for Alone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Alone")
    }
}

impl Isolation for Alone {
    fn run(
        &self,
        version: u16,
        payload: Payload,
        cx: JobContext,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, JobError>> + Send + '_>> {
        Box::pin(async move {
            self.witness.note(|| format!("{} runs alone", cx.id));
            let kills = payload.to_value()["act"] == "kill";
            if kills {
                let source = "its own process fell".into();
                return Err(JobError::Fail { class: DeadClass::Poison, source });
            }
            self.registry.get(cx.kind.as_str()).unwrap().run(version, payload, cx).await
        })
    }
}
