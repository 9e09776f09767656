//! `[speech]`: who speaks, and how much.

use std::time::Duration;

use crate::choice::{Choice, choice};
use crate::reader::Section;
use crate::secret::Secret;
use crate::size::ByteSize;

choice! {
    /// Who reads texts out.
    pub enum SpeechProvider ("voice provider") {
        /// espeak-ng, on this machine.
        Espeak = "espeak",
        /// flite, on this machine, English.
        Flite = "flite",
        /// A server that speaks OpenAI's protocol.
        Openai = "openai",
    }
}

/// Who speaks, and how much.
#[derive(Debug, Clone)]
pub struct Speech {
    /// Who reads out what names nobody else.
    pub provider: SpeechProvider,
    /// The language of what names none.
    pub language: String,
    /// The voice; the provider's own choice when not set.
    pub voice: Option<String>,
    /// The program of espeak-ng.
    pub espeak: String,
    /// The program of flite.
    pub flite: String,
    /// Longest text in bytes.
    pub max_text: usize,
    /// Longest speech.
    pub max_length: Duration,
    /// The server's address; there is none when not set.
    pub base_url: Option<String>,
    /// The server's model.
    pub model: Option<String>,
    /// What the server is asked to send.
    pub format: String,
    /// The server's key.
    pub api_key: Option<Secret>,
    /// How long the server may take for one request.
    pub timeout: Duration,
}

impl Speech {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            provider: section.get("provider"),
            language: section.get("language"),
            voice: section.get("voice"),
            espeak: section.get("espeak"),
            flite: section.get("flite"),
            max_text: section.get::<ByteSize>("max_text").in_memory(),
            max_length: section.get("max_length"),
            base_url: section.get("base_url"),
            model: section.get("model"),
            format: section.get("format"),
            api_key: section.get("api_key"),
            timeout: section.get("timeout"),
        }
    }
}
