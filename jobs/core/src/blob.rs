//! Where bytes that are too large for a record live.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{InvalidName, Tenant};
use crate::outcome::{BoxError, Classify, FailureClass};

/// The name of a blob: `/`-separated parts of `A-Z a-z 0-9 . _ -`, none of them `.` or `..`,
/// 512 bytes at most. So it is a safe path, a safe URL and a safe S3 key as it stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct BlobKey(String);

impl BlobKey {
    /// Checks the rule.
    ///
    /// # Errors
    /// [`InvalidName`] when it is broken.
    pub fn new(key: impl Into<String>) -> Result<Self, InvalidName> {
        let key = key.into();
        let part = |p: &str| {
            !p.is_empty()
                && p != "."
                && p != ".."
                && p.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        if key.len() <= 512 && key.split('/').all(part) {
            Ok(Self(key))
        } else {
            Err(InvalidName {
                what: "blob key",
                given: key.chars().take(80).collect(),
                rule: "parts of letters, digits, '.', '_', '-' joined by '/', at most 512 bytes",
            })
        }
    }

    /// What belongs to one tenant: `content/{tenant}/{rest}`, so that rights, costs and removal
    /// of a tenant's blobs can follow a prefix.
    ///
    /// # Errors
    /// [`InvalidName`] when `rest` breaks the rule.
    pub fn of_tenant(tenant: &Tenant, rest: &str) -> Result<Self, InvalidName> {
        Self::new(format!("content/{tenant}/{rest}"))
    }

    /// The key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl FromStr for BlobKey {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for BlobKey {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

/// A store of blobs.
#[async_trait]
pub trait Blobs: Send + Sync + fmt::Debug {
    /// Writes the whole blob or nothing; an existing one is replaced.
    async fn put(&self, key: &BlobKey, bytes: Bytes, content_type: &str) -> Result<(), BlobError>;

    /// Reads the blob; refuses one of more than `max_bytes` before reading it.
    async fn get(&self, key: &BlobKey, max_bytes: u64) -> Result<Bytes, BlobError>;

    /// `length` bytes of it from `from` on, fewer at its end. Stores that can read a part of a
    /// blob do; the others read all of it.
    async fn part(&self, key: &BlobKey, from: u64, length: u64) -> Result<Bytes, BlobError> {
        let whole = self.get(key, u64::MAX).await?;
        let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(whole.len());
        Ok(whole.slice(at(from)..at(from.saturating_add(length))))
    }

    /// Its size in bytes; `None`: there is none.
    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BlobError>;

    /// Removes it; one that is not there is fine.
    async fn delete(&self, key: &BlobKey) -> Result<(), BlobError>;

    /// Keys that begin with `prefix` (whole parts), sorted, at most `limit`.
    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<BlobKey>, BlobError>;

    /// Where a person finds it: a path or a URL.
    fn locate(&self, key: &BlobKey) -> String;

    /// Where a program without credentials can read it for the time given, at most a week: a
    /// presigned URL. Stores that have no such thing answer as [`locate`](Self::locate).
    async fn link(&self, key: &BlobKey, _lasts: Duration) -> Result<String, BlobError> {
        Ok(self.locate(key))
    }
}

/// A failure of a blob store.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Not there.
    #[error("no blob \"{0}\"")]
    NotFound(BlobKey),
    /// Larger than the caller or the configuration allows.
    #[error("blob \"{key}\" has {size} bytes; at most {max} are allowed")]
    TooLarge {
        /// Which.
        key: BlobKey,
        /// Its size.
        size: u64,
        /// The bound.
        max: u64,
    },
    /// The store failed.
    #[error("blob store failed on \"{key}\"")]
    Store {
        /// Which.
        key: String,
        /// Its own error.
        #[source]
        source: BoxError,
    },
}

impl Classify for BlobError {
    fn class(&self) -> FailureClass {
        match self {
            Self::NotFound(_) => FailureClass::NotFound,
            Self::TooLarge { .. } => FailureClass::Invalid,
            Self::Store { .. } => FailureClass::Transient,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_cannot_leave_their_folder() {
        for good in ["a", "thumbs/ab/cd.jpg", "A-1_2.webp"] {
            assert!(BlobKey::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "../a", "a/./b", "a b", "a\\b", "é", "a%2e"] {
            assert!(BlobKey::new(bad).is_err(), "{bad}");
        }
        assert!(BlobKey::new("a".repeat(513)).is_err());
        let of = BlobKey::of_tenant(&Tenant::default(), "thumbs/a.webp").unwrap();
        assert_eq!(of.as_str(), "content/default/thumbs/a.webp");
    }
}
