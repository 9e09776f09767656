//! What a folder and a bucket have in common: an `object_store` seen through the port.

use std::error::Error;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use flotilla_core::blob::{BlobError, BlobKey};
use futures_util::TryStreamExt;
use object_store::path::Path as Place;
use object_store::{
    Attribute, Attributes, ObjectMeta, ObjectStore, ObjectStoreExt, PutOptions, PutPayload,
};

/// Blobs in an object store, each at most `max_bytes` large.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) max_bytes: u64,
    /// The store keeps the media type.
    pub(crate) typed: bool,
}

pub(crate) fn place(key: &BlobKey) -> Place {
    Place::from(key.as_str())
}

pub(crate) fn failed(key: impl ToString) -> impl FnOnce(object_store::Error) -> BlobError {
    move |source| BlobError::Store { key: key.to_string(), source: source.into() }
}

impl Objects {
    pub(crate) async fn put(
        &self,
        key: &BlobKey,
        bytes: Bytes,
        content_type: &str,
    ) -> Result<(), BlobError> {
        let size = bytes.len() as u64;
        if size > self.max_bytes {
            return Err(BlobError::TooLarge { key: key.clone(), size, max: self.max_bytes });
        }
        let mut attributes = Attributes::new();
        if self.typed {
            attributes.insert(Attribute::ContentType, content_type.to_owned().into());
        }
        let options = PutOptions { attributes, ..PutOptions::default() };
        let put = self.store.put_opts(&place(key), PutPayload::from(bytes), options).await;
        put.map(|_| ()).map_err(failed(key))
    }

    pub(crate) async fn get(&self, key: &BlobKey, max_bytes: u64) -> Result<Bytes, BlobError> {
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

    pub(crate) async fn part(
        &self,
        key: &BlobKey,
        from: u64,
        length: u64,
    ) -> Result<Bytes, BlobError> {
        let size = self.size(key).await?.ok_or_else(|| BlobError::NotFound(key.clone()))?;
        let range = from.min(size)..from.saturating_add(length).min(size);
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.store.get_range(&place(key), range).await.map_err(failed(key))
    }

    pub(crate) async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BlobError> {
        let found = self.find(&place(key)).await.map_err(failed(key))?;
        Ok(found.map(|meta| meta.size))
    }

    pub(crate) async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        match self.store.delete(&place(key)).await {
            Err(error) if !is_missing(&error) => Err(failed(key)(error)),
            _ => Ok(()),
        }
    }

    pub(crate) async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<BlobKey>, BlobError> {
        let mut keys = self.below(prefix).await.map_err(failed(prefix))?;
        keys.truncate(limit);
        Ok(keys)
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
