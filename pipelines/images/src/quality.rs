//! The search for the lowest quality that still looks alike enough, by SSIMULACRA2: 100 is the original,
//! 90 cannot be told from it, 70 is good, 50 low.

use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};

use crate::colour::Packed;
use crate::decode::{Source, Wanted, still_wanted};
use crate::geometry::Layout;
use crate::pool::Pool;
use crate::render::Renderer;
use crate::{ImageError, Limits};

/// The score is taken of the middle of a larger picture: the metric takes some 150 bytes a pixel.
const MAX_SIDE: usize = 1_024;
/// The smallest side that can be scored.
const MIN_SIDE: usize = 8;
/// A score this little over the target ends the search.
const NEAR: f64 = 0.5;
const QUALITIES: std::ops::RangeInclusive<u8> = 4..=98;

/// Encodes with rising and falling quality until the score is reached with as little as possible: the
/// file and its score. Where no quality reaches it, the best is taken; where the picture is too small to
/// be scored, `None`.
pub(crate) fn reach(
    target: f64,
    original: &Packed,
    pool: &mut Pool,
    cancelled: &dyn Fn() -> bool,
    encode: &mut dyn FnMut(u8) -> Result<Vec<u8>, ImageError>,
) -> Result<Option<(Vec<u8>, f64)>, ImageError> {
    if original.width < MIN_SIDE || original.height < MIN_SIDE {
        return Ok(None);
    }
    let reference = middle(original);
    let (mut low, mut high) = (*QUALITIES.start(), *QUALITIES.end());
    let mut best: Option<(Vec<u8>, f64)> = None;
    // the scales of all formats put a score of 70 near 75
    let mut next = (target as u8 + 5).clamp(low, high);
    while low <= high {
        still_wanted(cancelled)?;
        let bytes = encode(next)?;
        let score = score(&reference, &decoded(&bytes, pool)?)?;
        if score >= target {
            high = next - 1;
            best = Some((bytes, score));
            if score - target <= NEAR {
                break;
            }
        } else {
            low = next + 1;
            if best.as_ref().is_none_or(|(_, known)| *known < target && *known < score) {
                best = Some((bytes, score));
            }
        }
        // about two points of score for a step of quality
        let step = (target - score) / 1.5;
        let guess =
            (f64::from(next) + step.round()).clamp(f64::from(low), f64::from(high.max(low)));
        let half = f64::from(low.midpoint(high));
        next = if step.abs() > 12.0 { half } else { guess } as u8;
    }
    Ok(best.map(|(bytes, score)| (bytes, (score * 100.0).round() / 100.0)))
}

/// The pixels of a file that was just written.
fn decoded(bytes: &[u8], pool: &mut Pool) -> Result<Packed, ImageError> {
    let limits = Limits { max_memory: u64::MAX, max_pixels: u64::MAX, ..Limits::default() };
    let source = Source::open(bytes, &limits)?;
    let size = (source.header.width, source.header.height);
    let mut picture = source.decode(&mut Wanted {
        scale: 1.0,
        profile: None,
        limits: &limits,
        pool,
        cancelled: &|| false,
        partial: None,
    })?;
    let orientation = source.header.orientation;
    let mut renderer = Renderer::new(&mut picture, size, orientation, None, None, pool);
    let packed = renderer.small(&Layout::whole(size.0, size.1, size))?;
    picture.recycle(pool);
    Ok(packed)
}

fn middle(packed: &Packed) -> Rgb {
    let (wide, high) = (packed.width.min(MAX_SIDE), packed.height.min(MAX_SIDE));
    let (left, top) = ((packed.width - wide) / 2, (packed.height - high) / 2);
    let mut pixels = Vec::with_capacity(wide * high);
    for y in top..top + high {
        let row = &packed.pixels[(y * packed.width + left) * packed.channels..];
        pixels.extend(row[..wide * packed.channels].chunks_exact(packed.channels).map(|pixel| {
            // white behind what is transparent
            let alpha = pixel.get(3).map_or(1.0, |&alpha| f32::from(alpha) / 255.0);
            [0, 1, 2].map(|channel| {
                let value = f32::from(pixel[channel.min(pixel.len() - 1)]) / 255.0;
                value * alpha + 1.0 - alpha
            })
        }));
    }
    Rgb::new(pixels, wide, high, TransferCharacteristic::SRGB, ColorPrimaries::BT709)
        .expect("as many pixels as width times height")
}

fn score(reference: &Rgb, found: &Packed) -> Result<f64, ImageError> {
    let failed = |error: ssimulacra2::Ssimulacra2Error| ImageError::Failed {
        step: "score the quality",
        detail: error.to_string(),
    };
    compute_frame_ssimulacra2(reference.clone(), middle(found)).map_err(failed)
}
