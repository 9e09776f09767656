//! The processes of one kind: a free one for each job, a new one where one has fallen, and a pause
//! before that when they fall again and again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flotilla_core::clock::{after, between};
use flotilla_core::retry::Backoff;
use flotilla_core::{JobContext, JobError, Kind, Timestamp};
use tokio::sync::Notify;

use crate::desk::Inbox;
use crate::process::{Process, Program};

/// The pauses before a process is started that fell before it was of use.
const AGAIN: Backoff =
    Backoff { base: Duration::from_millis(250), factor: 2.0, max: Duration::from_secs(30) };
/// Longer pauses are not waited for: the job is put off, and its slot is free for others.
const WAITED: Duration = Duration::from_secs(2);

/// The processes of one kind.
#[derive(Debug)]
pub(crate) struct Pool {
    kind: Kind,
    program: Program,
    max_line: usize,
    seats: Mutex<Vec<Seat>>,
    freed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Seat {
    process: Option<Arc<Process>>,
    starting: bool,
    /// Falls in a row without use.
    falls: u32,
    /// Not started before.
    not_before: Option<Timestamp>,
    why: String,
}

/// A job's place at a process.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) process: Arc<Process>,
    pub(crate) inbox: Arc<Inbox>,
}

enum Pick {
    Place(Place),
    Start(usize),
    Wait,
    NotBefore(Timestamp, String),
}

impl Pool {
    pub(crate) fn new(kind: Kind, program: Program, max_line: usize) -> Self {
        let seats = (0..program.processes.max(1)).map(|_| Seat::default()).collect();
        Self { kind, program, max_line, seats: Mutex::new(seats), freed: Arc::default() }
    }

    pub(crate) fn stop_grace(&self) -> Duration {
        self.program.stop_grace
    }

    /// A place for the job; waits while all are taken.
    ///
    /// # Errors
    /// A snooze when no process can be started now.
    pub(crate) async fn place(&self, id: &str, cx: &JobContext) -> Result<Place, JobError> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable(); // before the look, so that nothing is missed in between
            match self.pick(id, cx) {
                Pick::Place(place) => return Ok(place),
                Pick::Start(seat) => self.start(seat, cx).await,
                Pick::Wait => tokio::select! {
                    () = freed => {}
                    () = cx.cancellation.cancelled() => {
                        return Err(JobError::retry("stopped before a process was free"));
                    }
                },
                Pick::NotBefore(until, why) => {
                    let pause = between(cx.clock.now(), until);
                    if pause > WAITED {
                        return Err(JobError::Snooze { until, reason: why });
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = freed => {}
                        () = cx.cancellation.cancelled() => {
                            return Err(JobError::retry("stopped before its process ran"));
                        }
                    }
                }
            }
        }
    }

    fn pick(&self, id: &str, cx: &JobContext) -> Pick {
        let now = cx.clock.now();
        let mut seats = self.seats();
        seats.iter_mut().for_each(|seat| seat.clear(now));
        for process in seats.iter().filter_map(|seat| seat.process.as_ref()) {
            if let Some(inbox) = process.desk.admit(id, process.room, cx) {
                return Pick::Place(Place { process: Arc::clone(process), inbox });
            }
        }
        let empty = |seat: &Seat| seat.process.is_none() && !seat.starting;
        let due = |seat: &Seat| empty(seat) && seat.not_before.is_none_or(|at| at <= now);
        if let Some(index) = seats.iter().position(due) {
            seats[index].starting = true;
            return Pick::Start(index);
        }
        let next = seats.iter().filter(|seat| empty(seat)).min_by_key(|seat| seat.not_before);
        match next {
            Some(Seat { not_before: Some(at), why, .. }) if seats.iter().all(empty) => {
                Pick::NotBefore(*at, why.clone())
            }
            _ => Pick::Wait,
        }
    }

    async fn start(&self, index: usize, cx: &JobContext) {
        let mut starting = Starting { pool: self, index, outcome: None };
        let freed = Arc::clone(&self.freed);
        let started = Process::start(&self.program, &self.kind, self.max_line, freed).await;
        if let Err(why) = &started {
            tracing::warn!(kind = %self.kind, "{why}");
        }
        starting.outcome = Some((started, cx.clock.now()));
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Takes away a process that is no more.
    fn clear(&mut self, now: Timestamp) {
        let over = self.process.as_ref().and_then(|process| process.desk.over());
        if let Some((over, useful)) = over {
            self.process = None;
            if useful {
                self.falls = 0;
            }
            self.fell(over.why().to_owned(), now);
        }
    }

    fn fell(&mut self, why: String, now: Timestamp) {
        self.falls = self.falls.saturating_add(1);
        self.not_before = Some(after(now, AGAIN.ceiling(self.falls)));
        self.why = why;
    }
}

/// Leaves the seat empty when the attempt that starts a process is dropped.
struct Starting<'a> {
    pool: &'a Pool,
    index: usize,
    outcome: Option<(Result<Process, String>, Timestamp)>,
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let mut seats = self.pool.seats();
        let seat = &mut seats[self.index];
        seat.starting = false;
        match self.outcome.take() {
            Some((Ok(process), _)) => {
                seat.process = Some(Arc::new(process));
                seat.not_before = None;
            }
            Some((Err(why), now)) => seat.fell(why, now),
            None => {}
        }
        drop(seats);
        self.pool.freed.notify_waiters();
    }
}
