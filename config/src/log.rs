//! `[log]`: what is logged, and in which form.

use crate::choice::{Choice, choice};
use crate::reader::Section;

choice! {
    /// The form of the log.
    pub enum LogFormat ("log format") {
        /// Text on a terminal, else JSON.
        Auto = "auto",
        /// JSON, one object a line.
        Json = "json",
        /// Text for people.
        Text = "text",
    }
}

/// What is logged, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The form.
    pub format: LogFormat,
    /// A level, or levels by module.
    pub level: String,
}

impl Log {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self { format: section.get("format"), level: section.get("level") }
    }
}
