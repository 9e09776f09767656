//! `video.render`: scenes in; a narrated short video with captions out, as blobs.
//!
//! Each scene is a segment that is kept under the hash of all it depends on: after a crash the
//! finished ones are there, and a changed scene is the only one that is rendered again.

mod payload;
mod render;

use std::time::Duration;

use flotilla_core::blob::BlobKey;
use flotilla_core::job::{Job, Policy};
use flotilla_core::{Kind, Lane, LimitKey};
use flotilla_media::video::Choice;
use flotilla_media::{Loudness, Timing};
use schemars::JsonSchema;
use serde::Serialize;

use crate::source;

pub use payload::{Corner, LogoSpec, MusicSpec, SceneSpec, Shape, TransitionSpec, VideoRender};
pub use render::VideoHandler;

impl Job for VideoRender {
    const KIND: Kind = Kind::from_static("video.render");
    const LIMITS: Option<fn(&Self) -> Vec<LimitKey>> =
        Some(|job| job.sources().flat_map(source::limits).collect());
    type Output = VideoResult;

    fn policy() -> Policy {
        Policy {
            lane: Lane::from_static("media"),
            max_attempts: 5,
            timeout: Duration::from_secs(1800),
            ..Policy::default()
        }
    }

    fn faults(&self) -> Vec<(String, String)> {
        self.check()
    }
}

/// The result.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct VideoResult {
    /// The MP4: H.264 and AAC, playable before it is loaded whole.
    pub video: BlobKey,
    /// Its size.
    pub bytes: u64,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// How many frames it has.
    pub frames: u32,
    /// How long it lasts.
    pub seconds: f64,
    /// A picture of it, JPEG.
    pub poster: BlobKey,
    /// Captions as `SubRip`.
    pub srt: BlobKey,
    /// Captions as `WebVTT`.
    pub vtt: BlobKey,
    /// Captions as Advanced `SubStation` Alpha.
    pub ass: BlobKey,
    /// What the sound measures; none: it is silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loudness: Option<Loudness>,
    /// The encoder, and why it was taken.
    pub encoder: Choice,
    /// The scenes, in order, with intro and outro.
    pub scenes: Vec<SceneResult>,
    /// What could not be drawn as asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One scene of the result.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SceneResult {
    /// When it begins, in seconds.
    pub start: f64,
    /// How long it lasts.
    pub seconds: f64,
    /// Its segment.
    pub segment: BlobKey,
    /// Whether the segment had been rendered before.
    pub kept: bool,
    /// How many words are said.
    pub words: usize,
    /// How the words' times came about, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timing: Option<Timing>,
}
