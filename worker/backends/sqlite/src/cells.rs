//! Small pieces of shared state, changed by compare-and-swap.

use bytes::Bytes;
use flotilla_core::cells::{Cell, CellWrite};
use flotilla_core::clock::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::code::{micros, to_count, to_instant};
use crate::error::Done;
use crate::tx::Tx;

/// The longest list.
const PAGE: usize = 1000;

fn cell(row: &Row<'_>) -> Done<Cell> {
    Ok(Cell {
        version: to_count(row.get(0)?)?,
        value: Bytes::from(row.get::<_, Vec<u8>>(1)?),
        expires_at: row.get::<_, Option<i64>>(2)?.map(to_instant),
    })
}

/// The cells of these keys.
pub(crate) fn read(db: &Connection, keys: &[String], now: Timestamp) -> Done<Vec<Option<Cell>>> {
    let mut query = db.prepare_cached(
        "SELECT version, value, expires_at FROM cell
         WHERE key = ?1 AND (expires_at IS NULL OR expires_at > ?2)",
    )?;
    keys.iter()
        .map(|key| {
            query.query_row(params![key, micros(now)], |row| Ok(cell(row))).optional()?.transpose()
        })
        .collect()
}

/// Makes each change whose cell is as it was read.
pub(crate) fn write(tx: &Tx<'_>, changes: &[CellWrite], now: Timestamp) -> Done<Vec<bool>> {
    changes.iter().map(|change| one(tx, change, now)).collect()
}

fn one(tx: &Tx<'_>, change: &CellWrite, now: Timestamp) -> Done<bool> {
    let version: Option<i64> = tx
        .db
        .prepare_cached(
            "SELECT version FROM cell
             WHERE key = ?1 AND (expires_at IS NULL OR expires_at > ?2)",
        )?
        .query_row(params![change.key, micros(now)], |row| row.get(0))
        .optional()?;
    if to_count::<u64>(version.unwrap_or(0))? != change.expect {
        return Ok(false);
    }
    let Some(value) = &change.value else {
        tx.db.prepare_cached("DELETE FROM cell WHERE key = ?1")?.execute([&change.key])?;
        return Ok(true);
    };
    let latest: i64 = tx
        .db
        .prepare_cached("UPDATE cell_version SET latest = latest + 1 RETURNING latest")?
        .query_row([], |row| row.get(0))?;
    tx.db
        .prepare_cached(
            "INSERT INTO cell (key, version, value, expires_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (key) DO UPDATE SET version = excluded.version, value = excluded.value,
                 expires_at = excluded.expires_at",
        )?
        .execute(params![change.key, latest, &value[..], change.expires_at.map(micros)])?;
    Ok(true)
}

/// Cells whose key begins with `prefix`, by key. Text is compared byte by byte.
pub(crate) fn list(
    db: &Connection,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
    now: Timestamp,
) -> Done<Vec<(String, Cell)>> {
    let mut query = db.prepare_cached(
        "SELECT version, value, expires_at, key FROM cell
         WHERE key >= ?1 AND (?2 IS NULL OR key > ?2) AND (expires_at IS NULL OR expires_at > ?3)
         ORDER BY key",
    )?;
    let mut rows = query.query(params![prefix.max(after.unwrap_or("")), after, micros(now)])?;
    let mut found = Vec::new();
    while found.len() < limit.min(PAGE)
        && let Some(row) = rows.next()?
    {
        let key: String = row.get(3)?;
        if !key.starts_with(prefix) {
            break;
        }
        found.push((key, cell(row)?));
    }
    Ok(found)
}
