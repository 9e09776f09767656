//! What reads the messages of other programs, as `[adopt]` and `[[route]]` say.

use std::sync::Arc;

use flotilla_adopt::{Adopter, Limits, Route, Routes};
use flotilla_config::Config;

use crate::exit::Failure;

/// A reader of messages over all kinds of this build.
pub(crate) fn adopter(config: &Config) -> Result<Adopter, Failure> {
    let limits = Limits {
        max_body: config.adopt.max_body,
        max_payload: config.queue.max_payload,
        max_depth: config.adopt.max_depth,
        max_jobs: config.adopt.max_jobs,
    };
    let registry = Arc::new(super::kinds_offline(config)?);
    Adopter::new(registry, routes(config)?, limits).map_err(Failure::config)
}

fn routes(config: &Config) -> Result<Routes, Failure> {
    let routes = config.routes.iter().enumerate().map(|(at, route)| {
        serde_json::from_value::<Route>(route.table.clone().into())
            .map_err(|e| Failure::config(format!("route[{at}]: {e}")))
    });
    routes.collect::<Result<_, _>>().map(Routes)
}
