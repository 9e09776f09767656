//! The only place that talks to libwebp: bitstreams to planes or pixels and back.
#![expect(
    unsafe_code,
    reason = "the C API of libwebp takes pointers; every buffer's size is checked here or given to the library, which checks it"
)]

use std::ffi::c_int;

use libwebp_sys as webp;

use crate::ImageError;
use crate::colour::Packed;
use crate::pixels::Form;
use crate::plane::Plane;

/// Effort of the encoder, 0 to 6: the value of the usual tools.
pub(crate) const METHOD: c_int = 4;

/// What the start of a file or of a frame says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Features {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) alpha: bool,
    pub(crate) animated: bool,
    pub(crate) lossy: bool,
}

/// Reads the header.
pub(crate) fn features(source: &[u8]) -> Result<Features, ImageError> {
    let mut found = webp::WebPBitstreamFeatures {
        width: 0,
        height: 0,
        has_alpha: 0,
        has_animation: 0,
        format: 0,
        pad: [0; 5],
    };
    // SAFETY: pointer and length describe `source`; `found` is a live value.
    let status = unsafe { webp::WebPGetFeatures(source.as_ptr(), source.len(), &mut found) };
    check(status)?;
    match (u32::try_from(found.width), u32::try_from(found.height)) {
        (Ok(width @ 1..), Ok(height @ 1..)) => Ok(Features {
            width,
            height,
            alpha: found.has_alpha != 0,
            animated: found.has_animation != 0,
            lossy: found.format == 1,
        }),
        _ => Err(ImageError::broken("webp", "its width or height is zero")),
    }
}

/// Decodes a lossy frame to Y, Cb and Cr (studio range, as stored) of full and of half size.
pub(crate) fn decode_planes(source: &[u8], planes: &mut [Plane; 3]) -> Result<(), ImageError> {
    let mut config = config()?;
    let [y, u, v] = planes;
    config.output.colorspace = webp::WEBP_CSP_MODE::MODE_YUV;
    config.output.is_external_memory = 1;
    config.output.width = y.width as c_int;
    config.output.height = y.height as c_int;
    config.output.u.YUVA = webp::WebPYUVABuffer {
        y: y.data.as_mut_ptr(),
        u: u.data.as_mut_ptr(),
        v: v.data.as_mut_ptr(),
        a: std::ptr::null_mut(),
        y_stride: y.stride as c_int,
        u_stride: u.stride as c_int,
        v_stride: v.stride as c_int,
        a_stride: 0,
        y_size: y.data.len(),
        u_size: u.data.len(),
        v_size: v.data.len(),
        a_size: 0,
    };
    // SAFETY: pointer and length describe `source`; the library holds the sizes of the three
    // buffers against those of the picture before it writes.
    check(unsafe { webp::WebPDecode(source.as_ptr(), source.len(), &mut config) })
}

/// Decodes a frame to RGB or RGBA at the start of `pixels`, rows `stride` bytes apart.
pub(crate) fn decode_packed(
    source: &[u8],
    pixels: &mut [u8],
    stride: usize,
    form: Form,
) -> Result<(), ImageError> {
    let mut config = config()?;
    config.output.colorspace = match form.has_alpha() {
        true => webp::WEBP_CSP_MODE::MODE_RGBA,
        false => webp::WEBP_CSP_MODE::MODE_RGB,
    };
    config.output.is_external_memory = 1;
    config.output.u.RGBA = webp::WebPRGBABuffer {
        rgba: pixels.as_mut_ptr(),
        stride: stride as c_int,
        size: pixels.len(),
    };
    // SAFETY: as above, with one buffer.
    check(unsafe { webp::WebPDecode(source.as_ptr(), source.len(), &mut config) })
}

/// Encodes Y, Cb and Cr in studio range; chroma of half size, rounded up.
pub(crate) fn encode_planes(
    planes: &mut [Plane; 3],
    width: u32,
    height: u32,
    quality: u8,
) -> Result<Vec<u8>, ImageError> {
    let (wide, high) = (width as usize, height as usize);
    let half = (wide.div_ceil(2), high.div_ceil(2));
    for (plane, (wide, high)) in planes.iter().zip([(wide, high), half, half]) {
        assert!(plane.width >= wide && plane.height >= high);
    }
    assert_eq!(planes[1].stride, planes[2].stride);
    let mut picture = Drawing::new(width, height)?;
    let [y, u, v] = planes;
    picture.0.y = y.data.as_mut_ptr();
    picture.0.u = u.data.as_mut_ptr();
    picture.0.v = v.data.as_mut_ptr();
    picture.0.y_stride = y.stride as c_int;
    picture.0.uv_stride = u.stride as c_int;
    picture.encode(quality)
}

/// Encodes RGB or RGBA.
pub(crate) fn encode_packed(packed: &Packed, quality: u8) -> Result<Vec<u8>, ImageError> {
    let (width, height, channels) = (packed.width, packed.height, packed.channels);
    assert!(channels >= 3 && packed.pixels.len() >= width * height * channels);
    let mut picture = Drawing::new(width as u32, height as u32)?;
    let import = match channels {
        3 => webp::WebPPictureImportRGB,
        _ => webp::WebPPictureImportRGBA,
    };
    // SAFETY: `pixels` was just checked to hold the rows that the library reads.
    let imported =
        unsafe { import(&mut picture.0, packed.pixels.as_ptr(), (width * channels) as c_int) };
    if imported == 0 {
        return Err(picture.failed());
    }
    picture.encode(quality)
}

/// A picture of the library, with whatever memory it gave it.
struct Drawing(webp::WebPPicture);

impl Drawing {
    fn new(width: u32, height: u32) -> Result<Self, ImageError> {
        let mut picture = webp::WebPPicture::new().map_err(|()| mismatch())?;
        picture.width = width as c_int;
        picture.height = height as c_int;
        picture.use_argb = 0;
        Ok(Self(picture))
    }

    fn encode(mut self, quality: u8) -> Result<Vec<u8>, ImageError> {
        let mut config = webp::WebPConfig::new().map_err(|()| mismatch())?;
        config.quality = quality.into();
        config.method = METHOD;
        // SAFETY: the writer is initialised by the library before use; it and the picture outlive
        // the call, and its memory is copied before it is cleared once.
        unsafe {
            let mut writer = std::mem::MaybeUninit::<webp::WebPMemoryWriter>::uninit();
            webp::WebPMemoryWriterInit(writer.as_mut_ptr());
            self.0.writer = Some(webp::WebPMemoryWrite);
            self.0.custom_ptr = writer.as_mut_ptr().cast();
            let done = webp::WebPEncode(&config, &mut self.0) != 0;
            let mut writer = writer.assume_init();
            let bytes = (done && !writer.mem.is_null())
                .then(|| std::slice::from_raw_parts(writer.mem, writer.size).to_vec());
            webp::WebPMemoryWriterClear(&mut writer);
            bytes.ok_or_else(|| self.failed())
        }
    }

    fn failed(&self) -> ImageError {
        ImageError::Failed { step: "encode webp", detail: format!("{:?}", self.0.error_code) }
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        // SAFETY: frees only what the library allocated for this picture, once.
        unsafe { webp::WebPPictureFree(&mut self.0) }
    }
}

fn config() -> Result<webp::WebPDecoderConfig, ImageError> {
    webp::WebPDecoderConfig::new().map_err(|()| mismatch())
}

pub(crate) fn mismatch() -> ImageError {
    ImageError::Failed {
        step: "start libwebp",
        detail: "its version does not match its headers".into(),
    }
}

fn check(status: webp::VP8StatusCode) -> Result<(), ImageError> {
    use webp::VP8StatusCode as Status;
    Err(match status {
        Status::VP8_STATUS_OK => return Ok(()),
        Status::VP8_STATUS_SUSPENDED | Status::VP8_STATUS_NOT_ENOUGH_DATA => {
            ImageError::broken("webp", "it is cut off before its end")
        }
        Status::VP8_STATUS_UNSUPPORTED_FEATURE => ImageError::source_format("webp variant"),
        Status::VP8_STATUS_OUT_OF_MEMORY => {
            ImageError::Failed { step: "decode webp", detail: "out of memory".into() }
        }
        _ => ImageError::broken("webp", "its data is corrupt"),
    })
}
