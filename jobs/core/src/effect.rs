//! When an irreversible call may be made again: never, unless it is known that it did nothing.
//!
//! The intent is recorded before the call and the outcome after it. Who finds an intent without
//! an outcome (a crash, a dropped connection, a lost answer) does not know whether the call took
//! effect, and asks before anything else. None of the publishing calls of the social platforms
//! takes an idempotency key, so the ledger has to know. Pure; [`ledger`](crate::ledger) drives it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::{Timestamp, after};
use crate::outcome::{BoxError, Classify, FailureClass, JobError};
use crate::sabotage::{self, Bug};

/// How long an unanswered call may still take effect: nothing is concluded before.
pub const SETTLE: Duration = Duration::from_secs(20);

/// What making a call twice would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Safety {
    /// Nothing: it only reads.
    Read,
    /// An orphan may remain, and nothing is public: a container, an upload session.
    RepeatUnpublished,
    /// It goes on where it was: an upload to a recorded handle, whose offset is asked for first.
    Resume,
    /// It changes a known thing to a given state: from private to public.
    Idempotent,
    /// The world would see it twice: a post, a payment, a message.
    Never,
}

impl Safety {
    /// Whether it may simply be made again.
    pub fn repeats(self) -> bool {
        self != Self::Never
    }
}

/// What the ledger holds of one effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Entry {
    /// It was about to be made.
    Intended {
        /// When.
        at: Timestamp,
        /// How often so far.
        sends: u32,
        /// What the call said, where it came back without a clear answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unsure: Option<String>,
    },
    /// It was made, or found to have been.
    Done {
        /// When that was known.
        at: Timestamp,
        /// What it gave, JSON.
        result: Value,
    },
}

/// What to do about an effect now.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Record the intent, then make the call.
    Send {
        /// Which time this is; 1 is the first.
        sends: u32,
    },
    /// Too early to conclude anything.
    Wait {
        /// Until then.
        until: Timestamp,
    },
    /// Ask whether it happened.
    ReadBack,
    /// It is done, and gave this.
    Known(Value),
    /// Nobody can tell: a person has to look.
    Surface,
}

/// What to do about an effect of which the ledger holds `entry`.
pub fn next(
    entry: Option<&Entry>,
    safety: Safety,
    verifiable: bool,
    settle: Duration,
    now: Timestamp,
) -> Step {
    match entry {
        None => Step::Send { sends: 1 },
        Some(Entry::Done { result, .. }) => Step::Known(result.clone()),
        Some(Entry::Intended { sends, .. }) if safety.repeats() => {
            Step::Send { sends: sends.saturating_add(1) }
        }
        Some(Entry::Intended { sends, .. }) if sabotage::committed(Bug::SkipVerify) => {
            Step::Send { sends: sends.saturating_add(1) }
        }
        Some(Entry::Intended { .. }) if !verifiable => Step::Surface,
        Some(Entry::Intended { at, .. }) => {
            let until = after(*at, settle);
            if now < until { Step::Wait { until } } else { Step::ReadBack }
        }
    }
}

/// What a look at the platform said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadBack<T> {
    /// It happened, and gave this.
    Happened(T),
    /// It did not, and will not any more.
    DidNot,
    /// Not to be told yet: ask again.
    NotYet,
    /// Not to be told at all.
    CannotTell,
}

/// How a call failed.
#[derive(Debug)]
pub enum SendError {
    /// It certainly had no effect: refused, or never sent.
    Refused(JobError),
    /// It may have had one: no answer, half an answer, a failure on the other side.
    Unsure(BoxError),
}

impl<E> From<E> for SendError
where
    E: Classify + std::error::Error + Send + Sync + 'static,
{
    /// An answer that says no means no; everything else leaves it open.
    fn from(error: E) -> Self {
        match error.class() {
            FailureClass::Transient | FailureClass::Bug => Self::Unsure(error.into()),
            FailureClass::Throttled { .. }
            | FailureClass::Unauthorised
            | FailureClass::Invalid
            | FailureClass::NotFound
            | FailureClass::Rejected => Self::Refused(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    #[test]
    fn an_open_intent_is_never_sent_again_unless_that_is_harmless() {
        let at = ManualClock::default().now();
        let open = Entry::Intended { at, sends: 2, unsure: None };
        let late = after(at, SETTLE);
        let step = |safety, verifiable, now| next(Some(&open), safety, verifiable, SETTLE, now);
        for verifiable in [false, true] {
            for safety in
                [Safety::Read, Safety::RepeatUnpublished, Safety::Resume, Safety::Idempotent]
            {
                assert_eq!(step(safety, verifiable, at), Step::Send { sends: 3 });
            }
        }
        assert_eq!(step(Safety::Never, true, at), Step::Wait { until: late });
        assert_eq!(step(Safety::Never, true, late), Step::ReadBack);
        assert_eq!(step(Safety::Never, false, late), Step::Surface);
    }

    #[test]
    fn what_is_done_is_done_and_what_was_never_tried_is_sent() {
        let at = ManualClock::default().now();
        let done = Entry::Done { at, result: Value::from(7) };
        for safety in [Safety::Never, Safety::Read] {
            let known = next(Some(&done), safety, false, SETTLE, at);
            assert_eq!(known, Step::Known(Value::from(7)));
            assert_eq!(next(None, safety, false, SETTLE, at), Step::Send { sends: 1 });
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("said")]
    struct Said(FailureClass);

    impl Classify for Said {
        fn class(&self) -> FailureClass {
            self.0
        }
    }

    #[test]
    fn only_a_clear_no_is_a_no() {
        let sure = |class| matches!(SendError::from(Said(class)), SendError::Refused(_));
        assert!(!sure(FailureClass::Transient) && !sure(FailureClass::Bug));
        assert!(sure(FailureClass::Rejected) && sure(FailureClass::Unauthorised));
        assert!(sure(FailureClass::Throttled { retry_after: None }));
    }
}
