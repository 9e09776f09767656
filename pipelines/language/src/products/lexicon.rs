//! Brands, their lines and the words around products, keyed by the hash of their plain spelling.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::OnceLock;

use crate::hash::WordHasher;
use crate::words::{Letter, SEED, Word, join, letters, step, words};

const BRANDS: &str = include_str!("../../data/product_brands.tsv");
const WORDS: &str = include_str!("../../data/ware_words.tsv");

/// What a phrase means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A brand; vague where it is a common word or name as well.
    Brand {
        brand: u16,
        vague: bool,
    },
    /// A line of a brand.
    Model {
        brand: u16,
        model: u16,
        vague: bool,
    },
    /// A thing that is sold.
    Noun,
    /// A word inside names of products.
    Part,
    Size,
    /// A colour by its name in English.
    Colour(&'static str),
    /// `this`.
    This,
    /// `this one`.
    One,
    /// What fans and shops add to a brand in tags and handles.
    Fan,
}

type Table<V> = HashMap<u32, V, BuildHasherDefault<WordHasher>>;

/// Whether a hash can be in a table at all: a bit for each of many hashes.
#[derive(Debug)]
struct Gate(Box<[u64]>);

/// Bits of a gate, as a power of two.
const GATE_BITS: u32 = 18;

impl Gate {
    fn new() -> Self {
        Self(vec![0; 1 << (GATE_BITS - 6)].into_boxed_slice())
    }

    fn bit(hash: u32) -> (usize, u64) {
        let mixed = hash.wrapping_mul(0x85eb_ca6b) >> (32 - GATE_BITS);
        ((mixed >> 6) as usize, 1 << (mixed & 63))
    }

    fn set(&mut self, hash: u32) {
        let (word, bit) = Self::bit(hash);
        self.0[word] |= bit;
    }

    fn has(&self, hash: u32) -> bool {
        let (word, bit) = Self::bit(hash);
        self.0[word] & bit != 0
    }
}

/// A phrase that begins with a word.
#[derive(Debug)]
struct Phrase {
    /// Hash of the whole.
    hash: u32,
    words: u8,
}

/// A phrase found: what it may mean and how many words or letters it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit<'l> {
    pub(super) whats: &'l [What],
    pub(super) length: usize,
}

/// All tables.
#[derive(Debug)]
pub(super) struct Lexicon {
    brands: Vec<&'static str>,
    models: Vec<&'static str>,
    /// Phrases by their first word, longest first.
    first: Table<Vec<Phrase>>,
    first_gate: Gate,
    phrases: Table<Vec<What>>,
    /// The same without spaces.
    joined: Table<Vec<What>>,
    /// Beginnings of joined phrases.
    begun: Gate,
    /// How brands of six letters or more begin, whose names may stand inside of a tag.
    inner: Gate,
    before: Table<()>,
    common: Table<()>,
}

/// Longest joined spelling that is looked for, in characters.
const LONGEST: usize = 28;

impl Lexicon {
    /// The tables, built on first use.
    pub(super) fn get() -> &'static Self {
        static LEXICON: OnceLock<Lexicon> = OnceLock::new();
        LEXICON.get_or_init(Self::load)
    }

    fn load() -> Self {
        let mut lexicon = Self {
            brands: Vec::new(),
            models: Vec::new(),
            first: Table::default(),
            first_gate: Gate::new(),
            phrases: Table::default(),
            joined: Table::default(),
            begun: Gate::new(),
            inner: Gate::new(),
            before: Table::default(),
            common: Table::default(),
        };
        for line in BRANDS.lines().filter(|line| !line.starts_with('#')) {
            lexicon.brand(line);
        }
        for line in WORDS.lines().filter(|line| !line.starts_with('#')) {
            let Some((kind, list)) = line.split_once('\t') else { continue };
            lexicon.list(kind, list);
        }
        for phrases in lexicon.first.values_mut() {
            phrases.sort_by_key(|phrase| std::cmp::Reverse(phrase.words));
        }
        lexicon
    }

    fn brand(&mut self, line: &'static str) {
        let (spellings, models) = line.split_once('\t').unwrap_or((line, ""));
        let brand = self.brands.len() as u16;
        for (i, spelling) in spellings.split('=').enumerate() {
            let (spelling, vague) = vague(spelling);
            if i == 0 {
                self.brands.push(spelling);
            }
            self.add(spelling, What::Brand { brand, vague });
        }
        for spellings in models.split('|').filter(|model| !model.is_empty()) {
            let model = self.models.len() as u16;
            for (i, spelling) in spellings.split('=').enumerate() {
                let (spelling, vague) = vague(spelling);
                if i == 0 {
                    self.models.push(spelling);
                }
                let vague = vague || is_short_code(spelling);
                self.add(spelling, What::Model { brand, model, vague });
            }
        }
    }

    fn list(&mut self, kind: &str, list: &'static str) {
        for entry in list.split('|') {
            match kind {
                "noun" => self.add(entry, What::Noun),
                "part" => self.add(entry, What::Part),
                "size" => self.add(entry, What::Size),
                "this" => self.add(entry, What::This),
                "one" => self.add(entry, What::One),
                "fan" => self.add(entry, What::Fan),
                "colour" => {
                    let name = entry.split('=').next().unwrap_or(entry);
                    entry.split('=').for_each(|word| self.add(word, What::Colour(name)));
                }
                "before" | "common" => {
                    let table = if kind == "before" { &mut self.before } else { &mut self.common };
                    table.extend(words(entry).iter().map(|word| (word.hash, ())));
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, spelling: &str, what: What) {
        let words = words(spelling);
        let Some(first) = words.first() else { return };
        let hash = phrase(&words);
        let known = self.phrases.entry(hash).or_default();
        if known.is_empty() {
            let count = words.len().min(usize::from(u8::MAX)) as u8;
            self.first.entry(first.hash).or_default().push(Phrase { hash, words: count });
            self.first_gate.set(first.hash);
        }
        // A noun that is also a line of a brand is both; the first meaning of a kind holds.
        if !known.contains(&what) {
            known.push(what);
        }
        let mut plain = Vec::new();
        letters(spelling, 0..spelling.len(), &mut plain);
        let mut hash = SEED;
        for letter in plain.iter().take(LONGEST) {
            hash = step(hash, letter.plain);
            self.begun.set(hash);
        }
        if matches!(what, What::Brand { vague: false, .. }) && plain.len() > INNER {
            self.inner.set(begin(&plain));
        }
        if plain.len() <= LONGEST {
            let known = self.joined.entry(hash).or_default();
            if !known.contains(&what) {
                known.push(what);
            }
        }
    }

    /// The name of a brand.
    pub(super) fn brand_name(&self, brand: u16) -> &'static str {
        self.brands.get(usize::from(brand)).copied().unwrap_or_default()
    }

    /// The name of a line.
    pub(super) fn model_name(&self, model: u16) -> &'static str {
        self.models.get(usize::from(model)).copied().unwrap_or_default()
    }

    /// The longest phrase that begins with the first of these words.
    pub(super) fn phrase_at(&self, text: &str, words: &[Word]) -> Option<Hit<'_>> {
        let first = words.first()?;
        if !self.first_gate.has(first.hash) {
            return None;
        }
        self.first.get(&first.hash)?.iter().find_map(|candidate| {
            let length = usize::from(candidate.words);
            let these = words.get(..length)?;
            let same = phrase(these) == candidate.hash && together(text, these);
            same.then_some(())?;
            Some(Hit { whats: self.phrases.get(&candidate.hash)?, length })
        })
    }

    /// The longest spelling without spaces that begins with the first of these letters.
    pub(super) fn joined_at(&self, letters: &[Letter]) -> Option<Hit<'_>> {
        let mut hash = SEED;
        let mut found = None;
        for (i, letter) in letters.iter().take(LONGEST).enumerate() {
            hash = step(hash, letter.plain);
            if !self.begun.has(hash) {
                break;
            }
            if let Some(whats) = self.joined.get(&hash) {
                found = Some(Hit { whats, length: i + 1 });
            }
        }
        found
    }

    /// Whether a brand may begin with the first of these letters in the middle of a tag.
    pub(super) fn may_hide(&self, letters: &[Letter]) -> bool {
        letters.len() > INNER && self.inner.has(begin(letters))
    }

    /// Whether the word only leads up to a name.
    pub(super) fn leads(&self, word: &Word) -> bool {
        self.before.contains_key(&word.hash)
    }

    /// Whether the word is no name even with a capital.
    pub(super) fn is_common(&self, word: &Word) -> bool {
        self.common.contains_key(&word.hash)
    }
}

/// Brands of fewer letters are not looked for inside of words.
const INNER: usize = 5;

fn begin(letters: &[Letter]) -> u32 {
    letters.iter().take(4).fold(SEED, |hash, letter| step(hash, letter.plain))
}

fn vague(spelling: &str) -> (&str, bool) {
    spelling.strip_suffix('?').map_or((spelling, false), |plain| (plain, true))
}

/// Numbers and codes such as `911` and `X5` mean other things without their brand.
fn is_short_code(spelling: &str) -> bool {
    let digits = spelling.bytes().filter(u8::is_ascii_digit).count();
    let known = ["PS", "AF", "AJ"].iter().any(|code| spelling.starts_with(code));
    digits == spelling.len() || (digits > 0 && spelling.len() <= 3 && !known)
}

fn phrase(words: &[Word]) -> u32 {
    words.iter().fold(SEED, |hash, word| join(hash, word.hash))
}

/// Whether only a little stands between the words: no end of a sentence or line.
fn together(text: &str, words: &[Word]) -> bool {
    words.windows(2).all(|pair| {
        let between = text.get(pair[0].end..pair[1].start).unwrap_or("\n");
        between.len() <= 3
            && !between.contains(['\n', '!', '?', ',', ';', ':', '|', '(', ')'])
            && between != ". "
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_read_whole() {
        let lexicon = Lexicon::get();
        assert!(lexicon.brands.len() > 400 && lexicon.models.len() > 900);
        for line in BRANDS.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.split('\t').count() == 2, "{line}");
        }
        for line in WORDS.lines().filter(|line| !line.starts_with('#')) {
            let kind = line.split('\t').next().unwrap();
            let known =
                ["noun", "part", "size", "colour", "this", "one", "fan", "before", "common"];
            assert!(known.contains(&kind), "{line}");
        }
    }

    #[test]
    fn phrases_are_found_in_words_and_run_together() {
        let lexicon = Lexicon::get();
        let hit = |text: &str| {
            let words = words(text);
            lexicon.phrase_at(text, &words).map(|hit| hit.length)
        };
        assert_eq!(hit("Classic flap bag"), Some(3));
        assert_eq!(hit("エルメスのバッグ"), Some(4));
        assert_eq!(hit("Classic. Flap"), Some(1));
        assert_eq!(hit("zzz"), None);
        let mut plain = Vec::new();
        letters("louisvuittonbag", 0..15, &mut plain);
        assert_eq!(lexicon.joined_at(&plain).map(|hit| hit.length), Some(12));
    }
}
