//! Reads a million made-up texts twice each with every public function: no panic, the same bytes
//! both times.
//!
//! `fuzz [COUNT [SEED [SECONDS [CAPTIONS.jsonl]]]]` prints a digest of all answers: equal for the same
//! count and seed on every run and machine. It stops after `SECONDS` (600) and says how far it came.
//! With captions every other text is one of them, spoilt. `fuzz long PIECE BYTES` reads one piece
//! repeated to that length once, for tools that count instructions.

#[path = "readers.rs"]
mod readers;
#[path = "texts.rs"]
mod texts;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use readers::{PLATFORMS, answers, fault};
use serde_json::Value;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if(|word| word == "long").is_some() {
        let mut number = || args.next().and_then(|n| n.parse().ok()).unwrap_or_default();
        let (piece, bytes): (usize, usize) = (number(), number());
        let piece = texts::PIECES[piece % texts::PIECES.len()];
        let answer = answers(&piece.repeat(bytes / piece.len()), PLATFORMS[2]);
        println!("{piece:?}: {} bytes", answer.len());
        return ExitCode::SUCCESS;
    }
    let mut number = |default: u64| args.next().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (count, seed, seconds) = (number(1_000_000), number(1), number(600));
    let models = match args.next().map(captions).transpose() {
        Ok(models) => models.unwrap_or_default(),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut texts = texts::Texts::new(seed).like(models);
    let mut digest = 0xcbf2_9ce4_8422_2325u64;
    let started = Instant::now();
    let mut read = 0;
    while read < count && started.elapsed() < Duration::from_secs(seconds) {
        let text = texts.next();
        let platform = PLATFORMS[texts.platform()];
        let first = answers(&text, platform);
        if first != answers(&text, platform) {
            eprintln!("text {read} is read differently each time: {text:?}");
            return ExitCode::FAILURE;
        }
        let answer: Value = serde_json::from_str(&first).unwrap_or_default();
        if let Some(problem) = fault(&text, &answer["caption"]) {
            eprintln!("text {read}: {problem}");
            return ExitCode::FAILURE;
        }
        for byte in first.bytes() {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        read += 1;
    }
    let took = started.elapsed().as_secs();
    println!("{read} of {count} texts of seed {seed} in {took} s, digest {digest:016x}");
    ExitCode::SUCCESS
}

/// The texts of a file of captions.
fn captions(file: String) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let lines = std::fs::read_to_string(file)?;
    let mut texts = Vec::new();
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let line: Value = serde_json::from_str(line)?;
        texts.extend(line["text"].as_str().map(str::to_owned));
    }
    Ok(texts)
}
