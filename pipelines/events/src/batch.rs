//! Several events to one subscriber in one attempt: each in its turn, and a mark after each, so
//! that a later attempt goes on behind it.
//!
//! What is refused for good does not keep back what comes after it; in the end the delivery is a
//! dead letter that names it, and a replay sends that alone. An attempt that got further and then
//! failed costs nothing, so a long batch has as many attempts as a single event.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::cells::CellWrite;
use flotilla_core::clock::{after, before};
use flotilla_core::event::CloudEvent;
use flotilla_core::{JobContext, JobError, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Sink, SinkError};

/// Marks outlive every dead letter that might be replayed.
const KEEP: Duration = Duration::from_secs(90 * 24 * 3600);
/// No event is begun when less than this is left of the attempt.
const LEAST: Duration = Duration::from_secs(20);
/// How long a subscriber that took some and then failed is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// How far a delivery is.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// All before it were taken or refused.
    next: usize,
    /// Of these, those that were refused.
    refused: BTreeSet<usize>,
}

/// The mark of one delivery, and where it is kept.
struct Page<'a> {
    cx: &'a JobContext,
    cell: String,
    mark: Mark,
    /// What was read or written last; a delivery of one event has no mark.
    kept: Option<(u64, Mark)>,
}

/// Hands over all events that were not yet taken, in their order.
///
/// # Errors
/// A snooze where it got further and has to go on later; a retry where it did not; a rejection
/// once all that can be taken was, if some were refused.
pub async fn send_all(
    sink: &dyn Sink,
    events: &[&CloudEvent],
    cx: &JobContext,
) -> Result<(), JobError> {
    let mut page = Page::open(cx, events.len()).await?;
    let again = page.mark.next >= events.len(); // a replay: what was refused, once more
    let todo: Vec<usize> = if again {
        page.mark.refused.iter().copied().collect()
    } else {
        (page.mark.next..events.len()).collect()
    };
    let (mut moved, mut why) = (false, None);
    for at in todo {
        let now = cx.clock.now();
        if moved && (cx.is_cancelled() || now > before(cx.deadline, LEAST)) {
            page.keep().await;
            return Err(page.later(now, events.len(), "the rest has its turn"));
        }
        // The mark of the one before travels while this one is under way.
        let (sent, ()) = tokio::join!(sink.send(events[at], now), page.keep());
        match sent {
            Ok(()) => drop(page.mark.refused.remove(&at)),
            Err(SinkError::Refused(reason)) => {
                page.mark.refused.insert(at);
                why.get_or_insert(reason);
            }
            Err(SinkError::Later { reason, after: wish }) if moved => {
                let until = after(cx.clock.now(), wish.unwrap_or(PAUSE));
                return Err(page.later(until, events.len(), &reason));
            }
            Err(error) => return Err(error.into()),
        }
        page.mark.next = page.mark.next.max(at + 1);
        moved = true;
    }
    let refused = page.mark.refused.len();
    match why {
        None => {
            page.forget().await;
            Ok(())
        }
        Some(reason) if events.len() == 1 => Err(SinkError::Refused(reason).into()),
        Some(reason) => {
            page.keep().await;
            let of = events.len();
            Err(JobError::rejected(format!(
                "{refused} of {of} events were refused, and a replay sends only these; the first \
                 because: {reason}"
            )))
        }
    }
}

impl<'a> Page<'a> {
    async fn open(cx: &'a JobContext, events: usize) -> Result<Self, JobError> {
        let mut page =
            Self { cx, cell: format!("deliver/{}", cx.id), mark: Mark::default(), kept: None };
        if events < 2 {
            return Ok(page);
        }
        let read = cx.cells.read(std::slice::from_ref(&page.cell), cx.clock.now()).await;
        let cell = read.map_err(JobError::retry)?.into_iter().next().flatten();
        let version = cell.as_ref().map_or(0, |cell| cell.version);
        // A mark that cannot be read begins anew: receivers tell repeated events by their ids.
        page.mark =
            cell.and_then(|cell| serde_json::from_slice(&cell.value).ok()).unwrap_or_default();
        page.kept = Some((version, page.mark.clone()));
        Ok(page)
    }

    /// Writes the mark down, if it has moved. One that cannot be written repeats events after a
    /// crash, and that is all.
    async fn keep(&mut self) {
        let Some((_, kept)) = &self.kept else { return };
        if *kept != self.mark
            && let Ok(value) = serde_json::to_vec(&self.mark)
        {
            self.write(Some(Bytes::from(value))).await;
        }
    }

    async fn forget(&mut self) {
        if self.kept.as_ref().is_some_and(|(version, _)| *version > 0) {
            self.write(None).await;
        }
    }

    async fn write(&mut self, value: Option<Bytes>) {
        let Some((expect, _)) = self.kept else { return };
        let now = self.cx.clock.now();
        let (key, expires_at) = (self.cell.clone(), Some(after(now, KEEP)));
        let change = CellWrite { key, expect, value, expires_at };
        let written = self.cx.cells.write(&[change], now).await;
        if !matches!(written.as_deref(), Ok([true])) {
            return;
        }
        let read = self.cx.cells.read(std::slice::from_ref(&self.cell), now).await;
        if let Ok(Some(cell)) = read.map(|cells| cells.into_iter().next().flatten()) {
            self.kept = Some((cell.version, self.mark.clone()));
        }
    }

    fn later(&self, until: Timestamp, of: usize, why: &str) -> JobError {
        let reason = format!("{} of {of} events are delivered; {why}", self.mark.next);
        JobError::Snooze { until, reason }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use flotilla_core::event::DELIVER;
    use flotilla_core::{Clock, CpuPool, DeadClass, JobId, ManualClock};

    use super::*;

    /// Takes events, unless it was told otherwise.
    #[derive(Debug, Default)]
    struct Ear {
        heard: Mutex<Vec<String>>,
        refuses: Mutex<BTreeSet<String>>,
        fails: Mutex<BTreeSet<String>>,
        /// Each event takes so long.
        takes: Duration,
        clock: Arc<ManualClock>,
    }

    #[async_trait]
    impl Sink for Ear {
        async fn send(&self, event: &CloudEvent, _: Timestamp) -> Result<(), SinkError> {
            self.clock.advance(self.takes);
            if self.fails.lock().unwrap().contains(&event.id) {
                return Err(SinkError::later("not now"));
            }
            if self.refuses.lock().unwrap().contains(&event.id) {
                return Err(SinkError::Refused("never".into()));
            }
            self.heard.lock().unwrap().push(event.id.clone());
            Ok(())
        }
    }

    impl Ear {
        fn heard(&self) -> String {
            std::mem::take(&mut *self.heard.lock().unwrap()).concat()
        }

        fn set(of: &Mutex<BTreeSet<String>>, ids: &[&str]) {
            *of.lock().unwrap() = ids.iter().map(|id| (*id).to_owned()).collect();
        }
    }

    fn events(ids: &str) -> Vec<CloudEvent> {
        let event = |id: char| {
            let json = serde_json::json!({"specversion": "1.0", "id": id.to_string(),
                "source": "/f", "type": "t"});
            serde_json::from_value(json).unwrap()
        };
        ids.chars().map(event).collect()
    }

    fn context(ear: &Ear) -> JobContext {
        let clock: Arc<dyn Clock> = ear.clock.clone();
        JobContext::detached(JobId::derived("d"), DELIVER, clock, CpuPool::new(1))
    }

    async fn attempt(ear: &Ear, events: &[CloudEvent], cx: &JobContext) -> Result<(), JobError> {
        send_all(ear, &events.iter().collect::<Vec<_>>(), cx).await
    }

    #[tokio::test]
    async fn all_arrive_in_order_and_an_attempt_goes_on_behind_the_last_one() {
        let (ear, events) = (Ear::default(), events("abcd"));
        let cx = context(&ear);
        Ear::set(&ear.fails, &["c"]);
        let error = attempt(&ear, &events, &cx).await.unwrap_err();
        assert!(matches!(error, JobError::Snooze { .. }), "it got further: {error:?}");
        assert!(error.text(200).contains("2 of 4"), "{error:?}");
        let error = attempt(&ear, &events, &cx).await.unwrap_err();
        assert!(matches!(error, JobError::Retry { .. }), "it did not: {error:?}");
        assert_eq!(ear.heard(), "ab");
        Ear::set(&ear.fails, &[]);
        attempt(&ear, &events, &cx).await.unwrap();
        assert_eq!(ear.heard(), "cd");
    }

    #[tokio::test]
    async fn a_refused_event_keeps_nothing_back_and_a_replay_sends_it_alone() {
        let (ear, events) = (Ear::default(), events("abcd"));
        let cx = context(&ear);
        Ear::set(&ear.refuses, &["b", "d"]);
        for heard in ["ac", ""] {
            let error = attempt(&ear, &events, &cx).await.unwrap_err();
            assert!(matches!(error, JobError::Fail { class: DeadClass::Rejected, .. }));
            assert!(error.text(200).starts_with("2 of 4 events were refused"), "{error:?}");
            assert_eq!(ear.heard(), heard);
        }
        Ear::set(&ear.refuses, &["d"]);
        attempt(&ear, &events, &cx).await.unwrap_err();
        Ear::set(&ear.refuses, &[]);
        attempt(&ear, &events, &cx).await.unwrap();
        assert_eq!(ear.heard(), "bd");
    }

    #[tokio::test]
    async fn a_slow_subscriber_costs_no_attempt_and_one_that_is_told_to_stop_ends() {
        let ear = Ear { takes: Duration::from_secs(15), ..Ear::default() };
        let (events, mut cx) = (events("abcdef"), context(&ear));
        let mut turns = Vec::new();
        loop {
            cx.deadline = after(ear.clock.now(), Duration::from_secs(60));
            let done = attempt(&ear, &events, &cx).await;
            turns.push(ear.heard());
            match done {
                Ok(()) => break,
                Err(error) => assert!(matches!(error, JobError::Snooze { .. }), "{error:?}"),
            }
        }
        assert_eq!(turns, ["abc", "def"]);
        cx = context(&ear);
        cx.cancellation.cancel();
        attempt(&ear, &events, &cx).await.unwrap_err();
        assert_eq!(ear.heard(), "a");
    }

    #[tokio::test]
    async fn one_event_is_judged_as_its_sink_says_and_leaves_no_mark() {
        let (ear, events) = (Ear::default(), events("a"));
        let cx = context(&ear);
        Ear::set(&ear.refuses, &["a"]);
        let error = attempt(&ear, &events, &cx).await.unwrap_err();
        assert_eq!(error.text(100), "never");
        Ear::set(&ear.refuses, &[]);
        attempt(&ear, &events, &cx).await.unwrap();
        let now = cx.clock.now();
        assert!(cx.cells.list("", None, 10, now).await.unwrap().is_empty());
    }
}
