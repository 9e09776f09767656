//! The words that carry sentiment, in one table keyed by the hash of their plain spelling.
//!
//! English comes from the VADER lexicon (MIT, see `data/sentiment_vader.LICENSE.txt`); the other
//! languages, the emoji and the cues (negators, boosters, turns) are lists of this project.

use std::sync::OnceLock;

use super::fold::{is_unspaced, plain};

const VADER: &str = include_str!("../../data/sentiment_vader.tsv");
const WORDS: &str = include_str!("../../data/sentiment_words.tsv");
const CUES: &str = include_str!("../../data/sentiment_cues.tsv");
const EMOJI: &str = include_str!("../../data/sentiment_emoji.tsv");

/// Languages in a set, one bit each.
pub(super) type Langs = u16;

const CODES: [&str; 13] =
    ["en", "es", "pt", "fr", "de", "it", "hi", "ar", "th", "vi", "id", "tl", "nl"];
const ENGLISH: Langs = 1;
const HINDI: Langs = 1 << 6;
const EVERY: Langs = Langs::MAX;
/// Languages with cues of their own: es pt fr de it.
const GRAMMAR: Langs = 0b11_1110;
/// Written in letters of their own: their words can be mistaken for no others.
const OWN_SCRIPT: Langs = 1 << 7 | 1 << 8;

/// The languages whose words count in a text of this language.
pub(super) fn langs(code: &str) -> Langs {
    let own = match code {
        // Cannot be told: any may be meant.
        "und" => return EVERY,
        "mr" | "ne" | "ur" => HINDI,
        "ms" => 1 << 10,
        _ => CODES.iter().position(|c| *c == code).map_or(0, |at| 1 << at),
    };
    // The sentiment of English words holds everywhere; its cues where no other grammar rules.
    let english = if own & GRAMMAR == 0 { ENGLISH } else { 0 };
    own | english | OWN_SCRIPT
}

fn bits(code: &str) -> Langs {
    CODES.iter().position(|c| *c == code).map_or(EVERY, |at| 1 << at)
}

/// What a word does to the words around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Cue {
    /// Nothing.
    #[default]
    None,
    /// Turns the next words round.
    Not,
    /// The same, unless it begins a question.
    Ask,
    /// Strengthens the next word.
    More,
    /// Weakens the next word.
    Less,
    /// What follows outweighs what came before.
    Turn,
}

/// What is known of a word.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Entry {
    /// -4 to 4, in tenths.
    tenths: i8,
    /// What it does to its neighbours.
    pub(super) cue: Cue,
    /// In which languages.
    langs: Langs,
    key: u32,
}

impl Entry {
    /// -4 to 4; 0 for words without sentiment.
    pub(super) fn valence(self) -> f32 {
        f32::from(self.tenths) / 10.0
    }
}

/// Begin of every hash.
pub(super) const SEED: u32 = 0x811c_9dc5;

/// One more character of a word.
pub(super) fn step(hash: u32, c: char) -> u32 {
    (hash ^ c as u32).wrapping_mul(0x0100_0193)
}

/// The hash of two words in a row.
pub(super) fn pair(first: u32, second: u32) -> u32 {
    (first.rotate_left(9) ^ second).wrapping_mul(0x9e37_79b1)
}

fn hash(word: &str) -> u32 {
    word.chars().filter_map(plain).fold(SEED, step)
}

/// Open addressing; as many slots as a power of two of at least twice the entries.
#[derive(Debug)]
struct Table {
    /// One bit for each hash in use, of many: most words are not known and go no further.
    seen: Vec<u64>,
    slots: Vec<Entry>,
    shift: u32,
}

/// Bits of [`Table::seen`], as a power of two.
const SEEN_BITS: u32 = 16;

fn seen(key: u32) -> (usize, u64) {
    let bit = key.wrapping_mul(0x85eb_ca6b) >> (32 - SEEN_BITS);
    ((bit >> 6) as usize, 1 << (bit & 63))
}

impl Table {
    fn new(entries: &[Entry]) -> Self {
        let bits = (entries.len().max(8) * 2).next_power_of_two().trailing_zeros();
        let mut table = Self {
            seen: vec![0; 1 << (SEEN_BITS - 6)],
            slots: vec![Entry::default(); 1 << bits],
            shift: 32 - bits,
        };
        for entry in entries {
            let (word, bit) = seen(entry.key);
            table.seen[word] |= bit;
            let mut at = table.slot(entry.key);
            while table.slots[at].langs != 0 {
                at = (at + 1) & (table.slots.len() - 1);
            }
            table.slots[at] = *entry;
        }
        table
    }

    fn slot(&self, key: u32) -> usize {
        (key.wrapping_mul(0x9e37_79b1) >> self.shift) as usize
    }

    #[inline]
    fn get(&self, key: u32, langs: Langs) -> Option<Entry> {
        let (word, bit) = seen(key);
        if self.seen[word] & bit == 0 {
            return None;
        }
        self.probe(key, langs)
    }

    fn probe(&self, key: u32, langs: Langs) -> Option<Entry> {
        let mut at = self.slot(key);
        loop {
            let entry = self.slots[at];
            if entry.langs == 0 {
                return None;
            }
            if entry.key == key && entry.langs & langs != 0 {
                return Some(entry);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }
}

/// All tables.
#[derive(Debug)]
pub(super) struct Lexicon {
    words: Table,
    stems: Table,
    pairs: Table,
    /// Words of scripts without spaces, longest first.
    unspaced: Vec<(Vec<char>, f32)>,
    /// One bit for the low six bits of each character these words begin with.
    begins: u64,
    /// The languages that have stems.
    stemmed: Langs,
}

impl Lexicon {
    /// The tables, built on first use.
    pub(super) fn get() -> &'static Self {
        static LEXICON: OnceLock<Lexicon> = OnceLock::new();
        LEXICON.get_or_init(Self::load)
    }

    fn load() -> Self {
        let mut read = Reader::default();
        // The first entry of a word wins: cues and own words come before VADER's.
        read.cues();
        read.words();
        read.emoji();
        read.vader();
        read.unspaced.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        Self {
            words: Table::new(&read.words),
            stems: Table::new(&read.stems),
            pairs: Table::new(&read.pairs),
            begins: read.unspaced.iter().fold(0, |all, (word, _)| all | begin(word[0])),
            stemmed: read.stems.iter().fold(0, |all, stem| all | stem.langs),
            unspaced: read.unspaced,
        }
    }

    /// The entry of a whole word or emoji.
    pub(super) fn word(&self, hash: u32, langs: Langs) -> Option<Entry> {
        self.words.get(hash, langs)
    }

    /// The entry of a stem that the beginning of a word may be.
    pub(super) fn stem(&self, hash: u32, langs: Langs) -> Option<Entry> {
        self.stems.get(hash, langs)
    }

    /// Whether words of these languages are known by stems.
    pub(super) fn has_stems(&self, langs: Langs) -> bool {
        self.stemmed & langs != 0
    }

    /// The valence of two words in a row that mean something of their own.
    pub(super) fn idiom(&self, hash: u32, langs: Langs) -> Option<f32> {
        self.pairs.get(hash, langs).map(Entry::valence)
    }

    /// Word lengths and valences found in a run of letters written without spaces.
    pub(super) fn in_run(&self, run: &[char], mut each: impl FnMut(f32)) {
        let mut at = 0;
        while at < run.len() {
            if self.begins & begin(run[at]) == 0 {
                at += 1;
                continue;
            }
            let rest = &run[at..];
            match self
                .unspaced
                .iter()
                .find(|(word, _)| word[0] == rest[0] && rest.starts_with(word))
            {
                Some((word, valence)) => {
                    each(*valence);
                    at += word.len();
                }
                None => at += 1,
            }
        }
    }
}

#[derive(Debug, Default)]
struct Reader {
    words: Vec<Entry>,
    stems: Vec<Entry>,
    pairs: Vec<Entry>,
    unspaced: Vec<(Vec<char>, f32)>,
    /// English words that mean something else in these languages.
    off: Vec<(u32, Langs)>,
}

impl Reader {
    fn word(&mut self, word: &str, tenths: i8, cue: Cue, langs: Langs) {
        if let Some(stem) = word.strip_suffix('*') {
            self.stems.push(Entry { tenths, cue, langs, key: hash(stem) });
        } else if word.chars().all(is_unspaced) && cue == Cue::None {
            self.unspaced.push((word.chars().collect(), f32::from(tenths) / 10.0));
        } else {
            self.words.push(Entry { tenths, cue, langs, key: hash(word) });
        }
    }

    /// The languages in which a word is not the English one.
    fn off(&self, key: u32) -> Langs {
        self.off.iter().filter(|(off, _)| *off == key).fold(0, |all, (_, langs)| all | langs)
    }

    fn cues(&mut self) {
        for (what, lang, words) in rows(CUES) {
            let langs = bits(lang);
            if let Some(valence) = what.strip_prefix("idiom ") {
                for two in words.split('|') {
                    let mut two = two.split(' ').map(hash);
                    let key = pair(two.next().unwrap_or(SEED), two.next().unwrap_or(SEED));
                    let entry = Entry { tenths: tenths(valence), cue: Cue::None, langs, key };
                    self.pairs.push(entry);
                }
                continue;
            }
            let cue = match what {
                "not" => Cue::Not,
                "ask" => Cue::Ask,
                "more" => Cue::More,
                "less" => Cue::Less,
                "turn" => Cue::Turn,
                _ => {
                    self.off.extend(words.split(' ').map(|word| (hash(word), langs)));
                    continue;
                }
            };
            for word in words.split(' ') {
                self.word(word, 0, cue, langs);
            }
        }
    }

    fn words(&mut self) {
        for (lang, valence, words) in rows(WORDS) {
            let tenths = tenths(valence);
            for word in words.split(' ') {
                let langs = if lang == "en" { EVERY & !self.off(hash(word)) } else { bits(lang) };
                self.word(word, tenths, Cue::None, langs);
            }
        }
    }

    fn emoji(&mut self) {
        for line in EMOJI.lines().filter(|line| !line.starts_with('#')) {
            let Some((valence, signs)) = line.split_once('\t') else { continue };
            for sign in signs.split(' ') {
                self.word(sign, tenths(valence), Cue::None, EVERY);
            }
        }
    }

    fn vader(&mut self) {
        let own: Vec<Entry> = self.words.clone();
        let known = Table::new(&own);
        for line in VADER.lines() {
            let Some((word, valence)) = line.split_once('\t') else { continue };
            let key = hash(word);
            if known.get(key, ENGLISH).is_some() {
                continue;
            }
            let langs = EVERY & !self.off(key);
            let entry = Entry { tenths: tenths(valence), cue: Cue::None, langs, key };
            self.words.push(entry);
        }
    }
}

/// The three columns of each row that is no comment.
fn rows(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    table.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut columns = line.split('\t');
        Some((columns.next()?, columns.next()?, columns.next()?))
    })
}

fn begin(c: char) -> u64 {
    1 << (c as u32 & 63)
}

fn tenths(valence: &str) -> i8 {
    let tenths = valence.parse::<f32>().unwrap_or_default() * 10.0;
    tenths.round().clamp(-40.0, 40.0) as i8
}
