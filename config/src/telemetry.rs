//! `[telemetry]`: where traces go, and how often gauges that cost a look are taken.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::reader::Section;
use crate::secret::Secret;

/// Where traces go, and how often gauges are taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// The collector's address; `None`: nothing is traced.
    pub otlp_endpoint: Option<String>,
    /// Headers that it wants, `name=value` with commas between.
    pub otlp_headers: Option<Secret>,
    /// The part of attempts that is traced, 0 to 1.
    pub sample: f64,
    /// How the service is called in traces.
    pub service: String,
    /// Longest time of one export.
    pub timeout: Duration,
    /// Spans that wait to be exported; at least 1.
    pub max_queue: usize,
    /// Between two looks for gauges.
    pub gauges: Duration,
}

impl Telemetry {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            otlp_endpoint: section.get("otlp_endpoint"),
            otlp_headers: section.get("otlp_headers"),
            sample: section.get("sample"),
            service: section.get("service"),
            timeout: section.get("timeout"),
            max_queue: section.get::<NonZeroUsize>("max_queue").get(),
            gauges: section.get("gauges"),
        }
    }
}
