//! `social.post`: one post on one account, once, whatever crashes when. Checked against the
//! platform's bounds before anything is called; published at its time; found again when an answer
//! was lost; never sent a second time on a guess.

mod content;
mod early;
mod film;
mod fit;
mod when;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::account::Account;
use flotilla_core::clock::between;
use flotilla_core::envelope::UniqueScope;
use flotilla_core::job::{Job, Policy};
use flotilla_core::registry::PayloadError;
use flotilla_core::retry::Backoff;
use flotilla_core::{
    Accounts, Handler, JobContext, JobError, Kind, Lane, LimitKey, Timestamp, Unique,
};
use flotilla_platforms::post::{Facts, Post, Published};
use flotilla_platforms::{
    Bounds, Capability, Media, Platform, Platforms, Session, Spec, check, platform,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;

pub use content::{Content, MediaItem};
pub(crate) use early::faults as early_faults;
pub use film::Films;
pub use fit::Fitter;

use crate::services::Services;

/// How long the same post on the same account in the same slot is the same job.
const SAME: u64 = 24 * 3600;
/// Longest name of an account or a slot.
const MAX_NAME: usize = 64;

/// The payload: what goes where, and when.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = early::examples()))]
pub struct SocialPost {
    /// The platform: `facebook`, `instagram`, … `flotilla platforms list` names them.
    pub platform: String,
    /// The account, by the name it was added under.
    pub account: String,
    /// What is posted.
    pub post: Content,
    /// Not before this: `2026-12-24T18:00:00Z`, or `2026-12-24T18:00` with `time_zone`. At once
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_at: Option<String>,
    /// Where the clock of `publish_at` hangs: an IANA name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Who waits for `publish_at`.
    #[serde(default)]
    pub scheduled_by: ScheduledBy,
    /// Sets posts apart that say the same: without it, the same post on the same account within
    /// a day is the same job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Only check it: nothing is sent to the platform.
    #[serde(default)]
    pub dry_run: bool,
}

/// Who waits for the time of publication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScheduledBy {
    /// This fleet.
    #[default]
    Fleet,
    /// The platform, which is handed the post now: Facebook and YouTube.
    Platform,
}

impl Job for SocialPost {
    const KIND: Kind = Kind::from_static("social.post");
    const LIMITS: Option<fn(&Self) -> Vec<LimitKey>> =
        Some(|job| vec![LimitKey::of(&[&job.platform, &job.account, "publish"])]);
    type Output = PostResult;

    /// Eight attempts within about an hour; waiting for a platform costs none.
    fn policy() -> Policy {
        Policy {
            lane: Lane::from_static("social"),
            max_attempts: 8,
            timeout: Duration::from_secs(15 * 60),
            backoff: Backoff {
                base: Duration::from_secs(5),
                factor: 3.0,
                max: Duration::from_secs(1200),
            },
            ..Policy::default()
        }
    }

    fn faults(&self) -> Vec<(String, String)> {
        let mut faults = self.post.faults();
        for (field, name) in [("account", Some(&self.account)), ("slot", self.slot.as_ref())] {
            let good = |name: &&String| (1..=MAX_NAME).contains(&name.len());
            if name.is_some_and(|name| !good(&name)) {
                faults.push((field.to_owned(), format!("must have 1 to {MAX_NAME} bytes")));
            }
        }
        match (&self.publish_at, &self.time_zone) {
            (Some(time), zone) => {
                if let Err((field, message)) = when::read(time, zone.as_deref()) {
                    faults.push((field.to_owned(), message));
                }
            }
            (None, Some(_)) => {
                faults.push(("time_zone".to_owned(), "belongs to a publish_at".to_owned()));
            }
            (None, None) => {}
        }
        faults
    }

    /// The same post on the same account in the same slot.
    fn unique(&self) -> Option<Unique> {
        if self.dry_run {
            return None;
        }
        let parts = (&self.platform, &self.account, &self.post, &self.publish_at, &self.slot);
        let hash = blake3::hash(&serde_json::to_vec(&parts).ok()?);
        let key = format!("{}/{}/{}", self.platform, self.account, hash.to_hex());
        Some(Unique { key, scope: UniqueScope::Seconds(SAME) })
    }
}

/// The result: what became of the post.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PostResult {
    /// The platform.
    pub platform: String,
    /// The account.
    pub account: String,
    /// Its id there; absent where the platform gives none (TikTok before moderation), and in a
    /// dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where people find it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permalink: Option<String>,
    /// The handle it was made under there: a container, a publish id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// When it was published, or found to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Timestamp>,
    /// Whether it was found there after its answer was lost.
    pub adopted: bool,
    /// The id of the first comment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_comment: Option<String>,
    /// Whether nothing was sent.
    pub dry_run: bool,
    /// What should be known of it.
    pub notes: Vec<String>,
    /// What the platform said, at most 4,000 bytes.
    pub answer: Value,
}

/// What posting needs besides blobs and the guarded client.
#[derive(Clone, Debug)]
pub struct Social {
    /// The platforms.
    pub platforms: Arc<Platforms>,
    /// Bounds of calls.
    pub bounds: Bounds,
    /// Platforms that tell by themselves what became of a post.
    pub webhooks: BTreeSet<String>,
}

/// Checks, waits, publishes.
#[derive(Debug)]
pub struct PostHandler {
    social: Social,
    accounts: Option<Arc<dyn Accounts>>,
    media: Media,
    fitter: Fitter,
}

impl PostHandler {
    /// Takes the accounts, the platforms and the way out.
    pub fn new(services: &Services) -> Self {
        let media = Media::new(Arc::clone(&services.fetcher), Arc::clone(&services.blobs));
        let accounts = services.vault.clone().map(|vault| Arc::new(vault) as Arc<dyn Accounts>);
        let films =
            Films { tools: services.media.tools.clone(), max_bytes: services.sources.max_bytes };
        let fitter = Fitter::new(Arc::clone(&services.blobs), services.images.clone());
        let fitter = fitter.with_films(films);
        Self::with(services.social.clone(), accounts, media, fitter)
    }

    /// Over accounts of one's own; without any only dry runs work.
    pub fn with(
        social: Social,
        accounts: Option<Arc<dyn Accounts>>,
        media: Media,
        fitter: Fitter,
    ) -> Self {
        Self { social, accounts, media, fitter }
    }

    /// The account; `None` in a dry run where there are no accounts.
    async fn account(
        &self,
        job: &SocialPost,
        cx: &JobContext,
    ) -> Result<Option<Account>, JobError> {
        let Some(accounts) = &self.accounts else {
            if job.dry_run {
                return Ok(None);
            }
            let early = early::faults(job, &self.social.platforms);
            if !early.is_empty() {
                return Err(fault(early));
            }
            return Err(JobError::invalid(
                "this worker has no accounts: only a dry run works (\"dry_run\": true)",
            ));
        };
        let account = accounts.account(&cx.tenant, &job.account).await?;
        if account.platform != job.platform {
            let message = format!(
                "the account \"{}\" is one of {}, not of {}",
                account.id, account.platform, job.platform
            );
            return Err(fault(vec![("account".to_owned(), message)]));
        }
        Ok(Some(account))
    }

    /// What the media are; looked at once for each job.
    async fn facts(&self, job: &SocialPost, cx: &JobContext) -> Result<Vec<Facts>, JobError> {
        if job.post.origins().is_empty() {
            return Ok(Vec::new());
        }
        cx.once("media-facts", || async {
            let mut facts = Vec::new();
            for origin in job.post.origins() {
                facts.push(self.media.facts(origin).await?);
            }
            Ok(facts)
        })
        .await
    }
}

impl Handler<SocialPost> for PostHandler {
    async fn run(&self, job: SocialPost, cx: &JobContext) -> Result<PostResult, JobError> {
        let (spec, client) = self.platform(&job)?;
        let account = self.account(&job, cx).await?;
        let facts = self.facts(&job, cx).await?;
        let mut post = job.post.post(&job.platform, &facts);
        let mut notes = Vec::new();
        if job.post.fit {
            notes = self.fitter.fit(&mut post, spec, &self.media, cx).await?;
        }
        notes.extend(checked(&post, spec, client, account.as_ref())?);
        let now = cx.clock.now();
        if let Some(time) = &job.publish_at {
            let when = when::read(time, job.time_zone.as_deref())
                .map_err(|(field, message)| fault(vec![(field.to_owned(), message)]))?;
            notes.extend(when.note);
            match job.scheduled_by {
                ScheduledBy::Platform if when.at > now => {
                    post.later = Some(scheduled(when.at, spec, now)?);
                }
                _ if when.at > now && !job.dry_run => {
                    let reason = "waits for the time it is to be published".to_owned();
                    return Err(JobError::Snooze { until: when.at, reason });
                }
                _ => {}
            }
        }
        let (Some(account), Some(accounts), false) = (&account, &self.accounts, job.dry_run) else {
            notes.push(format!("it fits {}; nothing was sent", spec.title));
            if account.is_none() {
                notes.push("there are no accounts here: the account was not looked at".to_owned());
            }
            return Ok(result(&job, Published::default(), None, notes));
        };
        let session = Session {
            cx,
            account,
            spec,
            accounts: &**accounts,
            media: &self.media,
            bounds: self.social.bounds,
            judge: client.judge(),
            webhooks: self.social.webhooks.contains(&job.platform),
            held: Mutex::default(),
        };
        let published = client.publish(&post, &session).await?;
        if let Some(id) = &published.id {
            session.claim(id).await?;
        }
        let comment = comment(&post, &published, client, &session, &mut notes).await?;
        Ok(result(&job, published, comment, notes))
    }

    fn faults(&self, job: &SocialPost) -> Vec<(String, String)> {
        early::faults(job, &self.social.platforms)
    }
}

impl PostHandler {
    fn platform(&self, job: &SocialPost) -> Result<(&Spec, &'static dyn Platform), JobError> {
        let unknown = |message| fault(vec![("platform".to_owned(), message)]);
        let spec = self.social.platforms.get(&job.platform).map_err(unknown)?;
        let client = platform::by_name(&job.platform).ok_or_else(|| {
            unknown(format!(
                "there is nothing to post on {}: its accounts only keep tokens",
                spec.title
            ))
        })?;
        Ok((spec, client))
    }
}

/// All faults of a post at once; gives notes.
fn checked(
    post: &Post,
    spec: &Spec,
    client: &dyn Platform,
    account: Option<&Account>,
) -> Result<Vec<String>, JobError> {
    let sort = account.map_or("", |account| client.sort(&account.external_id));
    let premium = account.is_some_and(|a| a.extra.get("premium").is_some_and(|yes| yes == "true"));
    let faults = check::faults(post, spec, sort, premium);
    if !faults.is_empty() {
        return Err(fault(faults.into_iter().map(|(f, m)| (format!("post.{f}"), m)).collect()));
    }
    let mut notes = Vec::new();
    if !spec.can(Capability::ReadBack, sort) {
        notes.push(format!(
            "{} cannot be asked whether a post is there: if an answer is lost, this ends among \
             the dead letters as outcome_unknown",
            spec.title
        ));
    }
    Ok(notes)
}

/// When the platform itself publishes, if it can and that is within its bounds.
fn scheduled(at: Timestamp, spec: &Spec, now: Timestamp) -> Result<Timestamp, JobError> {
    let name = &spec.title;
    let Some(ahead) = spec.schedule.filter(|_| spec.can(Capability::Schedule, "")) else {
        let message = format!("{name} does not schedule by itself; leave it to the fleet");
        return Err(fault(vec![("scheduled_by".to_owned(), message)]));
    };
    let away = between(now, at);
    if away < ahead.min_ahead || away > ahead.max_ahead {
        let message = format!(
            "{name} schedules from {} min to {} days ahead; leave it to the fleet",
            ahead.min_ahead.as_secs() / 60,
            ahead.max_ahead.as_secs() / 86_400
        );
        return Err(fault(vec![("publish_at".to_owned(), message)]));
    }
    Ok(at)
}

/// The first comment. The post is published: only what costs no attempt, or has attempts left,
/// is tried again; anything else is a note.
async fn comment(
    post: &Post,
    published: &Published,
    client: &dyn Platform,
    session: &Session<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<String>, JobError> {
    let Some(text) = &post.first_comment else { return Ok(None) };
    if published.id.is_none() {
        notes.push("the first comment was not written: the post has no id yet".to_owned());
        return Ok(None);
    }
    match client.comment(published, text, session).await {
        Ok(id) => Ok(Some(id)),
        Err(error @ JobError::Snooze { .. }) => Err(error),
        Err(error @ JobError::Retry { .. }) if session.cx.attempt < session.cx.max_attempts => {
            Err(error)
        }
        Err(error) => {
            let said = error.text(500);
            notes.push(format!("published; its first comment was not confirmed: {said}"));
            Ok(None)
        }
    }
}

fn result(
    job: &SocialPost,
    published: Published,
    first_comment: Option<String>,
    mut notes: Vec<String>,
) -> PostResult {
    notes.extend(published.notes);
    PostResult {
        platform: job.platform.clone(),
        account: job.account.clone(),
        id: published.id,
        permalink: published.permalink,
        handle: published.handle,
        published_at: published.at,
        adopted: published.adopted,
        first_comment,
        dry_run: job.dry_run,
        notes,
        answer: published.answer,
    }
}

/// Faults of the payload as one error, all of them in its text.
fn fault(faults: Vec<(String, String)>) -> JobError {
    let mut faults = faults.into_iter();
    let (field, mut message) = faults.next().unwrap_or_default();
    for (field, said) in faults {
        message.push_str(&format!("; {field}: {said}"));
    }
    JobError::invalid(PayloadError { kind: SocialPost::KIND, field, message })
}

#[cfg(test)]
mod tests;
