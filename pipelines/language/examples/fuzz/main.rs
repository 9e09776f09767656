//! Reads a million made-up texts twice each: no panic, sound spans, the same bytes both times.
//!
//! `fuzz [COUNT [SEED]]` prints a digest of all answers: equal on every run and machine.

#[path = "texts.rs"]
mod texts;

use std::process::ExitCode;

use flotilla_language::caption::{Request, parse};
use flotilla_language::platform::Platform;

const PLATFORMS: [Option<Platform>; 10] = [
    None,
    Some(Platform::X),
    Some(Platform::TikTok),
    Some(Platform::Instagram),
    Some(Platform::Facebook),
    Some(Platform::YouTube),
    Some(Platform::LinkedIn),
    Some(Platform::Threads),
    Some(Platform::Pinterest),
    Some(Platform::WhatsApp),
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let count: u64 = args.next().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let seed: u64 = args.next().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut texts = texts::Texts::new(seed);
    let mut digest = 0xcbf2_9ce4_8422_2325u64;
    for n in 0..count {
        let text = texts.next();
        let platform = PLATFORMS[texts.platform()];
        let request = Request { text, platform, ..Request::default() };
        let read = || serde_json::to_string(&parse(&request)).unwrap_or_default();
        let (first, second) = (read(), read());
        if first.is_empty() || first != second {
            eprintln!("text {n} is read differently each time: {:?}", request.text);
            return ExitCode::FAILURE;
        }
        for byte in first.bytes() {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    println!("{count} texts of seed {seed}, digest {digest:016x}");
    ExitCode::SUCCESS
}
