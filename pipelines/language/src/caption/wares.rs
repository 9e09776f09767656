//! The products of a caption in their wire form, each with what is felt about it.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

use super::appeal::Cta;
use super::types::Request;
use crate::cta::Kind;
use crate::entities::Found;
use crate::prices::Findings;
use crate::products::{self, Hints, MOST_ITEMS, Mentioned};
use crate::sentiment::{self, Label, Source};
use crate::span::{Offsets, Span};
use crate::words::Word;

/// A product or brand the caption speaks of.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Product {
    /// The brand in its own spelling, or the account that is credited; nothing when not told.
    pub brand: Option<String>,
    /// The name without the brand; nothing where only the brand is told.
    pub name: Option<String>,
    /// What sets this piece apart from others of the name.
    pub variant: Variant,
    /// How it is mentioned.
    pub mentioned: Mentioned,
    /// The item of the catalogue it most likely is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// What the words around the mention say of it.
    pub sentiment: Label,
    /// Where it is.
    pub span: Span,
    /// Which rule found it.
    pub rule: &'static str,
    /// How sure that rule is, 0 to 1.
    pub confidence: f32,
}

/// Size and colour, where they are told.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Variant {
    /// As written: `25`, `MM`, `small`.
    pub size: Option<String>,
    /// By its English name.
    pub colour: Option<&'static str>,
}

/// An item of the catalogue and how well it fits.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Link {
    /// The key of the item.
    pub id: String,
    /// 0 to 1: the share of the name's words that are there, by how much they tell.
    pub score: f32,
}

/// The products, in text order.
pub(super) fn products(
    request: &Request,
    prose: Vec<Word>,
    found: &[Found],
    money: &Findings,
    ctas: &[Cta],
    language: &str,
    offsets: &Offsets<'_>,
) -> Vec<Product> {
    let text = request.text.as_str();
    let prices: Vec<Range<usize>> = money.prices.iter().map(|p| p.range.clone()).collect();
    let asks = |cta: &Cta| matches!(cta.kind, Kind::Shop | Kind::LinkBio | Kind::Code);
    let sells = !prices.is_empty() || !money.discounts.is_empty() || ctas.iter().any(asks);
    let hints = Hints { prices: &prices, sells, catalogue: &request.catalogue };
    let wire = |product: products::Product| Product {
        brand: product.brand,
        name: product.name,
        variant: Variant { size: product.size, colour: product.colour },
        mentioned: product.mentioned,
        link: product.link.and_then(|(item, score)| {
            request.catalogue.get(item).map(|item| Link { id: item.id.clone(), score })
        }),
        sentiment: mood(text, found, &product.range, language),
        span: offsets.span(product.range),
        rule: product.rule,
        confidence: product.confidence,
    };
    products::find_in(text, prose, found, &hints).into_iter().map(wire).collect()
}

/// What the sentence around a product says of it; neutral inside tags and handles.
fn mood(text: &str, found: &[Found], product: &Range<usize>, language: &str) -> Label {
    if found.iter().any(|one| one.range.start <= product.start && product.end <= one.range.end) {
        return Label::Neutral;
    }
    let ends = ['.', '!', '?', '\n', ';', '。', '！', '？'];
    let before = text[..product.start].rfind(ends).map_or(0, |at| at + 1);
    let start = (before..=product.start).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let end = text[product.end..].find(ends).map_or(text.len(), |at| product.end + at + 1);
    let end = (end..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let sentence = &text[start..end];
    let inside = found.iter().filter(|one| one.range.start >= start && one.range.end <= end);
    let mut skip: Vec<Range<usize>> =
        inside.map(|one| one.range.start - start..one.range.end - start).collect();
    skip.push(product.start - start..product.end - start);
    skip.sort_by_key(|range| range.start);
    skip.dedup_by(|b, a| b.start < a.end);
    sentiment::read(sentence, &skip, language, Source::Caption).label
}

/// Says when not all of the catalogue was read.
pub(super) fn note(request: &Request) -> Option<String> {
    let count = request.catalogue.len();
    let over = count > MOST_ITEMS;
    over.then(|| format!("catalogue: {count} items, only the first {MOST_ITEMS} were read"))
}

#[cfg(test)]
mod tests {
    use super::super::{Request, parse};
    use super::*;

    fn parsed(json: &str) -> super::super::Caption {
        parse(&serde_json::from_str::<Request>(json).unwrap())
    }

    #[test]
    fn products_are_linked_to_the_catalogue_of_the_job() {
        let caption = parsed(
            r#"{"text":"I love my Rhode Peptide Lip Tint! 20€",
                "catalogue":[{"id":"sku-1","name":"Peptide Lip Tint","brand":"Rhode"}]}"#,
        );
        let product = &caption.products[0];
        assert_eq!(product.brand.as_deref(), Some("Rhode"));
        let link = product.link.as_ref().unwrap();
        assert!(link.id == "sku-1" && link.score > 0.9);
        assert_eq!(product.sentiment, Label::Positive);
    }

    #[test]
    fn a_brand_alone_has_no_name_on_the_wire() {
        let caption = parsed(r#"{"text":"a day with Chanel"}"#);
        let wire = serde_json::to_value(&caption.products[0]).unwrap();
        assert_eq!(wire["brand"], "Chanel");
        assert!(wire["name"].is_null() && wire["variant"]["size"].is_null());
        assert_eq!(wire["mentioned"], "brand");
    }
}
