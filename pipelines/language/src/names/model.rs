//! The weights of the names model, compiled in, and the best way through them.

use std::ops::Range;
use std::sync::OnceLock;

use super::features::walk;
use super::may_be_named;
use super::tokens::Token;

const FILE: &[u8] = include_bytes!("../../data/names_model.bin");
const MAGIC: &[u8; 4] = b"FNM1";
/// Outside, then begin and inside of each of six kinds.
pub(super) const TAGS: usize = 13;
pub(super) const OUTSIDE: usize = 0;
/// Weights of one bucket, filled up to what a register holds.
const ROW: usize = 16;
/// Magic, bits of the buckets, scales of the tags, weights of the first tag and from tag to tag.
const HEAD: usize = 8;
const NUMBERS: usize = ROW * (2 + TAGS);

type Scores = [f32; TAGS];

/// A linear chain over tags.
#[derive(Debug)]
pub(super) struct Model {
    shift: u32,
    scales: Scores,
    first: Scores,
    /// From tag to tag.
    steps: [Scores; TAGS],
    /// The same as odds.
    odds: [Scores; TAGS],
    rows: &'static [[u8; ROW]],
}

/// A run of tokens: what speaks for each tag at each, and the steps into and out of the run.
struct Chain<'e> {
    emit: &'e [Scores],
    enter: Scores,
    leave: Scores,
}

impl Model {
    /// The model, if the compiled-in file fits this program.
    pub(super) fn get() -> Option<&'static Self> {
        static MODEL: OnceLock<Option<Model>> = OnceLock::new();
        MODEL.get_or_init(load).as_ref()
    }

    /// The best tag of every token in `runs` with how sure it is; between the runs nothing is
    /// named.
    pub(super) fn read(
        &self,
        text: &str,
        tokens: &[Token],
        runs: &[Range<usize>],
    ) -> Vec<(usize, usize, f32)> {
        let emit = self.emissions(text, tokens, runs);
        let mut read = Vec::with_capacity(emit.len());
        let mut rest = emit.as_slice();
        for run in runs {
            let Some((here, more)) = rest.split_at_checked(run.len()) else { break };
            rest = more;
            let chain = Chain {
                emit: here,
                enter: if run.start == 0 { self.first } else { self.steps[OUTSIDE] },
                leave: if run.end == tokens.len() {
                    [0.0; TAGS]
                } else {
                    self.steps.map(|to| to[OUTSIDE])
                },
            };
            let tags = self.best(&chain);
            let sure = self.marginals(&chain, &tags);
            read.extend(run.clone().zip(tags).zip(sure).map(|((at, tag), sure)| (at, tag, sure)));
        }
        read
    }

    /// What speaks for each tag at each token.
    fn emissions(&self, text: &str, tokens: &[Token], runs: &[Range<usize>]) -> Vec<Scores> {
        let mut sums: Vec<[i32; ROW]> = Vec::with_capacity(runs.iter().map(Range::len).sum());
        let mut last = usize::MAX;
        walk(text, tokens, runs, |at, hash| {
            if std::mem::replace(&mut last, at) != at {
                sums.push([0; ROW]);
            }
            if let Some((sums, row)) =
                sums.last_mut().zip(self.rows.get((hash >> self.shift) as usize))
            {
                for (sum, weight) in sums.iter_mut().zip(row) {
                    *sum += i32::from(weight.cast_signed());
                }
            }
        });
        let read = runs.iter().flat_map(|run| &tokens[run.clone()]);
        let scaled = |(sum, token): (&[i32; ROW], &Token)| {
            let mut scores = [0.0; TAGS];
            for (tag, score) in scores.iter_mut().enumerate() {
                *score = sum[tag] as f32 * self.scales[tag];
                if tag != OUTSIDE && !may_be_named(token) {
                    *score -= 1e3;
                }
            }
            scores
        };
        sums.iter().zip(read).map(scaled).collect()
    }

    /// The best tags all in all (Viterbi).
    fn best(&self, chain: &Chain<'_>) -> Vec<usize> {
        let emit = chain.emit;
        let mut from = vec![[0_u8; TAGS]; emit.len()];
        let mut scores = [0.0; TAGS];
        for (at, here) in emit.iter().enumerate() {
            let before = scores;
            for to in 0..TAGS {
                let (mut top, mut best) = (chain.enter[to], 0);
                if at > 0 {
                    top = f32::MIN;
                    for (tag, score) in before.iter().enumerate() {
                        let through = score + self.steps[tag][to];
                        if through > top {
                            (top, best) = (through, tag);
                        }
                    }
                }
                scores[to] = top + here[to];
                from[at][to] = best as u8;
            }
        }
        let all = through(|tag| scores[tag] + chain.leave[tag]);
        let mut tag = (0..TAGS).max_by(|a, b| all[*a].total_cmp(&all[*b])).unwrap_or(OUTSIDE);
        let mut tags = vec![OUTSIDE; emit.len()];
        for (at, from) in from.iter().enumerate().rev() {
            tags[at] = tag;
            tag = usize::from(from[tag]);
        }
        tags
    }

    /// How likely the chosen tag of each token is over all ways (forward and backward).
    fn marginals(&self, chain: &Chain<'_>, tags: &[usize]) -> Vec<f32> {
        if tags.iter().all(|tag| *tag == OUTSIDE) {
            return vec![1.0; tags.len()];
        }
        let steps = &self.odds;
        let odds: Vec<Scores> = chain.emit.iter().map(odds).collect();
        let mut forward: Vec<Scores> = Vec::with_capacity(odds.len());
        for here in &odds {
            let mut next = match forward.last() {
                None => chain.enter.map(f32::exp),
                Some(before) => through(|to| (0..TAGS).map(|t| before[t] * steps[t][to]).sum()),
            };
            next.iter_mut().zip(here).for_each(|(n, h)| *n *= h);
            forward.push(shares(next));
        }
        let mut after = shares(chain.leave.map(f32::exp));
        let mut sure = vec![1.0; tags.len()];
        for at in (0..tags.len()).rev() {
            let both = shares(through(|t| forward[at][t] * after[t]));
            sure[at] = both[tags[at]];
            let here = through(|t| odds[at][t] * after[t]);
            after = shares(through(|t| (0..TAGS).map(|to| steps[t][to] * here[to]).sum()));
        }
        sure
    }
}

fn through(of: impl Fn(usize) -> f32) -> Scores {
    std::array::from_fn(of)
}

/// Odds against the best.
fn odds(scores: &Scores) -> Scores {
    let top = scores.iter().copied().fold(f32::MIN, f32::max);
    scores.map(|s| (s - top).exp())
}

fn shares(weights: Scores) -> Scores {
    let all: f32 = weights.iter().sum();
    if all > 0.0 { weights.map(|w| w / all) } else { [1.0 / TAGS as f32; TAGS] }
}

/// Reads the compiled-in file; nothing when it does not fit this program.
fn load() -> Option<Model> {
    let (head, rest) = FILE.split_at_checked(HEAD)?;
    let (numbers, rows) = rest.split_at_checked(4 * NUMBERS)?;
    let bits = u32::from_le_bytes(*head[4..].as_chunks::<4>().0.first()?);
    let (rows, over) = rows.as_chunks::<ROW>();
    if &head[..4] != MAGIC || bits > 20 || !over.is_empty() || rows.len() != 1 << bits {
        return None;
    }
    let numbers: Vec<f32> =
        numbers.as_chunks::<4>().0.iter().map(|n| f32::from_le_bytes(*n)).collect();
    let row = |at: usize| through(|tag| numbers[at * ROW + tag]);
    let steps: [Scores; TAGS] = std::array::from_fn(|from| row(2 + from));
    let odds = steps.map(|row| row.map(f32::exp));
    Some(Model { shift: 32 - bits, scales: row(0), first: row(1), steps, odds, rows })
}
