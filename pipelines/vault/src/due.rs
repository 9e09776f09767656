//! When each account is to be looked at next: cells whose keys begin with that moment, so that a
//! sweep reads what is due and nothing else, however many accounts there are.
//!
//! An entry is written before the record it is about and says when it was written; a crash leaves
//! one too many at worst. Who meets one that is not its record's takes it away, once it is old
//! enough that nobody is still about to write that record. What an entry cannot know (an operator
//! changed the registry of platforms) a look over all accounts mends, once a day.

use std::time::Duration;

use bytes::Bytes;
use flotilla_core::cells::{Cell, CellWrite};
use flotilla_core::clock::{after, before};
use flotilla_core::{Tenant, Timestamp};

use crate::error::VaultError;
use crate::ports::Rule;
use crate::record::{Record, WARNINGS, cell_of};
use crate::vault::Vault;

/// Where the entries are.
pub(crate) const DUE: &str = "due/account/";
/// Says that all accounts were looked over lately.
const WHOLE: &str = "vault/whole";
/// How often they are.
const EVERY: Duration = Duration::from_secs(24 * 3600);
/// Who wrote an entry has written its record within this time, or never will.
const SETTLED: Duration = Duration::from_secs(600);
/// How long jobs of an account that was connected again are woken once more: one that parked in
/// the same moment missed the first call.
const WAKE_AGAIN: Duration = Duration::from_secs(3600);

/// An entry of the index, as its key names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When its account is to be looked at, in seconds of Unix time; 0: at once.
    pub(crate) at: u64,
    /// The cell of the account.
    pub(crate) account: String,
}

impl Entry {
    pub(crate) fn read(key: &str) -> Option<Self> {
        let (at, account) = key.strip_prefix(DUE)?.split_once('/')?;
        Some(Self { at: at.parse().ok()?, account: format!("account/{account}") })
    }
}

fn key_of(at: u64, tenant: &Tenant, id: &str) -> String {
    // Twelve digits are enough for thirty thousand years.
    format!("{DUE}{at:012}/{tenant}/{id}")
}

/// A moment as entries have it: the whole second before.
pub(crate) fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_second()).unwrap_or(0)
}

impl Record {
    /// When a sweep has something to do about it; `None`: never, as it stands.
    pub(crate) fn look_at(&self, rule: &Rule, now: Timestamp) -> Option<u64> {
        if !self.news.is_empty() || self.woken_again(now) {
            return Some(0);
        }
        let moments = [self.due_at(rule), self.warns_at(rule, now)];
        moments.into_iter().flatten().min().map(seconds)
    }

    /// Whether jobs that parked just when it was connected again may be left asleep.
    pub(crate) fn woken_again(&self, now: Timestamp) -> bool {
        self.reconnected_at.is_some_and(|at| now < after(at, WAKE_AGAIN))
    }

    /// When its owner is to be warned next of an end that only they can put off.
    fn warns_at(&self, rule: &Rule, now: Timestamp) -> Option<Timestamp> {
        let end = self.final_end(rule, now).filter(|end| *end > now)?;
        let given =
            |step: &Duration| self.warned.is_some_and(|(of, at)| of == end && at <= step.as_secs());
        WARNINGS.iter().filter(|step| !given(step)).map(|step| before(end, *step)).min()
    }
}

impl Vault {
    /// Makes sure that there is an entry for what the record says; gives what it is to remember.
    pub(crate) async fn index(&self, record: &Record) -> Result<Option<u64>, VaultError> {
        let (account, now) = (&record.account, self.now());
        let rule = self.exchange().rule(account);
        let Some(at) = rule.and_then(|rule| record.look_at(&rule, now)) else { return Ok(None) };
        if record.indexed != Some(at) {
            let written = now.as_second().to_le_bytes();
            let value = Some(Bytes::copy_from_slice(&written));
            // One that is there says the same, but is older than this write of the record: it is
            // written anew, so that nobody takes it away in between.
            let key = key_of(at, &account.tenant, &account.id);
            let found = self.cells().read(std::slice::from_ref(&key), now).await?;
            let expect = found.into_iter().next().flatten().map_or(0, |cell| cell.version);
            self.write(key, expect, value, None).await?;
        }
        Ok(Some(at))
    }

    /// Takes an entry away that is not (any more) what its record says.
    pub(crate) async fn forget(&self, key: &str, entry: &Cell) -> Result<(), VaultError> {
        let written = <[u8; 8]>::try_from(&entry.value[..]).map(i64::from_le_bytes).unwrap_or(0);
        let written = Timestamp::from_second(written).unwrap_or(Timestamp::UNIX_EPOCH);
        if after(written, SETTLED) < self.now() {
            let change = CellWrite {
                key: key.to_owned(),
                expect: entry.version,
                value: None,
                expires_at: None,
            };
            self.cells().write(&[change], self.now()).await?;
        }
        Ok(())
    }

    /// Whether all accounts were looked over within the last day.
    pub(crate) async fn is_whole(&self) -> Result<bool, VaultError> {
        let found = self.cells().read(&[WHOLE.to_owned()], self.now()).await?;
        Ok(found.into_iter().next().flatten().is_some())
    }

    /// Says that they were.
    pub(crate) async fn whole(&self) -> Result<(), VaultError> {
        let (now, said) = (self.now(), Bytes::from_static(b"1"));
        let found = self.cells().read(&[WHOLE.to_owned()], now).await?;
        let expect = found.into_iter().next().flatten().map_or(0, |cell| cell.version);
        self.write(WHOLE.to_owned(), expect, Some(said), Some(after(now, EVERY))).await?;
        Ok(())
    }
}

/// Whether an entry is the one that its account's record remembers.
pub(crate) fn is_of(entry: &Entry, record: &Record) -> bool {
    let account = &record.account;
    record.indexed == Some(entry.at) && entry.account == cell_of(&account.tenant, &account.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_lie_in_the_order_of_time_and_name_their_account() {
        let tenant = Tenant::from_static("acme");
        let (soon, late) = (key_of(9, &tenant, "b"), key_of(1_767_225_600, &tenant, "a"));
        assert!(soon < late, "{soon} {late}");
        let entry = Entry::read(&late).unwrap();
        assert_eq!((entry.at, entry.account.as_str()), (1_767_225_600, "account/acme/a"));
        assert_eq!(Entry::read("due/account/soon/acme/a"), None);
    }
}
