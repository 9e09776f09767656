//! What the workers of a fleet know of each other, and when schedules last fired.

use flotilla_core::clock::Timestamp;
use flotilla_core::fleet::{Orders, WorkerInfo};
use flotilla_core::ids::WorkerId;
use rusqlite::{Connection, OptionalExtension, params};

use crate::code::{micros, number, to_count, to_instant};
use crate::error::{Done, Fault};
use crate::tx::Tx;

pub(crate) fn heartbeat(tx: &mut Tx<'_>, me: &WorkerInfo, now: Timestamp) -> Done<Orders> {
    let lanes = serde_json::to_string(&me.lanes)
        .map_err(|e| Fault::Invalid(format!("the lanes of the worker cannot be written: {e}")))?;
    let asked = tx
        .db
        .prepare_cached(
            "INSERT INTO worker (id, version, lanes, concurrency, running, started_at, seen_at, draining)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, lanes = excluded.lanes,
                 concurrency = excluded.concurrency, running = excluded.running,
                 started_at = excluded.started_at, seen_at = excluded.seen_at,
                 draining = excluded.draining
             RETURNING asked",
        )?
        .query_row(
            params![
                me.id.as_str(),
                me.version,
                lanes,
                number(me.concurrency),
                number(me.running),
                micros(me.started_at),
                micros(now),
                me.draining
            ],
            |row| row.get(0),
        )?;
    Ok(Orders { drain: asked })
}

pub(crate) fn leave(tx: &mut Tx<'_>, id: &WorkerId) -> Done<()> {
    tx.db.prepare_cached("DELETE FROM worker WHERE id = ?1")?.execute([id.as_str()])?;
    Ok(())
}

pub(crate) fn ask_drain(tx: &mut Tx<'_>, id: &WorkerId) -> Done<bool> {
    let asked = tx
        .db
        .prepare_cached("UPDATE worker SET asked = 1 WHERE id = ?1")?
        .execute([id.as_str()])?;
    tx.news.changed |= asked > 0;
    Ok(asked > 0)
}

pub(crate) fn workers(db: &Connection, since: Timestamp) -> Done<Vec<WorkerInfo>> {
    let mut query = db.prepare_cached(
        "SELECT id, version, lanes, concurrency, running, started_at, seen_at, draining
         FROM worker WHERE seen_at >= ?1 ORDER BY id",
    )?;
    let mut rows = query.query([micros(since)])?;
    let mut workers = Vec::new();
    while let Some(row) = rows.next()? {
        workers.push(WorkerInfo {
            id: WorkerId::new(row.get_ref(0)?.as_str()?),
            version: row.get(1)?,
            lanes: serde_json::from_str(row.get_ref(2)?.as_str()?)
                .map_err(|e| Fault::Corrupt(format!("stored lanes of a worker are wrong: {e}")))?,
            concurrency: to_count(row.get(3)?)?,
            running: to_count(row.get(4)?)?,
            started_at: to_instant(row.get(5)?),
            seen_at: to_instant(row.get(6)?),
            draining: row.get(7)?,
        });
    }
    Ok(workers)
}

pub(crate) fn last_fire(db: &Connection, name: &str) -> Done<Option<Timestamp>> {
    let at: Option<i64> = db
        .prepare_cached("SELECT fired_at FROM cron WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(at.map(to_instant))
}

pub(crate) fn set_last_fire(tx: &mut Tx<'_>, name: &str, at: Timestamp) -> Done<()> {
    tx.db
        .prepare_cached(
            "INSERT INTO cron (name, fired_at) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET fired_at = max(fired_at, excluded.fired_at)",
        )?
        .execute(params![name, micros(at)])?;
    Ok(())
}
