//! Words without matter, by language: they end a phrase. From stopwords-iso (MIT), of which
//! the English list holds many plain nouns; those are only doubtful.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::sync::{LazyLock, OnceLock};

use crate::hash::WordHasher;

/// How little a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// Ends a phrase.
    None,
    /// May be part of one.
    Little,
    /// Is matter.
    Full,
}

/// English words of the list that phrases are made of.
const NOUNS: &str = "area areas bill case cases cause causes changes computer copy course date \
    detail different effect face faces fact facts fire first front full general great group groups \
    high home homepage important index information inner interest interests invention kind known \
    large line long member members mill mine name new novel number numbers open order page pages \
    part parts place places point points present problem problems recent research result results \
    right ring room rooms second section self side sides significant similar site small state \
    states system test text thick thin thing things third three thought thoughts turn two value \
    volume website well width work working works world year years young zero";

type Set = HashSet<u64, BuildHasherDefault<WordHasher>>;

/// The stop words of one language.
#[derive(Debug)]
pub(super) struct Stopwords {
    none: Set,
    little: Set,
}

impl Stopwords {
    /// Those of a language (ISO 639-1); without a list, English, whose words are everywhere.
    pub(super) fn of(language: &str) -> &'static Self {
        static LISTS: LazyLock<HashMap<&str, OnceLock<Stopwords>>> = LazyLock::new(|| {
            stop_words::available_languages().iter().map(|l| (*l, OnceLock::new())).collect()
        });
        static NOTHING: LazyLock<Stopwords> =
            LazyLock::new(|| Stopwords { none: Set::default(), little: Set::default() });
        let known = LISTS.get_key_value(language).or_else(|| LISTS.get_key_value("en"));
        known.map_or(&NOTHING, |(language, list)| list.get_or_init(|| Self::read(language)))
    }

    fn read(language: &str) -> Self {
        let list = stop_words::lookup(language).unwrap_or_default();
        let hashed = |word: &str| crate::hash::hash(&word.replace('\'', "’"));
        let mut none: Set = list.iter().map(|w| hashed(w)).collect();
        let mut little = Set::default();
        if language == "en" {
            for noun in NOUNS.split_ascii_whitespace() {
                none.remove(&hashed(noun));
                little.insert(hashed(noun));
            }
        } else {
            let both = ["the", "and", "of", "to", "in", "for", "with", "you", "is", "my", "your"];
            none.extend(both.map(hashed));
        }
        Self { none, little }
    }

    /// How little a word in lower case says, by its hash.
    pub(super) fn weight(&self, word: u64) -> Weight {
        if self.none.contains(&word) {
            Weight::None
        } else if self.little.contains(&word) {
            Weight::Little
        } else {
            Weight::Full
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_language_has_its_words() {
        for (language, word) in [
            ("en", "the"),
            ("en", "don’t"),
            ("es", "para"),
            ("pt", "não"),
            ("fr", "dans"),
            ("de", "nicht"),
            ("it", "della"),
            ("vi", "của"),
            ("ru", "что"),
            ("xx", "the"),
        ] {
            let weight = Stopwords::of(language).weight(crate::hash::hash(word));
            assert_eq!(weight, Weight::None, "{language} {word}");
        }
        let english = Stopwords::of("en");
        assert_eq!(english.weight(crate::hash::hash("research")), Weight::Little);
        assert_eq!(english.weight(crate::hash::hash("handbag")), Weight::Full);
    }
}
