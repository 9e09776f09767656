//! Where a job's input comes from: a local file under an allowed root, a URL through the SSRF
//! guard, or a blob.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::blob::BlobKey;
use flotilla_core::clock::between;
use flotilla_core::{Call, DeadClass, JobContext, JobError, LimitKey, Timestamp};
use flotilla_platforms::{FetchError, Fetched};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use url::Url;

use crate::services::Services;

/// A server that asks for longer is asked again all the same.
pub(crate) const LONGEST_HINT: Duration = Duration::from_secs(6 * 3600);

/// Exactly one of `path`, `url`, `blob`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A file on the worker's machine, below one of `sources.roots`.
    Path(String),
    /// `http` or `https`; private addresses are refused.
    Url(String),
    /// A key of the blob store.
    Blob(BlobKey),
}

/// Reads a source, whole, within `sources.max_bytes`.
///
/// # Errors
/// `Fail` where it can never work (forbidden, missing, too large), `Retry` where it may.
pub(crate) async fn read(
    source: &Source,
    services: &Services,
    cx: &JobContext,
) -> Result<Bytes, JobError> {
    match source {
        Source::Path(path) => file(Path::new(path), services).await,
        Source::Url(url) => {
            let begun = cx.clock.now();
            let fetched = services.fetcher.fetch(url).await;
            let now = cx.clock.now();
            if let Some(call) = host(url).and_then(|key| call(key, &fetched, begun, now)) {
                cx.called(call);
            }
            fetched.map(|fetched| fetched.bytes).map_err(|error| of_fetch(error, now))
        }
        Source::Blob(key) => Ok(services.blobs.get(key, services.sources.max_bytes).await?),
    }
}

/// Whose limits and breaker a source counts against: `web/<host>`, where it is fetched.
pub(crate) fn limits(source: &Source) -> Vec<LimitKey> {
    match source {
        Source::Url(url) => host(url).into_iter().collect(),
        Source::Path(_) | Source::Blob(_) => Vec::new(),
    }
}

fn host(url: &str) -> Option<LimitKey> {
    let url = Url::parse(url).ok()?;
    Some(LimitKey::of(&["web", url.host_str()?]))
}

/// What a fetch says of the host; nothing, where it was not asked.
fn call(
    key: LimitKey,
    fetched: &Result<Fetched, FetchError>,
    begun: Timestamp,
    now: Timestamp,
) -> Option<Call> {
    let took = between(begun, now);
    match fetched {
        Ok(_) | Err(FetchError::TooLarge { .. }) => Some(Call::http(key, 200, |_| None, took, now)),
        Err(FetchError::Status { code, retry_after, .. }) => {
            let wait = retry_after.map(|said| said.wait(now).as_secs().to_string());
            let header = |name: &str| wait.as_deref().filter(|_| name == "retry-after");
            Some(Call::http(key, *code, header, took, now))
        }
        Err(FetchError::Timeout { .. } | FetchError::Connect { .. }) => {
            Some(Call::unanswered(key, took))
        }
        Err(_) => None,
    }
}

async fn file(path: &Path, services: &Services) -> Result<Bytes, JobError> {
    let rules = &services.sources;
    let real = allowed(path, &rules.roots).await?;
    let said = |e: std::io::Error| JobError::retry(format!("cannot read {}: {e}", path.display()));
    let file = tokio::fs::File::open(&real).await.map_err(said)?;
    let meta = file.metadata().await.map_err(said)?;
    if !meta.is_file() {
        return Err(JobError::invalid(format!("{} is not a file", path.display())));
    }
    let too_large = || {
        let max = rules.max_bytes;
        JobError::invalid(format!(
            "{} has more than {max} bytes (sources.max_bytes)",
            path.display()
        ))
    };
    if meta.len() > rules.max_bytes {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1);
    file.take(rules.max_bytes + 1).read_to_end(&mut bytes).await.map_err(said)?;
    if bytes.len() as u64 > rules.max_bytes {
        return Err(too_large()); // it grew while it was read
    }
    Ok(bytes.into())
}

/// The real path of a file below one of the roots. A relative path is looked for below each;
/// symbolic links are followed first, so that none leads out.
async fn allowed(path: &Path, roots: &[PathBuf]) -> Result<PathBuf, JobError> {
    if roots.is_empty() {
        return Err(JobError::invalid(
            "local files are not allowed here: name their folders in sources.roots",
        ));
    }
    let mut missing = true;
    for root in roots {
        let Ok(root) = tokio::fs::canonicalize(root).await else { continue };
        let whole_disk = root.parent().is_none();
        let wanted =
            if path.is_absolute() || whole_disk { path.to_owned() } else { root.join(path) };
        let Ok(real) = tokio::fs::canonicalize(&wanted).await else { continue };
        missing = false;
        if real.starts_with(&root) {
            return Ok(real);
        }
    }
    Err(JobError::invalid(if missing {
        format!("no file {}", path.display())
    } else {
        format!("{} is not below an allowed folder (sources.roots)", path.display())
    }))
}

fn of_fetch(error: FetchError, now: Timestamp) -> JobError {
    match &error {
        FetchError::Blocked { .. } | FetchError::BadUrl { .. } | FetchError::TooLarge { .. } => {
            JobError::invalid(error)
        }
        FetchError::Status { code: 404 | 410, .. } => JobError::invalid(error),
        FetchError::Status { retry_after, code, .. }
            if *code >= 500 || matches!(code, 408 | 425 | 429) =>
        {
            let after = retry_after.map(|said| said.wait(now).min(LONGEST_HINT));
            if *code == 429 {
                JobError::throttled(error, after)
            } else {
                JobError::later(error, after)
            }
        }
        FetchError::Status { .. } => {
            JobError::Fail { class: DeadClass::Rejected, source: error.into() }
        }
        _ => JobError::retry(error),
    }
}

#[cfg(test)]
mod tests {
    use flotilla_core::breaker::Answer;

    use super::*;

    #[test]
    fn a_url_counts_against_its_host_and_nothing_else_does() {
        let keys = limits(&Source::Url("https://cdn.example.com:8443/a/b.jpg?c".into()));
        assert_eq!(keys, [LimitKey::of(&["web", "cdn.example.com"])]);
        assert!(limits(&Source::Url("no url".into())).is_empty());
        assert!(limits(&Source::Path("a.jpg".into())).is_empty());
    }

    #[test]
    fn a_host_that_is_broken_or_busy_is_told_from_one_that_says_no() {
        let now = Timestamp::UNIX_EPOCH;
        let answer = |error| call(LimitKey::of(&["web", "a"]), &Err(error), now, now);
        let status = |code| FetchError::Status { url: String::new(), code, retry_after: None };
        assert_eq!(answer(status(404)).unwrap().answer, Some(Answer::Good));
        assert_eq!(answer(status(500)).unwrap().answer, Some(Answer::Bad));
        assert!(answer(status(429)).unwrap().throttle.is_some());
        let silent = FetchError::Timeout { url: String::new() };
        assert_eq!(answer(silent).unwrap().answer, Some(Answer::Bad));
    }
}
