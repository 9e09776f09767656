//! The ports and bounds that handlers may use.

use std::path::PathBuf;
use std::sync::Arc;

use flotilla_core::blob::Blobs;
use flotilla_events::Sinks;
use flotilla_images::Limits;
use flotilla_platforms::Fetcher;

/// What the binary hands to the handlers.
#[derive(Clone)]
pub struct Services {
    /// Where blobs are read and written.
    pub blobs: Arc<dyn Blobs>,
    /// The one way out: every URL of a job goes through its guard.
    pub fetcher: Arc<Fetcher>,
    /// How each subscriber is told of events.
    pub sinks: Arc<Sinks>,
    /// Which local files may be read, and how large a source may be.
    pub sources: SourceRules,
    /// Bounds of a picture.
    pub images: Limits,
    /// Longest caption, in bytes.
    pub max_caption: usize,
}

/// Bounds of a source.
#[derive(Clone, Debug, Default)]
pub struct SourceRules {
    /// Folders below which local files may be read; none: no local file.
    pub roots: Vec<PathBuf>,
    /// Largest source, in bytes.
    pub max_bytes: u64,
}
