//! What a page shows before a thumbnail has arrived: a `ThumbHash` and the dominant colours, both
//! from a picture of at most 100 pixels a side.

use crate::colour::Packed;
use crate::request::Colour;

/// The longest side that `ThumbHash` takes.
pub(crate) const SIDE: u32 = 100;
const MAX_COLOURS: usize = 5;
/// Colours nearer than this (Euclidean, of 441) count as one.
const APART: u32 = 48;

/// The `ThumbHash` of a small picture, in base64.
pub(crate) fn thumb_hash(small: &Packed) -> String {
    let rgba: Vec<u8> = pixels(small).flatten().collect();
    base64(&thumbhash::rgba_to_thumb_hash(small.width, small.height, &rgba))
}

/// At most five colours, the most frequent first: bins of four bits a channel, each reported as the
/// mean of its pixels, near ones dropped.
pub(crate) fn dominant(small: &Packed) -> Vec<Colour> {
    let mut bins = vec![([0_u32; 3], 0_u32); 4096];
    for [r, g, b, alpha] in pixels(small) {
        if alpha < 128 {
            continue;
        }
        let bin = usize::from(r >> 4) << 8 | usize::from(g >> 4) << 4 | usize::from(b >> 4);
        let (sums, count) = &mut bins[bin];
        for (sum, value) in sums.iter_mut().zip([r, g, b]) {
            *sum += u32::from(value);
        }
        *count += 1;
    }
    let mut found: Vec<([u8; 3], u32)> = bins
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(sums, count)| (sums.map(|sum| (sum / count) as u8), count))
        .collect();
    found.sort_by_key(|&(rgb, count)| (std::cmp::Reverse(count), rgb));
    let mut colours: Vec<Colour> = Vec::new();
    for (rgb, _) in found {
        if colours.len() == MAX_COLOURS {
            break;
        }
        if colours.iter().all(|kept| distance(kept.rgb, rgb) >= APART * APART) {
            colours.push(Colour { rgb });
        }
    }
    colours
}

fn pixels(small: &Packed) -> impl Iterator<Item = [u8; 4]> {
    small.pixels.chunks_exact(small.channels).map(|pixel| match *pixel {
        [r, g, b, alpha] => [r, g, b, alpha],
        [r, g, b] => [r, g, b, 255],
        _ => [pixel[0], pixel[0], pixel[0], 255],
    })
}

fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    a.iter().zip(b).map(|(&a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number = group.iter().fold(0_u32, |number, &byte| number << 8 | u32::from(byte));
        let number = number << (8 * (3 - group.len()));
        for digit in 0..4 {
            let value = (number >> (18 - 6 * digit)) & 63;
            let shown = digit <= group.len();
            text.push(if shown { DIGITS[value as usize] as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
    }

    #[test]
    fn colours_are_counted_and_near_ones_dropped() {
        let mut pixels = [200, 0, 0].repeat(60);
        pixels.extend([0, 0, 250].repeat(30));
        pixels.extend([210, 0, 0].repeat(10));
        let small = Packed { pixels, width: 10, height: 10, channels: 3 };
        let names: Vec<String> = dominant(&small).iter().map(Colour::to_string).collect();
        assert_eq!(names, ["#c80000", "#0000fa"]);
        assert!((20..=40).contains(&thumb_hash(&small).len()));
    }
}
