//! What the names model sees of each word: itself, its ends, its shape and its neighbours, as
//! hashes. Training reads the same through `predict name_features`.

use std::ops::Range;

use super::tokens::{Kind, Token};
use crate::entities::chars::{is_alphabetic, is_numeric};
use crate::props::props;
use crate::words::{SEED, step};

/// Longest beginning or end of a word that is seen on its own, in characters.
const ENDS: usize = 4;
/// How many words before and after a word are seen with it.
const NEAR: usize = 2;
/// Longer words are cut.
const LONGEST: usize = 40;

/// A word as its neighbours see it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Hash in lower case.
    word: u32,
    /// Hash of its shape: `Xx`, `X`, `x`, `XxX`, `d` and so on.
    shape: u32,
}

const NOTHING: Seen = Seen { word: 0x1234_5678, shape: 0x8765_4321 };

/// Hands the hashes of the tokens in `runs` (in order, apart) to `each`, token by token.
pub(super) fn walk(
    text: &str,
    tokens: &[Token],
    runs: &[Range<usize>],
    mut each: impl FnMut(usize, u32),
) {
    let mut seen = vec![NOTHING; tokens.len()];
    let mut next = 0;
    for run in runs {
        let from = next.max(run.start.saturating_sub(NEAR));
        next = tokens.len().min(run.end + NEAR);
        for (seen, token) in seen[from..next].iter_mut().zip(&tokens[from..next]) {
            *seen = see(&text[token.range.clone()], token.kind);
        }
    }
    let manner = manner(text, tokens);
    let mut letters = Vec::with_capacity(LONGEST);
    for i in runs.iter().cloned().flatten() {
        let token = &tokens[i];
        let near = |step: isize| {
            i.checked_add_signed(step).and_then(|at| seen.get(at)).copied().unwrap_or(NOTHING)
        };
        let (here, before, after) = (near(0), near(-1), near(1));
        let (far_before, far_after) = (near(-2), near(2));
        let fresh = u32::from(i == 0 || ends_sentence(&text[tokens[i - 1].range.clone()]));
        let mut put = |name: u32, hash: u32| each(i, mix(hash ^ name.wrapping_mul(0x9e37_79b1)));
        put(1, here.word);
        put(2, before.word);
        put(3, after.word);
        put(4, far_before.word);
        put(5, far_after.word);
        put(6, pair(before.word, here.word));
        put(7, pair(here.word, after.word));
        put(8, here.shape);
        put(9, pair(before.shape, here.shape));
        put(10, pair(here.shape, after.shape));
        put(11, pair(pair(before.shape, here.shape), after.shape));
        put(12, pair(here.shape, fresh));
        put(13, pair(here.shape, manner));
        put(14, pair(here.shape, before.word));
        put(15, pair(here.shape, after.word));
        put(16, pair(far_before.word, before.word));
        put(17, pair(after.word, far_after.word));
        put(18, 0);
        if token.kind == Kind::Word {
            letters.clear();
            letters.extend(
                text[token.range.clone()].chars().flat_map(char::to_lowercase).take(LONGEST),
            );
            ends(&letters, |name, hash| put(20 + name, hash));
        }
    }
}

/// Beginnings and ends of a word.
fn ends(letters: &[char], mut put: impl FnMut(u32, u32)) {
    let (mut front, mut back) = (SEED, SEED);
    let pairs = letters.iter().zip(letters.iter().rev()).take(ENDS);
    for (length, (first, last)) in (1..).zip(pairs) {
        front = step(front, *first);
        back = step(back, *last);
        put(2 * length, front);
        put(2 * length + 1, back);
    }
}

fn see(written: &str, kind: Kind) -> Seen {
    let named = |name: u32| Seen { word: name, shape: name };
    match kind {
        Kind::Handle => return named(1),
        Kind::Link => return named(2),
        _ => {}
    }
    let (mut word, mut shape, mut last) = (SEED, SEED, '\0');
    for c in written.chars().take(LONGEST) {
        word = match c.is_ascii() {
            true => step(word, c.to_ascii_lowercase()),
            false => c.to_lowercase().fold(word, step),
        };
        let class = class(c);
        if class != last {
            shape = step(shape, class);
            last = class;
        }
    }
    Seen { word, shape }
}

fn class(c: char) -> char {
    if props(c).upper() {
        'X'
    } else if is_alphabetic(c) {
        'x'
    } else if is_numeric(c) {
        'd'
    } else if c.is_ascii() {
        c
    } else {
        '*'
    }
}

/// How a text is written: capitals say little where everything or nothing has them.
fn manner(text: &str, tokens: &[Token]) -> u32 {
    let (mut words, mut capital, mut shouted) = (0, 0, 0);
    for token in tokens.iter().filter(|t| t.kind == Kind::Word) {
        let mut chars = text[token.range.clone()].chars();
        let upper = chars.next().is_some_and(|c| props(c).upper());
        words += 1;
        capital += u32::from(upper);
        shouted += u32::from(upper && chars.all(|c| !c.is_lowercase()));
    }
    match (words, capital, shouted) {
        (_, 0, _) => 1,
        (n, _, s) if s * 10 > n * 7 => 2,
        (n, c, _) if c * 10 > n * 6 => 3,
        _ => 4,
    }
}

fn ends_sentence(sign: &str) -> bool {
    matches!(sign, "." | "!" | "?" | "…" | ":" | "\"" | "“")
}

fn pair(one: u32, other: u32) -> u32 {
    (one.rotate_left(7) ^ other).wrapping_mul(0x85eb_ca6b)
}

/// Spreads the bits, so that the upper ones choose a bucket.
fn mix(hash: u32) -> u32 {
    let hash = (hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d);
    (hash ^ (hash >> 12)).wrapping_mul(0x297a_2d39)
}
