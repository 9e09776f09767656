//! A kind served by an HTTP endpoint: one attempt is one POST. Its answer is the result, or a
//! stream of lines in the words of the protocol that ends with one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flotilla_core::{Call, JobContext, JobError, LimitKey, Payload, Secret, throttle};
use flotilla_events::Signer;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::steps::{self, Steps};
use crate::words::{self, Class, Fault, Said, assignment};

/// Bytes of an error's body that are read.
const MAX_PROBLEM: usize = 16 << 10;
/// Characters of it that are told.
const MAX_TOLD: usize = 1000;

/// An endpoint that serves a kind.
#[derive(Debug)]
pub struct Endpoint {
    url: String,
    token: Option<Secret>,
    signer: Option<Signer>,
    connect_timeout: Duration,
    /// Made for the first job: it reads the system's certificates, which who enqueues does not need.
    client: OnceCell<Client>,
}

impl Endpoint {
    /// The endpoint at `url`, which is the operator's own choice: it is asked whatever it is.
    #[must_use]
    pub fn new(url: impl Into<String>, connect_timeout: Duration) -> Self {
        let (url, client) = (url.into(), OnceCell::new());
        Self { url, token: None, signer: None, connect_timeout, client }
    }

    /// Sends a bearer token.
    #[must_use]
    pub fn token(mut self, token: Option<Secret>) -> Self {
        self.token = token;
        self
    }

    /// Signs requests.
    #[must_use]
    pub fn signer(mut self, signer: Option<Signer>) -> Self {
        self.signer = signer;
        self
    }

    async fn client(&self) -> Result<&Client, JobError> {
        let make = || async {
            let none = reqwest::redirect::Policy::none();
            let client = Client::builder().no_proxy().redirect(none);
            client.connect_timeout(self.connect_timeout).build()
        };
        self.client.get_or_try_init(make).await.map_err(JobError::retry)
    }

    /// One attempt.
    pub(crate) async fn run(
        &self,
        key: &LimitKey,
        max: usize,
        payload: Payload,
        cx: &JobContext,
    ) -> Result<Bytes, JobError> {
        let mut steps = Steps::of(cx).await?;
        let id = cx.id.to_string();
        let body = assignment(&id, &payload, steps.kept(), cx)?;
        drop(payload);
        let client = self.client().await?;
        let took = Duration::ZERO; // how long a job takes says nothing of its handler's health
        let exchange = async {
            let answer = match self.request(client, &id, body, cx).send().await {
                Ok(answer) => answer,
                Err(error) => {
                    cx.called(Call::unanswered(key.clone(), took));
                    return Err(JobError::retry(unanswered(error)));
                }
            };
            let (status, headers) = (answer.status(), answer.headers().clone());
            let ended = Self::read(answer, max, &mut steps, cx).await;
            let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
            cx.called(match &ended {
                Err(Broken::Off(_)) => Call::unanswered(key.clone(), took),
                _ => Call::http(key.clone(), status.as_u16(), header, took, cx.clock.now()),
            });
            match ended {
                Ok(result) => Ok(result),
                Err(Broken::Off(error)) => Err(JobError::retry(unanswered(error))),
                Err(Broken::Job(error)) => Err(error),
            }
        };
        tokio::select! {
            biased;
            ended = exchange => ended,
            // The end of the connection tells the endpoint.
            () = cx.cancellation.cancelled() => Err(JobError::retry("stopped while it ran")),
        }
    }

    fn request(&self, client: &Client, id: &str, body: Vec<u8>, cx: &JobContext) -> RequestBuilder {
        let mut request = client
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, application/x-ndjson")
            .header("flotilla-job-id", id)
            .header("flotilla-attempt", cx.attempt)
            .header("idempotency-key", id);
        if let Some(parent) = &cx.trace.traceparent {
            request = request.header("traceparent", parent);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        if let Some(signer) = &self.signer {
            for (name, value) in signer.headers(id, cx.clock.now().as_second(), &body) {
                request = request.header(name, value);
            }
        }
        request.body(body)
    }

    async fn read(
        answer: Response,
        max: usize,
        steps: &mut Steps,
        cx: &JobContext,
    ) -> Result<Bytes, Broken> {
        let status = answer.status();
        if !status.is_success() {
            let headers = answer.headers().clone();
            let body = begin_of(answer, MAX_PROBLEM).await?;
            return Err(Broken::Job(refusal(status, &headers, &body, cx)));
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/x-ndjson")) {
            return stream(answer, max, steps, cx).await;
        }
        let body = begin_of(answer, max + 1).await?;
        if body.len() > max {
            return Err(Broken::Job(too_long(max)));
        }
        if body.trim_ascii().is_empty() {
            return Ok(Bytes::from_static(b"null"));
        }
        match serde_json::from_slice::<&serde_json::value::RawValue>(&body) {
            Ok(_) => Ok(body),
            Err(error) => Err(Broken::Job(JobError::panicked(format!(
                "the endpoint answered {status} with what is not JSON: {error}"
            )))),
        }
    }
}

/// Why there is no result.
enum Broken {
    /// The answer broke off.
    Off(reqwest::Error),
    /// What becomes of the job.
    Job(JobError),
}

impl From<reqwest::Error> for Broken {
    fn from(error: reqwest::Error) -> Self {
        Self::Off(error)
    }
}

fn unanswered(error: reqwest::Error) -> String {
    let what = flotilla_core::outcome::chain(&error.without_url(), MAX_TOLD);
    format!("the endpoint did not answer to the end: {what}")
}

fn too_long(max: usize) -> JobError {
    JobError::invalid(format!(
        "the endpoint's answer has more than {max} bytes; put large data elsewhere, or raise max_line"
    ))
}

/// Up to `max` bytes of the body; the rest is not read.
async fn begin_of(mut answer: Response, max: usize) -> Result<Bytes, reqwest::Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await? {
        let room = max - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(body.freeze())
}

/// Lines until one ends the job.
async fn stream(
    mut answer: Response,
    max: usize,
    steps: &mut Steps,
    cx: &JobContext,
) -> Result<Bytes, Broken> {
    let mut rest = BytesMut::new();
    loop {
        let Some(end) = rest.iter().position(|b| *b == b'\n') else {
            if rest.len() > max {
                return Err(Broken::Job(too_long(max)));
            }
            match answer.chunk().await? {
                Some(chunk) => rest.extend_from_slice(&chunk),
                None if rest.trim_ascii().is_empty() => {
                    let why = "the endpoint's stream ended without a result";
                    return Err(Broken::Job(JobError::retry(why)));
                }
                None => rest.extend_from_slice(b"\n"), // the last line needs no end
            }
            continue;
        };
        let line = rest.split_to(end + 1);
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let said = serde_json::from_slice(line).map_err(|error| {
            let head: String = String::from_utf8_lossy(line).chars().take(80).collect();
            let why = format!(
                "the endpoint's stream holds what is not of the protocol ({error}): {head:?}"
            );
            Broken::Job(JobError::panicked(why))
        })?;
        match said {
            Said::Progress { fraction, message, .. } => cx.progress(fraction, message),
            Said::Log { level, message, .. } => words::log(level, cx.kind.as_str(), &message),
            Said::Checkpoint { step, data, .. } => {
                steps.keep(&step, data, cx).await.map_err(Broken::Job)?;
            }
            Said::Hello { .. } => {}
            Said::Result { result, .. } => return steps::encoded(&result).map_err(Broken::Job),
            Said::Error { fault, .. } => {
                return Err(Broken::Job(fault.into_error(cx.clock.now())));
            }
        }
    }
}

/// Problem details (RFC 9457), with the class as an extension.
#[derive(Debug, Default, Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    class: Option<Class>,
}

/// What an answer that is not success means.
fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8], cx: &JobContext) -> JobError {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let now = cx.clock.now();
    let code = status.as_u16();
    let said = match (&problem.title, &problem.detail) {
        (Some(title), Some(detail)) => format!("{title}: {detail}"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => String::from_utf8_lossy(body).trim().to_owned(),
    };
    let said: String = said.chars().take(MAX_TOLD).collect();
    let message = match said.is_empty() {
        true => format!("the endpoint answered {status}"),
        false => format!("the endpoint answered {status}: {said}"),
    };
    let wait = throttle::read(code, header, now)
        .map(|throttle| flotilla_core::clock::between(now, throttle.until));
    let class = problem.class.unwrap_or_else(|| class_of(code, wait));
    let retry_after = wait.as_ref().map(Duration::as_secs_f64);
    Fault { class, message, retry_after }.into_error(now)
}

fn class_of(code: u16, wait: Option<Duration>) -> Class {
    match code {
        429 => Class::Throttled,
        503 if wait.is_some() => Class::Throttled,
        408 | 409 | 423 | 425 | 500.. => Class::Transient,
        400 | 413 | 415 | 422 => Class::Invalid,
        401 | 403 => Class::Unauthorised,
        _ => Class::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_becomes_of_the_job() {
        for (code, class) in [
            (429, Class::Throttled),
            (408, Class::Transient),
            (500, Class::Transient),
            (503, Class::Transient),
            (422, Class::Invalid),
            (401, Class::Unauthorised),
            (404, Class::Rejected),
            (302, Class::Rejected),
        ] {
            assert_eq!(class_of(code, None), class, "{code}");
        }
        assert_eq!(class_of(503, Some(Duration::ZERO)), Class::Throttled);
    }
}
