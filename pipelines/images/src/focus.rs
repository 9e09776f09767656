//! Where a picture draws the eye: fine detail, skin, strong colours, each found in a picture of at most
//! 100 pixels a side. The point is the centre of weight of the window that has most of them.

use crate::colour::Packed;

/// Side of the window as a part of the shorter side.
const WINDOW: f32 = 0.55;
/// What a window at the very edge counts less than one in the middle.
const EDGE_LOSS: f32 = 0.35;
/// The direction of the colour of skin, of every shade.
const SKIN: [f32; 3] = [0.78, 0.57, 0.44];

/// The point, as parts of width and height; the middle where nothing stands out.
pub(crate) fn attention(small: &Packed) -> (f64, f64) {
    let (width, height) = (small.width, small.height);
    let weights = weights(small);
    let total: f32 = weights.iter().sum();
    if total < 1e-3 * weights.len() as f32 {
        return (0.5, 0.5);
    }
    let side = ((width.min(height) as f32 * WINDOW) as usize).max(1);
    let sums = Sums::new(&weights, width, height);
    let mut best = (f32::MIN, 0, 0);
    for top in 0..=height - side {
        for left in 0..=width - side {
            let part = |at: usize, of: usize| (at as f32 + side as f32 / 2.0) / of as f32 - 0.5;
            let far = part(left, width).hypot(part(top, height)) / 0.5;
            let score = sums.window(left, top, side) * (1.0 - EDGE_LOSS * far * far);
            if score > best.0 {
                best = (score, left, top);
            }
        }
    }
    let (_, left, top) = best;
    let (mut x, mut y, mut sum) = (0.0, 0.0, 0.0);
    for row in top..top + side {
        for column in left..left + side {
            let weight = f64::from(weights[row * width + column]);
            x += weight * (column as f64 + 0.5);
            y += weight * (row as f64 + 0.5);
            sum += weight;
        }
    }
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    (round(x / sum / width as f64), round(y / sum / height as f64))
}

/// How much each pixel draws the eye.
fn weights(small: &Packed) -> Vec<f32> {
    let (width, height) = (small.width, small.height);
    let pixels: Vec<[f32; 3]> = small
        .pixels
        .chunks_exact(small.channels)
        .map(|pixel| {
            let alpha = if pixel.len() == 4 { f32::from(pixel[3]) / 255.0 } else { 1.0 };
            let value =
                |channel: usize| f32::from(pixel[channel.min(pixel.len() - 1)]) / 255.0 * alpha;
            [value(0), value(1), value(2)]
        })
        .collect();
    let luma: Vec<f32> =
        pixels.iter().map(|[r, g, b]| 0.2126 * r + 0.7152 * g + 0.0722 * b).collect();
    let at = |x: usize, y: usize| luma[y.min(height - 1) * width + x.min(width - 1)];
    let mut weights = Vec::with_capacity(pixels.len());
    for y in 0..height {
        for x in 0..width {
            let around = at(x.saturating_sub(1), y)
                + at(x + 1, y)
                + at(x, y.saturating_sub(1))
                + at(x, y + 1);
            let detail = (4.0 * at(x, y) - around).abs().min(1.0);
            let (pixel, light) = (pixels[y * width + x], at(x, y));
            let (skin, strong) = (skin(pixel, light), saturation(pixel, light));
            weights
                .push(0.2 * detail + 1.8 * skin * (detail + 0.02) + 0.15 * strong * (detail + 0.2));
        }
    }
    weights
}

fn skin(rgb: [f32; 3], light: f32) -> f32 {
    let length = rgb.iter().map(|value| value * value).sum::<f32>().sqrt();
    if !(0.15..=0.95).contains(&light) || length == 0.0 {
        return 0.0;
    }
    let away =
        rgb.iter().zip(SKIN).map(|(value, skin)| (value / length - skin).powi(2)).sum::<f32>();
    ((1.0 - away.sqrt() - 0.8) / 0.2).max(0.0)
}

fn saturation(rgb: [f32; 3], light: f32) -> f32 {
    let (high, low) =
        (rgb.iter().fold(0.0_f32, |a, b| a.max(*b)), rgb.iter().fold(1.0_f32, |a, b| a.min(*b)));
    if !(0.05..=0.9).contains(&light) || high == low {
        return 0.0;
    }
    let sum = high + low;
    let saturation = (high - low) / if sum > 1.0 { 2.0 - sum } else { sum };
    ((saturation - 0.4) / 0.6).clamp(0.0, 1.0)
}

/// Sums over all rectangles that begin at the top left.
struct Sums {
    sums: Vec<f32>,
    stride: usize,
}

impl Sums {
    fn new(weights: &[f32], width: usize, height: usize) -> Self {
        let stride = width + 1;
        let mut sums = vec![0.0; stride * (height + 1)];
        for y in 0..height {
            let mut row = 0.0;
            for x in 0..width {
                row += weights[y * width + x];
                sums[(y + 1) * stride + x + 1] = sums[y * stride + x + 1] + row;
            }
        }
        Self { sums, stride }
    }

    fn window(&self, left: usize, top: usize, side: usize) -> f32 {
        let at = |x: usize, y: usize| self.sums[y * self.stride + x];
        let (right, bottom) = (left + side, top + side);
        at(right, bottom) - at(left, bottom) - at(right, top) + at(left, top)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grey picture with a patch of alternating colours.
    fn with_patch(patch: [[u8; 3]; 2], left: usize, top: usize) -> Packed {
        let mut pixels = [120; 100 * 60 * 3].to_vec();
        for y in top..top + 12 {
            for x in left..left + 12 {
                pixels[(y * 100 + x) * 3..][..3].copy_from_slice(&patch[(x / 2 + y / 2) % 2]);
            }
        }
        Packed { pixels, width: 100, height: 60, channels: 3 }
    }

    #[test]
    fn detail_skin_and_colour_draw_the_eye() {
        assert_eq!(attention(&with_patch([[120; 3]; 2], 0, 0)), (0.5, 0.5));
        let skin = [[224, 172, 138], [160, 116, 92]];
        for patch in [[[0; 3], [255; 3]], skin, [[230, 20, 30], [20, 30, 230]]] {
            for (left, top) in [(5, 5), (80, 40), (44, 24)] {
                let (x, y) = attention(&with_patch(patch, left, top));
                let far = (x * 100.0 - left as f64 - 6.0).hypot(y * 60.0 - top as f64 - 6.0);
                assert!(far < 6.0, "{patch:?} at {left},{top}: {x},{y}");
            }
        }
    }

    #[test]
    fn any_size_has_a_point() {
        for (width, height, channels) in [(1, 1, 1), (1, 100, 3), (100, 1, 4), (3, 2, 4)] {
            let pixels = (0..width * height * channels).map(|v| (v * 37) as u8).collect();
            let (x, y) = attention(&Packed { pixels, width, height, channels });
            assert!((0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y));
        }
    }
}
