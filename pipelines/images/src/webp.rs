//! WebP sources: a bounded walk over the RIFF chunks for metadata and the first frame; lossy opaque
//! frames stay in planes, others become pixels.

use crate::decode::{Header, Source, Wanted};
use crate::libwebp::{self, Features};
use crate::orientation::{Orientation, from_exif};
use crate::pixels::{Form, Pixels};
use crate::plane::{Picture, Plane, Pyramid};
use crate::{ImageError, Limits};

/// The frame that is used and where it lies on the canvas.
struct Frame<'a> {
    bytes: &'a [u8],
    left: usize,
    top: usize,
    features: Features,
}

/// Reads the header.
pub(crate) fn header(source: &[u8]) -> Result<Header, ImageError> {
    let features = libwebp::features(source)?;
    let mut found = Header {
        width: features.width,
        height: features.height,
        frames: 0,
        orientation: Orientation::UPRIGHT,
        profile: None,
        exif: None,
        inverted: false,
        coefficients: 0,
    };
    for (name, body) in chunks(source) {
        match &name {
            b"ANMF" => found.frames += 1,
            b"ICCP" => found.profile = Some(body.to_vec()),
            b"EXIF" => {
                let exif = body.strip_prefix(b"Exif\0\0").unwrap_or(body);
                found.orientation = from_exif(exif);
                found.exif = Some(exif.to_vec());
            }
            _ => {}
        }
    }
    found.frames = found.frames.max(1);
    Ok(found)
}

/// Decodes at full size: the codec has no cheaper scale.
pub(crate) fn decode(source: &Source<'_>, wanted: &mut Wanted<'_>) -> Result<Picture, ImageError> {
    let (width, height) = (source.header.width as usize, source.header.height as usize);
    let frame = first_frame(source.bytes, width, height)?;
    check_memory(width, height, frame.features, wanted.limits)?;
    let features = frame.features;
    let is_whole = (features.width as usize, features.height as usize) == (width, height);
    if features.lossy && !features.alpha && is_whole {
        let half = (width.div_ceil(2), height.div_ceil(2));
        let mut planes = [(width, height), half, half]
            .map(|(width, height)| Plane::take(wanted.pool, width, height));
        libwebp::decode_planes(frame.bytes, &mut planes)?;
        to_full(&mut planes);
        let scales = [(1.0, 1.0), (0.5, 0.5), (0.5, 0.5)];
        let planes = planes.into_iter().zip(scales);
        let planes = planes.map(|(plane, scale)| Pyramid::new(plane, scale));
        return Ok(Picture::Planes(planes.collect()));
    }
    let form = if features.alpha || !is_whole { Form::RGBA } else { Form::RGB };
    let stride = width * form.channels;
    let mut canvas = wanted.pool.take(stride * height);
    if !is_whole {
        canvas.fill(0);
    }
    let at = frame.top * stride + frame.left * form.channels;
    libwebp::decode_packed(frame.bytes, &mut canvas[at..], stride, form)?;
    Ok(Picture::Pixels(Pixels::straight(canvas, (width, height), form, 1.0)?))
}

/// The library's own buffers included: it holds a lossless frame as 32-bit pixels.
fn check_memory(
    width: usize,
    height: usize,
    features: Features,
    limits: &Limits,
) -> Result<(), ImageError> {
    let pixels = width as u64 * height as u64;
    let each = match (features.lossy, features.alpha) {
        (true, false) => 2,
        (true, true) => 8,
        _ => 10,
    };
    limits.check_memory(pixels * each)
}

fn first_frame(source: &[u8], width: usize, height: usize) -> Result<Frame<'_>, ImageError> {
    let features = libwebp::features(source)?;
    if !features.animated {
        return Ok(Frame { bytes: source, left: 0, top: 0, features });
    }
    let broken = || ImageError::broken("webp", "its first frame is damaged");
    let body = chunks(source)
        .find_map(|(name, body)| (&name == b"ANMF").then_some(body))
        .ok_or_else(broken)?;
    // x/2, y/2, width−1, height−1, duration (24 bits each), flags, then the frame's own chunks
    let number = |at: usize| {
        let bytes = body.get(at..at + 3)?;
        Some(usize::from(bytes[0]) | usize::from(bytes[1]) << 8 | usize::from(bytes[2]) << 16)
    };
    let (left, top) = (number(0).ok_or_else(broken)? * 2, number(3).ok_or_else(broken)? * 2);
    let bytes = body.get(16..).ok_or_else(broken)?;
    let features = libwebp::features(bytes)?;
    let right = left + features.width as usize;
    let bottom = top + features.height as usize;
    if right > width || bottom > height {
        return Err(broken());
    }
    Ok(Frame { bytes, left, top, features })
}

/// Name and body of each chunk; ends quietly where the file does.
fn chunks(source: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = source.get(12..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (name, after) = rest.split_first_chunk::<4>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let body = after.get(..length)?;
        rest = after.get(length.next_multiple_of(2)..).unwrap_or_default();
        Some((*name, body))
    })
}

/// Studio range (16 to 235 and 240) to full range, in place.
fn to_full(planes: &mut [Plane; 3]) {
    remap(
        planes,
        |luma| (luma - 16.0) * 255.0 / 219.0,
        |chroma| (chroma - 128.0) * 255.0 / 224.0 + 128.0,
    );
}

/// Full range to studio range, in place: what the encoder expects.
pub(crate) fn to_studio(planes: &mut [Plane; 3]) {
    remap(
        planes,
        |luma| luma * 219.0 / 255.0 + 16.0,
        |chroma| (chroma - 128.0) * 224.0 / 255.0 + 128.0,
    );
}

fn remap(planes: &mut [Plane; 3], luma: impl Fn(f64) -> f64, chroma: impl Fn(f64) -> f64) {
    let byte = |value: f64| value.round().clamp(0.0, 255.0) as u8;
    let luma: [u8; 256] = std::array::from_fn(|value| byte(luma(value as f64)));
    let chroma: [u8; 256] = std::array::from_fn(|value| byte(chroma(value as f64)));
    for (plane, table) in planes.iter_mut().zip([luma, chroma, chroma]) {
        for value in &mut plane.data {
            *value = table[usize::from(*value)];
        }
    }
}
