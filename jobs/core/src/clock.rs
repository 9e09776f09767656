//! Time as a parameter: the engine, the policies and the backends never ask the machine.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// An instant in UTC; RFC 3339 in JSON. Backends keep microseconds.
pub type Timestamp = jiff::Timestamp;

/// Where `now` comes from. Sleeping goes through tokio's timers, which tests can pause.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present instant, truncated to microseconds so that it survives every backend.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        from_micros(Timestamp::now().as_microsecond())
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Starts at `at`.
    pub fn at(at: Timestamp) -> Self {
        Self(AtomicI64::new(at.as_microsecond()))
    }

    /// Moves forward by `by`.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(micros(by), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// Starts at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self(AtomicI64::new(1_767_225_600_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// The machine's clock, moved to agree with one that is shared.
#[derive(Debug, Default)]
pub struct SharedClock(AtomicI64);

/// What a shared clock answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedTime {
    /// The instant.
    pub at: Timestamp,
    /// The clock says no more than that it is at most so far from `at`, either way.
    pub within: Duration,
}

impl SharedClock {
    /// Moves it so that the machine's `before`..`after`, between which the shared clock was read,
    /// agrees with `shared`: right to half the time between them (Cristian, 1989). What the shared
    /// clock cannot tell apart from the machine's is left as it is.
    pub fn agree(&self, before: Timestamp, shared: SharedTime, after: Timestamp) {
        let middle =
            before.as_microsecond() + (after.as_microsecond() - before.as_microsecond()) / 2;
        let offset = shared.at.as_microsecond().saturating_sub(middle);
        let known =
            offset.unsigned_abs() > shared.within.as_micros().try_into().unwrap_or(u64::MAX);
        self.0.store(if known { offset } else { 0 }, Ordering::SeqCst);
    }

    /// How far the machine's clock is behind, in microseconds; negative: ahead.
    pub fn offset(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        from_micros(SystemClock.now().as_microsecond().saturating_add(self.offset()))
    }
}

/// The instant `micros` microseconds after the Unix epoch, held inside the representable range.
pub fn from_micros(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// `at + by`, held at the end of time instead of overflowing.
pub fn after(at: Timestamp, by: Duration) -> Timestamp {
    from_micros(at.as_microsecond().saturating_add(micros(by)))
}

/// `at - by`, held at the beginning of time.
pub fn before(at: Timestamp, by: Duration) -> Timestamp {
    from_micros(at.as_microsecond().saturating_sub(micros(by)))
}

/// How long from `from` to `to`; zero when `to` is not later.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    let micros = to.as_microsecond().saturating_sub(from.as_microsecond());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_held_inside_the_range() {
        assert_eq!(after(Timestamp::MAX, Duration::from_secs(9)), Timestamp::MAX);
        assert_eq!(before(Timestamp::MIN, Duration::MAX), Timestamp::MIN);
        let now = ManualClock::default().now();
        assert_eq!(between(now, before(now, Duration::from_secs(1))), Duration::ZERO);
        assert_eq!(between(now, after(now, Duration::from_secs(1))), Duration::from_secs(1));
    }

    #[test]
    fn a_shared_clock_takes_over_the_offset() {
        let clock = SharedClock::default();
        let (sent, got) = (from_micros(1_000_000), from_micros(1_000_200));
        let exactly = |at| SharedTime { at: from_micros(at), within: Duration::ZERO };
        clock.agree(sent, exactly(301_000_100), got);
        assert_eq!(clock.offset(), 300_000_000);
        assert!(between(SystemClock.now(), clock.now()) > Duration::from_secs(299));
        clock.agree(sent, exactly(1_000_100), got);
        assert_eq!(clock.offset(), 0);

        // A clock that counts half seconds does not spoil one that is right.
        let roughly = |at| SharedTime { at: from_micros(at), within: Duration::from_millis(500) };
        clock.agree(sent, roughly(1_400_000), got);
        assert_eq!(clock.offset(), 0);
        clock.agree(sent, roughly(1_600_100), got);
        assert_eq!(clock.offset(), 600_000);
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::default();
        let start = clock.now();
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_micros(1));
        assert_eq!(between(start, clock.now()), Duration::from_micros(1));
    }
}
