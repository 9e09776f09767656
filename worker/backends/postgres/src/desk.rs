//! Handling jobs by hand: cancel, pause, wake, discard, purge. Replay is in [`crate::replay`].

use std::collections::HashMap;

use flotilla_core::clock::Timestamp;
use flotilla_core::ids::{JobId, Lane};
use flotilla_core::records::{Cancel, Filter, Pause, RunNow};
use flotilla_core::state::State;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::Postgres;
use crate::bell::News;
use crate::code::{self, micros, number, to_count};
use crate::error::Done;
use crate::filter::Condition;

const CANCEL: &str = include_str!("sql/cancel.sql");
const WAKE: &str = include_str!("sql/wake.sql");

impl Postgres {
    pub(crate) async fn cancel_all(
        &self,
        ids: &[JobId],
        reason: &str,
        now: Timestamp,
    ) -> Done<Vec<Cancel>> {
        let client = self.hot().await?;
        let cancel = client.prepare_cached(CANCEL).await?;
        let asked: Vec<Uuid> = ids.iter().map(|id| code::uuid(*id)).collect();
        let params: [&(dyn ToSql + Sync); 4] =
            [&asked, &code::text(reason), &micros(now), &self.events];
        let (rows, woken) = self.linked(&client, &asked, &cancel, &params, now).await?;
        let mut found: HashMap<JobId, State> = HashMap::with_capacity(rows.len());
        for row in &rows {
            found.insert(code::to_id(row.try_get(0)?), code::to_state(row.try_get(1)?)?);
        }
        if woken > 0 {
            self.tell(News::Claimable);
        } else if found.values().any(|state| !state.is_finished()) {
            self.tell(News::Changed);
        }
        // An id that comes twice finds the second time what the first time left.
        let mut answer = |id: &JobId| match found.get_mut(id) {
            None => Cancel::Unknown,
            Some(State::Running) => Cancel::Asked,
            Some(state) if state.is_finished() => Cancel::Finished,
            Some(state) => {
                *state = State::Cancelled;
                Cancel::Cancelled
            }
        };
        Ok(ids.iter().map(&mut answer).collect())
    }

    /// The next claim of their lanes promotes them, as if their moment had come by itself.
    pub(crate) async fn make_due(&self, ids: &[JobId], now: Timestamp) -> Done<Vec<RunNow>> {
        let client = self.desk().await?;
        let asked: Vec<Uuid> = ids.iter().map(|id| code::uuid(*id)).collect();
        let rows = client
            .query(
                "WITH due AS (
                     UPDATE job SET at = least(at, $2), run_at = least(run_at, $2)
                     WHERE id = ANY ($1) AND state IN (0, 3) RETURNING id)
                 SELECT job.id, due.id IS NOT NULL FROM job LEFT JOIN due ON due.id = job.id
                 WHERE job.id = ANY ($1)",
                &[&asked, &micros(now)],
            )
            .await?;
        let mut found: HashMap<JobId, bool> = HashMap::with_capacity(rows.len());
        for row in &rows {
            found.insert(code::to_id(row.try_get(0)?), row.try_get(1)?);
        }
        if found.values().any(|due| *due) {
            self.tell(News::Claimable);
        }
        let answer = |id: &JobId| match found.get(id) {
            Some(true) => RunNow::Due,
            Some(false) => RunNow::NotWaiting,
            None => RunNow::Unknown,
        };
        Ok(ids.iter().map(answer).collect())
    }

    pub(crate) async fn set_pause(&self, lane: &Lane, pause: &Pause) -> Done<()> {
        let client = self.desk().await?;
        client
            .execute(
                "INSERT INTO pause (lane, by, reason, since) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (lane) DO UPDATE
                     SET by = excluded.by, reason = excluded.reason, since = excluded.since",
                &[
                    &lane.as_str(),
                    &code::text(&pause.by),
                    &code::text(&pause.reason),
                    &micros(pause.since),
                ],
            )
            .await?;
        self.tell(News::Changed);
        Ok(())
    }

    pub(crate) async fn end_pause(&self, lane: &Lane) -> Done<bool> {
        let client = self.desk().await?;
        let ended = client.execute("DELETE FROM pause WHERE lane = $1", &[&lane.as_str()]).await?;
        if ended > 0 {
            self.tell(News::Claimable);
        }
        Ok(ended > 0)
    }

    pub(crate) async fn wake_parked(&self, key: &str, limit: usize, now: Timestamp) -> Done<u64> {
        let client = self.hot().await?;
        let wake = client.prepare_cached(WAKE).await?;
        let row =
            client.query_one(&wake, &[&code::text(key), &number(limit), &micros(now)]).await?;
        let woken = to_count(row.try_get::<_, i64>(0)?)?;
        if woken > 0 {
            self.tell(News::Claimable);
        }
        Ok(woken)
    }

    pub(crate) async fn put_aside(&self, filter: &Filter, reason: &str, limit: usize) -> Done<u64> {
        let mut condition = Condition::of(filter);
        condition.literally("state = 7");
        let n = condition.next();
        let statement = format!(
            "UPDATE job SET state = 6, class = NULL, reason = ${} WHERE id IN (
                 SELECT id FROM job{} ORDER BY seq LIMIT ${n} FOR UPDATE)",
            n + 1,
            condition.sql()
        );
        let client = self.desk().await?;
        let reason = code::text(reason);
        let done = client.execute(&statement, &condition.with(&[&number(limit), &reason])).await?;
        if done > 0 {
            self.tell(News::Changed);
        }
        Ok(done)
    }

    pub(crate) async fn delete(&self, filter: &Filter, limit: usize) -> Done<u64> {
        let mut condition = Condition::of(filter);
        condition.literally("state >= 5");
        condition.literally("untold IS NOT TRUE");
        condition.literally(
            "(parent IS NULL
              OR NOT EXISTS (SELECT FROM job AS p WHERE p.id = job.parent AND p.state < 5))",
        );
        let statement = format!(
            "WITH gone AS (
                 DELETE FROM job WHERE id IN (
                     SELECT id FROM job{} ORDER BY seq LIMIT ${} FOR UPDATE)
                 RETURNING id, children
             ), flows AS (
                 DELETE FROM flow USING gone
                 WHERE flow.parent = gone.id AND gone.children IS NOT NULL
             )
             SELECT count(*) FROM gone",
            condition.sql(),
            condition.next()
        );
        let client = self.desk().await?;
        let row = client.query_one(&statement, &condition.with(&[&number(limit)])).await?;
        let done = to_count(row.try_get::<_, i64>(0)?)?;
        if done > 0 {
            self.tell(News::Changed);
        }
        Ok(done)
    }
}
