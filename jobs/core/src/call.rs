//! What a handler says of a call it made: it feeds the limits and the breaker of its key.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::breaker::Answer;
use crate::clock::Timestamp;
use crate::limit::LimitKey;
use crate::throttle::{self, Throttle};

/// One call to somebody else's service, as it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Whose limits and breaker it is about.
    pub key: LimitKey,
    /// How it went; `None`: it says nothing about how well they are.
    pub answer: Option<Answer>,
    /// How long it took.
    pub took: Duration,
    /// When they want to be called again.
    pub throttle: Option<Throttle>,
}

impl Call {
    /// A call without an answer: a timeout, a refused or broken connection.
    pub fn unanswered(key: LimitKey, took: Duration) -> Self {
        Self { key, answer: Some(Answer::Bad), took, throttle: None }
    }

    /// An HTTP answer; `header` finds a header by its lower-case name. A clear no is a good
    /// answer; "too fast" says nothing of how well they are.
    pub fn http<'a>(
        key: LimitKey,
        status: u16,
        header: impl Fn(&str) -> Option<&'a str>,
        took: Duration,
        now: Timestamp,
    ) -> Self {
        let throttle = throttle::read(status, header, now);
        let answer = match status {
            429 => None,
            401 => Some(Answer::Refused),
            500.. => Some(Answer::Bad).filter(|_| throttle.is_none()),
            _ => Some(Answer::Good),
        };
        Self { key, answer, took, throttle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    #[test]
    fn a_clear_no_is_a_good_answer_and_too_fast_is_none() {
        let now = ManualClock::default().now();
        let call = |status| {
            let key = LimitKey::of(&["web", "example.com"]);
            Call::http(key, status, |_| None, Duration::ZERO, now)
        };
        for (status, answer) in [
            (200, Some(Answer::Good)),
            (404, Some(Answer::Good)),
            (401, Some(Answer::Refused)),
            (502, Some(Answer::Bad)),
            (429, None),
        ] {
            assert_eq!(call(status).answer, answer, "{status}");
            assert_eq!(call(status).throttle.is_some(), status == 429);
        }
    }
}
