//! Who waits for what from one process: its jobs, what it said to each, and why it is over.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_core::JobContext;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::steps::MOST;
use crate::words::{self, Fault, Said};

/// Why a process is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// It ended, or was ended.
    Ended(String),
    /// It did not keep to the protocol.
    Broke(String),
}

impl Over {
    /// For people.
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Ended(why) | Self::Broke(why) => why,
        }
    }
}

/// What one job is told by its process.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A step to keep.
    Step(String, Value),
    /// It is done.
    Done(Value),
    /// It is not done.
    Failed(Fault),
    /// The process is no more.
    Over,
}

/// What a process has said to one job and the job has not heard yet: the newest state of each step,
/// then the end. So a process never waits for a job to listen.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    unheard: Mutex<Unheard>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Unheard {
    steps: BTreeMap<String, Value>,
    end: Option<Heard>,
}

impl Inbox {
    fn unheard(&self) -> MutexGuard<'_, Unheard> {
        self.unheard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next thing it is told; steps before the end. Dropped while it waits, it loses nothing.
    pub(crate) async fn next(&self) -> Heard {
        loop {
            let next = {
                let mut unheard = self.unheard();
                match unheard.steps.pop_first() {
                    Some((step, data)) => Some(Heard::Step(step, data)),
                    None => unheard.end.take(),
                }
            };
            match next {
                Some(heard) => return heard,
                None => self.news.notified().await,
            }
        }
    }

    fn step(&self, step: String, data: Value) -> Result<(), String> {
        let mut unheard = self.unheard();
        if unheard.steps.len() >= MOST && !unheard.steps.contains_key(&step) {
            return Err(format!("gave more than {MOST} checkpoints of one job"));
        }
        unheard.steps.insert(step, data);
        drop(unheard);
        self.news.notify_one();
        Ok(())
    }

    fn end(&self, end: Heard) {
        self.unheard().end.get_or_insert(end);
        self.news.notify_one();
    }
}

#[derive(Debug, Default)]
struct State {
    jobs: HashMap<String, Route>,
    over: Option<Over>,
    /// Nothing new is given to it.
    closing: bool,
    /// It has ended a job since it was started.
    useful: bool,
}

#[derive(Debug)]
struct Route {
    inbox: Arc<Inbox>,
    cx: JobContext,
    /// Nobody waits for it any more; until then it may still end it.
    abandoned: Option<Instant>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    state: Mutex<State>,
    /// Something changed that the process's keeper should look at.
    pub(crate) changed: Notify,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more job, when fewer than `room` are held. None: it is full or over, or it
    /// holds on to a job that nobody waits for.
    pub(crate) fn admit(&self, id: &str, room: usize, cx: &JobContext) -> Option<Arc<Inbox>> {
        let mut state = self.state();
        let stuck = state.jobs.values().any(|route| route.abandoned.is_some());
        let full = state.jobs.len() >= room || state.jobs.contains_key(id);
        if full || stuck || state.closing || state.over.is_some() {
            return None;
        }
        let inbox = Arc::new(Inbox::default());
        let route = Route { inbox: Arc::clone(&inbox), cx: cx.clone(), abandoned: None };
        state.jobs.insert(id.to_owned(), route);
        Some(inbox)
    }

    /// Nobody waits for the job any more; the process may still end it until `until`.
    pub(crate) fn abandon(&self, id: &str, until: Instant) {
        if let Some(route) = self.state().jobs.get_mut(id) {
            route.abandoned = Some(until);
        }
        self.changed.notify_one();
    }

    /// No more jobs; the process is to end.
    pub(crate) fn close(&self) {
        self.state().closing = true;
        self.changed.notify_one();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.state().closing
    }

    /// The process is no more.
    pub(crate) fn end(&self, over: Over) {
        let mut state = self.state();
        state.over = Some(over);
        state.jobs.drain().for_each(|(_, route)| route.inbox.end(Heard::Over));
    }

    /// Why it is no more, and whether it has been of use.
    pub(crate) fn over(&self) -> Option<(Over, bool)> {
        let state = self.state();
        state.over.clone().map(|over| (over, state.useful))
    }

    /// Until when the process may take its time with jobs that nobody waits for; none while it
    /// holds others, for whose sake it stays, or holds no such job.
    pub(crate) fn patience(&self) -> Option<Instant> {
        let state = self.state();
        let live = state.jobs.values().any(|route| route.abandoned.is_none());
        if live { None } else { state.jobs.values().filter_map(|route| route.abandoned).max() }
    }

    /// Hands a word to the job it is about. `true`: the process has room again.
    ///
    /// # Errors
    /// What is wrong with the word.
    pub(crate) fn hear(&self, kind: &str, said: Said) -> Result<bool, String> {
        let mut state = self.state();
        let id = match said.id() {
            Some(id) => id.to_owned(),
            None if state.jobs.len() == 1 => state.jobs.keys().next().cloned().unwrap_or_default(),
            None if state.jobs.is_empty() => String::new(),
            None if matches!(said, Said::Log { .. } | Said::Hello { .. }) => String::new(),
            None => return Err("names no \"id\" while it holds several jobs".to_owned()),
        };
        if let Said::Log { level, message, .. } = said {
            words::log(level, kind, &message);
            return Ok(false);
        }
        let Some(route) = state.jobs.get(&id) else {
            tracing::debug!(kind, job = id, "its process speaks of a job it does not hold");
            return Ok(false);
        };
        let end = match said {
            Said::Result { result, .. } => Heard::Done(result),
            Said::Error { fault, .. } => Heard::Failed(fault),
            Said::Checkpoint { step, data, .. } => {
                return route.inbox.step(step, data).map(|()| false);
            }
            Said::Progress { fraction, message, .. } if route.abandoned.is_none() => {
                route.cx.progress(fraction, message);
                return Ok(false);
            }
            Said::Progress { .. } | Said::Log { .. } | Said::Hello { .. } => return Ok(false),
        };
        route.inbox.end(end);
        state.jobs.remove(&id);
        state.useful = true;
        drop(state);
        self.changed.notify_one();
        Ok(true)
    }
}
