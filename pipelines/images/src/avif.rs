//! AVIF sources: the still picture. Eight bits of the usual matrix stay planes, others become pixels,
//! with their sixteen bits where they have more than eight.

use moxcms::ColorProfile;

use crate::decode::{Header, Source, Wanted};
use crate::libavif::Decoder;
use crate::pixels::{Form, Pixels};
use crate::plane::{Picture, Pyramid};
use crate::{ImageError, Limits, av1};

/// Reads the header, and what the AV1 data in it claims.
pub(crate) fn header(source: &[u8], limits: &Limits) -> Result<Header, ImageError> {
    let (width, height) = av1::largest_frame(source)?;
    limits.check_pixels(width, height)?;
    let decoder = Decoder::open(source, limits.max_frames)?;
    let (width, height) = decoder.size();
    if width == 0 || height == 0 {
        return Err(ImageError::broken("avif", "its width or height is zero"));
    }
    let (profile, primaries) = decoder.profile();
    Ok(Header {
        width,
        height,
        frames: 1,
        orientation: decoder.orientation(),
        profile: profile.or_else(|| of_primaries(primaries)),
        exif: None,
        inverted: false,
        coefficients: 0,
    })
}

/// Decodes at full size: the codec has no cheaper scale.
pub(crate) fn decode(source: &Source<'_>, wanted: &mut Wanted<'_>) -> Result<Picture, ImageError> {
    let size = (source.header.width as usize, source.header.height as usize);
    let mut decoder = Decoder::open(source.bytes, wanted.limits.max_frames)?;
    let wide = decoder.is_wide();
    let form = Form { channels: if decoder.has_alpha() { 4 } else { 3 }, wide };
    // two frames of the codec, the copy of libavif, ours and its halves
    let codec = if wide { 18 } else { 9 };
    let each = codec + (form.bytes() as u64 * 5).div_ceil(2);
    wanted.limits.check_memory(size.0 as u64 * size.1 as u64 * each)?;
    if decoder.has_planes() {
        let (planes, (across, down)) = decoder.planes(wanted.pool)?;
        let scales = [(1.0, 1.0), (1.0 / across, 1.0 / down), (1.0 / across, 1.0 / down)];
        let planes = planes.into_iter().zip(scales);
        return Ok(Picture::Planes(
            planes.map(|(plane, scale)| Pyramid::new(plane, scale)).collect(),
        ));
    }
    let mut pixels = wanted.pool.take(size.0 * size.1 * form.bytes());
    decoder.packed(&mut pixels, form.channels, wide)?;
    Ok(Picture::Pixels(Pixels::straight(pixels, size, form, 1.0)?))
}

/// The profile that a number of colour primaries stands for, where it is not sRGB.
fn of_primaries(primaries: u16) -> Option<Vec<u8>> {
    match primaries {
        9 => ColorProfile::new_bt2020().encode().ok(),
        12 => ColorProfile::new_display_p3().encode().ok(),
        _ => None,
    }
}
