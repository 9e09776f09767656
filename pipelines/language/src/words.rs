//! Cuts a text into words with hashes of their plain spelling. In scripts without spaces every
//! character is a word, so that one kind of look-up serves all scripts.

use std::ops::Range;

use crate::props::{ASCII_PLAIN, props};
use crate::sentiment::fold::{Class, class, plain};

/// A word of the text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Word {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Of the plain spelling.
    pub(crate) hash: u32,
    /// Begins with a capital letter.
    pub(crate) capital: bool,
    /// Holds capitals and no small letter.
    pub(crate) shouted: bool,
    pub(crate) digits: bool,
    pub(crate) letters: bool,
}

impl Word {
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }
}

/// Begin of every hash.
pub(crate) const SEED: u32 = 0x811c_9dc5;

/// One more character.
pub(crate) fn step(hash: u32, c: char) -> u32 {
    (hash ^ c as u32).wrapping_mul(0x0100_0193)
}

/// One more word of a phrase.
pub(crate) fn join(phrase: u32, word: u32) -> u32 {
    (phrase.rotate_left(7) ^ word).wrapping_mul(0x9e37_79b1)
}

/// The words of a text.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::with_capacity(text.len() / 5 + 1);
    piece(text, 0..text.len(), &mut words);
    words
}

/// The words that overlap none of the ranges, which are in order of their begin.
pub(crate) fn outside(words: &[Word], ranges: &[Range<usize>]) -> Vec<Word> {
    let mut ranges = ranges.iter().peekable();
    let mut end = 0;
    let free = |word: &&Word| {
        while let Some(next) = ranges.next_if(|range| range.start < word.end) {
            end = end.max(next.end);
        }
        word.start >= end
    };
    words.iter().filter(free).copied().collect()
}

fn piece(text: &str, range: Range<usize>, words: &mut Vec<Word>) {
    let mut cut = Cut { open: None, latin: true, words };
    let bytes = text.as_bytes();
    let mut at = range.start;
    while at < range.end {
        let byte = bytes[at];
        if byte.is_ascii() {
            if byte.is_ascii_alphanumeric() {
                cut.part_at_script('a');
                at = cut.grow_ascii(bytes, at, range.end);
            } else {
                cut.close();
                at += 1;
            }
            continue;
        }
        let Some(c) = text[at..range.end].chars().next() else { break };
        let end = at + c.len_utf8();
        let props = props(c);
        match props.plain() {
            // A mark belongs to the word it stands on.
            None => cut.stretch(end),
            Some(folded) if props.class() == Class::Word => {
                if props.unspaced() {
                    cut.close();
                    cut.grow(at, end, folded, false, false);
                    cut.close();
                } else {
                    cut.part_at_script(folded);
                    cut.grow(at, end, folded, props.upper(), props.upper());
                }
            }
            Some(_) => cut.close(),
        }
        at = end;
    }
    cut.close();
}

struct Cut<'w> {
    open: Option<Word>,
    /// The letters of the open word are Latin.
    latin: bool,
    words: &'w mut Vec<Word>,
}

impl Cut<'_> {
    fn grow(&mut self, start: usize, end: usize, folded: char, capital: bool, upper: bool) {
        let word = self.open.get_or_insert(Word {
            start,
            end,
            hash: SEED,
            capital,
            shouted: true,
            digits: false,
            letters: false,
        });
        word.end = end;
        word.hash = step(word.hash, folded);
        let digit = folded.is_ascii_digit();
        word.digits |= digit;
        word.letters |= !digit;
        word.shouted &= upper || digit;
    }

    /// Takes the ASCII letters and digits from `at` on, of which there is one at least, and returns
    /// where they end.
    fn grow_ascii(&mut self, bytes: &[u8], at: usize, end: usize) -> usize {
        let mut word = self.open.take().unwrap_or(Word {
            start: at,
            end: at,
            hash: SEED,
            capital: bytes[at].is_ascii_uppercase(),
            shouted: true,
            digits: false,
            letters: false,
        });
        for byte in &bytes[at..end] {
            let lower = ASCII_PLAIN[usize::from(*byte)];
            if lower == 0 {
                break;
            }
            word.hash = step(word.hash, char::from(lower));
            let digit = lower <= b'9';
            word.digits |= digit;
            word.letters |= !digit;
            word.shouted &= *byte != lower || digit;
            word.end += 1;
        }
        let end = word.end;
        self.open = Some(word);
        end
    }

    /// Latin names stand right beside particles of other scripts.
    fn part_at_script(&mut self, folded: char) {
        let latin = (folded as u32) < 0x370;
        if latin != self.latin {
            self.close();
            self.latin = latin;
        }
    }

    fn stretch(&mut self, end: usize) {
        if let Some(word) = &mut self.open {
            word.end = end;
        }
    }

    fn close(&mut self) {
        if let Some(mut word) = self.open.take() {
            word.shouted &= word.letters;
            self.words.push(word);
        }
    }
}

/// The plain letters and digits of a tag or handle, each with where it ends in the text and
/// whether a part begins there: a capital after a small letter, a letter after a sign or digit.
pub(crate) fn letters(text: &str, range: Range<usize>, out: &mut Vec<Letter>) {
    out.clear();
    let (mut small, mut fresh, mut digit) = (false, true, false);
    let written = text.get(range.clone()).unwrap_or_default();
    for (i, c) in written.char_indices() {
        let at = range.start + i;
        let Some(folded) = plain(c) else { continue };
        if class(c) != Class::Word {
            fresh = true;
            continue;
        }
        let upper = if c.is_ascii() { c.is_ascii_uppercase() } else { props(c).upper() };
        let begins = fresh || (upper && small) || (digit != folded.is_ascii_digit());
        out.push(Letter { plain: folded, start: at, end: at + c.len_utf8(), begins });
        (small, fresh, digit) = (!upper, false, folded.is_ascii_digit());
    }
}

/// A letter of a tag.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Letter {
    pub(crate) plain: char,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// A part of the tag begins here.
    pub(crate) begins: bool,
}

/// Phrases by the hash of their first word: hashes that no phrase begins with are told at once.
#[derive(Debug)]
pub(crate) struct FirstWords {
    /// One bit for each hash in use, of many.
    seen: Box<[u64]>,
    /// Hash and phrase, in order of the hashes; phrases of one hash as they were given.
    items: Vec<(u32, u32)>,
    /// Where the items of each slot begin: a slot holds the hashes of equal upper bits.
    slots: Vec<u32>,
}

const SEEN_BITS: u32 = 15;
const SLOT_BITS: u32 = 11;

impl FirstWords {
    /// The index of the phrases, by their place in the list.
    pub(crate) fn of<'p>(phrases: impl Iterator<Item = &'p str>) -> Self {
        let first = |(at, phrase): (usize, &str)| Some((words(phrase).first()?.hash, at as u32));
        let mut items: Vec<(u32, u32)> = phrases.enumerate().filter_map(first).collect();
        items.sort_by_key(|(hash, _)| mixed(*hash));
        let mut seen = vec![0; 1 << (SEEN_BITS - 6)];
        let mut slots = vec![0; (1 << SLOT_BITS) + 1];
        for (hash, _) in &items {
            let bit = mixed(*hash) >> (32 - SEEN_BITS);
            seen[(bit >> 6) as usize] |= 1 << (bit & 63);
            slots[(mixed(*hash) >> (32 - SLOT_BITS)) as usize + 1] += 1;
        }
        for slot in 1..slots.len() {
            slots[slot] += slots[slot - 1];
        }
        Self { seen: seen.into_boxed_slice(), items, slots }
    }

    /// The phrases that begin with a word.
    #[inline]
    pub(crate) fn with(&self, hash: u32) -> impl Iterator<Item = usize> + '_ {
        let mixed = mixed(hash);
        let bit = mixed >> (32 - SEEN_BITS);
        let items = if self.seen[(bit >> 6) as usize] & (1 << (bit & 63)) == 0 {
            &[]
        } else {
            let slot = (mixed >> (32 - SLOT_BITS)) as usize;
            &self.items[self.slots[slot] as usize..self.slots[slot + 1] as usize]
        };
        items.iter().filter(move |(known, _)| *known == hash).map(|(_, at)| *at as usize)
    }
}

fn mixed(hash: u32) -> u32 {
    hash.wrapping_mul(0x85eb_ca6b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        words(text).into_iter().map(|w| &text[w.range()]).collect()
    }

    #[test]
    fn words_end_at_signs_and_unspaced_scripts_are_cut_to_characters() {
        assert_eq!(cut("L'Oréal 2.55!"), ["L", "Oréal", "2", "55"]);
        assert_eq!(cut("وDior Chanel백"), ["و", "Dior", "Chanel", "백"]);
        assert_eq!(cut("กระ バッグ"), ["ก", "ร", "ะ", "バ", "ッ", "グ"]);
        assert_eq!(words("HERMÈS")[0].hash, words("hermes")[0].hash);
        assert_eq!(words("e\u{301}tui").len(), 1);
    }

    #[test]
    fn capitals_and_digits_are_seen() {
        let all = words("Birkin 25 GOLD bag X5");
        let flags: Vec<_> = all.iter().map(|w| (w.capital, w.shouted, w.digits)).collect();
        assert_eq!(flags[0], (true, false, false));
        assert_eq!(flags[1], (false, false, true));
        assert_eq!(flags[2], (true, true, false));
        assert_eq!(flags[4], (true, true, true));
    }

    #[test]
    fn parts_of_a_tag_begin_at_capitals_and_signs() {
        let mut out = Vec::new();
        letters("#HermesKelly_25", 1..15, &mut out);
        let begins: Vec<_> = out.iter().filter(|l| l.begins).map(|l| l.plain).collect();
        assert_eq!(begins, ['h', 'k', '2']);
    }
}
