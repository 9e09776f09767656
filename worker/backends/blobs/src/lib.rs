//! Blobs in a local folder, through `object_store`.
//!
//! A blob is written beside its place, flushed to disk and renamed into it, so a reader sees the
//! whole of it or nothing, also after a power cut. What lies in the folder under a name that is
//! no blob key is left alone and not listed.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_core::blob::{BlobError, BlobKey, Blobs};
use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as Place;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};

/// A folder of blobs, or the same in memory for tests.
#[derive(Debug)]
pub struct LocalBlobs {
    store: Arc<dyn ObjectStore>,
    /// `None`: in memory.
    folder: Option<PathBuf>,
    max_bytes: u64,
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
        Ok(Self { store: Arc::new(store.with_fsync(true)), folder: Some(folder), max_bytes })
    }

    /// Blobs that go away with this value.
    pub fn in_memory(max_bytes: u64) -> Self {
        Self { store: Arc::new(InMemory::new()), folder: None, max_bytes }
    }

    /// The metadata of the blob at `place`; `None`: there is none.
    async fn find(&self, place: &Place) -> Result<Option<ObjectMeta>, object_store::Error> {
        match self.store.head(place).await {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn below(&self, prefix: &str) -> Result<Vec<BlobKey>, object_store::Error> {
        let place = Place::parse(prefix)?;
        let below = (!place.as_ref().is_empty()).then_some(&place);
        let mut metas: Vec<ObjectMeta> = match self.store.list(below).try_collect().await {
            Err(error) if is_missing(&error) => Vec::new(),
            listed => listed?,
        };
        if let Some(itself) = below {
            metas.extend(self.find(itself).await?);
        }
        // Whoever put a file of another name there did not put a blob.
        let named = metas.into_iter().filter_map(|m| BlobKey::new(m.location.to_string()).ok());
        let mut keys: Vec<BlobKey> = named.collect();
        keys.sort();
        keys.dedup();
        Ok(keys)
    }
}

fn place(key: &BlobKey) -> Place {
    Place::from(key.as_str())
}

fn failed(key: impl ToString) -> impl FnOnce(object_store::Error) -> BlobError {
    move |source| BlobError::Store { key: key.to_string(), source: source.into() }
}

/// Nothing is there, also because a part of the path is a blob itself.
fn is_missing(error: &object_store::Error) -> bool {
    if matches!(error, object_store::Error::NotFound { .. }) {
        return true;
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        let kind = inner.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)) {
            return true;
        }
        cause = inner.source();
    }
    false
}

#[async_trait]
impl Blobs for LocalBlobs {
    async fn put(&self, key: &BlobKey, bytes: Bytes, _content_type: &str) -> Result<(), BlobError> {
        let size = bytes.len() as u64;
        if size > self.max_bytes {
            return Err(BlobError::TooLarge { key: key.clone(), size, max: self.max_bytes });
        }
        self.store.put(&place(key), PutPayload::from(bytes)).await.map_err(failed(key))?;
        Ok(())
    }

    async fn get(&self, key: &BlobKey, max_bytes: u64) -> Result<Bytes, BlobError> {
        let found = match self.store.get(&place(key)).await {
            Ok(found) => found,
            Err(error) if is_missing(&error) => return Err(BlobError::NotFound(key.clone())),
            Err(error) => return Err(failed(key)(error)),
        };
        let size = found.meta.size;
        if size > max_bytes {
            return Err(BlobError::TooLarge { key: key.clone(), size, max: max_bytes });
        }
        found.bytes().await.map_err(failed(key))
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BlobError> {
        let found = self.find(&place(key)).await.map_err(failed(key))?;
        Ok(found.map(|meta| meta.size))
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        match self.store.delete(&place(key)).await {
            Err(error) if !is_missing(&error) => Err(failed(key)(error)),
            _ => Ok(()),
        }
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<BlobKey>, BlobError> {
        let mut keys = self.below(prefix).await.map_err(failed(prefix))?;
        keys.truncate(limit);
        Ok(keys)
    }

    /// The path of its file.
    fn locate(&self, key: &BlobKey) -> String {
        match &self.folder {
            Some(folder) => folder.join(key.as_str()).display().to_string(),
            None => format!("memory:{key}"),
        }
    }
}
