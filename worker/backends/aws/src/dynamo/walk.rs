//! Through several partitions of an index at once, in the one order they share.

use std::collections::VecDeque;

use flotilla_core::ids::JobId;
use flotilla_core::queue::QueueError;
use futures_util::future::try_join_all;

use super::db::{Db, Item, Range, text};
use super::row::id_of;

/// The longest page of a partition, in keys.
const PAGE: usize = 200;

/// Where a walk stands in one partition.
#[derive(Debug)]
struct Cursor {
    range: Range,
    found: VecDeque<(String, JobId)>,
    next: Option<Item>,
    over: bool,
}

/// Job ids of several ranges of one index, merged by their order.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    db: &'a Db,
    cursors: Vec<Cursor>,
    page: usize,
}

impl<'a> Walk<'a> {
    /// Through these ranges of one index and one direction, about `page` keys a call.
    pub(crate) fn new(db: &'a Db, ranges: Vec<Range>, page: usize) -> Self {
        let cursor = |range| Cursor { range, found: VecDeque::new(), next: None, over: false };
        let cursors = ranges.into_iter().map(cursor).collect();
        Self { db, cursors, page: page.clamp(1, PAGE) }
    }

    /// The next `most` ids and what they are ordered by.
    pub(crate) async fn next(&mut self, most: usize) -> Result<Vec<(String, JobId)>, QueueError> {
        let mut taken = Vec::new();
        while taken.len() < most {
            self.fill().await?;
            let heads = self.cursors.iter_mut().filter(|cursor| !cursor.found.is_empty());
            let first = heads.min_by(|a, b| {
                let order = a.found.front().cmp(&b.found.front());
                if a.range.backwards { order.reverse() } else { order }
            });
            match first.and_then(|cursor| cursor.found.pop_front()) {
                Some(one) => taken.push(one),
                None => break,
            }
        }
        Ok(taken)
    }

    /// Reads on wherever nothing is left to compare.
    async fn fill(&mut self) -> Result<(), QueueError> {
        let (db, page) = (self.db, self.page);
        let empty = self.cursors.iter_mut().filter(|c| c.found.is_empty() && !c.over);
        let calls: Vec<_> = empty.map(|cursor| cursor.read(db, page)).collect();
        try_join_all(calls).await.map(|_| ())
    }
}

impl Cursor {
    async fn read(&mut self, db: &Db, page: usize) -> Result<(), QueueError> {
        let sort = self.range.index.attributes()[1];
        while self.found.is_empty() && !self.over {
            let (items, next) = db.page(&self.range, page, self.next.take()).await?;
            let keys =
                items.iter().filter_map(|item| Some((text(item, sort)?.to_owned(), id_of(item)?)));
            self.found.extend(keys);
            self.over = next.is_none();
            self.next = next;
        }
        Ok(())
    }
}
