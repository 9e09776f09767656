//! The only place that talks to libavif (and, below it, libaom): AVIF to planes or pixels and back.
#![expect(
    unsafe_code,
    reason = "the C API of libavif takes pointers; every plane's size is checked here or computed by the library"
)]

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use libavif_sys as avif;

use crate::ImageError;
use crate::colour::Packed;
use crate::orientation::Orientation;
use crate::plane::{Plane, SLACK};
use crate::pool::Pool;

/// What libaom is told beside the effort. Measured on photos: a fifth fewer bytes at the same
/// SSIMULACRA2 than without. A library that does not know one of them goes without it.
const OPTIONS: [(&CStr, &CStr); 5] = [
    (c"enable-qm", c"1"),
    (c"qm-min", c"4"),
    (c"qm-max", c"10"),
    (c"dist-metric", c"qm-psnr"),
    (c"deltaq-mode", c"2"),
];

const SRGB: u16 = 13;
const BT709: u16 = 1;
const UNSPECIFIED: u16 = 2;
const BT601: u16 = 6;
const BT470BG: u16 = 5;

/// An AVIF whose container has been read.
#[derive(Debug)]
pub(crate) struct Decoder(NonNull<avif::avifDecoder>);

impl Decoder {
    /// Reads the container. Nothing of the picture is decoded. `source` is used again by the decoding
    /// calls, so it must outlive the value: callers keep both in one scope.
    pub(crate) fn open(source: &[u8], max_frames: u64) -> Result<Self, ImageError> {
        // SAFETY: no preconditions; the settings are plain fields of the value that it returns.
        let decoder = unsafe {
            let mut decoder = NonNull::new(avif::avifDecoderCreate()).ok_or_else(no_memory)?;
            let settings = decoder.as_mut();
            settings.maxThreads = 1;
            settings.ignoreExif = 1;
            settings.ignoreXMP = 1;
            settings.strictFlags = avif::AVIF_STRICT_DISABLED;
            settings.imageCountLimit = u32::try_from(max_frames).unwrap_or(u32::MAX).max(1);
            Self(decoder)
        };
        // SAFETY: pointer and length describe `source`, which outlives the reads.
        unsafe {
            decoder.check(avif::avifDecoderSetSource(
                decoder.0.as_ptr(),
                avif::AVIF_DECODER_SOURCE_PRIMARY_ITEM,
            ))?;
            decoder.check(avif::avifDecoderSetIOMemory(
                decoder.0.as_ptr(),
                source.as_ptr(),
                source.len(),
            ))?;
            decoder.check(avif::avifDecoderParse(decoder.0.as_ptr()))?;
        }
        Ok(decoder)
    }

    pub(crate) fn size(&self) -> (u32, u32) {
        (self.image().width, self.image().height)
    }

    /// More than eight bits a sample.
    pub(crate) fn is_wide(&self) -> bool {
        self.image().depth > 8
    }

    pub(crate) fn has_alpha(&self) -> bool {
        // SAFETY: the decoder is live.
        unsafe { self.0.as_ref() }.alphaPresent != 0
    }

    /// Rotation and mirror, as one EXIF orientation.
    pub(crate) fn orientation(&self) -> Orientation {
        let image = self.image();
        let has = |flag: u32| image.transformFlags & flag != 0;
        let angle = if has(avif::AVIF_TRANSFORM_IROT) { image.irot.angle & 3 } else { 0 };
        let mirror = has(avif::AVIF_TRANSFORM_IMIR).then_some(image.imir.axis);
        Orientation::new(match (angle, mirror) {
            (0, None) => 1,
            (1, None) => 8,
            (2, None) => 3,
            (_, None) => 6,
            (0, Some(0)) | (2, Some(1)) => 4,
            (0, Some(_)) | (2, Some(_)) => 2,
            (1, Some(0)) | (3, Some(1)) => 5,
            (_, Some(_)) => 7,
        })
    }

    /// The colour profile, and the number of the primaries where there is none.
    pub(crate) fn profile(&self) -> (Option<Vec<u8>>, u16) {
        let image = self.image();
        let bytes = (!image.icc.data.is_null() && image.icc.size > 0)
            // SAFETY: the library has read so many bytes of a profile.
            .then(|| {
                unsafe { std::slice::from_raw_parts(image.icc.data, image.icc.size) }.to_vec()
            });
        (bytes, image.colorPrimaries)
    }

    /// Whether [`Decoder::planes`] gives what JPEG would: eight bits, the BT.601 matrix, no alpha.
    pub(crate) fn has_planes(&self) -> bool {
        let image = self.image();
        let matrix = matches!(image.matrixCoefficients, UNSPECIFIED | BT601 | BT470BG);
        image.depth == 8 && !self.has_alpha() && matrix && image.yuvFormat != 0
    }

    /// Decodes to one or three planes of full range, with luma samples for each chroma sample.
    pub(crate) fn planes(
        &mut self,
        pool: &mut Pool,
    ) -> Result<(Vec<Plane>, (f64, f64)), ImageError> {
        self.decode()?;
        let image = self.image();
        let shrink = match image.yuvFormat {
            avif::AVIF_PIXEL_FORMAT_YUV420 => (2.0, 2.0),
            avif::AVIF_PIXEL_FORMAT_YUV422 => (2.0, 1.0),
            _ => (1.0, 1.0),
        };
        let count = if image.yuvFormat == avif::AVIF_PIXEL_FORMAT_YUV400 { 1 } else { 3 };
        let full = image.yuvRange == avif::AVIF_RANGE_FULL;
        let mut planes = Vec::with_capacity(count);
        for index in 0..count {
            // SAFETY: the image is live and decoded; the library tells the size of its own plane.
            let (width, height, from) = unsafe {
                let channel = index as c_int;
                (
                    avif::avifImagePlaneWidth(image, channel) as usize,
                    avif::avifImagePlaneHeight(image, channel) as usize,
                    avif::avifImagePlane(image, channel),
                )
            };
            let stride = image.yuvRowBytes[index] as usize;
            if from.is_null() || width == 0 || height == 0 || stride < width {
                return Err(ImageError::broken("avif", "a plane of it is missing"));
            }
            let mut data = pool.take(width * height + SLACK);
            for (y, row) in data.chunks_exact_mut(width).take(height).enumerate() {
                // SAFETY: row y of a plane of `height` rows, `stride` bytes apart, `width` of them used.
                row.copy_from_slice(unsafe {
                    std::slice::from_raw_parts(from.add(y * stride), width)
                });
            }
            if !full {
                widen(&mut data, index == 0);
            }
            planes.push(Plane::new(data, width, height, width));
        }
        Ok((planes, shrink))
    }

    /// Decodes to RGB or RGBA of eight or sixteen bits, into `pixels`.
    pub(crate) fn packed(
        &mut self,
        pixels: &mut [u8],
        channels: usize,
        wide: bool,
    ) -> Result<(), ImageError> {
        self.decode()?;
        let (width, height) = self.size();
        let each = channels * if wide { 2 } else { 1 };
        assert!(pixels.len() >= width as usize * height as usize * each);
        let mut target = avif::avifRGBImage::default();
        // SAFETY: `pixels` was just checked to hold the rows that the library writes.
        unsafe {
            avif::avifRGBImageSetDefaults(&mut target, self.image());
            target.depth = if wide { 16 } else { 8 };
            target.format =
                if channels == 4 { avif::AVIF_RGB_FORMAT_RGBA } else { avif::AVIF_RGB_FORMAT_RGB };
            target.alphaPremultiplied = 0;
            target.maxThreads = 1;
            target.pixels = pixels.as_mut_ptr();
            target.rowBytes = width * each as u32;
            self.check(avif::avifImageYUVToRGB(self.image(), &mut target))
        }
    }

    fn decode(&mut self) -> Result<(), ImageError> {
        let size = self.size();
        // SAFETY: the decoder is live and its source still there.
        self.check(unsafe { avif::avifDecoderNextImage(self.0.as_ptr()) })?;
        if self.size() != size {
            return Err(ImageError::broken("avif", "it gives two different sizes"));
        }
        Ok(())
    }

    fn image(&self) -> &avif::avifImage {
        // SAFETY: after a parse the library has an image, which lives as long as the decoder.
        unsafe { &*self.0.as_ref().image }
    }

    fn check(&self, code: avif::avifResult) -> Result<(), ImageError> {
        Err(match code {
            avif::AVIF_RESULT_OK => return Ok(()),
            avif::AVIF_RESULT_TRUNCATED_DATA | avif::AVIF_RESULT_IO_ERROR => {
                ImageError::broken("avif", "it is cut off before its end")
            }
            avif::AVIF_RESULT_OUT_OF_MEMORY => no_memory(),
            avif::AVIF_RESULT_NOT_IMPLEMENTED | avif::AVIF_RESULT_UNSUPPORTED_DEPTH => {
                ImageError::source_format("avif variant")
            }
            code => ImageError::broken("avif", words(code)),
        })
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: live until here, freed once.
        unsafe { avif::avifDecoderDestroy(self.0.as_ptr()) }
    }
}

/// Studio range to full range.
fn widen(plane: &mut [u8], luma: bool) {
    let table: [u8; 256] = std::array::from_fn(|value| {
        let value = value as f64;
        let wide = match luma {
            true => (value - 16.0) * 255.0 / 219.0,
            false => (value - 128.0) * 255.0 / 224.0 + 128.0,
        };
        wide.round().clamp(0.0, 255.0) as u8
    });
    plane.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

/// Encodes one grey plane, or Y with Cb and Cr of half size, full range.
pub(crate) fn encode_planes(
    planes: &[Plane],
    width: u32,
    height: u32,
    quality: u8,
    speed: u8,
) -> Result<Vec<u8>, ImageError> {
    let grey = planes.len() == 1;
    let half = (width.div_ceil(2) as usize, height.div_ceil(2) as usize);
    for (index, plane) in planes.iter().enumerate() {
        let (wide, high) = if index == 0 { (width as usize, height as usize) } else { half };
        assert!(plane.width >= wide && plane.height >= high);
    }
    let mut image = Picture::new(width, height, grey)?;
    let picture = image.get();
    for (index, plane) in planes.iter().enumerate() {
        // read only: the encoder takes the image as const
        picture.yuvPlanes[index] = plane.data.as_ptr().cast_mut();
        picture.yuvRowBytes[index] = plane.stride as u32;
    }
    image.encode(quality, speed)
}

/// Encodes RGB or RGBA.
pub(crate) fn encode_packed(
    packed: &Packed,
    quality: u8,
    speed: u8,
) -> Result<Vec<u8>, ImageError> {
    let (width, height, channels) = (packed.width as u32, packed.height as u32, packed.channels);
    assert!(channels >= 3 && packed.pixels.len() >= packed.width * packed.height * channels);
    let mut image = Picture::new(width, height, false)?;
    let mut source = avif::avifRGBImage::default();
    // SAFETY: `pixels` was just checked to hold the rows that the library reads; it allocates the
    // planes for itself.
    let code = unsafe {
        avif::avifRGBImageSetDefaults(&mut source, image.get());
        source.depth = 8;
        source.format =
            if channels == 4 { avif::AVIF_RGB_FORMAT_RGBA } else { avif::AVIF_RGB_FORMAT_RGB };
        source.pixels = packed.pixels.as_ptr().cast_mut();
        source.rowBytes = width * channels as u32;
        avif::avifImageRGBToYUV(image.get(), &source)
    };
    if code != avif::AVIF_RESULT_OK {
        return Err(failed(code));
    }
    image.encode(quality, speed)
}

/// A picture of the library; planes that it did not allocate are not freed by it.
struct Picture(NonNull<avif::avifImage>);

impl Picture {
    fn new(width: u32, height: u32, grey: bool) -> Result<Self, ImageError> {
        let format =
            if grey { avif::AVIF_PIXEL_FORMAT_YUV400 } else { avif::AVIF_PIXEL_FORMAT_YUV420 };
        // SAFETY: no preconditions.
        let image = unsafe { avif::avifImageCreate(width, height, 8, format) };
        let mut image = Self(NonNull::new(image).ok_or_else(no_memory)?);
        let settings = image.get();
        settings.colorPrimaries = BT709;
        settings.transferCharacteristics = SRGB;
        settings.matrixCoefficients = BT601;
        settings.yuvRange = avif::AVIF_RANGE_FULL;
        Ok(image)
    }

    fn get(&mut self) -> &mut avif::avifImage {
        // SAFETY: live, and borrowed through `self` alone.
        unsafe { self.0.as_mut() }
    }

    fn encode(mut self, quality: u8, speed: u8) -> Result<Vec<u8>, ImageError> {
        // SAFETY: encoder and output are live; the output is copied before it is freed once.
        unsafe {
            let mut encoder = NonNull::new(avif::avifEncoderCreate()).ok_or_else(no_memory)?;
            let settings = encoder.as_mut();
            settings.codecChoice = avif::AVIF_CODEC_CHOICE_AOM;
            settings.maxThreads = 1;
            settings.speed = speed.into();
            // with these options the library's scale lies higher; 50 here is 50 of the usual tools
            let quality = (100.0 * (f64::from(quality) / 100.0).powf(1.4)).round().max(1.0);
            settings.quality = quality as c_int;
            settings.qualityAlpha = quality as c_int;
            for (name, value) in OPTIONS {
                avif::avifEncoderSetCodecSpecificOption(
                    encoder.as_ptr(),
                    name.as_ptr(),
                    value.as_ptr(),
                );
            }
            let mut output = avif::avifRWData::default();
            let code = avif::avifEncoderWrite(encoder.as_ptr(), self.get(), &mut output);
            let bytes = (code == avif::AVIF_RESULT_OK && !output.data.is_null())
                .then(|| std::slice::from_raw_parts(output.data, output.size).to_vec());
            avif::avifRWDataFree(&mut output);
            avif::avifEncoderDestroy(encoder.as_ptr());
            bytes.ok_or_else(|| failed(code))
        }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: live until here, freed once.
        unsafe { avif::avifImageDestroy(self.0.as_ptr()) }
    }
}

fn words(code: avif::avifResult) -> String {
    // SAFETY: returns a constant, terminated string.
    unsafe { CStr::from_ptr(avif::avifResultToString(code)) }.to_string_lossy().to_lowercase()
}

fn failed(code: avif::avifResult) -> ImageError {
    ImageError::Failed { step: "encode avif", detail: words(code) }
}

fn no_memory() -> ImageError {
    ImageError::Failed { step: "run libavif", detail: "out of memory".into() }
}
