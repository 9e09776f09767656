//! Animated sources to animated outputs: every canvas is resized, turned and overlaid as a still would
//! be, one at a time, so that memory holds one of them whatever their number.

use std::io::Cursor;

use ::image::codecs::gif::GifDecoder;
use ::image::{AnimationDecoder, Frames, ImageDecoder};

use crate::colour::Profile;
use crate::decode::{Source, still_wanted};
use crate::geometry::Layout;
use crate::libwebp_animation::{Reader, Writer};
use crate::overlay::Overlays;
use crate::pixels::{Form, Pixels};
use crate::plane::Picture;
use crate::pool::Pool;
use crate::render::{Renderer, quality_of};
use crate::request::{Colour, Output};
use crate::sniff::SourceFormat;
use crate::{ImageError, Limits, webp};

/// Pixels of all frames of a source, as a multiple of the pixels a still may have.
const MOST_WORK: u64 = 10;
/// A frame shown for less is shown for [`USUAL`] milliseconds, as browsers do.
const SHORTEST: u32 = 20;
const USUAL: u32 = 100;

/// An animated output under way.
struct Track<'a> {
    index: usize,
    layout: &'a Layout,
    output: &'a Output,
    writer: Writer,
}

/// An animation as a file.
pub(crate) struct Animated {
    /// Which output it is.
    pub(crate) index: usize,
    pub(crate) bytes: Vec<u8>,
    pub(crate) frames: u32,
}

/// Whether an output is made as an animation: it asks for it and the source is one.
pub(crate) fn moves(source: &Source<'_>, output: &Output) -> bool {
    output.animated
        && source.header.frames > 1
        && matches!(source.format, SourceFormat::Gif | SourceFormat::Webp)
}

/// Holds the pixels of all frames against the limits.
pub(crate) fn check(
    source: &Source<'_>,
    outputs: &[Output],
    layouts: &[Layout],
    limits: &Limits,
) -> Result<(), ImageError> {
    let frames = source.header.frames;
    let pairs = layouts.iter().zip(outputs);
    let each = |(layout, output): (&Layout, &Output)| match moves(source, output) {
        true => layout.pixels().saturating_mul(frames),
        false => layout.pixels(),
    };
    let (moving, pixels) = pairs.fold((false, 0_u64), |(moving, sum), pair| {
        (moving || moves(source, pair.1), sum.saturating_add(each(pair)))
    });
    limits.check_output_pixels(pixels)?;
    if moving {
        let canvas = u64::from(source.header.width) * u64::from(source.header.height);
        limits.check_animation(canvas.saturating_mul(frames), MOST_WORK)?;
        // the decoder's two canvases, ours, and the halves of ours
        limits.check_memory(canvas * 4 * 4)?;
    }
    Ok(())
}

/// Makes every output that [`moves`].
#[expect(clippy::too_many_arguments, reason = "all that the stills of the same request use")]
pub(crate) fn animate(
    source: &Source<'_>,
    outputs: &[Output],
    layouts: &[Layout],
    profile: Option<&Profile>,
    background: Option<Colour>,
    overlays: &mut Overlays<'_>,
    limits: &Limits,
    pool: &mut Pool,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<Animated>, ImageError> {
    let size = (source.header.width, source.header.height);
    let mut canvases = Canvases::open(source, limits)?;
    let mut tracks = Vec::new();
    for (index, (layout, output)) in layouts.iter().zip(outputs).enumerate() {
        if moves(source, output) {
            let size = (layout.width, layout.height);
            let writer = Writer::new(size, quality_of(output), canvases.loops())?;
            tracks.push(Track { index, layout, output, writer });
        }
    }
    let (mut start, mut frames) = (0, 0);
    while let Some((canvas, lasts)) = canvases.next(pool)? {
        still_wanted(cancelled)?;
        frames += 1;
        limits.check_frames(frames.into())?;
        let pixels = Pixels::straight(canvas, (size.0 as usize, size.1 as usize), Form::RGBA, 1.0)?;
        let mut picture = Picture::Pixels(pixels);
        let orientation = source.header.orientation;
        let mut renderer =
            Renderer::new(&mut picture, size, orientation, profile, background, pool);
        for track in &mut tracks {
            let mut packed = renderer.compose(track.layout, track.output)?;
            overlays.put_on(&mut packed, &track.output.name, renderer.pool)?;
            track.writer.add(&packed, start)?;
            renderer.pool.put(packed.pixels);
        }
        picture.recycle(pool);
        start += lasts;
    }
    if frames == 0 {
        return Err(ImageError::broken(source.format.as_str(), "it has no frame"));
    }
    let finished = tracks.into_iter().map(|track| {
        let bytes = track.writer.finish(start)?;
        // pictures that are all alike have become one
        let frames = u32::try_from(webp::header(&bytes)?.frames).unwrap_or(frames);
        Ok(Animated { index: track.index, bytes, frames })
    });
    finished.collect()
}

/// The canvases of a source, one after the other.
enum Canvases<'a> {
    Gif(Box<Frames<'a>>, u32),
    Webp(Reader<'a>, u32),
}

impl<'a> Canvases<'a> {
    fn open(source: &Source<'a>, limits: &Limits) -> Result<Self, ImageError> {
        let size = (source.header.width, source.header.height);
        if source.format == SourceFormat::Webp {
            return Ok(Self::Webp(Reader::new(source.bytes, size)?, 0));
        }
        let broken = |error: ::image::ImageError| ImageError::broken("gif", error.to_string());
        let mut decoder = GifDecoder::new(Cursor::new(source.bytes)).map_err(broken)?;
        let mut bounds = ::image::Limits::no_limits();
        (bounds.max_image_width, bounds.max_image_height) = (Some(size.0), Some(size.1));
        bounds.max_alloc = Some(limits.max_memory);
        decoder.set_limits(bounds).map_err(broken)?;
        Ok(Self::Gif(Box::new(decoder.into_frames()), loops_of_gif(source.bytes)))
    }

    fn loops(&self) -> u32 {
        match self {
            Self::Gif(_, loops) => *loops,
            Self::Webp(reader, _) => reader.loops,
        }
    }

    /// RGBA and how many milliseconds it is shown.
    fn next(&mut self, pool: &mut Pool) -> Result<Option<(Vec<u8>, u32)>, ImageError> {
        let (canvas, lasts) = match self {
            Self::Gif(frames, _) => {
                let Some(frame) = frames.next() else { return Ok(None) };
                let frame = frame.map_err(|error| ImageError::broken("gif", error.to_string()))?;
                let (millis, parts) = frame.delay().numer_denom_ms();
                (frame.into_buffer().into_raw(), millis / parts.max(1))
            }
            Self::Webp(reader, before) => {
                let Some((canvas, end)) = reader.next()? else { return Ok(None) };
                let mut buffer = pool.take(canvas.len());
                buffer.copy_from_slice(canvas);
                let lasts = end.saturating_sub(*before);
                *before = end;
                (buffer, lasts)
            }
        };
        Ok(Some((canvas, if lasts < SHORTEST { USUAL } else { lasts.min(60_000) })))
    }
}

/// How often a GIF is played: once, unless it says otherwise; 0: for ever.
fn loops_of_gif(source: &[u8]) -> u32 {
    let name = b"NETSCAPE2.0\x03\x01";
    let start = &source[..source.len().min(4096)];
    let found = start.windows(name.len()).position(|window| window == name);
    match found.and_then(|at| source.get(at + name.len()..at + name.len() + 2)) {
        Some(&[0, 0]) => 0,
        // it counts the repetitions
        Some(&[low, high]) => u32::from(u16::from_le_bytes([low, high])) + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::loops_of_gif;

    #[test]
    fn loops_are_read_from_the_extension() {
        let with = |low: u8| {
            let mut gif = b"GIF89a\x01\0\x01\0\0\0\0\x21\xff\x0bNETSCAPE2.0\x03\x01".to_vec();
            gif.extend([low, 0, 0]);
            gif
        };
        assert_eq!((loops_of_gif(&with(0)), loops_of_gif(&with(3))), (0, 4));
        assert_eq!(loops_of_gif(b"GIF89a"), 1);
    }
}
