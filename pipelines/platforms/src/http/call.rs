//! Any call through the same guard: for interfaces, which have methods, headers and answers.
//!
//! A failure says whether the request can have arrived, because an irreversible call that was
//! never sent may be sent, and one that was not answered must be asked about first.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use reqwest::multipart::Form;
use reqwest::{Body, Method};
use url::Url;

use super::{FIRST_CAPACITY, FetchError, Fetcher, failed, parse, shown};
use crate::guard::Passage;

/// A call that is about to be made.
#[derive(Debug)]
pub struct Outgoing {
    /// How.
    pub method: Method,
    /// Where to.
    pub url: String,
    /// Its headers besides what the body brings along.
    pub headers: Vec<(String, String)>,
    /// What it carries.
    pub content: Content,
    /// Longest time until the whole answer is there.
    pub timeout: Duration,
    /// Most bytes of an answer.
    pub max_answer: usize,
}

/// What a call carries.
#[derive(Debug)]
pub enum Content {
    /// Nothing.
    None,
    /// Bytes or a stream of them, and how many there are.
    Body(Body, u64),
    /// Fields and a file, `multipart/form-data`.
    Form(Form),
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// A header, where it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Its body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// It certainly did not arrive.
    #[error(transparent)]
    NotSent(FetchError),
    /// It may have arrived.
    #[error(transparent)]
    Unanswered(FetchError),
}

impl Fetcher {
    /// Makes one call and reads its answer, whatever its status. Redirects are not followed.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn send(&self, call: Outgoing) -> Result<Answer, NoAnswer> {
        self.send_from(call, None).await
    }

    /// As [`send`](Self::send), for an account that an operator placed at `home`, a sandbox for
    /// example: what lies at that origin passes the guard wherever it is.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn send_from(&self, call: Outgoing, home: Option<&str>) -> Result<Answer, NoAnswer> {
        let url = parse(&call.url).map_err(NoAnswer::NotSent)?;
        let home = home.and_then(|home| Url::parse(home).ok());
        let web = matches!(url.scheme(), "http" | "https");
        let client = if web && home.is_some_and(|home| home.origin() == url.origin()) {
            self.client(Passage::Excepted).await.map_err(|error| failed(&url, &error))
        } else {
            self.admitted(&url).await
        };
        let client = client.map_err(NoAnswer::NotSent)?;
        let mut request = client.request(call.method, url.clone());
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        request = match call.content {
            Content::None => request,
            Content::Body(body, length) => request.header("content-length", length).body(body),
            Content::Form(form) => request.multipart(form),
        };
        let asking = async {
            let response = request.send().await.map_err(|error| {
                let sent = !error.is_connect() && !error.is_builder();
                let why = failed(&url, &error);
                let refused = matches!(why, FetchError::Blocked { .. });
                if sent && !refused { NoAnswer::Unanswered(why) } else { NoAnswer::NotSent(why) }
            })?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = whole(response, &url, call.max_answer).await?;
            Ok(Answer { status, headers, body })
        };
        match tokio::time::timeout(call.timeout, asking).await {
            Ok(answered) => answered,
            Err(_) => Err(NoAnswer::Unanswered(FetchError::Timeout { url: shown(&url) })),
        }
    }
}

async fn whole(
    mut response: reqwest::Response,
    url: &url::Url,
    max: usize,
) -> Result<Bytes, NoAnswer> {
    let promised = response.content_length().unwrap_or(0).min(FIRST_CAPACITY).min(max as u64);
    let mut body = BytesMut::with_capacity(usize::try_from(promised).unwrap_or(0));
    while let Some(chunk) =
        response.chunk().await.map_err(|error| NoAnswer::Unanswered(failed(url, &error)))?
    {
        if body.len() + chunk.len() > max {
            let (url, limit) = (shown(url), max as u64);
            return Err(NoAnswer::Unanswered(FetchError::TooLarge { url, limit }));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
