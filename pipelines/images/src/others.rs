//! GIF and BMP sources, through the `image` crate: rarer formats, decoded at full size. Its own
//! limits are set from ours, so that what a header hides from us ends at the same bounds.

use std::io::{Cursor, ErrorKind};

use ::image::codecs::{bmp::BmpDecoder, gif::GifDecoder};
use ::image::{ColorType, ImageDecoder, ImageError as DecodeError, ImageResult};

use crate::decode::{Header, Source, Wanted};
use crate::orientation::Orientation;
use crate::pixels::{Form, Pixels};
use crate::plane::{Picture, Plane, Pyramid, SLACK};
use crate::sniff::SourceFormat;
use crate::{ImageError, Limits};

/// Reads the header; of a GIF also where its frames begin.
pub(crate) fn header(
    source: &[u8],
    format: SourceFormat,
    limits: &Limits,
) -> Result<Header, ImageError> {
    let explain = |error| explain(error, format, limits);
    let mut decoder = open(source, format).map_err(explain)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(ImageError::broken(format.as_str(), "its width or height is zero"));
    }
    let frames = match format {
        SourceFormat::Gif => count_frames(source),
        _ => 1,
    };
    Ok(Header {
        width,
        height,
        frames,
        orientation: Orientation::new(decoder.orientation().map_err(explain)?.to_exif()),
        profile: decoder.icc_profile().map_err(explain)?,
        exif: None,
        inverted: false,
        coefficients: 0,
    })
}

/// Decodes at full size: the first frame.
pub(crate) fn decode(source: &Source<'_>, wanted: &mut Wanted<'_>) -> Result<Picture, ImageError> {
    let format = source.format;
    let limits = wanted.limits;
    let explain = |error| explain(error, format, limits);
    let mut decoder = open(source.bytes, format).map_err(explain)?;
    let (from, form) = match decoder.color_type() {
        ColorType::L8 => (1, Form { channels: 1, wide: false }),
        ColorType::L16 => (1, Form { channels: 1, wide: true }),
        ColorType::La8 => (2, Form::RGBA),
        ColorType::La16 => (2, Form { channels: 4, wide: true }),
        ColorType::Rgb8 => (3, Form::RGB),
        ColorType::Rgb16 => (3, Form { channels: 3, wide: true }),
        ColorType::Rgba8 => (4, Form::RGBA),
        ColorType::Rgba16 => (4, Form { channels: 4, wide: true }),
        other => {
            let what = format!("{} with {other:?} samples", format.as_str());
            return Err(ImageError::source_format(what));
        }
    };
    let size = (source.header.width as usize, source.header.height as usize);
    // the decoder's copy, ours, and the halves of ours
    let whole = size.0 as u64 * size.1 as u64 * form.bytes() as u64;
    limits.check_memory(whole * 5 / 2)?;
    let mut bounds = ::image::Limits::no_limits();
    bounds.max_image_width = Some(source.header.width);
    bounds.max_image_height = Some(source.header.height);
    bounds.max_alloc = Some(limits.max_memory - whole);
    decoder.set_limits(bounds).map_err(explain)?;

    let length = decoder.total_bytes() as usize;
    let mut pixels = wanted.pool.take(length);
    decoder.read_image_boxed(&mut pixels).map_err(explain)?;
    if from == 2 {
        pixels = spread(&pixels, if form.wide { 2 } else { 1 });
    }
    if form == (Form { channels: 1, wide: false }) {
        pixels.resize(length + SLACK, 0);
        let plane = Plane::new(pixels, size.0, size.1, size.0);
        return Ok(Picture::Planes(vec![Pyramid::new(plane, (1.0, 1.0))]));
    }
    // every GIF comes with alpha, most do not use it
    if form == Form::RGBA && pixels.iter().skip(3).step_by(4).all(|&alpha| alpha == 255) {
        for pixel in 0..size.0 * size.1 {
            pixels.copy_within(pixel * 4..pixel * 4 + 3, pixel * 3);
        }
        pixels.truncate(size.0 * size.1 * 3);
        return Ok(Picture::Pixels(Pixels::straight(pixels, size, Form::RGB, 1.0)?));
    }
    Ok(Picture::Pixels(Pixels::straight(pixels, size, form, 1.0)?))
}

fn open(source: &[u8], format: SourceFormat) -> ImageResult<Box<dyn ImageDecoder + '_>> {
    let source = Cursor::new(source);
    Ok(match format {
        SourceFormat::Gif => Box::new(GifDecoder::new(source)?),
        _ => Box::new(BmpDecoder::new(source)?),
    })
}

/// Grey and alpha to RGBA; `wide` bytes a sample.
fn spread(pixels: &[u8], wide: usize) -> Vec<u8> {
    let mut rgba = Vec::with_capacity(pixels.len() * 2);
    for pixel in pixels.chunks_exact(2 * wide) {
        let grey = &pixel[..wide];
        rgba.extend([grey, grey, grey, &pixel[wide..]].into_iter().flatten());
    }
    rgba
}

/// Frames of a GIF by a walk over its blocks: nothing is decoded; ends quietly where the file does.
fn count_frames(source: &[u8]) -> u64 {
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut frames = 0;
    let mut at = 13 + source.get(10).map_or(0, |&flags| table(flags));
    while let Some(&kind) = source.get(at) {
        at += match (kind, source.get(at + 9)) {
            (0x21, _) => 2,
            (0x2c, Some(&flags)) => {
                frames += 1;
                // position, size and flags, its own palette, the code size
                11 + table(flags)
            }
            _ => break,
        };
        while let Some(&length @ 1..) = source.get(at) {
            at += 1 + usize::from(length);
        }
        at += 1;
    }
    frames
}

fn explain(error: DecodeError, format: SourceFormat, limits: &Limits) -> ImageError {
    let name = format.as_str();
    match error {
        DecodeError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageError::broken(name, "it is cut off before its end")
        }
        DecodeError::Limits(_) => ImageError::TooLarge {
            what: "the memory to decode it in bytes",
            actual: limits.max_memory.saturating_add(1),
            limit: limits.max_memory,
        },
        DecodeError::Unsupported(error) => {
            ImageError::source_format(format!("{name} variant ({error})"))
        }
        error => ImageError::broken(name, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_over_extensions_and_palettes() {
        let mut gif = b"GIF89a\x02\0\x02\0\x80\0\0......".to_vec();
        let extension = b"\x21\xf9\x04\0\0\0\0\0";
        let frame = b"\x2c\0\0\0\0\x02\0\x02\0\x80......\x02\x02\x44\x01\0";
        for frames in 1..4 {
            gif.extend_from_slice(extension);
            gif.extend_from_slice(frame);
            assert_eq!(count_frames(&gif), frames);
        }
        gif.push(0x3b);
        assert_eq!(count_frames(&gif), 3);
        for end in 0..gif.len() {
            assert!(count_frames(&gif[..end]) <= 3);
        }
    }

    #[test]
    fn grey_and_alpha_spread() {
        assert_eq!(spread(&[1, 2, 3, 4], 1), [1, 1, 1, 2, 3, 3, 3, 4]);
        assert_eq!(spread(&[1, 2, 3, 4], 2), [1, 2, 1, 2, 1, 2, 3, 4]);
    }
}
