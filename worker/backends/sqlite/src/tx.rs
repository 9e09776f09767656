//! What the statements of one transaction share: the connection, the fair tags, the numbers of
//! worker names, and what has to be told once it is committed.

use std::collections::HashMap;

use flotilla_core::ids::WorkerId;
use rusqlite::Connection;

use crate::Settings;
use crate::error::Done;
use crate::fair::Fair;

/// Numbers of worker names, kept from transaction to transaction; emptied by a rollback.
pub(crate) type Holders = HashMap<String, i64>;

/// What watchers are told after the commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// A row was written.
    pub(crate) changed: bool,
    /// Something may have become claimable, or become so earlier than was known.
    pub(crate) claimable: bool,
}

/// One open transaction.
pub(crate) struct Tx<'c> {
    pub(crate) db: &'c Connection,
    pub(crate) fair: Fair,
    pub(crate) news: News,
    pub(crate) settings: &'c Settings,
    holders: &'c mut Holders,
}

impl<'c> Tx<'c> {
    pub(crate) fn new(
        db: &'c Connection,
        settings: &'c Settings,
        holders: &'c mut Holders,
    ) -> Self {
        Self { db, fair: Fair::default(), news: News::default(), settings, holders }
    }

    /// Writes what was kept back until the end.
    pub(crate) fn finish(mut self) -> Done<News> {
        self.fair.flush(self.db)?;
        Ok(self.news)
    }

    /// The number of a worker's name.
    pub(crate) fn holder(&mut self, worker: &WorkerId) -> Done<i64> {
        if let Some(no) = self.holders.get(worker.as_str()) {
            return Ok(*no);
        }
        self.db
            .prepare_cached("INSERT INTO holder (name) VALUES (?1) ON CONFLICT DO NOTHING")?
            .execute([worker.as_str()])?;
        let no = self
            .db
            .prepare_cached("SELECT no FROM holder WHERE name = ?1")?
            .query_row([worker.as_str()], |row| row.get(0))?;
        self.holders.insert(worker.as_str().to_owned(), no);
        Ok(no)
    }
}
