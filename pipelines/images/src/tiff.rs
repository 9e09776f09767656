//! TIFF sources: the first page, strip by strip or tile by tile. The `tiff` crate unpacks the samples; what
//! they mean (palettes, inverted grey, inks, Lab, which sample is alpha) is decided here, because it knows
//! few of these: it is told that every picture is grey with so many samples.

use std::io::{Cursor, Error, ErrorKind, Read, Result as IoResult, Seek, SeekFrom};

use ::tiff::decoder::{Decoder, DecodingResult, Limits as TiffLimits};
use ::tiff::tags::Tag;
use ::tiff::{TiffError, TiffResult};

use crate::colour::{self, Profile};
use crate::decode::{Header, Source, Wanted, still_wanted};
use crate::orientation::Orientation;
use crate::pixels::{Form, Pixels};
use crate::plane::{Picture, Plane, Pyramid, SLACK};
use crate::tiff_colour::{Kind, Meaning};
use crate::{ImageError, Limits, jpeg};

/// Largest value of one entry, such as a colour profile.
const MAX_ENTRY: usize = 4 << 20;
const PHOTOMETRIC: u64 = 262;
const JPEG: u16 = 7;

/// Reads the directory of the first page.
pub(crate) fn header(source: &[u8], limits: &Limits) -> Result<Header, ImageError> {
    let mut page = Page::open(source, limits).map_err(|error| explain(error, limits))??;
    let profile = page.decoder.get_tag_u8_vec(Tag::IccProfile).ok();
    let orientation = page.decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten();
    Ok(Header {
        width: page.width,
        height: page.height,
        frames: 1,
        orientation: orientation.map_or(Orientation::UPRIGHT, Orientation::new),
        profile: profile.filter(|profile| !page.meaning.is_absolute() && !profile.is_empty()),
        exif: None,
        inverted: false,
        coefficients: 0,
    })
}

/// Decodes at full size.
pub(crate) fn decode(source: &Source<'_>, wanted: &mut Wanted<'_>) -> Result<Picture, ImageError> {
    let limits = wanted.limits;
    let page = Page::open(source.bytes, limits).map_err(|error| explain(error, limits))??;
    page.read(source.bytes, wanted)
}

/// The first page, opened.
struct Page<'a> {
    decoder: Decoder<Patched<'a>>,
    width: u32,
    height: u32,
    samples: usize,
    planes: usize,
    meaning: Meaning,
    in_jpeg: bool,
}

impl<'a> Page<'a> {
    /// The outer error is the decoder's, the inner ours.
    fn open(source: &'a [u8], limits: &Limits) -> TiffResult<Result<Self, ImageError>> {
        let (reader, photometric) = Patched::new(source);
        let mut bounds = TiffLimits::default();
        bounds.decoding_buffer_size = usize::try_from(limits.max_memory).unwrap_or(usize::MAX);
        bounds.intermediate_buffer_size = bounds.decoding_buffer_size;
        bounds.ifd_value_size = MAX_ENTRY;
        let mut decoder = Decoder::new(reader)?.with_limits(bounds);
        let (width, height) = decoder.dimensions()?;
        let mut list = |tag| -> TiffResult<Vec<u16>> {
            Ok(decoder.find_tag_unsigned_vec(tag)?.unwrap_or_default())
        };
        let first = |list: Vec<u16>, otherwise| list.first().copied().unwrap_or(otherwise);
        let samples = first(list(Tag::SamplesPerPixel)?, 1);
        let bits = first(list(Tag::BitsPerSample)?, 1);
        let compression = first(list(Tag::Compression)?, 1);
        let planar = first(list(Tag::PlanarConfiguration)?, 1) == 2;
        let extra = decoder.find_tag_unsigned_vec(Tag::ExtraSamples)?;
        let mut list = |tag| -> TiffResult<Vec<u16>> {
            Ok(decoder.find_tag_unsigned_vec(tag)?.unwrap_or_default())
        };
        let formats = list(Tag::SampleFormat)?;
        let shrunk = list(Tag::ChromaSubsampling)?;
        let in_jpeg = compression == JPEG;
        let kind = match photometric {
            0 => Kind::Grey { inverted: true },
            1 => Kind::Grey { inverted: false },
            2 => Kind::Rgb,
            3 => Kind::palette(&list(Tag::ColorMap)?),
            5 => Kind::Cmyk,
            6 if in_jpeg || shrunk == [1, 1] => Kind::Ycc,
            8 => Kind::Lab { signed: true },
            9 => Kind::Lab { signed: false },
            other => {
                let what = format!("tiff with colours of kind {other}");
                return Ok(Err(ImageError::source_format(what)));
            }
        };
        let whole = |&format: &u16| matches!(format, 1 | 4) || format == 2 && kind.is_lab();
        if !formats.iter().all(whole) {
            return Ok(Err(ImageError::source_format("tiff with signed or broken numbers")));
        }
        let meaning = match Meaning::new(kind, bits, samples, extra.as_deref()) {
            Ok(meaning) => meaning,
            Err(error) => return Ok(Err(error)),
        };
        if width == 0 || height == 0 {
            return Ok(Err(ImageError::broken("tiff", "its width or height is zero")));
        }
        let samples = usize::from(samples);
        let planes = if planar { samples } else { 1 };
        Ok(Ok(Self { decoder, width, height, samples, planes, meaning, in_jpeg }))
    }

    fn read(mut self, source: &[u8], wanted: &mut Wanted<'_>) -> Result<Picture, ImageError> {
        let limits = wanted.limits;
        let size = (self.width as usize, self.height as usize);
        let form = self.meaning.form();
        let whole = size.0 as u64 * size.1 as u64 * form.bytes() as u64;
        let (wide, high) = self.decoder.chunk_dimensions();
        let chunk = u64::from(wide.min(self.width)) * u64::from(high.min(self.height));
        // ours and its halves, and a strip or tile of every plane
        limits.check_memory(whole * 3 / 2 + chunk.saturating_mul(self.samples as u64 * 2))?;
        let count = self.regions(wide, high).map_err(|error| explain(error, limits))?;
        if self.in_jpeg {
            self.check_jpeg(source, u64::from(wide) * u64::from(high), limits)?;
        }
        let slack = if form.bytes() == 1 { SLACK } else { 0 };
        let mut pixels = wanted.pool.take(whole as usize + slack);
        let across = self.width.div_ceil(wide.max(1)).max(1);
        for region in 0..count {
            still_wanted(wanted.cancelled)?;
            let planes: TiffResult<Vec<DecodingResult>> = (0..self.planes as u32)
                .map(|plane| self.decoder.read_chunk(plane * count + region))
                .collect();
            let planes = planes.map_err(|error| explain(error, limits))?;
            let (width, height) = self.decoder.chunk_data_dimensions(region);
            let left = (region % across * wide) as usize;
            let top = (region / across * high) as usize;
            for y in 0..height as usize {
                let start = ((top + y) * size.0 + left) * form.bytes();
                let row = &mut pixels[start..][..width as usize * form.bytes()];
                self.meaning.row(&planes, self.samples, width as usize, y, row)?;
            }
        }
        if form.bytes() == 1 {
            let plane = Plane::new(pixels, size.0, size.1, size.0);
            return Ok(Picture::Planes(vec![Pyramid::new(plane, (1.0, 1.0))]));
        }
        if self.meaning.is_inks() {
            let transform = wanted.profile.and_then(Profile::cmyk_to_srgb);
            colour::cmyk_to_rgb(&mut pixels, size.0, false, transform);
            return Ok(Picture::Pixels(Pixels::straight(pixels, size, Form::RGB, 1.0)?));
        }
        let made = match self.meaning.is_premultiplied() {
            true => Pixels::premultiplied(pixels, size, form, 1.0),
            false => Pixels::straight(pixels, size, form, 1.0),
        };
        Ok(Picture::Pixels(made?))
    }

    /// How many strips or tiles a plane has; all of them must be there.
    fn regions(&mut self, wide: u32, high: u32) -> TiffResult<u32> {
        let there = match self.decoder.get_chunk_type() {
            ::tiff::decoder::ChunkType::Strip => self.decoder.strip_count()?,
            ::tiff::decoder::ChunkType::Tile => self.decoder.tile_count()?,
        };
        let across = u64::from(self.width.div_ceil(wide.max(1)));
        let count = across * u64::from(self.height.div_ceil(high.max(1)));
        if count * self.planes as u64 > u64::from(there) {
            return Err(Error::from(ErrorKind::UnexpectedEof).into());
        }
        Ok(count as u32)
    }

    /// A strip or tile in JPEG is as large as its own header says: that is held against the directory's.
    fn check_jpeg(&mut self, source: &[u8], most: u64, limits: &Limits) -> Result<(), ImageError> {
        let mut list = |strip, tile| {
            let strips = self.decoder.find_tag_unsigned_vec::<u64>(strip).ok().flatten();
            let tiles = || self.decoder.find_tag_unsigned_vec::<u64>(tile).ok().flatten();
            strips.or_else(tiles).unwrap_or_default()
        };
        let starts = list(Tag::StripOffsets, Tag::TileOffsets);
        let lengths = list(Tag::StripByteCounts, Tag::TileByteCounts);
        for (start, length) in starts.into_iter().zip(lengths) {
            let end = start.saturating_add(length).min(source.len() as u64);
            let part = source.get(start as usize..end as usize).unwrap_or_default();
            let (width, height) = jpeg::size(part)?;
            if u64::from(width) * u64::from(height) > most.max(64) {
                limits.check_pixels(width, height)?;
                return Err(ImageError::broken("tiff", "it gives two different sizes"));
            }
        }
        Ok(())
    }
}

/// The file with another kind of colours: grey.
struct Patched<'a> {
    source: Cursor<&'a [u8]>,
    at: u64,
    grey: [u8; 2],
}

impl<'a> Patched<'a> {
    /// With the kind of colours that the file gives.
    fn new(source: &'a [u8]) -> (Self, u16) {
        let little = source.starts_with(b"II");
        let (at, kind) = photometric(source, little).unwrap_or((usize::MAX, u16::MAX));
        let grey = if little { [1, 0] } else { [0, 1] };
        (Self { source: Cursor::new(source), at: at as u64, grey }, kind)
    }
}

impl Read for Patched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        let start = self.source.position();
        let count = self.source.read(buffer)?;
        for (index, byte) in self.grey.into_iter().enumerate() {
            let place = self.at.saturating_add(index as u64).checked_sub(start);
            let place = place.and_then(|place| buffer[..count].get_mut(place as usize));
            place.into_iter().for_each(|place| *place = byte);
        }
        Ok(count)
    }
}

impl Seek for Patched<'_> {
    fn seek(&mut self, to: SeekFrom) -> IoResult<u64> {
        self.source.seek(to)
    }
}

/// Where the first directory has the kind of colours, and which it is.
fn photometric(source: &[u8], little: bool) -> Option<(usize, u16)> {
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let bytes = source.get(at..at.checked_add(bytes)?)?;
        let join = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) })
    };
    let is_big = number(2, 2)? == 43;
    // start of the directory, then sizes: of its count, of an entry, of what precedes the entry's value
    let (start, count, entry, before) =
        if is_big { (number(8, 8)?, 8, 20, 12) } else { (number(4, 4)?, 2, 12, 8) };
    let start = usize::try_from(start).ok().filter(|start| *start < source.len())?;
    let entries = number(start, count)?.min(4096) as usize;
    let mut places = (0..entries).map(|index| start + count + index * entry);
    let at = places.find(|&at| number(at, 2) == Some(PHOTOMETRIC))?;
    let is_long = number(at + 2, 2)? == 4;
    let value = at + before + if is_long && !little { 2 } else { 0 };
    Some((value, number(value, 2)? as u16))
}

fn explain(error: TiffError, limits: &Limits) -> ImageError {
    match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageError::broken("tiff", "it is cut off before its end")
        }
        TiffError::LimitsExceeded => ImageError::TooLarge {
            what: "the memory to decode it in bytes",
            actual: limits.max_memory.saturating_add(1),
            limit: limits.max_memory,
        },
        TiffError::UnsupportedError(error) => {
            ImageError::source_format(format!("tiff variant ({error})"))
        }
        error => ImageError::broken("tiff", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_colours_is_found_and_read_as_grey() {
        let little = b"II*\0\x08\0\0\0\x01\0\x06\x01\x03\0\x01\0\0\0\x03\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x06\0\x04\0\0\0\x01\0\0\0\x05";
        for (file, at, kind) in [(&little[..], 18, 3), (&big[..], 20, 5)] {
            assert_eq!(photometric(file, file[0] == b'I'), Some((at, kind)));
            for step in [1, 3, 64] {
                let (mut reader, _) = Patched::new(file);
                let mut all = Vec::new();
                let mut buffer = vec![0; step];
                while let Ok(count @ 1..) = reader.read(&mut buffer) {
                    all.extend_from_slice(&buffer[..count]);
                }
                let grey = photometric(&all, file[0] == b'I');
                assert_eq!((grey, all.len()), (Some((at, 1)), file.len()));
            }
            for end in 0..file.len() {
                assert_eq!(photometric(&file[..end], file[0] == b'I').is_some(), end >= at + 2);
            }
        }
    }
}
