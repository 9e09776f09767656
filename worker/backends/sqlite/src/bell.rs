//! Tells those who wait that something was committed, by this process or another one.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::tx::News;

/// Two counters to wait on, and how often this process has committed.
#[derive(Debug)]
pub(crate) struct Bell {
    wakes: watch::Sender<u64>,
    changes: watch::Sender<u64>,
    commits: AtomicU64,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self {
            wakes: watch::Sender::new(0),
            changes: watch::Sender::new(0),
            commits: AtomicU64::new(0),
        }
    }

    /// This process has committed.
    pub(crate) fn committed(&self, news: News) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.ring(news);
    }

    /// Something has changed.
    pub(crate) fn ring(&self, news: News) {
        if news.claimable {
            self.wakes.send_modify(|n| *n = n.wrapping_add(1));
        }
        if news.changed {
            self.changes.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    /// Commits of this process so far.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(crate) fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
