//! Which model is asked, and what it may cost.

use std::time::Duration;

use flotilla_core::secret::Secret;

/// Which model is asked, how patiently, and what it may cost.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is, up to and without `/chat/completions`.
    pub base_url: String,
    /// Its name there.
    pub model: String,
    /// The model that is asked about pictures; `None`: none is.
    pub vision_model: Option<String>,
    /// What it wants to be shown; local servers want nothing.
    pub key: Option<Secret>,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// How often a call that failed is made again.
    pub retries: u32,
    /// Longest wait between two calls; an endpoint that wants more is left alone for that long.
    pub max_wait: Duration,
    /// How long a broken endpoint is left alone.
    pub pause: Duration,
    /// Whether jobs wait while the account must be paid; else they get the local result.
    pub wait_for_payment: bool,
    /// Longest answer, in tokens.
    pub max_output_tokens: u32,
    /// Longest answer, in bytes.
    pub max_answer: usize,
    /// Tokens that a tenant may use in a day (UTC); 0: no bound.
    pub tokens_per_day: u64,
    /// Money that a tenant may spend in a day, in the currency of the prices; 0: no bound.
    pub money_per_day: f64,
    /// What a million tokens sent cost.
    pub input_price: f64,
    /// What a million tokens answered cost.
    pub output_price: f64,
    /// How long an answer is kept for the same question; zero: not at all.
    pub cache: Duration,
}

impl Settings {
    /// Whether there is an endpoint and a model.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.base_url.is_empty() && !self.model.is_empty()
    }

    /// Where completions are asked for.
    pub(crate) fn url(&self) -> String {
        format!("{}/chat/completions", self.base_url.trim_end_matches('/'))
    }

    /// The host of the endpoint, for keys of limits and pauses.
    pub(crate) fn host(&self) -> &str {
        let rest = self.base_url.split_once("://").map_or(self.base_url.as_str(), |(_, rest)| rest);
        rest.split(['/', '?']).next().unwrap_or(rest)
    }

    /// The price of some tokens, in millionths.
    pub(crate) fn micros(&self, input: u64, output: u64) -> u64 {
        (input as f64 * self.input_price + output as f64 * self.output_price).ceil() as u64
    }
}

#[cfg(test)]
impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: "http://model.test/v1/".to_owned(),
            model: "small".to_owned(),
            vision_model: None,
            key: Some(Secret::new("sk-marked-key")),
            timeout: Duration::from_secs(5),
            retries: 2,
            max_wait: Duration::ZERO,
            pause: Duration::from_secs(60),
            wait_for_payment: true,
            max_output_tokens: 500,
            max_answer: 64 * 1024,
            tokens_per_day: 0,
            money_per_day: 0.0,
            input_price: 1.0,
            output_price: 4.0,
            cache: Duration::from_secs(3600),
        }
    }
}
