//! Linked jobs: those with an ordering key, a parent or children. What ends them also counts on
//! their parent, cancels their children and lets the next of their key go on, in one transaction.
//! The order in which it takes its locks is in `migrations/0002.sql`.

use std::collections::HashSet;

use deadpool_postgres::Client;
use flotilla_core::clock::Timestamp;
use flotilla_core::flow::Until;
use flotilla_core::ids::{JobId, Receipt};
use flotilla_core::queue::{Held, NewJob, Settled, Settlement};
use futures_util::future::join5;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};
use uuid::Uuid;

use crate::Postgres;
use crate::code::{self, micros, small, to_count};
use crate::enqueue::Columns;
use crate::error::Done;
use crate::extend::fence;
use crate::settle::{self, SETTLE};

const HOLD: &str = "SELECT hold_jobs($1)";
const FOLLOW_UP: &str = "SELECT follow_up($1, $2, $3)";
const HOLD_KEYS: &str = "SELECT hold_keys($1 || ARRAY(
     SELECT order_key FROM job WHERE id = $2 AND order_key IS NOT NULL))";
const HOLD_PARENT: &str =
    "SELECT cancel FROM job WHERE id = $1 AND state + 0 = 2 AND fence = $2 FOR UPDATE";
const AWAIT: &str = "SELECT await_children($1, $2, $3, $4, $5)";

impl Postgres {
    /// Runs one statement over jobs that may be linked, and what follows from the ends it makes.
    /// Answers its rows, and how many other jobs went on.
    ///
    /// All of it is sent at once, so that the transaction is never left open half-way.
    pub(crate) async fn linked(
        &self,
        client: &Client,
        ids: &[Uuid],
        statement: &Statement,
        params: &[&(dyn ToSql + Sync)],
        now: Timestamp,
    ) -> Done<(Vec<Row>, u64)> {
        let hold = client.prepare_cached(HOLD).await?;
        let follow_up = client.prepare_cached(FOLLOW_UP).await?;
        let now = micros(now);
        let held: [&(dyn ToSql + Sync); 1] = [&ids];
        let ended: [&(dyn ToSql + Sync); 3] = [&ids, &now, &self.events];
        // Polled in this order, and each sends all it has when it is polled first.
        let (begun, held, done, followed, ended) = join5(
            client.batch_execute("BEGIN"),
            client.query(&hold, &held),
            client.query(statement, params),
            client.query_one(&follow_up, &ended),
            client.batch_execute("COMMIT"),
        )
        .await;
        begun?;
        held?;
        let rows = done?;
        let on = to_count(followed?.try_get::<_, i64>(0)?)?;
        ended?;
        Ok((rows, on))
    }

    /// A parent waits for its children, which are made with it. Answers whether its lease held.
    pub(crate) async fn await_children(
        &self,
        settlement: &Settlement,
        children: &[NewJob],
        until: Until,
        now: Timestamp,
    ) -> Done<Settled> {
        let held = &settlement.held;
        let (id, fence) = (code::uuid(held.id), fence(held));
        let mut columns = Columns::default();
        let (mut made, mut lost) = (0u32, 0u32);
        let mut seen: HashSet<JobId> = HashSet::new();
        for child in children {
            if self.refusal(child).is_some() {
                // Nobody can run it: it has failed before it could begin.
                (made, lost) = (made.saturating_add(1), lost.saturating_add(1));
            } else if seen.insert(child.id) {
                columns.push(child, now)?;
            }
        }
        columns.without_unique_keys();
        let mut client = self.hot().await?;
        columns.draw_tags(&client).await?;

        let tx = client.transaction().await?;
        let keys = columns.order_keys();
        let (hold, parent) =
            (tx.prepare_cached(HOLD_KEYS).await?, tx.prepare_cached(HOLD_PARENT).await?);
        tx.query(&hold, &[&keys, &id]).await?;
        let Some(found) = tx.query_opt(&parent, &[&id, &fence]).await? else {
            return Ok(Settled::Lost);
        };
        if !found.try_get::<_, bool>(0)? {
            let answers = columns.insert_linked(&tx, self.published(false, now), true, now).await?;
            let new = answers.iter().filter(|stands| stands.is_none()).count();
            made = made.saturating_add(u32::try_from(new).unwrap_or(u32::MAX));
            let (good, bad) = (small(until.successes), small(until.failures));
            let wait = tx.prepare_cached(AWAIT).await?;
            tx.query(&wait, &[&id, &small(made), &small(lost), &good, &bad]).await?;
        }
        let mut outcome = settle::Columns::default();
        outcome.push(settlement, now)?;
        let statement = tx.prepare_cached(SETTLE).await?;
        tx.query(&statement, &outcome.params(&micros(now), &self.events, &true)).await?;
        let follow_up = tx.prepare_cached(FOLLOW_UP).await?;
        tx.query(&follow_up, &[&vec![id], &micros(now), &self.events]).await?;
        tx.commit().await?;
        Ok(Settled::Applied)
    }
}

/// Whether the job of a lease was linked when it was claimed: the claim says so in the receipt.
pub(crate) fn is_linked(held: &Held) -> bool {
    held.receipt == LINKED
}

/// The receipt of a linked job.
pub(crate) const LINKED: Receipt = Receipt::Number(1);
