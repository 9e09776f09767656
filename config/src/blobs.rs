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
    }
    // Backends of the design that this build does not hold.
    elsewhere ["s3"]
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
}

impl Blobs {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            backend: section.get("backend"),
            dir: section.get("dir"),
            max_bytes: section.get::<ByteSize>("max_bytes").0,
        }
    }
}
