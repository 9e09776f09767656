//! `[blobs]`: where results such as images are kept.

use std::path::PathBuf;

use crate::choice::{Choice, choice};
use crate::reader::Section;
use crate::size::ByteSize;

choice! {
    /// Where blobs are kept.
    pub enum BlobBackend ("blob backend") {
        /// A folder.
        Local = "local",
        /// A bucket of S3, or of what speaks its protocol.
        S3 = "s3",
    }
}

choice! {
    /// How S3 encrypts what it keeps.
    pub enum Encryption ("encryption") {
        /// As the bucket says.
        Bucket = "bucket",
        /// With a key of S3's own.
        Aes256 = "aes256",
        /// With a key of KMS.
        Kms = "kms",
    }
}

/// Where results such as images are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blobs {
    /// The backend.
    pub backend: BlobBackend,
    /// The folder, when it is set; see [`Config::blobs_dir`](crate::Config::blobs_dir).
    pub dir: Option<PathBuf>,
    /// Largest blob in bytes.
    pub max_bytes: u64,
    /// S3: the bucket.
    pub bucket: Option<String>,
    /// S3: how it encrypts.
    pub encryption: Encryption,
    /// S3: the key of KMS; the account's own when not set.
    pub kms_key: Option<String>,
}

impl Blobs {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            backend: section.get("backend"),
            dir: section.get("dir"),
            max_bytes: section.get::<ByteSize>("max_bytes").0,
            bucket: section.get("bucket"),
            encryption: section.get("encryption"),
            kms_key: section.get("kms_key"),
        }
    }
}
