//! Shared cells: one row each, changed by compare-and-swap in the order the call gives.

use bytes::Bytes;
use flotilla_core::cells::{Cell, CellWrite};
use flotilla_core::clock::Timestamp;
use tokio_postgres::Row;

use crate::Postgres;
use crate::code::{micros, number, to_count, to_instant};
use crate::error::{Done, Fault};

const READ: &str = "SELECT c.version, c.value, c.expires_at
     FROM unnest($1::bytea[]) WITH ORDINALITY AS k (key, ord)
     LEFT JOIN cell c ON c.key = k.key AND (c.expires_at IS NULL OR c.expires_at > $2)
     ORDER BY k.ord";
const WRITE: &str = "SELECT place, done FROM write_cells($1, $2, $3, $4, $5)";
const LIST: &str = "SELECT version, value, expires_at, key FROM cell
     WHERE key >= $1 AND key > $2 AND ($3::bytea IS NULL OR key < $3)
       AND (expires_at IS NULL OR expires_at > $4)
     ORDER BY key LIMIT $5";

/// The longest list.
const MOST: usize = 1000;

impl Postgres {
    pub(crate) async fn read_cells(
        &self,
        keys: &[String],
        now: Timestamp,
    ) -> Done<Vec<Option<Cell>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        let client = self.hot().await?;
        let read = client.prepare_cached(READ).await?;
        let rows = client.query(&read, &[&keys, &micros(now)]).await?;
        let found = |row: &Row| match row.try_get::<_, Option<i64>>(0)? {
            Some(_) => cell(row).map(Some),
            None => Ok(None),
        };
        rows.iter().map(found).collect()
    }

    pub(crate) async fn write_cells(
        &self,
        changes: &[CellWrite],
        now: Timestamp,
    ) -> Done<Vec<bool>> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<&[u8]> = changes.iter().map(|c| c.key.as_bytes()).collect();
        // A version nobody can have read matches none.
        let expected: Vec<i64> =
            changes.iter().map(|c| i64::try_from(c.expect).unwrap_or(i64::MAX)).collect();
        let values: Vec<Option<&[u8]>> = changes.iter().map(|c| c.value.as_deref()).collect();
        let ends: Vec<Option<i64>> = changes.iter().map(|c| c.expires_at.map(micros)).collect();
        let client = self.hot().await?;
        let write = client.prepare_cached(WRITE).await?;
        let rows = client.query(&write, &[&micros(now), &keys, &expected, &values, &ends]).await?;
        let mut made = vec![false; changes.len()];
        for row in &rows {
            let place: usize = to_count(row.try_get::<_, i64>(0)? - 1)?;
            if let Some(slot) = made.get_mut(place) {
                *slot = row.try_get(1)?;
            }
        }
        Ok(made)
    }

    pub(crate) async fn list_cells(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Done<Vec<(String, Cell)>> {
        let end = end_of(prefix);
        let client = self.hot().await?;
        let list = client.prepare_cached(LIST).await?;
        let rows = client
            .query(
                &list,
                &[
                    &prefix.as_bytes(),
                    &after.unwrap_or_default().as_bytes(),
                    &end,
                    &micros(now),
                    &number(limit.min(MOST)),
                ],
            )
            .await?;
        let named = |row: &Row| {
            let key = String::from_utf8(row.try_get(3)?)
                .map_err(|_| Fault::Corrupt("a stored key of a cell is not UTF-8".into()))?;
            Ok((key, cell(row)?))
        };
        rows.iter().map(named).collect()
    }
}

fn cell(row: &Row) -> Done<Cell> {
    Ok(Cell {
        version: to_count(row.try_get::<_, i64>(0)?)?,
        value: Bytes::copy_from_slice(row.try_get(1)?),
        expires_at: row.try_get::<_, Option<i64>>(2)?.map(to_instant),
    })
}

/// The first key behind all that begin with `prefix`. No byte of UTF-8 is 255.
fn end_of(prefix: &str) -> Option<Vec<u8>> {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_no_key_begins_with_it_any_more() {
        assert_eq!(end_of(""), None);
        let end = end_of("quota/").unwrap();
        let (inside, behind) = ("quota/\u{10ffff}\u{10ffff}".as_bytes(), "quota0".as_bytes());
        assert!(inside < &end[..] && behind >= &end[..]);
    }
}
