//! What a model adds to a parsed caption: the mood, products and calls the rules did not find.
//! Entities, prices, discounts and codes are always those of the rules.

use std::ops::Range;

use flotilla_core::{JobContext, JobError};
use flotilla_language::caption::{Caption, Cta, Mode, Product, Request, Variant};
use flotilla_language::cta;
use flotilla_language::products::Mentioned;
use flotilla_language::sentiment::{Label, Sentiment};
use flotilla_language::span::Offsets;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::{Declined, Model};
use crate::prompt::Prompt;

/// What the model says of a caption.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    sentiment: Label,
    score: f32,
    confidence: f32,
    products: Vec<ToldProduct>,
    calls: Vec<ToldCall>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldProduct {
    quote: String,
    brand: Option<String>,
    name: Option<String>,
    sentiment: Label,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldCall {
    quote: String,
    kind: cta::Kind,
}

/// Products and calls of the model beyond this number are not looked at.
const MOST: usize = 50;
/// How sure a finding is that only the model made.
const SURE: f32 = 0.7;

const TASK: &str = "The data holds a social media caption. Say the mood of its author: the label, a \
score from -1 to 1 and your confidence from 0 to 1. List the products it speaks of, each with the words \
of the caption that name it, its brand and its name as written there (null where they are not). List what \
it asks readers to do, each with the words that ask.";

/// Asks the model about a caption and merges what it says. Without an answer the caption comes
/// back as it is, with a note that says why.
///
/// # Errors
/// `Snooze` while the model's account must be paid ([`Model::wait`]).
pub async fn refine(
    model: &Model,
    cx: &JobContext,
    request: &Request,
    local: Caption,
) -> Result<Caption, JobError> {
    let prompt = Prompt {
        name: "caption",
        task: TASK.to_owned(),
        data: json!({"caption": request.text}),
        schema: schema(),
        image: None,
    };
    match model.ask(cx, &prompt, check).await {
        Ok(told) => Ok(merge(&request.text, local, told)),
        Err(declined) => match model.wait(cx, &declined) {
            Some(wait) => Err(wait),
            None => Ok(declined_note(local, &declined)),
        },
    }
}

fn declined_note(mut local: Caption, declined: &Declined) -> Caption {
    local.notes.push(format!("model: {declined}"));
    local
}

/// What the schema cannot say.
fn check(told: &Told) -> Result<(), String> {
    let agrees = match told.sentiment {
        Label::Negative => told.score <= 0.0,
        Label::Neutral => told.score.abs() <= 0.6,
        Label::Positive => told.score >= 0.0,
    };
    if !(-1.0..=1.0).contains(&told.score) || !(0.0..=1.0).contains(&told.confidence) {
        return Err("score must be -1 to 1 and confidence 0 to 1".to_owned());
    }
    agrees.then_some(()).ok_or_else(|| "score and sentiment contradict each other".to_owned())
}

fn schema() -> Value {
    let moods = json!({"type": "string", "enum": ["negative", "neutral", "positive"]});
    let maybe = json!({"type": ["string", "null"]});
    let kinds = json!([
        "shop", "link_bio", "follow", "like", "comment", "tag", "save", "share", "dm", "visit",
        "signup", "code", "watch", "other"
    ]);
    let closed = |fields: Value| {
        let names: Vec<&String> =
            fields.as_object().into_iter().flatten().map(|(k, _)| k).collect();
        json!({"type": "object", "properties": fields, "required": names, "additionalProperties": false})
    };
    let product = closed(
        json!({"quote": {"type": "string"}, "brand": maybe, "name": maybe, "sentiment": moods}),
    );
    let call =
        closed(json!({"quote": {"type": "string"}, "kind": {"type": "string", "enum": kinds}}));
    closed(json!({
        "sentiment": moods,
        "score": {"type": "number"},
        "confidence": {"type": "number"},
        "products": {"type": "array", "items": product},
        "calls": {"type": "array", "items": call},
    }))
}

/// Puts together what the rules and the model found. Every quote is looked for in the text; what
/// is not there was made up, is dropped, and counted in a note.
#[must_use]
pub fn merge(text: &str, mut caption: Caption, told: Told) -> Caption {
    let offsets = Offsets::new(text);
    caption.sentiment = Sentiment {
        label: told.sentiment,
        score: told.score,
        confidence: told.confidence,
        rule: "sentiment:llm",
    };
    let mut invented = 0;
    for product in told.products.into_iter().take(MOST) {
        let written = |name: Option<String>| name.filter(|name| stands_in(text, name));
        let (brand, name) = (written(product.brand), written(product.name));
        let nowhere = product.quote.trim().is_empty() || !text.contains(product.quote.trim());
        if nowhere || (brand.is_none() && name.is_none()) {
            invented += 1;
            continue;
        }
        let taken: Vec<Range<usize>> = caption.products.iter().map(|p| p.span.range()).collect();
        let Some(range) = place(text, &product.quote, &taken) else {
            complete(&mut caption.products, text, &product.quote, brand, name);
            continue;
        };
        let mentioned = if name.is_some() { Mentioned::Named } else { Mentioned::Brand };
        caption.products.push(Product {
            brand,
            name,
            variant: Variant { size: None, colour: None },
            mentioned,
            link: None,
            sentiment: product.sentiment,
            span: offsets.span(range),
            rule: "product:llm",
            confidence: SURE,
        });
    }
    for call in told.calls.into_iter().take(MOST) {
        let taken: Vec<Range<usize>> = caption.ctas.iter().map(|c| c.span.range()).collect();
        let Some(range) = place(text, &call.quote, &taken) else {
            invented += usize::from(!text.contains(&call.quote) || call.quote.is_empty());
            continue;
        };
        caption.ctas.push(Cta {
            kind: call.kind,
            span: offsets.span(range),
            urgency: 0.2,
            target: None,
            rule: "cta:llm",
            confidence: SURE,
        });
    }
    caption.products.sort_by_key(|product| product.span.byte);
    caption.ctas.sort_by_key(|cta| cta.span.byte);
    if invented > 0 {
        caption
            .notes
            .push(format!("model: {invented} findings dropped, their words are not in the text"));
    }
    caption.mode = Mode::Model;
    caption
}

/// The rules found the mention as well: the model says what they could not tell of it.
fn complete(
    known: &mut [Product],
    text: &str,
    quote: &str,
    brand: Option<String>,
    name: Option<String>,
) {
    let Some(at) = text.find(quote.trim()) else { return };
    let range = at..at + quote.trim().len();
    let over = |p: &&mut Product| p.span.byte[0] < range.end && range.start < p.span.byte[1];
    if let Some(product) = known.iter_mut().find(over) {
        product.brand = product.brand.take().or(brand);
        product.name = product.name.take().or(name);
    }
}

/// Where a quote stands in the text, apart from what is taken; nothing for blank quotes.
fn place(text: &str, quote: &str, taken: &[Range<usize>]) -> Option<Range<usize>> {
    let quote = quote.trim();
    if quote.is_empty() {
        return None;
    }
    let free = |range: &Range<usize>| {
        taken.iter().all(|other| range.end <= other.start || other.end <= range.start)
    };
    text.match_indices(quote).map(|(at, found)| at..at + found.len()).find(free)
}

fn stands_in(text: &str, name: &str) -> bool {
    let name = name.trim();
    !name.is_empty() && (text.contains(name) || text.to_lowercase().contains(&name.to_lowercase()))
}
