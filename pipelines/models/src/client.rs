//! Asks the model: cache, budget, calls, one repair; and why there is no answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::cells::CellWrite;
use flotilla_core::{Call, JobContext, JobError, LimitKey, Timestamp};
use serde::de::DeserializeOwned;

use crate::answer::{Completion, Failure, Said, typed};
use crate::budget::{Purse, Spent};
use crate::prompt::Prompt;
use crate::settings::Settings;
use crate::transport::{Answer, Ask, NoAnswer, Transport};

/// Why there is no answer; the local result stands, with this as its note.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// No endpoint is configured.
    #[error("no model is configured (models.base_url, models.model)")]
    Off,
    /// It is left alone for a while, since this happened.
    #[error("the model is left alone for now: {0}")]
    Paused(String),
    /// The tenant has used up its day.
    #[error(
        "the day's budget for the model is spent (models.tokens_per_day, models.money_per_day)"
    )]
    Budget,
    /// Nothing is paid for any more. It is left alone until then.
    #[error("the model's account must be paid: {why}")]
    Unpaid {
        /// What the endpoint says.
        why: String,
        /// When it is asked again.
        until: Timestamp,
    },
    /// The key does not hold, or the endpoint may not be asked.
    #[error("the model's account refuses: {0}; mend the account or models.key")]
    Account(String),
    /// It does not want to answer.
    #[error("the model refused to answer: {0}")]
    Refused(String),
    /// Its answer was wrong twice.
    #[error("the model's answer cannot be used: {0}")]
    Unusable(String),
    /// It did not answer, or with an error, as often as it was asked.
    #[error("the model did not answer: {0}")]
    Unanswered(String),
}

/// A model behind an OpenAI-compatible endpoint.
pub struct Model {
    settings: Settings,
    transport: Arc<dyn Transport>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model({} at {})", self.settings.model, self.settings.host())
    }
}

/// Waits before calls are made again: this, twice this, and so on.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest answer that is kept, in bytes: it must fit a cell.
const LARGEST_KEPT: usize = 60 * 1024;

/// How one call ended.
enum Turn {
    Said(Said),
    /// May work when it is made again, not before this.
    Again(String, Option<Duration>),
    No(Declined),
}

impl Model {
    /// A model that is asked through `transport`.
    #[must_use]
    pub fn new(settings: Settings, transport: Arc<dyn Transport>) -> Self {
        Self { settings, transport }
    }

    /// Whether pictures may be shown to it.
    #[must_use]
    pub fn sees(&self) -> bool {
        self.settings.vision_model.is_some()
    }

    /// The error of a job that waits until the account is paid; nothing when the local result is
    /// to stand. Jobs come back over the length of one pause, so that the first finds out alone.
    #[must_use]
    pub fn wait(&self, cx: &JobContext, declined: &Declined) -> Option<JobError> {
        let Declined::Unpaid { until, .. } = declined else { return None };
        let spread =
            cx.id.to_string().bytes().fold(0_u64, |sum, b| sum * 31 % 9_973 + u64::from(b))
                % self.settings.pause.as_secs().max(1);
        let later = until.as_second().saturating_add_unsigned(spread);
        self.settings.wait_for_payment.then(|| JobError::Snooze {
            until: Timestamp::from_second(later).unwrap_or(*until),
            reason: format!("{declined}; mend the account, then the jobs go on by themselves"),
        })
    }

    /// Asks, and reads the answer into `T`, which must refuse fields it does not know. `check` may
    /// find more that is wrong; a wrong answer is mended once.
    ///
    /// # Errors
    /// See [`Declined`]. Trouble with the fleet's cells counts as no answer, too.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        cx: &JobContext,
        prompt: &Prompt,
        check: impl Fn(&T) -> Result<(), String>,
    ) -> Result<T, Declined> {
        if !self.settings.is_on() {
            return Err(Declined::Off);
        }
        let kept = format!("models/answer/{}/{}", cx.tenant, prompt.digest(&self.settings));
        if let Some(value) = self.read(cx, &kept).await
            && let Some(answer) = std::str::from_utf8(&value).ok().and_then(|t| typed(t).ok())
            && check(&answer).is_ok()
        {
            return Ok(answer);
        }
        if let Some(why) = self.read(cx, &self.pause_key()).await {
            return Err(Declined::Paused(String::from_utf8_lossy(&why).into_owned()));
        }
        if let Some(declined) = self.unpaid(cx).await {
            return Err(declined);
        }
        let mut wrong: Option<(String, String)> = None;
        for _ in 0..2 {
            let (text, problem) = match self.turn(cx, prompt, wrong.as_ref()).await? {
                Said::Text(text) => match typed::<T>(&text).and_then(|answer| {
                    check(&answer)?;
                    Ok(answer)
                }) {
                    Ok(answer) => {
                        self.keep(cx, kept, text).await;
                        return Ok(answer);
                    }
                    Err(problem) => (text, problem),
                },
                Said::Refused(why) => return Err(Declined::Refused(short(&why))),
                Said::Unusable(text, problem) => (text, problem),
            };
            wrong = Some((text, short(&problem)));
        }
        Err(Declined::Unusable(wrong.map(|(_, problem)| problem).unwrap_or_default()))
    }

    /// One question, asked again where that may help, within the budget.
    async fn turn(
        &self,
        cx: &JobContext,
        prompt: &Prompt,
        wrong: Option<&(String, String)>,
    ) -> Result<Said, Declined> {
        let settings = &self.settings;
        let (input, output) = (prompt.tokens(), u64::from(settings.max_output_tokens));
        let cost = self.cost(input, output);
        let most = Spent {
            tokens: settings.tokens_per_day,
            micros: (settings.money_per_day * 1e6) as u64,
        };
        let purse = Purse::new(&*cx.cells, &cx.tenant, most, cx.clock.now());
        let body = serde_json::to_vec(&prompt.request(settings, wrong))
            .map(Bytes::from)
            .map_err(|error| Declined::Unusable(error.to_string()))?;
        let mut last = String::new();
        for attempt in 0..=settings.retries {
            let taken = purse.take(cost, cx.clock.now()).await;
            match taken {
                Ok(true) => {}
                Ok(false) => return Err(Declined::Budget),
                Err(error) => return Err(Declined::Unanswered(error.to_string())),
            }
            let (turn, used) = self.call(cx, body.clone()).await;
            // An answer that does not tell is taken to have cost the most; none cost nothing.
            let actual = match (&turn, used) {
                (_, Some((input, output))) => self.cost(input, output),
                (Turn::Said(_), None) => cost,
                _ => Spent::default(),
            };
            // A purse that cannot be reached keeps what was taken: it errs on the side of thrift.
            _ = purse.settle(cost, actual, cx.clock.now()).await;
            match turn {
                Turn::Said(said) => return Ok(said),
                Turn::No(declined) => {
                    return Err(self.left_alone(cx, declined).await);
                }
                Turn::Again(why, after) => {
                    let wait = after.unwrap_or(FIRST_WAIT * 2u32.pow(attempt.min(8)));
                    last = why;
                    if after.is_some_and(|after| after > settings.max_wait) {
                        self.pause(cx, &last, wait).await;
                        return Err(Declined::Unanswered(last));
                    }
                    if attempt < settings.retries {
                        tokio::time::sleep(wait.min(settings.max_wait)).await;
                    }
                }
            }
        }
        self.pause(cx, &last, settings.pause).await;
        Err(Declined::Unanswered(last))
    }

    fn cost(&self, input: u64, output: u64) -> Spent {
        Spent { tokens: input + output, micros: self.settings.micros(input, output) }
    }

    /// One call; tells the limits and the breaker how it went. With it what was used, if it says.
    async fn call(&self, cx: &JobContext, body: Bytes) -> (Turn, Option<(u64, u64)>) {
        let settings = &self.settings;
        let mut headers = vec![("content-type", "application/json".to_owned())];
        headers.extend(
            settings.key.iter().map(|k| ("authorization", format!("Bearer {}", k.expose()))),
        );
        let url = settings.url();
        let (timeout, max_answer) = (settings.timeout, settings.max_answer);
        let begun = cx.clock.now();
        let answered =
            self.transport.post(Ask { url: &url, headers, body, timeout, max_answer }).await;
        let now = cx.clock.now();
        let took = Duration::try_from(now.duration_since(begun)).unwrap_or_default();
        let key = LimitKey::of(&["models", settings.host()]);
        match answered {
            Err(NoAnswer::Forbidden(why)) => {
                (Turn::No(Declined::Account(format!("its address may not be asked: {why}"))), None)
            }
            Err(NoAnswer::Unreachable(why)) => {
                cx.called(Call::unanswered(key, took));
                (Turn::Again(why, None), None)
            }
            Ok(answer) => {
                let header = |name: &str| answer.header(name);
                let call = Call::http(key, answer.status, header, took, now);
                let after = call.throttle.as_ref().and_then(|_| retry_after(&answer));
                cx.called(call);
                self.judge(&answer, after)
            }
        }
    }

    fn judge(&self, answer: &Answer, after: Option<Duration>) -> (Turn, Option<(u64, u64)>) {
        if (200..300).contains(&answer.status) {
            return match serde_json::from_slice::<Completion>(&answer.body) {
                Ok(completion) => {
                    let used = completion.usage.map(|u| (u.prompt_tokens, u.completion_tokens));
                    (Turn::Said(completion.said()), used)
                }
                // A stream that broke off looks like this.
                Err(error) => {
                    (Turn::Again(format!("its answer is no completion: {error}"), None), None)
                }
            };
        }
        let failure = Failure::read(&answer.body);
        let mut why = format!("HTTP {}", answer.status);
        let said = failure.text();
        if !said.is_empty() {
            // Some servers repeat the key they were shown.
            let key = self.settings.key.as_ref().map_or("\0", |key| key.expose());
            why = format!("{why}: {}", said.replace(key, "***"));
        }
        let turn = match answer.status {
            _ if answer.status == 402 || failure.is_billing() => {
                Turn::No(Declined::Unpaid { why, until: Timestamp::UNIX_EPOCH })
            }
            401 | 403 => Turn::No(Declined::Account(why)),
            408 | 409 | 425 | 429 | 500.. => Turn::Again(why, after),
            _ => Turn::No(Declined::Unanswered(why)),
        };
        (turn, None)
    }

    fn pause_key(&self) -> String {
        format!("models/pause/{}/{}", self.settings.host(), self.settings.model)
    }

    fn unpaid_key(&self) -> String {
        format!("models/unpaid/{}", self.settings.host())
    }

    /// Whether somebody of the fleet has found the account unpaid of late.
    async fn unpaid(&self, cx: &JobContext) -> Option<Declined> {
        let cells = cx.cells.read(&[self.unpaid_key()], cx.clock.now()).await.ok()?;
        let cell = cells.into_iter().next()??;
        let why = String::from_utf8_lossy(&cell.value).into_owned();
        Some(Declined::Unpaid { why, until: cell.expires_at.unwrap_or_else(|| cx.clock.now()) })
    }

    /// Leaves an endpoint alone whose account refuses, and says so where somebody looks.
    async fn left_alone(&self, cx: &JobContext, declined: Declined) -> Declined {
        let wait = self.settings.pause.max(Duration::from_secs(1));
        match declined {
            Declined::Unpaid { why, .. } => {
                let why = short(&why);
                tracing::error!(
                    host = self.settings.host(),
                    "the model's account must be paid: {why}"
                );
                self.put(cx, self.unpaid_key(), why.clone().into(), wait).await;
                let end = cx.clock.now().as_second().saturating_add_unsigned(wait.as_secs());
                let until = Timestamp::from_second(end).unwrap_or(Timestamp::MAX);
                Declined::Unpaid { why, until }
            }
            Declined::Account(why) => {
                tracing::error!(host = self.settings.host(), "the model's account refuses: {why}");
                self.pause(cx, &why, self.settings.pause).await;
                Declined::Account(why)
            }
            other => other,
        }
    }

    async fn read(&self, cx: &JobContext, key: &str) -> Option<Bytes> {
        let cells = cx.cells.read(&[key.to_owned()], cx.clock.now()).await.ok()?;
        Some(cells.into_iter().next()??.value)
    }

    /// Leaves the endpoint alone, in the whole fleet.
    async fn pause(&self, cx: &JobContext, why: &str, wait: Duration) {
        let wait =
            wait.clamp(self.settings.pause.min(Duration::from_secs(1)), Duration::from_secs(3600));
        self.put(cx, self.pause_key(), short(why).into(), wait).await;
    }

    async fn keep(&self, cx: &JobContext, key: String, answer: String) {
        if !self.settings.cache.is_zero() && answer.len() <= LARGEST_KEPT {
            self.put(cx, key, answer.into(), self.settings.cache).await;
        }
    }

    /// Writes a cell that nobody depends on: when somebody is faster or the cells are away, then
    /// without.
    async fn put(&self, cx: &JobContext, key: String, value: Bytes, wait: Duration) {
        let now = cx.clock.now();
        let expect = match cx.cells.read(std::slice::from_ref(&key), now).await {
            Ok(cells) => cells.into_iter().next().flatten().map_or(0, |cell| cell.version),
            Err(_) => return,
        };
        let end = now.as_second().saturating_add_unsigned(wait.as_secs());
        let expires_at = Timestamp::from_second(end).ok();
        _ = cx.cells.write(&[CellWrite { key, expect, value: Some(value), expires_at }], now).await;
    }
}

/// What the headers say about when to come back.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let millis = answer.header("retry-after-ms").and_then(|text| text.trim().parse::<u64>().ok());
    let seconds = || answer.header("retry-after")?.trim().parse::<f64>().ok();
    millis.map(Duration::from_millis).or_else(|| Duration::try_from_secs_f64(seconds()?).ok())
}

/// At most 300 characters.
fn short(text: &str) -> String {
    text.chars().take(300).collect()
}
