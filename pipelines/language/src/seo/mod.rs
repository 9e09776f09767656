//! What a shop page about a post says of it: title, description, slug, keywords, structured data.
//!
//! Everything is taken from the text itself, cut at words and at the width that search results
//! show; nothing is invented.

mod clean;
mod width;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::entities::Found;
use crate::entities::chars::is_alphanumeric;
use crate::hash::hash;
use crate::keyphrases::{Keyphrase, is_word};
use crate::prices::Price;
use crate::props::push_lower;
use crate::taxonomy::Category;

pub use clean::{Clean, clean};

/// Most characters of the title and of the description.
pub const TITLE: usize = 60;
/// Most characters of the description.
pub const DESCRIPTION: usize = 155;
/// Shortest description worth showing, where the text has more.
const THIN: usize = 55;
const MOST_KEYWORDS: usize = 10;
const FEWEST_KEYWORDS: usize = 3;

/// The fields of a page about a post.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Seo {
    /// At most 60 characters and as wide as search results show.
    pub title: String,
    /// At most 155 characters.
    pub description: String,
    /// For the address of the page.
    pub slug: String,
    /// Phrases of the text and its hashtags.
    pub keywords: Vec<String>,
    /// JSON-LD: a schema.org `Product` where the text sells something, else a posting.
    pub json_ld: Value,
    /// What the picture shows, as far as the text tells; only when there is a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alt_text: Option<String>,
}

/// What the fields are made of.
#[derive(Debug, Clone, Copy)]
pub struct Material<'a> {
    /// A title that is given goes before the text.
    pub title: Option<&'a str>,
    /// The text.
    pub text: &'a str,
    /// Its entities, in order.
    pub found: &'a [Found],
    /// Its phrases, best first.
    pub phrases: &'a [Keyphrase],
    /// The likeliest product category.
    pub category: Option<&'a Category>,
    /// Its prices.
    pub prices: &'a [Price],
    /// Whether there is a picture.
    pub picture: bool,
}

/// Makes the fields.
#[must_use]
pub fn describe(material: &Material<'_>) -> Seo {
    let clean = clean(material.text, material.found);
    let given = material.title.map(clean::plain).filter(|t| !t.is_empty());
    let source = if clean.prose.is_empty() {
        Cow::Owned(clean.tags.join(" "))
    } else {
        Cow::Borrowed(clean.prose.as_str())
    };
    let title =
        width::cut(given.as_deref().unwrap_or_else(|| headline(&source)), TITLE, width::TITLE);
    let description = description(&title, &source, &clean);
    let keywords = keywords(material, &clean, &title);
    let json_ld = structured(material, &title, &description, &keywords);
    let alt_text = material.picture.then(|| match material.category {
        Some(category) if !title.is_empty() => {
            let thing = category.path.rsplit(" > ").next().unwrap_or_default();
            format!("{thing}: {title}")
        }
        _ => title.clone(),
    });
    Seo { slug: slug(&title), title, description, keywords, json_ld, alt_text }
}

/// The first sentence when it says enough, else as much as fits.
fn headline(prose: &str) -> &str {
    let ends = prose.char_indices().filter(|(i, c)| {
        let next = prose[i + c.len_utf8()..].chars().next();
        matches!(c, '。' | '！' | '？')
            || (matches!(c, '.' | '!' | '?' | '|' | '•' | '…')
                && next.is_none_or(char::is_whitespace))
    });
    for (at, _) in ends {
        let first = prose[..at].trim();
        let length = first.chars().count();
        if length > TITLE {
            break;
        }
        if length >= 18 {
            return first;
        }
    }
    prose
}

fn description(title: &str, source: &str, clean: &Clean) -> String {
    let mut text = without_repeats(source);
    if text.chars().count() < THIN || text == title {
        let more: Vec<&str> = clean
            .tags
            .iter()
            .chain(&clean.names)
            .map(String::as_str)
            .filter(|t| !text.contains(*t))
            .collect();
        if !more.is_empty() {
            text = without_repeats(&format!("{text} · {}", more.join(", ")));
        }
    }
    let text = width::cut(&text, DESCRIPTION, width::DESCRIPTION);
    if text != title {
        return text;
    }
    match text.strip_suffix('.') {
        Some(bare) => bare.to_owned(),
        None => format!("{text}."),
    }
}

/// The text without words that would say the same three words again.
fn without_repeats(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut words: Vec<u64> = Vec::new();
    let mut seen: Vec<[u64; 3]> = Vec::new();
    let (mut lower, mut fresh) = (String::new(), Vec::new());
    let mut shown = 0;
    for piece in text.split(' ').take(80) {
        // Longer than any description: what follows is cut anyway.
        if shown > DESCRIPTION + 1 {
            break;
        }
        let from = words.len();
        lower.clear();
        push_lower(piece, &mut lower);
        // As the readers of search engines part words: marks of vowels end one.
        let inner = |c: char| c == '_' || is_sound(c);
        words.extend(lower.split(|c| !inner(c)).filter(|w| !w.is_empty()).map(hash));
        fresh.clear();
        let rows = from.saturating_sub(2)..words.len().saturating_sub(2);
        fresh.extend(rows.map(|i| [words[i], words[i + 1], words[i + 2]]));
        let twice =
            fresh.iter().enumerate().any(|(i, t)| seen.contains(t) || fresh[..i].contains(t));
        if twice {
            words.truncate(from);
            continue;
        }
        seen.extend_from_slice(&fresh);
        if !out.is_empty() {
            out.push(' ');
        }
        shown += 1 + piece.chars().count();
        out.push_str(piece);
    }
    out
}

/// A letter or digit that is no mark.
fn is_sound(c: char) -> bool {
    c.is_ascii_alphanumeric() || (!c.is_ascii() && is_word(c) && !is_combining_mark(c))
}

/// Letters and digits in lower case, without marks: what two spellings of a phrase share.
fn bare(text: &str) -> String {
    if text.is_ascii() {
        let kept = text.bytes().filter(u8::is_ascii_alphanumeric);
        let mut bare = String::with_capacity(text.len());
        bare.extend(kept.map(|b| char::from(b.to_ascii_lowercase())));
        return bare;
    }
    text.nfkc().flat_map(char::to_lowercase).filter(|c| is_sound(*c)).collect()
}

fn keywords(material: &Material<'_>, clean: &Clean, title: &str) -> Vec<String> {
    let mut keywords: Vec<String> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    let mut add = |text: &str, key: &str, keywords: &mut Vec<String>, most: usize| {
        let fits = keywords.len() < most && text.chars().count() <= 60;
        if fits && !key.is_empty() && !seen.iter().any(|s| s == key) {
            seen.push(key.to_owned());
            keywords.push(text.to_owned());
        }
    };
    let keys: Vec<String> = material.phrases.iter().map(|p| bare(&p.text)).collect();
    let phrases = || material.phrases.iter().zip(&keys).map(|(p, k)| (p.text.as_str(), k.as_str()));
    // One phrase of the title comes first: what the page is found by must stand in it.
    let shown = bare(title);
    let words = || title.split_whitespace().filter(|w| w.chars().any(is_alphanumeric));
    match phrases().find(|(_, key)| !key.is_empty() && shown.contains(key)) {
        Some((text, key)) => add(text, key, &mut keywords, 1),
        None => {
            let longest = words().max_by_key(|w| w.chars().count()).map(trimmed);
            longest.into_iter().for_each(|w| add(w, &bare(w), &mut keywords, 1));
        }
    }
    phrases().take(6).for_each(|(text, key)| add(text, key, &mut keywords, 6));
    for tag in &clean.tags {
        if keywords.len() < MOST_KEYWORDS {
            add(tag, &bare(tag), &mut keywords, MOST_KEYWORDS);
        }
    }
    phrases().for_each(|(text, key)| add(text, key, &mut keywords, MOST_KEYWORDS));
    if keywords.len() < FEWEST_KEYWORDS {
        let all = clean.prose.split_whitespace().map(trimmed);
        let mut rest: Vec<&str> = all.filter(|w| w.chars().count() > 1).collect();
        rest.sort_by_key(|w| std::cmp::Reverse(w.chars().count()));
        let names = clean.names.iter().map(String::as_str);
        rest.into_iter()
            .chain(names)
            .for_each(|w| add(w, &bare(w), &mut keywords, FEWEST_KEYWORDS));
    }
    keywords
}

fn trimmed(word: &str) -> &str {
    word.trim_matches(|c: char| !is_alphanumeric(c) && !is_combining_mark(c))
}

/// Words in lower case with hyphens; accents are left out, other scripts stay.
fn slug(title: &str) -> String {
    if title.is_ascii() {
        return joined(title.chars().map(|c| c.to_ascii_lowercase()));
    }
    joined(title.nfkd().flat_map(char::to_lowercase)).nfc().collect()
}

fn joined(letters: impl Iterator<Item = char>) -> String {
    let mut slug = String::with_capacity(80);
    for c in letters {
        if slug.len() > 70 {
            break;
        }
        if is_alphanumeric(c) || (is_combining_mark(c) && !('\u{300}'..='\u{36f}').contains(&c)) {
            slug.push(c);
        } else if !is_combining_mark(c)
            && c != '\''
            && c != '’'
            && !slug.is_empty()
            && !slug.ends_with('-')
        {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// Sure enough of a product to call the page one.
const SOLD: f32 = 0.35;

fn structured(
    material: &Material<'_>,
    title: &str,
    description: &str,
    keywords: &[String],
) -> Value {
    let category =
        material.category.filter(|c| c.confidence >= SOLD || !material.prices.is_empty());
    let Some(category) = category else {
        return json!({
            "@context": "https://schema.org", "@type": "SocialMediaPosting", "headline": title,
            "description": description, "keywords": keywords.join(", "),
        });
    };
    let mut product = json!({
        "@context": "https://schema.org", "@type": "Product", "name": title,
        "description": description, "category": category.path, "keywords": keywords.join(", "),
    });
    if let Some((price, currency)) = material.prices.iter().find_map(|p| Some((p, p.currency?))) {
        product["offers"] =
            json!({"@type": "Offer", "price": price.amount.to_string(), "priceCurrency": currency});
    }
    product
}

#[cfg(test)]
mod tests;
