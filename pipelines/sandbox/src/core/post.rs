//! What was published, by whom, and what became of it.

use flotilla_core::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::media::{Incoming, Media};

/// Where an object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PostState {
    /// Everybody who may see it can.
    Published,
    /// It will be, later.
    Scheduled,
    /// Only its author sees it.
    Draft,
    /// Its author has to finish it in the platform's own application.
    Inbox,
    /// It was there.
    Deleted,
}

/// Something said below a post.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comment {
    /// Its id.
    pub id: String,
    /// What it says.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

/// An object that a platform made public, or will.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Post {
    /// Grows by one with each post of the sandbox.
    pub seq: u64,
    /// Its platform.
    pub platform: String,
    /// Its author, by external id.
    pub account: String,
    /// Its id there.
    pub id: String,
    /// text, link, image, carousel, video, reel, story, document, template, …
    pub kind: String,
    /// Its text as the platform keeps it.
    pub text: String,
    /// Its media, in order.
    pub media: Vec<Media>,
    /// Where it stands.
    pub state: PostState,
    /// When it came to be.
    pub created_at: Timestamp,
    /// When it is or was public.
    pub published_at: Option<Timestamp>,
    /// Where people see it.
    pub permalink: String,
    /// The how-manieth publication of the same content by the same account this is; more than 1
    /// is a duplicate. 0: a draft.
    pub times: u32,
    /// What hangs below it.
    pub comments: Vec<Comment>,
    /// What else was asked for: link, title, visibility, container…
    pub extra: Value,
}

impl Post {
    /// The same for posts that say and show the same: author, kind, text, media, link.
    pub(crate) fn content(&self) -> String {
        let mut hash = Incoming::default();
        for part in [&self.account, &self.kind, &self.text] {
            hash.take(part.as_bytes());
            hash.take(b"\0");
        }
        for media in &self.media {
            hash.take(media.sha256.as_ref().unwrap_or(&media.source).as_bytes());
            hash.take(b"\0");
        }
        for key in ["link", "to", "reply_to"] {
            hash.take(self.extra[key].as_str().unwrap_or_default().as_bytes());
        }
        hash.media(None).sha256.unwrap_or_default()
    }
}

/// A post before it has its place in the world.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) media: Vec<Media>,
    pub(crate) state: PostState,
    pub(crate) publish_at: Option<Timestamp>,
    pub(crate) permalink: String,
    pub(crate) extra: Value,
}

impl Draft {
    pub(crate) fn published(id: impl Into<String>, kind: &'static str, text: &str) -> Self {
        Self {
            id: id.into(),
            kind,
            text: text.to_owned(),
            media: Vec::new(),
            state: PostState::Published,
            publish_at: None,
            permalink: String::new(),
            extra: Value::Null,
        }
    }
}
