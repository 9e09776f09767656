//! One taxonomy of what can go wrong with a picture, so that a caller can tell the sender's faults
//! (never worth a retry) from its own, and so that every message says what to do next.

/// Why no thumbnails were made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A bound of [`Limits`](crate::Limits) is exceeded; found before any decoding.
    #[error(
        "too large: {what} is {actual}, the limit is {limit}; send a smaller picture or raise the limit"
    )]
    TooLarge {
        /// What was measured, with its unit.
        what: &'static str,
        /// The measured figure.
        actual: u64,
        /// The bound.
        limit: u64,
    },
    /// A format, or a part of one, that is not read or written here.
    #[error("unsupported format {format}: {advice}")]
    Unsupported {
        /// The format as found in the bytes (or asked for), for example `avif`.
        format: String,
        /// What to do instead.
        advice: &'static str,
    },
    /// The file claims a supported format but is cut off or corrupt.
    #[error("broken {format} file: {detail}; send the original again")]
    Broken {
        /// The claimed format.
        format: &'static str,
        /// What the decoder found.
        detail: String,
    },
    /// The request cannot be met, whatever the picture.
    #[error("{field}: {problem}")]
    Invalid {
        /// Path of the field, for example `outputs[1].width`.
        field: String,
        /// What is wrong with it and what is accepted.
        problem: String,
    },
    /// The caller's `cancelled` said so.
    #[error("cancelled before all thumbnails were made; run the job again to have them")]
    Cancelled,
    /// An encoder or allocator failed on sound input.
    #[error("could not {step}: {detail}; try again, and report the picture if it stays")]
    Failed {
        /// What was being done.
        step: &'static str,
        /// The library's own words.
        detail: String,
    },
}

impl ImageError {
    /// Whether the same bytes and request can never succeed under the same limits.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::Cancelled | Self::Failed { .. })
    }

    pub(crate) fn broken(format: &'static str, detail: impl Into<String>) -> Self {
        Self::Broken { format, detail: detail.into() }
    }

    pub(crate) fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), problem: problem.into() }
    }

    pub(crate) fn source_format(format: impl Into<String>) -> Self {
        Self::Unsupported {
            format: format.into(),
            advice: "send the picture as JPEG, PNG, WebP or AVIF",
        }
    }
}
