//! What a cell holds of an account: what is known in the clear, its secrets sealed, and who is
//! renewing them. One cell, so that a token and its version change together or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_core::account::{Account, AccountStatus};
use flotilla_core::clock::{after, before, between};
use flotilla_core::{Secret, Tenant, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::ports::{Happened, Notice, Renewal, Rule, Tokens};
use crate::seal::Key;

/// A token that holds shorter than this is not handed out.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// Warnings before an end that only the owner can put off.
pub(crate) const WARNINGS: [Duration; 3] = [days(14), days(7), days(1)];
/// A renewal that is so late has something in its way.
pub(crate) const OVERDUE: Duration = Duration::from_secs(3600);
/// Most notices that wait to be told.
const MAX_NEWS: usize = 20;
/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 300;

const fn days(n: u64) -> Duration {
    Duration::from_secs(n * 24 * 3600)
}

/// The cell of an account.
pub(crate) fn cell_of(tenant: &Tenant, id: &str) -> String {
    format!("account/{tenant}/{id}")
}

/// Who is renewing the token, until when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) by: String,
    pub(crate) fence: u64,
    pub(crate) until: Timestamp,
}

/// What is kept of an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) account: Account,
    /// Of the tokens; grows with each.
    pub(crate) version: u64,
    /// When they came.
    pub(crate) obtained_at: Timestamp,
    /// The tokens; none once revoked.
    pub(crate) sealed: Option<String>,
    /// Whether a refresh token is among them.
    pub(crate) refreshable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lease: Option<Lease>,
    /// The number of the latest lease.
    #[serde(default)]
    pub(crate) fence: u64,
    /// Renewals of this version that were sent and whose answer nobody has seen.
    #[serde(default)]
    pub(crate) lost: u32,
    /// Renewals of this version that failed for reasons that may pass.
    #[serde(default)]
    pub(crate) failures: u32,
    /// No renewal before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_before: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_error: Option<String>,
    /// The platform renews it no more, and the access token still holds: what it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<String>,
    /// Up to which end, and how short before it, people were warned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) warned: Option<(Timestamp, u64)>,
    /// When it was connected again; its jobs are woken for a while after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reconnected_at: Option<Timestamp>,
    /// What nobody was told yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) news: Vec<Notice>,
    /// Under which second its entry lies that says when to look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) indexed: Option<u64>,
}

impl Record {
    /// Of an account that was connected now; its tokens are still to be sealed.
    pub(crate) fn new(account: Account, now: Timestamp) -> Self {
        Self {
            account,
            version: 1,
            obtained_at: now,
            sealed: None,
            refreshable: false,
            lease: None,
            fence: 0,
            lost: 0,
            failures: 0,
            not_before: None,
            last_error: None,
            last: None,
            warned: None,
            reconnected_at: None,
            news: Vec::new(),
            indexed: None,
        }
    }

    /// Where its secrets are sealed: whoever moves them cannot open them.
    fn place(&self) -> String {
        format!(
            "flotilla/secrets/1\n{}\n{}\n{}",
            self.account.tenant, self.account.id, self.version
        )
    }

    pub(crate) fn seal(&mut self, key: &Key, tokens: &Tokens) -> Result<(), VaultError> {
        self.sealed = Some(key.seal(&self.place(), &encode(tokens)?)?);
        self.refreshable = tokens.refresh.is_some();
        Ok(())
    }

    pub(crate) fn open(&self, key: &Key) -> Result<Tokens, VaultError> {
        let fault = |why| VaultError::Sealed {
            what: format!("account \"{}\" of tenant \"{}\"", self.account.id, self.account.tenant),
            why,
        };
        let sealed = self.sealed.as_ref().ok_or_else(|| fault("they are gone"))?;
        let plain = key
            .open(&self.place(), sealed)
            .ok_or_else(|| fault("they were changed, moved, or sealed under a key that is gone"))?;
        decode(&plain).ok_or_else(|| fault("they are not in the form this build writes"))
    }

    /// Whether the access token holds for so long.
    pub(crate) fn lasts(&self, how_long: Duration, now: Timestamp) -> bool {
        self.account.expires_at.is_none_or(|end| end > after(now, how_long))
    }

    /// Whether a renewal could give a new token at all.
    pub(crate) fn can_renew(&self, rule: &Rule, now: Timestamp) -> Result<(), String> {
        if let Some(said) = &self.last {
            return Err(said.clone());
        }
        let ended = |end: Option<Timestamp>| end.filter(|end| *end <= now);
        match rule.renewal {
            Renewal::Nothing => Err("its platform gives no way to renew its token".to_owned()),
            Renewal::RefreshToken if !self.refreshable => {
                Err("its platform gave no refresh token".to_owned())
            }
            Renewal::RefreshToken => match ended(self.account.refresh_expires_at) {
                Some(end) => Err(format!("its refresh token ended at {end}")),
                None => Ok(()),
            },
            Renewal::Itself => match ended(self.account.expires_at) {
                Some(end) => {
                    Err(format!("its token ended at {end} and cannot be renewed after its end"))
                }
                None => Ok(()),
            },
        }
    }

    /// When it is to be renewed by the clock, if at all. Accounts that were connected in the same
    /// minute are spread, each by the same part of the jitter every time.
    pub(crate) fn due_at(&self, rule: &Rule) -> Option<Timestamp> {
        let due = self.due_by_clock(rule)?;
        Some(self.not_before.map_or(due, |at| due.max(at)))
    }

    /// The same, whatever failed since.
    pub(crate) fn due_by_clock(&self, rule: &Rule) -> Option<Timestamp> {
        if self.account.status != AccountStatus::Active || self.is_alone(rule) {
            return None;
        }
        // A token that never ends may hang on one that does: a page's on its user's.
        let end = self.account.expires_at.or(self.account.refresh_expires_at);
        let by_end =
            rule.lead.zip(end).map(|(lead, end)| (before(end, lead), rule.jitter.min(lead)));
        let by_idleness =
            || rule.idle.map(|idle| (after(self.obtained_at, idle), rule.jitter.min(idle)));
        let (from, jitter) = by_end.or_else(by_idleness)?;
        let due = after(from, jitter.mul_f64(part(&self.account)));
        Some(due.max(after(self.obtained_at, rule.min_age)))
    }

    /// Whether nothing but its owner can give it another token.
    fn is_alone(&self, rule: &Rule) -> bool {
        self.last.is_some()
            || rule.renewal == Renewal::Nothing
            || (rule.renewal == Renewal::RefreshToken && !self.refreshable)
    }

    /// The end that nothing but its owner can put off, or that should have been put off by now.
    pub(crate) fn final_end(&self, rule: &Rule, now: Timestamp) -> Option<Timestamp> {
        if self.account.status != AccountStatus::Active {
            return None;
        }
        if self.is_alone(rule) {
            return self.account.expires_at;
        }
        // What each renewal puts off ends only if renewals fail.
        let overdue = || self.due_by_clock(rule).is_some_and(|due| after(due, OVERDUE) < now);
        match rule.renewal {
            Renewal::Itself => self.account.expires_at.filter(|_| overdue()),
            Renewal::RefreshToken if rule.extends => {
                self.account.refresh_expires_at.filter(|_| overdue())
            }
            Renewal::RefreshToken => self.account.refresh_expires_at,
            Renewal::Nothing => None,
        }
    }

    /// A warning that is due, noted as given: once at each step before the end.
    pub(crate) fn warn(&mut self, rule: &Rule, now: Timestamp) -> bool {
        let Some(end) = self.final_end(rule, now) else { return false };
        let left = between(now, end);
        let Some(step) = WARNINGS.iter().filter(|step| left <= **step).min() else { return false };
        let done = self.warned.is_some_and(|(of, at)| of == end && at <= step.as_secs());
        if done || left.is_zero() {
            return false;
        }
        self.warned = Some((end, step.as_secs()));
        let said = self.last.as_ref().or(self.last_error.as_ref());
        let reason = match said {
            Some(said) => format!("it ends at {end} and could not be renewed: {said}"),
            None => format!("it ends at {end} and cannot be extended: connect it again before"),
        };
        self.note(Happened::Expiring, &reason, Some(end), now);
        true
    }

    /// Adds a notice that is to be told.
    pub(crate) fn note(
        &mut self,
        what: Happened,
        reason: &str,
        ends_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        let account = &self.account;
        let name = format!(
            "{}/{}/{}/{what:?}/{}",
            account.tenant,
            account.id,
            self.version,
            now.as_microsecond()
        );
        self.news.push(Notice {
            id: flotilla_core::JobId::derived(&name).to_string(),
            what,
            tenant: account.tenant.clone(),
            account: account.id.clone(),
            platform: account.platform.clone(),
            at: now,
            reason: shorten(reason),
            ends_at,
        });
        let over = self.news.len().saturating_sub(MAX_NEWS);
        self.news.drain(..over);
    }

    /// From now on only its owner can mend it.
    pub(crate) fn needs_reauth(&mut self, reason: &str, now: Timestamp) {
        let reason = shorten(reason);
        self.account.status = AccountStatus::ReauthRequired { since: now, reason: reason.clone() };
        self.lease = None;
        self.not_before = None;
        self.note(Happened::ReauthRequired, &reason, None, now);
    }
}

/// At most so many characters of it.
pub(crate) fn shorten(reason: &str) -> String {
    reason.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect()
}

/// Where in the jitter an account stands: 0 to 1, from its name alone.
pub(crate) fn part(account: &Account) -> f64 {
    let name = format!("{}/{}", account.tenant, account.id);
    let bytes = *flotilla_core::JobId::derived(&name).as_bytes();
    let number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    f64::from(number) / f64::from(u32::MAX)
}

#[derive(Serialize)]
struct Plain<'a> {
    access: &'a str,
    refresh: Option<&'a str>,
    extra: BTreeMap<&'a str, &'a str>,
}

#[derive(Deserialize)]
struct Opened {
    access: String,
    refresh: Option<String>,
    extra: BTreeMap<String, String>,
}

fn encode(tokens: &Tokens) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let extra = tokens.extra.iter().map(|(name, it)| (name.as_str(), it.expose()));
    let plain = Plain {
        access: tokens.access.expose(),
        refresh: tokens.refresh.as_ref().map(Secret::expose),
        extra: extra.collect(),
    };
    let bytes = serde_json::to_vec(&plain);
    bytes.map(Zeroizing::new).map_err(|_| VaultError::Invalid("tokens must be text".to_owned()))
}

fn decode(plain: &[u8]) -> Option<Tokens> {
    let opened: Opened = serde_json::from_slice(plain).ok()?;
    Some(Tokens {
        access: Secret::new(opened.access),
        refresh: opened.refresh.map(Secret::new),
        extra: opened.extra.into_iter().map(|(name, it)| (name, Secret::new(it))).collect(),
    })
}
