//! Phrases a text might be about, and what is measured of each.

use std::ops::Range;
use std::sync::LazyLock;

use super::stopwords::Weight;
use super::tokens::{Ending, Token};

/// Longest phrase in words.
const LONGEST: usize = 5;
/// How many numbers are measured of a phrase.
pub const MEASURES: usize = 38;

/// A phrase and its measures.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// Its first occurrence, in bytes.
    pub(crate) range: Range<usize>,
    /// What the ranking weighs.
    pub(crate) measures: [f32; MEASURES],
}

/// What is counted of one word over the text.
#[derive(Debug, Clone, Copy, Default)]
struct Word {
    count: f32,
    /// Words of the longest phrases it is part of, in all.
    company: f32,
}

/// What is the same for all phrases of a text.
struct Text<'t> {
    tokens: &'t [Token],
    /// For each token, its word.
    words: Vec<u32>,
    counts: Vec<Word>,
    /// How much of the text's prose is names.
    names: f32,
}

/// One occurrence: hash of its words, where it starts, how many words.
type Place = (u64, u32, u8);

/// Counts whose logarithms are kept.
const FEW: usize = 64;

/// The logarithm of a count and one more.
fn log(count: f32) -> f32 {
    static LOGS: LazyLock<[f32; FEW]> =
        LazyLock::new(|| std::array::from_fn(|count| (count as f32).ln_1p()));
    // Counts are whole numbers.
    LOGS.get(count as usize).copied().unwrap_or_else(|| count.ln_1p())
}

/// All candidates of a text's tokens.
pub(super) fn candidates(tokens: &[Token], english: bool) -> Vec<Candidate> {
    let text = Text::read(tokens);
    let mut places: Vec<Place> = Vec::new();
    for start in 0..tokens.len() {
        let mut hash = 0u64;
        for n in 1..=LONGEST {
            let Some(token) = tokens.get(start + n - 1) else { break };
            if n > 1 && token.apart {
                break;
            }
            hash = (hash.rotate_left(9) ^ token.stem).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            if n == 1 && !begins(token) {
                break;
            }
            if token.weight == Weight::None
                && (n == 1 || tokens[start + n - 2].weight == Weight::None)
            {
                break; // one word without matter may stand inside, two may not
            }
            if ends(token) && (n > 1 || !token.number) {
                places.push((hash, start as u32, n as u8));
            }
        }
    }
    places.sort_unstable();
    let groups = places.chunk_by(|a, b| (a.0, a.2) == (b.0, b.2));
    groups.map(|group| text.candidate(group, english)).collect()
}

fn begins(token: &Token) -> bool {
    token.weight != Weight::None
}

fn ends(token: &Token) -> bool {
    token.weight != Weight::None
}

impl<'t> Text<'t> {
    fn read(tokens: &'t [Token]) -> Self {
        let mut order: Vec<u32> = (0..tokens.len() as u32).collect();
        order.sort_unstable_by_key(|i| tokens[*i as usize].stem);
        let mut words = vec![0u32; tokens.len()];
        let mut counts: Vec<Word> = Vec::new();
        for run in order.chunk_by(|a, b| tokens[*a as usize].stem == tokens[*b as usize].stem) {
            for i in run {
                words[*i as usize] = counts.len() as u32;
            }
            counts.push(Word { count: run.len() as f32, company: 0.0 });
        }
        let mut at = 0;
        while at < tokens.len() {
            let length = tokens[at..]
                .iter()
                .enumerate()
                .take_while(|(i, t)| t.weight != Weight::None && (*i == 0 || !t.apart))
                .count();
            for i in at..at + length {
                counts[words[i] as usize].company += length as f32;
            }
            at += length.max(1);
        }
        let full = || tokens.iter().filter(|t| t.weight != Weight::None && !t.first);
        let names = full().filter(|t| t.capital).count() as f32 / full().count().max(1) as f32;
        Self { tokens, words, counts, names }
    }

    fn candidate(&self, group: &[Place], english: bool) -> Candidate {
        let (_, start, n) = group[0];
        let (start, n) = (start as usize, usize::from(n));
        let first = &self.tokens[start..start + n];
        let last = group[group.len() - 1].1 as usize;
        let total = self.tokens.len() as f32;
        let count = group.len() as f32;
        let share = |test: &dyn Fn(usize) -> bool| {
            group.iter().filter(|(_, at, _)| test(*at as usize)).count() as f32 / count
        };
        let alone = share(&|at| self.parted(at) && self.parted(at + n));
        let whole = share(&|at| self.parted(at) || self.parted(at + n));
        let inner =
            share(&|at| (at..at + n).all(|i| self.tokens[i].capital && !self.tokens[i].first));
        let capital = share(&|at| (at..at + n).all(|i| self.tokens[i].capital));
        let known = |f: fn(&Word) -> f32| {
            let all = (start..start + n).filter(|i| self.tokens[*i].weight != Weight::None);
            all.map(move |i| f(&self.counts[self.words[i] as usize]))
        };
        let mean = known(|w| log(w.count)).sum::<f32>() / n as f32;
        let least = known(|w| log(w.count)).fold(f32::MAX, f32::min);
        let company = known(|w| w.company / w.count).sum::<f32>();
        let most = known(|w| w.company).fold(0.0, f32::max);
        let any = |test: fn(&Token) -> bool| f32::from(u8::from(first.iter().any(test)));
        let flag = |yes: bool| f32::from(u8::from(yes));
        let length = (1.0 + total).ln();
        let size = |k: usize| flag(n == k);
        let (head, tail) = (&first[0], &first[n - 1]);
        let is = |t: &Token, e: Ending| flag(english && t.ending == e);
        let position = start as f32 / total;
        let letters: f32 = first.iter().map(|t| f32::from(t.length)).sum::<f32>() / n as f32;
        let measures = [
            log(count),
            (count / total * 100.0).min(5.0),
            position,
            (1.0 + start as f32).ln(),
            last as f32 / total - position,
            size(2),
            size(3),
            size(4),
            size(5),
            alone,
            whole,
            inner,
            capital,
            any(|t| t.acronym),
            any(|t| t.digit),
            mean,
            least,
            company.ln_1p(),
            log(most),
            letters.min(15.0) / 10.0,
            any(|t| t.weight == Weight::None),
            any(|t| t.weight == Weight::Little),
            is(tail, Ending::Manner) + is(head, Ending::Manner),
            is(tail, Ending::Past),
            is(head, Ending::Past),
            is(tail, Ending::Action),
            is(head, Ending::Action),
            is(tail, Ending::Quality),
            is(tail, Ending::Abstract),
            is(tail, Ending::Plural),
            is(head, Ending::Quality),
            flag(english),
            self.names,
            length,
            flag(start == 0 || first[0].first),
            flag(n > 1) * mean * length,
            n as f32,
            log(count) * n as f32,
        ];
        let range = head.range.start..tail.range.end;
        Candidate { range, measures }
    }

    /// Whether a phrase could not go on over the border before token `at`.
    fn parted(&self, at: usize) -> bool {
        match (at.checked_sub(1).and_then(|b| self.tokens.get(b)), self.tokens.get(at)) {
            (Some(before), Some(after)) => {
                after.apart || before.weight == Weight::None || after.weight == Weight::None
            }
            _ => true,
        }
    }
}
