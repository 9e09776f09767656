//! `[images]`: bounds of the image pipeline.

use std::num::NonZeroUsize;

use crate::reader::Section;

/// Bounds of the image pipeline; all at least 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Most pixels of an input, checked before it is decoded.
    pub max_pixels: u64,
    /// Most outputs of one job.
    pub max_outputs: usize,
    /// Most pixels of one output.
    pub max_output_pixels: u64,
}

impl Images {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            max_pixels: section.get::<NonZeroUsize>("max_pixels").get() as u64,
            max_outputs: section.get::<NonZeroUsize>("max_outputs").get(),
            max_output_pixels: section.get::<NonZeroUsize>("max_output_pixels").get() as u64,
        }
    }
}
