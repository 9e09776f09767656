//! Tells those who wait that something was committed: here at once, elsewhere through `NOTIFY`.
//!
//! PostgreSQL lets only one transaction with a `NOTIFY` commit at a time, disk included. So the
//! notification is sent on its own after the commit, and commits that come together share one
//! ([`crate::listen`]). It is a hint: one that is lost is repaired by the next poll.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, watch};

/// What watchers are told after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Something may have become claimable, or become so earlier than was known.
    Claimable,
    /// A row was written.
    Changed,
}

/// Two counters to wait on, and what other processes have yet to be told.
#[derive(Debug)]
pub(crate) struct Bell {
    wakes: watch::Sender<u64>,
    changes: watch::Sender<u64>,
    claimable: AtomicBool,
    changed: AtomicBool,
    to_send: Notify,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self {
            wakes: watch::Sender::new(0),
            changes: watch::Sender::new(0),
            claimable: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            to_send: Notify::new(),
        }
    }

    /// This process has committed.
    pub(crate) fn committed(&self, news: News) {
        self.ring(news);
        match news {
            News::Claimable => self.claimable.store(true, Ordering::Release),
            News::Changed => self.changed.store(true, Ordering::Release),
        }
        self.to_send.notify_one();
    }

    /// Someone has committed.
    pub(crate) fn ring(&self, news: News) {
        if news == News::Claimable {
            self.wakes.send_modify(|n| *n = n.wrapping_add(1));
        }
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Waits for something to send, and takes it: the more telling of the two.
    pub(crate) async fn news(&self) -> News {
        loop {
            if self.claimable.swap(false, Ordering::AcqRel) {
                self.changed.store(false, Ordering::Release); // it says that too
                return News::Claimable;
            }
            if self.changed.swap(false, Ordering::AcqRel) {
                return News::Changed;
            }
            self.to_send.notified().await;
        }
    }

    /// Waits until something claimable is to be sent; leaves it to [`news`](Self::news).
    pub(crate) async fn urgent(&self) {
        while !self.claimable.load(Ordering::Acquire) {
            self.to_send.notified().await;
        }
    }

    pub(crate) fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn commits_that_come_together_share_one_notification() {
        let bell = Bell::new();
        bell.committed(News::Changed);
        bell.committed(News::Claimable);
        bell.committed(News::Changed);
        assert_eq!(bell.news().await, News::Claimable);
        bell.committed(News::Changed);
        assert_eq!(bell.news().await, News::Changed);
        assert_eq!((*bell.wakes().borrow(), *bell.changes().borrow()), (1, 4));
    }
}
