//! How many workers a lane needs: what an autoscaler asks.
//!
//! Only what may run now asks for workers. What waits for its moment (a limit, a retry, a
//! schedule), for a key (a breaker, an account), or behind a pause does not: more workers would
//! not make it run sooner. What runs keeps its workers, so a busy lane with nothing waiting never
//! asks for none.

use std::time::Duration;

use flotilla_core::clock::{before, between};
use flotilla_core::fleet::{Fleet, WorkerInfo};
use flotilla_core::queue::QueueError;
use flotilla_core::records::{Filter, LaneInfo, Page, Records};
use flotilla_core::{Lane, State, Timestamp};

/// Finished jobs that are looked at.
const SAMPLE: usize = 100;
/// What was finished longer ago says nothing of the present rate.
const LATELY: Duration = Duration::from_secs(600);
/// Workers seen within this count.
const SEEN: Duration = Duration::from_secs(30);
/// A job takes so long, as long as none of its lane has ended.
const GUESS: Duration = Duration::from_secs(1);
/// A worker has so many slots, as long as none serves the lane.
const SLOTS: usize = 32;

/// One lane, as an autoscaler sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Which.
    pub lane: Lane,
    /// Jobs that run.
    pub running: u64,
    /// Jobs that could run now, had somebody a slot for them.
    pub runnable: u64,
    /// Jobs that wait for a moment: of a limit, a retry, a schedule.
    pub scheduled: u64,
    /// Jobs that wait for a key: of a breaker, an account, an order, a flow.
    pub parked: u64,
    /// Jobs that wait for the end of a pause.
    pub paused: u64,
    /// Until what is runnable has run, at the present rate; `None`: nothing has ended lately.
    pub drain: Option<Duration>,
    /// Workers of the present size that would run it all within the time asked for.
    pub replicas: u64,
}

/// Every lane that has jobs; `within` is how long a job that may run should wait at most.
///
/// # Errors
/// When a port cannot be read.
pub async fn loads(
    records: &dyn Records,
    fleet: &dyn Fleet,
    within: Duration,
    now: Timestamp,
) -> Result<Vec<Load>, QueueError> {
    let workers = fleet.workers(before(now, SEEN)).await?;
    loads_of(records, &records.lanes().await?, &workers, within, now).await
}

/// The same for lanes and workers that were read before, in their order.
///
/// # Errors
/// When a port cannot be read.
pub async fn loads_of(
    records: &dyn Records,
    lanes: &[LaneInfo],
    workers: &[WorkerInfo],
    within: Duration,
    now: Timestamp,
) -> Result<Vec<Load>, QueueError> {
    let mut loads = Vec::with_capacity(lanes.len());
    for info in lanes {
        let pace = pace(records, &info.lane, now).await?;
        loads.push(load(info, workers, pace, within));
    }
    Ok(loads)
}

/// What the jobs that ended lately say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Pace {
    /// Jobs in a second.
    rate: Option<f64>,
    /// How long one runs.
    run: Option<Duration>,
}

async fn pace(records: &dyn Records, lane: &Lane, now: Timestamp) -> Result<Pace, QueueError> {
    let done =
        Filter { lanes: vec![lane.clone()], states: vec![State::Completed], ..Filter::default() };
    let listed = records.list(&done, Page { limit: SAMPLE, before: None }).await?;
    let ran: Vec<(Timestamp, Timestamp)> = listed
        .jobs
        .iter()
        .filter_map(|job| Some((job.started_at?, job.finished_at?)))
        .filter(|(_, end)| *end >= before(now, LATELY))
        .collect();
    let Some(first) = ran.iter().map(|(_, end)| *end).min() else { return Ok(Pace::default()) };
    let all: Duration = ran.iter().map(|(start, end)| between(*start, *end)).sum();
    let n = u32::try_from(ran.len()).unwrap_or(u32::MAX);
    let span = between(first, now).as_secs_f64().max(0.001);
    Ok(Pace { rate: Some(f64::from(n) / span), run: Some(all / n.max(1)) })
}

fn load(info: &LaneInfo, workers: &[WorkerInfo], pace: Pace, within: Duration) -> Load {
    let count = |state| info.counts.get(&state).copied().unwrap_or_default();
    let waiting = count(State::Available);
    let (runnable, paused) = if info.paused.is_some() { (0, waiting) } else { (waiting, 0) };
    let running = count(State::Running);
    let serving: Vec<usize> = workers
        .iter()
        .filter(|worker| !worker.draining && worker.lanes.contains(&info.lane))
        .map(|worker| worker.concurrency)
        .collect();
    let slots = match serving.len() {
        0 => SLOTS,
        n => (serving.iter().sum::<usize>() / n).max(1),
    };
    let drain = pace.rate.filter(|rate| *rate > 0.0).map(|rate| runnable as f64 / rate);
    Load {
        lane: info.lane.clone(),
        running,
        runnable,
        scheduled: count(State::Scheduled) + count(State::Retryable),
        parked: count(State::Parked),
        paused,
        drain: drain.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        replicas: replicas(running, runnable, pace.run.unwrap_or(GUESS), within, slots),
    }
}

/// Workers for what runs, and for what may run to be over within the time.
fn replicas(running: u64, runnable: u64, run: Duration, within: Duration, slots: usize) -> u64 {
    let wanted = runnable as f64 * run.as_secs_f64() / within.as_secs_f64().max(0.001);
    let busy = running as f64 + wanted.max(f64::from(u8::from(runnable > 0)));
    (busy / slots.max(1) as f64).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_runs_keeps_its_workers_and_what_may_run_asks_for_more() {
        let workers = |running, runnable| replicas(running, runnable, SECOND * 2, SECOND * 60, 10);
        assert_eq!(workers(0, 0), 0, "nothing to do");
        assert_eq!(workers(1, 0), 1, "busy and shallow is not idle");
        assert_eq!(workers(0, 1), 1);
        assert_eq!(workers(20, 0), 2);
        assert_eq!(workers(20, 3000), 12, "3,000 of 2 s within 60 s take 100 slots beside 20");
    }

    #[test]
    fn what_waits_for_something_else_asks_for_nobody() {
        let (lane, now) = (Lane::from_static("posts"), Timestamp::UNIX_EPOCH);
        let counts = [(State::Scheduled, 100_000), (State::Parked, 50_000), (State::Retryable, 7)];
        let mut info = LaneInfo {
            lane,
            counts: counts.into_iter().collect(),
            oldest_available: None,
            paused: None,
        };
        let held = load(&info, &[], Pace::default(), SECOND);
        assert_eq!((held.runnable, held.replicas), (0, 0));
        assert_eq!((held.scheduled, held.parked), (100_007, 50_000));
        info.counts.insert(State::Available, 64);
        let pace = Pace { rate: Some(4.0), run: Some(SECOND) };
        let some = load(&info, &[], pace, SECOND);
        assert_eq!((some.runnable, some.replicas, some.drain), (64, 2, Some(SECOND * 16)));
        let (by, reason) = ("ann".to_owned(), "maintenance".to_owned());
        info.paused = Some(flotilla_core::records::Pause { by, reason, since: now });
        let paused = load(&info, &[], pace, SECOND);
        assert_eq!((paused.runnable, paused.paused, paused.replicas), (0, 64, 0));
    }
}
