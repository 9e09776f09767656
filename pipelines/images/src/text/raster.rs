//! Glyphs to pixels: outlines are filled and stroked, colour bitmaps are scaled.

use std::io::Cursor;

use harfrust::GlyphId;
use harfrust::font::glyph::bitmap::Pixels as Stored;
use harfrust::font::glyph::outline::{DrawMemory, DrawOptions, PathSink};
use zeno::{Command, Join, Mask, Origin, PathBuilder, Placement, Stroke, Style, Vector};

use super::layout::Block;
use super::shape::Glyph;

/// Sides of a canvas; larger blocks are cut there.
const MAX_SIDE: f32 = 16_384.0;
/// Sides of a colour bitmap in a font.
const MAX_BITMAP: u32 = 1_024;

/// What a glyph is painted with; colours are red, green, blue, alpha.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ink {
    /// Inside.
    pub fill: [u8; 4],
    /// Around it, below all fills.
    pub outline: [u8; 4],
    /// Width of the outline in pixels; 0: none.
    pub outline_width: f32,
}

/// Painted pixels: RGBA with the alpha multiplied in. Pixel (0, 0) of the block lies at
/// (`-left`, `-top`) of the bitmap, because outlines and accents reach over its edges.
#[derive(Debug, Clone)]
pub struct Bitmap {
    /// Where the bitmap begins, from the left of the block; mostly negative.
    pub left: i32,
    /// Likewise from its top.
    pub top: i32,
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Row after row, four bytes each.
    pub pixels: Vec<u8>,
}

pub(super) fn draw(block: &Block, ink: &dyn Fn(usize) -> Ink) -> Bitmap {
    let inks: Vec<Ink> = block.glyphs.iter().map(|glyph| ink(glyph.at)).collect();
    let outline = inks.iter().map(|ink| ink.outline_width).fold(0.0, f32::max);
    let edge = (block.size * 0.5 + outline).ceil() as i32;
    let side = |length: f32| length.clamp(0.0, MAX_SIDE).ceil() as usize + 2 * edge as usize;
    let (width, height) = (side(block.width), side(block.height));
    let mut canvas =
        Bitmap { left: -edge, top: -edge, width, height, pixels: vec![0; width * height * 4] };
    let paths: Vec<Path> = block.glyphs.iter().map(|glyph| outline_of(glyph, block.size)).collect();
    for (path, ink) in paths.iter().zip(&inks).filter(|(_, ink)| ink.outline_width > 0.0) {
        let mut stroke = Stroke::new(ink.outline_width * 2.0);
        stroke.join(Join::Round);
        canvas.paint(path, Style::Stroke(stroke), ink.outline, block.size);
    }
    for ((glyph, path), ink) in block.glyphs.iter().zip(&paths).zip(&inks) {
        if !(glyph.face.colour && canvas.stamp(glyph, block.size, ink.fill[3])) {
            canvas.paint(path, Style::default(), ink.fill, block.size);
        }
    }
    canvas
}

struct Path {
    commands: Vec<Command>,
    origin: Vector,
    scale: f32,
}

/// The outline of a glyph, turned over: fonts count upwards.
fn outline_of(glyph: &Glyph, size: f32) -> Path {
    let scale = size / f32::from(glyph.face.font.units_per_em());
    let mut path = Path { commands: Vec::new(), origin: Vector::new(glyph.x, glyph.y), scale };
    if let Some(outline) = glyph.face.font.outline_glyphs().get(GlyphId::new(glyph.id)) {
        // a glyph that cannot be drawn is left out
        let _ = outline.draw(&DrawOptions::new(), DrawMemory::Scratch, &mut path);
    }
    path
}

impl Path {
    fn point(&self, x: f32, y: f32) -> Vector {
        Vector::new(x * self.scale, -y * self.scale) + self.origin
    }
}

impl PathSink for Path {
    fn move_to(&mut self, x: f32, y: f32) {
        self.commands.push(Command::MoveTo(self.point(x, y)));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.commands.push(Command::LineTo(self.point(x, y)));
    }

    fn quad_to(&mut self, cx: f32, cy: f32, x: f32, y: f32) {
        self.commands.push(Command::QuadTo(self.point(cx, cy), self.point(x, y)));
    }

    fn curve_to(&mut self, ax: f32, ay: f32, bx: f32, by: f32, x: f32, y: f32) {
        let (a, b) = (self.point(ax, ay), self.point(bx, by));
        self.commands.push(Command::CurveTo(a, b, self.point(x, y)));
    }

    fn close(&mut self) {
        self.commands.push(Command::Close);
    }
}

impl Bitmap {
    /// A rectangle with round corners, in straight red, green, blue, alpha.
    #[must_use]
    pub fn rounded((width, height): (f32, f32), radius: f32, colour: [u8; 4]) -> Self {
        let (width, height) = (width.clamp(0.0, MAX_SIDE), height.clamp(0.0, MAX_SIDE));
        let radius = radius.min(width / 2.0).min(height / 2.0);
        let mut path: Vec<Command> = Vec::new();
        path.add_round_rect((0.0, 0.0), width, height, radius, radius);
        let (wide, high) = (width.ceil().max(1.0) as usize, height.ceil().max(1.0) as usize);
        let mut bitmap =
            Self { left: 0, top: 0, width: wide, height: high, pixels: vec![0; wide * high * 4] };
        let (coverage, place) = Mask::new(&path).origin(Origin::TopLeft).render();
        bitmap.blend(&coverage, place, colour);
        bitmap
    }

    /// Puts another bitmap on this one; `at` is where the block of the upper one begins.
    pub fn put(&mut self, upper: &Self, at: (f32, f32)) {
        let left = at.0.round() as i32 + upper.left - self.left;
        let top = at.1.round() as i32 + upper.top - self.top;
        for (y, row) in upper.pixels.chunks_exact(upper.width * 4).enumerate() {
            for (x, pixel) in
                row.as_chunks::<4>().0.iter().enumerate().filter(|(_, pixel)| pixel[3] > 0)
            {
                self.over(left + x as i32, top + y as i32, *pixel);
            }
        }
    }

    fn paint(&mut self, path: &Path, style: Style<'_>, colour: [u8; 4], size: f32) {
        if path.commands.is_empty() || colour[3] == 0 {
            return;
        }
        let bounds = zeno::bounds(&path.commands, style, None);
        let near = |point: Vector| (point - path.origin).length() <= size * 8.0;
        if !(near(bounds.min) && near(bounds.max)) {
            return; // a damaged font: no glyph is that large
        }
        let mut mask = Mask::new(&path.commands);
        let (coverage, place) = mask.style(style).origin(Origin::TopLeft).render();
        self.blend(&coverage, place, colour);
    }

    pub(super) fn blend(&mut self, coverage: &[u8], place: Placement, colour: [u8; 4]) {
        let (left, top) = (place.left - self.left, place.top - self.top);
        for (y, row) in coverage.chunks_exact(place.width.max(1) as usize).enumerate() {
            for (x, &covered) in row.iter().enumerate().filter(|(_, covered)| **covered > 0) {
                let alpha = multiply(covered, colour[3]);
                let [r, g, b] = [0, 1, 2].map(|channel| multiply(colour[channel], alpha));
                self.over(left + x as i32, top + y as i32, [r, g, b, alpha]);
            }
        }
    }

    /// Puts a premultiplied pixel over what is there.
    pub(super) fn over(&mut self, x: i32, y: i32, pixel: [u8; 4]) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if x >= self.width || y >= self.height {
            return;
        }
        let below = &mut self.pixels[(y * self.width + x) * 4..][..4];
        for (value, above) in below.iter_mut().zip(pixel) {
            *value = above.saturating_add(multiply(*value, 255 - pixel[3]));
        }
    }

    /// Puts the colour bitmap of a glyph there, if it has one.
    fn stamp(&mut self, glyph: &Glyph, size: f32, opacity: u8) -> bool {
        let font = &glyph.face.font;
        let Some(bitmap) = font.bitmap_strikes().select_bitmap(GlyphId::new(glyph.id), Some(size))
        else {
            return false;
        };
        let Stored::Png(png) = bitmap.pixels() else { return false };
        let Some((rgba, wide, high)) = decode(png) else { return false };
        let unit = size / f32::from(font.units_per_em());
        let extents = bitmap.extents();
        let left = glyph.x + (extents.x_bearing + bitmap.x_bearing() as f32) * unit;
        let top = glyph.y - (extents.y_bearing + bitmap.y_bearing() as f32) * unit;
        let (across, down) = (extents.width * unit, extents.height * unit);
        if !(across > 0.5 && down > 0.5 && across < MAX_SIDE && down < MAX_SIDE) {
            return true;
        }
        let ends = |start: f32, span: f32| (start.floor() as i32, (start + span).ceil() as i32);
        let ((x0, x1), (y0, y1)) = (ends(left, across), ends(top, down));
        for y in y0..y1 {
            for x in x0..x1 {
                let u = [(x as f32 - left) / across, (x as f32 + 1.0 - left) / across];
                let v = [(y as f32 - top) / down, (y as f32 + 1.0 - top) / down];
                let pixel = mean(&rgba, (wide, high), u, v).map(|value| multiply(value, opacity));
                self.over(x - self.left, y - self.top, pixel);
            }
        }
        true
    }
}

/// Mean of a part of a premultiplied picture; `u` and `v` count from 0 to 1, what is outside is clear.
fn mean(rgba: &[u8], (wide, high): (usize, usize), u: [f32; 2], v: [f32; 2]) -> [u8; 4] {
    let span = |[from, to]: [f32; 2], length: usize| {
        let (from, to) = (from * length as f32, to * length as f32);
        // at least a sample wide: an enlarged picture is interpolated, not repeated
        let grow = ((1.0 - (to - from)) / 2.0).max(0.0);
        (from - grow, to + grow)
    };
    let ((left, right), (top, bottom)) = (span(u, wide), span(v, high));
    let share =
        |at: usize, from: f32, to: f32| (to.min(at as f32 + 1.0) - from.max(at as f32)).max(0.0);
    let range = |from: f32, to: f32, length: usize| {
        (from.floor().max(0.0) as usize)..(to.ceil().max(0.0) as usize).min(length)
    };
    let mut sums = [0.0; 4];
    for y in range(top, bottom, high) {
        for x in range(left, right, wide) {
            let weight = share(x, left, right) * share(y, top, bottom);
            for (sum, &value) in sums.iter_mut().zip(&rgba[(y * wide + x) * 4..]) {
                *sum += weight * f32::from(value);
            }
        }
    }
    let area = (right - left) * (bottom - top);
    sums.map(|sum| (sum / area).round() as u8)
}

/// A PNG as premultiplied RGBA.
fn decode(source: &[u8]) -> Option<(Vec<u8>, usize, usize)> {
    let mut decoder =
        png::Decoder::new_with_limits(Cursor::new(source), png::Limits { bytes: 8 << 20 });
    decoder.set_transformations(
        png::Transformations::normalize_to_color8() | png::Transformations::ALPHA,
    );
    let mut reader = decoder.read_info().ok()?;
    if reader.info().width > MAX_BITMAP || reader.info().height > MAX_BITMAP {
        return None;
    }
    let mut bytes = vec![0; reader.output_buffer_size()?];
    let frame = reader.next_frame(&mut bytes).ok()?;
    let (wide, high) = (frame.width as usize, frame.height as usize);
    let rgba = match frame.color_type {
        png::ColorType::Rgba => bytes.chunks_exact(4).flat_map(premultiply).collect(),
        png::ColorType::GrayscaleAlpha => {
            bytes.chunks_exact(2).flat_map(|p| premultiply(&[p[0], p[0], p[0], p[1]])).collect()
        }
        _ => return None,
    };
    Some((rgba, wide, high))
}

fn premultiply(pixel: &[u8]) -> [u8; 4] {
    let alpha = pixel[3];
    [multiply(pixel[0], alpha), multiply(pixel[1], alpha), multiply(pixel[2], alpha), alpha]
}

/// value · part / 255, rounded.
fn multiply(value: u8, part: u8) -> u8 {
    let product = u32::from(value) * u32::from(part) + 128;
    ((product + (product >> 8)) >> 8) as u8
}
