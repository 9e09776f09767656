//! Who is told of ends, as `[events]` and `[[subscriber]]` say.

use std::str::FromStr;

use flotilla_config::{Config, Told};
use flotilla_core::event::{EventType, Events, Subscriber};

use flotilla_core::ids::InvalidName;

use crate::exit::Failure;

/// Whether backends have to remember ends until somebody was told.
pub(super) fn wanted(config: &Config) -> bool {
    !config.subscribers.is_empty()
}

/// The subscribers without their sinks: what the relay needs.
pub(super) fn events(config: &Config) -> Result<Events, Failure> {
    let subscribers = config.subscribers.iter().map(subscriber).collect::<Result<_, _>>()?;
    Ok(Events {
        source: config.events.source.clone(),
        max_result: config.events.max_result,
        subscribers,
    })
}

fn subscriber(given: &flotilla_config::Subscriber) -> Result<Subscriber, Failure> {
    fn names<T: FromStr<Err = InvalidName>>(given: &[String]) -> Result<Vec<T>, Failure> {
        given.iter().map(|name| name.parse().map_err(Failure::config)).collect()
    }
    Ok(Subscriber {
        name: given.name.clone(),
        types: given.types.iter().map(|told| event_type(*told)).collect(),
        kinds: names(&given.kinds)?,
        lanes: names(&given.lanes)?,
        tenants: names(&given.tenants)?,
    })
}

fn event_type(told: Told) -> EventType {
    match told {
        Told::Completed => EventType::Completed,
        Told::Failed => EventType::Failed,
        Told::Dead => EventType::Dead,
        Told::Cancelled => EventType::Cancelled,
        Told::Progress => EventType::Progress,
    }
}
