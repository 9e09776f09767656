//! From decoded planes to one encoded output: which route it takes and in which order things happen.
//!
//! The fast route never leaves the planes: resample, turn, encode. Everything that needs whole pixels
//! (PNG, padding, alpha, a colour profile) goes through packed RGB(A) of its final size.

use fast_image_resize::Resizer;

use crate::colour::{Packed, Profile, Transform};
use crate::geometry::Layout;
use crate::kernel::Kernel;
use crate::orientation::{Orientation, Window};
use crate::pixels::Form;
use crate::plane::{Picture, Plane};
use crate::pool::Pool;
use crate::request::{Colour, Output, OutputFormat};
use crate::resize::{Simd, resize};
use crate::{ImageError, libwebp, png, turbo, webp};

/// The scale of the common tools. JPEG is written one step lower with the standard Huffman tables:
/// measured, that gives the bytes and the quality of optimised tables at a quarter of the time.
const JPEG_QUALITY: u8 = 80;
const WEBP_QUALITY: u8 = 75;

/// Makes outputs of one decoded picture.
pub(crate) struct Renderer<'a> {
    picture: &'a mut Picture,
    /// Stored size.
    size: (u32, u32),
    orientation: Orientation,
    transform: Option<Transform>,
    background: Option<Colour>,
    simd: Simd,
    resizer: Resizer,
    pool: &'a mut Pool,
    strip: Vec<u8>,
}

impl<'a> Renderer<'a> {
    pub(crate) fn new(
        picture: &'a mut Picture,
        size: (u32, u32),
        orientation: Orientation,
        profile: Option<&Profile>,
        background: Option<Colour>,
        pool: &'a mut Pool,
    ) -> Self {
        let form = match &*picture {
            Picture::Planes(planes) => Form { channels: planes.len(), wide: false },
            Picture::Pixels(pixels) => pixels.form,
        };
        let transform = profile.and_then(|profile| profile.to_srgb(form));
        Self {
            picture,
            size,
            orientation,
            transform,
            background,
            simd: Simd::detect(),
            resizer: Resizer::new(),
            pool,
            strip: Vec::new(),
        }
    }

    pub(crate) fn encode(
        &mut self,
        layout: &Layout,
        output: &Output,
    ) -> Result<Vec<u8>, ImageError> {
        let has_planes = matches!(self.picture, Picture::Planes(_));
        let needs_pixels = output.format == OutputFormat::Png || layout.is_padded();
        if has_planes && !needs_pixels && self.transform.is_none() {
            return self.encode_planes(layout, output);
        }
        let packed = self.compose(layout, output.format)?;
        let encoded = match output.format {
            OutputFormat::Jpeg => {
                turbo::encode_rgb(&packed.pixels, layout.width, layout.height, jpeg_quality(output))
            }
            OutputFormat::Webp => libwebp::encode_packed(&packed, webp_quality(output)),
            OutputFormat::Png => png::encode(&packed),
            OutputFormat::Avif => Err(ImageError::Unsupported {
                format: "avif".into(),
                advice: "ask for jpeg, webp or png",
            }),
        };
        self.pool.put(packed.pixels);
        encoded
    }

    /// The whole picture at a small size, as pixels in sRGB.
    pub(crate) fn small(&mut self, layout: &Layout) -> Result<Packed, ImageError> {
        self.pixels(layout, 3)
    }

    fn encode_planes(&mut self, layout: &Layout, output: &Output) -> Result<Vec<u8>, ImageError> {
        let (width, height) = (layout.width, layout.height);
        let mut planes = self.planes(layout, true);
        let encoded = if output.format == OutputFormat::Webp {
            let mut chroma = planes.drain(1..);
            let (cb, cr) = (chroma.next(), chroma.next());
            drop(chroma);
            let y = planes.remove(0);
            let mut grey = || {
                let (wide, high) = (width.div_ceil(2) as usize, height.div_ceil(2) as usize);
                let mut plane = Plane::take(self.pool, wide, high);
                plane.data.fill(128);
                plane
            };
            let mut three = [y, cb.unwrap_or_else(&mut grey), cr.unwrap_or_else(&mut grey)];
            webp::to_studio(&mut three);
            let encoded = libwebp::encode_planes(&mut three, width, height, webp_quality(output));
            planes.extend(three);
            encoded
        } else {
            turbo::encode_planes(&planes, width, height, jpeg_quality(output))
        };
        planes.into_iter().for_each(|plane| self.pool.put(plane.data));
        encoded
    }

    /// Pixels of the whole output: padded, and flattened where the format or the request says so.
    fn compose(&mut self, layout: &Layout, format: OutputFormat) -> Result<Packed, ImageError> {
        let grey_channels = if format == OutputFormat::Png && !layout.is_padded() { 1 } else { 3 };
        let mut packed = self.pixels(layout, grey_channels)?;
        let colour = self.background.unwrap_or(Colour::WHITE);
        if format == OutputFormat::Jpeg || self.background.is_some() {
            packed.flatten(colour);
        }
        if !layout.is_padded() {
            return Ok(packed);
        }
        let size = (layout.width as usize, layout.height as usize);
        let padded = packed.pad(size, layout.left as usize, layout.top as usize, colour);
        self.pool.put(packed.pixels);
        Ok(padded)
    }

    /// Pixels of the content alone, in sRGB, turned for display.
    fn pixels(&mut self, layout: &Layout, grey_channels: usize) -> Result<Packed, ImageError> {
        if let Picture::Pixels(pixels) = &mut *self.picture {
            let window =
                self.orientation.to_stored(layout.window, self.size.0.into(), self.size.1.into());
            let shown = (layout.content_width as usize, layout.content_height as usize);
            let stored = self.orientation.swap(shown.0, shown.1);
            let buffer = pixels.resize(window, stored, &mut self.resizer, self.pool)?;
            let transform = self.transform.as_ref();
            let mut packed = Packed::from_pixels(buffer, stored, pixels.form, transform, self.pool);
            packed.turn(self.orientation, self.pool);
            if grey_channels == 3 {
                packed.widen_grey(self.pool);
            }
            return Ok(packed);
        }
        let planes = self.planes(layout, false);
        let buffer = self.pool.take(planes[0].width * planes[0].height * 3);
        let mut packed = match planes.len() {
            1 => Packed::from_grey(&planes[0], grey_channels, buffer),
            _ => Packed::from_ycc(&planes, buffer),
        };
        planes.into_iter().for_each(|plane| self.pool.put(plane.data));
        if let Some(transform) = &self.transform {
            packed.convert(transform);
        }
        Ok(packed)
    }

    /// The content's planes, turned for display. With `half_chroma` the second and third are a
    /// quarter of the first, whose sides are then made even by reaching a little further right and
    /// down: the encoders want whole blocks.
    fn planes(&mut self, layout: &Layout, half_chroma: bool) -> Vec<Plane> {
        let (mut width, mut height) =
            (layout.content_width as usize, layout.content_height as usize);
        let mut window = layout.window;
        let Picture::Planes(pyramids) = &mut *self.picture else { return Vec::new() };
        let halves = half_chroma && pyramids.len() == 3;
        if halves {
            window.width *= width.next_multiple_of(2) as f64 / width as f64;
            window.height *= height.next_multiple_of(2) as f64 / height as f64;
            (width, height) = (width.next_multiple_of(2), height.next_multiple_of(2));
        }
        let window = self.orientation.to_stored(window, self.size.0.into(), self.size.1.into());
        let mut weights: Option<Weights> = None;
        let mut planes = Vec::with_capacity(pyramids.len());
        for (index, pyramid) in pyramids.iter_mut().enumerate() {
            let shrink = if halves && index > 0 { 2 } else { 1 };
            let shown = (width / shrink, height / shrink);
            let stored = self.orientation.swap(shown.0, shown.1);
            let wanted = (stored.0 as f64 / window.width, stored.1 as f64 / window.height);
            let (level, scale) = pyramid.level(wanted, self.simd, self.pool);
            let mut target = Plane::take(self.pool, stored.0, stored.1);
            let key = ((level.width, level.height), scale, stored);
            let weights = match weights.take().filter(|known| known.key == key) {
                Some(known) => weights.insert(known),
                None => weights.insert(Weights::new(key, window)),
            };
            resize(level, &weights.across, &weights.down, &mut target, &mut self.strip, self.simd);
            if self.orientation != Orientation::UPRIGHT {
                let mut turned = Plane::take(self.pool, shown.0, shown.1);
                self.orientation.turn(&target.data, &mut turned.data, shown);
                self.pool.put(std::mem::replace(&mut target, turned).data);
            }
            planes.push(target);
        }
        planes
    }
}

/// Planes of one size share their weights: Cb and Cr, or all of RGB.
struct Weights {
    /// Size of the level, its samples for each source pixel, size of the target.
    key: WeightsKey,
    across: Kernel,
    down: Kernel,
}

type WeightsKey = ((usize, usize), (f64, f64), (usize, usize));

impl Weights {
    fn new(key: WeightsKey, window: Window) -> Self {
        let ((wide, high), scale, target) = key;
        Self {
            key,
            across: Kernel::new(wide, window.x * scale.0, window.width * scale.0, target.0),
            down: Kernel::new(high, window.y * scale.1, window.height * scale.1, target.1),
        }
    }
}

fn jpeg_quality(output: &Output) -> u8 {
    output.quality.unwrap_or(JPEG_QUALITY).saturating_sub(1).max(1)
}

fn webp_quality(output: &Output) -> u8 {
    output.quality.unwrap_or(WEBP_QUALITY)
}
