//! A linear model that tells languages of one script apart by pieces of words. The weights are
//! compiled in; `train/language.py` writes them, `data/language_model.md` says from what.

use std::sync::OnceLock;

use crate::entities::chars::is_alphabetic;

const FILE: &[u8] = include_bytes!("../../data/language_model.bin");
const MAGIC: &[u8; 4] = b"FLM1";
/// Languages of one group at most.
const MOST: usize = 32;
/// Pieces of words have at most this many characters.
const LONGEST: usize = 4;
/// Letters that are read: more tell nothing new.
const ENOUGH: usize = 160;
const SEED: u32 = 0x811c_9dc5;
/// Whole words are other features than pieces.
const WHOLE: u32 = 0x5bd1_e995;

/// The scripts that several languages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Latin,
    Cyrillic,
    Devanagari,
    Arabic,
}

/// The languages of one script.
#[derive(Debug)]
struct Model {
    codes: Vec<&'static str>,
    shift: u32,
    scale: f32,
    bias: Vec<f32>,
    /// One row for each bucket, one weight for each language.
    weights: &'static [u8],
}

/// What the model says of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Guess {
    pub(super) code: &'static str,
    /// 0 to 1.
    pub(super) share: f32,
    /// Letters read.
    pub(super) letters: usize,
}

/// The likeliest language of a text in lower case; nothing without letters.
pub(super) fn guess(lower: &str, group: Group) -> Option<Guess> {
    static MODELS: OnceLock<Vec<Model>> = OnceLock::new();
    let model = MODELS.get_or_init(|| load().unwrap_or_default()).get(group as usize)?;
    let mut sums = [0i32; MOST];
    let sums = sums.get_mut(..model.codes.len())?;
    let (mut count, mut letters) = (0u32, 0);
    let mut word: Vec<char> = Vec::with_capacity(32);
    let mut chars = lower.chars();
    loop {
        let next = chars.next();
        if let Some(c) = next.filter(|c| is_inside(*c)) {
            word.push(if c == '’' { '\'' } else { c });
            continue;
        }
        letters += word.len();
        model.read(&word, sums, &mut count);
        word.clear();
        if next.is_none() || letters >= ENOUGH {
            break;
        }
    }
    (count > 0).then(|| model.best(sums, count, letters))
}

/// Letters, the marks on them, and apostrophes.
fn is_inside(c: char) -> bool {
    c.is_ascii_alphabetic()
        || c == '\''
        || c == '’'
        || (!c.is_ascii()
            && (is_alphabetic(c)
                || matches!(c, '\u{300}'..='\u{36f}' | '\u{64b}'..='\u{65f}' | '\u{94d}')))
}

impl Model {
    /// Adds up the weights of all pieces of `_word_`.
    fn read(&self, word: &[char], sums: &mut [i32], count: &mut u32) {
        let start = word.iter().position(|c| *c != '\'').unwrap_or(word.len());
        let end = word.iter().rposition(|c| *c != '\'').map_or(start, |last| last + 1);
        let word = &word[start..end];
        if word.is_empty() || word.len() > 40 {
            return;
        }
        let last = word.len() + 1;
        let at = |i: usize| if i == 0 || i == last { '_' } else { word[i - 1] };
        let mut whole = SEED;
        for begin in 0..=last {
            whole = step(whole, at(begin));
            let mut hash = SEED;
            for length in 1..=LONGEST.min(last + 1 - begin) {
                hash = step(hash, at(begin + length - 1));
                if length > 1 || (begin > 0 && begin < last) {
                    self.add(mix(hash), sums, count);
                }
            }
        }
        if word.len() > 2 {
            self.add(mix(whole ^ WHOLE), sums, count);
        }
    }

    #[inline]
    fn add(&self, hash: u32, sums: &mut [i32], count: &mut u32) {
        let at = (hash >> self.shift) as usize * sums.len();
        if let Some(row) = self.weights.get(at..at + sums.len()) {
            for (sum, weight) in sums.iter_mut().zip(row) {
                *sum += i32::from(weight.cast_signed());
            }
        }
        *count += 1;
    }

    fn best(&self, sums: &[i32], count: u32, letters: usize) -> Guess {
        let scale = self.scale / (count as f32).sqrt();
        let logit = |i: usize| sums[i] as f32 * scale + self.bias[i];
        let mut best = 0;
        for i in 1..sums.len() {
            if logit(i) > logit(best) {
                best = i;
            }
        }
        let all: f32 = (0..sums.len()).map(|i| (logit(i) - logit(best)).exp()).sum();
        Guess { code: self.codes[best], share: 1.0 / all, letters }
    }
}

fn step(hash: u32, c: char) -> u32 {
    (hash ^ c as u32).wrapping_mul(0x0100_0193)
}

/// Spreads the bits, so that the upper ones choose a bucket.
fn mix(hash: u32) -> u32 {
    let hash = (hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d);
    (hash ^ (hash >> 12)).wrapping_mul(0x297a_2d39)
}

/// Reads the compiled-in file; nothing when it does not fit this program.
fn load() -> Option<Vec<Model>> {
    let mut rest = FILE.strip_prefix(MAGIC)?;
    let number = |rest: &mut &'static [u8]| {
        let (bytes, after) = rest.split_at_checked(4)?;
        *rest = after;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let groups = number(&mut rest)?;
    let mut models = Vec::new();
    for _ in 0..groups {
        let (bits, count) = (number(&mut rest)?, number(&mut rest)? as usize);
        number(&mut rest)?;
        if bits > 20 || count > MOST {
            return None;
        }
        let (codes, after) = rest.split_at_checked(4 * count)?;
        rest = after;
        let codes = codes.as_chunks::<4>().0.iter().map(|code| code.trim_ascii_end());
        let codes: Option<Vec<&str>> = codes.map(|code| std::str::from_utf8(code).ok()).collect();
        let scale = f32::from_bits(number(&mut rest)?);
        let bias: Option<Vec<f32>> =
            (0..count).map(|_| number(&mut rest).map(f32::from_bits)).collect();
        let (weights, after) = rest.split_at_checked(count << bits)?;
        rest = after;
        models.push(Model { codes: codes?, shift: 32 - bits, scale, bias: bias?, weights });
    }
    Some(models)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_a_model_for_each_script() {
        let models = load().unwrap();
        assert_eq!(models.len(), 4);
        assert!(models[0].codes.len() >= 28);
        assert!(FILE.len() <= 8 << 20);
    }

    #[test]
    fn short_texts_of_many_languages_are_told() {
        for (text, group, want) in [
            ("den här veckan är allt nytt", Group::Latin, "sv"),
            ("saya mahu beli kasut ini", Group::Latin, "ms"),
            ("nowa kolekcja butów", Group::Latin, "pl"),
            ("нова сумка для дівчат", Group::Cyrillic, "uk"),
            ("हा नवीन ड्रेस खूप छान आहे", Group::Devanagari, "mr"),
        ] {
            let guess = guess(text, group).unwrap();
            assert_eq!(guess.code, want, "{text}");
        }
        assert_eq!(guess("123 !", Group::Latin), None);
    }
}
