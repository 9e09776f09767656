//! The tags of fair order during one transaction: read once, written back before the commit.

use std::collections::HashMap;

use flotilla_core::fair;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Done;

/// Row of the places a lane has given.
const SERVED: i64 = -1;
/// "Tenant" of a band's time; no tenant has an empty name.
const TIME: &str = "";

struct Entry {
    value: Option<i64>,
    changed: bool,
}

/// Rows of the table `fair` that this transaction has looked at.
#[derive(Default)]
pub(crate) struct Fair {
    seen: HashMap<String, Entry>,
    key: String,
}

impl Fair {
    /// The tag of a job that becomes available now.
    pub(crate) fn next_tag(
        &mut self,
        db: &Connection,
        lane: &str,
        priority: i64,
        tenant: &str,
    ) -> Done<i64> {
        let time = self.entry(db, lane, priority, TIME)?.value.unwrap_or(0);
        let last = self.entry(db, lane, priority, tenant)?;
        let tag = fair::tag(time, last.value);
        *last = Entry { value: Some(tag), changed: true };
        Ok(tag)
    }

    /// A job with this tag was claimed: the band's time moves on.
    pub(crate) fn claimed(
        &mut self,
        db: &Connection,
        lane: &str,
        priority: i64,
        tag: i64,
    ) -> Done<()> {
        let time = self.entry(db, lane, priority, TIME)?;
        if time.value.is_none_or(|t| t < tag) {
            *time = Entry { value: Some(tag), changed: true };
        }
        Ok(())
    }

    /// The places this lane gave so far.
    pub(crate) fn served(&mut self, db: &Connection, lane: &str) -> Done<u64> {
        let value = self.entry(db, lane, SERVED, TIME)?.value.unwrap_or(0);
        Ok(u64::try_from(value).unwrap_or(0))
    }

    /// It gave `more` places.
    pub(crate) fn serve(&mut self, db: &Connection, lane: &str, more: usize) -> Done<()> {
        let entry = self.entry(db, lane, SERVED, TIME)?;
        let value = entry.value.unwrap_or(0).wrapping_add(crate::code::number(more)).max(0);
        *entry = Entry { value: Some(value), changed: true };
        Ok(())
    }

    /// Writes back what changed.
    pub(crate) fn flush(&mut self, db: &Connection) -> Done<()> {
        let mut put = db.prepare_cached(
            "INSERT INTO fair (lane, priority, tenant, value) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (lane, priority, tenant) DO UPDATE SET value = excluded.value",
        )?;
        for (key, entry) in self.seen.drain().filter(|(_, e)| e.changed) {
            let mut parts = key.split('\0');
            let (lane, priority, tenant) = (parts.next(), parts.next(), parts.next());
            let priority = priority.and_then(|p| p.parse::<i64>().ok());
            put.execute(params![lane, priority, tenant, entry.value])?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        db: &Connection,
        lane: &str,
        priority: i64,
        tenant: &str,
    ) -> Done<&mut Entry> {
        self.key.clear();
        self.key.push_str(lane);
        self.key.push_str(match priority {
            SERVED => "\0-1\0",
            level => LEVELS[usize::try_from(level).unwrap_or(0).min(9)],
        });
        self.key.push_str(tenant);
        if !self.seen.contains_key(&self.key) {
            let value = db
                .prepare_cached(
                    "SELECT value FROM fair WHERE lane = ?1 AND priority = ?2 AND tenant = ?3",
                )?
                .query_row(params![lane, priority, tenant], |row| row.get(0))
                .optional()?;
            self.seen.insert(self.key.clone(), Entry { value, changed: false });
        }
        Ok(self.seen.get_mut(&self.key).expect("it was found or inserted above"))
    }
}

const LEVELS: [&str; 10] = [
    "\x000\0", "\x001\0", "\x002\0", "\x003\0", "\x004\0", "\x005\0", "\x006\0", "\x007\0",
    "\x008\0", "\x009\0",
];

/// Forgets tenants whose last tag is not ahead of their band: they would be given the band's
/// time anyway, so nobody's place changes.
pub(crate) fn forget_idle(db: &Connection, limit: i64) -> Done<usize> {
    let mut forget = db.prepare_cached(
        "DELETE FROM fair WHERE (lane, priority, tenant) IN (
             SELECT f.lane, f.priority, f.tenant FROM fair f
             JOIN fair b ON b.lane = f.lane AND b.priority = f.priority AND b.tenant = ''
             WHERE f.tenant <> '' AND f.value <= b.value LIMIT ?1)",
    )?;
    Ok(forget.execute([limit])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::memory;

    #[test]
    fn tags_are_carried_from_transaction_to_transaction() {
        let db = memory();
        let mut fair = Fair::default();
        for expected in 1..=3 {
            assert_eq!(fair.next_tag(&db, "l", 5, "a").unwrap(), expected);
        }
        fair.flush(&db).unwrap();
        let mut fair = Fair::default();
        assert_eq!(fair.next_tag(&db, "l", 5, "a").unwrap(), 4);
        assert_eq!(fair.next_tag(&db, "l", 5, "b").unwrap(), 1);
        assert_eq!(fair.next_tag(&db, "l", 9, "a").unwrap(), 1);
    }

    #[test]
    fn idle_tenants_are_forgotten_and_lose_nothing() {
        let db = memory();
        let mut fair = Fair::default();
        fair.next_tag(&db, "l", 5, "idle").unwrap();
        for _ in 0..5 {
            fair.next_tag(&db, "l", 5, "busy").unwrap();
        }
        fair.claimed(&db, "l", 5, 3).unwrap();
        fair.serve(&db, "l", 3).unwrap();
        fair.flush(&db).unwrap();
        assert_eq!(forget_idle(&db, 100).unwrap(), 1);
        let mut fair = Fair::default();
        assert_eq!(fair.next_tag(&db, "l", 5, "idle").unwrap(), 4);
        assert_eq!(fair.next_tag(&db, "l", 5, "busy").unwrap(), 6);
        assert_eq!(fair.served(&db, "l").unwrap(), 3);
    }
}
