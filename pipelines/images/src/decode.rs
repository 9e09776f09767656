//! From bytes to a checked header, and from there to a picture: the common part of the decoders.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::colour::Profile;
use crate::orientation::Orientation;
use crate::plane::Picture;
use crate::pool::Pool;
use crate::sniff::{SourceFormat, sniff};
use crate::{ImageError, Limits, avif, jpeg, others, png, tiff, webp};

/// What a file says about itself before any of its pixels are decoded.
#[derive(Debug)]
pub(crate) struct Header {
    /// As stored, before orientation.
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) frames: u64,
    pub(crate) orientation: Orientation,
    pub(crate) profile: Option<Vec<u8>>,
    /// The EXIF block, from its byte order on.
    pub(crate) exif: Option<Vec<u8>>,
    /// CMYK stored as 255 − ink, as Adobe does.
    pub(crate) inverted: bool,
    /// Bytes for each pixel that the decoder keeps beside the picture.
    pub(crate) coefficients: u64,
}

/// A file whose header is within the limits.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) format: SourceFormat,
    pub(crate) header: Header,
}

/// What the outputs need of a decode, and what it may use.
pub(crate) struct Wanted<'a> {
    /// Output pixels for each source pixel, of the output that needs most.
    pub(crate) scale: f64,
    pub(crate) profile: Option<&'a Profile>,
    pub(crate) limits: &'a Limits,
    pub(crate) pool: &'a mut Pool,
    pub(crate) cancelled: &'a dyn Fn() -> bool,
    /// There, where a picture that lacks parts will do; set when it does.
    pub(crate) partial: Option<&'a Cell<bool>>,
}

impl<'a> Source<'a> {
    /// Finds the format, reads the header and holds it against the limits.
    pub(crate) fn open(bytes: &'a [u8], limits: &Limits) -> Result<Self, ImageError> {
        limits.check_bytes(bytes.len())?;
        let format = sniff(bytes)?;
        let header = match format {
            SourceFormat::Jpeg => jpeg::header(bytes),
            SourceFormat::Png => png::header(bytes, limits),
            SourceFormat::Webp => webp::header(bytes),
            SourceFormat::Avif => avif::header(bytes, limits),
            SourceFormat::Tiff => guarded(format, || tiff::header(bytes, limits)),
            SourceFormat::Gif | SourceFormat::Bmp => {
                guarded(format, || others::header(bytes, format, limits))
            }
        }?;
        limits.check_pixels(header.width, header.height)?;
        limits.check_frames(header.frames)?;
        Ok(Self { bytes, format, header })
    }

    pub(crate) fn decode(&self, wanted: &mut Wanted<'_>) -> Result<Picture, ImageError> {
        match self.format {
            SourceFormat::Jpeg => jpeg::decode(self, wanted),
            SourceFormat::Png => png::decode(self, wanted),
            SourceFormat::Webp => webp::decode(self, wanted),
            SourceFormat::Avif => avif::decode(self, wanted),
            SourceFormat::Tiff => guarded(self.format, || tiff::decode(self, wanted)),
            SourceFormat::Gif | SourceFormat::Bmp => {
                guarded(self.format, || others::decode(self, wanted))
            }
        }
    }
}

/// `Err(Cancelled)` when the caller says so.
pub(crate) fn still_wanted(cancelled: &dyn Fn() -> bool) -> Result<(), ImageError> {
    if cancelled() {
        return Err(ImageError::Cancelled);
    }
    Ok(())
}

/// Runs a decoder that is not ours and holds some of its bounds by panicking: such a file is broken.
fn guarded<T>(
    format: SourceFormat,
    work: impl FnOnce() -> Result<T, ImageError>,
) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(ImageError::broken(format.as_str(), "its parts do not fit together"))
    })
}
