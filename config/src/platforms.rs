//! `[platforms]`: the registry of platforms, and how long their calls may take.

use std::path::PathBuf;
use std::time::Duration;

use crate::reader::Section;

/// The registry of platforms, and bounds of their calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platforms {
    /// A file whose keys replace those of the built-in registry.
    pub file: Option<PathBuf>,
    /// Longest call.
    pub timeout: Duration,
    /// Longest call that carries a file.
    pub upload_timeout: Duration,
}

impl Platforms {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            file: section.get("file"),
            timeout: section.get("timeout"),
            upload_timeout: section.get("upload_timeout"),
        }
    }
}
