//! JPEG sources: a bounded walk over the markers for what libjpeg does not hand out, then a decode to
//! planes (CMYK and RGB: to pixels) at the coarsest power-of-two scale that serves the largest output.

use std::cell::Cell;

use crate::colour;
use crate::decode::{Header, Source, Wanted};
use crate::orientation::{Orientation, from_exif};
use crate::pixels::{Form, Pixels};
use crate::plane::{Picture, Pyramid};
use crate::turbo::{Colours, Decoder};
use crate::{ImageError, Limits};

/// Profiles larger than this are not looked at.
const MAX_PROFILE: usize = 4 << 20;
const END: [u8; 2] = [0xff, 0xd9];

/// What the markers before the first scan say.
#[derive(Debug)]
struct Markers {
    width: u32,
    height: u32,
    components: u64,
    progressive: bool,
    adobe: bool,
    orientation: Orientation,
    profile: Vec<u8>,
    exif: Option<Vec<u8>>,
}

/// Reads the header: no libjpeg yet, nothing is allocated that the file does not contain.
pub(crate) fn header(source: &[u8]) -> Result<Header, ImageError> {
    let markers = walk(source)?;
    Ok(Header {
        width: markers.width,
        height: markers.height,
        frames: 1,
        orientation: markers.orientation,
        // a profile of other colours says nothing about inks
        profile: Some(markers.profile).filter(|profile| {
            !profile.is_empty() && (markers.components != 4 || profile.get(16..20) == Some(b"CMYK"))
        }),
        exif: markers.exif,
        inverted: markers.adobe,
        coefficients: if markers.progressive { markers.components * 2 } else { 0 },
    })
}

/// Width and height that a JPEG within another file gives.
pub(crate) fn size(source: &[u8]) -> Result<(u32, u32), ImageError> {
    walk(source).map(|found| (found.width, found.height))
}

/// Decodes to what the largest output needs. Where only the marker of the end is missing, as after some
/// interrupted copies, the picture is whole; where more is, it must be allowed.
pub(crate) fn decode(source: &Source<'_>, wanted: &mut Wanted<'_>) -> Result<Picture, ImageError> {
    let (header, bytes) = (&source.header, source.bytes);
    let error = match attempt(header, bytes, wanted, None) {
        Err(error @ ImageError::Broken { .. }) => error,
        other => return other,
    };
    if !bytes.ends_with(&END) {
        let ended = attempt(header, &[bytes, &END].concat(), wanted, None);
        if ended.is_ok() {
            return ended;
        }
    }
    match wanted.partial {
        Some(partial) => attempt(header, bytes, wanted, Some(partial)),
        None => Err(error),
    }
}

fn attempt(
    header: &Header,
    source: &[u8],
    wanted: &mut Wanted<'_>,
    partial: Option<&Cell<bool>>,
) -> Result<Picture, ImageError> {
    let shrink = [8, 4, 2]
        .into_iter()
        .find(|&shrink| f64::from(shrink) * wanted.scale <= 1.005)
        .unwrap_or(1);
    check_memory(header, shrink, 4, wanted.limits)?;
    let mut decoder = Decoder::open(source, wanted.limits.max_memory, partial)?;
    if (decoder.width, decoder.height) != (header.width, header.height) {
        return Err(ImageError::broken("jpeg", "it gives two different sizes"));
    }
    let scale = 1.0 / f64::from(shrink);
    if decoder.has_planes() {
        let (across, down) = decoder.chroma_shrink();
        let planes = decoder.planes(shrink, wanted.pool)?;
        let scales =
            [(scale, scale), (scale / across, scale / down), (scale / across, scale / down)];
        let planes = planes.into_iter().zip(scales);
        let planes = planes.map(|(plane, scale)| Pyramid::new(plane, scale));
        return Ok(Picture::Planes(planes.collect()));
    }
    check_memory(header, shrink, 8, wanted.limits)?;
    let (mut pixels, width, height) = decoder.packed(shrink, wanted.pool)?;
    let size = (width as usize, height as usize);
    if decoder.colours == Colours::Cmyk {
        let transform = wanted.profile.and_then(colour::Profile::cmyk_to_srgb);
        colour::cmyk_to_rgb(&mut pixels, size.0, header.inverted, transform);
    }
    Ok(Picture::Pixels(Pixels::straight(pixels, size, Form::RGB, scale)?))
}

/// `each`: bytes of a decoded pixel (4: planes of the worst subsampling with their pyramids; 8: with
/// packed pixels beside them); a progressive file adds all its coefficients.
fn check_memory(
    header: &Header,
    shrink: u32,
    each: u64,
    limits: &Limits,
) -> Result<(), ImageError> {
    let pixels = u64::from(header.width) * u64::from(header.height);
    let decoded = pixels.div_ceil(u64::from(shrink * shrink)) * each;
    limits.check_memory(decoded + pixels * header.coefficients)
}

fn walk(source: &[u8]) -> Result<Markers, ImageError> {
    let cut = || ImageError::broken("jpeg", "it is cut off in its header");
    let mut found = Markers {
        width: 0,
        height: 0,
        components: 0,
        progressive: false,
        adobe: false,
        orientation: Orientation::UPRIGHT,
        profile: Vec::new(),
        exif: None,
    };
    let mut parts: Vec<(u8, &[u8])> = Vec::new();
    let mut at = 2;
    loop {
        while *source.get(at).ok_or_else(cut)? != 0xff {
            at += 1; // libjpeg skips stray bytes between markers too
        }
        while *source.get(at).ok_or_else(cut)? == 0xff {
            at += 1;
        }
        let marker = source[at];
        at += 1;
        if matches!(marker, 0x00 | 0x01 | 0xd0..=0xd8) {
            continue;
        }
        if matches!(marker, 0xd9 | 0xda) {
            break;
        }
        let length = source.get(at..at + 2).ok_or_else(cut)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let body = source.get(at + 2..at + length.max(2)).ok_or_else(cut)?;
        at += length.max(2);
        match marker {
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                frame(marker, body, &mut found)?;
            }
            0xe1 => {
                if let Some(exif) = body.strip_prefix(b"Exif\0\0") {
                    found.orientation = from_exif(exif);
                    found.exif = Some(exif.to_vec());
                }
            }
            0xe2 => {
                // each part: name, its number, how many there are, bytes; in any order
                if let Some([number, _, part @ ..]) = body.strip_prefix(b"ICC_PROFILE\0") {
                    parts.push((*number, part));
                }
            }
            0xee if body.starts_with(b"Adobe") => found.adobe = true,
            _ => {}
        }
    }
    if found.width == 0 {
        return Err(ImageError::broken("jpeg", "it has no picture"));
    }
    parts.sort_by_key(|(number, _)| *number);
    for (_, part) in parts {
        if found.profile.len() + part.len() <= MAX_PROFILE {
            found.profile.extend_from_slice(part);
        }
    }
    Ok(found)
}

fn frame(marker: u8, body: &[u8], found: &mut Markers) -> Result<(), ImageError> {
    let &[precision, h1, h2, w1, w2, components, ..] = body else {
        return Err(ImageError::broken("jpeg", "its frame header is cut off"));
    };
    if precision != 8 {
        return Err(ImageError::source_format(format!("jpeg with {precision} bits a sample")));
    }
    if !matches!(marker, 0xc0..=0xc2 | 0xc9 | 0xca) {
        return Err(ImageError::source_format("jpeg, lossless or hierarchical"));
    }
    found.width = u16::from_be_bytes([w1, w2]).into();
    found.height = u16::from_be_bytes([h1, h2]).into();
    if found.width == 0 || found.height == 0 {
        return Err(ImageError::broken("jpeg", "its width or height is zero"));
    }
    found.components = components.into();
    found.progressive = matches!(marker, 0xc2 | 0xca);
    Ok(())
}
