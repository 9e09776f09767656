//! `[models]`: the OpenAI-compatible endpoint that adds to what the local rules find.

use std::path::PathBuf;
use std::time::Duration;

use crate::choice::{Choice, choice};
use crate::reader::Section;
use crate::secret::Secret;
use crate::size::ByteSize;

choice! {
    /// What jobs do while the model's account must be paid.
    pub enum Unpaid ("way to treat an unpaid account") {
        /// They wait, without using attempts.
        Wait = "wait",
        /// They take the result of the rules.
        Local = "local",
    }
}

/// The endpoint, and what it may cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Models {
    /// Where it is; empty: no model is asked.
    pub base_url: String,
    /// The model's name there.
    pub model: String,
    /// The model that is shown pictures; empty: none is.
    pub vision_model: String,
    /// The key itself.
    pub key: Option<Secret>,
    /// A file that holds the key.
    pub key_file: Option<PathBuf>,
    /// The kinds that ask it.
    pub kinds: Vec<String>,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// How often a failed call is made again.
    pub retries: u32,
    /// Longest wait between two calls.
    pub max_wait: Duration,
    /// How long a broken endpoint is left alone.
    pub pause: Duration,
    /// What jobs do while the account must be paid.
    pub unpaid: Unpaid,
    /// Longest answer in tokens.
    pub max_output_tokens: u32,
    /// Longest answer in bytes.
    pub max_answer: usize,
    /// Largest picture that is shown, in bytes.
    pub max_image: usize,
    /// Tokens of a tenant in a day; 0: no bound.
    pub tokens_per_day: u64,
    /// Money of a tenant in a day; 0: no bound.
    pub money_per_day: f64,
    /// Price of a million tokens sent.
    pub input_price: f64,
    /// Price of a million tokens answered.
    pub output_price: f64,
    /// How long answers are kept.
    pub cache: Duration,
}

impl Models {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            base_url: section.get::<Option<String>>("base_url").unwrap_or_default(),
            model: section.get::<Option<String>>("model").unwrap_or_default(),
            vision_model: section.get::<Option<String>>("vision_model").unwrap_or_default(),
            key: section.get("key"),
            key_file: section.get("key_file"),
            kinds: section.get("kinds"),
            timeout: section.get("timeout"),
            retries: section.get("retries"),
            max_wait: section.get("max_wait"),
            pause: section.get("pause"),
            unpaid: section.get("unpaid"),
            max_output_tokens: section.get("max_output_tokens"),
            max_answer: section.get::<ByteSize>("max_answer").in_memory(),
            max_image: section.get::<ByteSize>("max_image").in_memory(),
            tokens_per_day: section.get::<usize>("tokens_per_day") as u64,
            money_per_day: section.get::<f64>("money_per_day").max(0.0),
            input_price: section.get::<f64>("input_price").max(0.0),
            output_price: section.get::<f64>("output_price").max(0.0),
            cache: section.get("cache"),
        }
    }

    /// The key: `key`, or the content of `key_file` without the white space around it.
    ///
    /// # Errors
    /// A sentence, when the file cannot be read.
    pub fn read_key(&self) -> Result<Option<Secret>, String> {
        let Some(path) = &self.key_file else { return Ok(self.key.clone()) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("models.key_file: cannot read {}: {error}", path.display()))?;
        let key = text.trim();
        Ok((!key.is_empty()).then(|| Secret::new(key)))
    }
}
