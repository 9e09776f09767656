//! Brings together what prose, tags and things say of the same product: one entry for each.

use std::ops::Range;

use super::catalogue::{self, Item};
use super::generic::{Thing, Why};
use super::lexicon::Lexicon;
use super::prose::{Named, Prose};
use super::tags::{self, Tag};
use super::{MOST, Mentioned, Product};

/// A product, with the keys it is known by.
#[derive(Debug)]
struct Entry {
    brand: Option<u16>,
    model: Option<u16>,
    product: Product,
}

/// What was found so far.
#[derive(Debug)]
pub(super) struct Merge<'t> {
    text: &'t str,
    prose: &'t Prose<'t>,
    /// Brands the caption surely speaks of.
    brands: Vec<u16>,
    entries: Vec<Entry>,
}

impl<'t> Merge<'t> {
    pub(super) fn new(text: &'t str, prose: &'t Prose<'t>, tags: &[Tag]) -> Self {
        let mut brands = prose.brands();
        for tag in tags {
            // A tag that is a common word confirms the brand only beside the word with a capital.
            brands.extend(tag.brand);
            let mut models = tag.models.iter().filter(|(_, _, vague)| !vague);
            if let (Some((brand, ..)), None) = (models.next(), models.next()) {
                brands.push(*brand);
            }
        }
        brands.sort_unstable();
        brands.dedup();
        Self { text, prose, brands, entries: Vec::new() }
    }

    /// What the prose names.
    pub(super) fn named(&mut self) {
        for named in self.prose.named(&self.brands) {
            let name = named.name.clone().and_then(|range| self.text.get(range));
            let (rule, confidence) = match (named.model, &named.name) {
                (Some(_), _) => ("product:line", 0.9),
                (None, Some(_)) => ("product:brand_and_name", 0.75),
                (None, None) => ("product:brand", 0.6),
            };
            let name = name.map(str::to_owned);
            self.add(named, name, rule, confidence);
        }
    }

    fn add(&mut self, named: Named, name: Option<String>, rule: &'static str, confidence: f32) {
        let lexicon = Lexicon::get();
        let mentioned = if name.is_some() { Mentioned::Named } else { Mentioned::Brand };
        let product = Product {
            brand: named.brand.map(|brand| lexicon.brand_name(brand).to_owned()),
            name,
            size: named.size.and_then(|range| self.text.get(range)).map(str::to_owned),
            colour: named.colour,
            mentioned,
            link: None,
            range: named.range,
            rule,
            confidence,
        };
        self.push(Entry { brand: named.brand, model: named.model, product });
    }

    /// Keeps an entry unless one like it is there.
    fn push(&mut self, entry: Entry) {
        let same = |known: &Entry| {
            known.brand == entry.brand
                && match (&known.product.name, &entry.product.name) {
                    (_, None) => true,
                    (Some(known_name), Some(name)) => {
                        let line = known.model.is_some() && known.model == entry.model;
                        let sizes = (&known.product.size, &entry.product.size);
                        let sized = matches!(sizes, (None, _) | (_, None)) || sizes.0 == sizes.1;
                        line && sized || same_name(known_name, name)
                    }
                    (None, Some(_)) => false,
                }
        };
        if let Some(known) = self.entries.iter_mut().find(|known| same(known)) {
            let (size, colour) = (entry.product.size, entry.product.colour);
            known.product.size = known.product.size.take().or(size);
            known.product.colour = known.product.colour.or(colour);
            return;
        }
        // The name tells more than the brand alone did.
        if entry.product.name.is_some() {
            self.entries.retain(|known| known.brand != entry.brand || known.product.name.is_some());
        }
        self.entries.push(entry);
    }

    /// What tags and handles name beyond the prose.
    pub(super) fn tags(&mut self, tags: &[Tag]) {
        for tag in tags {
            let model = self.model_of(tag);
            let brand = model.map(|(brand, _)| brand).or(tag.brand.filter(|_| !tag.vague));
            let Some(brand) = brand else { continue };
            let model = model.map(|(_, model)| model);
            if model.is_some() && self.knows(brand, model) {
                continue;
            }
            let name = model.map(|model| Lexicon::get().model_name(model).to_owned());
            let (rule, confidence) = match (tag.handle, model.is_some()) {
                (true, _) => ("product:handle", 0.5),
                (_, true) => ("product:tag", 0.75),
                (_, false) => ("product:brand_tag", 0.5),
            };
            let named = Named {
                range: tag.range.clone(),
                name: None,
                brand: Some(brand),
                model,
                size: tag.size.clone(),
                colour: tag.colour,
            };
            self.add(named, name, rule, confidence);
        }
    }

    /// The line a tag means: one of its own brand, of a brand in the caption, or a plain name.
    fn model_of(&self, tag: &Tag) -> Option<(u16, u16)> {
        let speaks = |brand: &u16| self.brands.binary_search(brand).is_ok();
        let of = |known: &dyn Fn(&(u16, u16, bool)) -> bool| {
            tag.models.iter().rev().find(|m| known(m)).map(|m| (m.0, m.1))
        };
        of(&|m| Some(m.0) == tag.brand).or_else(|| of(&|m| speaks(&m.0))).or_else(|| of(&|m| !m.2))
    }

    fn knows(&self, brand: u16, model: Option<u16>) -> bool {
        self.entries.iter().any(|known| known.brand == Some(brand) && known.model == model)
    }

    /// Where products stand already.
    pub(super) fn taken(&self) -> Vec<Range<usize>> {
        self.entries.iter().map(|entry| entry.product.range.clone()).collect()
    }

    /// Things without a known name.
    pub(super) fn things(&mut self, things: Vec<Thing>) {
        for thing in things {
            let written = self.text.get(thing.range.clone()).unwrap_or_default().to_owned();
            let (mentioned, rule, confidence) = match thing.why {
                Why::Capital => (Mentioned::Named, "product:capital", 0.55),
                Why::Price => (Mentioned::Thing, "product:price", 0.5),
                Why::Credit => (Mentioned::Thing, "product:credit", 0.55),
                Why::Pointed => (Mentioned::Deictic, "product:pointed", 0.3),
            };
            let (brand, name) = self.brand_of(&thing);
            let product = Product {
                brand: name,
                name: Some(written),
                size: None,
                colour: self.colour_in(&thing.range),
                mentioned,
                link: None,
                range: thing.range,
                rule,
                confidence,
            };
            self.push(Entry { brand, model: None, product });
        }
    }

    /// The account a thing is credited to, or the one brand of the caption.
    fn brand_of(&self, thing: &Thing) -> (Option<u16>, Option<String>) {
        let lexicon = Lexicon::get();
        let named = |brand: u16| (Some(brand), Some(lexicon.brand_name(brand).to_owned()));
        if let Some(account) = &thing.account {
            let value = account.start + 1..account.end;
            let tag = tags::read(self.text, account, &value, true, &mut Vec::new());
            return match tag.and_then(|tag| tag.brand) {
                Some(brand) => named(brand),
                None => (None, self.text.get(value).map(str::to_owned)),
            };
        }
        match self.brands.as_slice() {
            [only] if thing.why == Why::Capital => named(*only),
            _ => (None, None),
        }
    }

    fn colour_in(&self, range: &Range<usize>) -> Option<&'static str> {
        let from =
            self.prose.marks.partition_point(|m| self.prose.words[m.from].start < range.start);
        let marks = self.prose.marks[from..].iter();
        marks
            .take_while(|mark| self.prose.words[mark.from].start < range.end)
            .find_map(super::prose::Mark::colour)
    }

    /// Links products to the items found where they stand; adds those found elsewhere.
    pub(super) fn link(
        &mut self,
        items: &[Item],
        found: Vec<catalogue::Found>,
        rule: &'static str,
    ) {
        for catalogue::Found { item, score, range } in found {
            let Some(named) = items.get(item) else { continue };
            let link = Some((item, score));
            let here = self.entries.iter_mut().find(|entry| {
                let at = &entry.product.range;
                at.start < range.end && range.start < at.end
            });
            if let Some(entry) = here {
                if entry.product.link.is_none_or(|(_, known)| known < score) {
                    entry.product.link = link;
                }
                continue;
            }
            // A brand alone, or a tag of the same item, is the same product.
            if self.entries.iter().any(|entry| entry.product.link.is_some_and(|l| l.0 == item)) {
                continue;
            }
            let product = Product {
                brand: named.brand.clone(),
                name: Some(named.name.clone()),
                size: None,
                colour: self.colour_in(&range),
                mentioned: Mentioned::Named,
                link,
                range,
                rule,
                confidence: score,
            };
            self.entries.push(Entry { brand: None, model: None, product });
        }
    }

    /// The products in text order.
    pub(super) fn done(self) -> Vec<Product> {
        let mut products: Vec<Product> =
            self.entries.into_iter().map(|entry| entry.product).collect();
        products.sort_by_key(|product| (product.range.start, product.range.end));
        products.truncate(MOST);
        products
    }
}

/// Whether one name says nothing beyond the other.
fn same_name(known: &str, name: &str) -> bool {
    let plain = |name: &str| -> String {
        let kept = name.chars().filter(|c| c.is_alphanumeric());
        kept.flat_map(char::to_lowercase).collect()
    };
    let (known, name) = (plain(known), plain(name));
    known == name || (name.len() >= 4 && known.contains(&name))
}
