//! Overlays onto finished pixels.

use std::sync::Arc;

use super::{Badge, BadgeShape, Gravity, Overlay, Text, TextAlign};
use crate::colour::{Packed, Profile};
use crate::decode::{Source, Wanted};
use crate::geometry::Layout;
use crate::orientation::Orientation;
use crate::plane::Picture;
use crate::pool::Pool;
use crate::render::Renderer;
use crate::request::Colour;
use crate::text::{Align, Bitmap, Block, Fonts, Ink, TextStyle, lay_out};
use crate::{ImageError, Limits};

const RED: Colour = Colour { rgb: [0xd6, 0x00, 0x1c] };

/// The overlays of a request with their pictures decoded.
pub(crate) struct Overlays<'a> {
    overlays: &'a [Overlay<Arc<[u8]>>],
    /// As many as overlays; those that are images.
    stamps: Vec<Option<Stamp>>,
    fonts: &'a Fonts,
    /// What could not be drawn as asked.
    pub(crate) warnings: Vec<String>,
}

struct Stamp {
    picture: Picture,
    size: (u32, u32),
    orientation: Orientation,
    profile: Option<Profile>,
}

/// Premultiplied pixels and where they go.
struct Drawn {
    bitmap: Bitmap,
    /// The box that gravity and margin place; the bitmap may reach over it.
    width: f32,
    height: f32,
}

impl<'a> Overlays<'a> {
    /// Decodes the images, each to what the widest output (in pixels) needs of it.
    pub(crate) fn open(
        overlays: &'a [Overlay<Arc<[u8]>>],
        widest: u32,
        fonts: &'a Fonts,
        limits: &Limits,
        pool: &mut Pool,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, ImageError> {
        let mut warnings = Vec::new();
        let mut stamps = Vec::with_capacity(overlays.len());
        for (index, overlay) in overlays.iter().enumerate() {
            let families = [
                overlay.text.as_ref().and_then(|text| text.font.as_ref()),
                overlay.badge.as_ref().and_then(|badge| badge.font.as_ref()),
            ];
            for family in families.into_iter().flatten().filter(|family| !fonts.has_family(family))
            {
                warnings.push(format!(
                    "overlays[{index}]: no font `{}` is here; Noto Sans is used",
                    family.escape_debug()
                ));
            }
            let Some(bytes) = &overlay.image else {
                stamps.push(None);
                continue;
            };
            let wanted = scale_of(overlay) * f64::from(widest);
            let stamp = Stamp::open(bytes, wanted, limits, pool, cancelled);
            stamps.push(Some(stamp.map_err(|error| of_overlay(error, index))?));
        }
        Ok(Self { overlays, stamps, fonts, warnings })
    }

    /// Whether anything is put on this output.
    pub(crate) fn are_on(&self, output: &str) -> bool {
        self.overlays.iter().any(|overlay| overlay.is_on(output))
    }

    /// Puts all that belong there on an output.
    pub(crate) fn put_on(
        &mut self,
        packed: &mut Packed,
        output: &str,
        pool: &mut Pool,
    ) -> Result<(), ImageError> {
        let size = (packed.width as f32, packed.height as f32);
        for (index, overlay) in self.overlays.iter().enumerate() {
            if !overlay.is_on(output) {
                continue;
            }
            let mut missing = Vec::new();
            let (drawn, gravity) = match (&overlay.text, &overlay.badge, &mut self.stamps[index]) {
                (Some(text), ..) => {
                    (draw_text(text, size, self.fonts, &mut missing), Gravity::Bottom)
                }
                (_, Some(badge), _) => {
                    (draw_badge(badge, size, self.fonts, &mut missing), Gravity::TopRight)
                }
                (.., Some(stamp)) => {
                    let wide = scale_of(overlay) * f64::from(size.0);
                    (stamp.draw(wide, size, pool)?, Gravity::BottomRight)
                }
                _ => continue,
            };
            let margin = overlay.margin.unwrap_or(0.04) as f32 * size.0.min(size.1);
            let gravity = overlay.gravity.unwrap_or(gravity);
            let at = gravity.place((drawn.width, drawn.height), size, margin);
            blend(packed, &drawn.bitmap, at, overlay.opacity.unwrap_or(1.0));
            if !missing.is_empty() {
                let missing: String = missing.into_iter().take(20).collect();
                let warning = format!(
                    "overlays[{index}]: no font has {}; install one that has",
                    missing.escape_default()
                );
                if !self.warnings.contains(&warning) {
                    self.warnings.push(warning);
                }
            }
        }
        Ok(())
    }
}

fn scale_of<I>(overlay: &Overlay<I>) -> f64 {
    overlay.scale.unwrap_or(0.2)
}

/// The fault is the overlay's: its error names it.
fn of_overlay(error: ImageError, index: usize) -> ImageError {
    match error {
        ImageError::Cancelled | ImageError::Failed { .. } => error,
        error => ImageError::invalid(format!("overlays[{index}].image"), error.to_string()),
    }
}

impl Stamp {
    fn open(
        bytes: &[u8],
        wide: f64,
        limits: &Limits,
        pool: &mut Pool,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, ImageError> {
        let source = Source::open(bytes, limits)?;
        let header = &source.header;
        let profile = header.profile.as_deref().and_then(Profile::parse);
        let shown = header.orientation.swap(header.width, header.height);
        let picture = source.decode(&mut Wanted {
            scale: wide / f64::from(shown.0),
            profile: profile.as_ref(),
            limits,
            pool,
            cancelled,
            partial: None,
        })?;
        let (size, orientation) = ((header.width, header.height), header.orientation);
        Ok(Self { picture, size, orientation, profile })
    }

    /// `wide` pixels across, or less where it would be higher than the output.
    fn draw(
        &mut self,
        wide: f64,
        output: (f32, f32),
        pool: &mut Pool,
    ) -> Result<Drawn, ImageError> {
        let (width, height) = self.orientation.swap(self.size.0, self.size.1);
        let scale = (wide / f64::from(width)).min(f64::from(output.1) / f64::from(height));
        let to = [width, height].map(|side| ((f64::from(side) * scale).round() as u32).max(1));
        let layout = Layout::whole(width, height, (to[0], to[1]));
        let profile = self.profile.as_ref();
        let mut renderer =
            Renderer::new(&mut self.picture, self.size, self.orientation, profile, None, pool);
        let packed = renderer.small(&layout)?;
        let pixels = match packed.channels {
            4 => packed.pixels.chunks_exact(4).flat_map(premultiplied).collect(),
            3 => packed.pixels.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect(),
            _ => packed.pixels.iter().flat_map(|&grey| [grey, grey, grey, 255]).collect(),
        };
        let (width, height) = (packed.width, packed.height);
        pool.put(packed.pixels);
        Ok(Drawn {
            bitmap: Bitmap { left: 0, top: 0, width, height, pixels },
            width: width as f32,
            height: height as f32,
        })
    }
}

fn premultiplied(pixel: &[u8]) -> [u8; 4] {
    let part = |value: u8| ((u32::from(value) * u32::from(pixel[3]) + 127) / 255) as u8;
    [part(pixel[0]), part(pixel[1]), part(pixel[2]), pixel[3]]
}

fn draw_text(text: &Text, output: (f32, f32), fonts: &Fonts, missing: &mut Vec<char>) -> Drawn {
    let size = text.size.unwrap_or(0.07) as f32 * output.0.min(output.1);
    let block = lay_out(
        fonts,
        &text.text,
        &TextStyle {
            family: text.font.clone(),
            weight: text.weight.unwrap_or(700).into(),
            italic: text.italic,
            size,
            max_width: Some(text.width.unwrap_or(0.9) as f32 * output.0),
            line_height: 1.0,
            align: match text.align.unwrap_or_default() {
                TextAlign::Start => Align::Start,
                TextAlign::Centre => Align::Centre,
                TextAlign::End => Align::End,
            },
        },
    );
    missing.extend(&block.missing);
    let outline = text.outline.as_ref();
    let ink = Ink {
        fill: opaque(text.colour.unwrap_or(Colour::WHITE)),
        outline: opaque(outline.map_or(Colour::WHITE, |outline| outline.colour)),
        outline_width: outline.map_or(0.0, |outline| outline.width.unwrap_or(0.08) as f32 * size),
    };
    let Some(panel) = &text.background else {
        return Drawn { bitmap: block.draw(|_| ink), width: block.width, height: block.height };
    };
    let padding = panel.padding.unwrap_or(0.4) as f32 * size;
    let radius = panel.radius.unwrap_or(0.3) as f32 * size;
    let [r, g, b] = panel.colour.rgb;
    let alpha = (panel.opacity.unwrap_or(0.8) * 255.0).round() as u8;
    // letters have room above and below of their own
    let (width, height) = (block.width + 2.0 * padding, block.height + padding);
    let mut bitmap = Bitmap::rounded((width, height), radius, [r, g, b, alpha]);
    bitmap.put(&block.draw(|_| ink), (padding, padding / 2.0));
    Drawn { bitmap, width, height }
}

fn draw_badge(badge: &Badge, output: (f32, f32), fonts: &Fonts, missing: &mut Vec<char>) -> Drawn {
    let size = badge.size.unwrap_or(0.08) as f32 * output.0.min(output.1);
    let set = |text: &str, size: f32| {
        let style = TextStyle {
            family: badge.font.clone(),
            size,
            max_width: Some(output.0 * 0.8),
            ..TextStyle::default()
        };
        lay_out(fonts, text, &style)
    };
    let block = set(&badge.text, size);
    let was = badge.was.as_ref().map(|was| set(was, size * 0.55));
    let was_height = was.as_ref().map_or(0.0, |was| was.height);
    for block in was.iter().chain([&block]) {
        missing.extend(&block.missing);
    }
    let width = was.as_ref().map_or(block.width, |was| was.width.max(block.width));
    let height = block.height + was_height;
    let shape = badge.shape.unwrap_or_default();
    let (wide, high, radius) = match shape {
        BadgeShape::Pill => (width + 1.1 * size, height + 0.3 * size, f32::MAX),
        BadgeShape::Box => (width + 0.8 * size, height + 0.3 * size, 0.18 * size),
        BadgeShape::Circle => {
            let side = (width.hypot(height * 0.72) + 0.5 * size).ceil();
            (side, side, f32::MAX)
        }
    };
    let mut bitmap = Bitmap::rounded((wide, high), radius, opaque(badge.background.unwrap_or(RED)));
    let ink = Ink {
        fill: opaque(badge.colour.unwrap_or(Colour::WHITE)),
        outline: [0; 4],
        outline_width: 0.0,
    };
    let top = (high - height) / 2.0;
    if let Some(was) = &was {
        let left = (wide - was.width) / 2.0;
        bitmap.put(&struck(was, ink), (left, top));
    }
    let left = (wide - block.width) / 2.0;
    bitmap.put(&block.draw(|_| ink), (left, top + was_height));
    Drawn { bitmap, width: wide, height: high }
}

/// A text with a line through it.
fn struck(block: &Block, ink: Ink) -> Bitmap {
    let mut bitmap = block.draw(|_| ink);
    let thick = (block.size * 0.09).max(1.0);
    let line = Bitmap::rounded((block.width, thick), 0.0, ink.fill);
    bitmap.put(&line, (0.0, block.height * 0.53 - thick / 2.0));
    bitmap
}

fn opaque(Colour { rgb: [r, g, b] }: Colour) -> [u8; 4] {
    [r, g, b, 255]
}

/// Puts premultiplied pixels on straight ones, with or without alpha.
fn blend(packed: &mut Packed, bitmap: &Bitmap, at: (f32, f32), opacity: f64) {
    let left = at.0.round() as i64 + i64::from(bitmap.left);
    let top = at.1.round() as i64 + i64::from(bitmap.top);
    let opacity = opacity as f32;
    for (y, row) in bitmap.pixels.chunks_exact(bitmap.width * 4).enumerate() {
        let Some(y) = usize::try_from(top + y as i64).ok().filter(|&y| y < packed.height) else {
            continue;
        };
        for (x, above) in row.chunks_exact(4).enumerate().filter(|(_, above)| above[3] > 0) {
            let Some(x) = usize::try_from(left + x as i64).ok().filter(|&x| x < packed.width)
            else {
                continue;
            };
            let below =
                &mut packed.pixels[(y * packed.width + x) * packed.channels..][..packed.channels];
            let part = f32::from(above[3]) / 255.0 * opacity;
            let own = below.get(3).map_or(1.0, |&alpha| f32::from(alpha) / 255.0);
            let whole = part + own * (1.0 - part);
            for (value, &over) in below.iter_mut().zip(&above[..3]) {
                let mixed = f32::from(over) * opacity + f32::from(*value) * own * (1.0 - part);
                *value = (mixed / whole).round() as u8;
            }
            if let Some(alpha) = below.get_mut(3) {
                *alpha = (whole * 255.0).round() as u8;
            }
        }
    }
}

impl Gravity {
    /// Top left of a box in an output.
    fn place(self, (width, height): (f32, f32), output: (f32, f32), margin: f32) -> (f32, f32) {
        let (right, bottom) = (output.0 - width - margin, output.1 - height - margin);
        let (middle, centre) = ((output.0 - width) / 2.0, (output.1 - height) / 2.0);
        match self {
            Self::TopLeft => (margin, margin),
            Self::Top => (middle, margin),
            Self::TopRight => (right, margin),
            Self::Left => (margin, centre),
            Self::Centre => (middle, centre),
            Self::Right => (right, centre),
            Self::BottomLeft => (margin, bottom),
            Self::Bottom => (middle, bottom),
            Self::BottomRight => (right, bottom),
        }
    }
}
