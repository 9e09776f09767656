//! `[images]`: bounds of the image pipeline.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::reader::Section;
use crate::size::ByteSize;

/// Bounds of the image pipeline, all at least 1, and its fonts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Most pixels of an input, checked before it is decoded.
    pub max_pixels: u64,
    /// Most outputs of one job.
    pub max_outputs: usize,
    /// Most pixels of one output.
    pub max_output_pixels: u64,
    /// Most frames of an animated input.
    pub max_frames: u64,
    /// Most bytes of memory for decoding one input.
    pub max_memory: u64,
    /// Folders with fonts.
    pub font_folders: Vec<PathBuf>,
}

impl Images {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            max_pixels: section.get::<NonZeroUsize>("max_pixels").get() as u64,
            max_outputs: section.get::<NonZeroUsize>("max_outputs").get(),
            max_output_pixels: section.get::<NonZeroUsize>("max_output_pixels").get() as u64,
            max_frames: section.get::<NonZeroUsize>("max_frames").get() as u64,
            max_memory: section.get::<ByteSize>("max_memory").0,
            font_folders: section.get("font_folders"),
        }
    }
}
