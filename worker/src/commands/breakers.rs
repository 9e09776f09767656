//! `flotilla breakers`: who is not called for now, and opening and closing by hand.

use flotilla_config::Config;
use flotilla_core::limit::LimitKey;
use flotilla_engine::traffic;

use crate::cli::Breakers;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire::{self, Ports};

pub(super) async fn run(command: &Breakers, config: &Config) -> Result<Exit, Failure> {
    let depth = wire::engine::settings(config)?.breakers.depth;
    let ports = wire::ports(config).await?;
    let result = act(command, &ports, depth).await;
    ports.close().await;
    result
}

async fn act(command: &Breakers, ports: &Ports, depth: usize) -> Result<Exit, Failure> {
    let (cells, clock, now) = (&*ports.cells, ports.clock(), ports.now());
    match command {
        Breakers::List { json } => {
            let breakers = traffic::breakers(cells, now).await?;
            if *json {
                output::json(&breakers)?;
            } else {
                let rows = breakers
                    .iter()
                    .map(|info| vec![info.key.to_string(), info.stand.to_string()])
                    .collect();
                output::table(&["BREAKER", "STANDS"], rows, "all breakers are closed")?;
            }
        }
        Breakers::Open { key, reason, pause } => {
            let key = known(key, depth)?;
            let by = wire::user();
            traffic::open_breaker(cells, &*clock, &key, &by, reason, *pause).await?;
            output::line(match pause {
                Some(pause) => {
                    format!("opened {key}; a few jobs try again after {}", output::short(*pause))
                }
                None => format!("opened {key}; `flotilla breakers close {key}` ends it"),
            })?;
        }
        Breakers::Close { key, reason } => {
            let key = known(key, depth)?;
            let by = wire::user();
            let was = traffic::close_breaker(cells, &*clock, &key, &by, reason).await?;
            output::line(if was {
                format!("closed {key}; its jobs are woken, few at first")
            } else {
                format!("{key} was not open: `flotilla breakers list` shows those that are")
            })?;
        }
    }
    Ok(Exit::Ok)
}

/// A key that names a breaker: a longer one shares that of its first parts.
fn known(key: &LimitKey, depth: usize) -> Result<LimitKey, Failure> {
    let breaker = key.above(depth);
    if breaker == *key {
        return Ok(breaker);
    }
    Err(Failure::usage(format!(
        "{key} has no breaker of its own: its jobs share that of {breaker}"
    )))
}
