//! A kind served by child processes: one attempt as a talk with one of them.

use std::time::Duration;

use bytes::Bytes;
use flotilla_core::breaker::Answer;
use flotilla_core::clock::after;
use flotilla_core::throttle::Throttle;
use flotilla_core::{Call, JobContext, JobError, LimitKey, Payload, Timestamp};
use tokio::time::Instant;

use crate::desk::{Heard, Over};
use crate::pool::{Place, Pool};
use crate::steps::{self, Steps};
use crate::words::{Class, Told, assignment};

/// One attempt.
pub(crate) async fn run(
    pool: &Pool,
    key: &LimitKey,
    payload: Payload,
    cx: &JobContext,
) -> Result<Bytes, JobError> {
    let mut steps = Steps::of(cx).await?;
    let id = cx.id.to_string();
    let line = assignment(&id, &payload, steps.kept(), cx)?;
    drop(payload);
    let placed = pool.place(&id, cx).await;
    if let Err(JobError::Snooze { .. }) = &placed {
        cx.called(Call::unanswered(key.clone(), Duration::ZERO));
    }
    let mut talk = Talk { place: placed?, id, grace: pool.stop_grace(), ended: false };
    let heard = talk.until_end(line, &mut steps, cx).await?;
    let now = cx.clock.now();
    let (answer, throttle) = judged(&heard, now);
    // How long a job takes says nothing of its handler's health.
    cx.called(Call { key: key.clone(), answer, took: Duration::ZERO, throttle });
    match heard {
        Heard::Done(result) => steps::encoded(&result),
        Heard::Failed(fault) => Err(fault.into_error(now)),
        Heard::Step(..) | Heard::Over => Err(match talk.place.process.desk.over() {
            Some((Over::Broke(why), _)) => JobError::panicked(why),
            Some((Over::Ended(why), _)) => JobError::retry(why),
            None => JobError::retry("its process is gone"),
        }),
    }
}

/// What the end of a job says of its handler's health: a clear no is a good answer.
fn judged(heard: &Heard, now: Timestamp) -> (Option<Answer>, Option<Throttle>) {
    let fault = match heard {
        Heard::Failed(fault) => fault,
        Heard::Done(_) => return (Some(Answer::Good), None),
        Heard::Step(..) | Heard::Over => return (Some(Answer::Bad), None),
    };
    match fault.class {
        Class::Throttled => {
            let reason = "the handler says so".to_owned();
            (None, fault.after().map(|wait| Throttle { until: after(now, wait), reason }))
        }
        Class::Transient | Class::Timeout | Class::Panic => (Some(Answer::Bad), None),
        _ => (Some(Answer::Good), None),
    }
}

/// One job at one process. Dropped before its end, it tells the process to stop.
struct Talk {
    place: Place,
    id: String,
    grace: Duration,
    ended: bool,
}

impl Talk {
    async fn until_end(
        &mut self,
        line: Vec<u8>,
        steps: &mut Steps,
        cx: &JobContext,
    ) -> Result<Heard, JobError> {
        let told = &self.place.process.told;
        tokio::select! {
            _ = told.send(line) => {} // one that is over says so below
            () = cx.cancellation.cancelled() => {
                return Err(JobError::retry("stopped before it was handed over"));
            }
        }
        let mut cancelled = false;
        loop {
            let heard = tokio::select! {
                biased;
                heard = self.place.inbox.next() => heard,
                () = cx.cancellation.cancelled(), if !cancelled => {
                    cancelled = true;
                    self.cancel();
                    continue;
                }
            };
            let Heard::Step(step, data) = heard else {
                self.ended = true;
                return Ok(heard);
            };
            steps.keep(&step, data, cx).await?;
            if let Ok(line) = (Told::Kept { id: &self.id, step: &step }).line() {
                let _ = told.send(line).await;
            }
        }
    }

    fn cancel(&self) {
        if let Ok(line) = (Told::Cancel { id: &self.id }).line() {
            let _ = self.place.process.told.try_send(line); // one that does not read is killed later
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if !self.ended {
            self.cancel();
            self.place.process.desk.abandon(&self.id, Instant::now() + self.grace);
        }
    }
}
