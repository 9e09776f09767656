//! Captions: spoken words as lines, and as SRT, `WebVTT` and ASS.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::frame::Rgb;
use super::{Canvas, CaptionStyle};
use crate::speech::TimedWord;

/// A gap between words longer than this, in seconds, ends a line.
const GAP: f64 = 0.9;
/// How long a line stays after its last word when none follows at once, in seconds.
const LINGER: f64 = 0.35;

/// Words that are shown together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cue {
    /// When it appears, in seconds.
    pub start: f64,
    /// When it goes.
    pub end: f64,
    /// Its words.
    pub words: Vec<TimedWord>,
}

impl Cue {
    /// Its words as a line.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for word in &self.words {
            if !text.is_empty() && !word.glued {
                text.push(' ');
            }
            text.push_str(&word.word);
        }
        text
    }

    /// The word that is spoken at `second`: the last that has begun.
    #[must_use]
    pub fn active(&self, second: f64) -> Option<usize> {
        self.words.partition_point(|word| word.start <= second).checked_sub(1)
    }

    /// The same, `seconds` later.
    #[must_use]
    pub fn later(mut self, seconds: f64) -> Self {
        self.start += seconds;
        self.end += seconds;
        for word in &mut self.words {
            word.start += seconds;
            word.end += seconds;
        }
        self
    }
}

/// Cuts words into lines of at most `max_words` words and `max_chars` characters, each ended also
/// by the end of a sentence and by a pause.
#[must_use]
pub fn cues(words: &[TimedWord], max_words: usize, max_chars: usize) -> Vec<Cue> {
    let mut cues: Vec<Cue> = Vec::new();
    for word in words {
        let fits = |cue: &Cue| {
            let last = cue.words.last().map_or("", |word| word.word.as_str());
            let ended = last.ends_with(['.', '!', '?', '。', '！', '？', '؟']);
            let gap = word.start - cue.end;
            let length = cue.text().chars().count() + 1 + word.word.chars().count();
            // Scripts without spaces: their words are short, so characters count, and clauses end lines.
            let room = if word.glued {
                let paused = last.ends_with(['，', '、', '；', '：']) && cue.words.len() >= 4;
                length <= (max_words.max(1) * 5).div_ceil(2) + 1 && !paused
            } else {
                cue.words.iter().filter(|word| !word.glued).count() < max_words.max(1)
            };
            room && length <= max_chars && !ended && gap < GAP
        };
        match cues.last_mut().filter(|cue| fits(cue)) {
            Some(cue) => {
                cue.end = word.end;
                cue.words.push(word.clone());
            }
            None => cues.push(Cue { start: word.start, end: word.end, words: vec![word.clone()] }),
        }
    }
    let starts: Vec<f64> = cues.iter().skip(1).map(|cue| cue.start).collect();
    for (index, cue) in cues.iter_mut().enumerate() {
        let next = starts.get(index).copied().unwrap_or(f64::INFINITY);
        cue.end = (cue.end + LINGER).min(next).max(cue.start);
    }
    cues
}

/// `SubRip`.
#[must_use]
pub fn srt(cues: &[Cue]) -> String {
    let mut out = String::new();
    for (index, cue) in cues.iter().enumerate() {
        let (start, end) = (clock(cue.start, ','), clock(cue.end, ','));
        let _ = write!(out, "{}\n{start} --> {end}\n{}\n\n", index + 1, cue.text());
    }
    out
}

/// `WebVTT`, with the time of each word inside its line.
#[must_use]
pub fn vtt(cues: &[Cue]) -> String {
    let mut out = String::from("WEBVTT\n\n");
    for cue in cues {
        let _ = writeln!(out, "{} --> {}", clock(cue.start, '.'), clock(cue.end, '.'));
        for (index, word) in cue.words.iter().enumerate() {
            let text = word.word.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let space = if index == 0 || word.glued { "" } else { " " };
            if index == 0 {
                out.push_str(&text);
            } else {
                let _ = write!(out, "{space}<{}><c>{text}</c>", clock(word.start, '.'));
            }
        }
        out.push_str("\n\n");
    }
    out
}

/// Advanced `SubStation` Alpha, with karaoke times, in the colours and at the place of `style`.
#[must_use]
pub fn ass(cues: &[Cue], canvas: Canvas, style: &CaptionStyle) -> String {
    let size = style.pixels(canvas);
    let colour = |Rgb([red, green, blue]): Rgb| format!("&H00{blue:02X}{green:02X}{red:02X}");
    let font = style.font.as_deref().unwrap_or("Noto Sans").replace([',', '\n', '\r'], " ");
    let below = (canvas.height as f32 * (1.0 - style.position) - size * 0.7).max(0.0);
    let mut out = format!(
        "[Script Info]\nScriptType: v4.00+\nPlayResX: {}\nPlayResY: {}\n\n[V4+ Styles]\n\
         Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, Bold, \
         BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV\n\
         Style: Default,{font},{size:.0},{},{},{},-1,1,{:.0},0,2,60,60,{below:.0}\n\n[Events]\n\
         Format: Layer, Start, End, Style, Text\n",
        canvas.width,
        canvas.height,
        colour(style.highlight),
        colour(style.colour),
        colour(style.outline),
        (size * style.outline_width).max(1.0),
    );
    for cue in cues {
        let time = |seconds: f64| clock(seconds, '.')[1..11].to_owned(); // hundredths, one digit of hours
        let _ = write!(out, "Dialogue: 0,{},{},Default,", time(cue.start), time(cue.end));
        for (index, word) in cue.words.iter().enumerate() {
            let until = cue.words.get(index + 1).map_or(cue.end, |next| next.start);
            let space = if index == 0 || word.glued { "" } else { " " };
            let text = word.word.replace(['{', '}', '\\', '\n'], "");
            let _ = write!(out, "{{\\k{}}}{space}{text}", ((until - word.start) * 100.0).round());
        }
        out.push('\n');
    }
    out
}

fn clock(seconds: f64, point: char) -> String {
    let millis = (seconds.max(0.0) * 1000.0).round() as u64;
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    format!("{hours:02}:{minutes:02}:{:02}{point}{:03}", millis / 1000 % 60, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<TimedWord> {
        let timed = |(n, word): (usize, &str)| {
            let start = n as f64 * 0.5;
            TimedWord { word: word.into(), start, end: start + 0.5, glued: false }
        };
        text.split(' ').enumerate().map(timed).collect()
    }

    #[test]
    fn lines_end_with_sentences_and_bounds() {
        let made = cues(&words("One two three four five. Six seven"), 4, 40);
        let texts: Vec<_> = made.iter().map(Cue::text).collect();
        assert_eq!(texts, ["One two three four", "five.", "Six seven"]);
        assert!((made[0].end - 2.0).abs() < 1e-9 && (made[2].end - 3.85).abs() < 1e-9);
        assert_eq!((made[1].active(1.9), made[0].active(1.2)), (None, Some(2)));
    }

    #[test]
    fn without_spaces_lines_hold_characters_and_end_with_clauses() {
        let mut said: Vec<TimedWord> =
            words("欢 迎 来 到 商 店， 今 天 有 新 鲜 面 包 和 水 果 还 有 茶。");
        said.iter_mut().skip(1).for_each(|word| word.glued = true);
        let texts: Vec<_> = cues(&said, 4, 34).iter().map(Cue::text).collect();
        assert_eq!(texts, ["欢迎来到商店，", "今天有新鲜面包和水果", "还有茶。"]);
    }

    #[test]
    fn files_follow_their_formats() {
        let made = cues(&words("Salt & <b>"), 4, 40);
        assert!(srt(&made).starts_with("1\n00:00:00,000 --> 00:00:01,850\nSalt & <b>\n"));
        assert!(
            vtt(&made).contains("Salt <00:00:00.500><c>&amp;</c> <00:00:01.000><c>&lt;b&gt;</c>")
        );
        let canvas = Canvas { width: 180, height: 320, fps: 25 };
        let file = ass(&made, canvas, &CaptionStyle::default());
        assert!(file.contains("0,0:00:00.00,0:00:01.85,Default,{\\k50}Salt{\\k50} &"), "{file}");
        assert!(file.contains("Noto Sans,14,&H0000DDFF,&H00FFFFFF,&H00000000,"), "{file}");
    }
}
