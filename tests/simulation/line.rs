//! The line between one worker and the backend. Calls fail before or after their effect, come late,
//! come twice, or are the last thing their worker does; a line may be cut for a while.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use flotilla_core::clock::{Clock, Timestamp, after};
use flotilla_core::queue::{QueueError, QueueErrorKind, Settled, Settlement};
use flotilla_core::sabotage::{self, Bug};
use flotilla_engine::Control;
use tokio::sync::watch;

use crate::store::Store;
use crate::time::{Dice, Truth};
use crate::witness::Witness;

/// How a line is just now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// Which part of the calls meets a fault.
    pub(crate) bad: f64,
    /// Which part of those is the last thing the worker does.
    pub(crate) crash: f64,
    /// Which part of the settlements comes once more, later.
    pub(crate) late: f64,
    /// No call gets through until then.
    pub(crate) cut: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Fine,
    /// An error, and nothing is done.
    Before,
    /// It is done, and the answer is an error.
    After,
    /// It takes a while, and so does the answer.
    Slow(Duration, Duration),
    /// It is done twice.
    Twice,
    /// The worker crashes before it is done, or after.
    Crash(bool),
    /// It waits until the line is whole again, in vain.
    Cut(Duration),
}

/// Which calls may take how long: what decides about quotas and breakers is held to a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Jobs,
    Cells,
}

/// Hints, given in virtual time and in order: who waits on one channel with others is woken in an
/// order that differs from run to run, so each has its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bells(Arc<Mutex<Vec<watch::Sender<u64>>>>);

impl Bells {
    pub(crate) fn hear(&self) -> watch::Receiver<u64> {
        let (bell, ear) = watch::channel(0);
        let mut bells = self.0.lock().unwrap();
        bells.retain(|bell| !bell.is_closed());
        bells.push(bell);
        ear
    }
}

/// The lines of all workers, by name.
pub(crate) type Lines = Arc<Mutex<BTreeMap<String, Weak<Line>>>>;

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) worker: String,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) witness: Arc<Witness>,
    pub(crate) truth: Truth,
    /// Rung when something may have become claimable.
    pub(crate) bells: Bells,
    pub(crate) weather: Mutex<Weather>,
    pub(crate) dice: Dice,
    /// Jobs are poison once their lease ran out so often, whatever the worker says: where each has
    /// a process of its own, nobody is taken for poison because the dice made his worker crash.
    pub(crate) poison_after: u32,
    /// The engine that hangs on it.
    pub(crate) engine: OnceLock<Control>,
    pub(crate) crashed: AtomicBool,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Witness")
    }
}

impl Line {
    pub(crate) fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }

    /// The worker is gone at this moment: nothing of it happens any more.
    pub(crate) fn crash(&self) {
        self.crashed.store(true, Ordering::Relaxed);
        self.witness.note(|| format!("{} crashes", self.worker));
        if let Some(engine) = self.engine.get() {
            engine.stop_now();
        }
    }

    fn fate(&self, sort: Sort) -> Fate {
        let mut weather = self.weather.lock().unwrap();
        if let Some(until) = weather.cut {
            let left = flotilla_core::clock::between(self.truth.now(), until);
            if !left.is_zero() {
                return Fate::Cut(left);
            }
            weather.cut = None;
        }
        if !self.dice.chance(weather.bad) {
            return Fate::Fine;
        }
        if self.dice.chance(weather.crash) {
            return Fate::Crash(self.dice.chance(0.5));
        }
        let most = Duration::from_millis(if sort == Sort::Cells { 200 } else { 3000 });
        match self.dice.below(4) {
            0 => Fate::Before,
            1 => Fate::After,
            2 => Fate::Slow(self.dice.up_to(most), self.dice.up_to(most)),
            _ => Fate::Twice,
        }
    }

    /// A call, as the line lets it: `effect` does it, and answers at once.
    pub(crate) async fn through<T>(
        &self,
        call: &'static str,
        sort: Sort,
        effect: impl Fn() -> Result<T, QueueError> + Send,
    ) -> Result<T, QueueError> {
        if self.crashed.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        if sort == Sort::Cells {
            // There and back: time for another worker to be faster.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let fate = self.fate(sort);
        if !matches!(fate, Fate::Fine) {
            self.witness.note(|| format!("{}: {call} meets {fate:?}", self.worker));
        }
        let lost = || {
            QueueError::plain(QueueErrorKind::Unavailable, format!("{call} was lost on the way"))
        };
        match fate {
            Fate::Fine => effect(),
            Fate::Before => Err(lost()),
            Fate::After => {
                effect()?;
                Err(lost())
            }
            Fate::Slow(there, back) => {
                tokio::time::sleep(there).await;
                let answer = effect();
                tokio::time::sleep(back).await;
                answer
            }
            Fate::Twice => {
                let answer = effect()?;
                let _ = effect();
                Ok(answer)
            }
            Fate::Crash(after) => {
                if after {
                    let _ = effect();
                }
                self.crash();
                std::future::pending().await
            }
            Fate::Cut(left) => {
                tokio::time::sleep(left).await;
                Err(lost())
            }
        }
    }

    /// Something may be claimable.
    pub(crate) fn ring(&self) {
        for bell in &*self.bells.0.lock().unwrap() {
            bell.send_modify(|n| *n += 1);
        }
    }

    /// Records outcomes; a backend that does not look at fences would take them all for the latest.
    pub(crate) fn settle(
        &self,
        done: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>, QueueError> {
        let mut sent = done.to_vec();
        if sabotage::committed(Bug::IgnoreFence) {
            for settlement in &mut sent {
                let latest = self.witness.fence(settlement.held.id);
                settlement.held.fence = latest.unwrap_or(settlement.held.fence);
            }
        }
        let answers = crate::store::at_once(self.store.settle(&sent, now))?;
        self.witness.settled(&self.worker, done, &answers);
        self.ring();
        Ok(answers)
    }

    /// Does the same once more, later: a message that was held up on its way.
    pub(crate) fn late(self: &Arc<Self>, done: Vec<Settlement>, now: Timestamp) {
        let late = self.weather.lock().unwrap().late;
        if self.dice.chance(late) {
            let (line, wait) = (Arc::clone(self), self.dice.up_to(Duration::from_secs(30)));
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                let _ = line.settle(&done, after(now, wait));
            });
        }
    }
}
