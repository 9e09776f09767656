//! The only place that talks to libjpeg-turbo: JPEG to planes or packed pixels and back.
//!
//! Sizes given to the library are computed from what it read in the header itself, every return is
//! checked (a refused scaling factor must never be followed by a decode), and one handle serves one call.
#![expect(
    unsafe_code,
    reason = "the C API of libjpeg-turbo takes pointers; every buffer is sized by the library's own size functions beforehand"
)]

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;

use turbojpeg_sys as tj;

use crate::ImageError;
use crate::plane::{Plane, SLACK};
use crate::pool::Pool;

/// Scans of a progressive file; encoders write about ten, attackers thousands.
const MAX_SCANS: c_int = 100;

/// How samples are stored in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colours {
    Grey,
    Ycc,
    Rgb,
    Cmyk,
}

/// An opened JPEG.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    handle: Handle,
    source: &'a [u8],
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) colours: Colours,
    subsampling: tj::TJSAMP,
    /// Set by a decode whose picture lacks parts, where that is allowed.
    partial: Option<&'a Cell<bool>>,
}

impl<'a> Decoder<'a> {
    /// Reads the header. `max_memory` in bytes bounds what the library allocates for itself.
    pub(crate) fn open(
        source: &'a [u8],
        max_memory: u64,
        partial: Option<&'a Cell<bool>>,
    ) -> Result<Self, ImageError> {
        let mut handle = Handle::new(tj::TJINIT_TJINIT_DECOMPRESS)?;
        let mebibytes = (max_memory >> 20).clamp(1, 1 << 20) as c_int;
        handle.set(tj::TJPARAM_TJPARAM_MAXMEMORY, mebibytes)?;
        handle.set(tj::TJPARAM_TJPARAM_SCANLIMIT, MAX_SCANS)?;
        handle.set(tj::TJPARAM_TJPARAM_SAVEMARKERS, 0)?;
        // SAFETY: the handle is live; pointer and length describe `source`.
        let code = unsafe {
            tj::tj3DecompressHeader(handle.raw(), source.as_ptr(), source.len() as tj::size_t)
        };
        handle.judge(code, None)?;
        let side = |parameter| {
            u32::try_from(handle.get(parameter))
                .ok()
                .filter(|&side| side > 0)
                .ok_or_else(|| ImageError::broken("jpeg", "it has no picture"))
        };
        let width = side(tj::TJPARAM_TJPARAM_JPEGWIDTH)?;
        let height = side(tj::TJPARAM_TJPARAM_JPEGHEIGHT)?;
        let colours = match handle.get(tj::TJPARAM_TJPARAM_COLORSPACE) as tj::TJCS {
            tj::TJCS_TJCS_GRAY => Colours::Grey,
            tj::TJCS_TJCS_YCbCr => Colours::Ycc,
            tj::TJCS_TJCS_RGB => Colours::Rgb,
            tj::TJCS_TJCS_CMYK | tj::TJCS_TJCS_YCCK => Colours::Cmyk,
            _ => return Err(ImageError::source_format("jpeg with unknown colours")),
        };
        let subsampling = handle.get(tj::TJPARAM_TJPARAM_SUBSAMP);
        Ok(Self { handle, source, width, height, colours, subsampling, partial })
    }

    /// Whether [`Decoder::planes`] can be used: grey or YCbCr with a usual subsampling.
    pub(crate) fn has_planes(&self) -> bool {
        matches!(self.colours, Colours::Grey | Colours::Ycc)
            && self.subsampling != tj::TJSAMP_TJSAMP_UNKNOWN
    }

    /// Luma samples for each chroma sample, across and down.
    pub(crate) fn chroma_shrink(&self) -> (f64, f64) {
        match self.subsampling {
            tj::TJSAMP_TJSAMP_422 => (2.0, 1.0),
            tj::TJSAMP_TJSAMP_420 => (2.0, 2.0),
            tj::TJSAMP_TJSAMP_440 => (1.0, 2.0),
            tj::TJSAMP_TJSAMP_411 => (4.0, 1.0),
            tj::TJSAMP_TJSAMP_441 => (1.0, 4.0),
            _ => (1.0, 1.0),
        }
    }

    /// Decodes to one or three planes at 1/`shrink` (1, 2, 4 or 8) of the size.
    pub(crate) fn planes(
        &mut self,
        shrink: u32,
        pool: &mut Pool,
    ) -> Result<Vec<Plane>, ImageError> {
        let (width, height) = self.scale(shrink)?;
        let count = if self.colours == Colours::Grey { 1 } else { 3 };
        let (across, down) = self.chroma_shrink();
        let mut planes = Vec::with_capacity(count);
        for component in 0..count {
            // SAFETY: pure functions of numbers.
            let (stride, rows) = unsafe {
                (
                    tj::tj3YUVPlaneWidth(component as c_int, width as c_int, self.subsampling),
                    tj::tj3YUVPlaneHeight(component as c_int, height as c_int, self.subsampling),
                )
            };
            let (Ok(stride), Ok(rows @ 1..)) = (usize::try_from(stride), usize::try_from(rows))
            else {
                return Err(ImageError::broken("jpeg", "its planes have no size"));
            };
            let (across, down) = if component == 0 { (1.0, 1.0) } else { (across, down) };
            let used = (f64::from(width) / across).ceil() as usize;
            let high = (f64::from(height) / down).ceil() as usize;
            let data = pool.take(stride * rows + SLACK);
            planes.push(Plane::new(data, used.min(stride), high.min(rows), stride));
        }
        let mut pointers = [std::ptr::null_mut(); 3];
        let mut strides = [0; 3];
        for (index, plane) in planes.iter_mut().enumerate() {
            pointers[index] = plane.data.as_mut_ptr();
            strides[index] = plane.stride as c_int;
        }
        // SAFETY: each pointer has the stride × rows bytes that the library says it writes for this
        // size and subsampling, both of which it read from this same source.
        let code = unsafe {
            tj::tj3DecompressToYUVPlanes8(
                self.handle.raw(),
                self.source.as_ptr(),
                self.source.len() as tj::size_t,
                pointers.as_mut_ptr(),
                strides.as_mut_ptr(),
            )
        };
        self.handle.judge(code, self.partial)?;
        Ok(planes)
    }

    /// Decodes to packed RGB, or CMYK as stored, at 1/`shrink` of the size: samples, width, height.
    pub(crate) fn packed(
        &mut self,
        shrink: u32,
        pool: &mut Pool,
    ) -> Result<(Vec<u8>, u32, u32), ImageError> {
        let (width, height) = self.scale(shrink)?;
        let (format, channels) = match self.colours {
            Colours::Cmyk => (tj::TJPF_TJPF_CMYK, 4),
            _ => (tj::TJPF_TJPF_RGB, 3),
        };
        let pitch = width as usize * channels;
        let mut pixels = pool.take(pitch * height as usize);
        // SAFETY: `pixels` has pitch × height bytes, the scaled size that the library computes by
        // the same formula.
        let code = unsafe {
            tj::tj3Decompress8(
                self.handle.raw(),
                self.source.as_ptr(),
                self.source.len() as tj::size_t,
                pixels.as_mut_ptr(),
                pitch as c_int,
                format,
            )
        };
        self.handle.judge(code, self.partial)?;
        Ok((pixels, width, height))
    }

    /// Sets the scale (always a reduced fraction: others are refused) and returns the scaled size.
    fn scale(&mut self, shrink: u32) -> Result<(u32, u32), ImageError> {
        let factor = tj::tjscalingfactor { num: 1, denom: shrink as c_int };
        // SAFETY: the handle is live.
        let code = unsafe { tj::tj3SetScalingFactor(self.handle.raw(), factor) };
        if code != 0 {
            return Err(self.handle.failed("scale the decoder"));
        }
        Ok((self.width.div_ceil(shrink), self.height.div_ceil(shrink)))
    }
}

/// Encodes planes (one grey, or Y and quarter-size Cb and Cr of even padded size) as JPEG, baseline
/// with the standard Huffman tables or progressive.
pub(crate) fn encode_planes(
    planes: &[Plane],
    width: u32,
    height: u32,
    quality: u8,
    progressive: bool,
) -> Result<Vec<u8>, ImageError> {
    let subsampling = match planes.len() {
        1 => tj::TJSAMP_TJSAMP_GRAY,
        _ => tj::TJSAMP_TJSAMP_420,
    };
    let mut pointers = [std::ptr::null(); 3];
    let mut strides = [0; 3];
    for (index, plane) in planes.iter().enumerate() {
        // SAFETY: pure functions of numbers.
        let (wide, high) = unsafe {
            (
                tj::tj3YUVPlaneWidth(index as c_int, width as c_int, subsampling),
                tj::tj3YUVPlaneHeight(index as c_int, height as c_int, subsampling),
            )
        };
        assert!(plane.width >= wide as usize && plane.height >= high as usize);
        pointers[index] = plane.data.as_ptr();
        strides[index] = plane.stride as c_int;
    }
    compress(quality, progressive, subsampling, |handle, bytes, size| {
        // SAFETY: each plane was just checked to hold what the library reads of it.
        unsafe {
            tj::tj3CompressFromYUVPlanes8(
                handle,
                pointers.as_ptr(),
                width as c_int,
                strides.as_ptr(),
                height as c_int,
                bytes,
                size,
            )
        }
    })
}

/// Encodes packed RGB as 4:2:0 JPEG, baseline with the standard Huffman tables or progressive.
pub(crate) fn encode_rgb(
    pixels: &[u8],
    width: u32,
    height: u32,
    quality: u8,
    progressive: bool,
) -> Result<Vec<u8>, ImageError> {
    assert!(pixels.len() >= width as usize * height as usize * 3);
    compress(quality, progressive, tj::TJSAMP_TJSAMP_420, |handle, bytes, size| {
        // SAFETY: `pixels` was just checked to hold width × height pixels of three bytes.
        unsafe {
            tj::tj3Compress8(
                handle,
                pixels.as_ptr(),
                width as c_int,
                0,
                height as c_int,
                tj::TJPF_TJPF_RGB,
                bytes,
                size,
            )
        }
    })
}

fn compress(
    quality: u8,
    progressive: bool,
    subsampling: tj::TJSAMP,
    run: impl FnOnce(tj::tjhandle, *mut *mut u8, *mut tj::size_t) -> c_int,
) -> Result<Vec<u8>, ImageError> {
    let mut handle = Handle::new(tj::TJINIT_TJINIT_COMPRESS)?;
    handle.set(tj::TJPARAM_TJPARAM_QUALITY, quality.into())?;
    handle.set(tj::TJPARAM_TJPARAM_SUBSAMP, subsampling)?;
    handle.set(tj::TJPARAM_TJPARAM_PROGRESSIVE, progressive.into())?;
    let mut bytes = std::ptr::null_mut();
    let mut size: tj::size_t = 0;
    let code = run(handle.raw(), &mut bytes, &mut size);
    let encoded = if code == 0 && !bytes.is_null() {
        // SAFETY: on success the library has set both to its own buffer.
        Ok(unsafe { std::slice::from_raw_parts(bytes, size as usize) }.to_vec())
    } else {
        Err(handle.failed("encode jpeg"))
    };
    // SAFETY: the buffer is the library's (or null, which it accepts), freed once.
    unsafe { tj::tj3Free(bytes.cast()) };
    encoded
}

#[derive(Debug)]
struct Handle(NonNull<c_void>);

impl Handle {
    fn new(kind: tj::TJINIT) -> Result<Self, ImageError> {
        // SAFETY: no preconditions.
        let raw = unsafe { tj::tj3Init(kind as c_int) };
        NonNull::new(raw.cast()).map(Self).ok_or_else(|| ImageError::Failed {
            step: "start libjpeg-turbo",
            detail: "out of memory".into(),
        })
    }

    fn raw(&self) -> tj::tjhandle {
        self.0.as_ptr().cast()
    }

    fn set(&mut self, parameter: tj::TJPARAM, value: c_int) -> Result<(), ImageError> {
        // SAFETY: the handle is live.
        match unsafe { tj::tj3Set(self.raw(), parameter as c_int, value) } {
            0 => Ok(()),
            _ => Err(self.failed("configure libjpeg-turbo")),
        }
    }

    fn get(&self, parameter: tj::TJPARAM) -> c_int {
        // SAFETY: the handle is live.
        unsafe { tj::tj3Get(self.raw(), parameter as c_int) }
    }

    fn message(&self) -> String {
        // SAFETY: the library returns a terminated string that lives as long as the handle.
        unsafe { CStr::from_ptr(tj::tj3GetErrorStr(self.raw())) }.to_string_lossy().into_owned()
    }

    fn failed(&self, step: &'static str) -> ImageError {
        ImageError::Failed { step, detail: self.message() }
    }

    /// Sorts the outcome of a decoding call: fine, fine with a warning that cameras are known to
    /// cause, incomplete where that is allowed, or broken.
    fn judge(&self, code: c_int, partial: Option<&Cell<bool>>) -> Result<(), ImageError> {
        if code == 0 {
            return Ok(());
        }
        let message = self.message();
        // SAFETY: the handle is live.
        let severity = unsafe { tj::tj3GetErrorCode(self.raw()) };
        if severity == tj::TJERR_TJERR_WARNING as c_int {
            // the library has filled what is missing
            match partial {
                _ if is_harmless(&message) => return Ok(()),
                Some(partial) => {
                    partial.set(true);
                    return Ok(());
                }
                None => {}
            }
        }
        Err(explain(&message))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is live and dropped once.
        unsafe { tj::tj3Destroy(self.raw()) }
    }
}

/// Warnings about files whose picture is complete: written by some phones and editors.
fn is_harmless(message: &str) -> bool {
    [
        "extraneous bytes before marker",
        "Invalid SOS parameters",
        "Unknown Adobe color transform",
        "Unsupported JFIF revision",
        "Inconsistent progression sequence",
    ]
    .iter()
    .any(|known| message.contains(known))
}

fn explain(message: &str) -> ImageError {
    if message.contains("Premature end") || message.contains("premature end") {
        return ImageError::broken("jpeg", "it is cut off before its end");
    }
    if message.contains("nsufficient memory") {
        return ImageError::broken("jpeg", "it needs more memory than its header says");
    }
    if message.contains("Unsupported") || message.contains("not supported") {
        return ImageError::source_format(format!("jpeg variant ({message})"));
    }
    ImageError::broken("jpeg", message)
}
