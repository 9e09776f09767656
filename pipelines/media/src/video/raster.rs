//! Draws a line of captions: laid out with bidi and font fallback, outlined, the spoken word lit.

use std::ops::Range;

use flotilla_images::text::{Bitmap, Block, Fonts, Ink, TextStyle, lay_out};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Canvas;
use super::caption::Cue;
use super::frame::Rgb;
use super::overlay::Overlay;

/// The part of the canvas that a line may fill.
const MOST_WIDTH: f32 = 0.86;
/// How often the width of broken lines is halved in on, to make them alike.
const BALANCE_STEPS: usize = 6;

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
    /// The family of the font; the bundled Noto Sans when not set.
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

/// A line of captions, laid out; its words are lit one after the other.
pub(crate) struct Caption {
    block: Block,
    /// Where each word of the cue is in the text.
    words: Vec<Range<usize>>,
    style: CaptionStyle,
    canvas: Canvas,
}

impl Caption {
    pub(crate) fn new(cue: &Cue, style: &CaptionStyle, canvas: Canvas, fonts: &Fonts) -> Self {
        let (text, words) = text_of(cue, style.uppercase);
        let widest = canvas.width as f32 * MOST_WIDTH;
        let block = balanced(fonts, &text, &text_style(style, canvas), widest);
        Self { block, words, style: style.clone(), canvas }
    }

    /// The line with its word `active` lit; `None`: there is nothing to be seen.
    pub(crate) fn draw(&self, active: Option<usize>) -> Option<Overlay> {
        let (style, size) = (&self.style, self.block.size);
        let lit = |at: usize| {
            active.is_some_and(|word| self.words.get(word).is_some_and(|range| range.contains(&at)))
        };
        let plain = Ink {
            fill: opaque(style.colour),
            outline: opaque(style.outline),
            outline_width: size * style.outline_width,
        };
        let text = self.block.draw(|at| match style.emphasis {
            Emphasis::Colour if lit(at) => Ink { fill: opaque(style.highlight), ..plain },
            Emphasis::Box if lit(at) => {
                let fill = opaque(readable_on(style.highlight));
                Ink { fill, outline: [0; 4], outline_width: 0.0 }
            }
            _ => plain,
        });
        let mut sheet = Bitmap { pixels: vec![0; text.pixels.len()], ..text };
        if let Some(Rgb([red, green, blue])) = style.background {
            let pad = (size * 0.36, size * 0.1);
            let sides = (self.block.width + 2.0 * pad.0, self.block.height + 2.0 * pad.1);
            let plate = Bitmap::rounded(sides, size * 0.28, [red, green, blue, 190]);
            sheet.put(&plate, (-pad.0, -pad.1));
        }
        if style.emphasis == Emphasis::Box
            && let Some(range) = active.and_then(|word| self.words.get(word))
        {
            for word in self.block.boxes(range.clone()) {
                let pad = size * 0.15;
                let (top, bottom) = (word.top + size * 0.1, word.bottom - size * 0.02);
                let sides = (word.right - word.left + 2.0 * pad, bottom - top);
                let plate = Bitmap::rounded(sides, size * 0.18, opaque(style.highlight));
                sheet.put(&plate, (word.left - pad, top));
            }
        }
        sheet.put(&text, (0.0, 0.0));
        self.placed(&sheet)
    }

    /// Cut to what can be seen, at its place on the canvas.
    fn placed(&self, sheet: &Bitmap) -> Option<Overlay> {
        let (wide, high) = (self.canvas.width as f32, self.canvas.height as f32);
        let (edge, lowest) = (high * 0.02, high - self.block.height);
        let middle = self.style.position * high - self.block.height / 2.0;
        let top = middle.clamp(edge.min(lowest.max(0.0)), (lowest - edge).max(0.0));
        let left = (wide - self.block.width) / 2.0;
        let at = (left.round() as i32 + sheet.left, top.round() as i32 + sheet.top);
        let rows = seen(sheet.height, at.1, self.canvas.height, |y| {
            sheet.pixels[y * sheet.width * 4..][..sheet.width * 4].chunks_exact(4).any(|p| p[3] > 0)
        })?;
        let columns = seen(sheet.width, at.0, self.canvas.width, |x| {
            rows.clone().any(|y| sheet.pixels[(y * sheet.width + x) * 4 + 3] > 0)
        })?;
        // Two by two pixels share a colour: the cut begins at an even place.
        let even = |range: Range<usize>, at: i32| {
            let odd = (range.start as i32 + at).rem_euclid(2) as usize;
            (range.start as i32 + at - odd as i32, odd, range)
        };
        let ((x, odd_x, columns), (y, odd_y, rows)) = (even(columns, at.0), even(rows, at.1));
        let width = columns.len() + odd_x;
        let mut pixels = vec![0; width * odd_y * 4];
        for row in rows {
            pixels.resize(pixels.len() + odd_x * 4, 0);
            let from = (row * sheet.width + columns.start) * 4;
            pixels.extend_from_slice(&sheet.pixels[from..from + columns.len() * 4]);
        }
        Some(Overlay::premultiplied(&pixels, width, x.max(0) as usize, y.max(0) as usize))
    }
}

/// The rows or columns, of `count` that begin at `at`, that lie on the canvas and have something.
fn seen(count: usize, at: i32, side: u32, has: impl Fn(usize) -> bool) -> Option<Range<usize>> {
    let first = usize::try_from(-at).unwrap_or(0);
    let end = usize::try_from(i64::from(side) - i64::from(at)).unwrap_or(0).min(count);
    let start = (first..end).find(|n| has(*n))?;
    let last = (start..end).rev().find(|n| has(*n))?;
    Some(start..last + 1)
}

/// Characters of these captions that no font has: they are left out of the picture.
#[must_use]
pub fn missing(cues: &[Cue], style: &CaptionStyle, fonts: &Fonts) -> Vec<char> {
    let mut missing = Vec::new();
    for cue in cues {
        let text = text_of(cue, style.uppercase).0;
        let block = lay_out(fonts, &text, &TextStyle { size: 10.0, ..TextStyle::default() });
        missing.extend(block.missing);
    }
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// The words of a cue as one text, and where each is in it.
fn text_of(cue: &Cue, uppercase: bool) -> (String, Vec<Range<usize>>) {
    let mut text = String::new();
    let mut ranges = Vec::with_capacity(cue.words.len());
    for word in &cue.words {
        if !text.is_empty() && !word.glued {
            text.push(' ');
        }
        let start = text.len();
        if uppercase {
            text.push_str(&word.word.to_uppercase());
        } else {
            text.push_str(&word.word);
        }
        ranges.push(start..text.len());
    }
    (text, ranges)
}

fn text_style(style: &CaptionStyle, canvas: Canvas) -> TextStyle {
    TextStyle {
        family: style.font.clone(),
        weight: f32::from(style.weight),
        size: style.pixels(canvas),
        ..TextStyle::default()
    }
}

/// Broken at `widest`, or earlier where that makes the lines more alike and none more.
fn balanced(fonts: &Fonts, text: &str, style: &TextStyle, widest: f32) -> Block {
    let set = |width: f32| {
        let style = TextStyle { max_width: Some(width), ..style.clone() };
        lay_out(fonts, text, &style)
    };
    let mut best = set(widest);
    let (lines, words) = (best.lines(), best.words().len());
    let (mut low, mut high) = (best.width / lines.max(1) as f32, best.width);
    for _ in 0..if lines > 1 { BALANCE_STEPS } else { 0 } {
        let middle = f32::midpoint(low, high);
        let tried = set(middle);
        // A word that is cut in two counts twice.
        if tried.lines() == lines && tried.words().len() == words {
            (best, high) = (tried, middle);
        } else {
            low = middle;
        }
    }
    best
}

fn opaque(Rgb([red, green, blue]): Rgb) -> [u8; 4] {
    [red, green, blue, 255]
}

/// Black or white, whichever stands out more.
fn readable_on(Rgb(ground): Rgb) -> Rgb {
    let light: f32 =
        [0.2126, 0.7152, 0.0722].iter().zip(ground).map(|(k, c)| k * f32::from(c)).sum();
    if light > 140.0 { Rgb([16, 16, 16]) } else { Rgb([255, 255, 255]) }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Frame;
    use super::*;
    use crate::speech::TimedWord;

    const CANVAS: Canvas = Canvas { width: 540, height: 960, fps: 30 };

    fn cue(words: &[(&str, bool)]) -> Cue {
        let timed = |(word, glued): &(&str, bool)| TimedWord {
            word: (*word).into(),
            start: 0.0,
            end: 1.0,
            glued: *glued,
        };
        Cue { start: 0.0, end: 1.0, words: words.iter().map(timed).collect() }
    }

    /// Columns from first to last in which a frame has the colour of the lit word (red).
    fn red_columns(caption: &Caption, active: usize) -> (usize, usize) {
        let mut frame = Frame::black(540, 960);
        caption.draw(Some(active)).expect("something to see").blend(&mut frame);
        let red = |column: &usize| frame.v.iter().skip(*column).step_by(270).any(|v| *v > 200);
        let first = (0..270).find(red).expect("a red word");
        (first, (0..270).rfind(red).expect("a red word"))
    }

    #[test]
    fn the_lit_word_moves_in_the_direction_of_the_script() {
        let fonts = Fonts::default();
        for emphasis in [Emphasis::Colour, Emphasis::Box] {
            let highlight = Rgb([255, 0, 0]);
            let style = CaptionStyle { emphasis, highlight, size: 0.06, ..CaptionStyle::default() };
            for (words, leftwards) in [
                ([("One", false), ("two", false), ("three.", false)], false),
                (
                    [
                        ("\u{5d0}\u{5d7}\u{5ea}", false),
                        ("\u{5e9}\u{5ea}\u{5d9}\u{5dd}", false),
                        ("\u{5e9}\u{5dc}\u{5d5}\u{5e9}.", false),
                    ],
                    true,
                ),
                (
                    [
                        ("\u{648}\u{627}\u{62d}\u{62f}", false),
                        ("\u{627}\u{62b}\u{646}\u{627}\u{646}", false),
                        ("\u{62b}\u{644}\u{627}\u{62b}\u{629}", false),
                    ],
                    true,
                ),
                ([("a", false), ("b", true), ("c", true)], false),
            ] {
                let caption = Caption::new(&cue(&words), &style, CANVAS, &fonts);
                let places: Vec<_> = (0..3).map(|word| red_columns(&caption, word)).collect();
                for pair in places.windows(2) {
                    let (one, two) =
                        if leftwards { (pair[1], pair[0]) } else { (pair[0], pair[1]) };
                    // Boxes have padding and may touch.
                    assert!(one.0 < two.0 && one.1 < two.1, "{words:?} {emphasis:?}: {places:?}");
                }
                let (first, last) = (
                    places.iter().map(|p| p.0).min().unwrap(),
                    places.iter().map(|p| p.1).max().unwrap(),
                );
                assert!((first + last).abs_diff(270) <= 6, "in the middle: {first} {last}");
            }
        }
    }

    #[test]
    fn two_lines_are_about_as_long() {
        let words = ["Fresh", "bread,", "every", "single", "morning"].map(|w| (w, false));
        let style = CaptionStyle { size: 0.09, ..CaptionStyle::default() };
        let caption = Caption::new(&cue(&words), &style, CANVAS, &Fonts::default());
        assert_eq!(caption.block.lines(), 2);
        let edge = |line| {
            let own = caption.block.words().iter().filter(move |word| word.line == line);
            own.fold((f32::MAX, 0.0f32), |(l, r), word| (l.min(word.left), r.max(word.right)))
        };
        let widths = [0, 1].map(|line| edge(line).1 - edge(line).0);
        assert!((widths[0] - widths[1]).abs() < 0.35 * widths[0], "{widths:?}");
    }

    #[test]
    fn what_is_too_large_is_cut_at_the_canvas_and_nothing_is_nothing() {
        let style = CaptionStyle { size: 0.3, position: 1.0, ..CaptionStyle::default() };
        let canvas = Canvas { width: 64, height: 64, fps: 30 };
        let words = [("Donaudampfschiff", false), ("W", false), ("\u{10ffff}", false)];
        let mut frame = Frame::black(64, 64);
        let caption = Caption::new(&cue(&words), &style, canvas, &Fonts::default());
        caption.draw(Some(0)).expect("something to see").blend(&mut frame);
        assert_ne!(frame, Frame::black(64, 64));
        assert_eq!(missing(&[cue(&words)], &style, &Fonts::default()), ['\u{10ffff}']);
        assert!(Caption::new(&cue(&[]), &style, canvas, &Fonts::default()).draw(None).is_none());
    }
}
