//! `[[schedule]]`: jobs that are enqueued by the clock.

use std::num::NonZeroUsize;

use serde_json::{Map, Value};

use crate::checked::{CronPattern, Level, Name, Table, Zone};
use crate::choice::{Choice, choice};
use crate::reader::Section;

const MAX_MISSED: NonZeroUsize = NonZeroUsize::new(100).expect("100 is not 0");

choice! {
    /// What becomes of moments that passed while no worker ran.
    pub enum Missed ("way to treat missed moments") {
        /// Nothing.
        Skip = "skip",
        /// One job for all of them.
        Once = "once",
        /// One job for each, up to `max_missed`.
        All = "all",
    }
}

/// A job that is enqueued by the clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Unique among the entries; a renamed entry starts anew.
    pub name: String,
    /// Five fields, or six with seconds; checked.
    pub cron: String,
    /// The IANA time zone in which `cron` is read; checked.
    pub timezone: String,
    /// The kind to enqueue.
    pub kind: String,
    /// Its payload.
    pub payload: Value,
    /// The lane, instead of the kind's own.
    pub lane: Option<String>,
    /// 0 to 9, instead of the kind's own.
    pub priority: Option<u8>,
    /// The tenant on whose behalf.
    pub tenant: Option<String>,
    /// What becomes of missed moments.
    pub missed: Missed,
    /// The bound of [`Missed::All`]; at least 1.
    pub max_missed: usize,
}

impl Schedule {
    /// `None` when a key that is needed is missing or wrong; the section has noted it then.
    pub(crate) fn read(mut section: Section<'_, '_>) -> Option<Self> {
        let name = section.required::<Name>("name");
        let cron = section.required::<CronPattern>("cron");
        let kind = section.required::<Name>("kind");
        let timezone = section.optional::<Zone>("timezone");
        let payload = section.optional::<Table>("payload");
        let lane = section.optional::<Name>("lane");
        let priority = section.optional::<Level>("priority");
        let tenant = section.optional::<Name>("tenant");
        let missed = section.optional("missed");
        let max_missed = section.optional("max_missed");
        Some(Self {
            name: name?.0,
            cron: cron?.0,
            timezone: timezone.map_or_else(|| "UTC".to_owned(), |zone| zone.0),
            kind: kind?.0,
            payload: payload.map_or_else(|| Value::Object(Map::new()), |table| table.0),
            lane: lane.map(|name| name.0),
            priority: priority.map(|level| level.0),
            tenant: tenant.map(|name| name.0),
            missed: missed.unwrap_or(Missed::Once),
            max_missed: max_missed.unwrap_or(MAX_MISSED).get(),
        })
    }
}
