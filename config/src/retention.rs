//! `[retention]`: how long finished jobs are kept.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::reader::Section;

/// How long finished jobs are kept before they are pruned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Completed jobs and their results.
    pub completed: Duration,
    /// Cancelled jobs.
    pub cancelled: Duration,
    /// Dead letters.
    pub dead: Duration,
    /// Most records pruned in one step; at least 1.
    pub batch: usize,
}

impl Retention {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            completed: section.get("completed"),
            cancelled: section.get("cancelled"),
            dead: section.get("dead"),
            batch: section.get::<NonZeroUsize>("batch").get(),
        }
    }
}
