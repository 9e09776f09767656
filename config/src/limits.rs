//! `[limits]`, `[[limit]]` and `[breakers]`: how hard others' services may be called.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use crate::reader::Section;

/// How far ahead limits give starts away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// A job whose moment is further off looks again after this time.
    pub ahead: Duration,
}

impl Limits {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self { ahead: section.get("ahead") }
    }
}

/// Quotas of the keys that match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// A key in which a part may be `*`; unique among the entries.
    pub keys: String,
    /// All of them hold, each as in `6/min`.
    pub quotas: Vec<String>,
}

impl Limit {
    /// `None` when a key that is needed is missing or wrong; the section has noted it then.
    pub(crate) fn read(mut section: Section<'_, '_>) -> Option<Self> {
        let keys = section.required("name");
        let quotas = section.required("quotas");
        Some(Self { keys: keys?, quotas: quotas? })
    }
}

/// When circuit breakers open and how they close.
#[derive(Debug, Clone, PartialEq)]
pub struct Breakers {
    /// Parts of a key that share a breaker; at least 1.
    pub depth: usize,
    /// How far back they look.
    pub window: Duration,
    /// Fewer answers than this say nothing; at least 1.
    pub least: u32,
    /// The part of bad answers that opens, 0 to 1.
    pub ratio: f64,
    /// An answer that took longer is bad.
    pub slow: Duration,
    /// Refused credentials in a row that open; at least 1.
    pub refusals: u32,
    /// How long one stays open at first.
    pub pause: Duration,
    /// The longest it stays open.
    pub longest: Duration,
    /// Probes at the same time; at least 1.
    pub probes: u32,
    /// How long until jobs run at full rate again.
    pub ramp: Duration,
}

impl Breakers {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            depth: section.get::<NonZeroUsize>("depth").get(),
            window: section.get("window"),
            least: section.get::<NonZeroU32>("least").get(),
            ratio: section.get("ratio"),
            slow: section.get("slow"),
            refusals: section.get::<NonZeroU32>("refusals").get(),
            pause: section.get("pause"),
            longest: section.get("longest"),
            probes: section.get::<NonZeroU32>("probes").get(),
            ramp: section.get("ramp"),
        }
    }
}
