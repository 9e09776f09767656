//! `[kinds."<kind>"]`: what differs from the policy a kind brings along.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use crate::checked::{Level, Name};
use crate::reader::Section;

/// What differs from a kind's own policy; `None` keeps it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KindChange {
    /// The lane on which jobs wait.
    pub lane: Option<String>,
    /// Attempts before a job is dead; at least 1.
    pub max_attempts: Option<u32>,
    /// Longest time of one attempt.
    pub timeout: Option<Duration>,
    /// Jobs at once in one process; at least 1.
    pub concurrency: Option<usize>,
    /// 0 to 9; higher goes first.
    pub priority: Option<u8>,
    /// How long completed jobs are kept.
    pub retention: Option<Duration>,
    /// The delays between attempts.
    pub backoff: Option<BackoffChange>,
    /// No attempt begins later than this after the first; 0: no such bound.
    pub retry_within: Option<Duration>,
    /// What differs for failures of a class, by its name: one of [`RETRY_CLASSES`].
    pub retry: Vec<(&'static str, RetryChange)>,
}

/// The classes of failures after which a job may run again.
pub const RETRY_CLASSES: [&str; 4] = ["transient", "throttled", "timeout", "panic"];

/// What differs after failures of one class; `None` keeps it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RetryChange {
    /// Failures of this class a job may have; at least 1.
    pub attempts: Option<u32>,
    /// The delays between attempts.
    pub backoff: BackoffChange,
}

/// What differs in the delays between attempts; `None` keeps it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BackoffChange {
    /// The delay after the first failed attempt, at most.
    pub base: Option<Duration>,
    /// What each further attempt multiplies it by; at least 1.
    pub factor: Option<f64>,
    /// The longest delay.
    pub max: Option<Duration>,
}

impl KindChange {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        let backoff = BackoffChange::read(section.nested("backoff"));
        let mut retries = section.nested("retry");
        let retry_within = retries.optional("within");
        let retry = RETRY_CLASSES.map(|class| (class, RetryChange::read(retries.nested(class))));
        let changed = |(_, change): &(&str, RetryChange)| *change != RetryChange::default();
        Self {
            lane: section.optional::<Name>("lane").map(|name| name.0),
            max_attempts: section.optional::<NonZeroU32>("max_attempts").map(NonZeroU32::get),
            timeout: section.optional("timeout"),
            concurrency: section.optional::<NonZeroUsize>("concurrency").map(NonZeroUsize::get),
            priority: section.optional::<Level>("priority").map(|level| level.0),
            retention: section.optional("retention"),
            backoff: (backoff != BackoffChange::default()).then_some(backoff),
            retry_within,
            retry: retry.into_iter().filter(changed).collect(),
        }
    }
}

impl RetryChange {
    fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            attempts: section.optional::<NonZeroU32>("attempts").map(NonZeroU32::get),
            backoff: BackoffChange::read(section),
        }
    }
}

impl BackoffChange {
    fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            base: section.optional("base"),
            factor: section.optional("factor"),
            max: section.optional("max"),
        }
    }
}
