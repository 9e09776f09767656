//! What goes into [`super::parse`] and what comes out: the wire form of `caption.parse`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::appeal::Cta;
use super::wares::Product;
use crate::platform::Platform;
use crate::prices::{Decimal, DiscountKind, Role};
use crate::products::Item;
use crate::sentiment::Sentiment;
use crate::span::Span;

/// A caption and what is known about it beforehand.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The caption.
    pub text: String,
    /// Where it is posted. Without one, the rules are Instagram's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The likely language (ISO 639-1), used where the text does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The likely country (ISO 3166-1 alpha-2), used for currencies that share a symbol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The shop's products, to link mentions to; at most 10,000 are read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub catalogue: Vec<Item>,
}

/// The facts of a caption. Spans point into the text of the request.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Caption {
    /// The language of the text and of its parts.
    pub language: Language,
    /// Hashtags, without sign.
    pub hashtags: Vec<Hashtag>,
    /// Mentioned accounts, without sign.
    pub mentions: Vec<Mention>,
    /// Links, with and without scheme.
    pub urls: Vec<Url>,
    /// Tickers such as `$TSLA`, without sign.
    pub cashtags: Vec<Cashtag>,
    /// E-mail addresses.
    pub emails: Vec<Email>,
    /// Phone numbers, also those inside chat links.
    pub phones: Vec<Phone>,
    /// Emoji, one for each sequence.
    pub emoji: Vec<Emoji>,
    /// Prices; an amount taken off is a discount instead.
    pub prices: Vec<Price>,
    /// Discounts of every kind.
    pub discounts: Vec<Discount>,
    /// Promotion codes.
    pub codes: Vec<Code>,
    /// Products and brands it speaks of, in text order.
    pub products: Vec<Product>,
    /// The mood of the whole.
    pub sentiment: Sentiment,
    /// What the reader is asked to do, in text order.
    pub ctas: Vec<Cta>,
    /// What found all this.
    pub mode: Mode,
    /// Doubts and choices the reader should know of.
    pub notes: Vec<String>,
}

/// Who read the caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The rules compiled into this program.
    Local,
    /// The rules, and a language model that added to what they found.
    Model,
}

/// The language of a caption.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Language {
    /// ISO 639-1, or `und` when it cannot be told.
    pub code: String,
    /// 0 to 1.
    pub confidence: f32,
    /// Stretches of one language each.
    pub parts: Vec<LanguagePart>,
    /// Which rule decided.
    pub rule: &'static str,
}

/// A stretch of one language.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LanguagePart {
    /// ISO 639-1.
    pub code: String,
    /// Where it is.
    pub span: Span,
}

/// A hashtag.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Hashtag {
    /// The tag without sign, as the platform stores it (TikTok: in lower case).
    pub tag: String,
    /// Where it is, sign included.
    pub span: Span,
    /// Which rule found it.
    pub rule: &'static str,
    /// How sure that rule is, 0 to 1.
    pub confidence: f32,
}

/// A mentioned account.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Mention {
    /// The name without sign; for a list on X, `name/list`.
    pub handle: String,
    /// Where it is, sign included.
    pub span: Span,
    /// Which rule found it.
    pub rule: &'static str,
    /// How sure that rule is, 0 to 1.
    pub confidence: f32,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Url {
    /// The link as written.
    pub url: String,
    /// Where it is.
    pub span: Span,
    /// Which rule found it.
    pub rule: &'static str,
    /// How sure that rule is, 0 to 1.
    pub confidence: f32,
}

/// A ticker.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Cashtag {
    /// The symbol without sign.
    pub tag: String,
    /// Where it is, sign included.
    pub span: Span,
    /// Which rule found it.
    pub rule: &'static str,
    /// How sure that rule is, 0 to 1.
    pub confidence: f32,
}

/// An e-mail address.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Email {
    /// The address as written.
    pub email: String,
    /// Where it is.
    pub span: Span,
    /// Which rule found it.
    pub rule: &'static str,
    /// How sure that rule is, 0 to 1.
    pub confidence: f32,
}

/// A phone number.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Phone {
    /// ASCII digits only, with `+` before a country code that was written.
    pub number: String,
    /// Where it is.
    pub span: Span,
    /// Which rule found it.
    pub rule: &'static str,
    /// How sure that rule is, 0 to 1.
    pub confidence: f32,
}

/// An emoji.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Emoji {
    /// The emoji as written.
    pub emoji: String,
    /// Its Unicode name.
    pub name: &'static str,
    /// Where it is.
    pub span: Span,
    /// Which rule found it.
    pub rule: &'static str,
    /// How sure that rule is, 0 to 1.
    pub confidence: f32,
}

/// A price.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Price {
    /// The price as written.
    pub text: String,
    /// The amount in the main unit: "50 cents" is 0.5.
    pub amount: Decimal,
    /// ISO 4217; nothing where neither text nor hints tell.
    pub currency: Option<&'static str>,
    /// What the price is for, where the text says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// How a shared sign or a missing one was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where it is.
    pub span: Span,
    /// Which rule found it.
    pub rule: &'static str,
    /// How sure that rule is, 0 to 1.
    pub confidence: f32,
}

/// A discount.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Discount {
    /// What kind of discount.
    pub kind: DiscountKind,
    /// Percent or amount of money; nothing where the kind has no size.
    pub value: Option<Decimal>,
    /// Where it is.
    pub span: Span,
    /// Which rule found it.
    pub rule: &'static str,
    /// How sure that rule is, 0 to 1.
    pub confidence: f32,
}

/// A promotion code.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Code {
    /// The code as written.
    pub code: String,
    /// Where it is.
    pub span: Span,
    /// Which rule found it.
    pub rule: &'static str,
    /// How sure that rule is, 0 to 1.
    pub confidence: f32,
}
