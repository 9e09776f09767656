//! PNG in and out. Decoding goes row by row into a picture already shrunk by a power of two, so that
//! memory follows the size of the thumbnails and not that of the source (interlaced files excepted).
//! Eight bits of grey become a plane, all else interleaved pixels.

use std::io::Cursor;

use ::png::{
    BitDepth, ColorType, Compression, Decoder, DecodingError, Encoder, Filter, Limits as PngLimits,
    Reader, Transformations,
};

use crate::colour::Packed;
use crate::decode::{Header, Source, Wanted, still_wanted};
use crate::orientation::{Orientation, from_exif};
use crate::pixels::{Form, Pixels};
use crate::plane::{Picture, Plane, Pyramid, SLACK};
use crate::{ImageError, Limits};

/// What the decoder may take for chunks and rows beside the picture.
const CHUNK_BYTES: usize = 32 << 20;

/// Sums of so many by so many samples, times alpha, fit into 64 bits.
const MAX_SHRINK: u32 = 4096;

type PngReader<'a> = Reader<Cursor<&'a [u8]>>;

/// Reads the header. The size is checked first, on the bytes themselves.
pub(crate) fn header(source: &[u8], limits: &Limits) -> Result<Header, ImageError> {
    let side = |at: usize| {
        let bytes = source.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes)).filter(|side| (1..=1 << 31).contains(side))
    };
    let (Some(width), Some(height)) = (side(16), side(20)) else {
        return Err(ImageError::broken("png", "it is cut off or has no size"));
    };
    limits.check_pixels(width, height)?;
    let reader = open(source)?;
    let (from, form) = forms(&reader)?;
    let frame_bytes = (from * form.bytes() / form.channels) as u64;
    let info = reader.info();
    Ok(Header {
        width,
        height,
        frames: info.animation_control.map_or(1, |frames| frames.num_frames.into()),
        orientation: info
            .exif_metadata
            .as_ref()
            .map_or(Orientation::UPRIGHT, |exif| from_exif(exif)),
        profile: info.icc_profile.as_ref().map(|profile| profile.to_vec()),
        exif: info.exif_metadata.as_ref().map(|exif| exif.to_vec()),
        inverted: false,
        coefficients: if info.interlaced { frame_bytes } else { 0 },
    })
}

/// Decodes to at least twice what the largest output needs.
pub(crate) fn decode(source: &Source<'_>, wanted: &mut Wanted<'_>) -> Result<Picture, ImageError> {
    let header = &source.header;
    let mut shrink = 1_u32;
    while f64::from(shrink * 2) * wanted.scale * 2.0 <= 1.005 && shrink < MAX_SHRINK {
        shrink *= 2;
    }
    let mut reader = open(source.bytes)?;
    let (from, form) = forms(&reader)?;
    let pixels = u64::from(header.width) * u64::from(header.height);
    let decoded = pixels.div_ceil(u64::from(shrink).pow(2)) * (form.bytes() as u64 * 3).div_ceil(2);
    wanted.limits.check_memory(decoded + pixels * header.coefficients + CHUNK_BYTES as u64)?;

    let size = (header.width as usize, header.height as usize);
    let small = (size.0.div_ceil(shrink as usize), size.1.div_ceil(shrink as usize));
    let room = small.0 * small.1 * form.bytes();
    let slack = if form.bytes() == 1 { SLACK } else { 0 };
    let mut shrinker = Shrinker {
        pixels: wanted.pool.take(room + slack),
        size,
        shrink: shrink as usize,
        from,
        form,
        seen: 0,
        sums: vec![0; if shrink == 1 { 0 } else { small.0 * form.channels }],
    };
    if reader.info().interlaced {
        let length = reader
            .output_buffer_size()
            .ok_or_else(|| ImageError::broken("png", "its size overflows"))?;
        let mut frame = wanted.pool.take(length);
        reader.next_frame(&mut frame).map_err(explain)?;
        frame.chunks_exact(length / size.1).for_each(|row| shrinker.add(row));
        wanted.pool.put(frame);
    } else {
        for y in 0..size.1 {
            if y % 256 == 0 {
                still_wanted(wanted.cancelled)?;
            }
            let row = reader.next_row().map_err(explain);
            let cut = || ImageError::broken("png", "it is cut off before its end");
            let error = match row.and_then(|row| row.ok_or_else(cut)) {
                Ok(row) => {
                    shrinker.add(row.data());
                    continue;
                }
                Err(error) => error,
            };
            let partial = wanted.partial.filter(|_| y > 0).ok_or(error)?;
            partial.set(true);
            let nothing = vec![0; size.0 * from * form.bytes() / form.channels];
            (y..size.1).for_each(|_| shrinker.add(&nothing));
            break;
        }
    }
    let scale = 1.0 / f64::from(shrink);
    Ok(match (form.bytes(), shrink) {
        (1, _) => {
            let plane = Plane::new(shrinker.pixels, small.0, small.1, small.0);
            Picture::Planes(vec![Pyramid::new(plane, (scale, scale))])
        }
        (_, 1) => Picture::Pixels(Pixels::straight(shrinker.pixels, small, form, scale)?),
        _ => Picture::Pixels(Pixels::premultiplied(shrinker.pixels, small, form, scale)?),
    })
}

/// Channels as they come from the decoder, and what becomes of them: grey with alpha becomes RGBA.
fn forms(reader: &PngReader<'_>) -> Result<(usize, Form), ImageError> {
    let (colour, depth) = reader.output_color_type();
    let (from, channels) = match colour {
        ColorType::Grayscale => (1, 1),
        ColorType::GrayscaleAlpha => (2, 4),
        ColorType::Rgb => (3, 3),
        ColorType::Rgba => (4, 4),
        ColorType::Indexed => return Err(ImageError::broken("png", "its palette is missing")),
    };
    Ok((from, Form { channels, wide: depth == BitDepth::Sixteen }))
}

fn open(source: &[u8]) -> Result<PngReader<'_>, ImageError> {
    let limits = PngLimits { bytes: CHUNK_BYTES };
    let mut decoder = Decoder::new_with_limits(Cursor::new(source), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    decoder.read_info().map_err(explain)
}

fn explain(error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            ImageError::broken("png", "it is cut off before its end")
        }
        DecodingError::LimitsExceeded => ImageError::TooLarge {
            what: "a chunk or row of the png in bytes",
            actual: CHUNK_BYTES as u64 + 1,
            limit: CHUNK_BYTES as u64,
        },
        error => ImageError::broken("png", error.to_string()),
    }
}

/// Means of squares of `shrink` × `shrink` pixels, gathered as rows arrive, alpha multiplied in; with
/// `shrink` 1 the pixels as they are.
struct Shrinker {
    pixels: Vec<u8>,
    size: (usize, usize),
    shrink: usize,
    from: usize,
    form: Form,
    seen: usize,
    /// Sums for one row of results.
    sums: Vec<u64>,
}

impl Shrinker {
    fn add(&mut self, row: &[u8]) {
        match self.form.wide {
            false => self.add_samples(row.iter().map(|&value| value.into()), |value| [value as u8]),
            true => self.add_samples(
                row.chunks_exact(2).map(|value| u16::from_be_bytes([value[0], value[1]]).into()),
                |value| (value as u16).to_ne_bytes(),
            ),
        }
    }

    /// A row of samples, and how one is stored.
    fn add_samples<const N: usize>(
        &mut self,
        samples: impl Iterator<Item = u32>,
        store: impl Fn(u32) -> [u8; N],
    ) {
        match self.from {
            1 => self.add_pixels(samples, store, |[grey]: [u32; 1]| [grey]),
            2 => self.add_pixels(samples, store, |[grey, alpha]| [grey, grey, grey, alpha]),
            3 => self.add_pixels(samples, store, |rgb: [u32; 3]| rgb),
            _ => self.add_pixels(samples, store, |rgba: [u32; 4]| rgba),
        }
    }

    fn add_pixels<const N: usize, const FROM: usize, const TO: usize>(
        &mut self,
        mut samples: impl Iterator<Item = u32>,
        store: impl Fn(u32) -> [u8; N],
        spread: impl Fn([u32; FROM]) -> [u32; TO],
    ) {
        let mut pixel = || spread(std::array::from_fn(|_| samples.next().unwrap_or_default()));
        self.seen += 1;
        if self.shrink == 1 {
            let length = self.size.0 * TO * N;
            let line = &mut self.pixels[(self.seen - 1) * length..][..length];
            for stored in line.chunks_exact_mut(TO * N) {
                for (stored, value) in stored.chunks_exact_mut(N).zip(pixel()) {
                    stored.copy_from_slice(&store(value));
                }
            }
            return;
        }
        let full = if N == 1 { 255 } else { 65_535 };
        let mut left = self.size.0;
        for sums in self.sums.chunks_exact_mut(TO) {
            for _ in 0..self.shrink.min(left) {
                let mut pixel = pixel();
                if TO == 4 {
                    let alpha = pixel[3];
                    pixel[..3].iter_mut().for_each(|value| *value *= alpha);
                    pixel[3] *= full;
                }
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += u64::from(value);
                }
            }
            left = left.saturating_sub(self.shrink);
        }
        if self.seen.is_multiple_of(self.shrink) || self.seen == self.size.1 {
            self.flush(if TO == 4 { full } else { 1 }, store);
        }
    }

    /// Stores a row of means; each sum is `unit` times too large.
    fn flush<const N: usize>(&mut self, unit: u32, store: impl Fn(u32) -> [u8; N]) {
        let y = (self.seen - 1) / self.shrink;
        let high = self.seen - y * self.shrink;
        let channels = self.form.channels;
        let line = &mut self.pixels[y * self.sums.len() * N..][..self.sums.len() * N];
        let pixels = line.chunks_exact_mut(channels * N).zip(self.sums.chunks_exact(channels));
        for (x, (pixel, sums)) in pixels.enumerate() {
            let wide = self.shrink.min(self.size.0 - x * self.shrink);
            let each = 1.0 / (wide * high) as f64 / f64::from(unit);
            for (stored, &sum) in pixel.chunks_exact_mut(N).zip(sums) {
                stored.copy_from_slice(&store((sum as f64 * each + 0.5) as u32));
            }
        }
        self.sums.fill(0);
    }
}

/// Encodes losslessly with the fast compressor and adaptive filters: measured, 13 to 35 times as fast as
/// level 6, and smaller than the unfiltered level 6 that is usual for thumbnails.
pub(crate) fn encode(packed: &Packed) -> Result<Vec<u8>, ImageError> {
    let failed = |error: ::png::EncodingError| ImageError::Failed {
        step: "encode png",
        detail: error.to_string(),
    };
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, packed.width as u32, packed.height as u32);
    encoder.set_color(match packed.channels {
        1 => ColorType::Grayscale,
        3 => ColorType::Rgb,
        _ => ColorType::Rgba,
    });
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    encoder.set_filter(Filter::Adaptive);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&packed.pixels).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}
