//! Tags for a post, with what they stand on: its own hashtags, its phrases and names, its
//! categories, and what similar posts were tagged with.
//!
//! Every suggestion has a score and a reason. Tags are spelled as the platform writes them; spam,
//! banned tags and those on the tenant's deny list never come out.

mod form;
pub mod history;
mod phrase;
mod usual;

use std::borrow::Cow;
use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

pub use form::BANNED;
use form::{Form, key};
use history::{History, Query};

use crate::caption::Mode;
use crate::entities::{Found, Kind, find_all};
use crate::keyphrases::{self, Keyphrase};
use crate::language;
use crate::names::{self, Name};
use crate::platform::{Platform, Rules};
use crate::prices::{self, Hints};
use crate::products::{self, Product};
use crate::seo::{self, Material, Seo};
use crate::taxonomy::{Categories, Category, Taxonomy, content, shopify};
use crate::trends::{Trend, Trends};
use crate::words::{outside, words};

/// A post to be tagged and what is known about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Post<'a> {
    /// The caption.
    pub text: &'a str,
    /// A title beside it.
    pub title: Option<&'a str>,
    /// Where it is posted.
    pub platform: Option<Platform>,
    /// The likely language (ISO 639-1), used where the text does not tell.
    pub language: Option<&'a str>,
    /// The likely country, used for currencies that share a symbol.
    pub country: Option<&'a str>,
    /// Whether a picture comes with it.
    pub picture: bool,
    /// On whose account.
    pub account: Option<&'a str>,
}

/// What the tenant knows and wants.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Earlier posts.
    pub history: Option<&'a History>,
    /// Counts of tags, the region, and the time (Unix seconds).
    pub trends: Option<(&'a Trends, &'a str, i64)>,
    /// Tags that always come, in this order.
    pub allow: &'a [String],
    /// Tags that never come.
    pub deny: &'a [String],
    /// Google's taxonomy, where its published list was given; else Shopify's paths that it shares.
    pub google: Option<&'a Taxonomy>,
    /// Most tags.
    pub most: usize,
}

impl Default for Context<'_> {
    fn default() -> Self {
        Self { history: None, trends: None, allow: &[], deny: &[], google: None, most: 20 }
    }
}

/// A tag without sign.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Tag {
    /// As the platform writes it.
    pub tag: String,
    /// 0 to 1.
    pub score: f32,
    /// What it stands on.
    pub reason: Cow<'static, str>,
}

/// Everything told of a post.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Tagging {
    /// Tags, best first.
    pub tags: Vec<Tag>,
    /// What the text is about, best first.
    pub keyphrases: Vec<Keyphrase>,
    /// Categories, each tree best first.
    pub categories: Categories,
    /// How the suggested tags are doing, best first.
    pub trends: Vec<Trend>,
    /// Fields of a page about the post.
    pub seo: Seo,
    /// What made all this.
    pub mode: Mode,
    /// Doubts and choices the reader should know of.
    pub notes: Vec<String>,
}

const PHRASES: usize = 12;
/// A name that is less sure than this is no tag.
const SURE_NAME: f32 = 0.5;
/// How often a sure name is a tag.
const NAMED: f32 = 0.15;
/// How many tags come however unlikely they are, and how likely the others must be.
const FEW: usize = 5;
const LIKELY: f32 = 0.1;
const CATEGORIES: usize = 3;
/// A product category less likely than this is not told.
const LEAST: f32 = 0.08;

/// Tags a post. Pure and total; the time grows with the length of the text.
#[must_use]
pub fn generate(post: &Post<'_>, context: &Context<'_>) -> Tagging {
    let rules = Rules::of(post.platform);
    let found = find_all(post.text, &rules);
    let skip: Vec<Range<usize>> = found.iter().map(|f| f.range.clone()).collect();
    let language = language::detect(post.text, &prose(post.text, &skip), post.language).code;
    let [keyphrases, phrases] =
        keyphrases::extract_both(post.text, &skip, &language, PHRASES, phrase::likely);
    let names = if language == "en" { names::find_capitals(post.text) } else { Vec::new() };
    let (categories, thing) = categories(post, &found, context);
    let words = outside(&words(post.text), &skip);
    let prices = if categories.shopify.is_empty() || !post.text.bytes().any(|b| b.is_ascii_digit())
    {
        Vec::new()
    } else {
        let hints = Hints { language: Some(&language), country: post.country, excluded: &skip };
        prices::find_in(post.text, &words, &hints).prices
    };
    let products = products::find_in(post.text, words, &found, &products::Hints::default());
    let mut notes = Vec::new();
    let read = Read {
        found: &found,
        phrases: &phrases,
        names: &names,
        products: &products,
        thing: thing.as_deref(),
    };
    let tags = tags(post, &read, &categories, context, &mut notes);
    let seo = seo::describe(&Material {
        title: post.title,
        text: post.text,
        found: &found,
        phrases: &keyphrases,
        category: categories.shopify.first(),
        prices: &prices,
        picture: post.picture,
    });
    let trends = trends(&tags, context);
    Tagging { tags, keyphrases, categories, trends, seo, mode: Mode::Local, notes }
}

/// Adds tags that somebody else suggests, best first, behind equally good ones that are there.
/// Returns how many stay out: banned, spam, or denied.
pub fn suggest(
    tagging: &mut Tagging,
    words: &[String],
    platform: Option<Platform>,
    deny: &[String],
    most: usize,
    reason: &str,
) -> usize {
    let form = Form::of(platform);
    let mut pool = Pool::new(&form, &Context { deny, ..Context::default() });
    pool.tags = tagging.tags.drain(..).map(|tag| (key(&tag.tag), tag)).collect();
    for (rank, tag) in words.iter().enumerate() {
        pool.add(tag, 0.6 - 0.01 * rank.min(30) as f32, || Cow::Owned(reason.to_owned()));
    }
    let refused = pool.refused;
    tagging.tags = pool.best(most);
    refused
}

/// What lies between entities.
fn prose(text: &str, skip: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut prose = Vec::new();
    let mut at = 0;
    for range in skip {
        if range.start > at {
            prose.push(at..range.start);
        }
        at = at.max(range.end);
    }
    if at < text.len() {
        prose.push(at..text.len());
    }
    prose
}

/// Categories of the post, and what the likeliest product is called.
fn categories(
    post: &Post<'_>,
    found: &[Found],
    context: &Context<'_>,
) -> (Categories, Option<String>) {
    use crate::taxonomy::product::{word, words_of};
    let tree = shopify();
    let mut words = post.title.map(words_of).unwrap_or_default();
    words.extend(words_of(post.text));
    // A tag is words run together, and the thing mostly its end: chanelbag.
    for one in found.iter().filter(|f| f.kind == Kind::Hashtag).take(40) {
        let tag = post.text[one.value.clone()].to_lowercase();
        let ends = tag.char_indices().map(|(at, _)| &tag[at..]).skip(2).take(20);
        words.extend(ends.take_while(|e| e.len() > 2).map(word).filter(|w| tree.knows(*w)).take(1));
    }
    let best = tree.find(&words, CATEGORIES);
    let likely = || best.iter().filter(|f| f.confidence >= LEAST);
    let mut google: Vec<Category> = Vec::new();
    let named = |f| context.google.is_none().then(|| tree.google(f)).flatten();
    for category in likely().filter_map(named) {
        match google.iter_mut().find(|g| g.id == category.id) {
            Some(known) => known.confidence += category.confidence,
            None => google.push(category),
        }
    }
    if let Some(list) = context.google {
        let told = list.find(&words, CATEGORIES);
        google.extend(told.iter().filter(|f| f.confidence >= LEAST).map(|f| list.category(f)));
    }
    let thing = likely().next().map(|f| tree.name(f).to_owned());
    let whole = post.title.map(|t| format!("{t}\n{}", post.text));
    let content = content::categories(whole.as_deref().unwrap_or(post.text), CATEGORIES);
    (Categories { google, shopify: likely().map(|f| tree.category(f)).collect(), content }, thing)
}

fn trends(tags: &[Tag], context: &Context<'_>) -> Vec<Trend> {
    let Some((trends, region, now)) = context.trends else { return Vec::new() };
    let of = |t: &Tag| trends.of(region, &key(&t.tag), now);
    let mut told: Vec<Trend> = tags.iter().filter_map(of).collect();
    told.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.tag.cmp(&b.tag)));
    told
}

/// What was read out of the post for its tags.
struct Read<'r> {
    found: &'r [Found],
    /// By how likely they are tags.
    phrases: &'r [Keyphrase],
    names: &'r [Name],
    products: &'r [Product],
    /// What the likeliest product is called.
    thing: Option<&'r str>,
}

/// Scores are how often an author chose what stands on the same ground.
fn tags(
    post: &Post<'_>,
    read: &Read<'_>,
    categories: &Categories,
    context: &Context<'_>,
    notes: &mut Vec<String>,
) -> Vec<Tag> {
    let Read { found, phrases, names, products, thing } = *read;
    let form = Form::of(post.platform);
    let mut pool = Pool::new(&form, context);
    for tag in context.allow {
        pool.add(tag, 1.0, || "allow list".into());
    }
    for one in found.iter().filter(|f| f.kind == Kind::Hashtag) {
        pool.add(&post.text[one.value.clone()], 0.9, || "hashtag of the post".into());
    }
    // What the tenant's own posts say goes before what texts in general say.
    let learned = if context.history.is_some() { 0.25 } else { 1.0 };
    if let Some(history) = context.history {
        let query = Query { text: post.text, account: post.account };
        for told in history.suggest(&query, 40) {
            pool.add(&told.tag, told.score, || told.reason.into());
        }
    }
    for product in products {
        let Some(brand) = &product.brand else { continue };
        pool.add(brand, learned * 0.5, || "brand named in the text".into());
        if let Some(name) = &product.name {
            let named = || "product named in the text".into();
            pool.add(&format!("{brand} {name}"), learned * 0.15, named);
            pool.add(name, learned * 0.15, named);
        }
        if thing == Some("Handbags") {
            pool.add(&format!("{brand} bag"), learned * 0.16, || {
                format!("brand and kind, {brand} bag").into()
            });
        }
    }
    for one in found.iter().filter(|f| f.kind == Kind::Mention) {
        pool.add(&post.text[one.value.clone()], 0.12, || "account named in the text".into());
    }
    for phrase in phrases {
        pool.add(&phrase.text, learned * phrase.score, || "phrase of the text".into());
    }
    for name in names.iter().filter(|n| n.confidence >= SURE_NAME) {
        let named = || format!("{} named in the text", name.kind.word()).into();
        pool.add(&post.text[name.range.clone()], learned * NAMED * name.confidence, named);
    }
    if let Some(thing) = thing {
        let sure = categories.shopify.first().map_or(0.0, |c| c.confidence);
        pool.add(thing, learned * 0.05 * sure, || format!("product category {thing}").into());
    }
    for category in &categories.content {
        let usual = usual::of_category(&category.path);
        for (rank, tag) in usual.enumerate() {
            let score = learned * 0.08 * category.confidence * (1.0 - 0.1 * rank as f32);
            pool.add(tag, score, || format!("usual for {}", category.path).into());
        }
    }
    for (rank, tag) in usual::of_platform(post.platform).iter().enumerate() {
        let score = learned * (0.14 - 0.02 * rank as f32);
        pool.add(tag, score, || "usual on the platform".into());
    }
    if pool.refused > 0 {
        notes.push(format!("tags: {} left out (banned, spam or on the deny list)", pool.refused));
    }
    let mut tags = pool.best(context.most);
    if context.history.is_none() {
        // More than a few come only when they are likely enough.
        let likely = tags.iter().take_while(|tag| tag.score >= LIKELY).count();
        tags.truncate(likely.max(FEW));
    }
    tags
}

/// Suggestions by the letters they share; the best reason stays.
struct Pool<'f> {
    form: &'f Form,
    deny: Vec<String>,
    tags: Vec<(String, Tag)>,
    refused: usize,
}

impl<'f> Pool<'f> {
    fn new(form: &'f Form, context: &Context<'_>) -> Self {
        let deny = context.deny.iter().map(|t| key(t)).collect();
        Self { form, deny, tags: Vec::new(), refused: 0 }
    }

    fn add(&mut self, words: &str, score: f32, reason: impl FnOnce() -> Cow<'static, str>) {
        let key = key(words);
        let score = score.clamp(0.0, 1.0);
        if key.is_empty() || self.tags.len() >= 512 {
            return;
        }
        if let Some((_, known)) = self.tags.iter_mut().find(|(k, _)| *k == key) {
            // Two reasons are better than one.
            let both = known.score + score - known.score * score;
            if score > known.score {
                known.reason = reason();
            }
            known.score = both;
            return;
        }
        if self.deny.contains(&key) || form::is_banned(&key) {
            self.refused += 1;
            return;
        }
        if let Some(tag) = self.form.spell(words) {
            let weight = form::weight(&key);
            self.tags.push((key, Tag { tag, score: score * weight, reason: reason() }));
        }
    }

    fn best(self, most: usize) -> Vec<Tag> {
        let mut tags: Vec<Tag> = self.tags.into_iter().map(|(_, tag)| tag).collect();
        tags.sort_by(|a, b| b.score.total_cmp(&a.score));
        tags.truncate(most);
        tags
    }
}

#[cfg(test)]
mod tests;
