//! Where claimed jobs lie until a runner takes them up, and who takes them.
//!
//! A runner is a task that takes one job after the other, so that a job which never waits costs
//! no task of its own. As soon as a handler waits for something, its runner counts as waiting and
//! another one is started if there is work and a slot. At most `parallel` runners look for work
//! or run synchronous code at the same time: more could not proceed anyway.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::queue::Claimed;
use futures_util::poll;
use tokio::sync::Notify;

use crate::catalog::Catalog;
use crate::execute;
use crate::lease::{Control, lock};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::slots::{Ask, Plan, Slots};

/// A claimed job of a known kind, under a lease that is being kept.
pub(crate) struct Assigned {
    pub(crate) ticket: u64,
    pub(crate) kind: usize,
    pub(crate) lane: usize,
    pub(crate) claimed: Claimed,
    pub(crate) control: Arc<Control>,
    pub(crate) held_since: Timestamp,
}

pub(crate) struct Desk {
    state: Mutex<State>,
    /// Room for another claim.
    pub(crate) freed: Notify,
    /// No runner is left.
    quiet: Notify,
    concurrency: usize,
    parallel: usize,
}

struct State {
    slots: Slots,
    jobs: VecDeque<Assigned>,
    runners: usize,
    waiting: usize,
    closed: bool,
}

impl Desk {
    pub(crate) fn new(settings: &Settings, catalog: &Catalog) -> Self {
        let caps = catalog.kinds().iter().map(|k| k.policy.concurrency.map(|c| c.max(1)));
        let state = State {
            slots: Slots::new(settings.concurrency, settings.batch, caps),
            jobs: VecDeque::new(),
            runners: 0,
            waiting: 0,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            freed: Notify::new(),
            quiet: Notify::new(),
            concurrency: settings.concurrency,
            parallel: settings.cpu_slots.max(1),
        }
    }

    /// What to claim now; nothing when a claim is not worth its transaction.
    pub(crate) fn plan(&self, lanes: usize, max: usize) -> Plan {
        let mut state = lock(&self.state);
        if state.slots.worth_claiming() { state.slots.plan(lanes, max) } else { Plan::default() }
    }

    pub(crate) fn answered(&self, asks: &[(Ask, usize)]) {
        let mut state = lock(&self.state);
        for (ask, got) in asks {
            state.slots.answered(ask, *got);
        }
    }

    /// Puts claimed jobs down; gives them back when the engine drains.
    pub(crate) fn put(&self, jobs: Vec<Assigned>) -> Vec<Assigned> {
        let mut state = lock(&self.state);
        if state.closed {
            return jobs;
        }
        for job in &jobs {
            state.slots.held(job.kind);
        }
        state.jobs.extend(jobs);
        Vec::new()
    }

    /// No job begins any more; answers those that have not begun.
    pub(crate) fn close(&self) -> Vec<Assigned> {
        let mut state = lock(&self.state);
        state.closed = true;
        state.remove(|_| true)
    }

    /// Jobs that have lain here since before `moment` for want of a slot: other workers may have
    /// one. Until the next job has ended none is held ahead.
    pub(crate) fn overdue(&self, moment: Timestamp) -> Vec<Assigned> {
        let mut state = lock(&self.state);
        let overdue = state.remove(|job| job.held_since < moment);
        if !overdue.is_empty() {
            state.slots.slow_down();
        }
        overdue
    }

    /// Neither running nor waiting for a slot.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.state).slots.is_empty()
    }

    pub(crate) fn running(&self) -> usize {
        lock(&self.state).slots.running()
    }

    /// A handler has ended: its slot is free.
    pub(crate) fn ended(&self, kind: usize, ran: Duration) {
        let mut state = lock(&self.state);
        state.slots.ended(kind, ran);
        if state.slots.worth_claiming() {
            self.freed.notify_one();
        }
    }

    /// Waits until no runner is left.
    pub(crate) async fn quiet(&self) {
        loop {
            let quiet = self.quiet.notified();
            tokio::pin!(quiet);
            quiet.as_mut().enable();
            if lock(&self.state).runners == 0 {
                return;
            }
            quiet.await;
        }
    }

    /// The next job that may begin. None: the runner has to end, and is already counted out.
    fn take(&self) -> Option<Assigned> {
        let mut state = lock(&self.state);
        let next = state.jobs.iter().position(|job| state.slots.may_begin(job.kind));
        let job = next.and_then(|i| state.jobs.remove(i));
        match &job {
            Some(job) => state.slots.began(job.kind),
            None => self.leave(&mut state),
        }
        job
    }

    fn leave(&self, state: &mut State) {
        state.runners -= 1;
        if state.runners == 0 {
            self.quiet.notify_waiters();
        }
    }

    /// How many runners to start, already counted in.
    fn hire(&self) -> usize {
        let mut state = lock(&self.state);
        let looking = state.runners - state.waiting;
        let wanted = state.jobs.len().min(self.parallel).saturating_sub(looking);
        let hired = wanted.min(self.concurrency - state.runners);
        state.runners += hired;
        hired
    }

    fn waits(&self, waits: bool) {
        let mut state = lock(&self.state);
        if waits {
            state.waiting += 1;
        } else {
            state.waiting -= 1;
        }
    }
}

impl State {
    fn remove(&mut self, which: impl Fn(&Assigned) -> bool) -> Vec<Assigned> {
        let (out, keep) = self.jobs.drain(..).partition(which);
        self.jobs = keep;
        let out: VecDeque<Assigned> = out;
        for job in &out {
            self.slots.given_back(job.kind);
        }
        out.into()
    }
}

/// Starts as many runners as there is work and room for.
pub(crate) fn work(shared: &Arc<Shared>) {
    for _ in 0..shared.desk.hire() {
        let runner = Runner { shared: Arc::clone(shared), counted: true, waits: false };
        shared.spawn(runner.run());
    }
}

/// One task that runs one job after the other.
struct Runner {
    shared: Arc<Shared>,
    counted: bool,
    waits: bool,
}

impl Runner {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while let Some(job) = shared.desk.take() {
            let attempt = execute::attempt(&shared, job);
            tokio::pin!(attempt);
            let done = match poll!(attempt.as_mut()) {
                Poll::Ready(done) => done,
                Poll::Pending => {
                    self.wait(true);
                    work(&shared);
                    let done = attempt.await;
                    self.wait(false);
                    done
                }
            };
            if let Some(done) = done {
                // Fails only after the settler has ended, that is after a hard stop.
                let _ = shared.settling.send(done).await;
            }
            tokio::task::coop::consume_budget().await;
        }
        self.counted = false;
    }

    fn wait(&mut self, waits: bool) {
        self.waits = waits;
        self.shared.desk.waits(waits);
    }
}

impl Drop for Runner {
    /// A runner that is dropped with its job, or falls with it, does not take its place along.
    fn drop(&mut self) {
        if self.waits {
            self.shared.desk.waits(false);
        }
        if self.counted {
            let desk = &self.shared.desk;
            desk.leave(&mut lock(&desk.state));
        }
    }
}
