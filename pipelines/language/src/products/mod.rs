//! Products a caption speaks of: brand, name, size and colour, with the bytes they stand on.
//!
//! Known brands and lines are looked up word by word, and letter by letter inside hashtags and
//! handles. Names nobody knows are read from capitals, prices and credits beside things that are
//! sold. A shop's catalogue, when it is given, is searched as well and linked to.

mod catalogue;
mod generic;
mod lexicon;
mod merge;
mod prose;
mod tags;
#[cfg(test)]
mod tests;

use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

pub use catalogue::{Item, MOST_ITEMS};

use crate::entities::{self, Found};
use crate::words::{Word, outside, words};
use merge::Merge;
use prose::Prose;

/// What kind of mention it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mentioned {
    /// By its name.
    Named,
    /// The brand only.
    Brand,
    /// A thing without a name of its own, offered or credited.
    Thing,
    /// Pointed at: "this one", "this bag".
    Deictic,
}

/// A product in running text. Ranges are in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// The brand, in its own spelling where it is known, else the account that is credited.
    pub brand: Option<String>,
    /// The name without the brand.
    pub name: Option<String>,
    /// Size as written.
    pub size: Option<String>,
    /// Colour by its English name.
    pub colour: Option<&'static str>,
    /// How it is mentioned.
    pub mentioned: Mentioned,
    /// The item of the catalogue it is, and how well that fits (0 to 1).
    pub link: Option<(usize, f32)>,
    /// Bytes of the text.
    pub range: Range<usize>,
    /// The rule that found it.
    pub rule: &'static str,
    /// From 0 to 1.
    pub confidence: f32,
}

/// What the caller knows about a text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints<'a> {
    /// Prices found in the text, in order.
    pub prices: &'a [Range<usize>],
    /// The text asks readers to buy.
    pub sells: bool,
    /// The shop's products.
    pub catalogue: &'a [Item],
}

/// Mentions beyond this number are dropped, the last first.
pub const MOST: usize = 50;

/// The products of a caption, in text order. `found` are its entities, in order.
#[must_use]
pub fn find(text: &str, found: &[Found], hints: &Hints<'_>) -> Vec<Product> {
    let entities: Vec<Range<usize>> = found.iter().map(|one| one.range.clone()).collect();
    find_in(text, outside(&words(text), &entities), found, hints)
}

/// The same where the words outside of entities are known.
pub(crate) fn find_in(
    text: &str,
    words: Vec<Word>,
    found: &[Found],
    hints: &Hints<'_>,
) -> Vec<Product> {
    let tags = tags_of(text, found);
    let prose = Prose::new(text, words, hints.prices);
    let catalogue = !hints.catalogue.is_empty();
    if tags.is_empty() && !catalogue && !prose.promising() {
        return Vec::new();
    }
    let accounts: Vec<Range<usize>> = found
        .iter()
        .filter(|one| one.kind == entities::Kind::Mention)
        .map(|one| one.range.clone())
        .collect();
    let mut merge = Merge::new(text, &prose, &tags);
    merge.named();
    merge.tags(&tags);
    let around = generic::Around { accounts: &accounts, prices: hints.prices, sells: hints.sells };
    merge.things(generic::things(&prose, &merge.taken(), around));
    if catalogue {
        let index = catalogue::Index::new(hints.catalogue);
        merge.link(hints.catalogue, index.find(text, &prose.words), "product:catalogue");
        let tagged = found.iter().filter(|one| one.kind == entities::Kind::Hashtag);
        let tagged = tagged.filter_map(|one| {
            let item = index.of_tag(text, one.value.clone())?;
            Some(catalogue::Found { item, score: 0.95, range: one.range.clone() })
        });
        merge.link(hints.catalogue, tagged.collect(), "product:catalogue_tag");
    }
    merge.done()
}

fn tags_of(text: &str, found: &[Found]) -> Vec<tags::Tag> {
    let mut room = Vec::new();
    let mut tags = Vec::new();
    for one in found {
        let handle = match one.kind {
            entities::Kind::Hashtag => false,
            entities::Kind::Mention | entities::Kind::List => true,
            _ => continue,
        };
        tags.extend(tags::read(text, &one.range, &one.value, handle, &mut room));
    }
    tags
}
