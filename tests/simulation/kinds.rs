//! The kinds of the simulation: work that does as its payload says, calls under limits, effects
//! that happen once, and deliveries of events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_core::clock::after;
use flotilla_core::event::{self, DELIVER};
use flotilla_core::handler::{Handler, JobContext};
use flotilla_core::{Call, Job, JobError, JobId, Kind, LimitKey, Policy, Registry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::platform::Platform;
use crate::witness::Witness;

/// Does as it is told.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Work {
    /// `ok`, `flaky`, `fail`, `moot`, `snooze`, `heed`.
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
}

impl Hands {
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        registry.register::<Work, _>(self.clone()).unwrap();
        registry.register::<Ask, _>(self.clone()).unwrap();
        registry.register::<Publish, _>(self.clone()).unwrap();
        registry.register::<Deliver, _>(self.clone()).unwrap();
        registry
    }

    async fn work(&self, job: Work, cx: &JobContext) -> Result<(), JobError> {
        tokio::time::sleep(Duration::from_millis(job.ms)).await;
        match job.act.as_str() {
            "flaky" if cx.attempt < 2 => Err(JobError::retry("not yet")),
            "fail" => Err(JobError::rejected("never")),
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
        let subject = job.0.event.subject.unwrap_or_default();
        self.heard.lock().unwrap().entry(subject).or_default().push(job.0.event.kind);
        let result = Ok(());
        self.witness.returned(cx.id, &result);
        result
    }
}
