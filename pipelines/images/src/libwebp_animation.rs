//! Animated WebP by libwebp: whole canvases out of one, and canvases into another.
#![expect(
    unsafe_code,
    reason = "the C API of libwebp takes pointers; each comes from the library or from a checked slice"
)]

use std::ffi::c_int;
use std::marker::PhantomData;

use libwebp_sys as webp;

use crate::ImageError;
use crate::colour::Packed;
use crate::libwebp::{METHOD, mismatch};

/// Reads an animation, one whole canvas after the other.
pub(crate) struct Reader<'a> {
    decoder: *mut webp::WebPAnimDecoder,
    canvas: usize,
    /// How often it is played; 0: for ever.
    pub(crate) loops: u32,
    source: PhantomData<&'a [u8]>,
}

impl<'a> Reader<'a> {
    /// `source` has a canvas of this size, as its header said.
    pub(crate) fn new(source: &'a [u8], (width, height): (u32, u32)) -> Result<Self, ImageError> {
        let data = webp::WebPData { bytes: source.as_ptr(), size: source.len() };
        let mut info = webp::WebPAnimInfo::default();
        // SAFETY: the options are filled by the library before use; `data` describes `source`, which
        // outlives the decoder; `info` is a live value.
        let decoder = unsafe {
            let mut options = std::mem::zeroed::<webp::WebPAnimDecoderOptions>();
            if webp::WebPAnimDecoderOptionsInit(&mut options) == 0 {
                return Err(mismatch());
            }
            webp::WebPAnimDecoderNew(&data, &options)
        };
        let broken = || ImageError::broken("webp", "its frames cannot be read");
        if decoder.is_null() {
            return Err(broken());
        }
        let mut reader = Self { decoder, canvas: 0, loops: 0, source: PhantomData };
        // SAFETY: the decoder was just made.
        let known = unsafe { webp::WebPAnimDecoderGetInfo(reader.decoder, &mut info) } != 0;
        if !known || (info.canvas_width, info.canvas_height) != (width, height) {
            return Err(broken());
        }
        reader.canvas = width as usize * height as usize * 4;
        reader.loops = info.loop_count;
        Ok(reader)
    }

    /// The next canvas, RGBA, and when it ends in milliseconds.
    pub(crate) fn next(&mut self) -> Result<Option<(&[u8], u32)>, ImageError> {
        let (mut pixels, mut end) = (std::ptr::null_mut(), 0);
        // SAFETY: the decoder lives; what it hands out is a canvas of its own that stays as it is
        // until the next call, which borrows it mutably.
        unsafe {
            if webp::WebPAnimDecoderHasMoreFrames(self.decoder) == 0 {
                return Ok(None);
            }
            let read = webp::WebPAnimDecoderGetNext(self.decoder, &mut pixels, &mut end) != 0;
            if !read || pixels.is_null() {
                return Err(ImageError::broken("webp", "a frame of it is damaged"));
            }
            let canvas = std::slice::from_raw_parts(pixels, self.canvas);
            Ok(Some((canvas, u32::try_from(end).unwrap_or(0))))
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // SAFETY: made by the library, deleted once.
        unsafe { webp::WebPAnimDecoderDelete(self.decoder) }
    }
}

/// Writes an animation.
pub(crate) struct Writer {
    encoder: *mut webp::WebPAnimEncoder,
    config: webp::WebPConfig,
    size: (usize, usize),
}

impl Writer {
    /// `loops`: how often it is played; 0: for ever.
    pub(crate) fn new(
        (width, height): (u32, u32),
        quality: u8,
        loops: u32,
    ) -> Result<Self, ImageError> {
        let mut config = webp::WebPConfig::new().map_err(|()| mismatch())?;
        config.quality = quality.into();
        config.method = METHOD;
        let version = webp::WEBP_MUX_ABI_VERSION as c_int;
        // SAFETY: the options are filled by the library before use.
        let encoder = unsafe {
            let mut options = std::mem::zeroed::<webp::WebPAnimEncoderOptions>();
            if webp::WebPAnimEncoderOptionsInitInternal(&mut options, version) == 0 {
                return Err(mismatch());
            }
            options.anim_params.loop_count = loops.min(65_535) as c_int;
            let (width, height) = (width as c_int, height as c_int);
            webp::WebPAnimEncoderNewInternal(width, height, &options, version)
        };
        if encoder.is_null() {
            return Err(failed("no encoder for that size"));
        }
        Ok(Self { encoder, config, size: (width as usize, height as usize) })
    }

    /// Adds a canvas that is shown from `start`, in milliseconds.
    pub(crate) fn add(&mut self, packed: &Packed, start: u32) -> Result<(), ImageError> {
        assert_eq!(self.size, (packed.width, packed.height));
        let rows = packed.width * packed.channels;
        assert!(packed.channels >= 3 && packed.pixels.len() >= rows * packed.height);
        let mut picture = webp::WebPPicture::new().map_err(|()| mismatch())?;
        picture.width = packed.width as c_int;
        picture.height = packed.height as c_int;
        picture.use_argb = 1;
        let import = match packed.channels {
            3 => webp::WebPPictureImportRGB,
            _ => webp::WebPPictureImportRGBA,
        };
        // SAFETY: `pixels` was just checked to hold the rows that the library reads; the encoder
        // copies what it needs of the picture, which is freed once.
        let added = unsafe {
            let added = import(&mut picture, packed.pixels.as_ptr(), rows as c_int) != 0
                && webp::WebPAnimEncoderAdd(
                    self.encoder,
                    &mut picture,
                    start.min(i32::MAX as u32) as c_int,
                    &self.config,
                ) != 0;
            webp::WebPPictureFree(&mut picture);
            added
        };
        if added { Ok(()) } else { Err(failed("a frame was refused")) }
    }

    /// The file; its last frame ends at `end`.
    pub(crate) fn finish(self, end: u32) -> Result<Vec<u8>, ImageError> {
        let mut data = webp::WebPData::default();
        let end = end.min(i32::MAX as u32) as c_int;
        // SAFETY: no picture means the end; what the library wrote is copied before it is freed once.
        unsafe {
            let none = std::ptr::null_mut();
            let done = webp::WebPAnimEncoderAdd(self.encoder, none, end, std::ptr::null()) != 0
                && webp::WebPAnimEncoderAssemble(self.encoder, &mut data) != 0;
            let bytes = (done && !data.bytes.is_null())
                .then(|| std::slice::from_raw_parts(data.bytes, data.size).to_vec());
            webp::WebPDataClear(&mut data);
            bytes.ok_or_else(|| failed("its frames could not be put together"))
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // SAFETY: made by the library, deleted once.
        unsafe { webp::WebPAnimEncoderDelete(self.encoder) }
    }
}

fn failed(detail: &str) -> ImageError {
    ImageError::Failed { step: "encode animated webp", detail: detail.into() }
}
