//! Putting dead letters back among the available jobs.

use std::collections::HashSet;

use flotilla_core::clock::Timestamp;
use flotilla_core::ids::JobId;
use flotilla_core::records::{Filter, Replay};
use flotilla_core::state::DeadClass;
use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use crate::Postgres;
use crate::bell::News;
use crate::code::{self, micros};
use crate::error::Done;
use crate::filter::Condition;

pub(crate) const PUT_BACK: &str = "SELECT put_back($1, $2)";

/// Rows looked at in one go.
const CHUNK: usize = 500;

/// Kind, tenant and key.
pub(crate) type Key = (String, String, String);

/// A dead letter as a replay looks at it.
pub(crate) struct Letter {
    pub(crate) id: Uuid,
    seq: i64,
    pub(crate) class: Option<DeadClass>,
    pub(crate) key: Option<Key>,
    /// The key holds while the job is unfinished, not for a while.
    pub(crate) holds: bool,
}

impl Postgres {
    /// Matching dead letters become available, oldest first, all in one transaction.
    pub(crate) async fn put_back(
        &self,
        filter: &Filter,
        limit: usize,
        now: Timestamp,
    ) -> Done<Replay> {
        let mut client = self.desk().await?;
        let tx = (**client).transaction().await?;
        let mut done = Replay::default();
        let mut taken: HashSet<Key> = HashSet::new();
        let mut last = i64::MIN;
        loop {
            let left = usize::try_from(done.replayed).map_or(0, |n| limit.saturating_sub(n));
            let page = if left == 0 { Vec::new() } else { letters(&tx, filter, last).await? };
            let mut back: Vec<Uuid> = Vec::new();
            for letter in &page {
                if back.len() == left {
                    break;
                }
                last = letter.seq;
                match refusal(&tx, letter, &taken, now).await? {
                    Some(why) => done.refused.push((code::to_id(letter.id), why)),
                    None => {
                        taken.extend(letter.key.clone().filter(|_| letter.holds));
                        back.push(letter.id);
                    }
                }
            }
            tx.execute(PUT_BACK, &[&back, &micros(now)]).await?;
            done.replayed += back.len() as u64;
            if page.len() < CHUNK || back.len() == left {
                break;
            }
        }
        tx.commit().await?;
        if done.replayed > 0 {
            self.tell(News::Claimable);
        }
        Ok(done)
    }
}

/// The next dead letters that match, oldest first.
async fn letters(tx: &Transaction<'_>, filter: &Filter, after: i64) -> Done<Vec<Letter>> {
    let mut condition = Condition::of(filter);
    condition.literally("state = 7");
    condition.and("seq > ?", after);
    let statement = format!(
        "SELECT id, seq, class, kind, tenant, unique_key, unique_until IS NULL FROM job{}
         ORDER BY seq LIMIT {CHUNK} FOR UPDATE",
        condition.sql()
    );
    let rows = tx.query(&statement, &condition.with(&[])).await?;
    rows.iter().map(letter).collect()
}

pub(crate) fn letter(row: &Row) -> Done<Letter> {
    let key: Option<String> = row.try_get(5)?;
    Ok(Letter {
        id: row.try_get(0)?,
        seq: row.try_get(1)?,
        class: row.try_get::<_, Option<i16>>(2)?.map(code::to_class).transpose()?,
        key: match key {
            Some(key) => Some((row.try_get(3)?, row.try_get(4)?, key)),
            None => None,
        },
        holds: row.try_get(6)?,
    })
}

/// Why a dead letter must not run again by a mere replay.
pub(crate) async fn refusal(
    tx: &Transaction<'_>,
    letter: &Letter,
    taken: &HashSet<Key>,
    now: Timestamp,
) -> Done<Option<String>> {
    if letter.class == Some(DeadClass::OutcomeUnknown) {
        return Ok(Some(
            "outcome_unknown: what it does cannot be undone and may have been done; look there first, \
             then enqueue it anew or discard it"
                .into(),
        ));
    }
    let Some(key) = &letter.key else { return Ok(None) };
    let (kind, tenant, name) = key;
    let shown = code::to_text(name.clone());
    if taken.contains(key) {
        return Ok(Some(format!("its unique key \"{shown}\" is held by a job of this replay")));
    }
    let holder: Option<Uuid> = tx
        .query_one("SELECT key_holder($1, $2, $3, $4)", &[kind, tenant, name, &micros(now)])
        .await?
        .try_get(0)?;
    let other: Option<JobId> = holder.filter(|id| *id != letter.id).map(code::to_id);
    Ok(other.map(|id| format!("its unique key \"{shown}\" is held by job {id}")))
}
