//! One account of one job, as a platform's client sees it: calls with a token that is renewed when
//! it must be, and refusals turned into what becomes of the job.

mod steps;

use std::time::Duration;

use flotilla_core::account::Credential;
use flotilla_core::breaker::Answer as Health;
use flotilla_core::clock::{after, between};
use flotilla_core::effect::SendError;
use flotilla_core::outcome::BoxError;
use flotilla_core::throttle::{self, Throttle};
use flotilla_core::{Account, Accounts, Call, JobContext, JobError, LimitKey, Timestamp};
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use crate::http::{Answer, NoAnswer, Outgoing};
use crate::media::Media;
use crate::registry::{Endpoint, Spec};
use crate::request::{Auth, Request, Target};
use crate::trouble::{Class, Scope, Trouble};

pub use steps::{Look, Patience};

/// A token this young that is called revoked is not believed (LinkedIn says so for seconds).
const YOUNG: Duration = Duration::from_secs(60);
/// How long jobs wait for an operator to mend the settings.
const MISCONFIGURED: Duration = Duration::from_secs(3600);

/// Bounds of calls.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Longest call.
    pub call: Duration,
    /// Longest call that carries a file.
    pub upload: Duration,
    /// Most bytes of an answer.
    pub max_answer: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { call: seconds(30), upload: seconds(600), max_answer: 1 << 20 }
    }
}

/// One account of one job.
#[derive(Debug)]
pub struct Session<'a> {
    /// The job.
    pub cx: &'a JobContext,
    /// Whose post it is.
    pub account: &'a Account,
    /// What is known of its platform.
    pub spec: &'a Spec,
    /// Where tokens come from.
    pub accounts: &'a dyn Accounts,
    /// Where media come from.
    pub media: &'a Media,
    /// Bounds of calls.
    pub bounds: Bounds,
    /// What an answer means there.
    pub judge: fn(&Answer) -> Option<Trouble>,
    /// Whether this platform tells by itself what became of a post.
    pub webhooks: bool,
    /// The token in use; begin with `None`.
    pub held: Mutex<Option<Credential>>,
}

/// How a call failed.
#[derive(Debug)]
pub enum CallError {
    /// It certainly had no effect.
    Refused(Option<Trouble>, JobError),
    /// It may have had one.
    Unsure(Option<Trouble>, BoxError),
}

impl CallError {
    pub(crate) fn trouble(&self) -> Option<&Trouble> {
        match self {
            Self::Refused(trouble, _) | Self::Unsure(trouble, _) => trouble.as_ref(),
        }
    }

    pub(crate) fn class(&self) -> Option<&Class> {
        self.trouble().map(|trouble| &trouble.class)
    }
}

impl From<CallError> for JobError {
    /// As for calls that may be repeated.
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(_, error) => error,
            CallError::Unsure(_, source) => Self::retry(source),
        }
    }
}

impl From<CallError> for SendError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(_, error) => Self::Refused(error),
            CallError::Unsure(_, source) => Self::Unsure(source),
        }
    }
}

impl Session<'_> {
    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.cx.clock.now()
    }

    /// Makes a call and judges its answer; a token that has expired is renewed once.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(&self, request: Request) -> Result<Answer, CallError> {
        let mut renewed = false;
        loop {
            let before = |error| CallError::Refused(None, error);
            let credential = self.credential().await.map_err(before)?;
            let began = self.now();
            let answer = match self.send(&request, &credential).await {
                Ok(answer) => answer,
                Err(error) => return Err(self.unanswered(&request, error, began)),
            };
            let trouble = (self.judge)(&answer);
            self.report(&request, &answer, trouble.as_ref(), began);
            let Some(trouble) = trouble else { return Ok(answer) };
            if trouble.class == Class::Expired && !renewed {
                renewed = true;
                let (tenant, id) = (&self.account.tenant, &self.account.id);
                let newer = self.accounts.renew(tenant, id, credential.version).await;
                *self.held.lock().await = Some(newer.map_err(before)?);
                continue;
            }
            return Err(self.refused(trouble, &answer, &credential).await);
        }
    }

    /// Makes a call and gives the JSON of its answer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn json(&self, request: Request) -> Result<Value, CallError> {
        self.call(request).await.map(|answer| answer.json())
    }

    /// A call whose failure does not matter: a permalink.
    pub async fn quietly(&self, request: Request) -> Option<Value> {
        self.json(request).await.ok()
    }

    async fn credential(&self) -> Result<Credential, JobError> {
        let mut held = self.held.lock().await;
        if let Some(credential) = held.as_ref() {
            return Ok(credential.clone());
        }
        let read = self.accounts.credential(&self.account.tenant, &self.account.id).await?;
        Ok(held.insert(read).clone())
    }

    async fn send(&self, request: &Request, credential: &Credential) -> Result<Answer, NoAnswer> {
        let (content, media_type) = request.load.content(self.media);
        let mut headers = request.headers.clone();
        let own = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        headers.extend(media_type.filter(|_| !own).map(|t| ("content-type".to_owned(), t)));
        let token = credential.access_token.expose();
        match request.auth {
            Auth::Bearer => headers.push(("authorization".to_owned(), format!("Bearer {token}"))),
            Auth::Meta => headers.push(("authorization".to_owned(), format!("OAuth {token}"))),
            Auth::Nothing => {}
        }
        let outgoing = Outgoing {
            method: request.method.clone(),
            url: self.url(request)?,
            headers,
            content,
            timeout: if request.is_upload() { self.bounds.upload } else { self.bounds.call },
            max_answer: self.bounds.max_answer,
        };
        self.media.fetcher().send_from(outgoing, self.account.base_url.as_deref()).await
    }

    fn url(&self, request: &Request) -> Result<String, NoAnswer> {
        let bad = |reason| NoAnswer::NotSent(crate::FetchError::BadUrl { reason });
        let base = self.account.base_url.as_deref();
        let text = match &request.target {
            Target::Path(host, path) => Endpoint::url(base, self.spec, host, path).map_err(bad)?,
            Target::Url(url) if self.spec.may_call(base, url) => url.clone(),
            Target::Url(_) => {
                let name = &self.spec.title;
                return Err(bad(format!("{name} handed out a URL on a host that is not its own")));
            }
        };
        let mut url = Url::parse(&text).map_err(|e| bad(e.to_string()))?;
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        Ok(url.into())
    }

    fn key(&self, what: &str) -> LimitKey {
        LimitKey::of(&[&self.spec.name, &self.account.id, what])
    }

    fn unanswered(&self, request: &Request, error: NoAnswer, began: Timestamp) -> CallError {
        let took = between(began, self.now());
        self.cx.called(Call::unanswered(self.key(request.what), took));
        match error {
            NoAnswer::NotSent(why) => CallError::Refused(None, why_not_sent(why)),
            NoAnswer::Unanswered(why) => CallError::Unsure(None, why.into()),
        }
    }

    fn report(
        &self,
        request: &Request,
        answer: &Answer,
        trouble: Option<&Trouble>,
        began: Timestamp,
    ) {
        let (now, key) = (self.now(), self.key(request.what));
        let header = |name: &str| answer.header(name);
        let mut call = Call::http(key, answer.status, header, between(began, now), now);
        call.answer = match trouble.map(|trouble| &trouble.class) {
            Some(Class::Transient) => Some(Health::Bad),
            Some(Class::TooFast { .. } | Class::Spent(_)) => None,
            // A dead token says something of its account, not of the platform.
            _ => Some(Health::Good),
        };
        self.cx.called(call);
    }

    /// Leaves a key alone until then.
    fn freeze(&self, scope: Scope, until: Timestamp, reason: &str, health: Option<Health>) {
        let depth = if scope == Scope::App { 1 } else { 2 };
        let (key, reason) = (self.key("").above(depth), reason.to_owned());
        let throttle = Some(Throttle { until, reason });
        self.cx.called(Call { key, answer: health, took: Duration::ZERO, throttle });
    }

    /// What becomes of the job.
    async fn refused(&self, trouble: Trouble, answer: &Answer, used: &Credential) -> CallError {
        let (now, name) = (self.now(), &self.spec.title);
        let said = format!("{name} said {trouble}");
        let error = match &trouble.class {
            Class::Transient => return CallError::Unsure(Some(trouble), said.into()),
            Class::Later(wait) => JobError::later(said, Some(*wait)),
            Class::Once(wait) => self.once_more(&trouble.code, said, *wait).await,
            Class::Growing => JobError::later(said, Some(growing(self.cx.attempt))),
            Class::TooFast { scope, wait } => {
                // A bare 429 is read as a minute; the platform's own rule is better than that.
                let read = throttle::read(answer.status, |name| answer.header(name), now)
                    .filter(|read| read.reason != "status 429");
                let until = wait
                    .map(|wait| after(now, wait))
                    .or(read.map(|read| read.until))
                    .unwrap_or_else(|| after(now, self.spec.wait.rate));
                self.freeze(*scope, until, &trouble.code, None);
                JobError::Snooze { until, reason: said }
            }
            Class::Spent(scope) => {
                let until = self.spec.wait.daily.next(now);
                self.freeze(*scope, until, &trouble.code, None);
                JobError::Snooze { until, reason: said }
            }
            Class::NotReady => {
                JobError::Snooze { until: after(now, self.spec.poll.first), reason: said }
            }
            Class::Gone | Class::Missing => JobError::retry(said),
            Class::Expired | Class::Revoked => self.dead_token(&said, used, now).await,
            Class::NotGranted => {
                let scopes = self.spec.scopes.join(", ");
                let reason = format!("{said}; connect the account again and grant {scopes}");
                JobError::Park { key: self.account.park_key(), reason }
            }
            Class::Rejected | Class::Duplicate(_) => JobError::rejected(said),
            Class::Restricted => self.restricted(said),
            Class::Misconfigured => {
                let until = after(now, MISCONFIGURED);
                self.freeze(Scope::App, until, &trouble.code, Some(Health::Refused));
                let mend = "mend the app's settings or [platforms] file; nothing is lost";
                JobError::Snooze { until, reason: format!("{said}; an operator must {mend}") }
            }
        };
        CallError::Refused(Some(trouble), error)
    }

    /// The first refusal of this code is waited out, the next one is believed.
    async fn once_more(&self, code: &str, said: String, wait: Duration) -> JobError {
        let now = self.now();
        let first = self.cx.once(&format!("refused/{code}"), || async { Ok(now) }).await;
        match first.map(|first| after(first, wait)) {
            Ok(until) if now < until => JobError::Snooze { until, reason: said },
            Ok(_) => JobError::rejected(said),
            Err(error) => error,
        }
    }

    async fn dead_token(&self, said: &str, used: &Credential, now: Timestamp) -> JobError {
        let account = self.account;
        let made = account.renewed_at.unwrap_or(account.created_at).max(account.created_at);
        if between(made, now) < YOUNG {
            let until = after(now, Duration::from_secs(10));
            let reason = format!("{said}; the token is too young to believe that");
            return JobError::Snooze { until, reason };
        }
        self.accounts.refused(&account.tenant, &account.id, used.version, said).await
    }
}

/// 4^n seconds after n attempts that went before, at most a day.
fn growing(attempt: u32) -> Duration {
    let seconds = 4_u64.saturating_pow(attempt.saturating_sub(1)).min(86_400);
    Duration::from_secs(seconds)
}

fn why_not_sent(why: crate::FetchError) -> JobError {
    match why {
        crate::FetchError::Blocked { .. } | crate::FetchError::BadUrl { .. } => {
            JobError::invalid(why)
        }
        _ => JobError::retry(why),
    }
}
