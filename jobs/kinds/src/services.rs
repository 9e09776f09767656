//! The ports and bounds that handlers may use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::blob::Blobs;
use flotilla_events::Sinks;
use flotilla_images::Limits;
use flotilla_platforms::Fetcher;
use flotilla_vault::Vault;

use crate::media::Media;
use crate::models::Models;
use crate::social_post::Social;

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
    /// Programs and bounds of speech and videos.
    pub media: Media,
    /// Longest caption, in bytes.
    pub max_caption: usize,
    /// Most items of a catalogue.
    pub max_catalogue: usize,
    /// The language model, if there is one.
    pub models: Models,
    /// Credentials of accounts; none in processes that run no jobs of a queue.
    pub vault: Option<Vault>,
    /// The platforms posts go to.
    pub social: Social,
    /// How often accounts are looked over.
    pub sweep: Duration,
}

/// Bounds of a source.
#[derive(Clone, Debug, Default)]
pub struct SourceRules {
    /// Folders below which local files may be read; none: no local file.
    pub roots: Vec<PathBuf>,
    /// Largest source, in bytes.
    pub max_bytes: u64,
}
