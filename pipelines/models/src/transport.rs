//! The way out: who makes the HTTP call. The binary hands in its guarded client.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// One request with POST.
pub struct Ask<'a> {
    /// Where to.
    pub url: &'a str,
    /// Its headers; they hold the key.
    pub headers: Vec<(&'static str, String)>,
    /// What it carries.
    pub body: Bytes,
    /// Longest time until the whole answer is there.
    pub timeout: Duration,
    /// Most bytes of an answer.
    pub max_answer: usize,
}

/// What came back, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// A header by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoAnswer {
    /// It may not be asked: a guard forbids the address.
    #[error("{0}")]
    Forbidden(String),
    /// It could not be reached, took too long, or broke off.
    #[error("{0}")]
    Unreachable(String),
}

/// Makes calls.
#[async_trait]
pub trait Transport: Send + Sync {
    /// One call, without retries and without following redirects.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    async fn post(&self, ask: Ask<'_>) -> Result<Answer, NoAnswer>;
}
