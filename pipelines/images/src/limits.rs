//! The bounds that keep hostile pictures harmless: all are checked from headers before decoding.

use std::path::PathBuf;

use crate::ImageError;

/// The longest side of a source in pixels, whatever the other bounds say: what JPEG can state at most.
/// It keeps the weights of a resampling small for a picture that is one pixel high.
const MAX_SOURCE_SIDE: u64 = 65_535;

/// What one call may use. [`Default`] suits photos of cameras and phones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Size of the source file in bytes. Default 64 MiB.
    pub max_bytes: u64,
    /// Width × height of the source in pixels. Default 100 million. No side may be over 65,535.
    pub max_pixels: u64,
    /// Outputs of one request. Default 32.
    pub max_outputs: usize,
    /// Overlays of one request. Default 8.
    pub max_overlays: usize,
    /// Pixels of all outputs together. Default 50 million.
    pub max_output_pixels: u64,
    /// Frames of an animated source, whether all are used or the first. Default 1,000.
    pub max_frames: u64,
    /// Memory that decoding may take, in bytes, as estimated from the header. Default 512 MiB: enough
    /// for baseline JPEG and for PNG up to the pixel limit, for progressive JPEG of 50 megapixels and
    /// lossless WebP of 53.
    pub max_memory: u64,
    /// Folders with fonts for texts on pictures, beside those of the program itself. Default: none.
    pub font_folders: Vec<PathBuf>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_pixels: 100_000_000,
            max_outputs: 32,
            max_overlays: 8,
            max_output_pixels: 50_000_000,
            max_frames: 1_000,
            max_memory: 512 << 20,
            font_folders: Vec::new(),
        }
    }
}

impl Limits {
    pub(crate) fn check_bytes(&self, bytes: usize) -> Result<(), ImageError> {
        within("the file size in bytes", bytes as u64, self.max_bytes)
    }

    pub(crate) fn check_pixels(&self, width: u32, height: u32) -> Result<(), ImageError> {
        let pixels = u64::from(width) * u64::from(height);
        let side = width.max(height).into();
        within("the longest side in pixels", side, MAX_SOURCE_SIDE)?;
        within("the number of pixels", pixels, self.max_pixels)
    }

    pub(crate) fn check_frames(&self, frames: u64) -> Result<(), ImageError> {
        within("the number of frames", frames, self.max_frames)
    }

    /// `pixels` of all frames of an animation, held against `times` those of a still.
    pub(crate) fn check_animation(&self, pixels: u64, times: u64) -> Result<(), ImageError> {
        let limit = self.max_pixels.saturating_mul(times);
        within("the number of pixels of all frames", pixels, limit)
    }

    pub(crate) fn check_memory(&self, bytes: u64) -> Result<(), ImageError> {
        within("the memory to decode it in bytes", bytes, self.max_memory)
    }

    pub(crate) fn check_output_pixels(&self, pixels: u64) -> Result<(), ImageError> {
        within("the number of pixels of all outputs", pixels, self.max_output_pixels)
    }
}

fn within(what: &'static str, actual: u64, limit: u64) -> Result<(), ImageError> {
    if actual > limit {
        return Err(ImageError::TooLarge { what, actual, limit });
    }
    Ok(())
}
