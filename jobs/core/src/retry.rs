//! When to try again: exponential backoff with full jitter, as a pure function.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// How the delay between attempts grows.
///
/// After attempt `n` fails, the delay is drawn evenly from `[floor, base · factor^(n−1)]`, the
/// upper end held at `max` and the floor at a tenth of it ("full jitter", AWS Architecture Blog,
/// 2015, with a floor so that a retry is never at once). A server's hint (`Retry-After`) lifts
/// the result to itself. The ceilings of the default (base 2 s, factor 3, max 1 h), and the
/// longest time since the first failure:
///
/// | after attempt | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 |
/// | --- | --- | --- | --- | --- | --- | --- | --- | --- |
/// | at most | 2 s | 6 s | 18 s | 54 s | 162 s | 486 s | 1,458 s | 3,600 s |
/// | in all | 2 s | 8 s | 26 s | 80 s | 4 min | 12 min | 36 min | 96 min |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// The ceiling after the first attempt.
    pub base: Duration,
    /// What each further attempt multiplies it by; at least 1.
    pub factor: f64,
    /// The highest ceiling.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_secs(2), factor: 3.0, max: Duration::from_secs(3600) }
    }
}

impl Backoff {
    /// The longest delay after attempt `attempt` (1 is the first).
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.base.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        // `min` first: an infinite product is still a valid ceiling.
        Duration::try_from_secs_f64(seconds.min(self.max.as_secs_f64())).unwrap_or(self.max)
    }

    /// The delay to wait after attempt `attempt` failed.
    pub fn delay(&self, attempt: u32, hint: Option<Duration>, rng: &dyn Rng) -> Duration {
        let ceiling = self.ceiling(attempt);
        let floor = ceiling / 10;
        (floor + (ceiling - floor).mul_f64(rng.unit())).max(hint.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;

    #[test]
    fn the_table_of_the_documentation_is_true() {
        let backoff = Backoff::default();
        let seconds: Vec<u64> = (1..=9).map(|n| backoff.ceiling(n).as_secs()).collect();
        assert_eq!(seconds, [2, 6, 18, 54, 162, 486, 1458, 3600, 3600]);
        assert_eq!(backoff.ceiling(u32::MAX), backoff.max);
    }

    #[test]
    fn a_delay_stays_between_floor_and_ceiling_unless_the_server_says_longer() {
        let (backoff, rng) = (Backoff::default(), SeededRng::new(3));
        for attempt in 1..20 {
            let ceiling = backoff.ceiling(attempt);
            let delay = backoff.delay(attempt, None, &rng);
            assert!(delay >= ceiling / 10 && delay <= ceiling, "{attempt}: {delay:?}");
        }
        let hint = Duration::from_secs(7200);
        assert_eq!(backoff.delay(1, Some(hint), &rng), hint);
    }
}
