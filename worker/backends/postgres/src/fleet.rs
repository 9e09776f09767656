//! What the workers of a fleet know of each other, and when schedules last fired.

use flotilla_core::clock::Timestamp;
use flotilla_core::fleet::{Orders, WorkerInfo};
use flotilla_core::ids::WorkerId;

use crate::Postgres;
use crate::bell::News;
use crate::code::{self, micros, number, to_count, to_instant, to_text};
use crate::error::{Done, Fault};

impl Postgres {
    pub(crate) async fn beat(&self, me: &WorkerInfo, now: Timestamp) -> Done<Orders> {
        let lanes = serde_json::to_string(&me.lanes).map_err(|e| {
            Fault::Invalid(format!("the lanes of the worker cannot be written: {e}"))
        })?;
        let client = self.hot().await?;
        let beat = client
            .prepare_cached(
                "INSERT INTO worker (id, version, lanes, concurrency, running, started_at, seen_at, draining)
                 SELECT $1, $2, $3, $4, $5, $6, $7, $8
                 FROM (SELECT set_config('synchronous_commit', 'off', true)) AS unhurried
                 ON CONFLICT (id) DO UPDATE SET version = excluded.version, lanes = excluded.lanes,
                     concurrency = excluded.concurrency, running = excluded.running,
                     started_at = excluded.started_at, seen_at = excluded.seen_at,
                     draining = excluded.draining
                 RETURNING asked",
            )
            .await?;
        let row = client
            .query_one(
                &beat,
                &[
                    &code::text(me.id.as_str()),
                    &code::text(&me.version),
                    &lanes,
                    &number(me.concurrency),
                    &number(me.running),
                    &micros(me.started_at),
                    &micros(now),
                    &me.draining,
                ],
            )
            .await?;
        Ok(Orders { drain: row.try_get(0)? })
    }

    /// The server's clock.
    pub(crate) async fn clock(&self) -> Done<Timestamp> {
        let client = self.hot().await?;
        let clock = client
            .prepare_cached("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
            .await?;
        Ok(to_instant(client.query_one(&clock, &[]).await?.try_get(0)?))
    }

    pub(crate) async fn forget(&self, id: &WorkerId) -> Done<()> {
        let client = self.hot().await?;
        let forget = client.prepare_cached("DELETE FROM worker WHERE id = $1").await?;
        client.execute(&forget, &[&code::text(id.as_str())]).await?;
        Ok(())
    }

    pub(crate) async fn seen_since(&self, since: Timestamp) -> Done<Vec<WorkerInfo>> {
        let client = self.desk().await?;
        let rows = client
            .query(
                "SELECT id, version, lanes, concurrency, running, started_at, seen_at, draining
                 FROM worker WHERE seen_at >= $1 ORDER BY id COLLATE \"C\"",
                &[&micros(since)],
            )
            .await?;
        let info = |row: &tokio_postgres::Row| {
            Ok(WorkerInfo {
                id: WorkerId::new(&to_text(row.try_get(0)?)),
                version: to_text(row.try_get(1)?),
                lanes: serde_json::from_str(row.try_get(2)?).map_err(|e| {
                    Fault::Corrupt(format!("stored lanes of a worker are wrong: {e}"))
                })?,
                concurrency: to_count(row.try_get::<_, i64>(3)?)?,
                running: to_count(row.try_get::<_, i64>(4)?)?,
                started_at: to_instant(row.try_get(5)?),
                seen_at: to_instant(row.try_get(6)?),
                draining: row.try_get(7)?,
            })
        };
        rows.iter().map(info).collect()
    }

    pub(crate) async fn want_drain(&self, id: &WorkerId) -> Done<bool> {
        let client = self.desk().await?;
        let asked = client
            .execute("UPDATE worker SET asked = true WHERE id = $1", &[&code::text(id.as_str())])
            .await?;
        if asked > 0 {
            self.tell(News::Changed);
        }
        Ok(asked > 0)
    }

    pub(crate) async fn fired(&self, name: &str) -> Done<Option<Timestamp>> {
        let client = self.desk().await?;
        let row = client
            .query_opt("SELECT fired_at FROM cron WHERE name = $1", &[&code::text(name)])
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.map(to_instant))
    }

    pub(crate) async fn set_fired(&self, name: &str, at: Timestamp) -> Done<()> {
        let client = self.desk().await?;
        client
            .execute(
                "INSERT INTO cron (name, fired_at) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET fired_at = greatest(cron.fired_at, excluded.fired_at)",
                &[&code::text(name), &micros(at)],
            )
            .await?;
        Ok(())
    }
}
