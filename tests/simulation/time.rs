//! Virtual time: tokio's paused clock is the truth, and each worker has a clock that is a little
//! off it and may jump.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use flotilla_core::clock::{Clock, ManualClock, Timestamp, after, from_micros};
use flotilla_core::{Rng, SeededRng};
use tokio::time::Instant;

/// How far a worker's clock may be off, either way. Twice this and the grace of a handler that is
/// told to stop fit into the margin of a lease, so that no job may ever run twice at once.
pub(crate) const SKEW: Duration = Duration::from_millis(800);

/// The true time, from a fixed day on.
#[derive(Clone, Debug)]
pub(crate) struct Truth {
    epoch: Timestamp,
    start: Instant,
}

impl Truth {
    pub(crate) fn begin() -> Self {
        Self { epoch: ManualClock::default().now(), start: Instant::now() }
    }
}

impl Clock for Truth {
    fn now(&self) -> Timestamp {
        after(self.epoch, self.start.elapsed())
    }
}

/// The clock of one worker.
#[derive(Debug)]
pub(crate) struct Watch {
    truth: Truth,
    /// Microseconds ahead of the truth.
    ahead: AtomicI64,
}

impl Watch {
    pub(crate) fn new(truth: Truth) -> Arc<Self> {
        Arc::new(Self { truth, ahead: AtomicI64::new(0) })
    }

    /// Jumps to somewhere within the bound.
    pub(crate) fn jump(&self, dice: &Dice) {
        let most = SKEW.as_micros() as f64;
        self.ahead.store((most * (2.0 * dice.0.unit() - 1.0)) as i64, Ordering::Relaxed);
    }
}

impl Clock for Watch {
    fn now(&self) -> Timestamp {
        from_micros(self.truth.now().as_microsecond() + self.ahead.load(Ordering::Relaxed))
    }
}

/// What happens next: all of it follows from the seed.
#[derive(Debug)]
pub(crate) struct Dice(SeededRng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededRng::new(seed))
    }

    pub(crate) fn below(&self, n: usize) -> usize {
        (self.0.next_u64() % n.max(1) as u64) as usize
    }

    pub(crate) fn chance(&self, of_one: f64) -> bool {
        of_one > 0.0 && self.0.unit() < of_one
    }

    pub(crate) fn one_of<T: Copy>(&self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Up to so long.
    pub(crate) fn up_to(&self, most: Duration) -> Duration {
        most.mul_f64(self.0.unit())
    }

    pub(crate) fn seed(&self) -> u64 {
        self.0.next_u64()
    }
}
