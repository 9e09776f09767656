//! A part of a file behind a URL, so that a film is never whole in memory.

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use url::Url;

use super::{FetchError, Fetcher, Refusal, failed, header, next_hop, parse, shown};

/// A part of a file, and how large the whole is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The bytes; fewer than asked for at the end of the file.
    pub bytes: Bytes,
    /// The size of the whole.
    pub total: u64,
}

impl Fetcher {
    /// Fetches `length` bytes from `from` on, with a `Range` request; redirects are followed. A
    /// server without ranges is read from the beginning, as long as that is asked for.
    ///
    /// # Errors
    /// See [`FetchError`]; `TooLarge` for a server that answers with the whole file instead.
    pub async fn part(&self, url: &str, from: u64, length: u64) -> Result<Part, FetchError> {
        let url = parse(url)?;
        let asked = shown(&url);
        match tokio::time::timeout(self.settings.timeout, self.ranged(url, from, length)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(FetchError::Timeout { url: asked }),
        }
    }

    async fn ranged(&self, mut url: Url, from: u64, length: u64) -> Result<Part, FetchError> {
        let range = format!("bytes={from}-{}", from + length.max(1) - 1);
        for _ in 0..=self.settings.redirects {
            let client = self.admitted(&url).await?;
            let request =
                client.get(url.clone()).header(RANGE, &range).header("accept-encoding", "identity");
            let response = request.send().await.map_err(|error| failed(&url, &error))?;
            match next_hop(&url, &response)? {
                Some(next) => url = next,
                None => return self.cut(&url, response, from, length).await,
            }
        }
        let refusal = Refusal::Redirects { limit: self.settings.redirects };
        Err(FetchError::Blocked { url: shown(&url), refusal })
    }

    async fn cut(
        &self,
        url: &Url,
        mut response: Response,
        from: u64,
        length: u64,
    ) -> Result<Part, FetchError> {
        let partial = response.status() == StatusCode::PARTIAL_CONTENT;
        let said = header(response.headers(), &CONTENT_RANGE)
            .and_then(|range| range.rsplit_once('/')?.1.parse::<u64>().ok());
        let total = if partial { said } else { response.content_length() };
        if !partial && response.status() != StatusCode::OK {
            let reason = self.read(url, response).await.err();
            return Err(reason.unwrap_or(FetchError::TooLarge { url: shown(url), limit: length }));
        }
        if !partial && from > 0 {
            return Err(FetchError::TooLarge { url: shown(url), limit: length });
        }
        let mut bytes = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(url, &error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 >= length {
                bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
                let total = total.ok_or(FetchError::TooLarge { url: shown(url), limit: length })?;
                return Ok(Part { bytes: bytes.freeze(), total });
            }
        }
        let total = total.unwrap_or(from + bytes.len() as u64);
        Ok(Part { bytes: bytes.freeze(), total })
    }
}
