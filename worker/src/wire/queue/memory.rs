//! `queue.backend = "memory"`: for trials; jobs end with the process.

use std::sync::Arc;

use flotilla_config::Config;
use flotilla_memory::{Memory, Settings};

use super::{Open, Ports};
use crate::wire::events;

struct Gone;

impl Open for Gone {}

pub(super) fn open(config: &Config) -> Ports {
    let settings = Settings {
        max_payload: config.queue.max_payload,
        max_batch: config.queue.max_batch,
        events: events::wanted(config),
    };
    Ports::of(&Arc::new(Memory::new(settings)), Gone)
}
