//! `[api]`: enqueueing over HTTP, on the address of `[admin]`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use crate::checked::Name;
use crate::reader::Section;
use crate::secret::Secret;
use crate::size::ByteSize;

/// Enqueueing over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// A file of tokens, one `name token` a line; without it the token of `[admin]` counts.
    pub tokens_file: Option<PathBuf>,
    /// Largest request, in bytes.
    pub max_body: usize,
    /// Most jobs in one request; at least 1.
    pub max_jobs: usize,
    /// Requests per second of one token in one process, in the long run; 0: no bound.
    pub rate: u32,
    /// Requests of one token at once; at least 1.
    pub burst: u32,
    /// Longest `wait`.
    pub max_wait: Duration,
    /// Requests that may wait at the same time.
    pub max_waiters: usize,
    /// How long an idempotency key is remembered.
    pub idempotency: Duration,
    /// How long a request may take, beside `wait`.
    pub timeout: Duration,
    /// Topics of SNS (ARNs) whose notifications are taken.
    pub sns_topics: Vec<String>,
    /// The lane on which they count as having come.
    pub sns_lane: String,
}

/// A file of tokens that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("api.tokens_file: {path}: {problem}")]
pub struct TokensError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong; shows no token.
    pub problem: String,
}

impl Api {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            tokens_file: section.get("tokens_file"),
            max_body: section.get::<ByteSize>("max_body").in_memory(),
            max_jobs: section.get::<NonZeroUsize>("max_jobs").get(),
            rate: section.get("rate"),
            burst: section.get::<NonZeroU32>("burst").get(),
            max_wait: section.get("max_wait"),
            max_waiters: section.get("max_waiters"),
            idempotency: section.get("idempotency"),
            timeout: section.get("timeout"),
            sns_topics: section.get("sns_topics"),
            sns_lane: section.get::<Name>("sns_lane").0,
        }
    }

    /// The callers' tokens by name; empty lines and lines that begin with `#` say nothing.
    ///
    /// # Errors
    /// The file cannot be read, a line is not `name token`, or there is none.
    pub fn read_tokens(&self) -> Result<Vec<(String, Secret)>, TokensError> {
        let Some(path) = &self.tokens_file else { return Ok(Vec::new()) };
        let wrong = |problem: String| TokensError { path: path.clone(), problem };
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let mut tokens = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (None, ..) => {}
                (Some(word), ..) if word.starts_with('#') => {}
                (Some(name), Some(token), None) => {
                    tokens.push((name.to_owned(), Secret::new(token)));
                }
                _ => return Err(wrong(format!("line {} is not \"name token\"", at + 1))),
            }
        }
        if tokens.is_empty() {
            return Err(wrong("holds no token".to_owned()));
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, LoadOptions};

    #[test]
    fn tokens_have_names_and_are_not_shown_when_wrong() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut api = Config::load(LoadOptions::default()).unwrap().api;
        assert!(api.read_tokens().unwrap().is_empty());
        api.tokens_file = Some(file.path().to_owned());
        assert!(api.read_tokens().unwrap_err().to_string().contains("no token"));
        std::fs::write(file.path(), "# callers\n\nshop s3cret\nhub  other \n").unwrap();
        let tokens = api.read_tokens().unwrap();
        assert_eq!((tokens[0].0.as_str(), tokens[0].1.expose()), ("shop", "s3cret"));
        assert_eq!(tokens.len(), 2);
        std::fs::write(file.path(), "s3cret\n").unwrap();
        let error = api.read_tokens().unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains("s3cret"), "{error}");
    }
}
