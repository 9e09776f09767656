//! From decoded planes to one encoded output: which route it takes and in which order things happen.
//!
//! The fast route never leaves the planes: resample, turn, encode. Everything that needs whole pixels
//! (PNG, padding, alpha, a colour profile) goes through packed RGB(A) of its final size.

use fast_image_resize::Resizer;

use crate::colour::{Packed, Profile, Transform};
use crate::geometry::Layout;
use crate::kernel::Kernel;
use crate::orientation::{Orientation, Window};
use crate::overlay::Overlays;
use crate::pixels::Form;
use crate::plane::{Picture, Plane};
use crate::pool::Pool;
use crate::request::{Colour, Output, OutputFormat};
use crate::resize::{Simd, resize};
use crate::{ImageError, libavif, libwebp, png, quality, sharpen, turbo, webp};

/// The scale of the common tools. JPEG is written one step lower with the standard Huffman tables:
/// measured, that gives the bytes and the quality of optimised tables at a quarter of the time.
const JPEG_QUALITY: u8 = 80;
const WEBP_QUALITY: u8 = 75;
const AVIF_QUALITY: u8 = 50;
/// Effort of libaom, 0 (most) to 10.
const AVIF_SPEED: u8 = 6;

/// Makes outputs of one decoded picture.
pub(crate) struct Renderer<'a> {
    picture: &'a mut Picture,
    /// Stored size.
    size: (u32, u32),
    orientation: Orientation,
    transform: Option<Transform>,
    background: Option<Colour>,
    /// Whether anything is put on any output, in colour.
    pub(crate) overlaid: bool,
    simd: Simd,
    resizer: Resizer,
    pub(crate) pool: &'a mut Pool,
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
            overlaid: false,
            simd: Simd::detect(),
            resizer: Resizer::new(),
            pool,
            strip: Vec::new(),
        }
    }

    /// One output, and its score where a score was asked for.
    pub(crate) fn encode(
        &mut self,
        layout: &Layout,
        output: &Output,
        overlays: &mut Overlays<'_>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(Vec<u8>, Option<f64>), ImageError> {
        let has_planes = matches!(self.picture, Picture::Planes(_));
        let needs_pixels = output.format == OutputFormat::Png
            || layout.is_padded()
            || overlays.are_on(&output.name);
        let in_planes = matches!(self.transform, None | Some(Transform::Tones(_)));
        let mut ready = if has_planes && !needs_pixels && in_planes {
            Ready::Planes(self.ready_planes(layout, output))
        } else {
            let mut packed = self.compose(layout, output)?;
            overlays.put_on(&mut packed, &output.name, self.pool)?;
            Ready::Packed(packed)
        };
        let size = (layout.width, layout.height);
        let mut scored = None;
        if let Some(target) = output.target {
            let original = match &ready {
                Ready::Planes(_) => &self.compose(layout, output)?,
                Ready::Packed(packed) => packed,
            };
            // the encoder works on a copy: one of the formats changes its planes
            let mut copy = ready.clone();
            let mut encode = |quality| copy.encode(output, quality, size);
            scored = quality::reach(target, original, self.pool, cancelled, &mut encode)?;
        }
        let encoded = match scored {
            Some((bytes, score)) => Ok((bytes, Some(score))),
            None => ready.encode(output, quality_of(output), size).map(|bytes| (bytes, None)),
        };
        match ready {
            Ready::Planes(planes) => planes.into_iter().for_each(|p| self.pool.put(p.data)),
            Ready::Packed(packed) => self.pool.put(packed.pixels),
        }
        encoded
    }

    /// The whole picture at a small size, as pixels in sRGB.
    pub(crate) fn small(&mut self, layout: &Layout) -> Result<Packed, ImageError> {
        self.pixels(layout, 3)
    }

    /// Planes as the encoder of the format takes them.
    fn ready_planes(&mut self, layout: &Layout, output: &Output) -> Vec<Plane> {
        let mut planes = self.planes(layout, true);
        if let Some(amount) = output.sharpen {
            sharpen::plane(&mut planes[0], amount);
        }
        if output.format == OutputFormat::Webp {
            let (wide, high) = (layout.width.div_ceil(2), layout.height.div_ceil(2));
            while planes.len() < 3 {
                let mut grey = Plane::take(self.pool, wide as usize, high as usize);
                grey.data.fill(128);
                planes.push(grey);
            }
            if let Ok(three) = <&mut [Plane; 3]>::try_from(&mut planes[..]) {
                webp::to_studio(three);
            }
        }
        planes
    }

    /// Pixels of the whole output: padded, and flattened where the format or the request says so.
    pub(crate) fn compose(
        &mut self,
        layout: &Layout,
        output: &Output,
    ) -> Result<Packed, ImageError> {
        let stays_grey =
            output.format == OutputFormat::Png && !layout.is_padded() && !self.overlaid;
        let mut packed = self.pixels(layout, if stays_grey { 1 } else { 3 })?;
        let colour = self.background.unwrap_or(Colour::WHITE);
        if output.format == OutputFormat::Jpeg || self.background.is_some() {
            packed.flatten(colour);
        }
        if let Some(amount) = output.sharpen {
            sharpen::packed(&mut packed, amount);
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
        if let Some(transform @ Transform::Eight(_)) = &self.transform {
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
            if let Some(Transform::Tones(tones)) = &self.transform {
                target.data.iter_mut().for_each(|value| *value = tones[usize::from(*value)]);
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

/// An output just before its encoder.
#[derive(Clone)]
enum Ready {
    Planes(Vec<Plane>),
    Packed(Packed),
}

impl Ready {
    fn encode(
        &mut self,
        output: &Output,
        quality: u8,
        (width, height): (u32, u32),
    ) -> Result<Vec<u8>, ImageError> {
        let progressive = output.progressive;
        let jpeg_quality = quality.saturating_sub(1).max(1);
        match (self, output.format) {
            (Self::Planes(planes), OutputFormat::Jpeg) => {
                turbo::encode_planes(planes, width, height, jpeg_quality, progressive)
            }
            (Self::Planes(planes), OutputFormat::Webp) => match planes.as_mut_slice().try_into() {
                Ok(three) => libwebp::encode_planes(three, width, height, quality),
                Err(_) => Err(ImageError::Failed {
                    step: "encode webp",
                    detail: "its planes are not three".into(),
                }),
            },
            (Self::Planes(planes), _) => {
                libavif::encode_planes(planes, width, height, quality, AVIF_SPEED)
            }
            (Self::Packed(packed), OutputFormat::Jpeg) => {
                turbo::encode_rgb(&packed.pixels, width, height, jpeg_quality, progressive)
            }
            (Self::Packed(packed), OutputFormat::Webp) => libwebp::encode_packed(packed, quality),
            (Self::Packed(packed), OutputFormat::Avif) => {
                libavif::encode_packed(packed, quality, AVIF_SPEED)
            }
            (Self::Packed(packed), OutputFormat::Png) => png::encode(packed),
        }
    }
}

/// The quality asked for, or the usual one of the format.
pub(crate) fn quality_of(output: &Output) -> u8 {
    output.quality.unwrap_or(match output.format {
        OutputFormat::Webp => WEBP_QUALITY,
        OutputFormat::Avif => AVIF_QUALITY,
        OutputFormat::Jpeg | OutputFormat::Png => JPEG_QUALITY,
    })
}
