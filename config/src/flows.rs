//! `[flows]`: how wide and how deep jobs may start others.

use std::num::NonZeroU32;

use crate::reader::Section;

/// How wide and how deep jobs may start others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flows {
    /// Most children of one job; at least 1.
    pub max_children: u32,
    /// Most generations below a job; at least 1.
    pub max_depth: u16,
}

impl Flows {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            max_children: section.get::<NonZeroU32>("max_children").get(),
            max_depth: section.get::<u16>("max_depth").max(1),
        }
    }
}
