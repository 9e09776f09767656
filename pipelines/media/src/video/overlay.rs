//! What is laid over a frame: captions, the logo. Blended in yuv420p, only where it is.

use super::frame::{Frame, Picture, yuv};

/// A picture in planes, premultiplied, with its place on the canvas.
#[derive(Clone, Debug)]
pub struct Overlay {
    x: usize,
    y: usize,
    luma: Layer,
    u: Layer,
    v: Layer,
}

#[derive(Clone, Debug)]
struct Layer {
    width: usize,
    colour: Vec<u8>,
    /// What of the frame shines through.
    through: Vec<u8>,
}

impl Overlay {
    /// `picture` with its top left at `x`, `y`, moved to the next even place; `opacity` 0 to 1.
    #[must_use]
    pub fn new(picture: &Picture, x: u32, y: u32, opacity: f32) -> Self {
        let mut premultiplied = picture.rgba.clone();
        for pixel in premultiplied.chunks_exact_mut(4) {
            let alpha = f32::from(pixel[3]) / 255.0 * opacity.clamp(0.0, 1.0);
            pixel[..3].iter_mut().for_each(|c| *c = (f32::from(*c) * alpha).round() as u8);
            pixel[3] = (alpha * 255.0).round() as u8;
        }
        Self::premultiplied(&premultiplied, picture.width, x as usize, y as usize)
    }

    pub(crate) fn premultiplied(rgba: &[u8], width: usize, x: usize, y: usize) -> Self {
        let height = rgba.len() / 4 / width.max(1);
        let (wide, high) = (width.div_ceil(2) * 2, height.div_ceil(2) * 2);
        let mut sums = vec![[0.0f32; 3]; wide / 2 * (high / 2)];
        let mut luma = Layer::clear(wide, high);
        for row in 0..height {
            for column in 0..width {
                let p = &rgba[(row * width + column) * 4..][..4];
                let alpha = f32::from(p[3]) / 255.0;
                let colour = yuv([f32::from(p[0]), f32::from(p[1]), f32::from(p[2])]);
                let at = row * wide + column;
                // The offsets of 16 and 128 belong to the covered part only.
                luma.colour[at] = (colour[0] - 16.0 * (1.0 - alpha)).round() as u8;
                luma.through[at] = 255 - p[3];
                let sum = &mut sums[row / 2 * (wide / 2) + column / 2];
                sum[0] += alpha / 4.0;
                sum[1] += (colour[1] - 128.0 * (1.0 - alpha)) / 4.0;
                sum[2] += (colour[2] - 128.0 * (1.0 - alpha)) / 4.0;
            }
        }
        let chroma = |index: usize| Layer {
            width: wide / 2,
            colour: sums.iter().map(|sum| sum[index].round() as u8).collect(),
            through: sums.iter().map(|sum| 255 - (sum[0] * 255.0).round() as u8).collect(),
        };
        Self { x: x & !1, y: y & !1, u: chroma(1), v: chroma(2), luma }
    }

    pub(crate) fn blend(&self, frame: &mut Frame) {
        let [y, u, v] = frame.planes_mut();
        self.luma.blend(y.0, y.1, self.x, self.y);
        self.u.blend(u.0, u.1, self.x / 2, self.y / 2);
        self.v.blend(v.0, v.1, self.x / 2, self.y / 2);
    }
}

impl Layer {
    fn clear(width: usize, height: usize) -> Self {
        Self { width, colour: vec![0; width * height], through: vec![255; width * height] }
    }

    fn blend(&self, plane: &mut [u8], width: usize, x: usize, y: usize) {
        let columns = self.width.min(width.saturating_sub(x));
        let rows = self.colour.chunks_exact(self.width).zip(self.through.chunks_exact(self.width));
        for (row, (colour, through)) in plane.chunks_exact_mut(width).skip(y).zip(rows) {
            let row = &mut row[x.min(width)..(x + columns).min(width)];
            for ((pixel, colour), through) in row.iter_mut().zip(colour).zip(through) {
                let product = u16::from(*pixel) * u16::from(*through) + 128;
                let kept = ((product + (product >> 8)) >> 8) as u8;
                *pixel = kept.saturating_add(*colour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::Rgb;

    #[test]
    fn what_covers_replaces_and_what_does_not_leaves_alone() {
        let red = Picture::plain(Rgb([255, 0, 0]), 4, 4);
        let mut frame = Frame::black(16, 16);
        Overlay::new(&red, 4, 4, 1.0).blend(&mut frame);
        assert_eq!((frame.y[5 * 16 + 5], frame.u[2 * 8 + 2], frame.v[2 * 8 + 2]), (63, 102, 240));
        assert_eq!((frame.y[0], frame.u[0]), (16, 128));
        let before = frame.clone();
        Overlay::new(&red, 4, 4, 0.0).blend(&mut frame);
        Overlay::new(&red, 40, 40, 1.0).blend(&mut frame);
        assert_eq!(frame, before);
        Overlay::new(&red, 14, 14, 1.0).blend(&mut frame); // cut off at the edge
        assert_eq!(frame.y[15 * 16 + 15], 63);
    }
}
