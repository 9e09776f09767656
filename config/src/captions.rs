//! `[captions]`: bounds of the language pipeline.

use crate::reader::Section;
use crate::size::ByteSize;

/// Bounds of the language pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captions {
    /// Longest caption in bytes.
    pub max_bytes: usize,
    /// Most items of a catalogue that comes with a job.
    pub max_catalogue: usize,
}

impl Captions {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            max_bytes: section.get::<ByteSize>("max_bytes").in_memory(),
            max_catalogue: section.get("max_catalogue"),
        }
    }
}
