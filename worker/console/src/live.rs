//! The overview is read once for everybody who looks, kept with a short history, and streamed.
//!
//! While somebody watches it is read every two seconds, else every ten; a slow store is asked less
//! often. A stream ends with the server, and after ten minutes by itself, so that whoever may no
//! longer see is asked again who they are.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use flotilla_core::clock::between;
use flotilla_core::{State as JobState, Timestamp};
use futures_util::stream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::ask::Ask;
use crate::marks::Level;
use crate::overview::{self, Overview};
use crate::pages;
use crate::shell::Badges;
use crate::trouble::Trouble;

/// Between two looks while somebody watches.
const WATCHED: Duration = Duration::from_secs(2);
/// And while nobody does.
const ALONE: Duration = Duration::from_secs(10);
/// The store is busy with us for at most one part in so many.
const IDLE_PARTS: u32 = 10;
/// An overview older than this is read anew for a page.
const FRESH: Duration = Duration::from_secs(15);
/// Points of the history: 20 minutes and more.
const POINTS: usize = 120;
/// Between two points.
const POINT: Duration = Duration::from_secs(10);
/// Streams at once.
const STREAMS: usize = 64;
/// The longest stream.
const LONGEST: Duration = Duration::from_secs(600);

/// The overview with what came before it.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    pub(crate) overview: Arc<Overview>,
    /// Jobs ended per second, oldest first.
    pub(crate) rates: Vec<f64>,
    /// Jobs that could run, oldest first.
    pub(crate) waiting: Vec<f64>,
}

/// What is kept.
#[derive(Debug)]
pub(crate) struct Live {
    latest: watch::Sender<Option<Arc<Moment>>>,
    history: Mutex<VecDeque<Point>>,
    streams: Arc<Semaphore>,
    /// Somebody began to watch.
    begun: Notify,
    stop: CancellationToken,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    at: Timestamp,
    ended: u64,
    runnable: u64,
}

impl Live {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self {
            latest: watch::Sender::new(None),
            history: Mutex::default(),
            streams: Arc::new(Semaphore::new(STREAMS)),
            begun: Notify::new(),
            stop,
        }
    }

    /// Numbers beside the navigation, from the last look.
    pub(crate) fn badges(&self) -> Badges {
        let latest = self.latest.borrow();
        let Some(moment) = latest.as_ref() else { return Badges::default() };
        let needs = moment.overview.attention.iter().filter(|it| it.level <= Level::Warn);
        Badges { attention: needs.count() as u64, dead: moment.overview.dead.total }
    }

    /// The overview as it was read a moment ago, else read now.
    pub(crate) async fn moment(
        &self,
        shared: &Shared,
        now: Timestamp,
    ) -> Result<Arc<Moment>, Trouble> {
        let latest = self.latest.borrow().clone();
        match latest {
            Some(moment) if between(moment.overview.at, now) < FRESH => Ok(moment),
            _ => self.look(shared).await,
        }
    }

    /// Forgets the last look: something was just changed.
    pub(crate) fn stale(&self) {
        self.latest.send_replace(None);
    }

    async fn look(&self, shared: &Shared) -> Result<Arc<Moment>, Trouble> {
        let now = shared.console.ops.clock.now();
        let overview = overview::gather(shared.console.sources(), now).await?;
        let (rates, waiting) = self.note(&overview);
        let moment = Arc::new(Moment { overview: Arc::new(overview), rates, waiting });
        self.latest.send_replace(Some(Arc::clone(&moment)));
        Ok(moment)
    }

    fn note(&self, overview: &Overview) -> (Vec<f64>, Vec<f64>) {
        let finished = [JobState::Completed, JobState::Cancelled, JobState::Dead];
        let point = Point {
            at: overview.at,
            ended: overview.sum(|lane| finished.iter().map(|state| lane.count(*state)).sum()),
            runnable: overview.sum(|lane| lane.load.runnable),
        };
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        if history.back().is_none_or(|last| between(last.at, point.at) >= POINT) {
            history.push_back(point);
            if history.len() > POINTS {
                history.pop_front();
            }
        }
        let points = history.make_contiguous();
        let rate = |pair: &[Point]| {
            let seconds = between(pair[0].at, pair[1].at).as_secs_f64().max(0.001);
            pair[1].ended.saturating_sub(pair[0].ended) as f64 / seconds
        };
        (points.windows(2).map(rate).collect(), points.iter().map(|p| p.runnable as f64).collect())
    }
}

/// Keeps looking until the server stops.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let live = &shared.live;
    loop {
        let began = tokio::time::Instant::now();
        if let Err(trouble) = live.look(&shared).await {
            tracing::debug!(?trouble, "the overview could not be read");
        }
        let took = began.elapsed();
        let watched = live.streams.available_permits() < STREAMS;
        let pause = if watched { WATCHED } else { ALONE }.max(took * IDLE_PARTS);
        tokio::select! {
            () = live.stop.cancelled() => return,
            () = live.begun.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// `GET /live`: for the overview its parts, for every other page a hint that time went on.
pub(crate) async fn stream(
    State(shared): State<Arc<Shared>>,
    ask: Ask,
) -> Result<Response, Trouble> {
    let permit = Arc::clone(&shared.live.streams).try_acquire_owned();
    let permit = permit.map_err(|_| Trouble::busy("too many pages are open: close some"))?;
    shared.live.begun.notify_one();
    let watching = Watching {
        latest: shared.live.latest.subscribe(),
        stop: shared.live.stop.clone(),
        ends: tokio::time::Instant::now() + LONGEST,
        fleet: ask.fleet().is_ok(),
        _permit: permit,
    };
    let events = stream::unfold(watching, |mut watching| async {
        let event = watching.next().await?;
        Some((Ok::<_, Infallible>(event), watching))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

struct Watching {
    latest: watch::Receiver<Option<Arc<Moment>>>,
    stop: CancellationToken,
    ends: tokio::time::Instant,
    fleet: bool,
    _permit: OwnedSemaphorePermit,
}

impl Watching {
    /// The next look; `None` ends the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep_until(self.ends) => return None,
                changed = self.latest.changed() => changed.ok()?,
            }
            let Some(moment) = self.latest.borrow_and_update().clone() else { continue };
            let event = Event::default().event("look");
            if !self.fleet {
                return Some(event.data("{}"));
            }
            let parts = pages::overview::parts(&moment);
            return Some(event.json_data(parts).unwrap_or_default());
        }
    }
}
