//! Containers of Instagram (§4.1, §4.2) and Threads (§5): what is prepared before it is published.

use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::clock::{after, between};

use super::{Upload, no_object};
use crate::core::call::Call;
use crate::core::http::Reply;
use crate::core::media::Media;

/// Something that waits to be published.
#[derive(Debug)]
pub(crate) struct Container {
    pub(super) account: String,
    /// text, image, video, reel, story, carousel.
    pub(super) kind: &'static str,
    pub(super) text: String,
    pub(super) media: Vec<Media>,
    /// A part of a carousel: it cannot be published by itself.
    pub(super) child: bool,
    pub(super) created: Timestamp,
    /// When processing ends; `None`: its bytes are awaited.
    pub(super) ready: Option<Timestamp>,
    /// The subcode or name of what went wrong with it.
    pub(super) failed: Option<&'static str>,
    /// The first post it became.
    pub(super) published: Option<String>,
    pub(super) upload: Option<Upload>,
    pub(super) reply_to: Option<String>,
    pub(super) extra: serde_json::Value,
}

/// Where a container stands (§4.2, §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Finished,
    Published,
    Error,
    Expired,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Finished => "FINISHED",
            Self::Published => "PUBLISHED",
            Self::Error => "ERROR",
            Self::Expired => "EXPIRED",
        }
    }
}

impl Container {
    pub(super) fn new(account: &str, kind: &'static str, text: &str, now: Timestamp) -> Self {
        Self {
            account: account.to_owned(),
            kind,
            text: text.to_owned(),
            media: Vec::new(),
            child: false,
            created: now,
            ready: Some(now),
            failed: None,
            published: None,
            upload: None,
            reply_to: None,
            extra: serde_json::Value::Null,
        }
    }

    pub(super) fn status(&self, now: Timestamp) -> Status {
        // §4.2: not published within 24 h.
        let day = Duration::from_secs(86_400);
        match self.ready {
            _ if self.published.is_some() => Status::Published,
            _ if between(self.created, now) >= day => Status::Expired,
            _ if self.failed.is_some() => Status::Error,
            Some(ready) if ready <= now => Status::Finished,
            _ => Status::InProgress,
        }
    }
}

/// Keeps a container and gives its id.
pub(super) fn keep(call: &mut Call<'_>, mut container: Container) -> Result<String, Reply> {
    call.admit()?;
    let settings = &call.world.settings;
    let takes = match container.kind {
        "video" | "reel" => settings.video_processing,
        _ if container.extra["video"] == true => settings.video_processing,
        "text" => Duration::ZERO,
        _ => settings.image_processing,
    };
    if container.upload.is_some() {
        container.ready = None;
    } else {
        container.ready = Some(after(call.now, takes));
    }
    let id = call.world.digits();
    call.world.meta.containers.insert(id.clone(), container);
    Ok(id)
}

/// A container of that account.
pub(super) fn of<'a>(call: &'a Call<'_>, account: &str, id: &str) -> Result<&'a Container, Reply> {
    let found = call.world.meta.containers.get(id);
    found.filter(|container| container.account == account).ok_or_else(|| no_object(id))
}
