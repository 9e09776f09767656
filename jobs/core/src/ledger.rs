//! The effect ledger: what a job has done to the world, kept in cells of its own.
//!
//! [`JobContext::effect`] makes an irreversible call at most once for each job, name and key;
//! [`JobContext::once`] keeps the result of a step that may be repeated, so that a later attempt
//! goes on behind it. Waiting for certainty costs no attempt.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::cells::{CellWrite, Cells};
use crate::clock::after;
use crate::effect::{Entry, ReadBack, SETTLE, Safety, SendError, Step, next};
use crate::handler::JobContext;
use crate::outcome::{JobError, chain};
use crate::queue::QueueError;
use crate::state::DeadClass;

/// How long entries are kept: longer than any dead letter that could be replayed.
const KEEP: Duration = Duration::from_secs(90 * 24 * 3600);

/// How long a job waits while the ledger cannot be read or written.
const UNREACHABLE: Duration = Duration::from_secs(2);

/// Tries to record an outcome, a second apart. What is never recorded is read back.
const RECORDINGS: u32 = 5;

/// Longest text of an unclear answer, in bytes.
const MAX_UNSURE: usize = 1024;

type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type Look<'a, T> = Box<dyn FnOnce() -> Later<'a, Result<ReadBack<T>, JobError>> + Send + 'a>;

/// An irreversible call that is about to be made; awaiting it makes it, at most once.
#[must_use = "an effect happens when it is awaited"]
pub struct Effect<'a, T, F> {
    page: Page<'a>,
    send: F,
    look: Option<Look<'a, T>>,
    verifiable: bool,
    safety: Safety,
    settle: Duration,
}

impl JobContext {
    /// An irreversible call: `send` is made at most once for this job, `name` and `key`, whatever
    /// crashes when. Its result is kept, at most 64 KiB of JSON: keep handles, not bodies.
    ///
    /// Without [`verify`](Effect::verify), a call whose outcome was lost makes the job a dead
    /// letter of class `outcome_unknown`.
    pub fn effect<'a, T, F, Fut>(&'a self, name: &'a str, key: &'a str, send: F) -> Effect<'a, T, F>
    where
        F: FnOnce() -> Fut + Send + 'a,
        Fut: Future<Output = Result<T, SendError>> + Send + 'a,
    {
        let page = Page { cx: self, name, cell: format!("effect/{}/{name}/{key}", self.id) };
        Effect { page, send, look: None, verifiable: false, safety: Safety::Never, settle: SETTLE }
    }

    /// A step whose result is kept: later attempts get that instead of running `work` again. A
    /// crash before it is kept runs it again, so it must be harmless to repeat.
    ///
    /// # Errors
    /// What `work` says; a snooze while the ledger cannot be reached.
    pub async fn once<T, Fut>(
        &self,
        step: &str,
        work: impl FnOnce() -> Fut + Send,
    ) -> Result<T, JobError>
    where
        T: Serialize + DeserializeOwned + Send,
        Fut: Future<Output = Result<T, JobError>> + Send,
    {
        let page = Page { cx: self, name: step, cell: format!("once/{}/{step}", self.id) };
        let (entry, version) = page.read().await?;
        if let Some(Entry::Done { result, .. }) = entry {
            return page.decode(result);
        }
        let value = work().await?;
        let result = page.encode(&value)?;
        page.record(version, &Entry::Done { at: self.clock.now(), result }).await;
        Ok(value)
    }

    /// Keeps what a step came to, in the place of what it came to before, for code that names its
    /// steps itself. Kept where [`once`](Self::once) keeps, under the same bounds.
    ///
    /// # Errors
    /// A snooze while the ledger cannot be reached; `invalid` when the value is too large.
    pub async fn keep(&self, step: &str, value: &Value) -> Result<(), JobError> {
        let page = Page { cx: self, name: step, cell: format!("once/{}/{step}", self.id) };
        let (_, version) = page.read().await?;
        let result = page.encode(value)?;
        match page.write(version, &Entry::Done { at: self.clock.now(), result }).await? {
            Some(_) => Ok(()),
            None => Err(JobError::retry(format!("another attempt keeps its step \"{step}\" too"))),
        }
    }

    /// What is kept of finished steps, by name; of the first `most` (1,000).
    ///
    /// # Errors
    /// A snooze while the ledger cannot be reached.
    pub async fn kept(&self, most: usize) -> Result<Map<String, Value>, JobError> {
        let prefix = format!("once/{}/", self.id);
        let page = Page { cx: self, name: "", cell: prefix.clone() };
        let listed = self.cells.list(&prefix, None, most, self.clock.now()).await;
        let steps =
            listed.map_err(|e| page.unreachable(&e))?.into_iter().filter_map(|(key, cell)| {
                match serde_json::from_slice(&cell.value) {
                    Ok(Entry::Done { result, .. }) => {
                        Some((key[prefix.len()..].to_owned(), result))
                    }
                    _ => None,
                }
            });
        Ok(steps.collect())
    }
}

impl<'a, T, F> Effect<'a, T, F> {
    /// How to find out whether it happened, when the answer was lost.
    pub fn verify<Fut>(mut self, read_back: impl FnOnce() -> Fut + Send + 'a) -> Self
    where
        Fut: Future<Output = Result<ReadBack<T>, JobError>> + Send + 'a,
    {
        self.look = Some(Box::new(|| Box::pin(read_back())));
        self.verifiable = true;
        self
    }

    /// What making it twice would do; [`Safety::Never`] unless said.
    pub fn safety(mut self, safety: Safety) -> Self {
        self.safety = safety;
        self
    }

    /// How long an unanswered call may still take effect; [`SETTLE`] unless said.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }
}

impl<'a, T, F, Fut> IntoFuture for Effect<'a, T, F>
where
    T: Serialize + DeserializeOwned + Send + 'a,
    F: FnOnce() -> Fut + Send + 'a,
    Fut: Future<Output = Result<T, SendError>> + Send + 'a,
{
    type Output = Result<T, JobError>;
    type IntoFuture = Later<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<'a, T, F, Fut> Effect<'a, T, F>
where
    T: Serialize + DeserializeOwned + Send + 'a,
    F: FnOnce() -> Fut + Send + 'a,
    Fut: Future<Output = Result<T, SendError>> + Send + 'a,
{
    async fn run(mut self) -> Result<T, JobError> {
        let now = self.page.cx.clock.now();
        let (entry, version) = self.page.read().await?;
        match next(entry.as_ref(), self.safety, self.verifiable, self.settle, now) {
            Step::Known(result) => self.page.decode(result),
            Step::Wait { until } => Err(self.page.wait(until)),
            Step::Surface => Err(self.page.surface(entry.as_ref())),
            Step::Send { sends } => self.send(version, sends).await,
            Step::ReadBack => {
                let Some(look) = self.look.take() else {
                    return Err(self.page.surface(entry.as_ref()));
                };
                match look().await? {
                    ReadBack::Happened(value) => {
                        let result = self.page.encode(&value)?;
                        self.page.record(version, &Entry::Done { at: now, result }).await;
                        Ok(value)
                    }
                    ReadBack::NotYet => Err(self.page.wait(after(now, self.settle))),
                    ReadBack::CannotTell => Err(self.page.surface(entry.as_ref())),
                    ReadBack::DidNot => {
                        let sends = match entry {
                            Some(Entry::Intended { sends, .. }) => sends.saturating_add(1),
                            _ => 1,
                        };
                        self.send(version, sends).await
                    }
                }
            }
        }
    }

    /// Records the intent, makes the call, records the outcome.
    async fn send(self, version: u64, sends: u32) -> Result<T, JobError> {
        let (page, cx) = (&self.page, self.page.cx);
        let stopped = || JobError::retry(format!("stopped before its effect \"{}\"", page.name));
        if cx.is_cancelled() {
            return Err(stopped());
        }
        let at = cx.clock.now();
        let intent = Entry::Intended { at, sends, unsure: None };
        let Some(version) = page.write(version, &intent).await? else {
            return Err(page.wait(after(at, self.settle))); // another holder of this job is at it
        };
        if cx.is_cancelled() {
            return Err(stopped()); // the lease may be over: the next attempt asks first
        }
        match (self.send)().await {
            Ok(value) => {
                let result = page.encode(&value);
                let kept = result.as_ref().map_or(Value::Null, Value::clone);
                page.record(version, &Entry::Done { at: cx.clock.now(), result: kept }).await;
                result.map(|_| value)
            }
            Err(SendError::Refused(error)) => {
                page.erase(version).await;
                Err(error)
            }
            Err(SendError::Unsure(error)) => {
                let unsure = Some(chain(error.as_ref(), MAX_UNSURE));
                let entry = Entry::Intended { at, sends, unsure };
                page.record(version, &entry).await;
                Err(if self.safety.repeats() {
                    JobError::retry(error)
                } else if self.verifiable {
                    page.wait(after(at, self.settle))
                } else {
                    page.surface(Some(&entry))
                })
            }
        }
    }
}

/// One entry of the ledger.
struct Page<'a> {
    cx: &'a JobContext,
    name: &'a str,
    cell: String,
}

impl Page<'_> {
    fn cells(&self) -> &Arc<dyn Cells> {
        &self.cx.cells
    }

    async fn read(&self) -> Result<(Option<Entry>, u64), JobError> {
        let keys = std::slice::from_ref(&self.cell);
        let read = self.cells().read(keys, self.cx.clock.now()).await;
        let cell = read.map_err(|e| self.unreachable(&e))?.into_iter().next().flatten();
        let Some(cell) = cell else { return Ok((None, 0)) };
        let entry = serde_json::from_slice(&cell.value).map_err(|error| {
            let message = format!("the ledger's entry {} cannot be read: {error}", self.cell);
            JobError::Fail { class: DeadClass::OutcomeUnknown, source: message.into() }
        })?;
        Ok((Some(entry), cell.version))
    }

    /// The version it has now; none when somebody was faster.
    async fn write(&self, expect: u64, entry: &Entry) -> Result<Option<u64>, JobError> {
        let value = serde_json::to_vec(entry).map_err(JobError::retry)?;
        let now = self.cx.clock.now();
        let change = CellWrite {
            key: self.cell.clone(),
            expect,
            value: Some(Bytes::from(value)),
            expires_at: Some(after(now, KEEP)),
        };
        let written = self.cells().write(std::slice::from_ref(&change), now).await;
        match written.map_err(|e| self.unreachable(&e))?.first() {
            Some(true) => {
                let (kept, version) = self.read().await?;
                Ok((kept.as_ref() == Some(entry)).then_some(version))
            }
            _ => Ok(None),
        }
    }

    /// Records what is known, as well as the ledger lets it: if it does not, the intent stays and
    /// is read back.
    async fn record(&self, expect: u64, entry: &Entry) {
        for _ in 0..RECORDINGS {
            if self.write(expect, entry).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// The call had no effect: as if it had never been tried.
    async fn erase(&self, expect: u64) {
        let (key, value, expires_at) = (self.cell.clone(), None, None);
        let change = CellWrite { key, expect, value, expires_at };
        for _ in 0..RECORDINGS {
            let now = self.cx.clock.now();
            if self.cells().write(std::slice::from_ref(&change), now).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn encode(&self, value: &impl Serialize) -> Result<Value, JobError> {
        let value = serde_json::to_value(value).map_err(JobError::invalid)?;
        let (size, most) = (value.to_string().len(), crate::cells::MAX_CELL_VALUE / 2);
        if size > most {
            let name = self.name;
            return Err(JobError::invalid(format!(
                "the result of \"{name}\" has {size} bytes; the ledger keeps at most {most}"
            )));
        }
        Ok(value)
    }

    fn decode<T: DeserializeOwned>(&self, result: Value) -> Result<T, JobError> {
        serde_json::from_value(result).map_err(|error| {
            let name = self.name;
            JobError::invalid(format!(
                "the ledger's result of \"{name}\" is of another form: {error}"
            ))
        })
    }

    fn unreachable(&self, error: &QueueError) -> JobError {
        JobError::Snooze {
            until: after(self.cx.clock.now(), UNREACHABLE),
            reason: format!("the ledger does not answer: {error}"),
        }
    }

    fn wait(&self, until: crate::clock::Timestamp) -> JobError {
        let reason = format!("waits to see whether its effect \"{}\" has happened", self.name);
        JobError::Snooze { until, reason }
    }

    fn surface(&self, entry: Option<&Entry>) -> JobError {
        let name = self.name;
        let said = match entry {
            Some(Entry::Intended { at, unsure: Some(said), .. }) => format!("at {at}: {said}"),
            Some(Entry::Intended { at, .. }) => format!("at {at} and its answer was lost"),
            _ => "at an unknown moment".to_owned(),
        };
        let source = format!(
            "its effect \"{name}\" was sent {said}; whether it happened cannot be read back: \
             look there, it is not sent again"
        );
        JobError::Fail { class: DeadClass::OutcomeUnknown, source: source.into() }
    }
}
