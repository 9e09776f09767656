//! `social.campaign`: one content on many accounts. A flow of `social.post` jobs, so that what
//! happens on one account never blocks the others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::envelope::UniqueScope;
use flotilla_core::flow::{Child, ChildEnd, Until};
use flotilla_core::job::{Job, Policy};
use flotilla_core::{
    DeadClass, Envelope, Handler, JobContext, JobError, Kind, Lane, Payload, State, Unique,
};
use flotilla_platforms::Platforms;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::social_post::{Content, ScheduledBy, SocialPost, early_faults};

/// Most accounts of one campaign.
const MAX_ACCOUNTS: usize = 100;

/// The payload: what goes on which accounts, and when.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SocialCampaign {
    /// Where it goes.
    pub accounts: Vec<Target>,
    /// What is posted; `texts` says it otherwise on some platforms.
    pub post: Content,
    /// Not before this; see `social.post`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_at: Option<String>,
    /// Where the clock of `publish_at` hangs: an IANA name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Sets campaigns apart that say the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Only check it: nothing is sent to any platform.
    #[serde(default)]
    pub dry_run: bool,
}

/// One account of a campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The platform.
    pub platform: String,
    /// The account, by the name it was added under.
    pub account: String,
    /// What it says on this account instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl SocialCampaign {
    fn part(&self, target: &Target) -> SocialPost {
        let mut post = self.post.clone();
        if let Some(text) = &target.text {
            post.texts.insert(target.platform.clone(), text.clone());
        }
        SocialPost {
            platform: target.platform.clone(),
            account: target.account.clone(),
            post,
            publish_at: self.publish_at.clone(),
            time_zone: self.time_zone.clone(),
            scheduled_by: ScheduledBy::Fleet,
            slot: self.slot.clone(),
            dry_run: self.dry_run,
        }
    }

    fn children(&self) -> Result<Vec<Child>, JobError> {
        let child = |(index, target): (usize, &Target)| {
            let payload = Payload::of(&self.part(target)).map_err(JobError::invalid)?;
            let envelope = Envelope::new(SocialPost::KIND, payload);
            Ok(Child { name: format!("{index}"), envelope })
        };
        self.accounts.iter().enumerate().map(child).collect()
    }
}

impl Job for SocialCampaign {
    const KIND: Kind = Kind::from_static("social.campaign");
    type Output = CampaignResult;

    fn policy() -> Policy {
        Policy {
            lane: Lane::from_static("social"),
            max_attempts: 3,
            timeout: Duration::from_secs(30),
            ..Policy::default()
        }
    }

    fn faults(&self) -> Vec<(String, String)> {
        let count = self.accounts.len();
        let mut faults = Vec::new();
        if !(1..=MAX_ACCOUNTS).contains(&count) {
            let message = format!("must have 1 to {MAX_ACCOUNTS} entries");
            faults.push(("accounts".to_owned(), message));
        }
        let names: BTreeSet<_> = self.accounts.iter().map(|t| (&t.platform, &t.account)).collect();
        if names.len() < count {
            faults.push(("accounts".to_owned(), "names an account twice".to_owned()));
        }
        if let Some(first) = self.accounts.first() {
            faults.extend(self.part(first).faults());
        }
        faults
    }

    /// The same campaign in the same slot.
    fn unique(&self) -> Option<Unique> {
        if self.dry_run {
            return None;
        }
        let hash = blake3::hash(&serde_json::to_vec(self).ok()?);
        let key = format!("campaign/{}", hash.to_hex());
        Some(Unique { key, scope: UniqueScope::Seconds(24 * 3600) })
    }
}

/// The result: what became of each account's post, in the order of the payload.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CampaignResult {
    /// Posts that are published, or fit in a dry run.
    pub published: usize,
    /// One entry for each account.
    pub accounts: Vec<Ended>,
}

/// What became of the post on one account.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Ended {
    /// The platform.
    pub platform: String,
    /// The account.
    pub account: String,
    /// The job that posted there: `flotilla status` knows more.
    pub job: String,
    /// The result of `social.post`; absent when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The class of its dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<DeadClass>,
    /// Its last error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Starts one job for each account, then gathers what became of them.
#[derive(Debug)]
pub struct CampaignHandler {
    platforms: Arc<Platforms>,
}

impl CampaignHandler {
    /// Checks posts against these platforms before they are queued.
    pub fn new(platforms: Arc<Platforms>) -> Self {
        Self { platforms }
    }
}

impl Handler<SocialCampaign> for CampaignHandler {
    fn faults(&self, job: &SocialCampaign) -> Vec<(String, String)> {
        let of = |(index, target): (usize, &Target)| {
            let found = early_faults(&job.part(target), &self.platforms);
            found.into_iter().map(move |(field, message)| {
                (format!("accounts[{index}]"), format!("{field}: {message}"))
            })
        };
        job.accounts.iter().enumerate().flat_map(of).collect()
    }

    async fn run(&self, job: SocialCampaign, cx: &JobContext) -> Result<CampaignResult, JobError> {
        let until = Until::all_ended();
        if cx.children.is_empty() {
            return Err(JobError::Await { children: job.children()?, until });
        }
        if cx.children.iter().any(|end| !end.state.is_finished()) {
            return Err(JobError::Await { children: Vec::new(), until });
        }
        let mut accounts = Vec::new();
        for (index, target) in job.accounts.iter().enumerate() {
            if let Some(end) = cx.child(&index.to_string()) {
                accounts.push(ended(target, end)?);
            }
        }
        let published = accounts.iter().filter(|one| one.result.is_some()).count();
        match accounts.first() {
            Some(first) if published == 0 => {
                let (class, account) = (first.class.unwrap_or(DeadClass::Rejected), &first.account);
                let said = first.error.as_deref().unwrap_or("cancelled");
                let source = format!("it was published on no account; {account}: {said}").into();
                Err(JobError::Fail { class, source })
            }
            _ => Ok(CampaignResult { published, accounts }),
        }
    }
}

fn ended(target: &Target, end: &ChildEnd) -> Result<Ended, JobError> {
    let done = end.state == State::Completed;
    let result = end.result.as_ref().filter(|_| done);
    let result = result.map(|bytes| serde_json::from_slice(bytes)).transpose();
    Ok(Ended {
        platform: target.platform.clone(),
        account: target.account.clone(),
        job: end.id.to_string(),
        result: result.map_err(JobError::retry)?,
        class: end.class,
        error: end.error.clone().filter(|_| !done),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use flotilla_core::{CpuPool, JobId, ManualClock};
    use serde_json::json;

    use super::*;

    fn campaign() -> SocialCampaign {
        serde_json::from_value(json!({
            "accounts": [
                {"platform": "x", "account": "shop", "text": "short"},
                {"platform": "facebook", "account": "page"},
            ],
            "post": {"text": "a long text"},
        }))
        .unwrap()
    }

    async fn run(ends: Vec<ChildEnd>) -> Result<CampaignResult, JobError> {
        let (id, clock) = (JobId::derived("campaign"), Arc::new(ManualClock::default()));
        let mut cx = JobContext::detached(id, SocialCampaign::KIND, clock, CpuPool::new(1));
        cx.children = ends.into();
        let platforms = Arc::new(Platforms::built_in().unwrap());
        CampaignHandler::new(platforms).run(campaign(), &cx).await
    }

    fn end(name: &str, state: State) -> ChildEnd {
        let dead = state == State::Dead;
        ChildEnd {
            name: name.into(),
            id: JobId::derived(name),
            state,
            class: dead.then_some(DeadClass::OutcomeUnknown),
            result: (!dead).then(|| Bytes::from_static(b"{\"id\":\"7\"}")),
            error: dead.then(|| "nobody knows".into()),
        }
    }

    #[tokio::test]
    async fn each_account_gets_a_job_of_its_own() {
        let error = run(Vec::new()).await.unwrap_err();
        let JobError::Await { children, .. } = error else { panic!("{error:?}") };
        let first: SocialPost =
            serde_json::from_slice(children[0].envelope.payload.bytes()).unwrap();
        assert_eq!((first.account.as_str(), first.post.texts["x"].as_str()), ("shop", "short"));
        assert_eq!(children.len(), 2);
    }

    #[tokio::test]
    async fn one_accounts_failure_is_told_and_blocks_nobody() {
        let ends = vec![end("0", State::Dead), end("1", State::Completed)];
        let result = run(ends).await.unwrap();
        assert_eq!(result.published, 1);
        assert_eq!(result.accounts[0].class, Some(DeadClass::OutcomeUnknown));
        assert_eq!(result.accounts[1].result, Some(json!({"id": "7"})));
        let error = run(vec![end("0", State::Dead), end("1", State::Dead)]).await.unwrap_err();
        assert!(error.text(200).contains("on no account; shop: nobody knows"));
    }

    #[test]
    fn an_account_is_named_once() {
        let mut twice = campaign();
        twice.accounts.push(twice.accounts[0].clone());
        assert_eq!(twice.faults()[0].1, "names an account twice");
        assert!(campaign().faults().is_empty());
    }
}
