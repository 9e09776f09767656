//! How often one caller may call: GCRA (the generic cell rate algorithm), one instant per caller.
//! It holds for this process; the limits of the fleet are the queue's business.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::clock::{after, before, between};

/// For each caller the instant at which its bucket is full again. Callers are the tokens of the
/// configuration, so there are few.
pub(crate) struct Buckets {
    /// Between two requests in the long run; zero: no bound.
    interval: Duration,
    tolerance: Duration,
    full_at: Mutex<HashMap<Arc<str>, Timestamp>>,
}

impl Buckets {
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(rate).unwrap_or_default();
        let tolerance = interval.saturating_mul(burst.max(1) - 1);
        Self { interval, tolerance, full_at: Mutex::default() }
    }

    /// Takes one request of `caller`; else says when to come back.
    pub(crate) fn take(&self, caller: &Arc<str>, now: Timestamp) -> Result<(), Duration> {
        if self.interval.is_zero() {
            return Ok(());
        }
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let at = full_at.entry(Arc::clone(caller)).or_insert(now);
        let begins = (*at).max(now);
        let earliest = before(begins, self.tolerance);
        if earliest > now {
            return Err(between(now, earliest));
        }
        *at = after(begins, self.interval);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_core::{Clock, ManualClock};

    #[test]
    fn a_burst_then_the_rate_and_each_caller_for_itself() {
        let (clock, buckets) = (ManualClock::default(), Buckets::new(10, 3));
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        for _ in 0..3 {
            assert_eq!(buckets.take(&a, clock.now()), Ok(()));
        }
        assert_eq!(buckets.take(&a, clock.now()), Err(Duration::from_millis(100)));
        assert_eq!(buckets.take(&b, clock.now()), Ok(()));
        clock.advance(Duration::from_millis(100));
        assert_eq!(buckets.take(&a, clock.now()), Ok(()));
        assert!(buckets.take(&a, clock.now()).is_err());
        clock.advance(Duration::from_secs(9));
        let taken = (0..9).filter(|_| buckets.take(&a, clock.now()).is_ok()).count();
        assert_eq!(taken, 3, "what was not used does not add up");
        let open = Buckets::new(0, 0);
        assert!((0..9999).all(|_| open.take(&a, clock.now()).is_ok()));
    }
}
