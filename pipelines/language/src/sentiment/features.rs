//! What the linear model sees of a text: hashed words, word pairs and pieces of words, and a few
//! plain numbers. Training reads the same features through `predict features`.

use std::ops::Range;

use super::fold::is_unspaced;
use super::lexicon::{Lexicon, SEED, langs, pair, step};
use super::tokens::{Kind, LONGEST, Token, Tokens, cut};
use super::valence::{Sums, squash, sums};

/// How many plain numbers there are.
pub const DENSE: usize = 22;
/// Pieces of words are two to this many characters long, the marks of begin and end included.
const PIECES: usize = 5;
/// A word in the scope of a negator is another word.
const NEGATED: u32 = 0x5bd1_e995;
const WORD: u32 = 0x27d4_eb2f;
/// Texts longer than a tweet are judged by the words of their beginning; the lexicon reads on.
const WORDS: usize = 48;

/// The features of one text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Features {
    /// Hashes of words and word pairs.
    pub words: Vec<u32>,
    /// Hashes of pieces of words.
    pub pieces: Vec<u32>,
    /// Plain numbers, roughly between -1 and 1.
    pub dense: [f32; DENSE],
}

/// The features of a text in a language (ISO 639-1). What lies in `skip` is not read.
#[must_use]
pub fn features(text: &str, skip: &[Range<usize>], language: &str) -> Features {
    let mut features = Features::default();
    let (words, pieces) = (&mut features.words, &mut features.pieces);
    features.dense =
        walk(text, skip, language, |hash| words.push(hash), |hash| pieces.push(hash)).dense;
    features
}

/// What the plain numbers say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    pub(super) dense: [f32; DENSE],
    pub(super) sums: Sums,
    /// Words and signs read.
    pub(super) tokens: usize,
    /// Words in letters the model was trained on, outside of hashtags.
    pub(super) words: usize,
}

/// Reads a text once and hands every hash to whoever weighs it.
pub(super) fn walk(
    text: &str,
    skip: &[Range<usize>],
    language: &str,
    mut word: impl FnMut(u32),
    mut piece: impl FnMut(u32),
) -> Read {
    let lexicon = Lexicon::get();
    let langs = langs(language);
    let tokens = cut(text, skip, langs, lexicon);
    let mut scope = Vec::with_capacity(tokens.list.len());
    let sums = sums(&tokens, langs, lexicon, &mut scope);
    let mut before = SEED;
    let mut words = 0;
    for (token, negated) in tokens.list.iter().zip(&scope).take(WORDS) {
        if token.kind == Kind::Run || !known_script(token, &tokens) {
            before = SEED;
            continue;
        }
        let salt = if *negated && token.kind == Kind::Word { NEGATED } else { WORD };
        word(mix(token.hash ^ salt));
        word(mix(pair(if token.fresh { SEED } else { before }, token.hash)));
        before = token.hash;
        if token.kind == Kind::Word {
            if token.tag {
                continue;
            }
            words += 1;
            pieces(&tokens.letters[token.letters.0 as usize..token.letters.1 as usize], &mut piece);
        }
    }
    Read { dense: dense(&tokens, &sums), sums, tokens: tokens.list.len(), words }
}

/// Every piece of `<word>`; no word has more than [`LONGEST`] letters.
fn pieces(word: &[char], each: &mut impl FnMut(u32)) {
    let mut room = ['<'; LONGEST + 2];
    let length = word.len().min(LONGEST);
    room[1..=length].copy_from_slice(&word[..length]);
    room[length + 1] = '>';
    let marked = &room[..length + 2];
    for start in 0..=length {
        let rest = &marked[start..marked.len().min(start + PIECES)];
        let mut hash = step(SEED, rest[0]);
        for c in &rest[1..] {
            hash = step(hash, *c);
            each(mix(hash));
        }
    }
}

/// The model has seen Latin, Arabic and Devanagari letters, and signs.
fn known_script(token: &Token, tokens: &Tokens) -> bool {
    let first = tokens.letters.get(token.letters.0 as usize).copied().unwrap_or('a');
    token.kind != Kind::Word
        || matches!(first, '\0'..='\u{24f}' | '\u{600}'..='\u{6ff}' | '\u{900}'..='\u{97f}')
        || !(first.is_alphabetic() || is_unspaced(first))
}

/// Spreads the bits, so that the upper ones choose a bucket.
fn mix(hash: u32) -> u32 {
    let hash = (hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d);
    (hash ^ (hash >> 12)).wrapping_mul(0x297a_2d39)
}

fn dense(tokens: &Tokens, sums: &Sums) -> [f32; DENSE] {
    let count = tokens.list.len().max(1) as f32;
    let few = |n: u32, most: u32| n.min(most) as f32 / most as f32;
    let all = squash(sums.all);
    let weight = sums.positive + sums.negative + sums.emoji_positive + sums.emoji_negative;
    [
        all,
        all.max(0.0).powi(2),
        all.min(0.0).powi(2),
        squash(sums.positive),
        squash(sums.negative),
        squash(sums.emoji_positive),
        squash(sums.emoji_negative),
        squash(sums.tags),
        squash(sums.last),
        squash(2.0 * sums.strongest),
        sums.all / (weight + 1.0),
        (sums.positive / count).min(1.0),
        (sums.negative / count).min(1.0),
        f32::from(u8::from(sums.known == 0)),
        few(tokens.exclamations, 3),
        few(tokens.questions, 2),
        few(tokens.ellipses, 2),
        few(sums.negators, 3),
        few(sums.capitals, 4),
        few(tokens.stretched, 2),
        few(tokens.numbers, 3),
        few(tokens.links, 1),
    ]
}
