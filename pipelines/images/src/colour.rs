//! Colour arithmetic on bytes: YCbCr to RGB, alpha, CMYK, and ICC profiles to sRGB. Profiles are
//! applied to the small results, not to the source.

use std::sync::Arc;

use moxcms::{
    ColorProfile, DataColorSpace, Layout, ProfileText, Transform8BitExecutor,
    Transform16BitExecutor, TransformExecutor, TransformOptions,
};

use crate::orientation::Orientation;
use crate::pixels::Form;
use crate::plane::Plane;
use crate::pool::Pool;
use crate::request::Colour;

/// An ICC profile found in a source.
#[derive(Debug)]
pub(crate) struct Profile {
    profile: ColorProfile,
    pub(crate) name: String,
}

impl Profile {
    /// `None` when the bytes are no usable profile: the picture is then taken as sRGB.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let profile = ColorProfile::new_from_slice(bytes).ok()?;
        let name = match &profile.description {
            Some(ProfileText::PlainString(text)) => text.clone(),
            Some(ProfileText::Localizable(texts)) => {
                texts.first().map_or_else(String::new, |text| text.value.clone())
            }
            Some(ProfileText::Description(text)) => text.ascii_string.clone(),
            None => String::new(),
        };
        let name: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
        let name = match name.trim() {
            "" => "unnamed".to_owned(),
            name => name.to_owned(),
        };
        Some(Self { profile, name })
    }

    /// From pixels of this profile to sRGB; `None` when there is nothing to convert, or the profile is
    /// of other colours than the pixels.
    pub(crate) fn to_srgb(&self, form: Form) -> Option<Transform> {
        match (self.profile.color_space, form.channels) {
            (DataColorSpace::Rgb, 3 | 4) => self.colours(form),
            // four channels: grey with alpha
            (DataColorSpace::Gray, 1 | 4) => self.tones(form.wide),
            _ => None,
        }
    }

    fn colours(&self, form: Form) -> Option<Transform> {
        let (srgb, options) = (ColorProfile::new_srgb(), TransformOptions::default());
        let made = |layout| self.profile.create_transform_8bit(layout, &srgb, layout, options).ok();
        // most are sRGB and say so; but so do profiles of its primaries with other tones
        if self.name.to_ascii_lowercase().contains("srgb") && made(Layout::Rgb).is_none_or(keeps) {
            return None;
        }
        let layout = if form.has_alpha() { Layout::Rgba } else { Layout::Rgb };
        if form.wide {
            let made = self.profile.create_transform_16bit(layout, &srgb, layout, options);
            return made.ok().map(Transform::Sixteen);
        }
        made(layout).map(Transform::Eight)
    }

    /// What becomes of each grey.
    fn tones(&self, wide: bool) -> Option<Transform> {
        let (srgb, options) = (ColorProfile::new_srgb(), TransformOptions::default());
        let (profile, from, to) = (&self.profile, Layout::Gray, Layout::Rgb);
        if wide {
            let made = profile.create_transform_16bit(from, &srgb, to, options).ok()?;
            let all: Vec<u16> = (0..=u16::MAX).collect();
            let mut rgb = vec![0; all.len() * 3];
            made.transform(&all, &mut rgb).ok()?;
            return Some(Transform::WideTones(rgb.into_iter().step_by(3).collect()));
        }
        let made = profile.create_transform_8bit(from, &srgb, to, options).ok()?;
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let mut rgb = vec![0; all.len() * 3];
        made.transform(&all, &mut rgb).ok()?;
        let tones: Vec<u8> = rgb.into_iter().step_by(3).collect();
        (tones.iter().zip(all).any(|(tone, grey)| tone.abs_diff(grey) > 1))
            .then_some(Transform::Tones(tones))
    }

    /// From CMYK of this profile to sRGB.
    pub(crate) fn cmyk_to_srgb(&self) -> Option<Arc<Transform8BitExecutor>> {
        let (srgb, options) = (ColorProfile::new_srgb(), TransformOptions::default());
        (self.profile.color_space == DataColorSpace::Cmyk)
            .then(|| {
                self.profile.create_transform_8bit(Layout::Rgba, &srgb, Layout::Rgb, options).ok()
            })
            .flatten()
    }
}

/// A conversion between colour spaces, by the bits of a sample.
pub(crate) enum Transform {
    Eight(Arc<Transform8BitExecutor>),
    Sixteen(Arc<Transform16BitExecutor>),
    /// What each grey becomes.
    Tones(Vec<u8>),
    WideTones(Vec<u16>),
}

/// Whether a transform of RGB leaves colours as they are, but for rounding.
fn keeps(transform: Arc<Transform8BitExecutor>) -> bool {
    let steps = [0, 51, 102, 153, 204, 255];
    let pairs = steps.into_iter().flat_map(|r| steps.map(|g| (r, g)));
    let all: Vec<u8> = pairs.flat_map(|(r, g)| steps.map(|b| [r, g, b])).flatten().collect();
    let mut made = vec![0; all.len()];
    let done = transform.transform(&all, &mut made).is_ok();
    done && all.iter().zip(made).all(|(before, after)| before.abs_diff(after) <= 3)
}

/// Interleaved pixels of one (grey), three (RGB) or four (RGBA, not premultiplied) channels.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    pub(crate) pixels: Vec<u8>,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
}

impl Packed {
    /// From planes of one size: Y, Cb, Cr.
    pub(crate) fn from_ycc(planes: &[Plane], pixels: Vec<u8>) -> Self {
        Self::fill(planes, 3, pixels, |out, [y, cb, cr]| {
            let y = i32::from(y) * 65_536 + 32_768;
            let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
            let byte = |value: i32| (value >> 16).clamp(0, 255) as u8;
            out[0] = byte(y + 91_881 * cr);
            out[1] = byte(y - 22_554 * cb - 46_802 * cr);
            out[2] = byte(y + 116_130 * cb);
        })
    }

    /// From one plane, repeated in `channels` (1 or 3).
    pub(crate) fn from_grey(plane: &Plane, channels: usize, mut pixels: Vec<u8>) -> Self {
        pixels.resize(plane.width * plane.height * channels, 0);
        let values = plane.rows().flatten();
        for (out, &value) in pixels.chunks_exact_mut(channels).zip(values) {
            out.fill(value);
        }
        Self { pixels, width: plane.width, height: plane.height, channels }
    }

    /// From pixels of `form` as they come from the resizer; those of sixteen bits are narrowed here,
    /// after their conversion and not before.
    pub(crate) fn from_pixels(
        buffer: Vec<u8>,
        size: (usize, usize),
        form: Form,
        transform: Option<&Transform>,
        pool: &mut Pool,
    ) -> Self {
        let (width, height) = size;
        let mut packed = Self { pixels: buffer, width, height, channels: form.channels };
        match transform {
            _ if form.wide => {
                let wide = packed.pixels.chunks_exact(2);
                let mut wide: Vec<u16> = wide.map(|v| u16::from_ne_bytes([v[0], v[1]])).collect();
                match transform {
                    Some(Transform::Sixteen(transform)) => convert(&**transform, &mut wide),
                    Some(Transform::WideTones(tones)) => {
                        for pixel in wide.chunks_exact_mut(form.channels) {
                            let colours = pixel.len().min(3);
                            pixel[..colours].iter_mut().for_each(|v| *v = tones[usize::from(*v)]);
                        }
                    }
                    _ => {}
                }
                let mut pixels = pool.take(wide.len());
                for (narrow, value) in pixels.iter_mut().zip(wide) {
                    *narrow = ((u32::from(value) + 128) / 257) as u8;
                }
                pool.put(std::mem::replace(&mut packed.pixels, pixels));
            }
            Some(transform) => packed.convert(transform),
            None => {}
        }
        packed
    }

    /// Grey becomes RGB.
    pub(crate) fn widen_grey(&mut self, pool: &mut Pool) {
        if self.channels != 1 {
            return;
        }
        let mut pixels = pool.take(self.pixels.len() * 3);
        for (rgb, &grey) in pixels.chunks_exact_mut(3).zip(&self.pixels) {
            rgb.fill(grey);
        }
        pool.put(std::mem::replace(&mut self.pixels, pixels));
        self.channels = 3;
    }

    /// Turns the pixels for display.
    pub(crate) fn turn(&mut self, orientation: Orientation, pool: &mut Pool) {
        if orientation == Orientation::UPRIGHT {
            return;
        }
        let size = orientation.swap(self.width, self.height);
        let mut turned = pool.take(self.pixels.len());
        match self.channels {
            1 => orientation.turn(&self.pixels, &mut turned, size),
            3 => {
                let (stored, turned) = (self.pixels.as_chunks::<3>(), turned.as_chunks_mut());
                orientation.turn(stored.0, turned.0, size);
            }
            _ => {
                let (stored, turned) = (self.pixels.as_chunks::<4>(), turned.as_chunks_mut());
                orientation.turn(stored.0, turned.0, size);
            }
        }
        pool.put(std::mem::replace(&mut self.pixels, turned));
        (self.width, self.height) = size;
    }

    fn fill(
        planes: &[Plane],
        channels: usize,
        mut pixels: Vec<u8>,
        set: impl Fn(&mut [u8], [u8; 3]),
    ) -> Self {
        let (width, height) = (planes[0].width, planes[0].height);
        pixels.resize(width * height * channels, 0);
        for (y, line) in pixels.chunks_exact_mut(width * channels).enumerate() {
            let (a, b, c) = (planes[0].row(y), planes[1].row(y), planes[2].row(y));
            for (out, ((&a, &b), &c)) in line.chunks_exact_mut(channels).zip(a.iter().zip(b).zip(c))
            {
                set(out, [a, b, c]);
            }
        }
        Self { pixels, width, height, channels }
    }

    /// Applies a transform made for eight bits and this number of channels.
    pub(crate) fn convert(&mut self, transform: &Transform) {
        match transform {
            Transform::Eight(transform) => convert(&**transform, &mut self.pixels),
            Transform::Tones(tones) => {
                for pixel in self.pixels.chunks_exact_mut(self.channels) {
                    let colours = pixel.len().min(3);
                    pixel[..colours]
                        .iter_mut()
                        .for_each(|value| *value = tones[usize::from(*value)]);
                }
            }
            Transform::Sixteen(_) | Transform::WideTones(_) => {}
        }
    }

    /// Puts transparent pixels on a colour: four channels become three.
    pub(crate) fn flatten(&mut self, background: Colour) {
        if self.channels != 4 {
            return;
        }
        for index in 0..self.width * self.height {
            let [r, g, b, alpha] = [0, 1, 2, 3].map(|channel| self.pixels[index * 4 + channel]);
            for (channel, value) in [r, g, b].into_iter().enumerate() {
                let behind = multiply(background.rgb[channel], 255 - alpha);
                self.pixels[index * 3 + channel] = multiply(value, alpha).saturating_add(behind);
            }
        }
        self.channels = 3;
        self.pixels.truncate(self.width * self.height * 3);
    }

    /// The same picture at (`left`, `top`) of a larger canvas of one colour, whose alpha is 0 when
    /// there are four channels.
    pub(crate) fn pad(
        &self,
        size: (usize, usize),
        left: usize,
        top: usize,
        colour: Colour,
    ) -> Self {
        let [r, g, b] = colour.rgb;
        let one = &[r, g, b, 0][..self.channels];
        let mut pixels = one.repeat(size.0 * size.1);
        let line = self.width * self.channels;
        for (y, row) in self.pixels.chunks_exact(line).enumerate() {
            let at = ((top + y) * size.0 + left) * self.channels;
            pixels[at..at + line].copy_from_slice(row);
        }
        Self { pixels, width: size.0, height: size.1, channels: self.channels }
    }
}

/// value · alpha / 255, rounded.
fn multiply(value: u8, alpha: u8) -> u8 {
    let product = u32::from(value) * u32::from(alpha) + 128;
    ((product + (product >> 8)) >> 8) as u8
}

fn convert<T: Copy + Default>(transform: &dyn TransformExecutor<T>, samples: &mut Vec<T>) {
    let mut converted = samples.clone();
    // lengths are equal whole pixels by construction: the transform cannot refuse them
    if transform.transform(samples, &mut converted).is_ok() {
        *samples = converted;
    }
}

/// Packed CMYK to packed RGB in place, through its profile or, without one, as plain subtractive
/// inks. `inverted`: stored as 255 − ink.
pub(crate) fn cmyk_to_rgb(
    pixels: &mut Vec<u8>,
    width: usize,
    inverted: bool,
    transform: Option<Arc<Transform8BitExecutor>>,
) {
    let mut inks = vec![0; width * 4];
    let mut rgb = vec![0; width * 3];
    let rows = pixels.len() / (width * 4);
    for row in 0..rows {
        for (ink, &stored) in inks.iter_mut().zip(&pixels[row * width * 4..]) {
            *ink = if inverted { 255 - stored } else { stored };
        }
        let converted = transform
            .as_ref()
            .is_some_and(|transform| transform.transform(&inks, &mut rgb).is_ok());
        if !converted {
            for (out, ink) in rgb.chunks_exact_mut(3).zip(inks.chunks_exact(4)) {
                for channel in 0..3 {
                    out[channel] = multiply(255 - ink[channel], 255 - ink[3]);
                }
            }
        }
        pixels[row * width * 3..][..width * 3].copy_from_slice(&rgb);
    }
    pixels.truncate(rows * width * 3);
}

#[cfg(test)]
mod tests {
    use moxcms::ToneReprCurve;

    use super::*;

    fn plane(values: &[u8]) -> Plane {
        Plane::new(values.to_vec(), values.len(), 1, values.len())
    }

    #[test]
    fn ycc_follows_jfif() {
        let planes = [
            plane(&[0, 255, 76, 150, 29]),
            plane(&[128, 128, 85, 44, 255]),
            plane(&[128, 128, 255, 21, 107]),
        ];
        let packed = Packed::from_ycc(&planes, Vec::new());
        let expected = [[0, 0, 0], [255; 3], [254, 0, 0], [0, 255, 1], [0, 0, 254]];
        for (found, expected) in packed.pixels.chunks_exact(3).zip(expected) {
            for (a, b) in found.iter().zip(expected) {
                assert!(a.abs_diff(b) <= 1, "{found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn alpha_flattens_and_sixteen_bits_are_rounded() {
        let form = Form { channels: 4, wide: true };
        let samples = [51_000_u16, 25_700, 0, 32_896, 65_535, 128, 129, 0];
        let buffer = samples.into_iter().flat_map(u16::to_ne_bytes).collect();
        let mut packed = Packed::from_pixels(buffer, (2, 1), form, None, &mut Pool::default());
        assert_eq!(packed.pixels, [198, 100, 0, 128, 255, 0, 1, 0]);
        packed.flatten(Colour::WHITE);
        assert_eq!(packed.pixels, [226, 177, 127, 255, 255, 255]);
    }

    #[test]
    fn pad_surrounds_with_the_colour() {
        let one = Packed { pixels: vec![1, 2, 3], width: 1, height: 1, channels: 3 };
        let padded = one.pad((3, 1), 1, 0, Colour::WHITE);
        assert_eq!(padded.pixels, [255, 255, 255, 1, 2, 3, 255, 255, 255]);
    }

    #[test]
    fn inks_without_a_profile() {
        let mut pixels = vec![255, 255, 255, 255, 0, 255, 255, 255, 255, 255, 255, 0];
        cmyk_to_rgb(&mut pixels, 1, true, None);
        assert_eq!(pixels, [255, 255, 255, 0, 255, 255, 0, 0, 0]);
    }

    #[test]
    fn display_p3_becomes_srgb_and_srgb_is_left_alone() {
        let p3 = ColorProfile::new_display_p3().encode().unwrap();
        let p3 = Profile::parse(&p3).unwrap();
        let mut packed = Packed {
            pixels: vec![234, 51, 35, 255, 128, 128, 128, 77],
            width: 2,
            height: 1,
            channels: 4,
        };
        packed.convert(&p3.to_srgb(Form::RGBA).unwrap());
        let expected = [255, 0, 0, 255, 128, 128, 128, 77];
        for (found, expected) in packed.pixels.iter().zip(expected) {
            assert!(found.abs_diff(expected) <= 4, "{:?}", packed.pixels);
        }
        let srgb = ColorProfile::new_srgb().encode().unwrap();
        assert!(Profile::parse(&srgb).unwrap().to_srgb(Form::RGB).is_none());
        // its name with tones that are linear
        let mut linear = ColorProfile::new_srgb();
        let line = || Some(ToneReprCurve::Lut(Vec::new()));
        (linear.red_trc, linear.green_trc, linear.blue_trc) = (line(), line(), line());
        linear.cicp = None;
        let linear = Profile::parse(&linear.encode().unwrap()).unwrap();
        packed = Packed { pixels: vec![55, 55, 55], width: 1, height: 1, channels: 3 };
        packed.convert(&linear.to_srgb(Form::RGB).unwrap());
        assert!(packed.pixels.iter().all(|value| value.abs_diff(128) <= 1), "{:?}", packed.pixels);
    }

    #[test]
    fn grey_of_other_tones_is_converted_at_either_depth() {
        let grey = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
        let grey = Profile::parse(&grey).unwrap();
        for channels in [1, 4] {
            for wide in [false, true] {
                let form = Form { channels, wide };
                let sample = if wide { 55_u16 * 257 } else { 55 };
                let bytes = sample.to_ne_bytes();
                let bytes = if wide { &bytes[..] } else { &[55][..] };
                let (transform, pool) = (grey.to_srgb(form), &mut Pool::default());
                let buffer = bytes.repeat(channels);
                let made = Packed::from_pixels(buffer, (1, 1), form, transform.as_ref(), pool);
                let (colours, alpha) = made.pixels.split_at(channels.min(3));
                assert!(colours.iter().all(|value| value.abs_diff(128) <= 1), "{:?}", made.pixels);
                assert!(alpha.iter().all(|alpha| *alpha == 55));
            }
        }
        assert!(grey.to_srgb(Form::RGB).is_none());
    }

    #[test]
    fn nonsense_is_no_profile() {
        assert!(Profile::parse(b"").is_none());
        assert!(Profile::parse(&[7; 500]).is_none());
    }
}
