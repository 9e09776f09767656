//! `[aws]`: where Amazon's services are. Region and credentials come from where every AWS tool takes
//! them (environment, profile, container, instance) unless a key here says otherwise.

use crate::reader::Section;

/// Where Amazon's services are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aws {
    /// The region, when it is set here.
    pub region: Option<String>,
    /// The address of an emulator or a compatible service.
    pub endpoint: Option<String>,
}

impl Aws {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self { region: section.get("region"), endpoint: section.get("endpoint") }
    }
}
