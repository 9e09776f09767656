//! A post as its author means it, apart from any platform, and what became of it.

use flotilla_core::Timestamp;
use flotilla_core::blob::BlobKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is to be published on one account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Post {
    /// What it says.
    pub text: String,
    /// Its title, where the platform has one.
    pub title: Option<String>,
    /// What it is about.
    pub link: Option<String>,
    /// In which form it appears.
    pub form: Form,
    /// What it shows, in order.
    pub media: Vec<Medium>,
    /// The picture that stands for a video.
    pub thumbnail: Option<Medium>,
    /// A comment of one's own below it.
    pub first_comment: Option<String>,
    /// Who sees it.
    pub visibility: Visibility,
    /// Tags that are not part of the text.
    pub tags: Vec<String>,
    /// Whom a message goes to: a phone number.
    pub to: Option<String>,
    /// A message of an approved form, as the platform wants it.
    pub template: Option<Value>,
    /// Which board of the account.
    pub board: Option<String>,
    /// Left to be finished and published by a person there.
    pub draft: bool,
    /// When the platform publishes it by itself; `None`: at once.
    pub later: Option<Timestamp>,
    /// Whether it was made by a machine, where a platform wants to know.
    pub made_with_ai: bool,
}

/// In which form a post appears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// As usual.
    #[default]
    Post,
    /// A short upright video: reel, short.
    Reel,
    /// Gone after a day.
    Story,
}

/// Who sees a post. What a platform does not have is refused, not guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everyone.
    #[default]
    Public,
    /// Those who follow the account, or are connected with it.
    Followers,
    /// Those who follow and are followed.
    Friends,
    /// Who knows the link.
    Unlisted,
    /// Nobody else.
    Private,
}

/// One picture, video, document or sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Medium {
    /// What it is.
    pub sort: Sort,
    /// Where it is.
    pub origin: Origin,
    /// What is known of it.
    pub facts: Facts,
    /// For those who cannot see it.
    pub alt: Option<String>,
}

/// What a medium is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// A picture.
    Image,
    /// A video.
    Video,
    /// A document.
    Document,
    /// Sound.
    Audio,
}

/// Where a medium is: exactly one of `url`, `blob`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// `http` or `https`; private addresses are refused.
    Url(String),
    /// A key of the blob store.
    Blob(BlobKey),
}

/// What is known of a medium; absent: not known, and then not held against it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Its size.
    pub bytes: Option<u64>,
    /// Its media type, by its first bytes.
    pub media_type: Option<String>,
    /// Pixels across.
    pub width: Option<u32>,
    /// Pixels down.
    pub height: Option<u32>,
    /// How long it plays.
    pub seconds: Option<f64>,
    /// Frames per second, where it was looked into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// How its pictures are coded, where it was looked into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
}

/// What became of a post.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Its id on the platform; `None` where it has none yet (TikTok before moderation).
    pub id: Option<String>,
    /// Where people find it.
    pub permalink: Option<String>,
    /// The handle it was made under: a container, a publish id.
    pub handle: Option<String>,
    /// When the platform published it, or was seen to have.
    pub at: Option<Timestamp>,
    /// Whether it was found there after its answer was lost, or answered as a duplicate.
    pub adopted: bool,
    /// What should be known of it.
    pub notes: Vec<String>,
    /// What the platform said, at most 4,000 bytes.
    pub answer: Value,
}

/// Longest platform answer that is kept, in bytes of JSON.
pub const MAX_ANSWER: usize = 4000;

impl Published {
    /// Published under this id just now, as `answer` says.
    #[must_use]
    pub fn new(id: impl Into<String>, at: Timestamp, answer: &Value) -> Self {
        Self { id: Some(id.into()), at: Some(at), answer: bounded(answer), ..Self::default() }
    }

    /// Found on the platform.
    #[must_use]
    pub fn found(id: impl Into<String>, at: Timestamp, answer: &Value) -> Self {
        Self { adopted: true, ..Self::new(id, at, answer) }
    }
}

/// An answer as it may be kept: itself, or the beginning of its text.
#[must_use]
pub fn bounded(answer: &Value) -> Value {
    let text = answer.to_string();
    if text.len() <= MAX_ANSWER {
        return answer.clone();
    }
    let end = (0..=MAX_ANSWER).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    Value::from(&text[..end])
}

impl Post {
    /// The only medium, where it has just one.
    #[must_use]
    pub fn only(&self) -> Option<&Medium> {
        match self.media.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Whether all its media are of this sort, and there is one at least.
    #[must_use]
    pub fn all(&self, sort: Sort) -> bool {
        !self.media.is_empty() && self.media.iter().all(|medium| medium.sort == sort)
    }

    /// Text and link on lines of their own, for platforms that have no field for a link.
    #[must_use]
    pub fn text_and_link(&self) -> String {
        match &self.link {
            Some(link) if !self.text.contains(link.as_str()) => {
                format!("{}\n\n{link}", self.text).trim_start().to_owned()
            }
            _ => self.text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_cut_at_its_bound() {
        let long = Value::from("é".repeat(MAX_ANSWER));
        assert!(bounded(&long).as_str().unwrap().len() <= MAX_ANSWER);
        assert_eq!(bounded(&Value::from(7)), Value::from(7));
    }

    #[test]
    fn a_link_is_said_once() {
        let post = |text: &str| Post {
            text: text.into(),
            link: Some("https://a.example".into()),
            ..Post::default()
        };
        assert_eq!(post("see").text_and_link(), "see\n\nhttps://a.example");
        assert_eq!(post("").text_and_link(), "https://a.example");
        assert_eq!(post("at https://a.example").text_and_link(), "at https://a.example");
    }
}
