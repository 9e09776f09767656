//! Sends a token request once, and tells apart what certainly was not sent from what may have
//! been done.

use std::error::Error as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flotilla_core::Secret;
use reqwest::Client;
use reqwest::header::RETRY_AFTER;

use super::{Answer, TokenError, TokenRequest};
use crate::http::install_crypto;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest answer.
const MAX_BODY: usize = 64 * 1024;
/// Longest pause that a platform may ask for.
const LONGEST_HINT: Duration = Duration::from_secs(24 * 3600);

/// The client of token endpoints: their addresses come from the registry or the operator, never
/// from a job. It follows no redirect and keeps no cookie.
#[derive(Clone, Debug)]
pub struct TokenClient(Client);

impl TokenClient {
    /// A client whose exchanges take at most `timeout`.
    ///
    /// # Errors
    /// No certificate authorities on this machine.
    pub fn new(timeout: Duration) -> Result<Self, String> {
        install_crypto();
        let client = Client::builder()
            .user_agent(concat!("flotilla/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT.min(timeout))
            .timeout(timeout)
            .no_proxy()
            .build();
        client.map(Self).map_err(|e| format!("no HTTPS client: {}", causes(&e)))
    }

    /// Sends it once.
    ///
    /// # Errors
    /// [`TokenError::NotSent`] or [`TokenError::Lost`].
    pub async fn send(&self, request: &TokenRequest) -> Result<Answer, TokenError> {
        let mut made = match request.post {
            true => self.0.post(&request.url).form(&pairs(&request.form)),
            false => self.0.get(&request.url),
        };
        if !request.query.is_empty() {
            made = made.query(&pairs(&request.query));
        }
        if let Some((user, password)) = &request.basic {
            made = made.basic_auth(user, Some(password.expose()));
        }
        if let Some(token) = &request.bearer {
            made = made.bearer_auth(token.expose());
        }
        let answer = made.send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let hint = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let hint = hint.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let retry_after = hint.map(|hint| hint.min(LONGEST_HINT));
        let body = bounded(answer).await?;
        Ok(Answer { status, retry_after, body })
    }
}

impl TokenClient {
    /// Posts JSON to a sandbox's own interface.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn ask(&self, url: &str, wish: &serde_json::Value) -> Result<Answer, TokenError> {
        let answer = self.0.post(url).json(wish).send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        Ok(Answer { status, retry_after: None, body: bounded(answer).await? })
    }
}

fn pairs(fields: &[(String, Secret)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.expose())).collect()
}

async fn bounded(mut answer: reqwest::Response) -> Result<Bytes, TokenError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| lost(&e))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(TokenError::Lost("the answer is longer than 64 KiB".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn failed(error: reqwest::Error) -> TokenError {
    if error.is_connect() || error.is_builder() {
        return TokenError::NotSent(causes(&error));
    }
    lost(&error)
}

fn lost(error: &reqwest::Error) -> TokenError {
    let said = if error.is_timeout() { "no answer in time".to_owned() } else { causes(error) };
    TokenError::Lost(said)
}

/// The causes of an error without its own text, which holds the address with its query.
fn causes(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut last = "the request failed".to_owned();
    while let Some(inner) = cause {
        last = inner.to_string();
        cause = inner.source();
    }
    super::said(&last)
}
