//! Whoever is called: answers, browns out, says "too fast", publishes and drops the answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flotilla_core::clock::{Clock, Timestamp, between};
use flotilla_core::effect::{ReadBack, SendError};
use flotilla_core::{JobError, JobId};

use crate::time::{Dice, SKEW, Truth};
use crate::witness::Witness;

/// Whose calls are limited: each has its own quota beside the common one.
pub(crate) const ACCOUNTS: [&str; 3] = ["a", "b", "c"];
/// Calls of all accounts in a minute.
pub(crate) const COMMON: usize = 90;
/// Calls of one account in a minute.
pub(crate) const EACH: usize = 40;
/// Calls of account c at the same time.
pub(crate) const TOGETHER: usize = 2;

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct State {
    calls: BTreeMap<String, Vec<Timestamp>>,
    now: BTreeMap<String, usize>,
    down: bool,
    /// Accounts that are told "too fast", and for how many seconds.
    storms: BTreeMap<String, u32>,
    posts: BTreeMap<JobId, u32>,
}

pub(crate) struct Platform {
    state: Mutex<State>,
    witness: Arc<Witness>,
    truth: Truth,
    dice: Dice,
}

impl Platform {
    pub(crate) fn new(witness: Arc<Witness>, truth: Truth, dice: Dice) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), witness, truth, dice })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.witness.note(|| format!("platform down: {down}"));
        self.state().down = down;
    }

    /// From now on this account is told to come back after so many seconds.
    pub(crate) fn storm(&self, account: &str, seconds: u32) {
        self.witness.note(|| format!("429 for {account}, {seconds} s"));
        self.state().storms.insert(account.to_owned(), seconds);
    }

    pub(crate) fn calm(&self) {
        self.state().storms.clear();
    }

    /// Status and `Retry-After` of a call that begins now.
    pub(crate) fn call(&self, account: &str) -> (u16, Option<String>, Busy<'_>) {
        let now = self.truth.now();
        let mut state = self.state();
        state.calls.entry(account.to_owned()).or_default().push(now);
        let together = state.now.entry(account.to_owned()).or_default();
        *together += 1;
        let together = *together;
        let answer = match (state.down, state.storms.get(account)) {
            (true, _) => (503, None),
            (false, Some(seconds)) => (429, Some(seconds.to_string())),
            (false, None) => (200, None),
        };
        drop(state);
        if account == ACCOUNTS[2] && together > TOGETHER {
            self.witness.accuse(format!("{together} calls of {account} at once"));
        }
        let busy = Busy { platform: self, account: account.to_owned() };
        (answer.0, answer.1, busy)
    }

    /// It travels, takes effect even when its sender is gone, and the answer may be dropped.
    pub(crate) async fn publish(self: Arc<Self>, id: JobId) -> Result<u32, SendError> {
        self.pause(1.0).await;
        let there = Arc::clone(&self);
        let arrived = tokio::spawn(async move {
            there.pause(4.0).await;
            let posts = {
                let mut state = there.state();
                let posts = state.posts.entry(id).or_default();
                *posts += 1;
                *posts
            };
            there.witness.note(|| format!("publishes {id}"));
            if posts > 1 {
                there.witness.accuse(format!("{id} was published {posts} times"));
            }
        });
        let _ = arrived.await;
        self.pause(1.0).await;
        if self.dice.chance(1.0 / 3.0) {
            return Err(SendError::Unsure("connection reset by peer".into()));
        }
        Ok(1)
    }

    pub(crate) async fn read_back(self: Arc<Self>, id: JobId) -> Result<ReadBack<u32>, JobError> {
        self.pause(1.0).await;
        Ok(match self.posts(id) {
            _ if self.dice.chance(0.1) => ReadBack::NotYet,
            0 => ReadBack::DidNot,
            posts => ReadBack::Happened(posts),
        })
    }

    /// When calls of an account were made.
    pub(crate) fn calls(&self, account: &str) -> Vec<Timestamp> {
        self.state().calls.get(account).cloned().unwrap_or_default()
    }

    pub(crate) fn posts(&self, id: JobId) -> u32 {
        self.state().posts.get(&id).copied().unwrap_or_default()
    }

    async fn pause(&self, seconds: f64) {
        tokio::time::sleep(self.dice.up_to(Duration::from_secs_f64(seconds))).await;
    }

    /// Whether every quota was kept, to one in a hundred. `skewed`: clocks were off, so a window
    /// of the fleet may be longer than one of the truth by as much.
    pub(crate) fn check(&self, skewed: bool) {
        let state = self.state();
        let of = ACCOUNTS.iter().map(|account| (*account, EACH, state.calls.get(*account)));
        let mut all: Vec<Timestamp> = state.calls.values().flatten().copied().collect();
        all.sort();
        let judged: Vec<(&str, usize, usize)> = of
            .filter_map(|(account, quota, calls)| Some((account, quota, densest(calls?))))
            .chain([("all", COMMON, densest(&all))])
            .collect();
        drop(state);
        for (what, quota, densest) in judged {
            let off = if skewed { 2.0 * SKEW.as_secs_f64() / MINUTE.as_secs_f64() } else { 0.0 };
            let most = quota
                + (quota as f64 * (0.01 + off)).ceil() as usize * usize::from(skewed)
                + quota / 100 * usize::from(!skewed);
            if densest > most {
                self.witness.accuse(format!("{what}: {densest} calls in a minute of {quota}"));
            }
        }
    }
}

/// The most calls in any minute; `calls` in order.
pub(crate) fn densest(calls: &[Timestamp]) -> usize {
    let (mut first, mut most) = (0, 0);
    for (last, at) in calls.iter().enumerate() {
        while between(calls[first], *at) >= MINUTE {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

/// A call under way; counted out also when its worker crashes.
pub(crate) struct Busy<'a> {
    platform: &'a Platform,
    account: String,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if let Some(now) = self.platform.state().now.get_mut(&self.account) {
            *now -= 1;
        }
    }
}
