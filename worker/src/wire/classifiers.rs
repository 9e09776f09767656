//! The blobs of the person at the keyboard: a folder of their own, and behind it, to read, the
//! classifiers that were stored where the workers find them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_config::{BlobBackend, Config};
use flotilla_core::blob::{BlobError, BlobKey, Blobs};

use super::blobs;

/// A folder of their own, with the workers' classifiers behind it.
#[derive(Debug)]
pub(super) struct WithClassifiers {
    own: Arc<dyn Blobs>,
    config: Config,
}

impl WithClassifiers {
    pub(super) fn new(own: Arc<dyn Blobs>, config: &Config) -> Self {
        Self { own, config: config.clone() }
    }

    /// The workers' blobs, opened when a classifier is asked for; a folder that is not there is
    /// not made.
    async fn shared(&self) -> Option<Arc<dyn Blobs>> {
        let local = self.config.blobs.backend == BlobBackend::Local;
        if local && !self.config.blobs_dir().is_dir() {
            return None;
        }
        blobs::open(&self.config).await.ok()
    }
}

#[async_trait]
impl Blobs for WithClassifiers {
    async fn put(&self, key: &BlobKey, bytes: Bytes, content_type: &str) -> Result<(), BlobError> {
        self.own.put(key, bytes, content_type).await
    }

    async fn get(&self, key: &BlobKey, max_bytes: u64) -> Result<Bytes, BlobError> {
        let missing = match self.own.get(key, max_bytes).await {
            Err(BlobError::NotFound(key)) => key,
            other => return other,
        };
        if !key.to_string().contains("classifiers/") {
            return Err(BlobError::NotFound(missing));
        }
        match self.shared().await {
            Some(shared) => shared.get(key, max_bytes).await,
            None => Err(BlobError::NotFound(missing)),
        }
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BlobError> {
        self.own.size(key).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        self.own.delete(key).await
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<BlobKey>, BlobError> {
        self.own.list(prefix, limit).await
    }

    fn locate(&self, key: &BlobKey) -> String {
        self.own.locate(key)
    }

    async fn link(&self, key: &BlobKey, lasts: Duration) -> Result<String, BlobError> {
        self.own.link(key, lasts).await
    }
}
