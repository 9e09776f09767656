//! The decision is in the type: a handler's error says what becomes of the job.

use std::error::Error;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::flow::{Child, Until};
use crate::retry::RetryClass;
use crate::state::DeadClass;

/// Any error that may cross a task boundary.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// What kind of failure an error is; every port error knows its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// May work next time.
    Transient,
    /// Too fast; the server may have said when to come back.
    Throttled {
        /// From `Retry-After` and the like.
        retry_after: Option<Duration>,
    },
    /// The credential does not hold.
    Unauthorised,
    /// The request itself is wrong and stays wrong.
    Invalid,
    /// What it names is not there.
    NotFound,
    /// Understood, and refused for good.
    Rejected,
    /// Ours: an invariant broke. Retried, since a newer build may mend it.
    Bug,
}

/// An error that knows its class. With it, `?` in a handler makes the right [`JobError`].
pub trait Classify {
    /// The class of this error.
    fn class(&self) -> FailureClass;
}

/// How an attempt ended other than well.
#[derive(Debug)]
pub enum JobError {
    /// Failed, may work later. Costs an attempt.
    Retry {
        /// What went wrong.
        source: BoxError,
        /// The server's hint; the backoff is never shorter than it.
        after: Option<Duration>,
        /// Chooses the backoff and the bound of attempts.
        class: RetryClass,
    },
    /// Not now, and not the job's fault. Free.
    Snooze {
        /// Not before.
        until: Timestamp,
        /// For `why`.
        reason: String,
    },
    /// Not before `key` is woken, and not the job's fault. Free.
    Park {
        /// What it waits for, as in `account:42`.
        key: String,
        /// For `why`.
        reason: String,
    },
    /// Not before enough of its children have ended; these are started with it. Free. The next
    /// attempt finds them in `JobContext::children`.
    Await {
        /// To be started; a name that was started before is passed over.
        children: Vec<Child>,
        /// When to go on.
        until: Until,
    },
    /// Never going to work: a dead letter at once.
    Fail {
        /// Which sort of dead letter.
        class: DeadClass,
        /// What went wrong.
        source: BoxError,
    },
    /// No longer wanted: ends as cancelled, not among the dead letters.
    Cancel {
        /// Why.
        reason: String,
    },
}

impl JobError {
    /// Transient: retry by policy.
    pub fn retry(source: impl Into<BoxError>) -> Self {
        Self::Retry { source: source.into(), after: None, class: RetryClass::Transient }
    }

    /// Too fast: retry by policy, not before the server's hint.
    pub fn throttled(source: impl Into<BoxError>, after: Option<Duration>) -> Self {
        Self::Retry { source: source.into(), after, class: RetryClass::Throttled }
    }

    /// The handler broke: retry by policy.
    pub fn panicked(source: impl Into<BoxError>) -> Self {
        Self::Retry { source: source.into(), after: None, class: RetryClass::Panic }
    }

    /// The attempt's time was up: retry by policy.
    pub fn timed_out(source: impl Into<BoxError>) -> Self {
        Self::Retry { source: source.into(), after: None, class: RetryClass::Timeout }
    }

    /// Transient, and the server has said when to come back.
    pub fn later(source: impl Into<BoxError>, after: Option<Duration>) -> Self {
        Self::Retry { source: source.into(), after, class: RetryClass::Transient }
    }

    /// The payload asks for the impossible: dead, `invalid`.
    pub fn invalid(source: impl Into<BoxError>) -> Self {
        Self::Fail { class: DeadClass::Invalid, source: source.into() }
    }

    /// Refused for good: dead, `rejected`.
    pub fn rejected(source: impl Into<BoxError>) -> Self {
        Self::Fail { class: DeadClass::Rejected, source: source.into() }
    }

    /// The text stored with the attempt: the error and its causes, without repeating one that the
    /// text before it already ends with, cut to `max` bytes.
    pub fn text(&self, max: usize) -> String {
        match self {
            Self::Retry { source, .. } | Self::Fail { source, .. } => chain(source.as_ref(), max),
            Self::Snooze { reason, .. } | Self::Park { reason, .. } | Self::Cancel { reason } => {
                cut(reason.clone(), max)
            }
            Self::Await { children, .. } => format!("waits for {} children", children.len()),
        }
    }
}

impl<E> From<E> for JobError
where
    E: Classify + Error + Send + Sync + 'static,
{
    fn from(error: E) -> Self {
        let class = match error.class() {
            FailureClass::Transient => return Self::retry(error),
            FailureClass::Bug => return Self::panicked(error),
            FailureClass::Throttled { retry_after } => return Self::throttled(error, retry_after),
            FailureClass::Unauthorised => DeadClass::Unauthorised,
            FailureClass::Invalid | FailureClass::NotFound => DeadClass::Invalid,
            FailureClass::Rejected => DeadClass::Rejected,
        };
        Self::Fail { class, source: error.into() }
    }
}

/// An error and its causes on one line.
pub fn chain(error: &(dyn Error + 'static), max: usize) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    cut(text, max)
}

fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        let end = (0..=max).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("upload failed")]
    struct Upload(#[source] std::io::Error, FailureClass);

    impl Classify for Upload {
        fn class(&self) -> FailureClass {
            self.1
        }
    }

    fn made(class: FailureClass) -> JobError {
        Upload(std::io::Error::other("pipe closed"), class).into()
    }

    #[test]
    fn the_class_chooses_the_outcome() {
        assert!(matches!(made(FailureClass::Transient), JobError::Retry { after: None, .. }));
        let hint = Some(Duration::from_secs(9));
        let throttled = made(FailureClass::Throttled { retry_after: hint });
        assert!(matches!(throttled, JobError::Retry { after, .. } if after == hint));
        for (class, dead) in [
            (FailureClass::Invalid, DeadClass::Invalid),
            (FailureClass::NotFound, DeadClass::Invalid),
            (FailureClass::Rejected, DeadClass::Rejected),
            (FailureClass::Unauthorised, DeadClass::Unauthorised),
        ] {
            assert!(matches!(made(class), JobError::Fail { class, .. } if class == dead));
        }
    }

    #[test]
    fn the_text_holds_the_causes_and_is_bounded() {
        assert_eq!(made(FailureClass::Transient).text(100), "upload failed: pipe closed");
        assert_eq!(JobError::Cancel { reason: "éé".into() }.text(3), "é");
    }
}
