//! What handlers need in tests: blobs in memory, everything else at rest.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_core::blob::{BlobError, BlobKey, Blobs};
use flotilla_jobs::{Media, Models, Services, Social, SourceRules};
use flotilla_platforms::{Bounds, Fetcher, GuardSettings, Platforms};

/// A store in memory.
#[derive(Debug, Default)]
pub(crate) struct Kept(pub(crate) Mutex<BTreeMap<String, Bytes>>);

#[async_trait]
impl Blobs for Kept {
    async fn put(&self, key: &BlobKey, bytes: Bytes, _: &str) -> Result<(), BlobError> {
        self.0.lock().unwrap().insert(key.to_string(), bytes);
        Ok(())
    }

    async fn get(&self, key: &BlobKey, _: u64) -> Result<Bytes, BlobError> {
        let kept = self.0.lock().unwrap().get(key.as_str()).cloned();
        kept.ok_or_else(|| BlobError::NotFound(key.clone()))
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BlobError> {
        Ok(self.0.lock().unwrap().get(key.as_str()).map(|bytes| bytes.len() as u64))
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        self.0.lock().unwrap().remove(key.as_str());
        Ok(())
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<BlobKey>, BlobError> {
        let kept = self.0.lock().unwrap();
        let keys = kept.keys().filter(|key| key.starts_with(prefix)).take(limit);
        Ok(keys.map(|key| BlobKey::new(key.as_str()).unwrap()).collect())
    }

    fn locate(&self, key: &BlobKey) -> String {
        key.to_string()
    }
}

/// Ports and bounds for one test: files of `roots` may be read.
pub(crate) fn services(blobs: Arc<Kept>, roots: Vec<PathBuf>) -> Services {
    flotilla_platforms::install_crypto();
    Services {
        blobs,
        fetcher: Arc::new(Fetcher::new(GuardSettings::default()).unwrap()),
        sinks: Arc::default(),
        sources: SourceRules { roots, max_bytes: 1 << 24 },
        images: flotilla_images::Limits::default(),
        media: Media::default(),
        max_caption: 65_536,
        max_catalogue: 10_000,
        models: Models::default(),
        vault: None,
        sweep: Duration::from_secs(300),
        social: Social {
            webhooks: Default::default(),
            platforms: Arc::new(Platforms::built_in().unwrap()),
            bounds: Bounds::default(),
        },
    }
}
