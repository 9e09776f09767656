//! A tree of product categories, and the search for those a text speaks of.
//!
//! Every name is a handful of words; a category is found when its last word (the thing) is in the
//! text, and the surer the more of its other words are. Names that join things (`Jeans & Denim`)
//! count for each.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::LazyLock;

use super::Category;
use crate::hash::{WordHasher, hash};
use crate::keyphrases::is_word;
use crate::props::push_lower;

const CATEGORIES: &str = include_str!("../../data/product_categories.tsv");
const WORDS: &str = include_str!("../../data/product_words.tsv");

/// A word in more names than this finds nothing by itself.
const COMMON: usize = 160;
/// No more words of a text are looked up.
const MOST_WORDS: usize = 256;
/// What people call things is surer than words of names.
const CALLED: f32 = 1.6;

/// A tree of product categories.
#[derive(Debug, Clone, Default)]
pub struct Taxonomy {
    nodes: Vec<Node>,
    names: Vec<Name>,
    /// The names that end in a word.
    by_thing: HashMap<u64, Vec<u32>, BuildHasherDefault<WordHasher>>,
}

#[derive(Debug, Clone)]
struct Node {
    id: String,
    name: String,
    parent: Option<u32>,
    depth: u8,
    google: Option<u32>,
}

/// One way to name a category.
#[derive(Debug, Clone)]
struct Name {
    node: u32,
    words: Vec<u64>,
    factor: f32,
}

/// A category found in a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    node: u32,
    /// 0 to 1.
    pub confidence: f32,
    /// Where the word that names the thing stands among the words given.
    pub word: usize,
}

/// Shopify's tree with Google's numbers, compiled in.
#[must_use]
pub fn shopify() -> &'static Taxonomy {
    static TREE: LazyLock<Taxonomy> = LazyLock::new(built_in);
    &TREE
}

fn built_in() -> Taxonomy {
    let mut tree = Taxonomy::default();
    let mut places: HashMap<&str, u32> = HashMap::new();
    for line in CATEGORIES.lines() {
        let mut fields = line.split('\t');
        let (Some(id), Some(name)) = (fields.next(), fields.next()) else { continue };
        let parent = id.rsplit_once('-').and_then(|(up, _)| places.get(up).copied());
        let google = fields.next().and_then(|n| n.parse().ok());
        places.insert(id, tree.add(id, name, parent, google));
    }
    for line in WORDS.lines().filter(|l| !l.starts_with('#')) {
        let Some((id, words)) = line.split_once('\t') else { continue };
        if let Some(node) = places.get(id) {
            words.split('|').for_each(|name| tree.call(*node, name, CALLED));
        }
    }
    tree
}

impl Taxonomy {
    /// Reads a published list: `id - A > B` (Google) or `gid://…/id : A > B` (Shopify) by line,
    /// parents before children. Lines of another form are left out.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        let mut tree = Self::default();
        let mut places: HashMap<String, u32> = HashMap::new();
        for line in list.lines().filter(|l| !l.starts_with('#')) {
            let Some((id, path)) = line.split_once(" : ").or_else(|| line.split_once(" - ")) else {
                continue;
            };
            let (id, path) = (id.trim().rsplit('/').next().unwrap_or_default(), path.trim());
            let (up, name) = path.rsplit_once(" > ").unwrap_or(("", path));
            let node = tree.add(id, name, places.get(up).copied(), None);
            places.insert(path.to_owned(), node);
        }
        tree
    }

    fn add(&mut self, id: &str, name: &str, parent: Option<u32>, google: Option<u32>) -> u32 {
        let depth = parent.map_or(0, |p| self.nodes[p as usize].depth.saturating_add(1));
        let node = self.nodes.len() as u32;
        self.nodes.push(Node { id: id.to_owned(), name: name.to_owned(), parent, depth, google });
        let parts: Vec<&str> =
            name.split(['&', ',', '/', '(']).filter(|p| !p.trim().is_empty()).collect();
        let factor = if parts.len() > 1 { 0.8 } else { 1.0 };
        parts.iter().for_each(|part| self.call(node, part, factor));
        node
    }

    fn call(&mut self, node: u32, name: &str, factor: f32) {
        let words = words_of(name);
        if let Some(thing) = words.last() {
            self.by_thing.entry(*thing).or_default().push(self.names.len() as u32);
            self.names.push(Name { node, words, factor });
        }
    }

    /// The categories of a text given as words ([`word`]), best first, at most `top`.
    #[must_use]
    pub fn find(&self, words: &[u64], top: usize) -> Vec<Found> {
        let words = &words[..words.len().min(MOST_WORDS)];
        let mut best: Vec<(u32, f32, usize)> = Vec::new();
        // Most words of names are not there: one bit of each says so at once.
        let bits = words.iter().fold(0_u64, |bits, word| bits | 1 << (word >> 58));
        let stands = |word: &u64| bits >> (word >> 58) & 1 == 1 && words.contains(word);
        for (at, thing) in words.iter().enumerate() {
            let Some(names) = self.by_thing.get(thing) else { continue };
            for name in names.iter().map(|n| &self.names[*n as usize]) {
                if names.len() > COMMON && name.words.len() == 1 && name.factor < 1.0 {
                    continue;
                }
                let there = name.words.iter().filter(|w| stands(w)).count();
                let missing = name.words.len() - there;
                if missing > 1 || (missing == 1 && name.words.len() < 3) {
                    continue;
                }
                let share = there as f32 / name.words.len() as f32;
                let more = 1.0 + 0.35 * (there as f32 - 1.0);
                let depth = f32::from(self.nodes[name.node as usize].depth);
                // A thing named late in a title is what is sold.
                let late = 0.15 * (at + 1) as f32 / words.len() as f32;
                let score = name.factor * share * share * more * (1.1 - 0.06 * depth) + late;
                best.push((name.node, score, at));
            }
        }
        best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut found: Vec<(u32, f32, usize)> = Vec::new();
        for one in best {
            if found.len() < top.max(4) && found.iter().all(|f| f.0 != one.0) {
                found.push(one);
            }
        }
        let weight = |score: f32| (3.0 * score).exp();
        let all: f32 = found.iter().map(|f| weight(f.1)).sum();
        let sure = found.first().map_or(0.0, |f| sigmoid(2.2 * f.1 - 2.4));
        let told = |(node, score, word): (u32, f32, usize)| Found {
            node,
            confidence: sure * weight(score) / all,
            word,
        };
        found.into_iter().take(top).map(told).collect()
    }

    /// A found category with its id and path.
    #[must_use]
    pub fn category(&self, found: &Found) -> Category {
        let id = self.nodes.get(found.node as usize).map(|n| n.id.clone());
        Category { id, path: self.path(found.node), confidence: found.confidence }
    }

    /// The category with Google's number: its own or the nearest above it that has one.
    #[must_use]
    pub fn google(&self, found: &Found) -> Option<Category> {
        let mut at = Some(found.node);
        while let Some(node) = at {
            let here = self.nodes.get(node as usize)?;
            if let Some(number) = here.google {
                let (path, confidence) = (self.path(node), found.confidence);
                return Some(Category { id: Some(number.to_string()), path, confidence });
            }
            at = here.parent;
        }
        None
    }

    /// The name of a found category.
    #[must_use]
    pub fn name(&self, found: &Found) -> &str {
        self.nodes.get(found.node as usize).map_or("", |n| &n.name)
    }

    fn path(&self, node: u32) -> String {
        let mut names = Vec::new();
        let mut at = Some(node);
        while let Some(here) = at.and_then(|n| self.nodes.get(n as usize)) {
            names.push(here.name.as_str());
            at = here.parent;
        }
        names.reverse();
        names.join(" > ")
    }

    /// Whether a thing is called by this word in the tree.
    pub(crate) fn knows(&self, word: u64) -> bool {
        self.by_thing.contains_key(&word)
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The words of a text as the tree looks them up: lower case, plural and singular alike.
#[must_use]
pub fn words_of(text: &str) -> Vec<u64> {
    let mut lower = String::with_capacity(text.len());
    push_lower(text, &mut lower);
    lower.split(|c| !is_word(c)).filter(|w| !w.is_empty()).map(word).collect()
}

/// One word in lower case.
#[must_use]
pub fn word(lower: &str) -> u64 {
    let stem = match lower.strip_suffix('s') {
        Some(stem) if stem.len() >= 3 && !stem.ends_with(['s', 'u', 'i']) => {
            stem.strip_suffix("she").map_or(stem, |_| &stem[..stem.len() - 1])
        }
        _ => lower,
    };
    hash(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(text: &str) -> Option<(String, f32)> {
        let tree = shopify();
        let found = tree.find(&words_of(text), 1);
        found.first().map(|f| (tree.category(f).path, f.confidence))
    }

    #[test]
    fn things_are_found_by_name_in_several_languages() {
        for (text, want) in [
            ("Puma Men Grey T-shirt", "Apparel & Accessories"),
            ("red lipstick by Mac", "Health & Beauty"),
            ("um vestido lindo", "Apparel & Accessories"),
            ("wooden dining table", "Furniture"),
        ] {
            let (path, confidence) = best(text).expect(text);
            assert!(path.starts_with(want), "{text}: {path}");
            assert!(confidence > 0.05 && confidence <= 1.0, "{text}: {confidence}");
        }
        assert!(best("").is_none() && best("💥 wow").is_none());
    }

    #[test]
    fn googles_number_is_that_of_the_nearest_shared_category() {
        let tree = shopify();
        let found = tree.find(&words_of("leather handbag"), 1);
        let google = tree.google(&found[0]).expect("handbags are in both");
        assert_eq!(google.id.as_deref(), Some("3032"));
        assert!(google.path.ends_with("Handbags"), "{google:?}");
    }

    #[test]
    fn a_published_list_is_read_and_rubbish_in_it_left_out() {
        let tree = Taxonomy::parse("# v\n1 - Animals\n2 - Animals > Dog Beds\nrubbish\n - \n");
        let found = tree.find(&words_of("a bed for my dog, dog beds"), 3);
        let category = tree.category(&found[0]);
        assert_eq!(
            (category.id.as_deref(), category.path.as_str()),
            (Some("2"), "Animals > Dog Beds")
        );
        assert!(tree.google(&found[0]).is_none());
    }
}
