//! Deterministic simulation: the real engine, its policies and its state machine on virtual time,
//! over the memory and the SQLite backend, behind lines that fail.
//!
//! Everything that happens follows from a seed: errors before and after the effect, delays,
//! duplicates, late messages, lines that are cut until leases are lost, clocks that are off and
//! jump, workers that crash at any call or at any moment, a platform that browns out, says "too
//! fast" and drops answers. `witness` says what has to hold after every step; [`run`] says what has
//! to hold at the end. A seed that fails is run again with a trace:
//! `make simulate SEED=17`.
//!
//! That it would notice is shown too: eleven bugs made on purpose (`flotilla_core::sabotage`) must
//! each be caught.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test, as tests do")]

mod fleet;
mod kinds;
mod line;
mod platform;
mod ports;
mod proofs;
mod run;
mod store;
mod time;
mod witness;

use flotilla_core::sabotage::Bug;
use run::{Plan, run};
use store::Over;

/// Seeds of one `make test`; `FLOTILLA_TEST_SEEDS` asks for another number.
const SEEDS: u64 = 2000;
/// The seeds are run in so many tests, which a runner may run side by side.
const CHUNKS: u64 = 8;
/// Lines of a failing run that are shown.
const TAIL: usize = 120;

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs one part of the seeds that are asked for; stops at the first that fails.
fn chunk(n: u64) {
    let first = asked("FLOTILLA_TEST_SEED");
    let seeds = asked("FLOTILLA_TEST_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let first = first.unwrap_or(0);
    for seed in (first..first + seeds).filter(|seed| seed % CHUNKS == n) {
        let plan = Plan::of(seed);
        let ended = run(plan);
        if seeds == 1 || ended.fault.is_some() {
            let ended = run(Plan { tells: true, ..plan });
            let shown = if seeds == 1 { 0 } else { ended.trace.len().saturating_sub(TAIL) };
            ended.trace[shown..].iter().for_each(|line| println!("{line}"));
        }
        if let Some(fault) = ended.fault {
            panic!("seed {seed}: {fault}\nthe whole story: make simulate SEED={seed}");
        }
    }
}

#[test]
fn seeds_of_chunk_0() {
    chunk(0);
}

#[test]
fn seeds_of_chunk_1() {
    chunk(1);
}

#[test]
fn seeds_of_chunk_2() {
    chunk(2);
}

#[test]
fn seeds_of_chunk_3() {
    chunk(3);
}

#[test]
fn seeds_of_chunk_4() {
    chunk(4);
}

#[test]
fn seeds_of_chunk_5() {
    chunk(5);
}

#[test]
fn seeds_of_chunk_6() {
    chunk(6);
}

#[test]
fn seeds_of_chunk_7() {
    chunk(7);
}

/// Without this no seed could be replayed.
#[test]
fn a_seed_is_the_same_story_every_time() {
    for over in [Over::Memory, Over::Sqlite] {
        for seed in 1..6 {
            let plan = Plan { over, tells: true, ..Plan::of(seed) };
            let (one, two) = (run(plan), run(plan));
            let differ = one.trace.iter().zip(&two.trace).find(|(a, b)| a != b);
            assert_eq!(differ, None, "seed {seed} over {over:?}");
            assert_eq!((one.hash, one.trace.len()), (two.hash, two.trace.len()));
        }
    }
}

/// Each bug made on purpose is noticed within a few seeds.
#[test]
fn every_bug_made_on_purpose_is_caught() {
    const CHANCES: u64 = 60;
    for bug in Bug::ALL {
        let caught = (0..CHANCES).find_map(|seed| {
            let plan = Plan { bug: Some(bug), over: Over::Memory, steps: 40, ..Plan::of(seed) };
            Some((seed, run(plan).fault?))
        });
        let (seed, fault) = caught.unwrap_or_else(|| panic!("{bug:?} is not noticed"));
        println!("{bug:?}: seed {seed}: {}", fault.lines().next().unwrap_or_default());
    }
}
