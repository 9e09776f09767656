//! Where a job's input comes from: a local file under an allowed root, a URL through the SSRF
//! guard, or a blob.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::blob::BlobKey;
use flotilla_core::{DeadClass, JobError, Timestamp};
use flotilla_platforms::FetchError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use crate::services::Services;

/// A server that asks for longer is asked again all the same.
const LONGEST_HINT: Duration = Duration::from_secs(6 * 3600);

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
    now: Timestamp,
) -> Result<Bytes, JobError> {
    match source {
        Source::Path(path) => file(Path::new(path), services).await,
        Source::Url(url) => match services.fetcher.fetch(url).await {
            Ok(fetched) => Ok(fetched.bytes),
            Err(error) => Err(of_fetch(error, now)),
        },
        Source::Blob(key) => Ok(services.blobs.get(key, services.sources.max_bytes).await?),
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
            JobError::Retry { source: error.into(), after }
        }
        FetchError::Status { .. } => {
            JobError::Fail { class: DeadClass::Rejected, source: error.into() }
        }
        _ => JobError::retry(error),
    }
}
