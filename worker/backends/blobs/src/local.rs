//! Blobs in a local folder.
//!
//! A blob is written beside its place, flushed to disk and renamed into it, so a reader sees the
//! whole of it or nothing, also after a power cut. What lies in the folder under a name that is
//! no blob key is left alone and not listed.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_core::blob::{BlobError, BlobKey, Blobs};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

use crate::objects::Objects;

/// A folder of blobs, or the same in memory for tests.
#[derive(Debug)]
pub struct LocalBlobs {
    objects: Objects,
    /// `None`: in memory.
    folder: Option<PathBuf>,
}

impl LocalBlobs {
    /// The blobs in `dir`, which is made when it is missing; each at most `max_bytes` large.
    ///
    /// # Errors
    /// [`BlobError::Store`] when the folder cannot be made or opened; names it.
    pub fn open(dir: &Path, max_bytes: u64) -> Result<Self, BlobError> {
        let failed = |source: Box<dyn Error + Send + Sync>| BlobError::Store {
            key: dir.display().to_string(),
            source,
        };
        std::fs::create_dir_all(dir).map_err(|e| failed(e.into()))?;
        let folder = dir.canonicalize().map_err(|e| failed(e.into()))?;
        let store = LocalFileSystem::new_with_prefix(&folder).map_err(|e| failed(e.into()))?;
        let store = Arc::new(store.with_fsync(true));
        Ok(Self { objects: Objects { store, max_bytes, typed: false }, folder: Some(folder) })
    }

    /// Blobs that go away with this value.
    pub fn in_memory(max_bytes: u64) -> Self {
        let store = Arc::new(InMemory::new());
        Self { objects: Objects { store, max_bytes, typed: false }, folder: None }
    }
}

#[async_trait]
impl Blobs for LocalBlobs {
    async fn put(&self, key: &BlobKey, bytes: Bytes, content_type: &str) -> Result<(), BlobError> {
        self.objects.put(key, bytes, content_type).await
    }

    async fn get(&self, key: &BlobKey, max_bytes: u64) -> Result<Bytes, BlobError> {
        self.objects.get(key, max_bytes).await
    }

    async fn part(&self, key: &BlobKey, from: u64, length: u64) -> Result<Bytes, BlobError> {
        self.objects.part(key, from, length).await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BlobError> {
        self.objects.size(key).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        self.objects.delete(key).await
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<BlobKey>, BlobError> {
        self.objects.list(prefix, limit).await
    }

    /// The path of its file.
    fn locate(&self, key: &BlobKey) -> String {
        match &self.folder {
            Some(folder) => folder.join(key.as_str()).display().to_string(),
            None => format!("memory:{key}"),
        }
    }
}
