//! Finds the products of a shop's catalogue in a text: words in any order within a short window,
//! a wrong letter forgiven, rare words worth more than common ones.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hash::WordHasher;
use crate::words::{SEED, Word, letters, step, words};

/// A product of the shop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The shop's own key; given back with every link.
    pub id: String,
    /// The name, without the brand.
    pub name: String,
    /// Who makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Other names it goes by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

/// Items beyond this number are not read; [`super::find`] says so.
pub const MOST_ITEMS: usize = 10_000;
/// A word that stands in more names than this links nothing on its own.
const COMMON: usize = 200;
/// A window may be this much longer than the name, in words.
const SLACK: usize = 2;
/// Links below this score are not made.
const SURE: f32 = 0.6;
/// Words from this many bytes on may hold one wrong letter.
const FORGIVEN: usize = 5;

/// An item found in the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) item: usize,
    /// 0 to 1: how much of the name is there, by weight of its words.
    pub(super) score: f32,
    pub(super) range: Range<usize>,
}

type Table<V> = HashMap<u32, V, BuildHasherDefault<WordHasher>>;

/// One name of an item.
#[derive(Debug)]
struct Name {
    item: usize,
    words: Vec<u32>,
}

/// The names of a catalogue by their words.
#[derive(Debug, Default)]
pub(super) struct Index {
    names: Vec<Name>,
    /// For each word the names it stands in.
    holders: Table<Vec<usize>>,
    /// Words with one letter left out, to the words they come from.
    shortened: Table<Vec<u32>>,
    /// Whole names run together, for hashtags.
    joined: Table<usize>,
}

impl Index {
    pub(super) fn new(items: &[Item]) -> Self {
        let mut index = Self::default();
        for (item, product) in items.iter().enumerate().take(MOST_ITEMS) {
            let brand = product.brand.as_deref().unwrap_or_default();
            let name = product.name.as_str();
            // The brand is often left out, or stands before the name.
            for alias in std::iter::once(name).chain(product.aliases.iter().map(String::as_str)) {
                index.name(item, alias);
                index.tag(item, &format!("{brand}{alias}"));
                index.tag(item, alias);
            }
            if !brand.is_empty() {
                index.name(item, &format!("{brand} {name}"));
            }
        }
        index
    }

    fn name(&mut self, item: usize, name: &str) {
        let cut = words(name);
        let mut hashes: Vec<u32> = Vec::new();
        for word in &cut {
            if !hashes.contains(&word.hash) {
                hashes.push(word.hash);
                let holders = self.holders.entry(word.hash).or_default();
                if holders.is_empty() && word.len() >= FORGIVEN {
                    for short in without_one(&name[word.range()]) {
                        self.shortened.entry(short).or_default().push(word.hash);
                    }
                }
                holders.push(self.names.len());
            }
        }
        if !hashes.is_empty() {
            self.names.push(Name { item, words: hashes });
        }
    }

    fn tag(&mut self, item: usize, name: &str) {
        self.joined.entry(run_together(name, 0..name.len())).or_insert(item);
    }

    /// The item whose whole name a hashtag is.
    pub(super) fn of_tag(&self, text: &str, value: Range<usize>) -> Option<usize> {
        (value.len() >= FORGIVEN).then(|| self.joined.get(&run_together(text, value)).copied())?
    }

    /// The items named in the prose, best first, without overlap.
    pub(super) fn find(&self, text: &str, prose: &[Word]) -> Vec<Found> {
        // For each name where its words stand: (place in the text, word of the name, share).
        let mut seen: HashMap<usize, Vec<(usize, u32, f32)>> = HashMap::new();
        for (place, word) in prose.iter().enumerate() {
            for (hash, share) in self.meant(text, word) {
                let holders = self.holders.get(&hash).map(Vec::as_slice).unwrap_or_default();
                if holders.len() <= COMMON {
                    for name in holders {
                        seen.entry(*name).or_default().push((place, hash, share));
                    }
                }
            }
        }
        let mut found: Vec<Found> = Vec::new();
        for (name, places) in seen {
            found.extend(self.best_window(&self.names[name], &places, prose));
        }
        // A total order: the same text gives the same links on every run.
        found.sort_by(|a, b| {
            let longer = b.range.len().cmp(&a.range.len());
            b.score.total_cmp(&a.score).then(longer).then(a.item.cmp(&b.item))
        });
        let mut kept: Vec<Found> = Vec::new();
        for one in found {
            let free = |k: &Found| k.range.end <= one.range.start || one.range.end <= k.range.start;
            if kept.iter().all(free) {
                kept.push(one);
            }
        }
        kept
    }

    /// The words of names a word of the text may stand for, and how surely.
    fn meant(&self, text: &str, word: &Word) -> Vec<(u32, f32)> {
        if self.holders.contains_key(&word.hash) {
            return vec![(word.hash, 1.0)];
        }
        if word.len() < FORGIVEN || word.digits {
            return Vec::new();
        }
        let mut meant: Vec<(u32, f32)> = Vec::new();
        let shorts = without_one(&text[word.range()]);
        for short in shorts.iter().chain(std::iter::once(&word.hash)) {
            let of = self.shortened.get(short).map(Vec::as_slice).unwrap_or_default();
            let whole = self.holders.contains_key(short).then_some(*short);
            for hash in of.iter().copied().chain(whole) {
                if !meant.iter().any(|(known, _)| *known == hash) {
                    meant.push((hash, 0.8));
                }
            }
        }
        meant
    }

    /// How much a word tells: less the more names hold it.
    fn weight(&self, hash: u32) -> f32 {
        let holders = self.holders.get(&hash).map_or(1, Vec::len) as f32;
        (1.0 + self.names.len() as f32 / holders).ln()
    }

    fn best_window(
        &self,
        name: &Name,
        places: &[(usize, u32, f32)],
        prose: &[Word],
    ) -> Option<Found> {
        let whole: f32 = name.words.iter().map(|hash| self.weight(*hash)).sum();
        let width = name.words.len() + SLACK;
        let mut best: Option<Found> = None;
        for (first, (from, ..)) in places.iter().enumerate() {
            let (mut sum, mut last) = (0.0, *from);
            let mut counted: Vec<u32> = Vec::new();
            for (place, hash, share) in &places[first..] {
                if *place >= from + width {
                    break;
                }
                if !counted.contains(hash) {
                    counted.push(*hash);
                    sum += share * self.weight(*hash);
                    last = *place;
                }
            }
            let score = sum / whole;
            // One word of several is a coincidence, unless it carries the name.
            let enough = counted.len() > 1 || name.words.len() == 1 || score > 0.8;
            if enough && score >= SURE && best.as_ref().is_none_or(|best| score > best.score) {
                let range = prose[*from].start..prose[last].end;
                best = Some(Found { item: name.item, score: score.min(1.0), range });
            }
        }
        best
    }
}

/// Hashes of a word's plain spelling with each letter left out in turn.
fn without_one(word: &str) -> Vec<u32> {
    let mut plain = Vec::new();
    letters(word, 0..word.len(), &mut plain);
    plain.truncate(24);
    (0..plain.len())
        .map(|out| {
            let rest = plain.iter().enumerate().filter(|(i, _)| *i != out);
            rest.fold(SEED, |hash, (_, letter)| step(hash, letter.plain))
        })
        .collect()
}

fn run_together(text: &str, range: Range<usize>) -> u32 {
    let mut plain = Vec::new();
    letters(text, range, &mut plain);
    plain.iter().fold(SEED, |hash, letter| step(hash, letter.plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<Item> {
        let item = |id: &str, name: &str, brand: Option<&str>| Item {
            id: id.to_owned(),
            name: name.to_owned(),
            brand: brand.map(str::to_owned),
            aliases: Vec::new(),
        };
        vec![
            item("1", "Peptide Lip Tint", Some("Rhode")),
            item("2", "Everyday Canvas Tote", None),
            item("3", "Vestido Midi Floral", None),
        ]
    }

    fn found(text: &str) -> Vec<(String, f32)> {
        let items = items();
        let index = Index::new(&items);
        let found = index.find(text, &words(text));
        found.into_iter().map(|f| (items[f.item].id.clone(), f.score)).collect()
    }

    #[test]
    fn names_are_found_with_words_apart_and_a_wrong_letter() {
        assert_eq!(found("the rhode peptide lip tint again")[0], ("1".to_owned(), 1.0));
        let (id, score) = found("my everyday black cavas tote").remove(0);
        assert!(id == "2" && score > 0.8 && score < 1.0);
        assert_eq!(found("vestido floral midi")[0].0, "3");
        assert!(found("a tote of books").is_empty());
    }

    #[test]
    fn a_hashtag_is_a_whole_name() {
        let index = Index::new(&items());
        assert_eq!(index.of_tag("#EverydayCanvasTote", 1..19), Some(1));
        assert_eq!(index.of_tag("#rhodepeptideliptint", 1..20), Some(0));
        assert_eq!(index.of_tag("#tote", 1..5), None);
    }
}
