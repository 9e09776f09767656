//! Steps of a session that outlive an attempt: calls that a quota counts, what is waited for without
//! holding a slot, and the rule that a post found on the platform belongs to one job only.

use std::time::Duration;

use bytes::Bytes;
use flotilla_core::cells::CellWrite;
use flotilla_core::clock::{after, before, between};
use flotilla_core::effect::ReadBack;
use flotilla_core::{DeadClass, JobError, Secret, Timestamp};

use super::{CallError, Session};
use crate::post::Published;
use crate::quota;
use crate::trouble::{Class, Scope, Trouble};
use crate::webhooks::{self, Heard};

/// A post that was not found is looked for again after this, before it is taken not to be there.
const SECOND_LOOK: Duration = Duration::from_secs(60);
/// What was handed over and takes longer than usual is looked at this often.
const RARELY: Duration = Duration::from_secs(600);
/// And for this long.
const LONGEST_WATCH: Duration = Duration::from_secs(86_400);
/// Clocks of platforms and ours may differ by this much.
const SKEW: Duration = Duration::from_secs(120);

/// What is at stake while something is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Nothing is public: after a while the job fails and is retried.
    Unsent,
    /// It may become public at any time: it is looked at for a day, and then a person has to.
    Sent,
}

/// What a look at something in progress shows.
#[derive(Debug)]
pub enum Look<T> {
    /// It is done.
    Ready(T),
    /// Not yet.
    Later,
}

fn too_early(trouble: &Trouble) -> bool {
    matches!(trouble.class, Class::TooFast { .. } | Class::Spent(_))
}

impl Session<'_> {
    /// Makes a call that counts against the platform's quota for `what`. It counts from the moment
    /// it was answered, since nobody knows when it arrived; not at all when it was not made, or was
    /// refused for coming too early.
    ///
    /// # Errors
    /// `Refused` with a snooze while the quota is used up; what `call` says.
    pub async fn permitted<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, CallError>> + Send,
    ) -> Result<T, CallError> {
        let refused = |error| CallError::Refused(None, error);
        let (now, cells) = (self.now(), &*self.cx.cells);
        let latest = after(now, self.bounds.call);
        let permit =
            quota::take(cells, self.spec, self.account, (&self.cx.id, what), now, latest).await;
        let permit = permit.map_err(|error| refused(JobError::retry(error)))?.map_err(|until| {
            let name = &self.spec.title;
            let reason = format!("{name} allows no more posts before {until}");
            refused(JobError::Snooze { until, reason })
        })?;
        let outcome = call.await;
        let counted = match &outcome {
            Err(CallError::Unsure(..)) => return outcome,
            Err(CallError::Refused(None, _)) => None,
            Err(CallError::Refused(Some(trouble), _)) if too_early(trouble) => None,
            _ => Some(self.now()),
        };
        quota::settle(cells, &permit, counted, self.now()).await;
        outcome
    }

    /// As `once` of the ledger, for what must not lie in a store as it is: a URL that is a
    /// permission by itself. It is kept sealed with the tenant's key.
    ///
    /// # Errors
    /// What `work` says; while the ledger or the keys cannot be reached.
    pub async fn once_sealed<T, Fut>(
        &self,
        step: &str,
        work: impl FnOnce() -> Fut + Send,
    ) -> Result<T, JobError>
    where
        T: serde::Serialize + serde::de::DeserializeOwned + Send,
        Fut: Future<Output = Result<T, JobError>> + Send,
    {
        let (tenant, place) = (&self.account.tenant, format!("{}/{step}", self.cx.id));
        let sealed: String = self
            .cx
            .once(step, || async {
                let value = serde_json::to_string(&work().await?).map_err(JobError::retry)?;
                self.accounts.seal(tenant, &place, &Secret::new(value)).await
            })
            .await?;
        let opened = self.accounts.open(tenant, &place, &sealed).await?;
        // The error of the parser would show a piece of it.
        serde_json::from_str(opened.expose()).map_err(|_| {
            JobError::invalid(format!("the ledger's result of \"{step}\" is of another form"))
        })
    }

    /// Waits for something in progress without holding a slot; what it gave is kept.
    ///
    /// # Errors
    /// A snooze until the next look; a retry when it takes longer than the registry says; what
    /// `look` says.
    pub async fn wait_for<T, Fut>(
        &self,
        step: &str,
        patience: Patience,
        look: impl FnOnce() -> Fut + Send,
    ) -> Result<T, JobError>
    where
        T: serde::Serialize + serde::de::DeserializeOwned + Send,
        Fut: Future<Output = Result<Look<T>, JobError>> + Send,
    {
        let work = || async {
            match look().await? {
                Look::Ready(value) => Ok(value),
                Look::Later => Err(self.later(step, patience).await?),
            }
        };
        self.cx.once(step, work).await
    }

    async fn later(&self, step: &str, patience: Patience) -> Result<JobError, JobError> {
        let now = self.now();
        let since = self.cx.once(&format!("since/{step}"), || async { Ok(now) }).await?;
        let (waited, poll) = (between(since, now), &self.spec.poll);
        let name = &self.spec.title;
        let reason = format!("{name} works on it ({step})");
        if waited <= poll.give_up {
            return Ok(JobError::Snooze { until: after(now, poll.pause(waited)), reason });
        }
        let hours = waited.as_secs() / 3600;
        Ok(match patience {
            Patience::Unsent => {
                let minutes = waited.as_secs() / 60;
                JobError::retry(format!("{name} still works on it after {minutes} min"))
            }
            Patience::Sent if waited < LONGEST_WATCH => {
                JobError::Snooze { until: after(now, RARELY), reason }
            }
            Patience::Sent => {
                let said = format!(
                    "{name} has it and still works on it after {hours} h: look at the account \
                     there, it is not sent again"
                );
                JobError::Fail { class: DeadClass::OutcomeUnknown, source: said.into() }
            }
        })
    }

    /// Makes ready for what the platform will say of `subject`, where it says anything.
    ///
    /// # Errors
    /// While the cells cannot be reached.
    pub async fn expect(&self, subject: &str) -> Result<(), JobError> {
        if !self.webhooks {
            return Ok(());
        }
        let waiting = Heard {
            job: self.cx.id,
            tenant: self.account.tenant.clone(),
            account: self.account.id.clone(),
            statuses: Vec::new(),
        };
        let kept =
            webhooks::expect(&*self.cx.cells, &self.spec.name, subject, &waiting, self.now());
        kept.await.map_err(JobError::retry)
    }

    /// What the platform said of `subject` so far.
    ///
    /// # Errors
    /// While the cells cannot be reached.
    pub async fn heard(&self, subject: &str) -> Result<Option<Heard>, JobError> {
        let heard = webhooks::heard(&*self.cx.cells, &self.spec.name, subject, self.now());
        heard.await.map_err(JobError::retry)
    }

    /// Whether what began with the step `since` has gone on for as long as the registry waits.
    ///
    /// # Errors
    /// While the ledger cannot be reached.
    pub async fn waited_enough(&self, since: &str) -> Result<bool, JobError> {
        let now = self.now();
        let since = self.cx.once(since, || async { Ok(now) }).await?;
        Ok(between(since, now) > self.spec.poll.give_up)
    }

    /// What was handed over has definitely failed since the account has published as much as a
    /// day allows: waits for the next one.
    ///
    /// # Errors
    /// A snooze until then; while the ledger cannot be reached.
    pub async fn next_day(&self, step: &str, reason: &str) -> Result<(), JobError> {
        let now = self.now();
        let since = self.cx.once(step, || async { Ok(now) }).await?;
        let until = self.spec.wait.daily.next(since);
        if now < until {
            self.freeze(Scope::Account, until, reason, None);
            return Err(JobError::Snooze { until, reason: reason.to_owned() });
        }
        Ok(())
    }

    /// What was handed over has definitely failed since the owner took our permission away: goes
    /// on with the tokens of a later connection.
    ///
    /// # Errors
    /// The job is parked until then; while the ledger or the accounts cannot be reached.
    pub async fn connected_again(&self, step: &str, said: &str) -> Result<(), JobError> {
        let held = self.credential().await?;
        let then = self.cx.once(step, || async { Ok(held.version) }).await?;
        if held.version != then {
            return Ok(());
        }
        let (tenant, id) = (&self.account.tenant, &self.account.id);
        Err(self.accounts.refused(tenant, id, held.version, said).await)
    }

    /// The account may not post for a while; the job ends.
    #[must_use]
    pub fn restricted(&self, said: String) -> JobError {
        let until = after(self.now(), self.spec.wait.restricted);
        self.freeze(Scope::Account, until, &said, None);
        JobError::rejected(format!("{said}; its owner should look at the account there"))
    }

    /// The moment this job began to post, less what clocks may differ: what was there before is
    /// not its own.
    ///
    /// # Errors
    /// While the ledger cannot be reached.
    pub async fn since(&self) -> Result<Timestamp, JobError> {
        let began = self.cx.once("began", || async { Ok(self.now()) }).await?;
        Ok(before(began, SKEW))
    }

    /// Whether the post of that id is this job's: the first job to say so has it.
    ///
    /// # Errors
    /// While the cells cannot be reached.
    pub async fn claim(&self, id: &str) -> Result<bool, JobError> {
        let account = self.account;
        let hash = blake3::hash(id.as_bytes()).to_hex();
        let key = format!("post/{}/{}/{}/{hash}", self.spec.name, account.tenant, account.id);
        let now = self.now();
        let job = self.cx.id.to_string();
        for _ in 0..2 {
            let change = CellWrite {
                key: key.clone(),
                expect: 0,
                value: Some(Bytes::from(job.clone())),
                expires_at: Some(after(now, Duration::from_secs(90 * 86_400))),
            };
            let written = self.cx.cells.write(&[change], now).await.map_err(JobError::retry)?;
            if written.first() == Some(&true) {
                return Ok(true);
            }
            let read = self.cx.cells.read(std::slice::from_ref(&key), now).await;
            if let Some(cell) = read.map_err(JobError::retry)?.into_iter().next().flatten() {
                return Ok(cell.value == job.as_bytes());
            }
        }
        Ok(false)
    }

    /// Takes the first of these posts that no other job has as this job's own; none: it is looked
    /// for once more a minute later, before it is taken not to be there. `whole`: what was looked
    /// through goes back to when this job began; otherwise it may be there all the same.
    ///
    /// # Errors
    /// While the ledger cannot be reached.
    pub async fn adopt(
        &self,
        found: Vec<Published>,
        whole: bool,
    ) -> Result<ReadBack<Published>, JobError> {
        for post in found {
            let id = post.id.clone().unwrap_or_default();
            if self.claim(&id).await? {
                return Ok(ReadBack::Happened(post));
            }
        }
        if !whole {
            return Ok(ReadBack::CannotTell);
        }
        let now = self.now();
        let looked = self.cx.once("looked", || async { Ok(now) }).await?;
        Ok(if between(looked, now) < SECOND_LOOK { ReadBack::NotYet } else { ReadBack::DidNot })
    }
}
