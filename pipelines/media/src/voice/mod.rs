//! Voices: who reads an utterance out. Another provider is another file here.

mod espeak;
mod flite;
pub mod helper;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audio::pcm::resample;
use crate::audio::{Mono, read_wav, write_wav};
use crate::child::Stop;
use crate::error::MediaError;
use crate::text::Utterance;

pub use espeak::Espeak;
pub use flite::Flite;

/// How word times came about, from the surest to the least sure.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Timing {
    /// The voice said when each word begins.
    Events,
    /// The sound was aligned with a local voice that says when its words begin.
    Aligned,
    /// Time was shared out by the letters of the words.
    Proportional,
}

/// One utterance as sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Spoken {
    /// The sound.
    pub sound: Mono,
    /// When each word begins, in seconds, where the voice says so.
    pub starts: Option<Vec<f64>>,
    /// How `starts` came about.
    pub timing: Timing,
}

#[derive(Serialize, Deserialize)]
struct Head {
    starts: Option<Vec<f64>>,
    timing: Timing,
}

impl Spoken {
    /// For a cache: a line of JSON, then WAV.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = Head { starts: self.starts.clone(), timing: self.timing };
        let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend(write_wav(&self.sound.samples, self.sound.rate, 1));
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote; `None`: it is something else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|b| *b == b'\n')?;
        let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
        Some(Self { sound: read_wav(&bytes[end + 1..])?, starts: head.starts, timing: head.timing })
    }

    /// The sound at another rate.
    #[must_use]
    pub(crate) fn at_rate(&self, rate: u32) -> Vec<f32> {
        resample(&self.sound.samples, self.sound.rate, rate)
    }
}

/// Reads utterances out.
#[async_trait]
pub trait Voice: Send + Sync + std::fmt::Debug {
    /// Everything that decides how it sounds: part of the key under which speech is kept.
    fn identity(&self) -> String;

    /// The longest utterance it takes, in characters.
    fn max_chars(&self) -> usize;

    /// Reads `utterance` out, `max_seconds` at most.
    async fn speak(
        &self,
        utterance: &Utterance,
        max_seconds: f64,
        stop: &Stop,
    ) -> Result<Spoken, MediaError>;
}

/// Runs what blocks on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MediaError> + Send + 'static,
) -> Result<T, MediaError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(MediaError::Voice(format!("the voice panicked: {error}"))),
    }
}
