//! Mutates pictures and requests for a while, to see whether anything panics, takes too long or too
//! much memory: `cargo run --example fuzz_pictures -p flotilla-images -- SECONDS SEED FOLDER…`.
//!
//! Each round writes its picture to `fuzz-SEED.bin` in the system's temporary folder before it is opened,
//! so that the picture that ended the process is there. Bound the memory from outside:
//! `bash -c 'ulimit -v 3000000; exec …'`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_images::text::{Fonts, Ink, TextStyle, lay_out};
use flotilla_images::{Fit, Focus, Keep, Limits, Output, OutputFormat, Overlay, Request, Workshop};
use serde_json::json;

/// Longer than this for one round is a finding.
const SLOW: Duration = Duration::from_secs(10);
const LARGEST: u64 = 4 << 20;

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end.max(1)
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut number = || args.next().and_then(|arg| arg.parse::<u64>().ok());
    let (Some(seconds), Some(seed)) = (number(), number()) else {
        eprintln!("usage: fuzz SECONDS SEED FOLDER…");
        return ExitCode::FAILURE;
    };
    let mut corpus = Vec::new();
    args.for_each(|folder| gather(Path::new(&folder), &mut corpus));
    if corpus.is_empty() {
        eprintln!("no pictures there");
        return ExitCode::FAILURE;
    }
    let last = std::env::temp_dir().join(format!("fuzz-{seed}.bin"));
    let (begun, mut dice) = (Instant::now(), Dice(seed.max(1)));
    let (mut rounds, mut made, mut findings) = (0_u64, 0_u64, 0_u32);
    let mut workshop = Workshop::default();
    let limits = Limits { max_pixels: 40_000_000, max_memory: 256 << 20, ..Limits::default() };
    while begun.elapsed() < Duration::from_secs(seconds) {
        rounds += 1;
        let picture = mutated(&corpus, &mut dice);
        if std::fs::write(&last, &picture).is_err() {
            eprintln!("cannot write {}", last.display());
            return ExitCode::FAILURE;
        }
        let request = request(&corpus, &mut dice);
        let round = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            text(&mut dice);
            workshop.thumbnails(&picture, &request, &limits, &|| false).is_ok()
        }));
        let problem = match ended {
            Err(_) => "panic",
            Ok(_) if round.elapsed() > SLOW => "slow",
            Ok(good) => {
                made += u64::from(good);
                continue;
            }
        };
        findings += 1;
        let kept = last.with_file_name(format!("fuzz-{seed}-{problem}-{rounds}.bin"));
        println!("{problem} after {:?}: {} {request:?}", round.elapsed(), kept.display());
        let _ = std::fs::copy(&last, kept);
        workshop = Workshop::default();
    }
    println!("{rounds} rounds, {made} made pictures, {findings} findings");
    if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn gather(path: &Path, corpus: &mut Vec<Vec<u8>>) {
    let entries: Vec<PathBuf> =
        std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    for entry in entries {
        let small = entry.metadata().is_ok_and(|about| about.is_file() && about.len() <= LARGEST);
        if entry.is_dir() {
            gather(&entry, corpus);
        } else if small && let Ok(bytes) = std::fs::read(&entry) {
            corpus.push(bytes);
        }
    }
}

fn mutated(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    const ODD: [u8; 8] = [0, 1, 0x7f, 0x80, 0xfe, 0xff, 0x10, 0x40];
    let mut picture = corpus[dice.below(corpus.len())].clone();
    for _ in 0..=dice.below(12) {
        let length = picture.len();
        // Headers decide most: half of the changes are near the start.
        let near = if dice.below(2) == 0 { length.min(600) } else { length };
        let at = dice.below(near);
        match dice.below(8) {
            0 | 1 if length > 0 => picture[at] = ODD[dice.below(ODD.len())],
            2 if length > 0 => picture[at] ^= 1 << dice.below(8),
            3 if length > 0 => picture[at] = dice.below(256) as u8,
            4 => picture.truncate(dice.below(length + 1)),
            5 => {
                let end = (at + dice.below(64)).min(length);
                let piece: Vec<u8> = picture[at.min(end)..end].to_vec();
                let to = dice.below(length);
                picture.splice(to..to, piece);
            }
            6 => {
                let end = (at + dice.below(64)).min(length);
                picture.drain(at.min(end)..end);
            }
            _ => {
                let other = &corpus[dice.below(corpus.len())];
                let from = dice.below(other.len());
                let piece = &other[from..(from + dice.below(4096)).min(other.len())];
                let end = (at + piece.len()).min(length);
                picture.splice(at.min(end)..end, piece.iter().copied());
            }
        }
    }
    picture
}

fn request(corpus: &[Vec<u8>], dice: &mut Dice) -> Request {
    const FORMATS: [OutputFormat; 4] =
        [OutputFormat::Jpeg, OutputFormat::Webp, OutputFormat::Png, OutputFormat::Avif];
    const FITS: [Fit; 5] = [Fit::Cover, Fit::Contain, Fit::Pad, Fit::Width, Fit::Height];
    let output = |n: usize, dice: &mut Dice| {
        let fit = FITS[dice.below(5)];
        // AVIF is slow; one in eight is enough.
        let format = FORMATS[if dice.below(8) == 0 { 3 } else { dice.below(3) }];
        let side = |dice: &mut Dice| Some(1 + dice.below(160) as u32);
        Output {
            width: side(dice).filter(|_| fit != Fit::Height),
            height: side(dice).filter(|_| fit != Fit::Width),
            sharpen: (dice.below(4) == 0).then_some(0.5),
            target: (format != OutputFormat::Png && dice.below(12) == 0)
                .then(|| 10.0 + dice.below(85) as f64),
            animated: format == OutputFormat::Webp && dice.below(2) == 0,
            progressive: format == OutputFormat::Jpeg && dice.below(4) == 0,
            ..Output::new(format!("o{n}"), fit, format)
        }
    };
    Request {
        outputs: (0..=dice.below(2)).map(|n| output(n, dice)).collect(),
        focus: if dice.below(3) == 0 { Focus::Auto } else { Focus::Centre },
        placeholder: dice.below(3) == 0,
        partial: dice.below(3) == 0,
        keep: [Keep::Copyright, Keep::Description, Keep::Date, Keep::Icc]
            .into_iter()
            .filter(|_| dice.below(4) == 0)
            .collect(),
        overlays: (0..dice.below(4).saturating_sub(1))
            .filter_map(|_| overlay(corpus, dice))
            .collect(),
        ..Request::default()
    }
}

/// A damaged picture, a text or a badge, somewhere.
fn overlay(corpus: &[Vec<u8>], dice: &mut Dice) -> Option<Overlay<Arc<[u8]>>> {
    const PLACES: [&str; 5] = ["top-left", "top", "centre", "bottom-right", "left"];
    let what = match dice.below(3) {
        0 => json!({"image": true, "scale": 0.05 + dice.below(90) as f64 / 100.0}),
        1 => json!({"text": {"text": letters(dice), "size": 0.03 + dice.below(40) as f64 / 100.0,
            "outline": {"colour": "#000", "width": dice.below(20) as f64 / 100.0}}}),
        _ => json!({"badge": {"text": letters(dice), "shape": "circle"}}),
    };
    let mut what = what;
    what["gravity"] = json!(PLACES[dice.below(5)]);
    what["opacity"] = json!(dice.below(101) as f64 / 100.0);
    let overlay: Overlay<bool> = serde_json::from_value(what).ok()?;
    let image = overlay.image.map(|_| Arc::from(mutated(corpus, dice)));
    Some(overlay.with_image(image))
}

/// Characters of every sort.
fn letters(dice: &mut Dice) -> String {
    const PLANES: [u32; 7] = [0x80, 0x600, 0x900, 0x2100, 0x3100, 0x1_f700, 0x11_0000];
    (0..dice.below(40))
        .filter_map(|_| {
            let plane = PLANES[dice.below(7)] as usize;
            char::from_u32(dice.below(plane) as u32)
        })
        .collect()
}

/// What captions and overlays may be handed.
fn text(dice: &mut Dice) {
    let text = letters(dice);
    let style = TextStyle {
        size: 1.0 + dice.below(60) as f32,
        max_width: Some(dice.below(200) as f32),
        ..TextStyle::default()
    };
    let ink = Ink { fill: [255; 4], outline: [0, 0, 0, 255], outline_width: dice.below(5) as f32 };
    let block = lay_out(&Fonts::default(), &text, &style);
    let _ = (block.draw(|_| ink), block.boxes(0..text.len()));
}
