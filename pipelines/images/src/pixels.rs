//! Interleaved pictures: RGB, whatever has alpha and whatever has 16 bits a sample. They are
//! resampled by `fast_image_resize`, each output from a level of a pyramid of halves, and become
//! bytes in sRGB only when they have their final size.

use fast_image_resize::images::Image;
use fast_image_resize::pixels::{U8, U8x3, U8x4, U16, U16x3, U16x4};
use fast_image_resize::{
    FilterType, MulDiv, PixelTrait, PixelType, ResizeAlg, ResizeOptions, Resizer,
};

use crate::ImageError;
use crate::orientation::Window;
use crate::pool::Pool;

/// What one pixel consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// One (grey), three (RGB) or four (RGBA).
    pub(crate) channels: usize,
    /// Sixteen bits a sample, in the order of this machine; else eight.
    pub(crate) wide: bool,
}

impl Form {
    pub(crate) const RGB: Self = Self { channels: 3, wide: false };
    pub(crate) const RGBA: Self = Self { channels: 4, wide: false };

    pub(crate) fn has_alpha(self) -> bool {
        self.channels == 4
    }

    /// Bytes of a pixel.
    pub(crate) fn bytes(self) -> usize {
        self.channels * if self.wide { 2 } else { 1 }
    }

    fn pixel_type(self) -> PixelType {
        match (self.channels, self.wide) {
            (1, false) => PixelType::U8,
            (1, true) => PixelType::U16,
            (3, false) => PixelType::U8x3,
            (3, true) => PixelType::U16x3,
            (_, false) => PixelType::U8x4,
            (_, true) => PixelType::U16x4,
        }
    }

    /// By type and not by the value inside `Image`, so that only these six are compiled.
    fn resize(
        self,
        source: &Image<'_>,
        target: &mut Image<'_>,
        options: &ResizeOptions,
        resizer: &mut Resizer,
    ) -> Result<(), ImageError> {
        match (self.channels, self.wide) {
            (1, false) => resize_as::<U8>(source, target, options, resizer),
            (1, true) => resize_as::<U16>(source, target, options, resizer),
            (3, false) => resize_as::<U8x3>(source, target, options, resizer),
            (3, true) => resize_as::<U16x3>(source, target, options, resizer),
            (_, false) => resize_as::<U8x4>(source, target, options, resizer),
            (_, true) => resize_as::<U16x4>(source, target, options, resizer),
        }
    }

    fn image(self, buffer: Vec<u8>, size: (usize, usize)) -> Result<Image<'static>, ImageError> {
        Image::from_vec_u8(size.0 as u32, size.1 as u32, buffer, self.pixel_type()).map_err(failed)
    }
}

fn resize_as<P: PixelTrait>(
    source: &Image<'_>,
    target: &mut Image<'_>,
    options: &ResizeOptions,
    resizer: &mut Resizer,
) -> Result<(), ImageError> {
    let (Some(source), Some(mut target)) = (source.typed_image::<P>(), target.typed_image_mut())
    else {
        return Err(failed("two kinds of pixels"));
    };
    resizer.resize_typed(&source, &mut target, options).map_err(failed)
}

/// A decoded interleaved picture and its halves, made when first wanted. Alpha is multiplied in.
#[derive(Debug)]
pub(crate) struct Pixels {
    pub(crate) form: Form,
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    image: Image<'static>,
    /// Pixels for each stored source pixel, across and down.
    scale: (f64, f64),
}

impl Pixels {
    /// Takes pixels whose alpha, if there is one, is multiplied in. `scale`: pixels for each source
    /// pixel.
    pub(crate) fn premultiplied(
        buffer: Vec<u8>,
        size: (usize, usize),
        form: Form,
        scale: f64,
    ) -> Result<Self, ImageError> {
        let image = form.image(buffer, size)?;
        Ok(Self { form, levels: vec![Level { image, scale: (scale, scale) }] })
    }

    /// Takes pixels as most formats store them: alpha beside the full colours.
    pub(crate) fn straight(
        buffer: Vec<u8>,
        size: (usize, usize),
        form: Form,
        scale: f64,
    ) -> Result<Self, ImageError> {
        let mut made = Self::premultiplied(buffer, size, form, scale)?;
        if form.has_alpha() {
            let image = &mut made.levels[0].image;
            MulDiv::new().multiply_alpha_inplace(image).map_err(failed)?;
        }
        Ok(made)
    }

    /// The pixels of `window` (in source pixels) at size `to`, alpha divided out again.
    pub(crate) fn resize(
        &mut self,
        window: Window,
        to: (usize, usize),
        resizer: &mut Resizer,
        pool: &mut Pool,
    ) -> Result<Vec<u8>, ImageError> {
        let wanted = (to.0 as f64 / window.width, to.1 as f64 / window.height);
        let form = self.form;
        let Level { image, scale } = self.level(wanted, resizer, pool)?;
        let (left, width) = inside(window.x * scale.0, window.width * scale.0, image.width());
        let (top, height) = inside(window.y * scale.1, window.height * scale.1, image.height());
        let mut target = form.image(pool.take(to.0 * to.1 * form.bytes()), to)?;
        let options = ResizeOptions::new().crop(left, top, width, height).use_alpha(false);
        form.resize(image, &mut target, &options, resizer)?;
        if form.has_alpha() {
            MulDiv::new().divide_alpha_inplace(&mut target).map_err(failed)?;
        }
        Ok(target.into_vec())
    }

    /// The coarsest level that still has two pixels for each one wanted, so that Lanczos and not the
    /// box decides the quality.
    fn level(
        &mut self,
        wanted: (f64, f64),
        resizer: &mut Resizer,
        pool: &mut Pool,
    ) -> Result<&Level, ImageError> {
        let scale = self.levels[0].scale;
        let surplus = (scale.0 / wanted.0).min(scale.1 / wanted.1);
        let mut depth = 0;
        while surplus / f64::from(2 << depth) >= 2.0 - 1e-3 {
            depth += 1;
        }
        while self.levels.len() <= depth {
            let finer = &self.levels[self.levels.len() - 1];
            let half = halve(finer, self.form, resizer, pool)?;
            self.levels.push(half);
        }
        Ok(&self.levels[depth])
    }

    pub(crate) fn recycle(self, pool: &mut Pool) {
        self.levels.into_iter().for_each(|level| pool.put(level.image.into_vec()));
    }
}

fn halve(
    finer: &Level,
    form: Form,
    resizer: &mut Resizer,
    pool: &mut Pool,
) -> Result<Level, ImageError> {
    let (width, height) = (finer.image.width(), finer.image.height());
    let size = (width.div_ceil(2) as usize, height.div_ceil(2) as usize);
    let mut image = form.image(pool.take(size.0 * size.1 * form.bytes()), size)?;
    let means = ResizeAlg::Convolution(FilterType::Box);
    let options = ResizeOptions::new().resize_alg(means).use_alpha(false);
    form.resize(&finer.image, &mut image, &options, resizer)?;
    let scale = (
        finer.scale.0 * size.0 as f64 / f64::from(width),
        finer.scale.1 * size.1 as f64 / f64::from(height),
    );
    Ok(Level { image, scale })
}

/// Start and span cut to an axis of `len` pixels: fractions may reach a little over its ends, which
/// the resizer refuses.
fn inside(start: f64, span: f64, len: u32) -> (f64, f64) {
    let len = f64::from(len);
    let start = start.clamp(0.0, (len - 1e-3).max(0.0));
    (start, span.min(len - start))
}

fn failed(error: impl std::fmt::Display) -> ImageError {
    ImageError::Failed { step: "resize", detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(width: usize, height: usize) -> Window {
        Window { x: 0.0, y: 0.0, width: width as f64, height: height as f64 }
    }

    fn resize(made: &mut Pixels, window: Window, to: (usize, usize)) -> Vec<u8> {
        made.resize(window, to, &mut Resizer::new(), &mut Pool::default()).unwrap()
    }

    #[test]
    fn flat_colours_stay_flat_at_every_level_and_depth() {
        let colour = [10_u16, 3000, 65_535, 32_768];
        for channels in [1, 3, 4] {
            let form = Form { channels, wide: true };
            let pixel: Vec<u8> =
                colour[4 - channels..].iter().flat_map(|v| v.to_ne_bytes()).collect();
            let mut made = Pixels::straight(pixel.repeat(101 * 33), (101, 33), form, 1.0).unwrap();
            for to in [(101, 33), (50, 16), (3, 1), (200, 70)] {
                let small = resize(&mut made, whole(101, 33), to);
                for sample in small.chunks_exact(2).zip(pixel.chunks_exact(2).cycle()) {
                    let [found, expected] =
                        [sample.0, sample.1].map(|s| u16::from_ne_bytes([s[0], s[1]]));
                    assert!(found.abs_diff(expected) <= 2, "{channels} {to:?}");
                }
            }
            assert!(made.levels.len() > 3);
        }
    }

    #[test]
    fn hidden_colours_do_not_bleed() {
        let row: Vec<u8> =
            (0..64).flat_map(|x| if x < 32 { [0, 0, 255, 255] } else { [255, 0, 0, 0] }).collect();
        let mut made = Pixels::straight(row.repeat(8), (64, 8), Form::RGBA, 1.0).unwrap();
        for pixel in resize(&mut made, whole(64, 8), (21, 3)).chunks_exact(4) {
            assert!(pixel[3] <= 8 || pixel[0] == 0 && pixel[2] > 240, "{pixel:?}");
        }
    }

    #[test]
    fn windows_over_the_edge_are_cut() {
        let mut made = Pixels::straight(vec![7; 10 * 10 * 3], (10, 10), Form::RGB, 1.0).unwrap();
        let window = Window { x: 9.5, y: -0.2, width: 0.7, height: 10.4 };
        assert_eq!(resize(&mut made, window, (2, 5)), [7; 30]);
    }
}
