//! Categories of a text: of products (Shopify's and Google's trees) and of content (fifteen).
//!
//! Product categories are found by the words of their names and by what people call them in
//! several languages; `data/product_categories.md` says where they are from.

pub mod content;
pub(crate) mod product;

use schemars::JsonSchema;
use serde::Serialize;

pub use product::{Found, Taxonomy, shopify, word, words_of};

/// A category and how likely it is right.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Category {
    /// Its id in its tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// From the root, parted by ` > `.
    pub path: String,
    /// 0 to 1.
    pub confidence: f32,
}

/// Categories of every tree, each best first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Categories {
    /// Google's product taxonomy, by number.
    pub google: Vec<Category>,
    /// Shopify's product taxonomy.
    pub shopify: Vec<Category>,
    /// What the post is about, one of fifteen.
    pub content: Vec<Category>,
}
