//! Lines and where each glyph and word stands in them.

use std::ops::Range;
use std::sync::Arc;

use unicode_linebreak::{BreakOpportunity, linebreaks};
use unicode_segmentation::UnicodeSegmentation;

use super::face::Face;
use super::fonts::Fonts;
use super::raster::{Bitmap, Ink, draw};
use super::shape::{Glyph, Paragraph};

/// Longest text in bytes; what is longer is cut there.
const MAX_TEXT: usize = 4_096;
/// Largest type size in pixels.
const MAX_SIZE: f32 = 2_000.0;

/// How a text is set.
#[derive(Debug, Clone)]
pub struct TextStyle {
    /// Family, such as `Inter`; the bundled Noto Sans Bold where it is missing or not found.
    pub family: Option<String>,
    /// 100 to 900; the nearest there is.
    pub weight: f32,
    /// Whether a slanted face is wanted.
    pub italic: bool,
    /// Pixels of an em, 1 to 2,000.
    pub size: f32,
    /// Lines are broken at this width in pixels; never, where it is missing.
    pub max_width: Option<f32>,
    /// Baseline to baseline as a multiple of what the font asks for.
    pub line_height: f32,
    /// Where lines stand in the block.
    pub align: Align,
}

impl Default for TextStyle {
    fn default() -> Self {
        Self {
            family: None,
            weight: 700.0,
            italic: false,
            size: 32.0,
            max_width: None,
            line_height: 1.0,
            align: Align::Centre,
        }
    }
}

/// Where lines stand in their block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Align {
    /// Left; for right-to-left text right.
    Start,
    /// In the middle.
    #[default]
    Centre,
    /// Right; for right-to-left text left.
    End,
}

/// A text that has been set.
#[derive(Clone)]
pub struct Block {
    /// Pixels across of the widest line.
    pub width: f32,
    /// Pixels down of all lines.
    pub height: f32,
    /// Pixels of an em.
    pub size: f32,
    /// Characters that no font has; they are left out.
    pub missing: Vec<char>,
    pub(super) glyphs: Vec<Glyph>,
    words: Vec<Word>,
    lines: Vec<Placed>,
}

/// Where a line has come to stand.
#[derive(Clone)]
struct Placed {
    glyphs: Range<usize>,
    top: f32,
    bottom: f32,
}

/// A word and its box in the block, in pixels from its top left.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// Number of its line, from 0.
    pub line: usize,
    /// Left edge.
    pub left: f32,
    /// Right edge.
    pub right: f32,
    /// Top of the line.
    pub top: f32,
    /// Bottom of the line.
    pub bottom: f32,
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { width, height, words, .. } = self;
        f.debug_struct("Block").field("size", &(width, height)).field("words", words).finish()
    }
}

impl Block {
    /// Words in the order of the text (a word is what stands between spaces).
    #[must_use]
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// Where a part of the text stands: a box for each line it is on.
    #[must_use]
    pub fn boxes(&self, range: Range<usize>) -> Vec<Word> {
        let mut found = Vec::new();
        for (line, placed) in self.lines.iter().enumerate() {
            let (left, right) = sides(&self.glyphs[placed.glyphs.clone()], &range);
            if left <= right {
                let (top, bottom) = (placed.top, placed.bottom);
                found.push(Word { range: range.clone(), line, left, right, top, bottom });
            }
        }
        found
    }

    /// How many lines there are.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    /// Paints the block. `ink` is asked for each glyph, with the first byte in the text of what it
    /// shows, so that each word may have its own colours.
    #[must_use]
    pub fn draw(&self, ink: impl Fn(usize) -> Ink) -> Bitmap {
        draw(self, &ink)
    }
}

/// Sets a text: paragraphs end at line feeds, lines where [`TextStyle::max_width`] wants them to.
#[must_use]
pub fn lay_out(fonts: &Fonts, text: &str, style: &TextStyle) -> Block {
    let text = &text[..text.floor_char_boundary(MAX_TEXT)];
    let style = TextStyle { size: style.size.clamp(1.0, MAX_SIZE), ..style.clone() };
    let mut block = Block {
        width: 0.0,
        height: 0.0,
        size: style.size,
        missing: Vec::new(),
        glyphs: Vec::new(),
        words: Vec::new(),
        lines: Vec::new(),
    };
    let mut lines = Vec::new();
    let mut base = 0;
    for part in text.split('\n') {
        let paragraph =
            Paragraph::new(part.trim_end_matches('\r'), fonts, &style, &mut block.missing);
        for range in break_lines(&paragraph, style.max_width) {
            let (glyphs, width) = paragraph.line(range.clone(), base);
            let range = range.start + base..range.end + base;
            lines.push(Line { glyphs, width, range, rtl: paragraph.is_rtl() });
        }
        base += part.len() + 1;
    }
    block.width = lines.iter().map(|line| line.width).fold(0.0, f32::max);
    let family = style.family.as_deref();
    let named = family.and_then(|name| fonts.family(name, style.weight, style.italic));
    let first = named.or_else(Fonts::first);
    for (number, line) in lines.into_iter().enumerate() {
        block.add(line, number, text, &style, first.as_ref());
    }
    block
}

struct Line {
    glyphs: Vec<Glyph>,
    width: f32,
    range: Range<usize>,
    rtl: bool,
}

impl Block {
    fn add(
        &mut self,
        mut line: Line,
        number: usize,
        text: &str,
        style: &TextStyle,
        first: Option<&Arc<Face>>,
    ) {
        // colour faces have heights of their own that would push lines apart
        let mut faces: Vec<&Arc<Face>> =
            line.glyphs.iter().map(|glyph| &glyph.face).filter(|face| !face.colour).collect();
        if faces.is_empty() {
            faces.extend(first);
        }
        let (mut up, mut down) = (0.0_f32, 0.0_f32);
        for face in faces {
            let unit = style.size / f32::from(face.font.units_per_em());
            let found = face.font.metrics().h_line();
            let sides = found.map_or((0.8 * style.size, 0.2 * style.size), |line| {
                (line.ascender.to_f32() * unit, -line.descender.to_f32() * unit)
            });
            // two ems are enough for any script; more is a damaged font
            (up, down) =
                (up.max(sides.0.min(2.0 * style.size)), down.max(sides.1.min(2.0 * style.size)));
        }
        let spare = (up + down) * (style.line_height - 1.0);
        let (top, baseline) = (self.height, self.height + up + spare / 2.0);
        let room = self.width - line.width;
        let left = match (style.align, line.rtl) {
            (Align::Centre, _) => room / 2.0,
            (Align::Start, false) | (Align::End, true) => 0.0,
            _ => room,
        };
        for glyph in &mut line.glyphs {
            glyph.x += left;
            glyph.y += baseline;
        }
        self.height = top + up + down + spare;
        let shown = &text[line.range.clone()];
        for (at, word) in
            shown.split_word_bound_indices().filter(|(_, word)| !word.trim().is_empty())
        {
            let start = line.range.start + at;
            self.join_word(start..start + word.len(), number, &line.glyphs, top, text);
        }
        let first = self.glyphs.len();
        self.glyphs.append(&mut line.glyphs);
        let (glyphs, bottom) = (first..self.glyphs.len(), self.height);
        self.lines.push(Placed { glyphs, top, bottom });
    }

    /// Adds a piece of a line to the words; to the last one, where no space stands between the two.
    fn join_word(
        &mut self,
        range: Range<usize>,
        line: usize,
        glyphs: &[Glyph],
        top: f32,
        text: &str,
    ) {
        let (left, right) = sides(glyphs, &range);
        let bottom = self.height;
        match self.words.last_mut() {
            Some(last) if last.line == line && last.range.end == range.start => {
                last.range.end = range.end;
                last.left = last.left.min(left);
                last.right = last.right.max(right);
            }
            _ if left <= right && !text[range.clone()].trim().is_empty() => {
                self.words.push(Word { range, line, left, right, top, bottom });
            }
            _ => {}
        }
    }
}

/// Left and right edge of the glyphs of a part of the text; right before left: there are none.
fn sides(glyphs: &[Glyph], range: &Range<usize>) -> (f32, f32) {
    let own = glyphs.iter().filter(|glyph| range.contains(&glyph.at));
    own.fold((f32::MAX, f32::MIN), |(left, right), glyph| {
        (left.min(glyph.x), right.max(glyph.x + glyph.advance))
    })
}

/// The lines of a paragraph without the spaces at their ends: as much on each as fits, broken where the
/// rules of Unicode allow it and within a word only where it is wider than the whole line.
fn break_lines(paragraph: &Paragraph<'_>, max_width: Option<f32>) -> Vec<Range<usize>> {
    let text = paragraph.text;
    let Some(max) = max_width else { return std::iter::once(trim(text, 0..text.len())).collect() };
    let mut lines = Vec::new();
    let (mut start, mut end) = (0, 0);
    for (stop, kind) in linebreaks(text) {
        let fits = paragraph.width(trim(text, start..stop)) <= max;
        if !fits && end > start {
            lines.push(trim(text, start..end));
            start = end;
        }
        while paragraph.width(trim(text, start..stop)) > max {
            let Some(cut) = cut_word(paragraph, start..stop, max) else { break };
            lines.push(start..cut);
            start = cut;
        }
        end = stop;
        if kind == BreakOpportunity::Mandatory && stop < text.len() {
            lines.push(trim(text, start..stop));
            start = stop;
        }
    }
    lines.push(trim(text, start..text.len()));
    lines
}

/// Where a word that is too wide is cut: before the first cluster that does not fit, but never before
/// the first of all; nowhere, when that is its end.
fn cut_word(paragraph: &Paragraph<'_>, range: Range<usize>, max: f32) -> Option<usize> {
    let word = &paragraph.text[range.clone()];
    let ends = word.grapheme_indices(true).map(|(at, cluster)| range.start + at + cluster.len());
    let mut best = None;
    for end in ends {
        if best.is_some() && paragraph.width(range.start..end) > max {
            break;
        }
        best = Some(end);
    }
    best.filter(|&cut| cut < range.end)
}

fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let kept = text[range.clone()].trim_end().len();
    range.start..range.start + kept
}
