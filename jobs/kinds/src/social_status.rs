//! `social.status`: what a platform said by itself of a post, written down where the post's job
//! finds it. Made by the receiver of webhooks; its end tells subscribers, so that a delivery, a
//! reading or a late failure is an event like any other.

use std::time::Duration;

use flotilla_core::envelope::{Unique, UniqueScope};
use flotilla_core::job::{Job, Policy};
use flotilla_core::{Handler, JobContext, JobError, JobId, Kind, Lane, Timestamp};
use flotilla_platforms::webhooks::{self, State, Status};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Its name.
pub const STATUS: Kind = Kind::from_static("social.status");
/// Platforms say a thing again for days until it was taken.
const AGAIN: u64 = 7 * 86_400;

/// The payload: one thing that was said of one post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SocialStatus {
    /// Who said it.
    pub platform: String,
    /// What.
    pub status: Status,
}

impl Job for SocialStatus {
    const KIND: Kind = STATUS;
    type Output = StatusResult;

    fn policy() -> Policy {
        Policy {
            lane: Lane::from_static("social"),
            max_attempts: 10,
            timeout: Duration::from_secs(60),
            retention: Some(Duration::from_secs(7 * 86_400)),
            ..Policy::default()
        }
    }

    /// A thing that is said again is the same job.
    fn unique(&self) -> Option<Unique> {
        let parts = (&self.platform, &self.status.subject, self.status.state, &self.status.id);
        let hash = blake3::hash(&serde_json::to_vec(&parts).ok()?);
        let key = format!("status/{}", hash.to_hex());
        Some(Unique { key, scope: UniqueScope::Seconds(AGAIN) })
    }
}

/// The result: which post it was about.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct StatusResult {
    /// The platform.
    pub platform: String,
    /// The account.
    pub account: String,
    /// The job that made the post.
    #[schemars(with = "String")]
    pub job: JobId,
    /// What became of the post.
    pub state: State,
    /// Its id on the platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The platform's code for what failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What it said of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When, by the platform's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// Writes it down.
#[derive(Debug)]
pub struct StatusHandler;

impl Handler<SocialStatus> for StatusHandler {
    async fn run(&self, job: SocialStatus, cx: &JobContext) -> Result<StatusResult, JobError> {
        let (cells, now) = (&*cx.cells, cx.clock.now());
        let SocialStatus { platform, status } = job;
        let unknown = || JobError::invalid("no post of this tenant is waited for by that name");
        let waiting = webhooks::heard(cells, &platform, &status.subject, now).await;
        let waiting = waiting.map_err(JobError::retry)?;
        waiting.filter(|waiting| waiting.tenant == cx.tenant).ok_or_else(unknown)?;
        let noted =
            webhooks::note(cells, &platform, &status, now).await.map_err(JobError::retry)?;
        let heard = noted.ok_or_else(|| JobError::retry("others write about the same post"))?;
        Ok(StatusResult {
            platform,
            account: heard.account,
            job: heard.job,
            state: status.state,
            id: status.id,
            code: status.code,
            message: status.message,
            at: status.at,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flotilla_core::scratch::Scratch;
    use flotilla_core::{Clock, CpuPool, ManualClock, Tenant};
    use flotilla_platforms::webhooks::Heard;

    use super::*;

    fn said(subject: &str) -> SocialStatus {
        let status = Status {
            subject: subject.to_owned(),
            state: State::Failed,
            id: Some("wamid.1".to_owned()),
            code: Some("131047".to_owned()),
            message: None,
            at: None,
        };
        SocialStatus { platform: "whatsapp".to_owned(), status }
    }

    #[test]
    fn what_is_said_again_is_the_same_job() {
        let key = |job: &SocialStatus| job.unique().unwrap().key;
        let mut later = said("job:1");
        later.status.at = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(key(&said("job:1")), key(&later));
        later.status.state = State::Read;
        assert_ne!(key(&said("job:1")), key(&later));
        assert_ne!(key(&said("job:1")), key(&said("job:2")));
    }

    #[tokio::test]
    async fn only_the_tenant_of_a_post_writes_about_it() {
        let (clock, cells) = (Arc::new(ManualClock::default()), Arc::new(Scratch::default()));
        let context = |tenant: &str| {
            let id = JobId::derived("status");
            let mut cx = JobContext::detached(id, STATUS, clock.clone(), CpuPool::new(1));
            (cx.cells, cx.tenant) = (cells.clone(), tenant.parse().unwrap());
            cx
        };
        let tenant: Tenant = "acme".parse().unwrap();
        let (job, account) = (JobId::derived("post"), "phone".to_owned());
        let waiting = Heard { job, tenant, account, statuses: Vec::new() };
        webhooks::expect(&*cells, "whatsapp", "job:1", &waiting, clock.now()).await.unwrap();
        let told = StatusHandler.run(said("job:1"), &context("acme")).await.unwrap();
        assert_eq!((told.job, told.account.as_str()), (job, "phone"));
        assert!(StatusHandler.run(said("job:1"), &context("other")).await.is_err());
        assert!(StatusHandler.run(said("job:2"), &context("acme")).await.is_err());
        let heard = webhooks::heard(&*cells, "whatsapp", "job:1", clock.now()).await.unwrap();
        assert_eq!(heard.unwrap().failure().unwrap().code.as_deref(), Some("131047"));
    }
}
