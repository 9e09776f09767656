//! `[data]`: the folder that holds everything.

use std::path::PathBuf;

use crate::reader::Section;

/// Where Flotilla keeps what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// The folder of queue and blobs, unless those say otherwise.
    pub dir: PathBuf,
}

impl Data {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self { dir: section.get("dir") }
    }
}
