//! POST through the same guard: for receivers such as webhooks, which are told and not asked.

use bytes::Bytes;

use super::{FetchError, Fetcher, RETRY_AFTER, RetryAfter, failed, header, parse, shown};

impl Fetcher {
    /// Sends `body` to `url` with POST and waits for the status of the answer; its body is not
    /// read. Redirects are not followed: the receiver is who was named, or nobody.
    ///
    /// # Errors
    /// See [`FetchError`]; any status but 2xx is [`FetchError::Status`].
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: Bytes,
    ) -> Result<(), FetchError> {
        let url = parse(url)?;
        let sending = async {
            let client = self.admitted(&url).await?;
            let mut request = client.post(url.clone()).body(body);
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            request.send().await.map_err(|error| failed(&url, &error))
        };
        let response = match tokio::time::timeout(self.settings.timeout, sending).await {
            Ok(answered) => answered?,
            Err(_) => return Err(FetchError::Timeout { url: shown(&url) }),
        };
        if response.status().is_success() {
            return Ok(());
        }
        Err(FetchError::Status {
            url: shown(&url),
            code: response.status().as_u16(),
            retry_after: header(response.headers(), &RETRY_AFTER).and_then(RetryAfter::parse),
        })
    }
}
