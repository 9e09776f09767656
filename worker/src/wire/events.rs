//! Who is told of ends, as `[events]` and `[[subscriber]]` say.

use std::str::FromStr;

use flotilla_config::{Config, HeardInOrder, Told};
use flotilla_core::event::{EventType, Events, Order, Subscriber};

use flotilla_core::ids::InvalidName;

use crate::exit::Failure;

/// Whether backends have to remember ends until somebody was told.
pub(super) fn wanted(config: &Config) -> bool {
    !config.subscribers.is_empty()
}

/// The subscribers without their sinks: what the relay needs.
pub(super) fn events(config: &Config) -> Result<Events, Failure> {
    // Who wants to hear of accounts alone hears of no job.
    let of_jobs = config.subscribers.iter().filter(|given| given.types != [Told::Account]);
    let subscribers = of_jobs.map(subscriber).collect::<Result<_, _>>()?;
    Ok(Events {
        source: config.events.source.clone(),
        max_result: config.events.max_result,
        batch: config.events.batch,
        unheard: config.events.unheard,
        subscribers,
    })
}

pub(super) fn subscriber(given: &flotilla_config::Subscriber) -> Result<Subscriber, Failure> {
    fn names<T: FromStr<Err = InvalidName>>(given: &[String]) -> Result<Vec<T>, Failure> {
        given.iter().map(|name| name.parse().map_err(Failure::config)).collect()
    }
    Ok(Subscriber {
        name: given.name.clone(),
        types: given.types.iter().filter_map(|told| event_type(*told)).collect(),
        kinds: names(&given.kinds)?,
        lanes: names(&given.lanes)?,
        tenants: names(&given.tenants)?,
        order: match given.order {
            HeardInOrder::Subscriber => Order::Subscriber,
            HeardInOrder::Job => Order::Job,
        },
    })
}

/// What it is of a job; `None`: it is of an account.
fn event_type(told: Told) -> Option<EventType> {
    match told {
        Told::Completed => Some(EventType::Completed),
        Told::Failed => Some(EventType::Failed),
        Told::Dead => Some(EventType::Dead),
        Told::Cancelled => Some(EventType::Cancelled),
        Told::Progress => Some(EventType::Progress),
        Told::Account => None,
    }
}
