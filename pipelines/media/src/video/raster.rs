//! Draws a line of captions: laid out with bidi and font fallback, outlined, the spoken word lit.

use std::path::PathBuf;

use parley::fontique::{Collection, CollectionOptions, SourceCache};
use parley::{
    Alignment, AlignmentOptions, FontContext, FontFamily, FontFamilyName, FontWeight, Layout,
    LayoutContext, PositionedLayoutItem, StyleProperty,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use swash::FontRef;
use swash::scale::image::{Content, Image};
use swash::scale::{Render, ScaleContext, Source, StrikeWith};
use swash::zeno::{Format, Join, Stroke, Vector};

use super::Canvas;
use super::caption::Cue;
use super::frame::Rgb;
use super::overlay::Overlay;
use crate::error::MediaError;

/// How the spoken word stands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Emphasis {
    /// By its colour.
    #[default]
    Colour,
    /// By a box of that colour behind it.
    Box,
    /// Not at all.
    None,
}

/// How captions look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CaptionStyle {
    /// The family of the font; the first that is there when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub font: Option<String>,
    /// Height of the letters as a part of the shorter side, 0.02 to 0.3.
    pub size: f32,
    /// 100 to 900.
    pub weight: u16,
    /// The words.
    pub colour: Rgb,
    /// The spoken word.
    pub highlight: Rgb,
    /// Around the letters.
    pub outline: Rgb,
    /// How wide the outline is, as a part of the size, 0 to 0.3.
    pub outline_width: f32,
    /// How the spoken word stands out.
    pub emphasis: Emphasis,
    /// A plate behind the whole line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<Rgb>,
    /// Where the middle of the line is, from the top (0) to the bottom (1).
    pub position: f32,
    /// In capital letters.
    pub uppercase: bool,
    /// Most words at once.
    pub max_words: usize,
    /// Whether there are any.
    pub show: bool,
}

impl Default for CaptionStyle {
    fn default() -> Self {
        Self {
            font: None,
            size: 0.078,
            weight: 700,
            colour: Rgb([255, 255, 255]),
            highlight: Rgb([255, 221, 0]),
            outline: Rgb([0, 0, 0]),
            outline_width: 0.12,
            emphasis: Emphasis::Colour,
            background: None,
            position: 0.72,
            uppercase: false,
            max_words: 4,
            show: true,
        }
    }
}

impl CaptionStyle {
    /// What is wrong with it: a field and a problem.
    #[must_use]
    pub fn fault(&self) -> Option<(&'static str, String)> {
        let within = |field, value: f32, low: f32, high: f32| {
            let good = (low..=high).contains(&value);
            (!good).then(|| (field, format!("{value} is not from {low} to {high}")))
        };
        within("size", self.size, 0.02, 0.3)
            .or_else(|| within("outline_width", self.outline_width, 0.0, 0.3))
            .or_else(|| within("position", self.position, 0.0, 1.0))
            .or_else(|| within("weight", f32::from(self.weight), 100.0, 900.0))
            .or_else(|| within("max_words", self.max_words as f32, 1.0, 20.0))
    }

    /// Letters' height in pixels.
    #[must_use]
    pub fn pixels(&self, canvas: Canvas) -> f32 {
        self.size * canvas.width.min(canvas.height) as f32
    }
}

/// The fonts that captions are set in, in this order.
pub struct Fonts {
    context: FontContext,
    layouts: LayoutContext<usize>,
    glyphs: ScaleContext,
    families: Vec<String>,
}

impl std::fmt::Debug for Fonts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fonts({} families)", self.families.len())
    }
}

/// RGBA, premultiplied.
struct Sheet {
    width: usize,
    height: usize,
    rgba: Vec<u8>,
}

impl Fonts {
    /// Reads fonts from files and folders; what is not there is left out.
    ///
    /// # Errors
    /// [`MediaError::Missing`] when there is no font at all.
    pub fn load(paths: &[PathBuf]) -> Result<Self, MediaError> {
        let options = CollectionOptions { shared: false, system_fonts: false };
        let mut collection = Collection::new(options);
        collection.load_fonts_from_paths(paths.iter().filter(|path| path.exists()));
        let mut families: Vec<String> = collection.family_names().map(str::to_owned).collect();
        // Plain text faces before those of single scripts and of pictograms.
        let rank = |name: &String| match name.as_str() {
            "DejaVu Sans" | "Noto Sans" => 0,
            name if name.contains("Emoji") => 3,
            name if name.contains("Serif") || name.contains("Mono") => 2,
            _ => 1,
        };
        families.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.cmp(b)));
        if families.is_empty() {
            return Err(MediaError::Missing {
                program: "a font for captions".to_owned(),
                package: "fonts-dejavu-core fonts-noto-color-emoji",
                setting: "video.fonts",
            });
        }
        let context = FontContext { collection, source_cache: SourceCache::default() };
        Ok(Self { context, layouts: LayoutContext::new(), glyphs: ScaleContext::new(), families })
    }

    /// No font: for videos without captions.
    #[must_use]
    pub fn none() -> Self {
        let options = CollectionOptions { shared: false, system_fonts: false };
        let collection = Collection::new(options);
        let context = FontContext { collection, source_cache: SourceCache::default() };
        let (layouts, glyphs) = (LayoutContext::new(), ScaleContext::new());
        Self { context, layouts, glyphs, families: Vec::new() }
    }

    /// Whether there is one.
    #[must_use]
    pub fn any(&self) -> bool {
        !self.families.is_empty()
    }

    /// Draws `cue` with its word `active` lit.
    pub fn draw(
        &mut self,
        cue: &Cue,
        active: Option<usize>,
        style: &CaptionStyle,
        canvas: Canvas,
    ) -> Option<Overlay> {
        // A script that has no glyphs in this weight is better light than missing.
        let mut layout = self.layout(cue, style, canvas, style.weight);
        if lacking(&layout) && style.weight != 400 {
            layout = self.layout(cue, style, canvas, 400);
        }
        let size = style.pixels(canvas);
        let outline = size * style.outline_width;
        let margin = (outline + size * 0.35).ceil();
        let width = (layout.full_width() + 2.0 * margin).ceil() as usize;
        let height = (layout.height() + 2.0 * margin).ceil() as usize;
        let (wide, high) = (canvas.width as usize, canvas.height as usize);
        if width == 0 || height == 0 {
            return None;
        }
        let mut sheet = Sheet::clear(width.min(wide * 2), height.min(high * 2));
        if let Some(plate) = style.background {
            sheet.plate([0.0, 0.0, width as f32, height as f32], size * 0.3, plate.0, 0.72);
        }
        if style.emphasis == Emphasis::Box {
            for bounds in boxes(&layout, active, margin, size) {
                sheet.plate(bounds, size * 0.18, style.highlight.0, 1.0);
            }
        }
        let lit = |word| style.emphasis == Emphasis::Colour && Some(word) == active;
        if outline > 0.0 {
            self.pass(&layout, &mut sheet, margin, Some(outline * 2.0), |_| style.outline.0);
        }
        let colour = |word| if lit(word) { style.highlight.0 } else { style.colour.0 };
        self.pass(&layout, &mut sheet, margin, None, colour);
        let left = wide.saturating_sub(sheet.width) / 2;
        let middle = (style.position * high as f32) as usize;
        let top = middle.saturating_sub(sheet.height / 2).min(high.saturating_sub(sheet.height));
        Some(Overlay::premultiplied(&sheet.rgba, sheet.width, left, top))
    }

    fn layout(
        &mut self,
        cue: &Cue,
        style: &CaptionStyle,
        canvas: Canvas,
        weight: u16,
    ) -> Layout<usize> {
        let mut text = String::new();
        let mut ranges = Vec::with_capacity(cue.words.len());
        for word in &cue.words {
            if !text.is_empty() && !word.glued {
                text.push(' ');
            }
            let start = text.len();
            if style.uppercase {
                text.push_str(&word.word.to_uppercase());
            } else {
                text.push_str(&word.word);
            }
            ranges.push(start..text.len());
        }
        let wanted = style.font.iter().chain(&self.families);
        let families: Vec<FontFamilyName> =
            wanted.map(|name| FontFamilyName::Named(name.as_str().into())).collect();
        let mut builder = self.layouts.ranged_builder(&mut self.context, &text, 1.0, true);
        builder.push_default(StyleProperty::FontFamily(FontFamily::from(&families[..])));
        builder.push_default(StyleProperty::FontSize(style.pixels(canvas)));
        builder.push_default(StyleProperty::FontWeight(FontWeight::new(f32::from(weight))));
        for (word, range) in ranges.into_iter().enumerate() {
            builder.push(StyleProperty::Brush(word + 1), range);
        }
        let mut layout = builder.build(&text);
        layout.break_all_lines(Some(canvas.width as f32 * 0.84));
        layout.align(Alignment::Center, AlignmentOptions::default());
        layout
    }

    /// Draws every glyph, filled or stroked.
    fn pass(
        &mut self,
        layout: &Layout<usize>,
        sheet: &mut Sheet,
        margin: f32,
        stroke: Option<f32>,
        colour: impl Fn(usize) -> [u8; 3],
    ) {
        const SOURCES: [Source; 3] =
            [Source::ColorOutline(0), Source::ColorBitmap(StrikeWith::BestFit), Source::Outline];
        for line in layout.lines() {
            for item in line.items() {
                let PositionedLayoutItem::GlyphRun(glyphs) = item else { continue };
                let run = glyphs.run();
                let font = run.font();
                let Some(font) = FontRef::from_index(font.data.as_ref(), font.index as usize)
                else {
                    continue;
                };
                let mut scaler = self
                    .glyphs
                    .builder(font)
                    .size(run.font_size())
                    .normalized_coords(run.normalized_coords().iter().map(|coord| coord.to_bits()))
                    .build();
                let word = glyphs.style().brush.wrapping_sub(1);
                for glyph in glyphs.positioned_glyphs() {
                    let (x, y) = (glyph.x + margin, glyph.y + margin);
                    let mut render =
                        Render::new(if stroke.is_some() { &SOURCES[2..] } else { &SOURCES });
                    render.format(Format::Alpha).offset(Vector::new(x.fract(), -y.fract()));
                    if let Some(width) = stroke {
                        let mut line = Stroke::new(width);
                        line.join(Join::Round);
                        render.style(line);
                    }
                    if let Some(image) =
                        u16::try_from(glyph.id).ok().and_then(|id| render.render(&mut scaler, id))
                    {
                        sheet.glyph(&image, x.floor() as i32, y.floor() as i32, colour(word));
                    }
                }
            }
        }
    }
}

/// Whether a character has no glyph.
fn lacking(layout: &Layout<usize>) -> bool {
    let mut covered = 0;
    for line in layout.lines() {
        for item in line.items() {
            let PositionedLayoutItem::GlyphRun(glyphs) = item else { continue };
            if glyphs.glyphs().any(|glyph| glyph.id == 0) {
                return true;
            }
            covered += 1;
        }
    }
    covered == 0
}

/// The boxes behind the active word: one, or two where it is broken.
fn boxes(layout: &Layout<usize>, active: Option<usize>, margin: f32, size: f32) -> Vec<[f32; 4]> {
    let mut found = Vec::new();
    for line in layout.lines() {
        let mut sides: Option<(f32, f32, f32)> = None;
        for item in line.items() {
            let PositionedLayoutItem::GlyphRun(run) = item else { continue };
            if active.is_none_or(|word| run.style().brush != word + 1) {
                continue;
            }
            let (left, right) = (run.offset(), run.offset() + run.advance());
            let (low, high, _) = sides.unwrap_or((left, right, 0.0));
            sides = Some((low.min(left), high.max(right), run.baseline()));
        }
        if let Some((left, right, base)) = sides {
            let pad = size * 0.16;
            let (left, right) = (left + margin - pad, right + margin + pad);
            found.push([left, base + margin - size * 0.95, right - left, size * 1.3]);
        }
    }
    found
}

impl Sheet {
    fn clear(width: usize, height: usize) -> Self {
        Self { width, height, rgba: vec![0; width * height * 4] }
    }

    /// A rounded rectangle: left, top, width, height.
    fn plate(
        &mut self,
        [left, top, width, height]: [f32; 4],
        radius: f32,
        colour: [u8; 3],
        opacity: f32,
    ) {
        let (middle, half) =
            ((left + width / 2.0, top + height / 2.0), (width / 2.0, height / 2.0));
        let radius = radius.min(half.0).min(half.1);
        for y in (top.max(0.0) as usize)..((top + height).ceil().max(0.0) as usize).min(self.height)
        {
            for x in
                (left.max(0.0) as usize)..((left + width).ceil().max(0.0) as usize).min(self.width)
            {
                let dx = ((x as f32 + 0.5 - middle.0).abs() - half.0 + radius).max(0.0);
                let dy = ((y as f32 + 0.5 - middle.1).abs() - half.1 + radius).max(0.0);
                let cover = (radius - dx.hypot(dy) + 0.5).clamp(0.0, 1.0) * opacity;
                self.over(x, y, colour, (cover * 255.0) as u8);
            }
        }
    }

    fn glyph(&mut self, image: &Image, x: i32, y: i32, colour: [u8; 3]) {
        let placed = image.placement;
        let width = placed.width as usize;
        for row in 0..placed.height as usize {
            for column in 0..width {
                let at = (x + placed.left + column as i32, y - placed.top + row as i32);
                let (Ok(x), Ok(y)) = (usize::try_from(at.0), usize::try_from(at.1)) else {
                    continue;
                };
                if x >= self.width || y >= self.height {
                    continue;
                }
                let index = row * width + column;
                match image.content {
                    Content::Mask => {
                        self.over(x, y, colour, image.data.get(index).copied().unwrap_or(0));
                    }
                    Content::Color | Content::SubpixelMask => {
                        if let Some(p) = image.data.get(index * 4..index * 4 + 4) {
                            self.over(x, y, [p[0], p[1], p[2]], p[3]);
                        }
                    }
                }
            }
        }
    }

    fn over(&mut self, x: usize, y: usize, colour: [u8; 3], alpha: u8) {
        let at = (y * self.width + x) * 4;
        let pixel = &mut self.rgba[at..at + 4];
        let (cover, keep) = (u32::from(alpha), 255 - u32::from(alpha));
        for (to, from) in pixel.iter_mut().zip([colour[0], colour[1], colour[2], 255]) {
            *to = ((u32::from(from) * cover + u32::from(*to) * keep + 127) / 255) as u8;
        }
    }
}
