//! The audit log: who changed what, when, why, how it was before and after.
//!
//! [`Audit::begin`] writes the entry before anything is changed, so that nothing is changed without
//! one; [`Open::done`] or [`Open::failed`] completes it. One that stays `begun` is of a process that
//! ended in between. Entries live in cells (the whole fleet writes one log) until they are older than
//! `admin.audit`; each is also an event of the target `audit`, for whatever ships the logs.
//!
//! Enqueueing is not in it: the jobs themselves are the record of that.

use std::sync::Arc;
use std::time::Duration;

use flotilla_core::cells::CellWrite;
use flotilla_core::clock::after;
use flotilla_core::queue::{QueueError, QueueErrorKind};
use flotilla_core::{Cells, Clock, Tenant, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auth::{Principal, Role, Tenants};

/// Largest `before` or `after`, in bytes of JSON; of larger ones only the size is kept.
const MAX_VALUE: usize = 16 * 1024;
/// Longest target or reason, in characters.
const MAX_TEXT: usize = 1000;
/// Most entries of one page.
const MAX_PAGE: usize = 200;
/// Entries that one page looks at, where most are not for who asks.
const MAX_SCAN: usize = 2000;
/// Entries of one microsecond.
const TRIES: u32 = 64;
/// Where they are kept. What follows counts down, so that the newest comes first.
const PREFIX: &str = "audit/";

/// What somebody is about to do.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// As in `lane.pause`.
    pub what: &'static str,
    /// To what: an id, a lane, a key, a filter in words.
    pub target: String,
    /// Whose it is; `None`: it concerns all tenants.
    pub tenant: Option<Tenant>,
    /// How it was.
    pub before: Option<Value>,
    /// Why, in their words.
    pub reason: Option<String>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the log: `before` of the next page.
    #[serde(default)]
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// As what.
    pub role: Role,
    /// What, as in `lane.pause`.
    pub what: String,
    /// To what.
    pub target: String,
    /// Whose it is; absent: it concerns all tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Tenant>,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// How it is since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Whether it was done.
    pub outcome: Outcome,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was about to be; the process ended before it could say.
    Begun,
    /// It was.
    Done,
    /// It was not.
    Failed,
}

/// The log.
#[derive(Clone, Debug)]
pub struct Audit {
    cells: Arc<dyn Cells>,
    clock: Arc<dyn Clock>,
    keep: Duration,
}

/// An entry whose change is under way.
#[derive(Debug)]
pub struct Open<'a> {
    audit: &'a Audit,
    entry: Entry,
}

impl Audit {
    /// A log in these cells, whose entries are kept so long.
    pub fn new(cells: Arc<dyn Cells>, clock: Arc<dyn Clock>, keep: Duration) -> Self {
        Self { cells, clock, keep }
    }

    /// Writes down what is about to be done.
    ///
    /// # Errors
    /// The log cannot be written: do not do it.
    pub async fn begin(&self, who: &Principal, change: Change) -> Result<Open<'_>, QueueError> {
        let now = self.clock.now();
        let mut entry = Entry {
            id: String::new(),
            at: now,
            who: who.name.to_string(),
            role: who.role,
            what: change.what.to_owned(),
            target: clip(&change.target),
            tenant: change.tenant,
            reason: change.reason.as_deref().map(clip),
            before: change.before.map(bounded),
            after: None,
            outcome: Outcome::Begun,
            error: None,
        };
        for n in 0..TRIES {
            let countdown = u64::MAX - u64::try_from(now.as_microsecond()).unwrap_or_default();
            entry.id = format!("{countdown:020}-{:02}", TRIES - n);
            if self.write(&entry, 0).await? {
                return Ok(Open { audit: self, entry });
            }
        }
        Err(QueueError::plain(QueueErrorKind::Unavailable, "the audit log is written too often"))
    }

    /// Entries that this principal may see, newest first, below `before`; with where to go on.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn list(
        &self,
        who: &Principal,
        before: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<String>), QueueError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut at = before.map(str::to_owned);
        let (mut found, mut seen) = (Vec::new(), 0);
        while seen < MAX_SCAN {
            let key = at.as_ref().map(|id| format!("{PREFIX}{id}"));
            let now = self.clock.now();
            let page = self.cells.list(PREFIX, key.as_deref(), MAX_PAGE, now).await?;
            let whole = page.len() == MAX_PAGE;
            for (key, cell) in page {
                let id = key.trim_start_matches(PREFIX).to_owned();
                at = Some(id.clone());
                seen += 1;
                let Ok(entry) = serde_json::from_slice::<Entry>(&cell.value) else { continue };
                if visible(who, &entry) {
                    found.push(Entry { id, ..entry });
                }
                if found.len() == limit {
                    return Ok((found, at));
                }
            }
            if !whole {
                return Ok((found, None));
            }
        }
        Ok((found, at))
    }

    async fn write(&self, entry: &Entry, expect: u64) -> Result<bool, QueueError> {
        let change = CellWrite {
            key: format!("{PREFIX}{}", entry.id),
            expect,
            value: Some(serde_json::to_vec(entry).unwrap_or_default().into()),
            expires_at: Some(after(entry.at, self.keep)),
        };
        let written = self.cells.write(&[change], self.clock.now()).await?;
        Ok(written.first().copied().unwrap_or(false))
    }

    async fn version(&self, entry: &Entry) -> Result<u64, QueueError> {
        let key = format!("{PREFIX}{}", entry.id);
        let found = self.cells.read(&[key], self.clock.now()).await?;
        Ok(found.into_iter().next().flatten().map_or(0, |cell| cell.version))
    }
}

/// What concerns all tenants is for those who see all tenants.
fn visible(who: &Principal, entry: &Entry) -> bool {
    match (&who.tenants, &entry.tenant) {
        (Tenants::All, _) => true,
        (Tenants::Some(_), Some(tenant)) => who.sees(tenant),
        (Tenants::Some(_), None) => false,
    }
}

impl Open<'_> {
    /// It was done; `after` is how it is since.
    pub async fn done(mut self, after: Option<Value>) {
        self.entry.after = after.map(bounded);
        self.entry.outcome = Outcome::Done;
        self.close().await;
    }

    /// It was not done.
    pub async fn failed(mut self, why: &str) {
        self.entry.outcome = Outcome::Failed;
        self.entry.error = Some(clip(why));
        self.close().await;
    }

    /// What was done stands, also where the entry cannot be completed; the event says it then.
    async fn close(self) {
        let Self { audit, entry } = self;
        let text = |value: &Option<Value>| value.as_ref().map(Value::to_string).unwrap_or_default();
        tracing::info!(
            target: "audit", id = entry.id, who = entry.who, role = entry.role.name(),
            what = entry.what, of = entry.target,
            tenant = entry.tenant.as_ref().map_or("", Tenant::as_str),
            reason = entry.reason.as_deref().unwrap_or_default(),
            before = text(&entry.before), after = text(&entry.after), outcome = ?entry.outcome,
            error = entry.error.as_deref().unwrap_or_default(), "changed by hand"
        );
        let completed = async { audit.write(&entry, audit.version(&entry).await?).await };
        if let Err(error) = completed.await {
            tracing::warn!(%error, id = entry.id, "an entry of the audit log stays \"begun\"");
        }
    }
}

fn clip(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

fn bounded(value: Value) -> Value {
    let bytes = value.to_string().len();
    if bytes <= MAX_VALUE { value } else { serde_json::json!({"too_large_to_keep": bytes}) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Via;
    use flotilla_core::ManualClock;
    use flotilla_memory::Memory;
    use serde_json::json;

    fn log() -> (Audit, Arc<ManualClock>) {
        let memory = Arc::new(Memory::new(flotilla_memory::Settings::default()));
        let clock = Arc::new(ManualClock::default());
        let keep = Duration::from_secs(3600);
        (Audit::new(memory, Arc::clone(&clock) as Arc<dyn Clock>, keep), clock)
    }

    fn change(target: &str, tenant: Option<&str>) -> Change {
        let tenant = tenant.map(|name| name.parse().expect("a tenant"));
        Change { what: "job.cancel", target: target.into(), tenant, ..Change::default() }
    }

    #[tokio::test]
    async fn the_newest_comes_first_and_old_ones_go() {
        let (audit, clock) = log();
        let me = Principal::local();
        for n in 0..5 {
            // Two of them within one microsecond.
            if n != 3 {
                clock.advance(Duration::from_secs(1));
            }
            let open = audit.begin(&me, change(&n.to_string(), None)).await.unwrap();
            open.done(Some(json!({"n": n}))).await;
        }
        let (first, next) = audit.list(&me, None, 2).await.unwrap();
        let targets =
            |entries: &[Entry]| entries.iter().map(|e| e.target.clone()).collect::<Vec<_>>();
        assert_eq!(targets(&first), ["4", "3"]);
        assert_eq!((first[0].outcome, &first[0].after), (Outcome::Done, &Some(json!({"n": 4}))));
        let (rest, end) = audit.list(&me, next.as_deref(), 100).await.unwrap();
        assert_eq!((targets(&rest), end), (vec!["2".into(), "1".into(), "0".into()], None));
        clock.advance(Duration::from_secs(3600));
        assert!(audit.list(&me, None, 100).await.unwrap().0.is_empty());
    }

    #[tokio::test]
    async fn tenants_see_their_own_and_large_values_are_not_kept() {
        let (audit, _) = log();
        let me = Principal::local();
        for tenant in [Some("a"), Some("b"), None] {
            let mut change = change("x", tenant);
            change.before = Some(json!("x".repeat(MAX_VALUE)));
            change.reason = Some("y".repeat(2 * MAX_TEXT));
            audit.begin(&me, change).await.unwrap().failed("no").await;
        }
        let scoped = Principal {
            name: "ann".into(),
            role: Role::Viewer,
            tenants: Tenants::of(["a".parse().unwrap()]),
            via: Via::Token,
        };
        let (seen, _) = audit.list(&scoped, None, 100).await.unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].tenant.as_ref().unwrap().as_str(), "a");
        assert_eq!((seen[0].outcome, seen[0].error.as_deref()), (Outcome::Failed, Some("no")));
        assert_eq!(seen[0].before, Some(json!({"too_large_to_keep": MAX_VALUE + 2})));
        assert_eq!(seen[0].reason.as_ref().unwrap().len(), MAX_TEXT);
        assert_eq!(audit.list(&me, None, 100).await.unwrap().0.len(), 3);
    }
}
