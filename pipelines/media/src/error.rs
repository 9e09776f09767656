//! What may go wrong while speech or a video is made, in words for the person who has to mend it.

use std::time::Duration;

/// A failure of the media pipeline.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The request can never work as it stands.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field, as in `scenes[2].text`.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A bound of the configuration.
    #[error("{what}: at most {max} allowed ({setting})")]
    TooLarge {
        /// What is too large, with its size.
        what: String,
        /// The bound.
        max: u64,
        /// The setting that says so.
        setting: &'static str,
    },
    /// A program is not on this machine.
    #[error(
        "{program} is not here: install it (Debian: apt-get install {package}) or set {setting}"
    )]
    Missing {
        /// The program.
        program: String,
        /// The package that brings it.
        package: &'static str,
        /// The setting that names it.
        setting: &'static str,
    },
    /// A program is here and did not do its work.
    #[error("{program} failed ({status}){}", said(.stderr))]
    Child {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        stderr: String,
    },
    /// The voice's server answered with an error.
    #[error("{0}")]
    Voice(String),
    /// The voice's server asks to be left alone for a while.
    #[error("the voice's server is busy: {said}")]
    Busy {
        /// What it said.
        said: String,
        /// For how long, where it said so.
        after: Option<Duration>,
    },
    /// The attempt was told to stop.
    #[error("stopped before the end")]
    Stopped,
    /// The disk or a pipe.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// The system's own error.
        #[source]
        source: std::io::Error,
    },
}

impl MediaError {
    /// Whether the same request fails again whatever is tried.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Invalid { .. } | Self::TooLarge { .. })
    }

    pub(crate) fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), problem: problem.into() }
    }

    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

fn said(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}
