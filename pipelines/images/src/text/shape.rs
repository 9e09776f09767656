//! Characters to glyphs: a paragraph is cut where face, script or direction change, and each piece is
//! shaped on its own.

use std::ops::Range;
use std::sync::Arc;

use harfrust::{Buffer, Direction, Script, ShapeOptions, ShaperFont, Tag, shape};
use unicode_bidi::{Level, ParagraphBidiInfo};
use unicode_script::{Script as Named, UnicodeScript};
use unicode_segmentation::UnicodeSegmentation;

use super::face::Face;
use super::fonts::Fonts;
use super::layout::TextStyle;

/// A glyph at its place in the line; sizes in pixels.
#[derive(Clone)]
pub(super) struct Glyph {
    pub(super) face: Arc<Face>,
    pub(super) id: u32,
    /// Of its origin, from the left of the line and down from the baseline.
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) advance: f32,
    /// The first byte in the whole text of what it shows.
    pub(super) at: usize,
}

/// A paragraph cut into pieces of one face, script and direction.
pub(super) struct Paragraph<'t> {
    pub(super) text: &'t str,
    bidi: ParagraphBidiInfo<'t>,
    pieces: Vec<Piece>,
    size: f32,
}

struct Piece {
    range: Range<usize>,
    face: Arc<Face>,
    script: Named,
}

impl<'t> Paragraph<'t> {
    /// `missing` gathers the characters that no font has; they are not drawn.
    pub(super) fn new(
        text: &'t str,
        fonts: &Fonts,
        style: &TextStyle,
        missing: &mut Vec<char>,
    ) -> Self {
        let bidi = ParagraphBidiInfo::new(text, None);
        let manner = (style.weight, style.italic);
        let asked = style.family.as_deref().and_then(|name| fonts.family(name, manner.0, manner.1));
        let mut pieces: Vec<Piece> = Vec::new();
        let mut script = Named::Common;
        for (at, cluster) in text.grapheme_indices(true) {
            let end = at + cluster.len();
            let before = pieces.last().map(|piece| &piece.face);
            let Some(face) = fonts.pick(cluster, asked.as_ref(), before, manner) else {
                missing
                    .extend(cluster.chars().filter(|c| !missing.contains(c)).collect::<Vec<_>>());
                continue;
            };
            let own = cluster.chars().map(|c| c.script());
            let own = own
                .into_iter()
                .find(|s| !matches!(s, Named::Common | Named::Inherited | Named::Unknown));
            script = own.unwrap_or(script);
            match pieces.last_mut() {
                Some(last)
                    if last.range.end == at
                        && Arc::ptr_eq(&last.face, &face)
                        && (last.script == script || last.script == Named::Common)
                        && bidi.levels[last.range.start] == bidi.levels[at] =>
                {
                    last.range.end = end;
                    last.script = script;
                }
                _ => pieces.push(Piece { range: at..end, face, script }),
            }
        }
        Self { text, bidi, pieces, size: style.size }
    }

    pub(super) fn is_rtl(&self) -> bool {
        self.bidi.paragraph_level.is_rtl()
    }

    /// Pixels across of a range, shaped by itself.
    pub(super) fn width(&self, range: Range<usize>) -> f32 {
        let mut width = 0.0;
        for piece in &self.pieces {
            let level = self.bidi.levels[piece.range.start];
            let part = piece.range.start.max(range.start)..piece.range.end.min(range.end);
            self.shape(piece, part, level, 0, &mut width);
        }
        width
    }

    /// The glyphs of a line, left to right, and how wide they are. `base`: where the paragraph begins
    /// in the whole text.
    pub(super) fn line(&self, range: Range<usize>, base: usize) -> (Vec<Glyph>, f32) {
        if range.is_empty() {
            return (Vec::new(), 0.0);
        }
        let (levels, runs) = self.bidi.visual_runs(range);
        let mut glyphs = Vec::new();
        let mut x = 0.0;
        for run in runs {
            let level = levels[run.start];
            let inside =
                |piece: &&Piece| piece.range.start < run.end && piece.range.end > run.start;
            let mut pieces: Vec<&Piece> = self.pieces.iter().filter(inside).collect();
            if level.is_rtl() {
                pieces.reverse();
            }
            for piece in pieces {
                let part = piece.range.start.max(run.start)..piece.range.end.min(run.end);
                glyphs.extend(self.shape(piece, part, level, base, &mut x));
            }
        }
        (glyphs, x)
    }

    fn shape(
        &self,
        piece: &Piece,
        range: Range<usize>,
        level: Level,
        base: usize,
        x: &mut f32,
    ) -> Vec<Glyph> {
        let font = &piece.face.font;
        let (Some(text), unit) =
            (self.text.get(range.clone()), self.size / f32::from(font.units_per_em()))
        else {
            return Vec::new();
        };
        let mut buffer = Buffer::new();
        for (at, c) in text.char_indices() {
            buffer.push(c.into(), (base + range.start + at) as u32);
        }
        buffer.set_direction(match level.is_rtl() {
            true => Direction::RightToLeft,
            false => Direction::LeftToRight,
        });
        buffer.set_script(Script::from_iso15924_tag(Tag::from_u32(piece.script.as_iso15924_tag())));
        if shape(&ShaperFont::new(font), &mut buffer, ShapeOptions::new()).is_err() {
            return Vec::new();
        }
        let glyphs = buffer.glyph_infos().iter().zip(buffer.glyph_positions());
        glyphs
            .map(|(info, position)| {
                let advance = position.x_advance as f32 * unit;
                let glyph = Glyph {
                    face: Arc::clone(&piece.face),
                    id: info.glyph_id,
                    x: *x + position.x_offset as f32 * unit,
                    y: -(position.y_offset as f32) * unit,
                    advance,
                    at: info.cluster as usize,
                };
                *x += advance;
                glyph
            })
            .collect()
    }
}
