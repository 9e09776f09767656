//! Reads a million made-up texts twice each with every public function: no panic, the same bytes
//! both times.
//!
//! `fuzz [COUNT [SEED [SECONDS]]]` prints a digest of all answers: equal for the same count and seed
//! on every run and machine. It stops after `SECONDS` (600) and says how far it came.

#[path = "readers.rs"]
mod readers;
#[path = "texts.rs"]
mod texts;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use readers::{PLATFORMS, answers};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut number = |default: u64| args.next().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (count, seed, seconds) = (number(1_000_000), number(1), number(600));
    let mut texts = texts::Texts::new(seed);
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
        for byte in first.bytes() {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        read += 1;
    }
    let took = started.elapsed().as_secs();
    println!("{read} of {count} texts of seed {seed} in {took} s, digest {digest:016x}");
    ExitCode::SUCCESS
}
