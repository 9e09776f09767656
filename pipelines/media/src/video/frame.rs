//! Pictures and frames: RGBA in, yuv420p (BT.709, limited range) out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Transition;
use crate::error::MediaError;

/// A colour as `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Rgb(pub [u8; 3]);

impl TryFrom<String> for Rgb {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii());
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let [_, red, green, blue] = number
            .ok_or_else(|| format!("\"{text}\" is not a colour such as #ffcc00"))?
            .to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

impl std::fmt::Display for Rgb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Serialize for Rgb {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rgb {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A decoded picture: RGBA, straight alpha.
#[derive(Clone, Debug)]
pub struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) rgba: Vec<u8>,
}

impl Picture {
    /// Decodes an 8-bit PNG as the image pipeline writes it.
    ///
    /// # Errors
    /// [`MediaError::Invalid`] when it is something else, or has more than `max_pixels`.
    pub fn from_png(bytes: &[u8], max_pixels: u64) -> Result<Self, MediaError> {
        let bad = |problem: String| MediaError::invalid("image", problem);
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(|e| bad(e.to_string()))?;
        let (width, height) = (reader.info().width as usize, reader.info().height as usize);
        if width as u64 * height as u64 > max_pixels {
            return Err(bad(format!("{width}×{height} has more than {max_pixels} pixels")));
        }
        let size = reader.output_buffer_size().ok_or_else(|| bad("too large".into()))?;
        let mut raw = vec![0; size];
        let info = reader.next_frame(&mut raw).map_err(|e| bad(e.to_string()))?;
        let raw = &raw[..info.buffer_size()];
        let rgba = match info.color_type {
            png::ColorType::Rgba => raw.to_vec(),
            png::ColorType::Rgb => {
                let mut rgba = vec![255; raw.len() / 3 * 4];
                for (to, from) in rgba.chunks_exact_mut(4).zip(raw.chunks_exact(3)) {
                    to[..3].copy_from_slice(from);
                }
                rgba
            }
            png::ColorType::Grayscale => raw.iter().flat_map(|g| [*g, *g, *g, 255]).collect(),
            png::ColorType::GrayscaleAlpha => {
                raw.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0], p[1]]).collect()
            }
            png::ColorType::Indexed => return Err(bad("an indexed PNG was not expanded".into())),
        };
        Ok(Self { width, height, rgba })
    }

    /// One colour.
    #[must_use]
    pub fn plain(colour: Rgb, width: u32, height: u32) -> Self {
        let [red, green, blue] = colour.0;
        let rgba = [red, green, blue, 255].repeat(width as usize * height as usize);
        Self { width: width as usize, height: height as usize, rgba }
    }

    /// Pixels across and down.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }

    /// Over black, as planes; an odd last row or column is left out.
    pub(crate) fn to_frame(&self) -> Frame {
        let mut frame = Frame::black(self.width & !1, self.height & !1);
        let (width, half) = (frame.width, frame.width / 2);
        if half == 0 {
            return frame;
        }
        let over_black = |p: &[u8]| -> [i32; 3] {
            let alpha = i32::from(p[3]);
            [0, 1, 2].map(|part| (i32::from(p[part]) * alpha + 127) / 255)
        };
        // shares of 65,536
        let share = |[r, g, b]: [i32; 3], [kr, kg, kb]: [i32; 3]| r * kr + g * kg + b * kb;
        let rows = self.rgba.chunks_exact(self.width * 8).zip(frame.y.chunks_exact_mut(width * 2));
        let chroma = frame.u.chunks_exact_mut(half).zip(frame.v.chunks_exact_mut(half));
        for ((pixels, lumas), (us, vs)) in rows.zip(chroma) {
            for (column, (u, v)) in us.iter_mut().zip(vs).enumerate() {
                // four pixels share one sample
                let mut sum = [0; 3];
                for place in [0, 1, self.width, self.width + 1] {
                    let pixel = over_black(&pixels[(column * 2 + place) * 4..][..4]);
                    let row = place / self.width * width + place % self.width;
                    let luma = share(pixel, [11_966, 40_254, 4_064]) + (16 << 16) + (1 << 15);
                    lumas[column * 2 + row] = (luma >> 16) as u8;
                    sum = [0, 1, 2].map(|part| sum[part] + pixel[part]);
                }
                let middle = (128 << 18) + (1 << 17);
                *u = ((share(sum, [-6_596, -22_188, 28_784]) + middle) >> 18) as u8;
                *v = ((share(sum, [28_784, -26_145, -2_639]) + middle) >> 18) as u8;
            }
        }
        frame
    }
}

/// BT.709, limited range.
pub(crate) fn yuv([red, green, blue]: [f32; 3]) -> [f32; 3] {
    [
        16.0 + 0.182_586 * red + 0.614_231 * green + 0.062_007 * blue,
        128.0 - 0.100_644 * red - 0.338_572 * green + 0.439_216 * blue,
        128.0 + 0.439_216 * red - 0.398_942 * green - 0.040_274 * blue,
    ]
}

/// One frame in yuv420p; width and height are even.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) y: Vec<u8>,
    pub(crate) u: Vec<u8>,
    pub(crate) v: Vec<u8>,
}

impl Frame {
    pub(crate) fn black(width: usize, height: usize) -> Self {
        let quarter = width / 2 * (height / 2);
        Self {
            width,
            height,
            y: vec![16; width * height],
            u: vec![128; quarter],
            v: vec![128; quarter],
        }
    }

    /// The planes with their widths.
    pub(crate) fn planes_mut(&mut self) -> [(&mut Vec<u8>, usize); 3] {
        let (width, half) = (self.width, self.width / 2);
        [(&mut self.y, width), (&mut self.u, half), (&mut self.v, half)]
    }

    pub(crate) fn planes(&self) -> [(&Vec<u8>, usize); 3] {
        let (width, half) = (self.width, self.width / 2);
        [(&self.y, width), (&self.u, half), (&self.v, half)]
    }

    /// Turns this frame, of the scene that comes, into the step at `part` (0 to 1) of the way from
    /// `before`, a frame of the scene that goes.
    pub(crate) fn follow(&mut self, before: &Self, how: Transition, part: f32) {
        let weight = (part.clamp(0.0, 1.0) * 256.0) as u16;
        match how {
            Transition::Cut => {}
            Transition::Fade => self.mix(before, weight),
            Transition::Dip if part < 0.5 => {
                self.clone_from(before);
                self.darken(256 - weight * 2);
            }
            Transition::Dip => self.darken(weight.saturating_mul(2).min(512) - 256),
            Transition::Slide => {
                let eased = part * part * (3.0 - 2.0 * part);
                let edge = ((1.0 - eased) * self.width as f32 / 2.0) as usize * 2;
                self.push_in(before, edge);
            }
        }
    }

    fn mix(&mut self, before: &Self, weight: u16) {
        for ((to, _), (from, _)) in self.planes_mut().into_iter().zip(before.planes()) {
            for (to, from) in to.iter_mut().zip(from) {
                *to = ((u16::from(*to) * weight + u16::from(*from) * (256 - weight) + 128) >> 8)
                    as u8;
            }
        }
    }

    fn darken(&mut self, weight: u16) {
        for (index, (plane, _)) in self.planes_mut().into_iter().enumerate() {
            let dark = if index == 0 { 16 } else { 128 } * (256 - weight) + 128;
            plane.iter_mut().for_each(|p| *p = ((u16::from(*p) * weight + dark) >> 8) as u8);
        }
    }

    /// The left edge of this frame stands at `edge`; `before` has moved out by as much.
    fn push_in(&mut self, before: &Self, edge: usize) {
        let full = self.width;
        for ((to, width), (from, _)) in self.planes_mut().into_iter().zip(before.planes()) {
            let edge = edge * width / full;
            for (to, from) in to.chunks_exact_mut(width).zip(from.chunks_exact(width)) {
                to.copy_within(..width - edge, edge);
                to[..edge].copy_from_slice(&from[width - edge..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_bt709() {
        let frame = Picture::plain(Rgb([255, 0, 0]), 4, 4).to_frame();
        assert_eq!((frame.y[0], frame.u[0], frame.v[0]), (63, 102, 240));
        let white = Picture::plain(Rgb([255; 3]), 4, 4).to_frame();
        assert_eq!((white.y[5], white.u[1], white.v[1]), (235, 128, 128));
        assert_eq!(Rgb::try_from("#0a0B0c".to_owned()).unwrap().to_string(), "#0a0b0c");
        assert!(Rgb::try_from("red".to_owned()).is_err());
    }

    #[test]
    fn four_pixels_share_a_colour_and_odd_edges_are_left_out() {
        let pixels = [[255, 0, 0, 255], [0, 0, 255, 255], [9; 4], [255, 0, 0, 255], [0; 4], [9; 4]];
        let picture = Picture { width: 3, height: 2, rgba: pixels.concat() };
        let frame = picture.to_frame();
        assert_eq!((frame.width, frame.height), (2, 2));
        assert_eq!(frame.y, [63, 32, 63, 16]);
        let mean = |part: usize| {
            let all = [[255.0, 0.0, 0.0], [0.0, 0.0, 255.0], [255.0, 0.0, 0.0], [0.0; 3]];
            (all.iter().map(|rgb| yuv(*rgb)[part]).sum::<f32>() / 4.0).round() as u8
        };
        assert_eq!((frame.u[0], frame.v[0]), (mean(1), mean(2)));
        assert_eq!(Picture { width: 1, height: 3, rgba: vec![7; 12] }.to_frame().width, 0);
    }

    #[test]
    fn transitions_begin_and_end_where_they_should() {
        let white = Picture::plain(Rgb([255; 3]), 8, 8).to_frame();
        let red = Picture::plain(Rgb([255, 0, 0]), 8, 8).to_frame();
        for how in [Transition::Fade, Transition::Dip, Transition::Slide] {
            let mut first = red.clone();
            first.follow(&white, how, 0.0);
            assert_eq!(first, white, "{how:?}");
            let mut last = red.clone();
            last.follow(&white, how, 1.0);
            assert_eq!(last, red, "{how:?}");
        }
        let mut dipped = red.clone();
        dipped.follow(&white, Transition::Dip, 0.5);
        assert_eq!(dipped, Frame::black(8, 8));
    }
}
