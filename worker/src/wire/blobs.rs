//! Opens the blobs that `[blobs]` names.

use std::path::Path;
use std::sync::Arc;

use flotilla_blobs::LocalBlobs;
use flotilla_config::{BlobBackend, Config};
use flotilla_core::blob::Blobs;

use crate::exit::Failure;

/// Where a worker's results go.
pub(super) async fn open(config: &Config) -> Result<Arc<dyn Blobs>, Failure> {
    match config.blobs.backend {
        BlobBackend::Local => folder(&config.blobs_dir(), config),
        BlobBackend::S3 => bucket(config).await,
    }
}

/// A folder, made when it is missing.
pub(super) fn folder(dir: &Path, config: &Config) -> Result<Arc<dyn Blobs>, Failure> {
    let blobs = LocalBlobs::open(dir, config.blobs.max_bytes).map_err(|e| {
        Failure::unavailable(format!("cannot use the blob folder {}: {e}", dir.display()))
    })?;
    Ok(Arc::new(blobs))
}

/// A bucket; one that cannot be read is found here and not by the first job.
#[cfg(feature = "aws")]
async fn bucket(config: &Config) -> Result<Arc<dyn Blobs>, Failure> {
    use flotilla_blobs::{Encryption, S3Blobs, S3Settings};
    let blobs = &config.blobs;
    let settings = S3Settings {
        bucket: blobs.bucket.clone().unwrap_or_default(),
        region: config.aws.region.clone(),
        endpoint: config.aws.endpoint.clone(),
        profile: None,
        encryption: match blobs.encryption {
            flotilla_config::Encryption::Bucket => Encryption::Bucket,
            flotilla_config::Encryption::Aes256 => Encryption::Aes256,
            flotilla_config::Encryption::Kms => Encryption::Kms(blobs.kms_key.clone()),
        },
        max_bytes: blobs.max_bytes,
    };
    let found = S3Blobs::connect(settings).await.map_err(Failure::unavailable)?;
    found.list("", 1).await.map_err(Failure::unavailable)?;
    Ok(Arc::new(found))
}

#[cfg(not(feature = "aws"))]
async fn bucket(_: &Config) -> Result<Arc<dyn Blobs>, Failure> {
    Err(Failure::config(
        "blobs.backend = \"s3\" is not in this build: build it with `cargo build --release --features full`",
    ))
}
