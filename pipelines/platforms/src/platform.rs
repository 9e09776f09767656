//! What a platform's client has to do, and which ones there are.
//!
//! To add a platform: one file below `platform/` with its steps and the meaning of its answers, a
//! line in [`by_name`], an entry in `config/platforms.toml`, and its rows in the suite of
//! `tests/`. Each step's result is kept (`once`) before the next; the step that makes something
//! public goes through `effect`, with a read-back where the platform has one.

mod containers;
mod facebook;
mod instagram;
mod linkedin;
mod little;
mod meta;
mod pinterest;
mod threads;
mod tiktok;
mod whatsapp;
mod x;
mod youtube;

use async_trait::async_trait;
use flotilla_core::JobError;
use flotilla_core::effect::SendError;

use crate::http::Answer;
use crate::post::{Post, Published};
use crate::session::{CallError, Session};
use crate::trouble::Trouble;

/// The client of one platform.
#[async_trait]
pub trait Platform: Send + Sync + std::fmt::Debug {
    /// What an answer means; `None`: it is a success.
    fn judge(&self) -> fn(&Answer) -> Option<Trouble>;

    /// Publishes `post`, once, whatever crashes when. Called again on every attempt; what was
    /// done before is known from the ledger.
    ///
    /// # Errors
    /// What becomes of the job.
    async fn publish(&self, post: &Post, at: &Session<'_>) -> Result<Published, JobError>;

    /// Writes a comment below what was published; gives its id.
    ///
    /// # Errors
    /// What becomes of the comment; the post stays published.
    async fn comment(
        &self,
        published: &Published,
        text: &str,
        at: &Session<'_>,
    ) -> Result<String, JobError> {
        let _ = (published, text);
        Err(JobError::invalid(format!("{} takes no comment of one's own", at.spec.title)))
    }

    /// What kinds of account differ in what they can do, as in `organization`; empty: they do not.
    fn sort(&self, external_id: &str) -> &'static str {
        let _ = external_id;
        ""
    }
}

/// The client of that platform, where this build has one.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Platform> {
    Some(match name {
        "facebook" => &facebook::Facebook,
        "instagram" => &instagram::Instagram,
        "threads" => &threads::Threads,
        "linkedin" => &linkedin::LinkedIn,
        "tiktok" => &tiktok::TikTok,
        "youtube" => &youtube::YouTube,
        "whatsapp" => &whatsapp::WhatsApp,
        "x" => &x::X,
        "pinterest" => &pinterest::Pinterest,
        _ => return None,
    })
}

/// How large a medium is.
async fn size(medium: &crate::post::Medium, at: &Session<'_>) -> Result<u64, JobError> {
    match medium.facts.bytes {
        Some(bytes) => Ok(bytes),
        None => Ok(at.media.facts(&medium.origin).await?.bytes.unwrap_or(0)),
    }
}

/// The end of a post that the platform calls a duplicate of one that is not this job's.
fn not_ours(error: &CallError, at: &Session<'_>) -> SendError {
    let said = error.trouble().map(ToString::to_string).unwrap_or_default();
    let name = &at.spec.title;
    SendError::Refused(JobError::rejected(format!(
        "{name} said {said}; the same was posted before, and not by this job: change the text to \
         post it again"
    )))
}

/// A text field of an answer.
fn text<'a>(value: &'a serde_json::Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
}

/// The id that a success must hold: without it nobody knows what happened.
fn id_of(value: &serde_json::Value, pointer: &str) -> Result<String, CallError> {
    text(value, pointer).map(str::to_owned).ok_or_else(|| {
        let said = format!("the answer holds no id: {}", crate::post::bounded(value));
        CallError::Unsure(None, said.into())
    })
}

#[cfg(test)]
mod tests {
    use crate::registry::Platforms;

    #[test]
    fn every_platform_that_can_post_has_a_client() {
        for spec in Platforms::built_in().unwrap().iter() {
            let posts = !spec.capabilities.is_empty();
            assert_eq!(super::by_name(&spec.name).is_some(), posts, "{}", spec.name);
        }
    }
}
