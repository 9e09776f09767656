//! How fast captions are read on one core, stage by stage and in all.
//!
//! `speed CAPTIONS.jsonl [ROUNDS [STAGE]]`; each line has `text` and perhaps `platform`. Rates are captions
//! per second of CPU time (Linux: `/proc/thread-self/schedstat`), so that a busy machine does not
//! blur them; percentiles take the best of all rounds for each caption. With no rounds (0) every caption
//! is read once by each stage and nothing is timed: for tools that count instructions.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use flotilla_language::caption::{Request, parse};
use flotilla_language::entities::{Found, emoji, find_all};
use flotilla_language::language;
use flotilla_language::platform::Rules;
use flotilla_language::prices::{self, Hints};
use flotilla_language::sentiment::{self, Source};
use flotilla_language::{cta, products, tags};
use serde_json::Value;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(file) = args.next() else {
        eprintln!("say which file; usage: speed CAPTIONS.jsonl [ROUNDS [STAGE]]");
        return ExitCode::from(2);
    };
    let rounds = args.next().and_then(|n| n.parse().ok()).unwrap_or(7);
    let only = args.next();
    match captions(&file) {
        Ok(captions) => report(&captions, rounds, only.as_deref()),
        Err(error) => {
            eprintln!("{file}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn captions(file: &str) -> Result<Vec<Request>, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(file)?;
    let mut captions = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let line: Value = serde_json::from_str(line)?;
        captions.push(Request {
            text: line["text"].as_str().unwrap_or_default().to_owned(),
            platform: serde_json::from_value(line["platform"].clone()).ok(),
            ..Request::default()
        });
    }
    Ok(captions)
}

/// A round takes at least this much CPU time.
const ROUND_NANOS: u64 = 400_000_000;

/// What the later stages need of the earlier ones.
struct Prepared {
    found: Vec<Found>,
    excluded: Vec<Range<usize>>,
    prose: Vec<Range<usize>>,
    language: Option<String>,
}

fn prepared(request: &Request) -> Prepared {
    let found = find_all(&request.text, &Rules::of(request.platform));
    let excluded: Vec<_> = found.iter().map(|f| f.range.clone()).collect();
    let mut prose = Vec::new();
    let mut at = 0;
    for range in &excluded {
        if range.start > at {
            prose.push(at..range.start);
        }
        at = at.max(range.end);
    }
    if at < request.text.len() {
        prose.push(at..request.text.len());
    }
    let code = language::detect(&request.text, &prose, None).code;
    Prepared { found, excluded, prose, language: (code != language::UNDETERMINED).then_some(code) }
}

type Stage = fn(&Request, &Prepared);

const STAGES: [(&str, Stage); 9] = [
    ("entities", |r, _| _ = black_box(find_all(&r.text, &Rules::of(r.platform)))),
    ("emoji", |r, _| _ = black_box(emoji::find(&r.text))),
    ("language", |r, p| _ = black_box(language::detect(&r.text, &p.prose, None))),
    ("prices", |r, p| {
        let language = p.language.as_deref();
        let hints = Hints { language, country: None, excluded: &p.excluded };
        _ = black_box(prices::find(&r.text, &hints));
    }),
    ("sentiment", |r, p| {
        let language = p.language.as_deref().unwrap_or("und");
        _ = black_box(sentiment::read(&r.text, &p.excluded, language, Source::Caption));
    }),
    ("ctas", |r, p| _ = black_box(cta::find(&r.text, &p.excluded, &[]))),
    ("products", |r, p| {
        _ = black_box(products::find(&r.text, &p.found, &products::Hints::default()));
    }),
    ("all", |r, _| _ = black_box(parse(r))),
    ("tags", |r, _| {
        let post = tags::Post { text: &r.text, platform: r.platform, ..tags::Post::default() };
        _ = black_box(tags::generate(&post, &tags::Context::default()));
    }),
];

fn report(captions: &[Request], rounds: usize, only: Option<&str>) {
    let prepared: Vec<Prepared> = captions.iter().map(prepared).collect();
    let bytes: usize = captions.iter().map(|c| c.text.len()).sum();
    println!("{} captions, {bytes} bytes, {rounds} rounds", captions.len());
    // What is left of the tables to read is read now.
    for (name, stage) in STAGES {
        let started = Instant::now();
        captions.first().zip(prepared.first()).into_iter().for_each(|(r, p)| stage(r, p));
        println!("{name:<9} first call {:?}", started.elapsed());
    }
    let mut best: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (name, stage) in STAGES.into_iter().filter(|(name, _)| only.is_none_or(|o| o == *name)) {
        if rounds == 0 {
            captions.iter().zip(&prepared).for_each(|(request, prepared)| stage(request, prepared));
            continue;
        }
        let mut rates = Vec::new();
        let times = best.entry(name).or_insert_with(|| vec![u64::MAX; captions.len()]);
        for _ in 0..rounds {
            // The system brings the CPU time up to date every few milliseconds only.
            let (before, mut spent, mut read) = (cpu_nanos(), 0, 0);
            while spent < ROUND_NANOS {
                for (request, prepared) in captions.iter().zip(&prepared) {
                    stage(request, prepared);
                }
                read += captions.len();
                spent = cpu_nanos().saturating_sub(before);
            }
            rates.push(read as f64 / (spent as f64 / 1e9));
            for ((request, prepared), time) in captions.iter().zip(&prepared).zip(&mut *times) {
                let started = Instant::now();
                stage(request, prepared);
                *time = (*time).min(started.elapsed().as_nanos() as u64);
            }
        }
        rates.sort_by(f64::total_cmp);
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 1000] as f64 / 1000.0;
        println!(
            "{name:<9} {:>9.0} captions/s of CPU (best {:.0}), p50 {:.1} us, p99 {:.1} us, max {:.1} us",
            rates[rates.len() / 2],
            rates[rates.len() - 1],
            at(500),
            at(990),
            at(1000),
        );
    }
}

/// CPU time of this thread so far. Where the system does not tell, the time of the wall clock.
fn cpu_nanos() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let wall = START.get_or_init(Instant::now).elapsed().as_nanos() as u64;
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(wall)
}
